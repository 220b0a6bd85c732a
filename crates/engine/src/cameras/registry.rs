//! All cameras of a process, and the thread that encodes pictures for viewers.
use super::{
    camera::{Camera, Introduction},
    faults::Faults,
    preview::PreviewTools,
    preview_queue::PreviewQueue,
};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use mattebox_core::frame::CameraId;
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Cameras that are shown, at most: records under ever new names must not fill the memory.
const MAX_CAMERAS: usize = 1000;
const SECOND: Duration = Duration::from_secs(1);

/// All cameras of a process. Before [`CameraRegistry::open`] it keeps no pictures and samples.
#[derive(Debug)]
pub struct CameraRegistry {
    cameras: Mutex<BTreeMap<CameraId, Arc<Camera>>>,
    previews: PreviewQueue<Camera>,
    from: Receiver<Arc<Camera>>,
    faults: Arc<Faults>,
}

impl Default for CameraRegistry {
    fn default() -> Self {
        CameraRegistry::with_faults(Arc::default())
    }
}

impl CameraRegistry {
    /// A registry with errors that concern no single camera.
    pub fn with_faults(faults: Arc<Faults>) -> Self {
        let (to, from) = crossbeam_channel::unbounded();
        CameraRegistry {
            cameras: Mutex::default(),
            previews: PreviewQueue::new(to),
            from,
            faults,
        }
    }

    /// The errors that concern no single camera.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The camera of this name; a new one is introduced. Cameras beyond the limit are not shown.
    pub fn camera_or_new(
        &self,
        id: &CameraId,
        introduce: impl FnOnce() -> Introduction,
    ) -> Arc<Camera> {
        let mut cameras = self.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = cameras.get(id) {
            return there.clone();
        }
        let camera = Arc::new(Camera::new(id.clone(), introduce(), self.previews.clone()));
        if cameras.len() < MAX_CAMERAS {
            cameras.insert(id.clone(), camera.clone());
        } else {
            let message =
                format!("{MAX_CAMERAS} cameras are shown, which is the most: others are not");
            self.faults.note(&message);
        }
        camera
    }

    /// Keeps the cameras for which `stays` is true. The others are introduced again with their next
    /// frame.
    pub fn retain(&self, mut stays: impl FnMut(&CameraId) -> bool) {
        self.retain_cameras(|camera| stays(&camera.id));
    }

    fn retain_cameras(&self, mut stays: impl FnMut(&Camera) -> bool) {
        let mut cameras = self.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        cameras.retain(|_, camera| stays(camera));
    }

    /// Removes cameras without a frame for longer than `quiet`. They are introduced again with
    /// their next frame.
    pub fn forget_quiet(&self, quiet: Duration) {
        self.retain_cameras(|camera| camera.quiet_for() <= quiet);
    }

    /// Whether there may be viewers.
    pub fn is_open(&self) -> bool {
        self.previews.is_watched()
    }

    /// All cameras in the order in which they were introduced: that of the command line, or of
    /// their first frames.
    pub fn cameras(&self) -> Vec<Arc<Camera>> {
        let cameras = self.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = cameras.values().cloned().collect();
        drop(cameras);
        all.sort_by_key(|camera| camera.introduced);
        all
    }

    /// Whether the registry still has this camera. A camera that was removed and comes back is
    /// another one under the same name.
    pub fn shows(&self, camera: &Arc<Camera>) -> bool {
        let cameras = self.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = cameras.get(&camera.id);
        shown.is_some_and(|shown| Arc::ptr_eq(shown, camera))
    }

    /// The camera of this name.
    pub fn camera(&self, id: &str) -> Option<Arc<Camera>> {
        self.cameras()
            .into_iter()
            .find(|camera| camera.id.as_str() == id)
    }

    /// Begins to keep pictures and to sample counts. The thread ends with the process.
    pub fn open(self: &Arc<Self>) -> io::Result<()> {
        if self.previews.watch() {
            return Ok(());
        }
        let registry = self.clone();
        thread::Builder::new()
            .name("live".to_owned())
            .spawn(move || registry.work())?;
        Ok(())
    }

