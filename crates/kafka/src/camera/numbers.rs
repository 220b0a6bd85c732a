//! What is counted of one camera.
use mattebox_engine::watch::{Progress, ProgressSource};
use mattebox_engine::{latency::Latency, status::Status, troubles::Streak};
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

/// What became of one camera's frames. Once it has ended, `captured` is the sum of `published`, `failed` and all that was dropped.
#[derive(Debug, Default)]
pub struct CameraNumbers {
    /// Frames that the source gave.
    pub captured: AtomicU64,
    /// Frames that the broker has acknowledged.
    pub published: AtomicU64,
    /// Those of them that went as they were in the source.
    pub passed_through: AtomicU64,
    /// Frames that came more than an interval after their time, and are published all the same.
    pub late: AtomicU64,
    /// Frames dropped because newer ones needed their place while the broker did not take them.
    pub dropped_buffer: AtomicU64,
    /// Frames dropped because the process was stopped.
    pub dropped_stopped: AtomicU64,
    /// Frames that could not be read or encoded, or that the broker refused.
    pub failed: AtomicU64,
    /// Those of them whose picture could not be read, by reason.
    unreadable: Mutex<BTreeMap<&'static str, u64>>,
    /// How its source is doing.
    pub status: Status,
    /// Bytes of the values that the broker has acknowledged.
    pub bytes: AtomicU64,
    /// How many frames are expected, 0 when unknown.
    pub expected: AtomicU64,
    /// How often its source was opened anew after it had failed.
    pub reopened: AtomicU64,
    /// From the moment a frame was taken until the broker had it.
    pub latency: Latency,
    span: Mutex<Option<(u64, u64)>>,
    failure: Mutex<Option<Failure>>,
    /// Whether a warning about the size of its frames was given.
    pub(super) warned_of_size: AtomicBool,
    /// The last refusal that was said, so that it is said once.
    pub(super) refusal: Mutex<Option<String>>,
    /// Frames in a row that came to nothing.
    pub(super) streak: Streak,
}

/// Why a camera ended before its time.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What happened, and what to do.
    pub message: String,
    /// Whose fault it is, as an exit code of the process.
    pub exit_code: u8,
}

impl CameraNumbers {
    /// Frames dropped, for whatever reason.
    pub fn dropped(&self) -> u64 {
        self.dropped_buffer.load(Relaxed) + self.dropped_stopped.load(Relaxed)
    }

    /// Frames that wait in the ring or are on their way to the broker.
    pub fn pending(&self) -> u64 {
        let done = self.published.load(Relaxed) + self.failed.load(Relaxed) + self.dropped();
        self.captured.load(Relaxed).saturating_sub(done)
    }

    /// The first and the last frame number that the broker has acknowledged.
    pub fn span(&self) -> Option<(u64, u64)> {
        *self.span.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn acknowledged(&self, number: u64) {
        let mut span = self.span.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, last) = span.unwrap_or((number, number));
        *span = Some((first.min(number), last.max(number)));
    }

    /// Counts a frame that failed because its picture could not be read.
    pub(super) fn unreadable(&self, reason: &'static str) {
        self.failed.fetch_add(1, Relaxed);
        *self
            .unreadable
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(reason)
            .or_default() += 1;
    }

    /// How many failed because their picture could not be read, by reason.
    pub fn unreadable_by_reason(&self) -> BTreeMap<&'static str, u64> {
        self.unreadable
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Records why the camera ended.
    pub(super) fn fail(&self, failure: Failure) {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(failure);
    }

    /// Why the camera ended early, if it did.
    pub fn failure(&self) -> Option<Failure> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl ProgressSource for CameraNumbers {
    fn progress(&self) -> Progress {
        Progress {
            done: self.published.load(Relaxed),
            expected: self.expected.load(Relaxed),
            dropped: self.dropped(),
            failed: self.failed.load(Relaxed),
        }
    }
}
