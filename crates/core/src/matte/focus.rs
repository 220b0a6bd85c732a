//! Where the network looks: closely at the people that are known, and now and then at everything,
//! for those that are not.
use super::blobs::{Blobs, Rect};
use super::grid::Grid;
use crate::frame::Timestamp;

/// Guests that are remembered at most.
pub(super) const MAX_SMALL_REGIONS: usize = 4;

/// Confidence above which a cell counts as a person.
pub(super) const PERSON_ABOVE: f32 = 0.5;
/// Confidence in a look at everything above which a cell may belong to a person who is too small
/// for it: what the smooth step makes of a quarter.
const MAYBE_ABOVE: f32 = 0.156;
/// Room around the people on each side, as a share of their box's size.
const MARGIN: f32 = 0.15;
/// ..around guests, who are small and known less well.
const SMALL_REGION_MARGIN: f32 = 0.25;
/// ..and at least this share of the picture's long side, so that a small person who walks stays
/// inside.
const LEAST_MARGIN: f32 = 0.04;
/// A box is kept while the people have at least this part of the margin, so that the network's view
/// does not tremble.
const MARGIN_KEPT: f32 = 0.5;
/// ..and while it is not larger than this many times what the people need.
const LOOSEST: f32 = 1.3;
/// Parts smaller than this share of the largest are not looked at: clutter that looks like a person
/// would keep the box wide. A guest is exempt.
const KEEP: f32 = 0.2;
/// People smaller than this share of the picture are nobody.
const SMALLEST: f32 = 0.002;
/// A newcomer has at least this share of the picture.
const SMALLEST_NEWCOMER: f32 = 0.001;
/// A stranger is taken in if a close look is so sure of their cells on average.
const SURE: f32 = 0.85;
/// People are small in the crop if a close look at them shows less than this share of its long
/// side.
const SMALL: f32 = 0.5;
/// ..and to look at several who touch is worth it if it shows less than this.
const SMALLER: f32 = 0.9;
/// So many small ones are a group. Fewer are often one person and what looks like parts of others.
const GROUP: usize = 3;
/// How far apart looks at the whole picture are at most, in microseconds: a person who enters is
/// found within half a second.
const LOOK_EVERY_US: i64 = 400_000;
/// ..and at least, where something moves outside the box, or nobody is inside.
const LOOK_AGAIN_US: i64 = 160_000;
/// .. and where so little moves outside that it is somebody who comes, not the camera.
const LOOK_AT_ONCE_US: i64 = 80_000;
/// From this share of the picture on, it is the camera that moves.
const CAMERA_MOVES: f32 = 0.25;
/// ConfidenceMaps come after this many frames even if the time stands still.
const LOOK_EVERY_FRAMES: u16 = 60;
/// A cell moves if the luma around it changes by so many levels on average.
pub(super) const MOVES: f32 = 15.3;
/// Outside the box, this share of the picture must move to ask for a look.
const MOVING: f32 = 0.002;
/// People who are no longer seen are waited for so long where they were, in microseconds.
const WAIT_US: i64 = 500_000;
/// A strip outside the box that is narrower than this share of the picture needs no look.
const STRIP: f32 = 0.04;

/// A person smaller than the largest by so much that only a close look told them from clutter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SmallRegion {
    /// Where they were seen last, in cells.
    pub(super) bounds: Rect,
    /// When, in unix microseconds.
    pub(super) seen: i64,
}

/// Where to look next, and when to look further.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Focus {
    /// The part of the picture that the network sees, in pixels.
    pub(super) crop: Rect,
    /// When everything was looked at last, in unix microseconds.
    pub(super) looked: i64,
    /// How many frames ago that was.
    pub(super) frames_since_look: u16,
    /// When people (not guests) were in the crop last, in unix microseconds.
    pub(super) peopled: i64,
    /// Counts frames with a group, so that each of them has their turn to be looked at closely.
    pub(super) round: u8,
    /// Counts strangers that a close look did not confirm, so that the next time another one has
    /// its turn.
    pub(super) turn: u8,
    /// Small people that are known.
    pub(super) small_regions: Vec<SmallRegion>,
}

