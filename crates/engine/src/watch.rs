//! The counters of cameras while they run.
use mattebox_core::frame::CameraId;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// What can be watched while cameras run: `S` is what is counted of each.
#[derive(Debug, Clone)]
pub struct Watch<S> {
    /// The cameras' names and counters.
    pub cameras: Vec<(CameraId, Arc<S>)>,
}

/// How far one camera has come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Frames that are where they were to go.
    pub done: u64,
    /// Frames that are expected, 0 when unknown.
    pub expected: u64,
    /// Frames dropped.
    pub dropped: u64,
    /// Frames that failed.
    pub failed: u64,
}

/// Counters that show how far a camera has come.
pub trait ProgressSource {
    /// What they stand at.
    fn progress(&self) -> Progress;
}

/// Adds one to a counter.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
