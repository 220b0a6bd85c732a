//! What is counted while frames flow: per camera what became of them, per stage what they cost.
use super::latency::Latency;
use crate::{
    live::{camera::Counters, trend::Counted},
    trace::Span,
};
use mattebox_core::frame::FrameNumber;
use nix::{
    sys::{
        resource::{UsageWho, getrusage},
        time::TimeValLike,
    },
    time::{ClockId, clock_gettime},
};
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// A step on a frame's way inside this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading a picture: decoding it, or taking it from the decoder's pipe.
    Read,
    /// Resampling, the network and smoothing.
    Segment,
    /// From the coarse matte to the full one.
    Refine,
    /// Person over background.
    Compose,
    /// Picture to bytes.
    Encode,
    /// Bytes to the disk or to the encoder's pipe.
    Write,
}

impl Stage {
    /// All stages, in a frame's order.
    pub const ALL: [Stage; 6] = [
        Stage::Read,
        Stage::Segment,
        Stage::Refine,
        Stage::Compose,
        Stage::Encode,
        Stage::Write,
    ];

    /// Its name in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Read => "read",
            Stage::Segment => "segment",
            Stage::Refine => "refine",
            Stage::Compose => "compose",
            Stage::Encode => "encode",
            Stage::Write => "write",
        }
    }
}

/// CPU time by stage, over all cameras.
#[derive(Debug, Default)]
pub struct StageClock {
    nanos: [AtomicU64; Stage::ALL.len()],
}

impl StageClock {
    /// Runs `work` and adds the CPU time of this thread to a stage.
    pub fn time<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let start = thread_cpu();
        let result = work();
        let spent = thread_cpu().saturating_sub(start);
        self.nanos[stage as usize].fetch_add(spent.as_nanos() as u64, Relaxed);
        result
    }

    /// The same, as a step of a frame's trace.
    pub(crate) fn trace<T>(&self, span: &Span, stage: Stage, work: impl FnOnce() -> T) -> T {
        self.time(stage, || span.time(stage.name(), work))
    }

    /// The CPU time of a stage so far.
    pub fn spent(&self, stage: Stage) -> Duration {
        Duration::from_nanos(self.nanos[stage as usize].load(Relaxed))
    }
}

/// CPU time of the calling thread.
pub(crate) fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// CPU time of child processes that have ended: FFmpeg's decoding and encoding.
pub fn children_cpu() -> Duration {
    getrusage(UsageWho::RUSAGE_CHILDREN).map_or(Duration::ZERO, |u| {
        Duration::from_micros(
            (u.user_time().num_microseconds() + u.system_time().num_microseconds()).max(0) as u64,
        )
    })
}

/// The largest resident set of this process so far. On Linux `getrusage` may give that of the program that started it (it is kept
/// through execve), so it is asked for only where there is no /proc.
pub fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    match line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()) {
        Some(kib) => kib * 1024,
        // Linux counts in KiB, macOS in bytes.
        None => {
            let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
            getrusage(UsageWho::RUSAGE_SELF)
                .map_or(0, |u| u64::try_from(u.max_rss()).unwrap_or(0) * unit)
        }
    }
}

/// CPU time of this process, all threads.
pub fn process_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// What became of one camera's frames. `read = written + skipped + dropped + failed` once it has ended.
#[derive(Debug, Default)]
pub struct CameraStats {
    /// Frames that the source gave.
    pub read: AtomicU64,
    /// Frames written.
    pub written: AtomicU64,
    /// Frames not written because their file was there (`--on-existing skip`).
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

/// Adds one to a counter.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
