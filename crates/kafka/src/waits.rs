//! The reason why a process has not begun yet.
use std::sync::{Mutex, PoisonError};

/// A sentence for `/readyz` about the reason of a wait.
#[derive(Debug, Default)]
pub struct Waits(Mutex<String>);

impl Waits {
    pub(super) fn set(&self, what: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// The sentence.
    pub fn what(&self) -> String {
        let what = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match what.is_empty() {
            true => "connecting to the broker".to_owned(),
            false => what.clone(),
        }
    }
}
