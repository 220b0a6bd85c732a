//! The memory of the soft matte of one camera, as one value that can be saved and restored.
use super::average::MOST_NOISE;
use super::blobs::Rect;
use super::evidence::Evidence;
use super::focus::{Focus, MAX_SMALL_REGIONS, SmallRegion};
use super::grid::{Grid, Guide};
use super::key_frame::{FARTHEST, KeyFrame, MOST_GAIN};
use super::people::{MAX_PERSONS, TrackedPerson};
use super::plate::{self, LEAST_GAIN, MOST_KNOWN, MOST_MISFITS, Plate, PlateGrid};
use thiserror::Error;

const MAGIC: [u8; 4] = *b"MBMS";
const VERSION: u16 = 2;
/// The version before, which is read too: it has the luma of each cell instead of its colours, and
/// no evidence.
const VERSION_BEFORE: u16 = 1;

/// The memory of the soft matte between two frames of one camera: the network's focus, a small
/// smoothed map and picture (at most 480 cells a side), and the learned room. The default is the
/// state before the first frame.
///
/// It holds exactly the numbers that the next frame is computed from, so a restored state continues
/// with the same bytes. It is private data: it holds tiny pictures of the room.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MatteState {
    pub(super) seen: Option<SegmenterMemory>,
}

/// The memory after at least one frame.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SegmenterMemory {
    /// The picture's width and height in pixels.
    pub(super) size: (u32, u32),
    /// The focus of the network.
    pub(super) focus: Focus,
    /// The smoothed confidence of each cell, in 1/65535.
    pub(super) map: Vec<u16>,
    /// The colours of each cell, averaged where nothing moves.
    pub(super) colours: Guide,
    /// The places where a person may be.
    pub(super) evidence: Evidence,
    /// The time of the last frame, in unix microseconds.
    pub(super) time: i64,
    /// The noise of a cell's luma in levels; `None` before the second frame.
    pub(super) noise: Option<f32>,
    /// The people who are told apart; empty if all are shown.
    pub(super) persons: Vec<TrackedPerson>,
    /// The key frame, if a fine network draws key frames.
    pub(super) key: Option<KeyFrame>,
    /// The room behind the people, if it is learned.
    pub(super) plate: Option<Plate>,
}

