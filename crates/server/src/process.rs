//! What every process tells: its version, and the numbers that Prometheus' client libraries give for a process.
use super::text::Text;
use mattebox_engine::stages;
use std::{
    fs,
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

/// When this was first called, in unix time: a server calls it at its start, and that is soon after the process's.
pub(super) fn started() -> f64 {
    static START: OnceLock<f64> = OnceLock::new();
    *START.get_or_init(|| {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64())
    })
}

/// Adds them.
pub fn metrics(text: &mut Text) {
    let mut put = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            text.family(name, kind, help);
            text.sample(name, &[], value);
        }
    };
    put(
        "process_cpu_seconds_total",
        "counter",
        "CPU time of this process.",
        Some(stages::process_cpu().as_secs_f64()),
    );
    put(
        "process_resident_memory_bytes",
        "gauge",
        "Memory that is in use.",
        resident_bytes(),
    );
    put(
        "process_open_fds",
        "gauge",
        "Open files and connections.",
        fs::read_dir("/proc/self/fd")
            .ok()
            .map(|fds| fds.count() as f64),
    );
    put(
        "process_start_time_seconds",
        "gauge",
        "Unix time of the start.",
        Some(started()),
    );
    text.family("mattebox_build_info", "gauge", "1, and what this is.");
    text.sample(
        "mattebox_build_info",
        &[("version", env!("CARGO_PKG_VERSION"))],
        1.0,
    );
}

/// Memory that is in use.
pub(super) fn resident_bytes() -> Option<f64> {
    let pages: f64 = fs::read_to_string("/proc/self/statm")
        .ok()?
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()?;
    Some(pages * rustix::param::page_size() as f64)
}
