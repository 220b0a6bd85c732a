//! Motion-aware smoothing over time: averages the network's noise where the picture stands still,
//! and follows the network at once where it moves.
use super::grid::Grid;
use super::window::{WindowSums, mirrored, rounded};
use fearless_simd::{Level, Simd, dispatch};
use fearless_simd_macros::simd;

/// The radius of the window in which motion is measured, in a picture 640 pixels long.
const MOTION_RADIUS_OF_640: f32 = 3.5;
/// The mean change of luma that counts as noise for any camera, in levels.
const STILL: f32 = 5.1;
/// The mean change of luma, beyond the noise, that counts as full motion, in levels.
const FULL_MOTION: f32 = 25.0;
/// The weight of a new value where nothing moves.
const SLOWEST: f32 = 0.2;
/// A confidence that differs from the smoothed one by more than this is followed faster; one that
/// differs by 1, at once.
const JUMP: f32 = 0.4;
/// The value of 1 in the map.
pub(super) const MAP_ONE: f32 = 65535.0;

/// Measures motion; keeps its buffers between frames.
#[derive(Debug, Default)]
pub(super) struct Motion {
    /// The mean change of luma around each cell in levels, `[height][width]`.
    pub(super) cells: Vec<f32>,
    columns: Vec<f32>,
    across: WindowSums,
}

impl Motion {
    /// Whether no cell changed by more than any camera's noise.
    pub(super) fn is_still(&self) -> bool {
        self.cells.iter().all(|&m| m <= STILL)
    }

    /// Compares two lumas on `grid`.
    pub(super) fn measure(&mut self, level: Level, grid: Grid, before: &[u8], now: &[u8]) {
        self.cells.resize(grid.len(), 0.0);
        self.columns.resize(grid.width, 0.0);
        if grid.len() > 0 {
            let radius = grid.cells_of_640(MOTION_RADIUS_OF_640);
            dispatch!(level, s => measure(s, self, grid, radius, before, now));
        }
    }
}

#[simd]
fn measure<S: Simd>(
    _simd: S,
    motion: &mut Motion,
    grid: Grid,
    radius: usize,
    before: &[u8],
    now: &[u8],
) {
    let Motion {
        cells,
        columns,
        across,
    } = motion;
    columns.fill(0.0);
    let r = radius as isize;
    for y in -r..r {
        add_changes(columns, before, now, mirrored(y, grid.height), 1.0);
    }
    let area = (2 * radius + 1) * (2 * radius + 1);
    let scale = 1.0 / area as f32;
    for (y, row) in cells.chunks_exact_mut(grid.width).enumerate() {
        add_changes(
            columns,
            before,
            now,
            mirrored(y as isize + r, grid.height),
            1.0,
        );
        across.sums(columns, radius, row);
        row.iter_mut().for_each(|v| *v *= scale);
        add_changes(
            columns,
            before,
            now,
            mirrored(y as isize - r, grid.height),
            -1.0,
        );
    }
}

/// Adds the changes of row `y`, times `sign`, to the columns' sums.
#[inline(always)]
fn add_changes(columns: &mut [f32], before: &[u8], now: &[u8], y: usize, sign: f32) {
    let row = y * columns.len()..(y + 1) * columns.len();
    for ((sum, &a), &b) in columns.iter_mut().zip(&before[row.clone()]).zip(&now[row]) {
        *sum += sign * f32::from(a.abs_diff(b));
    }
}

/// Writes the smoothed map: `before` moved towards the `raw` confidence, faster where the `motion`
/// exceeds the `noise` (in levels). Rounded to 1/65535.
pub(super) fn smooth(
    level: Level,
    raw: &[f32],
    motion: &[f32],
    noise: f32,
    before: &[u16],
    map: &mut Vec<u16>,
) {
    map.resize(raw.len(), 0);
    dispatch!(level, s => blend(s, raw, motion, noise, before, map));
}

#[simd]
fn blend<S: Simd>(
    _simd: S,
    raw: &[f32],
    motion: &[f32],
    noise: f32,
    before: &[u16],
    map: &mut [u16],
) {
    for (((map, &p), &m), &b) in map.iter_mut().zip(raw).zip(motion).zip(before) {
        let b = f32::from(b) * (1.0 / MAP_ONE);
        let jump = ((p - b).abs() - JUMP) * (1.0 / (1.0 - JUMP));
        let m = ((m - noise) * (1.0 / FULL_MOTION)).clamp(0.0, 1.0);
        let rate = (SLOWEST + (1.0 - SLOWEST) * m).max(jump);
        *map = quantise(b + rate * (p - b));
    }
}

/// A confidence in 16 bits, of which 12 are used: so the network's noise takes less room in a
/// state.
#[inline(always)]
pub(super) fn quantise(p: f32) -> u16 {
    let v = rounded(p * 4095.0);
    v << 4 | v >> 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use mattebox_net::SimdLevel;

    #[test]
    fn noise_is_averaged_and_motion_is_followed() {
        let level = SimdLevel::best().level().unwrap();
        let before = [0.5, 0.5, 0.2].map(quantise);
        let mut map = Vec::new();
        smooth(
            level,
            &[0.6, 0.6, 1.0],
            &[0.0, 40.0, 0.0],
            2.0,
            &before,
            &mut map,
        );
        let found = map.map_to_unit();
        assert!(
            (found[0] - 0.52).abs() < 3e-4,
            "a still cell takes a fifth of the step: {found:?}"
        );
        assert!(
            (found[1] - 0.6).abs() < 3e-4,
            "a moving cell takes all of it: {found:?}"
        );
        assert!(found[2] > 0.7, "a jump is followed faster: {found:?}");
    }

    #[test]
    fn motion_is_where_the_picture_changed() {
        let grid = Grid::of(64, 36);
        let before = vec![100; grid.len()];
        let mut now = before.clone();
        for y in 10..20 {
            now[y * grid.width + 10..][..10].fill(180);
        }
        for level in SimdLevel::available() {
            let mut motion = Motion::default();
            motion.measure(level.level().unwrap(), grid, &before, &now);
            assert_eq!(motion.cells[15 * grid.width + 15], 80.0, "{level}");
            assert_eq!(motion.cells[30 * grid.width + 40], 0.0, "{level}");
        }
    }

    trait MapToUnit {
        fn map_to_unit(&self) -> Vec<f32>;
    }

    impl MapToUnit for Vec<u16> {
        fn map_to_unit(&self) -> Vec<f32> {
            self.iter().map(|&v| f32::from(v) / MAP_ONE).collect()
        }
    }
}
