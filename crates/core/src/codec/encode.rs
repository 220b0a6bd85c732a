//! Encodes pictures.
use super::{
    EncodeError, ImageFormat,
    png_write::{
        PixelKind, PngWriter,
        source::{ComposingRows, StoredRows},
    },
};
use crate::compose::{Composed, ComposedRows};
use image::{GrayImage, RgbImage};
use image_webp::WebPEncoder;
use mattebox_net::SimdLevel;
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

/// The longest side that JPEG can hold.
const JPEG_MAX_SIDE: u32 = 65_500;
/// The longest side that WebP can hold.
const WEBP_MAX_SIDE: u32 = 16_384;
/// The longest side that PNG can hold.
const PNG_MAX_SIDE: u32 = i32::MAX as u32;

/// Encodes pictures of one format, one after another.
#[derive(Debug)]
pub struct Encoder {
    format: ImageFormat,
    jpeg: JpegEncoder,
    png: PngWriter,
    /// The row above the first, for PNG's filters.
    zeros: Vec<u8>,
    /// Rows of a frame that is composed while it is encoded: a few, or all for formats that need
    /// all.
    band: Vec<u8>,
    composed: Composed,
}

/// The pixels of a picture of any kind.
struct PixelSlice<'a> {
    width: u32,
    height: u32,
    samples: &'a [u8],
    kind: PixelKind,
}

impl PixelSlice<'_> {
    fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }
}

impl Encoder {
    /// An encoder for `format`. `jpeg_quality` is for JPEG only, 1 to 100; values outside are moved
    /// to the nearest.
    pub fn new(format: ImageFormat, jpeg_quality: u8) -> Self {
        Encoder {
            format,
            jpeg: JpegEncoder::new(jpeg_quality),
            png: PngWriter::new(SimdLevel::best()),
            zeros: Vec::new(),
            band: Vec::new(),
            composed: Composed::default(),
        }
    }

    /// The format that this encoder writes.
    pub fn format(&self) -> ImageFormat {
        self.format
    }

    /// Encodes a composed frame; `into` is emptied first and then holds the whole file. PNG and
    /// WebP are lossless and keep straight alpha; JPEG refuses alpha.
    pub fn encode(&mut self, picture: &Composed, into: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.write(
            match picture {
                Composed::Rgb(p) => PixelSlice {
                    width: p.width(),
                    height: p.height(),
                    samples: p.as_raw(),
                    kind: PixelKind::Rgb,
                },
                Composed::Rgba(p) => PixelSlice {
                    width: p.width(),
                    height: p.height(),
                    samples: p.as_raw(),
                    kind: PixelKind::Rgba,
                },
            },
            into,
        )
    }

    /// Encodes a frame while composing it. Makes the same file as [`Encoder::encode`], in less
    /// time.
    pub fn encode_rows(
        &mut self,
        rows: &mut ComposedRows<'_>,
        into: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if self.format != ImageFormat::Png {
            let mut composed = std::mem::take(&mut self.composed);
            rows.whole(&mut composed);
            let encoded = self.encode(&composed, into);
            self.composed = composed;
            return encoded;
        }
        into.clear();
        let (width, height) = rows.dimensions();
        let kind = if rows.has_alpha() {
            PixelKind::Rgba
        } else {
            PixelKind::Rgb
        };
        check(ImageFormat::Png, (width, height), PNG_MAX_SIDE)?;
        let row = width as usize * kind.channels();
        let mut source = ComposingRows::new(rows, row, &mut self.band);
        self.png.write(width, height, kind, &mut source, into);
        Ok(())
    }

    /// Encodes a matte; `into` is emptied first and then holds the whole file.
    pub fn encode_gray(
        &mut self,
        picture: &GrayImage,
        into: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let (width, height) = picture.dimensions();
        self.write(
            PixelSlice {
                width,
                height,
                samples: picture.as_raw(),
                kind: PixelKind::Gray,
            },
            into,
        )
    }

