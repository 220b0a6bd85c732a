//! Guesses the person's and the room's colours near the edge of a matte, smoothly on a coarse grid.
use super::pyramid::{Cell, CellSize, Pyramid};
use super::stretches::StretchKind;
use crate::matte::{AlphaRunKind, Matte};
use fearless_simd::Simd;
use fearless_simd_macros::simd;
use image::{GrayImage, RgbImage};
use std::ops::Range;

/// Roughly the cells across a picture, so that the grid is as fine for any size of picture.
const CELLS_ACROSS: usize = 160;
/// The smallest cell in pixels.
const MIN_CELL: usize = 2;
/// Certain pixels count up to this many cells away from a mixed one.
const REACH: usize = 3;

/// Guesses of both colours for one frame. Its buffers are used again.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    /// Pixels along a cell.
    pub(super) cell: CellSize,
    /// Filled where a cell is within [`REACH`] of a mixed one.
    pub(super) person: Pyramid,
    pub(super) room: Pyramid,
    /// The kind of each cell's pixels.
    kinds: Vec<StretchKind>,
    /// Whether each cell is within reach of a mixed one in its row, and in any row.
    beside: Vec<bool>,
    wanted: Vec<bool>,
    /// For each column of a row of cells, the bits that are set in any alpha, and those that are
    /// set in all.
    any: Vec<u8>,
    all: Vec<u8>,
    /// Sums over the rows of a row of cells, `[width][3]`.
    sums: Vec<u16>,
}

/// `255 (a / 255)^8`, but at least 1 for all `a` except 0, so that any mixed pixel counts for both.
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

pub(super) const fn power(v: f64, n: u32) -> f64 {
    let mut product = 1.0;
    let mut i = 0;
    while i < n {
        product *= v;
        i += 1;
    }
    product
}

/// The weight of a pixel of alpha `a` for the person's colour, 0 to 255. Its weight for the room's
/// colour is that of `255 - a`.
#[inline(always)]
pub(super) fn certainty(a: u8) -> u8 {
    CERTAINTY[usize::from(a)]
}

impl Guesses {
    /// Guesses both colours of `picture` near the mixed pixels of `matte`.
    #[simd]
    pub(super) fn make<S: Simd>(&mut self, simd: S, picture: &RgbImage, matte: &Matte) {
        let alpha = matte.alpha();
        let width = picture.width() as usize;
        let height = picture.height() as usize;
        self.cell = CellSize::at_least((width / CELLS_ACROSS).max(MIN_CELL));
        let cell = self.cell.pixels();
        let across = width.div_ceil(cell);
        let down = height.div_ceil(cell);
        self.mark(simd, matte, across, down);
        let person = self.person.clear(across, down);
        let room = self.room.clear(across, down);
        self.sums.resize(width * 3, 0);
        for (y, wanted) in self.wanted.chunks_exact(across).enumerate() {
            let rows = y * cell..height.min((y + 1) * cell);
            for run in runs(wanted) {
                let pixels = run.start * cell..width.min(run.end * cell);
                let sums = &mut self.sums[pixels.start * 3..pixels.end * 3];
                sum_rows(
                    simd,
                    &picture.as_raw()[(rows.start * width + pixels.start) * 3..],
                    width * 3,
                    rows.len(),
                    sums,
                );
                for (x, sums) in run.zip(sums.chunks(cell * 3)) {
                    let i = y * across + x;
                    match self.kinds[i] {
                        StretchKind::Foreground => person.cells[i] = plain(sums, rows.len()),
                        StretchKind::Background => room.cells[i] = plain(sums, rows.len()),
                        StretchKind::Mixed => {
                            let columns = x * cell..width.min((x + 1) * cell);
                            let block = MixedCell {
                                columns,
                                rows: rows.clone(),
                                picture,
                                alpha,
                            };
                            (person.cells[i], room.cells[i]) = block.weighted();
                        }
                    }
                }
            }
        }
        self.person.fill(simd, Some(&self.wanted));
        self.room.fill(simd, Some(&self.wanted));
    }

    /// Sets `wanted` and `kinds`.
    #[inline(always)]
    fn mark<S: Simd>(&mut self, simd: S, matte: &Matte, across: usize, down: usize) {
        let width = matte.alpha().width() as usize;
        let height = matte.alpha().height() as usize;
        let cell = self.cell.pixels();
        self.beside.clear();
        self.beside.resize(across * down, false);
        self.wanted.clear();
        self.wanted.resize(across * down, false);
        self.kinds.clear();
        self.any.resize(width, 0);
        self.all.resize(width, 0);
        for (band, beside) in self.beside.chunks_exact_mut(across).enumerate() {
            self.any.fill(0);
            self.all.fill(255);
            for y in band * cell..height.min((band + 1) * cell) {
                combine(simd, matte, y, &mut self.any, &mut self.all);
            }
            let start = self.kinds.len();
            match cell {
                2 => add_kinds::<2>(&self.any, &self.all, &mut self.kinds),
                4 => add_kinds::<4>(&self.any, &self.all, &mut self.kinds),
                8 => add_kinds::<8>(&self.any, &self.all, &mut self.kinds),
                _ => self.kinds.extend(
                    self.any
                        .chunks(cell)
                        .zip(self.all.chunks(cell))
                        .map(|(any, all)| kind(any, all)),
                ),
            }
            for (x, _) in self.kinds[start..]
                .iter()
                .enumerate()
                .filter(|(_, kind)| **kind == StretchKind::Mixed)
            {
                beside[x.saturating_sub(REACH)..across.min(x + REACH + 1)].fill(true);
            }
        }
        for (y, wanted) in self.wanted.chunks_exact_mut(across).enumerate() {
            let rows = y.saturating_sub(REACH)..down.min(y + REACH + 1);
            for row in self.beside[rows.start * across..rows.end * across].chunks_exact(across) {
                wanted
                    .iter_mut()
                    .zip(row)
                    .for_each(|(wanted, beside)| *wanted |= beside);
            }
        }
    }
}

