//! How a source is doing, for viewers while it is read.
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// What a source is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Condition {
    /// Its first picture has not come yet.
    #[default]
    Connecting,
    /// Its first picture has not come, and it is tried again.
    Unreached {
        /// What the last try gave.
        why: String,
    },
    /// It gives pictures.
    Open,
    /// It was there, went away, and is being connected again.
    Lost {
        /// What FFmpeg or the other side said.
        why: String,
    },
    /// It failed for good.
    Failed {
        /// What happened and what to do.
        why: String,
    },
    /// It has no more pictures.
    Ended,
}

impl Condition {
    /// Why it gives no pictures for the time being, while it is tried again.
    pub fn away(&self) -> Option<&str> {
        match self {
            Condition::Unreached { why } | Condition::Lost { why } => Some(why),
            _ => None,
        }
    }
}

/// A condition and when it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedCondition {
    /// What the source is doing.
    pub condition: Condition,
    /// Since when.
    pub since: SystemTime,
}

/// A source's condition, shared by all clones: the source writes it, others read it.
#[derive(Debug, Clone)]
pub struct Status(Arc<Mutex<TimedCondition>>);

impl Default for Status {
    fn default() -> Self {
        Status(Arc::new(Mutex::new(TimedCondition {
            condition: Condition::default(),
            since: SystemTime::now(),
        })))
    }
}

/// Two are the same if they are of one source.
impl PartialEq for Status {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Status {
    /// What it is now.
    pub fn get(&self) -> TimedCondition {
        self.lock().clone()
    }

    /// Notes a condition. One that was there already keeps its beginning, and so does the first failure: what follows from it says less.
    pub fn set(&self, condition: Condition) {
        let mut now = self.lock();
        let is_final = matches!(now.condition, Condition::Failed { .. });
        if !is_final && now.condition != condition {
            *now = TimedCondition {
                condition,
                since: SystemTime::now(),
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, TimedCondition> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_condition_again_keeps_its_beginning_and_a_failure_stays() {
        let status = Status::default();
        status.set(Condition::Open);
        let first = status.get();
        status.set(Condition::Open);
        assert_eq!(status.get(), first);
        let failed = Condition::Failed {
            why: "gone".to_owned(),
        };
        status.clone().set(failed.clone());
        status.set(Condition::Ended);
        assert_eq!(status.get().condition, failed);
    }
}
