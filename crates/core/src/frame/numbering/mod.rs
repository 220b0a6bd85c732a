//! The name of a frame: the number of its file, decided by the order of the log alone.
//!
//! A camera may start its count again, its topic may be deleted and created again, two cameras may
//! have one id: still, a name must never stand for two frames. A name is the camera's own number
//! plus the base of its session. A session gets its base with its first good record, and reserves a
//! block of names in a journal before its first file is written. `docs/design/identity.md` shows
//! that this is enough.
//!
//! # Layout
//!
//! * `session`: the key of a session, its blocks of names, and its used numbers.
//! * here: [`Numbering`], which gives each record its name.
//! * `bytes`: writes and reads a numbering as bytes.
mod bytes;
mod session;

pub use bytes::NumberingError;
pub use session::{Block, SessionKey};

use super::FrameNumber;
use session::Session;
use std::collections::VecDeque;

/// The highest number that a camera may give a frame.
pub const MAX_NUMBER: u64 = 1 << 48;
/// A number further above the last one is not believed until another one near it follows.
pub const MAX_JUMP: u64 = 1_000_000;
/// How many names a session's first block has.
pub const BLOCK: u64 = 10_000;
/// How many names a block has below its session's first one, for frames that arrive out of order.
const ROOM_BELOW: u64 = 64;
/// Records without a session that are remembered, to recognise repeated deliveries.
const MAX_RECENT: usize = 1024;
/// Sessions of a camera that are remembered.
const MAX_SESSIONS: usize = 8;
/// The number of records among which new sessions are counted.
const SHARED_WINDOW: u64 = 256;
/// With this many new sessions among them, two cameras have one id.
const MAX_SUSPICIOUS: usize = 8;

/// A record's facts about its frame, and its place in the log.
#[derive(Debug, Clone, Copy)]
pub struct RecordIdentity<'a> {
    /// The camera's own number.
    pub number: u64,
    /// The session that the record names.
    pub session: Option<&'a str>,
    /// A hash of the record's number, time and value: equal for a repeated delivery.
    pub fingerprint: u64,
    /// The id of the topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// The result of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NumberingStep {
    /// The frame follows the camera's earlier ones.
    Next(FrameNumber),
    /// It is the first frame of a new session.
    Began(FrameNumber),
    /// It arrives after frames with higher numbers.
    Late(FrameNumber),
    /// The record repeats an earlier one. The name is that of its frame, if it is known.
    Repeated(Option<FrameNumber>),
    /// The record gets no name: it is a dead letter.
    Refused(NumberingRefusal),
    /// The journal has to reserve names first: [`Numbering::reserved`].
    Reserve(Reserve),
}

/// Why a record gets no name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberingRefusal {
    /// For programs: one of the codes in docs/ref/wire.md.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

/// A numbering's request to the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserve {
    /// The session.
    pub key: SessionKey,
    /// The camera's number that needs a name.
    pub number: u64,
    /// The base of the camera's session before: it stays if the name then is free.
    pub base: Option<i64>,
    /// The sessions that this numbering knows may have used any name below it.
    pub used: u64,
    /// The sessions that the numbering knows. If no other partition has frames of a session, its
    /// block may end at `used`.
    pub own: Vec<SessionKey>,
    /// The partition whose frames are named, with the topic's id.
    pub by: String,
    /// The newest session that the numbering knows.
    pub newest: Option<SessionKey>,
    /// No session of the camera is known. If the journal has one that began at an earlier offset of
    /// the partition, that session continues.
    pub is_lost: bool,
}

/// The journal's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// The session that has the block. With [`Reserve::is_lost`] it may be another one than the
    /// requested one: the session in the journal that continues.
    pub key: SessionKey,
    /// The blocks of the session.
    pub blocks: Vec<Block>,
    /// In the journal, the session began before the newest one that the numbering knows.
    pub is_older: bool,
}