/// The parts of a raw map that are people.
pub(super) struct PeopleInMap {
    /// The box around them, in cells; none where nobody is there. Guests do not count.
    pub(super) bounds: Option<Rect>,
    found: Blobs,
    /// The blobs that are people or guests.
    known: Vec<usize>,
}

impl PeopleInMap {
    /// The cells of the people and guests, `[height][width]`.
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

/// What a look at everything shows that was not known.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Newcomers {
    /// Boxes (in cells) around parts that are connected to a known person: the rest of somebody who
    /// is half inside the crop.
    pub(super) parts: Vec<Rect>,
    /// Boxes around parts by themselves that deserve a closer look, the largest first.
    pub(super) candidates: Vec<Rect>,
}

impl Focus {
    /// A focus on everything.
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

    /// Whether the crop shows so much that a look at everything would show nothing else.
    pub(super) fn sees_everything(&self, size: (u32, u32)) -> bool {
        let strip = |n: u32| (STRIP * n as f32) as u32;
        let Rect { x0, y0, x1, y1 } = self.crop;
        x0 <= strip(size.0)
            && y0 <= strip(size.1)
            && size.0 - x1 <= strip(size.0)
            && size.1 - y1 <= strip(size.1)
    }

    /// Whether to look for newcomers now, where `outside` is the share of the picture that moves
    /// outside the crop, and whether somebody is inside.
    pub(super) fn wants_look(&self, time: Timestamp, outside: f32, peopled: bool) -> bool {
        let passed = time.0.saturating_sub(self.looked);
        let due = match outside {
            share if share > CAMERA_MOVES => LOOK_AGAIN_US,
            share if share > MOVING => LOOK_AT_ONCE_US,
            _ if !peopled => LOOK_AGAIN_US,
            _ => LOOK_EVERY_US,
        };
        // a clock that goes backwards belongs to a stream that began again
        passed < 0 || passed >= due || self.frames_since_look >= LOOK_EVERY_FRAMES
    }

    /// The share of the picture that moves and lies neither in the crop nor near a guest; 0 where
    /// too little moves at all.
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

    /// Who is there in the raw map; notes where the guests are now and forgets those that are gone.
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

    /// What a look at everything, `far`, shows beyond the `known` cells.
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

    /// Takes in what a `close` look at the stranger within `bounds` shows of them, if it is enough
    /// to be a person. The guest that was not seen for the longest time makes room.
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

    /// The boxes of a group in a map: people so small in the crop that the network should see each
    /// of them by themselves. Empty where they are too few.
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

    /// Moves the crop to the people (a box in cells). Where there is nobody, it waits a little,
    /// then shows everything.
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

    /// A crop that shows more where the people touch the crop's border inside the picture: somebody
    /// may be cut there.
    pub(super) fn wider(&self, grid: Grid, size: (u32, u32), people: Rect) -> Option<Rect> {
        let wider = with_room(people.in_pixels(grid.cell, size), size, 1.0);
        let seen = self.crop.in_cells(grid.cell);
        let cut = (people.x0 <= seen.x0 && self.crop.x0 > 0)
            || (people.y0 <= seen.y0 && self.crop.y0 > 0)
            || (people.x1 >= seen.x1 && self.crop.x1 < size.0)
            || (people.y1 >= seen.y1 && self.crop.y1 < size.1);
        (cut && wider != self.crop).then_some(wider)
    }

    /// The part of the picture that shows the guests, in pixels; none where there are none or the
    /// crop shows them.
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

/// A box of people, in pixels, with this share of the room that a crop leaves around them.
fn with_room(people: Rect, size: (u32, u32), share: f32) -> Rect {
    let least = (least_margin(size) as f32 * share) as u32;
    people.with_margin(MARGIN * share, least, size.0, size.1)
}

fn least_margin(size: (u32, u32)) -> u32 {
    (LEAST_MARGIN * size.0.max(size.1) as f32) as u32
}

/// The part of the picture that shows a box of cells closely, in pixels.
pub(super) fn close_up(grid: Grid, size: (u32, u32), bounds: Rect) -> Rect {
    bounds.in_pixels(grid.cell, size).with_margin(
        SMALL_REGION_MARGIN,
        least_margin(size),
        size.0,
        size.1,
    )
}
