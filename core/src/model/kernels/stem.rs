//! The first convolution: 3x3 with stride 2 on the picture.
use super::{
    packed::{PANEL, Packed},
    vector::Vector,
};
use fearless_simd::{f32x8, f32x16, prelude::*};
use fearless_simd_macros::simd;

/// Numbers under the kernel in one picture row: 3 pixels of 3 colours.
const TAPS: usize = 9;
/// The most pixels of a tile.
const MAX_TILE: usize = 12;

/// 3x3 convolution with stride 2 of one output row `y` `[n/8][w][8]`, `w` a multiple of 8 and at least 16. `rows` are picture rows `[2 w][3]`; right of
/// them lies one pixel of zeros. `weights` are `[3 * 9][n]`.
#[simd]
pub(in crate::model) fn stem<S: Simd, const ACTIVATION: u8>(
    s: S,
    rows: [&[f32]; 3],
    weights: &Packed,
    bias: &[f32],
    y: &mut [f32],
) {
    let w = y.len() / weights.n;
    for o in (0..weights.n).step_by(PANEL) {
        let width = PANEL.min(weights.n - o);
        let (bias, y) = (&bias[o..o + width], &mut y[o * w..(o + width) * w]);
        let weights = &weights.weights[o * 3 * TAPS..(o + width) * 3 * TAPS];
        if width < PANEL {
            tiles::<S, f32x8<S>, 4, 1, 8, ACTIVATION>(s, rows, weights, bias, y, w);
        } else if S::f32s::LEN == 16 {
            tiles::<S, f32x16<S>, 12, 1, PANEL, ACTIVATION>(s, rows, weights, bias, y, w);
        } else if S::f32s::LEN == 8 {
            tiles::<S, f32x8<S>, 6, 2, PANEL, ACTIVATION>(s, rows, weights, bias, y, w);
        } else {
            let (low, high) = y.split_at_mut(8 * w);
            tiles::<S, f32x8<S>, 4, 1, PANEL, ACTIVATION>(s, rows, weights, bias, low, w);
            tiles::<S, f32x8<S>, 4, 1, PANEL, ACTIVATION>(s, rows, &weights[8..], &bias[8..], high, w);
        }
    }
}

/// A whole row in tiles of `M` pixels by `N` vectors, whose weights lie `WIDTH` floats apart from tap to tap.
#[inline(always)]
fn tiles<S: Simd, V: Vector<S>, const M: usize, const N: usize, const WIDTH: usize, const ACTIVATION: u8>(
    s: S,
    rows: [&[f32]; 3],
    weights: &[f32],
    bias: &[f32],
    y: &mut [f32],
    w: usize,
) {
    // Behind black_box the number of rows is unknown and the loop over them stays a loop: unrolled, its sums leave the registers.
    let opaque: &[&[f32]] = std::hint::black_box(&rows);
    // The last tile reads beyond the row, so it gets a copy with zeros behind; it may do pixels again that another tile did.
    let last = w - M;
    for p in (0..last).step_by(M) {
        tile::<S, V, M, N, WIDTH, ACTIVATION>(s, opaque, 2 * p, weights, bias, y, w, p);
    }
    let mut edge = [[0f32; (2 * MAX_TILE + 1) * 3]; 3];
    for (edge, row) in edge.iter_mut().zip(rows) {
        edge[..6 * M].copy_from_slice(&row[6 * last..6 * w]);
    }
    let edge = edge.each_ref().map(|e| &e[..]);
    tile::<S, V, M, N, WIDTH, ACTIVATION>(s, std::hint::black_box(&edge), 0, weights, bias, y, w, last);
}

/// `M` output pixels from `p` on, from input pixel `x` on.
#[inline(always)]
fn tile<S: Simd, V: Vector<S>, const M: usize, const N: usize, const WIDTH: usize, const ACTIVATION: u8>(
    s: S,
    rows: &[&[f32]],
    x: usize,
    weights: &[f32],
    bias: &[f32],
    y: &mut [f32],
    w: usize,
    p: usize,
) {
    let mut sums = [[V::load(s, bias); N]; M];
    for j in 1..N {
        let b = V::load(s, &bias[j * V::BLOCKS * 8..]);
        sums.iter_mut().for_each(|sum| sum[j] = b);
    }
    for (i, row) in rows.iter().enumerate() {
        let taps = &weights[i * TAPS * WIDTH..][..(TAPS - 1) * WIDTH + N * V::BLOCKS * 8];
        let window = &row[x * 3..][..M * 6 + 3];
        for k in 0..TAPS {
            for j in 0..N {
                let weight = V::load(s, &taps[k * WIDTH + j * V::BLOCKS * 8..]);
                for (q, sum) in sums.iter_mut().enumerate() {
                    sum[j] = V::all(s, window[q * 6 + k]).times_plus(weight, sum[j]);
                }
            }
        }
    }
    for j in 0..N {
        for (q, sum) in sums.iter().enumerate() {
            sum[j].activate::<ACTIVATION>(s).blocks(
                #[inline(always)]
                |i, v| Vector::store(v, &mut y[((j * V::BLOCKS + i) * w + p + q) * 8..]),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::kernels::{
            row::Row,
            testing::{assert_close, numbers, plain_row},
            vector::HARD_SWISH,
        },
        simd::SimdLevel,
    };
    use fearless_simd::dispatch;

    #[test]
    fn every_level_agrees_with_a_plain_loop() {
        for (w, n) in [(16, 8), (24, 16), (128, 16), (64, 24), (32, 40)] {
            let rows: [Vec<f32>; 3] = std::array::from_fn(|i| numbers(i as u32 + 1, 2 * w * 3));
            let (weights, bias) = (numbers(5, 27 * n), numbers(6, n));
            let mut expected = vec![0f32; w * n];
            for (i, e) in expected.iter_mut().enumerate() {
                let mut v = bias[i % n];
                for (ky, row) in rows.iter().enumerate() {
                    for k in 0..9 {
                        v += row.get(i / n * 6 + k).unwrap_or(&0.0) * weights[(ky * 9 + k) * n + i % n];
                    }
                }
                *e = v * (v + 0.5).clamp(0.0, 1.0);
            }
            let packed = Packed::new(27, n, &weights);
            for level in SimdLevel::available() {
                let mut y = vec![f32::NAN; w * n];
                let refs = rows.each_ref().map(|r| &r[..]);
                dispatch!(level.level().unwrap(), s => stem::<_, HARD_SWISH>(s, refs, &packed, &bias, &mut y));
                assert_close(&plain_row(&y, n, Row::plain(w), w), &expected, &format!("{level}, {n} channels, {w} pixels"));
            }
        }
    }
}
