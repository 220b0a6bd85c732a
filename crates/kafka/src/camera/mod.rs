//! From sources to a topic of frames: `mattebox camera`.
//!
//! ```text
//! source ─► pace ─► JPEG ─► queue (one thread per camera) ─► publisher (one for all) ─┐
//!                                          deliveries ◄── broker ◄── librdkafka ◄─────┘
//! ```
//!
//! # Layout
//!
//! In the order in which a frame passes them:
//!
//! * [`capture`]: one camera's thread. It never waits for the broker, and its errors end no other
//!   camera.
//! * [`pace`]: when a frame is due; [`rate`]: how often a picture is published that is not decoded.
//! * [`encoded`]: a frame in the queue of its camera. A full queue of a live camera loses its
//!   oldest.
//! * [`publisher`]: passes frames to librdkafka, each camera in its turn; [`record`]: a frame as a
//!   record.
//! * [`deliveries`]: the broker's answers.
//!
//! Beside them:
//!
//! * [`resume`]: the number that a camera goes on with after a restart.
//! * [`sizes`]: whether the topic accepts frames of this size.
//! * [`events`]: things that are counted, in [`counters`]; [`metrics`]: how Prometheus reads them;
//!   [`report`]: the summary at the end.
//! * [`shared`]: data that the threads share.
mod capture;
mod counters;
mod deliveries;
mod encoded;
mod events;
pub mod metrics;
mod pace;
mod publisher;
mod rate;
mod record;
pub mod report;
mod resume;
mod shared;
mod sizes;

pub use counters::CaptureCounters;

use super::{
    KafkaError,
    client::{self, Context},
    topics,
};
use crate::settings::CameraSettings;
use capture::Capture;
use mattebox_core::frame::CameraId;
use mattebox_engine::{
    StartError, Watch,
    events::{Event, FrameDropped},
    metrics::{DropReason, Monitor},
    queues::{CameraQueues, Lifetime, QueueSettings, WhenFull},
    stages,
    stop::Stop,
    trace::Tracer,
};
use publisher::Publisher;
use rdkafka::admin::AdminClient;
use report::{PublishReport, PublishTimes};
use shared::{PublisherCamera, PublisherContext};
use sizes::Sizes;
use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicBool},
    thread,
    time::Instant,
};

/// Maximum number of one live camera's frames in librdkafka's queue: few, because newer frames
/// cannot replace them there. Enough for 10 frames per second and a broker that takes most of a
/// second.
const MAX_IN_FLIGHT_LIVE: usize = 8;
/// The same for sources of which no frame is dropped.
const MAX_IN_FLIGHT: usize = 128;

/// Cameras that are ready to begin: the broker answers and the topic exists.
pub struct Camera {
    settings: CameraSettings,
    stop: Stop,
    abort: Stop,
    sizes: Sizes,
    partitions: i32,
    shared: Arc<PublisherContext>,
    admin: AdminClient<Context>,
}

impl Camera {
    /// Waits for the broker, and creates the topic if it is missing. `stop` ends the capture,
    /// `abort` everything.
    pub fn new(settings: CameraSettings, stop: Stop, abort: Stop) -> Result<Self, KafkaError> {
        let tracer = Tracer::open(settings.trace.as_ref(), "camera").map_err(StartError::Trace)?;
        let broker = &settings.broker;
        let admin = client::connect(broker, settings.source.connect_timeout, &stop)?;
        let (partitions, sizes) =
            client::until_answered(settings.source.connect_timeout, &stop, || {
                let partitions = topics::ensure(&admin, &publisher::wanted(&settings))?;
                Ok((partitions, Sizes::ask(&admin, broker)?))
            })?;
        let queue = QueueSettings {
            waiting: settings.buffer_frames,
            in_flight: if settings.source.realtime {
                MAX_IN_FLIGHT_LIVE
            } else {
                MAX_IN_FLIGHT
            },
            when_full: if settings.source.realtime {
                WhenFull::DropOldest
            } else {
                WhenFull::Wait
            },
        };
        let queues = CameraQueues::new(Lifetime::Cameras);
        let known = |camera: &CameraId| PublisherCamera {
            camera: camera.clone(),
            counters: Arc::new(CaptureCounters::new(camera)),
            queue: queues.open(queue, Default::default()),
            session: record::session(camera),
        };
        let shared = PublisherContext {
            cameras: settings.cameras.iter().map(|c| known(&c.camera)).collect(),
            queues,
            bootstrap: broker.bootstrap.clone(),
            topic: broker.topic.clone(),
            is_topic_gone: AtomicBool::new(false),
            troubles: Arc::default(),
            tracer,
        };
        Ok(Camera {
            stop,
            abort,
            sizes,
            partitions,
            shared: Arc::new(shared),
            admin,
            settings,
        })
    }

