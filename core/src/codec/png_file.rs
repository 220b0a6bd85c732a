//! PNG files of pictures that this program made, written fast.
//!
//! All rows are stored as differences to the row above: a constant background becomes zeros. The `png` crate's fastest setting
//! does the same in two thirds more time, because it holds the stream twice and is not compiled for this processor. It is used where
//! this is no gain: for noise, whose differences take more room than itself.
use super::deflate::Deflate;
use super::{EncodeError, ImageFormat};
use png::{BitDepth, ColorType};

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
/// What a stored row and its share of the stream's headers take beyond its samples, at most.
const STORED: usize = 8;

/// Writes a file with 8-bit samples to the end of `into`. Neither side is 0 nor above 2^31 - 1.
pub(super) fn write(
    deflate: &mut Deflate,
    (width, height): (u32, u32),
    samples: &[u8],
    color: ColorType,
    into: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let start = into.len();
    into.extend_from_slice(&SIGNATURE);
    chunk(into, b"IHDR", |into| {
        into.extend_from_slice(&width.to_be_bytes());
        into.extend_from_slice(&height.to_be_bytes());
        // 8 bits; deflate, the usual filters, not interlaced
        into.extend_from_slice(&[8, color as u8, 0, 0, 0]);
    });
    let stride = width as usize * color.samples();
    let stored = start + (stride + STORED) * height as usize;
    let mut above = None;
    let gain = chunk(into, b"IDAT", |into| {
        deflate.begin(into);
        for row in samples.chunks_exact(stride) {
            deflate.row(row, above, into);
            above = Some(row);
            if into.len() > stored {
                return false;
            }
        }
        deflate.end(into);
        into.len() <= (i32::MAX as usize).min(stored)
    });
    if !gain {
        into.truncate(start);
        return store((width, height), samples, color, into);
    }
    chunk(into, b"IEND", |_| ());
    Ok(())
}

/// A chunk with what `fill` appends (at most 2^31 - 1 bytes): length, type, data, checksum.
fn chunk<R>(into: &mut Vec<u8>, kind: &[u8; 4], fill: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    let start = into.len();
    into.extend_from_slice(&[0; 4]);
    into.extend_from_slice(kind);
    let result = fill(into);
    let length = (into.len() - start - 8) as u32;
    into[start..start + 4].copy_from_slice(&length.to_be_bytes());
    into.extend_from_slice(&crc32fast::hash(&into[start + 4..]).to_be_bytes());
    result
}

/// Without compression.
fn store((width, height): (u32, u32), samples: &[u8], color: ColorType, into: &mut Vec<u8>) -> Result<(), EncodeError> {
    let failed = |e: png::EncodingError| EncodeError::Failed { format: ImageFormat::Png, detail: e.to_string() };
    let mut encoder = png::Encoder::new(into, width, height);
    encoder.set_color(color);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(png::Compression::NoCompression);
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(samples).map_err(failed)?;
    writer.finish().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(file: &[u8]) -> Vec<u8> {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut samples = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut samples).unwrap();
        reader.finish().unwrap();
        samples
    }

    fn round_trip(width: u32, color: ColorType, samples: &[u8]) -> Vec<u8> {
        let height = samples.len() / (width as usize * color.samples());
        let samples = &samples[..height * width as usize * color.samples()];
        let (mut file, mut deflate) = (Vec::new(), Deflate::default());
        // a stream must not depend on the one before
        for _ in 0..2 {
            file.clear();
            write(&mut deflate, (width, height as u32), samples, color, &mut file).unwrap();
            assert!(read(&file) == samples, "{width}x{height} {color:?}");
        }
        file
    }

    #[test]
    fn zeros_of_every_length_come_back() {
        for zeros in (1..600).chain([1000, 5000, 70_000]) {
            let row = [&[7][..], &vec![0; zeros], &[1, 0, 0, 9]].concat();
            let samples = [&row[..], &row, &vec![0; row.len()]].concat();
            round_trip(row.len() as u32, ColorType::Grayscale, &samples);
        }
    }

    #[test]
    fn noise_is_stored() {
        let mut v = 1u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            v = v.wrapping_mul(0x0019_660d).wrapping_add(0x3c6e_f35f);
            (v >> 24) as u8
        })
        .take(300 * 200 * 3)
        .collect();
        let file = round_trip(300, ColorType::Rgb, &noise);
        assert!(file.len() < noise.len() + 2000, "{} bytes", file.len());
    }

    #[test]
    fn constant_pictures_are_small() {
        let file = round_trip(640, ColorType::Rgb, &[192; 640 * 360 * 3]);
        assert!(file.len() < 9000, "{} bytes", file.len());
    }

    proptest! {
        #[test]
        fn all_pictures_come_back(
            parts in proptest::collection::vec((prop_oneof![Just(0u8), Just(255), any::<u8>()], 1usize..70), 1..200),
            width in 1u32..90,
            color in prop_oneof![Just(ColorType::Rgb), Just(ColorType::Rgba), Just(ColorType::Grayscale)],
        ) {
            let samples: Vec<u8> = parts.into_iter().flat_map(|(v, n)| std::iter::repeat_n(v, n)).collect();
            if samples.len() >= width as usize * color.samples() {
                round_trip(width, color, &samples);
            }
        }
    }
}
