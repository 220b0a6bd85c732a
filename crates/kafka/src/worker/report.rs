//! What is said of a worker when it has ended: a short table for people, JSON for machines.
use super::numbers::Numbers;
use crate::settings::{WorkerSettings, WorkerSink};
use mattebox_engine::{
    latency::{LatencyReport, Times as Latencies},
    stages::{self, Stage},
    table,
};
use serde::Serialize;
use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// The sums of a worker.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The topic of the frames.
    pub topic: String,
    /// The consumer group.
    pub group: String,
    /// Where results went.
    pub output: String,
    /// Each camera's sums.
    pub cameras: Vec<CameraReport>,
    /// The sums of each partition that was ours.
    pub partitions: Vec<PartitionReport>,
    /// Wall-clock seconds.
    pub elapsed_s: f64,
    /// Files or results per wall-clock second.
    pub fps: f64,
    /// CPU milliseconds of this process per file or result.
    pub cpu_ms_per_frame: f64,
    /// CPU milliseconds per file or result by stage.
    pub stages_ms_per_frame: Vec<(&'static str, f64)>,
    /// From when frames were taken to when their files or results were in place; `None` if there
    /// was none.
    pub latency_ms: Option<LatencyReport>,
    /// Largest resident set of this process in MB (1e6 bytes).
    pub peak_rss_mb: f64,
    /// Times that partitions came or went.
    pub rebalances: u64,
    /// Commits of offsets.
    pub commits: u64,
    /// Times that the topic of frames was made again.
    pub topic_recreated: u64,
    /// It was stopped by a signal.
    pub interrupted: bool,
}

/// One camera's sums.
#[derive(Debug, Serialize)]
pub struct CameraReport {
    /// Its name.
    pub camera: String,
    /// Records of it.
    pub frames_in: u64,
    /// Files or results in place.
    pub frames_out: u64,
    /// Frames whose file was there and was kept.
    pub kept: u64,
    /// Of those, files with other bytes.
    pub kept_different: u64,
    /// Records that came before, such as a delivery that was repeated.
    pub repeated: u64,
    /// Frames that were too old (`--live`).
    pub stale: u64,
    /// Frames that came after later ones.
    pub late: u64,
    /// Frames that the network did not look at.
    pub still: u64,
    /// Records that went to the dead letters.
    pub dead: u64,
    /// Tries to write that failed and were made again.
    pub retries: u64,
    /// Times that its numbers began again.
    pub restarts: u64,
    /// Times that what was stored of it could not be read, so that its matte began again.
    pub state_unreadable: u64,
    /// Times that no state was stored for the place where it went on.
    pub state_missing: u64,
    /// Bytes of its records.
    pub bytes_in: u64,
    /// Bytes of its files or results.
    pub bytes_out: u64,
    /// From when its frames were taken to when they were in place.
    pub latency_ms: Option<LatencyReport>,
}

/// One partition's sums.
#[derive(Debug, Serialize)]
pub struct PartitionReport {
    /// Its number.
    pub partition: i32,
    /// Records that were taken.
    pub records: u64,
    /// Of those, dead letters.
    pub dead: u64,
    /// Records that were removed from the topic before they were processed.
    pub lost: u64,
    /// Bytes of those records.
    pub bytes: u64,
    /// The offset that is recorded as done.
    pub committed: i64,
    /// Records that the broker has and that are not recorded as done.
    pub lag: u64,
}

/// Clocks at the beginning.
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