    /// The counters, to be read while the cameras run.
    pub fn watch(&self) -> Watch<CaptureCounters> {
        Watch {
            cameras: self
                .shared
                .cameras
                .iter()
                .map(|known| (known.camera.clone(), known.counters.clone()))
                .collect(),
        }
    }

    /// Their metrics, and why they are not ready.
    pub fn monitor(&self) -> Monitor {
        metrics::monitor(&self.shared)
    }

    /// Runs until every source has ended or it was stopped, and the captured frames are published.
    pub fn run(self) -> Result<PublishReport, KafkaError> {
        let Camera {
            settings,
            stop,
            abort,
            sizes,
            partitions,
            shared,
            admin,
        } = self;
        let names: Vec<_> = settings.cameras.iter().map(|c| c.camera.clone()).collect();
        let next = resume::next_numbers(&settings.broker, partitions, &names, &stop)?;
        for (camera, next) in names.iter().zip(&next).filter(|(_, next)| **next > 0) {
            tracing::info!(
                %camera,
                frame = next,
                "the camera goes on after its last frame in the topic"
            );
        }
        let publisher = Publisher::new(&settings, shared.clone(), sizes, next, admin)?;
        let cpu = || stages::process_cpu() + stages::children_cpu();
        let begun = Instant::now();
        let cpu_before = cpu();
        end_at(&stop, &abort, &shared);
        thread::scope(|scope| -> Result<(), KafkaError> {
            for (index, name) in names.iter().enumerate() {
                let capture = Capture::new(&shared, index, &settings, &stop);
                let thread = thread::Builder::new().name(format!("camera {name}"));
                if let Err(error) = thread.spawn_scoped(scope, move || capture.run()) {
                    stop.stop();
                    shared.queues.shut();
                    return Err(StartError::Thread(error).into());
                }
            }
            let published = publisher.run();
            if published.is_err() {
                stop.stop();
                shared.queues.shut();
            }
            published
        })?;
        let measured = PublishTimes {
            elapsed: begun.elapsed(),
            cpu: cpu().saturating_sub(cpu_before),
            interrupted: stop.is_stopped(),
        };
        shared.tracer.close();
        Ok(PublishReport::new(
            &settings.broker.topic,
            &shared,
            &measured,
        ))
    }
}

/// After `stop` no more frames are queued; after `abort` the waiting frames are dropped.
fn end_at(stop: &Stop, abort: &Stop, shared: &Arc<PublisherContext>) {
    let at_stop = shared.clone();
    stop.on_stop(move || at_stop.queues.end_all());
    let at_abort = shared.clone();
    abort.on_stop(move || {
        let dropped: HashMap<_, _> = at_abort.queues.shut().into_iter().collect();
        for known in &at_abort.cameras {
            for frame in dropped.get(&known.queue).into_iter().flatten() {
                FrameDropped {
                    frames: &known.counters.frames,
                    span: &frame.span,
                    reason: DropReason::Stopped,
                }
                .emit();
            }
        }
    });
}
