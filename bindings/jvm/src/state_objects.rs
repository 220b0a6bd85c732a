//! What is remembered of a partition's cameras, as objects beside the query's checkpoint:
//! `<folder>/<topic>/<partition>/<name>`.
//!
//! A task that ends well leaves one object, which is created whole under its own name and never
//! changed. Java moves its bytes, on any file system that Hadoop knows; what is in them, and which
//! of them are read and removed, is decided here.
//!
//! The object holds the cameras that had records in the task (a full one: every camera that is
//! known). One that is not full adds to the object that ends where it starts. So a reader goes back
//! from the place where it begins to the newest full object, link by link, and notices when a link
//! is missing or damaged.
use mattebox_core::frame::CameraId;
use mattebox_store::{CameraState, StoredState};
use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    str::FromStr,
    sync::LazyLock,
};
use thiserror::Error;

/// Cameras that are remembered, at most: those that have been quiet longest are forgotten beyond
/// that.
pub(crate) const MAX_REMEMBERED: usize = 1024;
/// Every object of so many is a full one, at least.
const FULL_EVERY: usize = 50;
const MAGIC: [u8; 4] = *b"MBSO";
const VERSION: u16 = 1;
/// Each driver counts the attempts at its tasks from 0, so that two of them can have the same
/// number: this tells executors apart.
static PROCESS: LazyLock<u32> = LazyLock::new(|| RandomState::new().hash_one("process") as u32);

/// What an object is called: `<end>-<attempt>-<process>.full` or `.part`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectName {
    /// The offset behind the last record that it stands for.
    end: i64,
    /// The number of the attempt at the task that made it.
    attempt: i64,
    process: u32,
    /// It holds every camera that is known, and adds to no other object.
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

impl FromStr for ObjectName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let parse = || {
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
        };
        parse().ok_or(())
    }
}

/// The folder of a partition below that of all states.
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

/// A camera that has no frames at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct QuietCamera {
    /// The end of the last task in which it had records.
    last: i64,
    /// Of a [`CameraState`].
    bytes: Vec<u8>,
}

/// What is in an object.
#[derive(Debug, PartialEq, Eq)]
struct ObjectContents {
    /// Where the task began. One that is not full adds to an object that ends there.
    start: i64,
    cameras: Vec<(CameraId, QuietCamera)>,
}

impl ObjectContents {
    /// `MBSO`, version, where its task began, what its topic is known by, the count of cameras; of
    /// each its id, the end of the last task that had it, its state; a CRC-32 of everything before.
    /// Numbers are little-endian, and texts have their length in front.
    fn to_bytes(&self, topic: &str) -> Vec<u8> {
        let size = self.cameras.iter().map(|(_, quiet)| quiet.bytes.len() + 64);
        let mut bytes = Vec::with_capacity(size.sum::<usize>() + topic.len() + 64);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.start.to_le_bytes());
        part(&mut bytes, topic.as_bytes());
        bytes.extend((self.cameras.len() as u32).to_le_bytes());
        for (camera, quiet) in &self.cameras {
            part(&mut bytes, camera.as_str().as_bytes());
            bytes.extend(quiet.last.to_le_bytes());
            part(&mut bytes, &quiet.bytes);
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

/// Reads what [`ObjectContents::to_bytes`] wrote.
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

    fn camera(&mut self) -> Option<(CameraId, QuietCamera)> {
        let camera = self.text()?.parse().ok()?;
        let last = self.number()?;
        let bytes = self.part()?.to_vec();
        Some((camera, QuietCamera { last, bytes }))
    }
}

/// Objects that are being read, for a task that begins at an offset which this executor does not
/// know.
#[derive(Debug, Default)]
struct ObjectLoading {
    offset: i64,
    /// Those that may be read, the best one last: they end at or before the offset, later ends
    /// count more, and of those with one end the full ones, then later attempts. Objects that end
    /// behind the offset stand for work that is done again.
    candidates: Vec<ObjectName>,
    /// Where the object has to end that is looked for. None: the first one may end anywhere.
    link: Option<i64>,
    /// The one that is being read.
    at: Option<ObjectName>,
    /// All that is needed was read.
    is_done: bool,
    found: HashMap<CameraId, QuietCamera>,
    /// Objects that cannot be used, and why.
    problems: Vec<String>,
}

impl ObjectLoading {
    /// The next one to read. None: it is done.
    fn next(&mut self) -> Option<String> {
        while !self.is_done
            && let Some(name) = self.candidates.pop()
        {
            match self.link {
                // It is older than what was looked for: nothing is known of the time between.
                Some(link) if name.end < link => break,
                // An attempt that others have replaced.
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
                for (camera, quiet) in contents.cameras {
                    self.found.entry(camera).or_insert(quiet);
                }
                self.link = Some(contents.start);
                self.is_done = name.is_full;
            }
            Err(error) => self.problems.push(format!("{name}: {error}")),
        }
    }
}

/// An object to create, before Spark hears that its task is done.
#[derive(Debug)]
pub struct StateObject {
    /// What it is to be called.
    pub name: String,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// It is to be on the disk before its task is done, where the file system can say so.
    pub sync: bool,
}

impl StateObject {
    /// For `States.java`: whether it is to be synced, the length of the name, the name, and what
    /// the object holds. Numbers are big-endian, as Java reads them.
    pub fn pack(&self) -> Vec<u8> {
        let mut packed = Vec::with_capacity(5 + self.name.len() + self.bytes.len());
        packed.push(u8::from(self.sync));
        packed.extend((self.name.len() as u32).to_be_bytes());
        packed.extend(self.name.as_bytes());
        packed.extend(&self.bytes);
        packed
    }
}

/// What is remembered of a partition's cameras in objects.
#[derive(Debug, Default)]
pub(crate) struct StateObjects {
    /// What its topic is known by.
    topic: String,
    /// Where they are, for people.
    folder: String,
    loading: Option<ObjectLoading>,
    /// Cameras that are not at hand.
    quiet: HashMap<CameraId, QuietCamera>,
    /// Objects that this executor has seen or made.
    known: Vec<ObjectName>,
    /// Those that it made itself, the oldest first.
    own: Vec<ObjectName>,
    /// Objects and cameras in them since the last full one; None: there is none yet that the next
    /// one could add to.
    since_full: Option<(usize, usize)>,
    /// It is being created.
    pending: Option<(ObjectName, usize)>,
}

impl StateObjects {
    /// Those in a folder, which is named to people only.
    pub(crate) fn new(folder: String, topic: &str) -> Self {
        StateObjects {
            topic: topic.to_owned(),
            folder,
            ..StateObjects::default()
        }
    }

