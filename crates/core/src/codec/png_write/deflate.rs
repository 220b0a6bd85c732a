//! The deflate format (RFC 1951) for filtered rows: blocks with their own code, and stored blocks.
use super::{
    bits::{BitWriter, Bits},
    huffman::{MAX_LENGTH, codes, lengths},
    lookup::{BlockBits, Lookup},
    tokens::{BLOCK, TokenSink},
};
use fearless_simd::Simd;

/// Literals, the end of the block, and the lengths of matches (section 3.2.5).
const SYMBOLS: usize = 286;
const END: usize = 256;
/// The longest match.
const MAX_MATCH: usize = 258;
/// The most bytes of a stored block (section 3.2.4).
const MAX_STORED: usize = 65_535;
/// The longest header of a block: 17 bits, 19 lengths of 3, and 287 of at most 7 bits and 7 more.
pub(super) const MAX_HEADER: usize = 520;

/// Symbol, extra bits and their value for a match of `len`, 3 to 258 (section 3.2.5).
const fn match_symbol(len: usize) -> (usize, u64, u64) {
    if len == MAX_MATCH {
        return (285, 0, 0);
    }
    let over = len - 3;
    if over < 8 {
        return (257 + over, 0, 0);
    }
    // Four symbols for each power of two.
    let extra = over.ilog2() - 2;
    (
        257 + 4 * extra as usize + (over >> extra),
        extra as u64,
        (over & ((1 << extra) - 1)) as u64,
    )
}

/// How often each symbol of a block is used.
#[derive(Debug)]
pub(super) struct Counts([u32; SYMBOLS]);

impl Counts {
    /// None yet.
    pub(super) fn new() -> Self {
        Counts([0; SYMBOLS])
    }
}

impl TokenSink for Counts {
    #[inline(always)]
    fn literal(&mut self, byte: u8) {
        self.0[usize::from(byte)] += 1;
    }

    #[inline(always)]
    fn block<S: Simd>(&mut self, _: S, bytes: &[u8; BLOCK]) {
        for eight in bytes.as_chunks::<8>().0 {
            self.eight(u64::from_le_bytes(*eight));
        }
    }

    #[inline(always)]
    fn eight(&mut self, bytes: u64) {
        if bytes == 0 {
            self.0[0] += 1;
            self.0[match_symbol(7).0] += 1;
            return;
        }
        for byte in bytes.to_le_bytes() {
            self.literal(byte);
        }
    }

    #[inline(always)]
    fn zeros(&mut self, count: usize) {
        self.literal(0);
        let matches = (count - 1) / MAX_MATCH;
        self.0[285] += matches as u32;
        match (count - 1) % MAX_MATCH {
            0 => {}
            left @ 1..=2 => self.0[0] += left as u32,
            left => self.0[match_symbol(left).0] += 1,
        }
    }
}

/// The code of a block.
#[derive(Debug)]
pub(super) struct BlockCode {
    lengths: [u8; SYMBOLS],
    literals: [Bits; 256],
    end: Bits,
    /// For each number of further zeros after a zero: a match of distance 1, or literals where they
    /// are shorter.
    more_zeros: [Bits; MAX_MATCH + 1],
    /// A zero and seven more.
    eight_zeros: Bits,
    lookup: Lookup,
}

impl BlockCode {
    /// The code of a picture, from the counted symbols of some of its rows. It has every symbol,
    /// because the other rows may use it.
    pub(super) fn new(sample: &Counts) -> Self {
        let mut counts = sample
            .0
            .map(|count| count.saturating_mul(8).saturating_add(1));
        counts[END] = 1;
        let lengths = lengths(&counts, MAX_LENGTH);
        let codes: [Bits; SYMBOLS] = codes(&lengths);
        let mut more_zeros = [Bits::default(); MAX_MATCH + 1];
        let mut literals = Bits::default();
        for (len, more) in more_zeros.iter_mut().enumerate() {
            if len >= 3 {
                let (symbol, extra, value) = match_symbol(len);
                // The only distance has a code of one bit, 0 (section 3.2.7).
                *more = codes[symbol]
                    .then(Bits::new(value, extra))
                    .then(Bits::new(0, 1));
            }
            if len < 3 || literals.count <= more.count {
                *more = literals;
            }
            if literals.count <= 24 {
                literals = literals.then(codes[0]);
            }
        }
        let literals = std::array::from_fn(|byte| codes[byte]);
        let eight_zeros = codes[0].then(more_zeros[7]);
        let lookup = Lookup::new(&literals, eight_zeros);
        BlockCode {
            lengths,
            literals,
            end: codes[END],
            more_zeros,
            eight_zeros,
            lookup,
        }
    }

