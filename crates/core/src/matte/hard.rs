//! MediaPipe's category mask: the pixels whose confidence, up-sampled corner to corner, is above
//! one half.
//!
//! Between four neighbours below one half all pixels are below it, and between four above it all
//! are above. Only the rest is up-sampled.
use super::full::{AlphaRunKind, Matte};
use super::resample::Taps;
use fearless_simd::{Level, Simd, dispatch};
use fearless_simd_macros::simd;
use std::ops::Range;

/// Confidence above which a pixel is a person.
const PERSON_ABOVE: f32 = 0.5;
/// Confidences nearer to it than this are always up-sampled, because rounding could decide.
const NEAR: f32 = 0.01;
/// The mark of up-sampled places; others are marked with their alpha.
const OPEN: u8 = 128;

/// Makes masks; keeps its buffers and tables between pictures.
#[derive(Debug, Default)]
pub(super) struct HardMask {
    tables: Tables,
    /// The mark between each column of the confidence and the next, in one pair of its rows.
    marks: Vec<u8>,
    /// The marks as runs of pixels.
    runs: Vec<(Range<usize>, u8)>,
    /// The pair of rows, spread to the picture's width where they are open.
    wide: [Vec<f32>; 2],
}

/// Tables for up-sampling from one size to another.
#[derive(Debug, Default)]
struct Tables {
    /// The confidence's width and height, and the picture's.
    sizes: [usize; 4],
    xs: Taps,
    ys: Taps,
    /// The first pixel behind each column of the confidence, and the end of the last.
    columns: Vec<usize>,
}

impl Tables {
    fn new(sizes: [usize; 4]) -> Self {
        let [width, height, w, h] = sizes;
        let xs = Taps::corners(w, width);
        let ys = Taps::corners(h, height);
        let mut columns = vec![0];
        for column in 1..width {
            let begins = columns[column - 1];
            columns.push(begins + (begins..w).take_while(|&x| xs.get(x).0 < column).count());
        }
        columns.push(w);
        Tables {
            sizes,
            xs,
            ys,
            columns,
        }
    }
}

impl HardMask {
    /// Writes 255 where the up-sampled `confidence` (`[height][width]`) is above one half, else 0.
    /// The matte is not empty.
    pub(super) fn mask(
        &mut self,
        level: Level,
        confidence: &[f32],
        width: usize,
        height: usize,
        matte: &mut Matte,
    ) {
        let sizes = [
            width,
            height,
            matte.alpha.width() as usize,
            matte.alpha.height() as usize,
        ];
        if self.tables.sizes != sizes {
            self.tables = Tables::new(sizes);
        }
        self.marks.resize(width, OPEN);
        self.wide
            .iter_mut()
            .for_each(|row| row.resize(sizes[2], 0.0));
        dispatch!(level, s => mask(s, self, confidence, matte));
    }

    /// Cuts a pair of rows into runs, and spreads the open ones.
    #[inline(always)]
    fn take<S: Simd>(&mut self, simd: S, rows: [&[f32]; 2]) {
        mark(simd, rows, &mut self.marks);
        self.runs.clear();
        let mut at = 0;
        while let Some(&kind) = self.marks.get(at) {
            let end = at + length(&self.marks[at..], kind);
            let pixels = self.tables.columns[at]..self.tables.columns[end];
            if kind == OPEN {
                for (wide, row) in self.wide.iter_mut().zip(rows) {
                    self.tables
                        .xs
                        .row(row, pixels.clone(), &mut wide[pixels.clone()]);
                }
            }
            self.runs.push((pixels, kind));
            at = end;
        }
    }
}

#[simd]
fn mask<S: Simd>(simd: S, hard: &mut HardMask, confidence: &[f32], matte: &mut Matte) {
    let Matte { alpha, outline } = matte;
    let [width, _, w, _] = hard.tables.sizes;
    let mut taken = None;
    for (y, out) in alpha.chunks_exact_mut(w).enumerate() {
        let (first, weights) = hard.tables.ys.get(y);
        let last = first + weights.len() - 1;
        let weights = [weights[0], weights.get(1).copied().unwrap_or(0.0)];
        if taken != Some(first) {
            taken = Some(first);
            hard.take(
                simd,
                [first, last].map(|y| &confidence[y * width..(y + 1) * width]),
            );
        }
        for (pixels, kind) in &hard.runs {
            if *kind == OPEN {
                let rows = [0, 1].map(|i| &hard.wide[i][pixels.clone()]);
                threshold(simd, rows, weights, &mut out[pixels.clone()]);
                outline.push(AlphaRunKind::Open, pixels.end);
            } else {
                out[pixels.clone()].fill(*kind);
                outline.push_plain(*kind, pixels.end);
            }
        }
        outline.end_row();
    }
}

/// Marks the pixels between each column and the next.
#[simd]
fn mark<S: Simd>(_simd: S, [top, bottom]: [&[f32]; 2], marks: &mut [u8]) {
    let n = marks.len();
    let next = |row: &[f32]| -> usize { 1.min(row.len() - 1) };
    let left = top.iter().zip(bottom);
    let right = top[next(top)..].iter().zip(&bottom[next(bottom)..]);
    for ((mark, (a, b)), (c, d)) in marks.iter_mut().zip(left).zip(right) {
        let low = a.min(*b).min(c.min(*d));
        let high = a.max(*b).max(c.max(*d));
        let person = if low > PERSON_ABOVE + NEAR { 255 } else { OPEN };
        *mark = if high < PERSON_ABOVE - NEAR {
            0
        } else {
            person
        };
    }
    // only the last pixel begins behind the last column
    if n > 1 {
        marks[n - 1] = marks[n - 2];
    }
}

/// The number of marks at the front that are `kind`.
fn length(marks: &[u8], kind: u8) -> usize {
    let whole = marks
        .as_chunks::<16>()
        .0
        .iter()
        .take_while(|chunk| **chunk == [kind; 16])
        .count()
        * 16;
    whole
        + marks[whole..]
            .iter()
            .take_while(|mark| **mark == kind)
            .count()
}

#[simd]
fn threshold<S: Simd>(_simd: S, [top, bottom]: [&[f32]; 2], [a, b]: [f32; 2], out: &mut [u8]) {
    for ((out, top), bottom) in out.iter_mut().zip(top).zip(bottom) {
        *out = if a * top + b * bottom > PERSON_ABOVE {
            255
        } else {
            0
        };
    }
}
