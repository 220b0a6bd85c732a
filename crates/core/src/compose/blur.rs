//! Blurs the room, without the person.
//!
//! A plain blur would spread the person's colours into the room. So each pixel has a weight for how
//! certainly it is room (normalised convolution, Knutsson and Westin 1993): `sum(g w I) / sum(g
//! w)`, where `g` is a Gaussian and `w` falls from 1 at alpha 0 to 0 at alpha 255 as the fourth
//! power. Where there is no room nearby, its colours are taken from farther away ([`Pyramid`]).
//!
//! The result of a wide Gaussian has no detail, so it is computed on a grid of cells of up to half
//! its sigma, and interpolated.
use super::pyramid::{Cell, CellSize, Pyramid};
use super::stretches::{StretchKind, stretches};
use fearless_simd::Simd;
use fearless_simd_macros::simd;
use image::{GrayImage, RgbImage};
use std::ops::Range;

/// The width in pixels of the picture that sigma is given for.
pub(super) const SIGMA_WIDTH: f32 = 640.0;
/// The smallest sigma in cells. Below it the interpolation between cells would show.
const MIN_SIGMA_CELLS: f32 = 2.0;
/// The largest cell in pixels: the sum of a column of it fits 16 bits.
const MAX_CELL: usize = 256;
/// The weight of the colours from farther away, against the full weight of 1.
const FAR: f32 = 1.0 / 64.0;
/// Levels have this many bits for fractions: times 32, the steps of interpolation, they just fit 16
/// bits.
const FRACTION: u32 = 3;

/// The blurred room of one frame. Its buffers are used again.
#[derive(Debug, Default)]
pub(super) struct Blur {
    /// Pixels along a cell.
    cell: CellSize,
    /// The room's cells, filled in where the person is.
    room: Pyramid,
    /// Half of the Gaussian in cells, from its centre on.
    taps: Vec<f32>,
    /// The cells with zeros around, for the Gaussian: `[height][radius + width + radius]`.
    padded: Vec<Cell>,
    /// Blurred along rows: `[radius + height + radius][width]`.
    rows: Vec<Cell>,
    /// Blurred both ways: `[height][width]`.
    blurred: Vec<Cell>,
    /// `blurred`, normalised, in levels with [`FRACTION`] bits.
    levels: Vec<[u16; 3]>,
    /// Sums of a cell's rows for each column: colours, weights.
    sums: (Vec<u16>, Vec<u16>),
    /// Two rows of cells, interpolated to the picture's width, and their indices.
    wide: [Vec<u16>; 2],
    wide_row: [Option<usize>; 2],
}

impl Blur {
    /// Blurs the room in `picture` with `sigma` pixels per [`SIGMA_WIDTH`] pixels of its width.
    #[simd]
    pub(super) fn prepare<S: Simd>(
        &mut self,
        simd: S,
        picture: &RgbImage,
        alpha: &GrayImage,
        sigma: f32,
    ) {
        let width = picture.width() as usize;
        let height = picture.height() as usize;
        let sigma = sigma * width as f32 / SIGMA_WIDTH;
        let mut cell = 1;
        while sigma / (cell * 2) as f32 >= MIN_SIGMA_CELLS && cell < MAX_CELL {
            cell *= 2;
        }
        self.cell = CellSize::at_least(cell);
        self.set_taps(sigma / cell as f32);
        self.shrink(simd, picture, alpha);
        self.blur(simd, width.div_ceil(cell), height.div_ceil(cell));
        self.wide_row = [None; 2];
        self.wide
            .iter_mut()
            .for_each(|row| row.resize(width * 3, 0));
    }

    fn set_taps(&mut self, sigma: f32) {
        // Averaging over a cell has a variance of 1/12, interpolating between cells one of 1/6.
        let variance = if self.cell.pixels() > 1 {
            sigma * sigma - 0.25
        } else {
            sigma * sigma
        }
        .max(0.01);
        let radius = (3.0 * variance.sqrt()).ceil() as usize;
        self.taps.clear();
        self.taps
            .extend((0..=radius).map(|i| (-((i * i) as f32) / (2.0 * variance)).exp()));
        let sum = 2.0 * self.taps.iter().sum::<f32>() - 1.0;
        self.taps.iter_mut().for_each(|tap| *tap /= sum);
    }

