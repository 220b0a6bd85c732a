//! The condition of a source while it is read.
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// The condition of a source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Condition {
    /// Waits for its first picture.
    #[default]
    Connecting,
    /// Has given no picture yet, and is tried again.
    Unreached {
        /// The error of the last try.
        why: String,
    },
    /// Gives pictures.
    Open,
    /// Gave pictures, was lost, and is being connected again.
    Lost {
        /// The error of FFmpeg or of the other side.
        why: String,
    },
    /// Failed for good.
    Failed {
        /// The error, with advice.
        why: String,
    },
    /// Has no more pictures.
    Ended,
}

impl Condition {
    /// Why it gives no pictures now, if it is being tried again.
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
    /// The condition.
    pub condition: Condition,
    /// The time when it began.
    pub since: SystemTime,
}

/// A source's condition, shared by all clones. The source writes it; others read it.
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

/// Two are equal if they belong to one source.
impl PartialEq for Status {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Status {
    /// The condition now.
    pub fn get(&self) -> TimedCondition {
        self.lock().clone()
    }

    /// Sets the condition. An unchanged condition keeps its time. A failure is final: the errors
    /// that follow from it say less.
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
    fn an_unchanged_condition_keeps_its_time_and_a_failure_is_final() {
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
