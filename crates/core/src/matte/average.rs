//! Averages colours over time where nothing moves, so that the camera's noise does not shake the
//! matte's edge.
//!
//! Two frames of a camera that stands still differ by the sensor's noise and by the exposure that
//! the camera sets. Both are measured on the blocks that change least. Cells that change more have
//! moved, and get the new colour at once, so that a moving edge stays sharp.
use super::blocks::BLOCK;
use super::grid::{Grid, Guide};
use super::window::rounded;
use fearless_simd::{Level, Simd, dispatch};
use fearless_simd_macros::simd;

/// The standard deviation of a normal distribution, as a multiple of its mean absolute deviation.
const DEVIATION: f32 = 1.2533;
/// The weight of a new measurement of the noise: of a lower one, and of a higher one, which a
/// moving camera may cause.
const NOISE_RATE: [f32; 2] = [0.3, 0.03];
/// No camera is noisier than this, in levels of a cell.
pub(super) const MOST_NOISE: f32 = 8.0;
/// A window of cells moves if its luma changes on average by more than this many times the noise,
/// and by more than this many levels.
const NOISE_FLOOR: f32 = 1.2;
const LEAST_FLOOR: f32 = 0.8;
/// The weight of a new colour where nothing moves.
const SLOWEST: f32 = 0.15;
/// A colour that differs by more than this many standard deviations of the noise, and this many
/// levels more, has moved ..
const MOVED: f32 = 2.5;
const MOVED_LEVELS: f32 = 2.0;
/// .. and one that differs by this many times as much replaces the average at once.
const AT_ONCE: f32 = 2.0;

/// The difference of a frame from the remembered colours, without moving parts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct FrameDifference {
    /// The camera's exposure, relative to the one before.
    pub(super) gain: f32,
    /// Mean absolute difference of luma where little moves, in levels.
    pub(super) difference: f32,
    /// The same for half of the picture: more than the noise if the camera moves, or the video
    /// begins a new group of pictures.
    pub(super) typical: f32,
}

/// Measures [`FrameDifference`]s, in blocks of [`BLOCK`] cells a side; keeps its buffers.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// For each block, the sums of both lumas, and of their differences.
    before: Vec<u32>,
    now: Vec<u32>,
    differences: Vec<u32>,
    ratios: Vec<f32>,
}

impl Meter {
    /// Compares two lumas on `grid`, and brings the one `before` to the exposure of the one `now`.
    pub(super) fn measure(
        &mut self,
        level: Level,
        grid: Grid,
        before: &mut [u8],
        now: &[u8],
    ) -> FrameDifference {
        dispatch!(level, s => block_sums(s, grid, before, &mut self.before));
        dispatch!(level, s => block_sums(s, grid, now, &mut self.now));
        // dark and burnt blocks do not show the exposure
        let area = (BLOCK * BLOCK) as u32;
        let tells = |sum: u32| (16 * area..235 * area).contains(&sum);
        self.ratios.clear();
        for (&before, &now) in self.before.iter().zip(&self.now) {
            if tells(before) && tells(now) {
                self.ratios.push(now as f32 / before as f32);
            }
        }
        let gain = quantile(&mut self.ratios, 2, f32::total_cmp);
        let gain = gain.map_or(1.0, |gain| gain.clamp(0.5, 2.0));
        dispatch!(level, s => expose(s, before, gain));
        dispatch!(level, s => block_differences(s, grid, before, now, &mut self.differences));
        let mut difference = |parts| {
            let difference = quantile(&mut self.differences, parts, u32::cmp);
            difference.unwrap_or(0) as f32 / area as f32
        };
        FrameDifference {
            gain,
            difference: difference(5),
            typical: difference(2),
        }
    }
}

/// The sums of all whole blocks of `luma`.
#[simd]
fn block_sums<S: Simd>(_simd: S, grid: Grid, luma: &[u8], sums: &mut Vec<u32>) {
    let across = grid.width / BLOCK;
    sums.clear();
    sums.resize(across * (grid.height / BLOCK), 0);
    for (y, row) in luma.chunks_exact(grid.width).enumerate() {
        let Some(sums) = sums.get_mut(y / BLOCK * across..(y / BLOCK + 1) * across) else {
            return;
        };
        for (sum, cells) in sums.iter_mut().zip(row.as_chunks::<BLOCK>().0) {
            for &cell in cells {
                *sum += u32::from(cell);
            }
        }
    }
}

/// The sums of the absolute differences of all whole blocks of two lumas.
#[simd]
fn block_differences<S: Simd>(
    _simd: S,
    grid: Grid,
    before: &[u8],
    now: &[u8],
    sums: &mut Vec<u32>,
) {
    let across = grid.width / BLOCK;
    sums.clear();
    sums.resize(across * (grid.height / BLOCK), 0);
    let rows = before.chunks_exact(grid.width);
    for (y, (before, now)) in rows.zip(now.chunks_exact(grid.width)).enumerate() {
        let Some(sums) = sums.get_mut(y / BLOCK * across..(y / BLOCK + 1) * across) else {
            return;
        };
        let cells = before.as_chunks::<BLOCK>().0;
        let cells = cells.iter().zip(now.as_chunks::<BLOCK>().0);
        for (sum, (before, now)) in sums.iter_mut().zip(cells) {
            for (&before, &now) in before.iter().zip(now) {
                *sum += u32::from(before.abs_diff(now));
            }
        }
    }
}

/// Multiplies a luma by the change of exposure.
#[simd]
fn expose<S: Simd>(_simd: S, luma: &mut [u8], gain: f32) {
    for v in luma {
        *v = rounded((f32::from(*v) * gain).min(255.0)) as u8;
    }
}

