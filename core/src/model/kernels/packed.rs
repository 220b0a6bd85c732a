//! Weight matrices in the order in which [`super::pointwise`](super::pointwise()) reads them.
use super::{aligned::Aligned, vector::Vector};
use fearless_simd::{f32x8, prelude::*};
use fearless_simd_macros::simd;

/// Outputs per panel.
pub(super) const PANEL: usize = 16;

/// A matrix `[k][n]`, cut into panels of 16 columns `[panel][k][16]` with a last one of 8 where 16 do not divide `n`.
#[derive(Debug, Default)]
pub(in crate::model) struct Packed {
    pub(in crate::model) k: usize,
    pub(in crate::model) n: usize,
    pub(super) weights: Aligned,
}

impl Packed {
    /// Packs a matrix. `n` must be a multiple of 8.
    pub(in crate::model) fn new(k: usize, n: usize, matrix: &[f32]) -> Self {
        assert!(n.is_multiple_of(8) && matrix.len() == k * n);
        let mut weights = Vec::with_capacity(k * n);
        for column in (0..n).step_by(PANEL) {
            for row in matrix.chunks_exact(n) {
                weights.extend_from_slice(&row[column..n.min(column + PANEL)]);
            }
        }
        Packed { k, n, weights: Aligned::from(&weights[..]) }
    }

    /// Room for a matrix of at most `len` weights.
    pub(in crate::model) fn with_room(len: usize) -> Self {
        Packed { k: 0, n: 0, weights: Aligned::zeros(len) }
    }

    /// Becomes `diag(factors) * matrix`, where `factors` holds one number per row. Allocates nothing; there must be room.
    pub(in crate::model) fn set_scaled<S: Simd>(&mut self, s: S, matrix: &Packed, factors: &[f32]) {
        (self.k, self.n) = (matrix.k, matrix.n);
        scale(s, &mut self.weights[..matrix.k * matrix.n], matrix, &factors[..matrix.k]);
    }
}

#[simd]
fn scale<S: Simd>(s: S, to: &mut [f32], matrix: &Packed, factors: &[f32]) {
    let split = matrix.k * (matrix.n / PANEL * PANEL);
    let (to, to_last) = to.split_at_mut(split);
    let (from, from_last) = matrix.weights.split_at(split);
    for (to, from) in to.chunks_exact_mut(PANEL * matrix.k).zip(from.chunks_exact(PANEL * matrix.k)) {
        scale_panel::<S, PANEL>(s, to, from, factors);
    }
    scale_panel::<S, 8>(s, to_last, from_last, factors);
}

#[inline(always)]
fn scale_panel<S: Simd, const WIDTH: usize>(s: S, to: &mut [f32], from: &[f32], factors: &[f32]) {
    for ((to, from), factor) in to.chunks_exact_mut(WIDTH).zip(from.chunks_exact(WIDTH)).zip(factors) {
        let factor = f32x8::all(s, *factor);
        for (to, from) in to.chunks_exact_mut(8).zip(from.chunks_exact(8)) {
            Vector::store(f32x8::load(s, from) * factor, to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::SimdLevel;
    use fearless_simd::dispatch;

    #[test]
    fn packing_orders_and_scaling_scales_rows() {
        let (k, n) = (3, 24);
        let matrix: Vec<f32> = (0..k * n).map(|i| i as f32).collect();
        let packed = Packed::new(k, n, &matrix);
        assert_eq!(packed.weights[..17], [&matrix[..16], &matrix[24..25]].concat()[..]);
        assert_eq!(packed.weights[48..57], [&matrix[16..24], &matrix[40..41]].concat()[..]);
        let factors = [1.0, 0.5, 2.0];
        let scaled: Vec<f32> = matrix.iter().enumerate().map(|(i, w)| w * factors[i / n]).collect();
        let expected = Packed::new(k, n, &scaled);
        for level in SimdLevel::available() {
            let mut found = Packed::with_room(100);
            dispatch!(level.level().unwrap(), s => found.set_scaled(s, &packed, &factors));
            assert_eq!((found.k, found.n), (k, n));
            assert_eq!(found.weights[..k * n], *expected.weights, "{level}");
        }
    }
}
