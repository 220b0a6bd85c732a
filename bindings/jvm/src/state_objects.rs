//! The states of a partition's cameras, as objects beside the query's checkpoint:
//! `<folder>/<topic>/<partition>/<name>`.
//!
//! A task that succeeds creates one object, whole and under its final name, which never changes.
//! Java reads and writes the bytes, on any file system that Hadoop knows; this module decides on
//! the contents of objects, and on those to read and to remove.
//!
//! An object holds the cameras that had records in the task; a full one holds every known camera.
//! An object that is not full adds to the one that ends where it starts. So a reader goes back from
//! its offset, object by object, to the newest full one, and notices a missing or damaged object.
use mattebox_core::frame::CameraId;
use mattebox_store::{CameraState, StoredState};
use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
};
use thiserror::Error;

/// The most cameras with a state. Beyond it, those without records for the longest time are
/// forgotten.
pub(crate) const MAX_STATES: usize = 1024;
/// At least one of so many objects is a full one.
const FULL_EVERY: usize = 50;
const MAGIC: [u8; 4] = *b"MBSO";
const VERSION: u16 = 1;
/// Each driver counts the attempts at its tasks from 0, so that two attempts can have the same
/// number. This number tells executors apart.
static PROCESS: LazyLock<u32> = LazyLock::new(|| RandomState::new().hash_one("process") as u32);

/// The name of an object: `<end>-<attempt>-<process>.full` or `.part`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectName {
    /// The offset after its task's last record.
    end: i64,
    /// The number of the attempt that created it.
    attempt: i64,
    process: u32,
    /// It holds every known camera, and adds to no other object.
    is_full: bool,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ObjectName {
            end,
            attempt,
            process,
            is_full,
        } = self;
        let kind = if *is_full { "full" } else { "part" };
        write!(f, "{end:020}-{attempt}-{process:08x}.{kind}")
    }
}

impl ObjectName {
    /// Reads a name. `None`: the text is no name of an object.
    fn parse(text: &str) -> Option<Self> {
        let (stem, kind) = text.split_once('.')?;
        let mut parts = stem.split('-');
        let name = ObjectName {
            end: parts.next()?.parse().ok()?,
            attempt: parts.next()?.parse().ok()?,
            process: u32::from_str_radix(parts.next()?, 16).ok()?,
            is_full: match kind {
                "full" => true,
                "part" => false,
                _ => return None,
            },
        };
        (parts.next().is_none() && name.to_string() == text).then_some(name)
    }
}

/// The folder of a partition's states, below the folder of all states.
pub(crate) fn folder(root: &str, topic: &str, partition: i32) -> String {
    let only_dots = topic.bytes().all(|byte| byte == b'.');
    let topic = topic.bytes().fold(String::new(), |mut name, byte| {
        let is_safe = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if is_safe || byte == b'.' && !only_dots {
            name.push(byte as char);
        } else {
            name += &format!("%{byte:02x}");
        }
        name
    });
    format!("{}/{topic}/{partition}", root.trim_end_matches('/'))
}

/// Why an object cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
enum ObjectError {
    #[error("it is gone")]
    Gone,
    #[error("it is damaged")]
    Damaged,
    #[error("it has version {0}, this program reads version {VERSION}")]
    Version(u16),
    #[error("it is of another topic of that name ({0})")]
    Topic(String),
}

/// The encoded state of a camera without records in the current task.
#[derive(Debug, Clone, PartialEq, Eq)]
struct IdleCamera {
    /// The end of the last task that had records of it.
    last: i64,
    /// The bytes of a [`CameraState`].
    bytes: Vec<u8>,
}

/// The contents of an object.
#[derive(Debug, PartialEq, Eq)]
struct ObjectContents {
    /// The first offset of the task. An object that is not full adds to one that ends there.
    start: i64,
    cameras: Vec<(CameraId, IdleCamera)>,
}