/// The quantile `1 / parts` of the numbers; `None` if there are none.
fn quantile<T: Copy>(
    values: &mut [T],
    parts: usize,
    order: impl Fn(&T, &T) -> std::cmp::Ordering,
) -> Option<T> {
    let at = values.len() / parts;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(at, order).1)
}

/// The noise of a cell's luma in levels, after a frame with this difference. `before` is `None` at
/// the first one.
pub(super) fn noise_after(before: Option<f32>, change: FrameDifference) -> f32 {
    let now = (DEVIATION * change.difference).min(MOST_NOISE);
    before.map_or(now, |before| {
        before + NOISE_RATE[usize::from(now > before)] * (now - before)
    })
}

/// The largest mean change of luma over a window of cells that counts as noise, in levels.
pub(super) fn noise_floor(noise: f32) -> f32 {
    (NOISE_FLOOR * noise).max(LEAST_FLOOR)
}

/// Moves `average` to the colours of `now`: at once where something moves, elsewhere slowly.
pub(super) fn follow(
    level: Level,
    average: &mut Guide,
    now: &Guide,
    motion: &[f32],
    gain: f32,
    noise: f32,
) {
    let [r, g, b] = &mut average.planes;
    let planes = [r.as_mut_slice(), g, b];
    dispatch!(level, s => blend(s, planes, now, motion, gain, noise));
}

#[simd]
fn blend<S: Simd>(
    _simd: S,
    average: [&mut [u8]; 3],
    now: &Guide,
    motion: &[f32],
    gain: f32,
    noise: f32,
) {
    let floor = noise_floor(noise);
    let steep = 1.0 / (floor + 1.0);
    let least = MOVED * noise + MOVED_LEVELS;
    let scale = 1.0 / ((AT_ONCE - 1.0) * least);
    let [r, g, b] = average;
    let [r_now, g_now, b_now] = &now.planes;
    let cells = r.iter_mut().zip(g).zip(b);
    let cells = cells.zip(r_now).zip(g_now).zip(b_now).zip(motion);
    for ((((((r, g), b), &r_now), &g_now), &b_now), &motion) in cells {
        // repeated, because a closure would not be compiled for the vector instructions
        let (r_was, g_was, b_was) = (
            f32::from(*r) * gain,
            f32::from(*g) * gain,
            f32::from(*b) * gain,
        );
        let r_change = f32::from(r_now) - r_was;
        let g_change = f32::from(g_now) - g_was;
        let b_change = f32::from(b_now) - b_was;
        let largest = r_change.abs().max(g_change.abs()).max(b_change.abs());
        let moves = ((motion - floor) * steep).clamp(0.0, 1.0);
        let moved = ((largest - least) * scale).clamp(0.0, 1.0).max(moves);
        let rate = SLOWEST + (1.0 - SLOWEST) * moved;
        *r = rounded((r_was + rate * r_change).min(255.0)) as u8;
        *g = rounded((g_was + rate * g_change).min(255.0)) as u8;
        *b = rounded((b_was + rate * b_change).min(255.0)) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matte::grid::SMALL as GRID;
    use mattebox_net::SimdLevel;

    /// A pseudorandom number between -1 and 1.
    fn random(i: usize) -> f32 {
        let v = (i as u32).wrapping_mul(0x9e37_79b1);
        let v = (v ^ (v >> 15)).wrapping_mul(0x2c1b_3c6d);
        (v >> 8) as f32 / 8_388_608.0 - 1.0
    }

    fn scene(frame: usize, gain: f32, noise: f32) -> Vec<u8> {
        (0..GRID.len())
            .map(|i| {
                let plain = 60.0 + (i % 64) as f32;
                (gain * plain + noise * random(i * 31 + frame * 7919) + 0.5) as u8
            })
            .collect()
    }

    #[test]
    fn exposure_and_noise_are_measured_without_moving_parts() {
        let level = SimdLevel::best().level().unwrap();
        let mut before = scene(0, 1.0, 0.0);
        let mut now = scene(1, 1.2, 4.0);
        for y in 0..20 {
            now[y * 64..y * 64 + 32].fill(250);
        }
        let change = Meter::default().measure(level, GRID, &mut before, &now);
        assert!((change.gain - 1.2).abs() < 0.02, "{change:?}");
        // the mean absolute value of uniform noise is half of its reach
        assert!((1.5..2.5).contains(&change.difference), "{change:?}");
    }

    #[test]
    fn noise_is_averaged_away_and_a_moving_edge_is_followed_at_once() {
        let level = SimdLevel::best().level().unwrap();
        let guide = |luma: &[u8]| Guide {
            planes: [luma.to_vec(), luma.to_vec(), luma.to_vec()],
        };
        let still = vec![0.0; GRID.len()];
        let mut average = guide(&scene(0, 1.0, 0.0));
        let wanted = average.clone();
        for frame in 1..30 {
            let now = guide(&scene(frame, 1.0, 4.0));
            follow(level, &mut average, &now, &still, 1.0, 2.5);
        }
        let worst = |a: &Guide, b: &Guide| {
            let cells = a.planes[1].iter().zip(&b.planes[1]);
            cells.map(|(a, b)| a.abs_diff(*b)).max()
        };
        assert!(worst(&average, &wanted) <= Some(3));
        let moved = guide(&scene(0, 1.6, 0.0));
        follow(level, &mut average, &moved, &still, 1.0, 2.5);
        assert_eq!(worst(&average, &moved), Some(0));
    }
}
