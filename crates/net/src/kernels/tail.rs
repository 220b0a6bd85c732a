//! The last convolution: transposed, 2x2 with stride 2, to one channel, and the logistic.
//!
//! A vector repeats four channels of a pixel, and is multiplied with their weights for the four
//! places of the square. Then neighbouring elements of the vector are added, twice, which leaves
//! one number per pixel and place. So pixels need not be transposed into vectors of one channel.
use super::{
    row::block,
    vector::{Vector, logistic2},
};
use fearless_simd::{f32x4, f32x8, f32x16, f64x8, prelude::*};
use fearless_simd_macros::simd;

/// The order in which [`tail`] reads weights `[c][4]` (in a square: above left and right, below
/// left and right): `[c / 4][4][4]`, four channels for each place.
pub(crate) fn by_place(weights: &[f32]) -> Vec<f32> {
    let four = weights.as_chunks::<16>().0.iter();
    four.flat_map(|four| (0..16).map(|i| four[i % 4 * 4 + i / 4]))
        .collect()
}

/// A plain row `x` of `w` pixels, a multiple of 16, gives two rows of `2 w` values in `out`.
/// `weights` are in the order of [`by_place`]; they and `bias` carry the factor `-log2(e)` of the
/// logistic.
#[simd]
pub(crate) fn tail<S: Simd>(s: S, x: &[f32], weights: &[f32], bias: f32, out: &mut [f32]) {
    let t = TailOperands {
        x,
        w: out.len() / 4,
        weights: weights.as_chunks().0,
        bias,
    };
    let (above, below) = out.split_at_mut(2 * t.w);
    let outputs = above
        .as_chunks_mut::<16>()
        .0
        .iter_mut()
        .zip(below.as_chunks_mut::<16>().0);
    for (i, outputs) in outputs.enumerate() {
        if S::f32s::LEN == 16 {
            squares16(s, &t, i * 8, outputs);
        } else {
            squares8(s, &t, i * 8, outputs);
        }
    }
    // In a separate loop, whose turns do not wait for each other.
    if S::f32s::LEN == 16 {
        apply_logistic::<S, f32x16<S>>(s, out);
    } else {
        apply_logistic::<S, f32x8<S>>(s, out);
    }
}

#[inline(always)]
fn apply_logistic<S: Simd, V: Vector<S>>(s: S, values: &mut [f32]) {
    for v in values.chunks_exact_mut(V::LEN) {
        logistic2(s, V::load(s, v)).store(v);
    }
}

/// The inputs of all squares of a row.
struct TailOperands<'a> {
    x: &'a [f32],
    w: usize,
    weights: &'a [[f32; 16]],
    bias: f32,
}

/// The arguments of the logistic for 8 pixels from pixel `p` on.
#[inline(always)]
fn squares16<S: Simd>(
    s: S,
    t: &TailOperands<'_>,
    p: usize,
    (above, below): (&mut [f32; 16], &mut [f32; 16]),
) {
    let bias = f32x16::all(s, t.bias);
    // the squares of four pixels, one after the other
    let [a, b] = [0, 4].map(
        #[inline(always)]
        |q| {
            let [[a], [b], [c], [d]] = products::<S, f32x16<S>, 1>(s, t, p + q);
            let pairs = pair_sums(pair_sums(a, b), pair_sums(c, d));
            (pairs + bias).bitcast::<f64x8<S>>()
        },
    );
    // moves two neighbours of a square at once
    let (a, b) = a.deinterleave(b);
    Vector::store(a.bitcast::<f32x16<S>>(), above);
    Vector::store(b.bitcast::<f32x16<S>>(), below);
}

/// The sums of neighbouring elements, those of `a` in front of those of `b`.
#[inline(always)]
fn pair_sums<S: Simd>(a: f32x16<S>, b: f32x16<S>) -> f32x16<S> {
    let (even, odd) = a.deinterleave(b);
    even + odd
}

/// The same with vectors of 8.
#[inline(always)]
fn squares8<S: Simd>(
    s: S,
    t: &TailOperands<'_>,
    p: usize,
    (above, below): (&mut [f32; 16], &mut [f32; 16]),
) {
    let bias = f32x8::all(s, t.bias);
    for q in [0, 4] {
        let [a, b, c, d] = products::<S, f32x8<S>, 2>(s, t, p + q);
        for (i, out) in [&mut *above, &mut *below].into_iter().enumerate() {
            let sums = half_pair_sums(half_pair_sums(a[i], b[i]), half_pair_sums(c[i], d[i]));
            // four pixels' left places, then their right ones
            let (left, right) = (sums + bias).split();
            let (first, last) = left.interleave(right);
            Vector::store(first.combine(last), &mut out[2 * q..]);
        }
    }
}

