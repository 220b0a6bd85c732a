//! The focus of the network: closely on the known people, and now and then on the whole picture, to
//! find others.
use super::blobs::{Blobs, Rect};
use super::grid::Grid;
use crate::frame::Timestamp;

/// The most small regions that are remembered.
pub(super) const MAX_SMALL_REGIONS: usize = 4;

/// Confidence above which a cell counts as a person.
pub(super) const PERSON_ABOVE: f32 = 0.5;
/// Confidence in a look at the whole picture above which a cell may belong to a person who is too
/// small for it: a quarter, after the smooth step.
const MAYBE_ABOVE: f32 = 0.156;
/// Room around the people on each side, as a share of their box's size.
const MARGIN: f32 = 0.15;
/// .. around small regions, which are known less well.
const SMALL_REGION_MARGIN: f32 = 0.25;
/// .. and at least this share of the picture's long side, so that a small person who walks stays
/// inside.
const LEAST_MARGIN: f32 = 0.04;
/// A crop is kept while the people in it have at least this part of the margin, so that the
/// network's view does not tremble.
const MARGIN_KEPT: f32 = 0.5;
/// .. and while it is at most this many times as large as the people need.
const LOOSEST: f32 = 1.3;
/// Parts smaller than this share of the largest do not count: clutter that looks like a person
/// would keep the crop wide. Small regions are exempt.
const KEEP: f32 = 0.2;
/// Parts smaller than this share of the picture are no people.
const SMALLEST: f32 = 0.002;
/// A newcomer has at least this share of the picture.
const SMALLEST_NEWCOMER: f32 = 0.001;
/// A candidate is confirmed if a close look gives their cells this confidence on average.
const SURE: f32 = 0.85;
/// A person is small in the crop if a close look would show less than this share of the crop's long
/// side.
const SMALL: f32 = 0.5;
/// .. and several people who touch get a close look if it would show less than this share.
const SMALLER: f32 = 0.9;
/// The least number of small people in a group. Fewer are often one person, and things that look
/// like parts of others.
const GROUP: usize = 3;
/// The longest time between looks at the whole picture, in microseconds: a person who enters is
/// found within half a second.
const LOOK_EVERY_US: i64 = 400_000;
/// .. and where something moves outside the crop, or it shows no people.
const LOOK_AGAIN_US: i64 = 160_000;
/// .. and where so little moves outside that a person enters, and the camera does not move.
const LOOK_AT_ONCE_US: i64 = 80_000;
/// If a larger share of the picture moves, it is the camera that moves.
const CAMERA_MOVES: f32 = 0.25;
/// A look is due after this many frames even if the time stands still.
const LOOK_EVERY_FRAMES: u16 = 60;
/// A cell moves if the luma around it changes by this many levels on average.
pub(super) const MOVES: f32 = 15.3;
/// This share of the picture must move outside the crop to make a look due.
const MOVING: f32 = 0.002;
/// How long the crop waits for people who are no longer seen, in microseconds.
const WAIT_US: i64 = 500_000;
/// A strip outside the crop that is narrower than this share of the picture needs no look.
const STRIP: f32 = 0.04;

/// The region of a person who is so much smaller than the largest that only a close look confirms
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SmallRegion {
    /// The last box around them, in cells.
    pub(super) bounds: Rect,
    /// When they were seen last, in unix microseconds.
    pub(super) seen: i64,
}

/// The crop of the next frame, and the search for newcomers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Focus {
    /// The part of the picture that the network sees, in pixels.
    pub(super) crop: Rect,
    /// The time of the last look at the whole picture, in unix microseconds.
    pub(super) looked: i64,
    /// The number of frames since then.
    pub(super) frames_since_look: u16,
    /// When people (other than small regions) were in the crop last, in unix microseconds.
    pub(super) peopled: i64,
    /// Counts frames with a group, so that each person gets a close look in turn.
    pub(super) round: u8,
    /// Counts candidates that a close look did not confirm, so that another one is next.
    pub(super) turn: u8,
    /// The known small people.
    pub(super) small_regions: Vec<SmallRegion>,
}

/// The parts of a raw map that are people.
pub(super) struct PeopleInMap {
    /// The box around them, in cells; `None` if there are none. Small regions do not count.
    pub(super) bounds: Option<Rect>,
    found: Blobs,
    /// The blobs that are people or small regions.
    known: Vec<usize>,
}

