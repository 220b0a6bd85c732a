//! The pictures that FFmpeg sends: binary PPM, one after the other. Each carries its size, so that a stream whose size
//! changes stays readable (<https://netpbm.sourceforge.net/doc/ppm.html>).
use image::RgbImage;
use mattebox_core::codec::Limits;
use std::io::{self, BufRead, ErrorKind, Read};

/// The longest header that can be one: `P6`, two numbers of ten digits, `255` and the space between.
const MAX_HEADER: usize = 32;

/// Reads the next picture; `None` at the end of the stream. A stream that ends within a picture gives `UnexpectedEof`, one
/// that is no PPM or holds a picture beyond the limits gives `InvalidData`.
pub fn read(from: &mut impl BufRead, limits: &Limits) -> io::Result<Option<RgbImage>> {
    if from.fill_buf()?.is_empty() {
        return Ok(None);
    }
    let bad = |what: String| io::Error::new(ErrorKind::InvalidData, what);
    let mut header = Vec::with_capacity(MAX_HEADER);
    // FFmpeg writes "P6\n640 360\n255\n".
    for _ in 0..3 {
        from.take((MAX_HEADER - header.len()) as u64)
            .read_until(b'\n', &mut header)?;
    }
    let text = String::from_utf8_lossy(&header);
    let mut words = text.split_ascii_whitespace();
    let (Some("P6"), Some(width), Some(height), Some("255")) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(bad(format!("not a PPM header: {text:?}")));
    };
    let (Ok(width), Ok(height)) = (width.parse::<u32>(), height.parse::<u32>()) else {
        return Err(bad(format!("not the size of a picture: {text:?}")));
    };
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > limits.max_pixels || width.max(height) > limits.max_side {
        let Limits {
            max_pixels,
            max_side,
            ..
        } = limits;
        return Err(bad(format!(
            "its pictures of {width}x{height} are over the limit of {max_pixels} pixels in all and {max_side} a side"
        )));
    }
    let length =
        usize::try_from(pixels * 3).map_err(|_| bad(format!("no memory for {width}x{height}")))?;
    let mut data = Vec::with_capacity(length);
    from.take(length as u64).read_to_end(&mut data)?;
    match RgbImage::from_raw(width, height, data) {
        Some(picture) => Ok(Some(picture)),
        None => Err(ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(mut bytes: &[u8]) -> io::Result<Vec<RgbImage>> {
        let mut pictures = Vec::new();
        while let Some(picture) = read(
            &mut bytes,
            &Limits {
                max_pixels: 1000,
                ..Limits::default()
            },
        )? {
            pictures.push(picture);
        }
        Ok(pictures)
    }

    #[test]
    fn pictures_of_changing_size_are_read_one_after_the_other() {
        let mut bytes = b"P6\n2 1\n255\n\x01\x02\x03\n\n\n".to_vec();
        bytes.extend(b"P6\n1 1\n255\n\x07\x08\x09");
        let pictures = read_all(&bytes).unwrap();
        assert_eq!(
            pictures[0],
            RgbImage::from_raw(2, 1, vec![1, 2, 3, 10, 10, 10]).unwrap()
        );
        assert_eq!(
            pictures[1],
            RgbImage::from_raw(1, 1, vec![7, 8, 9]).unwrap()
        );
        assert_eq!(pictures.len(), 2);
    }

    #[test]
    fn a_stream_that_is_cut_anywhere_is_an_error_not_a_picture() {
        let whole = b"P6\n2 1\n255\nabcdef";
        for length in 1..whole.len() {
            assert!(read_all(&whole[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn hostile_headers_are_refused_before_anything_is_allocated() {
        for header in [
            "P5\n1 1\n255\nx",
            "P6\n0 5\n255\n",
            "P6\n4294967295 4294967295\n255\n",
            "P6\n-1 1\n255\n",
            "P6\n99999999999999",
        ] {
            assert_eq!(
                read_all(header.as_bytes()).unwrap_err().kind(),
                ErrorKind::InvalidData,
                "{header:?}"
            );
        }
    }
}
