//! Families that several commands have.
use super::{Family, Samples};
use crate::{
    stages::{Stage, StageClock},
    status::Status,
    troubles::{Cause, Troubles},
};

/// CPU time by stage.
pub static STAGES: Family = Family::counter(
    "mattebox_stage_cpu_seconds_total",
    &["stage"],
    "CPU time by stage: read, segment, refine, compose, encode, write.",
);

/// Adds the CPU time of each stage.
pub fn collect_stages(samples: &mut Samples, clock: &StageClock) {
    for stage in Stage::ALL {
        let seconds = clock.spent(stage).as_secs_f64();
        samples.add(&STAGES, &[stage.name()], seconds);
    }
}

/// Sources that are away.
pub static SOURCE_AWAY: Family = Family::gauge(
    "mattebox_source_away",
    &["camera", "why"],
    "1 while a source is away and tried again, with the reason (why).",
);

/// Adds a source if it gives no frames now.
pub fn collect_source(samples: &mut Samples, camera: &str, status: &Status) {
    if let Some(why) = status.get().condition.away() {
        // FFmpeg's own words may differ from try to try: they are only in the log.
        let why = why.split(" (FFmpeg: ").next().unwrap_or_default();
        samples.add(&SOURCE_AWAY, &[camera, why], 1.0);
    }
}

/// Troubles of the process.
pub static TROUBLES: Family = Family::gauge(
    "mattebox_troubles",
    &["cause"],
    "Troubles that keep the process from its work now, by cause: broker, topic, output, \
     dead-letters, state, camera (one whose last 30 frames were all lost). /readyz says them in \
     words.",
);

/// Adds the number of troubles of each cause.
pub fn collect_troubles(samples: &mut Samples, troubles: &Troubles) {
    for cause in Cause::ALL {
        let count = troubles.count(cause) as f64;
        samples.add(&TROUBLES, &[cause.name()], count);
    }
}
