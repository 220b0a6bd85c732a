//! The person's own colour at the edge of the matte.
//!
//! At a mixed pixel the camera saw `I = a F + (1 - a) B`. Known are `I` and `a`; `F` and `B` are close to colours nearby that
//! are certain. So first smooth guesses of both are made on a coarse grid, `F'` from pixels with high alpha and `B'` from
//! pixels with low alpha, as near as there are any ([`Pyramid`]); then `F` is moved from its guess by what the guesses leave
//! unexplained at the pixel itself: `F = F' + k (I - a F' - (1 - a) B')`.
//!
//! That is the idea of "Approximate Fast Foreground Colour Estimation" (Forte, ICIP 2021), which blurs with a wide and then
//! a narrow box and has `k = a`. Here a pyramid takes the place of the two boxes, certain pixels weigh more than mixed
//! ones, and `k = a / (a^2 + (1 - a)^2)`, the smallest change of both `F'` and `B'` that explains the pixel.
//!
//! A matte is not exact. Where it says half and the pixel has plainly the room's colour, the residual points from `F'` to
//! `B'`, and following it would bring the room back. So the part of the residual along `F' - B'` is taken for an error of
//! the matte and left out, the less the nearer `a` is to 1 (`d = 1 - a^8`), so that the estimate meets the untouched pixels.
use super::pyramid::{Cell, CellSize, Pyramid};
use super::spans::{Kind, Span};
use fearless_simd::Simd;
use fearless_simd_macros::simd;
use image::{GrayImage, RgbImage};
use std::ops::Range;

/// Cells across a picture, about: the grid is as fine relative to the person at any size.
const CELLS_ACROSS: usize = 160;
/// The smallest cell in pixels.
const MIN_CELL: usize = 2;
/// Levels by which the two guesses must differ before they tell an error of alpha from the person's own pattern.
const CONTRAST: f32 = 20.0;
/// Certain pixels are looked at up to this many cells from a mixed one.
const REACH: usize = 3;

/// Guesses of both colours for one frame. Its buffers are used again.
#[derive(Debug, Default)]
pub(super) struct Foreground {
    /// Pixels along a cell.
    cell: CellSize,
    person: Pyramid,
    room: Pyramid,
    /// For each cell whether it is within reach of a mixed cell, and what its pixels are.
    wanted: Vec<bool>,
    kinds: Vec<Kind>,
    /// The lowest and highest alpha of each column of a row of cells.
    lowest: Vec<u8>,
    highest: Vec<u8>,
    /// The guesses of a span's cells at the height of its row: the person, then the room.
    columns: Vec<[f32; 8]>,
}

/// The pixels of one kernel run.
const RUN: usize = 16;

/// `255 (a / 255)^8`, but at least 1 for all `a` except 0, so that any mixed pixel tells something of both.
static CERTAINTY: [u8; 256] = {
    let mut table = [0; 256];
    let mut a = 1;
    while a < 256 {
        let v = power(a as f64 / 255.0, 8) * 255.0 + 0.5;
        table[a] = if v < 1.0 { 1 } else { v as u8 };
        a += 1;
    }
    table
};

const fn power(v: f64, n: u32) -> f64 {
    let mut product = 1.0;
    let mut i = 0;
    while i < n {
        product *= v;
        i += 1;
    }
    product
}

/// How much a pixel of alpha `a` tells of the person, 0 to 255. Of the room: that of `255 - a`.
#[inline(always)]
pub(super) fn certainty(a: u8) -> u8 {
    CERTAINTY[usize::from(a)]
}

/// For each alpha: `k`, and `d`, the share of the residual along `F' - B'` that is taken for an error of alpha.
static SHARES: [[f32; 2]; 256] = {
    let mut table = [[0.0; 2]; 256];
    let mut i = 0;
    while i < 256 {
        let a = i as f64 / 255.0;
        table[i] = [(a / (a * a + (1.0 - a) * (1.0 - a))) as f32, (1.0 - power(a, 8)) as f32];
        i += 1;
    }
    table
};

