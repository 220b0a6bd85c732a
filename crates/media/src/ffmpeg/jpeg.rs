//! Reads the JPEG pictures of a stream, each in a part as FFmpeg's muxer `mpjpeg` writes it: the
//! length of a part tells the end of its picture, whatever the picture holds.
//!
//! No picture is decoded, and only three things are changed: bytes before the start marker and
//! after the end marker are removed, and Huffman tables, which Motion JPEG may leave out, are
//! added, because a single picture needs them. A picture with another oddity is marked: its reader
//! has to decode it to find out whether it is good.
use super::jpeg_tables::STANDARD_HUFFMAN;
use mattebox_core::codec::Limits;
use std::io::{self, BufRead, ErrorKind, Read};
use thiserror::Error;

/// The longest picture, in bytes.
const MAX_BYTES: u64 = 32 << 20;
/// The longest line between two parts, in bytes, and the most lines.
const MAX_LINE: u64 = 256;
const MAX_LINES: usize = 16;

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const DHT: u8 = 0xc4;
const DQT: u8 = 0xdb;

/// A JPEG picture of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jpeg {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// Pixels across, by its header; 0 if it has none.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Why some decoders may not read it.
    pub oddity: Option<JpegOddity>,
}

/// An oddity of a JPEG picture, as far as its markers tell (ITU-T T.81, annex B).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JpegOddity {
    /// There is no start marker.
    #[error("it does not begin as a JPEG picture")]
    NoStart,
    /// It ends before its picture data begin.
    #[error("it ends within its headers")]
    NoData,
    /// It ends without an end marker.
    #[error("its end is missing")]
    NoEnd,
    /// There are bytes between its headers, or invalid headers.
    #[error("its headers have gaps, or are too few or too many")]
    Headers,
    /// Its picture data come without a size.
    #[error("its header does not say how large it is")]
    NoSize,
    /// It is over the limits.
    #[error("it is larger than the limits")]
    TooLarge,
    /// Its file is longer than 32 MiB: its bytes were not kept.
    #[error("it has more than 33554432 bytes")]
    TooLong,
    /// It is lossless, arithmetic, hierarchical, or not of 8 bits.
    #[error("it is of a kind that few decoders read")]
    RareKind,
}

/// Reads the next picture; `None` at the end of the stream. A stream that ends within a picture
/// gives `UnexpectedEof`, and one without parts gives `InvalidData`.
pub fn read(from: &mut impl BufRead, limits: &Limits) -> io::Result<Option<Jpeg>> {
    let Some(length) = part(from)? else {
        return Ok(None);
    };
    if length > MAX_BYTES {
        let passed = io::copy(&mut from.take(length), &mut io::sink())?;
        let oddity = Some(JpegOddity::TooLong);
        let jpeg = Jpeg {
            bytes: Vec::new(),
            width: 0,
            height: 0,
            oddity,
        };
        return if passed == length {
            Ok(Some(jpeg))
        } else {
            Err(ErrorKind::UnexpectedEof.into())
        };
    }
    let mut bytes = Vec::with_capacity(length as usize);
    if from.take(length).read_to_end(&mut bytes)? as u64 != length {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(inspect(bytes, limits)))
}

/// Reads the lines before a part. Gives its length.
fn part(from: &mut impl BufRead) -> io::Result<Option<u64>> {
    let bad = |problem: String| io::Error::new(ErrorKind::InvalidData, problem);
    let mut length = None;
    for _ in 0..MAX_LINES {
        let mut line = Vec::new();
        if from.take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            return if length.is_none() {
                Ok(None)
            } else {
                Err(ErrorKind::UnexpectedEof.into())
            };
        }
        let line = String::from_utf8_lossy(&line);
        match (line.trim_end(), length) {
            ("", Some(length)) => return Ok(Some(length)),
            (line, None) => {
                if let Some((name, value)) = line
                    .split_once(':')
                    .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                {
                    length = Some(
                        value
                            .trim()
                            .parse()
                            .map_err(|_| bad(format!("{name} of {value:?}")))?,
                    );
                }
            }
            _ => {}
        }
    }
    Err(bad("no part with a picture begins".to_owned()))
}

