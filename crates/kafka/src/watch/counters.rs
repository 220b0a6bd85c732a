//! Counters and metrics of `mattebox view`, and why it is not ready.
use crate::{Waits, worker::OTHERS};
use mattebox_core::frame::CameraId;
use mattebox_engine::{
    events::Event,
    metrics::{Family, FrameCounters, Monitor, frames, monitor},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

/// Cameras with counters of their own. Those beyond this number share one set.
const MAX_CAMERAS: usize = 1000;

/// Counters of a view.
#[derive(Debug, Default)]
pub struct ViewCounters {
    cameras: Mutex<BTreeMap<String, Arc<FrameCounters>>>,
    foreign: AtomicU64,
    /// Why it has not begun yet.
    pub(super) waits: Waits,
    pub(super) is_ready: AtomicBool,
}

impl ViewCounters {
    /// The counters of a camera.
    pub(super) fn camera(&self, id: &CameraId) -> Arc<FrameCounters> {
        let mut cameras = self.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        let is_counted = cameras.contains_key(id.as_str()) || cameras.len() < MAX_CAMERAS;
        let name = if is_counted { id.as_str() } else { OTHERS };
        let counters = cameras
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(FrameCounters::new(name)));
        counters.clone()
    }

    fn cameras(&self) -> Vec<Arc<FrameCounters>> {
        let cameras = self.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        cameras.values().cloned().collect()
    }

    fn reasons(&self) -> Vec<String> {
        monitor::unless(self.is_ready.load(Relaxed), &self.waits.what())
    }
}

/// A record is no result. It may show a room, so it is not shown.
pub(super) struct ForeignRecord<'a> {
    pub(super) counters: &'a ViewCounters,
    pub(super) topic: &'a str,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

impl Event for ForeignRecord<'_> {
    fn emit(self) {
        if self.counters.foreign.fetch_add(1, Relaxed) == 0 {
            tracing::warn!(
                topic = self.topic,
                partition = self.partition,
                offset = self.offset,
                "this record is no result and is not shown: is it the right topic?"
            );
        }
    }
}

static FOREIGN: Family = Family::counter(
    "mattebox_view_foreign_records_total",
    &[],
    "Records that are no results and are not shown.",
);

/// The families of `mattebox view` alone.
pub static FAMILIES: [&Family; 1] = [&FOREIGN];

pub(super) fn monitor(counters: &Arc<ViewCounters>) -> Monitor {
    let asked = counters.clone();
    let monitor = Monitor::new("view", move || asked.reasons());
    let counted = counters.clone();
    frames::register(&monitor.metrics, move || counted.cameras());
    let counted = counters.clone();
    monitor.metrics.add(&FAMILIES, move |samples| {
        samples.add(&FOREIGN, &[], counted.foreign.load(Relaxed) as f64);
    });
    monitor
}