impl ObjectContents {
    /// `MBSO`, version, the first offset of its task, the topic's identity, the count of cameras;
    /// of each its id, the end of the last task that had it, its state; a CRC-32 of everything
    /// before. Numbers are little-endian, and texts have their length in front.
    fn to_bytes(&self, topic: &str) -> Vec<u8> {
        let size = self.cameras.iter().map(|(_, idle)| idle.bytes.len() + 64);
        let mut bytes = Vec::with_capacity(size.sum::<usize>() + topic.len() + 64);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.start.to_le_bytes());
        part(&mut bytes, topic.as_bytes());
        bytes.extend((self.cameras.len() as u32).to_le_bytes());
        for (camera, idle) in &self.cameras {
            part(&mut bytes, camera.as_str().as_bytes());
            bytes.extend(idle.last.to_le_bytes());
            part(&mut bytes, &idle.bytes);
        }
        let sum = crc32fast::hash(&bytes);
        bytes.extend(sum.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8], topic: &str) -> Result<Self, ObjectError> {
        let damaged = || ObjectError::Damaged;
        let mut reader = ObjectReader(bytes);
        if reader.chunk() != Some(MAGIC) {
            return Err(damaged());
        }
        match u16::from_le_bytes(reader.chunk().ok_or_else(damaged)?) {
            VERSION => {}
            other => return Err(ObjectError::Version(other)),
        }
        let (body, sum) = bytes.split_last_chunk().ok_or_else(damaged)?;
        if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
            return Err(damaged());
        }
        let mut reader = ObjectReader(body.get(MAGIC.len() + 2..).unwrap_or_default());
        let start = reader.number().ok_or_else(damaged)?;
        let of = reader.text().ok_or_else(damaged)?;
        if of != topic {
            return Err(ObjectError::Topic(of.to_owned()));
        }
        let count = reader.length().ok_or_else(damaged)?;
        let cameras: Option<_> = (0..count).map(|_| reader.camera()).collect();
        Ok(ObjectContents {
            start,
            cameras: cameras
                .filter(|_| reader.0.is_empty())
                .ok_or_else(damaged)?,
        })
    }
}

fn part(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend((part.len() as u32).to_le_bytes());
    bytes.extend(part);
}

/// Reads the bytes of [`ObjectContents::to_bytes`].
struct ObjectReader<'a>(&'a [u8]);

impl<'a> ObjectReader<'a> {
    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*chunk)
    }

    fn number(&mut self) -> Option<i64> {
        self.chunk().map(i64::from_le_bytes)
    }

    fn length(&mut self) -> Option<u32> {
        self.chunk().map(u32::from_le_bytes)
    }

    fn part(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.length()?).ok()?;
        let (part, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(part)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.part()?).ok()
    }

    fn camera(&mut self) -> Option<(CameraId, IdleCamera)> {
        let camera = self.text()?.parse().ok()?;
        let last = self.number()?;
        let bytes = self.part()?.to_vec();
        Some((camera, IdleCamera { last, bytes }))
    }
}

/// The objects that are read for a task that begins at an offset without known states.
#[derive(Debug, Default)]
struct ObjectLoading {
    offset: i64,
    /// The objects that may be read, the best one last. They end at or before the offset; a later
    /// end is better, then a full object, then a later attempt. Objects that end after the offset
    /// are of records that are processed again.
    candidates: Vec<ObjectName>,
    /// The end of the next object to read. None: the first one may have any end.
    link: Option<i64>,
    /// The object that was requested.
    at: Option<ObjectName>,
    /// All needed objects are read.
    is_done: bool,
    found: HashMap<CameraId, IdleCamera>,
    /// Objects that cannot be used, and why.
    problems: Vec<String>,
}

impl ObjectLoading {
    /// The next object to read. None: all are read.
    fn next(&mut self) -> Option<String> {
        while !self.is_done
            && let Some(name) = self.candidates.pop()
        {
            match self.link {
                // The needed object is missing, and this one is older.
                Some(link) if name.end < link => break,
                // Another attempt has replaced this one.
                Some(link) if name.end > link => {}
                _ => {
                    self.link = Some(name.end);
                    let text = name.to_string();
                    self.at = Some(name);
                    return Some(text);
                }
            }
        }
        None
    }

    fn read(&mut self, name: ObjectName, bytes: Option<&[u8]>, topic: &str) {
        let contents = bytes
            .ok_or(ObjectError::Gone)
            .and_then(|bytes| ObjectContents::from_bytes(bytes, topic));
        match contents {
            Ok(contents) => {
                for (camera, idle) in contents.cameras {
                    self.found.entry(camera).or_insert(idle);
                }
                self.link = Some(contents.start);
                self.is_done = name.is_full;
            }
            Err(error) => self.problems.push(format!("{name}: {error}")),
        }
    }
}

