//! Passes results and dead letters to the output, and retries if that fails.
use super::{
    assignment::Assignment,
    counters::{CameraCounters, OTHERS},
    events::{FileKept, RecordRejected, WriteRetried},
    job::{Job, JobOutcome, LogPosition, RejectedRecord},
    offset_committer::CommitAnswer,
    output::{Commit, DeadLetterFailed, DeadLetterTaken, Output, Reached},
    partition_range::PartitionRange,
    retries::{Attempt, Retries, Retry},
    shared::WorkerContext,
};
use crate::KafkaError;
use mattebox_core::frame::{CameraId, FrameNumber};
use mattebox_engine::Rejection;
use mattebox_engine::events::{Event, FrameDropped, FrameSkipped, FrameWritten};
use mattebox_engine::latency::age;
use mattebox_engine::metrics::{DropReason, SkipReason};
use mattebox_engine::trace::Span;
use mattebox_engine::troubles::{Cause, Troubles};
use mattebox_store::CameraState;
use mattebox_store::journal::JournalError;
use std::{sync::Arc, time::Instant};

/// The output, and the steps of it that failed.
pub(super) struct Delivery {
    shared: Arc<WorkerContext>,
    output: Box<dyn Output>,
    retries: Retries,
}

impl Delivery {
    pub(super) fn new(shared: Arc<WorkerContext>, output: Box<dyn Output>) -> Self {
        Delivery {
            shared,
            output,
            retries: Retries::default(),
        }
    }

    /// Prepares for an assigned partition.
    pub(super) fn begin(&mut self, range: &PartitionRange) -> Result<(), KafkaError> {
        self.output.begin(range)
    }

    /// Forgets a revoked partition.
    pub(super) fn forget(&mut self, partition: i32) {
        self.output.forget(partition);
        self.retries.forget(partition);
    }

    /// The state of a camera before its first frame in a partition.
    pub(super) fn recall(
        &mut self,
        position: LogPosition,
        camera: &CameraId,
        counters: &CameraCounters,
    ) -> Result<CameraState, KafkaError> {
        let states = self.output.states();
        states.recall(position.partition, camera, position.offset, counters)
    }

    /// Waits until no commit is unanswered.
    pub(super) fn wait_until_idle(&self) {
        self.output.wait_until_idle();
    }

    /// The processing of a frame has ended.
    pub(super) fn frame(
        &mut self,
        assignment: &mut Assignment,
        job: Arc<Job>,
        outcome: JobOutcome,
    ) -> Result<(), KafkaError> {
        let counters = self.shared.counters.camera(Some(&job.head.camera));
        if !assignment.owns(job.position) {
            return Ok(());
        }
        match outcome {
            JobOutcome::Written { bytes } => FrameWritten {
                frames: &counters.frames,
                span: &job.span,
                bytes,
                latency: age(job.head.time),
            }
            .emit(),
            JobOutcome::Kept { is_different } => FileKept {
                counters: &counters,
                span: &job.span,
                position: job.position,
                is_different,
            }
            .emit(),
            JobOutcome::Repeated => FrameSkipped {
                frames: &counters.frames,
                span: &job.span,
                reason: SkipReason::Repeated,
            }
            .emit(),
            JobOutcome::Stale => {
                FrameDropped {
                    frames: &counters.frames,
                    span: &job.span,
                    reason: DropReason::Stale,
                }
                .emit();
                self.lost(&job.head.camera, &counters, "older than --max-age");
                assignment.finish(job.position);
                return Ok(());
            }
            JobOutcome::Made(result) => {
                if let Err(rejection) = self.output.take_result(&job, result) {
                    self.reject_job(assignment, &job, rejection);
                    return Ok(());
                }
            }
            JobOutcome::Rejected(rejection) => {
                self.reject_job(assignment, &job, rejection);
                return Ok(());
            }
            JobOutcome::Unwritten {
                number,
                bytes,
                message,
            } => {
                WriteRetried {
                    counters: &counters,
                }
                .emit();
                self.unwritten(assignment, job, number, bytes, &message);
                return Ok(());
            }
            // Its record is not done: another worker, or this one after a restart, processes it
            // again.
            JobOutcome::Unnamed(JournalError::Stopped) => return Ok(()),
            JobOutcome::Unnamed(JournalError::Store(error)) => {
                WriteRetried {
                    counters: &counters,
                }
                .emit();
                not_written(self.troubles(), &error.to_string());
                let partition = job.position.partition;
                self.retry_later(assignment, partition, Retry::Name(job));
                return Ok(());
            }
            JobOutcome::Unnamed(error) => {
                return Err(KafkaError::Names {
                    camera: job.head.camera.to_string(),
                    source: error,
                });
            }
        }
        self.judge(Some(&job.head.camera), &counters, false);
        let camera = job.head.camera.as_str();
        counters.streak.came_through(camera, self.troubles());
        assignment.finish(job.position);
        Ok(())
    }

