//! Estimates the person's own colour at the edge of the matte.
//!
//! The colour of a mixed pixel is `I = a F + (1 - a) B`. `I` and `a` are known; `F` and `B` are
//! close to the colours of certain pixels nearby. So smooth guesses of both are made on a coarse
//! grid: `F'` from the nearest pixels with high alpha, and `B'` from the nearest with low alpha
//! (`pyramid`). Then `F'` is corrected by the residual at the pixel: `F = F' + k (I - a F' - (1 -
//! a) B')`.
//!
//! The idea is from "Approximate Fast Foreground Colour Estimation" (Forte, ICIP 2021), which blurs
//! with a wide and then a narrow box and has `k = a`. Here a pyramid replaces the two boxes,
//! certain pixels weigh more than mixed ones, and `k = a / (a^2 + (1 - a)^2)`, the smallest change
//! of both `F'` and `B'` that explains the pixel.
//!
//! A matte is not exact. Where alpha is one half and the pixel clearly has the room's colour, the
//! residual points from `F'` to `B'`, and would bring the room back. So the part of the residual
//! along `F' - B'` counts as an error of the matte and is left out. It is left out less, the nearer
//! `a` is to 1 (`d = 1 - a^8`), so that the estimate continues the untouched pixels. Where the
//! colours show room and alpha is one half, both colours would be wrong: the room's would leave a
//! ghost, the person's a veil. There the matte is wrong, and alpha falls to the value that the
//! colours give ([`DOUBT`]), if the guesses differ enough ([`APART`]).
use super::guesses::{Guesses, power};
use super::stretches::{RowStretch, StretchKind};
use crate::matte::Matte;
use fearless_simd::{Simd, f32x4, f32x16, prelude::*};
use fearless_simd_macros::simd;
use image::RgbImage;

/// Levels by which the two guesses must differ, so that an error of alpha is not confused with the
/// person's own pattern.
const CONTRAST: f32 = 20.0;

/// From this difference between alpha and the alpha of the colours on, alpha is doubted; from twice
/// this on, it is not believed.
const DOUBT: f32 = 0.05;
/// Squared distances between the guesses: above the first they are believed partly, above the
/// second fully.
const APART: [f32; 2] = [4900.0, 25600.0];

/// The person's colours in one frame. Its buffers are used again.
#[derive(Debug, Default)]
pub(super) struct Foreground {
    guesses: Guesses,
    /// The guesses of a stretch's cells, interpolated to its row: the person, then the room.
    columns: Vec<[[f32; 4]; 2]>,
}

/// 2^23: the sum with a whole number holds that number in the lowest bits, which takes less time
/// than a cast.
const WHOLE: f32 = 8_388_608.0;

/// The pixels of one kernel run.
const RUN: usize = 16;

/// Mixed pixels of a row, and the guesses for them.
struct Batch {
    /// How many there are.
    len: usize,
    /// Their places in the row.
    xs: [usize; RUN],
    /// Red, green, blue and an unused number, of the person and of the room.
    person: [[f32; 4]; RUN],
    room: [[f32; 4]; RUN],
}

/// For each alpha: `k`, and `d`, the share of the residual along `F' - B'` that counts as an error
/// of alpha.
static SHARES: [[f32; 2]; 256] = {
    let mut table = [[0.0; 2]; 256];
    let mut i = 0;
    while i < 256 {
        let a = i as f64 / 255.0;
        table[i] = [
            (a / (a * a + (1.0 - a) * (1.0 - a))) as f32,
            (1.0 - power(a, 8)) as f32,
        ];
        i += 1;
    }
    table
};

impl Foreground {
    /// Guesses both colours of `picture` near the mixed pixels of `matte`.
    #[inline(always)]
    pub(super) fn prepare<S: Simd>(&mut self, simd: S, picture: &RgbImage, matte: &Matte) {
        self.guesses.make(simd, picture, matte);
    }

