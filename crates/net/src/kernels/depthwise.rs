//! Depthwise convolution of one row.
use super::{
    opaque,
    packed::{PANEL, PackedMatrix},
    row::RowLayout,
    vector::Vector,
};
use fearless_simd::{f32x8, f32x16, prelude::*};
use fearless_simd_macros::simd;

/// Makes one plain output row `y` of a `K`x`K` depthwise convolution with stride `STRIDE` (1 or 2).
/// It has `w` pixels, a multiple of 8. `rows` are the input rows of the layout `from`; `weights`
/// are a matrix `[K * K][c]`. With `ADD` the middle input pixel is added after the activation. The
/// sum over the row is added to `sum` `[c]`.
#[simd]
pub(crate) fn depthwise<
    S: Simd,
    const K: usize,
    const STRIDE: usize,
    const ACTIVATION: u8,
    const ADD: bool,
>(
    s: S,
    rows: [&[f32]; K],
    from: RowLayout,
    weights: &PackedMatrix,
    bias: &[f32],
    y: &mut [f32],
    sum: &mut [f32],
) {
    let w = y.len() / bias.len();
    let t = DepthwiseOperands {
        rows,
        from,
        w,
        weights,
        bias,
    };
    for o in (0..weights.n).step_by(PANEL) {
        let is_half = weights.n - o < PANEL;
        macro_rules! block {
            ($vector:ident, $q:literal, $first:expr) => {
                block_of_channels::<S, $vector<S>, K, STRIDE, $q, ACTIVATION, ADD>(
                    s,
                    &t,
                    o + $first,
                    $first,
                    y,
                    sum,
                )
            };
        }
        if S::f32s::LEN == 16 {
            if is_half {
                block!(f32x8, 16, 0)
            } else {
                block!(f32x16, 16, 0)
            }
        } else if S::f32s::LEN == 8 {
            block!(f32x8, 8, 0);
            if !is_half {
                block!(f32x8, 8, 8);
            }
        } else {
            block!(f32x8, 4, 0);
            if !is_half {
                block!(f32x8, 4, 8);
            }
        }
    }
}

/// The inputs of all tiles of a row.
struct DepthwiseOperands<'a, const K: usize> {
    rows: [&'a [f32]; K],
    from: RowLayout,
    w: usize,
    weights: &'a PackedMatrix,
    bias: &'a [f32],
}

/// Makes the block of channels from `o` on, in tiles of `Q` pixels, or 8 at the end. `first`:
/// column of the panel of weights with which the block begins.
#[inline(always)]
fn block_of_channels<
    S: Simd,
    V: Vector<S>,
    const K: usize,
    const STRIDE: usize,
    const Q: usize,
    const ACTIVATION: u8,
    const ADD: bool,
>(
    s: S,
    t: &DepthwiseOperands<'_, K>,
    o: usize,
    first: usize,
    y: &mut [f32],
    sum: &mut [f32],
) {
    let taps = t.weights.weights[(o - first) * K * K..][..PANEL * K * K]
        .as_chunks::<PANEL>()
        .0;
    let rows = t.rows.map(
        #[inline(always)]
        |row| &row[o * t.from.len..][..t.from.len * V::LEN],
    );
    // of unknown length: see `opaque`
    let rows = opaque(&rows[..]);
    let bias = V::load(s, &t.bias[o..]);
    // One running sum over a whole map would lose a digit, so rows are summed first; in four parts,
    // so that an addition need not wait for the one before.
    let mut total = [V::all(s, 0.0); 4];
    let mut tiles = y[o * t.w..][..t.w * V::LEN].chunks_exact_mut(Q * V::LEN);
    let mut x = 0;
    for y in &mut tiles {
        tile::<S, V, K, STRIDE, Q, ACTIVATION, ADD>(
            s,
            rows,
            taps,
            bias,
            first,
            t.from.len / 2,
            x,
            y,
            &mut total,
        );
        x += Q;
    }
    let rest = tiles.into_remainder();
    if Q > 8 && !rest.is_empty() {
        tile::<S, V, K, STRIDE, 8, ACTIVATION, ADD>(
            s,
            rows,
            taps,
            bias,
            first,
            t.from.len / 2,
            x,
            rest,
            &mut total,
        );
    }
    let sum = &mut sum[o..o + V::LEN];
    let [a, b, c, d] = total;
    V::load(s, sum).add(a.add(b).add(c.add(d))).store(sum);
}

/// Makes `Q` output pixels from pixel `x` on. `rows`: those of the block of channels; with stride 2
/// the odd pixels begin at pixel `half`.
#[inline(always)]
fn tile<
    S: Simd,
    V: Vector<S>,
    const K: usize,
    const STRIDE: usize,
    const Q: usize,
    const ACTIVATION: u8,
    const ADD: bool,