    fn reject_job(&mut self, assignment: &mut Assignment, job: &Job, rejection: Rejection) {
        let rejected = RejectedRecord {
            record: job.record.clone(),
            rejection,
        };
        let camera = Some(&job.head.camera);
        self.reject(assignment, job.position, camera, &job.span, rejected);
    }

    /// A record cannot be a frame: it becomes a dead letter, and is done when the output has the
    /// dead letter.
    pub(super) fn reject(
        &mut self,
        assignment: &mut Assignment,
        position: LogPosition,
        camera: Option<&CameraId>,
        span: &Span,
        rejected: RejectedRecord,
    ) {
        let partition = position.partition;
        let all = &self.shared.counters;
        let counters = all.camera(camera);
        RecordRejected {
            counters: &counters,
            partition: &all.partition(partition),
            span,
            position,
            rejection: &rejected.rejection,
        }
        .emit();
        self.judge(camera, &counters, true);
        if let Some(camera) = camera {
            let why = format!("a dead letter ({})", rejected.rejection.code);
            self.lost(camera, &counters, &why);
            if let Some(shown) = self.shared.shown_camera(camera, partition) {
                shown.note_rejected(&format!(
                    "its records become dead letters: {}",
                    rejected.rejection.message
                ));
            }
        }
        let troubles = &self.shared.counters.troubles;
        match take_dead_letter(
            self.output.as_mut(),
            assignment,
            position,
            rejected,
            troubles,
        ) {
            Attempt::Done | Attempt::Underway(_) => {}
            Attempt::Failed(retry) => self.retry_later(assignment, position.partition, retry),
        }
    }

    /// The broker has answered a dead letter.
    pub(super) fn dead_letter_answered(
        &mut self,
        assignment: &mut Assignment,
        position: LogPosition,
        failed: Option<String>,
    ) {
        if !assignment.owns(position) {
            return;
        }
        let Some(rejected) = self.output.dead_letter_answered(position, failed.is_none()) else {
            return;
        };
        if let Some(error) = failed {
            not_sent(self.troubles(), &error);
            let retry = Retry::DeadLetter(position, rejected);
            return self.retry_later(assignment, position.partition, retry);
        }
        self.troubles().over(Cause::DeadLetters);
        assignment.finish(position);
        if let Some(partition) = self.retries.answered(position) {
            resume(assignment, partition);
        }
    }

    fn unwritten(
        &mut self,
        assignment: &mut Assignment,
        job: Arc<Job>,
        number: FrameNumber,
        bytes: Vec<u8>,
        message: &str,
    ) {
        not_written(self.troubles(), message);
        let partition = job.position.partition;
        let retry = Retry::File { job, number, bytes };
        self.retry_later(assignment, partition, retry);
    }

    fn retry_later(&mut self, assignment: &mut Assignment, partition: i32, retry: Retry) {
        if self.retries.add(retry, Instant::now()) {
            assignment.pause(partition);
        }
    }

