//! One partition of the assignment: its records in flight, and the offset before which all are
//! done.
use super::job::LogPosition;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// One partition while it is assigned to this worker.
#[derive(Debug)]
pub(super) struct Partition {
    /// The id of its topic.
    topic_id: Arc<str>,
    id: i32,
    epoch: u64,
    /// The offset after the last record that was read.
    next: i64,
    /// Its end when it was assigned.
    end: i64,
    /// Records in flight, with the bytes of their values.
    in_flight: BTreeMap<i64, usize>,
    /// The sum of these bytes.
    bytes: usize,
    /// Reading is paused until a failed step succeeds.
    is_paused: bool,
    /// When it had its last record.
    heard: Instant,
    /// When the consumer was last at its end.
    ended: Option<Instant>,
    /// No record has come since.
    is_at_end: bool,
}

/// For this long after its end was reached, arriving records count as just published.
const LIVE: Duration = Duration::from_secs(2);

impl Partition {
    pub(super) fn new(topic_id: Arc<str>, id: i32, epoch: u64, start: i64, end: i64) -> Self {
        Partition {
            topic_id,
            id,
            epoch,
            next: start,
            end,
            in_flight: BTreeMap::new(),
            bytes: 0,
            is_paused: false,
            heard: Instant::now(),
            ended: None,
            is_at_end: false,
        }
    }

    /// A record of it has arrived. Returns for how long it had none.
    pub(super) fn heard(&mut self) -> Duration {
        std::mem::replace(&mut self.heard, Instant::now()).elapsed()
    }

    /// Whether the record that has just arrived was just published and is not from a backlog.
    pub(super) fn take_live(&mut self) -> bool {
        let was_at_end = std::mem::take(&mut self.is_at_end);
        was_at_end || self.ended.is_some_and(|ended| ended.elapsed() < LIVE)
    }

    /// The id of its topic. If the topic was created again, a rebalance may leave partitions of
    /// both topics here.
    pub(super) fn topic_id(&self) -> &Arc<str> {
        &self.topic_id
    }

    /// Its number.
    pub(super) fn id(&self) -> i32 {
        self.id
    }

    /// The epoch of its assignment.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Records before `offset` are gone.
    pub(super) fn skip_to(&mut self, offset: i64) {
        self.next = self.next.max(offset);
    }

    /// The offset after the last record that was read.
    pub(super) fn next(&self) -> i64 {
        self.next
    }

    /// A record with a value of `bytes` bytes is in flight.
    pub(super) fn begin(&mut self, offset: i64, bytes: usize) -> LogPosition {
        self.next = self.next.max(offset + 1);
        self.in_flight.insert(offset, bytes);
        self.bytes += bytes;
        LogPosition {
            partition: self.id,
            epoch: self.epoch,
            offset,
        }
    }

    /// A record is done.
    pub(super) fn finish(&mut self, offset: i64) {
        self.bytes -= self.in_flight.remove(&offset).unwrap_or(0);
    }

    /// The consumer has read it to its end. The offsets between the last record and the end belong
    /// to no record: they are the control records of transactions.
    pub(super) fn at_end(&mut self) {
        self.ended = Some(Instant::now());
        self.is_at_end = true;
        self.next = self.next.max(self.end);
    }

    /// How many records are in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether every record before `end` is done.
    pub(super) fn is_done_before(&self, end: i64) -> bool {
        let first = self.in_flight.keys().next();
        first.is_none_or(|first| *first >= end)
    }

    /// Its share of the records in flight and of their bytes. A paused partition does not count, so
    /// that it does not block the others.
    pub(super) fn load(&self) -> (usize, usize) {
        if self.is_paused {
            (0, 0)
        } else {
            (self.in_flight.len(), self.bytes)
        }
    }

    /// Whether the consumer reads no records of it.
    pub(super) fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Pauses or resumes it.
    pub(super) fn set_paused(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_before_an_offset_can_be_done_while_later_records_are_in_flight() {
        let mut p = Partition::new("topic".into(), 0, 1, 10, 10);
        for offset in 10..14 {
            p.begin(offset, 5);
        }
        p.finish(12);
        p.finish(10);
        assert!(p.is_done_before(11) && !p.is_done_before(13));
        p.finish(11);
        assert!(p.is_done_before(13) && !p.is_done_before(14));
    }

    #[test]
    fn at_the_end_offsets_without_a_record_are_done_too() {
        let mut p = Partition::new("topic".into(), 0, 1, 10, 14);
        p.begin(10, 5);
        p.finish(10);
        p.at_end();
        assert_eq!(p.next(), 14);
        p.begin(20, 5);
        p.at_end();
        assert_eq!(p.next(), 21, "an earlier end is no step back");
    }

    #[test]
    fn a_paused_partition_is_no_load_for_the_others() {
        let mut p = Partition::new("topic".into(), 0, 1, 10, 10);
        p.begin(10, 5);
        p.begin(11, 7);
        assert_eq!(p.load(), (2, 12));
        p.finish(10);
        p.finish(10);
        assert_eq!(p.load(), (1, 7));
        p.set_paused(true);
        assert_eq!((p.load(), p.in_flight()), ((0, 0), 1));
    }

    #[test]
    fn gaps_in_the_log_are_no_records_in_flight() {
        let mut p = Partition::new("topic".into(), 0, 1, 10, 10);
        p.begin(10, 5);
        p.begin(17, 5);
        assert_eq!((p.next(), p.in_flight()), (18, 2));
        p.finish(17);
        assert!(!p.is_done_before(18));
        p.finish(10);
        assert!(p.is_done_before(18));
    }
}
