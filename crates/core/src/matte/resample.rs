//! Separable resampling: from a part of a picture to the network's input, and from the network's
//! confidence to the grid.
use fearless_simd::{Level, Simd, dispatch, f32x4, prelude::*};
use fearless_simd_macros::simd;
use image::RgbImage;
use std::ops::Range;

/// From this reduction on, an output is the mean of the covered samples; below it, a blend of the
/// nearest two.
const AREA_FROM: f64 = 1.5;

/// The source samples of each output sample, along one axis.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Taps {
    /// Weights per output; unused ones are 0.
    per: usize,
    /// The first source sample of each output; `first + per` never leaves the source.
    first: Vec<u32>,
    /// `[outputs][per]`, the sum of each output's weights is 1.
    weights: Vec<f32>,
}

impl Taps {
    /// The number of outputs.
    pub(super) fn len(&self) -> usize {
        self.first.len()
    }

    /// Outputs with their centres at `centre + i * step` in source coordinates (sample `j` covers
    /// `j..j + 1`). Reads only the samples `from..to` (at least one). Reductions by more than
    /// [`AREA_FROM`] take the mean of an interval, others blend linearly.
    pub(super) fn new(outputs: usize, centre: f64, step: f64, from: usize, to: usize) -> Taps {
        let area = step > AREA_FROM;
        let per = if area { step.ceil() as usize + 1 } else { 2 }.min(to - from);
        let mut taps = Taps {
            per,
            first: Vec::with_capacity(outputs),
            weights: Vec::with_capacity(outputs * per),
        };
        let mut weights = vec![0.0; per];
        for i in 0..outputs {
            let at = centre + i as f64 * step;
            // the interval of a reduction, or of one sample: a linear blend is the mean over an
            // interval of one sample's length
            let half = if area { step / 2.0 } else { 0.5 };
            let low = (at - half).clamp(from as f64, to as f64);
            let high = (at + half).clamp(from as f64, to as f64);
            let first = (low as usize).min(to - per);
            let cover = |j: usize| {
                (high.min((first + j + 1) as f64) - low.max((first + j) as f64)).max(0.0)
            };
            let total: f64 = (0..per).map(cover).sum();
            for (j, weight) in weights.iter_mut().enumerate() {
                // an interval outside the source takes the nearest sample
                *weight = if total > 1e-9 {
                    cover(j) / total
                } else {
                    f64::from(u8::from(j == if low <= from as f64 { 0 } else { per - 1 }))
                };
            }
            taps.push(first, &weights);
        }
        taps
    }

    /// Resampling as in MediaPipe, from all `n` samples to `outputs`: sample `i` lies at `i n /
    /// outputs` (no half-pixel shift), rounded to 1/32 sample as in OpenCV's `warpPerspective`. The
    /// last sample is repeated beyond the end.
    pub(super) fn mediapipe(outputs: usize, n: usize) -> Taps {
        let per = n.min(2);
        let mut taps = Taps {
            per,
            first: Vec::with_capacity(outputs),
            weights: Vec::with_capacity(outputs * per),
        };
        for i in 0..outputs {
            let at = (i as f64 * n as f64 / outputs as f64 * 32.0).round_ties_even() as usize;
            let fraction = (at % 32) as f64 / 32.0;
            match (at / 32, per) {
                (_, 1) => taps.push(0, &[1.0]),
                (j, _) if j + 1 >= n => taps.push(n - 2, &[0.0, 1.0]),
                (j, _) => taps.push(j, &[1.0 - fraction, fraction]),
            }
        }
        taps
    }

    /// Corner to corner: the first and last of the `outputs` fall on the first and last of the `n`
    /// samples.
    pub(super) fn corners(outputs: usize, n: usize) -> Taps {
        let per = n.min(2);
        let mut taps = Taps {
            per,
            first: Vec::with_capacity(outputs),
            weights: Vec::with_capacity(outputs * per),
        };
        for i in 0..outputs {
            let at = i as f64 * (n - 1) as f64 / (outputs - 1).max(1) as f64;
            let first = (at as usize).min(n - per);
            let fraction = at - first as f64;
            taps.push(first, &[1.0 - fraction, fraction][..per]);
        }
        taps
    }

