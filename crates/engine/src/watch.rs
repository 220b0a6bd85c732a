//! The progress of cameras while they run.
use crate::metrics::FrameCounters;
use mattebox_core::frame::CameraId;
use std::sync::Arc;

/// The cameras of a command while they run; `S` holds the counters of each.
#[derive(Debug)]
pub struct Watch<S> {
    /// The cameras' names and counters.
    pub cameras: Vec<(CameraId, Arc<S>)>,
}

impl<S> Clone for Watch<S> {
    fn clone(&self) -> Self {
        Watch {
            cameras: self.cameras.clone(),
        }
    }
}

/// Counts of one camera for a progress line.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Frames written or skipped.
    pub done: u64,
    /// Frames that are expected; 0: unknown.
    pub expected: u64,
    /// Frames dropped.
    pub dropped: u64,
    /// Frames that failed or are dead letters.
    pub failed: u64,
}

impl Progress {
    /// The progress of a camera that expects `expected` frames; 0: unknown.
    pub fn of(frames: &FrameCounters, expected: u64) -> Self {
        let counts = frames.counts();
        Progress {
            done: counts.done(),
            expected,
            dropped: counts.dropped.total(),
            failed: counts.failed + counts.dead,
        }
    }
}

/// Counters that give the progress of a camera.
pub trait ProgressSource {
    /// The counts now.
    fn progress(&self) -> Progress;
}
