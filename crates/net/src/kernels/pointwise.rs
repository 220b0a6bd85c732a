//! 1x1 convolution of one row: where most of the network's time goes.
use super::{
    opaque,
    packed::{PAIRED, PANEL, PackedMatrix},
    row::{RowLayout, block},
    vector::Vector,
};
use fearless_simd::{f32x8, f32x16, f64x8, prelude::*};
use fearless_simd_macros::simd;

/// The initial values of the sums.
#[derive(Debug, Clone, Copy)]
pub(crate) enum InitialSums<'a> {
    /// The bias.
    Bias(&'a [f32]),
    /// The bias and a plain row that is added.
    Residual(&'a [f32], &'a [f32]),
    /// A bilinear enlargement by two of 16 times these two rows. The first weighs 3/4 and the
    /// second 1/4. They have half as many pixels, and one more on either side (see
    /// [`super::extend_edges`]).
    Enlarged(&'a [f32], &'a [f32]),
}

const BIAS: u8 = 0;
const RESIDUAL: u8 = 1;
const ENLARGED: u8 = 2;

/// `y = activation(x * w + start)`. `x` is a plain row of `k` channels and `px` pixels, a multiple
/// of 8; `y` is a row of the layout `to`.
pub(crate) fn pointwise<S: Simd, const ACTIVATION: u8>(
    s: S,
    x: &[f32],
    w: &PackedMatrix,
    start: InitialSums<'_>,
    y: &mut [f32],
    to: RowLayout,
) {
    match (start, to.split) {
        (InitialSums::Bias(b), false) => {
            row::<S, ACTIVATION, BIAS, false>(s, x, w, b, [&[]; 2], y, to)
        }
        (InitialSums::Bias(b), true) => {
            row::<S, ACTIVATION, BIAS, true>(s, x, w, b, [&[]; 2], y, to)
        }
        (InitialSums::Residual(b, r), _) => {
            row::<S, ACTIVATION, RESIDUAL, false>(s, x, w, b, [r, &[]], y, to)
        }
        (InitialSums::Enlarged(near, far), _) => {
            row::<S, ACTIVATION, ENLARGED, false>(s, x, w, &[], [near, far], y, to)
        }
    }
}

/// The registers decide how many pixels and vectors of outputs a tile has: all sums stay in them.
#[simd]
fn row<S: Simd, const ACTIVATION: u8, const START: u8, const SPLIT: bool>(
    s: S,
    x: &[f32],
    w: &PackedMatrix,
    bias: &[f32],
    init: [&[f32]; 2],
    y: &mut [f32],
    to: RowLayout,
) {
    let mut t = PointwiseOperands {
        x,
        px: x.len() / w.k,
        weights: &w.weights,
        k: w.k,
        steps: opaque(block::<S>()),
        bias,
        init,
        to,
    };
    if let (Some(pairs), false, false) = (w.pairs::<S>(), START == ENLARGED, SPLIT) {
        return paired::<S, ACTIVATION, START>(s, &t, pairs, y);
    }
    let mut o = 0;
    while o < w.n {
        t.weights = &w.weights[o * w.k..];
        let left = w.n - o;
        macro_rules! tiles {
            (
                $vector:ident, $m:literal, $rest:literal, $n:literal, $half:literal,
                $block:literal, $first:expr
            ) => {
                tiles::<S, $vector<S>, $m, $rest, $n, $half, $block, ACTIVATION, START, SPLIT>(
                    s,
                    &t,
                    o + $first,
                    $first,
                    y,
                )
            };
        }
        o += if S::f32s::LEN == 16 {
            // enlargements leave no registers for a half
            match (left.div_ceil(PANEL), left % PANEL != 0) {
                (2 | 3, true) if START == ENLARGED => tiles!(f32x16, 16, 8, 1, false, 16, 0),
                (1, false) => tiles!(f32x16, 16, 8, 1, false, 16, 0),
                (1, true) => tiles!(f32x8, 16, 8, 1, false, 16, 0),
                (2, true) => tiles!(f32x16, 8, 8, 2, true, 16, 0),
                (2 | 4, _) => tiles!(f32x16, 8, 8, 2, false, 16, 0),
                (3, true) => tiles!(f32x16, 8, 8, 3, true, 16, 0),
                _ => tiles!(f32x16, 8, 8, 3, false, 16, 0),
            }
        } else if S::f32s::LEN == 8 && left >= PANEL {
            tiles!(f32x8, 6, 4, 2, false, 8, 0)
        } else if S::f32s::LEN == 8 {
            tiles!(f32x8, 12, 8, 1, false, 8, 0)
        } else if left >= PANEL {
            // 128-bit vectors come in pairs, and without three-operand multiply-adds the products
            // take registers too
            tiles!(f32x8, 4, 4, 1, false, 8, 0) + tiles!(f32x8, 4, 4, 1, false, 8, 8)
        } else {
            tiles!(f32x8, 4, 4, 1, false, 8, 0)
        };
    }
}

