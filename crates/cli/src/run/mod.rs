//! Frames pass through threads and bounded queues.
//!
//! ```text
//! reader (one per camera) ─► queue (one per camera) ─► workers (one per core) ─┐
//!                                 folder, or a writer that restores order ◄────┘
//! ```
//!
//! # Layout
//!
//! * `reader`: source → queue. Files wait for space; live sources drop the oldest.
//! * `queued`: a frame in its camera's queue.
//! * `worker`: a thread that processes frames.
//! * `folders`: claims the output folders, and removes the frames of an earlier run in them.
//! * `output`: folders, and the writer thread of ordered outputs.
//! * [`stats`]: counters of each camera and their metrics; [`report`]: the summary at the end.
mod folders;
mod output;
mod queued;
mod reader;
pub mod report;
pub mod stats;
mod worker;

use crate::config::{
    output_choice::{EarlierFrames, FrameNames, OutputFormat},
    settings::RunSettings,
};
use crossbeam_channel::{Receiver, Sender};
use folders::{EarlierFiles, Folders};
use image::RgbImage;
use mattebox_core::frame::{CameraId, FrameNumber};
use mattebox_engine::{
    BackgroundChoice, Engine, FrameSettings, StartError, Watch,
    background::{BackgroundChangeError, BackgroundSource, BackgroundSources},
    cameras::{
        Camera, CameraRegistry,
        camera::{Holds, Introduction},
    },
    events::{Event, FrameDropped},
    metrics::{DropReason, FrameCounters, Monitor},
    queues::{CameraQueues, Lifetime, QueueId, QueueSettings, WhenFull},
    stages::{self, StageClock},
    status::{Condition, Status},
    stop::Stop,
    trace::Tracer,
};
use mattebox_media::{
    background_video::BackgroundVideos,
    beside::PictureExtras,
    sink::{SinkOptions, SinkSpec, StdoutFormat},
    source::{SourceInfo, SourceOptions, SourceSpec},
};
use mattebox_store::{FrameDir, OnExisting};
use output::{CameraOutput, OrderedWriter, WriterMessage};
use queued::QueuedPicture;
use reader::SourceReader;
use report::RunReport;
use stats::{CameraStats, RunFailure};
use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{Arc, OnceLock},
    thread,
    time::Instant,
};

/// The settings that all cameras of a run share.
pub(crate) struct RunJob {
    /// The extension of picture files.
    pub(crate) extension: &'static str,
    pub(crate) on_existing: OnExisting,
    /// The pattern of file names.
    pub(crate) names: FrameNames,
    pub(crate) frames: Option<u64>,
    /// The failure of a camera is logged at once. The failure of the only camera ends the run,
    /// whose last line has the reason.
    pub(crate) tells_failures: bool,
}

/// One camera, as the threads see it.
pub(crate) struct RunCamera {
    /// The camera as viewers see it.
    pub(crate) shown: Arc<Camera>,
    /// Its source in the user's words, for messages.
    pub(crate) source: String,
    /// The properties of the source, once it is open.
    pub(crate) info: OnceLock<SourceInfo>,
    /// Used pictures, which the source fills again.
    pub(crate) spare_pictures: (Sender<RgbImage>, Receiver<RgbImage>),
    /// The pixel aspect and sound format of its first picture.
    pub(crate) extras: OnceLock<PictureExtras>,
    pub(crate) output: CameraOutput,
    pub(crate) alpha_out: Option<FrameDir>,
    /// Frames of an earlier run that have to be removed.
    pub(crate) earlier: EarlierFiles,
    /// The number of its first frame.
    pub(crate) first: FrameNumber,
    pub(crate) stats: Arc<CameraStats>,
    /// The queue of its frames.
    pub(crate) queue: QueueId,
}

/// The data that all threads of a run share.
pub(crate) struct RunContext<'a> {
    pub(crate) job: &'a RunJob,
    pub(crate) cameras: Vec<RunCamera>,
    queues: Arc<CameraQueues<QueuedPicture>>,
    /// The camera of each queue.
    by_queue: HashMap<QueueId, usize>,
    pub(crate) clock: Arc<StageClock>,
    pub(crate) tracer: Tracer,
    /// No more frames are read; frames that were read are finished.
    pub(crate) stop: Stop,
    /// No more frames are finished.
    pub(crate) abort: Stop,
}

