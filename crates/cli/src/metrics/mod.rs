//! What each command tells Prometheus. docs/ref/metrics.md says what each number means.
#[cfg(test)]
mod reference;

use crate::{retention::RetentionNumbers, run::stats::CameraStats};
use mattebox_core::frame::CameraId;
use mattebox_engine::{
    Watch,
    latency::Latency,
    stages::{Stage, StageClock},
    status::Status,
    troubles::{Cause, Troubles},
};
use mattebox_kafka::{
    camera, watch,
    worker::{self, Numbers},
};
use mattebox_server::{Page, text::Text};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// A counter of something that has a name: how it is called, what it is, and how to read it.
type Row<T> = (&'static str, &'static str, fn(&T) -> f64);

/// Ends of the histograms' buckets. The budgets of docs/guide/operations.md are among them.
const LIMITS_MS: [u64; 14] = [
    2, 5, 10, 20, 33, 50, 100, 200, 250, 500, 1000, 2000, 5000, 10_000,
];

/// A reason for dropping frames, and how to read how many.
type Reason<T> = (&'static str, fn(&T) -> f64);

fn get(counter: &AtomicU64) -> f64 {
    counter.load(Relaxed) as f64
}

fn counters<T>(text: &mut Text, kind: &str, label: &str, all: &[(String, T)], rows: &[Row<T>]) {
    for (name, help, read) in rows {
        text.family(name, kind, help);
        for (of, numbers) in all {
            text.sample(name, &[(label, of)], read(numbers));
        }
    }
}

fn dropped<T>(text: &mut Text, name: &str, help: &str, all: &[(String, T)], reasons: &[Reason<T>]) {
    text.family(name, "counter", help);
    for (camera, numbers) in all {
        for (reason, read) in reasons {
            text.sample(
                name,
                &[("camera", camera), ("reason", reason)],
                read(numbers),
            );
        }
    }
}

fn latency<'a>(
    text: &mut Text,
    name: &str,
    help: &str,
    all: impl Iterator<Item = (&'a str, &'a Latency)>,
) {
    let part = |of: &str| format!("{name}_{of}");
    text.family(name, "histogram", help);
    for (camera, latency) in all {
        let times = latency.times();
        for ms in LIMITS_MS {
            let limit = Duration::from_millis(ms);
            let limit_s = limit.as_secs_f64().to_string();
            text.sample(
                &part("bucket"),
                &[("camera", camera), ("le", &limit_s)],
                times.up_to(limit) as f64,
            );
        }
        text.sample(
            &part("bucket"),
            &[("camera", camera), ("le", "+Inf")],
            times.count() as f64,
        );
        text.sample(
            &part("sum"),
            &[("camera", camera)],
            times.sum().as_secs_f64(),
        );
        text.sample(&part("count"), &[("camera", camera)], times.count() as f64);
    }
}

/// The sources that give no frames for the time being.
fn away<'a>(text: &mut Text, name: &str, sources: impl Iterator<Item = (&'a str, &'a Status)>) {
    text.family(
        name,
        "gauge",
        "1 while a source is away and tried again, with the reason (why).",
    );
    for (camera, status) in sources {
        if let Some(why) = status.get().condition.away() {
            // FFmpeg's own words, which may differ from try to try, are in the log.
            let why = why.split(" (FFmpeg: ").next().unwrap_or_default();
            text.sample(name, &[("camera", camera), ("why", why)], 1.0);
        }
    }
}

/// What cannot be done at the moment.
fn troubles(text: &mut Text, name: &str, troubles: &Troubles) {
    text.family(
        name,
        "gauge",
        "What cannot be done at the moment, by cause: broker, topic, output, dead-letters, state, \
         camera (no frame of so many cameras comes through). /readyz says it in words.",
    );
    for cause in Cause::ALL {
        text.sample(
            name,
            &[("cause", cause.name())],
            troubles.count(cause) as f64,
        );
    }
}

