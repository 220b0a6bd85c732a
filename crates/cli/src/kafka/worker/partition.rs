//! One partition while it is ours: what is on its way, and up to where everything is done.
//!
//! Offsets are committed at marks. A mark is put behind the last record that was taken. It is reached when every record before it is done and
//! what is remembered of each camera at that point is known. Meanwhile later records are worked on: nothing waits for a mark.
use super::{
    job::{Fault, Job, Ticket},
    lanes::LaneId,
};
use crate::kafka::record::value_bytes;
use mattebox_core::{
    frame::{CameraId, FrameNumber, Numbering, Place, Timestamp},
    matte::MatteState,
};
use mattebox_store::Memory;
use rdkafka::message::OwnedMessage;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

/// A camera, as the loop knows it.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) lane: LaneId,
    pub(super) numbering: Numbering,
    /// It has had a frame since the last mark.
    pub(super) touched: bool,
    /// When it had its last frame.
    pub(super) used: Instant,
}

/// A place in the log that is to be recorded as done.
#[derive(Debug)]
pub(super) struct Mark {
    /// The first offset behind it.
    pub(super) end: i64,
    /// The cameras that had frames since the mark before: their numbering, and their matte once it is known.
    memories: HashMap<CameraId, (Numbering, Option<MatteState>)>,
}

impl Mark {
    /// What is remembered of each camera.
    pub(super) fn memories(&self) -> impl Iterator<Item = (&CameraId, Memory)> {
        let whole = |(numbering, matte): &(Numbering, Option<MatteState>)| Memory {
            numbering: *numbering,
            matte: matte.clone().unwrap_or_default(),
        };
        self.memories
            .iter()
            .map(move |(camera, known)| (camera, whole(known)))
    }

    /// The cameras.
    pub(super) fn cameras(&self) -> impl Iterator<Item = &CameraId> {
        self.memories.keys()
    }
}

/// What a finished record hands over at the next commit, where it is published.
#[derive(Debug)]
pub(super) enum Held {
    /// A result.
    Result {
        job: Arc<Job>,
        bytes: Vec<u8>,
        size: (u32, u32),
    },
    /// A dead letter.
    Letter(Letter),
}

/// A record that cannot be a frame.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) record: Arc<OwnedMessage>,
    pub(super) fault: Fault,
}

/// Something that could not be done, and is tried again.
#[derive(Debug)]
pub(super) enum Retry {
    /// A file that could not be written.
    File { job: Arc<Job>, bytes: Vec<u8> },
    /// A dead letter that could not be sent.
    Letter(Ticket, Letter),
}

/// One partition while it is ours.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) id: i32,
    /// Which of our turns at it this is.
    pub(super) turn: u64,
    /// The offset behind the last record that was taken.
    pub(super) next: i64,
    /// The offset that is recorded as done.
    pub(super) committed: i64,
    /// The offset that was last asked to be recorded.
    pub(super) requested: i64,
    /// Records on their way, with the bytes of their values.
    in_flight: BTreeMap<i64, usize>,
    /// Finished, and not handed over yet.
    pub(super) held: BTreeMap<i64, Held>,
    /// Of what is held.
    pub(super) held_bytes: usize,
    pub(super) cameras: HashMap<CameraId, Tracked>,
    /// For frames that are made by themselves.
    pub(super) alone: LaneId,
    pub(super) mark: Option<Mark>,
    /// What could not be done, and when it is tried again.
    pub(super) retries: Vec<Retry>,
    pub(super) retry_at: Option<Instant>,
    /// No records are fetched, because something has to be done again first.
    pub(super) is_paused: bool,
    /// Where it ended when we got it.
    pub(super) end: i64,
}

impl Partition {
    pub(super) fn new(id: i32, turn: u64, start: i64, end: i64, alone: LaneId) -> Self {
        Partition {
            id,
            turn,
            next: start,
            committed: start,
            requested: start,
            in_flight: BTreeMap::new(),
            held: BTreeMap::new(),
            held_bytes: 0,
            cameras: HashMap::new(),
            alone,
            mark: None,
            retries: Vec::new(),
            retry_at: None,
            is_paused: false,
            end,
        }
    }

    /// A record of so many bytes was taken and is on its way.
    pub(super) fn begin(&mut self, offset: i64, bytes: usize) -> Ticket {
        self.next = self.next.max(offset + 1);
        self.in_flight.insert(offset, bytes);
        Ticket {
            partition: self.id,
            turn: self.turn,
            offset,
        }
    }

    /// There is nothing more. What stands between the last record and the end is none: marks of transactions.
    pub(super) fn at_end(&mut self) {
        self.next = self.next.max(self.end);
    }

    /// A record is done.
    pub(super) fn finish(&mut self, offset: i64) {
        self.in_flight.remove(&offset);
    }

    /// A record is done, and hands something over at the next commit.
    pub(super) fn hold(&mut self, offset: i64, held: Held) {
        self.held_bytes += held.bytes();
        self.held.insert(offset, held);
        self.finish(offset);
    }

    /// How many records are on their way.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// What it adds to the work at hand: records and their bytes. A paused partition gets no more, and must not keep the others waiting.
    pub(super) fn load(&self) -> (usize, usize) {
        if self.is_paused {
            (0, 0)
        } else {
            (self.in_flight.len(), self.in_flight.values().sum())
        }
    }

