//! Weight matrices in the order in which [`super::pointwise`](super::pointwise()) reads them.
use super::aligned::AlignedFloats;
use fearless_simd::{f32x16, prelude::*};
use fearless_simd_macros::simd;

/// Outputs per panel.
pub(super) const PANEL: usize = 16;

/// A matrix `[k][n]`, cut into panels of 16 columns `[panel][k][16]`. Zeros fill up the last panel.
#[derive(Debug, Default)]
pub(crate) struct PackedMatrix {
    pub(crate) k: usize,
    pub(crate) n: usize,
    pub(super) weights: AlignedFloats,
    /// The weights as `[k / 2][24][2]`, two inputs of an output side by side: so two inputs of 24
    /// outputs fill three vectors, where one input fills one and a half. Only with AVX-512, of a
    /// matrix for 24 outputs that was made at run time.
    pairs: AlignedFloats,
}

/// Outputs that need [`PackedMatrix::pairs`].
pub(super) const PAIRED: usize = 24;

impl PackedMatrix {
    /// Packs a matrix. `n` must be a multiple of 8.
    pub(crate) fn new(k: usize, n: usize, matrix: &[f32]) -> Self {
        assert!(n.is_multiple_of(8) && matrix.len() == k * n);
        let mut packed = PackedMatrix {
            k,
            n,
            weights: AlignedFloats::zeros(Self::room_for(k, n)),
            pairs: AlignedFloats::default(),
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

    /// Floats that it holds.
    pub(crate) fn room(&self) -> usize {
        self.weights.len()
    }

    /// Floats that a matrix `[k][n]` takes.
    pub(crate) fn room_for(k: usize, n: usize) -> usize {
        k * n.next_multiple_of(PANEL)
    }

    /// Room for a matrix of `len` floats.
    pub(crate) fn with_room(len: usize) -> Self {
        PackedMatrix {
            k: 0,
            n: 0,
            weights: AlignedFloats::zeros(len),
            pairs: AlignedFloats::zeros(len),
        }
    }

    /// The weights in pairs, if they are kept so.
    pub(super) fn pairs<S: Simd>(&self) -> Option<&[[f32; 2 * PAIRED]]> {
        let is_paired = S::f32s::LEN == PANEL && self.n == PAIRED && !self.pairs.is_empty();
        is_paired.then(|| self.pairs[..PAIRED * self.k].as_chunks().0)
    }

    /// Becomes `diag(factors) * matrix`, where `factors` holds one number per row. Allocates
    /// nothing; there must be room.
    pub(crate) fn set_scaled<S: Simd>(&mut self, s: S, matrix: &PackedMatrix, factors: &[f32]) {
        (self.k, self.n) = (matrix.k, matrix.n);
        scale(
            s,
            &mut self.weights[..matrix.weights.len()],
            matrix,
            &factors[..matrix.k],
        );
        self.set_pairs(s);
    }

    /// Brings [`PackedMatrix::pairs`] up to date.
    fn set_pairs<S: Simd>(&mut self, s: S) {
        if S::f32s::LEN == PANEL && self.n == PAIRED {
            pair(s, &self.weights, &mut self.pairs[..PAIRED * self.k]);
        }
    }

    /// Becomes `a * b`. Allocates nothing; there must be room.
    pub(crate) fn set_product<S: Simd>(&mut self, s: S, a: &PackedMatrix, b: &PackedMatrix) {
        (self.k, self.n) = (a.k, b.n);
        let len = Self::room_for(a.k, b.n);
        product(s, &mut self.weights[..len], a, b);
        self.set_pairs(s);
    }

    /// Adds `x * matrix` to `y`: `x` `[k]`, `y` `[n]`.
    pub(crate) fn add_product<S: Simd>(&self, s: S, x: &[f32], y: &mut [f32]) {
        row_product(s, x, self, y);
    }
}

/// Puts the weights of 24 outputs side by side for every two inputs. Their number is even.
#[simd]
fn pair<S: Simd>(s: S, weights: &[f32], pairs: &mut [f32]) {
    let pairs = pairs.as_chunks_mut::<{ 2 * PAIRED }>().0;
    let (first, last) = weights.split_at(2 * PANEL * pairs.len());
    let panels = [first, last].map(
        #[inline(always)]
        |panel| panel.as_chunks::<{ 2 * PANEL }>().0,
    );
    for ((pair, a), b) in pairs.iter_mut().zip(panels[0]).zip(panels[1]) {
        let [(a, b), (c, _)] = [a, b].map(
            #[inline(always)]
            |rows| {
                let (even, odd) = rows.split_at(PANEL);
                f32x16::from_slice(s, even).interleave(f32x16::from_slice(s, odd))
            },
        );
        a.store_slice(&mut pair[..16]);
        b.store_slice(&mut pair[16..32]);
        c.store_slice(&mut pair[32..]);
    }
}

#[simd]
fn product<S: Simd>(s: S, to: &mut [f32], a: &PackedMatrix, b: &PackedMatrix) {
    let panels = to
        .chunks_exact_mut(PANEL * a.k)
        .zip(b.weights.chunks_exact(PANEL * b.k));
    for (to, b) in panels {
        for (row, to) in to.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
            let mut sum = f32x16::splat(s, 0.0);
            for (i, b) in b.as_chunks::<PANEL>().0.iter().enumerate() {
                let a = a.weights[(i / PANEL * a.k + row) * PANEL + i % PANEL];
                sum = f32x16::splat(s, a).mul_add(f32x16::from_slice(s, b), sum);
            }
            sum.store_slice(to);
        }
    }
}

#[simd]
fn row_product<S: Simd>(s: S, x: &[f32], matrix: &PackedMatrix, y: &mut [f32]) {
    let panels = matrix.weights.chunks_exact(PANEL * matrix.k);
    for (y, panel) in y.chunks_mut(PANEL).zip(panels) {
        let mut sum = f32x16::splat(s, 0.0);
        for (x, row) in x.iter().zip(panel.as_chunks::<PANEL>().0) {
            sum = f32x16::splat(s, *x).mul_add(f32x16::from_slice(s, row), sum);
        }
        let mut sums = [0.0; PANEL];
        sum.store_slice(&mut sums);
        y.iter_mut().zip(sums).for_each(|(y, sum)| *y += sum);
    }
}

#[simd]
fn scale<S: Simd>(s: S, to: &mut [f32], matrix: &PackedMatrix, factors: &[f32]) {
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
    fn products_are_those_of_the_matrices() {
        let [k, m, n] = [5, 24, 40];
        let a: Vec<f32> = (0..k * m).map(|i| (i * 7 % 11) as f32).collect();
        let b: Vec<f32> = (0..m * n).map(|i| (i * 5 % 13) as f32).collect();
        let product: Vec<f32> = (0..k * n)
            .map(|i| (0..m).map(|j| a[i / n * m + j] * b[j * n + i % n]).sum())
            .collect();
        let expected = PackedMatrix::new(k, n, &product);
        let [a_packed, b_packed] = [PackedMatrix::new(k, m, &a), PackedMatrix::new(m, n, &b)];
        for level in SimdLevel::available() {
            let level_token = level.level().unwrap();
            let mut found = PackedMatrix::with_room(PackedMatrix::room_for(k, n) + 3);
            dispatch!(level_token, s => found.set_product(s, &a_packed, &b_packed));
            assert_eq!((found.k, found.n), (k, n));
            assert_eq!(
                found.weights[..expected.weights.len()],
                *expected.weights,
                "{level}"
            );
            let mut row = vec![1.0; n];
            dispatch!(level_token, s => b_packed.add_product(s, &a[..m], &mut row));
            let added: Vec<f32> = product[..n].iter().map(|v| v + 1.0).collect();
            assert_eq!(row, added, "{level}");
        }
    }

    #[test]
    fn packing_orders_and_scaling_scales_rows() {
        let k = 3;
        let n = 24;
        let matrix: Vec<f32> = (0..k * n).map(|i| i as f32).collect();
        let packed = PackedMatrix::new(k, n, &matrix);
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
        let expected = PackedMatrix::new(k, n, &scaled);
        for level in SimdLevel::available() {
            let mut found = PackedMatrix::with_room(100);
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