    fn work(&self) {
        let mut tools = PreviewTools::default();
        let mut next = Instant::now();
        loop {
            match self
                .from
                .recv_timeout(next.saturating_duration_since(Instant::now()))
            {
                Ok(camera) => {
                    camera.pending.store(false, Relaxed);
                    camera.previews.encode(&mut tools);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() >= next {
                let now = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .map_or(0.0, |since| since.as_secs_f64());
                self.cameras().iter().for_each(|camera| camera.sample(now));
                // A missed second is not sampled later.
                next = Instant::now() + SECOND;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        FrameSettings,
        cameras::{
            camera::{Holds, Liveness},
            preview::{View, Viewer},
        },
        metrics::FrameCounters,
        status::Condition,
    };
    use image::RgbImage;
    use mattebox_core::compose::Composed;

    fn camera(registry: &CameraRegistry, id: &str) -> Arc<Camera> {
        let settings = FrameSettings::default();
        let holds = Holds {
            transparent: true,
            opaque: true,
        };
        let source = "a source".to_owned();
        let introduce = || Introduction {
            source,
            holds,
            only_background: false,
            settings,
            frames: Arc::new(FrameCounters::new(id)),
        };
        registry.camera_or_new(&id.parse().unwrap(), introduce)
    }

    fn offer(camera: &Arc<Camera>, number: u64) {
        camera.show_composed(number, None, &Composed::Rgb(RgbImage::new(8, 4)));
    }

    #[test]
    fn a_closed_registry_keeps_no_pictures() {
        let registry = Arc::new(CameraRegistry::default());
        let camera = camera(&registry, "a");
        offer(&camera, 0);
        assert!(camera.latest().is_none() && camera.previews.still().is_none());
        registry.open().unwrap();
        let mut viewer = Viewer::new(camera.previews.clone(), View::Picture);
        offer(&camera, 1);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let shot = runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(20), viewer.next()).await });
        assert_eq!(shot.expect("a picture").expect("it goes on").number, 1);
    }

    #[test]
    fn the_state_of_a_camera_follows_its_source_and_its_frames() {
        let registry = Arc::new(CameraRegistry::default());
        registry.open().unwrap();
        let camera = camera(&registry, "a");
        assert_eq!(camera.standing().state, Liveness::Connecting);
        camera.status.set(Condition::Open);
        assert_eq!(
            camera.standing().state,
            Liveness::Connecting,
            "no frame yet"
        );
        offer(&camera, 0);
        assert_eq!(camera.standing().state, Liveness::Live);
        thread::sleep(Duration::from_millis(2100));
        assert_eq!(camera.standing().state, Liveness::Stalled);
        camera.status.set(Condition::Lost {
            why: "refused".to_owned(),
        });
        let standing = camera.standing();
        assert_eq!(
            (standing.state, standing.why.as_deref()),
            (Liveness::Reconnecting, Some("refused"))
        );
    }

    #[test]
    fn a_camera_whose_records_are_all_rejected_is_stalled() {
        let registry = Arc::new(CameraRegistry::default());
        registry.open().unwrap();
        let camera = camera(&registry, "a");
        camera.note_rejected("a dead letter (not-jpeg)");
        let standing = camera.standing();
        assert_eq!(
            (standing.state, standing.why.as_deref()),
            (Liveness::Stalled, Some("a dead letter (not-jpeg)"))
        );
        camera.status.set(Condition::Open);
        offer(&camera, 0);
        assert_eq!(camera.standing().state, Liveness::Live);
        camera.note_rejected("a dead letter (not-jpeg)");
        assert_eq!(
            camera.standing().state,
            Liveness::Live,
            "other frames are fine"
        );
        assert_eq!(camera.errors().len(), 1);
    }

    #[test]
    fn a_camera_without_frames_for_long_is_removed() {
        let registry = Arc::new(CameraRegistry::default());
        registry.open().unwrap();
        let silent = camera(&registry, "silent");
        let live = camera(&registry, "live");
        thread::sleep(Duration::from_millis(30));
        offer(&live, 0);
        registry.forget_quiet(Duration::from_millis(20));
        let names: Vec<_> = registry
            .cameras()
            .iter()
            .map(|c| c.id.to_string())
            .collect();
        assert_eq!(names, ["live"]);
        assert!(registry.shows(&live) && !registry.shows(&silent));
        let again = camera(&registry, "silent");
        assert!(registry.shows(&again) && !registry.shows(&silent));
    }

    #[test]
    fn ever_new_names_do_not_fill_the_memory() {
        let registry = CameraRegistry::default();
        (0..MAX_CAMERAS + 5).for_each(|n| drop(camera(&registry, &format!("cam{n}"))));
        assert_eq!(registry.cameras().len(), MAX_CAMERAS);
        let names: Vec<_> = registry
            .cameras()
            .iter()
            .map(|c| c.id.to_string())
            .collect();
        assert_eq!(
            (&*names[2], &*names[10]),
            ("cam2", "cam10"),
            "in the order of introduction"
        );
        let faults = registry.faults().newest_first();
        assert!(faults.len() == 1 && faults[0].message.contains("1000 cameras"));
        assert_eq!(
            Arc::as_ptr(&camera(&registry, "cam7")),
            Arc::as_ptr(&registry.camera("cam7").unwrap())
        );
    }
}
