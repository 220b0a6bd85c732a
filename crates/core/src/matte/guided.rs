//! The colour guided filter's coefficients on the grid.
//!
//! Ridge regression explains the map within each window as a linear function of the colours, `a .
//! rgb + b`; the functions of all windows over a cell are averaged. Applied to the full-resolution
//! colours, they give a matte whose edges are the picture's edges (K. He, J. Sun, X. Tang: Guided
//! Image Filtering, eq. 19–21; He, Sun: Fast Guided Filter, arXiv 1505.00996).
//!
//! Only the blocks of cells that have open cells ([`SettledCells`]) are computed, from windows
//! around them.
use super::average::noise_floor;
use super::blocks::{BLOCK, all, runs, widened};
use super::coarse::SoftMap;
use super::grid::{Grid, Guide};
use super::settled::{OPEN, SettledCells};
use super::window::{around, mirrored};
use fearless_simd::{Level, Simd, dispatch, f32x8, i32x8, prelude::*};
use fearless_simd_macros::simd;
use std::ops::Range;

/// The window's radius in a picture 640 pixels long.
pub(super) const RADIUS_OF_640: f32 = 12.0;
/// The regulariser for colours in 0..=255: 1e-4 for colours in 0..=1.
const EPSILON: f32 = 1e-4 * 255.0 * 255.0;
/// The map has 16 bits. With 12 of them, all sums of products over a window fit 31 bits.
const MAP_SHIFT: u32 = 4;
/// The value of 1 in the map after the shift.
const MAP_ONE: f32 = 4095.0;
/// Levels: this much is cut off at either end of the filtered map, because the filter's result on
/// flat regions is not quite 0 or 1.
const LEVEL: f32 = 0.15;
/// The factor that stretches the range between the levels to 255.
const FULL: f32 = 255.0 / (1.0 - 2.0 * LEVEL);

/// The noise of one colour of a pixel, as a multiple of that of its cell's luma times the cell's
/// side.
const PIXEL_NOISE: f32 = 1.5;
/// Half of a pixel's detail counts if the variance of the colours around its cell is this many
/// times the noise's: across three cells an edge has six pixels, and all three colours are counted.
const DETAIL: f32 = 100.0;
/// If the noise would change alpha by this many levels, half of a pixel's detail counts.
const SHAKE: f32 = 10.0;

/// The number of quantities that are summed over windows: the map p, the colours, their products
/// with p, and with each other.
const SUMS: usize = 13;
/// Values on each side of a row of sums, for mirrored ones; vectors may also read and write so far
/// behind the row's end.
const MARGIN: usize = 32;

/// Coefficients of each cell: `alpha = a . rgb + b`, rgb and alpha in 0..=255 (alpha may lie
/// outside).
#[derive(Debug, Default)]
pub(super) struct Coefficients {
    /// For each row of cells `a` for red, green and blue, then `b`, each [`Coefficients::stride`]
    /// long. Valid in blocks with open cells, in the rows beside them, and in the blocks beside
    /// these; elsewhere undefined.
    planes: Vec<f32>,
    /// The function of the window around each cell, before averaging; in the same layout.
    windows: Vec<f32>,
    stride: usize,
    /// For each row the blocks whose windows are needed.
    needed: Vec<u64>,
    scratch: GuidedScratch,
}

/// Buffers of one row each, with a [`MARGIN`] on both sides.
#[derive(Debug, Default)]
struct GuidedScratch {
    /// Sums over the rows of a window for each column, `[sums][width]`.
    columns: Vec<i32>,
    /// Sums of coefficients over the rows of a window, `[4][width]`.
    averages: Vec<f32>,
    /// The map and the colours of the row that enters the window, then of the one that leaves it,
    /// `[2][4][width]`.
    rows: Vec<i32>,
    /// The beginnings of a window's rows.
    offsets: Vec<usize>,
    /// The cells of a margin, and the cells that they repeat.
    mirrors: Vec<(usize, usize)>,
}

