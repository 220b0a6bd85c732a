//! Waiting for what must happen at all. How soon it happens never decides a test.
use std::{
    thread,
    time::{Duration, Instant},
};

/// No test waits longer for one thing.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// Between two looks.
const MOMENT: Duration = Duration::from_millis(20);

/// Waits until something is so. After [`LIMIT`] the test fails and says what it waited for.
#[track_caller]
pub(crate) fn until(what: &str, is_so: impl FnMut() -> bool) {
    until_or(what, is_so, String::new);
}

/// The same, with more to say where it fails, such as what a program has written.
#[track_caller]
pub(crate) fn until_or(what: &str, mut is_so: impl FnMut() -> bool, more: impl FnOnce() -> String) {
    let begun = Instant::now();
    while !is_so() {
        if begun.elapsed() > LIMIT {
            panic!("waited {LIMIT:?} for {what}: {}", more());
        }
        thread::sleep(MOMENT);
    }
}
