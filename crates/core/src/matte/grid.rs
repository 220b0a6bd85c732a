//! The low-resolution grid of the soft matte, between the network and the full-resolution picture.
use super::window::rounded;
use fearless_simd::{Level, Simd, dispatch};
use fearless_simd_macros::simd;
use image::RgbImage;
use std::ops::AddAssign;

/// The intended long side of a grid, in cells.
const LONG_SIDE: u32 = 320;

/// The division of a picture into square cells of `cell` pixels a side; the last column and row may
/// be partial. The long side has 213 to 480 cells; a picture up to 479 pixels long has one cell per
/// pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    /// Pixels per cell and side.
    pub(super) cell: usize,
    /// Cells per row.
    pub(super) width: usize,
    /// Rows.
    pub(super) height: usize,
}

impl Grid {
    /// The grid of a picture of this size.
    pub(super) fn of(width: u32, height: u32) -> Grid {
        let long = u64::from(width.max(height));
        let cell = ((long + u64::from(LONG_SIDE) / 2) / u64::from(LONG_SIDE)).max(1);
        let cells = |n: u32| u64::from(n).div_ceil(cell) as usize;
        Grid {
            cell: cell as usize,
            width: cells(width),
            height: cells(height),
        }
    }

    /// The number of cells.
    pub(super) fn len(&self) -> usize {
        self.width * self.height
    }

    /// A length that is `pixels` in a picture 640 pixels long, in cells, at least one.
    pub(super) fn cells_of_640(&self, pixels: f32) -> usize {
        ((pixels * self.width.max(self.height) as f32 / 640.0).round() as usize).max(1)
    }
}

/// A grid that is small and not square, for tests.
#[cfg(test)]
pub(super) const SMALL: Grid = Grid {
    cell: 2,
    width: 64,
    height: 40,
};

/// The colours of a picture on its grid: the mean of each cell's pixels, rounded, as planes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Guide {
    /// Red, green and blue, each `[height][width]` of the grid.
    pub(super) planes: [Vec<u8>; 3],
}

/// Not derived, because the derived `clone_from` would allocate all planes for each frame.
impl Clone for Guide {
    fn clone(&self) -> Guide {
        Guide {
            planes: self.planes.clone(),
        }
    }

    fn clone_from(&mut self, source: &Guide) {
        self.planes.clone_from(&source.planes);
    }
}

impl Guide {
    /// Gives the planes the size of a grid.
    pub(super) fn resize(&mut self, grid: Grid) {
        for plane in &mut self.planes {
            plane.resize(grid.len(), 0);
        }
    }

    /// Writes the luma of each cell (BT.601 weights in 1/256, rounded) to `into`.
    pub(super) fn luma(&self, level: Level, into: &mut Vec<u8>) {
        into.resize(self.planes[0].len(), 0);
        dispatch!(level, s => lumas(s, &self.planes, into));
    }
}

#[simd]
fn lumas<S: Simd>(_simd: S, [r, g, b]: &[Vec<u8>; 3], into: &mut [u8]) {
    for (((into, &r), &g), &b) in into.iter_mut().zip(r).zip(g).zip(b) {
        *into = luma(r, g, b);
    }
}

#[inline(always)]
fn luma(r: u8, g: u8, b: u8) -> u8 {
    ((77 * u32::from(r) + 150 * u32::from(g) + 29 * u32::from(b) + 128) >> 8) as u8
}

/// The largest side of a cell, in pixels, for which the sums over its rows fit 16 bits.
const SMALL_CELL: usize = 257;

/// Reduces pictures to their grid; keeps its buffers between pictures.
#[derive(Debug, Default)]
pub(super) struct Reducer {
    /// Sums over the rows of one cell, `[width][3]` of the picture.
    sums: Vec<u16>,
    /// The same for cells that are not small.
    large_sums: Vec<u32>,
}

impl Reducer {
    /// Sets `guide` to the colours of `picture` on `grid`.
    pub(super) fn reduce(
        &mut self,
        level: Level,
        picture: &RgbImage,
        grid: Grid,
        guide: &mut Guide,
    ) {
        guide.resize(grid);
        for y in 0..grid.height {
            self.row(level, picture, grid, y, guide);
        }
    }

    /// Sets row `y` of `guide`, which has the size of `grid`.
    pub(super) fn row(
        &mut self,
        level: Level,
        picture: &RgbImage,
        grid: Grid,
        y: usize,
        guide: &mut Guide,
    ) {
        let row = picture.width() as usize * 3;
        let lines = y * grid.cell..(picture.height() as usize).min((y + 1) * grid.cell);
        let band = &picture.as_raw()[lines.start * row..lines.end * row];
        let cells = y * grid.width..(y + 1) * grid.width;
        let planes = guide
            .planes
            .each_mut()
            .map(|plane| &mut plane[cells.clone()]);
        if grid.cell <= SMALL_CELL {
            self.sums.resize(row, 0);
            dispatch!(level, s => reduce_band(s, band, grid.cell, &mut self.sums, planes));
        } else {
            self.large_sums.resize(row, 0);
            dispatch!(level, s => reduce_band(s, band, grid.cell, &mut self.large_sums, planes));
        }
    }
}

