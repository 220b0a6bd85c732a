//! A zlib stream (RFC 1950, 1951) for rows of a PNG file that hold differences to the row above.
//!
//! Such rows have two kinds of content: zeros, where a background is constant, and small differences. So only runs of zeros
//! are looked for, and one Huffman code, made for this distribution, is used for everything: one pass, without statistics.
//! fdeflate has the same idea; the code here is fitted to people on backgrounds, and the loop needs no memory but its output.
use fearless_simd::{Level, Simd, dispatch};
use fearless_simd_macros::simd;
use simd_adler32::Adler32;

/// Symbols of the literal and length alphabet: bytes, the end, lengths of matches.
const SYMBOLS: usize = 286;
const END: usize = 256;
/// The longest match, and its symbol.
const LONGEST: usize = 258;
const LONGEST_SYMBOL: usize = 285;
/// The code's longest word in bits.
const MAX_BITS: usize = 12;

/// Bits of each symbol's word, as runs `(symbols, bits)`: first the bytes from 0 to 255 (from 128 on small negative
/// differences), then the end and the lengths. Package-merge (at most [`MAX_BITS`]) over the sample clip at 640x360 and 1280x720 on gray,
/// transparent and blurred backgrounds, made monotonous.
#[rustfmt::skip]
const BITS: [(usize, u8); 34] = [
    (1, 2), (1, 3), (1, 4), (2, 6), (1, 7), (3, 8), (6, 9), (6, 10), (9, 11), (197, 12),
    (9, 11), (6, 10), (6, 9), (3, 8), (1, 7), (1, 6), (1, 5), (1, 4), (1, 2),
    (3, 12), (1, 7), (2, 10), (1, 8), (2, 11), (1, 8), (1, 9), (3, 10), (1, 9), (2, 11), (1, 10), (5, 11), (2, 12), (4, 11), (1, 7),
];

/// Each symbol's word, its first bit lowest, and above 16 bits its length.
static WORDS: [u32; SYMBOLS] = words(&lengths());

/// For the lengths 3 to 257: the word of the length's symbol, its extra bits, and the word of distance 1 (one bit, 0), as [`WORDS`].
static MATCHES: [u32; LONGEST] = matches();

const fn lengths() -> [u8; SYMBOLS] {
    let mut lengths = [0; SYMBOLS];
    let (mut run, mut at) = (0, 0);
    while run < BITS.len() {
        let mut i = 0;
        while i < BITS[run].0 {
            lengths[at] = BITS[run].1;
            (i, at) = (i + 1, at + 1);
        }
        run += 1;
    }
    assert!(at == SYMBOLS);
    lengths
}

/// The canonical code with words of these lengths (RFC 1951, 3.2.2).
const fn words(lengths: &[u8; SYMBOLS]) -> [u32; SYMBOLS] {
    let mut words = [0; SYMBOLS];
    let (mut code, mut bits) = (0u32, 1);
    while bits <= MAX_BITS {
        let mut i = 0;
        while i < SYMBOLS {
            if lengths[i] as usize == bits {
                words[i] = code.reverse_bits() >> (32 - bits) | (bits as u32) << 16;
                code += 1;
            }
            i += 1;
        }
        code <<= 1;
        bits += 1;
    }
    assert!(code == 2 << MAX_BITS, "the code is not complete");
    words
}

/// RFC 1951, 3.2.5: from 11 on, four symbols share a number of extra bits.
const fn matches() -> [u32; LONGEST] {
    let mut table = [0; LONGEST];
    let words = words(&lengths());
    let mut length = 3;
    while length < LONGEST {
        let v = length as u32 - 3;
        let extra = if v < 8 { 0 } else { v.ilog2() - 2 };
        let symbol = 257 + if v < 8 { v } else { extra * 4 + (v >> extra) };
        let word = words[symbol as usize];
        let (code, bits) = (word & 0xffff, word >> 16);
        table[length] = code | (v & ((1 << extra) - 1)) << bits | (bits + extra + 1) << 24;
        length += 1;
    }
    table
}

/// Bytes behind a row that are not zero, so that a run of zeros ends and eight bytes can be read everywhere.
const GUARD: [u8; 8] = [1; 8];
/// PNG's number of the filter that takes the difference to the row above.
const UP: u8 = 2;

/// A stream while it is written. Its buffers are used again.
#[derive(Debug)]
pub(super) struct Deflate {
    level: Level,
    bits: Bits,
    /// The checksum of the rows so far.
    adler: u32,
    /// The filter's number, one row of differences, and [`GUARD`].
    row: Vec<u8>,
    /// What became of it, and some room.
    coded: Vec<u8>,
}

/// What has been coded but not written, the first bit lowest.
#[derive(Debug, Default, Clone, Copy)]
struct Bits {
    word: u64,
    count: u32,
}

impl Bits {
    /// At most 57 bits in all fit between two flushes.
    #[inline(always)]
    fn put(&mut self, word: u32, count: u32) {
        self.word |= u64::from(word) << self.count;
        self.count += count;
    }

    #[inline(always)]
    fn symbol(&mut self, symbol: usize) {
        self.put(WORDS[symbol] & 0xffff, WORDS[symbol] >> 16);
    }

    /// Writes whole bytes to `out` at `at`, of which up to 8 more than counted, and gives where the next ones go.
    #[inline(always)]
    fn flush(&mut self, out: &mut [u8], at: usize) -> usize {
        out[at..at + 8].copy_from_slice(&self.word.to_le_bytes());
        let bytes = self.count / 8;
        self.word >>= bytes * 8;
        self.count %= 8;
        at + bytes as usize
    }

