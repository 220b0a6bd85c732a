//! One flag that asks everything to stop, and wakes what sleeps.
use std::{
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A request to stop, shared by all its clones. Once made it stays made.
///
/// ```
/// use mattebox_engine::stop::Stop;
/// let stop = Stop::new();
/// let elsewhere = stop.clone();
/// elsewhere.stop();
/// assert!(stop.is_stopped());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Stop {
    shared: Arc<StopShared>,
}

#[derive(Default)]
struct StopShared {
    state: Mutex<StopState>,
    changed: Condvar,
}

#[derive(Default)]
struct StopState {
    stopped: bool,
    /// Called once when it is stopped.
    callbacks: Vec<Box<dyn FnOnce() + Send>>,
}

impl fmt::Debug for StopShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Stop {
    /// A request that nobody has made yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, StopState> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks all holders of a clone to stop.
    pub fn stop(&self) {
        let callbacks = {
            let mut state = self.lock();
            state.stopped = true;
            std::mem::take(&mut state.callbacks)
        };
        self.shared.changed.notify_all();
        callbacks.into_iter().for_each(|callback| callback());
    }

    /// Calls `callback` when stopping is asked for: at once if it was. It runs on the thread that
    /// asks, so it must not take long.
    pub fn on_stop(&self, callback: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        if state.stopped {
            drop(state);
            callback();
        } else {
            state.callbacks.push(Box::new(callback));
        }
    }

    /// Whether stopping was asked for.
    pub fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Sleeps for `duration`, or until stopping is asked for. True if it was asked for.
    pub fn wait(&self, duration: Duration) -> bool {
        // A deadline past the clock's end is the same as none: a year is longer than any of our sleeps.
        let deadline = Instant::now() + duration.min(Duration::from_secs(365 * 24 * 3600));
        let mut state = self.lock();
        while !state.stopped {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    #[test]
    fn a_wait_that_nobody_stops_runs_out() {
        assert!(!Stop::new().wait(Duration::from_millis(5)));
    }

    #[test]
    fn a_callback_is_called_once_even_if_it_comes_late() {
        let stop = Stop::new();
        let calls = Arc::new(AtomicUsize::new(0));
        let count = || {
            let calls = calls.clone();
            move || {
                calls.fetch_add(1, Relaxed);
            }
        };
        stop.on_stop(count());
        stop.stop();
        stop.stop();
        stop.on_stop(count());
        assert_eq!(calls.load(Relaxed), 2);
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