/// Inspects the bytes of a part.
fn inspect(mut bytes: Vec<u8>, limits: &Limits) -> Jpeg {
    let Some(start) = bytes.windows(3).position(|w| w == [0xff, SOI, 0xff]) else {
        return Jpeg {
            bytes,
            width: 0,
            height: 0,
            oddity: Some(JpegOddity::NoStart),
        };
    };
    bytes.drain(..start);
    let mut walk = MarkerWalk {
        bytes: &bytes,
        at: 2,
        oddity: None,
        size: (0, 0),
        huffman: false,
        tables: None,
    };
    let end = walk.find_end(limits);
    let MarkerWalk {
        size: (width, height),
        oddity,
        huffman,
        tables,
        ..
    } = walk;
    bytes.truncate(end);
    if let Some(at) = tables.filter(|_| huffman) {
        bytes.splice(at..at, STANDARD_HUFFMAN.iter().copied());
    }
    Jpeg {
        bytes,
        width,
        height,
        oddity,
    }
}

/// A picture while its markers are read.
struct MarkerWalk<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The first one found.
    oddity: Option<JpegOddity>,
    size: (u32, u32),
    /// Whether its data are Huffman codes.
    huffman: bool,
    /// The place for missing Huffman tables.
    tables: Option<usize>,
}