/// Makes all pixels of 24 outputs, whose weights are stored in pairs, in tiles of 4 pixels.
#[inline(always)]
fn paired<S: Simd, const ACTIVATION: u8, const START: u8>(
    s: S,
    t: &PointwiseOperands<'_>,
    pairs: &[[f32; 2 * PAIRED]],
    y: &mut [f32],
) {
    const M: usize = 4;
    let (first, last) = y.split_at_mut(PANEL * t.to.len);
    for p in (0..t.px).step_by(M) {
        let mut sums = [[f32x16::all(s, 0.0); 3]; M];
        let mut k = 0;
        while t.k - k >= 16 {
            let x = &t.x[k * t.px + p * 16..][..M * 16];
            add_pairs::<S, M, 16>(s, x, &pairs[k / 2..][..t.steps / 2], &mut sums);
            k += 16;
        }
        if k < t.k {
            let x = &t.x[k * t.px + p * 8..][..M * 8];
            add_pairs::<S, M, 8>(s, x, &pairs[k / 2..], &mut sums);
        }
        let bias: (f32x16<S>, f32x8<S>) = (Vector::load(s, t.bias), Vector::load(s, &t.bias[16..]));
        let first = &mut first[(t.to.pad + p) * 16..][..M * 16];
        let last = &mut last[(t.to.pad + p) * 8..][..M * 8];
        let init = if START == RESIDUAL {
            let (first, last) = t.init[0].split_at(PANEL * t.px);
            [&first[p * 16..][..M * 16], &last[p * 8..][..M * 8]]
        } else {
            [&[][..]; 2]
        };
        for (q, [a, b, c]) in sums.into_iter().enumerate() {
            let (even, odd) = a.deinterleave(b);
            let mut v = (even + odd) + bias.0;
            let (low, high) = c.split();
            let (even, odd) = low.deinterleave(high);
            let mut w = (even + odd) + bias.1;
            if START == RESIDUAL {
                v = v.add(Vector::load(s, &init[0][q * 16..]));
                w = w.add(Vector::load(s, &init[1][q * 8..]));
            }
            Vector::store(v.activate::<ACTIVATION>(s), &mut first[q * 16..]);
            Vector::store(w.activate::<ACTIVATION>(s), &mut last[q * 8..]);
        }
    }
}

/// Adds the products of pairs of inputs of `M` pixels, which lie `STEP` floats apart in `x`.
#[inline(always)]
fn add_pairs<S: Simd, const M: usize, const STEP: usize>(
    s: S,
    x: &[f32],
    pairs: &[[f32; 2 * PAIRED]],
    sums: &mut [[f32x16<S>; 3]; M],
) {
    for (i, pairs) in pairs.as_chunks::<2>().0.iter().enumerate() {
        let x = &x[i * 4..][..(M - 1) * STEP + 4];
        for (k, pair) in pairs.iter().enumerate() {
            let w: [f32x16<S>; 3] = std::array::from_fn(
                #[inline(always)]
                |j| Vector::load(s, &pair[j * 16..]),
            );
            for (q, sums) in sums.iter_mut().enumerate() {
                // both inputs in one load
                let [even, odd] = [0, 1].map(
                    #[inline(always)]
                    |i| u64::from(x[q * STEP + 2 * k + i].to_bits()),
                );
                let both = f64x8::splat(s, f64::from_bits(even | odd << 32));
                for (sum, w) in sums.iter_mut().zip(w) {
                    *sum = both.bitcast::<f32x16<S>>().mul_add(w, *sum);
                }
            }
        }
    }
}

/// The inputs of all tiles of a row, and the layout of their outputs.
struct PointwiseOperands<'a> {
    x: &'a [f32],
    px: usize,
    /// The weights, from the outputs' panel on.
    weights: &'a [f32],
    k: usize,
    /// Inputs in a block, as a number that the compiler does not know (see [`opaque`]).
    steps: usize,
    bias: &'a [f32],
    init: [&'a [f32]; 2],
    to: RowLayout,
}

