//! The places where a person may be: where something moved, or where the close look and the whole
//! look agreed at the beginning.
//!
//! A network that looks closely at a chair may see a person in it. Such a phantom appears without
//! any motion, which a person cannot do. So each block of cells remembers whether something has
//! moved there since it was empty; elsewhere the network is not believed. If the camera itself
//! moves, everything moves, and everything is believed.
use super::blobs::Blobs;
use super::blocks::{BLOCK, blocks_of};
use super::focus::PERSON_ABOVE;
use super::grid::Grid;
use super::window::around;
use fearless_simd::{Level, Simd, dispatch};
use fearless_simd_macros::simd;

/// A cell moves if the luma around it changes by this many levels more than the noise.
const MOVED: f32 = 1.5;
/// .. and, far from all believed people, by this many times the change of half of the picture.
const ALONE: f32 = 4.0;
/// A block below this confidence is empty.
const OCCUPIED: f32 = 0.3;
/// An empty block forgets motion after this time, in microseconds.
const FORGET_US: i64 = 1_000_000;
/// Both looks agree on a blob if they have this much of it in common (intersection over union).
const AGREE: f32 = 0.6;
/// If they disagree on a blob, its cells with this confidence in the whole look are believed.
const MAYBE: f32 = 0.25;
/// Motion far from all believed people must be seen in two frames, unless they are farther apart in
/// time than this: a video's new group of pictures changes a still scene for one frame.
const ONCE_US: i64 = 150_000;
/// The belief in a block where something moved once. It is not believed yet, and forgotten after
/// this share of [`FORGET_US`].
const ONCE: u8 = 50;
/// The belief in a block where something moved ..
const FULL: u8 = u8::MAX;
/// .. and where both looks agreed but nothing moved: a person who disappears without motion was a
/// phantom ..
const AGREED: u8 = ONCE + 30;
/// .. and where little moved beside a believed person.
const BESIDE: u8 = ONCE + 60;

/// The belief in each block of cells: up to [`ONCE`] it is not believed; [`FULL`] where something
/// moved; less, the longer it has been empty since.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    pub(super) blocks: Vec<u8>,
}

/// The change of a frame since the last one, in levels of luma.
pub(super) struct FrameMotion<'a> {
    /// The mean change around each cell.
    pub(super) cells: &'a [f32],
    /// The largest change that counts as noise.
    pub(super) noise: f32,
    /// The change of half of the picture.
    pub(super) typical: f32,
}

fn is_believed(block: &u8) -> bool {
    *block > ONCE
}

impl Evidence {
    /// The number of blocks of a grid.
    pub(super) fn len(grid: Grid) -> usize {
        let (across, down) = blocks_of(grid);
        across * down
    }

    /// Belief in everything.
    pub(super) fn everywhere(grid: Grid) -> Evidence {
        Evidence {
            blocks: vec![FULL; Evidence::len(grid)],
        }
    }

    /// The belief after a first look at the whole picture, `far`, and one at the people, `close`:
    /// where they agree.
    pub(super) fn first(grid: Grid, far: &[f32], close: &[f32]) -> Evidence {
        let (across, down) = blocks_of(grid);
        let mut evidence = Evidence {
            blocks: vec![0; across * down],
        };
        let found = Blobs::find(close, grid.width, |p| p > PERSON_ABOVE);
        for (i, blob) in found.blobs.iter().enumerate() {
            let mut both = 0;
            for (y, x0, x1) in found.stretches(i) {
                let far = &far[y * grid.width + x0..y * grid.width + x1];
                both += far.iter().filter(|&&p| p > PERSON_ABOVE).count();
            }
            let mut far_alone = 0;
            for cells in blob.bounds.rows(grid.width) {
                let cells = far[cells.clone()].iter().zip(&close[cells]);
                far_alone += cells
                    .filter(|&(&far, &close)| far > PERSON_ABOVE && close <= PERSON_ABOVE)
                    .count();
            }
            let agree = both as f32 >= AGREE * (blob.area + far_alone) as f32;
            for (y, x0, x1) in found.stretches(i) {
                for x in x0..x1 {
                    if agree || far[y * grid.width + x] > MAYBE {
                        evidence.blocks[y / BLOCK * across + x / BLOCK] = AGREED;
                    }
                }
            }
        }
        evidence
    }