    /// Whether everything was read that a task needs which begins at this offset.
    pub(crate) fn has(&self, offset: i64) -> bool {
        let loading = self.loading.as_ref();
        loading.is_some_and(|loading| loading.is_done && loading.offset == offset)
    }

    /// A task begins at `offset`, and these objects are there. Returns the name of the first to
    /// read.
    ///
    /// Where none is for that place or before it, `former` gives what an earlier version of the
    /// program has stored.
    pub(crate) fn list<E>(
        &mut self,
        offset: i64,
        names: &[String],
        former: impl FnOnce() -> Result<Vec<(CameraId, i64, Vec<u8>)>, E>,
    ) -> Result<Option<String>, E> {
        self.known = names.iter().filter_map(|name| name.parse().ok()).collect();
        let mut candidates = self.known.clone();
        candidates.retain(|name| name.end <= offset);
        candidates.sort_by_key(|name| (name.end, name.is_full, name.attempt, name.process));
        let mut loading = ObjectLoading {
            offset,
            ..ObjectLoading::default()
        };
        if candidates.is_empty() {
            let quiet = |(camera, last, bytes)| (camera, QuietCamera { last, bytes });
            loading.found = former()?.into_iter().map(quiet).collect();
            loading.is_done = true;
        }
        loading.candidates = candidates;
        let next = loading.next();
        self.loading = Some(loading);
        Ok(next)
    }

