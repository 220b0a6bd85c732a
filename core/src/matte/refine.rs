//! From the low-resolution result of a segmentation to the matte at the picture's size. Any frame, any order, any thread.
use super::guided::Coefficients;
use super::hard::HardMask;
use super::segment::{Coarse, Map};
use super::window::rounded;
use crate::simd::{SimdError, SimdLevel};
use fearless_simd::{Level, Simd, dispatch, f32x8, prelude::*};
use fearless_simd_macros::simd;
use image::{GrayImage, RgbImage};

/// Pixels per vector.
const LANES: usize = 8;

/// Turns [`Coarse`] results into mattes; holds the buffers for one thread.
#[derive(Debug)]
pub struct Refiner {
    level: Level,
    coefficients: Coefficients,
    hard: HardMask,
    scratch: Scratch,
}

#[derive(Debug, Default)]
struct Scratch {
    /// The coefficients of two rows of cells, each spread over the picture's width, `[4][padded width]`.
    spread: [Vec<f32>; 2],
    /// Which row of cells each of them holds.
    holds: [Option<usize>; 2],
    /// One row of the picture as numbers, `[3][padded width]`.
    colours: Vec<f32>,
    /// The same as bytes, one colour after the other.
    bytes: [Vec<u8>; 3],
    /// One row of alpha.
    alpha: Vec<f32>,
}

impl Refiner {
    /// Buffers for one thread.
    ///
    /// # Errors
    /// This processor lacks the instructions of `simd`.
    pub fn new(simd: SimdLevel) -> Result<Self, SimdError> {
        Ok(Refiner {
            level: simd.level()?,
            coefficients: Coefficients::default(),
            hard: HardMask::default(),
            scratch: Scratch::default(),
        })
    }

    /// Writes the matte of `picture` (0 = background, 255 = person) to `alpha`, which is given the picture's size where it
    /// has another. `coarse` is what [`super::Segmenter`] made of the same picture; where the sizes differ the matte is
    /// all background.
    pub fn refine(&mut self, picture: &RgbImage, coarse: &Coarse, alpha: &mut GrayImage) {
        if alpha.dimensions() != picture.dimensions() {
            *alpha = GrayImage::new(picture.width(), picture.height());
        }
        if coarse.size != picture.dimensions() || picture.is_empty() {
            alpha.fill(0);
            return;
        }
        match &coarse.map {
            Map::Hard { confidence, width, height } => self.hard.mask(self.level, confidence, *width, *height, alpha),
            Map::Soft { grid, guide, map } => {
                self.coefficients.compute(self.level, *grid, guide, map);
                self.scratch.holds = [None; 2];
                let planes = &self.coefficients.planes;
                dispatch!(self.level, s => apply(s, picture, grid.cell, grid.width, grid.height, planes, &mut self.scratch, alpha));
            }
        }
    }
}

/// `alpha = a . rgb + b`, with coefficients blended linearly between the centres of the cells, rounded to the nearest.
#[simd]
fn apply<S: Simd>(
    s: S,
    picture: &RgbImage,
    cell: usize,
    cells: usize,
    rows: usize,
    planes: &[Vec<f32>; 4],
    scratch: &mut Scratch,
    alpha: &mut GrayImage,
) {
    let width = picture.width() as usize;
    let padded = width.next_multiple_of(LANES);
    let Scratch { spread, holds, colours, bytes, alpha: line } = scratch;
    bytes.iter_mut().for_each(|row| row.resize(width, 0));
    spread.iter_mut().for_each(|row| row.resize(4 * padded, 0.0));
    colours.resize(3 * padded, 0.0);
    line.resize(padded, 0.0);
    let lines = picture.as_raw().chunks_exact(width * 3).zip(alpha.chunks_exact_mut(width));
    for (y, (pixels, out)) in lines.enumerate() {
        let (top, bottom, t) = between(y, cell, rows);
        for row in [top, bottom] {
            if holds[row % 2] != Some(row) {
                holds[row % 2] = Some(row);
                for (spread, plane) in spread[row % 2].chunks_exact_mut(padded).zip(planes) {
                    spread_row(s, &plane[row * cells..(row + 1) * cells], cell, &mut spread[..width]);
                }
            }
        }
        planar(pixels, padded, bytes, colours);
        let (top, bottom) = (&spread[top % 2], &spread[bottom % 2]);
        for (x, out) in (0..padded).step_by(LANES).zip(line.chunks_exact_mut(LANES)) {
            let a_r = coefficient(s, top, bottom, x, t) * load(s, colours, x);
            let a_g = coefficient(s, top, bottom, padded + x, t) * load(s, colours, padded + x);
            let a_b = coefficient(s, top, bottom, 2 * padded + x, t) * load(s, colours, 2 * padded + x);
            let sum = (a_r + a_g) + (a_b + coefficient(s, top, bottom, 3 * padded + x, t));
            sum.store_slice(out);
        }
        for (out, v) in out.iter_mut().zip(&*line) {
            *out = rounded(v.clamp(0.0, 255.0)) as u8;
        }
    }
}

