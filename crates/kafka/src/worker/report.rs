//! The summary of a worker: lines or tables for people, JSON for machines.
use super::counters::WorkerCounters;
use crate::settings::{WorkerSettings, WorkerSink};
use mattebox_engine::{
    latency::{LatencyReport, Times},
    metrics::{FrameCounts, SkipReason},
    stages::{self, Stage},
    table,
};
use serde::Serialize;
use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Summary of a worker.
#[derive(Debug, Serialize)]
pub struct WorkerReport {
    /// The topic of the frames.
    pub topic: String,
    /// The consumer group.
    pub group: String,
    /// Where results went.
    pub output: String,
    /// Each camera.
    pub cameras: Vec<WorkerCamera>,
    /// Each partition that was assigned to it.
    pub partitions: Vec<WorkerPartition>,
    /// Wall-clock seconds.
    pub elapsed_s: f64,
    /// Files or results per wall-clock second.
    pub fps: f64,
    /// CPU milliseconds of this process for each file or result.
    pub cpu_ms_per_frame: f64,
    /// CPU milliseconds for each file or result, by stage.
    pub stages_ms_per_frame: Vec<(&'static str, f64)>,
    /// From when frames were captured to when their files or results were in place; `None` if there
    /// are none.
    pub latency_ms: Option<LatencyReport>,
    /// Largest resident set of this process in MB (1e6 bytes).
    pub peak_rss_mb: f64,
    /// Assignments and revocations of partitions.
    pub rebalances: u64,
    /// Commits of offsets.
    pub commits: u64,
    /// Times that the topic of frames was created again.
    pub topic_recreated: u64,
    /// It was stopped by a signal.
    pub interrupted: bool,
}

/// Summary of one camera.
#[derive(Debug, Serialize)]
pub struct WorkerCamera {
    /// Its name.
    pub camera: String,
    /// Counts of its frames.
    #[serde(flatten)]
    pub frames: FrameCounts,
    /// Skipped frames whose record came before, such as a repeated delivery.
    pub repeated: u64,
    /// Skipped frames whose file exists with other bytes.
    pub different: u64,
    /// Frames that came after later ones. They are written.
    pub late: u64,
    /// Frames that used the last matte again.
    pub still: u64,
    /// Failed tries to write that were repeated.
    pub retries: u64,
    /// Times that its frame numbers began again.
    pub restarts: u64,
    /// Times that its stored state could not be read, so that its matte began again.
    pub state_unreadable: u64,
    /// Times that no state was stored for the place from which it went on.
    pub state_missing: u64,
    /// Bytes of its records.
    pub read_bytes: u64,
    /// Bytes of its files or results.
    pub written_bytes: u64,
    /// From when its frames were captured to when they were written.
    pub latency_ms: Option<LatencyReport>,
}

/// Summary of one partition.
#[derive(Debug, Serialize)]
pub struct WorkerPartition {
    /// Its number.
    pub partition: i32,
    /// Records that were read.
    pub records: u64,
    /// Dead letters among them.
    pub dead: u64,
    /// Records that were removed from the topic before they were processed.
    pub lost: u64,
    /// Bytes of those records.
    pub bytes: u64,
    /// The committed offset.
    pub committed: i64,
    /// Records that the broker has and that are not committed.
    pub lag: u64,
}

/// The clocks at the start.
pub(super) struct Timing {
    begun: Instant,
    cpu: Duration,
}

impl Timing {
    pub(super) fn start() -> Self {
        Timing {
            begun: Instant::now(),
            cpu: stages::process_cpu(),
        }
    }
}

impl WorkerReport {
    pub(super) fn new(
        settings: &WorkerSettings,
        counters: &WorkerCounters,
        timing: &Timing,
        interrupted: bool,
    ) -> Self {
        let get = |counter: &AtomicU64| counter.load(Relaxed);
        let mut latencies = Times::default();
        let cameras: Vec<_> = counters
            .cameras()
            .into_iter()
            .map(|(camera, n)| {
                let latency = n.frames.times();
                latencies.merge(&latency);
                WorkerCamera {
                    camera,
                    frames: n.frames.counts(),
                    repeated: n.frames.skipped(SkipReason::Repeated),
                    different: get(&n.different),
                    late: get(&n.late),
                    still: n.frames.still(),
                    retries: get(&n.retries),
                    restarts: get(&n.restarts),
                    state_unreadable: get(&n.state_unreadable),
                    state_missing: get(&n.state_missing),
                    read_bytes: n.frames.read_bytes(),
                    written_bytes: n.frames.written_bytes(),
                    latency_ms: latency.report(),
                }
            })
            .collect();
        let partitions = counters
            .partitions()
            .into_iter()
            .filter(|(_, n)| get(&n.records) > 0 || n.is_ours.load(Relaxed));
        let partitions = partitions
            .map(|(partition, n)| WorkerPartition {
                partition,
                records: get(&n.records),
                dead: get(&n.dead),
                lost: get(&n.lost),
                bytes: get(&n.bytes),
                committed: n.committed.load(Relaxed),
                lag: n.lag(),
            })
            .collect();
        let elapsed_s = timing.begun.elapsed().as_secs_f64().max(1e-9);
        let out: u64 = cameras.iter().map(|c| c.frames.written).sum();
        let per_frame = |time: Duration| time.as_secs_f64() * 1e3 / out.max(1) as f64;
        WorkerReport {
            topic: settings.broker.topic.clone(),
            group: settings.group.clone(),
            output: match &settings.sink {
                WorkerSink::Directory(path) => path.display().to_string(),
                WorkerSink::Topic(name) => format!("topic:{name}"),
            },
            cameras,
            partitions,
            elapsed_s,
            fps: out as f64 / elapsed_s,
            cpu_ms_per_frame: per_frame(stages::process_cpu().saturating_sub(timing.cpu)),
            stages_ms_per_frame: Stage::ALL
                .iter()
                .map(|&s| (s.name(), per_frame(counters.clock.spent(s))))
                .collect(),
            latency_ms: latencies.report(),
            peak_rss_mb: stages::peak_rss_bytes() as f64 / 1e6,
            rebalances: get(&counters.rebalances),
            commits: get(&counters.commits),
            topic_recreated: get(&counters.topic_recreated),
            interrupted,
        }
    }