/// How one camera's frames in one partition are named. Only the records of the log change it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbering {
    /// Sessions, the newest last.
    sessions: Vec<Session>,
    /// The base of the newest session, also if an earlier version of this program named it.
    base: Option<i64>,
    /// Above every used name.
    used: u64,
    /// Fingerprints of the last records without session, the newest last.
    recent: VecDeque<u64>,
    /// How many remembered records belong to the newest session.
    fresh: u64,
    /// The number of records, for `suspicious`.
    records: u64,
    /// The values of `records` at new sessions that look like a second camera.
    suspicious: VecDeque<u64>,
    /// If above 0, two cameras have this id: new sessions are refused until this many more records
    /// of one session arrive in a row.
    shared: u64,
    /// Records that were refused in a row for this reason.
    refused: u64,
}

impl Numbering {
    /// Continues after another program has named frames. It added `base` to the camera's numbers,
    /// and may have used every name below `used`.
    pub fn resumed(base: i64, used: u64) -> Self {
        Numbering {
            base: Some(base),
            used,
            ..Numbering::default()
        }
    }

    /// Above every used name.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Whether records of two cameras seem to have this id.
    pub fn is_shared(&self) -> bool {
        self.shared > 0
    }

    /// The sessions that are known, the newest last.
    pub fn sessions(&self) -> Vec<SessionKey> {
        self.sessions.iter().map(|s| s.key.clone()).collect()
    }

    /// Names a record. Call it in the order of the log, and only for records whose picture can be
    /// decoded.
    pub fn step(&mut self, record: &RecordIdentity<'_>) -> NumberingStep {
        if record.number > MAX_NUMBER {
            return refuse(
                "implausible-number",
                format!("frame number {} is above 2^48", record.number),
            );
        }
        match record.session {
            Some(name) => self.named(record, name),
            None => self.inferred(record),
        }
    }

    fn named(&mut self, record: &RecordIdentity<'_>, name: &str) -> NumberingStep {
        let is_key = |s: &Session| matches!(&s.key, SessionKey::Named(key) if key == name);
        let Some(at) = self.sessions.iter().rposition(is_key) else {
            return self.reserve(SessionKey::Named(name.to_owned()), record);
        };
        if at + 1 < self.sessions.len() {
            return self.older(at, record.number);
        }
        let session = &self.sessions[at];
        if session.used.contains(record.number) {
            return NumberingStep::Repeated(session.name(record.number).map(FrameNumber));
        }
        if session.last().is_none_or(|last| record.number > last) {
            return self.follow(record);
        }
        if record.number < session.used.floor() {
            return refuse(
                "too-late",
                format!(
                    "frame {} of session {name} comes too long after frame {}",
                    record.number,
                    session.last().unwrap_or_default()
                ),
            );
        }
        match session.name(record.number) {
            Some(name) => self.late(at, record.number, name),
            None => NumberingStep::Reserve(self.want(session.key.clone(), record)),
        }
    }

    fn inferred(&mut self, record: &RecordIdentity<'_>) -> NumberingStep {
        let at = self.sessions.len().wrapping_sub(1);
        let current = self
            .sessions
            .last()
            .filter(|session| session.key.is_in(record.topic, record.partition));
        let mut newest_first = self.recent.iter().rev();
        if let Some(back) = newest_first.position(|f| *f == record.fingerprint) {
            // The name of an earlier session's record is no longer known.
            let session = current.filter(|_| back < self.fresh as usize);
            let name = session.and_then(|session| session.name(record.number));
            return NumberingStep::Repeated(name.map(FrameNumber));
        }
        let key = SessionKey::Inferred {
            topic: record.topic.to_owned(),
            partition: record.partition,
            offset: record.offset,
        };
        let Some(session) = current else {
            return self.reserve(key, record);
        };
        if session.last().is_none_or(|last| record.number > last) {
            return self.follow(record);
        }
        let fills_gap = !session.used.contains(record.number)
            && record.number >= session.used.floor()
            && session.used.lowest().is_some_and(|n| n < record.number);
        match session.name(record.number) {
            Some(name) if fills_gap => {
                self.remember(record.fingerprint);
                self.late(at, record.number, name)
            }
            None if fills_gap => NumberingStep::Reserve(self.want(session.key.clone(), record)),
            _ => self.reserve(key, record),
        }
    }