    /// Notes where something moved, and which blocks of `map` are empty. Far from all believed
    /// people, the change must be much larger than is typical of this frame, and in two frames.
    pub(super) fn note(
        &mut self,
        level: Level,
        grid: Grid,
        motion: &FrameMotion<'_>,
        map: &[u16],
        passed_us: i64,
    ) {
        let occupied = (OCCUPIED * 65535.0) as u16;
        let passed = passed_us.clamp(0, FORGET_US);
        let less = (passed * i64::from(FULL) / FORGET_US).max(1) as u8;
        let moved = motion.noise + MOVED;
        let alone = moved.max(ALONE * motion.typical);
        let (across, down) = blocks_of(grid);
        let before = self.clone();
        let mut most = vec![0.0; grid.width];
        let mut highest = vec![0; grid.width];
        for y in 0..down {
            let rows = y * BLOCK * grid.width..((y + 1) * BLOCK).min(grid.height) * grid.width;
            let cells = &motion.cells[rows.clone()];
            dispatch!(level, s => columns(s, cells, &map[rows], &mut most, &mut highest));
            let blocks = &mut self.blocks[y * across..(y + 1) * across];
            let columns = most.chunks(BLOCK).zip(highest.chunks(BLOCK));
            for (x, (block, (most, highest))) in blocks.iter_mut().zip(columns).enumerate() {
                let most = most.iter().fold(0.0f32, |most, &m| most.max(m));
                let again = *block > 0 || passed > ONCE_US;
                if most > alone && again {
                    *block = FULL;
                } else if most > moved && before.near(grid, x, y, 1) {
                    *block = (*block).max(BESIDE);
                } else if most > alone {
                    *block = (*block).max(ONCE);
                } else if highest.iter().all(|&p| p < occupied) {
                    *block = block.saturating_sub(less);
                }
            }
        }
    }

    /// Whether a block is believed that is at most `reach` blocks away.
    fn near(&self, grid: Grid, x: usize, y: usize, reach: usize) -> bool {
        let (across, down) = blocks_of(grid);
        around(y, reach, down).any(|y| {
            let row = &self.blocks[y * across..(y + 1) * across];
            row[around(x, reach, across)].iter().any(is_believed)
        })
    }

    /// Removes whole blobs from `confidence` of which no part is believed. The others stay whole,
    /// so that the crop shows the network also things beside a person, which it then tells apart
    /// better.
    pub(super) fn gate_blobs(&self, grid: Grid, confidence: &mut [f32]) {
        if self.blocks.iter().all(is_believed) {
            return;
        }
        let (across, _) = blocks_of(grid);
        let found = Blobs::find(confidence, grid.width, |p| p > PERSON_ABOVE);
        for i in 0..found.blobs.len() {
            let believed = found.stretches(i).any(|(y, x0, x1)| {
                let row = &self.blocks[y / BLOCK * across..];
                row[x0 / BLOCK..=(x1 - 1) / BLOCK].iter().any(is_believed)
            });
            if !believed {
                for (y, x0, x1) in found.stretches(i) {
                    confidence[y * grid.width + x0..y * grid.width + x1].fill(0.0);
                }
            }
        }
    }

    /// Removes all cells from `confidence` that are not believed. Blocks beside a believed one are
    /// believed too, softly.
    pub(super) fn gate(&self, grid: Grid, confidence: &mut [f32]) {
        let (across, down) = blocks_of(grid);
        if self.blocks.iter().all(is_believed) {
            return;
        }
        for y in 0..down {
            for x in 0..across {
                if self.near(grid, x, y, 1) {
                    continue;
                }
                let share = if self.near(grid, x, y, 2) { 0.5 } else { 0.0 };
                let columns = x * BLOCK..((x + 1) * BLOCK).min(grid.width);
                for line in y * BLOCK..((y + 1) * BLOCK).min(grid.height) {
                    let row = &mut confidence[line * grid.width..][columns.clone()];
                    row.iter_mut().for_each(|p| *p *= share);
                }
            }
        }
    }
}

