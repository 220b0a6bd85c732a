//! Learns the room behind people, from a camera that stands still.
//!
//! A [`Plate`] is a picture of the room at half of the grid's resolution or less. A cell is learned
//! where the network is sure that it shows no person and nothing moves. Where the room is known, it
//! corrects the network in two ways. A whole blob that looks like the room behind it is the room. A
//! part that clearly differs from the room, and is connected to a person directly or over other
//! such parts, belongs to the person: arms and hands that the network loses, and things in them.
//!
//! All comparisons use whole numbers: the same confidences give the same bits on every level.
use super::blobs::Blobs;
use super::blocks::BLOCK;
use super::grid::{Grid, Guide};
use super::window::{around, rounded};
use fearless_simd::{Level, Simd, dispatch};
use fearless_simd_macros::simd;
use std::cmp::Ordering;
use std::{fmt, str::FromStr};
use thiserror::Error;

/// The most plate cells on the long side.
const LONG_SIDE: usize = 160;
/// The time between looks for learning, in microseconds.
const LEARN_EVERY_US: i64 = 200_000;
/// The largest count of agreeing looks.
pub(super) const MOST_KNOWN: u8 = 250;
/// The number of agreeing looks from which on a colour counts as the room's ..
const KNOWN: u8 = 3;
/// .. and that from which on it may correct the network.
const WELL_KNOWN: u8 = 4;
/// A known cell that looks different, without a person and without motion, loses this many looks
/// with each look, and all above [`MOST_KEPT`] at once: a chair that was moved is soon room again.
const LOST: u8 = 2;
const MOST_KEPT: u8 = 8;
/// Cells this near to one that may be a person are not learned.
const MARGIN: usize = 4;
/// Confidences in 1/255. Below the first, a cell is empty for learning; below the second, it is
/// empty for comparing; one half; above the last, it surely is a person.
const NONE: u8 = 12;
const EMPTY: u8 = 25;
const HALF: u8 = 127;
const SURE: u8 = 230;
/// The largest distance of a colour from the room's, in levels: the first, and the noise times the
/// second.
const TOLERANCE: f32 = 4.0;
const OF_NOISE: f32 = 1.2;
/// A colour that differs by this many tolerances plus this many levels is unlike the room's.
const UNLIKE: u8 = 3;
const UNLIKE_LEVELS: u8 = 10;
/// A cell with a larger spread of colours than this, in quarters of a level, is not used.
const MOST_SPREAD: u8 = 40;
/// The least share of the light in a shadow, in percent.
const SHADOW: u32 = 40;
/// The plate is not used for a frame in which more than 1 in this many empty cells does not fit ..
const MISFIT: u32 = 4;
/// .. and it is forgotten after more than this many such frames in a row.
pub(super) const MOST_MISFITS: u8 = 5;
/// The fewest known empty cells that can show whether the plate fits.
const FEWEST: u32 = 50;
/// Cells with texture decide alone if more than 1 in this many of these cells has texture.
const TEXTURED: u32 = 20;
/// A blob is the room if nine of ten known cells are like it, and this share is known, in tenths.
const LIKE: usize = 9;
const BLOB_KNOWN: usize = 6;
/// The largest part that is added to persons, in tenths of the cells that surely are person: a
/// larger one is a door, a lamp or a moved camera ..
const MOST_ADDED: usize = 4;
/// .. and it must be at least this many times as large as all other differences in the empty room:
/// otherwise the room itself changes.
const LEAST_OF_STRAY: usize = 4;
/// The confidence of a part that belongs to a person.
const ADDED: f32 = 0.95;
/// The value of a gain of 1.
const GAIN_ONE: u32 = 256;
pub(super) const LEAST_GAIN: u16 = 128;
pub(super) const MOST_GAIN: u16 = 512;
/// The fewest plate cells of a block of [`BLOCK`] a side that give its exposure.
const FEWEST_OF_BLOCK: u32 = 16;

/// Whether the room behind people is learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PlateMode {
    /// If the camera stands still.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// A text that is not a [`PlateMode`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("unknown plate {0:?}: use auto or off")]
pub struct PlateModeError(String);