    /// A number above the last one of the newest session.
    fn follow(&mut self, record: &RecordIdentity<'_>) -> NumberingStep {
        let Some(session) = self.sessions.last_mut() else {
            return refuse("implausible-number", "the camera has no session".to_owned());
        };
        let last = session.last().unwrap_or(record.number);
        let near = |from: u64| record.number > from && record.number - from <= MAX_JUMP;
        if record.number - last > MAX_JUMP && !session.far.is_some_and(near) {
            session.far = Some(record.number);
            return refuse(
                "implausible-number",
                format!(
                    "frame number {} is more than {MAX_JUMP} above the last one, {last}",
                    record.number
                ),
            );
        }
        let Some(name) = session.name(record.number) else {
            let key = session.key.clone();
            return NumberingStep::Reserve(self.want(key, record));
        };
        if record.session.is_none() {
            self.remember(record.fingerprint);
        }
        self.take(record.number, name);
        NumberingStep::Next(FrameNumber(name))
    }

    /// A record of an earlier session.
    fn older(&mut self, at: usize, number: u64) -> NumberingStep {
        let session = &self.sessions[at];
        let newest = &self.sessions[self.sessions.len() - 1];
        if session.used.contains(number) {
            return NumberingStep::Repeated(session.name(number).map(FrameNumber));
        }
        let next = &self.sessions[at + 1].blocks;
        let limit = next.iter().map(|b| b.start).min().unwrap_or(0);
        match session.name(number).filter(|name| *name < limit) {
            Some(name) if number >= session.used.floor() => self.late(at, number, name),
            _ => refuse(
                "session-superseded",
                format!(
                    "its session ({}) ended when session {} of the same camera began: do two \
                     cameras have one id?",
                    session.key, newest.key
                ),
            ),
        }
    }

    fn late(&mut self, at: usize, number: u64, name: u64) -> NumberingStep {
        self.count();
        if let Some(session) = self.sessions.get_mut(at) {
            session.used.insert(number);
        }
        self.used = self.used.max(name + 1);
        NumberingStep::Late(FrameNumber(name))
    }

    /// A record of the newest session that follows the ones before it.
    fn take(&mut self, number: u64, name: u64) {
        self.count();
        if let Some(session) = self.sessions.last_mut() {
            session.used.insert(number);
            session.far = None;
        }
        self.used = self.used.max(name + 1);
    }

    fn count(&mut self) {
        self.records += 1;
        self.refused = 0;
        self.shared = self.shared.saturating_sub(1);
    }

    fn remember(&mut self, fingerprint: u64) {
        if self.recent.len() >= MAX_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(fingerprint);
        self.fresh += 1;
    }

    /// Requests a block for a new session, or for one that only the journal knows.
    fn reserve(&mut self, key: SessionKey, record: &RecordIdentity<'_>) -> NumberingStep {
        if matches!(key, SessionKey::Inferred { .. }) && self.seems_shared(record.number) {
            return refuse(
                "camera-id-shared",
                "records of two cameras seem to have this camera id: give each camera its own id"
                    .to_owned(),
            );
        }
        NumberingStep::Reserve(self.want(key, record))
    }

    fn want(&self, key: SessionKey, record: &RecordIdentity<'_>) -> Reserve {
        Reserve {
            key,
            number: record.number,
            base: self.base,
            used: self.used,
            own: self.sessions(),
            by: partition_key(record.topic, record.partition),
            newest: self.sessions.last().map(|session| session.key.clone()),
            is_lost: self.sessions.is_empty(),
        }
    }

    /// Whether another session without a name would be one too many. A camera that restarts begins
    /// with the same number each time. Where two cameras share an id, each new session begins with
    /// a higher one.
    fn seems_shared(&mut self, number: u64) -> bool {
        if self.sessions.last().is_none_or(|s| number <= s.first) {
            return false;
        }
        if self.shared > 0 {
            self.shared = SHARED_WINDOW;
            self.refused += 1;
            // Neither session continues: this is one camera that has restarted.
            if self.refused <= SHARED_WINDOW {
                return true;
            }
            self.shared = 0;
            self.refused = 0;
            return false;
        }
        let records = self.records;
        self.suspicious.retain(|at| at + SHARED_WINDOW > records);
        if self.suspicious.len() >= MAX_SUSPICIOUS {
            self.suspicious.clear();
            self.shared = SHARED_WINDOW;
            return true;
        }
        self.suspicious.push_back(records);
        false
    }

