//! The names of frames in flight. A record that comes twice close together is not processed twice:
//! the file of the first may not exist yet.
use mattebox_core::frame::{CameraId, FrameNumber};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many frames in flight have each name. After a rebalance a frame may be in flight twice.
#[derive(Debug, Default)]
pub(super) struct NamesInFlight(Mutex<HashMap<(CameraId, FrameNumber), usize>>);

impl NamesInFlight {
    /// A frame has this name until the returned value is dropped.
    pub(super) fn take(self: &Arc<Self>, camera: &CameraId, number: FrameNumber) -> NameInFlight {
        let name = (camera.clone(), number);
        *self.lock().entry(name.clone()).or_default() += 1;
        NameInFlight {
            names: self.clone(),
            name,
        }
    }

    /// Whether a frame has this name.
    pub(super) fn contains(&self, camera: &CameraId, number: FrameNumber) -> bool {
        self.lock().contains_key(&(camera.clone(), number))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(CameraId, FrameNumber), usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of a frame in flight.
#[derive(Debug)]
pub(super) struct NameInFlight {
    names: Arc<NamesInFlight>,
    name: (CameraId, FrameNumber),
}

impl Drop for NameInFlight {
    fn drop(&mut self) {
        let mut names = self.names.lock();
        let left = names.get_mut(&self.name).map(|count| {
            *count -= 1;
            *count
        });
        if left == Some(0) {
            names.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_in_flight_until_the_last_frame_with_it_is_done() {
        let names = Arc::new(NamesInFlight::default());
        let camera: CameraId = "cam01".parse().unwrap();
        let number = FrameNumber(7);
        let first = names.take(&camera, number);
        let again = names.take(&camera, number);
        assert!(names.contains(&camera, number));
        assert!(!names.contains(&camera, FrameNumber(8)));
        drop(first);
        assert!(names.contains(&camera, number));
        drop(again);
        assert!(!names.contains(&camera, number));
    }
}
