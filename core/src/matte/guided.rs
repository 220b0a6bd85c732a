//! The colour guided filter's coefficients on the grid.
//!
//! Within each window the map is explained as a linear function of the colours, `a . rgb + b`, by ridge regression; the
//! functions of all windows over a cell are averaged. Applied to the full-resolution colours, they give a matte whose edges
//! are the picture's edges (K. He, J. Sun, X. Tang: Guided Image Filtering, eq. 19–21; He, Sun: Fast Guided Filter,
//! arXiv 1505.00996).
use super::grid::{Grid, Guide};
use super::settled::Settled;
use super::window::{Across, mirrored};
use fearless_simd::{Level, Simd, dispatch, f32x8, prelude::*};
use fearless_simd_macros::simd;

/// The window's radius in a picture 640 pixels long.
const RADIUS_OF_640: f32 = 12.0;
/// The regulariser for colours in 0..=255: 1e-4 for colours in 0..=1.
const EPSILON: f32 = 1e-4 * 255.0 * 255.0;
/// The map has 16 bits; 12 of them keep all sums of products over a window's rows exact in f32.
const MAP_SHIFT: u32 = 4;
/// What 1.0 of the map is after the shift.
const MAP_ONE: f32 = 4095.0;
/// Levels: this much is cut off at either end of the filtered map, because the filter's answer on flat regions is not quite 0 or 1.
const LEVEL: f32 = 0.15;
/// What the range between the levels is stretched to.
const FULL: f32 = 255.0 / (1.0 - 2.0 * LEVEL);

/// The quantities whose windows are summed: the map p, the colours, their products with p, and with each other.
const SUMS: usize = 13;
/// Cells per vector.
const LANES: usize = 8;

/// Coefficients of each cell: `alpha = a . rgb + b`, rgb and alpha in 0..=255 (alpha may lie outside).
#[derive(Debug, Default)]
pub(super) struct Coefficients {
    /// `a` for red, green and blue, then `b`; each `[height][width]` of the grid.
    pub(super) planes: [Vec<f32>; 4],
    /// Before averaging over the windows: the function of the window around each cell, `[height][4][padded width]`.
    windows: Vec<f32>,
    settled: Settled,
    scratch: Scratch,
}

/// Buffers of one row each; rows are padded to whole vectors.
#[derive(Debug, Default)]
struct Scratch {
    /// Sums over the rows of a window for each column, `[sums][padded width]`.
    columns: Vec<f32>,
    /// Sums over whole windows, likewise.
    sums: Vec<f32>,
    /// One row of the map and the colours as numbers, `[4][padded width]`.
    row: Vec<f32>,
    across: Across,
}

impl Coefficients {
    /// Computes the coefficients for `map` (16 bits) guided by `guide`, both on `grid`.
    pub(super) fn compute(&mut self, level: Level, grid: Grid, guide: &Guide, map: &[u16]) {
        let padded = grid.width.next_multiple_of(LANES);
        for plane in &mut self.planes {
            plane.resize(grid.len(), 0.0);
        }
        self.windows.resize(4 * padded * grid.height, 0.0);
        self.scratch.columns.resize(SUMS * padded, 0.0);
        self.scratch.sums.resize(SUMS * padded, 0.0);
        self.scratch.row.resize(4 * padded, 0.0);
        if grid.len() > 0 {
            let radius = grid.cells_of_640(RADIUS_OF_640);
            dispatch!(level, s => regress(s, &mut self.windows, &mut self.scratch, grid, radius, guide, map));
            dispatch!(level, s => average(s, &mut self.planes, &self.windows, &mut self.scratch, grid, radius));
            self.settled.apply(&mut self.planes, grid, map, [-LEVEL * FULL, (1.0 - LEVEL) * FULL]);
        }
    }
}

/// Fits each window. `windows`: see [`Coefficients`]; map in 0..=[`MAP_ONE`], colours in 0..=255.
#[simd]
fn regress<S: Simd>(s: S, windows: &mut [f32], scratch: &mut Scratch, grid: Grid, radius: usize, guide: &Guide, map: &[u16]) {
    let (n, padded) = (grid.width, grid.width.next_multiple_of(LANES));
    let Scratch { columns, sums, row, across } = scratch;
    columns.fill(0.0);
    let r = radius as isize;
    for y in -r..r {
        add_products(s, columns, row, guide, map, n, mirrored(y, grid.height), 1.0);
    }
    let scale = 1.0 / ((2 * radius + 1) * (2 * radius + 1)) as f32;
    for (y, windows) in (0..grid.height as isize).zip(windows.chunks_exact_mut(4 * padded)) {
        add_products(s, columns, row, guide, map, n, mirrored(y + r, grid.height), 1.0);
        for (sums, columns) in sums.chunks_exact_mut(padded).zip(columns.chunks_exact(padded)) {
            across.sums(&columns[..n], radius, &mut sums[..n]);
        }
        for x in (0..padded).step_by(LANES) {
            fit(s, sums, padded, x, scale, windows);
        }
        add_products(s, columns, row, guide, map, n, mirrored(y - r, grid.height), -1.0);
    }
}

#[inline(always)]
fn load<S: Simd>(s: S, from: &[f32], at: usize) -> f32x8<S> {
    f32x8::from_slice(s, &from[at..at + LANES])
}