/// Makes all pixels of `N` vectors of outputs from output `o` on, in tiles of `M` pixels, then of
/// `REST` pixels. Returns the number of outputs. With `HALF` only the first half of the last vector
/// belongs to outputs. `BLOCK`: channels of a block of inputs; `first`: column of the panel with
/// which the outputs begin.
#[inline(always)]
fn tiles<
    S: Simd,
    V: Vector<S>,
    const M: usize,
    const REST: usize,
    const N: usize,
    const HALF: bool,
    const BLOCK: usize,
    const ACTIVATION: u8,
    const START: u8,
    const SPLIT: bool,
>(
    s: S,
    t: &PointwiseOperands<'_>,
    o: usize,
    first: usize,
    y: &mut [f32],
) -> usize {
    let mut p = 0;
    while p < t.px {
        let left = t.px - p;
        if left == M || left >= M + REST {
            tile::<S, V, M, N, HALF, BLOCK, ACTIVATION, START, SPLIT>(s, t, p, o, first, y);
            p += M;
        } else {
            tile::<S, V, REST, N, HALF, BLOCK, ACTIVATION, START, SPLIT>(s, t, p, o, first, y);
            p += REST;
        }
    }
    N * V::LEN - if HALF { V::LEN / 2 } else { 0 }
}

/// Makes `M` pixels from pixel `p` on of `N` vectors of outputs from output `o` on.
#[inline(always)]
fn tile<
    S: Simd,
    V: Vector<S>,
    const M: usize,
    const N: usize,
    const HALF: bool,
    const BLOCK: usize,
    const ACTIVATION: u8,
    const START: u8,
    const SPLIT: bool,
>(
    s: S,
    t: &PointwiseOperands<'_>,
    p: usize,
    o: usize,
    first: usize,
    y: &mut [f32],
) {
    let mut sums = [[V::all(s, 0.0); N]; M];
    for j in 0..N {
        let o = o + j * V::LEN;
        let is_half = HALF && j == N - 1;
        let width = if is_half { V::LEN / 2 } else { V::LEN };
        if START == ENLARGED {
            enlarge::<S, V, M, N>(s, t, p, o, j, &mut sums);
        } else {
            let b: V = load(s, &t.bias[o..], is_half);
            let init = if START == RESIDUAL {
                &t.init[0][o * t.px + p * width..][..M * width]
            } else {
                &[]
            };
            for (q, sum) in sums.iter_mut().enumerate() {
                sum[j] = if START == RESIDUAL {
                    b.add(load(s, &init[q * width..], is_half))
                } else {
                    b
                };
            }
        }
    }
    multiply::<S, V, M, N, BLOCK>(s, t, p, first, &mut sums);
    for j in 0..N {
        let is_half = HALF && j == N - 1;
        let width = if is_half { V::LEN / 2 } else { V::LEN };
        let store = |sum: V, to: &mut [f32]| {
            let v = sum.activate::<ACTIVATION>(s);
            if is_half {
                v.store_half(to)
            } else {
                v.store(to)
            }
        };
        let out = &mut y[(o + j * V::LEN) * t.to.len..][..t.to.len * width];
        if SPLIT {
            let (even, odd) = out.split_at_mut(t.to.len / 2 * width);
            // the first pixel of the tile is an even one of the row, so its place depends on the
            // padding alone
            let (a, b) = if t.to.pad.is_multiple_of(2) {
                (even, odd)
            } else {
                (odd, even)
            };
            let a = &mut a[(t.to.pad + p) / 2 * width..][..M / 2 * width];
            let b = &mut b[(t.to.pad + p).div_ceil(2) * width..][..M / 2 * width];
            for q in 0..M / 2 {
                store(sums[2 * q][j], &mut a[q * width..]);
                store(sums[2 * q + 1][j], &mut b[q * width..]);
            }
        } else {
            let out = &mut out[(t.to.pad + p) * width..][..M * width];
            for q in 0..M {
                store(sums[q][j], &mut out[q * width..]);
            }
        }
    }
}

/// Adds the products of all inputs.
#[inline(always)]
fn multiply<S: Simd, V: Vector<S>, const M: usize, const N: usize, const BLOCK: usize>(
    s: S,
    t: &PointwiseOperands<'_>,
    p: usize,
    first: usize,
    sums: &mut [[V; N]; M],
) {
    // each vector that is as wide as a panel reads its own panel
    let panels: [&[[f32; PANEL]]; N] = std::array::from_fn(
        #[inline(always)]
        |j| {
            t.weights[if V::LEN == PANEL { j * PANEL * t.k } else { 0 }..][..PANEL * t.k]
                .as_chunks()
                .0
        },
    );
    let mut k = 0;
    while t.k - k >= BLOCK {
        let x = &t.x[k * t.px + p * BLOCK..][..M * BLOCK];
        add_products::<S, V, M, N, BLOCK, 4>(
            s,
            x,
            panels.map(|panel| &panel[k..k + t.steps]),
            first,
            sums,
        );
        k += BLOCK;
    }
    if k < t.k {
        let x = &t.x[k * t.px + p * 8..][..M * 8];
        add_products::<S, V, M, N, 8, 4>(s, x, panels.map(|panel| &panel[k..]), first, sums);
    }
}

