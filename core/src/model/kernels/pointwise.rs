//! 1x1 convolution of one row: where most of the network's time goes.
use super::{
    packed::{PANEL, Packed},
    row::Row,
    vector::Vector,
};
use fearless_simd::{f32x8, f32x16, prelude::*};
use fearless_simd_macros::simd;

/// What the sums start from.
#[derive(Debug, Clone, Copy)]
pub(in crate::model) enum Start<'a> {
    /// The bias.
    Bias(&'a [f32]),
    /// The bias and a row `[n/8][w][8]` that is added.
    Residual(&'a [f32], &'a [f32]),
    /// A bilinear enlargement by two of 16 times the rows `[n/8][w/2 + 2][8]`, of which the first weighs 3/4 and the second 1/4,
    /// and which have one more pixel on either side (see [`super::extend_edges`]).
    Enlarged(&'a [f32], &'a [f32]),
}

const BIAS: u8 = 0;
const RESIDUAL: u8 = 1;
const ENLARGED: u8 = 2;

/// `y = activation(x * w + start)`. `x` is a row `[k/8][px][8]`, `px` a multiple of 8; `y` is a row of the layout `to`.
pub(in crate::model) fn pointwise<S: Simd, const ACTIVATION: u8>(
    s: S,
    x: &[f32],
    w: &Packed,
    start: Start<'_>,
    y: &mut [f32],
    to: Row,
) {
    match (start, to.split) {
        (Start::Bias(b), false) => row::<S, ACTIVATION, BIAS, false>(s, x, w, b, [&[]; 2], y, to),
        (Start::Bias(b), true) => row::<S, ACTIVATION, BIAS, true>(s, x, w, b, [&[]; 2], y, to),
        (Start::Residual(b, r), _) => row::<S, ACTIVATION, RESIDUAL, false>(s, x, w, b, [r, &[]], y, to),
        (Start::Enlarged(near, far), _) => row::<S, ACTIVATION, ENLARGED, false>(s, x, w, &[], [near, far], y, to),
    }
}

/// How many pixels and vectors of outputs a tile has is a matter of registers: all sums stay in them.
#[simd]
fn row<S: Simd, const ACTIVATION: u8, const START: u8, const SPLIT: bool>(
    s: S,
    x: &[f32],
    w: &Packed,
    bias: &[f32],
    init: [&[f32]; 2],
    y: &mut [f32],
    to: Row,
) {
    let px = x.len() / w.k;
    let mut o = 0;
    while o < w.n {
        let width = PANEL.min(w.n - o);
        let panels = Panels { x, px, weights: &w.weights[o * w.k..], width, k: w.k, bias, init, o, to };
        let mut p = 0;
        if S::f32s::LEN == 16 && width == PANEL {
            if w.n - o >= 2 * PANEL {
                while p < px {
                    tile::<S, f32x16<S>, 8, 2, ACTIVATION, START, SPLIT>(s, &panels, p, 0, y);
                    p += 8;
                }
                o += PANEL;
            } else {
                while px - p >= 16 {
                    tile::<S, f32x16<S>, 16, 1, ACTIVATION, START, SPLIT>(s, &panels, p, 0, y);
                    p += 16;
                }
                if p < px {
                    tile::<S, f32x16<S>, 8, 1, ACTIVATION, START, SPLIT>(s, &panels, p, 0, y);
                }
            }
        } else if S::f32s::LEN == 4 {
            // 128-bit vectors come in pairs, and without three-operand multiply-adds the products take registers too
            for half in 0..width / 8 {
                p = 0;
                while p < px {
                    tile::<S, f32x8<S>, 4, 1, ACTIVATION, START, SPLIT>(s, &panels, p, half, y);
                    p += 4;
                }
            }
        } else if width == PANEL {
            while p < px {
                // 12 sums; 4-pixel tiles only where 6 do not divide the rest
                if px - p >= 6 && px - p != 8 {
                    tile::<S, f32x8<S>, 6, 2, ACTIVATION, START, SPLIT>(s, &panels, p, 0, y);
                    p += 6;
                } else {
                    tile::<S, f32x8<S>, 4, 2, ACTIVATION, START, SPLIT>(s, &panels, p, 0, y);
                    p += 4;
                }
            }
        } else {
            while p < px {
                tile::<S, f32x8<S>, 8, 1, ACTIVATION, START, SPLIT>(s, &panels, p, 0, y);
                p += 8;
            }
        }
        o += width;
    }
}

