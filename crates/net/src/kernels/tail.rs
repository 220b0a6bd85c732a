//! The last convolution: transposed, 2x2 with stride 2, to one channel, and the logistic.
use super::vector::{Vector, logistic2};
use fearless_simd::{f32x4, f32x8, f32x16, prelude::*};
use fearless_simd_macros::simd;

/// A plain row `x` of `w` pixels, a multiple of 16, gives two rows of `2 w` values in `out`. `weights` `[c][4]` (in a square: above left and right,
/// below left and right) and `bias` carry the factor `-log2(e)` of the logistic.
#[simd]
pub(crate) fn tail<S: Simd>(s: S, x: &[f32], weights: &[f32], bias: f32, out: &mut [f32]) {
    let w = out.len() / 4;
    let (above, below) = out.split_at_mut(2 * w);
    let outputs = above
        .as_chunks_mut::<32>()
        .0
        .iter_mut()
        .zip(below.as_chunks_mut::<32>().0);
    for (i, outputs) in outputs.enumerate() {
        if S::f32s::LEN == 16 {
            squares16(s, x, weights, bias, w, i * 16, outputs);
        } else {
            squares8(s, x, weights, bias, w, i * 16, outputs);
        }
    }
    // In a loop of its own, whose turns do not wait for each other.
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

/// The arguments of the logistic for 16 pixels from pixel `p` on.
#[inline(always)]
fn squares16<S: Simd>(
    s: S,
    x: &[f32],
    weights: &[f32],
    bias: f32,
    w: usize,
    p: usize,
    (above, below): (&mut [f32; 32], &mut [f32; 32]),
) {
    let (blocks, rest) = weights.as_chunks::<64>();
    // by place in the square
    let mut squares = [f32x16::all(s, bias); 4];
    for (block, weights) in blocks.iter().enumerate() {
        let channels = transposed16(s, &x[(block * w + p) * 16..][..256]);
        for (j, square) in squares.iter_mut().enumerate() {
            // two sums, so that an addition need not wait for the one before
            let mut even = *square;
            let mut odd = f32x16::all(s, 0.0);
            for c in 0..8 {
                even = channels[2 * c].times_plus(f32x16::all(s, weights[c * 8 + j]), even);
                odd = channels[2 * c + 1].times_plus(f32x16::all(s, weights[c * 8 + 4 + j]), odd);
            }
            *square = even.add(odd);
        }
    }
    if let Some(weights) = rest.as_chunks::<32>().0.first() {
        let mut sums = [[f32x8::all(s, 0.0); 4]; 2];
        add_block(
            s,
            &x[(blocks.len() * 2 * w + p) * 8..][..128],
            weights,
            &mut sums,
        );
        for (j, square) in squares.iter_mut().enumerate() {
            *square = square.add(sums[0][j].combine(sums[1][j]));
        }
    }
    let [a, b, c, d] = squares;
    for (out, (left, right)) in [(above, a.interleave(b)), (below, c.interleave(d))] {
        Vector::store(left, &mut out[..]);
        Vector::store(right, &mut out[16..]);
    }
}

/// The same with vectors of 8.
#[inline(always)]
fn squares8<S: Simd>(
    s: S,
    x: &[f32],
    weights: &[f32],
    bias: f32,
    w: usize,
    p: usize,
    (above, below): (&mut [f32; 32], &mut [f32; 32]),
) {
    // by 8 pixels and place in the square
    let mut sums = [[f32x8::all(s, bias); 4]; 2];
    for (block, weights) in weights.as_chunks::<32>().0.iter().enumerate() {
        add_block(s, &x[(block * w + p) * 8..][..128], weights, &mut sums);
    }
    for (h, [a, b, c, d]) in sums.into_iter().enumerate() {
        for (out, (left, right)) in [
            (&mut *above, a.interleave(b)),
            (&mut *below, c.interleave(d)),
        ] {
            Vector::store(left, &mut out[h * 16..]);
            Vector::store(right, &mut out[h * 16 + 8..]);
        }
    }
}

/// Adds the products of 8 channels of 16 pixels.
#[inline(always)]
fn add_block<S: Simd>(s: S, x: &[f32], weights: &[f32; 32], sums: &mut [[f32x8<S>; 4]; 2]) {
    for (four, weights) in weights.as_chunks::<16>().0.iter().enumerate() {
        for (h, sums) in sums.iter_mut().enumerate() {
            for (c, channel) in transposed(s, &x[h * 64 + four * 4..])
                .into_iter()
                .enumerate()
            {
                for (j, sum) in sums.iter_mut().enumerate() {
                    *sum = Vector::times_plus(channel, f32x8::all(s, weights[c * 4 + j]), *sum);
                }
            }
        }
    }
}

/// 16 channels of 16 pixels: one vector per channel.
#[inline(always)]
fn transposed16<S: Simd>(s: S, x: &[f32]) -> [f32x16<S>; 16] {
    let mut v: [f32x16<S>; 16] = std::array::from_fn(
        #[inline(always)]
        |i| Vector::load(s, &x[i * 16..]),
    );
    // A place in the square is a number of 8 bits; each round turns it by one bit, and four of them swap row and column.
    for _ in 0..4 {
        let pairs: [_; 8] = std::array::from_fn(
            #[inline(always)]
            |i| v[i].interleave(v[i + 8]),
        );
        v = std::array::from_fn(
            #[inline(always)]
            |i| {
                if i % 2 == 0 {
                    pairs[i / 2].0
                } else {
                    pairs[i / 2].1
                }
            },
        );
    }
    v
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
    let (low0, low1) = low.split();
    let (high0, high1) = high.split();
    (low0.combine(high0), low1.combine(high1))
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
            for level in SimdLevel::available() {
                let mut out = vec![f32::NAN; 4 * w];
                dispatch!(level.level().unwrap(), s => tail(s, &stored_row(&x, c, block_at(level)), &weights, bias, &mut out));
                assert_close(
                    &out,
                    &expected,
                    &format!("{level}, {c} channels, {w} pixels"),
                );
            }
        }
    }
}
