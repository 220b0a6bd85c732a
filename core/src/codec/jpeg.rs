//! JPEG by libjpeg-turbo.
use super::{DecodeError, ImageFormat, Limits, jpeg_segments, orient};
use image::metadata::Orientation;
use turbojpeg::{Colorspace, Decompressor, Image, PixelFormat};

/// Scans of a progressive picture. Encoders write about ten; each costs time for the whole picture, so that a small file
/// with thousands would keep a core busy for minutes.
const MAX_SCANS: u32 = 50;

/// A libjpeg-turbo handle, made at its first use and again after an error: an error can leave a handle that refuses every
/// picture after it.
#[derive(Debug, Default)]
pub(super) struct JpegDecoder(Option<Decompressor>);

impl JpegDecoder {
    /// Decodes into `rgb`; `cmyk` is scratch. Gives width, height and orientation as stored.
    ///
    /// Everything that libjpeg only warns of is an error here, because after a warning part of the picture is made up.
    pub(super) fn decode(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        cmyk: &mut Vec<u8>,
        rgb: &mut Vec<u8>,
    ) -> Result<(u32, u32, Orientation), DecodeError> {
        let result = self.attempt(bytes, limits, cmyk, rgb);
        if result.is_err() {
            self.0 = None;
        }
        result
    }

    fn attempt(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        cmyk: &mut Vec<u8>,
        rgb: &mut Vec<u8>,
    ) -> Result<(u32, u32, Orientation), DecodeError> {
        let segments = jpeg_segments::read(bytes)?;
        if let Some((width, height)) = segments.size {
            limits.check(ImageFormat::Jpeg, width.into(), height.into())?;
        }
        let in_header = |e| error(bytes, &format!("in the headers before byte {}", segments.scan), e);
        let in_scan = |e| error(bytes, &format!("in the picture data that begins at byte {}", segments.scan), e);

        let decompressor = match &mut self.0 {
            Some(ready) => ready,
            none => none.insert(Decompressor::new().map_err(in_header)?),
        };
        decompressor.set_scan_limit(MAX_SCANS).map_err(in_header)?;
        let header = decompressor.read_header(bytes).map_err(in_header)?;
        let (width, height) = limits.check(ImageFormat::Jpeg, header.width as u64, header.height as u64)?;
        let pixels = width as usize * height as usize;
        let four = matches!(header.colorspace, Colorspace::CMYK | Colorspace::YCCK);
        rgb.resize(pixels * 3, 0);
        let (format, samples) = if four {
            cmyk.resize(pixels * 4, 0);
            (PixelFormat::CMYK, cmyk.as_mut_slice())
        } else {
            (PixelFormat::RGB, rgb.as_mut_slice())
        };
        let pitch = header.width * format.size();
        let image = Image { pixels: samples, width: header.width, pitch, height: header.height, format };
        decompressor.decompress(bytes, image).map_err(in_scan)?;
        if four {
            cmyk_to_rgb(cmyk, segments.adobe, rgb);
        }
        Ok((width, height, segments.exif.map_or(Orientation::NoTransforms, orient::read)))
    }
}

/// Ink to light: `R = (1 - C)(1 - K)`, and so on, without a colour profile. Adobe's files store `1 - C` and `1 - K`.
fn cmyk_to_rgb(cmyk: &[u8], inverted: bool, rgb: &mut [u8]) {
    let flip = if inverted { 0 } else { 255 };
    for (ink, light) in cmyk.chunks_exact(4).zip(rgb.chunks_exact_mut(3)) {
        let k = u32::from(ink[3] ^ flip);
        for (v, i) in light.iter_mut().zip(ink) {
            *v = ((u32::from(i ^ flip) * k + 127) / 255) as u8;
        }
    }
}

fn error(bytes: &[u8], place: &str, error: turbojpeg::Error) -> DecodeError {
    let text = error.to_string();
    let text = text.strip_prefix("TurboJPEG error: ").unwrap_or(&text);
    if text.contains("Premature end of JPEG file") {
        return DecodeError::CutOff {
            format: ImageFormat::Jpeg,
            bytes: bytes.len(),
            inside: place.trim_start_matches("in ").to_owned(),
        };
    }
    let detail = format!("{} ({place}, {} bytes in all)", text.strip_prefix("Corrupt JPEG data: ").unwrap_or(text), bytes.len());
    DecodeError::Corrupt { format: ImageFormat::Jpeg, detail }
}
