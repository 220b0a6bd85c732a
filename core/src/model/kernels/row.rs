//! Where in a buffer the pixels of a row lie.

/// The layout of one row with padding: `c / 8` blocks of `len` pixels of 8 floats, of which the first `pad` and what is left behind
/// `pad + w` pixels are zeros.
///
/// A row that a convolution with stride 2 reads keeps its even pixels in front of its odd ones, so that neighbouring outputs
/// read neighbouring pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::model) struct Row {
    /// Pixels per block, padding included.
    pub(in crate::model) len: usize,
    /// Pixels in front of the row.
    pub(in crate::model) pad: usize,
    /// Whether even and odd pixels are kept apart.
    pub(in crate::model) split: bool,
}

impl Row {
    /// A row of `w` pixels without padding.
    pub(in crate::model) fn plain(w: usize) -> Self {
        Row { len: w, pad: 0, split: false }
    }

    /// The row that a convolution with `kernel` taps and `stride` reads, of `w` pixels with `pad` in front.
    pub(in crate::model) fn padded(w: usize, kernel: usize, stride: usize, pad: usize) -> Self {
        let read = (w.div_ceil(stride) - 1) * stride + kernel;
        Row { len: read.max(pad + w).next_multiple_of(2), pad, split: stride == 2 }
    }

    /// Place of pixel `x` in a block; padding counts.
    pub(super) fn place(self, x: usize) -> usize {
        if self.split { x % 2 * (self.len / 2) + x / 2 } else { x }
    }

    /// Zeroes the padding of the rows in `ring` (whole blocks), whose rows have `w` pixels.
    pub(in crate::model) fn clear_padding(self, ring: &mut [f32], w: usize) {
        for block in ring.chunks_exact_mut(self.len * 8) {
            for x in (0..self.pad).chain(self.pad + w..self.len) {
                block[self.place(x) * 8..][..8].fill(0.0);
            }
        }
    }
}

/// Sets the pixel left and right of each block of `w` pixels (a row of `w + 2`) to its neighbour.
pub(in crate::model) fn extend_edges(row: &mut [f32], w: usize) {
    for block in row.chunks_exact_mut((w + 2) * 8) {
        block.copy_within(8..16, 0);
        block.copy_within(w * 8..w * 8 + 8, w * 8 + 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_cleared_and_pixels_are_kept() {
        for row in [Row::plain(8), Row::padded(8, 3, 1, 1), Row::padded(8, 5, 2, 1), Row::padded(8, 3, 2, 0)] {
            let mut ring = vec![1.0; row.len * 8 * 3];
            row.clear_padding(&mut ring, 8);
            for block in ring.chunks_exact(row.len * 8) {
                for x in 0..row.len {
                    let inside = (row.pad..row.pad + 8).contains(&x);
                    assert_eq!(block[row.place(x) * 8..][..8], [f32::from(inside); 8], "{row:?}, pixel {x}");
                }
            }
        }
    }

    #[test]
    fn edges_repeat_the_last_pixel() {
        let mut row: Vec<f32> = (0..2 * 4 * 8).map(|i| i as f32).collect();
        extend_edges(&mut row, 2);
        assert_eq!((row[0], row[8], row[24], row[23], row[31]), (8.0, 8.0, 16.0, 23.0, 23.0));
        assert_eq!((row[32], row[63]), (40.0, 55.0));
    }
}