    /// Records that the topic removed before this worker read them.
    pub fn lost(&self) -> u64 {
        self.partitions.iter().map(|p| p.lost).sum()
    }
}

/// With more cameras than this, one line sums them up.
const MAX_LINES: usize = 12;

/// The number and place of each camera's results. The alternate form (`{:#}`) has the tables of all
/// counts before it.
impl fmt::Display for WorkerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() && self.cameras.iter().any(|c| c.frames.read > 0) {
            self.tables(f)?;
        }
        let mut lines: Vec<_> = match self.cameras.len() {
            0 => vec![format!("no records from topic {}", self.topic)],
            1..=MAX_LINES => self.cameras.iter().map(|c| self.line(c)).collect(),
            _ => vec![self.line_of_all()],
        };
        let lost = self.lost();
        if lost > 0 {
            lines.push(format!(
                "{lost} records were removed from topic {} before they were processed",
                self.topic
            ));
        }
        f.write_str(&lines.join("\n"))
    }
}

impl WorkerReport {
    fn line(&self, c: &WorkerCamera) -> String {
        let notes = c.frames.not_written();
        match self.output.starts_with("topic:") {
            true => format!(
                "{}: {} results to {}{notes}",
                c.camera, c.frames.written, self.output
            ),
            false => format!(
                "{}: {} pictures in {}/{}/{notes}",
                c.camera, c.frames.written, self.output, c.camera
            ),
        }
    }

    fn line_of_all(&self) -> String {
        let mut all = FrameCounts::default();
        self.cameras.iter().for_each(|c| all.add(c.frames));
        let out = all.written;
        let notes = all.not_written();
        let cameras = self.cameras.len();
        match self.output.starts_with("topic:") {
            true => format!(
                "{out} results of {cameras} cameras to {}{notes}",
                self.output
            ),
            false => format!(
                "{out} pictures of {cameras} cameras in {}/{notes}",
                self.output
            ),
        }
    }
}

impl WorkerReport {
    fn tables(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = ["late", "MB read", "MB written", "ms p50", "p95", "p99"];
        let header = [&["camera"], &FrameCounts::COLUMNS[..], &own].concat();
        let mut cameras = table::plain(&header);
        for c in &self.cameras {
            let mut row = vec![c.camera.clone()];
            row.extend(c.frames.cells());
            row.push(c.late.to_string());
            row.extend([c.read_bytes, c.written_bytes].map(|n| format!("{:.1}", n as f64 / 1e6)));
            row.extend(
                c.latency_ms
                    .into_iter()
                    .flat_map(|l| [l.p50, l.p95, l.p99])
                    .map(|ms| format!("{ms:.1}")),
            );
            cameras.add_row(row);
        }
        let mut partitions = table::plain(&[
            "partition",
            "records",
            "dead",
            "lost",
            "MB",
            "committed",
            "lag",
        ]);
        for p in &self.partitions {
            partitions.add_row([
                p.partition.to_string(),
                p.records.to_string(),
                p.dead.to_string(),
                p.lost.to_string(),
                format!("{:.1}", p.bytes as f64 / 1e6),
                p.committed.to_string(),
                p.lag.to_string(),
            ]);
        }
        writeln!(f, "{cameras}\n\n{partitions}\n")?;
        writeln!(
            f,
            "{:.1} s, {:.1} frames per second, {:.2} ms of CPU per frame, {:.0} MB at most\n",
            self.elapsed_s, self.fps, self.cpu_ms_per_frame, self.peak_rss_mb
        )
    }
}
