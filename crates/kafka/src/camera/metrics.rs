//! The metrics of `mattebox camera`, and why it is not ready.
use super::{counters::CaptureCounters, shared::PublisherContext};
use mattebox_engine::metrics::{Family, Monitor, Samples, common, frames, monitor};
use std::sync::{Arc, atomic::Ordering::Relaxed};

static LATE: Family = Family::counter(
    "mattebox_camera_frames_late_total",
    &["camera"],
    "Frames that came more than an interval of --fps after their time. They are published.",
);
static PASSED_THROUGH: Family = Family::counter(
    "mattebox_camera_frames_passed_through_total",
    &["camera"],
    "Frames that were published without decoding them.",
);
static UNREADABLE: Family = Family::counter(
    "mattebox_camera_frames_unreadable_total",
    &["camera", "reason"],
    "Failed frames whose picture could not be read, by reason.",
);
static REOPENED: Family = Family::counter(
    "mattebox_camera_source_reopened_total",
    &["camera"],
    "Times that a failed source was opened again.",
);

/// The families of `mattebox camera` alone.
pub static FAMILIES: [&Family; 6] = [
    &LATE,
    &PASSED_THROUGH,
    &UNREADABLE,
    &REOPENED,
    &common::SOURCE_AWAY,
    &common::TROUBLES,
];

pub(super) fn monitor(shared: &Arc<PublisherContext>) -> Monitor {
    let asked = shared.clone();
    let monitor = Monitor::new("camera", move || reasons(&asked));
    let counted = shared.clone();
    frames::register(&monitor.metrics, move || {
        let cameras = counted.cameras.iter();
        cameras
            .map(|camera| camera.counters.frames.clone())
            .collect()
    });
    let counted = shared.clone();
    monitor.metrics.add(&FAMILIES, move |samples| {
        for camera in &counted.cameras {
            collect(samples, &camera.counters);
        }
        common::collect_troubles(samples, &counted.troubles);
    });
    monitor
}

fn reasons(shared: &PublisherContext) -> Vec<String> {
    let counters = || shared.cameras.iter().map(|camera| &camera.counters);
    let has_begun = counters().any(|counters| counters.frames.counts().written > 0);
    let failures = counters().filter_map(|counters| counters.failure());
    monitor::unless(has_begun, "no frame is published yet")
        .into_iter()
        .chain(failures.map(|failure| failure.message))
        .chain(shared.troubles.current())
        .collect()
}

fn collect(samples: &mut Samples, counters: &CaptureCounters) {
    let camera = &*counters.frames.camera;
    for (family, count) in [
        (&LATE, &counters.late),
        (&PASSED_THROUGH, &counters.passed_through),
        (&REOPENED, &counters.reopened),
    ] {
        samples.add(family, &[camera], count.load(Relaxed) as f64);
    }
    for (reason, count) in counters.unreadable_by_reason() {
        samples.add(&UNREADABLE, &[camera, reason], count as f64);
    }
    common::collect_source(samples, camera, &counters.status);
}
