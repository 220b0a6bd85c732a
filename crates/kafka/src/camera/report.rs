//! What is said at the end: a short table for people, JSON for machines.
use super::shared::Shared;
use mattebox_engine::table;
use mattebox_engine::{
    latency::{LatencyReport, Times as Latencies},
    stages,
};
use serde::Serialize;
use std::{collections::BTreeMap, fmt, sync::atomic::Ordering::Relaxed, time::Duration};

/// The sums of all cameras.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The topic.
    pub topic: String,
    /// Each camera's sums.
    pub cameras: Vec<CameraReport>,
    /// Wall-clock seconds from the first capture to the end.
    pub elapsed_s: f64,
    /// Frames published per wall-clock second, all cameras.
    pub fps: f64,
    /// CPU milliseconds per published frame of this process and its children.
    pub cpu_ms_per_frame: f64,
    /// Percent of a core that one camera takes, with its children.
    pub cpu_percent_per_camera: f64,
    /// From the moment a frame was taken until the broker had it, all cameras; `None` if none was published.
    pub latency_ms: Option<LatencyReport>,
    /// Largest resident set of this process in MB (1e6 bytes).
    pub peak_rss_mb: f64,
    /// It was stopped by a signal.
    pub interrupted: bool,
}

/// One camera's sums.
#[derive(Debug, Serialize)]
pub struct CameraReport {
    /// Its name.
    pub camera: String,
    /// The name of this start, as it is in its frames.
    pub session: String,
    /// Frames that its source gave.
    pub captured: u64,
    /// Frames that the broker has.
    pub published: u64,
    /// Frames that went as they were in the source.
    pub passed_through: u64,
    /// Frames that came more than an interval after their time.
    pub late: u64,
    /// Frames dropped.
    pub dropped: Dropped,
    /// Frames that could not be read or encoded, or that the broker refused.
    pub failed: u64,
    /// Those of them whose picture could not be read, by reason.
    pub unreadable: BTreeMap<&'static str, u64>,
    /// How often its source was opened anew.
    pub reopened: u64,
    /// Bytes of the published values.
    pub bytes: u64,
    /// The same for each frame.
    pub bytes_per_frame: f64,
    /// Frames published per second.
    pub fps: f64,
    /// From the moment a frame was taken until the broker had it; `None` if none was published.
    pub latency_ms: Option<LatencyReport>,
    /// The number of the first frame.
    pub first_number: Option<u64>,
    /// The number of the last frame.
    pub last_number: Option<u64>,
    /// Why it ended early, or was away at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip)]
    exit_code: u8,
}

/// Dropped frames by reason.
#[derive(Debug, Serialize)]
pub struct Dropped {
    /// Newer ones needed their place while the broker did not take them.
    pub buffer: u64,
    /// The process was stopped.
    pub stopped: u64,
}

/// What was measured from the beginning to the end.
pub(super) struct Measured {
    pub(super) elapsed: Duration,
    /// Of this process and its children.
    pub(super) cpu: Duration,
    pub(super) interrupted: bool,
}

impl Report {
    pub(super) fn new(topic: &str, shared: &Shared, measured: &Measured) -> Self {
        let elapsed_s = measured.elapsed.as_secs_f64().max(1e-9);
        let mut latencies = Latencies::default();
        let cameras: Vec<_> = shared
            .cameras
            .iter()
            .map(|known| {
                let n = &known.numbers;
                let latency = n.latency.times();
                let failure = n.failure();
                let span = n.span();
                latencies.merge(&latency);
                let published = n.published.load(Relaxed);
                let bytes = n.bytes.load(Relaxed);
                CameraReport {
                    camera: known.camera.to_string(),
                    session: known.session.clone(),
                    captured: n.captured.load(Relaxed),
                    published,
                    passed_through: n.passed_through.load(Relaxed),
                    late: n.late.load(Relaxed),
                    dropped: Dropped {
                        buffer: n.dropped_buffer.load(Relaxed),
                        stopped: n.dropped_stopped.load(Relaxed),
                    },
                    failed: n.failed.load(Relaxed),
                    unreadable: n.unreadable_by_reason(),
                    reopened: n.reopened.load(Relaxed),
                    bytes,
                    bytes_per_frame: bytes as f64 / published.max(1) as f64,
                    fps: published as f64 / elapsed_s,
                    latency_ms: latency.report(),
                    first_number: span.map(|(first, _)| first),
                    last_number: span.map(|(_, last)| last),
                    exit_code: failure.as_ref().map_or(0, |f| f.exit_code),
                    error: failure
                        .map(|f| f.message)
                        .or_else(|| n.status.get().condition.away().map(str::to_owned)),
                }
            })
            .collect();
        let published: u64 = cameras.iter().map(|c| c.published).sum();
        let cpu = measured.cpu.as_secs_f64();
        Report {
            topic: topic.to_owned(),
            fps: published as f64 / elapsed_s,
            cpu_ms_per_frame: cpu * 1e3 / published.max(1) as f64,
            cpu_percent_per_camera: cpu / elapsed_s * 100.0 / cameras.len().max(1) as f64,
            cameras,
            elapsed_s,
            latency_ms: latencies.report(),
            peak_rss_mb: stages::peak_rss_bytes() as f64 / 1e6,
            interrupted: measured.interrupted,
        }
    }

