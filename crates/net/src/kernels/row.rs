//! The layout of a row's pixels in a buffer.
use super::vector::Vector;
use fearless_simd::{f32x8, f32x16, prelude::*};
use fearless_simd_macros::simd;

/// Channels of a block: 16 with AVX-512, otherwise 8.
#[inline(always)]
pub(super) fn block<S: Simd>() -> usize {
    if S::f32s::LEN == 16 { 16 } else { 8 }
}

/// The layout of one row with padding: blocks of `len` pixels. The first `pad` pixels, and those
/// behind pixel `pad + w`, are zeros.
///
/// A row that a convolution with stride 2 reads keeps its even pixels in front of its odd ones, so
/// that neighbouring outputs read neighbouring pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowLayout {
    /// Pixels per block, padding included.
    pub(crate) len: usize,
    /// Pixels in front of the row.
    pub(crate) pad: usize,
    /// Whether even and odd pixels are kept apart.
    pub(crate) split: bool,
}

impl RowLayout {
    /// A row of `w` pixels without padding.
    pub(crate) fn plain(w: usize) -> Self {
        RowLayout {
            len: w,
            pad: 0,
            split: false,
        }
    }

    /// The row that a convolution with `kernel` taps and `stride` reads, of `w` pixels with `pad`
    /// in front.
    pub(crate) fn padded(w: usize, kernel: usize, stride: usize, pad: usize) -> Self {
        let read = (w.div_ceil(stride) - 1) * stride + kernel;
        RowLayout {
            len: read.max(pad + w).next_multiple_of(2),
            pad,
            split: stride == 2,
        }
    }

    /// Place of pixel `x` in a block; padding counts.
    pub(super) fn place(self, x: usize) -> usize {
        if self.split {
            x % 2 * (self.len / 2) + x / 2
        } else {
            x
        }
    }

    /// Zeroes the padding of the rows in `ring`, which have `channels` channels and `w` pixels.
    pub(crate) fn clear_padding<S: Simd>(self, _: S, ring: &mut [f32], channels: usize, w: usize) {
        for row in ring.chunks_exact_mut(self.len * channels) {
            for_each_block::<S>(row, channels, |block, channels| {
                for x in (0..self.pad).chain(self.pad + w..self.len) {
                    block[self.place(x) * channels..][..channels].fill(0.0);
                }
            });
        }
    }
}

/// Sets the pixel left and right of each block of `w` pixels (a row of `w + 2`) to its neighbour.
pub(crate) fn extend_edges<S: Simd>(_: S, row: &mut [f32], w: usize) {
    let channels = row.len() / (w + 2);
    for_each_block::<S>(row, channels, |block, channels| {
        block.copy_within(channels..2 * channels, 0);
        block.copy_within(w * channels..(w + 1) * channels, (w + 1) * channels);
    });
}

/// Adds a number per channel to all pixels of a row of `len` pixels.
#[simd]
pub(crate) fn add_to_row<S: Simd>(s: S, row: &mut [f32], len: usize, values: &[f32]) {
    let whole = values.len() / block::<S>() * block::<S>();
    let (row, half_row) = row.split_at_mut(whole * len);
    let (values, half) = values.split_at(whole);
    if S::f32s::LEN == 16 {
        add_to_blocks::<S, f32x16<S>>(s, row, len, values);
    } else {
        add_to_blocks::<S, f32x8<S>>(s, row, len, values);
    }
    add_to_blocks::<S, f32x8<S>>(s, half_row, len, half);
}

#[inline(always)]
fn add_to_blocks<S: Simd, V: Vector<S>>(s: S, row: &mut [f32], len: usize, values: &[f32]) {
    let blocks = row.chunks_exact_mut(len * V::LEN);
    for (block, values) in blocks.zip(values.chunks_exact(V::LEN)) {
        let add = V::load(s, values);
        for pixel in block.chunks_exact_mut(V::LEN) {
            V::load(s, pixel).add(add).store(pixel);
        }
    }
}

/// Calls `each` with each block of a row and the number of its channels.
fn for_each_block<S: Simd>(row: &mut [f32], channels: usize, each: impl Fn(&mut [f32], usize)) {
    let width = block::<S>();
    let len = row.len() / channels;
    let (whole, half) = row.split_at_mut(channels / width * width * len);
    whole
        .chunks_exact_mut(len * width)
        .for_each(|block| each(block, width));
    half.chunks_exact_mut(len * 8)
        .for_each(|block| each(block, 8));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SimdLevel;
    use crate::kernels::testing::{block_at, plain_row, stored_row};
    use fearless_simd::dispatch;

    #[test]
    fn padding_is_cleared_and_pixels_are_kept() {
        for row in [
            RowLayout::plain(8),
            RowLayout::padded(8, 3, 1, 1),
            RowLayout::padded(8, 5, 2, 1),
            RowLayout::padded(8, 3, 2, 0),
        ] {
            for level in SimdLevel::available() {
                let mut ring = vec![1.0; row.len * 24 * 3];
                dispatch!(level.level().unwrap(), s => row.clear_padding(s, &mut ring, 24, 8));
                for ring_row in ring.chunks_exact(row.len * 24) {
                    let found = plain_row(
                        ring_row,
                        24,
                        RowLayout { pad: 0, ..row },
                        row.len,
                        block_at(level),
                    );
                    for (x, pixel) in found.chunks_exact(24).enumerate() {
                        let inside = (row.pad..row.pad + 8).contains(&x);
                        assert_eq!(
                            pixel,
                            [f32::from(inside); 24],
                            "{level}, {row:?}, pixel {x}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn numbers_are_added_per_channel() {
        let c = 24;
        let row: Vec<f32> = (0..4 * c).map(|i| i as f32).collect();
        let values: Vec<f32> = (0..c).map(|i| 1000.0 * i as f32).collect();
        let expected: Vec<f32> = (0..4 * c).map(|i| row[i] + values[i % c]).collect();
        for level in SimdLevel::available() {
            let block = block_at(level);
            let mut stored = stored_row(&row, c, block);
            dispatch!(level.level().unwrap(), s => add_to_row(s, &mut stored, 4, &values));
            assert_eq!(
                plain_row(&stored, c, RowLayout::plain(4), 4, block),
                expected
            );
        }
    }

    #[test]
    fn edges_repeat_the_last_pixel() {
        let w = 2;
        let c = 24;
        let row: Vec<f32> = (0..(w + 2) * c).map(|i| i as f32).collect();
        for level in SimdLevel::available() {
            let mut stored = stored_row(&row, c, block_at(level));
            dispatch!(level.level().unwrap(), s => extend_edges(s, &mut stored, w));
            let found = plain_row(&stored, c, RowLayout::plain(w + 2), w + 2, block_at(level));
            assert_eq!(found[..c], row[c..2 * c]);
            assert_eq!(found[c..3 * c], row[c..3 * c]);
            assert_eq!(found[3 * c..], row[2 * c..3 * c]);
        }
    }
}
