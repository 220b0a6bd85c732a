//! Counters of each camera of a run, and their metrics.
use mattebox_core::frame::{CameraId, Timestamp};
use mattebox_engine::{
    CameraFailure, ErrorDomain, Watch,
    metrics::{Family, FrameCounters, Monitor, common, frames, monitor},
    stages::StageClock,
    status::Status,
    watch::{Progress, ProgressSource},
};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Counters of one camera.
#[derive(Debug)]
pub struct CameraStats {
    /// Counts of its frames.
    pub frames: Arc<FrameCounters>,
    /// How many frames the source is expected to give, 0 when unknown.
    pub expected: AtomicU64,
    /// The times of the first and the last frame of a video.
    shown: Mutex<Option<(Timestamp, Timestamp)>>,
    failure: Mutex<Option<RunFailure>>,
}

/// Why a camera of a run ended, and whether its output can be used.
#[derive(Debug, Clone)]
pub struct RunFailure {
    /// The reason.
    pub camera: CameraFailure,
    /// The output is complete up to the failure: the source failed, not the writing.
    pub keep_output: bool,
}

impl RunFailure {
    /// A failure of the work itself: a file, an output or a thread.
    pub(super) fn of_work(message: String, keep_output: bool) -> Self {
        RunFailure {
            camera: CameraFailure {
                message,
                domain: ErrorDomain::Work,
            },
            keep_output,
        }
    }
}

impl CameraStats {
    /// Counters of a camera that stand at 0.
    pub fn new(camera: &CameraId) -> Self {
        CameraStats {
            frames: Arc::new(FrameCounters::new(camera.as_str())),
            expected: AtomicU64::default(),
            shown: Mutex::default(),
            failure: Mutex::default(),
        }
    }

    /// Records the time of a frame in the video.
    pub(crate) fn note_time(&self, time: Timestamp) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let first = shown.map_or(time, |(first, _)| first);
        *shown = Some((first, time));
    }

    /// The length of the written video. Its last frame counts as long as the others.
    pub(crate) fn length(&self) -> Option<Duration> {
        let (first, last) = (*self.shown.lock().unwrap_or_else(PoisonError::into_inner))?;
        let frames = self.frames.counts().written;
        let between = u64::try_from(last.0.checked_sub(first.0)?).ok()?;
        let all = between as f64 * frames as f64 / frames.checked_sub(1).filter(|n| *n > 0)? as f64;
        Some(Duration::from_micros(all as u64))
    }

    /// Records why the camera ended; the first reason stays. True if this was the first.
    pub fn fail(&self, failure: RunFailure) -> bool {
        let mut first = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let new = first.is_none();
        first.get_or_insert(failure);
        new
    }

    /// Why the camera ended early, if it did.
    pub fn failure(&self) -> Option<RunFailure> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl ProgressSource for CameraStats {
    fn progress(&self) -> Progress {
        Progress::of(&self.frames, self.expected.load(Relaxed))
    }
}

/// The families of `mattebox run` alone.
pub static FAMILIES: [&Family; 2] = [&common::STAGES, &common::SOURCE_AWAY];

/// The metrics of a run, and why it is not ready.
pub(super) fn monitor(
    watch: Watch<CameraStats>,
    clock: Arc<StageClock>,
    sources: Vec<(CameraId, Status)>,
) -> Monitor {
    let asked = watch.clone();
    let monitor = Monitor::new("run", move || reasons(&asked));
    frames::register(&monitor.metrics, move || {
        let cameras = watch.cameras.iter();
        cameras.map(|(_, stats)| stats.frames.clone()).collect()
    });
    monitor.metrics.add(&FAMILIES, move |samples| {
        common::collect_stages(samples, &clock);
        for (camera, status) in &sources {
            common::collect_source(samples, camera.as_str(), status);
        }
    });
    monitor
}

fn reasons(watch: &Watch<CameraStats>) -> Vec<String> {
    let stats = || watch.cameras.iter().map(|(_, stats)| stats);
    let has_begun = stats().any(|stats| stats.frames.counts().done() > 0);
    let failures = stats().filter_map(|stats| stats.failure());
    monitor::unless(has_begun, "no frame is written yet")
        .into_iter()
        .chain(failures.map(|failure| failure.camera.message))
        .collect()
}