impl FromStr for PlateMode {
    type Err = PlateModeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(PlateMode::Auto),
            "off" => Ok(PlateMode::Off),
            other => Err(PlateModeError(other.to_owned())),
        }
    }
}

impl fmt::Display for PlateMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PlateMode::Auto => "auto",
            PlateMode::Off => "off",
        })
    }
}

/// The cells of a plate: each is a whole number of cells of the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlateGrid {
    /// Cells of the grid per plate cell and side, at least 2.
    step: usize,
    width: usize,
    height: usize,
}

impl PlateGrid {
    /// The plate cells of a grid, at most [`LONG_SIDE`] on the long side.
    pub(super) fn of(grid: Grid) -> PlateGrid {
        let step = grid.width.max(grid.height).div_ceil(LONG_SIDE).max(2);
        PlateGrid {
            step,
            width: grid.width.div_ceil(step),
            height: grid.height.div_ceil(step),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.width * self.height
    }

    /// The neighbours of a cell on its four sides.
    fn beside(&self, i: usize) -> impl Iterator<Item = usize> + use<> {
        let (x, width, len) = (i % self.width, self.width, self.len());
        let left = (x > 0).then(|| i - 1);
        let right = (x + 1 < width).then(|| i + 1);
        let above = i.checked_sub(width);
        let below = Some(i + width).filter(|&i| i < len);
        [left, right, above, below].into_iter().flatten()
    }

    /// The cells at most `reach` away from a cell, in a square.
    fn near(&self, i: usize, reach: usize) -> impl Iterator<Item = usize> + use<> {
        let width = self.width;
        let xs = around(i % width, reach, width);
        around(i / width, reach, self.height)
            .flat_map(move |y| xs.clone().map(move |x| y * width + x))
    }

    /// The cells of the grid in a cell.
    fn inside(&self, grid: Grid, i: usize) -> impl Iterator<Item = usize> + use<> {
        let (x, y, step) = (
            i % self.width * self.step,
            i / self.width * self.step,
            self.step,
        );
        let xs = x..(x + step).min(grid.width);
        (y..(y + step).min(grid.height))
            .flat_map(move |y| xs.clone().map(move |x| y * grid.width + x))
    }
}

/// The learned room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plate {
    /// Red, green and blue of each cell.
    pub(super) colours: [Vec<u8>; 3],
    /// The spread of its colours around these, in quarters of a level.
    pub(super) spread: Vec<u8>,
    /// The number of looks with this colour; 0 if it is not known.
    pub(super) known: Vec<u8>,
    /// The time of the last look, in unix microseconds.
    pub(super) looked: i64,
    /// Frames in a row that the plate did not fit.
    pub(super) misfits: u8,
    /// The last measured exposure of a frame, relative to the plate's, in 1/256.
    pub(super) gain: u16,
}

impl Plate {
    /// A plate without known cells.
    pub(super) fn new(grid: Grid, time: i64) -> Plate {
        let none = || vec![0; PlateGrid::of(grid).len()];
        Plate {
            colours: [none(), none(), none()],
            spread: none(),
            known: none(),
            looked: time,
            misfits: 0,
            gain: GAIN_ONE as u16,
        }
    }

    /// Forgets everything.
    pub(super) fn forget(&mut self) {
        for plane in self
            .colours
            .iter_mut()
            .chain([&mut self.spread, &mut self.known])
        {
            plane.fill(0);
        }
        self.misfits = 0;
        self.gain = GAIN_ONE as u16;
    }
}

/// One frame of a camera.
pub(super) struct RoomFrame<'a> {
    pub(super) level: Level,
    pub(super) grid: Grid,
    /// The colours of each cell.
    pub(super) colours: &'a Guide,
    /// The change of the luma around each cell, in levels, and the part of it that is noise.
    pub(super) motion: &'a [f32],
    pub(super) floor: f32,
    /// The noise of a cell's luma, in levels.
    pub(super) noise: f32,
    /// Its time in unix microseconds.
    pub(super) time: i64,
}

