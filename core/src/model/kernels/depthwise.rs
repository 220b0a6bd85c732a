//! Depthwise convolution of one row.
use super::{row::Row, vector::Vector};
use fearless_simd::{f32x8, f32x16, prelude::*};
use fearless_simd_macros::simd;

/// `K`x`K` convolution with stride `STRIDE` (1 or 2), each channel by itself, of one output row `y` `[c/8][w][8]`, `w` a multiple of 8.
/// `rows` are the input rows of the layout `from`, weights are `[c/8][K*K][8]`. With `ADD` the middle input pixel is added after
/// the activation. `sum` `[c]` gets the sum over the row added.
#[simd]
pub(in crate::model) fn depthwise<S: Simd, const K: usize, const STRIDE: usize, const ACTIVATION: u8, const ADD: bool>(
    s: S,
    rows: [&[f32]; K],
    from: Row,
    weights: &[f32],
    bias: &[f32],
    y: &mut [f32],
    sum: &mut [f32],
) {
    let w = y.len() / bias.len();
    let channels = weights.chunks_exact(K * K * 8).zip(bias.as_chunks::<8>().0).zip(sum.as_chunks_mut::<8>().0);
    for (block, (((weights, bias), sum), y)) in channels.zip(y.chunks_exact_mut(w * 8)).enumerate() {
        let mut b = Block { rows: [&[]; K], half: from.len / 2, weights, bias };
        for (to, row) in b.rows.iter_mut().zip(rows) {
            *to = &row[block * from.len * 8..(block + 1) * from.len * 8];
        }
        // summed per row first: one running sum over a whole map would cost a digit
        let mut total = f32x8::all(s, 0.0);
        // the number of sums that fit into the registers together with what is multiplied
        if S::f32s::LEN == 16 {
            let mut totals = f32x16::all(s, 0.0);
            let (wide, narrow) = y.split_at_mut(w / 16 * 128);
            for (i, y) in wide.chunks_exact_mut(128).enumerate() {
                tile::<S, f32x16<S>, K, STRIDE, 8, ACTIVATION, ADD>(s, &b, i * 16, y, &mut totals);
            }
            if !narrow.is_empty() {
                tile::<S, f32x16<S>, K, STRIDE, 4, ACTIVATION, ADD>(s, &b, w - 8, narrow, &mut totals);
            }
            let (even, odd) = totals.split();
            total = even + odd;
        } else if S::f32s::LEN == 4 {
            for (i, y) in y.chunks_exact_mut(32).enumerate() {
                tile::<S, f32x8<S>, K, STRIDE, 4, ACTIVATION, ADD>(s, &b, i * 4, y, &mut total);
            }
        } else {
            for (i, y) in y.chunks_exact_mut(64).enumerate() {
                tile::<S, f32x8<S>, K, STRIDE, 8, ACTIVATION, ADD>(s, &b, i * 8, y, &mut total);
            }
        }
        Vector::store(f32x8::load(s, sum) + total, sum);
    }
}

/// A block of 8 channels.
struct Block<'a, const K: usize> {
    rows: [&'a [f32]; K],
    /// Pixels in front of the odd ones, where even and odd pixels are kept apart.
    half: usize,
    weights: &'a [f32],
    bias: &'a [f32; 8],
}

