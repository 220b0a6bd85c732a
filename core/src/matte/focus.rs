//! Where the network looks: closely at the people that are known, and now and then at everything, for those that are not.
use super::blobs::{Blobs, Rect};
use super::grid::Grid;
use super::state::MAX_GUESTS;
use crate::frame::Timestamp;

/// Confidence above which a cell counts as a person.
pub(super) const PERSON_ABOVE: f32 = 0.5;
/// Room around the people on each side, as a share of their box's size.
const MARGIN: f32 = 0.15;
/// A box is kept while the people have at least this much room in it, so that the network's view does not tremble.
const LEAST_MARGIN: f32 = 0.08;
/// ..and while it is not larger than this many times what the people need.
const LOOSEST: f32 = 1.3;
/// Parts smaller than this share of the largest are not looked at: clutter that looks like a person would keep the box wide.
/// A guest is exempt.
const KEEP: f32 = 0.2;
/// People smaller than this share of the picture are nobody.
const SMALLEST: f32 = 0.002;
/// A newcomer has at least this share of the picture.
const SMALLEST_GUEST: f32 = 0.001;
/// How far apart looks at the whole picture are at most, in microseconds: a person who enters is found within half a second.
const LOOK_EVERY_US: i64 = 400_000;
/// ..and at least, where something moves outside the box.
const LOOK_AGAIN_US: i64 = 160_000;
/// Looks come after this many frames even if the time stands still.
const LOOK_EVERY_FRAMES: u16 = 60;
/// Outside the box, this share of the picture must move to ask for a look.
const MOVING: f32 = 0.002;
/// A guest that was not seen for so long is forgotten, in microseconds.
const FORGET_US: i64 = 1_000_000;
/// A strip outside the box that is narrower than this share of the picture needs no look.
const STRIP: f32 = 0.04;

/// A person smaller than the largest by so much that only a close look told them from clutter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Guest {
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
    /// When it saw everything last, in unix microseconds.
    pub(super) looked: i64,
    /// How many frames ago that was.
    pub(super) frames_since_look: u16,
    /// Small people that are known.
    pub(super) guests: Vec<Guest>,
}

/// The parts of a raw map that are people.
pub(super) struct People {
    /// The box around all of them, in cells; none where nobody is there.
    pub(super) bounds: Option<Rect>,
    /// The cells of the people that are known, `[height][width]`.
    pub(super) known: Vec<bool>,
}

/// A part of a look at everything that may be a person nobody knew of.
pub(super) enum Newcomer {
    /// Connected to a known person: the rest of somebody who is half inside the box.
    Part(Rect),
    /// By itself, worth a closer look.
    Stranger { bounds: Rect, area: usize },
}

impl Focus {
    /// A focus on everything.
    pub(super) fn whole(size: (u32, u32), time: Timestamp) -> Focus {
        Focus { crop: Rect::whole(size.0, size.1), looked: time.0, frames_since_look: 0, guests: Vec::new() }
    }

    /// Whether the network should look at everything now, besides the crop. `moving` is the share of the picture that moves
    /// outside the crop.
    pub(super) fn wants_look(&self, size: (u32, u32), time: Timestamp, moving: f32) -> bool {
        let strip = |n: u32| (STRIP * n as f32) as u32;
        let Rect { x0, y0, x1, y1 } = self.crop;
        if x0 <= strip(size.0) && y0 <= strip(size.1) && size.0 - x1 <= strip(size.0) && size.1 - y1 <= strip(size.1) {
            return false;
        }
        let passed = time.0.saturating_sub(self.looked);
        let backwards = passed < 0;
        backwards
            || passed >= LOOK_EVERY_US
            || (passed >= LOOK_AGAIN_US && moving > MOVING)
            || self.frames_since_look >= LOOK_EVERY_FRAMES
    }

    /// The share of the grid's cells that move (by more than half of full motion) and lie outside the crop.
    pub(super) fn moving_outside(&self, grid: Grid, motion: &[f32]) -> f32 {
        let cell = grid.cell as u32;
        let (x0, x1) = ((self.crop.x0 / cell) as usize, (self.crop.x1.div_ceil(cell) as usize).min(grid.width));
        let inside_rows = (self.crop.y0 / cell) as usize..self.crop.y1.div_ceil(cell) as usize;
        let count = |cells: &[f32]| cells.iter().filter(|&&m| m > 0.5).count();
        let rows = motion.chunks_exact(grid.width.max(1)).enumerate();
        let moving: usize =
            rows.map(|(y, row)| if inside_rows.contains(&y) { count(&row[..x0]) + count(&row[x1..]) } else { count(row) }).sum();
        moving as f32 / grid.len().max(1) as f32
    }