impl Coefficients {
    /// Computes the coefficients for a map guided by its average colours, where it has open cells.
    pub(super) fn compute(&mut self, level: Level, soft: &SoftMap) {
        let SoftMap {
            grid,
            map,
            settled,
            average: guide,
            ..
        } = soft;
        let grid = *grid;
        self.stride = grid.width.next_multiple_of(BLOCK) + 2 * MARGIN;
        self.planes.resize(4 * self.stride * grid.height, 0.0);
        self.windows.resize(4 * self.stride * grid.height, 0.0);
        self.needed.resize(grid.height, 0);
        self.scratch.columns.resize(SUMS * self.stride, 0);
        self.scratch.averages.resize(4 * self.stride, 0.0);
        self.scratch.rows.resize(8 * self.stride, 0);
        if grid.len() > 0 {
            let radius = grid.cells_of_640(RADIUS_OF_640);
            self.scratch.mirrors.clear();
            let margins =
                (-(radius as isize)..0).chain(grid.width as isize..(grid.width + radius) as isize);
            let mirrors = margins.map(|x| {
                (
                    (MARGIN as isize + x) as usize,
                    MARGIN + mirrored(x, grid.width),
                )
            });
            self.scratch.mirrors.extend(mirrors);
            dispatch!(level, s => regress(s, self, grid, radius, guide, map, settled));
            dispatch!(level, s => average(s, self, grid, radius, settled));
            if soft.noise > 0.0 {
                self.calm(soft);
            }
            for plane in self.planes.chunks_exact_mut(self.stride) {
                (plane[MARGIN - 1], plane[MARGIN + grid.width]) =
                    (plane[MARGIN], plane[MARGIN + grid.width - 1]);
            }
        }
    }

    /// Adapts the coefficients to the current colours, and keeps their noise out of the matte. Each
    /// cell's average colour replaces its current colour. A pixel's difference from it counts less,
    /// the less the colours around the cell vary beyond the noise.
    fn calm(&mut self, soft: &SoftMap) {
        let SoftMap {
            grid,
            settled,
            guide: now,
            average,
            motion,
            noise,
            ..
        } = soft;
        let level = noise_floor(*noise);
        let stride = self.stride;
        let n = grid.width;
        let variance = (PIXEL_NOISE * noise * grid.cell as f32).powi(2);
        let floor = (DETAIL * variance).max(1.0);
        for (y, planes) in self.planes.chunks_exact_mut(4 * stride).enumerate() {
            let rows = around(y, 1, grid.height);
            for x in runs(settled.open[y]).flatten().filter(|&x| x < n) {
                let at = y * n + x;
                if settled.marks[at] != OPEN {
                    continue;
                }
                let mut contrast = 0.0f32;
                for plane in &average.planes {
                    let (mut low, mut high) = (255u8, 0u8);
                    for row in rows.clone() {
                        for &v in &plane[row * n..][around(x, 1, n)] {
                            (low, high) = (low.min(v), high.max(v));
                        }
                    }
                    contrast += f32::from(high - low).powi(2);
                }
                let steep: f32 = (0..3)
                    .map(|k| planes[k * stride + MARGIN + x].powi(2))
                    .sum();
                let shake = steep * variance / (SHAKE * SHAKE);
                let detail = contrast / (contrast + floor) / (1.0 + shake);
                let moves = ((motion[at] - level) / (level + 1.0)).clamp(0.0, 1.0);
                let detail = detail + (1.0 - detail) * moves;
                let mut offset = 0.0;
                for (k, (average, now)) in average.planes.iter().zip(&now.planes).enumerate() {
                    let a = &mut planes[k * stride + MARGIN + x];
                    offset += *a * (f32::from(average[at]) - detail * f32::from(now[at]));
                    *a *= detail;
                }
                planes[3 * stride + MARGIN + x] += offset;
            }
        }
    }

    /// Coefficient `k` (of red, green, blue, and the constant) of the cells of row `y`, with the
    /// first repeated before it and the last after it.
    #[inline(always)]
    pub(super) fn row(&self, y: usize, k: usize) -> &[f32] {
        &self.planes[(4 * y + k) * self.stride..][MARGIN - 1..self.stride]
    }
}

/// Whether the first or the last of `all` blocks is among `blocks`: then sums reach into the
/// margins.
#[inline(always)]
fn touches_an_end(blocks: u64, all: u64) -> bool {
    blocks & (1 | all ^ all >> 1) != 0
}