/// `Q` vectors of output pixels from pixel `x` on.
#[inline(always)]
fn tile<S: Simd, V: Vector<S>, const K: usize, const STRIDE: usize, const Q: usize, const ACTIVATION: u8, const ADD: bool>(
    s: S,
    b: &Block<'_, K>,
    x: usize,
    y: &mut [f32],
    total: &mut V,
) {
    let width = V::BLOCKS * 8;
    let bias = f32x8::load(s, b.bias);
    let mut sums = [V::from_blocks(
        #[inline(always)]
        |_| bias,
    ); Q];
    for (row, weights) in b.rows.iter().zip(b.weights.chunks_exact(K * 8)) {
        for kx in 0..K {
            let w = f32x8::load(s, &weights[kx * 8..]);
            let w = V::from_blocks(
                #[inline(always)]
                |_| w,
            );
            let first = if STRIDE == 2 { kx % 2 * b.half + x + kx / 2 } else { x + kx };
            let input = &row[first * 8..][..Q * width];
            for (q, sum) in sums.iter_mut().enumerate() {
                *sum = V::load(s, &input[q * width..]).times_plus(w, *sum);
            }
        }
    }
    let middle = &b.rows[K / 2][if ADD { (x + K / 2) * 8 } else { 0 }..][..if ADD { Q * width } else { 0 }];
    let y = &mut y[..Q * width];
    for (q, sum) in sums.into_iter().enumerate() {
        let mut v = sum.activate::<ACTIVATION>(s);
        if ADD {
            v = v.add(V::load(s, &middle[q * width..]));
        }
        *total = total.add(v);
        v.store(&mut y[q * width..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::kernels::{
            testing::{assert_close, numbers, plain_row, stored_row},
            vector::{HARD_SWISH, RELU},
        },
        simd::SimdLevel,
    };
    use fearless_simd::dispatch;

    /// Compares one shape on every level with a loop over `[w][c]`.
    fn check<const K: usize, const STRIDE: usize, const ACTIVATION: u8, const ADD: bool>(w: usize, c: usize, pad: usize) {
        let out = w / STRIDE;
        let rows: [Vec<f32>; K] = std::array::from_fn(|i| numbers(i as u32 + 1, w * c));
        let (weights, bias) = (numbers(20, K * K * c), numbers(21, c));
        let mut expected = vec![0f32; out * c];
        for (i, e) in expected.iter_mut().enumerate() {
            let (x, ch) = (i / c, i % c);
            let mut v = bias[ch];
            for (ky, row) in rows.iter().enumerate() {
                for kx in 0..K {
                    let at = (x * STRIDE + kx) as isize - pad as isize;
                    if (0..w as isize).contains(&at) {
                        v += row[at as usize * c + ch] * weights[(ky * K + kx) * c + ch];
                    }
                }
            }
            v = if ACTIVATION == RELU { v.max(0.0) } else { v * (v + 0.5).clamp(0.0, 1.0) };
            *e = if ADD { v + rows[K / 2][x * c + ch] } else { v };
        }
        let layout = Row::padded(w, K, STRIDE, pad);
        let stored = rows.map(|row| {
            let mut stored = vec![0f32; layout.len * c];
            for (i, v) in row.iter().enumerate() {
                stored[(i % c / 8 * layout.len + layout.place(pad + i / c)) * 8 + i % 8] = *v;
            }
            stored
        });
        let packed = stored_row(&weights, c); // taps take the place of pixels
        for level in SimdLevel::available() {
            let (mut y, mut sum) = (vec![f32::NAN; out * c], vec![1f32; c]);
            let refs = stored.each_ref().map(|r| &r[..]);
            dispatch!(level.level().unwrap(), s => depthwise::<_, K, STRIDE, ACTIVATION, ADD>(s, refs, layout, &packed, &bias, &mut y, &mut sum));
            let what = format!("{level}, {K}x{K} stride {STRIDE}, {w} pixels");
            assert_close(&plain_row(&y, c, Row::plain(out), out), &expected, &what);
            let sums: Vec<f32> = (0..c).map(|ch| 1.0 + expected.iter().skip(ch).step_by(c).sum::<f32>()).collect();
            assert_close(&sum, &sums, &what);
        }
    }

    #[test]
    fn every_level_agrees_with_a_plain_loop() {
        check::<3, 1, RELU, false>(8, 8, 1);
        check::<3, 1, RELU, true>(24, 16, 1);
        check::<3, 2, RELU, false>(32, 24, 0);
        check::<3, 2, RELU, false>(16, 8, 0);
        check::<5, 1, HARD_SWISH, false>(16, 24, 2);
        check::<5, 2, HARD_SWISH, false>(64, 16, 1);
        check::<5, 2, RELU, false>(16, 8, 1);
    }
}
