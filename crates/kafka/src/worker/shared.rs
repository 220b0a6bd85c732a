//! Data that the threads of a worker share.
use super::{
    counters::WorkerCounters,
    job::{Job, QueuedRecord},
    loop_event::LoopEvent,
    names_in_flight::NamesInFlight,
};
use crate::settings::{WorkerSettings, WorkerSink};
use crossbeam_channel::Sender;
use mattebox_core::compose::BackgroundSpec;
use mattebox_core::frame::{CameraId, FrameNumber};
use mattebox_engine::{
    BackgroundChoice, CameraSettings, Engine, FrameSettings, StartError,
    background::BackgroundChangeError,
    cameras::{
        Camera, CameraRegistry,
        camera::{Holds, Introduction},
    },
    queues::{CameraQueues, Lifetime, QueueSettings, WhenFull},
    trace::Tracer,
};
use mattebox_store::{FrameDirs, FrameTree, Outcome as Stored, StoreError};
use std::sync::Arc;

/// Waiting frames of each camera if old ones are skipped.
const NEWEST: usize = 2;

/// Data that the main loop and the processing threads share.
pub(super) struct WorkerContext {
    pub(super) settings: WorkerSettings,
    pub(super) engine: Engine,
    pub(super) queues: CameraQueues<QueuedRecord>,
    /// To the main loop.
    pub(super) events: Sender<LoopEvent>,
    /// The folders of all cameras; `None` if results go to a topic.
    files: Option<FrameDirs>,
    pub(super) tracer: Tracer,
    /// The settings that cameras begin with, from the present version of their file.
    start: CameraSettings,
    /// The cameras on the page.
    pub(super) cameras: Arc<CameraRegistry>,
    pub(super) counters: Arc<WorkerCounters>,
    pub(super) names: Arc<NamesInFlight>,
}

impl WorkerContext {
    pub(super) fn new(
        settings: WorkerSettings,
        counters: Arc<WorkerCounters>,
        tracer: Tracer,
        events: Sender<LoopEvent>,
    ) -> Result<Self, StartError> {
        let files = match &settings.sink {
            WorkerSink::Directory(root) => Some(FrameDirs::new(root, &settings.names)),
            WorkerSink::Topic(_) => None,
        };
        let engine = Engine {
            clock: counters.clock.clone(),
            ..Engine::new(&settings.frame)
        };
        let start = CameraSettings::read(
            settings.frame.clone(),
            settings.camera_settings.as_deref(),
            &engine.backgrounds,
        )?;
        Ok(WorkerContext {
            engine,
            start,
            queues: CameraQueues::new(Lifetime::UntilShut),
            files,
            cameras: Arc::new(CameraRegistry::with_faults(counters.faults.clone())),
            names: Arc::default(),
            settings,
            events,
            counters,
            tracer,
        })
    }

    /// The hash that distinguishes these settings from others.
    pub(super) fn settings_hash(&self) -> String {
        self.start.hash()
    }

    /// How a camera's frames are queued. The main loop bounds the frames in flight over all
    /// cameras; if old frames are skipped, each camera keeps only its newest, so that no camera
    /// takes the share of another.
    pub(super) fn queue_settings(&self) -> QueueSettings {
        match self.settings.max_age {
            None => QueueSettings {
                waiting: usize::MAX,
                in_flight: usize::MAX,
                when_full: WhenFull::Wait,
            },
            Some(_) => QueueSettings {
                waiting: NEWEST,
                in_flight: usize::MAX,
                when_full: WhenFull::DropOldest,
            },
        }
    }

    /// The settings that a camera begins with.
    pub(super) fn start(&self, camera: &CameraId) -> Arc<FrameSettings> {
        self.start.of(camera)
    }

    /// Reads the settings of single cameras again, if their file has changed.
    pub(super) fn follow_settings(&self) {
        match self.start.follow(&self.engine.backgrounds) {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!("the settings of single cameras were read again");
                self.restart_cameras();
            }
            Err(error) => tracing::error!("{error}; the settings stay as they were"),
        }
    }

    /// Cameras whose settings have changed begin again with the new ones.
    fn restart_cameras(&self) {
        for camera in self.cameras.cameras() {
            let settings = self.start.of(&camera.id);
            if *settings != camera.start() {
                camera.restart_with(FrameSettings::clone(&settings));
            }
        }
    }

    /// Changes the background of all cameras from the next frame on. A background that cannot be
    /// opened changes nothing.
    pub(super) fn change_background(
        &self,
        background: &BackgroundSpec,
    ) -> Result<(), BackgroundChangeError> {
        let format = self.settings.frame.format;
        if *background == BackgroundSpec::Transparent && !format.has_alpha() {
            let background = background.clone();
            return Err(BackgroundChangeError::NoTransparency { background, format });
        }
        self.engine.backgrounds.restart(background)?;
        let background = BackgroundChoice::Spec(background.clone());
        self.start.set_background(background)?;
        self.restart_cameras();
        Ok(())
    }

    /// A camera as viewers see it. `None`: there is no page.
    pub(super) fn shown(&self, job: &Job) -> Option<Arc<Camera>> {
        self.shown_camera(&job.head.camera, job.position.partition)
    }

    /// The same by its name and the partition of its records.
    pub(super) fn shown_camera(&self, camera: &CameraId, partition: i32) -> Option<Arc<Camera>> {
        let introduce = || Introduction {
            source: format!("{} [{partition}]", self.settings.broker.topic),
            holds: Holds {
                transparent: self.settings.frame.format.has_alpha(),
                opaque: true,
            },
            only_background: true,
            settings: FrameSettings::clone(&self.start(camera)),
            frames: self.counters.camera(Some(camera)).frames.clone(),
        };
        self.cameras
            .is_open()
            .then(|| self.cameras.camera_or_new(camera, introduce))
    }

    /// Writes a frame's file to its camera's folder.
    pub(super) fn write(
        &self,
        job: &Job,
        number: FrameNumber,
        bytes: &[u8],
    ) -> Result<Stored, StoreError> {
        let Some(files) = &self.files else {
            return Ok(Stored::Skipped);
        };
        files.write(
            &job.head.camera,
            number,
            job.head.time,
            self.settings.frame.format.extension(),
            bytes,
            self.settings.on_existing,
        )
    }

    /// The highest number of a camera's files; `None` where there is none.
    pub(super) fn highest(&self, camera: &CameraId) -> Result<Option<FrameNumber>, StoreError> {
        match &self.settings.sink {
            WorkerSink::Directory(root) => {
                FrameTree::new(root, &self.settings.names).highest(camera)
            }
            WorkerSink::Topic(_) => Ok(None),
        }
    }

    /// Whether a frame's file should be in a folder and is missing.
    pub(super) fn is_missing(&self, job: &Job, number: FrameNumber) -> bool {
        let extension = self.settings.frame.format.extension();
        let (camera, time) = (&job.head.camera, job.head.time);
        let contains = |files: &FrameDirs| files.contains(camera, number, time, extension);
        self.files.as_ref().is_some_and(|files| !contains(files))
    }

    /// Sends an event to the main loop. After its end the channel is closed.
    pub(super) fn tell(&self, event: LoopEvent) {
        let _ = self.events.send(event);
    }
}
