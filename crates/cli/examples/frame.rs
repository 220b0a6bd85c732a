//! Takes JPEG frames from a program at the other end of a pipe and makes PNG files of them, in one thread, with what `mattebox run` uses.
//!
//! ```text
//! frame MATTE LEVEL OUT        answers requests on stdin (see bench/peer.py)
//! ```
//! MATTE is hard or soft, LEVEL one of scalar, sse4.2, avx2, avx512, neon, best; files go to OUT/camera/frame_000000.png and so on.
use image::{GrayImage, RgbImage};
use mattebox_core::{
    codec::{Decoder, Encoder, ImageFormat, Limits},
    compose::{Background, BackgroundSpec, Composed, Compositor},
    frame::{CameraId, FrameNumber, Timestamp},
    matte::{Coarse, MatteMode, MatteState, Refiner, Segmenter},
};
use mattebox_net::{Model, SimdLevel};
use mattebox_store::{FrameDir, OnExisting};
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
    serve(Camera::new(matte.parse()?, level, Path::new(out))?)
}

/// A request is a little-endian u32: 0 is followed by a number of JPEG files, each with its length before it (u32 both), and answered with
/// that number; another number asks for so many frames and is answered with the nanoseconds that each took (u64). Frames go on
/// from request to request, and from the last file to the first.
fn serve(mut camera: Camera) -> Result<(), Box<dyn Error>> {
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

/// One camera's way from JPEG to file, as a worker of the pipeline goes it.
struct Camera {
    decoder: Decoder,
    frame: RgbImage,
    segmenter: Segmenter,
    state: MatteState,
    coarse: Coarse,
    refiner: Refiner,
    alpha: GrayImage,
    compositor: Compositor,
    foreground_cleanup: bool,
    background: Background,
    picture: Composed,
    encoder: Encoder,
    bytes: Vec<u8>,
    folder: FrameDir,
}

impl Camera {
    fn new(matte: MatteMode, level: SimdLevel, out: &Path) -> Result<Self, Box<dyn Error>> {
        let model = Arc::new(Model::general()?);
        Ok(Camera {
            decoder: Decoder::default(),
            frame: RgbImage::default(),
            segmenter: Segmenter::new(&model, matte, level)?,
            state: MatteState::default(),
            coarse: Coarse::default(),
            refiner: Refiner::new(level)?,
            alpha: GrayImage::default(),
            compositor: Compositor::new(level)?,
            foreground_cleanup: matte == MatteMode::Soft,
            background: Background::Color(BackgroundSpec::GRAY),
            picture: Composed::Rgb(RgbImage::default()),
            encoder: Encoder::new(ImageFormat::Png, 80),
            bytes: Vec::new(),
            folder: FrameDir::open(out, &"camera".parse::<CameraId>()?)?,
        })
    }

    fn frame(&mut self, number: u64, jpeg: &[u8]) -> Result<(), Box<dyn Error>> {
        let Camera {
            frame,
            coarse,
            alpha,
            picture,
            ..
        } = self;
        self.decoder.decode_into(jpeg, &Limits::default(), frame)?;
        self.segmenter.segment_into(
            frame,
            Timestamp(number as i64 * INTERVAL_US),
            &mut self.state,
            coarse,
        );
        self.refiner.refine(frame, coarse, alpha);
        self.compositor.compose(
            frame,
            alpha,
            &self.background,
            self.foreground_cleanup,
            picture,
        );
        self.bytes.clear();
        self.encoder.encode(&self.picture, &mut self.bytes)?;
        self.folder.write(
            FrameNumber(number),
            "png",
            &self.bytes,
            OnExisting::Overwrite,
        )?;
        Ok(())
    }
}