/// Adds the values and products of grid row `y` to the columns' sums; with `sign` -1 takes them away, which is exact
/// because all are whole numbers below 2^24. `n`: cells per row.
#[inline(always)]
fn add_products<S: Simd>(s: S, columns: &mut [f32], row: &mut [f32], guide: &Guide, map: &[u16], n: usize, y: usize, sign: f32) {
    let padded = row.len() / 4;
    for (v, &m) in row[..n].iter_mut().zip(&map[y * n..(y + 1) * n]) {
        *v = f32::from(m >> MAP_SHIFT);
    }
    for (k, plane) in guide.planes.iter().enumerate() {
        for (v, &c) in row[(k + 1) * padded..][..n].iter_mut().zip(&plane[y * n..(y + 1) * n]) {
            *v = f32::from(c);
        }
    }
    for x in (0..padded).step_by(LANES) {
        let (p, r) = (load(s, row, x), load(s, row, padded + x));
        let (g, b) = (load(s, row, 2 * padded + x), load(s, row, 3 * padded + x));
        let (sp, sr, sg, sb) = (p * sign, r * sign, g * sign, b * sign);
        let values = [sp, sr, sg, sb, sp * r, sp * g, sp * b, sr * r, sr * g, sr * b, sg * g, sg * b, sb * b];
        for (k, v) in values.into_iter().enumerate() {
            let at = k * padded + x;
            (load(s, columns, at) + v).store_slice(&mut columns[at..at + LANES]);
        }
    }
}

/// The ridge regression of the map on the colours for eight windows: their sums at `x`, times `scale`, are means; the
/// coefficients go to `windows`. The 3x3 system is solved by cofactors; the regulariser keeps its determinant positive.
#[inline(always)]
fn fit<S: Simd>(s: S, sums: &[f32], padded: usize, x: usize, scale: f32, windows: &mut [f32]) {
    let mut means = [f32x8::splat(s, 0.0); SUMS];
    for (k, mean) in means.iter_mut().enumerate() {
        *mean = load(s, sums, k * padded + x) * scale;
    }
    let [p, r, g, b, pr, pg, pb, rr, rg, rb, gg, gb, bb] = means;
    let epsilon = f32x8::splat(s, EPSILON);
    let (pr, pg, pb) = (pr - p * r, pg - p * g, pb - p * b);
    let (rr, gg, bb) = (rr - r * r + epsilon, gg - g * g + epsilon, bb - b * b + epsilon);
    let (rg, rb, gb) = (rg - r * g, rb - r * b, gb - g * b);
    let (c_rr, c_rg, c_rb) = (gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg);
    let (c_gg, c_gb, c_bb) = (rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg);
    // rounding alone must not make it vanish
    let determinant = (rr * c_rr + rg * c_rg + rb * c_rb).max(epsilon * epsilon * epsilon);
    let scale = f32x8::splat(s, 1.0) / determinant;
    let a_r = (c_rr * pr + c_rg * pg + c_rb * pb) * scale;
    let a_g = (c_rg * pr + c_gg * pg + c_gb * pb) * scale;
    let a_b = (c_rb * pr + c_gb * pg + c_bb * pb) * scale;
    a_r.store_slice(&mut windows[x..x + LANES]);
    a_g.store_slice(&mut windows[padded + x..][..LANES]);
    a_b.store_slice(&mut windows[2 * padded + x..][..LANES]);
    (p - a_r * r - a_g * g - a_b * b).store_slice(&mut windows[3 * padded + x..][..LANES]);
}

/// Averages the functions of all windows over each cell and folds the levels in.
#[simd]
fn average<S: Simd>(_simd: S, planes: &mut [Vec<f32>; 4], windows: &[f32], scratch: &mut Scratch, grid: Grid, radius: usize) {
    let (n, padded) = (grid.width, grid.width.next_multiple_of(LANES));
    let columns = &mut scratch.columns[..4 * padded];
    columns.fill(0.0);
    let r = radius as isize;
    for y in -r..r {
        add_row(columns, windows, mirrored(y, grid.height), 1.0);
    }
    let scale = FULL / MAP_ONE / ((2 * radius + 1) * (2 * radius + 1)) as f32;
    let offsets = [0.0, 0.0, 0.0, -LEVEL * FULL];
    for y in 0..grid.height {
        add_row(columns, windows, mirrored(y as isize + r, grid.height), 1.0);
        for ((columns, plane), offset) in columns.chunks_exact(padded).zip(planes.iter_mut()).zip(offsets) {
            let plane = &mut plane[y * n..(y + 1) * n];
            scratch.across.sums(&columns[..n], radius, plane);
            plane.iter_mut().for_each(|v| *v = *v * scale + offset);
        }
        add_row(columns, windows, mirrored(y as isize - r, grid.height), -1.0);
    }
}

/// Adds row `y` of `rows`, times `sign`, to the columns' sums.
#[inline(always)]
fn add_row(columns: &mut [f32], rows: &[f32], y: usize, sign: f32) {
    let row = &rows[y * columns.len()..][..columns.len()];
    for (sum, v) in columns.iter_mut().zip(row) {
        *sum += sign * v;
    }
}