>(
    s: S,
    rows: &[&[f32]],
    taps: &[[f32; PANEL]],
    bias: V,
    first: usize,
    half: usize,
    x: usize,
    y: &mut [f32],
    total: &mut [V; 4],
) {
    let mut sums = [bias; Q];
    for (row, taps) in rows.iter().zip(taps.as_chunks::<K>().0) {
        // the inputs under the kernel: all, or the even and the odd ones
        let inputs = [x, if STRIDE == 2 { half + x } else { x }].map(
            #[inline(always)]
            |from| &row[from * V::LEN..][..(Q + (K - 1) / STRIDE) * V::LEN],
        );
        if V::LEN == 16 && STRIDE == 1 {
            // Enough registers: inputs are read once for four sums, so the multiply-adds do not
            // wait for the loads.
            let w: [V; K] = std::array::from_fn(
                #[inline(always)]
                |kx| V::load(s, &taps[kx][first..]),
            );
            for (i, sums) in sums.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                let v: [V; 8] = std::array::from_fn(
                    #[inline(always)]
                    |j| {
                        if j < 3 + K {
                            V::load(s, &inputs[0][(i * 4 + j) * V::LEN..])
                        } else {
                            bias
                        }
                    },
                );
                for (kx, w) in w.iter().enumerate() {
                    for (q, sum) in sums.iter_mut().enumerate() {
                        *sum = v[q + kx].times_plus(*w, *sum);
                    }
                }
            }
        } else {
            for (kx, tap) in taps.iter().enumerate() {
                let w = V::load(s, &tap[first..]);
                let input = &inputs[kx % STRIDE][kx / STRIDE * V::LEN..][..Q * V::LEN];
                for (q, sum) in sums.iter_mut().enumerate() {
                    *sum = V::load(s, &input[q * V::LEN..]).times_plus(w, *sum);
                }
            }
        }
    }
    let middle = if ADD {
        &rows[K / 2][(x + K / 2) * V::LEN..][..Q * V::LEN]
    } else {
        &[]
    };
    let y = &mut y[..Q * V::LEN];
    for (q, sum) in sums.into_iter().enumerate() {
        let mut v = sum.activate::<ACTIVATION>(s);
        if ADD {
            v = v.add(V::load(s, &middle[q * V::LEN..]));
        }
        total[q % 4] = total[q % 4].add(v);
        v.store(&mut y[q * V::LEN..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernels::{
            testing::{assert_close, block_at, numbers, padded_row, plain_row},
            vector::{HARD_SWISH, RELU},
        },
        simd::SimdLevel,
    };
    use fearless_simd::dispatch;

    /// Compares one shape on every level with a loop over `[w][c]`.
    fn check<const K: usize, const STRIDE: usize, const ACTIVATION: u8, const ADD: bool>(
        w: usize,
        c: usize,
        pad: usize,
    ) {
        let out = w / STRIDE;
        let layout = RowLayout::padded(w, K, STRIDE, pad);
        let rows: [Vec<f32>; K] = std::array::from_fn(|i| numbers(i as u32 + 1, w * c));
        let weights = numbers(20, K * K * c);
        let bias = numbers(21, c);
        let mut expected = vec![0f32; out * c];
        for (i, e) in expected.iter_mut().enumerate() {
            let x = i / c;
            let ch = i % c;
            let mut v = bias[ch];
            for (ky, row) in rows.iter().enumerate() {
                for kx in 0..K {
                    let at = (x * STRIDE + kx) as isize - pad as isize;
                    if (0..w as isize).contains(&at) {
                        v += row[at as usize * c + ch] * weights[(ky * K + kx) * c + ch];
                    }
                }
            }
            v = if ACTIVATION == RELU {
                v.max(0.0)
            } else {
                v * (v + 0.5).clamp(0.0, 1.0)
            };
            *e = if ADD { v + rows[K / 2][x * c + ch] } else { v };
        }
        let packed = PackedMatrix::new(K * K, c, &weights);
        for level in SimdLevel::available() {
            let block = block_at(level);
            let stored = rows.each_ref().map(|row| padded_row(row, c, layout, block));
            let mut y = vec![f32::NAN; out * c];
            let mut sum = vec![1f32; c];
            let refs = stored.each_ref().map(|r| &r[..]);
            dispatch!(level.level().unwrap(), s => {
                depthwise::<_, K, STRIDE, ACTIVATION, ADD>(
                    s,
                    refs,
                    layout,
                    &packed,
                    &bias,
                    &mut y,
                    &mut sum,
                )
            });
            let what = format!("{level}, {K}x{K} stride {STRIDE}, {w} pixels");
            assert_close(
                &plain_row(&y, c, RowLayout::plain(out), out, block),
                &expected,
                &what,
            );
            let sums: Vec<f32> = (0..c)
                .map(|ch| 1.0 + expected.iter().skip(ch).step_by(c).sum::<f32>())
                .collect();
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
