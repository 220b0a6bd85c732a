//! JPEG by libjpeg-turbo.
use super::{
    DecodeError, Limits, PictureFormat,
    icc::Profiles,
    jpeg_segments::{self, Segments},
    orient,
};
use image::metadata::Orientation;
use turbojpeg::{Colorspace, Decompressor, Image, PixelFormat};

/// The most scans of a progressive picture. Encoders write about ten. Each costs time for the whole
/// picture: a small file with thousands would keep a core busy for minutes.
const MAX_SCANS: u32 = 50;

/// The beginnings of libjpeg's warnings. All its other messages are errors.
const WARNINGS: &[&str] = &[
    "Corrupt JPEG data: ",
    "Premature end of JPEG file",
    "Inconsistent progression sequence",
    "Invalid SOS parameters for sequential JPEG",
    "Unknown Adobe color transform code",
    "Warning: ",
];

/// Bytes that hold no marker and differ from zeros, with which libjpeg fills up missing data.
const OTHER_DATA: [u8; 64] = {
    let mut data = [0; 64];
    let mut random = 0xe5u32;
    let mut at = 0;
    while at < data.len() {
        data[at] = 0x80 | (random >> 16) as u8 & 0x7e;
        random = (random ^ at as u32)
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        at += 1;
    }
    data
};

/// The result of a picture that is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CutOff {
    /// An error.
    Refuse,
    /// The rows that are there; the rest is grey.
    FillUp,
}

/// A libjpeg-turbo handle, made at its first use and again after an error: an error can leave a
/// handle that refuses every picture after it.
#[derive(Debug, Default)]
pub(super) struct JpegDecoder(Option<Decompressor>);

impl JpegDecoder {
    /// Decodes into `rgb`; `cmyk` is scratch. Returns width, height and orientation as stored.
    ///
    /// Accepts pictures that libjpeg only warns of, as browsers, FFmpeg and OpenCV do: some cameras
    /// put bytes between the parts of every picture. JPEG has no checksums, so a warning says
    /// little about the damage. A picture that is cut off is treated as `cut_off` says.
    pub(super) fn decode(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        cut_off: CutOff,
        profiles: &mut Profiles,
        cmyk: &mut Vec<u8>,
        rgb: &mut Vec<u8>,
    ) -> Result<(u32, u32, Orientation), DecodeError> {
        let result = self.attempt(bytes, limits, cut_off, profiles, cmyk, rgb);
        if result.is_err() {
            self.0 = None;
        }
        result
    }

    fn attempt(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        cut_off: CutOff,
        profiles: &mut Profiles,
        cmyk: &mut Vec<u8>,
        rgb: &mut Vec<u8>,
    ) -> Result<(u32, u32, Orientation), DecodeError> {
        let segments = jpeg_segments::read(bytes)?;
        if let Some((width, height)) = segments.size {
            limits.check(PictureFormat::Jpeg, width.into(), height.into())?;
        }
        let tidied;
        let file = if segments.untidy {
            tidied = jpeg_segments::tidy(bytes, &segments);
            &tidied
        } else {
            bytes
        };
        let in_header = |e| {
            error(
                bytes,
                &format!("in the headers before byte {}", segments.scan),
                e,
            )
        };
        let in_scan = |e| {
            error(
                bytes,
                &format!("in the picture data that begins at byte {}", segments.scan),
                e,
            )
        };

        let decompressor = match &mut self.0 {
            Some(ready) => ready,
            none => none.insert(Decompressor::new().map_err(in_header)?),
        };
        decompressor.set_scan_limit(MAX_SCANS).map_err(in_header)?;
        let header = decompressor.read_header(file).map_err(in_header)?;
        let (width, height) = limits.check(
            PictureFormat::Jpeg,
            header.width as u64,
            header.height as u64,
        )?;
        let pixels = width as usize * height as usize;
        let four = matches!(header.colorspace, Colorspace::CMYK | Colorspace::YCCK);
        rgb.resize(pixels * 3, 0);
        let (format, samples) = if four {
            cmyk.resize(pixels * 4, 0);
            (PixelFormat::CMYK, &mut *cmyk)
        } else {
            (PixelFormat::RGB, &mut *rgb)
        };
        let size = (header.width, header.height);
        if let Some(warning) = scan(decompressor, file, size, format, samples).map_err(in_scan)?
            && cut_off == CutOff::Refuse
            && !is_whole(decompressor, file, &segments, size, format, samples)
        {
            return Err(in_scan(warning));
        }
        let profile = segments.profile();
        match (four, profile) {
            (true, profile) => {
                let is_done = profile
                    .is_some_and(|icc| profiles.convert_inks(&icc, cmyk, segments.adobe, rgb));
                if !is_done {
                    cmyk_to_rgb(cmyk, segments.adobe, rgb);
                }
            }
            (false, Some(icc)) => profiles.convert(&icc, rgb),
            (false, None) => {}
        }
        Ok((
            width,
            height,
            segments
                .exif
                .map_or(Orientation::NoTransforms, orient::read),
        ))
    }
}

