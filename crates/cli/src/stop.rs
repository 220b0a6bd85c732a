//! One flag that asks everything to stop, and wakes what sleeps.
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A request to stop, shared by all its clones. Once made it stays made.
///
/// ```
/// use mattebox::stop::Stop;
/// let stop = Stop::new();
/// let elsewhere = stop.clone();
/// elsewhere.stop();
/// assert!(stop.is_stopped());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Stop {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    /// A request that nobody has made yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks all holders of a clone to stop.
    pub fn stop(&self) {
        *self
            .shared
            .stopped
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.changed.notify_all();
    }

    /// Whether stopping was asked for.
    pub fn is_stopped(&self) -> bool {
        *self
            .shared
            .stopped
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps for `duration`, or until stopping is asked for. True if it was asked for.
    pub fn wait(&self, duration: Duration) -> bool {
        // A deadline past the clock's end is the same as none: a year is longer than any of our sleeps.
        let deadline = Instant::now() + duration.min(Duration::from_secs(365 * 24 * 3600));
        let mut stopped = self
            .shared
            .stopped
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while !*stopped {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            stopped = self
                .shared
                .changed
                .wait_timeout(stopped, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        *stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_that_nobody_stops_runs_out() {
        assert!(!Stop::new().wait(Duration::from_millis(5)));
    }

    #[test]
    fn a_stop_wakes_a_sleeper_in_another_thread() {
        let stop = Stop::new();
        let sleeper = std::thread::spawn({
            let stop = stop.clone();
            move || stop.wait(Duration::MAX)
        });
        stop.stop();
        assert!(sleeper.join().unwrap());
        assert!(
            stop.wait(Duration::from_secs(3600)),
            "a stop that was made stays made"
        );
    }
}
