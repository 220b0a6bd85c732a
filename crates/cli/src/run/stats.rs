//! What became of the frames of each camera.
use mattebox_core::frame::{FrameNumber, Timestamp};
use mattebox_engine::{
    cameras::{camera::Counters, trend::Counted},
    latency::Latency,
};
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// What became of one camera's frames. `read = written + skipped + dropped + failed` once it has ended.
#[derive(Debug, Default)]
pub struct CameraStats {
    /// Frames that the source gave.
    pub read: AtomicU64,
    /// Frames written.
    pub written: AtomicU64,
    /// Frames not written because their file was there (`--on-existing skip`), or not matted
    /// because no viewer saw them (`--out none`).
    pub skipped: AtomicU64,
    /// Frames like the one before, which the network did not look at (`--skip-still`).
    pub still: AtomicU64,
    /// Frames dropped because newer ones were waiting (`--live`).
    pub dropped_behind: AtomicU64,
    /// Frames dropped because the run was aborted or the camera's output had failed.
    pub dropped_stopped: AtomicU64,
    /// Frames that could not be read, matted or written.
    pub failed: AtomicU64,
    /// How many frames the source is expected to give, 0 when unknown.
    pub expected: AtomicU64,
    /// How long frames took.
    pub latency: Latency,
    /// When the first and the last frame of a video are shown.
    shown: Mutex<Option<(Timestamp, Timestamp)>>,
    failure: Mutex<Option<Failure>>,
}

/// Why a camera ended before its source did.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What happened, with the camera, the file and what to do.
    pub message: String,
    /// Whose fault it is, as an exit code of the process.
    pub exit_code: u8,
    /// The output is good as far as it goes: the source failed, not the writing.
    pub keep_output: bool,
}

impl CameraStats {
    /// Frames dropped, for whatever reason.
    pub fn dropped(&self) -> u64 {
        self.dropped_behind.load(Relaxed) + self.dropped_stopped.load(Relaxed)
    }

    /// Notes that a frame that was read at `read` is where it was to go.
    pub(crate) fn arrived(&self, number: FrameNumber, read: Instant) {
        if self.latency.add(read) {
            tracing::debug!(frame = number.0, "the first frame is written");
        }
    }

    /// Notes when a frame of a video is shown.
    pub(crate) fn note_time(&self, time: Timestamp) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let first = shown.map_or(time, |(first, _)| first);
        *shown = Some((first, time));
    }

    /// How long the written video is: its last frame is taken to be as long as the others.
    pub(crate) fn length(&self) -> Option<Duration> {
        let (first, last) = (*self.shown.lock().unwrap_or_else(PoisonError::into_inner))?;
        let frames = self.written.load(Relaxed);
        let between = u64::try_from(last.0.checked_sub(first.0)?).ok()?;
        let all = between as f64 * frames as f64 / frames.checked_sub(1).filter(|n| *n > 0)? as f64;
        Some(Duration::from_micros(all as u64))
    }

    /// Records why the camera ended; the first reason stays. True if this was the first.
    pub fn fail(&self, failure: Failure) -> bool {
        let mut first = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let new = first.is_none();
        first.get_or_insert(failure);
        new
    }

    /// Why the camera ended early, if it did.
    pub fn failure(&self) -> Option<Failure> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Counters for CameraStats {
    fn counted(&self) -> Counted {
        Counted {
            frames_in: self.read.load(Relaxed),
            frames_out: self.written.load(Relaxed) + self.skipped.load(Relaxed),
            dropped: self.dropped(),
            failed: self.failed.load(Relaxed),
            times: self.latency.times(),
        }
    }
}
