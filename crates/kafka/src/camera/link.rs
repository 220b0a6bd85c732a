//! Whether the broker is there: one line in the log when it is lost, one when it is back.
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The connection to the broker.
#[derive(Debug)]
pub(super) struct Link {
    bootstrap: String,
    lost: Mutex<Option<Instant>>,
}

impl Link {
    pub(super) fn new(bootstrap: &str) -> Self {
        Link {
            bootstrap: bootstrap.to_owned(),
            lost: Mutex::new(None),
        }
    }

    /// Nobody answers. Said once.
    pub(super) fn is_lost(&self, why: &str) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        if lost.is_none() {
            *lost = Some(Instant::now());
            let bootstrap = &self.bootstrap;
            tracing::warn!(
                "the broker at {bootstrap} is lost ({why}): frames wait, and the newest are kept"
            );
        }
    }

    /// Something arrived. Said once.
    pub(super) fn is_there(&self) {
        let was_lost = self
            .lost
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(since) = was_lost {
            let away =
                humantime::format_duration(Duration::from_secs(since.elapsed().as_secs().max(1)));
            tracing::info!("the broker at {} is back after {away}", self.bootstrap);
        }
    }
}