/// Compares frames with their plate; keeps its buffers.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// The frame's colours and the network's confidence in plate cells.
    now: [Vec<u8>; 3],
    confidence: Vec<u8>,
    /// The plate's colours at the frame's exposure.
    exposed: [Vec<u8>; 3],
    /// The largest difference of the three colours, and the plate's texture: the difference of a
    /// cell from its right and lower neighbours.
    differs: Vec<u8>,
    texture: Vec<u8>,
    /// 1 for a cell that is clearly unlike the room, and 2 if it also belongs to a person.
    unlike: Vec<u8>,
    /// Cells to visit, or that belong to a person.
    cells: Vec<usize>,
    sums: Vec<u16>,
    bytes: Vec<u8>,
    ratios: Vec<u32>,
}

impl Room {
    /// Corrects the network's `confidence` in each cell of the grid where the room is known, then
    /// learns from the frame.
    pub(super) fn correct(
        &mut self,
        sight: &RoomFrame<'_>,
        plate: &mut Plate,
        confidence: &mut [f32],
    ) {
        let RoomFrame { level, grid, .. } = *sight;
        let cells = PlateGrid::of(grid);
        for (now, plane) in self.now.iter_mut().zip(&sight.colours.planes) {
            dispatch!(level, s => reduce(s, plane, grid, cells, now, &mut self.sums));
        }
        dispatch!(level, s => as_bytes(s, confidence, &mut self.bytes));
        let bytes = &self.bytes;
        dispatch!(level, s => reduce(s, bytes, grid, cells, &mut self.confidence, &mut self.sums));
        if let Some(gain) = self.gain(plate, cells) {
            plate.gain = gain as u16;
        }
        self.compare(level, plate, cells);
        let tolerance = (TOLERANCE + OF_NOISE * sight.noise) as u8;
        if self.fits(level, plate, tolerance) {
            self.remove_room(plate, grid, cells, tolerance, confidence);
            self.add_persons(plate, sight, cells, tolerance, confidence);
        }
        let passed = sight.time.saturating_sub(plate.looked);
        if !(0..LEARN_EVERY_US).contains(&passed) {
            plate.looked = sight.time;
            self.learn(plate, sight, cells, tolerance);
        }
    }

    /// The exposure of the frame relative to the plate's, in 1/256: the median over blocks of
    /// known, empty cells. Dark and burnt cells are not used. `None` if too few blocks are left.
    fn gain(&mut self, plate: &Plate, cells: PlateGrid) -> Option<u32> {
        let [_, now, _] = &self.now;
        let [_, before, _] = &plate.colours;
        self.ratios.clear();
        for y in (0..cells.height).step_by(BLOCK) {
            for x in (0..cells.width).step_by(BLOCK) {
                let (mut sums, mut count) = ([0u32; 2], 0);
                for y in y..(y + BLOCK).min(cells.height) {
                    let start = y * cells.width;
                    let row = start + x..start + (x + BLOCK).min(cells.width);
                    let colours = before[row.clone()].iter().zip(&now[row.clone()]);
                    let known = plate.known[row.clone()].iter().zip(&self.confidence[row]);
                    for ((&before, &now), (&known, &p)) in colours.zip(known) {
                        let is_lit = (16..=235).contains(&before) & (8..=245).contains(&now);
                        let tells = u32::from((known > 0) & (p < EMPTY) & is_lit);
                        sums[0] += u32::from(before) * tells;
                        sums[1] += u32::from(now) * tells;
                        count += tells;
                    }
                }
                if count >= FEWEST_OF_BLOCK {
                    self.ratios
                        .push((sums[1] * GAIN_ONE + sums[0] / 2) / sums[0]);
                }
            }
        }
        let middle = self.ratios.len() / 2;
        if middle < 2 {
            return None;
        }
        let (_, median, _) = self.ratios.select_nth_unstable(middle);
        Some((*median).clamp(LEAST_GAIN.into(), MOST_GAIN.into()))
    }

    /// Computes the difference of each cell from the plate, at the frame's exposure.
    fn compare(&mut self, level: Level, plate: &Plate, cells: PlateGrid) {
        let gain = u32::from(plate.gain);
        self.differs.clear();
        self.differs.resize(cells.len(), 0);
        self.texture.clear();
        self.texture.resize(cells.len(), 0);
        for ((exposed, plane), now) in self.exposed.iter_mut().zip(&plate.colours).zip(&self.now) {
            let differs = &mut self.differs;
            dispatch!(level, s => compare_plane(s, plane, now, gain, exposed, differs));
            dispatch!(level, s => add_texture(s, exposed, cells.width, &mut self.texture));
        }
    }

