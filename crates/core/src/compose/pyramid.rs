//! Spreads colours that are known in some cells of a grid to all of them.
//!
//! Pull-push (Gortler, Grzeszczuk, Szeliski and Cohen, "The Lumigraph", 1996, section 3.3). Going
//! up, each level has half the size and holds half the weighted sums of 2x2 cells, with the weight
//! limited to 1. Going down, each cell fills up its weight from the smooth interpolation of the
//! level above it. So a cell gets the nearest known colours.
use fearless_simd::{Simd, f32x4, prelude::*};
use fearless_simd_macros::simd;

/// The factor of the sum of four cells: the weight of four equal cells doubles. With the whole sum,
/// many doubtful cells nearby would count as much as certain ones a little farther away.
const GROWTH: f32 = 0.5;

/// Red, green, blue (0 to 255) times weight, and the weight (0 to 1).
pub(super) type Cell = [f32; 4];

/// The pixels along a side of a cell: a power of two, so that finding a cell takes no division.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct CellSize {
    bits: u32,
}

impl CellSize {
    /// The smallest size that is not less than `pixels`.
    pub(super) fn at_least(pixels: usize) -> Self {
        CellSize {
            bits: pixels.next_power_of_two().trailing_zeros(),
        }
    }

    pub(super) fn pixels(self) -> usize {
        1 << self.bits
    }

    /// The two cells, of a row of `cells`, whose centres lie around the centre of pixel `at`; and
    /// the position of that pixel between them (0 to 1).
    #[inline(always)]
    pub(super) fn around(self, at: usize, cells: usize) -> (usize, usize, f32) {
        // In halves of a pixel, so that everything is whole. From one centre to the next are
        // 2^(bits + 1) halves.
        let twice = 2 * at + 1 + self.pixels();
        let step = self.bits + 1;
        let after = twice >> step;
        let along = (twice & ((1 << step) - 1)) as f32 / (1u32 << step) as f32;
        (
            after.saturating_sub(1).min(cells - 1),
            after.min(cells - 1),
            along,
        )
    }
}

/// One level.
#[derive(Debug, Default)]
pub(super) struct PyramidLevel {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Row by row.
    pub(super) cells: Vec<Cell>,
}

/// A grid and its smaller copies, down to a single cell.
#[derive(Debug, Default)]
pub(super) struct Pyramid {
    levels: Vec<PyramidLevel>,
}

impl Pyramid {
    /// Clears the grid, for known colours to be put in.
    pub(super) fn clear(&mut self, width: usize, height: usize) -> &mut PyramidLevel {
        let mut w = width;
        let mut h = height;
        for i in 0.. {
            if self.levels.len() == i {
                self.levels.push(PyramidLevel::default());
            }
            let grid = &mut self.levels[i];
            (grid.width, grid.height) = (w, h);
            grid.cells.resize(w * h, [0.0; 4]);
            if w == 1 && h == 1 {
                self.levels.truncate(i + 1);
                break;
            }
            (w, h) = (w.div_ceil(2), h.div_ceil(2));
        }
        self.levels[0].cells.fill([0.0; 4]);
        &mut self.levels[0]
    }

    /// The grid itself.
    pub(super) fn base(&self) -> &PyramidLevel {
        &self.levels[0]
    }

    /// Gives every cell a colour of weight 1, if any cell has one. If only some of the grid's cells
    /// are `wanted`, the others must have no colour and get none.
    #[simd]
    pub(super) fn fill<S: Simd>(&mut self, simd: S, wanted: Option<&[bool]>) {
        for i in 1..self.levels.len() {
            let (fine, coarse) = self.levels.split_at_mut(i);
            pull(simd, &fine[i - 1], &mut coarse[0]);
        }
        if let Some(top) = self.levels.last_mut() {
            for cell in &mut top.cells {
                let weight = cell[3];
                if weight > 0.0 {
                    *cell = cell.map(|v| v / weight);
                }
            }
        }
        for i in (1..self.levels.len()).rev() {
            let (fine, coarse) = self.levels.split_at_mut(i);
            push(
                simd,
                &coarse[0],
                &mut fine[i - 1],
                wanted.filter(|_| i == 1),
            );
        }
    }
}

#[inline(always)]
fn load<S: Simd>(simd: S, cell: &Cell) -> f32x4<S> {
    f32x4::from_slice(simd, cell)
}

#[simd]
fn pull<S: Simd>(simd: S, fine: &PyramidLevel, coarse: &mut PyramidLevel) {
    for (y, out) in coarse.cells.chunks_exact_mut(coarse.width).enumerate() {
        // The last row or column of an odd size stands alone.
        let rows = &fine.cells[2 * y * fine.width..fine.cells.len().min((2 * y + 2) * fine.width)];
        let (above, below) = rows.split_at(fine.width);
        for (x, out) in out.iter_mut().enumerate() {
            let columns = 2 * x..fine.width.min(2 * x + 2);
            let mut sum = f32x4::splat(simd, 0.0);
            for cell in above[columns.clone()]
                .iter()
                .chain(below.get(columns).unwrap_or_default())
            {
                sum += load(simd, cell);
            }
            let weight = sum[3] * GROWTH;
            sum *= if weight > 1.0 {
                GROWTH / weight
            } else {
                GROWTH
            };
            sum.store_slice(out);
        }
    }
}

