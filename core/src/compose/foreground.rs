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
use super::pyramid::{Cell, Pyramid, load};
use super::spans::Span;
use fearless_simd::{Simd, f32x4, prelude::*};
use fearless_simd_macros::simd;
use image::{GrayImage, RgbImage};

/// Cells across a picture, about: the grid is as fine relative to the person at any size.
const CELLS_ACROSS: usize = 160;
/// The smallest cell in pixels.
const MIN_CELL: usize = 2;
/// Certain pixels are looked at up to this many cells from a mixed one.
const REACH: usize = 3;

/// Guesses of both colours for one frame. Its buffers are used again.
#[derive(Debug, Default)]
pub(super) struct Foreground {
    /// Pixels along a cell: a power of two.
    cell: usize,
    person: Pyramid,
    room: Pyramid,
    /// One flag per cell: whether it is within reach of a mixed cell.
    wanted: Vec<bool>,
    lowest: Vec<u8>,
    highest: Vec<u8>,
}

/// `255 (a / 255)^4`, but at least 1 for all `a` except 0, so that any mixed pixel tells something of both.
static CERTAINTY: [u8; 256] = {
    let mut table = [0; 256];
    let mut a = 1;
    while a < 256 {
        let square = a as u64 * a as u64;
        let rounded = (square * square + 255 * 255 * 255 / 2) / (255 * 255 * 255);
        table[a] = if rounded == 0 { 1 } else { rounded as u8 };
        a += 1;
    }
    table
};

/// How much a pixel of alpha `a` tells of the person, 0 to 255. Of the room: that of `255 - a`.
#[inline(always)]
pub(super) fn certainty(a: u8) -> u8 {
    CERTAINTY[usize::from(a)]
}

/// `k` for each alpha.
static SHARE: [f32; 256] = {
    let mut table = [0.0; 256];
    let mut i = 0;
    while i < 256 {
        let a = i as f32 / 255.0;
        table[i] = a / (a * a + (1.0 - a) * (1.0 - a));
        i += 1;
    }
    table
};

impl Foreground {
    /// Guesses both colours of `picture` near the mixed pixels of `alpha`.
    pub(super) fn prepare<S: Simd>(&mut self, simd: S, picture: &RgbImage, alpha: &GrayImage) {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        self.cell = (width / CELLS_ACROSS).max(MIN_CELL).next_power_of_two();
        let (across, down) = (width.div_ceil(self.cell), height.div_ceil(self.cell));
        self.mark(simd, alpha, across, down);
        let (person, room) = (self.person.clear(across, down), self.room.clear(across, down));
        let cells = person.cells.iter_mut().zip(&mut room.cells).zip(&self.wanted).enumerate();
        for (i, ((person, room), _)) in cells.filter(|(_, (_, wanted))| **wanted) {
            let (x, y) = (i % across * self.cell, i / across * self.cell);
            let columns = x..width.min(x + self.cell);
            (*person, *room) = sum(simd, picture, alpha, columns, y..height.min(y + self.cell));
        }
        self.person.fill(simd);
        self.room.fill(simd);
    }

    /// Sets `wanted`.
    #[inline(always)]
    fn mark<S: Simd>(&mut self, simd: S, alpha: &GrayImage, across: usize, down: usize) {
        let width = alpha.width() as usize;
        self.wanted.clear();
        self.wanted.resize(across * down, false);
        for (y, rows) in alpha.as_raw().chunks(width * self.cell).enumerate() {
            self.lowest.clear();
            self.lowest.resize(width, 255);
            self.highest.clear();
            self.highest.resize(width, 0);
            extremes(simd, rows, &mut self.lowest, &mut self.highest);
            for (x, (low, high)) in self.lowest.chunks(self.cell).zip(self.highest.chunks(self.cell)).enumerate() {
                let (low, high) = (low.iter().min(), high.iter().max());
                if matches!((low, high), (Some(0), Some(0)) | (Some(255), Some(255))) {
                    continue;
                }
                for y in y.saturating_sub(REACH)..down.min(y + REACH + 1) {
                    self.wanted[y * across..][x.saturating_sub(REACH)..across.min(x + REACH + 1)].fill(true);
                }
            }
        }
    }