/// Adds the products of inputs of `M` pixels, which lie `STEP` floats apart in `x`, and rows of
/// weights, of which `TURN` make one turn of the loop.
#[inline(always)]
pub(super) fn add_products<
    S: Simd,
    V: Vector<S>,
    const M: usize,
    const N: usize,
    const STEP: usize,
    const TURN: usize,
>(
    s: S,
    x: &[f32],
    panels: [&[[f32; PANEL]]; N],
    first: usize,
    sums: &mut [[V; N]; M],
) {
    for i in 0..panels[0].len() / TURN {
        let x = &x[i * TURN..][..(M - 1) * STEP + TURN];
        let panels = panels.map(
            #[inline(always)]
            |panel| &panel[i * TURN..][..TURN],
        );
        for k in 0..TURN {
            let w: [V; N] = std::array::from_fn(
                #[inline(always)]
                |j| {
                    if V::LEN == PANEL {
                        V::load(s, &panels[j][k])
                    } else {
                        V::load(s, &panels[0][k][first + j * V::LEN..])
                    }
                },
            );
            for (q, sum) in sums.iter_mut().enumerate() {
                let v = V::all(s, x[q * STEP + k]);
                for j in 0..N {
                    sum[j] = v.times_plus(w[j], sum[j]);
                }
            }
        }
    }
}

/// A vector, or half of one.
#[inline(always)]
fn load<S: Simd, V: Vector<S>>(s: S, from: &[f32], is_half: bool) -> V {
    if is_half {
        V::load_half(s, from)
    } else {
        V::load(s, from)
    }
}

