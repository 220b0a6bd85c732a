//! The way of a frame through threads and bounded queues.
//!
//! ```text
//! reader (one per camera) ─► queue (one per camera) ─► workers (one per core) ─► folder, or a writer that restores order
//! ```
//!
//! # Layout
//!
//! * [`reader`]: source → queue. Files wait for space; live sources drop the oldest.
//! * [`background`]: what stands behind each frame.
//! * [`scheduler`]: the queues, served in turn; a camera's matte state travels with its frame.
//! * [`worker`]: a thread that segments, refines, composes and encodes with the core's tools.
//! * [`output`]: folders, and the writer thread of ordered outputs.
//! * [`stats`]: what is counted on the way; [`latency`]: how long it takes; [`report`]: what is said of it at the end.
pub(crate) mod background;
pub mod latency;
mod output;
mod reader;
pub mod report;
mod scheduler;
pub mod stats;
mod worker;

use crate::{
    address::harmless,
    config::settings::{Format, ModelChoice, RunSettings},
    live::{
        Camera, Studio,
        camera::{Holds, Introduction},
    },
    sink::{SinkOptions, SinkSpec, StdoutFormat},
    source::{
        SourceInfo, SourceOptions, SourceSpec,
        status::{Condition, Status},
    },
    stop::Stop,
    trace::Tracer,
};
use background::{Backdrop, Backgrounds};
use mattebox_core::{codec::ImageFormat, compose::BackgroundSpec, frame::CameraId, maker::Recipe};
use mattebox_net::{Model, SimdError};
use mattebox_store::{FrameDir, OnExisting};
use output::{Output, Writer};
use reader::Reader;
use report::Report;
use scheduler::{LaneSettings, Scheduler};
use stats::{CameraStats, Failure, StageClock};
use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};
use thiserror::Error;

