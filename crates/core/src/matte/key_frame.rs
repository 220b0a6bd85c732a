//! Carries the fine network's edges from a key frame to the frames after it.
//!
//! A network that takes fifty times as long as the general one can run on one frame in twenty-five.
//! Its difference from the general network's map is kept as a correction. In later frames, each
//! block of cells is searched in the key frame, and the correction there is added to the map, as
//! far as the block still looks the same. So the general network finds the people in every frame,
//! and a block that has changed is left to it alone.
use super::blocks::{BLOCK, blocks_of};
use super::focus::PERSON_ABOVE;
use super::grid::Grid;
use super::smooth::{MAP_ONE, quantise};

/// A key frame is due after this many frames ..
const EVERY: u16 = 25;
/// .. and after this many if less than this share of the correction is left, or the people's area
/// changed by more than this share.
const EARLIEST: u16 = 8;
const LEAST_KEPT: f32 = 0.5;
const OTHER_PEOPLE: f32 = 0.25;
/// The largest exposure relative to the key frame's.
pub(super) const MOST_GAIN: f32 = 256.0;
/// The value of a correction of 1.
const CORRECTION_ONE: f32 = 127.0;
/// A block is searched up to this many cells from its place in the key frame ..
pub(super) const FARTHEST: u8 = 48;
/// .. and in this many steps from its place, or that of a block beside it, a frame before.
const STEPS: usize = 4;
/// The comparison reaches this many cells beyond the block.
const BESIDE: usize = 2;
/// A block has changed if it differs by this many levels of luma more than the noise.
const CHANGED: f32 = 16.0;
/// A move of one cell must reduce the mean difference by this many levels.
const PER_CELL: f32 = 0.25;

/// The key frame of one camera: part of its state.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct KeyFrame {
    /// Frames since then.
    pub(super) frames: u16,
    /// Cells that showed people.
    pub(super) people: u32,
    /// The current exposure, relative to the key frame's.
    pub(super) gain: f32,
    /// The luma of each cell.
    pub(super) luma: Vec<u8>,
    /// The fine network's map minus the general one's, for each cell.
    pub(super) correction: Vec<i8>,
    /// The move of each block since then, in cells to the right and down.
    pub(super) moves: Vec<[i8; 2]>,
}

/// Carries corrections; keeps its buffers.
#[derive(Debug, Default)]
pub(super) struct CorrectionCarrier {
    /// The key frame's luma at the current exposure.
    luma: Vec<u8>,
    /// The sum of the correction in each block of the key frame.
    amounts: Vec<u32>,
}

/// A block: its column and row among the blocks.
type BlockPlace = (usize, usize);

/// The place in the key frame that looks most like a block.
#[derive(Debug, Clone, Copy)]
struct BlockMatch {
    /// The block's move since then.
    to: [i8; 2],
    /// The mean difference of luma, in levels.
    difference: f32,
    /// The difference plus the cost of the move.
    cost: f32,
}

impl KeyFrame {
    /// Notes a change of the exposure.
    pub(super) fn expose(&mut self, gain: f32) {
        self.gain = (self.gain * gain).clamp(0.0, MOST_GAIN);
    }

    /// Makes a frame the key frame: `luma` is its luma, `own` the general network's map, and `map`
    /// the fine one's.
    pub(super) fn renew(&mut self, grid: Grid, luma: &[u8], own: &[u16], map: &[u16]) {
        self.frames = 0;
        self.people = people(own);
        self.gain = 1.0;
        self.luma.clear();
        self.luma.extend_from_slice(luma);
        self.correction.clear();
        self.correction
            .extend(map.iter().zip(own).map(|(&fine, &own)| {
                let change = (f32::from(fine) - f32::from(own)) / MAP_ONE;
                (change * CORRECTION_ONE).round() as i8
            }));
        let (across, down) = blocks_of(grid);
        self.moves.clear();
        self.moves.resize(across * down, [0; 2]);
    }
}

/// The number of cells that show people.
fn people(map: &[u16]) -> u32 {
    let half = quantise(PERSON_ABOVE);
    map.iter().filter(|&&p| p > half).count() as u32
}

impl CorrectionCarrier {
    /// Corrects `map` by the key frame, less where the picture differs by more than `noise`.
    /// Returns whether another key frame is due.
    pub(super) fn carry(
        &mut self,
        grid: Grid,
        luma: &[u8],
        noise: f32,
        map: &mut [u16],
        key: &mut KeyFrame,
    ) -> bool {
        let (across, down) = blocks_of(grid);
        let people = people(map);
        self.expose(key);
        let all = self.add_up(grid, key);
        let mut kept = 0.0;
        for block in (0..down).flat_map(|y| (0..across).map(move |x| (x, y))) {
            let Some(found) = self.find(grid, luma, key, block) else {
                continue;
            };
            key.moves[block.1 * across + block.0] = found.to;
            let weight = (1.0 - (found.difference - noise).max(0.0) / CHANGED).max(0.0);
            kept += weight * add(grid, block, found.to, weight, &key.correction, map);
        }
        key.frames = key.frames.saturating_add(1);
        let others = people.abs_diff(key.people) as f32 > OTHER_PEOPLE * key.people as f32;
        let is_lost = kept < LEAST_KEPT * all as f32;
        key.frames >= EVERY || key.frames >= EARLIEST && (others || is_lost)
    }

