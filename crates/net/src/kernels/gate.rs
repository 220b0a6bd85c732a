//! Gates: sums of rows give means, means give gates, and gates scale the rows of the next 1x1
//! convolution's matrix.
use super::vector::{RELU, Vector, logistic2};
use crate::graph::Activation;
use fearless_simd::{f32x8, f32x16, prelude::*};
use fearless_simd_macros::simd;

/// Adds the sum over the pixels of a plain row to `sum` `[c]`. The number of pixels is a multiple
/// of 4.
#[simd]
pub(crate) fn add_row_sums<S: Simd>(s: S, row: &[f32], sum: &mut [f32]) {
    let c = sum.len();
    let px = row.len() / sum.len();
    if S::f32s::LEN == 16 {
        let whole = c / 16 * 16;
        let (row, row_rest) = row.split_at(whole * px);
        let (sum, sum_rest) = sum.split_at_mut(whole);
        add_block_sums::<S, f32x16<S>>(s, row, px, sum);
        add_block_sums::<S, f32x8<S>>(s, row_rest, px, sum_rest);
    } else {
        add_block_sums::<S, f32x8<S>>(s, row, px, sum);
    }
}

#[inline(always)]
fn add_block_sums<S: Simd, V: Vector<S>>(s: S, row: &[f32], px: usize, sum: &mut [f32]) {
    for (row, sum) in row
        .chunks_exact(px * V::LEN)
        .zip(sum.chunks_exact_mut(V::LEN))
    {
        let mut sums = [V::all(s, 0.0); 4];
        for four in row.chunks_exact(4 * V::LEN) {
            for (q, sum) in sums.iter_mut().enumerate() {
                *sum = sum.add(V::load(s, &four[q * V::LEN..]));
            }
        }
        let [a, b, c, d] = sums;
        V::load(s, sum).add(a.add(b).add(c.add(d))).store(sum);
    }
}

/// `y = activation(x * w + bias)`: `x` `[k]`, `k` a multiple of 4; `w` `[k][n]`; `y` and `bias`
/// `[n]`, `n` a multiple of 8.
#[simd]
pub(crate) fn fully_connected<S: Simd>(
    s: S,
    x: &[f32],
    w: &[f32],
    bias: &[f32],
    activation: Option<Activation>,
    y: &mut [f32],
) {
    let n = bias.len();
    let zero = f32x8::all(s, 0.0);
    for (o, (bias, y)) in bias
        .as_chunks::<8>()
        .0
        .iter()
        .zip(y.as_chunks_mut::<8>().0)
        .enumerate()
    {
        let mut sums = [f32x8::load(s, bias), zero, zero, zero];
        for (x, w) in x.as_chunks::<4>().0.iter().zip(w.chunks_exact(4 * n)) {
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum = Vector::times_plus(
                    f32x8::all(s, x[i]),
                    f32x8::load(s, &w[i * n + o * 8..]),
                    *sum,
                );
            }
        }
        let v = (sums[0] + sums[1]) + (sums[2] + sums[3]);
        let v = match activation {
            None => v,
            Some(Activation::Relu) => v.activate::<RELU>(s),
            Some(Activation::HardSwish) => {
                let c = |v| f32x8::all(s, v);
                v * (v * c(1.0 / 6.0) + c(0.5)).max(zero).min(c(1.0))
            }
            Some(Activation::Logistic) => {
                logistic2(s, v * f32x8::all(s, -std::f32::consts::LOG2_E))
            }
        };
        Vector::store(v, y);
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
    fn row_sums_are_the_sums_of_the_pixels() {
        let w = 24;
        let c = 40;
        let row = numbers(1, w * c);
        let expected: Vec<f32> = (0..c)
            .map(|ch| 2.0 + row.iter().skip(ch).step_by(c).sum::<f32>())
            .collect();
        for level in SimdLevel::available() {
            let mut sum = vec![2f32; c];
            dispatch!(level.level().unwrap(), s => {
                add_row_sums(s, &stored_row(&row, c, block_at(level)), &mut sum)
            });
            assert_close(&sum, &expected, &level.to_string());
        }
    }

    #[test]
    fn small_matrices_are_multiplied() {
        let k = 24;
        let n = 40;
        let x = numbers(1, k);
        let w = numbers(2, k * n);
        let bias = numbers(3, n);
        let sums: Vec<f32> = (0..n)
            .map(|o| bias[o] + (0..k).map(|i| x[i] * w[i * n + o]).sum::<f32>())
            .collect();
        type Function = fn(f32) -> f32;
        let cases: [(Option<Activation>, Function); 4] = [
            (None, |v| v),
            (Some(Activation::Relu), |v| v.max(0.0)),
            (Some(Activation::HardSwish), |v| {
                v * (v / 6.0 + 0.5).clamp(0.0, 1.0)
            }),
            (Some(Activation::Logistic), |v| 1.0 / (1.0 + (-v).exp())),
        ];
        for level in SimdLevel::available() {
            for (activation, function) in cases {
                let mut y = vec![0f32; n];
                dispatch!(level.level().unwrap(), s => {
                    fully_connected(s, &x, &w, &bias, activation, &mut y)
                });
                let expected: Vec<f32> = sums.iter().map(|v| function(*v)).collect();
                assert_close(&y, &expected, &format!("{level} {activation:?}"));
            }
        }
    }
}