/// Fits each window, with the map in 0..=[`MAP_ONE`] and colours in 0..=255.
#[simd]
fn regress<S: Simd>(
    s: S,
    coefficients: &mut Coefficients,
    grid: Grid,
    radius: usize,
    guide: &Guide,
    map: &[u16],
    settled: &SettledCells,
) {
    let Coefficients {
        windows,
        stride,
        needed,
        scratch:
            GuidedScratch {
                columns,
                rows,
                mirrors,
                ..
            },
        ..
    } = coefficients;
    let n = grid.width;
    let all = all(grid.width);
    let r = radius as isize;
    let (entering, leaving) = rows.split_at_mut(4 * *stride);
    let scale = 1.0 / ((2 * radius + 1) * (2 * radius + 1)) as f32;
    let mut before = 0;
    for (y, windows) in (0..grid.height).zip(windows.chunks_exact_mut(4 * *stride)) {
        let open = settled.open_near(y, radius);
        needed[y] = widened(open, radius) & all;
        let now = widened(needed[y], radius) & all;
        let row = |y: isize| mirrored(y, grid.height) * n;
        for cells in runs(now & before) {
            read(
                entering,
                *stride,
                guide,
                map,
                row(y as isize + r),
                n,
                cells.clone(),
            );
            read(
                leaving,
                *stride,
                guide,
                map,
                row(y as isize - r - 1),
                n,
                cells.clone(),
            );
            for x in cells.step_by(BLOCK).map(|x| MARGIN + x) {
                let new = products(s, entering, *stride, x);
                let old = products(s, leaving, *stride, x);
                for k in 0..SUMS {
                    let at = k * *stride + x;
                    (i32x8::from_slice(s, &columns[at..at + BLOCK]) + new[k] - old[k])
                        .store_slice(&mut columns[at..at + BLOCK]);
                }
            }
        }
        for cells in runs(now & !before) {
            for dy in -r..=r {
                read(
                    entering,
                    *stride,
                    guide,
                    map,
                    row(y as isize + dy),
                    n,
                    cells.clone(),
                );
                for x in cells.clone().step_by(BLOCK).map(|x| MARGIN + x) {
                    for (k, v) in products(s, entering, *stride, x).into_iter().enumerate() {
                        let sum = &mut columns[k * *stride + x..][..BLOCK];
                        (if dy == -r {
                            v
                        } else {
                            i32x8::from_slice(s, sum) + v
                        })
                        .store_slice(sum);
                    }
                }
            }
        }
        before = now;
        if touches_an_end(now, all) {
            for sums in columns.chunks_exact_mut(*stride) {
                mirrors.iter().for_each(|&(to, from)| sums[to] = sums[from]);
            }
        }
        for cells in runs(needed[y]) {
            for x in cells.step_by(S::f32s::LEN).map(|x| MARGIN + x) {
                fit(s, columns, *stride, x, radius, scale, windows);
            }
        }
    }
}

/// Reads the map and the colours of some `cells` of the row of `n` cells that begins at `start`.
#[inline(always)]
fn read(
    into: &mut [i32],
    stride: usize,
    guide: &Guide,
    map: &[u16],
    start: usize,
    n: usize,
    cells: Range<usize>,
) {
    let from = start + cells.start..start + cells.end.min(n);
    let at = MARGIN + cells.start;
    for (v, &m) in into[at..].iter_mut().zip(&map[from.clone()]) {
        *v = i32::from(m >> MAP_SHIFT);
    }
    for (k, plane) in guide.planes.iter().enumerate() {
        for (v, &c) in into[(k + 1) * stride + at..]
            .iter_mut()
            .zip(&plane[from.clone()])
        {
            *v = i32::from(c);
        }
    }
}

/// The products that the cells from `x` on add to the sums.
#[inline(always)]
fn products<S: Simd>(s: S, row: &[i32], stride: usize, x: usize) -> [i32x8<S>; SUMS] {
    let [p, r, g, b] = [0, 1, 2, 3].map(|k| i32x8::from_slice(s, &row[k * stride + x..][..BLOCK]));
    [
        p,
        r,
        g,
        b,
        p * r,
        p * g,
        p * b,
        r * r,
        r * g,
        r * b,
        g * g,
        g * b,
        b * b,
    ]
}

