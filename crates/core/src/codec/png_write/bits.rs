//! Packs bits into bytes, the first into the lowest (RFC 1951, section 3.1.1).
use fearless_simd::{Simd, u64x8};
use std::mem;

/// The most bits that [`BitWriter::put`] takes: with the rest of a byte they fit 64.
pub(super) const MAX_BITS: u64 = 56;

/// Up to [`MAX_BITS`] bits, in order from the lowest; the others are 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bits {
    pub(super) bits: u64,
    pub(super) count: u64,
}

impl Bits {
    pub(super) const fn new(bits: u64, count: u64) -> Self {
        Bits { bits, count }
    }

    /// These bits, followed by `later`.
    #[inline(always)]
    pub(super) fn then(self, later: Bits) -> Bits {
        Bits {
            bits: self.bits | later.bits << (self.count & 63),
            count: self.count + later.count,
        }
    }

    /// Eight of them, from vectors.
    #[inline(always)]
    pub(super) fn unpack<S: Simd>(bits: u64x8<S>, counts: u64x8<S>) -> [Bits; 8] {
        let (bits, counts): ([u64; 8], [u64; 8]) = (bits.into(), counts.into());
        std::array::from_fn(|i| Bits {
            bits: bits[i],
            count: counts[i],
        })
    }
}

/// Writes into `out`, which has room for all bits and 8 bytes more.
#[derive(Debug)]
pub(super) struct BitWriter<'a> {
    out: &'a mut [u8],
    /// The original length of `out`.
    room: usize,
    /// Bits that do not yet fill a byte: fewer than 8.
    rest: Bits,
}

impl<'a> BitWriter<'a> {
    /// A writer at the beginning of `out`, which starts with the bits of `rest`, fewer than 8.
    #[inline(always)]
    pub(super) fn new(out: &'a mut [u8], rest: Bits) -> Self {
        BitWriter {
            room: out.len(),
            out,
            rest,
        }
    }

    /// Adds bits.
    #[inline(always)]
    pub(super) fn put(&mut self, bits: Bits) {
        let filled = self.rest.then(bits);
        let out = mem::take(&mut self.out);
        out[..8].copy_from_slice(&filled.bits.to_le_bytes());
        let whole = filled.count & 56;
        self.out = &mut out[whole as usize / 8..];
        self.rest = Bits {
            bits: filled.bits >> whole,
            count: filled.count & 7,
        };
    }

    /// Adds zeros up to the next whole byte.
    pub(super) fn align(&mut self) {
        self.put(Bits::new(0, (8 - self.rest.count) % 8));
    }

    /// Adds whole bytes; for use after [`BitWriter::align`].
    pub(super) fn put_bytes(&mut self, bytes: &[u8]) {
        debug_assert_eq!(self.rest.count, 0);
        let (now, later) = mem::take(&mut self.out).split_at_mut(bytes.len());
        now.copy_from_slice(bytes);
        self.out = later;
    }

    /// The number of filled bytes, and the bits that are left.
    #[inline(always)]
    pub(super) fn finish(self) -> (usize, Bits) {
        (self.room - self.out.len(), self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bit_is_the_lowest() {
        let mut out = [0xee; 24];
        let mut writer = BitWriter::new(&mut out, Bits::default());
        writer.put(
            Bits::new(0b1, 1)
                .then(Bits::new(0b10, 2))
                .then(Bits::default()),
        );
        writer.put(Bits::new(0x00ff_ffff_ffff_ffff, 56));
        writer.align();
        writer.put_bytes(&[1, 2]);
        assert_eq!(writer.finish(), (10, Bits::default()));
        assert_eq!(out[..10], [0xfd, 255, 255, 255, 255, 255, 255, 0b111, 1, 2]);
    }
}
