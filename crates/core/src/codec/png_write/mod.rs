//! Writes PNG files fast.
//!
//! Most of a composed frame is a flat background around a person, and its file is read once or
//! twice: writing must be cheap, and the file need not be the smallest. So all rows have the same
//! filter, which runs only where a row differs from the row above. Bytes other than 0 become
//! literals of one prefix code for the whole picture, made from a sample of its rows; the rest is
//! runs of zeros. Rows are read in small bands, once (the sampled ones twice), and nothing is
//! allocated once the buffers have grown.
//!
//! The bytes of a file depend only on its pixels, not on earlier pictures or the processor.
//!
//! # Layout
//!
//! * [`source`]: where bands of rows come from.
//! * `filter`: turns rows into differences.
//! * `tokens`: turns differences into literals and runs of zeros.
//! * `huffman`: prefix codes. `lookup`: the codes of many literals at once. `bits`: packs bits into
//!   bytes.
//! * `deflate`: blocks.
//! * `adler`: the checksum inside; that of chunks is CRC-32 of the `crc32fast` crate.
mod adler;
mod bits;
mod deflate;
mod filter;
mod huffman;
mod lookup;
pub(super) mod source;
mod tokens;

#[cfg(test)]
mod tests;

use adler::Adler32;
use bits::{BitWriter, Bits};
use deflate::{BlockCode, Coder, Counts};
use fearless_simd::{Level, Simd, dispatch};
use fearless_simd_macros::simd;
use mattebox_net::SimdLevel;
use source::RowSource;
use tokens::{BandRows, scratch};

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// The most data that a chunk holds (PNG specification, section 5.3).
const MAX_CHUNK: usize = i32::MAX as usize;
/// Filtered bytes that are coded at a time, if a row is not longer: few enough to stay in the
/// processor's nearest caches.
const BAND: usize = 1 << 15;
/// Filtered bytes from which the code is made; of larger pictures a sample is taken.
const SAMPLE: usize = 1 << 15;

/// The channels of a pixel, 8 bits each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PixelKind {
    Gray,
    Rgb,
    Rgba,
}

impl PixelKind {
    pub(super) fn channels(self) -> usize {
        match self {
            PixelKind::Gray => 1,
            PixelKind::Rgb => 3,
            PixelKind::Rgba => 4,
        }
    }

    /// The number of the colour type (PNG specification, section 11.2.1).
    fn color_type(self) -> u8 {
        match self {
            PixelKind::Gray => 0,
            PixelKind::Rgb => 2,
            PixelKind::Rgba => 6,
        }
    }
}

/// Writes pictures one after another.
#[derive(Debug)]
pub(super) struct PngWriter {
    level: Level,
    max_chunk: usize,
    residual: Vec<u8>,
    coded: Vec<u8>,
    plain: Vec<u8>,
}

impl PngWriter {
    pub(super) fn new(level: SimdLevel) -> Self {
        let level = level.level().unwrap_or(Level::fallback());
        PngWriter {
            level,
            max_chunk: MAX_CHUNK,
            residual: vec![],
            coded: vec![],
            plain: vec![],
        }
    }