    fn push(&mut self, first: usize, weights: &[f64]) {
        self.first.push(first as u32);
        self.weights.extend(weights.iter().map(|&w| w as f32));
    }

    /// The first source sample of output `i`, and the weights from it on.
    pub(super) fn get(&self, i: usize) -> (usize, &[f32]) {
        (
            self.first[i] as usize,
            &self.weights[i * self.per..][..self.per],
        )
    }

    /// The end of the outputs that need only source samples before `end`. Outputs before `from` are
    /// known to.
    pub(super) fn ready(&self, from: usize, end: usize) -> usize {
        let later = self.first[from..].iter();
        from + later
            .take_while(|&&first| first as usize + self.per <= end)
            .count()
    }

    /// Resamples a row of numbers; `into` are some of the outputs.
    #[inline(always)]
    pub(super) fn row(&self, row: &[f32], outputs: Range<usize>, into: &mut [f32]) {
        match self.per {
            1 => self.row_of::<1>(row, outputs, into),
            2 => self.row_of::<2>(row, outputs, into),
            3 => self.row_of::<3>(row, outputs, into),
            per => {
                let weights = self.weights[outputs.start * per..].chunks_exact(per);
                for ((into, &first), weights) in
                    into.iter_mut().zip(&self.first[outputs]).zip(weights)
                {
                    *into = weights
                        .iter()
                        .zip(&row[first as usize..])
                        .map(|(w, v)| w * v)
                        .sum();
                }
            }
        }
    }

    #[inline(always)]
    fn row_of<const N: usize>(&self, row: &[f32], outputs: Range<usize>, into: &mut [f32]) {
        let weights = &self.weights.as_chunks::<N>().0[outputs.clone()];
        for ((into, &first), weights) in into.iter_mut().zip(&self.first[outputs]).zip(weights) {
            let source = &row[first as usize..first as usize + N];
            *into = (0..N).map(|j| weights[j] * source[j]).sum();
        }
    }

    /// The source samples that are read. Outputs are in ascending order of their first sample.
    fn span(&self) -> Range<usize> {
        match (self.first.first(), self.first.last()) {
            (Some(&low), Some(&high)) => low as usize..high as usize + self.per,
            _ => 0..0,
        }
    }
}

/// The rounding of a resampled picture's samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounding {
    /// None.
    None,
    /// To whole 1/255, half up, as if the picture were stored as bytes in between.
    Bytes,
}

/// Resamples with a row buffer that is kept between calls.
#[derive(Debug, Default)]
pub(super) struct Resampler {
    row: Vec<f32>,
}

impl Resampler {
    /// Resamples a picture. `into`: `[ys.len()][xs.len()][3]`, 0..=1.
    pub(super) fn picture(
        &mut self,
        level: Level,
        picture: &RgbImage,
        xs: &Taps,
        ys: &Taps,
        rounding: Rounding,
        into: &mut [f32],
    ) {
        self.picture_rows(level, picture, xs, (ys, 0..ys.len()), rounding, into);
    }

    /// Resamples some rows of `into`.
    pub(super) fn picture_rows(
        &mut self,
        level: Level,
        picture: &RgbImage,
        xs: &Taps,
        (ys, rows): (&Taps, Range<usize>),
        rounding: Rounding,
        into: &mut [f32],
    ) {
        let row = &mut self.row;
        dispatch!(level, s => picture_rows(s, picture, xs, ys, rows, rounding, row, into));
    }

