//! Where results go: what the main loop asks of files and of a topic alike.
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

/// A checkpoint that is reached, and its partition.
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

/// How an output has taken a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeadLetterTaken {
    /// Its record is done. The dead letter is in the transaction that commits the record.
    Held,
    /// It is on its way, and its record is done when the broker has it.
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
    /// The broker is asked to take the offsets of these partitions; the answer is an event.
    Requested(Vec<i32>),
    /// The topic of frames is not the one any more that the offsets belong to.
    Recreated,
    /// Not now. An event or [`Output::due`] tells when.
    Later,
}

/// Files or a topic: results, dead letters, camera states and offsets.
///
/// Both keep one order: the result of a record is where it belongs, or held for a transaction,
/// before the record is done; the states of a checkpoint are stored before its offset is committed,
/// or together with it.
pub(super) trait Output: Send {
    /// Gets ready for a partition that is assigned.
    fn begin(&mut self, range: &PartitionRange) -> Result<(), KafkaError>;

    /// The states of cameras.
    fn states(&mut self) -> &mut States;

    /// Takes the result of a frame. A rejection: it cannot be published.
    fn take_result(&mut self, job: &Arc<Job>, result: EncodedResult) -> Result<(), Rejection>;

    /// Takes a dead letter.
    fn take_dead_letter(
        &mut self,
        position: LogPosition,
        rejected: RejectedRecord,
    ) -> Result<DeadLetterTaken, Box<DeadLetterFailed>>;

    /// The broker has answered for a dead letter that was sent. Returns the record; `None`: its
    /// partition was given back.
    fn dead_letter_answered(
        &mut self,
        position: LogPosition,
        has_arrived: bool,
    ) -> Option<RejectedRecord>;

    /// Stores the states of checkpoints that are reached, and commits their offsets.
    fn commit(&mut self, reached: &[Reached<'_>]) -> Result<Commit, KafkaError>;

    /// The broker has answered for the offsets that it was asked to take. Returns the cameras whose
    /// states are not stored, by partition.
    fn offsets_answered(&mut self, answer: &CommitAnswer) -> Vec<(i32, Vec<CameraId>)>;

    /// Waits until no offset is on its way to the broker.
    fn wait_until_idle(&self);

    /// Whether it holds so much that it should commit before its time.
    fn is_full(&self) -> bool;

    /// When a commit that failed is tried again.
    fn due(&self) -> Option<Instant>;

    /// Forgets a partition that is given back.
    fn forget(&mut self, partition: i32);
}
