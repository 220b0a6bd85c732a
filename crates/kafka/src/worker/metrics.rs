//! The metrics of `mattebox worker`, and why it is not ready.
use super::counters::{CameraCounters, PartitionCounters, WorkerCounters};
use mattebox_engine::metrics::{Family, Monitor, Samples, common, frames, monitor};
use std::sync::{Arc, atomic::Ordering::Relaxed};

static DIFFERENT: Family = Family::counter(
    "mattebox_worker_files_different_total",
    &["camera"],
    "Skipped frames whose file exists with other bytes.",
);
static LATE: Family = Family::counter(
    "mattebox_worker_frames_late_total",
    &["camera"],
    "Frames that came after later ones. They are written.",
);
static RETRIES: Family = Family::counter(
    "mattebox_worker_write_retries_total",
    &["camera"],
    "Failed tries to write a file that were repeated.",
);
static RESTARTS: Family = Family::counter(
    "mattebox_worker_camera_restarts_total",
    &["camera"],
    "Times that the frame numbers of a camera began again.",
);
static STATE_UNREADABLE: Family = Family::counter(
    "mattebox_worker_state_unreadable_total",
    &["camera"],
    "Times that a camera's stored state could not be read, so that its matte began again.",
);
static STATE_MISSING: Family = Family::counter(
    "mattebox_worker_state_missing_total",
    &["camera"],
    "Times that no state was stored for the place from which a camera went on.",
);
static CLOCK_BEHIND: Family = Family::gauge(
    "mattebox_worker_camera_clock_behind_seconds",
    &["camera"],
    "With --max-age: how old the youngest frames of a camera are when they arrive. Far from 0 its \
     clock is off.",
);
static RECORDS: Family = Family::counter(
    "mattebox_worker_partition_records_total",
    &["partition"],
    "Records that were read.",
);
static DEAD: Family = Family::counter(
    "mattebox_worker_partition_dead_letters_total",
    &["partition"],
    "Dead letters among them.",
);
static BYTES: Family = Family::counter(
    "mattebox_worker_partition_bytes_total",
    &["partition"],
    "Bytes of the records that were read.",
);
static LOST: Family = Family::counter(
    "mattebox_worker_partition_lost_records_total",
    &["partition"],
    "Records that the topic removed before they were read.",
);
static MISSING_STATES: Family = Family::counter(
    "mattebox_worker_partition_missing_states_total",
    &["partition"],
    "Cameras whose state was missing when the partition was assigned.",
);
static LAG: Family = Family::gauge(
    "mattebox_worker_partition_lag",
    &["partition"],
    "Records that the broker has and that are not committed.",
);
static IN_FLIGHT: Family = Family::gauge(
    "mattebox_worker_partition_in_flight",
    &["partition"],
    "Records in flight.",
);
static COMMITTED: Family = Family::gauge(
    "mattebox_worker_partition_committed_offset",
    &["partition"],
    "The committed offset.",
);
static COMMITS: Family =
    Family::counter("mattebox_worker_commits_total", &[], "Commits of offsets.");
static REBALANCES: Family = Family::counter(
    "mattebox_worker_rebalances_total",
    &[],
    "Assignments and revocations of partitions.",
);
static RECREATED: Family = Family::counter(
    "mattebox_worker_topic_recreated_total",
    &[],
    "Times that the topic of frames was deleted and created again.",
);

/// The families of `mattebox worker` alone.
pub static FAMILIES: [&Family; 20] = [
    &DIFFERENT,
    &LATE,
    &RETRIES,
    &RESTARTS,
    &STATE_UNREADABLE,
    &STATE_MISSING,
    &CLOCK_BEHIND,
    &RECORDS,
    &DEAD,
    &BYTES,
    &LOST,
    &MISSING_STATES,
    &LAG,
    &IN_FLIGHT,
    &COMMITTED,
    &COMMITS,
    &REBALANCES,
    &RECREATED,
    &common::STAGES,
    &common::TROUBLES,
];

pub(super) fn monitor(counters: &Arc<WorkerCounters>) -> Monitor {
    let asked = counters.clone();
    let monitor = Monitor::new("worker", move || reasons(&asked));
    let counted = counters.clone();
    frames::register(&monitor.metrics, move || {
        let cameras = counted.cameras().into_iter();
        cameras.map(|(_, camera)| camera.frames.clone()).collect()
    });
    let counted = counters.clone();
    monitor
        .metrics
        .add(&FAMILIES, move |samples| collect(samples, &counted));
    monitor
}

fn reasons(counters: &WorkerCounters) -> Vec<String> {
    let has_begun = counters.is_ready.load(Relaxed);
    monitor::unless(has_begun, &counters.waits.what())
        .into_iter()
        .chain(counters.troubles.current())
        .collect()
}

fn collect(samples: &mut Samples, counters: &WorkerCounters) {
    for (_, camera) in counters.cameras() {
        collect_camera(samples, &camera);
    }
    for (id, partition) in counters.partitions() {
        collect_partition(samples, &id.to_string(), &partition);
    }
    for (family, count) in [
        (&COMMITS, &counters.commits),
        (&REBALANCES, &counters.rebalances),
        (&RECREATED, &counters.topic_recreated),
    ] {
        samples.add(family, &[], count.load(Relaxed) as f64);
    }
    common::collect_stages(samples, &counters.clock);
    common::collect_troubles(samples, &counters.troubles);
}

fn collect_camera(samples: &mut Samples, counters: &CameraCounters) {
    let camera = &*counters.frames.camera;
    for (family, count) in [
        (&DIFFERENT, &counters.different),
        (&LATE, &counters.late),
        (&RETRIES, &counters.retries),
        (&RESTARTS, &counters.restarts),
        (&STATE_UNREADABLE, &counters.state_unreadable),
        (&STATE_MISSING, &counters.state_missing),
    ] {
        samples.add(family, &[camera], count.load(Relaxed) as f64);
    }
    if let Some(seconds) = counters.clock_behind_s() {
        samples.add(&CLOCK_BEHIND, &[camera], seconds);
    }
}

fn collect_partition(samples: &mut Samples, id: &str, counters: &PartitionCounters) {
    for (family, count) in [
        (&RECORDS, &counters.records),
        (&DEAD, &counters.dead),
        (&BYTES, &counters.bytes),
        (&LOST, &counters.lost),
        (&MISSING_STATES, &counters.states_missing),
    ] {
        samples.add(family, &[id], count.load(Relaxed) as f64);
    }
    if counters.is_ours.load(Relaxed) {
        samples.add(&LAG, &[id], counters.lag() as f64);
        let in_flight = counters.in_flight.load(Relaxed) as f64;
        samples.add(&IN_FLIGHT, &[id], in_flight);
        let committed = counters.committed.load(Relaxed) as f64;
        samples.add(&COMMITTED, &[id], committed);
    }
}