    /// Whether the plate fits the empty part of the frame: if not, the camera moved, or the light
    /// changed. If there are enough cells with texture, they decide, because a plain wall fits
    /// everywhere.
    fn fits(&self, level: Level, plate: &mut Plate, tolerance: u8) -> bool {
        let Room {
            confidence,
            differs,
            texture,
            ..
        } = self;
        let (known, bad) =
            dispatch!(level, s => count_fitting(s, plate, confidence, differs, texture, tolerance));
        let which = usize::from(TEXTURED * known[1] > known[0]);
        if MISFIT * bad[which] > known[which] {
            plate.misfits += 1;
            if plate.misfits > MOST_MISFITS {
                plate.forget();
            }
            return false;
        }
        plate.misfits = 0;
        known[which] > FEWEST
    }

    /// Removes whole blobs that look like the room behind them.
    fn remove_room(
        &mut self,
        plate: &Plate,
        grid: Grid,
        cells: PlateGrid,
        tolerance: u8,
        confidence: &mut [f32],
    ) {
        let like = |i: usize| -> bool {
            let tolerance = tolerance + plate.spread[i] / 4;
            if self.differs[i] > 2 * tolerance {
                return false;
            }
            let (sum, count) = cells.near(i, 1).fold((0, 0), |(sum, count), i| {
                (sum + u32::from(self.differs[i]), count + 1)
            });
            sum <= u32::from(tolerance) * count + count / 2
        };
        let known = |i: usize| plate.known[i] >= WELL_KNOWN;
        // most frames have no blob that could be room
        let mut cells_known = self.confidence.iter().zip(&plate.known);
        if !cells_known.any(|(&p, &looks)| p > HALF && looks >= WELL_KNOWN) {
            return;
        }
        let found = Blobs::find(&self.confidence, cells.width, |p| p > HALF);
        for (b, blob) in found.blobs.iter().enumerate() {
            let inside = || {
                found
                    .stretches(b)
                    .flat_map(|(y, x0, x1)| y * cells.width + x0..y * cells.width + x1)
            };
            let count = inside().filter(|&i| known(i)).count();
            if 10 * count < BLOB_KNOWN * blob.area {
                continue;
            }
            if 10 * inside().filter(|&i| known(i) && like(i)).count() >= LIKE * count {
                // its soft edge, but not the cells of a person beside it
                let edge = inside().flat_map(|i| cells.near(i, 2));
                let edge = edge.filter(|&i| self.confidence[i] <= HALF);
                for i in inside().chain(edge) {
                    cells.inside(grid, i).for_each(|at| confidence[at] = 0.0);
                }
                self.cells.extend(inside());
            }
        }
        // removed blobs do not count for adding
        for i in self.cells.drain(..) {
            self.confidence[i] = 0;
        }
    }

    /// Adds the cells to persons that are clearly unlike the room and connected to them.
    fn add_persons(
        &mut self,
        plate: &Plate,
        sight: &RoomFrame<'_>,
        cells: PlateGrid,
        tolerance: u8,
        confidence: &mut [f32],
    ) {
        let Room {
            differs,
            texture,
            unlike,
            ..
        } = self;
        dispatch!(sight.level, s => mark_unlike(s, plate, differs, texture, tolerance, unlike));
        self.cells.clear();
        for i in 0..cells.len() {
            if self.unlike[i] == 0 {
                continue;
            }
            let colours = |planes: &[Vec<u8>; 3]| [0, 1, 2].map(|k| planes[k][i]);
            if is_shadow(
                colours(&self.exposed),
                colours(&self.now),
                tolerance + plate.spread[i] / 4,
            ) {
                self.unlike[i] = 0;
            } else if cells.beside(i).any(|i| self.confidence[i] >= SURE) {
                self.unlike[i] = 2;
                self.cells.push(i);
            }
        }
        let mut next = 0;
        while let Some(&i) = self.cells.get(next) {
            next += 1;
            for i in cells.beside(i) {
                if self.unlike[i] == 1 {
                    self.unlike[i] = 2;
                    self.cells.push(i);
                }
            }
        }
        let sure = self.confidence.iter().filter(|&&p| p >= SURE).count();
        let added = self
            .cells
            .iter()
            .filter(|&&i| self.confidence[i] <= HALF)
            .count();
        let stray = self
            .unlike
            .iter()
            .zip(&self.confidence)
            .filter(|&(&unlike, &p)| unlike == 1 && p < EMPTY)
            .count();
        if 10 * added <= MOST_ADDED * sure && LEAST_OF_STRAY * stray <= added {
            for &i in &self.cells {
                let least = f32::from(2 * tolerance) + f32::from(self.texture[i]) / 2.0;
                let scale = 1.0 / (f32::from(2 * tolerance) + f32::from(UNLIKE_LEVELS));
                for at in cells.inside(sight.grid, i) {
                    let colours = sight.colours.planes.iter().zip(&self.exposed);
                    let differs =
                        colours.fold(0, |most, (now, room)| now[at].abs_diff(room[i]).max(most));
                    let share = ((f32::from(differs) - least) * scale).clamp(0.0, 1.0);
                    confidence[at] = confidence[at].max(ADDED * share);
                }
            }
        }
        self.cells.clear();
    }

