//! GIF by the `gif` crate: the first picture.
use super::{DecodeError, Limits, PictureFormat, icc::Profiles};
use gif::{ColorOutput, DecodeOptions, DecodingError, MemoryLimit};
use std::{
    io::{Cursor, ErrorKind},
    num::NonZeroU64,
};

const FORMAT: PictureFormat = PictureFormat::Gif;

/// Decodes into `rgb`, transparent parts on white. Returns width and height.
pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
    profiles: &mut Profiles,
    rgb: &mut Vec<u8>,
) -> Result<(u32, u32), DecodeError> {
    let error = |e| error(bytes, e);
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::RGBA);
    let most = limits.max_pixels.saturating_mul(4);
    options.set_memory_limit(MemoryLimit::Bytes(
        NonZeroU64::new(most).unwrap_or(NonZeroU64::MIN),
    ));
    let mut decoder = options.read_info(Cursor::new(bytes)).map_err(error)?;
    let (width, height) = (decoder.width(), decoder.height());
    let (width, height) = limits.check(FORMAT, width.into(), height.into())?;
    let profile = decoder.icc_profile().map(<[u8]>::to_vec);
    let frame = decoder.read_next_frame().map_err(error)?;
    let frame = frame.ok_or_else(|| DecodeError::Corrupt {
        format: FORMAT,
        detail: format!("there is no picture in it ({} bytes in all)", bytes.len()),
    })?;
    rgb.clear();
    rgb.resize(width as usize * height as usize * 3, 255);
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let row = usize::from(frame.width).max(1) * 4;
    let rows = rgb.chunks_exact_mut(width as usize * 3).skip(top);
    for (from, to) in frame.buffer.chunks_exact(row).zip(rows) {
        let to = to.as_chunks_mut::<3>().0.iter_mut().skip(left);
        for ([r, g, b, a], to) in from.as_chunks::<4>().0.iter().zip(to) {
            if *a != 0 {
                *to = [*r, *g, *b];
            }
        }
    }
    if let Some(icc) = profile {
        profiles.convert(&icc, rgb);
    }
    Ok((width, height))
}

fn error(bytes: &[u8], error: DecodingError) -> DecodeError {
    match error {
        DecodingError::Io(e) if e.kind() == ErrorKind::UnexpectedEof => DecodeError::CutOff {
            format: FORMAT,
            bytes: bytes.len(),
            inside: "its headers or its pixels".to_owned(),
        },
        e => DecodeError::Corrupt {
            format: FORMAT,
            detail: format!("{e} ({} bytes in all)", bytes.len()),
        },
    }
}