    /// Brings the key frame's luma to the current exposure.
    fn expose(&mut self, key: &KeyFrame) {
        let exposed = |v: usize| (v as f32 * key.gain + 0.5).min(255.0) as u8;
        let exposed: [u8; 256] = std::array::from_fn(exposed);
        let luma = key.luma.iter().map(|&v| exposed[usize::from(v)]);
        self.luma.clear();
        self.luma.extend(luma);
    }

    /// Adds up the corrections of each block. Returns the sum of all.
    fn add_up(&mut self, grid: Grid, key: &KeyFrame) -> u32 {
        let (across, down) = blocks_of(grid);
        self.amounts.clear();
        self.amounts.resize(across * down, 0);
        for (y, row) in key.correction.chunks_exact(grid.width).enumerate() {
            let amounts = &mut self.amounts[y / BLOCK * across..];
            for (amount, cells) in amounts.iter_mut().zip(row.chunks(BLOCK)) {
                let cells = cells.iter().map(|c| u32::from(c.unsigned_abs()));
                *amount += cells.sum::<u32>();
            }
        }
        self.amounts.iter().sum()
    }

    /// Finds the move of a block since the key frame; `None` if no correction is in reach.
    fn find(
        &self,
        grid: Grid,
        luma: &[u8],
        key: &KeyFrame,
        block: BlockPlace,
    ) -> Option<BlockMatch> {
        let (across, down) = blocks_of(grid);
        let (x, y) = block;
        let before = key.moves[y * across + x];
        let left = x.checked_sub(1).map(|x| (x, y));
        let above = y.checked_sub(1).map(|y| (x, y));
        let right = (x + 1 < across).then_some((x + 1, y));
        let below = (y + 1 < down).then_some((x, y + 1));
        let beside = [Some(block), left, right, above, below];
        let moves = beside.map(|block| block.map_or(before, |(x, y)| key.moves[y * across + x]));
        if !moves.iter().any(|&to| self.has_correction(grid, block, to)) {
            return None;
        }
        let seen = |to: [i8; 2]| {
            let difference = self.difference(grid, luma, block, to);
            let far = to[0].abs_diff(before[0]) as u32 + to[1].abs_diff(before[1]) as u32;
            let cost = difference + PER_CELL * far as f32;
            BlockMatch {
                to,
                difference,
                cost,
            }
        };
        let nearer = |a: BlockMatch, b: BlockMatch| if b.cost < a.cost { b } else { a };
        let mut best = moves.into_iter().map(seen).reduce(nearer)?;
        for _ in 0..STEPS {
            let [x, y] = best.to;
            let around = [[x - 1, y], [x + 1, y], [x, y - 1], [x, y + 1]];
            let inside = |to: &[i8; 2]| to.iter().all(|v| v.unsigned_abs() <= FARTHEST);
            let around = around.into_iter().filter(inside).map(seen);
            let next = around.fold(best, nearer);
            if next.to == best.to {
                break;
            }
            best = next;
        }
        Some(best)
    }

    /// Whether the key frame has a correction at a block's former place.
    fn has_correction(&self, grid: Grid, (x, y): BlockPlace, to: [i8; 2]) -> bool {
        let (across, down) = blocks_of(grid);
        let at = |b: usize, to: i8, n: usize| {
            let from = (b * BLOCK) as isize - isize::from(to);
            let first = from.div_euclid(BLOCK as isize);
            let last = (from + BLOCK as isize - 1).div_euclid(BLOCK as isize);
            first.clamp(0, n as isize - 1) as usize..=last.clamp(0, n as isize - 1) as usize
        };
        let columns = at(x, to[0], across);
        at(y, to[1], down).any(|y| {
            let row = &self.amounts[y * across..(y + 1) * across];
            row[columns.clone()].iter().any(|&amount| amount > 0)
        })
    }

    /// The mean difference of luma around a block from its former place in the key frame.
    fn difference(&self, grid: Grid, luma: &[u8], (x, y): BlockPlace, to: [i8; 2]) -> f32 {
        let part = |b: usize, to: i8, n: usize| {
            let first = (b * BLOCK).saturating_sub(BESIDE) as isize;
            let end = ((b + 1) * BLOCK + BESIDE).min(n) as isize;
            let to = isize::from(to);
            // both must lie inside
            (first.max(to), end.min(n as isize + to))
        };
        let (x0, x1) = part(x, to[0], grid.width);
        let (y0, y1) = part(y, to[1], grid.height);
        if x0 >= x1 || y0 >= y1 {
            return f32::INFINITY;
        }
        let mut sum = 0;
        for y in y0..y1 {
            let now = y as usize * grid.width;
            let then = (y - isize::from(to[1])) as usize * grid.width;
            let now = &luma[now + x0 as usize..now + x1 as usize];
            let from = then as isize + x0 - isize::from(to[0]);
            let then = &self.luma[from as usize..][..now.len()];
            for (a, b) in now.iter().zip(then) {
                sum += u32::from(a.abs_diff(*b));
            }
        }
        sum as f32 / ((x1 - x0) * (y1 - y0)) as f32
    }
}

