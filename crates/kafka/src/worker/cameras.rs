//! The cameras of one partition: their queues and their numbering.
use super::job::QueuedRecord;
use mattebox_core::frame::{CameraId, FrameNumber, Numbering, Place, Timestamp};
use mattebox_engine::queues::{CameraQueues, QueueId, QueueSettings};
use mattebox_store::CameraState;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Cameras of a partition that are kept although they are quiet.
const MAX_QUIET_CAMERAS: usize = 64;
/// Cameras of a partition, at most: a sender of pictures under ever new names does not fill the
/// memory.
pub(super) const MAX_CAMERAS: usize = 1024;
/// How long a camera has to be without frames to be forgotten.
const QUIET: Duration = Duration::from_secs(5);

/// The cameras of one partition.
#[derive(Debug)]
pub(super) struct PartitionCameras {
    cameras: HashMap<CameraId, KnownCamera>,
    /// The queue of late frames, which are processed by themselves.
    late: QueueId,
}

/// A camera.
#[derive(Debug)]
struct KnownCamera {
    queue: QueueId,
    numbering: Numbering,
    /// It has had a frame since the last checkpoint.
    touched: bool,
    /// When it had its last frame.
    used: Instant,
}

/// A camera that had frames since the last checkpoint.
#[derive(Debug)]
pub(super) struct TouchedCamera {
    pub(super) camera: CameraId,
    pub(super) numbering: Numbering,
    pub(super) queue: QueueId,
}

impl PartitionCameras {
    pub(super) fn new(late: QueueId) -> Self {
        PartitionCameras {
            cameras: HashMap::new(),
            late,
        }
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
            queue: queues.open(settings, state.matte),
            numbering: state.numbering,
            touched: false,
            used: Instant::now(),
        };
        self.cameras.insert(camera, known);
    }

    /// The queue and the number of a frame; `None` if its camera is not known.
    pub(super) fn place(
        &mut self,
        camera: &CameraId,
        number: FrameNumber,
        time: Timestamp,
    ) -> Option<(QueueId, Place)> {
        let known = self.cameras.get_mut(camera)?;
        known.touched = true;
        known.used = Instant::now();
        let place = known.numbering.place(number, time);
        let queue = match place {
            Place::Late(_) => self.late,
            Place::Next(_) | Place::Restarted(_) => known.queue,
        };
        Some((queue, place))
    }

    /// The cameras with frames since the last call.
    pub(super) fn take_touched(&mut self) -> Vec<TouchedCamera> {
        let touch = |(camera, known): (&CameraId, &mut KnownCamera)| {
            std::mem::take(&mut known.touched).then(|| TouchedCamera {
                camera: camera.clone(),
                numbering: known.numbering,
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

    /// Removes all queues and returns the names of the cameras.
    pub(super) fn close(self, queues: &CameraQueues<QueuedRecord>) -> Vec<CameraId> {
        queues.remove(self.late);
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
    use mattebox_core::matte::MatteState;
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
        let late = queues.open(SETTINGS, MatteState::default());
        let mut cameras = PartitionCameras::new(late);
        for n in 0..count {
            cameras.open(name(n), CameraState::default(), queues, SETTINGS);
        }
        cameras
    }

    fn name(n: usize) -> CameraId {
        format!("cam{n}").parse().unwrap()
    }

    #[test]
    fn late_frames_have_a_queue_of_their_own_and_change_no_numbering() {
        let queues = queues();
        let mut cameras = cameras(&queues, 1);
        let mut place = |number, time| {
            cameras
                .place(&name(0), FrameNumber(number), Timestamp(time))
                .unwrap()
        };
        let (queue, first) = place(5, 50);
        assert_eq!(first, Place::Next(FrameNumber(5)));
        let (late, second) = place(4, 40);
        assert_eq!(second, Place::Late(FrameNumber(4)));
        assert_ne!(queue, late);
        assert_eq!(place(6, 60), (queue, Place::Next(FrameNumber(6))));
    }

    #[test]
    fn a_camera_is_touched_once_between_two_checkpoints() {
        let queues = queues();
        let mut cameras = cameras(&queues, 2);
        cameras.place(&name(1), FrameNumber(0), Timestamp(0));
        let touched = cameras.take_touched();
        assert_eq!(touched.len(), 1);
        assert_eq!(touched[0].camera, name(1));
        assert!(cameras.take_touched().is_empty());
    }

    #[test]
    fn quiet_cameras_are_forgotten_only_when_their_state_is_stored() {
        let queues = queues();
        let mut cameras = cameras(&queues, 2);
        cameras.place(&name(0), FrameNumber(0), Timestamp(0));
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
    fn ever_new_names_do_not_fill_the_memory() {
        let queues = queues();
        let mut cameras = cameras(&queues, MAX_CAMERAS - 1);
        assert!(cameras.is_crowded() && !cameras.is_full());
        cameras.open(name(MAX_CAMERAS), CameraState::default(), &queues, SETTINGS);
        assert!(cameras.is_full());
        assert_eq!(cameras.close(&queues).len(), MAX_CAMERAS);
    }
}
