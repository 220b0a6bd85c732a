//! TIFF by the `tiff` crate: grey, RGB, YCbCr and CMYK of 8 and 16 bits, and grey of fewer.
use super::{
    DecodeError, Limits, PictureFormat,
    icc::{self, Profiles},
    jpeg::cmyk_to_rgb,
    on_white, orient,
    png::to_eight,
};
use image::metadata::Orientation;
use std::io::{Cursor, ErrorKind};
use tiff::{
    ColorType, TiffError,
    decoder::{Decoder, DecodingResult},
    tags::{Tag, Type, ValueBuffer},
};

const FORMAT: PictureFormat = PictureFormat::Tiff;

/// Only raw photos (DNG) have it.
const DNG_VERSION: Tag = Tag::Unknown(50706);
/// Memory beside the pixels: a strip in its encoded form, and tags.
const MAX_OTHER_BYTES: usize = 16 << 20;

/// Decodes the first picture into `rgb`. Returns width, height and orientation as stored.
pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
    profiles: &mut Profiles,
    rgb: &mut Vec<u8>,
) -> Result<(u32, u32, Orientation), DecodeError> {
    let error = |e| error(bytes, e);
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(error)?;
    let (width, height) = decoder.dimensions().map_err(error)?;
    let (width, height) = limits.check(FORMAT, width.into(), height.into())?;
    refuse_raw_photo(&mut decoder, bytes)?;
    let color = decoder.colortype().map_err(error)?;
    let (kind, depth) = kind_of(color).ok_or_else(|| unsupported(format!("{color:?} samples")))?;
    let pixels = width as usize * height as usize;
    let samples = samples_per_pixel(&mut decoder);
    // A picture of many channels is a measurement, not a photo.
    if samples > 8 {
        return Err(unsupported(format!("{samples} samples in each pixel")));
    }
    let size = pixels * samples * usize::from(depth.div_ceil(8));
    let mut allowed = tiff::decoder::Limits::default();
    allowed.decoding_buffer_size = size + height as usize * samples;
    allowed.intermediate_buffer_size = size + MAX_OTHER_BYTES;
    allowed.ifd_value_size = MAX_OTHER_BYTES;
    let mut decoder = decoder.with_limits(allowed);
    let orientation = decoder
        .find_tag_unsigned::<u8>(Tag::Orientation)
        .ok()
        .flatten()
        .map_or(Orientation::NoTransforms, orient::of_value);
    let alpha = TiffAlpha::of(&mut decoder);
    let profile = profile(&mut decoder);

    let mut data = DecodingResult::U8(Vec::new());
    let layout = decoder.read_image_to_buffer(&mut data).map_err(error)?;
    let data = match data {
        DecodingResult::U8(data) if depth < 8 => unpacked(&data, width as usize, depth),
        DecodingResult::U8(data) => data,
        DecodingResult::U16(data) => data.into_iter().map(to_eight).collect(),
        _ => return Err(unsupported("its samples are no whole numbers".to_owned())),
    };
    let picture = TiffSamples {
        data: &data,
        pixels,
        is_planar: layout.planes > 1,
    };
    if picture.channels() < kind.channels() {
        return Err(unsupported(
            "its pixels have too few samples for their kind".to_owned(),
        ));
    }
    rgb.resize(pixels * 3, 0);
    if kind == TiffColour::Inks {
        let inks: Vec<u8> = (0..pixels)
            .flat_map(|pixel| [0, 1, 2, 3].map(|channel| picture.at(pixel, channel)))
            .collect();
        let done = profile.is_some_and(|icc| profiles.convert_inks(&icc, &inks, false, rgb));
        if !done {
            cmyk_to_rgb(&inks, false, rgb);
        }
    } else {
        to_rgb(&picture, kind, alpha, rgb);
        if let Some(icc) = profile {
            profiles.convert(&icc, rgb);
        }
    }
    Ok((width, height, orientation))
}

/// The meaning of a pixel's samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TiffColour {
    Gray,
    GrayAlpha,
    Rgb,
    Rgba,
    YCbCr,
    Inks,
}

impl TiffColour {
    fn channels(self) -> usize {
        match self {
            TiffColour::Gray => 1,
            TiffColour::GrayAlpha => 2,
            TiffColour::Rgb | TiffColour::YCbCr => 3,
            TiffColour::Rgba | TiffColour::Inks => 4,
        }
    }
}

fn kind_of(color: ColorType) -> Option<(TiffColour, u8)> {
    Some(match color {
        ColorType::Gray(depth @ (1 | 2 | 4 | 8 | 16)) => (TiffColour::Gray, depth),
        ColorType::GrayA(depth @ (8 | 16)) => (TiffColour::GrayAlpha, depth),
        // Grey with other samples, such as alpha.
        ColorType::Multiband {
            bit_depth: depth @ (8 | 16),
            num_samples: 2,
        } => (TiffColour::GrayAlpha, depth),
        ColorType::RGB(depth @ (8 | 16)) => (TiffColour::Rgb, depth),
        ColorType::RGBA(depth @ (8 | 16)) => (TiffColour::Rgba, depth),
        ColorType::YCbCr(8) => (TiffColour::YCbCr, 8),
        ColorType::CMYK(depth @ (8 | 16)) | ColorType::CMYKA(depth @ (8 | 16)) => {
            (TiffColour::Inks, depth)
        }
        _ => return None,
    })
}

