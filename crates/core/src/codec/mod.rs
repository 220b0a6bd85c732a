//! Encoded pictures: JPEG, PNG and WebP to pixels and back, TIFF, BMP and GIF to pixels.
//!
//! The bytes are not trusted. A decoder reads the header first and checks the size in it against
//! [`Limits`] before it allocates anything of that size. A picture that is cut off is an error,
//! never half a picture. So is a damaged one, as far as its format can tell: PNG has checksums; of
//! JPEG everything is accepted that libjpeg, and with it every browser, accepts.
//!
//! Pixels are 8-bit sRGB. Colour profiles are applied, and so is the orientation in EXIF.
//!
//! # Layout
//!
//! * [`error`]: the errors of decoding and encoding.
//! * [`mod@format`]: recognises the format of a picture.
//! * `jpeg`, `jpeg_segments`, `png`, `webp`, `tiff`, `bmp`, `gif`: one decoder each.
//! * `icc`: colour profiles.
//! * `orient`: EXIF orientation.
//! * [`encode`]: [`Encoder`], and [`JpegEncoder`] for plain pictures.
//! * `png_write`: PNG files, written fast.
//! * [`scale`]: pictures of another size.
mod bmp;
pub mod encode;
pub mod error;
pub mod format;
mod gif;
mod icc;
mod jpeg;
mod jpeg_segments;
mod orient;
mod png;
mod png_write;
mod scale;
mod tiff;
mod webp;

#[cfg(test)]
mod hostile;

pub use encode::{Encoder, JpegEncoder};
pub use error::{DecodeError, EncodeError};
pub use format::PictureFormat;
pub use scale::{Crop, Filter, scale};

use image::{RgbImage, metadata::Orientation};
use jpeg::CutOff;
use std::{fmt, str::FromStr};
use thiserror::Error;

/// How large a picture may be. A larger one is refused after its header is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most pixels, width times height. Decoding takes up to 8 bytes for each (16-bit PNG with
    /// alpha), and 3 afterwards.
    pub max_pixels: u64,
    /// The most pixels along one side.
    pub max_side: u32,
}

impl Default for Limits {
    /// 64 million pixels (nearly twice an 8K frame) and 32,768 a side.
    fn default() -> Self {
        Limits {
            max_pixels: 64_000_000,
            max_side: 1 << 15,
        }
    }
}

impl Limits {
    /// Whether a picture of this size is within the limits.
    pub fn hold(&self, width: u64, height: u64) -> bool {
        let side = u64::from(self.max_side);
        width <= side && height <= side && width.saturating_mul(height) <= self.max_pixels
    }

    /// The size as `u32`, if it is within the limits and not empty.
    fn check(
        &self,
        format: PictureFormat,
        width: u64,
        height: u64,
    ) -> Result<(u32, u32), DecodeError> {
        if width == 0 || height == 0 {
            return Err(DecodeError::Corrupt {
                format,
                detail: format!("it claims a size of {width}x{height}"),
            });
        }
        if !self.hold(width, height) {
            return Err(DecodeError::TooLarge {
                format,
                width,
                height,
                limits: *self,
            });
        }
        // Both are at most `max_side`, which is a `u32`.
        Ok((width as u32, height as u32))
    }
}

/// A format in which pictures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageFormat {
    /// Lossless, with or without alpha.
    Png,
    /// Lossy, without alpha.
    Jpeg,
    /// Written lossless, with or without alpha; both kinds are read.
    WebP,
}

/// A text that names no [`ImageFormat`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("unknown picture format {0:?}: use png, jpg or webp")]
pub struct UnknownFormat(String);

impl ImageFormat {
    /// The usual extension of a file's name, without the dot: `png`, `jpg` or `webp`.
    pub fn extension(self) -> &'static str {
        match self {
            ImageFormat::Png => "png",
            ImageFormat::Jpeg => "jpg",
            ImageFormat::WebP => "webp",
        }
    }

    /// The media type: `image/png`, `image/jpeg` or `image/webp`.
    pub fn media_type(self) -> &'static str {
        match self {
            ImageFormat::Png => "image/png",
            ImageFormat::Jpeg => "image/jpeg",
            ImageFormat::WebP => "image/webp",
        }
    }

    /// The name for people: `PNG`, `JPEG` or `WebP`.
    pub fn name(self) -> &'static str {
        match self {
            ImageFormat::Png => "PNG",
            ImageFormat::Jpeg => "JPEG",
            ImageFormat::WebP => "WebP",
        }
    }

    /// Whether a written picture can be transparent.
    pub fn has_alpha(self) -> bool {
        self != ImageFormat::Jpeg
    }
}

impl FromStr for ImageFormat {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "png" => Ok(ImageFormat::Png),
            "jpg" | "jpeg" => Ok(ImageFormat::Jpeg),
            "webp" => Ok(ImageFormat::WebP),
            _ => Err(UnknownFormat(text.to_owned())),
        }
    }
}

