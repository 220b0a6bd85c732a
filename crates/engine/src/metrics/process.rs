//! The metrics of every process, under the names of Prometheus' client libraries.
//!
//! They are not those of the `prometheus` crate, whose CPU time in whole seconds is too coarse for
//! a rate over a minute.
use super::{Family, Metrics, Samples};
use crate::stages;
use std::{
    fs,
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

static CPU: Family = Family::counter(
    "process_cpu_seconds_total",
    &[],
    "CPU time of this process.",
);
static MEMORY: Family = Family::gauge(
    "process_resident_memory_bytes",
    &[],
    "Resident memory of this process.",
);
static FILES: Family = Family::gauge("process_open_fds", &[], "Open files and connections.");
static START: Family = Family::gauge("process_start_time_seconds", &[], "Unix time of the start.");
static BUILD: Family = Family::gauge(
    "mattebox_build_info",
    &["version", "command"],
    "1, with the version and the command of this process.",
);

/// The families of every process.
pub static FAMILIES: [&Family; 5] = [&CPU, &MEMORY, &FILES, &START, &BUILD];

/// Adds the metrics of this process, which runs `command`.
pub fn register(metrics: &Metrics, command: &'static str) {
    started();
    metrics.add(&FAMILIES, move |samples| collect(samples, command));
}

fn collect(samples: &mut Samples, command: &str) {
    samples.add(&CPU, &[], stages::process_cpu().as_secs_f64());
    if let Some(bytes) = resident_bytes() {
        samples.add(&MEMORY, &[], bytes);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        samples.add(&FILES, &[], files.count() as f64);
    }
    samples.add(&START, &[], started());
    samples.add(&BUILD, &[env!("CARGO_PKG_VERSION"), command], 1.0);
}

/// Unix time of the first call, soon after the start of the process.
fn started() -> f64 {
    static START: OnceLock<f64> = OnceLock::new();
    *START.get_or_init(|| {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64())
    })
}

/// Resident memory of this process.
pub fn resident_bytes() -> Option<f64> {
    let pages: f64 = fs::read_to_string("/proc/self/statm")
        .ok()?
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()?;
    Some(pages * rustix::param::page_size() as f64)
}