impl PeopleInMap {
    /// The cells of the people and small regions, `[height][width]`.
    pub(super) fn cells(&self, grid: Grid) -> Vec<bool> {
        let mut known = vec![false; grid.len()];
        for (y, x0, x1) in self
            .known
            .iter()
            .flat_map(|&blob| self.found.stretches(blob))
        {
            known[y * grid.width + x0..y * grid.width + x1].fill(true);
        }
        known
    }
}

/// The unknown parts of a look at the whole picture.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Newcomers {
    /// Boxes (in cells) around parts that are connected to a known person: the rest of a person who
    /// is half inside the crop.
    pub(super) parts: Vec<Rect>,
    /// Boxes around separate parts, which need a close look, the largest first.
    pub(super) candidates: Vec<Rect>,
}

impl Focus {
    /// A focus on the whole picture.
    pub(super) fn whole(size: (u32, u32), time: Timestamp) -> Focus {
        let crop = Rect::whole(size.0, size.1);
        Focus {
            crop,
            looked: time.0,
            frames_since_look: 0,
            peopled: time.0,
            round: 0,
            turn: 0,
            small_regions: Vec::new(),
        }
    }

    /// Whether the crop shows so much that a look at the whole picture is not needed.
    pub(super) fn sees_everything(&self, size: (u32, u32)) -> bool {
        let strip = |n: u32| (STRIP * n as f32) as u32;
        let Rect { x0, y0, x1, y1 } = self.crop;
        x0 <= strip(size.0)
            && y0 <= strip(size.1)
            && size.0 - x1 <= strip(size.0)
            && size.1 - y1 <= strip(size.1)
    }

    /// Whether a look for newcomers is due. `outside` is the share of the picture that moves
    /// outside the crop; `peopled` is whether people are inside it.
    pub(super) fn wants_look(&self, time: Timestamp, outside: f32, peopled: bool) -> bool {
        let passed = time.0.saturating_sub(self.looked);
        let due = match outside {
            share if share > CAMERA_MOVES => LOOK_AGAIN_US,
            share if share > MOVING => LOOK_AT_ONCE_US,
            _ if !peopled => LOOK_AGAIN_US,
            _ => LOOK_EVERY_US,
        };
        // the clock goes backwards if a stream has begun again
        passed < 0 || passed >= due || self.frames_since_look >= LOOK_EVERY_FRAMES
    }

    /// The share of the picture that moves and lies neither in the crop nor near a small region; 0
    /// if too little moves at all.
    pub(super) fn moves_outside(&self, grid: Grid, size: (u32, u32), motion: &[f32]) -> f32 {
        let enough = MOVING * grid.len() as f32;
        let moves = |cells: &[f32]| cells.iter().map(|m| u32::from(*m > MOVES)).sum::<u32>();
        if moves(motion) as f32 <= enough {
            return 0.0;
        }
        let crop = self.crop.in_cells(grid.cell);
        let small_regions = self
            .small_region_crop(grid, size)
            .map(|crop| crop.in_cells(grid.cell));
        let mut moving = 0;
        for (y, row) in (0..)
            .zip(motion.chunks_exact(grid.width.max(1)))
            .filter(|(_, row)| moves(row) > 0)
        {
            for (x, _) in (0..).zip(row).filter(|(_, m)| **m > MOVES) {
                let cell = Rect {
                    x0: x,
                    y0: y,
                    x1: x + 1,
                    y1: y + 1,
                };
                moving += usize::from(
                    !crop.contains(&cell)
                        && !small_regions
                            .is_some_and(|small_regions| small_regions.contains(&cell)),
                );
            }
        }
        moving as f32 / grid.len() as f32
    }

