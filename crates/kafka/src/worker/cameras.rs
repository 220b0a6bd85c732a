//! The cameras of one partition and their queues.
use super::job::QueuedRecord;
use mattebox_core::frame::CameraId;
use mattebox_engine::queues::{CameraQueues, QueueId, QueueSettings};
use mattebox_store::CameraState;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// Quiet cameras of a partition that are kept.
const MAX_QUIET_CAMERAS: usize = 64;
/// Maximum number of cameras of a partition: a sender that changes its camera name all the time
/// does not fill the memory.
pub(super) const MAX_CAMERAS: usize = 1024;
/// A camera without frames for this long is quiet, and may be forgotten.
const QUIET: Duration = Duration::from_secs(5);

/// The cameras of one partition.
#[derive(Debug)]
pub(super) struct PartitionCameras {
    cameras: HashMap<CameraId, KnownCamera>,
    /// The id of the topic.
    topic_id: Arc<str>,
}

/// A camera.
#[derive(Debug)]
struct KnownCamera {
    queue: QueueId,
    /// It has had a frame since the last checkpoint.
    touched: bool,
    /// When it had its last frame.
    used: Instant,
}

/// A camera that had frames since the last checkpoint.
#[derive(Debug)]
pub(super) struct TouchedCamera {
    pub(super) camera: CameraId,
    pub(super) queue: QueueId,
}

impl PartitionCameras {
    pub(super) fn new(topic_id: Arc<str>) -> Self {
        PartitionCameras {
            cameras: HashMap::new(),
            topic_id,
        }
    }

    /// The id of the topic.
    pub(super) fn topic_id(&self) -> &Arc<str> {
        &self.topic_id
    }

    /// Whether a camera is known.
    pub(super) fn contains(&self, camera: &CameraId) -> bool {
        self.cameras.contains_key(camera)
    }

    /// Whether there is no room for another camera.
    pub(super) fn is_full(&self) -> bool {
        self.cameras.len() >= MAX_CAMERAS
    }

    /// Whether quiet cameras should be forgotten.
    pub(super) fn is_crowded(&self) -> bool {
        self.cameras.len() >= MAX_QUIET_CAMERAS
    }

    /// Opens the queue of a new camera, which goes on from `state`.
    pub(super) fn open(
        &mut self,
        camera: CameraId,
        state: CameraState,
        queues: &CameraQueues<QueuedRecord>,
        settings: QueueSettings,
    ) {
        let known = KnownCamera {
            queue: queues.open(settings, state),
            touched: false,
            used: Instant::now(),
        };
        self.cameras.insert(camera, known);
    }

    /// The queue of a camera that has a frame now; `None` if it is not known.
    pub(super) fn touch(&mut self, camera: &CameraId) -> Option<QueueId> {
        let known = self.cameras.get_mut(camera)?;
        known.touched = true;
        known.used = Instant::now();
        Some(known.queue)
    }

    /// All cameras' states have to be stored.
    pub(super) fn touch_all(&mut self) {
        let known = self.cameras.values_mut();
        known.for_each(|known| known.touched = true);
    }

    /// The queues of all cameras.
    pub(super) fn queues(&self) -> impl Iterator<Item = (&CameraId, QueueId)> {
        self.cameras
            .iter()
            .map(|(camera, known)| (camera, known.queue))
    }

    /// The cameras with frames since the last call.
    pub(super) fn take_touched(&mut self) -> Vec<TouchedCamera> {
        let touch = |(camera, known): (&CameraId, &mut KnownCamera)| {
            std::mem::take(&mut known.touched).then(|| TouchedCamera {
                camera: camera.clone(),
                queue: known.queue,
            })
        };
        self.cameras.iter_mut().filter_map(touch).collect()
    }

    /// Forgets the cameras that are quiet since their state was stored.
    pub(super) fn forget_quiet(&mut self, now: Instant, queues: &CameraQueues<QueuedRecord>) {
        self.cameras.retain(|_, known| {
            let stays = known.touched || now.duration_since(known.used) < QUIET;
            if !stays {
                queues.remove(known.queue);
            }
            stays
        });
    }

    /// Forgets all cameras without a frame since their state was stored.
    pub(super) fn forget_stored(&mut self, queues: &CameraQueues<QueuedRecord>) {
        self.cameras.retain(|_, known| {
            if !known.touched {
                queues.remove(known.queue);
            }
            known.touched
        });
    }

    /// Removes all queues and returns the names of the cameras.
    pub(super) fn close(self, queues: &CameraQueues<QueuedRecord>) -> Vec<CameraId> {
        let close = |(camera, known): (CameraId, KnownCamera)| {
            queues.remove(known.queue);
            camera
        };
        self.cameras.into_iter().map(close).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mattebox_engine::queues::{Lifetime, WhenFull};

    const SETTINGS: QueueSettings = QueueSettings {
        waiting: 9,
        in_flight: 9,
        when_full: WhenFull::Wait,
    };

    fn queues() -> CameraQueues<QueuedRecord> {
        CameraQueues::new(Lifetime::UntilShut)
    }

    fn cameras(queues: &CameraQueues<QueuedRecord>, count: usize) -> PartitionCameras {
        let mut cameras = PartitionCameras::new("id".into());
        for n in 0..count {
            cameras.open(name(n), CameraState::default(), queues, SETTINGS);
        }
        cameras
    }

    fn name(n: usize) -> CameraId {
        format!("cam{n}").parse().unwrap()
    }

    #[test]
    fn a_camera_is_touched_once_between_two_checkpoints() {
        let queues = queues();
        let mut cameras = cameras(&queues, 2);
        cameras.touch(&name(1));
        let touched = cameras.take_touched();
        assert_eq!(touched.len(), 1);
        assert_eq!(touched[0].camera, name(1));
        assert!(cameras.take_touched().is_empty());
    }

    #[test]
    fn quiet_cameras_are_forgotten_only_when_their_state_is_stored() {
        let queues = queues();
        let mut cameras = cameras(&queues, 2);
        cameras.touch(&name(0));
        cameras.forget_quiet(Instant::now(), &queues);
        assert!(cameras.contains(&name(1)), "it may have been opened now");
        cameras.forget_quiet(Instant::now() + QUIET, &queues);
        assert!(cameras.contains(&name(0)), "its state is not stored");
        assert!(!cameras.contains(&name(1)));
        cameras.take_touched();
        cameras.forget_quiet(Instant::now() + QUIET, &queues);
        assert!(!cameras.contains(&name(0)));
    }

    #[test]
    fn changing_names_do_not_fill_the_memory() {
        let queues = queues();
        let mut cameras = cameras(&queues, MAX_CAMERAS - 1);
        assert!(cameras.is_crowded() && !cameras.is_full());
        cameras.open(name(MAX_CAMERAS), CameraState::default(), &queues, SETTINGS);
        assert!(cameras.is_full());
        assert_eq!(cameras.close(&queues).len(), MAX_CAMERAS);
    }
}