impl RunContext<'_> {
    /// The camera of a queue, by its place among the cameras.
    fn index_of(&self, queue: QueueId) -> usize {
        self.by_queue.get(&queue).copied().unwrap_or_default()
    }

    /// Ends a camera because its output cannot be written.
    fn fail(&self, index: usize, failure: RunFailure) {
        self.fail_source(index, failure);
        self.drop_waiting(index);
    }

    /// Records that a camera's source has failed. The frames that it gave before are still written.
    fn fail_source(&self, index: usize, failure: RunFailure) {
        let l = &self.cameras[index];
        let message = failure.camera.message.clone();
        if l.stats.fail(failure) {
            match self.job.tells_failures {
                true => tracing::error!(camera = %l.shown.id, "{message}"),
                false => tracing::debug!(camera = %l.shown.id, "{message}"),
            }
        }
        l.shown.status.set(Condition::Failed { why: message });
    }

    /// Ends the cameras that still have frames when all threads have ended. Threads end this early
    /// only if they cannot create a new processor after a fault.
    fn fail_unfinished(&self) {
        for index in (0..self.cameras.len())
            .filter(|index| !self.queues.is_taken(self.cameras[*index].queue))
        {
            let message =
                "no thread is left to process its frames (see the errors above)".to_owned();
            self.fail(index, RunFailure::of_work(message, true));
            // No thread could process frames of sources that are not open yet.
            self.stop.stop();
        }
    }

    /// After an abort no more frames are queued, and waiting frames are dropped.
    fn drop_at_abort(&self) {
        let queues = self.queues.clone();
        let stats: HashMap<QueueId, Arc<CameraStats>> = self
            .cameras
            .iter()
            .map(|camera| (camera.queue, camera.stats.clone()))
            .collect();
        self.abort.on_stop(move || {
            for (queue, dropped) in queues.shut() {
                if let Some(stats) = stats.get(&queue) {
                    drop_frames(&stats.frames, &dropped);
                }
            }
        });
    }

    fn drop_waiting(&self, index: usize) {
        let dropped = self.queues.close(self.cameras[index].queue);
        drop_frames(&self.cameras[index].stats.frames, &dropped);
    }
}

/// Counts frames that waited when the run or their output ended.
fn drop_frames(frames: &FrameCounters, dropped: &[QueuedPicture]) {
    for frame in dropped {
        FrameDropped {
            frames,
            span: &frame.span,
            reason: DropReason::Stopped,
        }
        .emit();
    }
}

/// A run that is ready to begin.
pub struct Pipeline {
    settings: RunSettings,
    job: RunJob,
    folders: Folders,
    stop: Stop,
    abort: Stop,
    engine: Engine,
    tracer: Tracer,
    stats: Vec<Arc<CameraStats>>,
    /// One for each camera: the pictures of a video background come in the order of the frames.
    backgrounds: Vec<BackgroundSource>,
    registry: Arc<CameraRegistry>,
    /// In the order of the settings.
    cameras: Vec<Arc<Camera>>,
}

