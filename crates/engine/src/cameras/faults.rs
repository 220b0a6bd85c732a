//! The last errors, for viewers.
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// Errors that are kept.
const KEPT: usize = 20;

/// An error.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The time.
    pub time: SystemTime,
    /// The sentence.
    pub message: String,
}

/// The last errors, newest first.
#[derive(Debug, Default)]
pub struct Faults(Mutex<VecDeque<Fault>>);

impl Faults {
    /// Notes an error. A repetition of the last one changes nothing.
    pub fn note(&self, message: &str) {
        let mut faults = self.lock();
        if faults.front().is_some_and(|last| last.message == message) {
            return;
        }
        faults.push_front(Fault {
            time: SystemTime::now(),
            message: message.to_owned(),
        });
        faults.truncate(KEPT);
    }

    /// The errors that are kept, newest first.
    pub fn newest_first(&self) -> Vec<Fault> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_errors_are_kept_and_a_repetition_counts_once() {
        let faults = Faults::default();
        for n in 0..=KEPT {
            faults.note(&n.to_string());
            faults.note(&n.to_string());
        }
        let kept = faults.newest_first();
        assert_eq!(kept.len(), KEPT);
        assert_eq!(kept[0].message, KEPT.to_string());
        assert_eq!(kept[KEPT - 1].message, "1");
    }
}
