//! Waiting for conditions. How soon one becomes true never decides a test.
use std::{
    thread,
    time::{Duration, Instant},
};

/// The longest wait for one condition.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// The time between two checks.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Waits until a condition is true. After [`LIMIT`] the test fails and names the condition.
#[track_caller]
pub(crate) fn until(what: &str, is_so: impl FnMut() -> bool) {
    until_or(what, is_so, String::new);
}

/// The same, with more text for the failure, such as the output of a program.
#[track_caller]
pub(crate) fn until_or(what: &str, mut is_so: impl FnMut() -> bool, more: impl FnOnce() -> String) {
    let begun = Instant::now();
    while !is_so() {
        if begun.elapsed() > LIMIT {
            panic!("waited {LIMIT:?} for {what}: {}", more());
        }
        thread::sleep(POLL_INTERVAL);
    }
}
