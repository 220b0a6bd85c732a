//! Retries of files and dead letters that failed.
//!
//! A partition with a retry is paused, and the others go on. It is resumed when its files are
//! written and the broker has its dead letters.
use super::job::{Job, LogPosition, RejectedRecord};
use mattebox_core::frame::FrameNumber;
use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

/// The wait before a failed step is retried.
pub(super) const RETRY_DELAY: Duration = Duration::from_secs(1);

/// A step that failed.
#[derive(Debug)]
pub(super) enum Retry {
    /// A file that could not be written.
    File {
        job: Arc<Job>,
        number: FrameNumber,
        bytes: Vec<u8>,
    },
    /// A frame that could not be named, because its camera's folder cannot be read.
    Name(Arc<Job>),
    /// A dead letter that could not be sent.
    DeadLetter(LogPosition, RejectedRecord),
}

/// The result of another try.
#[derive(Debug)]
pub(super) enum Attempt {
    /// It is done.
    Done,
    /// It is sent; [`Retries::answered`] gets the answer later.
    Underway(LogPosition),
    /// It failed again. The later retries of the partition wait too.
    Failed(Retry),
}

/// The retries of all partitions.
#[derive(Debug, Default)]
pub(super) struct Retries {
    partitions: BTreeMap<i32, PartitionRetries>,
}

/// The retries of a partition that is paused.
#[derive(Debug, Default)]
struct PartitionRetries {
    waiting: VecDeque<Retry>,
    /// When the first of them is due.
    due: Option<Instant>,
    /// Offsets of dead letters that were sent again and are unanswered.
    underway: HashSet<i64>,
}

impl Retry {
    fn position(&self) -> LogPosition {
        match self {
            Retry::File { job, .. } | Retry::Name(job) => job.position,
            Retry::DeadLetter(position, _) => *position,
        }
    }
}

impl PartitionRetries {
    fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.underway.is_empty()
    }
}

impl Retries {
    /// Adds a failed step. True: it is the first of its partition, which has to be paused.
    pub(super) fn add(&mut self, retry: Retry, now: Instant) -> bool {
        let LogPosition {
            partition, offset, ..
        } = retry.position();
        let is_first = !self.partitions.contains_key(&partition);
        let retries = self.partitions.entry(partition).or_default();
        retries.underway.remove(&offset);
        retries.waiting.push_back(retry);
        retries.due.get_or_insert(now + RETRY_DELAY);
        is_first
    }

    /// Whether a file or a name waits for another try.
    pub(super) fn has_files(&self) -> bool {
        let mut waiting = self.partitions.values().flat_map(|p| &p.waiting);
        waiting.any(|retry| matches!(retry, Retry::File { .. } | Retry::Name(_)))
    }

    /// When the next retry is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.partitions.values().filter_map(|p| p.due).min()
    }

    /// Retries all steps that are due, in the order of their failures. Returns the partitions that
    /// have to be resumed.
    pub(super) fn run(
        &mut self,
        now: Instant,
        mut attempt: impl FnMut(Retry) -> Attempt,
    ) -> Vec<i32> {
        for retries in self.partitions.values_mut() {
            if retries.due.is_some_and(|due| due <= now) {
                retries.due = None;
                retries.run(now, &mut attempt);
            }
        }
        self.take_over()
    }

    /// The broker has a dead letter. Returns its partition if that has to be resumed.
    pub(super) fn answered(&mut self, position: LogPosition) -> Option<i32> {
        let retries = self.partitions.get_mut(&position.partition)?;
        retries.underway.remove(&position.offset);
        self.take_over().pop()
    }

    /// Forgets a revoked partition.
    pub(super) fn forget(&mut self, partition: i32) {
        self.partitions.remove(&partition);
    }

    /// Removes and returns the partitions without retries.
    fn take_over(&mut self) -> Vec<i32> {
        let mut over = Vec::new();
        self.partitions.retain(|partition, retries| {
            let stays = !retries.is_over();
            if !stays {
                over.push(*partition);
            }
            stays
        });
        over
    }
}