    /// Resamples a plane. `plane` is `[..][width]`; `into` is `[ys.len()][stride]`, of which the
    /// first `xs.len()` of each row are written.
    pub(super) fn plane(
        &mut self,
        level: Level,
        plane: &[f32],
        width: usize,
        xs: &Taps,
        ys: &Taps,
        into: &mut [f32],
        stride: usize,
    ) {
        dispatch!(level, s => plane_rows(s, plane, width, xs, ys, &mut self.row, into, stride));
    }
}

#[simd]
fn picture_rows<S: Simd>(
    s: S,
    picture: &RgbImage,
    xs: &Taps,
    ys: &Taps,
    rows: Range<usize>,
    rounding: Rounding,
    row: &mut Vec<f32>,
    into: &mut [f32],
) {
    let span = xs.span();
    let stride = picture.width() as usize * 3;
    // one number more, because pixels are read as four numbers
    row.resize(span.len() * 3 + 1, 0.0);
    let bytes = picture.as_raw();
    let into = &mut into[rows.start * xs.len() * 3..];
    for (y, into) in rows.zip(into.chunks_exact_mut(xs.len() * 3)) {
        let (first, weights) = ys.get(y);
        let lines = &bytes[first * stride + span.start * 3..];
        blend_lines(lines, stride, weights, &mut row[..span.len() * 3]);
        match xs.per {
            1 => pixels::<S, 1>(s, row, span.start, xs, rounding, into),
            2 => pixels::<S, 2>(s, row, span.start, xs, rounding, into),
            3 => pixels::<S, 3>(s, row, span.start, xs, rounding, into),
            4 => pixels::<S, 4>(s, row, span.start, xs, rounding, into),
            5 => pixels::<S, 5>(s, row, span.start, xs, rounding, into),
            6 => pixels::<S, 6>(s, row, span.start, xs, rounding, into),
            7 => pixels::<S, 7>(s, row, span.start, xs, rounding, into),
            _ => pixels::<S, 0>(s, row, span.start, xs, rounding, into),
        }
    }
}

/// Resamples one row of pixels from `row`, which begins with source pixel `start`, with `N` taps
/// (any number if that is 0).
#[inline(always)]
fn pixels<S: Simd, const N: usize>(
    s: S,
    row: &[f32],
    start: usize,
    xs: &Taps,
    rounding: Rounding,
    into: &mut [f32],
) {
    let per = if N == 0 { xs.per } else { N };
    let last = xs.len() - 1;
    for (x, (&first, weights)) in xs
        .first
        .iter()
        .zip(xs.weights.chunks_exact(per))
        .enumerate()
    {
        let source = &row[(first as usize - start) * 3..][..per * 3 + 1];
        let mut sum = f32x4::splat(s, 0.0);
        for (j, &w) in weights.iter().enumerate() {
            sum += f32x4::from_slice(s, &source[j * 3..j * 3 + 4]) * w;
        }
        if rounding == Rounding::Bytes {
            sum = (sum + f32x4::splat(s, 0.5)).floor();
        }
        sum *= 1.0 / 255.0;
        if x < last {
            // the fourth number is overwritten by the next pixel
            sum.store_slice(&mut into[x * 3..x * 3 + 4]);
        } else {
            let mut tail = [0.0; 4];
            sum.store_slice(&mut tail);
            into[x * 3..].copy_from_slice(&tail[..3]);
        }
    }
}

/// Sets `row` to the weighted sum of the lines of bytes, which are `stride` apart.
#[inline(always)]
fn blend_lines(lines: &[u8], stride: usize, weights: &[f32], row: &mut [f32]) {
    match *weights {
        [a] => {
            for (r, &p) in row.iter_mut().zip(lines) {
                *r = a * f32::from(p);
            }
        }
        [a, b] => {
            for ((r, &p), &q) in row.iter_mut().zip(lines).zip(&lines[stride..]) {
                *r = a * f32::from(p) + b * f32::from(q);
            }
        }
        [a, b, c, ref rest @ ..] => {
            for (((r, &p), &q), &o) in row
                .iter_mut()
                .zip(lines)
                .zip(&lines[stride..])
                .zip(&lines[2 * stride..])
            {
                *r = a * f32::from(p) + b * f32::from(q) + c * f32::from(o);
            }
            let (pairs, last) = rest.as_chunks::<2>();
            for (j, &[a, b]) in pairs.iter().enumerate() {
                let lines = &lines[(3 + 2 * j) * stride..];
                for ((r, &p), &q) in row.iter_mut().zip(lines).zip(&lines[stride..]) {
                    *r = *r + a * f32::from(p) + b * f32::from(q);
                }
            }
            for &a in last {
                for (r, &p) in row.iter_mut().zip(&lines[(weights.len() - 1) * stride..]) {
                    *r += a * f32::from(p);
                }
            }
        }
        [] => row.fill(0.0),
    }
}