/// Why a run could not begin.
#[derive(Debug, Error)]
pub enum StartError {
    /// The network cannot be used.
    #[error("model {path}: {reason}")]
    Model {
        /// Its file, or "built in".
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The background's file cannot be used.
    #[error("{0}")]
    Background(String),
    /// The output folder cannot be used.
    #[error(transparent)]
    Store(#[from] mattebox_store::StoreError),
    /// The vector instructions are not there.
    #[error(transparent)]
    Simd(#[from] SimdError),
    /// The live page or the numbers cannot be served.
    #[error("cannot serve at {address}: {source}")]
    Http {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Traces cannot be sent.
    #[error("traces: {0}: check --otlp")]
    Trace(String),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl StartError {
    /// The exit code of the process: 2 where the settings name something that cannot be used, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            StartError::Model { .. }
            | StartError::Background(_)
            | StartError::Simd(_)
            | StartError::Http { .. }
            | StartError::Trace(_) => 2,
            StartError::Store(_) | StartError::Thread(_) => 1,
        }
    }
}

/// What is the same for all cameras of a run.
pub(crate) struct Job {
    pub(crate) recipe: Recipe,
    pub(crate) on_existing: OnExisting,
    pub(crate) frames: Option<u64>,
}

/// One camera, as the threads see it.
pub(crate) struct Lane {
    /// As whoever looks sees it.
    pub(crate) camera: Arc<Camera>,
    /// Its source as it was written, for messages.
    pub(crate) source: String,
    /// What is known of the source since it was opened.
    pub(crate) info: OnceLock<SourceInfo>,
    pub(crate) output: Output,
    pub(crate) alpha_out: Option<FrameDir>,
    pub(crate) stats: Arc<CameraStats>,
}

/// What all threads of a run share.
pub(crate) struct Shared<'a> {
    pub(crate) job: &'a Job,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) scheduler: Scheduler,
    pub(crate) clock: Arc<StageClock>,
    pub(crate) tracer: Tracer,
    /// No more frames are read; those that were are finished.
    pub(crate) stop: Stop,
    /// Nothing more is finished.
    pub(crate) abort: Stop,
}

impl Shared<'_> {
    /// Ends a camera because its output cannot be written.
    fn fail(&self, lane: usize, failure: Failure) {
        self.fail_source(lane, failure);
        self.drop_waiting(lane);
    }

    /// Notes that a camera's source has failed; what it gave before is still written.
    fn fail_source(&self, lane: usize, failure: Failure) {
        let l = &self.lanes[lane];
        let message = failure.message.clone();
        if l.stats.fail(failure) {
            tracing::error!(camera = %l.camera.id, "{message}");
        }
        l.camera.status.set(Condition::Failed { why: message });
    }

    /// Ends the cameras that still have frames when all threads have ended. Threads end before the frames do only when they cannot make
    /// new tools after a fault.
    fn fail_unfinished(&self) {
        for lane in (0..self.lanes.len()).filter(|lane| !self.scheduler.is_processed(*lane)) {
            let message =
                "no thread is left to process its frames (see the errors above)".to_owned();
            self.fail(
                lane,
                Failure {
                    message,
                    exit_code: 1,
                    keep_output: true,
                },
            );
            // Sources that are still waited for give no frames that anything could process.
            self.stop.stop();
        }
    }

    fn drop_waiting(&self, lane: usize) {
        let dropped = self.scheduler.close(lane);
        self.lanes[lane]
            .stats
            .dropped_stopped
            .fetch_add(dropped, Relaxed);
    }
}

/// What can be watched while cameras run: `S` is what is counted of each.
#[derive(Debug, Clone)]
pub struct Watch<S = CameraStats> {
    /// The cameras' names and counters.
    pub cameras: Vec<(CameraId, Arc<S>)>,
}

/// A run that is ready to begin.
pub struct Pipeline {
    settings: RunSettings,
    job: Job,
    stop: Stop,
    abort: Stop,
    clock: Arc<StageClock>,
    tracer: Tracer,
    stats: Vec<Arc<CameraStats>>,
    backgrounds: Arc<Backgrounds>,
    backdrops: Vec<Backdrop>,
    studio: Arc<Studio>,
    /// In the order of the settings.
    cameras: Vec<Arc<Camera>>,
}

impl Pipeline {
    /// Loads the network and the backgrounds and opens the output folders, so that what is wrong with the settings is said
    /// before the first frame. `stop` ends the reading, `abort` everything.
    pub fn new(settings: RunSettings, stop: Stop, abort: Stop) -> Result<Self, StartError> {
        let model = Arc::new(load_model(&settings.model)?);
        tracing::debug!("the network is loaded");
        let job = Job {
            recipe: Recipe {
                model,
                matte: settings.matte,
                simd: settings.simd,
                foreground_cleanup: settings.foreground_cleanup,
                skip_still: settings.skip_still,
                format: match settings.format {
                    Format::Image(format) => format,
                    Format::Stdout(_) => ImageFormat::Png,
                },
                jpeg_quality: settings.jpeg_quality,
            },
            on_existing: settings.on_existing,
            frames: settings.frames,
        };
        let backgrounds = Arc::new(Backgrounds::new(
            &settings.background,
            settings.source.clone(),
        ));
        let behind = settings.look().behind;
        let backdrops = settings
            .cameras
            .iter()
            .map(|_| {
                backgrounds
                    .open(&behind, &stop)
                    .map_err(StartError::Background)
            })
            .collect::<Result<_, _>>()?;
        let stats: Vec<Arc<CameraStats>> =
            settings.cameras.iter().map(|_| Arc::default()).collect();
        let studio = Arc::new(Studio::default());
        let introduced = settings.cameras.iter().zip(&stats);
        let cameras = introduced
            .map(|(c, stats)| {
                studio.camera_or_new(&c.camera, || {
                    introduction(&settings, &c.spec, stats.clone())
                })
            })
            .collect();
        let tracer = Tracer::open(settings.trace.as_ref(), "run").map_err(StartError::Trace)?;
        Ok(Pipeline {
            settings,
            job,
            stop,
            abort,
            clock: Arc::default(),
            tracer,
            stats,
            backgrounds,
            backdrops,
            studio,
            cameras,
        })
    }

