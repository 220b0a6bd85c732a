//! The events that the main loop waits for, all in one channel.
use super::{
    job::{Job, JobOutcome, LogPosition},
    offset_committer::CommitAnswer,
};
use std::sync::Arc;

/// An event for the main loop. The loop checks all its parts after every event, so an event without
/// fields only wakes it.
#[derive(Debug)]
pub(super) enum LoopEvent {
    /// A processing thread is done with a frame.
    Done { job: Arc<Job>, outcome: JobOutcome },
    /// The last state that a checkpoint waits for is known.
    StatesKnown,
    /// The broker has answered a dead letter.
    DeadLetterAnswered {
        position: LogPosition,
        failed: Option<String>,
    },
    /// The broker has answered a commit.
    OffsetsAnswered(CommitAnswer),
    /// The consumer's queue was empty and has something now: a record, a rebalance, an error.
    ConsumerReady,
    /// A processing thread has ended.
    ThreadEnded,
    /// The worker is asked to stop or to abort.
    Stopping,
}
