//! Windows bitmaps by the `image` crate.
use super::{DecodeError, Limits, PictureFormat, on_white};
use image::{ColorType, ImageDecoder, ImageError, codecs::bmp::BmpDecoder};
use std::io::{Cursor, ErrorKind};

const FORMAT: PictureFormat = PictureFormat::Bmp;

/// Decodes into `rgb`; `rgba` is scratch. Returns width and height.
pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
    rgba: &mut Vec<u8>,
    rgb: &mut Vec<u8>,
) -> Result<(u32, u32), DecodeError> {
    if let Some((width, height)) = claimed_size(bytes) {
        limits.check(FORMAT, width.into(), height.into())?;
    }
    let error = |e| error(bytes, e);
    let decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(error)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = limits.check(FORMAT, width.into(), height.into())?;
    let pixels = width as usize * height as usize;
    rgb.resize(pixels * 3, 0);
    if decoder.color_type() == ColorType::Rgb8 {
        decoder.read_image(rgb).map_err(error)?;
        return Ok((width, height));
    }
    rgba.resize(pixels * 4, 0);
    decoder.read_image(rgba).map_err(error)?;
    let from = rgba.as_chunks::<4>().0;
    // Programs that know no alpha leave it zero.
    let is_opaque = from.iter().all(|pixel| pixel[3] == 0);
    for ([r, g, b, a], to) in from.iter().zip(rgb.as_chunks_mut::<3>().0) {
        let a = if is_opaque { 255 } else { *a };
        *to = [r, g, b].map(|v| on_white(*v, a));
    }
    Ok((width, height))
}

/// Width and height in the header.
fn claimed_size(bytes: &[u8]) -> Option<(u32, u32)> {
    let four = |at: usize| bytes.get(at..)?.first_chunk::<4>().copied();
    if u32::from_le_bytes(four(14)?) == 12 {
        let [w0, w1, h0, h1] = four(18)?;
        let side = |low, high| u32::from(u16::from_le_bytes([low, high]));
        return Some((side(w0, w1), side(h0, h1)));
    }
    // A negative height only means that the first row is at the top.
    let side = |at| Some(i32::from_le_bytes(four(at)?).unsigned_abs());
    Some((side(18)?, side(22)?))
}

fn error(bytes: &[u8], error: ImageError) -> DecodeError {
    match error {
        ImageError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => DecodeError::CutOff {
            format: FORMAT,
            bytes: bytes.len(),
            inside: "its headers or its pixels".to_owned(),
        },
        ImageError::Unsupported(e) => DecodeError::Unsupported {
            format: FORMAT,
            detail: e.to_string(),
        },
        e => DecodeError::Corrupt {
            format: FORMAT,
            detail: format!("{e} ({} bytes in all)", bytes.len()),
        },
    }
}