    /// Learns the cells that surely show no person and do not move.
    fn learn(&mut self, plate: &mut Plate, sight: &RoomFrame<'_>, cells: PlateGrid, tolerance: u8) {
        let gain = u32::from(plate.gain);
        let grid = sight.grid;
        let step = cells.step;
        // 1 in the rows and columns around each cell that may show a person
        self.bytes.clear();
        self.bytes.resize(cells.len(), 0);
        for y in 0..cells.height {
            let row = y * cells.width..(y + 1) * cells.width;
            let mut last = None;
            for (x, &p) in self.confidence[row.clone()].iter().enumerate() {
                if p > NONE {
                    // the cells up to the last one are marked already
                    let from = last
                        .map_or(0, |last| last + 1)
                        .max(x.saturating_sub(MARGIN));
                    let to = (x + MARGIN + 1).min(cells.width);
                    self.bytes[row.start + from.min(x)..row.start + to].fill(1);
                    last = Some(x);
                }
            }
        }
        for i in 0..cells.len() {
            let known = plate.known[i];
            if self.confidence[i] > NONE {
                continue;
            }
            let middle = |cell: usize, cells: usize| (cell * step + step / 2).min(cells - 1);
            let at = middle(i / cells.width, grid.height) * grid.width
                + middle(i % cells.width, grid.width);
            if sight.motion[at] > sight.floor + 1.0 {
                continue;
            }
            let differs = self.differs[i];
            if known > 0 && differs > (2 * tolerance).saturating_add(plate.spread[i] / 2) {
                plate.known[i] = known.min(MOST_KEPT).saturating_sub(LOST);
                continue;
            }
            let rows = around(i / cells.width, MARGIN, cells.height);
            if rows
                .into_iter()
                .any(|y| self.bytes[y * cells.width + i % cells.width] > 0)
            {
                continue;
            }
            for (plane, now) in plate.colours.iter_mut().zip(&self.now) {
                // at the plate's exposure
                let now = ((u32::from(now[i]) * GAIN_ONE + gain / 2) / gain).min(255) as u8;
                let change = i16::from(now) - i16::from(plane[i]);
                let change = match known {
                    0 => change,
                    1..WELL_KNOWN => change / (i16::from(known) + 1),
                    _ => change.signum(),
                };
                plane[i] = (i16::from(plane[i]) + change) as u8;
            }
            let spread = &mut plate.spread[i];
            *spread = match differs.saturating_mul(4).cmp(spread) {
                _ if known == 0 => (2.0 * sight.noise) as u8,
                Ordering::Greater => spread.saturating_add(1),
                Ordering::Less => spread.saturating_sub(1),
                Ordering::Equal => *spread,
            };
            plate.known[i] = (known + 1).min(MOST_KNOWN);
        }
    }
}

/// Whether the colours `now` are those of the `room` with less light.
fn is_shadow(room: [u8; 3], now: [u8; 3], tolerance: u8) -> bool {
    let sum = |colours: [u8; 3]| colours.iter().map(|&v| u32::from(v)).sum::<u32>();
    let (light, left) = (sum(room), sum(now));
    left < light
        && 100 * left >= SHADOW * light
        && room.iter().zip(now).all(|(&room, now)| {
            (u32::from(room) * left / light).abs_diff(u32::from(now)) <= u32::from(tolerance) + 2
        })
}