    /// Averages the room over the cells.
    #[inline(always)]
    fn shrink<S: Simd>(&mut self, simd: S, picture: &RgbImage, alpha: &GrayImage) {
        let width = picture.width() as usize;
        let height = picture.height() as usize;
        let cell = self.cell.pixels();
        let grid = self.room.clear(width.div_ceil(cell), height.div_ceil(cell));
        let bands = picture
            .as_raw()
            .chunks(width * 3 * cell)
            .zip(alpha.as_raw().chunks(width * cell));
        for (cells, (rgb, alpha)) in grid.cells.chunks_exact_mut(grid.width).zip(bands) {
            let (colors, weights) = &mut self.sums;
            colors.clear();
            colors.resize(width * 3, 0);
            weights.clear();
            weights.resize(width, 0);
            for (rgb, alpha) in rgb.chunks_exact(width * 3).zip(alpha.chunks_exact(width)) {
                add_row(simd, rgb, alpha, colors, weights);
            }
            let rows = alpha.len() / width;
            let columns = colors.chunks(3 * cell).zip(weights.chunks(cell));
            for (cell, (colors, weights)) in cells.iter_mut().zip(columns) {
                let scale = 1.0 / (rows * weights.len()) as f32;
                let mut sums = [0u32; 3];
                for c in colors.as_chunks::<3>().0 {
                    for i in 0..3 {
                        sums[i] += u32::from(c[i]);
                    }
                }
                let weight: u32 = weights.iter().map(|w| u32::from(*w)).sum();
                let [r, g, b] = sums.map(|v| v as f32 * scale);
                *cell = [r, g, b, weight as f32 * scale * (1.0 / 255.0)];
            }
        }
    }

    /// Blurs the cells and normalises them.
    #[inline(always)]
    fn blur<S: Simd>(&mut self, simd: S, across: usize, down: usize) {
        let radius = self.taps.len() - 1;
        let stride = across + 2 * radius;
        self.padded.clear();
        self.padded.resize(stride * down, [0.0; 4]);
        for (to, from) in self
            .padded
            .chunks_exact_mut(stride)
            .zip(self.room.base().cells.chunks_exact(across))
        {
            to[radius..radius + across].copy_from_slice(from);
        }
        self.rows.clear();
        self.rows.resize(across * (down + 2 * radius), [0.0; 4]);
        let inner = &mut self.rows[across * radius..across * (radius + down)];
        for (out, row) in inner
            .chunks_exact_mut(across)
            .zip(self.padded.chunks_exact(stride))
        {
            convolve(
                simd,
                row.as_flattened(),
                1,
                &self.taps,
                out.as_flattened_mut(),
            );
        }
        self.blurred.resize(across * down, [0.0; 4]);
        for (y, out) in self.blurred.chunks_exact_mut(across).enumerate() {
            let rows = &self.rows[y * across..(y + 2 * radius + 1) * across];
            convolve(
                simd,
                rows.as_flattened(),
                across,
                &self.taps,
                out.as_flattened_mut(),
            );
        }
        self.room.fill(simd, None);
        normalise(
            simd,
            &self.blurred,
            &self.room.base().cells,
            &mut self.levels,
        );
    }

    /// Writes the background of the samples `rgb` of row `y` to the same samples of `out`. Fastest
    /// with rows in order.
    #[inline(always)]
    pub(super) fn row<S: Simd>(&mut self, simd: S, y: usize, rgb: Range<usize>, out: &mut [u8]) {
        let grid = self.room.base();
        let (above, below, along) = self.cell.around(y, grid.height);
        let rows = [above, below];
        for row in rows {
            if self.wide_row[row % 2] != Some(row) {
                self.wide_row[row % 2] = Some(row);
                widen(
                    simd,
                    &self.levels[row * grid.width..][..grid.width],
                    self.cell,
                    &mut self.wide[row % 2],
                );
            }
        }
        let [above, below] = rows.map(|row| &self.wide[row % 2][rgb.clone()]);
        interpolate(simd, above, below, steps(along), &mut out[rgb]);
    }
}

