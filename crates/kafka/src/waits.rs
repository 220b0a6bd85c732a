//! What a process waits for before it can begin.
use std::sync::{Mutex, PoisonError};

/// A sentence about what a process waits for, for those who ask why it is not ready.
#[derive(Debug, Default)]
pub struct Waits(Mutex<String>);

impl Waits {
    pub(super) fn set(&self, what: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// What it waits for.
    pub fn what(&self) -> String {
        let what = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match what.is_empty() {
            true => "connecting to the broker".to_owned(),
            false => what.clone(),
        }
    }
}