    /// Retries all steps that are due. Returns frames that can be named now.
    pub(super) fn retry(
        &mut self,
        assignment: &mut Assignment,
    ) -> Result<Vec<Arc<Job>>, KafkaError> {
        let Delivery {
            shared,
            output,
            retries,
        } = self;
        let troubles = shared.counters.troubles.clone();
        let had_files = retries.has_files();
        let mut written = Vec::new();
        let mut named = Vec::new();
        let resumed = retries.run(Instant::now(), |retry| match retry {
            Retry::DeadLetter(position, rejected) => {
                take_dead_letter(output.as_mut(), assignment, position, rejected, &troubles)
            }
            Retry::Name(job) => match shared.highest(&job.head.camera) {
                Ok(_) => {
                    named.push(job);
                    Attempt::Done
                }
                Err(error) => {
                    not_written(&troubles, &error.to_string());
                    Attempt::Failed(Retry::Name(job))
                }
            },
            Retry::File { job, number, bytes } => match shared.write(&job, number, &bytes) {
                Ok(stored) => {
                    written.push((job, JobOutcome::of_file(stored, bytes.len())));
                    Attempt::Done
                }
                Err(error) => {
                    not_written(&troubles, &error.to_string());
                    Attempt::Failed(Retry::File { job, number, bytes })
                }
            },
        });
        if had_files && !self.retries.has_files() {
            troubles.over(Cause::Output);
        }
        for (job, outcome) in written {
            self.frame(assignment, job, outcome)?;
        }
        for partition in resumed {
            resume(assignment, partition);
        }
        Ok(named)
    }

    /// When the next retry is due.
    pub(super) fn retry_due(&self) -> Option<Instant> {
        self.retries.due()
    }

    /// Stores the states of checkpoints that are reached, and commits their offsets.
    pub(super) fn commit(&mut self, reached: &[Reached<'_>]) -> Result<Commit, KafkaError> {
        self.output.commit(reached)
    }

    /// When a failed commit is retried.
    pub(super) fn commit_due(&self) -> Option<Instant> {
        self.output.due()
    }

    /// Whether the output should commit before the interval has passed.
    pub(super) fn is_full(&self) -> bool {
        self.output.is_full()
    }

    /// The broker has answered a commit. Returns the cameras whose states are not stored, by
    /// partition.
    pub(super) fn offsets_answered(&mut self, answer: &CommitAnswer) -> Vec<(i32, Vec<CameraId>)> {
        self.output.offsets_answered(answer)
    }

    /// Whether the topic of states was created again since the last call.
    pub(super) fn take_restored(&mut self) -> bool {
        self.output.states().take_restored()
    }

    /// The broker has the offset of a checkpoint.
    pub(super) fn committed(&mut self, position: LogPosition) {
        let states = self.output.states().topic();
        states.committed(position.partition, position.offset);
    }

    fn troubles(&self) -> &Troubles {
        &self.shared.counters.troubles
    }

    /// A frame of a camera is lost.
    fn lost(&self, camera: &CameraId, counters: &CameraCounters, why: &str) {
        let streak = &counters.streak;
        streak.lost(camera.as_str(), why, self.troubles());
    }

    /// Warns when too many of a camera's last records cannot be frames.
    fn judge(&self, camera: Option<&CameraId>, counters: &CameraCounters, dead: bool) {
        let s = &self.shared.settings;
        if let Some(count) = counters.judge(dead, s.dead_share, s.dead_window) {
            let camera = camera.map_or(OTHERS, CameraId::as_str);
            tracing::warn!(
                camera,
                "{count} of its last {} records cannot be frames: see `mattebox dead-letters list \
                 --topic {}`",
                s.dead_window,
                s.broker.topic
            );
        }
    }
}

fn not_written(troubles: &Troubles, error: &str) {
    let what = format!("{error}; it is tried again, and the frames of its partition wait");
    troubles.note(Cause::Output, &what);
}

fn not_sent(troubles: &Troubles, error: &str) {
    let what = format!("a dead letter does not arrive: {error}; it is sent again");
    troubles.note(Cause::DeadLetters, &what);
}

/// Passes a dead letter to the output.
fn take_dead_letter(
    output: &mut dyn Output,
    assignment: &mut Assignment,
    position: LogPosition,
    rejected: RejectedRecord,
    troubles: &Troubles,
) -> Attempt {
    match output.take_dead_letter(position, rejected) {
        Ok(DeadLetterTaken::Held) => {
            assignment.finish(position);
            Attempt::Done
        }
        Ok(DeadLetterTaken::Sent) => Attempt::Underway(position),
        Err(failed) => {
            let DeadLetterFailed { rejected, error } = *failed;
            not_sent(troubles, &error.to_string());
            Attempt::Failed(Retry::DeadLetter(position, rejected))
        }
    }
}

fn resume(assignment: &mut Assignment, partition: i32) {
    assignment.resume(partition);
}