/// A reason why a process is not ready, unless it has begun.
fn unless(has_begun: bool, why: &str) -> Vec<String> {
    let reason = (!has_begun).then(|| why.to_owned());
    reason.into_iter().collect()
}

fn stages(text: &mut Text, name: &str, clock: &StageClock) {
    text.family(name, "counter", "CPU time by stage.");
    for stage in Stage::ALL {
        text.sample(
            name,
            &[("stage", stage.name())],
            clock.spent(stage).as_secs_f64(),
        );
    }
}

/// What `mattebox worker` tells.
pub struct WorkerPage(pub Arc<Numbers>);

impl Page for WorkerPage {
    fn metrics(&self, text: &mut Text) {
        troubles(text, "mattebox_worker_troubles", &self.0.troubles);
        let cameras: Vec<(String, Arc<worker::CameraNumbers>)> = self.0.cameras();
        counters(
            text,
            "counter",
            "camera",
            &cameras,
            &[
                (
                    "mattebox_worker_frames_in_total",
                    "Frames that were taken from the topic.",
                    |n| get(&n.frames_in),
                ),
                (
                    "mattebox_worker_frames_out_total",
                    "Files or results that are in place.",
                    |n| get(&n.frames_out),
                ),
                (
                    "mattebox_worker_frames_kept_total",
                    "Frames whose file was there and was kept.",
                    |n| get(&n.kept),
                ),
                (
                    "mattebox_worker_frames_kept_different_total",
                    "Frames whose file was there with other bytes and was kept.",
                    |n| get(&n.kept_different),
                ),
                (
                    "mattebox_worker_records_repeated_total",
                    "Records that came before, such as a delivery that was repeated.",
                    |n| get(&n.repeated),
                ),
                (
                    "mattebox_worker_frames_late_total",
                    "Frames that came after later ones.",
                    |n| get(&n.late),
                ),
                (
                    "mattebox_worker_frames_still_total",
                    "Frames that the network did not look at.",
                    |n| get(&n.still),
                ),
                (
                    "mattebox_worker_dead_letters_total",
                    "Records that cannot be frames.",
                    |n| get(&n.dead),
                ),
                (
                    "mattebox_worker_write_retries_total",
                    "Tries to write a file that failed.",
                    |n| get(&n.retries),
                ),
                (
                    "mattebox_worker_camera_restarts_total",
                    "Times that a camera counted anew.",
                    |n| get(&n.restarts),
                ),
                (
                    "mattebox_worker_state_unreadable_total",
                    "Times that a camera's stored state could not be read, so that its matte began again.",
                    |n| get(&n.state_unreadable),
                ),
                (
                    "mattebox_worker_state_missing_total",
                    "Times that no state was stored for the place where a camera went on.",
                    |n| get(&n.state_missing),
                ),
                (
                    "mattebox_worker_in_bytes_total",
                    "Bytes of the records.",
                    |n| get(&n.bytes_in),
                ),
                (
                    "mattebox_worker_out_bytes_total",
                    "Bytes of the files or results.",
                    |n| get(&n.bytes_out),
                ),
            ],
        );
        let name = "mattebox_worker_camera_clock_behind_seconds";
        text.family(
            name,
            "gauge",
            "With --max-age: how old the youngest frames of a camera are when they arrive. Far from \
             0 its clock is off.",
        );
        for (camera, n) in &cameras {
            if let Some(seconds) = n.clock_behind_s() {
                text.sample(name, &[("camera", camera)], seconds);
            }
        }
        dropped(
            text,
            "mattebox_worker_frames_dropped_total",
            "Frames that were dropped, by reason: stale (older than --max-age).",
            &cameras,
            &[("stale", |n| get(&n.stale))],
        );
        let times = cameras
            .iter()
            .map(|(camera, n)| (camera.as_str(), &n.latency));
        latency(
            text,
            "mattebox_worker_latency_seconds",
            "From when a frame was taken to when its file or result was in place.",
            times,
        );
        let partitions: Vec<_> = self
            .0
            .partitions()
            .into_iter()
            .map(|(id, n)| (id.to_string(), n))
            .collect();
        counters(
            text,
            "counter",
            "partition",
            &partitions,
            &[
                (
                    "mattebox_worker_partition_records_total",
                    "Records that were taken.",
                    |n| get(&n.records),
                ),
                (
                    "mattebox_worker_partition_dead_letters_total",
                    "Of those, dead letters.",
                    |n| get(&n.dead),
                ),
                (
                    "mattebox_worker_partition_bytes_total",
                    "Bytes of those records.",
                    |n| get(&n.bytes),
                ),
                (
                    "mattebox_worker_partition_lost_records_total",
                    "Records that were removed from the topic before they were processed.",
                    |n| get(&n.lost),
                ),
                (
                    "mattebox_worker_partition_missing_states_total",
                    "Cameras whose state was missing when the partition was assigned.",
                    |n| get(&n.states_missing),
                ),
            ],
        );
        let ours: Vec<_> = partitions
            .into_iter()
            .filter(|(_, n)| n.is_ours.load(Relaxed))
            .collect();
        counters(
            text,
            "gauge",
            "partition",
            &ours,
            &[
                (
                    "mattebox_worker_partition_lag",
                    "Records that the broker has and that are not recorded as done.",
                    |n| n.lag() as f64,
                ),
                (
                    "mattebox_worker_partition_in_flight",
                    "Records that are worked on.",
                    |n| get(&n.in_flight),
                ),
                (
                    "mattebox_worker_partition_committed_offset",
                    "The offset that is recorded as done.",
                    |n| n.committed.load(Relaxed) as f64,
                ),
            ],
        );
        stages(
            text,
            "mattebox_worker_stage_cpu_seconds_total",
            &self.0.clock,
        );
        text.family(
            "mattebox_worker_commits_total",
            "counter",
            "Commits of offsets.",
        );
        text.sample("mattebox_worker_commits_total", &[], get(&self.0.commits));
        text.family(
            "mattebox_worker_rebalances_total",
            "counter",
            "Times that partitions came or went.",
        );
        text.sample(
            "mattebox_worker_rebalances_total",
            &[],
            get(&self.0.rebalances),
        );
        text.family(
            "mattebox_worker_topic_recreated_total",
            "counter",
            "Times that the topic of frames was made again.",
        );
        text.sample(
            "mattebox_worker_topic_recreated_total",
            &[],
            get(&self.0.topic_recreated),
        );
    }

