//! The promises about memory: a run allocates nothing, a stream little, and a hostile file does not make its reader allocate much.
use image::{GrayImage, RgbImage};
use mattebox_core::{
    codec::{Decoder, Encoder, ImageFormat, JpegEncoder, Limits},
    compose::{Background, Composed, Compositor},
    frame::Timestamp,
    matte::{Coarse, MatteMode, MatteState, Refiner, Segmenter},
};
use mattebox_net::{Executor, GENERAL, LANDSCAPE, Model, SimdLevel, describe};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{alloc::System, sync::Arc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Without the test harness, whose threads allocate too: the allocator counts for all threads together.
fn main() {
    for bytes in [GENERAL, LANDSCAPE] {
        let model = Arc::new(Model::from_bytes(bytes).unwrap());
        let pixels = model.input_width() * model.input_height();
        let input = vec![0.5f32; pixels * 3];
        let mut out = vec![0f32; pixels];
        for level in SimdLevel::available() {
            let mut executor = Executor::new(&model, level).unwrap();
            let region = Region::new(ALLOCATOR);
            executor.run(&input, &mut out);
            executor.run(&input, &mut out);
            let change = region.change();
            assert_eq!(
                (change.allocations, change.reallocations),
                (0, 0),
                "{level}"
            );
        }
        reading_stays_small(bytes);
    }
    steady_streams_allocate_little(&Arc::new(Model::from_bytes(GENERAL).unwrap()));
    println!("test runs_allocate_nothing_and_streams_and_hostile_files_little ... ok");
}

/// A stream of alike frames uses its buffers again: what is left are a few small lists,
/// and, where everything is looked at, a grid of flags.
fn steady_streams_allocate_little(model: &Arc<Model>) {
    // less than the size from which glibc maps fresh pages for a block
    const LITTLE: usize = 128 << 10;
    let picture = RgbImage::from_fn(640, 360, |x, y| {
        image::Rgb([(x / 3) as u8, (y / 2) as u8, (x ^ y) as u8])
    });
    let simd = SimdLevel::best();
    let mut bytes = Vec::new();
    let mut decoded = RgbImage::default();
    let mut jpeg = Vec::new();
    JpegEncoder::new(80).encode(&picture, &mut jpeg).unwrap();
    for matte in [MatteMode::Hard, MatteMode::Soft] {
        let mut decoder = Decoder::default();
        let mut segmenter = Segmenter::new(model, matte, simd).unwrap();
        let mut refiner = Refiner::new(simd).unwrap();
        let mut compositor = Compositor::new(simd).unwrap();
        let mut state = MatteState::default();
        let mut coarse = Coarse::default();
        let mut alpha = GrayImage::default();
        let mut encoder = Encoder::new(ImageFormat::Png, 80);
        let mut composed = Composed::default();
        for i in 0..40 {
            let region = Region::new(ALLOCATOR);
            decoder
                .decode_into(&jpeg, &Limits::default(), &mut decoded)
                .unwrap();
            segmenter.segment_into(&decoded, Timestamp(i * 40_000), &mut state, &mut coarse);
            refiner.refine(&decoded, &coarse, &mut alpha);
            // not the network's own matte, which may find nobody in such a picture
            alpha
                .enumerate_pixels_mut()
                .for_each(|(x, _, a)| a[0] = x.saturating_sub(200).min(255) as u8);
            compositor.compose(
                &decoded,
                &alpha,
                &Background::Color([192; 3]),
                true,
                &mut composed,
            );
            encoder.encode(&composed, &mut bytes).unwrap();
            let allocated = region.change().bytes_allocated;
            assert!(
                i < 20 || allocated < LITTLE,
                "{matte}: {allocated} bytes for frame {i}"
            );
        }
    }
}

/// Sets whole words to extreme values, where lengths and sizes stand among others, and watches what reading allocates.
fn reading_stays_small(file: &[u8]) {
    const SANE: usize = 24 << 20;
    let mut bytes = file.to_vec();
    for at in (0..file.len() / 4)
        .step_by(97)
        .chain(0..64)
        .map(|word| word * 4)
    {
        for value in [u32::MAX, 0x7fff_ffff, 0x0001_0000, 4096] {
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            let region = Region::new(ALLOCATOR);
            let _ = Model::from_bytes(&bytes);
            let _ = describe(&bytes);
            let allocated = region.change().bytes_allocated;
            assert!(
                allocated < SANE,
                "{allocated} bytes with {value:#x} at byte {at}"
            );
        }
        bytes[at..at + 4].copy_from_slice(&file[at..at + 4]);
    }
}