    /// Names a record after the journal has reserved a block for its session.
    pub fn reserved(&mut self, record: &RecordIdentity<'_>, reserved: Reserved) -> NumberingStep {
        let Reserved {
            key,
            blocks,
            is_older,
        } = reserved;
        if is_older && !self.sessions.is_empty() {
            let at = self.sessions.len() - 1;
            let session = Session::new(key, record.number, blocks);
            self.sessions.insert(at, session);
            self.forget_old();
            return self.older(self.sessions.len() - 2, record.number);
        }
        let block = Block::of(&blocks, record.number).copied();
        let Some((block, name)) = block.and_then(|b| Some((b, b.name(record.number)?))) else {
            return refuse(
                "implausible-number",
                format!("frame number {} gets no name", record.number),
            );
        };
        let goes_on = self.sessions.last().is_some_and(|s| s.key == key);
        if goes_on {
            if let Some(session) = self.sessions.last_mut() {
                session.set_blocks(blocks);
                if session.last().is_some_and(|last| record.number < last) {
                    if record.session.is_none() {
                        self.remember(record.fingerprint);
                    }
                    return self.late(self.sessions.len() - 1, record.number, name);
                }
            }
        } else {
            let first = record.number;
            self.sessions.push(Session::new(key, first, blocks));
            self.forget_old();
            self.fresh = 0;
        }
        if record.session.is_none() {
            self.remember(record.fingerprint);
        }
        self.base = Some(block.base);
        let is_first = self.sessions.len() == 1;
        self.take(record.number, name);
        if goes_on || is_first {
            NumberingStep::Next(FrameNumber(name))
        } else {
            NumberingStep::Began(FrameNumber(name))
        }
    }

    /// Takes over the blocks in the journal: `journal` gives those of a session. Returns the blocks
    /// of sessions that the journal does not have.
    pub fn refresh(
        &mut self,
        journal: impl Fn(&SessionKey) -> Vec<Block>,
    ) -> Vec<(SessionKey, Block)> {
        let mut missing = Vec::new();
        for session in &mut self.sessions {
            let known = journal(&session.key);
            if known.is_empty() {
                let blocks = session.blocks.iter();
                missing.extend(blocks.map(|block| (session.key.clone(), *block)));
            } else {
                session.set_blocks(known);
            }
        }
        missing
    }

    fn forget_old(&mut self) {
        if self.sessions.len() > MAX_SESSIONS {
            self.sessions.remove(0);
        }
    }
}

impl Reserve {
    /// A block for the number, if the names from `highest` on are free. The first block of a
    /// session has room for lower numbers.
    pub fn block(&self, highest: u64, is_first: bool) -> Block {
        let start = highest.max(self.used);
        let name = |base: i64| {
            let name = base.checked_add_unsigned(self.number)?;
            u64::try_from(name).ok().filter(|name| *name >= start)
        };
        let stays = self.base.unwrap_or(0);
        let base = if name(stays).is_some() {
            stays
        } else {
            let room = if is_first {
                self.number.min(ROOM_BELOW)
            } else {
                0
            };
            start.cast_signed() + room.cast_signed() - self.number.cast_signed()
        };
        let name = base.saturating_add_unsigned(self.number).cast_unsigned();
        // Lower numbers may belong to an earlier block of the session.
        let start = if is_first { start } else { name };
        Block {
            first: (start.cast_signed() - base).max(0).cast_unsigned(),
            base,
            start,
            end: name + BLOCK,
        }
    }
}

/// The journal's name of a partition: the topic's id and the number.
pub fn partition_key(topic: &str, partition: i32) -> String {
    format!("{topic}/{partition}")
}

fn refuse(code: &'static str, message: String) -> NumberingStep {
    NumberingStep::Refused(NumberingRefusal { code, message })
}