    fn troubles(&self) -> Vec<String> {
        let has_begun = self.0.is_ready.load(Relaxed);
        unless(has_begun, &self.0.waits.what())
            .into_iter()
            .chain(self.0.troubles.current())
            .collect()
    }
}

/// What `mattebox run` tells.
pub struct RunPage {
    /// What is counted of its cameras.
    pub watch: Watch<CameraStats>,
    /// CPU time by stage.
    pub clock: Arc<StageClock>,
    /// How their sources are doing.
    pub sources: Vec<(CameraId, Status)>,
}

impl Page for RunPage {
    fn metrics(&self, text: &mut Text) {
        let cameras: Vec<_> = self
            .watch
            .cameras
            .iter()
            .map(|(camera, n)| (camera.to_string(), n.clone()))
            .collect();
        counters(
            text,
            "counter",
            "camera",
            &cameras,
            &[
                (
                    "mattebox_run_frames_read_total",
                    "Frames that the source gave.",
                    |n| get(&n.read),
                ),
                (
                    "mattebox_run_frames_written_total",
                    "Frames that are written.",
                    |n| get(&n.written),
                ),
                (
                    "mattebox_run_frames_skipped_total",
                    "Frames whose file was there and was kept, or that no viewer saw (--out none).",
                    |n| get(&n.skipped),
                ),
                (
                    "mattebox_run_frames_still_total",
                    "Frames that the network did not look at.",
                    |n| get(&n.still),
                ),
                (
                    "mattebox_run_frames_failed_total",
                    "Frames that could not be read, made or written.",
                    |n| get(&n.failed),
                ),
            ],
        );
        dropped(
            text,
            "mattebox_run_frames_dropped_total",
            "Frames that were dropped, by reason: behind (newer ones were waiting), stopped.",
            &cameras,
            &[
                ("behind", |n| get(&n.dropped_behind)),
                ("stopped", |n| get(&n.dropped_stopped)),
            ],
        );
        let times = cameras
            .iter()
            .map(|(camera, n)| (camera.as_str(), &n.latency));
        latency(
            text,
            "mattebox_run_latency_seconds",
            "From when a frame was read to when it was written.",
            times,
        );
        let sources = self
            .sources
            .iter()
            .map(|(camera, status)| (camera.as_str(), status));
        away(text, "mattebox_run_source_away", sources);
        stages(text, "mattebox_run_stage_cpu_seconds_total", &self.clock);
    }