impl MarkerWalk<'_> {
    /// Finds the end of the picture.
    fn find_end(&mut self, limits: &Limits) -> usize {
        let mut has_tables = false;
        let mut has_steps = false;
        let mut has_data = false;
        loop {
            let begun = self.at;
            let Some(marker) = self.marker(has_data) else {
                self.is_odd(if has_data {
                    JpegOddity::NoEnd
                } else {
                    JpegOddity::NoData
                });
                return self.bytes.len();
            };
            match marker {
                EOI if has_data => return self.at,
                // The next picture begins within this one, or it has no data: the picture is
                // incomplete.
                SOI | EOI => {
                    self.is_odd(if has_data {
                        JpegOddity::NoEnd
                    } else {
                        JpegOddity::NoData
                    });
                    return if has_data {
                        begun.max(self.at - 2)
                    } else {
                        self.bytes.len()
                    };
                }
                0x01 | 0xd0..=0xd7 if has_data => continue,
                0x00..=0xbf | 0xd0..=0xd7 => {
                    self.is_odd(JpegOddity::Headers);
                    continue;
                }
                DHT => has_tables = true,
                DQT => has_steps = true,
                SOS if !has_data => {
                    has_data = true;
                    if !has_steps {
                        self.is_odd(JpegOddity::Headers);
                    }
                    self.tables = (!has_tables).then_some(self.at - 2);
                    if self.size == (0, 0) {
                        self.is_odd(JpegOddity::NoSize);
                    }
                }
                _ => {}
            }
            let length = self.bytes[self.at..]
                .first_chunk::<2>()
                .map_or(0, |&length| usize::from(u16::from_be_bytes(length)));
            let Some(body) = self
                .bytes
                .get(self.at + 2..self.at + length)
                .filter(|_| length >= 2)
            else {
                // A wrong length. The rest may be a picture all the same.
                self.is_odd(if has_data {
                    JpegOddity::NoEnd
                } else {
                    JpegOddity::Headers
                });
                continue;
            };
            if matches!(marker, 0xc0..=0xcf) && !matches!(marker, DHT | 0xc8 | 0xcc) {
                self.frame(marker, body, limits);
            }
            self.at += length;
        }
    }

    /// Goes to the byte after the next marker, over picture data if it has begun.
    fn marker(&mut self, in_data: bool) -> Option<u8> {
        loop {
            let rest = self.bytes.get(self.at..)?;
            let next = rest.iter().position(|byte| *byte == 0xff)?;
            if next > 0 && !in_data {
                self.is_odd(JpegOddity::Headers);
            }
            let fill = rest[next..].iter().position(|byte| *byte != 0xff)?;
            self.at += next + fill + 1;
            match rest[next + fill] {
                // A byte of the data that is no marker.
                0 if in_data => {}
                0 => self.is_odd(JpegOddity::Headers),
                marker => return Some(marker),
            }
        }
    }

    /// A frame header: precision, height, width.
    fn frame(&mut self, marker: u8, body: &[u8], limits: &Limits) {
        let Some(&[precision, h1, h0, w1, w0]) = body.first_chunk::<5>() else {
            return self.is_odd(JpegOddity::Headers);
        };
        let width = u32::from(u16::from_be_bytes([w1, w0]));
        let height = u32::from(u16::from_be_bytes([h1, h0]));
        // FFmpeg takes a second header, libjpeg does not.
        if self.size != (0, 0) {
            return self.is_odd(JpegOddity::Headers);
        }
        self.size = (width, height);
        self.huffman = marker < 0xc8;
        // Baseline, extended, progressive.
        if !matches!(marker, 0xc0..=0xc2) || precision != 8 {
            self.is_odd(JpegOddity::RareKind);
        }
        if width == 0 || height == 0 {
            self.is_odd(JpegOddity::NoSize);
        }
        if !limits.hold(width.into(), height.into()) {
            self.is_odd(JpegOddity::TooLarge);
        }
    }

    fn is_odd(&mut self, oddity: JpegOddity) {
        self.oddity.get_or_insert(oddity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::RgbImage;
    use mattebox_core::codec::{JpegEncoder, decode};

    fn picture(seed: u8) -> Vec<u8> {
        let mut random = u32::from(seed);
        let noise = RgbImage::from_fn(40, 24, |x, y| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            image::Rgb([(random >> 24) as u8, x as u8, y as u8])
        });
        let mut bytes = Vec::new();
        JpegEncoder::new(90).encode(&noise, &mut bytes).unwrap();
        bytes
    }

    /// The parts as FFmpeg 5.1 writes them.
    fn stream(parts: &[&[u8]]) -> Vec<u8> {
        let part = |bytes: &&[u8]| {
            let head = format!(
                "--ffmpeg\r\nContent-type: image/jpeg\r\nContent-length: {}\r\n\r\n",
                bytes.len()
            );
            [head.as_bytes(), bytes, b"\r\n"].concat()
        };
        parts.iter().flat_map(part).collect()
    }

    /// Reads with a buffer so small that every step reaches its end.
    fn read_all(bytes: &[u8]) -> io::Result<Vec<Jpeg>> {
        let mut from = io::BufReader::with_capacity(3, bytes);
        let limits = Limits {
            max_pixels: 1000,
            ..Limits::default()
        };
        std::iter::from_fn(|| read(&mut from, &limits).transpose()).collect()
    }

    fn read_one(bytes: &[u8]) -> Jpeg {
        let mut all = read_all(&stream(&[bytes])).unwrap();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    fn sound(bytes: &[u8]) -> Jpeg {
        Jpeg {
            bytes: bytes.to_vec(),
            width: 40,
            height: 24,
            oddity: None,
        }
    }

    /// Without its Huffman tables.
    fn bare(mut jpeg: Vec<u8>) -> Vec<u8> {
        while let Some(at) = jpeg.windows(2).position(|pair| pair == [0xff, DHT]) {
            let length = usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
            jpeg.drain(at..at + 2 + length);
        }
        jpeg
    }

    fn at(jpeg: &[u8], marker: u8) -> usize {
        jpeg.windows(2)
            .position(|pair| pair == [0xff, marker])
            .unwrap()
    }

    #[test]
    fn pictures_are_passed_on_unchanged() {
        let all: Vec<_> = (0..20).map(picture).collect();
        let found = read_all(&stream(&all.iter().map(Vec::as_slice).collect::<Vec<_>>())).unwrap();
        assert!(
            found
                .iter()
                .eq(&all.iter().map(|jpeg| sound(jpeg)).collect::<Vec<_>>())
        );
        assert!(read_all(&[]).unwrap().is_empty());
    }

    #[test]
    fn bytes_around_a_picture_are_removed() {
        let jpeg = picture(1);
        for before in [&[][..], &[0], &[0xff; 5], b"\r\n--x\r\n"] {
            for after in [&[][..], &[0; 100], &[0xff; 3], b"\r\n", &picture(2)] {
                assert_eq!(
                    read_one(&[before, &jpeg, after].concat()),
                    sound(&jpeg),
                    "{before:?} {after:?}"
                );
            }
        }
    }

    #[test]
    fn a_picture_within_a_header_and_fill_before_a_marker_are_nothing_odd() {
        let outer = picture(1);
        let inner = picture(2);
        let mut both = outer[..2].to_vec();
        both.extend_from_slice(&[0xff, 0xff, 0xff, 0xe1]);
        both.extend_from_slice(&(inner.len() as u16 + 2).to_be_bytes());
        both.extend_from_slice(&inner);
        both.extend_from_slice(&outer[2..]);
        assert_eq!(read_one(&both), sound(&both));
    }

    #[test]
    fn missing_tables_are_added() {
        let whole = picture(3);
        let found = read_one(&bare(whole.clone()));
        let limits = Limits::default();
        assert_eq!(
            decode(&found.bytes, &limits).unwrap(),
            decode(&whole, &limits).unwrap()
        );
        assert_eq!(
            found
                .bytes
                .windows(2)
                .filter(|pair| *pair == [0xff, DHT])
                .count(),
            1
        );
        assert_eq!(found.oddity, None);
    }

    #[test]
    fn a_picture_that_is_cut_anywhere_is_odd_and_the_next_is_unchanged() {
        let jpeg = picture(4);
        let next = picture(5);
        for length in 0..jpeg.len() {
            let found = read_all(&stream(&[&jpeg[..length], &next])).unwrap();
            assert!(
                found[0].oddity.is_some() && found[1] == sound(&next),
                "{length} bytes"
            );
        }
        let within = [&jpeg[..jpeg.len() - 2], &next].concat();
        let found = read_one(&within);
        assert_eq!(
            (found.bytes.len(), found.oddity),
            (jpeg.len() - 2, Some(JpegOddity::NoEnd)),
            "another begins within it"
        );
    }

    #[test]
    fn a_stream_that_is_cut_anywhere_gives_no_part_of_a_picture() {
        let whole = stream(&[&picture(6)]);
        for length in 1..whole.len() - 2 {
            let found = read_all(&whole[..length]);
            assert!(
                found.as_ref().is_err() || found.unwrap().is_empty(),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn every_oddity_is_named() {
        let jpeg = picture(7);
        let with = |at: usize, bytes: &[u8]| [&jpeg[..at], bytes, &jpeg[at..]].concat();
        let changed =
            |at: usize, bytes: &[u8]| [&jpeg[..at], bytes, &jpeg[at + bytes.len()..]].concat();
        let frame = at(&jpeg, 0xc0);
        let scan = at(&jpeg, SOS);
        for (name, bytes, oddity) in [
            ("text", b"<html>".to_vec(), JpegOddity::NoStart),
            ("nothing", vec![], JpegOddity::NoStart),
            (
                "too large",
                changed(frame + 5, &[0xff; 4]),
                JpegOddity::TooLarge,
            ),
            (
                "no height, as with DNL",
                changed(frame + 5, &[0, 0]),
                JpegOddity::NoSize,
            ),
            (
                "no size",
                [&jpeg[..frame], &jpeg[frame + 19..]].concat(),
                JpegOddity::NoSize,
            ),
            ("no data", vec![0xff, SOI, 0xff, EOI], JpegOddity::NoData),
            (
                "lossless",
                changed(frame + 1, &[0xc3]),
                JpegOddity::RareKind,
            ),
            (
                "arithmetic",
                changed(frame + 1, &[0xc9]),
                JpegOddity::RareKind,
            ),
            ("12 bits", changed(frame + 4, &[12]), JpegOddity::RareKind),
            (
                "bytes between headers",
                with(frame, &[7]),
                JpegOddity::Headers,
            ),
            (
                "a restart between headers",
                with(frame, &[0xff, 0xd3]),
                JpegOddity::Headers,
            ),
            (
                "a header without length",
                with(scan, &[0xff, 0xe3, 0, 1]),
                JpegOddity::Headers,
            ),
            (
                "a length that lies",
                changed(frame + 2, &[0xff, 0xff]),
                JpegOddity::Headers,
            ),
            ("no end", jpeg[..jpeg.len() - 2].to_vec(), JpegOddity::NoEnd),
        ] {
            assert_eq!(read_one(&bytes).oddity, Some(oddity), "{name}");
        }
    }

    #[test]
    fn a_picture_that_is_too_long_costs_no_memory_and_only_itself() {
        let mut long = picture(8);
        let next = picture(9);
        long.resize(MAX_BYTES as usize + 1, 7);
        let found = read_all(&stream(&[&long, &next])).unwrap();
        assert!(found[0].bytes.is_empty() && found[0].oddity == Some(JpegOddity::TooLong));
        assert_eq!(found[1], sound(&next));
    }

    #[test]
    fn hostile_streams_are_errors() {
        for bad in [
            &b"Content-length: -1\r\n\r\n"[..],
            b"Content-length: 99999999999999999999999\r\n\r\n",
            &[b'x'; 10_000],
        ] {
            assert_eq!(read_all(bad).unwrap_err().kind(), ErrorKind::InvalidData);
        }
        assert_eq!(
            read_all(b"Content-length: 18446744073709551615\r\n\r\nx")
                .unwrap_err()
                .kind(),
            ErrorKind::UnexpectedEof
        );
    }

    #[test]
    fn a_flipped_bit_costs_only_its_picture() {
        let mut jpeg = picture(7);
        let next = picture(8);
        for bit in 0..jpeg.len() * 8 {
            jpeg[bit / 8] ^= 1 << (bit % 8);
            let found = read_all(&stream(&[&jpeg, &next])).unwrap();
            assert!(found.len() == 2 && found[1] == sound(&next), "bit {bit}");
            let whole =
                found[0].bytes.starts_with(&[0xff, SOI]) && found[0].bytes.ends_with(&[0xff, EOI]);
            assert!(whole || found[0].oddity.is_some(), "bit {bit}");
            jpeg[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