    /// The number that a camera's frame gets; the camera is tracked.
    pub(super) fn place(
        &mut self,
        camera: &CameraId,
        number: FrameNumber,
        time: Timestamp,
    ) -> Option<(LaneId, Place)> {
        let tracked = self.cameras.get_mut(camera)?;
        tracked.touched = true;
        tracked.used = Instant::now();
        Some((tracked.lane, tracked.numbering.place(number, time)))
    }

    /// Whether there is something to be recorded that is not on its way to be.
    pub(super) fn wants_mark(&self) -> bool {
        self.mark.is_none() && self.next > self.requested
    }

    /// Puts a mark behind what was taken, and returns the lanes whose matte is now asked for.
    pub(super) fn put_mark(&mut self) -> Vec<LaneId> {
        let mut lanes = Vec::new();
        let mut memories = HashMap::new();
        for (camera, tracked) in self
            .cameras
            .iter_mut()
            .filter(|(_, tracked)| tracked.touched)
        {
            tracked.touched = false;
            lanes.push(tracked.lane);
            memories.insert(camera.clone(), (tracked.numbering, None));
        }
        self.mark = Some(Mark {
            end: self.next,
            memories,
        });
        lanes
    }

    /// What is remembered of a camera at the mark.
    pub(super) fn remembered(&mut self, camera: &CameraId, mark: i64, matte: MatteState) {
        if let Some(known) = self
            .mark
            .as_mut()
            .filter(|m| m.end == mark)
            .and_then(|m| m.memories.get_mut(camera))
        {
            known.1 = Some(matte);
        }
    }

    /// Whether everything before the mark is done and known.
    pub(super) fn mark_is_reached(&self) -> bool {
        self.mark.as_ref().is_some_and(|mark| {
            self.in_flight
                .keys()
                .next()
                .is_none_or(|first| *first >= mark.end)
                && mark.memories.values().all(|(_, m)| m.is_some())
        })
    }

    /// Takes what is handed over before `end`.
    pub(super) fn drop_held(&mut self, end: i64) {
        let later = self.held.split_off(&end);
        self.held_bytes = later.values().map(Held::bytes).sum();
        self.held = later;
    }

    /// Whether nothing is left to be done, nor to be recorded.
    pub(super) fn is_settled(&self) -> bool {
        self.in_flight.is_empty() && self.mark.is_none() && self.committed >= self.next
    }
}

impl Held {
    fn bytes(&self) -> usize {
        match self {
            Held::Result { bytes, .. } => bytes.len(),
            Held::Letter(letter) => value_bytes(&*letter.record),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition() -> Partition {
        let mut p = Partition::new(0, 1, 10, 10, 0);
        let numbering = Numbering::default();
        p.cameras.insert(
            cam(),
            Tracked {
                lane: 7,
                numbering,
                touched: false,
                used: Instant::now(),
            },
        );
        p
    }
    fn cam() -> CameraId {
        "cam".parse().unwrap()
    }

    #[test]
    fn a_mark_is_reached_when_all_before_it_is_done_and_known_whatever_follows() {
        let mut p = partition();
        for offset in 10..13 {
            p.begin(offset, 5);
            p.place(&cam(), FrameNumber(offset as u64), Timestamp(offset));
        }
        assert!(p.wants_mark());
        assert_eq!(p.put_mark(), [7]);
        p.begin(13, 5);
        p.finish(12);
        p.finish(10);
        p.remembered(&cam(), 13, MatteState::default());
        assert!(!p.mark_is_reached(), "11 is on its way");
        p.finish(11);
        assert!(p.mark_is_reached(), "13 is behind the mark");
    }

    #[test]
    fn a_mark_waits_for_what_is_remembered() {
        let mut p = partition();
        p.begin(10, 5);
        p.place(&cam(), FrameNumber(0), Timestamp(0));
        p.put_mark();
        p.finish(10);
        assert!(!p.mark_is_reached());
        p.remembered(&cam(), 99, MatteState::default());
        assert!(!p.mark_is_reached(), "that was another mark");
        p.remembered(&cam(), 11, MatteState::default());
        assert!(p.mark_is_reached());
    }

    #[test]
    fn at_the_end_what_is_no_record_is_done_too() {
        let mut p = Partition::new(0, 1, 10, 14, 0);
        p.begin(10, 5);
        p.begin(11, 5);
        p.finish(10);
        p.finish(11);
        p.at_end();
        p.put_mark();
        assert_eq!(p.mark.as_ref().unwrap().end, 14);
        assert!(p.mark_is_reached());
        p.begin(20, 5);
        p.at_end();
        assert_eq!(p.next, 21, "an end of before is no step back");
    }

    #[test]
    fn a_paused_partition_is_no_load_for_the_others() {
        let mut p = partition();
        p.begin(10, 5);
        p.begin(11, 7);
        assert_eq!(p.load(), (2, 12));
        p.finish(10);
        assert_eq!(p.load(), (1, 7));
        p.is_paused = true;
        assert_eq!((p.load(), p.in_flight()), ((0, 0), 1));
    }

    #[test]
    fn gaps_in_the_log_are_no_records_on_their_way() {
        let mut p = partition();
        p.begin(10, 5);
        p.begin(17, 5);
        p.put_mark();
        assert_eq!(p.mark.as_ref().unwrap().end, 18);
        p.finish(17);
        assert!(!p.mark_is_reached());
        p.finish(10);
        assert!(p.mark_is_reached());
    }
}