/// The panel that begins with output `o`, and what lies behind it.
struct Panels<'a> {
    x: &'a [f32],
    px: usize,
    weights: &'a [f32],
    /// Outputs in a row of the panel: 16, or 8 in the last one.
    width: usize,
    k: usize,
    bias: &'a [f32],
    init: [&'a [f32]; 2],
    o: usize,
    to: Row,
}

/// `M` pixels from pixel `p` on by `N` vectors of outputs. Vectors of 16 outputs take one from each of `N` panels, vectors of 8 take `N`
/// neighbours of one panel, beginning with vector `first`.
#[expect(clippy::needless_range_loop, reason = "the loops go over vectors of outputs, which lie across the sums")]
#[inline(always)]
fn tile<S: Simd, V: Vector<S>, const M: usize, const N: usize, const ACTIVATION: u8, const START: u8, const SPLIT: bool>(
    s: S,
    t: &Panels<'_>,
    p: usize,
    first: usize,
    y: &mut [f32],
) {
    let mut sums = [[V::all(s, 0.0); N]; M];
    // block of 8 output channels of vector j
    let block = t.o / 8 + first;
    if START == ENLARGED {
        enlarge(s, t, p, block, &mut sums);
    } else {
        let bias = &t.bias[block * 8..][..N * V::BLOCKS * 8];
        for j in 0..N {
            let b = V::load(s, &bias[j * V::BLOCKS * 8..]);
            for sum in &mut sums {
                sum[j] = b;
            }
        }
    }
    if START == RESIDUAL {
        for j in 0..N {
            let from: [&[f32]; 2] =
                std::array::from_fn(|i| &t.init[0][((block + j * V::BLOCKS + i % V::BLOCKS) * t.px + p) * 8..][..M * 8]);
            for (q, sum) in sums.iter_mut().enumerate() {
                sum[j] = sum[j].add(V::from_blocks(
                    #[inline(always)]
                    |i| f32x8::load(s, &from[i][q * 8..]),
                ));
            }
        }
    }
    multiply::<S, V, M, N>(s, t, p, first, &mut sums);
    for j in 0..N {
        for i in 0..V::BLOCKS {
            let base = (block + j * V::BLOCKS + i) * t.to.len * 8;
            let out = &mut y[base..base + t.to.len * 8];
            if SPLIT {
                let (even, odd) = out.split_at_mut(t.to.len * 4);
                // the first pixel of the tile is an even one of the row, so its place depends on the padding alone
                let (a, b) = if t.to.pad.is_multiple_of(2) { (&mut *even, &mut *odd) } else { (&mut *odd, &mut *even) };
                let a = &mut a[(t.to.pad + p) / 2 * 8..][..M * 4];
                let b = &mut b[(t.to.pad + p).div_ceil(2) * 8..][..M * 4];
                for q in 0..M {
                    let to = if q % 2 == 0 { &mut *a } else { &mut *b };
                    store_block::<S, V, ACTIVATION>(s, sums[q][j], i, &mut to[q / 2 * 8..]);
                }
            } else {
                let out = &mut out[(t.to.pad + p) * 8..][..M * 8];
                for q in 0..M {
                    store_block::<S, V, ACTIVATION>(s, sums[q][j], i, &mut out[q * 8..]);
                }
            }
        }
    }
}

#[inline(always)]
fn store_block<S: Simd, V: Vector<S>, const ACTIVATION: u8>(s: S, sum: V, block: usize, to: &mut [f32]) {
    sum.activate::<ACTIVATION>(s).blocks(
        #[inline(always)]
        |i, v| {
            if i == block {
                v.store(to);
            }
        },
    );
}