    /// The cameras that failed, and why.
    pub fn failures(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let failed = self.cameras.iter().filter(|c| c.exit_code != 0);
        failed.map(|c| (&*c.camera, c.error.as_deref()))
    }

    /// The exit code of the process: that of the first failed camera, 130 when stopped by a signal, 1 when a frame failed.
    pub fn exit_code(&self) -> u8 {
        match self
            .cameras
            .iter()
            .map(|c| c.exit_code)
            .find(|&code| code != 0)
        {
            Some(code) => code,
            None if self.interrupted => 130,
            None if self.cameras.iter().any(|c| c.failed > 0) => 1,
            None => 0,
        }
    }
}

/// A line for each camera: how much of it is in the topic, and what is missing. The alternate form
/// (`{:#}`) has the table of all counts before it.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() && self.cameras.iter().any(|c| c.captured > 0) {
            self.table(f)?;
        }
        let lines: Vec<_> = self.cameras.iter().filter_map(|c| c.line(self)).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl CameraReport {
    /// `None` if it failed before its first frame.
    fn line(&self, report: &Report) -> Option<String> {
        let has_failed = self.exit_code != 0;
        if has_failed && self.captured == 0 {
            return None;
        }
        let mut text = match report.cameras.len() {
            1 => String::new(),
            _ => format!("{}: ", self.camera),
        };
        text += &format!("{} frames to topic {}", self.published, report.topic);
        let notes = [
            (
                self.dropped.buffer,
                "dropped, because the broker did not take them in time",
            ),
            (self.dropped.stopped, "dropped at the end"),
            (self.failed, "failed"),
        ];
        for (count, what) in notes.iter().filter(|(count, _)| *count > 0) {
            text += &format!(", {count} {what}");
        }
        if let Some(why) = self.error.as_ref().filter(|_| !has_failed) {
            text += &format!("; away at the end: {why}");
        }
        Some(text)
    }
}

impl Report {
    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = [
            "camera",
            "captured",
            "published",
            "as it was",
            "late",
            "buffer",
            "stopped",
            "failed",
            "fps",
            "kB a frame",
            "numbers",
        ];
        let mut table = table::plain(&header);
        for c in &self.cameras {
            let numbers = c
                .first_number
                .zip(c.last_number)
                .map(|(first, last)| format!("{first}-{last}"));
            let counts = [
                c.captured,
                c.published,
                c.passed_through,
                c.late,
                c.dropped.buffer,
                c.dropped.stopped,
                c.failed,
            ];
            let mut row = vec![c.camera.clone()];
            row.extend(counts.map(|count| count.to_string()));
            row.extend([
                format!("{:.1}", c.fps),
                format!("{:.1}", c.bytes_per_frame / 1e3),
                numbers.unwrap_or_default(),
            ]);
            table.add_row(row);
        }
        writeln!(f, "{table}\n")?;
        write!(
            f,
            "{:.1} s, {:.1} frames per second to topic {}",
            self.elapsed_s, self.fps, self.topic
        )?;
        write!(f, ", {:.2} CPU ms per frame", self.cpu_ms_per_frame)?;
        write!(
            f,
            ", {:.1} % of a core per camera, {:.0} MB at most",
            self.cpu_percent_per_camera, self.peak_rss_mb
        )?;
        if let Some(latency) = self.latency_ms {
            write!(
                f,
                ", {:.1} ms from taken to published (99 %: {:.1} ms)",
                latency.p50, latency.p99
            )?;
        }
        for c in self.cameras.iter() {
            for (reason, count) in &c.unreadable {
                write!(
                    f,
                    "\n{}: {count} frames could not be read: {reason}",
                    c.camera
                )?;
            }
        }
        f.write_str("\n\n")
    }
}
