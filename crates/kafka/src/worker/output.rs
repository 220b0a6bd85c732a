//! The interface between the main loop and both outputs: files and a topic.
use super::{
    checkpoints::Checkpoint,
    job::{EncodedResult, Job, LogPosition, RejectedRecord},
    offset_committer::CommitAnswer,
    partition_range::PartitionRange,
    states::States,
};
use crate::KafkaError;
use mattebox_core::frame::CameraId;
use mattebox_engine::Rejection;
use std::{sync::Arc, time::Instant};

/// A reached checkpoint and its partition.
pub(super) struct Reached<'a> {
    pub(super) partition: i32,
    pub(super) epoch: u64,
    pub(super) checkpoint: &'a Checkpoint,
}

impl Reached<'_> {
    /// The position that is committed.
    pub(super) fn position(&self) -> LogPosition {
        LogPosition {
            partition: self.partition,
            epoch: self.epoch,
            offset: self.checkpoint.end(),
        }
    }
}

/// How far an output is with a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeadLetterTaken {
    /// Its record is done. The dead letter is in the transaction that commits the record.
    Held,
    /// It is sent, and its record is done when the broker has it.
    Sent,
}

/// A dead letter that could not be sent.
pub(super) struct DeadLetterFailed {
    pub(super) rejected: RejectedRecord,
    pub(super) error: KafkaError,
}

/// How far an output has committed checkpoints.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Commit {
    /// The broker has these offsets.
    Done(Vec<LogPosition>),
    /// The offsets of these partitions are sent to the broker; the answer is an event.
    Requested(Vec<i32>),
    /// The topic of the offsets is gone: it was created again.
    Recreated,
    /// Not now. An event or [`Output::due`] shows when to try.
    Later,
}

/// Files or a topic: results, dead letters, camera states and offsets.
///
/// Both keep this order: a record is done only when its result is in place or held for a
/// transaction; the states of a checkpoint are stored before its offset is committed, or together
/// with it.
pub(super) trait Output: Send {
    /// Prepares for an assigned partition.
    fn begin(&mut self, range: &PartitionRange) -> Result<(), KafkaError>;

    /// The states of cameras.
    fn states(&mut self) -> &mut States;

    /// Publishes or holds the result of a frame. A rejection: it cannot be published.
    fn take_result(&mut self, job: &Arc<Job>, result: EncodedResult) -> Result<(), Rejection>;

    /// Sends or holds a dead letter.
    fn take_dead_letter(
        &mut self,
        position: LogPosition,
        rejected: RejectedRecord,
    ) -> Result<DeadLetterTaken, Box<DeadLetterFailed>>;

    /// The broker has answered a dead letter. Returns the record; `None`: its partition was
    /// revoked.
    fn dead_letter_answered(
        &mut self,
        position: LogPosition,
        has_arrived: bool,
    ) -> Option<RejectedRecord>;

    /// Stores the states of checkpoints that are reached, and commits their offsets.
    fn commit(&mut self, reached: &[Reached<'_>]) -> Result<Commit, KafkaError>;

    /// The broker has answered a commit. Returns the cameras whose states are not stored, by
    /// partition.
    fn offsets_answered(&mut self, answer: &CommitAnswer) -> Vec<(i32, Vec<CameraId>)>;

    /// Waits until no commit is unanswered.
    fn wait_until_idle(&self);

    /// Whether it holds so much that it should commit before the interval has passed.
    fn is_full(&self) -> bool;

    /// When a failed commit is retried.
    fn due(&self) -> Option<Instant>;

    /// Forgets a revoked partition.
    fn forget(&mut self, partition: i32);
}