/// Why bytes are not a [`MatteState`].
#[derive(Debug, Error, PartialEq, Eq)]
pub enum StateError {
    /// The first bytes are not those of a state.
    #[error("these bytes are not a matte state")]
    NotAState,
    /// Another version of the program wrote it.
    #[error("this matte state has version {0}; this program reads version {VERSION}")]
    Version(u16),
    /// The length does not fit the header.
    #[error("this matte state has {found} bytes where its header asks for {expected}")]
    Length {
        /// Bytes that the header asks for.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// An impossible value.
    #[error("this matte state is damaged: {0}")]
    Damaged(&'static str),
}

impl MatteState {
    /// The state as bytes, little-endian: `MBMS` and the version. After the first frame also:
    /// picture size, focus, persons, whether there is a plate, map (the high bytes as differences,
    /// the low bytes), colours (red as differences, green and blue less red), evidence, time,
    /// noise, the plate (time, misfits, gain, colours, spread, known), and the key frame.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.push(u8::from(self.seen.is_some()));
        let Some(seen) = &self.seen else { return bytes };
        bytes.extend(seen.size.0.to_le_bytes());
        bytes.extend(seen.size.1.to_le_bytes());
        put_rect(&mut bytes, &seen.focus.crop);
        bytes.extend(seen.focus.looked.to_le_bytes());
        bytes.extend(seen.focus.frames_since_look.to_le_bytes());
        bytes.extend(seen.focus.peopled.to_le_bytes());
        bytes.push(seen.focus.turn);
        bytes.push(seen.focus.small_regions.len() as u8);
        for region in &seen.focus.small_regions {
            put_rect(&mut bytes, &region.bounds);
            bytes.extend(region.seen.to_le_bytes());
        }
        bytes.push(seen.focus.round);
        bytes.push(seen.persons.len() as u8);
        for person in &seen.persons {
            put_rect(&mut bytes, &person.bounds);
            bytes.push(u8::from(person.is_shown));
            bytes.extend(person.alone.to_le_bytes());
            bytes.extend(person.seen.to_le_bytes());
            bytes.extend(person.larger_since.unwrap_or(i64::MIN).to_le_bytes());
        }
        bytes.push(u8::from(seen.plate.is_some()));
        let high = seen.map.iter().map(|v| (v >> 8) as u8);
        bytes.extend(differences(high));
        bytes.extend(seen.map.iter().map(|v| *v as u8));
        put_colours(&mut bytes, &seen.colours.planes);
        bytes.extend(&seen.evidence.blocks);
        bytes.extend(seen.time.to_le_bytes());
        bytes.extend(seen.noise.unwrap_or(-1.0).to_le_bytes());
        if let Some(plate) = &seen.plate {
            bytes.extend(plate.looked.to_le_bytes());
            bytes.push(plate.misfits);
            bytes.extend(plate.gain.to_le_bytes());
            put_colours(&mut bytes, &plate.colours);
            bytes.extend(&plate.spread);
            bytes.extend(&plate.known);
        }
        bytes.push(u8::from(seen.key.is_some()));
        if let Some(key) = &seen.key {
            bytes.extend(key.frames.to_le_bytes());
            bytes.extend(key.people.to_le_bytes());
            bytes.extend(key.gain.to_le_bytes());
            bytes.extend(differences(key.luma.iter().copied()));
            bytes.extend(key.correction.iter().map(|v| v.cast_unsigned()));
            bytes.extend(key.moves.as_flattened().iter().map(|v| v.cast_unsigned()));
        }
        bytes
    }

    /// Reads the bytes of [`MatteState::to_bytes`]. Checks all sizes before it allocates anything.
    ///
    /// # Errors
    /// The bytes are not a state, have another version, are too short or too long, or hold
    /// impossible values.
    pub fn from_bytes(bytes: &[u8]) -> Result<MatteState, StateError> {
        let mut reader = StateReader {
            left: bytes,
            total: bytes.len(),
        };
        if reader.take::<4>().map_err(|_| StateError::NotAState)? != MAGIC {
            return Err(StateError::NotAState);
        }
        let version = u16::from_le_bytes(reader.take()?);
        if ![VERSION, VERSION_BEFORE].contains(&version) {
            return Err(StateError::Version(version));
        }
        let seen = match reader.flag("the flag is neither 0 nor 1")? {
            true => Some(reader.seen(version)?),
            false => None,
        };
        reader.expect(0)?;
        Ok(MatteState { seen })
    }
}

fn put_rect(bytes: &mut Vec<u8>, rect: &Rect) {
    for v in [rect.x0, rect.y0, rect.x1, rect.y1] {
        bytes.extend(v.to_le_bytes());
    }
}

/// Red as differences, green and blue less red.
fn put_colours(bytes: &mut Vec<u8>, planes: &[Vec<u8>; 3]) {
    let [red, ..] = planes;
    bytes.extend(differences(red.iter().copied()));
    for plane in &planes[1..] {
        bytes.extend(plane.iter().zip(red).map(|(v, red)| v.wrapping_sub(*red)));
    }
}

/// Reads the planes that [`put_colours`] wrote.
fn colours(bytes: &[u8]) -> [Vec<u8>; 3] {
    let cells = bytes.len() / 3;
    let red = sums(&bytes[..cells]);
    let plane = |differences: &[u8]| {
        let cells = differences.iter().zip(&red);
        cells.map(|(v, red)| v.wrapping_add(*red)).collect()
    };
    let green = plane(&bytes[cells..2 * cells]);
    let blue = plane(&bytes[2 * cells..]);
    [red, green, blue]
}

struct StateReader<'a> {
    left: &'a [u8],
    total: usize,
}

