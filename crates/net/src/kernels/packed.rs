//! Weight matrices in the order in which [`super::pointwise`](super::pointwise()) reads them.
use super::aligned::Aligned;
use fearless_simd::{f32x16, prelude::*};
use fearless_simd_macros::simd;

/// Outputs per panel.
pub(super) const PANEL: usize = 16;

/// A matrix `[k][n]`, cut into panels of 16 columns `[panel][k][16]`, of which the last one is filled up with zeros.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    pub(crate) k: usize,
    pub(crate) n: usize,
    pub(super) weights: Aligned,
}

impl Packed {
    /// Packs a matrix. `n` must be a multiple of 8.
    pub(crate) fn new(k: usize, n: usize, matrix: &[f32]) -> Self {
        assert!(n.is_multiple_of(8) && matrix.len() == k * n);
        let mut packed = Packed {
            k,
            n,
            weights: Aligned::zeros(Self::room(k, n)),
        };
        for (panel, column) in packed
            .weights
            .chunks_exact_mut(PANEL * k)
            .zip((0..n).step_by(PANEL))
        {
            for (to, row) in panel.chunks_exact_mut(PANEL).zip(matrix.chunks_exact(n)) {
                let row = &row[column..n.min(column + PANEL)];
                to[..row.len()].copy_from_slice(row);
            }
        }
        packed
    }

    /// Floats that a matrix `[k][n]` takes.
    pub(crate) fn room(k: usize, n: usize) -> usize {
        k * n.next_multiple_of(PANEL)
    }

    /// Room for a matrix of so many floats.
    pub(crate) fn with_room(len: usize) -> Self {
        Packed {
            k: 0,
            n: 0,
            weights: Aligned::zeros(len),
        }
    }

    /// Becomes `diag(factors) * matrix`, where `factors` holds one number per row. Allocates nothing; there must be room.
    pub(crate) fn set_scaled<S: Simd>(&mut self, s: S, matrix: &Packed, factors: &[f32]) {
        (self.k, self.n) = (matrix.k, matrix.n);
        scale(
            s,
            &mut self.weights[..matrix.weights.len()],
            matrix,
            &factors[..matrix.k],
        );
    }
}

#[simd]
fn scale<S: Simd>(s: S, to: &mut [f32], matrix: &Packed, factors: &[f32]) {
    let panels = to
        .chunks_exact_mut(PANEL * matrix.k)
        .zip(matrix.weights.chunks_exact(PANEL * matrix.k));
    for (to, from) in panels {
        let rows = to
            .as_chunks_mut::<PANEL>()
            .0
            .iter_mut()
            .zip(from.as_chunks::<PANEL>().0);
        for ((to, from), factor) in rows.zip(factors) {
            (f32x16::from_slice(s, from) * f32x16::splat(s, *factor)).store_slice(to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SimdLevel;
    use fearless_simd::dispatch;

    #[test]
    fn packing_orders_and_scaling_scales_rows() {
        let k = 3;
        let n = 24;
        let matrix: Vec<f32> = (0..k * n).map(|i| i as f32).collect();
        let packed = Packed::new(k, n, &matrix);
        assert_eq!(
            packed.weights[..17],
            [&matrix[..16], &matrix[24..25]].concat()[..]
        );
        assert_eq!(
            packed.weights[48..65],
            [&matrix[16..24], &[0.0; 8], &matrix[40..41]].concat()[..]
        );
        let factors = [1.0, 0.5, 2.0];
        let scaled: Vec<f32> = matrix
            .iter()
            .enumerate()
            .map(|(i, w)| w * factors[i / n])
            .collect();
        let expected = Packed::new(k, n, &scaled);
        for level in SimdLevel::available() {
            let mut found = Packed::with_room(100);
            dispatch!(level.level().unwrap(), s => found.set_scaled(s, &packed, &factors));
            assert_eq!((found.k, found.n), (k, n));
            assert_eq!(
                found.weights[..expected.weights.len()],
                *expected.weights,
                "{level}"
            );
        }
    }
}
