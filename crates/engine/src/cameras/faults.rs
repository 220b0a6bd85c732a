//! The last things that went wrong, for viewers.
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// How many are kept.
const KEPT: usize = 20;

/// Something that went wrong.
#[derive(Debug, Clone)]
pub struct Fault {
    /// When.
    pub time: SystemTime,
    /// What.
    pub message: String,
}

/// The last things that went wrong, newest first.
#[derive(Debug, Default)]
pub struct Faults(Mutex<VecDeque<Fault>>);

impl Faults {
    /// Notes that something went wrong. The same again changes nothing.
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

    /// All that are kept, newest first.
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
    fn the_last_are_kept_and_the_same_again_is_one() {
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