impl StateReader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        let (head, tail) = self
            .left
            .split_first_chunk()
            .ok_or_else(|| self.wrong_length(N as u64))?;
        self.left = tail;
        Ok(*head)
    }

    fn wrong_length(&self, needed: u64) -> StateError {
        let read = (self.total - self.left.len()) as u64;
        StateError::Length {
            expected: read.saturating_add(needed),
            found: self.total as u64,
        }
    }

    /// Checks that at least `bytes` more are there.
    fn at_least(&self, bytes: u64) -> Result<(), StateError> {
        if self.left.len() as u64 >= bytes {
            Ok(())
        } else {
            Err(self.wrong_length(bytes))
        }
    }

    /// Checks that `bytes` more are there, and no others.
    fn expect(&self, bytes: u64) -> Result<(), StateError> {
        if self.left.len() as u64 == bytes {
            Ok(())
        } else {
            Err(self.wrong_length(bytes))
        }
    }

    /// A byte that is 0 or 1.
    fn flag(&mut self, damaged: &'static str) -> Result<bool, StateError> {
        match self.take()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(StateError::Damaged(damaged)),
        }
    }

    fn u32(&mut self) -> Result<u32, StateError> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    /// A box that is not empty and lies inside `width` x `height`.
    fn rect(&mut self, width: u32, height: u32) -> Result<Rect, StateError> {
        let rect = Rect {
            x0: self.u32()?,
            y0: self.u32()?,
            x1: self.u32()?,
            y1: self.u32()?,
        };
        if rect.x0 < rect.x1 && rect.y0 < rect.y1 && rect.x1 <= width && rect.y1 <= height {
            Ok(rect)
        } else {
            Err(StateError::Damaged("a box is empty or leaves the picture"))
        }
    }

    fn seen(&mut self, version: u16) -> Result<SegmenterMemory, StateError> {
        let size = (self.u32()?, self.u32()?);
        if size.0 == 0 || size.1 == 0 {
            return Err(StateError::Damaged("the picture is empty"));
        }
        let grid = Grid::of(size.0, size.1);
        let crop = self.rect(size.0, size.1)?;
        let looked = i64::from_le_bytes(self.take()?);
        let frames_since_look = u16::from_le_bytes(self.take()?);
        let peopled = i64::from_le_bytes(self.take()?);
        let [turn, count] = self.take()?;
        if usize::from(count) > MAX_SMALL_REGIONS {
            return Err(StateError::Damaged("it has too many small regions"));
        }
        let mut small_regions = Vec::new();
        for _ in 0..count {
            let bounds = self.rect(grid.width as u32, grid.height as u32)?;
            small_regions.push(SmallRegion {
                bounds,
                seen: i64::from_le_bytes(self.take()?),
            });
        }
        let (round, persons) = match version {
            VERSION_BEFORE => (0, Vec::new()),
            _ => (self.take::<1>()?[0], self.persons(grid)?),
        };
        let has_plate =
            version != VERSION_BEFORE && self.flag("the room is neither known nor unknown")?;
        let plate_cells = PlateGrid::of(grid).len();
        let plate_bytes = if has_plate {
            plate_cells as u64 * 5 + 11
        } else {
            0
        };
        let cells = grid.len();
        let blocks = Evidence::len(grid);
        if version == VERSION_BEFORE {
            self.expect(cells as u64 * 3)?;
        } else {
            self.at_least(cells as u64 * 5 + blocks as u64 + 13 + plate_bytes)?;
        }
        let focus = Focus {
            crop,
            looked,
            frames_since_look,
            peopled,
            round,
            turn,
            small_regions,
        };
        let (map, rest) = self.left.split_at(cells * 2);
        if version == VERSION_BEFORE {
            self.left = &[];
            let map = map.as_chunks().0.iter().map(|v| u16::from_le_bytes(*v));
            return Ok(SegmenterMemory {
                size,
                focus,
                map: map.collect(),
                colours: Guide {
                    planes: [rest; 3].map(<[u8]>::to_vec),
                },
                evidence: Evidence::everywhere(grid),
                time: looked,
                noise: None,
                persons,
                key: None,
                plate: None,
            });
        }
        let (high, low) = map.split_at(cells);
        let high = sums(high);
        let map = high.iter().zip(low);
        let map = map.map(|(&high, &low)| u16::from_le_bytes([low, high]));
        let (colour_bytes, rest) = rest.split_at(cells * 3);
        let (blocks, rest) = rest.split_at(blocks);
        self.left = rest;
        let time = i64::from_le_bytes(self.take()?);
        let noise = f32::from_le_bytes(self.take()?);
        if !(noise == -1.0 || (0.0..=MOST_NOISE).contains(&noise)) {
            return Err(StateError::Damaged("the noise is impossible"));
        }
        let plate = has_plate.then(|| self.plate(plate_cells)).transpose()?;
        let has_key = self.flag("a key frame is neither there nor not")?;
        let key = has_key.then(|| self.key(grid)).transpose()?;
        Ok(SegmenterMemory {
            size,
            focus,
            map: map.collect(),
            colours: Guide {
                planes: colours(colour_bytes),
            },
            evidence: Evidence {
                blocks: blocks.to_vec(),
            },
            time,
            noise: (noise >= 0.0).then_some(noise),
            persons,
            key,
            plate,
        })
    }

    /// A plate of `cells` cells. Its length is checked already.
    fn plate(&mut self, cells: usize) -> Result<Plate, StateError> {
        let looked = i64::from_le_bytes(self.take()?);
        let [misfits] = self.take()?;
        let gain = u16::from_le_bytes(self.take()?);
        let gains = LEAST_GAIN..=plate::MOST_GAIN;
        let (colour_bytes, rest) = self.left.split_at(3 * cells);
        let (spread, rest) = rest.split_at(cells);
        let (known, rest) = rest.split_at(cells);
        self.left = rest;
        if misfits > MOST_MISFITS
            || !gains.contains(&gain)
            || known.iter().any(|&looks| looks > MOST_KNOWN)
        {
            return Err(StateError::Damaged("the counts of the room are impossible"));
        }
        Ok(Plate {
            colours: colours(colour_bytes),
            spread: spread.to_vec(),
            known: known.to_vec(),
            looked,
            misfits,
            gain,
        })
    }

    fn key(&mut self, grid: Grid) -> Result<KeyFrame, StateError> {
        let frames = u16::from_le_bytes(self.take()?);
        let people = self.u32()?;
        let gain = f32::from_le_bytes(self.take()?);
        if !(0.0..=MOST_GAIN).contains(&gain) {
            return Err(StateError::Damaged("the exposure is impossible"));
        }
        let cells = grid.len();
        self.expect(cells as u64 * 2 + Evidence::len(grid) as u64 * 2)?;
        let (luma, rest) = self.left.split_at(cells);
        let (correction, moves) = rest.split_at(cells);
        self.left = &[];
        let moves = moves.as_chunks().0.iter();
        let moves: Vec<[i8; 2]> = moves.map(|to: &[u8; 2]| to.map(u8::cast_signed)).collect();
        if moves
            .as_flattened()
            .iter()
            .any(|v| v.unsigned_abs() > FARTHEST)
        {
            return Err(StateError::Damaged("a block moved too far"));
        }
        Ok(KeyFrame {
            frames,
            people,
            gain,
            luma: sums(luma),
            correction: correction.iter().map(|v| v.cast_signed()).collect(),
            moves,
        })
    }

    fn persons(&mut self, grid: Grid) -> Result<Vec<TrackedPerson>, StateError> {
        let [count] = self.take()?;
        if usize::from(count) > MAX_PERSONS {
            return Err(StateError::Damaged("it has too many persons"));
        }
        let mut persons = Vec::new();
        for _ in 0..count {
            let bounds = self.rect(grid.width as u32, grid.height as u32)?;
            let is_shown = self.flag("a person is neither shown nor hidden")?;
            let alone = self.u32()?;
            let seen = i64::from_le_bytes(self.take()?);
            let since = i64::from_le_bytes(self.take()?);
            persons.push(TrackedPerson {
                bounds,
                is_shown,
                alone,
                seen,
                larger_since: (since != i64::MIN).then_some(since),
            });
        }
        Ok(persons)
    }
}