/// Adds the products of all `k` inputs.
#[inline(always)]
fn multiply<S: Simd, V: Vector<S>, const M: usize, const N: usize>(
    s: S,
    t: &Panels<'_>,
    p: usize,
    first: usize,
    sums: &mut [[V; N]; M],
) {
    if V::BLOCKS == 2 {
        // rows of 16 weights of N panels, 8 rows at a time
        let panel = PANEL * t.k;
        let second = if N == 2 { &t.weights[panel..2 * panel] } else { &t.weights[..panel] };
        let rows = t.weights[..panel].chunks_exact(8 * PANEL).zip(second.chunks_exact(8 * PANEL));
        for (kb, (a, b)) in rows.enumerate() {
            let x = &t.x[(kb * t.px + p) * 8..][..M * 8];
            for k in 0..8 {
                let mut w = [V::load(s, &a[k * PANEL..]); N];
                if N == 2 {
                    w[1] = V::load(s, &b[k * PANEL..]);
                }
                add_products::<S, V, M, N>(s, x, k, w, sums);
            }
        }
    } else if t.width == PANEL {
        for (kb, rows) in t.weights[..PANEL * t.k].chunks_exact(8 * PANEL).enumerate() {
            let x = &t.x[(kb * t.px + p) * 8..][..M * 8];
            let rows = &rows[first * 8..];
            for k in 0..8 {
                let mut w = [V::load(s, &rows[k * PANEL..]); N];
                for (j, w) in w.iter_mut().enumerate().skip(1) {
                    *w = V::load(s, &rows[k * PANEL + j * 8..]);
                }
                add_products::<S, V, M, N>(s, x, k, w, sums);
            }
        }
    } else {
        for (kb, rows) in t.weights[..8 * t.k].chunks_exact(64).enumerate() {
            let x = &t.x[(kb * t.px + p) * 8..][..M * 8];
            for k in 0..8 {
                add_products::<S, V, M, N>(s, x, k, [V::load(s, &rows[k * 8..]); N], sums);
            }
        }
    }
}

#[inline(always)]
fn add_products<S: Simd, V: Vector<S>, const M: usize, const N: usize>(
    s: S,
    x: &[f32],
    k: usize,
    w: [V; N],
    sums: &mut [[V; N]; M],
) {
    for (q, sum) in sums.iter_mut().enumerate() {
        let v = V::all(s, x[q * 8 + k]);
        for j in 0..N {
            sum[j] = v.times_plus(w[j], sum[j]);
        }
    }
}

