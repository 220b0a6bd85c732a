//! WebP by the `image-webp` crate.
use super::{DecodeError, Limits, PictureFormat, icc::Profiles, on_white, orient};
use image::metadata::Orientation;
use image_webp::WebPDecoder;
use std::io::Cursor;

const FORMAT: PictureFormat = PictureFormat::WebP;

/// Decodes into `rgb`; `rgba` is scratch. Returns width, height and orientation as stored.
pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
    profiles: &mut Profiles,
    rgba: &mut Vec<u8>,
    rgb: &mut Vec<u8>,
) -> Result<(u32, u32, Orientation), DecodeError> {
    let chunks = check_chunks(bytes, limits)?;
    let corrupt = |e: image_webp::DecodingError| DecodeError::Corrupt {
        format: FORMAT,
        detail: format!(
            "{e} (in the picture data that begins at byte {} of {})",
            chunks.picture,
            bytes.len()
        ),
    };
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(corrupt)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = limits.check(FORMAT, width.into(), height.into())?;
    let pixels = width as usize * height as usize;
    rgb.resize(pixels * 3, 0);
    if decoder.has_alpha() {
        rgba.resize(pixels * 4, 0);
        decoder.read_image(rgba).map_err(corrupt)?;
        for (from, to) in rgba
            .as_chunks::<4>()
            .0
            .iter()
            .zip(rgb.as_chunks_mut::<3>().0)
        {
            let [r, g, b, a] = *from;
            *to = [on_white(r, a), on_white(g, a), on_white(b, a)];
        }
    } else {
        decoder.read_image(rgb).map_err(corrupt)?;
    }
    if let Some(icc) = chunks.profile {
        profiles.convert(icc, rgb);
    }
    Ok((
        width,
        height,
        chunks.exif.map_or(Orientation::NoTransforms, orient::read),
    ))
}

/// The contents of the RIFF container.
struct Chunks<'a> {
    exif: Option<&'a [u8]>,
    profile: Option<&'a [u8]>,
    /// Where the chunk with the pixels begins, in bytes from the start of the file.
    picture: usize,
}

/// Checks the container (RFC 9649): all chunks must be complete, and every size in them within the
/// limits, because the decoder allocates for the inner size before it compares it with the outer
/// one.
fn check_chunks<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Chunks<'a>, DecodeError> {
    let cut = |inside: String| DecodeError::CutOff {
        format: FORMAT,
        bytes: bytes.len(),
        inside,
    };
    let corrupt = |detail: String| DecodeError::Corrupt {
        format: FORMAT,
        detail,
    };
    let size = le(bytes, 4, 4).ok_or_else(|| cut("the file header".to_owned()))? as usize;
    let file = bytes.get(..size.saturating_add(8)).ok_or_else(|| {
        cut(format!(
            "a file that should have {} bytes",
            size.saturating_add(8)
        ))
    })?;

    let mut found = Chunks {
        exif: None,
        profile: None,
        picture: 12,
    };
    let mut at = 12;
    while at < file.len() {
        let name = file
            .get(at..at + 4)
            .ok_or_else(|| corrupt(format!("a chunk at byte {at} has no name")))?;
        let len = le(file, at + 4, 4)
            .ok_or_else(|| corrupt(format!("a chunk at byte {at} has no length")))?
            as usize;
        let body = file
            .get(at + 8..(at + 8).saturating_add(len))
            .ok_or_else(|| {
                corrupt(format!(
                    "the chunk at byte {at} claims {len} bytes, more than the file has"
                ))
            })?;
        if check_picture(name, body, limits, at)? {
            found.picture = at;
        }
        let short = || corrupt(format!("the picture at byte {at} has no complete header"));
        match name {
            b"VP8X" => {
                let w = le(body, 4, 3).ok_or_else(short)?;
                let h = le(body, 7, 3).ok_or_else(short)?;
                limits.check(FORMAT, u64::from(w) + 1, u64::from(h) + 1)?;
            }
            // A picture of an animation: its place and size, and then chunks like those outside.
            b"ANMF" => {
                found.picture = at;
                let mut inner = body.get(16..).unwrap_or_default();
                while let (Some(name), Some(len)) = (inner.get(..4), le(inner, 4, 4)) {
                    let end = (len as usize).saturating_add(8).min(inner.len());
                    check_picture(name, &inner[8..end], limits, at)?;
                    inner = inner.get(end + end % 2..).unwrap_or_default();
                }
            }
            b"EXIF" => found.exif = Some(body),
            b"ICCP" => found.profile = Some(body),
            _ => {}
        }
        // Chunks begin at even bytes.
        at += 8 + len + len % 2;
    }
    Ok(found)
}

/// Checks the size in a chunk with pixels. Returns false for another chunk.
fn check_picture(
    name: &[u8],
    body: &[u8],
    limits: &Limits,
    at: usize,
) -> Result<bool, DecodeError> {
    let short = || DecodeError::Corrupt {
        format: FORMAT,
        detail: format!("the picture at byte {at} has no complete header"),
    };
    let (width, height) = match name {
        b"VP8 " => {
            let width = le(body, 6, 2).ok_or_else(short)?;
            let height = le(body, 8, 2).ok_or_else(short)?;
            (u64::from(width & 0x3fff), u64::from(height & 0x3fff))
        }
        b"VP8L" => {
            let size = le(body, 1, 4).ok_or_else(short)?;
            (
                u64::from(size & 0x3fff) + 1,
                u64::from((size >> 14) & 0x3fff) + 1,
            )
        }
        _ => return Ok(false),
    };
    limits.check(FORMAT, width, height)?;
    Ok(true)
}

/// The little-endian number of `len` bytes (at most 4) at `at`.
fn le(bytes: &[u8], at: usize, len: usize) -> Option<u32> {
    let mut four = [0; 4];
    four[..len].copy_from_slice(bytes.get(at..at + len)?);
    Some(u32::from_le_bytes(four))
}