impl Report {
    pub(super) fn new(
        settings: &WorkerSettings,
        numbers: &Numbers,
        timing: &Timing,
        interrupted: bool,
    ) -> Self {
        let get = |counter: &AtomicU64| counter.load(Relaxed);
        let mut latencies = Latencies::default();
        let cameras: Vec<_> = numbers
            .cameras()
            .into_iter()
            .map(|(camera, n)| {
                let latency = n.latency.times();
                latencies.merge(&latency);
                CameraReport {
                    camera,
                    frames_in: get(&n.frames_in),
                    frames_out: get(&n.frames_out),
                    kept: get(&n.kept),
                    kept_different: get(&n.kept_different),
                    repeated: get(&n.repeated),
                    stale: get(&n.stale),
                    late: get(&n.late),
                    still: get(&n.still),
                    dead: get(&n.dead),
                    retries: get(&n.retries),
                    restarts: get(&n.restarts),
                    state_unreadable: get(&n.state_unreadable),
                    state_missing: get(&n.state_missing),
                    bytes_in: get(&n.bytes_in),
                    bytes_out: get(&n.bytes_out),
                    latency_ms: latency.report(),
                }
            })
            .collect();
        let partitions = numbers
            .partitions()
            .into_iter()
            .filter(|(_, n)| get(&n.records) > 0 || n.is_ours.load(Relaxed));
        let partitions = partitions
            .map(|(partition, n)| PartitionReport {
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
        let out: u64 = cameras.iter().map(|c| c.frames_out).sum();
        let per_frame = |time: Duration| time.as_secs_f64() * 1e3 / out.max(1) as f64;
        Report {
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
                .map(|&s| (s.name(), per_frame(numbers.clock.spent(s))))
                .collect(),
            latency_ms: latencies.report(),
            peak_rss_mb: stages::peak_rss_bytes() as f64 / 1e6,
            rebalances: get(&numbers.rebalances),
            commits: get(&numbers.commits),
            topic_recreated: get(&numbers.topic_recreated),
            interrupted,
        }
    }

    /// The exit code of the process. A worker that was stopped by a signal has done what it was to
    /// do: it finished and recorded its work.
    pub fn exit_code(&self) -> u8 {
        let lost: u64 = self.partitions.iter().map(|p| p.lost).sum();
        match self.interrupted {
            true => 130,
            // Done, but records were lost before they reached this worker.
            false if lost > 0 => 4,
            false => 0,
        }
    }
}

/// With more cameras than this, one line tells of them all.
const MAX_LINES: usize = 12;

/// What was made of each camera's records, and where it is. The alternate form (`{:#}`) has the tables
/// of all counts before it.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() && self.cameras.iter().any(|c| c.frames_in > 0) {
            self.tables(f)?;
        }
        let mut lines: Vec<_> = match self.cameras.len() {
            0 => vec![format!("no records from topic {}", self.topic)],
            1..=MAX_LINES => self.cameras.iter().map(|c| self.line(c)).collect(),
            _ => vec![self.line_of_all()],
        };
        let lost: u64 = self.partitions.iter().map(|p| p.lost).sum();
        if lost > 0 {
            lines.push(format!(
                "{lost} records were removed from topic {} before they were processed",
                self.topic
            ));
        }
        f.write_str(&lines.join("\n"))
    }
}

impl Report {
    fn line(&self, c: &CameraReport) -> String {
        let notes = notes([c.kept, c.stale, c.late, c.dead]);
        match self.output.starts_with("topic:") {
            true => format!(
                "{}: {} results to {}{notes}",
                c.camera, c.frames_out, self.output
            ),
            false => format!(
                "{}: {} pictures in {}/{}/{notes}",
                c.camera, c.frames_out, self.output, c.camera
            ),
        }
    }

    fn line_of_all(&self) -> String {
        let sum = |count: fn(&CameraReport) -> u64| self.cameras.iter().map(count).sum();
        let out: u64 = sum(|c| c.frames_out);
        let notes = notes([
            sum(|c| c.kept),
            sum(|c| c.stale),
            sum(|c| c.late),
            sum(|c| c.dead),
        ]);
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

/// What else became of the records: kept, too old, late, dead.
fn notes(counts: [u64; 4]) -> String {
    let what = [
        "kept, because their files were there",
        "left out as too old",
        "left out as late",
        "dead letters (`mattebox dead-letters list`)",
    ];
    let notes = counts.iter().zip(what).filter(|(count, _)| **count > 0);
    notes
        .map(|(count, what)| format!(", {count} {what}"))
        .collect()
}

impl Report {
    fn tables(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cameras = table::plain(&[
            "camera", "in", "out", "kept", "repeated", "stale", "late", "dead", "MB in", "MB out",
            "ms p50", "p95", "p99",
        ]);
        for c in &self.cameras {
            let mut row = vec![c.camera.clone()];
            row.extend(
                [
                    c.frames_in,
                    c.frames_out,
                    c.kept,
                    c.repeated,
                    c.stale,
                    c.late,
                    c.dead,
                ]
                .map(|n| n.to_string()),
            );
            row.extend([c.bytes_in, c.bytes_out].map(|n| format!("{:.1}", n as f64 / 1e6)));
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