impl Pipeline {
    /// Loads the network and the backgrounds and claims the output folders, so that errors in the
    /// settings are reported before the first frame. `stop` ends the reading, `abort` everything.
    pub fn new(settings: RunSettings, stop: Stop, abort: Stop) -> Result<Self, StartError> {
        let engine = Engine::with_videos(&settings.frame, BackgroundVideos::new(&settings.source));
        engine.models.networks(&settings.frame)?;
        tracing::debug!("the networks are loaded");
        let job = RunJob {
            extension: settings.frame.format.extension(),
            on_existing: match settings.earlier_frames {
                // No frame exists with one of the new numbers.
                EarlierFrames::Append => OnExisting::Fail,
                _ => settings.on_existing,
            },
            names: settings.names.clone(),
            frames: settings.frames,
            tells_failures: settings.cameras.len() > 1 || settings.logs_json,
        };
        let backgrounds = settings
            .cameras
            .iter()
            .map(|_| {
                engine
                    .backgrounds
                    .open(&settings.frame.background, &stop)
                    .map_err(StartError::Background)
            })
            .collect::<Result<_, _>>()?;
        let stats = |camera: &CameraId| Arc::new(CameraStats::new(camera));
        let stats: Vec<_> = settings.cameras.iter().map(|c| stats(&c.camera)).collect();
        let registry = Arc::new(CameraRegistry::default());
        let introduced = settings.cameras.iter().zip(&stats);
        let cameras = introduced
            .map(|(c, stats)| {
                registry.camera_or_new(&c.camera, || {
                    introduction(&settings, &c.spec, stats.frames.clone())
                })
            })
            .collect();
        let tracer = Tracer::open(settings.trace.as_ref(), "run").map_err(StartError::Trace)?;
        let folders = Folders::claim(&settings)?;
        Ok(Pipeline {
            settings,
            job,
            folders,
            stop,
            abort,
            engine,
            tracer,
            stats,
            backgrounds,
            registry,
            cameras,
        })
    }

    /// A function that gives all cameras the settings of a changed file, as if they had been
    /// started with them. Invalid settings change nothing.
    pub fn settings_changer(
        &self,
    ) -> impl Fn(&RunSettings) -> Result<(), BackgroundChangeError> + Send + 'static + use<> {
        let registry = self.registry.clone();
        let backgrounds = self.engine.backgrounds.clone();
        move |settings| change_settings(&registry, &backgrounds, &settings.frame)
    }

    /// The cameras as the page sees and changes them.
    pub fn cameras(&self) -> Arc<CameraRegistry> {
        self.registry.clone()
    }

    /// The conditions of the sources, to be read during the run.
    pub fn sources(&self) -> Vec<(CameraId, Status)> {
        self.cameras
            .iter()
            .map(|camera| (camera.id.clone(), camera.status.clone()))
            .collect()
    }

    /// Its metrics, and why it is not ready.
    pub fn monitor(&self) -> Monitor {
        stats::monitor(self.watch(), self.engine.clock.clone(), self.sources())
    }

    /// The counters, to be read during the run.
    pub fn watch(&self) -> Watch<CameraStats> {
        Watch {
            cameras: self
                .settings
                .cameras
                .iter()
                .map(|c| c.camera.clone())
                .zip(self.stats.iter().cloned())
                .collect(),
        }
    }

    /// Runs until every source has ended or the run was stopped.
    pub fn run(self) -> Result<RunReport, StartError> {
        let started = Instant::now();
        let children = stages::children_cpu();
        let process = stages::process_cpu();
        let Pipeline {
            settings,
            job,
            folders,
            stop,
            abort,
            engine,
            tracer,
            stats,
            backgrounds,
            registry: _,
            cameras,
        } = self;
        let threads = settings.threads.get();
        let mut plan = RunPlan {
            settings: &settings,
            folders: &folders,
            engine: &engine,
            abort: &abort,
            queues: Arc::new(CameraQueues::new(Lifetime::Cameras)),
            cameras: vec![],
            readers: vec![],
            writers: vec![],
        };
        for ((camera, stats), background) in cameras.into_iter().zip(stats).zip(backgrounds) {
            plan.add(camera, stats, background)?;
        }
        let RunPlan {
            queues,
            cameras,
            readers,
            writers,
            ..
        } = plan;
        let shared = RunContext {
            by_queue: (0..cameras.len())
                .map(|index| (cameras[index].queue, index))
                .collect(),
            job: &job,
            cameras,
            queues,
            clock: engine.clock.clone(),
            tracer,
            stop,
            abort,
        };
        let frame = Arc::new(settings.frame.clone());
        shared.drop_at_abort();
        thread::scope(|scope| -> Result<(), StartError> {
            let shared = &shared;
            let workers = (0..threads)
                .map(|_| worker::FrameWorker::new(shared, &engine, &frame))
                .collect::<Result<Vec<_>, _>>()?;
            for writer in writers {
                let name = format!("write {}", shared.cameras[writer.index].shown.id);
                named(&name).spawn_scoped(scope, move || writer.run(shared))?;
            }
            for reader in readers {
                let name = format!("read {}", shared.cameras[reader.index].shown.id);
                named(&name).spawn_scoped(scope, move || reader.run(shared))?;
            }
            let mut running = Vec::new();
            for (n, worker) in workers.into_iter().enumerate() {
                let name = format!("frames {n}");
                running.push(named(&name).spawn_scoped(scope, move || worker.run())?);
            }
            for worker in running {
                if let Err(panic) = worker.join() {
                    std::panic::resume_unwind(panic);
                }
            }
            if !shared.abort.is_stopped() {
                shared.fail_unfinished();
            }
            Ok(())
        })?;
        let RunContext {
            cameras,
            clock,
            tracer,
            stop,
            ..
        } = shared;
        let away = |l: &RunCamera| l.shown.status.get().condition.away().map(str::to_owned);
        let cameras = cameras
            .into_iter()
            .map(|l| (l.shown.id.clone(), away(&l), l.stats))
            .collect();
        let times = report::RunTimes {
            elapsed: started.elapsed(),
            children: stages::children_cpu().saturating_sub(children),
            process: stages::process_cpu().saturating_sub(process),
        };
        tracer.close();
        Ok(RunReport::new(
            cameras,
            &clock,
            times,
            &settings,
            stop.is_stopped(),
        ))
    }
}

fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned())
}

/// The readers, workers and writers of a run.
struct RunPlan<'a> {
    settings: &'a RunSettings,
    folders: &'a Folders,
    engine: &'a Engine,
    abort: &'a Stop,
    queues: Arc<CameraQueues<QueuedPicture>>,
    cameras: Vec<RunCamera>,
    readers: Vec<SourceReader>,
    writers: Vec<OrderedWriter>,
}

impl RunPlan<'_> {
    fn add(
        &mut self,
        camera: Arc<Camera>,
        stats: Arc<CameraStats>,
        background: BackgroundSource,
    ) -> Result<(), StartError> {
        let settings = self.settings;
        let index = self.cameras.len();
        let source = &settings.cameras[index];
        let queue = QueueSettings {
            // Two frames are enough to bridge a pause of a worker, and too few to fall behind a
            // live source.
            waiting: 2,
            in_flight: settings.threads.get() + 2,
            when_full: WhenFull::Wait,
        };
        let id = self.queues.open(queue, Default::default());
        let output = self.output(index, id, queue.in_flight)?;
        let alpha_out = settings
            .alpha_out
            .as_ref()
            .map(|dir| FrameDir::open_named(dir, &source.camera, &settings.names.template()))
            .transpose()?;
        let pictures = match &output {
            CameraOutput::Files(dir) => Some(dir),
            CameraOutput::Nothing | CameraOutput::Ordered { .. } => None,
        };
        let earlier = self.folders.camera(
            pictures,
            alpha_out.as_ref(),
            settings.frame.format.extension(),
            settings.kept_names.get(index),
        );
        let first = self.folders.first_number(settings, &source.camera)?;
        let options = SourceOptions {
            status: camera.status.clone(),
            // With other cameras, or with a page, the process goes on: a camera may be switched on
            // later.
            keep_trying: settings.cameras.len() > 1 || settings.view.is_some(),
            decode_threads: Some(decode_threads(settings)),
            ..settings.source.clone()
        };
        self.readers.push(SourceReader {
            index,
            spec: source.spec.clone(),
            options,
            backgrounds: self.engine.backgrounds.clone(),
            background,
            settings: camera.settings(),
            queue,
            live: settings.live,
        });
        self.cameras.push(RunCamera {
            shown: camera,
            source: source.spec.to_string(),
            info: OnceLock::new(),
            spare_pictures: crossbeam_channel::bounded(queue.waiting + queue.in_flight),
            extras: OnceLock::new(),
            output,
            alpha_out,
            earlier,
            first,
            stats,
            queue: id,
        });
        Ok(())
    }

    fn output(
        &mut self,
        index: usize,
        id: QueueId,
        in_flight: usize,
    ) -> Result<CameraOutput, StartError> {
        let camera = &self.settings.cameras[index].camera;
        let spec = match &self.settings.sink {
            SinkSpec::Directory(dir) => {
                let names = self.settings.names.template();
                return Ok(CameraOutput::Files(FrameDir::open_named(
                    dir, camera, &names,
                )?));
            }
            SinkSpec::Nothing => return Ok(CameraOutput::Nothing),
            spec => spec.for_camera(camera),
        };
        let (to, from) = crossbeam_channel::bounded(in_flight);
        let (spare_to, spare) = crossbeam_channel::bounded(in_flight);
        // The reader is ahead of the writer by the waiting frames at most.
        let (sound, sound_from) = crossbeam_channel::unbounded();
        self.writers.push(OrderedWriter {
            index,
            spec,
            options: sink_options(self.settings, self.abort),
            from,
            spare: spare_to,
            sound: sound_from,
        });
        // Its last frame is done, so there is space.
        let end = to.clone();
        self.queues
            .on_drained(id, move || drop(end.send(WriterMessage::End)));
        Ok(CameraOutput::Ordered { to, spare, sound })
    }
}

