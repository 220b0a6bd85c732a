//! The first convolution: 3x3 with stride 2 on the picture.
use super::{
    opaque,
    packed::{PANEL, PackedMatrix},
    pointwise::add_products,
    vector::Vector,
};
use fearless_simd::{f32x8, f32x16, prelude::*};
use fearless_simd_macros::simd;

/// Numbers under the kernel in one picture row: 3 pixels of 3 colours.
const TAPS: usize = 9;
/// Numbers in a picture row from one output to the next.
const STEP: usize = 6;
/// The most pixels of a tile.
const MAX_TILE: usize = 16;

/// Makes one plain output row `y` of a 3x3 convolution with stride 2. It has `w` pixels, a multiple
/// of 8 and at least 16. `rows` are picture rows `[2 w][3]`; the pixel to the right of them counts
/// as zeros. `weights` are `[3 * 9][n]`.
#[simd]
pub(crate) fn stem<S: Simd, const ACTIVATION: u8>(
    s: S,
    rows: [&[f32]; 3],
    weights: &PackedMatrix,
    bias: &[f32],
    y: &mut [f32],
) {
    let w = y.len() / weights.n;
    for o in (0..weights.n).step_by(PANEL) {
        let width = PANEL.min(weights.n - o);
        let bias = &bias[o..o + width];
        let y = &mut y[o * w..(o + width) * w];
        let weights = weights.weights[o * 3 * TAPS..][..PANEL * 3 * TAPS]
            .as_chunks()
            .0;
        if S::f32s::LEN == 4 {
            for ((bias, y), first) in bias
                .chunks_exact(8)
                .zip(y.chunks_exact_mut(8 * w))
                .zip([0, 8])
            {
                tiles::<S, f32x8<S>, 4, 1, ACTIVATION>(s, rows, weights, first, bias, y);
            }
        } else if width < PANEL {
            tiles::<S, f32x8<S>, 8, 1, ACTIVATION>(s, rows, weights, 0, bias, y);
        } else if S::f32s::LEN == 8 {
            tiles::<S, f32x8<S>, 6, 2, ACTIVATION>(s, rows, weights, 0, bias, y);
        } else {
            tiles::<S, f32x16<S>, 8, 1, ACTIVATION>(s, rows, weights, 0, bias, y);
        }
    }
}

/// Makes a whole row of `N` vectors of outputs in tiles of `M` pixels. `first`: column of the panel
/// with which the outputs begin.
#[inline(always)]
fn tiles<S: Simd, V: Vector<S>, const M: usize, const N: usize, const ACTIVATION: u8>(
    s: S,
    rows: [&[f32]; 3],
    weights: &[[f32; PANEL]],
    first: usize,
    bias: &[f32],
    y: &mut [f32],
) {
    let w = y.len() / (N * V::LEN);
    let turns = opaque(TAPS);
    let taps: [&[[f32; PANEL]]; 3] = std::array::from_fn(|i| &weights[i * TAPS..][..turns]);
    // The last tile reads beyond the row, so it gets a copy with zeros at its end. It may repeat
    // pixels of another tile.
    let last = w - M;
    for p in (0..last).step_by(M) {
        let windows = rows.map(|row| &row[p * STEP..][..M * STEP + 3]);
        tile::<S, V, M, N, ACTIVATION>(s, windows, &taps, first, bias, y, p);
    }
    let mut edge = [[0f32; MAX_TILE * STEP + 3]; 3];
    for (edge, row) in edge.iter_mut().zip(rows) {
        edge[..M * STEP].copy_from_slice(&row[last * STEP..w * STEP]);
    }
    tile::<S, V, M, N, ACTIVATION>(
        s,
        edge.each_ref().map(|edge| &edge[..M * STEP + 3]),
        &taps,
        first,
        bias,
        y,
        last,
    );
}

/// Makes `M` output pixels from `p` on.
#[inline(always)]
fn tile<S: Simd, V: Vector<S>, const M: usize, const N: usize, const ACTIVATION: u8>(
    s: S,
    windows: [&[f32]; 3],
    taps: &[&[[f32; PANEL]]; 3],
    first: usize,
    bias: &[f32],
    y: &mut [f32],
    p: usize,
) {
    let mut sums = [[V::load(s, bias); N]; M];
    for j in 1..N {
        let b = V::load(s, &bias[j * V::LEN..]);
        sums.iter_mut().for_each(|sum| sum[j] = b);
    }
    for (window, taps) in opaque(&windows[..]).iter().zip(taps) {
        let window = &window[..M * STEP + 3];
        if V::LEN == PANEL {
            // Enough registers: all weights of a row stay in them, and pixels between two outputs
            // are read once for both.
            let w: [V; TAPS] = std::array::from_fn(
                #[inline(always)]
                |k| V::load(s, &taps[k]),
            );
            for (q, sum) in sums.iter_mut().enumerate() {
                for (k, w) in w.iter().enumerate() {
                    sum[0] = V::all(s, window[q * STEP + k]).times_plus(*w, sum[0]);
                }
            }
        } else {
            add_products::<S, V, M, N, STEP, 3>(s, window, [taps; N], first, &mut sums);
        }
    }
    let w = y.len() / (N * V::LEN);
    for j in 0..N {
        let y = &mut y[(j * w + p) * V::LEN..][..M * V::LEN];
        for (q, sum) in sums.iter().enumerate() {
            sum[j].activate::<ACTIVATION>(s).store(&mut y[q * V::LEN..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernels::{
            row::RowLayout,
            testing::{assert_close, block_at, numbers, plain_row},
            vector::HARD_SWISH,
        },
        simd::SimdLevel,
    };
    use fearless_simd::dispatch;

    #[test]
    fn every_level_agrees_with_a_plain_loop() {
        for (w, n) in [(16, 8), (24, 16), (128, 16), (64, 24), (32, 40)] {
            let rows: [Vec<f32>; 3] = std::array::from_fn(|i| numbers(i as u32 + 1, 2 * w * 3));
            let weights = numbers(5, 27 * n);
            let bias = numbers(6, n);
            let mut expected = vec![0f32; w * n];
            for (i, e) in expected.iter_mut().enumerate() {
                let mut v = bias[i % n];
                for (ky, row) in rows.iter().enumerate() {
                    for k in 0..9 {
                        v += row.get(i / n * 6 + k).unwrap_or(&0.0)
                            * weights[(ky * 9 + k) * n + i % n];
                    }
                }
                *e = v * (v + 0.5).clamp(0.0, 1.0);
            }
            let packed = PackedMatrix::new(27, n, &weights);
            for level in SimdLevel::available() {
                let mut y = vec![f32::NAN; w * n];
                let refs = rows.each_ref().map(|r| &r[..]);
                dispatch!(level.level().unwrap(), s => {
                    stem::<_, HARD_SWISH>(s, refs, &packed, &bias, &mut y)
                });
                assert_close(
                    &plain_row(&y, n, RowLayout::plain(w), w, block_at(level)),
                    &expected,
                    &format!("{level}, {n} channels, {w} pixels"),
                );
            }
        }
    }
}
