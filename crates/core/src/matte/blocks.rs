//! Parts of a row of cells as bits: one bit for each block of [`BLOCK`] cells. They limit work to
//! the cells near a person's outline, a small part of a picture.
use super::grid::Grid;
use std::ops::Range;

/// Cells per block. A grid's row has fewer than 480 cells, so its blocks fit 64 bits.
pub(super) const BLOCK: usize = 8;

/// Blocks across and down.
pub(super) fn blocks_of(grid: Grid) -> (usize, usize) {
    (grid.width.div_ceil(BLOCK), grid.height.div_ceil(BLOCK))
}

/// All blocks of a row of `cells` cells.
pub(super) fn all(cells: usize) -> u64 {
    u64::MAX >> (64 - cells.div_ceil(BLOCK))
}

/// The blocks and their neighbours within `cells` cells on each side.
#[inline(always)]
pub(super) fn widened(blocks: u64, cells: usize) -> u64 {
    (0..cells.div_ceil(BLOCK)).fold(blocks, |b, _| b | b << 1 | b >> 1)
}

/// The runs of blocks from left to right, as cells. The last run may end after the row.
#[inline(always)]
pub(super) fn runs(mut blocks: u64) -> impl Iterator<Item = Range<usize>> {
    std::iter::from_fn(move || {
        let start = blocks.trailing_zeros();
        let length = (blocks.checked_shr(start)?).trailing_ones();
        blocks &= !(u64::MAX >> (64 - length) << start);
        Some(start as usize * BLOCK..(start + length) as usize * BLOCK)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_cut_out_of_a_row() {
        assert_eq!(runs(0).count(), 0);
        assert_eq!(runs(0b1101).collect::<Vec<_>>(), [0..8, 16..32]);
        assert_eq!(runs(u64::MAX).next(), Some(0..512));
        assert_eq!(runs(1 << 63).next(), Some(504..512));
    }

    #[test]
    fn neighbours_are_added() {
        assert_eq!((all(1), all(8), all(9), all(479)), (1, 1, 3, (1 << 60) - 1));
        assert_eq!(widened(0b1_0000, 1), 0b11_1000);
        assert_eq!(widened(0b1_0000, 9), 0b111_1100);
    }
}