    /// Finds the people in the raw map. Updates the small regions, and forgets those that are gone.
    pub(super) fn people(&mut self, grid: Grid, raw: &[f32], time: Timestamp) -> PeopleInMap {
        let found = Blobs::find(raw, grid.width, |p| p > PERSON_ABOVE);
        let largest = found.blobs.iter().map(|b| b.area).max().unwrap_or(0);
        let total: usize = found.blobs.iter().map(|b| b.area).sum();
        let enough = total as f32 >= SMALLEST * grid.len() as f32;
        let mut bounds = None;
        let mut known = Vec::new();
        let mut now: Vec<Option<Rect>> = vec![None; self.small_regions.len()];
        for (i, blob) in found.blobs.iter().enumerate() {
            let large = enough && blob.area as f32 >= KEEP * largest as f32;
            let visible = blob.area as f32 >= 0.5 * SMALLEST_NEWCOMER * grid.len() as f32;
            let region = self
                .small_regions
                .iter()
                .position(|g| !large && visible && g.bounds.meets(&blob.bounds));
            if let Some(region) = region {
                now[region] = Some(Rect::around(now[region], blob.bounds));
            }
            if large {
                bounds = Some(Rect::around(bounds, blob.bounds));
            }
            if large || region.is_some() {
                known.push(i);
            }
        }
        for (region, now) in self.small_regions.iter_mut().zip(now) {
            if let Some(bounds) = now {
                *region = SmallRegion {
                    bounds,
                    seen: time.0,
                };
            }
        }
        self.small_regions
            .retain(|region| (0..WAIT_US).contains(&time.0.saturating_sub(region.seen)));
        PeopleInMap {
            bounds,
            found,
            known,
        }
    }

    /// The parts of `far`, a look at the whole picture, beyond the `known` cells.
    pub(super) fn newcomers(&self, grid: Grid, far: &[f32], known: &[bool]) -> Newcomers {
        let mut newcomers = self.newcomers_above(PERSON_ABOVE, grid, far, known);
        if newcomers.candidates.is_empty() {
            newcomers.candidates = self
                .newcomers_above(MAYBE_ABOVE, grid, far, known)
                .candidates;
        }
        newcomers
    }

    fn newcomers_above(
        &self,
        threshold: f32,
        grid: Grid,
        far: &[f32],
        known: &[bool],
    ) -> Newcomers {
        let crop = self.crop.in_cells(grid.cell);
        let least = smallest_newcomer(grid);
        let found = Blobs::find(far, grid.width, |p| p > threshold);
        let mut newcomers = Newcomers::default();
        let mut candidates = Vec::new();
        for (i, blob) in found
            .blobs
            .iter()
            .enumerate()
            .filter(|(_, blob)| blob.area >= least)
        {
            let mut familiar = 0;
            let mut outside = 0;
            for (y, x0, x1) in found.stretches(i) {
                familiar += known[y * grid.width + x0..y * grid.width + x1]
                    .iter()
                    .filter(|&&k| k)
                    .count();
                let seen = (crop.y0..crop.y1).contains(&(y as u32));
                let seen = if seen {
                    (x1 as u32)
                        .min(crop.x1)
                        .saturating_sub((x0 as u32).max(crop.x0))
                } else {
                    0
                };
                outside += x1 - x0 - seen as usize;
            }
            if familiar * 4 < blob.area {
                candidates.push(blob);
            } else if outside >= least {
                newcomers.parts.push(blob.bounds);
            }
        }
        candidates.sort_by_key(|blob| std::cmp::Reverse(blob.area));
        newcomers.candidates = candidates.into_iter().map(|blob| blob.bounds).collect();
        newcomers
    }

    /// Checks a candidate within `bounds` with a `close` look, and remembers their region if it
    /// shows enough of a person. The region that was not seen for the longest time makes room.
    /// Returns whether the candidate is confirmed.
    pub(super) fn confirm(
        &mut self,
        grid: Grid,
        close: &[f32],
        bounds: Rect,
        time: Timestamp,
    ) -> bool {
        let least = smallest_newcomer(grid);
        let found = Blobs::find(close, grid.width, |p| p > PERSON_ABOVE);
        let sure = |blob: usize| {
            let stretches = found
                .stretches(blob)
                .map(|(y, x0, x1)| &close[y * grid.width + x0..y * grid.width + x1]);
            let sum: f32 = stretches.map(|cells| cells.iter().sum::<f32>()).sum();
            sum >= SURE * found.blobs[blob].area as f32
        };
        let near = found
            .blobs
            .iter()
            .enumerate()
            .filter(|(_, blob)| blob.area >= least && blob.bounds.meets(&bounds));
        let shown = near
            .max_by_key(|(_, blob)| blob.area)
            .filter(|(i, _)| sure(*i));
        let Some((_, shown)) = shown else {
            self.turn = self.turn.wrapping_add(1);
            return false;
        };
        if self.small_regions.len() >= MAX_SMALL_REGIONS
            && let Some(oldest) =
                (0..self.small_regions.len()).min_by_key(|&i| self.small_regions[i].seen)
        {
            self.small_regions.remove(oldest);
        }
        self.small_regions.push(SmallRegion {
            bounds: shown.bounds,
            seen: time.0,
        });
        true
    }

