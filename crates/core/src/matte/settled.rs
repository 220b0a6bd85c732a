//! Finds settled cells: the network is sure of them and all their neighbours, so colours do not
//! matter.
//!
//! The guided filter explains a whole window by colour. Where the room has the person's colours (a
//! dark picture frame beside dark hair), it smears the person along it, up to twice the window's
//! radius away. Where the person has the room's colours, it makes holes. So colours decide only
//! near the map's own edge, and nothing is computed elsewhere.
use super::blocks::{BLOCK, all, runs, widened};
use super::grid::{Grid, Guide};
use super::window::around;
use fearless_simd::{Level, Simd, dispatch};
use fearless_simd_macros::simd;

/// A cell is settled as room if the largest map value around it is below the first, and as person
/// if the smallest is above the second. The map has 16 bits.
const ROOM: u16 = (0.2 * 65535.0) as u16;
const PERSON: u16 = u16::MAX - ROOM;

/// The mark of cells that are not settled; others are marked with their alpha, 0 or 255.
pub(super) const OPEN: u8 = 128;

/// The settled cells of a map. Two settled neighbours (also across a corner) always have the same
/// alpha.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct SettledCells {
    /// [`OPEN`], or the alpha of a settled cell, `[height][width]` of the grid.
    pub(super) marks: Vec<u8>,
    /// For each row the blocks that have an open cell.
    pub(super) open: Vec<u64>,
    /// Largest and smallest value of three rows, column by column, with one more column on either
    /// side.
    largest: Vec<u16>,
    smallest: Vec<u16>,
}

impl SettledCells {
    /// Makes all cells gray that are farther than `reach` cells from all open ones: their colours
    /// do not matter.
    pub(super) fn gray_out(&self, grid: Grid, reach: usize, luma: &[u8], colours: &mut Guide) {
        let all = all(grid.width);
        for y in 0..grid.height {
            for cells in runs(all & !widened(self.open_near(y, reach), reach)) {
                let cells =
                    y * grid.width + cells.start..y * grid.width + cells.end.min(grid.width);
                for plane in &mut colours.planes {
                    plane[cells.clone()].copy_from_slice(&luma[cells.clone()]);
                }
            }
        }
    }

    /// The blocks that have an open cell in row `y` or up to `reach` rows above or below it.
    pub(super) fn open_near(&self, y: usize, reach: usize) -> u64 {
        let rows = around(y, reach, self.open.len());
        self.open[rows].iter().fold(0, |blocks, open| blocks | open)
    }

    /// Marks the cells of `map`, which is on `grid`.
    pub(super) fn find(&mut self, level: Level, grid: Grid, map: &[u16]) {
        self.marks.resize(grid.len(), OPEN);
        self.open.resize(grid.height, 0);
        self.largest.resize(grid.width + 2, 0);
        self.smallest.resize(grid.width + 2, 0);
        if grid.len() > 0 {
            dispatch!(level, s => mark(s, self, grid, map));
        }
    }
}

#[simd]
fn mark<S: Simd>(_simd: S, settled: &mut SettledCells, grid: Grid, map: &[u16]) {
    let n = grid.width;
    let SettledCells {
        marks,
        open,
        largest,
        smallest,
    } = settled;
    for (y, (marks, open)) in marks.chunks_exact_mut(n).zip(open).enumerate() {
        let row = |y: usize| &map[y * n..(y + 1) * n];
        let rows = [
            row(y.saturating_sub(1)),
            row(y),
            row((y + 1).min(grid.height - 1)),
        ];
        let columns = largest[1..=n].iter_mut().zip(&mut smallest[1..=n]);
        for (((large, small), (above, here)), below) in
            columns.zip(rows[0].iter().zip(rows[1])).zip(rows[2])
        {
            *large = *above.max(here).max(below);
            *small = *above.min(here).min(below);
        }
        for edges in [&mut *largest, &mut *smallest] {
            (edges[0], edges[n + 1]) = (edges[1], edges[n]);
        }
        let large = largest[..n]
            .iter()
            .zip(&largest[1..])
            .zip(&largest[2..])
            .map(|((a, b), c)| *a.max(b).max(c));
        let small = smallest[..n]
            .iter()
            .zip(&smallest[1..])
            .zip(&smallest[2..])
            .map(|((a, b), c)| *a.min(b).min(c));
        for ((mark, large), small) in marks.iter_mut().zip(large).zip(small) {
            let person = if small > PERSON { 255 } else { OPEN };
            *mark = if large < ROOM { 0 } else { person };
        }
        let (blocks, rest) = marks.as_chunks::<BLOCK>();
        let last = u64::from(rest.contains(&OPEN)) << blocks.len();
        *open = blocks.iter().enumerate().fold(last, |bits, (i, block)| {
            let any = block.iter().fold(false, |any, mark| any | (*mark == OPEN));
            bits | u64::from(any) << i
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mattebox_net::SimdLevel;

    #[test]
    fn only_cells_near_the_maps_edge_are_open() {
        // The left half is person, the right half is room.
        let width = 24;
        let height = 4;
        let grid = Grid::of(width as u32, height as u32);
        assert_eq!(
            (grid.width, grid.height),
            (width, height),
            "pictures this small have a cell per pixel"
        );
        let map: Vec<u16> = (0..width * height)
            .map(|i| if i % width < 11 { u16::MAX } else { 0 })
            .collect();
        for level in SimdLevel::available() {
            let mut settled = SettledCells::default();
            settled.find(level.level().unwrap(), grid, &map);
            for row in settled.marks.chunks_exact(width) {
                assert_eq!(
                    (&row[..10], &row[10..12], &row[12..]),
                    (&[255; 10][..], &[OPEN; 2][..], &[0; 12][..]),
                    "{level}"
                );
            }
            assert_eq!(settled.open, [0b010; 4], "{level}");
        }
    }
}
