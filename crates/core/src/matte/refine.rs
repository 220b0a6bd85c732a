//! Brings a coarse matte to the picture's size; for any frame, in any order, on any thread.
use super::blocks::runs;
use super::coarse::{CoarseMap, CoarseMatte};
use super::full::{AlphaRunKind, Matte};
use super::grid::Grid;
use super::guided::Coefficients;
use super::hard::HardMask;
use super::settled::SettledCells;
use super::spread::{self, between, first_pixel, pixels_around, spread};
use super::window::rounded;
use fearless_simd::{Level, Simd, dispatch, prelude::*};
use fearless_simd_macros::simd;
use image::RgbImage;
use mattebox_net::{SimdError, SimdLevel};

/// Turns coarse mattes into mattes at the picture's size; holds the buffers for one thread.
#[derive(Debug)]
pub struct Refiner {
    level: Level,
    coefficients: Coefficients,
    hard: HardMask,
    scratch: RefinerScratch,
}

#[derive(Debug, Default)]
struct RefinerScratch {
    /// The coefficients of two rows of cells, spread over the picture's width where they are
    /// needed, `[4][..]`.
    wide: [Vec<f32>; 2],
    /// The row of cells that each of them holds.
    holds: [Option<usize>; 2],
    /// A run of pixels as numbers, `[3][padded width]`.
    colours: Vec<f32>,
    /// The run as bytes, one plane per colour.
    bytes: [Vec<u8>; 3],
    /// A run of alpha.
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
            scratch: RefinerScratch::default(),
        })
    }

    /// Writes the matte of `picture` to `matte`, and gives it the picture's size. `coarse` is the
    /// coarse matte of the same picture, from [`super::Segmenter`]; if their sizes differ, the
    /// matte is all background.
    pub fn refine(&mut self, picture: &RgbImage, coarse: &CoarseMatte, matte: &mut Matte) {
        matte.begin(picture.width(), picture.height());
        if coarse.size != picture.dimensions() || picture.is_empty() {
            matte.clear();
            return;
        }
        match &coarse.map {
            CoarseMap::Hard {
                confidence,
                width,
                height,
            } => self
                .hard
                .mask(self.level, confidence, *width, *height, matte),
            CoarseMap::Soft(soft) => {
                self.coefficients.compute(self.level, soft);
                let grid = soft.grid;
                let settled = &soft.settled;
                let coefficients = &self.coefficients;
                let scratch = &mut self.scratch;
                scratch.holds = [None; 2];
                dispatch!(self.level, s => {
                    apply(s, picture, grid, coefficients, settled, scratch, matte)
                });
            }
        }
    }
}

/// Computes `alpha = a . rgb + b`, rounded to the nearest, with coefficients blended linearly
/// between the centres of the cells. Where all cells around a pixel are settled, alpha is constant.
#[simd]
fn apply<S: Simd>(
    s: S,
    picture: &RgbImage,
    grid: Grid,
    coefficients: &Coefficients,
    settled: &SettledCells,
    scratch: &mut RefinerScratch,
    matte: &mut Matte,
) {
    let width = picture.width() as usize;
    let Grid {
        cell,
        width: cells,
        height: rows,
    } = grid;
    let RefinerScratch {
        wide,
        holds,
        colours,
        bytes,
        alpha: line,
    } = scratch;
    let stride = (cells + 1 + spread::MORE_GAPS) * cell + S::f32s::LEN;
    let padded = width.next_multiple_of(S::f32s::LEN);
    bytes.iter_mut().for_each(|row| row.resize(width, 0));
    wide.iter_mut().for_each(|row| row.resize(4 * stride, 0.0));
    colours.resize(3 * padded, 0.0);
    line.resize(padded, 0.0);
    let Matte { alpha, outline } = matte;
    let lines = picture
        .as_raw()
        .chunks_exact(width * 3)
        .zip(alpha.chunks_exact_mut(width));
    for (y, (pixels, out)) in lines.enumerate() {
        let (top, bottom, t) = between(y, cell, rows);
        let marks = &settled.marks[top * cells..(top + 1) * cells];
        let mut done = 0;
        for run in runs(settled.open[top] | settled.open[bottom]) {
            for row in [top, bottom] {
                if holds[row % 2] != Some(row) {
                    holds[row % 2] = Some(row);
                    spread_row(
                        s,
                        coefficients,
                        settled,
                        row,
                        grid,
                        stride,
                        &mut wide[row % 2],
                    );
                }
            }
            let run = run.start..run.end.min(cells);
            let xs = pixels_around(&run, cell, width);
            let before = marks[run.start.saturating_sub(1)];
            out[done..xs.start].fill(before);
            outline.push_plain(before, xs.start);
            outline.push(AlphaRunKind::Open, xs.end);
            done = xs.end;
            planar(&pixels[xs.start * 3..xs.end * 3], padded, bytes, colours);
            let start = first_pixel(cell) + xs.start;
            let [top, bottom] = [top, bottom].map(|row| &wide[row % 2][start..]);
            for (x, line) in (0..xs.len())
                .step_by(S::f32s::LEN)
                .zip(line.chunks_exact_mut(S::f32s::LEN))
            {
                let [a_r, a_g, a_b, b] =
                    [0, 1, 2, 3].map(|k| coefficient(s, top, bottom, k * stride + x, t));
                let [r, g, b_] = [0, 1, 2].map(|k| load(s, colours, k * padded + x));
                ((a_r * r + a_g * g) + (a_b * b_ + b)).store_slice(line);
            }
            for (out, v) in out[xs].iter_mut().zip(&*line) {
                *out = rounded(v.clamp(0.0, 255.0)) as u8;
            }
        }
        out[done..].fill(marks[cells - 1]);
        outline.push_plain(marks[cells - 1], width);
        outline.end_row();
    }
}