/// Adds a row's room to the sums of its columns.
#[simd]
fn add_row<S: Simd>(simd: S, rgb: &[u8], alpha: &[u8], colors: &mut [u16], weights: &mut [u16]) {
    for stretch in stretches(simd, alpha) {
        let samples = stretch.start * 3..stretch.end * 3;
        let colors = &mut colors[samples.clone()];
        let weights = &mut weights[stretch.start..stretch.end];
        match stretch.kind {
            StretchKind::Foreground => {}
            StretchKind::Background => {
                colors
                    .iter_mut()
                    .zip(&rgb[samples])
                    .for_each(|(sum, v)| *sum += u16::from(*v));
                weights.iter_mut().for_each(|sum| *sum += 255);
            }
            StretchKind::Mixed => {
                let pixels = rgb[samples]
                    .as_chunks::<3>()
                    .0
                    .iter()
                    .zip(&alpha[stretch.start..stretch.end]);
                for ((sum, weight), (c, a)) in colors
                    .as_chunks_mut::<3>()
                    .0
                    .iter_mut()
                    .zip(weights)
                    .zip(pixels)
                {
                    let w = super::guesses::certainty(255 - a);
                    *weight += u16::from(w);
                    for i in 0..3 {
                        sum[i] += (u16::from(c[i]) * u16::from(w) + 127) / 255;
                    }
                }
            }
        }
    }
}

/// `out[i] = sum over k of taps[|k|] from[i + (radius + k) step]`, in cells; both are flat.
#[simd]
fn convolve<S: Simd>(simd: S, from: &[f32], step: usize, taps: &[f32], out: &mut [f32]) {
    let radius = taps.len() - 1;
    let at = |i: usize| &from[i * step * 4..];
    for (out, v) in out.iter_mut().zip(at(radius)) {
        *out = v * taps[0];
    }
    for (k, tap) in taps.iter().enumerate().skip(1) {
        for ((out, a), b) in out.iter_mut().zip(at(radius - k)).zip(at(radius + k)) {
            *out += (a + b) * tap;
        }
    }
}

/// Divides colours by weights, with a little of `far` (colours of weight 1), and rounds to levels.
#[simd]
fn normalise<S: Simd>(simd: S, cells: &[Cell], far: &[Cell], levels: &mut Vec<[u16; 3]>) {
    levels.clear();
    levels.extend(cells.iter().zip(far).map(|(cell, far)| {
        let scale = (1 << FRACTION) as f32 / (cell[3] + FAR);
        std::array::from_fn(|i| {
            ((cell[i] + far[i] * FAR) * scale + 0.5).clamp(0.0, (255 << FRACTION) as f32) as u16
        })
    }));
}

/// Interpolates a row of cells to a row of samples, both in levels, in steps of 1/32.
#[simd]
fn widen<S: Simd>(simd: S, cells: &[[u16; 3]], cell: CellSize, out: &mut [u16]) {
    for (x, out) in out.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (left, right, along) = cell.around(x, cells.len());
        let left = cells[left];
        let right = cells[right];
        let along = steps(along);
        *out = std::array::from_fn(|i| (left[i] * (32 - along) + right[i] * along + 16) >> 5);
    }
}

/// `0..1` in 32nds, rounded down: cells of more than 16 pixels have finer steps.
fn steps(along: f32) -> u16 {
    (along * 32.0) as u16
}

/// `round(((32 - along) above + along below) / 32)` without the fraction.
#[simd]
fn interpolate<S: Simd>(simd: S, above: &[u16], below: &[u16], along: u16, out: &mut [u8]) {
    for ((out, a), b) in out.iter_mut().zip(above).zip(below) {
        *out = ((a * (32 - along) + b * along + 128) >> (5 + FRACTION)) as u8;
    }
}
