//! The metrics of a command, and the reasons why it is not ready.
use super::{Metrics, process};
use std::fmt;

/// The metrics of a command and the reasons why it is not ready, for `/metrics` and `/readyz`.
pub struct Monitor {
    /// Its families.
    pub metrics: Metrics,
    reasons: Box<dyn Fn() -> Vec<String> + Send + Sync>,
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor").finish_non_exhaustive()
    }
}

impl Monitor {
    /// A monitor with the families of every process. `reasons` gives a sentence for each reason why
    /// the command is not ready.
    pub fn new(
        command: &'static str,
        reasons: impl Fn() -> Vec<String> + Send + Sync + 'static,
    ) -> Self {
        let metrics = Metrics::default();
        process::register(&metrics, command);
        Monitor {
            metrics,
            reasons: Box::new(reasons),
        }
    }

    /// A sentence for each reason why the command is not ready. Without one it is ready.
    pub fn reasons(&self) -> Vec<String> {
        (self.reasons)()
    }
}

/// The reason, unless the work has begun.
pub fn unless(has_begun: bool, reason: &str) -> Vec<String> {
    let reason = (!has_begun).then(|| reason.to_owned());
    reason.into_iter().collect()
}
