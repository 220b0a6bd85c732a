//! Makes PNG files from JPEG frames that another program sends through a pipe, in one thread, with
//! the engine of `mattebox run`.
//!
//! ```text
//! frame MATTE LEVEL OUT        answers requests on stdin (see bench/peer.py)
//! ```
//! MATTE is hard or soft, LEVEL is scalar, sse4.2, avx2, avx512, neon or best. The files are
//! OUT/camera/frame_000000.png and so on.
use mattebox_core::{
    frame::{CameraId, FrameNumber, Timestamp},
    matte::{MatteMode, MatteState},
};
use mattebox_engine::{
    Engine, FrameInput, FramePicture, FrameProcessor, FrameSettings, trace::Span,
};
use mattebox_net::SimdLevel;
use mattebox_store::{FrameDir, OnExisting};
use mattebox_wire::EncodedPicture;
use std::{
    error::Error,
    io::{self, Read, Write},
    path::Path,
    sync::Arc,
    time::Instant,
};

/// Microseconds from one frame to the next: 25 frames per second.
const INTERVAL_US: i64 = 40_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [matte, level, out] = &arguments[..] else {
        return Err("usage: frame MATTE LEVEL OUT".into());
    };
    let level = if level == "best" {
        SimdLevel::best()
    } else {
        level.parse()?
    };
    serve(ExampleCamera::new(matte.parse()?, level, Path::new(out))?)
}

/// A request is a little-endian u32. After 0 come a count (u32) and as many JPEG files, each after
/// its length (u32); the answer is the count. Any other number N asks for N frames; the answer is
/// the nanoseconds of each (u64). Each request continues with the next file, and after the last
/// file with the first.
fn serve(mut camera: ExampleCamera) -> Result<(), Box<dyn Error>> {
    let mut stdin = io::stdin().lock();
    let mut stdout = io::stdout().lock();
    let mut files: Vec<Vec<u8>> = Vec::new();
    let mut number = 0;
    while let Ok(request) = read_u32(&mut stdin) {
        if request == 0 {
            let count = read_u32(&mut stdin)?;
            files.clear();
            for _ in 0..count {
                let mut file = vec![0; read_u32(&mut stdin)? as usize];
                stdin.read_exact(&mut file)?;
                files.push(file);
            }
            stdout.write_all(&count.to_le_bytes())?;
        }
        for _ in 0..request {
            let file = files
                .get(number as usize % files.len().max(1))
                .ok_or("no frames were sent")?;
            let start = Instant::now();
            camera.frame(number, file)?;
            stdout.write_all(&(start.elapsed().as_nanos() as u64).to_le_bytes())?;
            number += 1;
        }
        stdout.flush()?;
    }
    Ok(())
}

fn read_u32(from: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

/// One camera's way from JPEG to file, as in a thread of `mattebox worker`.
struct ExampleCamera {
    processor: FrameProcessor,
    settings: Arc<FrameSettings>,
    state: MatteState,
    folder: FrameDir,
}

impl ExampleCamera {
    fn new(matte: MatteMode, simd: SimdLevel, out: &Path) -> Result<Self, Box<dyn Error>> {
        let settings = Arc::new(FrameSettings {
            matte,
            simd,
            ..FrameSettings::default()
        });
        Ok(ExampleCamera {
            processor: FrameProcessor::new(&Engine::new(&settings), &settings)?,
            settings,
            state: MatteState::default(),
            folder: FrameDir::open(out, &"camera".parse::<CameraId>()?)?,
        })
    }

    fn frame(&mut self, number: u64, jpeg: &[u8]) -> Result<(), Box<dyn Error>> {
        let frame = FrameInput {
            settings: &self.settings,
            picture: FramePicture::Encoded(EncodedPicture::Bytes(jpeg)),
            time: Timestamp(number as i64 * INTERVAL_US),
            state: &mut self.state,
            background: None,
            span: &Span::default(),
        };
        let folder = &self.folder;
        let written = self.processor.process(frame, |matted| {
            let (number, time) = (FrameNumber(number), Timestamp(number as i64 * INTERVAL_US));
            let file = matted.encode().map_err(|e| e.message)?;
            folder
                .write(number, time, "png", file, OnExisting::Overwrite)
                .map_err(|e| e.to_string())
        });
        written.into_result().map_err(|e| e.message)??;
        Ok(())
    }
}
