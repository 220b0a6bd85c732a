//! CPU time by stage of a frame, and of the process.
use crate::trace::Span;
use rustix::time::{ClockId, clock_gettime};
use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// A step of a frame in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading a picture: decoding it, or taking it from the decoder's pipe.
    Read,
    /// Resampling, the network and smoothing.
    Segment,
    /// From the coarse matte to the full one.
    Refine,
    /// Person over background. A PNG file composes its rows while it encodes.
    Compose,
    /// Picture to bytes; for a PNG file also composing its rows.
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

    /// Runs `work` as [`StageClock::time`], and as a step of a frame's trace.
    pub fn trace<T>(&self, span: &Span, stage: Stage, work: impl FnOnce() -> T) -> T {
        self.time(stage, || span.time(stage.name(), work))
    }

    /// The CPU time of a stage so far.
    pub fn spent(&self, stage: Stage) -> Duration {
        Duration::from_nanos(self.nanos[stage as usize].load(Relaxed))
    }
}

/// CPU time of the calling thread.
pub fn thread_cpu() -> Duration {
    clock(ClockId::ThreadCPUTime)
}

/// CPU time of this process, all threads.
pub fn process_cpu() -> Duration {
    clock(ClockId::ProcessCPUTime)
}

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    Duration::new(
        time.tv_sec.try_into().unwrap_or_default(),
        time.tv_nsec.try_into().unwrap_or_default(),
    )
}

/// CPU time of child processes that have ended, such as FFmpeg, with a resolution of 10 ms. Zero
/// without /proc.
pub fn children_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the program's name in parentheses, which may hold spaces. The 16th and
    // 17th are the user and system time of children (proc(5)).
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: u64 = fields
        .split_ascii_whitespace()
        .skip(13)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_secs_f64(ticks as f64 / per_second as f64)
}

/// The largest resident set of this process so far. Zero without /proc.
pub fn peak_rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_cpu_time_of_children_counts_when_they_have_ended() {
        let before = children_cpu();
        let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        assert!(
            Command::new("sh")
                .args(["-c", script])
                .status()
                .unwrap()
                .success()
        );
        assert!(children_cpu() > before);
        assert!(process_cpu() >= thread_cpu() && peak_rss_bytes() > 1 << 20);
    }
}
