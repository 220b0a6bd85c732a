//! JPEG pictures as they are in a stream, one after the other, each told from the next by its markers (ITU-T T.81, annex B).
//!
//! Nothing is decoded and nothing is changed, but for the Huffman tables: Motion JPEG may leave them out, and then they are put in, because
//! a picture alone is not whole without them.
use super::jpeg_tables::STANDARD_HUFFMAN;
use mattebox_core::codec::Limits;
use std::io::{self, BufRead, ErrorKind};

/// The longest picture, in bytes.
const MAX_BYTES: usize = 32 << 20;
/// The most bytes between two pictures: containers fill them up to a round number.
const MAX_BETWEEN: usize = 1 << 16;

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const DHT: u8 = 0xc4;

/// A JPEG picture as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jpeg {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// Pixels across, as its header says.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

/// Reads the next picture; `None` at the end of the stream. A stream that ends within a picture gives `UnexpectedEof`. One that is no JPEG, of
/// a kind that is not decoded here, or beyond the limits gives `InvalidData`.
pub(crate) fn read(from: &mut impl BufRead, limits: &Limits) -> io::Result<Option<Jpeg>> {
    if !find_start(from)? {
        return Ok(None);
    }
    let mut walk = Walk { from, bytes: vec![0xff, SOI], size: None, tables: false };
    loop {
        match walk.marker()? {
            EOI => return Err(bad("it ends without picture data")),
            SOS => break,
            marker => walk.segment(marker, limits)?,
        }
    }
    let Some((width, height)) = walk.size else { return Err(bad("its picture data comes without a size")) };
    if !walk.tables {
        // Before the marker that was just read.
        let at = walk.bytes.len() - 2;
        walk.bytes.splice(at..at, STANDARD_HUFFMAN.iter().copied());
    }
    walk.segment(SOS, limits)?;
    loop {
        walk.entropy()?;
        match walk.marker()? {
            // A zero stands for a byte that is no marker; the others are restarts.
            0 | 0xd0..=0xd7 => {}
            EOI => return Ok(Some(Jpeg { bytes: walk.bytes, width, height })),
            SOI => return Err(bad("a picture begins within another")),
            marker => walk.segment(marker, limits)?,
        }
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("not a JPEG picture: {what}"))
}

/// Passes over what is between two pictures, and the next one's start marker. False at the end of the stream.
fn find_start(from: &mut impl BufRead) -> io::Result<bool> {
    let mut before = 0;
    for _ in 0..MAX_BETWEEN {
        let Some(&byte) = from.fill_buf()?.first() else { return Ok(false) };
        from.consume(1);
        if (before, byte) == (0xff, SOI) {
            return Ok(true);
        }
        before = byte;
    }
    Err(bad("no picture begins"))
}

/// A picture while it is read.
struct Walk<'a, R> {
    from: &'a mut R,
    bytes: Vec<u8>,
    size: Option<(u32, u32)>,
    /// Whether there are Huffman tables.
    tables: bool,
}

impl<R: BufRead> Walk<'_, R> {
    fn byte(&mut self) -> io::Result<u8> {
        let Some(&byte) = self.from.fill_buf()?.first() else { return Err(ErrorKind::UnexpectedEof.into()) };
        self.from.consume(1);
        self.push(&[byte])?;
        Ok(byte)
    }

    fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.bytes.len() + bytes.len() > MAX_BYTES {
            return Err(bad(&format!("it is longer than {MAX_BYTES} bytes")));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The next marker, which must be here. It may be filled up with any number of 0xff before it.
    fn marker(&mut self) -> io::Result<u8> {
        if self.byte()? != 0xff {
            return Err(bad("there is something else where a marker should be"));
        }
        loop {
            match self.byte()? {
                0xff => {}
                marker => return Ok(marker),
            }
        }
    }

    /// The rest of a segment whose marker was read.
    fn segment(&mut self, marker: u8, limits: &Limits) -> io::Result<()> {
        // A second start, or markers that have no segment, would have no place here.
        if marker == SOI || marker < 0xc0 || (0xd0..=0xd7).contains(&marker) {
            return Err(bad(&format!("there is a marker ff{marker:02x} in its header")));
        }
        let length = usize::from(u16::from_be_bytes([self.byte()?, self.byte()?]));
        let Some(mut left) = length.checked_sub(2) else { return Err(bad("a segment has no length")) };
        let begun = self.bytes.len();
        while left > 0 {
            let there = self.from.fill_buf()?;
            if there.is_empty() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let part = there[..there.len().min(left)].to_vec();
            self.from.consume(part.len());
            left -= part.len();
            self.push(&part)?;
        }
        match marker {
            DHT => self.tables = true,
            // Baseline, extended, progressive; the other kinds of frames are rare, and decoded by nobody.
            0xc0..=0xc2 => self.size = Some(size(&self.bytes[begun..], limits)?),
            0xc3..=0xcf if marker != 0xc8 && marker != 0xcc => return Err(bad("it is of a rare kind")),
            _ => {}
        }
        Ok(())
    }

    /// Picture data up to the next 0xff.
    fn entropy(&mut self) -> io::Result<()> {
        loop {
            let there = self.from.fill_buf()?;
            if there.is_empty() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let end = there.iter().position(|&byte| byte == 0xff);
            let length = end.unwrap_or(there.len());
            if self.bytes.len() + length > MAX_BYTES {
                return Err(bad(&format!("it is longer than {MAX_BYTES} bytes")));
            }
            self.bytes.extend_from_slice(&there[..length]);
            self.from.consume(length);
            if end.is_some() {
                return Ok(());
            }
        }
    }
}