/// The means of a plane's cells in each plate cell, rounded.
#[simd]
fn reduce<S: Simd>(
    _simd: S,
    from: &[u8],
    grid: Grid,
    cells: PlateGrid,
    to: &mut Vec<u8>,
    sums: &mut Vec<u16>,
) {
    let step = cells.step;
    to.resize(cells.len(), 0);
    sums.resize(grid.width, 0);
    let bands = from.chunks(step * grid.width);
    for (to, band) in to.chunks_exact_mut(cells.width).zip(bands) {
        sums.fill(0);
        for row in band.chunks_exact(grid.width) {
            for (sum, &v) in sums.iter_mut().zip(row) {
                *sum += u16::from(v);
            }
        }
        let rows = band.len() / grid.width;
        let mut first = 0;
        if (step, rows) == (2, 2) {
            let (pairs, _) = sums.as_chunks::<2>();
            for (to, [a, b]) in to.iter_mut().zip(pairs) {
                *to = ((a + b + 2) / 4) as u8;
            }
            first = pairs.len();
        }
        for (to, sums) in to.iter_mut().zip(sums.chunks(step)).skip(first) {
            let count = (sums.len() * rows) as u16;
            *to = ((sums.iter().sum::<u16>() + count / 2) / count) as u8;
        }
    }
}

/// Converts confidences to 1/255.
#[simd]
fn as_bytes<S: Simd>(_simd: S, confidence: &[f32], bytes: &mut Vec<u8>) {
    bytes.resize(confidence.len(), 0);
    for (byte, &p) in bytes.iter_mut().zip(confidence) {
        *byte = rounded(p * 255.0) as u8;
    }
}

/// Computes the plate's colour at the frame's exposure, and the largest difference of the frame
/// from it.
#[simd]
fn compare_plane<S: Simd>(
    _simd: S,
    plane: &[u8],
    now: &[u8],
    gain: u32,
    exposed: &mut Vec<u8>,
    differs: &mut [u8],
) {
    exposed.resize(plane.len(), 0);
    for (((exposed, differs), &v), &now) in exposed.iter_mut().zip(differs).zip(plane).zip(now) {
        let room = ((u32::from(v) * gain + GAIN_ONE / 2) / GAIN_ONE).min(255) as u8;
        *exposed = room;
        *differs = (*differs).max(room.abs_diff(now));
    }
}

/// The largest difference of a cell from its right and lower neighbour.
#[simd]
fn add_texture<S: Simd>(_simd: S, plane: &[u8], width: usize, texture: &mut [u8]) {
    let rows = plane.chunks_exact(width);
    for (row, texture) in rows.zip(texture.chunks_exact_mut(width)) {
        for ((texture, &a), &b) in texture.iter_mut().zip(row).zip(&row[1..]) {
            *texture = (*texture).max(a.abs_diff(b));
        }
    }
    for ((texture, &a), &b) in texture.iter_mut().zip(plane).zip(&plane[width..]) {
        *texture = (*texture).max(a.abs_diff(b));
    }
}

/// Counts the known and empty cells of the room, and those of them that do not fit: of all, and of
/// those with texture.
#[simd]
fn count_fitting<S: Simd>(
    _simd: S,
    plate: &Plate,
    confidence: &[u8],
    differs: &[u8],
    texture: &[u8],
    tolerance: u8,
) -> ([u32; 2], [u32; 2]) {
    let (mut known, mut bad) = ([0; 2], [0; 2]);
    let about = plate.known.iter().zip(&plate.spread).zip(confidence);
    let frame = differs.iter().zip(texture);
    for (((&looks, &spread), &p), (&differs, &texture)) in about.zip(frame) {
        let most = (2 * tolerance + texture / 4).saturating_add(spread / 2);
        let is_empty = u32::from(looks >= KNOWN) & u32::from(p < EMPTY);
        let is_textured = u32::from(texture > 2 * tolerance);
        let is_bad = is_empty & u32::from(differs > most);
        known[0] += is_empty;
        known[1] += is_empty & is_textured;
        bad[0] += is_bad;
        bad[1] += is_bad & is_textured;
    }
    (known, bad)
}