/// Spreads the coefficients of a row of cells near its open cells, and those of the rows beside it.
#[inline(always)]
fn spread_row<S: Simd>(
    s: S,
    coefficients: &Coefficients,
    settled: &SettledCells,
    y: usize,
    grid: Grid,
    stride: usize,
    into: &mut [f32],
) {
    let open = settled.open_near(y, 1);
    for (k, into) in into.chunks_exact_mut(stride).enumerate() {
        for run in runs(open) {
            spread(
                s,
                coefficients.row(y, k),
                run.start..run.end.min(grid.width) + 1,
                grid.cell,
                into,
            );
        }
    }
}

#[inline(always)]
fn load<S: Simd>(s: S, from: &[f32], at: usize) -> S::f32s {
    S::f32s::from_slice(s, &from[at..at + S::f32s::LEN])
}

/// Blends the coefficients of two rows.
#[inline(always)]
fn coefficient<S: Simd>(s: S, top: &[f32], bottom: &[f32], at: usize, t: f32) -> S::f32s {
    let top = load(s, top, at);
    top + (load(s, bottom, at) - top) * t
}

/// Splits interleaved bytes into three rows of `bytes`, and three rows of numbers, `[3][padded]`.
#[inline(always)]
fn planar(pixels: &[u8], padded: usize, bytes: &mut [Vec<u8>; 3], into: &mut [f32]) {
    let [r, g, b] = bytes;
    for (((pixel, r), g), b) in pixels
        .as_chunks::<3>()
        .0
        .iter()
        .zip(&mut *r)
        .zip(&mut *g)
        .zip(&mut *b)
    {
        (*r, *g, *b) = (pixel[0], pixel[1], pixel[2]);
    }
    for (row, bytes) in into.chunks_exact_mut(padded).zip(&*bytes) {
        for (v, &byte) in row.iter_mut().zip(bytes).take(pixels.len() / 3) {
            *v = f32::from(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Timestamp;
    use crate::matte::{MatteMode, MatteState, Segmenter};
    use mattebox_net::Model;
    use std::sync::Arc;

    /// A figure that the network sees as a person, moved to the side by `shift`.
    fn picture(size: (u32, u32), shift: u32) -> RgbImage {
        let file = include_bytes!("../../tests/matte/fixtures/person_0.jpg");
        let person = crate::codec::decode(file, &Default::default()).unwrap();
        let person = crate::codec::scale(
            &person,
            size.0,
            size.1,
            crate::codec::Filter::Bilinear,
            crate::codec::Crop::Nothing,
        );
        RgbImage::from_fn(size.0, size.1, |x, y| {
            *person.get_pixel((x + shift) % size.0, y)
        })
    }

    #[test]
    fn an_outline_agrees_with_its_matte() {
        let model = Arc::new(Model::general().unwrap());
        let level = SimdLevel::best();
        for mode in [MatteMode::Soft, MatteMode::Hard] {
            for size in [(640, 360), (333, 250), (1000, 700)] {
                let mut segmenter = Segmenter::new(&model, mode, level).unwrap();
                let mut refiner = Refiner::new(level).unwrap();
                let mut state = MatteState::default();
                let mut matte = Matte::default();
                let mut plain = 0;
                for shift in 0..3 {
                    let picture = picture(size, shift);
                    let time = Timestamp(i64::from(shift) * 40_000);
                    let coarse = segmenter.segment(&picture, time, &mut state);
                    refiner.refine(&picture, &coarse, &mut matte);
                    for (y, row) in matte.alpha().chunks_exact(size.0 as usize).enumerate() {
                        let mut start = 0;
                        for run in matte.runs(y) {
                            let alpha = &row[start..run.end];
                            let wanted = match run.kind {
                                AlphaRunKind::Room => Some(0),
                                AlphaRunKind::Person => Some(255),
                                AlphaRunKind::Open => None,
                            };
                            assert!(
                                wanted.is_none_or(|wanted| alpha.iter().all(|&a| a == wanted)),
                                "{mode}, {size:?}, row {y}, {run:?}"
                            );
                            plain += wanted.map_or(0, |_| alpha.len());
                            start = run.end;
                        }
                        assert_eq!(start, row.len(), "runs cover the row");
                    }
                }
                assert!(
                    plain > matte.alpha().len(),
                    "{mode}: little is plain: {plain}"
                );
                assert!(!matte.is_blank());
            }
        }
    }
}