/// Width and height of a frame header: precision, height, width.
fn size(header: &[u8], limits: &Limits) -> io::Result<(u32, u32)> {
    let Some(&[_, h1, h0, w1, w0]) = header.first_chunk::<5>() else { return Err(bad("its frame header is cut short")) };
    let (width, height) = (u32::from(u16::from_be_bytes([w1, w0])), u32::from(u16::from_be_bytes([h1, h0])));
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || pixels > limits.max_pixels || width.max(height) > limits.max_side {
        return Err(bad(&format!("its size of {width}x{height} is none, or over the limits")));
    }
    Ok((width, height))
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

    /// Through a buffer so small that every step meets its end.
    fn read_all(bytes: &[u8]) -> io::Result<Vec<Jpeg>> {
        let mut from = io::BufReader::with_capacity(3, bytes);
        let limits = Limits { max_pixels: 1000, ..Limits::default() };
        std::iter::from_fn(|| read(&mut from, &limits).transpose()).collect()
    }

    /// Without its Huffman tables.
    fn bare(mut jpeg: Vec<u8>) -> Vec<u8> {
        while let Some(at) = jpeg.windows(2).position(|pair| pair == [0xff, DHT]) {
            let length = usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
            jpeg.drain(at..at + 2 + length);
        }
        jpeg
    }

    #[test]
    fn pictures_come_out_as_they_went_in() {
        let all: Vec<_> = (0..20).map(picture).collect();
        let mut stream = Vec::new();
        for jpeg in &all {
            stream.extend_from_slice(jpeg);
            // As containers fill up.
            stream.extend_from_slice(&[0; 3][..jpeg.len() % 4]);
        }
        let found = read_all(&stream).unwrap();
        assert!(found.iter().map(|jpeg| &jpeg.bytes).eq(&all));
        assert!(found.iter().all(|jpeg| (jpeg.width, jpeg.height) == (40, 24)));
    }

    #[test]
    fn a_picture_within_a_header_is_no_picture() {
        let (outer, inner) = (picture(1), picture(2));
        let mut both = outer[..2].to_vec();
        both.extend_from_slice(&[0xff, 0xe1]);
        both.extend_from_slice(&(inner.len() as u16 + 2).to_be_bytes());
        both.extend_from_slice(&inner);
        both.extend_from_slice(&outer[2..]);
        assert_eq!(read_all(&both).unwrap(), [Jpeg { bytes: both.clone(), width: 40, height: 24 }]);
    }

    #[test]
    fn tables_that_are_left_out_are_put_in() {
        let whole = picture(3);
        let found = read_all(&bare(whole.clone())).unwrap();
        let limits = Limits::default();
        assert_eq!(decode(&found[0].bytes, &limits).unwrap(), decode(&whole, &limits).unwrap());
        assert_eq!(found[0].bytes.windows(2).filter(|pair| *pair == [0xff, DHT]).count(), 1);
    }

    #[test]
    fn a_stream_that_is_cut_anywhere_gives_no_part_of_a_picture() {
        let jpeg = picture(4);
        for length in 2..jpeg.len() {
            assert_eq!(read_all(&jpeg[..length]).unwrap_err().kind(), ErrorKind::UnexpectedEof, "{length} bytes");
        }
        assert!(read_all(&[]).unwrap().is_empty() && read_all(&[0; 100]).unwrap().is_empty());
    }

    #[test]
    fn hostile_streams_are_errors() {
        let endless = [&picture(5)[..700], &vec![7; MAX_BYTES]].concat();
        let large = [&[0xff, SOI, 0xff, 0xc0, 0, 7, 8, 0xff, 0xff, 0xff, 0xff][..], &[0xff, SOS]].concat();
        let cut = picture(6);
        let within = [&cut[..cut.len() - 2], &cut].concat();
        for (what, stream) in [
            ("endless", &endless[..]),
            ("too large", &large),
            ("no end before the next", &within),
            ("no size", &[0xff, SOI, 0xff, SOS, 0, 2]),
            ("no data", &[0xff, SOI, 0xff, EOI]),
            ("no length", &[0xff, SOI, 0xff, 0xe0, 0, 1]),
            ("no marker", &[0xff, SOI, 7]),
            ("lossless", &[0xff, SOI, 0xff, 0xc3, 0, 7, 8, 0, 1, 0, 1]),
            ("never begins", &vec![0xff; MAX_BETWEEN + 1]),
        ] {
            assert_eq!(read_all(stream).unwrap_err().kind(), ErrorKind::InvalidData, "{what}");
        }
    }

    #[test]
    fn a_flipped_bit_is_an_error_or_one_whole_picture_each() {
        let mut stream = [picture(7), picture(8)].concat();
        for at in 0..stream.len() * 8 {
            stream[at / 8] ^= 1 << (at % 8);
            for jpeg in read_all(&stream).unwrap_or_default() {
                assert!(jpeg.bytes.starts_with(&[0xff, SOI]) && jpeg.bytes.ends_with(&[0xff, EOI]), "bit {at}");
            }
            stream[at / 8] ^= 1 << (at % 8);
        }
    }
}
