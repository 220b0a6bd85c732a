//! What belongs to a picture beside its pixels, on its way from a source to a sink. Sound is passed
//! on as it is coded, never decoded here.
use crate::ffmpeg::nut;
use mattebox_core::frame::Timestamp;
use std::sync::Arc;

/// How the sound of a source is coded.
#[derive(Debug, PartialEq, Eq)]
pub struct SoundFormat {
    /// FFmpeg's name of the codec, such as `aac`.
    pub codec: String,
    /// All that a decoder must know.
    pub(crate) stream: nut::NutStream,
}

/// A piece of sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoundPacket {
    /// When it is to be heard, by the clock of the pictures.
    pub time: Timestamp,
    /// Its bytes, in the [`SoundFormat`] of the pictures beside it.
    pub bytes: Vec<u8>,
    /// Decoding can begin here.
    pub is_key: bool,
}

/// What belongs to a picture beside its pixels.
#[derive(Debug, Clone, Default)]
pub struct PictureExtras {
    /// Width and height of a pixel as it is to be shown, where it is not square.
    pub pixel_aspect: Option<(u32, u32)>,
    /// How the sound of the source is coded, where it has one and one was asked for.
    pub sound_format: Option<Arc<SoundFormat>>,
    /// The sound that came since the picture before.
    pub sound: Vec<SoundPacket>,
}