    /// Gives all cameras the look that settings ask for, as if they had been started with it. A look that cannot be had changes
    /// nothing.
    pub fn look_changer(&self) -> impl Fn(&RunSettings) -> Result<(), String> + Send + 'static {
        let studio = self.studio.clone();
        let backgrounds = self.backgrounds.clone();
        move |settings| change_looks(&studio, &backgrounds, settings)
    }

    /// What can be seen and changed of the cameras while they run.
    pub fn studio(&self) -> Arc<Studio> {
        self.studio.clone()
    }

    /// How the sources are doing, to be read while the run goes on.
    pub fn sources(&self) -> Vec<(CameraId, Status)> {
        self.cameras
            .iter()
            .map(|camera| (camera.id.clone(), camera.status.clone()))
            .collect()
    }

    /// CPU time by stage, to be read while the run goes on.
    pub fn clock(&self) -> Arc<StageClock> {
        self.clock.clone()
    }

    /// The counters, to be read while the run goes on.
    pub fn watch(&self) -> Watch {
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
    pub fn run(self) -> Result<Report, StartError> {
        let started = Instant::now();
        let children = stats::children_cpu();
        let process = stats::process_cpu();
        let Pipeline {
            settings,
            job,
            stop,
            abort,
            clock,
            tracer,
            stats,
            backgrounds,
            backdrops,
            studio: _,
            cameras,
        } = self;
        let threads = settings.threads.get();
        // With other cameras, or with somebody who looks, the process goes on: a camera that is off may come later.
        let keep_trying = settings.cameras.len() > 1 || settings.view.is_some();
        let mut lanes = vec![];
        let mut lane_settings = vec![];
        let mut writers = vec![];
        let mut readers = vec![];
        for (((index, c), backdrop), camera) in settings
            .cameras
            .iter()
            .enumerate()
            .zip(backdrops)
            .zip(cameras)
        {
            let queue = LaneSettings {
                // Two are enough to bridge a pause of a worker, and too few to fall behind a live source.
                waiting: 2,
                working: threads + 2,
                live: false,
            };
            let output = match &settings.sink {
                SinkSpec::Directory(dir) => Output::Files(FrameDir::open(dir, &c.camera)?),
                SinkSpec::Nothing => Output::Nothing,
                spec => {
                    let (to, from) = crossbeam_channel::bounded(queue.working);
                    let (spare_to, spare) = crossbeam_channel::bounded(queue.working);
                    let spec = spec.for_camera(&c.camera);
                    let options = sink_options(&settings, &abort);
                    writers.push(Writer {
                        lane: index,
                        spec,
                        options,
                        from,
                        spare: spare_to,
                    });
                    Output::Ordered { to, spare }
                }
            };
            let alpha_out = settings
                .alpha_out
                .as_ref()
                .map(|d| FrameDir::open(d, &c.camera))
                .transpose()?;
            let look = camera.look();
            let status = camera.status.clone();
            let spec = c.spec.clone();
            let options = SourceOptions {
                status,
                keep_trying,
                ..settings.source.clone()
            };
            lanes.push(Lane {
                camera,
                source: c.spec.to_string(),
                info: OnceLock::new(),
                output,
                alpha_out,
                stats: stats[index].clone(),
            });
            lane_settings.push(queue);
            let backgrounds = backgrounds.clone();
            readers.push(Reader {
                lane: index,
                spec,
                options,
                backgrounds,
                backdrop,
                look,
                queue,
                live: settings.live,
            });
        }
        let scheduler = Scheduler::new(lane_settings);
        let shared = Shared {
            job: &job,
            lanes,
            scheduler,
            clock,
            tracer,
            stop,
            abort,
        };
        thread::scope(|scope| -> Result<(), StartError> {
            let shared = &shared;
            let workers = (0..threads)
                .map(|_| worker::Worker::new(shared))
                .collect::<Result<Vec<_>, _>>()?;
            for writer in writers {
                scope.spawn(move || writer.run(shared));
            }
            for reader in readers {
                scope.spawn(move || reader.run(shared));
            }
            let workers: Vec<_> = workers
                .into_iter()
                .map(|w| scope.spawn(move || w.run()))
                .collect();
            while workers.iter().any(|w| !w.is_finished()) {
                if shared.abort.wait(Duration::from_millis(50)) {
                    (0..shared.lanes.len()).for_each(|lane| shared.drop_waiting(lane));
                    break;
                }
            }
            if !shared.abort.is_stopped() {
                shared.fail_unfinished();
            }
            Ok(())
        })?;
        let Shared {
            lanes,
            clock,
            tracer,
            stop,
            ..
        } = shared;
        let away = |l: &Lane| l.camera.status.get().condition.away().map(str::to_owned);
        let cameras = lanes
            .into_iter()
            .map(|l| (l.camera.id.clone(), away(&l), l.stats))
            .collect();
        let times = report::Times {
            elapsed: started.elapsed(),
            children: stats::children_cpu().saturating_sub(children),
            process: stats::process_cpu().saturating_sub(process),
        };
        tracer.close();
        Ok(Report::new(
            cameras,
            &clock,
            times,
            &settings,
            stop.is_stopped(),
        ))
    }
}

fn change_looks(
    studio: &Studio,
    backgrounds: &Backgrounds,
    settings: &RunSettings,
) -> Result<(), String> {
    let look = settings.look();
    for camera in studio.cameras() {
        let fits = if look.behind.is_transparent() {
            camera.holds.transparent
        } else {
            camera.holds.opaque
        };
        if !fits {
            return Err(format!(
                "background {}: the output of camera {} cannot hold it",
                look.behind, camera.id
            ));
        }
    }
    backgrounds.restart(&settings.background)?;
    studio
        .cameras()
        .iter()
        .filter(|camera| !camera.start().is_same(&look))
        .for_each(|camera| camera.restart_with(look.clone()));
    Ok(())
}

/// Reads the network that was chosen.
pub fn load_model(choice: &ModelChoice) -> Result<Model, StartError> {
    let failed = |path: String, reason: String| StartError::Model { path, reason };
    match choice {
        ModelChoice::General => {
            Model::general().map_err(|e| failed("built in".to_owned(), e.to_string()))
        }
        ModelChoice::Landscape => {
            Model::landscape().map_err(|e| failed("built in (landscape)".to_owned(), e.to_string()))
        }
        ModelChoice::File(path) => {
            let name = harmless::path(path);
            let bytes = std::fs::read(path).map_err(|e| failed(name.clone(), e.to_string()))?;
            Model::from_bytes(&bytes).map_err(|e| failed(name, e.to_string()))
        }
    }
}

fn introduction(
    settings: &RunSettings,
    spec: &SourceSpec,
    counters: Arc<CameraStats>,
) -> Introduction {
    Introduction {
        source: spec.to_string(),
        holds: holds(settings),
        only_background: false,
        look: settings.look(),
        counters,
    }
}

/// What the outputs of a run can hold: files are each by themselves, a video is of one kind from its first picture on.
fn holds(settings: &RunSettings) -> Holds {
    let is_transparent = settings.background == BackgroundSpec::Transparent;
    match (&settings.sink, settings.format) {
        (SinkSpec::Directory(_), Format::Image(format)) => Holds {
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
        alpha: settings.background == BackgroundSpec::Transparent,
        live: settings.live.unwrap_or(false),
        on_existing: settings.on_existing,
        stdout: match settings.format {
            Format::Stdout(format) => format,
            Format::Image(_) => StdoutFormat::default(),
        },
        abort: abort.clone(),
        ffmpeg: settings.source.ffmpeg.clone(),
        ..SinkOptions::default()
    }
}