    fn write(&mut self, pixels: PixelSlice<'_>, into: &mut Vec<u8>) -> Result<(), EncodeError> {
        into.clear();
        match self.format {
            ImageFormat::Png => {
                let PixelSlice {
                    width,
                    height,
                    samples,
                    kind,
                } = pixels;
                check(ImageFormat::Png, (width, height), PNG_MAX_SIDE)?;
                let row = width as usize * kind.channels();
                let mut source = StoredRows::new(samples, row, &mut self.zeros);
                self.png.write(width, height, kind, &mut source, into);
                Ok(())
            }
            ImageFormat::WebP => webp(&pixels, into),
            ImageFormat::Jpeg => self.jpeg.write(&pixels, into),
        }
    }
}

/// Checks that the format can hold a picture of this size.
fn check(format: ImageFormat, (width, height): (u32, u32), max: u32) -> Result<(), EncodeError> {
    if width == 0 || height == 0 || width > max || height > max {
        return Err(EncodeError::Size {
            format,
            width,
            height,
            max,
        });
    }
    Ok(())
}

fn webp(pixels: &PixelSlice<'_>, into: &mut Vec<u8>) -> Result<(), EncodeError> {
    check(ImageFormat::WebP, pixels.size(), WEBP_MAX_SIDE)?;
    let kind = match pixels.kind {
        PixelKind::Rgba => image_webp::ColorType::Rgba8,
        PixelKind::Gray => image_webp::ColorType::L8,
        PixelKind::Rgb => image_webp::ColorType::Rgb8,
    };
    WebPEncoder::new(into)
        .encode(pixels.samples, pixels.width, pixels.height, kind)
        .map_err(|e| EncodeError::Failed {
            format: ImageFormat::WebP,
            detail: e.to_string(),
        })
}

/// Encodes JPEG (baseline, 4:2:0) by libjpeg-turbo, keeping its buffers.
#[derive(Debug)]
pub struct JpegEncoder {
    quality: u8,
    compressor: Option<Compressor>,
    /// As long as the longest possible file of this size, so that libjpeg-turbo never allocates.
    buffer: Vec<u8>,
}

impl JpegEncoder {
    /// An encoder of `quality` 1 to 100; values outside are moved to the nearest.
    pub fn new(quality: u8) -> Self {
        JpegEncoder {
            quality: quality.clamp(1, 100),
            compressor: None,
            buffer: Vec::new(),
        }
    }

    /// Encodes `picture`; `into` is emptied first and then holds the whole file.
    pub fn encode(&mut self, picture: &RgbImage, into: &mut Vec<u8>) -> Result<(), EncodeError> {
        into.clear();
        let (width, height) = picture.dimensions();
        self.write(
            &PixelSlice {
                width,
                height,
                samples: picture.as_raw(),
                kind: PixelKind::Rgb,
            },
            into,
        )
    }

    fn write(&mut self, pixels: &PixelSlice<'_>, into: &mut Vec<u8>) -> Result<(), EncodeError> {
        let (format, subsamp) = match pixels.kind {
            PixelKind::Rgba => return Err(EncodeError::NoAlpha),
            PixelKind::Gray => (PixelFormat::GRAY, Subsamp::Gray),
            PixelKind::Rgb => (PixelFormat::RGB, Subsamp::Sub2x2),
        };
        check(ImageFormat::Jpeg, pixels.size(), JPEG_MAX_SIDE)?;
        let failed = |e: turbojpeg::Error| EncodeError::Failed {
            format: ImageFormat::Jpeg,
            detail: e.to_string(),
        };
        let compressor = match &mut self.compressor {
            Some(ready) => ready,
            none => none.insert(Compressor::new().map_err(failed)?),
        };
        compressor
            .set_quality(self.quality.into())
            .map_err(failed)?;
        compressor.set_subsamp(subsamp).map_err(failed)?;
        let width = pixels.width as usize;
        let height = pixels.height as usize;
        let bound = turbojpeg::compressed_buf_len(width, height, subsamp).map_err(failed)?;
        if self.buffer.len() < bound {
            self.buffer.resize(bound, 0);
        }
        let image = Image {
            pixels: pixels.samples,
            width,
            pitch: width * format.size(),
            height,
            format,
        };
        let len = compressor
            .compress_to_slice(image, &mut self.buffer)
            .map_err(failed)?;
        into.extend_from_slice(&self.buffer[..len]);
        Ok(())
    }
}