#[simd]
fn plane_rows<S: Simd>(
    _simd: S,
    plane: &[f32],
    width: usize,
    xs: &Taps,
    ys: &Taps,
    row: &mut Vec<f32>,
    into: &mut [f32],
    stride: usize,
) {
    row.resize(width, 0.0);
    for (y, into) in into.chunks_mut(stride).take(ys.len()).enumerate() {
        let (first, weights) = ys.get(y);
        row.fill(0.0);
        for (j, &w) in weights.iter().enumerate() {
            row.iter_mut()
                .zip(&plane[(first + j) * width..][..width])
                .for_each(|(r, &p)| *r += w * p);
        }
        xs.row(row, 0..xs.len(), &mut into[..xs.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mattebox_net::SimdLevel;

    #[test]
    fn weights_sum_to_one_and_stay_inside() {
        for (outputs, n) in [
            (256, 1),
            (256, 2),
            (256, 7),
            (256, 256),
            (256, 383),
            (256, 385),
            (256, 4000),
            (7, 3000),
            (1, 1),
            (1, 50),
        ] {
            let step = n as f64 / outputs as f64;
            for taps in [
                Taps::new(outputs, step / 2.0, step, 0, n),
                Taps::mediapipe(outputs, n),
                Taps::corners(outputs, n),
            ] {
                assert_eq!(taps.len(), outputs);
                assert!(taps.span().end <= n, "{outputs} from {n}");
                assert!(taps.first.is_sorted(), "{outputs} from {n}");
                for i in 0..outputs {
                    let sum: f32 = taps.get(i).1.iter().sum();
                    assert!(
                        (sum - 1.0).abs() < 1e-5 && taps.get(i).1.iter().all(|&w| w >= 0.0),
                        "{outputs} from {n}: {:?}",
                        taps.get(i)
                    );
                }
            }
        }
    }

    #[test]
    fn a_ramp_stays_a_ramp() {
        let picture = RgbImage::from_fn(200, 100, |x, y| image::Rgb([x as u8, y as u8, 100]));
        for level in SimdLevel::available() {
            for size in [50, 100, 170, 400] {
                let sx = 100.0 / size as f64;
                let sy = 50.0 / size as f64;
                let xs = Taps::new(size, 20.0 + sx / 2.0, sx, 20, 120);
                let ys = Taps::new(size, 10.0 + sy / 2.0, sy, 10, 60);
                let mut out = vec![0.0; size * size * 3];
                Resampler::default().picture(
                    level.level().unwrap(),
                    &picture,
                    &xs,
                    &ys,
                    Rounding::None,
                    &mut out,
                );
                for y in size / 4..size * 3 / 4 {
                    for x in size / 4..size * 3 / 4 {
                        let want = [
                            19.5 + (x as f64 + 0.5) * sx,
                            9.5 + (y as f64 + 0.5) * sy,
                            100.0,
                        ];
                        for c in 0..3 {
                            let found = f64::from(out[(y * size + x) * 3 + c]) * 255.0;
                            assert!(
                                (found - want[c]).abs() < 0.3,
                                "{level} {size}: {x},{y} {found} for {}",
                                want[c]
                            );
                        }
                    }
                }
            }
        }
    }
}