impl Foreground {
    /// Guesses both colours of `picture` near the mixed pixels of `alpha`.
    #[simd]
    pub(super) fn prepare<S: Simd>(&mut self, simd: S, picture: &RgbImage, alpha: &GrayImage) {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        self.cell = CellSize::at_least((width / CELLS_ACROSS).max(MIN_CELL));
        let cell = self.cell.pixels();
        let (across, down) = (width.div_ceil(cell), height.div_ceil(cell));
        self.mark(simd, alpha, across, down);
        let (person, room) = (self.person.clear(across, down), self.room.clear(across, down));
        for (y, wanted) in self.wanted.chunks_exact(across).enumerate() {
            let rows = y * cell..height.min((y + 1) * cell);
            for (x, _) in wanted.iter().enumerate().filter(|(_, wanted)| **wanted) {
                let i = y * across + x;
                let block = Block { columns: x * cell..width.min((x + 1) * cell), rows: rows.clone(), picture, alpha };
                match self.kinds[i] {
                    Kind::Foreground => person.cells[i] = block.plain(),
                    Kind::Background => room.cells[i] = block.plain(),
                    Kind::Mixed => (person.cells[i], room.cells[i]) = block.weighted(),
                }
            }
        }
        self.person.fill(simd);
        self.room.fill(simd);
    }

    /// Sets `wanted` and `kinds`.
    #[inline(always)]
    fn mark<S: Simd>(&mut self, simd: S, alpha: &GrayImage, across: usize, down: usize) {
        let width = alpha.width() as usize;
        let cell = self.cell.pixels();
        self.wanted.clear();
        self.wanted.resize(across * down, false);
        self.kinds.clear();
        for (y, rows) in alpha.as_raw().chunks(width * cell).enumerate() {
            self.lowest.clear();
            self.lowest.resize(width, 255);
            self.highest.clear();
            self.highest.resize(width, 0);
            extremes(simd, rows, &mut self.lowest, &mut self.highest);
            for (x, (low, high)) in self.lowest.chunks(cell).zip(self.highest.chunks(cell)).enumerate() {
                let low = low.iter().fold(255, |low, a| low.min(*a));
                let high = high.iter().fold(0, |high, a| high.max(*a));
                self.kinds.push(match (low, high) {
                    (0, 0) => Kind::Background,
                    (255, 255) => Kind::Foreground,
                    _ => Kind::Mixed,
                });
                if self.kinds.last() == Some(&Kind::Mixed) {
                    for y in y.saturating_sub(REACH)..down.min(y + REACH + 1) {
                        self.wanted[y * across..][x.saturating_sub(REACH)..across.min(x + REACH + 1)].fill(true);
                    }
                }
            }
        }
    }

    /// The person's colours in `span` of row `y`, rounded to the nearest, into the same pixels of `person` (a row of RGB).
    #[simd]
    pub(super) fn row<S: Simd>(&mut self, simd: S, y: usize, span: &Span, picture: &[u8], alpha: &[u8], person: &mut [u8]) {
        let width = self.person.base().width;
        let (first, _, _) = self.cell.around(span.start, width);
        let (_, last, _) = self.cell.around(span.end - 1, width);
        let (above, below, down) = self.cell.around(y, self.person.base().height);
        self.columns.clear();
        for x in first..=last {
            let mut column = [0.0; 8];
            for (half, grid) in column.as_chunks_mut::<4>().0.iter_mut().zip([self.person.base(), self.room.base()]) {
                let (a, b) = (&grid.cells[above * width + x], &grid.cells[below * width + x]);
                *half = std::array::from_fn(|i| a[i] + (b[i] - a[i]) * down);
            }
            self.columns.push(column);
        }
        let mut at = span.start;
        while at < span.end {
            let run = at..span.end.min(at + RUN);
            let mut guesses = [[0.0; RUN]; 8];
            for (i, x) in run.clone().enumerate() {
                let (left, right, along) = self.cell.around(x, width);
                let (a, b) = (&self.columns[left - first], &self.columns[right - first]);
                for c in 0..8 {
                    guesses[c][i] = a[c] + (b[c] - a[c]) * along;
                }
            }
            let rgb = run.start * 3..run.end * 3;
            estimate(simd, &guesses, &alpha[run.clone()], &picture[rgb.clone()], &mut person[rgb]);
            at = run.end;
        }
    }
}