/// An object to create before Spark hears that its task is done.
#[derive(Debug)]
pub struct StateObject {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// It has to be on the disk before its task is done, if the file system can sync.
    pub sync: bool,
}

impl StateObject {
    /// For `States.java`: whether to sync it, the length of the name, the name, and the object's
    /// bytes. Numbers are big-endian, as Java reads them.
    pub fn pack(&self) -> Vec<u8> {
        let mut packed = Vec::with_capacity(5 + self.name.len() + self.bytes.len());
        packed.push(u8::from(self.sync));
        packed.extend((self.name.len() as u32).to_be_bytes());
        packed.extend(self.name.as_bytes());
        packed.extend(&self.bytes);
        packed
    }
}

/// The states of a partition's cameras in objects.
#[derive(Debug, Default)]
pub(crate) struct StateObjects {
    /// The identity of its topic.
    topic: String,
    /// The folder, for messages.
    folder: String,
    loading: Option<ObjectLoading>,
    /// The encoded states of idle cameras.
    idle: HashMap<CameraId, IdleCamera>,
    /// Objects that this executor has seen or made.
    known: Vec<ObjectName>,
    /// Objects that it created itself, the oldest first.
    own: Vec<ObjectName>,
    /// The number of objects, and of cameras in them, since the last full one. None: there is no
    /// full one yet to which the next could add.
    since_full: Option<(usize, usize)>,
    /// The object that Java is creating.
    pending: Option<(ObjectName, usize)>,
}

impl StateObjects {
    /// Creates one without states. `folder` is for messages only.
    pub(crate) fn new(folder: String, topic: &str) -> Self {
        StateObjects {
            topic: topic.to_owned(),
            folder,
            ..StateObjects::default()
        }
    }

    /// Whether all objects were read for a task that begins at this offset.
    pub(crate) fn has(&self, offset: i64) -> bool {
        let loading = self.loading.as_ref();
        loading.is_some_and(|loading| loading.is_done && loading.offset == offset)
    }

    /// Takes the names of the objects for a task that begins at `offset`. Returns the name of the
    /// first object to read.
    ///
    /// If no object ends there or before, `former` gives the states that an earlier version of the
    /// program has stored.
    pub(crate) fn list<E>(
        &mut self,
        offset: i64,
        names: &[String],
        former: impl FnOnce() -> Result<Vec<(CameraId, i64, Vec<u8>)>, E>,
    ) -> Result<Option<String>, E> {
        self.known = names
            .iter()
            .filter_map(|name| ObjectName::parse(name))
            .collect();
        let mut candidates = self.known.clone();
        candidates.retain(|name| name.end <= offset);
        candidates.sort_by_key(|name| (name.end, name.is_full, name.attempt, name.process));
        let mut loading = ObjectLoading {
            offset,
            ..ObjectLoading::default()
        };
        if candidates.is_empty() {
            let idle = |(camera, last, bytes)| (camera, IdleCamera { last, bytes });
            loading.found = former()?.into_iter().map(idle).collect();
            loading.is_done = true;
        }
        loading.candidates = candidates;
        let next = loading.next();
        self.loading = Some(loading);
        Ok(next)
    }

    /// Takes the bytes of the requested object, None if it is gone. Returns the name of the next
    /// object to read.
    pub(crate) fn read(&mut self, name: &str, bytes: Option<&[u8]>) -> Option<String> {
        let loading = self.loading.as_mut()?;
        // Another attempt may have requested another object in between.
        let at = loading.at.take_if(|at| at.to_string() == name)?;
        loading.read(at, bytes, &self.topic);
        let next = loading.next();
        if next.is_none() {
            let lost = match loading.is_done {
                true => "another object has the same states",
                false => {
                    "cameras without a newer state begin their mattes again, and the journal names \
                     their frames"
                }
            };
            if !loading.is_done && loading.problems.is_empty() {
                let end = loading.link.unwrap_or(loading.offset);
                loading.problems.push(format!(
                    "an object that ends at offset {end} is missing, and {name} adds to it"
                ));
            }
            for problem in &loading.problems {
                // This goes to the executor's log.
                eprintln!(
                    "mattebox: WARN camera states of offset {} in {} cannot be read: {problem}: \
                     {lost}",
                    loading.offset, self.folder
                );
            }
            loading.is_done = true;
        }
        next
    }

