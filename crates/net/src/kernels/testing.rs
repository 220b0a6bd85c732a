//! Helpers that the kernels' tests share.
use super::row::{RowLayout, block};
use crate::SimdLevel;
use fearless_simd::{Simd, dispatch};

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

/// Channels of a block of this level's maps.
pub(super) fn block_at(level: SimdLevel) -> usize {
    dispatch!(level.level().unwrap(), s => block_of(s))
}

fn block_of<S: Simd>(_: S) -> usize {
    block::<S>()
}

/// Where channel `ch` of the pixel at `place` of a row of `len` pixels and `c` channels lies.
fn position(c: usize, len: usize, block: usize, place: usize, ch: usize) -> usize {
    let first = ch / block * block;
    first * len + place * block.min(c - first) + ch - first
}

/// `[px][c]` to a plain row.
pub(super) fn stored_row(row: &[f32], c: usize, block: usize) -> Vec<f32> {
    padded_row(row, c, RowLayout::plain(row.len() / c), block)
}

/// `[px][c]` to a row of a layout, with zeros as its padding.
pub(super) fn padded_row(row: &[f32], c: usize, layout: RowLayout, block: usize) -> Vec<f32> {
    let mut stored = vec![0.0; layout.len * c];
    for (i, v) in row.iter().enumerate() {
        stored[position(
            c,
            layout.len,
            block,
            layout.place(layout.pad + i / c),
            i % c,
        )] = *v;
    }
    stored
}

/// The `px` pixels of a stored row as `[px][c]`.
pub(super) fn plain_row(
    row: &[f32],
    c: usize,
    layout: RowLayout,
    px: usize,
    block: usize,
) -> Vec<f32> {
    (0..px * c)
        .map(|i| {
            row[position(
                c,
                layout.len,
                block,
                layout.place(layout.pad + i / c),
                i % c,
            )]
        })
        .collect()
}

/// Compares with a tolerance that is small against sums of a few hundred numbers of size 1.
#[track_caller]
pub(super) fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!(
            (f - e).abs() <= 2e-5 * (1.0 + e.abs()),
            "{what}: {f} instead of {e} at {i}"
        );
    }
}