/// The largest motion and confidence of each column of some rows.
#[simd]
fn columns<S: Simd>(_simd: S, motion: &[f32], map: &[u16], most: &mut [f32], highest: &mut [u16]) {
    most.fill(0.0);
    highest.fill(0);
    let rows = motion.chunks_exact(most.len());
    for (motion, map) in rows.zip(map.chunks_exact(highest.len())) {
        for (most, &m) in most.iter_mut().zip(motion) {
            *most = most.max(m);
        }
        for (highest, &p) in highest.iter_mut().zip(map) {
            *highest = (*highest).max(p);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matte::grid::SMALL as GRID;
    use mattebox_net::SimdLevel;

    /// Confidence 1 in a box of cells.
    fn seen(xs: std::ops::Range<usize>, ys: std::ops::Range<usize>) -> Vec<f32> {
        let inside = |i: usize| xs.contains(&(i % 64)) && ys.contains(&(i / 64));
        (0..GRID.len())
            .map(|i| if inside(i) { 0.9 } else { 0.0 })
            .collect()
    }

    fn note(evidence: &mut Evidence, motion: &[f32], map: &[f32], passed_us: i64) {
        let level = SimdLevel::best().level().unwrap();
        let map: Vec<u16> = map.iter().map(|p| (p * 65535.0) as u16).collect();
        let motion = FrameMotion {
            cells: motion,
            noise: 1.0,
            typical: 0.5,
        };
        evidence.note(level, GRID, &motion, &map, passed_us);
    }

    fn gated(evidence: &Evidence, confidence: &[f32]) -> f32 {
        let mut confidence = confidence.to_vec();
        evidence.gate(GRID, &mut confidence);
        confidence.iter().sum()
    }

    #[test]
    fn a_phantom_appears_without_motion_and_a_person_moves() {
        let nothing = vec![0.0; GRID.len()];
        let chair = seen(40..56, 16..32);
        let mut evidence = Evidence::first(GRID, &nothing, &nothing);
        assert_eq!(gated(&evidence, &chair), 0.0);
        for _ in 0..50 {
            note(&mut evidence, &nothing, &nothing, 40_000);
            assert_eq!(gated(&evidence, &chair), 0.0);
        }
        let motion: Vec<f32> = chair.iter().map(|p| 20.0 * p).collect();
        note(&mut evidence, &motion, &nothing, 40_000);
        assert_eq!(
            gated(&evidence, &chair),
            0.0,
            "one frame may be a new group of pictures"
        );
        note(&mut evidence, &motion, &nothing, 40_000);
        assert_eq!(gated(&evidence, &chair), chair.iter().sum());
        // a person who then sits still stays
        for _ in 0..500 {
            note(&mut evidence, &nothing, &chair, 40_000);
        }
        assert_eq!(gated(&evidence, &chair), chair.iter().sum());
        // and is forgotten a second after they left
        note(&mut evidence, &nothing, &nothing, 700_000);
        assert!(gated(&evidence, &chair) > 0.0);
        note(&mut evidence, &nothing, &nothing, 200_000);
        assert_eq!(gated(&evidence, &chair), 0.0);
    }

    #[test]
    fn at_the_beginning_both_looks_must_agree() {
        let person = seen(8..56, 8..40);
        let nearly = seen(10..56, 8..40);
        let scrap = seen(8..12, 8..12);
        let agreed = Evidence::first(GRID, &nearly, &person);
        assert_eq!(gated(&agreed, &person), person.iter().sum());
        let doubted = Evidence::first(GRID, &scrap, &person);
        assert!(gated(&doubted, &person) < 0.5 * person.iter().sum::<f32>());
    }
}