/// The difference of each byte from the one before: neighbours are alike, so differences compress
/// well.
fn differences(values: impl Iterator<Item = u8>) -> impl Iterator<Item = u8> {
    let mut before = 0;
    values.map(move |v| v.wrapping_sub(std::mem::replace(&mut before, v)))
}

/// The bytes whose [`differences`] these are.
fn sums(differences: &[u8]) -> Vec<u8> {
    let add = |sum: &mut u8, v: &u8| {
        *sum = sum.wrapping_add(*v);
        Some(*sum)
    };
    differences.iter().scan(0, add).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn state() -> MatteState {
        let grid = Grid::of(40, 30);
        let bounds = Rect {
            x0: 1,
            y0: 2,
            x1: 3,
            y1: 4,
        };
        let focus = Focus {
            crop: Rect {
                x0: 3,
                y0: 0,
                x1: 40,
                y1: 29,
            },
            looked: -7,
            frames_since_look: 3,
            peopled: 99,
            round: 5,
            turn: 1,
            small_regions: vec![SmallRegion {
                bounds,
                seen: 123_456_789_012,
            }],
        };
        let map = (0..grid.len()).map(|i| (i * 53) as u16).collect();
        let plate_cells = PlateGrid::of(grid).len();
        MatteState {
            seen: Some(SegmenterMemory {
                size: (40, 30),
                focus,
                map,
                colours: Guide {
                    planes: [1, 2, 3].map(|k| (0..grid.len()).map(|i| (k * i) as u8).collect()),
                },
                evidence: Evidence {
                    blocks: (0..Evidence::len(grid)).map(|i| i as u8).collect(),
                },
                time: 123,
                noise: Some(1.25),
                persons: [(true, None), (false, Some(-5))]
                    .map(|(is_shown, larger_since)| TrackedPerson {
                        bounds,
                        is_shown,
                        alone: 4,
                        seen: 77,
                        larger_since,
                    })
                    .to_vec(),
                key: Some(KeyFrame {
                    frames: 7,
                    people: 300,
                    gain: 0.5,
                    luma: (0..grid.len()).map(|i| (5 * i) as u8).collect(),
                    correction: (0..grid.len()).map(|i| i as i8).collect(),
                    moves: (0..Evidence::len(grid) as i8).map(|i| [i, -i]).collect(),
                }),
                plate: Some(Plate {
                    colours: [3, 5, 7].map(|k| (0..plate_cells).map(|i| (k * i) as u8).collect()),
                    spread: (0..plate_cells).map(|i| (i / 3) as u8).collect(),
                    known: (0..plate_cells).map(|i| (i % 251) as u8).collect(),
                    looked: -9,
                    misfits: 2,
                    gain: 300,
                }),
            }),
        }
    }

    #[test]
    fn a_state_reads_back_what_it_wrote() {
        for state in [MatteState::default(), state()] {
            assert_eq!(MatteState::from_bytes(&state.to_bytes()), Ok(state));
        }
    }

    #[test]
    fn the_version_before_is_read() {
        let grid = Grid::of(40, 30);
        let new = state().to_bytes();
        let persons = 2 + 2 * 37;
        let key = 10 + 2 * grid.len() + 2 * Evidence::len(grid);
        let plate = 1 + 11 + 5 * PlateGrid::of(grid).len();
        let fixed = grid.len() * 5 + Evidence::len(grid) + 13;
        let end = new.len() - (persons + fixed + plate + key);
        let mut bytes = new[..end].to_vec();
        bytes[4] = 1;
        bytes.extend((0..grid.len()).flat_map(|i| (i as u16).to_le_bytes()));
        bytes.extend((0..grid.len()).map(|i| i as u8));
        let seen = MatteState::from_bytes(&bytes).unwrap().seen.unwrap();
        assert_eq!((seen.map[7], seen.colours.planes[1][7]), (7, 7));
        let focus = Focus {
            round: 0,
            ..state().seen.unwrap().focus
        };
        assert_eq!(seen.focus, focus);
        assert_eq!(seen.noise, None);
        bytes.push(0);
        assert!(MatteState::from_bytes(&bytes).is_err());
    }

    #[test]
    fn every_cut_is_refused() {
        let bytes = state().to_bytes();
        for n in 0..bytes.len() {
            assert!(
                MatteState::from_bytes(&bytes[..n]).is_err(),
                "the first {n} bytes were accepted"
            );
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(
            MatteState::from_bytes(&longer),
            Err(StateError::Length { .. })
        ));
    }

    #[test]
    fn an_impossible_plate_or_key_frame_is_refused() {
        let bytes = state().to_bytes();
        let grid = Grid::of(40, 30);
        let key = bytes.len() - (11 + 2 * grid.len() + 2 * Evidence::len(grid));
        let misfits = key - 5 * PlateGrid::of(grid).len() - 3;
        let moves = bytes.len() - 1;
        for gain in [f32::NAN, f32::INFINITY, -1.0] {
            let mut damaged = bytes.clone();
            damaged[key + 7..key + 11].copy_from_slice(&gain.to_le_bytes());
            let error = MatteState::from_bytes(&damaged).unwrap_err();
            assert_eq!(error, StateError::Damaged("the exposure is impossible"));
        }
        for (at, value) in [
            (key - 1, 251),
            (misfits, MOST_MISFITS + 1),
            // the high byte of the gain
            (misfits + 2, 3),
            (key, 2),
            (moves, FARTHEST + 1),
        ] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            assert!(matches!(
                MatteState::from_bytes(&damaged),
                Err(StateError::Damaged(_))
            ));
        }
    }

    #[test]
    fn other_files_and_other_versions_are_refused() {
        assert_eq!(
            MatteState::from_bytes(b"\x89PNG\r\n\x1a\n"),
            Err(StateError::NotAState)
        );
        let mut bytes = state().to_bytes();
        bytes[4] = 9;
        assert_eq!(MatteState::from_bytes(&bytes), Err(StateError::Version(9)));
    }

    #[test]
    fn a_huge_picture_is_refused_before_anything_is_allocated() {
        let mut bytes = state().to_bytes();
        bytes[7..15].fill(0xff);
        assert!(matches!(
            MatteState::from_bytes(&bytes),
            Err(StateError::Length { .. })
        ));
    }

    proptest! {
        #[test]
        fn changed_bytes_are_refused_or_kept(
            changes in proptest::collection::vec((0usize..180, any::<u8>()), 1..6),
        ) {
            let mut bytes = state().to_bytes();
            for (at, value) in changes {
                bytes[at] = value;
            }
            if let Ok(state) = MatteState::from_bytes(&bytes) {
                prop_assert_eq!(state.to_bytes(), bytes);
            }
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = MatteState::from_bytes(&bytes);
            let _ = MatteState::from_bytes(&[b"MBMS\x02\x00\x01", &bytes[..]].concat());
        }
    }
}