/// The meaning of the sample after the colours (TIFF 6.0, ExtraSamples).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TiffAlpha {
    /// No alpha.
    None,
    /// The colours are multiplied with it.
    Associated,
    Straight,
}

impl TiffAlpha {
    fn of<R: std::io::Read + std::io::Seek>(decoder: &mut Decoder<R>) -> TiffAlpha {
        let extra = decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples);
        match extra
            .ok()
            .flatten()
            .and_then(|kinds| kinds.first().copied())
        {
            Some(0) => TiffAlpha::None,
            Some(1) => TiffAlpha::Associated,
            _ => TiffAlpha::Straight,
        }
    }

    fn on_white(self, v: u8, a: u8) -> u8 {
        match self {
            TiffAlpha::None => v,
            TiffAlpha::Associated => v.saturating_add(255 - a),
            TiffAlpha::Straight => on_white(v, a),
        }
    }
}

/// Samples of 8 bits, pixel by pixel or plane by plane.
struct TiffSamples<'a> {
    data: &'a [u8],
    pixels: usize,
    is_planar: bool,
}

impl TiffSamples<'_> {
    fn channels(&self) -> usize {
        self.data.len() / self.pixels
    }

    fn at(&self, pixel: usize, channel: usize) -> u8 {
        match self.is_planar {
            true => self.data[channel * self.pixels + pixel],
            false => self.data[pixel * self.channels() + channel],
        }
    }
}

fn to_rgb(picture: &TiffSamples<'_>, kind: TiffColour, alpha: TiffAlpha, rgb: &mut [u8]) {
    for (pixel, to) in rgb.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let at = |channel| picture.at(pixel, channel);
        *to = match kind {
            TiffColour::Gray => [at(0); 3],
            TiffColour::GrayAlpha => [alpha.on_white(at(0), at(1)); 3],
            TiffColour::Rgba => [0, 1, 2].map(|channel| alpha.on_white(at(channel), at(3))),
            TiffColour::YCbCr => from_luma([at(0), at(1), at(2)]),
            TiffColour::Rgb | TiffColour::Inks => [at(0), at(1), at(2)],
        };
    }
}

/// ITU-R BT.601 in full range, as in JPEG, and the default of TIFF 6.0, section 21.
fn from_luma([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let [y, cb, cr] = [f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0];
    [
        y + 1.402 * cr,
        y - 0.344_136 * cb - 0.714_136 * cr,
        y + 1.772 * cb,
    ]
    .map(|v| v.round().clamp(0.0, 255.0) as u8)
}

/// Samples of `depth` bits (1, 2 or 4), whose rows begin at whole bytes, as 8 bits.
fn unpacked(data: &[u8], width: usize, depth: u8) -> Vec<u8> {
    let depth = usize::from(depth);
    let most = (1 << depth) - 1;
    let rows = data.chunks_exact((width * depth).div_ceil(8));
    rows.flat_map(|row| {
        (0..width).map(move |x| {
            let bit = x * depth;
            let value = usize::from(row[bit / 8]) >> (8 - depth - bit % 8) & most;
            (value * 255 / most) as u8
        })
    })
    .collect()
}

fn samples_per_pixel<R: std::io::Read + std::io::Seek>(decoder: &mut Decoder<R>) -> usize {
    let samples = decoder.find_tag_unsigned::<u16>(Tag::SamplesPerPixel);
    usize::from(samples.ok().flatten().unwrap_or(1)).max(1)
}

/// The colour profile, stored as bytes of any type.
fn profile<R: std::io::Read + std::io::Seek>(decoder: &mut Decoder<R>) -> Option<Vec<u8>> {
    let mut ifd = decoder.image_ifd();
    let entry = ifd.find_entry(Tag::IccProfile)?;
    if entry.count() > icc::MAX_BYTES as u64 {
        return None;
    }
    let mut value = ValueBuffer::empty(Type::BYTE);
    ifd.find_tag_buf(Tag::IccProfile, &mut value).ok()??;
    Some(value.as_bytes().to_vec())
}

/// Refuses raw photos, whose first picture is a small preview.
fn refuse_raw_photo<R: std::io::Read + std::io::Seek>(
    decoder: &mut Decoder<R>,
    bytes: &[u8],
) -> Result<(), DecodeError> {
    let kind = decoder.find_tag_unsigned::<u32>(Tag::NewSubfileType);
    let is_preview = kind.ok().flatten().is_some_and(|kind| kind & 1 == 1);
    let is_dng = matches!(decoder.find_tag(DNG_VERSION), Ok(Some(_)) | Err(_));
    let is_canon = bytes.get(8..10) == Some(b"CR");
    if is_preview || is_dng || is_canon {
        return Err(DecodeError::Convert(PictureFormat::Raw));
    }
    Ok(())
}

fn unsupported(detail: String) -> DecodeError {
    DecodeError::Unsupported {
        format: FORMAT,
        detail,
    }
}

fn error(bytes: &[u8], error: TiffError) -> DecodeError {
    match error {
        TiffError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => DecodeError::CutOff {
            format: FORMAT,
            bytes: bytes.len(),
            inside: "its tags or its pixels".to_owned(),
        },
        TiffError::UnsupportedError(e) => unsupported(e.to_string()),
        e => DecodeError::Corrupt {
            format: FORMAT,
            detail: format!("{e} ({} bytes in all)", bytes.len()),
        },
    }
}