    /// Estimates the mixed `stretches` of row `y`. Writes the person's colours, rounded to the
    /// nearest, to the same pixels of `person` (a row of RGB), and alpha, as far as the colours
    /// agree, to `sure`.
    #[simd]
    pub(super) fn row<S: Simd>(
        &mut self,
        simd: S,
        y: usize,
        stretches: &[RowStretch],
        picture: &[u8],
        alpha: &[u8],
        person: &mut [u8],
        sure: &mut [u8],
    ) {
        let Foreground { guesses, columns } = self;
        let cell = guesses.cell;
        let grids = [guesses.person.base(), guesses.room.base()];
        let width = grids[0].width;
        let height = grids[0].height;
        let (above, below, down) = cell.around(y, height);
        let mut batch = Batch {
            len: 0,
            xs: [0; RUN],
            person: [[0.0; 4]; RUN],
            room: [[0.0; 4]; RUN],
        };
        for stretch in stretches
            .iter()
            .filter(|stretch| stretch.kind == StretchKind::Mixed)
        {
            let (first, _, _) = cell.around(stretch.start, width);
            let (_, last, _) = cell.around(stretch.end - 1, width);
            columns.clear();
            for x in first..=last {
                let mut column = [[0.0; 4]; 2];
                for (half, grid) in column.iter_mut().zip(grids) {
                    let a = f32x4::from_slice(simd, &grid.cells[above * width + x]);
                    let b = f32x4::from_slice(simd, &grid.cells[below * width + x]);
                    (a + (b - a) * down).store_slice(half);
                }
                columns.push(column);
            }
            for x in stretch.start..stretch.end {
                let (left, right, along) = cell.around(x, width);
                let [left, right] = [left, right].map(|x| &columns[x - first]);
                let guess = |k: usize| {
                    let a = f32x4::from_slice(simd, &left[k]);
                    a + (f32x4::from_slice(simd, &right[k]) - a) * along
                };
                let i = batch.len;
                batch.xs[i] = x;
                guess(0).store_slice(&mut batch.person[i]);
                guess(1).store_slice(&mut batch.room[i]);
                batch.len += 1;
                if batch.len == RUN {
                    estimate(simd, &batch, alpha, picture, person, sure);
                    batch.len = 0;
                }
            }
        }
        if batch.len > 0 {
            estimate(simd, &batch, alpha, picture, person, sure);
        }
    }
}

/// Estimates the person's colours at the pixels of a batch, and the alpha that the colours agree
/// with.
#[simd]
fn estimate<S: Simd>(
    simd: S,
    batch: &Batch,
    alpha: &[u8],
    picture: &[u8],
    out: &mut [u8],
    sure: &mut [u8],
) {
    let picture = picture.as_chunks::<3>().0;
    let xs = &batch.xs[..batch.len];
    let mut seen = [[0.0f32; RUN]; 3];
    let mut shares = [[0.0f32; RUN]; 3];
    for (i, &x) in xs.iter().enumerate() {
        let c = picture[x];
        let a = alpha[x];
        let [k, doubt] = SHARES[usize::from(a)];
        (seen[0][i], seen[1][i], seen[2][i]) = (f32::from(c[0]), f32::from(c[1]), f32::from(c[2]));
        (shares[0][i], shares[1][i], shares[2][i]) = (f32::from(a) * (1.0 / 255.0), k, doubt);
    }
    let [f, b] = [&batch.person, &batch.room].map(|cells| {
        let mut planes = [[0.0f32; RUN]; 3];
        for (i, four) in cells.as_flattened().as_chunks::<16>().0.iter().enumerate() {
            let colours = simd.load_four_interleaved_f32x4(four);
            planes
                .iter_mut()
                .zip(colours)
                .for_each(|(plane, colour)| colour.store_slice(&mut plane[4 * i..4 * i + 4]));
        }
        planes.map(|plane| f32x16::from_slice(simd, &plane))
    });
    let [a, k, doubt] = shares.map(|v| f32x16::from_slice(simd, &v));
    let axis = [f[0] - b[0], f[1] - b[1], f[2] - b[2]];
    let residual = [0, 1, 2].map(|c| f32x16::from_slice(simd, &seen[c]) - b[c] - axis[c] * a);
    let dot = |a: [f32x16<S>; 3], b: [f32x16<S>; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let distance = dot(axis, axis);
    let error = dot(residual, axis) / (distance + CONTRAST * CONTRAST) * doubt;
    let zero = f32x16::splat(simd, 0.0);
    let one = f32x16::splat(simd, 1.0);
    let apart = (distance - APART[0]) * (1.0 / (APART[1] - APART[0]));
    let wrong = (-error - DOUBT) * (1.0 / DOUBT);
    let wrong = wrong.max(zero).min(one) * apart.max(zero).min(one);
    let less = ((a + error * wrong) * 255.0 + 0.5).max(zero).floor() + WHOLE;
    let mut alphas = [0.0f32; RUN];
    less.store_slice(&mut alphas);
    let mut person = [[0.0f32; RUN]; 3];
    for c in 0..3 {
        let v = f[c] + (residual[c] - axis[c] * error) * k + 0.5;
        let v = v.max(zero).min(f32x16::splat(simd, 255.0)).floor() + WHOLE;
        v.store_slice(&mut person[c]);
    }
    let out = out.as_chunks_mut::<3>().0;
    for (i, &x) in xs.iter().enumerate() {
        out[x] = [0, 1, 2].map(|c| person[c][i].to_bits() as u8);
        sure[x] = alphas[i].to_bits() as u8;
    }
}
