//! Errors of decoding and encoding.
use super::{ImageFormat, Limits, PictureFormat};
use thiserror::Error;

/// Why bytes could not be decoded to a picture.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// No byte at all.
    #[error("an empty file is not a picture")]
    Empty,
    /// The first bytes belong to none of the formats.
    #[error("not a JPEG, PNG, WebP, TIFF, BMP or GIF picture: it begins with the bytes {start}")]
    UnknownFormat {
        /// Up to 12 bytes in hexadecimal.
        start: String,
    },
    /// The header claims a larger size than is allowed. Nothing was allocated for it.
    #[error(
        "the {} picture is {width}x{height}, more than the limits of {} pixels a side and {} in \
         all",
        format.name(), limits.max_side, limits.max_pixels
    )]
    TooLarge {
        /// Its format.
        format: PictureFormat,
        /// Pixels across.
        width: u64,
        /// Pixels down.
        height: u64,
        /// The limits that were in force.
        limits: Limits,
    },
    /// The bytes end before the picture does.
    #[error("the {} picture is cut off: its {bytes} bytes end in {inside}", format.name())]
    CutOff {
        /// Its format.
        format: PictureFormat,
        /// How many bytes there are.
        bytes: usize,
        /// The part where they end.
        inside: String,
    },
    /// The bytes contradict the format.
    #[error("the {} picture is damaged: {detail}", format.name())]
    Corrupt {
        /// Its format.
        format: PictureFormat,
        /// The damage, and roughly where it is.
        detail: String,
    },
    /// A picture that another program has to convert.
    #[error("{} is not read here: {}", _0.name(), _0.conversion())]
    Convert(PictureFormat),
    /// A valid picture of a kind that is not supported.
    #[error("this kind of {} picture is not supported: {detail}", format.name())]
    Unsupported {
        /// Its format.
        format: PictureFormat,
        /// The kind, and a way out.
        detail: String,
    },
}

impl DecodeError {
    pub(super) fn unknown(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return DecodeError::Empty;
        }
        let start = bytes
            .iter()
            .take(12)
            .map(|b| format!("{b:02x}"))
            .collect::<Vec<_>>()
            .join(" ");
        DecodeError::UnknownFormat { start }
    }
}

/// Why a picture could not be encoded.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum EncodeError {
    /// JPEG has no alpha channel.
    #[error("JPEG cannot hold transparency: use png or webp, or another background")]
    NoAlpha,
    /// The format cannot hold a picture of this size.
    #[error("a {} picture cannot be {width}x{height}: each side must be 1 to {max}", format.name())]
    Size {
        /// The format to encode.
        format: ImageFormat,
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// The longest side that the format can hold.
        max: u32,
    },
    /// The encoder refused.
    #[error("encoding {} failed: {detail}", format.name())]
    Failed {
        /// The format to encode.
        format: ImageFormat,
        /// The encoder's message.
        detail: String,
    },
}