    /// The bytes of an object that was asked for, None where it is gone. Returns the name of the
    /// next.
    pub(crate) fn read(&mut self, name: &str, bytes: Option<&[u8]>) -> Option<String> {
        let loading = self.loading.as_mut()?;
        // Another attempt may have asked for another one in between.
        let at = loading.at.take_if(|at| at.to_string() == name)?;
        loading.read(at, bytes, &self.topic);
        let next = loading.next();
        if next.is_none() {
            let lost = match loading.is_done {
                true => "another object has the same states",
                false => {
                    "cameras without a newer state begin their mattes again, and their frames are \
                     named as the journal says"
                }
            };
            if !loading.is_done && loading.problems.is_empty() {
                let end = loading.link.unwrap_or(loading.offset);
                loading.problems.push(format!(
                    "an object that ends at offset {end} is missing, and {name} adds to it"
                ));
            }
            for problem in &loading.problems {
                // It goes to the executor's log.
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

    /// What is wrong with the objects that were read last.
    #[cfg(test)]
    pub(crate) fn problems(&self) -> Vec<String> {
        let loading = self.loading.as_ref();
        loading.map_or_else(Vec::new, |loading| loading.problems.clone())
    }

    /// A task begins with what was read, and everything else is forgotten.
    pub(crate) fn begin(&mut self) {
        let found = self
            .loading
            .as_mut()
            .map(|it| std::mem::take(&mut it.found));
        self.quiet = found.unwrap_or_default();
        self.loading = None;
        self.since_full = None;
        self.pending = None;
        self.forget(MAX_REMEMBERED);
    }

    /// What is remembered of a camera, and the end of the last task that had it. From now on the
    /// camera is at hand.
    pub(crate) fn take(&mut self, camera: &CameraId) -> (StoredState, i64) {
        let Some(quiet) = self.quiet.remove(camera) else {
            return (StoredState::Missing, i64::MIN);
        };
        let state = match CameraState::from_bytes(&quiet.bytes) {
            Ok(state) => StoredState::Known(Box::new(state)),
            Err(error) => StoredState::Unreadable {
                problem: format!("{}: {error}", self.folder),
            },
        };
        (state, quiet.last)
    }

    /// The camera is at hand no more.
    pub(crate) fn put(&mut self, camera: CameraId, state: &CameraState, last: i64) {
        let bytes = state.to_bytes();
        self.quiet.insert(camera, QuietCamera { last, bytes });
    }

    /// The object of a task that read from `start` to before `end`. `at_hand` are the cameras at
    /// hand: their states, the ends of the last tasks that had them, and whether this one had them.
    pub(crate) fn object<'a>(
        &mut self,
        attempt: i64,
        (start, end): (i64, i64),
        at_hand: impl Iterator<Item = (&'a CameraId, &'a CameraState, i64, bool)> + Clone,
    ) -> (String, Vec<u8>) {
        let there = at_hand.clone().count();
        self.forget(MAX_REMEMBERED.saturating_sub(there));
        let all = there + self.quiet.len();
        let touched = at_hand.clone().filter(|(.., touched)| *touched).count();
        let is_full = touched == all
            || self.since_full.is_none_or(|(objects, cameras)| {
                objects + 1 >= FULL_EVERY || cameras + touched > all
            });
        let mut cameras: Vec<(CameraId, QuietCamera)> = at_hand
            .filter(|(.., touched)| is_full || *touched)
            .map(|(camera, state, last, _)| {
                let bytes = state.to_bytes();
                (camera.clone(), QuietCamera { last, bytes })
            })
            .collect();
        if is_full {
            let quiet = self.quiet.iter();
            cameras.extend(quiet.map(|(camera, quiet)| (camera.clone(), quiet.clone())));
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

    /// The object is created. Spark goes back to no place before `oldest`, where that is known;
    /// returns the names of those that nobody can need any more.
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
        // Only of its own objects is it known for sure which of them add to which.
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

    /// Keeps so many quiet cameras, those that had records last.
    fn forget(&mut self, most: usize) {
        let Some(more) = self.quiet.len().checked_sub(most).filter(|more| *more > 0) else {
            return;
        };
        let mut ages: Vec<_> = self
            .quiet
            .iter()
            .map(|(id, quiet)| (quiet.last, id))
            .collect();
        ages.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.as_str().cmp(y.as_str())));
        let forgotten: Vec<CameraId> = ages[..more].iter().map(|(_, id)| (*id).clone()).collect();
        for camera in &forgotten {
            self.quiet.remove(camera);
        }
        // It goes to the executor's log.
        eprintln!(
            "mattebox: WARN {}: the states of {more} cameras that have been quiet longest are \
             forgotten, since there are more than \
             {MAX_REMEMBERED} cameras; if they come back their mattes begin again: {} and others",
            self.folder, forgotten[0]
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_the_object_stands_for_and_sorts_by_that() {
        let name = ObjectName {
            end: 1234,
            attempt: 17,
            process: 0xAB,
            is_full: true,
        };
        assert_eq!(name.to_string(), "00000000000000001234-17-000000ab.full");
        assert_eq!(name.to_string().parse(), Ok(name));
        for other in [
            "",
            "1234-17-000000ab.full",
            "00000000000000001234-17-000000ab.none",
            "00000000000000001234-17-000000ab.full.part",
            "00000000000000001234-17-000000ab-1.full",
            ".00000000000000001234-17-000000ab.full.crc",
            "00000000000000001234-17.full",
        ] {
            assert!(other.parse::<ObjectName>().is_err(), "{other}");
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
            (id.parse().unwrap(), QuietCamera { last, bytes })
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
    fn the_cameras_that_have_been_quiet_longest_are_forgotten() {
        let mut objects = StateObjects::new("f".to_owned(), "t");
        let states = (0..MAX_REMEMBERED as i64 + 3).map(|n| {
            let camera = format!("cam{n}").parse().unwrap();
            (camera, n, Vec::new())
        });
        let states: Vec<_> = states.collect();
        let next = objects.list(5, &[], || Ok::<_, ()>(states));
        assert_eq!(next, Ok(None));
        assert!(objects.has(5) && !objects.has(6));
        objects.begin();
        assert_eq!(objects.quiet.len(), MAX_REMEMBERED);
        assert!((0..3).all(|n| {
            !objects
                .quiet
                .contains_key(&format!("cam{n}").parse().unwrap())
        }));
    }
}