/// Adds a block's correction to the map, as far as it is believed. Returns the size of the
/// correction.
fn add(
    grid: Grid,
    (x, y): BlockPlace,
    to: [i8; 2],
    weight: f32,
    correction: &[i8],
    map: &mut [u16],
) -> f32 {
    let cells = |block: usize, n: usize| block * BLOCK..((block + 1) * BLOCK).min(n);
    // the former index of a row or a column, if it was in the picture
    let before = |now: usize, to: i8, n: usize| {
        let before = now.checked_add_signed(-isize::from(to));
        before.filter(|&before| before < n)
    };
    let mut amount = 0;
    for row in cells(y, grid.height) {
        let Some(row_before) = before(row, to[1], grid.height) else {
            continue;
        };
        for column in cells(x, grid.width) {
            let Some(column_before) = before(column, to[0], grid.width) else {
                continue;
            };
            let change = correction[row_before * grid.width + column_before];
            if change == 0 {
                continue;
            }
            amount += u32::from(change.unsigned_abs());
            let change = weight * f32::from(change) / CORRECTION_ONE;
            let cell = &mut map[row * grid.width + column];
            *cell = quantise((f32::from(*cell) / MAP_ONE + change).clamp(0.0, 1.0));
        }
    }
    amount as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matte::grid::SMALL as GRID;

    /// A picture without repeated parts, moved by `to` cells to the right.
    fn picture(to: usize) -> Vec<u8> {
        let cell =
            |x: f32, y: f32| 128.0 + 60.0 * (x / 4.0).sin() + 50.0 * (y / 6.0 + x / 23.0).sin();
        (0..GRID.len())
            .map(|i| {
                let x = (i % GRID.width) as f32 - to as f32;
                cell(x, (i / GRID.width) as f32) as u8
            })
            .collect()
    }

    /// A person in these columns.
    fn own(columns: std::ops::Range<usize>) -> Vec<u16> {
        (0..GRID.len())
            .map(|i| u16::MAX * u16::from(columns.contains(&(i % GRID.width))))
            .collect()
    }

    /// The fine network sees two columns more.
    fn key() -> KeyFrame {
        let mut key = KeyFrame::default();
        key.renew(GRID, &picture(0), &own(10..30), &own(10..32));
        key
    }

    #[test]
    fn a_correction_moves_with_its_block() {
        let (mut carrier, mut key) = (CorrectionCarrier::default(), key());
        for moved in 0..12 {
            let mut map = own(10 + moved..30 + moved);
            let due = carrier.carry(GRID, &picture(moved), 1.0, &mut map, &mut key);
            let wrong = map
                .iter()
                .zip(own(10 + moved..32 + moved))
                .filter(|(a, b)| *a != b);
            assert_eq!((wrong.count(), due), (0, false), "moved by {moved}");
        }
    }

    #[test]
    fn a_correction_survives_a_change_of_exposure() {
        let (mut carrier, mut key) = (CorrectionCarrier::default(), key());
        key.gain = 0.7;
        let darker: Vec<u8> = picture(0)
            .iter()
            .map(|&v| (f32::from(v) * 0.7) as u8)
            .collect();
        let mut map = own(10..30);
        carrier.carry(GRID, &darker, 1.0, &mut map, &mut key);
        assert_eq!(map, own(10..32));
    }

    #[test]
    fn changed_blocks_are_left_to_the_general_network_and_a_key_frame_is_due() {
        let (mut carrier, mut key) = (CorrectionCarrier::default(), key());
        let other = vec![255; GRID.len()];
        for frame in 1..=EARLIEST {
            let mut map = own(10..30);
            let due = carrier.carry(GRID, &other, 1.0, &mut map, &mut key);
            assert_eq!((map == own(10..30), due), (true, frame == EARLIEST));
        }
    }

    #[test]
    fn a_key_frame_is_due_in_time_and_when_people_enter() {
        let (mut carrier, mut key) = (CorrectionCarrier::default(), key());
        let same = picture(0);
        for frame in 1..=EVERY {
            let due = carrier.carry(GRID, &same, 1.0, &mut own(10..30), &mut key);
            assert_eq!(due, frame == EVERY);
        }
        key.frames = EARLIEST;
        assert!(carrier.carry(GRID, &same, 1.0, &mut own(10..50), &mut key));
    }
}