    /// The problems of the objects that were read last.
    #[cfg(test)]
    pub(crate) fn problems(&self) -> Vec<String> {
        let loading = self.loading.as_ref();
        loading.map_or_else(Vec::new, |loading| loading.problems.clone())
    }

    /// Begins a task with the states that were read, and forgets everything else.
    pub(crate) fn begin(&mut self) {
        let found = self
            .loading
            .as_mut()
            .map(|it| std::mem::take(&mut it.found));
        self.idle = found.unwrap_or_default();
        self.loading = None;
        self.since_full = None;
        self.pending = None;
        self.forget(MAX_STATES);
    }

    /// Removes and returns the state of a camera, and the end of the last task that had it.
    pub(crate) fn take(&mut self, camera: &CameraId) -> (StoredState, i64) {
        let Some(idle) = self.idle.remove(camera) else {
            return (StoredState::Missing, i64::MIN);
        };
        let state = match CameraState::from_bytes(&idle.bytes) {
            Ok(state) => StoredState::Known(Box::new(state)),
            Err(error) => StoredState::Unreadable {
                problem: format!("{}: {error}", self.folder),
            },
        };
        (state, idle.last)
    }

    /// Stores the state of a camera that is idle now.
    pub(crate) fn put(&mut self, camera: CameraId, state: &CameraState, last: i64) {
        let bytes = state.to_bytes();
        self.idle.insert(camera, IdleCamera { last, bytes });
    }