/// The kind of a cell's pixels, from the bits of its columns that are set in any and in all alphas.
#[inline(always)]
fn kind(any: &[u8], all: &[u8]) -> StretchKind {
    match (
        any.iter().fold(0, |any, a| any | a),
        all.iter().fold(255, |all, a| all & a),
    ) {
        (0, _) => StretchKind::Background,
        (_, 255) => StretchKind::Foreground,
        _ => StretchKind::Mixed,
    }
}

/// Adds the kinds of a row of cells of `CELL` pixels.
#[inline(always)]
fn add_kinds<const CELL: usize>(any: &[u8], all: &[u8], kinds: &mut Vec<StretchKind>) {
    let (any, any_rest) = any.as_chunks::<CELL>();
    let (all, all_rest) = all.as_chunks::<CELL>();
    kinds.extend(any.iter().zip(all).map(|(any, all)| kind(any, all)));
    if !any_rest.is_empty() {
        kinds.push(kind(any_rest, all_rest));
    }
}

/// The runs of cells that are wanted.
fn runs(wanted: &[bool]) -> impl Iterator<Item = Range<usize>> {
    let mut end = 0;
    std::iter::from_fn(move || {
        let start = end + wanted[end..].iter().position(|w| *w)?;
        end = start
            + wanted[start..]
                .iter()
                .position(|w| !w)
                .unwrap_or(wanted.len() - start);
        Some(start..end)
    })
}

/// Adds the alphas of row `y` to the bits that are set in any, and in all, of each column.
#[simd]
fn combine<S: Simd>(simd: S, matte: &Matte, y: usize, any: &mut [u8], all: &mut [u8]) {
    let row = &matte.alpha().as_raw()[y * any.len()..][..any.len()];
    let mut start = 0;
    for run in matte.runs(y) {
        let pixels = std::mem::replace(&mut start, run.end)..run.end;
        match run.kind {
            AlphaRunKind::Room => all[pixels].fill(0),
            AlphaRunKind::Person => any[pixels].fill(255),
            AlphaRunKind::Open => {
                let columns = any[pixels.clone()].iter_mut().zip(&mut all[pixels.clone()]);
                for ((any, all), a) in columns.zip(&row[pixels]) {
                    *any |= a;
                    *all &= a;
                }
            }
        }
    }
}

/// Sums of `rows` rows of samples, `stride` apart: at most 256.
#[simd]
fn sum_rows<S: Simd>(simd: S, samples: &[u8], stride: usize, rows: usize, sums: &mut [u16]) {
    sums.fill(0);
    for row in samples.chunks(stride).take(rows) {
        sums.iter_mut()
            .zip(row)
            .for_each(|(sum, v)| *sum += u16::from(*v));
    }
}

/// The mean of all pixels of a cell, with weight 1. `sums`: those of its columns over its `rows`.
#[inline(always)]
fn plain(sums: &[u16], rows: usize) -> Cell {
    let pixels = sums.as_chunks::<3>().0;
    let mut total = [0, 0, 0, (pixels.len() * rows) as u32];
    for c in pixels {
        for i in 0..3 {
            total[i] += u32::from(c[i]);
        }
    }
    let scale = 1.0 / total[3] as f32;
    total.map(|v| v as f32 * scale)
}

/// The pixels of one mixed cell.
struct MixedCell<'a> {
    columns: Range<usize>,
    rows: Range<usize>,
    picture: &'a RgbImage,
    alpha: &'a GrayImage,
}

impl MixedCell<'_> {
    /// The means for the person and for the room, weighted by certainty.
    #[inline(always)]
    fn weighted(&self) -> (Cell, Cell) {
        let width = self.picture.width() as usize;
        let pixels = self.picture.as_raw().as_chunks::<3>().0;
        let mut person = [0u32; 4];
        let mut room = [0u32; 4];
        for y in self.rows.clone() {
            let row = y * width + self.columns.start..y * width + self.columns.end;
            for (c, &a) in pixels[row.clone()].iter().zip(&self.alpha.as_raw()[row]) {
                let c = [c[0], c[1], c[2], 1].map(u32::from);
                let f = u32::from(certainty(a));
                let b = u32::from(certainty(255 - a));
                for i in 0..4 {
                    person[i] += f * c[i];
                    room[i] += b * c[i];
                }
            }
        }
        let scale = 1.0 / (255.0 * (self.columns.len() * self.rows.len()) as f32);
        (
            person.map(|v| v as f32 * scale),
            room.map(|v| v as f32 * scale),
        )
    }
}
