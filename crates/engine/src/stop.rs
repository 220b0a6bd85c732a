//! A flag that asks all threads to stop, and wakes those that sleep.
use std::{
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A request to stop, shared by all clones. It cannot be withdrawn.
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
    /// Called once, at the request to stop.
    callbacks: Vec<Box<dyn FnOnce() + Send>>,
}

impl fmt::Debug for StopShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Stop {
    /// A flag that is not set.
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

    /// Calls `callback` at the request to stop, or now if there was one. It runs on the thread that
    /// calls [`Stop::stop`], so it must be quick.
    pub fn on_stop(&self, callback: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        if state.stopped {
            drop(state);
            callback();
        } else {
            state.callbacks.push(Box::new(callback));
        }
    }

    /// Whether there was a request to stop.
    pub fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Sleeps for `duration`, or until the request to stop. True if there was one.
    pub fn wait(&self, duration: Duration) -> bool {
        // At most a year, which is longer than any sleep here: `Instant` must not overflow.
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
    fn a_wait_without_a_stop_ends_after_its_duration() {
        assert!(!Stop::new().wait(Duration::from_millis(5)));
    }

    #[test]
    fn a_callback_is_called_once_also_after_the_stop() {
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
            "a stop cannot be withdrawn"
        );
    }
}