    fn troubles(&self) -> Vec<String> {
        let mut cameras = self.watch.cameras.iter();
        let has_begun = cameras.any(|(_, n)| n.written.load(Relaxed) + n.skipped.load(Relaxed) > 0);
        let failures = self.watch.cameras.iter().filter_map(|(_, n)| n.failure());
        unless(has_begun, "no frame is written yet")
            .into_iter()
            .chain(failures.map(|failure| failure.message))
            .collect()
    }
}

/// What `mattebox prune` tells.
pub struct RetentionPage(pub Arc<RetentionNumbers>);

impl Page for RetentionPage {
    fn metrics(&self, text: &mut Text) {
        for (name, help, counter) in [
            (
                "mattebox_retention_removed_files_total",
                "Old files that were removed.",
                &self.0.files,
            ),
            (
                "mattebox_retention_removed_bytes_total",
                "Bytes of those files.",
                &self.0.bytes,
            ),
            (
                "mattebox_retention_failed_files_total",
                "Tries to remove an old file that failed.",
                &self.0.failed,
            ),
        ] {
            text.family(name, "counter", help);
            text.sample(name, &[], get(counter));
        }
    }

    fn troubles(&self) -> Vec<String> {
        unless(
            self.0.is_ready.load(Relaxed),
            "the first round is not done yet",
        )
    }
}

/// What a command tells that removes old files beside its work.
pub struct WithRetention {
    /// Its own numbers.
    pub page: Arc<dyn Page>,
    /// What was removed.
    pub retention: RetentionPage,
}

impl Page for WithRetention {
    fn metrics(&self, text: &mut Text) {
        self.page.metrics(text);
        self.retention.metrics(text);
    }

    fn troubles(&self) -> Vec<String> {
        self.page.troubles()
    }
}

/// What `mattebox view` tells.
pub struct ViewPage(pub Arc<watch::Numbers>);

impl Page for ViewPage {
    fn metrics(&self, text: &mut Text) {
        counters(
            text,
            "counter",
            "camera",
            &self.0.cameras(),
            &[
                ("mattebox_view_results_total", "Results that came.", |n| {
                    get(&n.seen)
                }),
                (
                    "mattebox_view_results_shown_total",
                    "Of those, shown; the others were overtaken by newer ones.",
                    |n| get(&n.shown),
                ),
                (
                    "mattebox_view_results_failed_total",
                    "Results whose picture cannot be decoded.",
                    |n| get(&n.failed),
                ),
            ],
        );
        text.family(
            "mattebox_view_foreign_records_total",
            "counter",
            "Records that are no results and are not shown.",
        );
        text.sample(
            "mattebox_view_foreign_records_total",
            &[],
            get(&self.0.foreign),
        );
    }

    fn troubles(&self) -> Vec<String> {
        unless(self.0.is_ready(), &self.0.waits.what())
    }
}

/// What `mattebox camera` tells.
pub struct CameraPage {
    /// What is counted of its cameras.
    pub watch: Watch<camera::CameraNumbers>,
    /// What cannot be done at the moment.
    pub troubles: Arc<Troubles>,
}