impl fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.extension())
    }
}

/// Decodes one picture: JPEG (grey, colour, CMYK; sequential and progressive), PNG (every colour
/// type and depth), WebP (lossy and lossless), TIFF (whole samples of up to 16 bits), BMP or GIF,
/// told apart by their first bytes. Of several pictures in one file it decodes the first.
///
/// Puts transparent parts on white, as a browser shows them, so that colours hidden under them do
/// not appear. For many pictures use a [`Decoder`], which keeps its buffers.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<RgbImage, DecodeError> {
    let mut picture = RgbImage::default();
    Decoder::default().decode_into(bytes, limits, &mut picture)?;
    Ok(picture)
}

/// Decodes pictures one after another, without allocating once its buffers have grown to their size
/// (JPEG and 8-bit RGB PNG; other kinds allocate inside their libraries).
#[derive(Debug, Default)]
pub struct Decoder {
    jpeg: jpeg::JpegDecoder,
    profiles: icc::Profiles,
    /// Samples that are not yet RGB: CMYK, grey, 16 bits, or with alpha.
    samples: Vec<u8>,
}

impl Decoder {
    /// Like [`decode`], into `picture`, whose buffer is used again. After an error `picture` is
    /// empty (0x0).
    pub fn decode_into(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        picture: &mut RgbImage,
    ) -> Result<(), DecodeError> {
        self.decode_with(bytes, limits, CutOff::Refuse, picture)
    }

    /// Like [`Decoder::decode_into`]. But of a JPEG that is cut off within its picture data it
    /// decodes the rows that are there, and fills the rest with grey, as FFmpeg and browsers do.
    pub fn decode_part_into(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        picture: &mut RgbImage,
    ) -> Result<(), DecodeError> {
        self.decode_with(bytes, limits, CutOff::FillUp, picture)
    }

    /// Converts a picture that was decoded elsewhere, and has this colour profile (ICC), to sRGB. A
    /// profile that cannot be used changes nothing.
    pub fn convert_to_srgb(&mut self, picture: &mut RgbImage, profile: &[u8]) {
        self.profiles.convert(profile, picture);
    }

    fn decode_with(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        cut_off: CutOff,
        picture: &mut RgbImage,
    ) -> Result<(), DecodeError> {
        let mut rgb = std::mem::take(picture).into_raw();
        let Decoder {
            jpeg,
            profiles,
            samples,
        } = self;
        let upright = |(width, height)| (width, height, Orientation::NoTransforms);
        let (width, height, orientation) = match PictureFormat::of(bytes) {
            Some(PictureFormat::Jpeg) => {
                jpeg.decode(bytes, limits, cut_off, profiles, samples, &mut rgb)
            }
            Some(PictureFormat::Png) => png::decode(bytes, limits, profiles, samples, &mut rgb),
            Some(PictureFormat::WebP) => webp::decode(bytes, limits, profiles, samples, &mut rgb),
            Some(PictureFormat::Tiff) => tiff::decode(bytes, limits, profiles, &mut rgb),
            Some(PictureFormat::Bmp) => bmp::decode(bytes, limits, samples, &mut rgb).map(upright),
            Some(PictureFormat::Gif) => gif::decode(bytes, limits, profiles, &mut rgb).map(upright),
            Some(other @ (PictureFormat::Avif | PictureFormat::Heic | PictureFormat::Raw)) => {
                Err(DecodeError::Convert(other))
            }
            None => Err(DecodeError::unknown(bytes)),
        }?;
        if let Some(upright) = RgbImage::from_raw(width, height, rgb) {
            *picture = orient::upright(upright, orientation);
        }
        Ok(())
    }
}

/// `v` over white: `round((v a + 255 (255 - a)) / 255)`.
fn on_white(v: u8, a: u8) -> u8 {
    let t = u32::from(v) * u32::from(a) + 255 * (255 - u32::from(a));
    ((t + 127) / 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_read_back_what_they_print() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert_eq!("JPEG".parse(), Ok(ImageFormat::Jpeg));
        assert!("gif".parse::<ImageFormat>().is_err());
    }

    #[test]
    fn limits_hold_for_sides_and_for_the_area() {
        let limits = Limits {
            max_pixels: 100,
            max_side: 50,
        };
        assert_eq!(limits.check(PictureFormat::Png, 50, 2).unwrap(), (50, 2));
        for (w, h) in [
            (51, 1),
            (1, 51),
            (11, 10),
            (0, 1),
            (1, 0),
            (u64::MAX, u64::MAX),
        ] {
            assert!(limits.check(PictureFormat::Png, w, h).is_err(), "{w}x{h}");
        }
    }

    #[test]
    fn white_shows_through() {
        assert_eq!(
            (on_white(7, 255), on_white(7, 0), on_white(0, 128)),
            (7, 255, 127)
        );
    }
}