/// A sum of samples.
trait CellSum: Copy + From<u8> + AddAssign + Into<u32> {}
impl CellSum for u16 {}
impl CellSum for u32 {}

/// One row of cells: `band` holds up to `cell` whole rows of the picture.
#[simd]
fn reduce_band<S: Simd, T: CellSum>(
    _simd: S,
    band: &[u8],
    cell: usize,
    sums: &mut [T],
    planes: [&mut [u8]; 3],
) {
    sums.fill(T::from(0));
    for row in band.chunks_exact(sums.len()) {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += T::from(value);
        }
    }
    let rows = band.len() / sums.len();
    match cell {
        1 => mean_cells::<1, T>(sums, cell, rows, planes),
        2 => mean_cells::<2, T>(sums, cell, rows, planes),
        4 => mean_cells::<4, T>(sums, cell, rows, planes),
        _ => mean_cells::<0, T>(sums, cell, rows, planes),
    }
}

/// Means of runs of `CELL` pixels (of `cell` if that is 0), rounded to the nearest.
#[inline(always)]
fn mean_cells<const CELL: usize, T: CellSum>(
    sums: &[T],
    cell: usize,
    rows: usize,
    planes: [&mut [u8]; 3],
) {
    let cell = if CELL == 0 { cell } else { CELL };
    let [r, g, b] = planes;
    let whole = sums.len() / (3 * cell);
    let scale = 1.0 / (cell * rows) as f32;
    for (((run, r), g), b) in sums
        .chunks_exact(3 * cell)
        .zip(&mut *r)
        .zip(&mut *g)
        .zip(&mut *b)
    {
        let mut sum = [0u32; 3];
        for pixel in run.chunks_exact(3) {
            for (sum, value) in sum.iter_mut().zip(pixel) {
                *sum += (*value).into();
            }
        }
        *r = rounded(sum[0] as f32 * scale) as u8;
        *g = rounded(sum[1] as f32 * scale) as u8;
        *b = rounded(sum[2] as f32 * scale) as u8;
    }
    let rest = &sums[whole * 3 * cell..];
    if !rest.is_empty() {
        let count = (rest.len() / 3 * rows) as f32;
        for (channel, plane) in [r, g, b].into_iter().enumerate() {
            let sum: u32 = rest
                .iter()
                .skip(channel)
                .step_by(3)
                .map(|&v| v.into())
                .sum();
            plane[whole] = rounded(sum as f32 / count) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mattebox_net::SimdLevel;

    #[test]
    fn a_grid_covers_the_picture_and_stays_small() {
        for (w, h) in [
            (1, 1),
            (1, 4000),
            (4000, 1),
            (481, 363),
            (640, 360),
            (1280, 720),
            (3840, 2160),
            (u32::MAX, 7),
        ] {
            let grid = Grid::of(w, h);
            assert!(
                grid.width * grid.cell >= w as usize && grid.height * grid.cell >= h as usize,
                "{w}x{h}: {grid:?}"
            );
            assert!(
                grid.width.max(grid.height) < 480
                    && (w.max(h) < 480 || grid.width.max(grid.height) >= 213),
                "{w}x{h}: {grid:?}"
            );
        }
        assert_eq!(
            Grid::of(640, 360),
            Grid {
                cell: 2,
                width: 320,
                height: 180
            }
        );
    }

    #[test]
    fn a_cell_is_the_mean_of_its_pixels() {
        for (w, h) in [(5, 3), (483, 5), (961, 4), (1280, 3), (2000, 9)] {
            let picture = RgbImage::from_fn(w, h, |x, y| {
                image::Rgb([(x * 7 + y * 13) as u8, (x * x + y) as u8, (x ^ y) as u8])
            });
            let grid = Grid::of(w, h);
            for level in SimdLevel::available() {
                let mut guide = Guide::default();
                Reducer::default().reduce(level.level().unwrap(), &picture, grid, &mut guide);
                for (i, cell) in (0..grid.len())
                    .map(|i| (i, (i % grid.width * grid.cell, i / grid.width * grid.cell)))
                {
                    for channel in 0..3 {
                        let xs = cell.0..(cell.0 + grid.cell).min(w as usize);
                        let ys = cell.1..(cell.1 + grid.cell).min(h as usize);
                        let count = (xs.len() * ys.len()) as f64;
                        let sum: f64 = ys
                            .flat_map(|y| xs.clone().map(move |x| (x, y)))
                            .map(|(x, y)| f64::from(picture.get_pixel(x as u32, y as u32)[channel]))
                            .sum();
                        let found = f64::from(guide.planes[channel][i]);
                        assert!(
                            (found - sum / count).abs() < 0.501,
                            "{w}x{h} {level} cell {i}: {found} for {}",
                            sum / count
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn grays_keep_their_luma() {
        for v in 0..=255 {
            assert_eq!(luma(v, v, v), v);
        }
    }
}