/// Two pixels lie around each pixel boundary of the small rows: with `v = 3 near + far` at each small pixel, they get `v[i - 1] + 3 v[i]`
/// and `3 v[i] + v[i + 1]`.
#[inline(always)]
fn enlarge<S: Simd, V: Vector<S>, const M: usize, const N: usize>(
    s: S,
    t: &Panels<'_>,
    p: usize,
    block: usize,
    sums: &mut [[V; N]; M],
) {
    let three = V::all(s, 3.0);
    let len = t.px / 2 + 2;
    for j in 0..N {
        let rows: [[&[f32]; 2]; 2] = t.init.map(|row| {
            std::array::from_fn(|i| &row[((block + j * V::BLOCKS + i % V::BLOCKS) * len + p / 2) * 8..][..(M / 2 + 2) * 8])
        });
        let vertical = |x: usize| {
            let [near, far] = rows.map(
                #[inline(always)]
                |row| {
                    V::from_blocks(
                        #[inline(always)]
                        |i| f32x8::load(s, &row[i][x * 8..]),
                    )
                },
            );
            near.times_plus(three, far)
        };
        let (mut left, mut middle) = (vertical(0), vertical(1));
        for i in 0..M / 2 {
            let right = vertical(i + 2);
            sums[2 * i][j] = middle.times_plus(three, left);
            sums[2 * i + 1][j] = middle.times_plus(three, right);
            (left, middle) = (middle, right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::kernels::{
            testing::{assert_close, numbers, plain_row, stored_row},
            vector::{HARD_SWISH, NONE, RELU},
        },
        simd::SimdLevel,
    };
    use fearless_simd::dispatch;

    /// `[px][k] x [k][n]`, started from `init [px][n]`.
    fn naive(x: &[f32], matrix: &[f32], init: &[f32], k: usize, n: usize) -> Vec<f32> {
        let mut y = init.to_vec();
        for (y, x) in y.chunks_exact_mut(n).zip(x.chunks_exact(k)) {
            for (x, w) in x.iter().zip(matrix.chunks_exact(n)) {
                y.iter_mut().zip(w).for_each(|(y, w)| *y += x * w);
            }
        }
        y
    }

    #[test]
    fn every_level_agrees_with_a_plain_loop() {
        for (k, n, px) in
            [(8, 8, 8), (16, 16, 16), (16, 72, 64), (24, 24, 32), (88, 24, 32), (32, 128, 16), (128, 32, 24), (40, 56, 128)]
        {
            let (x, matrix, bias) = (numbers(1, px * k), numbers(2, k * n), numbers(3, n));
            let packed = Packed::new(k, n, &matrix);
            let residual = numbers(4, px * n);
            let started: Vec<f32> = (0..px * n).map(|i| bias[i % n]).collect();
            let with_residual: Vec<f32> = started.iter().zip(&residual).map(|(a, b)| a + b).collect();
            let (plain, added) = (naive(&x, &matrix, &started, k, n), naive(&x, &matrix, &with_residual, k, n));
            let (xs, residual) = (stored_row(&x, k), stored_row(&residual, n));
            let relu: Vec<f32> = plain.iter().map(|v| v.max(0.0)).collect();
            let hard_swish: Vec<f32> = plain.iter().map(|v| v * (v + 0.5).clamp(0.0, 1.0)).collect();
            for level in SimdLevel::available() {
                let run = |to: Row, activation: u8, start: Start<'_>| {
                    let mut y = vec![f32::NAN; to.len * n];
                    dispatch!(level.level().unwrap(), s => match activation {
                        RELU => pointwise::<_, RELU>(s, &xs, &packed, start, &mut y, to),
                        HARD_SWISH => pointwise::<_, HARD_SWISH>(s, &xs, &packed, start, &mut y, to),
                        _ => pointwise::<_, NONE>(s, &xs, &packed, start, &mut y, to),
                    });
                    plain_row(&y, n, to, px)
                };
                let what = format!("{level}, {k} to {n}, {px} pixels");
                assert_close(&run(Row::plain(px), NONE, Start::Bias(&bias)), &plain, &what);
                assert_close(&run(Row::plain(px), NONE, Start::Residual(&bias, &residual)), &added, &what);
                assert_close(&run(Row::padded(px, 3, 1, 1), RELU, Start::Bias(&bias)), &relu, &what);
                assert_close(&run(Row::padded(px, 3, 2, 0), RELU, Start::Bias(&bias)), &relu, &what);
                assert_close(&run(Row::padded(px, 5, 2, 1), HARD_SWISH, Start::Bias(&bias)), &hard_swish, &what);
            }
        }
    }

    #[test]
    fn sums_can_start_from_an_enlarged_row() {
        for (k, n, px) in [(8, 8, 16), (24, 24, 32), (16, 16, 64), (16, 40, 16)] {
            let (x, matrix) = (numbers(1, px * k), numbers(2, k * n));
            let small = [numbers(3, px / 2 * n), numbers(4, px / 2 * n)];
            let mut start = vec![0f32; px * n];
            for (i, v) in start.iter_mut().enumerate() {
                let (x, c) = (i / n, i % n);
                let column = |x: usize| 12.0 * small[0][x * n + c] + 4.0 * small[1][x * n + c];
                let other = if x % 2 == 0 { (x / 2).saturating_sub(1) } else { (x / 2 + 1).min(px / 2 - 1) };
                *v = 0.75 * column(x / 2) + 0.25 * column(other);
            }
            let expected = naive(&x, &matrix, &start, k, n);
            let packed = Packed::new(k, n, &matrix);
            let rows = small.each_ref().map(|row| {
                let mut extended = vec![0f32; n]; // one pixel, then the row, then one pixel
                extended.extend(row);
                extended.extend(vec![0f32; n]);
                let mut stored = stored_row(&extended, n);
                super::super::extend_edges(&mut stored, px / 2);
                stored
            });
            for level in SimdLevel::available() {
                let to = Row::padded(px, 3, 1, 1);
                let mut y = vec![f32::NAN; to.len * n];
                let x = stored_row(&x, k);
                let start = Start::Enlarged(&rows[0], &rows[1]);
                dispatch!(level.level().unwrap(), s => pointwise::<_, NONE>(s, &x, &packed, start, &mut y, to));
                assert_close(&plain_row(&y, n, to, px), &expected, &format!("{level}, {k} to {n}, {px} pixels"));
            }
        }
    }
}
