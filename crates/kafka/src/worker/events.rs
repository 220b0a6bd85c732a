//! Events of a worker that are counted: docs/design/events.md.
use super::{
    counters::{CameraCounters, PartitionCounters, WorkerCounters},
    job::LogPosition,
};
use mattebox_core::frame::FrameNumber;
use mattebox_engine::{
    Rejection,
    events::{Event, FrameDead, FrameSkipped},
    metrics::SkipReason,
    trace::Span,
};
use std::sync::atomic::Ordering::Relaxed;

/// A record came from a partition.
pub(super) struct RecordRead<'a> {
    pub(super) partition: &'a PartitionCounters,
    pub(super) bytes: usize,
}

impl Event for RecordRead<'_> {
    fn emit(self) {
        self.partition.records.fetch_add(1, Relaxed);
        self.partition.bytes.fetch_add(self.bytes as u64, Relaxed);
    }
}

/// The file of a frame exists and is kept.
pub(super) struct FileKept<'a> {
    pub(super) counters: &'a CameraCounters,
    pub(super) span: &'a Span,
    pub(super) position: LogPosition,
    /// It holds other bytes.
    pub(super) is_different: bool,
}

impl Event for FileKept<'_> {
    fn emit(self) {
        let counters = self.counters;
        FrameSkipped {
            frames: &counters.frames,
            span: self.span,
            reason: SkipReason::Exists,
        }
        .emit();
        if self.is_different && counters.different.fetch_add(1, Relaxed) == 0 {
            tracing::warn!(
                camera = %counters.frames.camera,
                partition = self.position.partition,
                offset = self.position.offset,
                "a file of the camera exists with other bytes and is kept; more of them are only \
                 counted (--on-existing overwrite replaces them)"
            );
        }
    }
}

/// A frame came after later ones of its camera. It is matted without the camera's state and
/// written.
pub(super) struct FrameOutOfOrder<'a> {
    pub(super) counters: &'a CameraCounters,
}

impl Event for FrameOutOfOrder<'_> {
    fn emit(self) {
        self.counters.late.fetch_add(1, Relaxed);
    }
}

/// The frame numbers of a camera began again: its process was started again.
pub(super) struct CameraRestarted<'a> {
    pub(super) counters: &'a CameraCounters,
    /// The number that the camera gave.
    pub(super) frame: FrameNumber,
    /// The number in the name of its file.
    pub(super) number: FrameNumber,
}

impl Event for CameraRestarted<'_> {
    fn emit(self) {
        self.counters.restarts.fetch_add(1, Relaxed);
        tracing::info!(
            camera = %self.counters.frames.camera,
            frame = self.frame.0,
            "the camera's frame numbers begin again: its files go on with number {}",
            self.number
        );
    }
}

/// A record becomes a dead letter.
pub(super) struct RecordRejected<'a> {
    pub(super) counters: &'a CameraCounters,
    pub(super) partition: &'a PartitionCounters,
    pub(super) span: &'a Span,
    pub(super) position: LogPosition,
    pub(super) rejection: &'a Rejection,
}

impl Event for RecordRejected<'_> {
    fn emit(self) {
        self.partition.dead.fetch_add(1, Relaxed);
        FrameDead {
            frames: &self.counters.frames,
            span: self.span,
            partition: self.position.partition,
            offset: self.position.offset,
            code: self.rejection.code,
            message: &self.rejection.message,
        }
        .emit();
    }
}

/// A file could not be written or named, and is retried.
pub(super) struct WriteRetried<'a> {
    pub(super) counters: &'a CameraCounters,
}

impl Event for WriteRetried<'_> {
    fn emit(self) {
        self.counters.retries.fetch_add(1, Relaxed);
    }
}

/// States are missing for the offset at which a partition goes on.
pub(super) struct StatesMissing<'a> {
    pub(super) counters: &'a PartitionCounters,
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) cameras: usize,
    pub(super) problem: &'a str,
}

impl Event for StatesMissing<'_> {
    fn emit(self) {
        self.counters
            .states_missing
            .fetch_add(self.cameras as u64, Relaxed);
        tracing::warn!(
            topic = self.topic,
            partition = self.partition,
            offset = self.offset,
            cameras = self.cameras,
            "{}: their mattes begin again; their names go on, and no file is replaced",
            self.problem
        );
    }
}

/// No state is stored for the place from which a camera goes on.
pub(super) struct StateMissing<'a> {
    pub(super) counters: &'a CameraCounters,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

impl Event for StateMissing<'_> {
    fn emit(self) {
        self.counters.state_missing.fetch_add(1, Relaxed);
        tracing::debug!(
            camera = %self.counters.frames.camera,
            partition = self.partition,
            offset = self.offset,
            "the camera has files from this partition and no state"
        );
    }
}

/// The stored state of a camera cannot be read.
pub(super) struct StateUnreadable<'a> {
    pub(super) counters: &'a CameraCounters,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) problem: &'a str,
    /// The worker goes on without it, so it is logged; otherwise the worker ends with an error.
    pub(super) is_logged: bool,
}

impl Event for StateUnreadable<'_> {
    fn emit(self) {
        self.counters.state_unreadable.fetch_add(1, Relaxed);
        if self.is_logged {
            tracing::warn!(
                camera = %self.counters.frames.camera,
                partition = self.partition,
                offset = self.offset,
                "the camera's stored state cannot be read: its matte begins again; its names go \
                 on, and no file is replaced: {}",
                self.problem
            );
        }
    }
}

/// The topic removed records before they were read.
pub(super) struct RecordsLost<'a> {
    pub(super) counters: &'a PartitionCounters,
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) count: u64,
    pub(super) problem: &'a str,
}

impl Event for RecordsLost<'_> {
    fn emit(self) {
        self.counters.lost.fetch_add(self.count, Relaxed);
        tracing::error!(
            topic = self.topic,
            partition = self.partition,
            lost = self.count,
            "{}: going on with the oldest that is left",
            self.problem
        );
    }
}

/// The topic of frames was deleted and created again.
pub(super) struct TopicRecreated<'a> {
    pub(super) counters: &'a WorkerCounters,
    pub(super) topic: &'a str,
    pub(super) problem: &'a str,
}

impl Event for TopicRecreated<'_> {
    fn emit(self) {
        self.counters.topic_recreated.fetch_add(1, Relaxed);
        tracing::error!(
            topic = self.topic,
            "{}: beginning with its oldest record",
            self.problem
        );
    }
}

/// The broker has committed offsets.
pub(super) struct OffsetsCommitted<'a> {
    pub(super) counters: &'a WorkerCounters,
}

impl Event for OffsetsCommitted<'_> {
    fn emit(self) {
        self.counters.commits.fetch_add(1, Relaxed);
    }
}

/// The group assigned or revoked partitions.
pub(super) struct Rebalanced<'a> {
    pub(super) counters: &'a WorkerCounters,
}

impl Event for Rebalanced<'_> {
    fn emit(self) {
        self.counters.rebalances.fetch_add(1, Relaxed);
    }
}
