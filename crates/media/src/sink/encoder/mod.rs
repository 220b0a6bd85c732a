//! The encoders of H.264: the processor, hardware, or an encoder that the user names.
//!
//! * `spec`: the user's choices.
//! * `software`: libx264, and encoders that are used only by name.
//! * `hardware`: the options of each hardware encoder.
//! * `probe`: whether an encoder works here.
//! * `choice`: chooses the encoder of a sink.
mod choice;
mod hardware;
mod probe;
mod software;
mod spec;

pub(super) use choice::EncoderChoice;
pub use spec::{EncoderName, UnknownVideoChoice, VideoCoding, VideoEncoder, VideoPreset};

use super::encoder_input::TIME_UNITS;
use super::format::PictureShape;

/// The pictures to encode.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct EncoderTask {
    pub(super) shape: PictureShape,
    /// The approximate rate in pictures per second.
    pub(super) fps: f64,
    /// Viewers watch it while it is encoded: no picture is held back.
    pub(super) is_live: bool,
}

impl EncoderTask {
    /// Pictures from one key frame to the next: two seconds.
    fn key_frame_distance(&self) -> String {
        (self.fps * 2.0).ceil().to_string()
    }

    /// Bits per second, for encoders without a quality option: a fifth of a bit for each pixel.
    fn bit_rate(&self) -> String {
        let pixels = f64::from(self.shape.width) * f64::from(self.shape.height);
        let bits = pixels * self.fps * BITS_PER_PIXEL;
        (bits.clamp(200_000.0, 200_000_000.0) as u64).to_string()
    }
}

/// x264's `superfast` at its usual quality needs a twentieth of a bit for clean pictures of people,
/// and a seventh with the noise of a sensor. Other encoders need more.
const BITS_PER_PIXEL: f64 = 0.2;

/// One way to encode, as options of FFmpeg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EncoderSetup {
    /// Its name in FFmpeg.
    pub(super) name: String,
    /// Options of FFmpeg as a whole: the hardware to open.
    pub(super) global: Vec<String>,
    /// The pictures that it takes.
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
    /// In the memory of the hardware, in this format.
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