/// The lowest and highest alpha of each column.
#[simd]
fn extremes<S: Simd>(simd: S, rows: &[u8], lowest: &mut [u8], highest: &mut [u8]) {
    for row in rows.chunks_exact(lowest.len()) {
        for ((low, high), a) in lowest.iter_mut().zip(&mut *highest).zip(row) {
            *low = (*low).min(*a);
            *high = (*high).max(*a);
        }
    }
}

/// The pixels of one cell.
struct Block<'a> {
    columns: Range<usize>,
    rows: Range<usize>,
    picture: &'a RgbImage,
    alpha: &'a GrayImage,
}

impl Block<'_> {
    /// The mean of all pixels, with weight 1.
    #[inline(always)]
    fn plain(&self) -> Cell {
        let mut sums = [0u32; 4];
        self.each_row(|rgb, _| {
            for c in rgb {
                for i in 0..3 {
                    sums[i] += u32::from(c[i]);
                }
            }
        });
        sums[3] = (self.columns.len() * self.rows.len()) as u32;
        self.cell(sums, 1.0)
    }

    /// The means for the person and for the room, weighted by certainty.
    #[inline(always)]
    fn weighted(&self) -> (Cell, Cell) {
        let (mut person, mut room) = ([0u32; 4], [0u32; 4]);
        self.each_row(|rgb, alpha| {
            for (c, &a) in rgb.iter().zip(alpha) {
                let c = [c[0], c[1], c[2], 1].map(u32::from);
                let (f, b) = (u32::from(certainty(a)), u32::from(certainty(255 - a)));
                for i in 0..4 {
                    person[i] += f * c[i];
                    room[i] += b * c[i];
                }
            }
        });
        (self.cell(person, 255.0), self.cell(room, 255.0))
    }

    #[inline(always)]
    fn each_row(&self, mut add: impl FnMut(&[[u8; 3]], &[u8])) {
        let width = self.picture.width() as usize;
        let pixels = self.picture.as_raw().as_chunks::<3>().0;
        for y in self.rows.clone() {
            let row = y * width + self.columns.start..y * width + self.columns.end;
            add(&pixels[row.clone()], &self.alpha.as_raw()[row]);
        }
    }

    /// Sums to a cell; `full` is the weight of a certain pixel.
    #[inline(always)]
    fn cell(&self, sums: [u32; 4], full: f32) -> Cell {
        let scale = 1.0 / (full * (self.columns.len() * self.rows.len()) as f32);
        sums.map(|v| v as f32 * scale)
    }
}

/// The person's colours at up to [`RUN`] pixels. `guesses`: red, green, blue of the person, one unused, the same of the room.
#[simd]
fn estimate<S: Simd>(simd: S, guesses: &[[f32; RUN]; 8], alpha: &[u8], picture: &[u8], out: &mut [u8]) {
    let (mut seen, mut shares) = ([[0.0f32; RUN]; 3], [[0.0f32; RUN]; 3]);
    for (i, (c, &a)) in picture.as_chunks::<3>().0.iter().zip(alpha).enumerate() {
        for (seen, c) in seen.iter_mut().zip(c) {
            seen[i] = f32::from(*c);
        }
        let [k, doubt] = SHARES[usize::from(a)];
        (shares[0][i], shares[1][i], shares[2][i]) = (f32::from(a) * (1.0 / 255.0), k, doubt);
    }
    let [f0, f1, f2, _, b0, b1, b2, _] = guesses;
    let mut person = [[0u8; RUN]; 3];
    for i in 0..RUN {
        let (a, k, doubt) = (shares[0][i], shares[1][i], shares[2][i]);
        let (f, b) = ([f0[i], f1[i], f2[i]], [b0[i], b1[i], b2[i]]);
        let axis = [f[0] - b[0], f[1] - b[1], f[2] - b[2]];
        let residual = [seen[0][i] - b[0] - axis[0] * a, seen[1][i] - b[1] - axis[1] * a, seen[2][i] - b[2] - axis[2] * a];
        let dot = |a: [f32; 3], b: [f32; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
        let error = dot(residual, axis) / (dot(axis, axis) + CONTRAST * CONTRAST) * doubt;
        for c in 0..3 {
            let v = f[c] + (residual[c] - axis[c] * error) * k + 0.5;
            person[c][i] = v.clamp(0.0, 255.0) as i32 as u8;
        }
    }
    for (i, out) in out.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        *out = [person[0][i], person[1][i], person[2][i]];
    }
}