#[inline(always)]
fn load<S: Simd>(s: S, from: &[f32], at: usize) -> f32x8<S> {
    f32x8::from_slice(s, &from[at..at + LANES])
}

/// On the way from one row to another.
#[inline(always)]
fn coefficient<S: Simd>(s: S, top: &[f32], bottom: &[f32], at: usize, t: f32) -> f32x8<S> {
    let top = load(s, top, at);
    top + (load(s, bottom, at) - top) * t
}

/// The two cells whose centres a pixel lies between, and how far it is on the way.
fn between(pixel: usize, cell: usize, cells: usize) -> (usize, usize, f32) {
    // in half pixels: the pixel's centre from the first cell's centre
    let from_first = (2 * pixel + 1).saturating_sub(cell);
    let (first, rest) = (from_first / (2 * cell), from_first % (2 * cell));
    if first + 1 >= cells { (cells - 1, cells - 1, 0.0) } else { (first, first + 1, rest as f32 / (2 * cell) as f32) }
}

/// Spreads a row of cells over the pixels, linearly between the cells' centres.
#[inline(always)]
fn spread_row<S: Simd>(s: S, cells: &[f32], cell: usize, into: &mut [f32]) {
    match cell {
        1 => into.copy_from_slice(cells),
        2 => {
            let done = spread_pairs(s, cells, into);
            spread_cells(&cells[done..], 2, &mut into[2 * done..], done > 0);
        }
        _ => spread_cells(cells, cell, into, false),
    }
}

/// Two pixels per cell, for as many whole vectors as there are; gives the number of cells whose pixels are done, all but the
/// second pixel of the last of them.
#[inline(always)]
fn spread_pairs<S: Simd>(s: S, cells: &[f32], into: &mut [f32]) -> usize {
    let mut done = 0;
    into[0] = cells[0];
    while done + LANES < cells.len() {
        let here = load(s, cells, done);
        let slope = load(s, cells, done + 1) - here;
        let (low, high) = (here + slope * 0.25).interleave(here + slope * 0.75);
        low.store_slice(&mut into[2 * done + 1..][..LANES]);
        high.store_slice(&mut into[2 * done + 1 + LANES..][..LANES]);
        done += LANES;
    }
    done
}

/// `cell` pixels per cell. `begun`: the pixels before the first cell's centre are there already.
#[inline(always)]
fn spread_cells(cells: &[f32], cell: usize, into: &mut [f32], begun: bool) {
    let width = into.len();
    let lead = (cell / 2).min(width);
    if !begun {
        into[..lead].fill(cells[0]);
    }
    let step = 1.0 / cell as f32;
    let phase = if cell.is_multiple_of(2) { 0.5 * step } else { 0.0 };
    let mut runs = into[lead..].chunks_exact_mut(cell);
    for (run, pair) in (&mut runs).zip(cells.windows(2)) {
        let slope = pair[1] - pair[0];
        for (j, v) in run.iter_mut().enumerate() {
            *v = pair[0] + slope * (phase + j as f32 * step);
        }
    }
    let done = lead + (cells.len() - 1).min((width - lead) / cell) * cell;
    let last = (done - lead) / cell;
    let slope = cells.get(last + 1).map_or(0.0, |next| next - cells[last]);
    for (j, v) in into[done..].iter_mut().enumerate() {
        *v = cells[last] + slope * (phase + j as f32 * step);
    }
}

/// Takes interleaved bytes apart into three rows of `bytes`, and makes them three rows of numbers, `[3][padded]`.
#[inline(always)]
fn planar(pixels: &[u8], padded: usize, bytes: &mut [Vec<u8>; 3], into: &mut [f32]) {
    let [r, g, b] = bytes;
    for (((pixel, r), g), b) in pixels.chunks_exact(3).zip(&mut *r).zip(&mut *g).zip(&mut *b) {
        *r = pixel[0];
        *g = pixel[1];
        *b = pixel[2];
    }
    for (row, bytes) in into.chunks_exact_mut(padded).zip(&*bytes) {
        for (v, &byte) in row.iter_mut().zip(bytes) {
            *v = f32::from(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreading_agrees_with_interpolation_between_centres() {
        for width in 1..40 {
            for cell in 1..8 {
                let cells: Vec<f32> = (0..usize::div_ceil(width, cell)).map(|i| (i * i % 7) as f32).collect();
                let mut found = vec![-1.0; width];
                spread_row(fearless_simd::Fallback::new(), &cells, cell, &mut found);
                for (x, found) in found.into_iter().enumerate() {
                    let (a, b, t) = between(x, cell, cells.len());
                    let want = cells[a] + (cells[b] - cells[a]) * t;
                    assert!((found - want).abs() < 1e-5, "{width} pixels, cells of {cell}, at {x}: {found} for {want}");
                }
            }
        }
    }
}