    /// The object of a task that read the offsets from `start` to before `end`. `decoded` are the
    /// cameras whose states are decoded: their states, the ends of the last tasks that had them,
    /// and whether this task had them.
    pub(crate) fn object<'a>(
        &mut self,
        attempt: i64,
        (start, end): (i64, i64),
        decoded: impl Iterator<Item = (&'a CameraId, &'a CameraState, i64, bool)> + Clone,
    ) -> (String, Vec<u8>) {
        let there = decoded.clone().count();
        self.forget(MAX_STATES.saturating_sub(there));
        let all = there + self.idle.len();
        let touched = decoded.clone().filter(|(.., touched)| *touched).count();
        let is_full = touched == all
            || self.since_full.is_none_or(|(objects, cameras)| {
                objects + 1 >= FULL_EVERY || cameras + touched > all
            });
        let mut cameras: Vec<(CameraId, IdleCamera)> = decoded
            .filter(|(.., touched)| is_full || *touched)
            .map(|(camera, state, last, _)| {
                let bytes = state.to_bytes();
                (camera.clone(), IdleCamera { last, bytes })
            })
            .collect();
        if is_full {
            let idle = self.idle.iter();
            cameras.extend(idle.map(|(camera, idle)| (camera.clone(), idle.clone())));
        }
        cameras.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
        let name = ObjectName {
            end,
            attempt,
            process: *PROCESS,
            is_full,
        };
        let text = name.to_string();
        self.pending = Some((name, touched));
        (
            text,
            ObjectContents { start, cameras }.to_bytes(&self.topic),
        )
    }

    /// Notes that the object exists. Spark never goes back before `oldest`, if that is known.
    /// Returns the names of the objects that no task can need any more.
    pub(crate) fn stored(&mut self, oldest: Option<i64>) -> Vec<String> {
        let Some((name, touched)) = self.pending.take() else {
            return Vec::new();
        };
        self.since_full = match self.since_full {
            Some((objects, cameras)) if !name.is_full => Some((objects + 1, cameras + touched)),
            _ => Some((0, 0)),
        };
        self.known.push(name.clone());
        self.own.push(name);
        // Only for its own objects this executor knows for certain which add to which.
        let full = oldest.and_then(|oldest| {
            let own = self.own.iter();
            own.filter(|name| name.is_full && name.end <= oldest)
                .map(|name| name.end)
                .max()
        });
        let Some(full) = full else {
            return Vec::new();
        };
        self.own.retain(|name| name.end >= full);
        let known = std::mem::take(&mut self.known).into_iter();
        let (old, kept): (Vec<_>, Vec<_>) = known.partition(|name| name.end < full);
        self.known = kept;
        old.iter().map(ObjectName::to_string).collect()
    }

    /// Keeps the states of at most `most` idle cameras, those that had records last.
    fn forget(&mut self, most: usize) {
        let Some(more) = self.idle.len().checked_sub(most).filter(|more| *more > 0) else {
            return;
        };
        let mut ages: Vec<_> = self.idle.iter().map(|(id, idle)| (idle.last, id)).collect();
        ages.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.as_str().cmp(y.as_str())));
        let forgotten: Vec<CameraId> = ages[..more].iter().map(|(_, id)| (*id).clone()).collect();
        for camera in &forgotten {
            self.idle.remove(camera);
        }
        // This goes to the executor's log.
        eprintln!(
            "mattebox: WARN {}: the states of {more} cameras that have been idle longest are \
             forgotten, since there are more than \
             {MAX_STATES} cameras; if they come back their mattes begin again: {} and others",
            self.folder, forgotten[0]
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_objects_records_and_sorts_by_them() {
        let name = ObjectName {
            end: 1234,
            attempt: 17,
            process: 0xAB,
            is_full: true,
        };
        assert_eq!(name.to_string(), "00000000000000001234-17-000000ab.full");
        assert_eq!(ObjectName::parse(&name.to_string()), Some(name));
        for other in [
            "",
            "1234-17-000000ab.full",
            "00000000000000001234-17-000000ab.none",
            "00000000000000001234-17-000000ab.full.part",
            "00000000000000001234-17-000000ab-1.full",
            ".00000000000000001234-17-000000ab.full.crc",
            "00000000000000001234-17.full",
        ] {
            assert!(ObjectName::parse(other).is_none(), "{other}");
        }
    }

    #[test]
    fn no_topic_leads_out_of_the_folder() {
        assert_eq!(folder("s3a://b/c/", "a.b_c-d", 7), "s3a://b/c/a.b_c-d/7");
        assert_eq!(folder("/c", "..", 0), "/c/%2e%2e/0");
        assert_eq!(folder("/c", "../a:b", 0), "/c/..%2fa%3ab/0");
    }

    #[test]
    fn contents_are_read_back_and_damage_is_noticed() {
        let camera = |id: &str, last, bytes: &[u8]| {
            let bytes = bytes.to_vec();
            (id.parse().unwrap(), IdleCamera { last, bytes })
        };
        let contents = ObjectContents {
            start: 5,
            cameras: vec![camera("a", 9, b"state"), camera("b", i64::MIN, b"")],
        };
        let bytes = contents.to_bytes("t");
        assert_eq!(ObjectContents::from_bytes(&bytes, "t").unwrap(), contents);
        assert_eq!(
            ObjectContents::from_bytes(&bytes, "u"),
            Err(ObjectError::Topic("t".to_owned()))
        );
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(
                ObjectContents::from_bytes(&changed, "t").is_err(),
                "byte {at}"
            );
            let cut = &bytes[..at];
            assert!(ObjectContents::from_bytes(cut, "t").is_err(), "{at} bytes");
        }
        let mut later = bytes;
        later[4] = 2;
        assert_eq!(
            ObjectContents::from_bytes(&later, "t"),
            Err(ObjectError::Version(2))
        );
    }

    #[test]
    fn the_cameras_that_have_been_idle_longest_are_forgotten() {
        let mut objects = StateObjects::new("f".to_owned(), "t");
        let states = (0..MAX_STATES as i64 + 3).map(|n| {
            let camera = format!("cam{n}").parse().unwrap();
            (camera, n, Vec::new())
        });
        let states: Vec<_> = states.collect();
        let next = objects.list(5, &[], || Ok::<_, ()>(states));
        assert_eq!(next, Ok(None));
        assert!(objects.has(5) && !objects.has(6));
        objects.begin();
        assert_eq!(objects.idle.len(), MAX_STATES);
        assert!((0..3).all(|n| {
            !objects
                .idle
                .contains_key(&format!("cam{n}").parse().unwrap())
        }));
    }
}