impl PartitionRetries {
    fn run(&mut self, now: Instant, attempt: &mut impl FnMut(Retry) -> Attempt) {
        let mut waiting = mem::take(&mut self.waiting);
        while let Some(retry) = waiting.pop_front() {
            match attempt(retry) {
                Attempt::Done => {}
                Attempt::Underway(position) => {
                    self.underway.insert(position.offset);
                }
                Attempt::Failed(retry) => {
                    let is_file = matches!(retry, Retry::File { .. });
                    self.waiting.push_back(retry);
                    self.due = Some(now + RETRY_DELAY);
                    if is_file {
                        break;
                    }
                }
            }
        }
        self.waiting.append(&mut waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mattebox_engine::Rejection;
    use rdkafka::{Timestamp, message::OwnedMessage};

    fn position(partition: i32, offset: i64) -> LogPosition {
        LogPosition {
            partition,
            epoch: 1,
            offset,
        }
    }

    fn dead_letter(partition: i32, offset: i64) -> Retry {
        let topic = "frames".to_owned();
        let record = OwnedMessage::new(
            None,
            None,
            topic,
            Timestamp::NotAvailable,
            partition,
            offset,
            None,
        );
        let rejected = RejectedRecord {
            record: Arc::new(record),
            rejection: Rejection::internal(),
        };
        Retry::DeadLetter(position(partition, offset), rejected)
    }

    #[test]
    fn only_the_first_retry_pauses_its_partition() {
        let now = Instant::now();
        let mut retries = Retries::default();
        assert!(retries.add(dead_letter(0, 1), now));
        assert!(!retries.add(dead_letter(0, 2), now));
        assert!(retries.add(dead_letter(1, 7), now));
        assert_eq!(retries.due(), Some(now + RETRY_DELAY));
    }

    #[test]
    fn retries_keep_their_order_until_all_are_done() {
        let now = Instant::now();
        let later = now + RETRY_DELAY;
        let mut retries = Retries::default();
        for offset in 1..4 {
            retries.add(dead_letter(0, offset), now);
        }
        assert!(retries.run(now, |_| panic!("it is not due")).is_empty());
        let mut tried = Vec::new();
        let resumed = retries.run(later, |retry| {
            tried.push(retry.position().offset);
            match retry.position().offset {
                1 => Attempt::Done,
                _ => Attempt::Failed(retry),
            }
        });
        assert_eq!((tried, resumed), (vec![1, 2, 3], vec![]));
        assert_eq!(retries.due(), Some(later + RETRY_DELAY));
        let mut tried = Vec::new();
        let resumed = retries.run(later + RETRY_DELAY, |retry| {
            tried.push(retry.position().offset);
            Attempt::Done
        });
        assert_eq!((tried, resumed), (vec![2, 3], vec![0]));
        assert!(!retries.has_files() && retries.due().is_none());
    }

    #[test]
    fn a_partition_stays_paused_until_the_broker_has_its_dead_letters() {
        let now = Instant::now();
        let later = now + RETRY_DELAY;
        let underway = |retry: Retry| Attempt::Underway(retry.position());
        let mut retries = Retries::default();
        retries.add(dead_letter(0, 1), now);
        retries.add(dead_letter(0, 2), now);
        assert!(retries.run(later, underway).is_empty());
        assert_eq!(retries.due(), None, "the answers are missing");
        assert_eq!(retries.answered(position(0, 1)), None);
        assert!(
            !retries.add(dead_letter(0, 2), later),
            "it is paused already"
        );
        assert!(retries.run(later + RETRY_DELAY, underway).is_empty());
        assert_eq!(retries.answered(position(0, 2)), Some(0));
        assert_eq!(retries.answered(position(0, 2)), None);
    }

    #[test]
    fn a_revoked_partition_has_no_retries() {
        let now = Instant::now();
        let mut retries = Retries::default();
        retries.add(dead_letter(0, 1), now);
        retries.forget(0);
        assert_eq!(retries.due(), None);
        assert_eq!(retries.answered(position(0, 1)), None);
    }
}
