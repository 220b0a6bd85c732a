//! The last convolution: transposed, 2x2 with stride 2, to one channel, and the logistic.
use super::vector::{Vector, logistic2};
use fearless_simd::{f32x4, f32x8, prelude::*};
use fearless_simd_macros::simd;

/// A row `x` `[c/8][w][8]`, `w` a multiple of 16, gives two rows of `2 w` values in `out`. `weights` `[c][4]` (in a square: above left and right, below left
/// and right) and `bias` carry the factor `-log2(e)` of the logistic.
#[simd]
pub(in crate::model) fn tail<S: Simd>(s: S, x: &[f32], weights: &[f32], bias: f32, out: &mut [f32]) {
    let w = out.len() / 4;
    let (above, below) = out.split_at_mut(2 * w);
    let outputs = above.as_chunks_mut::<32>().0.iter_mut().zip(below.as_chunks_mut::<32>().0);
    for (i, (above, below)) in outputs.enumerate() {
        // by 8 pixels and place in the square
        let mut sums = [[f32x8::all(s, bias); 4]; 2];
        for (block, weights) in weights.as_chunks::<32>().0.iter().enumerate() {
            let x = &x[(block * w + i * 16) * 8..][..128];
            for (four, weights) in weights.as_chunks::<16>().0.iter().enumerate() {
                for (h, sums) in sums.iter_mut().enumerate() {
                    let channels = transposed(s, &x[h * 64 + four * 4..]);
                    for (c, channel) in channels.into_iter().enumerate() {
                        for (j, sum) in sums.iter_mut().enumerate() {
                            let weight = f32x8::all(s, weights[c * 4 + j]);
                            *sum = Vector::times_plus(channel, weight, *sum);
                        }
                    }
                }
            }
        }
        for (h, sums) in sums.into_iter().enumerate() {
            let [a, b, c, d] = sums.map(
                #[inline(always)]
                |v| logistic2(s, v),
            );
            for (out, (left, right)) in [(&mut *above, a.interleave(b)), (&mut *below, c.interleave(d))] {
                Vector::store(left, &mut out[h * 16..]);
                Vector::store(right, &mut out[h * 16 + 8..]);
            }
        }
    }
}

/// The first four of 8 channels of 8 pixels: one vector per channel.
#[inline(always)]
fn transposed<S: Simd>(s: S, x: &[f32]) -> [f32x8<S>; 4] {
    let x = &x[..60];
    let pixel = |i: usize| f32x4::from_slice(s, &x[i * 8..i * 8 + 4]);
    // pixels 0..4 in the low half, 4..8 in the high half
    let v = [0, 1, 2, 3].map(
        #[inline(always)]
        |i| pixel(i).combine(pixel(i + 4)),
    );
    let (low02, high02) = unpack(v[0], v[2]);
    let (low13, high13) = unpack(v[1], v[3]);
    let (c0, c1) = unpack(low02, low13);
    let (c2, c3) = unpack(high02, high13);
    [c0, c1, c2, c3]
}

/// Interleaves within the halves of two vectors (one AVX2 instruction per result, unlike `interleave`).
#[inline(always)]
fn unpack<S: Simd>(a: f32x8<S>, b: f32x8<S>) -> (f32x8<S>, f32x8<S>) {
    let (low, high) = a.interleave(b);
    let ((low0, low1), (high0, high1)) = (low.split(), high.split());
    (low0.combine(high0), low1.combine(high1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::kernels::testing::{assert_close, numbers, stored_row},
        simd::SimdLevel,
    };
    use fearless_simd::dispatch;

    #[test]
    fn every_level_agrees_with_a_plain_loop() {
        for (w, c) in [(16, 8), (32, 16), (128, 16), (48, 24)] {
            let (x, weights, bias) = (numbers(1, w * c), numbers(2, c * 4), 0.25);
            let mut expected = vec![0f32; 4 * w];
            for (i, e) in expected.iter_mut().enumerate() {
                let (row, column) = (i / (2 * w), i % (2 * w));
                let place = row * 2 + column % 2;
                let sum: f32 = (0..c).map(|ch| x[column / 2 * c + ch] * weights[ch * 4 + place]).sum();
                *e = 1.0 / (1.0 + (bias + sum).exp2());
            }
            for level in SimdLevel::available() {
                let mut out = vec![f32::NAN; 4 * w];
                dispatch!(level.level().unwrap(), s => tail(s, &stored_row(&x, c), &weights, bias, &mut out));
                assert_close(&out, &expected, &format!("{level}, {c} channels, {w} pixels"));
            }
        }
    }
}