impl Page for CameraPage {
    fn metrics(&self, text: &mut Text) {
        let cameras: Vec<_> = self
            .watch
            .cameras
            .iter()
            .map(|(camera, n)| (camera.to_string(), n.clone()))
            .collect();
        troubles(text, "mattebox_camera_troubles", &self.troubles);
        counters(
            text,
            "counter",
            "camera",
            &cameras,
            &[
                (
                    "mattebox_camera_frames_late_total",
                    "Frames that came more than an interval of --fps after their time. They are published.",
                    |n| get(&n.late),
                ),
                (
                    "mattebox_camera_frames_captured_total",
                    "Frames that the source gave.",
                    |n| get(&n.captured),
                ),
                (
                    "mattebox_camera_frames_published_total",
                    "Frames that the broker has.",
                    |n| get(&n.published),
                ),
                (
                    "mattebox_camera_frames_failed_total",
                    "Frames that could not be read or encoded, or were refused.",
                    |n| get(&n.failed),
                ),
                (
                    "mattebox_camera_frames_passed_through_total",
                    "Frames that went as they were in the source.",
                    |n| get(&n.passed_through),
                ),
                (
                    "mattebox_camera_source_reopened_total",
                    "Times that a failed source was opened anew.",
                    |n| get(&n.reopened),
                ),
                (
                    "mattebox_camera_bytes_total",
                    "Bytes that were published.",
                    |n| get(&n.bytes),
                ),
            ],
        );
        dropped(
            text,
            "mattebox_camera_frames_dropped_total",
            "Frames that were dropped, by reason: buffer (the broker was away for longer than --buffer-frames), stopped.",
            &cameras,
            &[
                ("buffer", |n| get(&n.dropped_buffer)),
                ("stopped", |n| get(&n.dropped_stopped)),
            ],
        );
        let times = cameras
            .iter()
            .map(|(camera, n)| (camera.as_str(), &n.latency));
        latency(
            text,
            "mattebox_camera_latency_seconds",
            "From when a frame was taken to when the broker had it.",
            times,
        );
        let name = "mattebox_camera_frames_unreadable_total";
        text.family(
            name,
            "counter",
            "Those of the failed frames whose picture could not be read, by reason.",
        );
        for (camera, n) in &cameras {
            for (reason, count) in n.unreadable_by_reason() {
                text.sample(
                    name,
                    &[("camera", camera), ("reason", reason)],
                    count as f64,
                );
            }
        }
        away(
            text,
            "mattebox_camera_source_away",
            cameras
                .iter()
                .map(|(camera, n)| (camera.as_str(), &n.status)),
        );
    }

    fn troubles(&self) -> Vec<String> {
        let mut cameras = self.watch.cameras.iter();
        let has_begun = cameras.any(|(_, n)| n.published.load(Relaxed) > 0);
        let failures = self.watch.cameras.iter().filter_map(|(_, n)| n.failure());
        unless(has_begun, "no frame is published yet")
            .into_iter()
            .chain(failures.map(|failure| failure.message))
            .chain(self.troubles.current())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_has_its_buckets_its_sum_and_its_count() {
        let mut text = Text::default();
        let latency_of = Latency::default();
        for _ in 0..4 {
            latency_of.add_time(Duration::from_millis(25));
        }
        latency(
            &mut text,
            "x_seconds",
            "Time.",
            [("a", &latency_of), ("b", &Latency::default())].into_iter(),
        );
        let page = text.finish();
        for line in [
            "x_seconds_bucket{camera=\"a\",le=\"0.02\"} 0",
            "x_seconds_bucket{camera=\"a\",le=\"0.033\"} 4",
            "x_seconds_bucket{camera=\"a\",le=\"+Inf\"} 4",
            "x_seconds_sum{camera=\"a\"} 0.1",
            "x_seconds_count{camera=\"a\"} 4",
            "x_seconds_count{camera=\"b\"} 0",
        ] {
            assert!(page.contains(&format!("{line}\n")), "{line} in {page}");
        }
    }
}
