//! The data that goes with a picture from a source to a sink, beside its pixels. Sound is passed on
//! as it is coded, and never decoded here.
use crate::ffmpeg::nut;
use mattebox_core::frame::Timestamp;
use std::sync::Arc;

/// The coding of a source's sound.
#[derive(Debug, PartialEq, Eq)]
pub struct SoundFormat {
    /// FFmpeg's name of the codec, such as `aac`.
    pub codec: String,
    /// The parameters of the decoder.
    pub(crate) stream: nut::NutStream,
}

/// A piece of sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoundPacket {
    /// When it is heard, by the clock of the pictures.
    pub time: Timestamp,
    /// Its bytes, in the [`SoundFormat`] of the pictures beside it.
    pub bytes: Vec<u8>,
    /// Decoding can begin here.
    pub is_key: bool,
}

/// The data of a picture beside its pixels.
#[derive(Debug, Clone, Default)]
pub struct PictureExtras {
    /// Width and height of a pixel on a screen, if it is not square.
    pub pixel_aspect: Option<(u32, u32)>,
    /// The coding of the source's sound, if it has sound and the options ask for it.
    pub sound_format: Option<Arc<SoundFormat>>,
    /// The sound since the picture before.
    pub sound: Vec<SoundPacket>,
}
