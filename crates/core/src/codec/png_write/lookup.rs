//! Looks up the codes of many literals at once, with vectors.
//!
//! AVX-512 looks up 64 bytes in a table of 128 with one instruction, so a few instructions give the
//! codes and lengths of all 64. Neighbours are then joined into wider and wider elements. Other
//! instruction sets have no tables of that size: there, one literal after the other is as fast.
use super::{
    bits::{Bits, MAX_BITS},
    tokens::BLOCK,
};
use fearless_simd::{Bytes, Select, Simd, SimdBase, SimdMask, u8x64, u32x16, u64x8};
use fearless_simd_macros::simd;

/// The codes of all literals, of at most 12 bits, split for vectors.
#[derive(Debug)]
pub(super) struct Lookup {
    low: [u8; 256],
    high: [u8; 256],
    counts: [u8; 256],
    /// The code of eight zeros.
    eight_zeros: Bits,
}

/// The bits of a block, for each eight literals.
pub(super) enum BlockBits {
    Eights([Bits; 8]),
    /// Some eights have too many bits for one.
    Fours([[Bits; 2]; 8]),
}

impl Lookup {
    pub(super) fn new(codes: &[Bits; 256], eight_zeros: Bits) -> Self {
        Lookup {
            low: codes.map(|code| code.bits as u8),
            high: codes.map(|code| (code.bits >> 8) as u8),
            counts: codes.map(|code| code.count as u8),
            eight_zeros,
        }
    }

    /// The codes of a block's literals; eight zeros at a multiple of eight have one code together.
    /// `None` where this is not faster than looking up each.
    #[inline(always)]
    #[cfg(target_arch = "x86_64")]
    pub(super) fn words<S: Simd>(&self, simd: S, block: &[u8; BLOCK]) -> Option<BlockBits> {
        match simd.level() {
            fearless_simd::Level::Avx512(simd) => Some(self.look_up(simd, block)),
            _ => None,
        }
    }

    #[inline(always)]
    #[cfg(not(target_arch = "x86_64"))]
    pub(super) fn words<S: Simd>(&self, _: S, _: &[u8; BLOCK]) -> Option<BlockBits> {
        None
    }

    #[simd]
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    fn look_up<S: Simd>(&self, simd: S, block: &[u8; BLOCK]) -> BlockBits {
        let literals = u8x64::from_slice(simd, block);
        let in_half = literals & u8x64::splat(simd, 127);
        let second_half = literals.simd_ge(u8x64::splat(simd, 128));
        let look_up = |table: &[u8; 256]| {
            let quarter = |i: usize| u8x64::from_slice(simd, &table[i * 64..][..64]);
            let first = quarter(0).concat_swizzle_dyn(quarter(1), in_half);
            let second = quarter(2).concat_swizzle_dyn(quarter(3), in_half);
            second_half.select(second, first)
        };
        let low = look_up(&self.low);
        let high = look_up(&self.high);
        let counts = look_up(&self.counts);
        let zero = u8x64::splat(simd, 0);
        let front = fours(
            simd,
            low.zip_low(high).bitcast(),
            counts.zip_low(zero).bitcast(),
        );
        let back = fours(
            simd,
            low.zip_high(high).bitcast(),
            counts.zip_high(zero).bitcast(),
        );

        let eights: u64x8<S> = literals.bitcast();
        let zeros = eights.simd_eq(u64x8::splat(simd, 0));
        let none = u64x8::splat(simd, 0);
        // The first and the second four of each eight.
        let bits = zeros.select(
            u64x8::splat(simd, self.eight_zeros.bits),
            front.0.unzip_low(back.0),
        );
        let count = zeros.select(
            u64x8::splat(simd, self.eight_zeros.count),
            front.1.unzip_low(back.1),
        );
        let more_bits = zeros.select(none, front.0.unzip_high(back.0));
        let more_count = zeros.select(none, front.1.unzip_high(back.1));
        let counts = count + more_count;
        if counts.simd_gt(u64x8::splat(simd, MAX_BITS)).any_true() {
            let first = Bits::unpack(bits, count);
            let second = Bits::unpack(more_bits, more_count);
            BlockBits::Fours(std::array::from_fn(|i| [first[i], second[i]]))
        } else {
            BlockBits::Eights(Bits::unpack(bits | more_bits << count, counts))
        }
    }
}

/// Joins the codes and counts of 32 literals by fours.
#[inline(always)]
fn fours<S: Simd>(simd: S, codes: u32x16<S>, counts: u32x16<S>) -> (u64x8<S>, u64x8<S>) {
    let low = u32x16::splat(simd, 0xffff);
    let first = counts & low;
    let pairs: u64x8<S> = (codes & low | (codes >> 16) << first).bitcast();
    let counts: u64x8<S> = (first + (counts >> 16)).bitcast();

    let low = u64x8::splat(simd, 0xffff_ffff);
    let first = counts & low;
    (pairs & low | (pairs >> 32) << first, first + (counts >> 32))
}