/// Marks with 1 the cells that are clearly unlike the room.
#[simd]
fn mark_unlike<S: Simd>(
    _simd: S,
    plate: &Plate,
    differs: &[u8],
    texture: &[u8],
    tolerance: u8,
    unlike: &mut Vec<u8>,
) {
    unlike.resize(differs.len(), 0);
    let about = plate.known.iter().zip(&plate.spread);
    let frame = differs.iter().zip(texture);
    for ((unlike, (&looks, &spread)), (&differs, &texture)) in
        unlike.iter_mut().zip(about).zip(frame)
    {
        let least = UNLIKE * (tolerance + spread / 4) + UNLIKE_LEVELS;
        let is_unlike = differs > least.saturating_add(texture / 2);
        *unlike = u8::from(looks >= KNOWN) & u8::from(spread < MOST_SPREAD) & u8::from(is_unlike);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matte::grid::SMALL as GRID;
    use mattebox_net::SimdLevel;
    use std::ops::Range;

    /// A camera in front of a room with texture.
    struct StripedRoom {
        room: Room,
        plate: Plate,
        time: i64,
        level: Level,
    }

    fn camera() -> StripedRoom {
        StripedRoom {
            room: Room::default(),
            plate: Plate::new(GRID, 0),
            time: 0,
            level: SimdLevel::best().level().unwrap(),
        }
    }

    /// The room's luma, with the camera moved by `moved` cells.
    fn room(moved: usize) -> Vec<u8> {
        let luma =
            |i: usize| 90 + ((i % 64 + moved) / 4 % 5 * 18) as u8 + (i / 64 / 8 % 2 * 9) as u8;
        (0..GRID.len()).map(luma).collect()
    }

    fn paint<T: Copy>(cells: &mut [T], xs: Range<usize>, ys: Range<usize>, value: T) {
        for y in ys {
            cells[y * 64..][xs.clone()].fill(value);
        }
    }

    fn sum(confidence: &[f32], xs: Range<usize>, ys: Range<usize>) -> f32 {
        ys.flat_map(|y| xs.clone().map(move |x| confidence[y * 64 + x]))
            .sum()
    }

    impl StripedRoom {
        /// Takes a frame a tenth of a second later. Returns the corrected confidence.
        fn frame(&mut self, luma: &[u8], confidence: &[f32]) -> Vec<f32> {
            self.time += 100_000;
            let mut confidence = confidence.to_vec();
            let sight = RoomFrame {
                level: self.level,
                grid: GRID,
                colours: &Guide {
                    planes: [luma.to_vec(), luma.to_vec(), luma.to_vec()],
                },
                motion: &vec![0.0; GRID.len()],
                floor: 1.0,
                noise: 0.5,
                time: self.time,
            };
            self.room.correct(&sight, &mut self.plate, &mut confidence);
            confidence
        }

        /// A camera that has seen the empty room for two seconds.
        fn knows_the_room() -> StripedRoom {
            let mut camera = camera();
            for _ in 0..20 {
                camera.frame(&room(0), &vec![0.0; GRID.len()]);
            }
            camera
        }
    }

    /// A person whose arm the network loses.
    fn person_with_arm() -> (Vec<u8>, Vec<f32>) {
        let mut luma = room(0);
        let mut confidence = vec![0.0; GRID.len()];
        paint(&mut luma, 20..36, 10..40, 30);
        paint(&mut luma, 36..48, 20..24, 30);
        paint(&mut confidence, 20..36, 10..40, 1.0);
        (luma, confidence)
    }

    #[test]
    fn modes_read_back_what_they_print() {
        for mode in [PlateMode::Auto, PlateMode::Off] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert!("on".parse::<PlateMode>().is_err());
    }

    #[test]
    fn an_arm_that_the_network_loses_is_added() {
        let (luma, confidence) = person_with_arm();
        let arm = |confidence: &[f32]| sum(confidence, 36..48, 20..24) / 48.0;
        let mut camera = camera();
        assert_eq!(
            arm(&camera.frame(&luma, &confidence)),
            0.0,
            "the room is not known yet"
        );
        let mut camera = StripedRoom::knows_the_room();
        let corrected = camera.frame(&luma, &confidence);
        assert!(arm(&corrected) > 0.9);
        let all = sum(&corrected, 0..64, 0..40) - sum(&corrected, 36..48, 20..24);
        assert_eq!(all, confidence.iter().sum::<f32>(), "and nothing else");
    }

    #[test]
    fn a_thing_beside_a_person_is_soon_room_again() {
        let (luma, confidence) = person_with_arm();
        let mut camera = StripedRoom::knows_the_room();
        for _ in 0..12 {
            camera.frame(&luma, &confidence);
        }
        assert!(camera.frame(&luma, &confidence) == confidence);
    }

    #[test]
    fn a_blob_like_the_room_is_removed_and_a_person_is_not() {
        let mut camera = StripedRoom::knows_the_room();
        let mut phantom = vec![0.0; GRID.len()];
        paint(&mut phantom, 10..30, 10..30, 0.9);
        assert_eq!(camera.frame(&room(0), &phantom).iter().sum::<f32>(), 0.0);
        // the clothes have the room's colours, a third of the person differs
        let mut luma = room(0);
        paint(&mut luma, 10..30, 10..17, 30);
        let kept = camera.frame(&luma, &phantom);
        assert!(kept.iter().zip(&phantom).all(|(kept, p)| kept >= p));
    }

    #[test]
    fn a_person_who_sits_there_from_the_beginning_stays() {
        let (luma, confidence) = person_with_arm();
        let mut camera = camera();
        for _ in 0..600 {
            assert!(camera.frame(&luma, &confidence) == confidence);
        }
    }

    #[test]
    fn a_change_of_exposure_is_no_person() {
        let mut camera = StripedRoom::knows_the_room();
        let (luma, confidence) = person_with_arm();
        let darker: Vec<u8> = luma.iter().map(|&v| (f32::from(v) * 0.8) as u8).collect();
        let corrected = camera.frame(&darker, &confidence);
        assert!(sum(&corrected, 36..48, 20..24) > 0.9 * 48.0);
        let all = sum(&corrected, 0..64, 0..40) - sum(&corrected, 36..48, 20..24);
        assert_eq!(all, confidence.iter().sum::<f32>());
    }

    #[test]
    fn a_shadow_is_no_person() {
        let mut camera = StripedRoom::knows_the_room();
        let (mut luma, confidence) = person_with_arm();
        let room = room(0);
        for y in 20..24 {
            for x in 36..48 {
                luma[y * 64 + x] = (f32::from(room[y * 64 + x]) * 0.6) as u8;
            }
        }
        assert!(camera.frame(&luma, &confidence) == confidence);
    }

    #[test]
    fn a_camera_that_moves_forgets_the_room() {
        let mut camera = StripedRoom::knows_the_room();
        let nothing = vec![0.0; GRID.len()];
        for _ in 0..=MOST_MISFITS {
            assert!(camera.plate.known.iter().any(|&known| known > 0));
            camera.frame(&room(6), &nothing);
        }
        assert!(camera.plate.known.iter().all(|&known| known <= 1));
    }

    #[test]
    fn a_plate_of_any_shape_has_at_most_160_cells_on_its_long_side() {
        for size in [
            (1, 1),
            (1, 4000),
            (333, 500),
            (640, 360),
            (481, 363),
            (3840, 2160),
        ] {
            let grid = Grid::of(size.0, size.1);
            let cells = PlateGrid::of(grid);
            assert!(cells.width.max(cells.height) <= LONG_SIDE, "{size:?}");
            let mut camera = camera();
            camera.plate = Plate::new(grid, 0);
            let plane = vec![77; grid.len()];
            let sight = RoomFrame {
                level: camera.level,
                grid,
                colours: &Guide {
                    planes: [plane.clone(), plane.clone(), plane],
                },
                motion: &vec![0.0; grid.len()],
                floor: 1.0,
                noise: 0.5,
                time: 300_000,
            };
            camera
                .room
                .correct(&sight, &mut camera.plate, &mut vec![0.0; grid.len()]);
            assert!(camera.plate.colours[1].iter().all(|&v| v == 77), "{size:?}");
        }
    }
}
