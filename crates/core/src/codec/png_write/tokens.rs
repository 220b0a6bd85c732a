//! Splits filtered rows into literals and runs of zeros.
use super::{
    adler::Adler32,
    filter::{PAETH, changed, paeth},
};
use fearless_simd::{Simd, SimdBase, SimdMask};
use std::ops::Range;

/// Bytes that are read at a time.
pub(super) const BLOCK: usize = 64;

/// Takes the bytes of filtered rows, in order.
pub(super) trait TokenSink {
    fn literal(&mut self, byte: u8);
    /// A block of bytes; eight bytes at a multiple of eight may be zeros.
    fn block<S: Simd>(&mut self, simd: S, bytes: &[u8; BLOCK]);
    /// Eight bytes, the first lowest.
    fn eight(&mut self, bytes: u64);
    /// At least one zero.
    fn zeros(&mut self, count: usize);
}

/// Some rows of samples without gaps, `pixel` bytes a pixel.
#[derive(Debug, Clone, Copy)]
pub(super) struct BandRows<'a> {
    pub(super) samples: &'a [u8],
    pub(super) pixel: usize,
    /// The row above them: zeros above a picture's first (PNG specification, section 9.2).
    pub(super) above: &'a [u8],
}

impl<'a> BandRows<'a> {
    /// The rows, from top to bottom.
    pub(super) fn iter(&self) -> impl Iterator<Item = &'a [u8]> {
        self.samples.chunks_exact(self.above.len())
    }

    /// Filters the rows into `sink` and `adler`; `residual` is scratch, [`scratch`] long.
    #[inline(always)]
    pub(super) fn filter<S: Simd>(
        &self,
        simd: S,
        residual: &mut [u8],
        adler: &mut Adler32,
        sink: &mut impl TokenSink,
    ) {
        let mut above = self.above;
        for row in self.iter() {
            sink.literal(PAETH);
            adler.add(&[PAETH]);
            let part = changed(above, row, self.pixel);
            adler.add_zeros(part.start);
            paeth(simd, above, row, self.pixel, part.clone(), residual);
            adler.add(&residual[part.clone()]);
            adler.add_zeros(row.len() - part.end);
            // The last bytes need a whole block too.
            residual[part.end..part.end + BLOCK].fill(0);
            tokens(simd, residual, part, row.len(), sink);
            above = row;
        }
    }
}

/// The length of the scratch of [`BandRows::filter`], for rows of `row` bytes.
pub(super) fn scratch(row: usize) -> usize {
    row + BLOCK
}

/// Puts the first `row` bytes of `bytes` into `sink`. All bytes outside `part` count as 0: those
/// before it are not read, and at least a block behind it must be 0.
///
/// A processor cannot predict where a run of zeros begins and ends, so each costs about as much
/// time as 30 literals. Only runs of half a block are found here; [`TokenSink::block`] handles
/// shorter ones.
#[inline(always)]
fn tokens<S: Simd>(
    simd: S,
    bytes: &[u8],
    part: Range<usize>,
    row: usize,
    sink: &mut impl TokenSink,
) {
    let mut run_start = 0;
    let mut at = part.start;
    loop {
        // A run of zeros.
        while at < part.end {
            match not_zero(simd, block(bytes, at)).trailing_zeros() {
                64 => at += BLOCK,
                zeros => {
                    at += zeros as usize;
                    break;
                }
            }
        }
        if at >= part.end {
            break;
        }
        if at > run_start {
            sink.zeros(at - run_start);
        }
        // Other bytes.
        let zeros_from = loop {
            if at >= part.end {
                break at;
            }
            if at + BLOCK > row {
                break row;
            }
            let not_zero = not_zero(simd, block(bytes, at));
            if not_zero as u32 == 0 {
                break at;
            }
            if not_zero >> 32 == 0 {
                break at + BLOCK - not_zero.leading_zeros() as usize / 8 * 8;
            }
            sink.block(simd, block(bytes, at));
            at += BLOCK;
        };
        let (eights, rest) = bytes[at..zeros_from].as_chunks::<8>();
        for eight in eights {
            sink.eight(u64::from_le_bytes(*eight));
        }
        for &byte in rest {
            sink.literal(byte);
        }
        (run_start, at) = (zeros_from, zeros_from);
    }
    if row > run_start {
        sink.zeros(row - run_start);
    }
}

#[inline(always)]
fn block(bytes: &[u8], at: usize) -> &[u8; BLOCK] {
    &bytes[at..].as_chunks().0[0]
}

/// A bit for each byte, the first lowest: whether it is other than 0.
#[inline(always)]
fn not_zero<S: Simd>(simd: S, block: &[u8; BLOCK]) -> u64 {
    block
        .chunks_exact(S::u8s::LEN)
        .rev()
        .fold(0, |bits, bytes| {
            let not_zero = S::u8s::from_slice(simd, bytes)
                .simd_ne(S::u8s::splat(simd, 0))
                .to_bitmask();
            // A vector of 64 bytes is a whole block; a shift by 64 gives 0.
            bits.unbounded_shl(S::u8s::LEN as u32) | not_zero
        })
}
