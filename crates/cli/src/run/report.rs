//! The summary of a run: lines or tables for people, JSON for machines.
use super::stats::CameraStats;
use crate::{
    config::RunSettings,
    output::{CommandSummary, failures_of},
};
use comfy_table::{Cell, CellAlignment};
use mattebox_core::frame::CameraId;
use mattebox_engine::{
    ErrorDomain,
    address::harmless,
    latency::{LatencyReport, Times},
    metrics::FrameCounts,
    stages::{self, Stage, StageClock},
    table,
};
use mattebox_media::sink::SinkSpec;
use serde::Serialize;
use std::{fmt, path::Path, sync::Arc, time::Duration};

/// Summary of a run.
#[derive(Debug, Serialize)]
pub struct RunReport {
    /// Each camera.
    pub cameras: Vec<RunCameraReport>,
    /// CPU time by stage, all cameras.
    pub stages: Vec<StageReport>,
    /// Wall-clock seconds from the start to the end.
    pub elapsed_s: f64,
    /// Frames written or skipped per wall-clock second, all cameras.
    pub fps: f64,
    /// All CPU milliseconds of this process and its children, per frame.
    pub cpu_ms_per_frame: f64,
    /// How long frames took, all cameras; `None` if none was written.
    pub latency_ms: Option<LatencyReport>,
    /// Largest resident set of this process in MB (1e6 bytes).
    pub peak_rss_mb: f64,
    /// The run was stopped by a signal.
    pub interrupted: bool,
}

/// Summary of one camera.
#[derive(Debug, Serialize)]
pub struct RunCameraReport {
    /// Its name.
    pub camera: String,
    /// Counts of its frames.
    #[serde(flatten)]
    pub frames: FrameCounts,
    /// Frames that used the last matte again, because nothing moved.
    pub still: u64,
    /// Frames written or skipped per second.
    pub fps: f64,
    /// How long its frames took; `None` if none was written.
    pub latency_ms: Option<LatencyReport>,
    /// Where its output is.
    pub output: String,
    /// Why it ended early, or was away at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip)]
    failed: Option<ErrorDomain>,
    /// Where its output is, for the table.
    #[serde(skip)]
    place: String,
    /// Its output in words.
    #[serde(skip)]
    made: String,
    /// Whether its pictures or mattes are kept.
    #[serde(skip)]
    is_written: bool,
    /// Its pictures go to a server.
    #[serde(skip)]
    is_stream: bool,
}

/// The CPU time of a stage.
#[derive(Debug, Serialize)]
pub struct StageReport {
    /// Its name.
    pub stage: &'static str,
    /// CPU milliseconds per frame.
    pub cpu_ms_per_frame: f64,
    /// Its share of all CPU time.
    pub share: f64,
}

/// Times of the whole run.
pub(super) struct RunTimes {
    pub(super) elapsed: Duration,
    pub(super) children: Duration,
    pub(super) process: Duration,
}