/// Sets the sums of vector `j`, which begins with output `o`, to an enlargement. With `v = 3 near +
/// far` at each small pixel, its two pixels get `v[i - 1] + 3 v[i]` and `3 v[i] + v[i + 1]`.
#[inline(always)]
fn enlarge<S: Simd, V: Vector<S>, const M: usize, const N: usize>(
    s: S,
    t: &PointwiseOperands<'_>,
    p: usize,
    o: usize,
    j: usize,
    sums: &mut [[V; N]; M],
) {
    let three = V::all(s, 3.0);
    let len = t.px / 2 + 2;
    let [near, far] = t.init.map(
        #[inline(always)]
        |row| &row[o * len + p / 2 * V::LEN..][..(M / 2 + 2) * V::LEN],
    );
    let vertical = |x: usize| {
        V::load(s, &near[x * V::LEN..]).times_plus(three, V::load(s, &far[x * V::LEN..]))
    };
    let mut left = vertical(0);
    let mut middle = vertical(1);
    for i in 0..M / 2 {
        let right = vertical(i + 2);
        sums[2 * i][j] = middle.times_plus(three, left);
        sums[2 * i + 1][j] = middle.times_plus(three, right);
        (left, middle) = (middle, right);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernels::{
            testing::{assert_close, block_at, numbers, plain_row, stored_row},
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
        for (k, n, px) in [
            (8, 8, 8),
            (16, 16, 16),
            (16, 72, 64),
            (24, 24, 32),
            (88, 24, 32),
            (32, 128, 16),
            (128, 32, 24),
            (40, 56, 128),
        ] {
            let x = numbers(1, px * k);
            let matrix = numbers(2, k * n);
            let bias = numbers(3, n);
            let packed = PackedMatrix::new(k, n, &matrix);
            let mut scaled = PackedMatrix::with_room(packed.room());
            let residual = numbers(4, px * n);
            let started: Vec<f32> = (0..px * n).map(|i| bias[i % n]).collect();
            let with_residual: Vec<f32> =
                started.iter().zip(&residual).map(|(a, b)| a + b).collect();
            let plain = naive(&x, &matrix, &started, k, n);
            let added = naive(&x, &matrix, &with_residual, k, n);
            let relu: Vec<f32> = plain.iter().map(|v| v.max(0.0)).collect();
            let hard_swish: Vec<f32> = plain
                .iter()
                .map(|v| v * (v + 0.5).clamp(0.0, 1.0))
                .collect();
            for level in SimdLevel::available() {
                let block = block_at(level);
                let xs = stored_row(&x, k, block);
                let residual = stored_row(&residual, n, block);
                let run = |to: RowLayout, activation: u8, start: InitialSums<'_>| {
                    let mut y = vec![f32::NAN; to.len * n];
                    dispatch!(level.level().unwrap(), s => match activation {
                        RELU => pointwise::<_, RELU>(s, &xs, &packed, start, &mut y, to),
                        HARD_SWISH => {
                            pointwise::<_, HARD_SWISH>(s, &xs, &packed, start, &mut y, to)
                        }
                        _ => pointwise::<_, NONE>(s, &xs, &packed, start, &mut y, to),
                    });
                    plain_row(&y, n, to, px, block)
                };
                let what = format!("{level}, {k} to {n}, {px} pixels");
                assert_close(
                    &run(RowLayout::plain(px), NONE, InitialSums::Bias(&bias)),
                    &plain,
                    &what,
                );
                // with AVX-512, 24 outputs of a scaled matrix use pairs of weights
                let ones = vec![1.0; k];
                let token = level.level().unwrap();
                dispatch!(token, s => scaled.set_scaled(s, &packed, &ones));
                for (start, expected) in [
                    (InitialSums::Bias(&bias), &plain),
                    (InitialSums::Residual(&bias, &residual), &added),
                ] {
                    let mut y = vec![f32::NAN; px * n];
                    let (w, to) = (&scaled, RowLayout::plain(px));
                    dispatch!(token, s => pointwise::<_, NONE>(s, &xs, w, start, &mut y, to));
                    assert_close(&plain_row(&y, n, to, px, block), expected, &what);
                }
                assert_close(
                    &run(
                        RowLayout::plain(px),
                        NONE,
                        InitialSums::Residual(&bias, &residual),
                    ),
                    &added,
                    &what,
                );
                assert_close(
                    &run(
                        RowLayout::padded(px, 3, 1, 1),
                        RELU,
                        InitialSums::Bias(&bias),
                    ),
                    &relu,
                    &what,
                );
                assert_close(
                    &run(
                        RowLayout::padded(px, 3, 2, 0),
                        RELU,
                        InitialSums::Bias(&bias),
                    ),
                    &relu,
                    &what,
                );
                assert_close(
                    &run(
                        RowLayout::padded(px, 5, 2, 1),
                        HARD_SWISH,
                        InitialSums::Bias(&bias),
                    ),
                    &hard_swish,
                    &what,
                );
            }
        }
    }

    #[test]
    fn sums_can_start_from_an_enlarged_row() {
        for (k, n, px) in [(8, 8, 16), (24, 24, 32), (16, 16, 64), (16, 40, 16)] {
            let x = numbers(1, px * k);
            let matrix = numbers(2, k * n);
            let small = [numbers(3, px / 2 * n), numbers(4, px / 2 * n)];
            let mut start = vec![0f32; px * n];
            for (i, v) in start.iter_mut().enumerate() {
                let x = i / n;
                let c = i % n;
                let column = |x: usize| 12.0 * small[0][x * n + c] + 4.0 * small[1][x * n + c];
                let other = if x % 2 == 0 {
                    (x / 2).saturating_sub(1)
                } else {
                    (x / 2 + 1).min(px / 2 - 1)
                };
                *v = 0.75 * column(x / 2) + 0.25 * column(other);
            }
            let expected = naive(&x, &matrix, &start, k, n);
            let packed = PackedMatrix::new(k, n, &matrix);
            for level in SimdLevel::available() {
                let block = block_at(level);
                let rows = small.each_ref().map(|row| {
                    let mut extended = vec![0f32; n]; // one pixel, then the row, then one pixel
                    extended.extend(row);
                    extended.extend(vec![0f32; n]);
                    let mut stored = stored_row(&extended, n, block);
                    dispatch!(level.level().unwrap(), s => {
                        super::super::extend_edges(s, &mut stored, px / 2)
                    });
                    stored
                });
                let to = RowLayout::padded(px, 3, 1, 1);
                let mut y = vec![f32::NAN; to.len * n];
                let x = stored_row(&x, k, block);
                let start = InitialSums::Enlarged(&rows[0], &rows[1]);
                dispatch!(level.level().unwrap(), s => {
                    pointwise::<_, NONE>(s, &x, &packed, start, &mut y, to)
                });
                assert_close(
                    &plain_row(&y, n, to, px, block),
                    &expected,
                    &format!("{level}, {k} to {n}, {px} pixels"),
                );
            }
        }
    }
}
