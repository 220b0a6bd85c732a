//! PNG by the `png` crate.
use super::{
    DecodeError, Limits, PictureFormat,
    icc::{self, Profiles},
    on_white, orient,
};
use flate2::read::ZlibDecoder;
use image::metadata::Orientation;
use png::{BitDepth, ColorType, DecodeOptions, Decoder, DecodingError, Transformations};
use std::io::{Cursor, ErrorKind, Read};

/// Memory for everything that is not pixels (palette, EXIF): chunks that claim more are refused.
/// Text is skipped, and the colour profile is read separately.
const MAX_METADATA_BYTES: usize = 1 << 20;

/// Decodes into `rgb`; `samples` is scratch. Returns width, height and orientation as stored.
pub(super) fn decode(
    bytes: &[u8],
    limits: &Limits,
    profiles: &mut Profiles,
    samples: &mut Vec<u8>,
    rgb: &mut Vec<u8>,
) -> Result<(u32, u32, Orientation), DecodeError> {
    let mut cursor = Cursor::new(bytes);
    let decoded = read(&mut cursor, limits, samples, rgb).map_err(|e| match e {
        PngFailure::Ours(e) => e,
        PngFailure::Png(e) => error(bytes, cursor.position(), e),
    })?;
    if let Some(icc) = profile(bytes) {
        profiles.convert(&icc, rgb);
    }
    Ok(decoded)
}

/// The colour profile of a picture that was decoded already. The decoder would refuse the whole
/// picture if its profile unpacks to more than the limit.
fn profile(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut rest = bytes.get(8..)?;
    loop {
        let (length, after) = rest.split_first_chunk()?;
        let (kind, after) = after.split_first_chunk::<4>()?;
        let body = after.get(..u32::from_be_bytes(*length) as usize)?;
        match kind {
            b"IDAT" => return None,
            b"iCCP" => {
                // A name, a zero, and the method, of which there is one.
                let name = body.iter().position(|byte| *byte == 0)?;
                let packed = body.get(name + 2..)?;
                let mut icc = Vec::new();
                let most = icc::MAX_BYTES as u64;
                let mut unpacked = ZlibDecoder::new(packed).take(most);
                unpacked.read_to_end(&mut icc).ok()?;
                return Some(icc);
            }
            _ => rest = after.get(body.len() + 4..)?,
        }
    }
}

enum PngFailure {
    Ours(DecodeError),
    Png(DecodingError),
}

impl From<DecodingError> for PngFailure {
    fn from(e: DecodingError) -> Self {
        PngFailure::Png(e)
    }
}

fn read(
    cursor: &mut Cursor<&[u8]>,
    limits: &Limits,
    samples: &mut Vec<u8>,
    rgb: &mut Vec<u8>,
) -> Result<(u32, u32, Orientation), PngFailure> {
    let mut options = DecodeOptions::default();
    options.set_ignore_adler32(false);
    options.set_skip_ancillary_crc_failures(false);
    options.set_ignore_text_chunk(true);
    options.set_ignore_iccp_chunk(true);
    let mut decoder = Decoder::new_with_options(cursor, options);
    let header = decoder.read_header_info()?;
    let (width, height) = limits
        .check(
            PictureFormat::Png,
            header.width.into(),
            header.height.into(),
        )
        .map_err(PngFailure::Ours)?;
    // A row is at most 8 bytes a pixel, and a few are held at a time.
    decoder.set_limits(png::Limits {
        bytes: MAX_METADATA_BYTES + width as usize * 64,
    });
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info()?;
    // The decoder relies on whole palette entries, at most 256.
    if let Some(len) = reader.info().palette.as_deref().map(<[u8]>::len)
        && (len % 3 != 0 || !(3..=768).contains(&len))
    {
        let detail = format!("its palette has {len} bytes, which is not 1 to 256 colours");
        return Err(PngFailure::Ours(DecodeError::Corrupt {
            format: PictureFormat::Png,
            detail,
        }));
    }

    let pixels = width as usize * height as usize;
    rgb.resize(pixels * 3, 0);
    let (color, depth) = reader.output_color_type();
    if (color, depth) == (ColorType::Rgb, BitDepth::Eight) {
        reader.next_frame(rgb)?;
    } else {
        samples.resize(
            pixels * color.samples() * if depth == BitDepth::Sixteen { 2 } else { 1 },
            0,
        );
        reader.next_frame(samples)?;
        match depth {
            BitDepth::Sixteen => {
                let pairs = samples.as_chunks::<2>().0;
                to_rgb(color, pairs, |v| to_eight(u16::from_be_bytes(v)), rgb);
            }
            _ => to_rgb(color, samples, |v| v, rgb),
        }
    }
    // The rest of the file holds checksums and the end mark: without them it is cut off.
    reader.finish()?;
    let orientation = reader
        .info()
        .exif_metadata
        .as_deref()
        .map_or(Orientation::NoTransforms, orient::read);
    Ok((width, height, orientation))
}

/// `round(v / 257)`: 16 bits to 8.
pub(super) fn to_eight(v: u16) -> u8 {
    ((u32::from(v) + 128) / 257) as u8
}

fn to_rgb<T: Copy>(color: ColorType, samples: &[T], eight: impl Fn(T) -> u8, rgb: &mut [u8]) {
    let channels = color.samples();
    for (from, to) in samples.chunks_exact(channels).zip(rgb.chunks_exact_mut(3)) {
        let v = |i: usize| eight(from[i]);
        let (r, g, b, a) = match channels {
            1 => (v(0), v(0), v(0), 255),
            2 => (v(0), v(0), v(0), v(1)),
            3 => (v(0), v(1), v(2), 255),
            _ => (v(0), v(1), v(2), v(3)),
        };
        to.copy_from_slice(&[on_white(r, a), on_white(g, a), on_white(b, a)]);
    }
}

fn error(bytes: &[u8], at: u64, error: DecodingError) -> DecodeError {
    let format = PictureFormat::Png;
    match error {
        DecodingError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => DecodeError::CutOff {
            format,
            bytes: bytes.len(),
            inside: "a chunk that is not complete".to_owned(),
        },
        DecodingError::LimitsExceeded => DecodeError::Unsupported {
            format,
            detail: format!(
                "it holds more than {MAX_METADATA_BYTES} bytes of metadata: remove them, for \
                 example with `magick in.png -strip out.png`"
            ),
        },
        e => DecodeError::Corrupt {
            format,
            detail: format!("{e} (near byte {at} of {})", bytes.len()),
        },
    }
}
