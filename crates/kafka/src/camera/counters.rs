//! Counters of one camera.
use mattebox_core::frame::CameraId;
use mattebox_engine::{
    CameraFailure,
    metrics::FrameCounters,
    status::Status,
    troubles::Streak,
    watch::{Progress, ProgressSource},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

/// Counters of one camera. [`super::events`] writes them.
#[derive(Debug)]
pub struct CaptureCounters {
    /// Counts of its frames.
    pub frames: Arc<FrameCounters>,
    /// Frames that were published without being decoded.
    pub(super) passed_through: AtomicU64,
    /// Frames that came more than an interval after their time, and were published.
    pub(super) late: AtomicU64,
    /// Failed frames whose picture could not be read, by reason.
    pub(super) unreadable: Mutex<BTreeMap<&'static str, u64>>,
    /// How often its source was opened again after it had failed.
    pub(super) reopened: AtomicU64,
    /// The state of its source.
    pub status: Status,
    /// How many frames are expected, 0 when unknown.
    pub(super) expected: AtomicU64,
    /// The first and the last frame number that the broker has acknowledged.
    numbers: Mutex<Option<(u64, u64)>>,
    failure: Mutex<Option<CameraFailure>>,
    /// Whether a warning about the size of its frames was logged.
    pub(super) warned_of_size: AtomicBool,
    /// The last refusal that was logged, so that it is logged once.
    pub(super) refusal: Mutex<Option<String>>,
    /// Frames lost in a row.
    pub(super) streak: Streak,
}

impl CaptureCounters {
    pub(super) fn new(camera: &CameraId) -> Self {
        CaptureCounters {
            frames: Arc::new(FrameCounters::new(camera.as_str())),
            passed_through: AtomicU64::default(),
            late: AtomicU64::default(),
            unreadable: Mutex::default(),
            reopened: AtomicU64::default(),
            status: Status::default(),
            expected: AtomicU64::default(),
            numbers: Mutex::default(),
            failure: Mutex::default(),
            warned_of_size: AtomicBool::default(),
            refusal: Mutex::default(),
            streak: Streak::default(),
        }
    }

    /// The first and the last frame number that the broker has acknowledged.
    pub fn numbers(&self) -> Option<(u64, u64)> {
        *lock(&self.numbers)
    }

    pub(super) fn acknowledged(&self, number: u64) {
        let mut numbers = lock(&self.numbers);
        let (first, last) = numbers.unwrap_or((number, number));
        *numbers = Some((first.min(number), last.max(number)));
    }

    /// Failed frames whose picture could not be read, by reason.
    pub fn unreadable_by_reason(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.unreadable).clone()
    }

    /// Records why the camera ended.
    pub(super) fn fail(&self, failure: CameraFailure) {
        lock(&self.failure).get_or_insert(failure);
    }

    /// Why the camera ended early, if it did.
    pub fn failure(&self) -> Option<CameraFailure> {
        lock(&self.failure).clone()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ProgressSource for CaptureCounters {
    fn progress(&self) -> Progress {
        Progress::of(&self.frames, self.expected.load(Relaxed))
    }
}
