//! The promise: a stream of frames uses its buffers again.
use image::imageops::{FilterType, resize};
use mattebox_core::{
    codec::{self, JpegEncoder, Limits},
    frame::Timestamp,
    matte::{MatteMode, MatteState},
};
use mattebox_engine::{
    Engine, FrameInput, FramePicture, FrameProcessor, FrameSettings, trace::Span,
};
use mattebox_wire::EncodedPicture;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{alloc::System, sync::Arc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes per frame, at most. They are in small blocks that need no fresh pages: mostly lists of the
/// matte's edge.
const LITTLE: usize = 192 << 10;

/// Runs without the test harness: the allocator counts all threads, and the harness allocates too.
fn main() {
    let picture = codec::decode(include_bytes!("../assets/bench.jpg"), &Limits::default()).unwrap();
    let picture = resize(&picture, 640, 360, FilterType::Triangle);
    let mut jpeg = Vec::new();
    JpegEncoder::new(80).encode(&picture, &mut jpeg).unwrap();
    for matte in [MatteMode::Hard, MatteMode::Soft] {
        steady_streams_allocate_little(&jpeg, matte);
    }
    println!("test a_stream_uses_its_buffers_again ... ok");
}

/// Remaining allocations: a few small lists and, if the whole picture is segmented, a grid of
/// flags.
fn steady_streams_allocate_little(jpeg: &[u8], matte: MatteMode) {
    let settings = Arc::new(FrameSettings {
        matte,
        ..FrameSettings::default()
    });
    let engine = Engine::new(&settings);
    let mut processor = FrameProcessor::new(&engine, &settings).unwrap();
    let mut state = MatteState::default();
    let span = Span::default();
    for i in 0..40 {
        let region = Region::new(ALLOCATOR);
        let frame = FrameInput {
            settings: &settings,
            picture: FramePicture::Encoded(EncodedPicture::Bytes(jpeg)),
            time: Timestamp(i * 40_000),
            state: &mut state,
            background: None,
            span: &span,
        };
        let length = processor
            .process(frame, |matted| matted.encode().unwrap().len())
            .into_result()
            .unwrap();
        assert!(length > 10_000);
        let allocated = region.change().bytes_allocated;
        assert!(
            i < 20 || allocated < LITTLE,
            "{matte}: {allocated} bytes for frame {i}"
        );
    }
}