    fn flush_to(&mut self, into: &mut Vec<u8>) {
        let mut bytes = [0; 8];
        let n = self.flush(&mut bytes, 0);
        into.extend_from_slice(&bytes[..n]);
    }
}

impl Default for Deflate {
    fn default() -> Self {
        Deflate { level: Level::new(), bits: Bits::default(), adler: 1, row: Vec::new(), coded: Vec::new() }
    }
}

impl Deflate {
    /// Begins a stream: the headers of zlib and of its only block, with the code's lengths (RFC 1951, 3.2.7).
    pub(super) fn begin(&mut self, into: &mut Vec<u8>) {
        (self.bits, self.adler) = (Bits::default(), 1);
        into.extend_from_slice(&[0x78, 0x01]);
        // the last block, dynamic; 29 lengths, 1 distance, 19 lengths of the code for the lengths
        for (value, bits) in [(1, 1), (2, 2), (29, 5), (0, 5), (15, 4)] {
            self.bits.put(value, bits);
        }
        self.bits.flush_to(into);
        // that code: four bits for the lengths 1 to 15 and for "repeat" (16), which is written first
        for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15u32] {
            self.bits.put(if matches!(symbol, 1..=16) { 4 } else { 0 }, 3);
            self.bits.flush_to(into);
        }
        let word = |symbol: u32| (symbol - 1).reverse_bits() >> 28;
        for equal in lengths().chunk_by(|a, b| a == b) {
            self.bits.put(word(equal[0].into()), 4);
            let mut left = equal.len() as u32 - 1;
            while left > 0 {
                // "repeat" does it 3 to 6 times
                let times = if left < 3 { 1 } else { left.min(6) };
                if times < 3 {
                    self.bits.put(word(equal[0].into()), 4);
                } else {
                    self.bits.put(word(16) | (times - 3) << 4, 6);
                }
                left -= times;
                self.bits.flush_to(into);
            }
            self.bits.flush_to(into);
        }
        // the only distance, 1, has one bit
        self.bits.put(word(1), 4);
        self.bits.flush_to(into);
    }

    /// Adds a row of samples, as the difference to the row `above` where there is one.
    pub(super) fn row(&mut self, row: &[u8], above: Option<&[u8]>, into: &mut Vec<u8>) {
        let end = row.len() + 1;
        self.row.resize(end + GUARD.len(), 0);
        self.row[0] = UP;
        self.row[end..].copy_from_slice(&GUARD);
        match above {
            Some(above) => dispatch!(self.level, s => differences(s, row, above, &mut self.row[1..end])),
            None => self.row[1..end].copy_from_slice(row),
        }
        let mut adler = Adler32::from_checksum(self.adler);
        adler.write(&self.row[..end]);
        self.adler = adler.finish();
        self.coded.resize(end * MAX_BITS / 8 + 16, 0);
        let written = dispatch!(self.level, s => code(s, &self.row, &mut self.bits, &mut self.coded));
        into.extend_from_slice(&self.coded[..written]);
    }

    /// Ends the stream.
    pub(super) fn end(&mut self, into: &mut Vec<u8>) {
        self.bits.symbol(END);
        self.bits.put(0, 7);
        self.bits.flush_to(into);
        into.extend_from_slice(&self.adler.to_be_bytes());
    }
}

#[simd]
fn differences<S: Simd>(_simd: S, row: &[u8], above: &[u8], into: &mut [u8]) {
    for ((into, v), above) in into.iter_mut().zip(row).zip(above) {
        *into = v.wrapping_sub(*above);
    }
}

/// Codes a row, which has [`GUARD`] behind it, to `out`; gives how many bytes that made.
#[simd]
fn code<S: Simd>(_simd: S, row: &[u8], carried: &mut Bits, out: &mut [u8]) -> usize {
    let end = row.len() - GUARD.len();
    let eight = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| row[at..at + 8][i]));
    let mut bits = *carried;
    let (mut at, mut to) = (0, 0);
    while at < end {
        let v = eight(at);
        if v == 0 {
            let more = row[at + 8..].as_chunks::<32>().0.iter().take_while(|chunk| **chunk == [0; 32]).count();
            let mut stop = at + 8 + more * 32;
            while eight(stop) == 0 {
                stop += 8;
            }
            stop += eight(stop).trailing_zeros() as usize / 8;
            to = zeros(stop - at, &mut bits, out, to);
            at = stop;
        } else {
            // Zeros at the end begin a run if it goes on; to look for shorter runs would cost more time than it saves bytes.
            let begun = if at + 16 <= row.len() && eight(at + 8) == 0 { v.leading_zeros() as usize / 8 } else { 0 };
            let n = (8 - begun).min(end - at);
            if n == 8 {
                for i in 0..2 {
                    row[at + 4 * i..at + 4 * i + 4].iter().for_each(|&byte| bits.symbol(byte.into()));
                    to = bits.flush(out, to);
                }
            } else {
                for &byte in &row[at..at + n] {
                    bits.symbol(byte.into());
                    to = bits.flush(out, to);
                }
            }
            at += n;
        }
    }
    *carried = bits;
    to
}

/// Codes a run of zeros: one of them, then matches at distance 1.
#[inline(always)]
fn zeros(run: usize, bits: &mut Bits, out: &mut [u8], mut to: usize) -> usize {
    bits.symbol(0);
    let mut left = run - 1;
    while left >= LONGEST {
        bits.symbol(LONGEST_SYMBOL);
        bits.put(0, 1);
        to = bits.flush(out, to);
        left -= LONGEST;
    }
    if left > 4 {
        bits.put(MATCHES[left] & 0xff_ffff, MATCHES[left] >> 24);
    } else {
        (0..left).for_each(|_| bits.symbol(0));
    }
    bits.flush(out, to)
}