impl RunReport {
    pub(super) fn new(
        cameras: Vec<(CameraId, Option<String>, Arc<CameraStats>)>,
        clock: &StageClock,
        times: RunTimes,
        settings: &RunSettings,
        interrupted: bool,
    ) -> Self {
        let elapsed_s = times.elapsed.as_secs_f64();
        let rate = |n: u64| n as f64 / elapsed_s.max(1e-9);
        let mut latencies = Times::default();
        let cameras: Vec<_> = cameras
            .into_iter()
            .map(|(camera, away, s)| {
                let frames = s.frames.counts();
                let failure = s.failure();
                let latency = s.frames.times();
                latencies.merge(&latency);
                let made = match settings.writes_nothing() {
                    true => format!(
                        "{} read, nothing written (--out none)",
                        count_of(frames.read, "frame")
                    ),
                    false => made(settings, &camera, frames.written, s.length()),
                };
                RunCameraReport {
                    place: match settings.sink {
                        SinkSpec::Nothing => "-".to_owned(),
                        _ => place(&settings.sink, &camera),
                    },
                    made,
                    is_written: !settings.writes_nothing(),
                    is_stream: matches!(settings.sink, SinkSpec::Url(_)),
                    output: place(&settings.sink, &camera),
                    camera: camera.to_string(),
                    frames,
                    still: s.frames.still(),
                    fps: rate(frames.done()),
                    latency_ms: latency.report(),
                    failed: failure.as_ref().map(|f| f.camera.domain),
                    error: failure.map(|f| f.camera.message).or(away),
                }
            })
            .collect();
        let done: u64 = cameras.iter().map(|c| c.frames.done()).sum();
        let per_frame = |t: Duration| t.as_secs_f64() * 1e3 / done.max(1) as f64;
        let all = times.process + times.children;
        let row = |stage, time: Duration| StageReport {
            stage,
            cpu_ms_per_frame: per_frame(time),
            share: time.as_secs_f64() / all.as_secs_f64().max(1e-9),
        };
        let mut stages: Vec<_> = Stage::ALL
            .iter()
            .map(|&s| row(s.name(), clock.spent(s)))
            .collect();
        let staged: Duration = Stage::ALL.iter().map(|&s| clock.spent(s)).sum();
        stages.push(row("other", times.process.saturating_sub(staged)));
        stages.push(row("ffmpeg", times.children));
        RunReport {
            cameras,
            stages,
            elapsed_s,
            fps: rate(done),
            cpu_ms_per_frame: per_frame(all),
            latency_ms: latencies.report(),
            peak_rss_mb: stages::peak_rss_bytes() as f64 / 1e6,
            interrupted,
        }
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

/// `1 frame`, `2 frames`.
fn count_of(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A camera's output in words: `75 pictures in output/cam01/`.
fn made(
    settings: &RunSettings,
    camera: &CameraId,
    frames: u64,
    length: Option<Duration>,
) -> String {
    let place = match &settings.sink {
        SinkSpec::Directory(dir) => pictures(settings, dir, camera),
        sink => place(sink, camera),
    };
    let plural = |what: &str| count_of(frames, what);
    match &settings.sink {
        SinkSpec::Directory(_) => format!("{} in {place}/", plural("picture")),
        SinkSpec::Video(_) => {
            let place = match settings.segment {
                Some(_) => format!("{} and the files after it", first_of_segments(&place)),
                None => place,
            };
            let length = length.map_or(String::new(), |t| format!(", {:.1} s", t.as_secs_f64()));
            format!("{place}: {}{length}", plural("frame"))
        }
        SinkSpec::Url(_) | SinkSpec::Stdout => format!("{} to {place}", plural("frame")),
        SinkSpec::Nothing => {
            let mattes = settings.alpha_out.as_ref();
            match mattes.map(|dir| pictures(settings, dir, camera)) {
                Some(place) => format!("{} in {place}/", plural("matte")),
                None => count_of(frames, "frame"),
            }
        }
    }
}

/// The first of the files that a video is cut into.
fn first_of_segments(place: &str) -> String {
    match place.rsplit_once('.') {
        Some((name, ending)) => format!("{name}-0000.{ending}"),
        None => format!("{place}-0000"),
    }
}

/// The folder of a camera's files, which is below `dir` if their names do not say otherwise.
fn pictures(settings: &RunSettings, dir: &Path, camera: &CameraId) -> String {
    let names = settings.names.template();
    let has_folder = names.is_default() || names.to_string().starts_with("{camera}/");
    let dir = match has_folder {
        true => dir.join(camera.as_str()),
        false => dir.to_owned(),
    };
    harmless::output(&dir.to_string_lossy())
}

/// Where a camera's pictures are.
fn place(sink: &SinkSpec, camera: &CameraId) -> String {
    match sink {
        SinkSpec::Directory(dir) => harmless::output(&dir.join(camera.as_str()).to_string_lossy()),
        _ => sink.for_camera(camera).to_string(),
    }
}

/// The output of a run, with a line for each camera. The alternate form (`{:#}`) has the tables
/// before it: each camera's counts, and each stage's CPU time.
impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() && self.cameras.iter().any(|c| c.frames.read > 0) {
            self.tables(f)?;
        }
        let lines: Vec<_> = self.cameras.iter().filter_map(|c| c.line(self)).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl CommandSummary for RunReport {
    fn failures(&self) -> Vec<String> {
        let failed = self.cameras.iter().filter(|c| c.failed.is_some());
        let failed = failed.map(|c| (&*c.camera, c.error.as_deref()));
        failures_of(failed, self.cameras.len())
    }
}

impl RunCameraReport {
    /// Its output, the place of it, and the missing frames. `None` if it failed before its first
    /// frame.
    fn line(&self, report: &RunReport) -> Option<String> {
        let is_failed = self.failed.is_some();
        // Frames that a server did not accept are nowhere.
        if is_failed && (self.frames.read == 0 || self.is_stream) {
            return None;
        }
        let made = &self.made;
        let mut text = match report.cameras.len() {
            1 => made.clone(),
            _ => format!("{}: {made}", self.camera),
        };
        let mut frames = self.frames;
        if !self.is_written {
            // The skipped frames are those without a viewer.
            frames.skipped = 0;
        }
        text += &frames.not_written();
        if let Some(why) = self.error.as_ref().filter(|_| !is_failed) {
            // FFmpeg's own words are in the log.
            let why = why.split(" (FFmpeg: ").next().unwrap_or(why);
            text += &format!("; away at the end: {why}");
        }
        Some(text)
    }
}

impl RunReport {
    fn tables(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = [&["camera"], &FrameCounts::COLUMNS[..], &["fps", "output"]].concat();
        let mut cameras = table::plain(&header);
        for c in &self.cameras {
            let mut row = vec![c.camera.clone()];
            row.extend(c.frames.cells());
            row.extend([format!("{:.1}", c.fps), c.place.clone()]);
            cameras.add_row(row);
        }
        if let Some(output) = cameras.column_mut(header.len() - 1) {
            output.set_cell_alignment(CellAlignment::Left);
        }
        let mut stages = table::plain(&["CPU ms per frame", "", "share"]);
        for s in self.stages.iter().filter(|s| s.cpu_ms_per_frame >= 0.005) {
            let numbers = [
                format!("{:.2}", s.cpu_ms_per_frame),
                format!("{:.0} %", s.share * 100.0),
            ];
            stages.add_row(
                std::iter::once(s.stage.to_owned())
                    .chain(numbers)
                    .map(Cell::new),
            );
        }
        stages.add_row(vec![
            "all".to_owned(),
            format!("{:.2}", self.cpu_ms_per_frame),
            String::new(),
        ]);
        writeln!(f, "{cameras}\n\n{stages}\n")?;
        write!(
            f,
            "{:.1} s, {:.1} frames per second, {:.0} MB at most",
            self.elapsed_s, self.fps, self.peak_rss_mb
        )?;
        if let Some(latency) = self.latency_ms {
            write!(
                f,
                ", {:.1} ms from read to written (99 %: {:.1} ms)",
                latency.p50, latency.p99
            )?;
        }
        let still: u64 = self.cameras.iter().map(|c| c.still).sum();
        if still > 0 {
            write!(
                f,
                "; the network looked at all frames but {still} still ones"
            )?;
        }
        f.write_str("\n\n")
    }
}