    /// The boxes of a group in a map: people so small in the crop that each needs a separate look.
    /// Empty if they are too few.
    pub(super) fn group<T: Copy>(
        &self,
        grid: Grid,
        size: (u32, u32),
        map: &[T],
        is_person: impl Fn(T) -> bool,
    ) -> Vec<Rect> {
        let least = smallest_newcomer(grid);
        let long = |rect: &Rect| rect.width().max(rect.height()) as f32;
        let found = Blobs::find(map, grid.width, is_person);
        let smaller_than = |share: f32, bounds: &Rect| {
            long(&close_up(grid, size, *bounds)) < share * long(&self.crop)
        };
        let mut people: Vec<Rect> = found
            .blobs
            .iter()
            .filter(|blob| blob.area >= least)
            .map(|blob| blob.bounds)
            .filter(|bounds| smaller_than(SMALLER, bounds))
            .collect();
        let small = people.iter().filter(|bounds| smaller_than(SMALL, bounds));
        if small.count() < GROUP {
            people.clear();
        }
        people
    }

    /// Moves the crop to the people (a box in cells). Without people, it waits a little, then shows
    /// the whole picture.
    pub(super) fn follow(
        &mut self,
        grid: Grid,
        size: (u32, u32),
        people: Option<Rect>,
        time: Timestamp,
    ) {
        let Some(people) = people else {
            if !(0..WAIT_US).contains(&time.0.saturating_sub(self.peopled)) {
                self.crop = Rect::whole(size.0, size.1);
            }
            return;
        };
        self.peopled = time.0;
        let people = people.in_pixels(grid.cell, size);
        let wanted = with_room(people, size, 1.0);
        let needed = with_room(people, size, MARGIN_KEPT);
        let area = |r: &Rect| f64::from(r.width()) * f64::from(r.height());
        if !self.crop.contains(&needed) || area(&self.crop) > f64::from(LOOSEST) * area(&wanted) {
            self.crop = wanted;
        }
    }

    /// A wider crop, if the people touch the crop's border inside the picture: a person may be cut
    /// there.
    pub(super) fn wider(&self, grid: Grid, size: (u32, u32), people: Rect) -> Option<Rect> {
        let wider = with_room(people.in_pixels(grid.cell, size), size, 1.0);
        let seen = self.crop.in_cells(grid.cell);
        let cut = (people.x0 <= seen.x0 && self.crop.x0 > 0)
            || (people.y0 <= seen.y0 && self.crop.y0 > 0)
            || (people.x1 >= seen.x1 && self.crop.x1 < size.0)
            || (people.y1 >= seen.y1 && self.crop.y1 < size.1);
        (cut && wider != self.crop).then_some(wider)
    }

    /// The part of the picture that shows the small regions, in pixels; `None` if there are none,
    /// or the crop shows them.
    pub(super) fn small_region_crop(&self, grid: Grid, size: (u32, u32)) -> Option<Rect> {
        let small_regions = self
            .small_regions
            .iter()
            .map(|region| region.bounds)
            .reduce(|a, b| a.union(&b))?;
        let shown = self
            .crop
            .contains(&small_regions.in_pixels(grid.cell, size));
        (!shown).then(|| close_up(grid, size, small_regions))
    }
}

/// The fewest cells of a newcomer.
fn smallest_newcomer(grid: Grid) -> usize {
    (SMALLEST_NEWCOMER * grid.len() as f32).max(1.0) as usize
}

/// A box of people, in pixels, with this share of a crop's margin around them.
fn with_room(people: Rect, size: (u32, u32), share: f32) -> Rect {
    let least = (least_margin(size) as f32 * share) as u32;
    people.with_margin(MARGIN * share, least, size.0, size.1)
}

fn least_margin(size: (u32, u32)) -> u32 {
    (LEAST_MARGIN * size.0.max(size.1) as f32) as u32
}

/// The crop of a close look at a box of cells, in pixels.
pub(super) fn close_up(grid: Grid, size: (u32, u32), bounds: Rect) -> Rect {
    bounds.in_pixels(grid.cell, size).with_margin(
        SMALL_REGION_MARGIN,
        least_margin(size),
        size.0,
        size.1,
    )
}