/// The sums of neighbouring elements; in each half of the result, those of `a` are in front of
/// those of `b`.
#[inline(always)]
fn half_pair_sums<S: Simd>(a: f32x8<S>, b: f32x8<S>) -> f32x8<S> {
    let (a_low, a_high) = a.split();
    let (b_low, b_high) = b.split();
    let (low_even, low_odd) = a_low.deinterleave(b_low);
    let (high_even, high_odd) = a_high.deinterleave(b_high);
    low_even.combine(high_even) + low_odd.combine(high_odd)
}

/// For four pixels from pixel `p` on, the numbers that add up to their squares: four per place.
#[inline(always)]
fn products<S: Simd, V: Repeated<S>, const N: usize>(
    s: S,
    t: &TailOperands<'_>,
    p: usize,
) -> [[V; N]; 4] {
    let mut sums = [[V::all(s, 0.0); N]; 4];
    let c = 4 * t.weights.len();
    let whole = c / block::<S>() * block::<S>();
    for first in (0..whole).step_by(block::<S>()) {
        if S::f32s::LEN == 16 {
            add_block::<S, V, N, 16>(s, t, p, first, &mut sums);
        } else {
            add_block::<S, V, N, 8>(s, t, p, first, &mut sums);
        }
    }
    if whole < c {
        add_block::<S, V, N, 8>(s, t, p, whole, &mut sums);
    }
    sums
}

/// Adds the products of the block of `B` channels from channel `first` on.
#[inline(always)]
fn add_block<S: Simd, V: Repeated<S>, const N: usize, const B: usize>(
    s: S,
    t: &TailOperands<'_>,
    p: usize,
    first: usize,
    sums: &mut [[V; N]; 4],
) {
    let x = &t.x[first * t.w + p * B..][..4 * B];
    let weights = &t.weights[first / 4..][..B / 4];
    for (i, weights) in weights.iter().enumerate() {
        for (q, sums) in sums.iter_mut().enumerate() {
            let v = V::repeated(f32x4::from_slice(s, &x[q * B + i * 4..][..4]));
            for (sum, weights) in sums.iter_mut().zip(weights.chunks_exact(V::LEN)) {
                *sum = v.times_plus(V::load(s, weights), *sum);
            }
        }
    }
}

/// A vector that can hold the same four numbers again and again.
trait Repeated<S: Simd>: Vector<S> {
    fn repeated(four: f32x4<S>) -> Self;
}

impl<S: Simd> Repeated<S> for f32x8<S> {
    #[inline(always)]
    fn repeated(four: f32x4<S>) -> Self {
        Self::block_splat(four)
    }
}

impl<S: Simd> Repeated<S> for f32x16<S> {
    #[inline(always)]
    fn repeated(four: f32x4<S>) -> Self {
        Self::block_splat(four)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernels::testing::{assert_close, block_at, numbers, stored_row},
        simd::SimdLevel,
    };
    use fearless_simd::dispatch;

    #[test]
    fn every_level_agrees_with_a_plain_loop() {
        for (w, c) in [(16, 8), (32, 16), (128, 16), (48, 24)] {
            let x = numbers(1, w * c);
            let weights = numbers(2, c * 4);
            let bias = 0.25;
            let mut expected = vec![0f32; 4 * w];
            for (i, e) in expected.iter_mut().enumerate() {
                let row = i / (2 * w);
                let column = i % (2 * w);
                let place = row * 2 + column % 2;
                let sum: f32 = (0..c)
                    .map(|ch| x[column / 2 * c + ch] * weights[ch * 4 + place])
                    .sum();
                *e = 1.0 / (1.0 + (bias + sum).exp2());
            }
            let weights = by_place(&weights);
            for level in SimdLevel::available() {
                let mut out = vec![f32::NAN; 4 * w];
                dispatch!(level.level().unwrap(), s => {
                    tail(s, &stored_row(&x, c, block_at(level)), &weights, bias, &mut out)
                });
                assert_close(
                    &out,
                    &expected,
                    &format!("{level}, {c} channels, {w} pixels"),
                );
            }
        }
    }
}