    /// Begins a block with this code that is not the last (section 3.2.7).
    pub(super) fn begin(&self, out: &mut BitWriter<'_>) {
        /// The order of the lengths of the code for lengths.
        const ORDER: [usize; 19] = [
            16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
        ];
        const REPEAT: usize = 16;
        // The last is the only distance: 1, of length 1.
        let all = || self.lengths.iter().copied().chain([1]);
        // A length, or how often the one before is repeated, less 3.
        let mut words: [(usize, u64); SYMBOLS + 1] = [(0, 0); SYMBOLS + 1];
        let mut len = 0;
        let mut before = None;
        let mut repeats = 0;
        let mut counts = [0u32; 19];
        for length in all().map(Some).chain([None]) {
            if length == before && repeats < 6 {
                repeats += 1;
                continue;
            }
            if repeats >= 3 {
                words[len] = (REPEAT, repeats - 3);
                len += 1;
            } else if let Some(before) = before {
                for _ in 0..repeats {
                    words[len] = (usize::from(before), 0);
                    len += 1;
                }
            }
            repeats = 0;
            if let Some(length) = length {
                words[len] = (usize::from(length), 0);
                len += 1;
            }
            before = length;
        }
        let words = &words[..len];
        for &(symbol, _) in words {
            counts[symbol] += 1;
        }
        let lengths = lengths(&counts, 7);
        let codes: [Bits; 19] = codes(&lengths);
        let used = ORDER
            .iter()
            .rposition(|&symbol| lengths[symbol] > 0)
            .map_or(4, |last| (last + 1).max(4));

        out.put(Bits::new(0b100, 3));
        out.put(
            Bits::new((SYMBOLS - 257) as u64, 5)
                .then(Bits::new(0, 5))
                .then(Bits::new(used as u64 - 4, 4)),
        );
        for &symbol in &ORDER[..used] {
            out.put(Bits::new(lengths[symbol].into(), 3));
        }
        for &(symbol, repeats) in words {
            out.put(codes[symbol].then(Bits::new(repeats, if symbol == REPEAT { 2 } else { 0 })));
        }
    }

    /// Ends the block.
    pub(super) fn end(&self, out: &mut BitWriter<'_>) {
        out.put(self.end);
    }
}

/// Ends the stream with an empty block of the fixed code (section 3.2.6).
pub(super) fn last_block(out: &mut BitWriter<'_>) {
    out.put(Bits::new(0b011, 10));
}

/// Writes `bytes` without compression (section 3.2.4).
pub(super) fn stored(bytes: &[u8], out: &mut BitWriter<'_>) {
    for part in bytes.chunks(MAX_STORED) {
        out.put(Bits::new(0b000, 3));
        out.align();
        let len = part.len() as u16;
        out.put_bytes(&len.to_le_bytes());
        out.put_bytes(&(!len).to_le_bytes());
        out.put_bytes(part);
    }
}

/// The most bytes that [`stored`] writes for `len`, with the end of a block before.
pub(super) fn max_stored(len: usize) -> usize {
    len + len.div_ceil(MAX_STORED) * 5 + 2
}

/// Writes rows in a block's code.
#[derive(Debug)]
pub(super) struct Coder<'a> {
    pub(super) code: &'a BlockCode,
    pub(super) out: BitWriter<'a>,
}

impl TokenSink for Coder<'_> {
    #[inline(always)]
    fn literal(&mut self, byte: u8) {
        self.out.put(self.code.literals[usize::from(byte)]);
    }

    #[inline(always)]
    fn block<S: Simd>(&mut self, simd: S, bytes: &[u8; BLOCK]) {
        match self.code.lookup.words(simd, bytes) {
            Some(BlockBits::Eights(eights)) => {
                for eight in eights {
                    self.out.put(eight);
                }
            }
            Some(BlockBits::Fours(fours)) => {
                for four in fours.as_flattened() {
                    self.out.put(*four);
                }
            }
            None => {
                for eight in bytes.as_chunks::<8>().0 {
                    self.eight(u64::from_le_bytes(*eight));
                }
            }
        }
    }

    #[inline(always)]
    fn eight(&mut self, bytes: u64) {
        if bytes == 0 {
            self.out.put(self.code.eight_zeros);
            return;
        }
        let code = |byte: u32| self.code.literals[usize::from((bytes >> (byte * 8)) as u8)];
        self.out
            .put(code(0).then(code(1)).then(code(2).then(code(3))));
        self.out
            .put(code(4).then(code(5)).then(code(6).then(code(7))));
    }

    #[inline(always)]
    fn zeros(&mut self, count: usize) {
        let mut more = count - 1;
        let mut bits = self.code.literals[0];
        while more > MAX_MATCH {
            self.out.put(bits);
            bits = self.code.more_zeros[MAX_MATCH];
            more -= MAX_MATCH;
        }
        self.out.put(bits.then(self.code.more_zeros[more]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_have_the_symbols_of_the_specification() {
        for (len, symbol) in [
            (3, 257),
            (10, 264),
            (11, 265),
            (12, 265),
            (13, 266),
            (18, 268),
            (19, 269),
            (34, 272),
            (35, 273),
        ] {
            assert_eq!(match_symbol(len).0, symbol, "{len}");
        }
        assert_eq!(match_symbol(130), (280, 4, 15));
        assert_eq!(match_symbol(131), (281, 5, 0));
        assert_eq!(match_symbol(257), (284, 5, 30));
        assert_eq!(match_symbol(258), (285, 0, 0));
    }
}