    /// The person's colours in `span` of row `y`, rounded to the nearest, into the same pixels of `person` (a row of RGB).
    #[inline(always)]
    pub(super) fn row<S: Simd>(&self, simd: S, y: usize, span: &Span, picture: &[u8], alpha: &[u8], person: &mut [u8]) {
        estimate(
            simd,
            self,
            y,
            span.start,
            &alpha[span.start..span.end],
            &picture[span.start * 3..],
            &mut person[span.start * 3..],
        );
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

/// The cells of the person and of the room for a block of pixels.
#[inline(always)]
fn sum<S: Simd>(
    simd: S,
    picture: &RgbImage,
    alpha: &GrayImage,
    columns: std::ops::Range<usize>,
    rows: std::ops::Range<usize>,
) -> (Cell, Cell) {
    let width = picture.width() as usize;
    let pixels = columns.len() * rows.len();
    let (mut person, mut room) = ([0u32; 4], [0u32; 4]);
    for y in rows {
        let rgb = &picture.as_raw()[(y * width + columns.start) * 3..(y * width + columns.end) * 3];
        let alpha = &alpha.as_raw()[y * width..][columns.clone()];
        for (c, &a) in rgb.as_chunks::<3>().0.iter().zip(alpha) {
            let c = [c[0], c[1], c[2], 1].map(u32::from);
            let (f, b) = (u32::from(certainty(a)), u32::from(certainty(255 - a)));
            for i in 0..4 {
                person[i] += f * c[i];
                room[i] += b * c[i];
            }
        }
    }
    (cell(simd, person, pixels), cell(simd, room, pixels))
}

/// Sums weighted by 0 to 255 to a [`Cell`]. A quarter of certain pixels is enough for the full weight.
#[inline(always)]
fn cell<S: Simd>(simd: S, sums: [u32; 4], pixels: usize) -> Cell {
    let scale = (4.0 / (255.0 * pixels as f32)).min(1.0 / (sums[3].max(1)) as f32);
    let mut cell = [0.0; 4];
    (f32x4::from_slice(simd, &sums.map(|v| v as f32)) * scale).store_slice(&mut cell);
    cell
}

/// `F = F' + k (I - a F' - (1 - a) B')` for the pixels from `x` on in row `y`.
#[simd]
fn estimate<S: Simd>(simd: S, guess: &Foreground, y: usize, x: usize, alpha: &[u8], picture: &[u8], out: &mut [u8]) {
    let (person, room) = (guess.person.base(), guess.room.base());
    let (top, bottom, down) = between(y, guess.cell, person.height);
    let (top, bottom) = (top * person.width, bottom * person.width);
    let (person_top, person_bottom) = (&person.cells[top..][..person.width], &person.cells[bottom..][..person.width]);
    let (room_top, room_bottom) = (&room.cells[top..][..person.width], &room.cells[bottom..][..person.width]);
    let pixels = picture.as_chunks::<3>().0.iter().zip(out.as_chunks_mut::<3>().0);
    for (i, (&a, (seen, out))) in alpha.iter().zip(pixels).enumerate() {
        let (left, right, along) = between(x + i, guess.cell, person.width);
        let lerp = |top: &[Cell], bottom: &[Cell]| {
            let (a, b, c, d) =
                (load(simd, &top[left]), load(simd, &top[right]), load(simd, &bottom[left]), load(simd, &bottom[right]));
            let (above, below) = (a + (b - a) * along, c + (d - c) * along);
            above + (below - above) * down
        };
        let f = lerp(person_top, person_bottom);
        let b = lerp(room_top, room_bottom);
        let seen = f32x4::from_slice(simd, &[seen[0], seen[1], seen[2], 0].map(f32::from));
        let share = f32::from(a) * (1.0 / 255.0);
        let residual = seen - f * share - b * (1.0 - share);
        let f = f + residual * SHARE[usize::from(a)];
        let rounded = (f + 0.5).max(f32x4::splat(simd, 0.0)).min(f32x4::splat(simd, 255.0)).to_int::<fearless_simd::i32x4<S>>();
        *out = [rounded[0] as u8, rounded[1] as u8, rounded[2] as u8];
    }
}

/// The two cells whose centres lie around the centre of pixel `at`, and how far it is from the first to the second (0 to 1).
#[inline(always)]
fn between(at: usize, cell: usize, cells: usize) -> (usize, usize, f32) {
    // In halves of a pixel, so that everything is whole.
    let twice = 2 * at + 1 + cell;
    let after = twice / (2 * cell);
    let along = (twice % (2 * cell)) as f32 / (2 * cell) as f32;
    (after.saturating_sub(1).min(cells - 1), after.min(cells - 1), along)
}
