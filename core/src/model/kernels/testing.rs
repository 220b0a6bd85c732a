//! What the kernels' tests share.
use super::row::Row;

/// `count` numbers between -1 and 1 that depend on `seed` alone.
pub(super) fn numbers(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// `[px][c]` to `[c/8][px][8]`.
pub(super) fn stored_row(row: &[f32], c: usize) -> Vec<f32> {
    let px = row.len() / c;
    (0..px * c).map(|i| row[i / 8 % px * c + i / 8 / px * 8 + i % 8]).collect()
}

/// The `px` pixels of a stored row as `[px][c]`.
pub(super) fn plain_row(row: &[f32], c: usize, layout: Row, px: usize) -> Vec<f32> {
    (0..px * c).map(|i| row[(i % c / 8 * layout.len + layout.place(layout.pad + i / c)) * 8 + i % 8]).collect()
}

/// Compares with a tolerance that is small against sums of a few hundred numbers of size 1.
#[track_caller]
pub(super) fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= 2e-5 * (1.0 + e.abs()), "{what}: {f} instead of {e} at {i}");
    }
}