#[simd]
fn push<S: Simd>(simd: S, coarse: &PyramidLevel, fine: &mut PyramidLevel, wanted: Option<&[bool]>) {
    for (y, out) in fine.cells.chunks_exact_mut(fine.width).enumerate() {
        // A fine cell's centre is a quarter of a coarse cell from the centre of the coarse cell
        // that holds it.
        let near = &coarse.cells[y / 2 * coarse.width..][..coarse.width];
        let far = &coarse.cells[neighbour(y, coarse.height) * coarse.width..][..coarse.width];
        let wanted = wanted.map(|wanted| &wanted[y * fine.width..][..fine.width]);
        for (x, out) in out.iter_mut().enumerate() {
            let missing = 1.0 - out[3];
            if missing <= 0.0 || wanted.is_some_and(|wanted| !wanted[x]) {
                continue;
            }
            let x0 = x / 2;
            let x1 = neighbour(x, coarse.width);
            let smooth = load(simd, &near[x0]) * 0.5625
                + (load(simd, &near[x1]) + load(simd, &far[x0])) * 0.1875
                + load(simd, &far[x1]) * 0.0625;
            (load(simd, out) + smooth * missing).store_slice(out);
        }
    }
}

/// The coarse cell that is second nearest to the fine cell `i`, after its own, `i / 2`.
fn neighbour(i: usize, len: usize) -> usize {
    if i.is_multiple_of(2) {
        (i / 2).saturating_sub(1)
    } else {
        (i / 2 + 1).min(len - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fearless_simd::dispatch;
    use mattebox_net::SimdLevel;

    fn fill(level: SimdLevel, pyramid: &mut Pyramid) {
        let level = level.level().unwrap();
        dispatch!(level, simd => pyramid.fill(simd, None));
    }

    #[test]
    fn pixels_lie_between_the_centres_of_cells() {
        let four = CellSize::at_least(3);
        assert_eq!(four.pixels(), 4);
        // The centres of cells are at 2 and 6, those of pixels at 0.5, 1.5 and so on.
        assert_eq!(four.around(0, 9).0, 0);
        assert_eq!(four.around(0, 9).1, 0);
        assert_eq!(four.around(2, 9), (0, 1, 0.125));
        assert_eq!(four.around(5, 9), (0, 1, 0.875));
        assert_eq!(four.around(6, 2), (1, 1, 0.125));
        assert_eq!(CellSize::at_least(1).around(7, 9), (7, 8, 0.0));
    }

    #[test]
    fn one_known_cell_colours_all() {
        for (w, h) in [(1, 1), (1, 9), (7, 1), (13, 6)] {
            let mut pyramid = Pyramid::default();
            pyramid.clear(w, h).cells[w * h / 2] = [10.0, 20.0, 5.0, 0.25];
            fill(SimdLevel::best(), &mut pyramid);
            for cell in &pyramid.base().cells {
                for (v, want) in cell.iter().zip([40.0, 80.0, 20.0, 1.0]) {
                    assert!((v - want).abs() < 0.01, "{w}x{h}: {cell:?}");
                }
            }
        }
    }

    #[test]
    fn known_cells_keep_their_colour_and_holes_take_the_nearest() {
        let mut pyramid = Pyramid::default();
        let grid = pyramid.clear(64, 1);
        grid.cells[..8].fill([100.0, 0.0, 0.0, 1.0]);
        grid.cells[56..].fill([0.0, 200.0, 0.0, 1.0]);
        fill(SimdLevel::best(), &mut pyramid);
        let cells = &pyramid.base().cells;
        assert_eq!(cells[3], [100.0, 0.0, 0.0, 1.0]);
        assert!(
            cells[12][0] > 70.0 && cells[51][1] > 140.0,
            "{:?} {:?}",
            cells[12],
            cells[51]
        );
    }

    #[test]
    fn all_levels_agree_bit_by_bit() {
        let known: Vec<Cell> = (0..35u32)
            .map(|i| [i as f32, 3.7 * i as f32, 0.1, 0.9].map(|v| v * ((i % 4) as f32 / 3.0)))
            .collect();
        let results: Vec<Vec<Cell>> = SimdLevel::available()
            .into_iter()
            .map(|level| {
                let mut pyramid = Pyramid::default();
                pyramid.clear(7, 5).cells.copy_from_slice(&known);
                fill(level, &mut pyramid);
                pyramid.base().cells.clone()
            })
            .collect();
        for result in &results {
            assert_eq!(result, &results[0]);
        }
    }
}