/// The ridge regression of the map on the colours, for the windows around the cells from `x` on.
/// The sums of `columns`, times `scale`, are means; the coefficients are written to `windows`. The
/// 3x3 system is solved by cofactors; the regulariser keeps its determinant positive.
#[inline(always)]
fn fit<S: Simd>(
    s: S,
    columns: &[i32],
    stride: usize,
    x: usize,
    radius: usize,
    scale: f32,
    windows: &mut [f32],
) {
    let mut means = [S::f32s::splat(s, 0.0); SUMS];
    for (mean, sums) in means.iter_mut().zip(columns.chunks_exact(stride)) {
        let mut sum = S::i32s::splat(s, 0);
        for shifted in sums[x - radius..x + radius + S::i32s::LEN].windows(S::i32s::LEN) {
            sum += S::i32s::from_slice(s, shifted);
        }
        *mean = S::f32s::float_from(sum) * scale;
    }
    let [p, r, g, b, pr, pg, pb, rr, rg, rb, gg, gb, bb] = means;
    let epsilon = S::f32s::splat(s, EPSILON);
    let pr = pr - p * r;
    let pg = pg - p * g;
    let pb = pb - p * b;
    let rr = rr - r * r + epsilon;
    let gg = gg - g * g + epsilon;
    let bb = bb - b * b + epsilon;
    let rg = rg - r * g;
    let rb = rb - r * b;
    let gb = gb - g * b;
    let c_rr = gg * bb - gb * gb;
    let c_rg = rb * gb - rg * bb;
    let c_rb = rg * gb - rb * gg;
    let c_gg = rr * bb - rb * rb;
    let c_gb = rg * rb - rr * gb;
    let c_bb = rr * gg - rg * rg;
    // rounding must not make it 0
    let determinant = (rr * c_rr + rg * c_rg + rb * c_rb).max(epsilon * epsilon * epsilon);
    let scale = S::f32s::splat(s, 1.0) / determinant;
    let a_r = (c_rr * pr + c_rg * pg + c_rb * pb) * scale;
    let a_g = (c_rg * pr + c_gg * pg + c_gb * pb) * scale;
    let a_b = (c_rb * pr + c_gb * pg + c_bb * pb) * scale;
    for (k, v) in [a_r, a_g, a_b, p - a_r * r - a_g * g - a_b * b]
        .into_iter()
        .enumerate()
    {
        v.store_slice(&mut windows[k * stride + x..][..S::f32s::LEN]);
    }
}

/// Averages the functions of all windows over each cell, and applies the levels. Settled cells
/// become constants.
#[simd]
fn average<S: Simd>(
    s: S,
    coefficients: &mut Coefficients,
    grid: Grid,
    radius: usize,
    settled: &SettledCells,
) {
    let Coefficients {
        planes,
        windows,
        stride,
        scratch:
            GuidedScratch {
                averages,
                offsets: rows,
                mirrors,
                ..
            },
        ..
    } = coefficients;
    let stride = *stride;
    let all = all(grid.width);
    let r = radius as isize;
    let scale = FULL / MAP_ONE / ((2 * radius + 1) * (2 * radius + 1)) as f32;
    for (y, planes) in planes.chunks_exact_mut(4 * stride).enumerate() {
        let now = widened(settled.open[y], radius) & all;
        rows.clear();
        rows.extend((-r..=r).map(|dy| mirrored(y as isize + dy, grid.height) * 4 * stride));
        for cells in runs(now) {
            for k in 0..4 {
                for x in cells
                    .clone()
                    .step_by(S::f32s::LEN)
                    .map(|x| k * stride + MARGIN + x)
                {
                    let mut sum = S::f32s::splat(s, 0.0);
                    for row in rows.iter() {
                        sum += S::f32s::from_slice(s, &windows[row + x..][..S::f32s::LEN]);
                    }
                    sum.store_slice(&mut averages[x..x + S::f32s::LEN]);
                }
            }
        }
        for (k, sums) in averages.chunks_exact_mut(stride).enumerate() {
            if touches_an_end(now, all) {
                mirrors.iter().for_each(|&(to, from)| sums[to] = sums[from]);
            }
            let offset = if k == 3 { -LEVEL * FULL } else { 0.0 };
            for x in runs(settled.open[y])
                .flatten()
                .step_by(BLOCK)
                .map(|x| MARGIN + x)
            {
                let mut sum = f32x8::splat(s, 0.0);
                for shifted in sums[x - radius..x + radius + BLOCK].windows(BLOCK) {
                    sum += f32x8::from_slice(s, shifted);
                }
                (sum * scale + offset).store_slice(&mut planes[k * stride + x..][..BLOCK]);
            }
        }
        let open = settled.open_near(y, 1);
        for cells in runs(widened(open, 1) & all) {
            let cells = cells.start..cells.end.min(grid.width);
            for (x, &mark) in settled.marks[y * grid.width..][cells.clone()]
                .iter()
                .enumerate()
                .filter(|(_, mark)| **mark != OPEN)
            {
                let x = MARGIN + cells.start + x;
                (planes[x], planes[stride + x], planes[2 * stride + x]) = (0.0, 0.0, 0.0);
                // not (1 - LEVEL) * FULL: that makes the edge of a person 1 % worse in Grad and
                // dtSSD
                planes[3 * stride + x] = if mark == 0 { -LEVEL * FULL } else { 255.0 };
            }
        }
    }
}