/// FFmpeg's decoding threads for each source: half of the processing threads, shared by all
/// sources, and at least one. FFmpeg's own default is so many that they mostly wait for each other.
fn decode_threads(settings: &RunSettings) -> NonZeroUsize {
    let threads = settings.threads.get() / 2 / settings.cameras.len().max(1);
    NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN)
}

fn change_settings(
    registry: &CameraRegistry,
    backgrounds: &BackgroundSources,
    wanted: &FrameSettings,
) -> Result<(), BackgroundChangeError> {
    for camera in registry.cameras() {
        let fits = if wanted.background.is_transparent() {
            camera.holds.transparent
        } else {
            camera.holds.opaque
        };
        if !fits {
            return Err(BackgroundChangeError::Output {
                background: wanted.background.clone(),
                camera: camera.id.clone(),
            });
        }
    }
    if let BackgroundChoice::Spec(background) = &wanted.background {
        backgrounds.restart(background)?;
    }
    for camera in registry.cameras() {
        let start = camera.start();
        // The other settings are for the next start.
        let settings = FrameSettings {
            background: wanted.background.clone(),
            matte: wanted.matte,
            people: wanted.people,
            plate: wanted.plate,
            foreground_cleanup: wanted.foreground_cleanup,
            skip_still: wanted.skip_still,
            ..start.clone()
        };
        if settings != start {
            camera.restart_with(settings);
        }
    }
    Ok(())
}

fn introduction(
    settings: &RunSettings,
    spec: &SourceSpec,
    frames: Arc<FrameCounters>,
) -> Introduction {
    Introduction {
        source: spec.to_string(),
        holds: holds(settings),
        only_background: false,
        settings: settings.frame.clone(),
        frames,
    }
}

/// The kinds of backgrounds that the outputs of a run can hold: files may differ, but a video is
/// opaque or transparent from its first picture on.
fn holds(settings: &RunSettings) -> Holds {
    let is_transparent = settings.frame.background.is_transparent();
    match (&settings.sink, settings.format) {
        (SinkSpec::Directory(_), OutputFormat::Image(format)) => Holds {
            transparent: format.has_alpha(),
            opaque: true,
        },
        (SinkSpec::Nothing, _) => Holds {
            transparent: true,
            opaque: true,
        },
        _ => Holds {
            transparent: is_transparent,
            opaque: !is_transparent,
        },
    }
}

fn sink_options(settings: &RunSettings, abort: &Stop) -> SinkOptions {
    SinkOptions {
        fps: settings.source.fps,
        alpha: settings.frame.background.is_transparent(),
        segment: settings.segment,
        on_existing: settings.on_existing,
        coding: settings.coding.clone(),
        stdout: match settings.format {
            OutputFormat::Stdout(format) => format,
            OutputFormat::Image(_) => StdoutFormat::default(),
        },
        jpeg_quality: settings.frame.jpeg_quality,
        abort: abort.clone(),
        ffmpeg: settings.source.ffmpeg.clone(),
        ..SinkOptions::default()
    }
}