    /// Appends the file of a picture to `file`. Both sides are 1 to 2^31 - 1, and the rows of
    /// `source` hold a byte for each channel of each pixel.
    pub(super) fn write(
        &mut self,
        width: u32,
        height: u32,
        kind: PixelKind,
        source: &mut impl RowSource,
        file: &mut Vec<u8>,
    ) {
        file.extend_from_slice(SIGNATURE);
        let mut header = [0, 0, 0, 0, 0, 0, 0, 0, 8, kind.color_type(), 0, 0, 0];
        header[..4].copy_from_slice(&width.to_be_bytes());
        header[4..8].copy_from_slice(&height.to_be_bytes());
        chunk(b"IHDR", &header, file);

        let pixel = kind.channels();
        let row = width as usize * pixel;
        let height = height as usize;
        let bands = (BAND / (row + 1)).max(1);
        let band_len = (row + 1) * bands.min(height);
        grow(&mut self.residual, scratch(row));
        grow(
            &mut self.coded,
            deflate::MAX_HEADER + band_len * huffman::MAX_LENGTH / 8 + 16,
        );

        let mut counts = Counts::new();
        let step = (row * height / SAMPLE).clamp(1, 32);
        for y in (step / 2..height).step_by(step) {
            let rows = rows(source, y, y + 1, pixel);
            dispatch!(self.level, s => sample(s, rows, &mut self.residual, &mut counts));
        }
        let code = BlockCode::new(&counts);
        let mut data = DataChunks::begin(self.max_chunk, file);
        // Deflate with a window of 32 KiB, no dictionary, the fastest method (RFC 1950, section
        // 2.2).
        data.push(&[0x78, 0x01]);
        let mut adler = Adler32::new();
        let mut rest = Bits::default();
        let mut in_block = false;
        for from in (0..height).step_by(bands) {
            let to = (from + bands).min(height);
            let rows = rows(source, from, to, pixel);
            let mut out = BitWriter::new(&mut self.coded, rest);
            if !in_block {
                code.begin(&mut out);
            }
            let coder = Coder { code: &code, out };
            let band = dispatch!(self.level, s => band(s, rows, &mut self.residual, adler, coder));
            let plain = (to - from) * (row + 1);
            if band.len <= deflate::max_stored(plain) {
                data.push(&self.coded[..band.len]);
                (rest, adler, in_block) = (band.rest, band.adler, true);
                continue;
            }
            // Stored without compression is shorter.
            self.plain.clear();
            for row in rows.iter() {
                self.plain.push(filter::NONE);
                self.plain.extend_from_slice(row);
            }
            adler.add(&self.plain);
            let mut out = BitWriter::new(&mut self.coded, rest);
            if in_block {
                code.end(&mut out);
            }
            deflate::stored(&self.plain, &mut out);
            let (len, none) = out.finish();
            data.push(&self.coded[..len]);
            (rest, in_block) = (none, false);
        }
        let mut out = BitWriter::new(&mut self.coded, rest);
        if in_block {
            code.end(&mut out);
        }
        deflate::last_block(&mut out);
        out.align();
        out.put_bytes(&adler.checksum().to_be_bytes());
        let (len, _) = out.finish();
        data.push(&self.coded[..len]);
        data.end();
        chunk(b"IEND", &[], file);
    }
}

fn grow(buffer: &mut Vec<u8>, len: usize) {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
}

/// Rows of a source, and the one above them.
fn rows(source: &mut impl RowSource, from: usize, to: usize, pixel: usize) -> BandRows<'_> {
    let (above, samples) = source.band(from, to);
    BandRows {
        samples,
        pixel,
        above,
    }
}

/// Counts the symbols of rows.
#[simd]
fn sample<S: Simd>(simd: S, rows: BandRows<'_>, residual: &mut [u8], counts: &mut Counts) {
    rows.filter(simd, residual, &mut Adler32::new(), counts);
}

/// The coded bytes of some rows.
struct Band {
    len: usize,
    rest: Bits,
    adler: Adler32,
}

#[simd]
fn band<S: Simd>(
    simd: S,
    rows: BandRows<'_>,
    residual: &mut [u8],
    mut adler: Adler32,
    mut coder: Coder<'_>,
) -> Band {
    rows.filter(simd, residual, &mut adler, &mut coder);
    let (len, rest) = coder.out.finish();
    Band { len, rest, adler }
}

/// A chunk of a file (PNG specification, section 5.3).
fn chunk(kind: &[u8; 4], body: &[u8], file: &mut Vec<u8>) {
    file.extend_from_slice(&(body.len() as u32).to_be_bytes());
    let start = file.len();
    file.extend_from_slice(kind);
    file.extend_from_slice(body);
    file.extend_from_slice(&crc32fast::hash(&file[start..]).to_be_bytes());
}

/// The picture's data, in one chunk or, if it is too long for one, several.
struct DataChunks<'a> {
    file: &'a mut Vec<u8>,
    max: usize,
    /// Where the open chunk's data begin.
    start: usize,
}

impl<'a> DataChunks<'a> {
    fn begin(max: usize, file: &'a mut Vec<u8>) -> Self {
        let mut data = DataChunks {
            file,
            max,
            start: 0,
        };
        data.open();
        data
    }

    fn open(&mut self) {
        self.file.extend_from_slice(b"\0\0\0\0IDAT");
        self.start = self.file.len();
    }

    fn push(&mut self, mut bytes: &[u8]) {
        while bytes.len() > self.max - (self.file.len() - self.start) {
            let (now, later) = bytes.split_at(self.max - (self.file.len() - self.start));
            self.file.extend_from_slice(now);
            self.close();
            self.open();
            bytes = later;
        }
        self.file.extend_from_slice(bytes);
    }

    fn close(&mut self) {
        let len = (self.file.len() - self.start) as u32;
        self.file[self.start - 8..self.start - 4].copy_from_slice(&len.to_be_bytes());
        let checksum = crc32fast::hash(&self.file[self.start - 4..]);
        self.file.extend_from_slice(&checksum.to_be_bytes());
    }

    fn end(mut self) {
        self.close();
    }
}
