//! How videos in H.264 are encoded: by the processor, by hardware, or by an encoder that somebody
//! names.
//!
//! * `spec`: what a person writes.
//! * `software`: libx264, and encoders that only a person can name.
//! * `hardware`: what each encoder of the hardware is told.
//! * `probe`: whether an encoder works here.
//! * `choice`: which one a sink uses.
mod choice;
mod hardware;
mod probe;
mod software;
mod spec;

pub(super) use choice::EncoderChoice;
pub use spec::{EncoderName, UnknownVideoChoice, VideoCoding, VideoEncoder, VideoPreset};

use super::encoder_input::TIME_UNITS;
use super::format::PictureShape;

/// What is to be encoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct EncoderTask {
    pub(super) shape: PictureShape,
    /// Pictures per second, about.
    pub(super) fps: f64,
    /// Somebody watches it while it is encoded: no picture is held back.
    pub(super) is_live: bool,
}

impl EncoderTask {
    /// Pictures from one key frame to the next: two seconds.
    fn key_frame_distance(&self) -> String {
        (self.fps * 2.0).ceil().to_string()
    }

    /// Bits per second, for encoders that know no quality: a fifth of a bit for each pixel.
    fn bit_rate(&self) -> String {
        let pixels = f64::from(self.shape.width) * f64::from(self.shape.height);
        let bits = pixels * self.fps * BITS_PER_PIXEL;
        (bits.clamp(200_000.0, 200_000_000.0) as u64).to_string()
    }
}

/// x264's `superfast` at its usual quality needs a twentieth of a bit for clean pictures of people,
/// and a seventh with the noise of a sensor. Other encoders need more.
const BITS_PER_PIXEL: f64 = 0.2;

/// One way to encode, as FFmpeg is told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EncoderSetup {
    /// Its name in FFmpeg.
    pub(super) name: String,
    /// Options of FFmpeg as a whole: the hardware to open.
    pub(super) global: Vec<String>,
    /// What it takes.
    pub(super) pixels: EncoderPixels,
    /// The steps of its clock in a second.
    pub(super) time_units: u32,
    /// Its own options.
    pub(super) options: Vec<String>,
}

/// The pictures that an encoder takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EncoderPixels {
    /// In main memory, in this format.
    Memory(&'static str),
    /// In the memory of the hardware, which takes them over in this format.
    Uploaded(&'static str),
}

impl EncoderSetup {
    fn new(name: &str, pixels: EncoderPixels, options: &str) -> Self {
        EncoderSetup {
            name: name.to_owned(),
            global: vec![],
            pixels,
            time_units: TIME_UNITS,
            options: words(options),
        }
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}