    /// Who is there in the raw map; notes where the guests are now and forgets those that are gone.
    pub(super) fn people(&mut self, grid: Grid, raw: &[f32], time: Timestamp) -> People {
        let found = Blobs::find(raw, grid.width, |p| p > PERSON_ABOVE);
        let largest = found.blobs.iter().map(|b| b.area).max().unwrap_or(0);
        let total: usize = found.blobs.iter().map(|b| b.area).sum();
        let mut people = People { bounds: None, known: vec![false; grid.len()] };
        let mut now: Vec<Option<Rect>> = vec![None; self.guests.len()];
        for (i, blob) in found.blobs.iter().enumerate() {
            let large = blob.area as f32 >= KEEP * largest as f32 && total as f32 >= SMALLEST * grid.len() as f32;
            let small_guest = !large && blob.area as f32 >= 0.5 * SMALLEST_GUEST * grid.len() as f32;
            let guest = self.guests.iter().position(|g| small_guest && g.bounds.meets(&blob.bounds));
            if let Some(guest) = guest {
                now[guest] = Some(now[guest].map_or(blob.bounds, |b| b.union(&blob.bounds)));
            }
            if large || guest.is_some() {
                people.bounds = Some(people.bounds.map_or(blob.bounds, |b| b.union(&blob.bounds)));
                for (y, x0, x1) in found.stretches(i) {
                    people.known[y * grid.width + x0..y * grid.width + x1].fill(true);
                }
            }
        }
        for (guest, now) in self.guests.iter_mut().zip(now) {
            if let Some(bounds) = now {
                *guest = Guest { bounds, seen: time.0 };
            }
        }
        self.guests.retain(|guest| (0..FORGET_US).contains(&time.0.saturating_sub(guest.seen)));
        for guest in &self.guests {
            people.bounds = Some(people.bounds.map_or(guest.bounds, |b| b.union(&guest.bounds)));
        }
        people
    }

    /// What a look at everything, `far`, shows beyond the known people; the largest stranger last.
    pub(super) fn newcomers(&self, grid: Grid, far: &[f32], known: &[bool]) -> Vec<Newcomer> {
        let cell = grid.cell as u32;
        let inside = Rect {
            x0: self.crop.x0 / cell,
            y0: self.crop.y0 / cell,
            x1: self.crop.x1.div_ceil(cell),
            y1: self.crop.y1.div_ceil(cell),
        };
        let least = (SMALLEST_GUEST * grid.len() as f32).max(1.0) as usize;
        let found = Blobs::find(far, grid.width, |p| p > PERSON_ABOVE);
        let mut newcomers = Vec::new();
        for (i, blob) in found.blobs.iter().enumerate().filter(|(_, blob)| blob.area >= least) {
            let (mut familiar, mut outside) = (0, 0);
            for (y, x0, x1) in found.stretches(i) {
                familiar += known[y * grid.width + x0..y * grid.width + x1].iter().filter(|&&k| k).count();
                let row_inside = (inside.y0..inside.y1).contains(&(y as u32));
                let covered = if row_inside { (x1 as u32).min(inside.x1).saturating_sub((x0 as u32).max(inside.x0)) } else { 0 };
                outside += x1 - x0 - covered as usize;
            }
            if familiar * 4 < blob.area {
                newcomers.push(Newcomer::Stranger { bounds: blob.bounds, area: blob.area });
            } else if outside >= least {
                newcomers.push(Newcomer::Part(blob.bounds));
            }
        }
        newcomers.sort_by_key(|n| match n {
            Newcomer::Part(_) => 0,
            Newcomer::Stranger { area, .. } => *area,
        });
        newcomers
    }

    /// Takes a verified stranger in. The one that was not seen for the longest time makes room.
    pub(super) fn welcome(&mut self, bounds: Rect, time: Timestamp) {
        if self.guests.len() == MAX_GUESTS
            && let Some(oldest) = (0..MAX_GUESTS).min_by_key(|&i| self.guests[i].seen)
        {
            self.guests.remove(oldest);
        }
        self.guests.push(Guest { bounds, seen: time.0 });
    }

    /// Moves the crop to the people (a box in cells), or to everything where there is nobody.
    pub(super) fn follow(&mut self, grid: Grid, size: (u32, u32), people: Option<Rect>) {
        let Some(people) = people else {
            self.crop = Rect::whole(size.0, size.1);
            return;
        };
        let cell = grid.cell as u32;
        let pixels = Rect {
            x0: people.x0 * cell,
            y0: people.y0 * cell,
            x1: (people.x1 * cell).min(size.0),
            y1: (people.y1 * cell).min(size.1),
        };
        let wanted = pixels.with_margin(MARGIN, size.0, size.1);
        let least = pixels.with_margin(LEAST_MARGIN, size.0, size.1);
        let area = |r: &Rect| f64::from(r.width()) * f64::from(r.height());
        if !self.crop.contains(&least) || area(&self.crop) > f64::from(LOOSEST) * area(&wanted) {
            self.crop = wanted;
        }
    }
}

/// The part of the picture to look at a stranger closely, in pixels.
pub(super) fn close_up(grid: Grid, size: (u32, u32), bounds: Rect) -> Rect {
    let cell = grid.cell as u32;
    let pixels = Rect {
        x0: bounds.x0 * cell,
        y0: bounds.y0 * cell,
        x1: (bounds.x1 * cell).min(size.0),
        y1: (bounds.y1 * cell).min(size.1),
    };
    pixels.with_margin(0.25, size.0, size.1)
}
