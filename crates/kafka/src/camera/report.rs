//! The summary at the end: lines or tables for people, JSON for machines.
use super::shared::PublisherContext;
use mattebox_engine::{
    ErrorDomain,
    latency::{LatencyReport, Times},
    metrics::FrameCounts,
    stages, table,
};
use serde::Serialize;
use std::{collections::BTreeMap, fmt, sync::atomic::Ordering::Relaxed, time::Duration};

/// Summary of all cameras.
#[derive(Debug, Serialize)]
pub struct PublishReport {
    /// The topic.
    pub topic: String,
    /// Each camera.
    pub cameras: Vec<PublishedCamera>,
    /// Wall-clock seconds from the first capture to the end.
    pub elapsed_s: f64,
    /// Frames published per wall-clock second, all cameras.
    pub fps: f64,
    /// CPU milliseconds per published frame of this process and its children.
    pub cpu_ms_per_frame: f64,
    /// Percent of a core that one camera takes, with its children.
    pub cpu_percent_per_camera: f64,
    /// From when a frame was captured to when the broker had it, all cameras; `None` if none was
    /// published.
    pub latency_ms: Option<LatencyReport>,
    /// Largest resident set of this process in MB (1e6 bytes).
    pub peak_rss_mb: f64,
    /// It was stopped by a signal.
    pub interrupted: bool,
}

/// Summary of one camera.
#[derive(Debug, Serialize)]
pub struct PublishedCamera {
    /// Its name.
    pub camera: String,
    /// The name of this start, as it is in its frames.
    pub session: String,
    /// Counts of its frames; `written`: the broker has acknowledged them.
    #[serde(flatten)]
    pub frames: FrameCounts,
    /// Frames that were published without being decoded.
    pub passed_through: u64,
    /// Frames that came more than an interval after their time.
    pub late: u64,
    /// Failed frames whose picture could not be read, by reason.
    pub unreadable: BTreeMap<&'static str, u64>,
    /// How often its source was opened again.
    pub reopened: u64,
    /// Bytes of the published values.
    pub bytes: u64,
    /// Mean bytes of a published value.
    pub bytes_per_frame: f64,
    /// Frames published per second.
    pub fps: f64,
    /// From when a frame was captured to when the broker had it; `None` if none was published.
    pub latency_ms: Option<LatencyReport>,
    /// The number of the first frame.
    pub first_number: Option<u64>,
    /// The number of the last frame.
    pub last_number: Option<u64>,
    /// Why it ended early, or was away at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip)]
    failed: Option<ErrorDomain>,
}

/// Times and CPU use of the whole process.
pub(super) struct PublishTimes {
    pub(super) elapsed: Duration,
    /// Of this process and its children.
    pub(super) cpu: Duration,
    pub(super) interrupted: bool,
}

impl PublishReport {
    pub(super) fn new(topic: &str, shared: &PublisherContext, measured: &PublishTimes) -> Self {
        let elapsed_s = measured.elapsed.as_secs_f64().max(1e-9);
        let mut latencies = Times::default();
        let cameras: Vec<_> = shared
            .cameras
            .iter()
            .map(|known| {
                let n = &known.counters;
                let latency = n.frames.times();
                let failure = n.failure();
                let numbers = n.numbers();
                latencies.merge(&latency);
                let frames = n.frames.counts();
                let bytes = n.frames.written_bytes();
                PublishedCamera {
                    camera: known.camera.to_string(),
                    session: known.session.clone(),
                    frames,
                    passed_through: n.passed_through.load(Relaxed),
                    late: n.late.load(Relaxed),
                    unreadable: n.unreadable_by_reason(),
                    reopened: n.reopened.load(Relaxed),
                    bytes,
                    bytes_per_frame: bytes as f64 / frames.written.max(1) as f64,
                    fps: frames.written as f64 / elapsed_s,
                    latency_ms: latency.report(),
                    first_number: numbers.map(|(first, _)| first),
                    last_number: numbers.map(|(_, last)| last),
                    failed: failure.as_ref().map(|f| f.domain),
                    error: failure
                        .map(|f| f.message)
                        .or_else(|| n.status.get().condition.away().map(str::to_owned)),
                }
            })
            .collect();
        let published: u64 = cameras.iter().map(|c| c.frames.written).sum();
        let cpu = measured.cpu.as_secs_f64();
        PublishReport {
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
        let failed = self.cameras.iter().filter(|c| c.failed.is_some());
        failed.map(|c| (&*c.camera, c.error.as_deref()))
    }

    /// Whose fault the first failed camera is.
    pub fn failed(&self) -> Option<ErrorDomain> {
        self.cameras.iter().find_map(|c| c.failed)
    }

    /// Whether any frame failed.
    pub fn has_failed_frames(&self) -> bool {
        self.cameras.iter().any(|c| c.frames.failed > 0)
    }
}

/// A line for each camera: its frames in the topic, and the missing ones. The alternate form
/// (`{:#}`) has the table of all counts before it.
impl fmt::Display for PublishReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() && self.cameras.iter().any(|c| c.frames.read > 0) {
            self.table(f)?;
        }
        let lines: Vec<_> = self.cameras.iter().filter_map(|c| c.line(self)).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl PublishedCamera {
    /// `None` if it failed before its first frame.
    fn line(&self, report: &PublishReport) -> Option<String> {
        let has_failed = self.failed.is_some();
        if has_failed && self.frames.read == 0 {
            return None;
        }
        let mut text = match report.cameras.len() {
            1 => String::new(),
            _ => format!("{}: ", self.camera),
        };
        text += &format!("{} frames to topic {}", self.frames.written, report.topic);
        text += &self.frames.not_written();
        if let Some(why) = self.error.as_ref().filter(|_| !has_failed) {
            text += &format!("; away at the end: {why}");
        }
        Some(text)
    }
}

impl PublishReport {
    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = ["passed through", "late", "fps", "kB a frame", "numbers"];
        let header = [&["camera"], &FrameCounts::COLUMNS[..], &own].concat();
        let mut table = table::plain(&header);
        for c in &self.cameras {
            let numbers = c
                .first_number
                .zip(c.last_number)
                .map(|(first, last)| format!("{first}-{last}"));
            let mut row = vec![c.camera.clone()];
            row.extend(c.frames.cells());
            row.extend([c.passed_through, c.late].map(|count| count.to_string()));
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