/// Decodes the scans. Returns libjpeg's first warning, if there is one.
fn scan(
    decompressor: &mut Decompressor,
    file: &[u8],
    (width, height): (usize, usize),
    format: PixelFormat,
    pixels: &mut [u8],
) -> Result<Option<turbojpeg::Error>, turbojpeg::Error> {
    let image = Image {
        pixels,
        width,
        pitch: width * format.size(),
        height,
        format,
    };
    match decompressor.decompress(file, image) {
        Ok(()) => Ok(None),
        Err(error) if is_warning(&error) => Ok(Some(error)),
        Err(error) => Err(error),
    }
}

fn is_warning(error: &turbojpeg::Error) -> bool {
    let text = error.to_string();
    let text = text.strip_prefix("TurboJPEG error: ").unwrap_or(&text);
    WARNINGS.iter().any(|warning| text.starts_with(warning))
}

/// Whether a picture that was decoded to `pixels` with a warning is not cut off. A picture without
/// its end marker is whole if no pixel depends on the bytes that would follow.
fn is_whole(
    decompressor: &mut Decompressor,
    file: &[u8],
    segments: &Segments<'_>,
    size: (usize, usize),
    format: PixelFormat,
    pixels: &[u8],
) -> bool {
    let scan_at = file.len() - (segments.file_len - segments.scan);
    if jpeg_segments::has_end(file, scan_at) {
        return true;
    }
    // Of several scans, whole ones could be missing.
    if !segments.single_scan {
        return false;
    }
    let end = file
        .iter()
        .rposition(|byte| *byte != 0xff)
        .map_or(0, |last| last + 1);
    // More data, and the next restart marker, with data behind it.
    let restart = jpeg_segments::next_restart(&file[scan_at..]);
    let longer = [
        &file[..end],
        &OTHER_DATA,
        &[0xff, restart],
        &OTHER_DATA,
        &[0xff, 0xd9],
    ]
    .concat();
    let mut other = vec![0; pixels.len()];
    scan(decompressor, &longer, size, format, &mut other).is_ok() && other == pixels
}

/// Ink to light: `R = (1 - C)(1 - K)`, and so on, without a colour profile. Adobe's files store `1
/// - C` and `1 - K`.
pub(super) fn cmyk_to_rgb(cmyk: &[u8], inverted: bool, rgb: &mut [u8]) {
    let flip = if inverted { 0 } else { 255 };
    for (ink, light) in cmyk.chunks_exact(4).zip(rgb.chunks_exact_mut(3)) {
        let k = u32::from(ink[3] ^ flip);
        for (v, i) in light.iter_mut().zip(ink) {
            *v = ((u32::from(i ^ flip) * k + 127) / 255) as u8;
        }
    }
}

/// A warning that ends decoding means that the picture is cut off: all others are accepted.
fn error(bytes: &[u8], place: &str, error: turbojpeg::Error) -> DecodeError {
    let text = error.to_string();
    let text = text.strip_prefix("TurboJPEG error: ").unwrap_or(&text);
    // libjpeg reports the first warning, which may be another than the one at the end.
    if text.contains("Premature end of JPEG file") || is_warning(&error) {
        return DecodeError::CutOff {
            format: PictureFormat::Jpeg,
            bytes: bytes.len(),
            inside: place.trim_start_matches("in ").to_owned(),
        };
    }
    let detail = format!(
        "{} ({place}, {} bytes in all)",
        text.strip_prefix("Corrupt JPEG data: ").unwrap_or(text),
        bytes.len()
    );
    DecodeError::Corrupt {
        format: PictureFormat::Jpeg,
        detail,
    }
}
