//! From a topic of frames to files or to a topic of results: `mattebox worker`.
//!
//! ```text
//! broker ─► assignment ─► ingest ─► queues (one per camera) ─► threads (one per core) ─► files, or
//!               ▲                                                   │          held for a transaction
//!               └──────────────── events ◄──────────────────────────┘
//!           all before a checkpoint is done ─► its states are stored, its offset is committed
//! ```
//!
//! One thread, the main loop, talks to the broker and knows what is in flight. Others process
//! frames. The main loop waits on one channel of events.
//!
//! # Layout
//!
//! * `main_loop`: waits for events and lets the owners act; [`event`]: the events.
//! * [`assignment`]: the partitions of this worker; [`partition`]: the records in flight of one.
//! * [`consumer`]: the member of the group; `consumer_events`: rebalances and statistics of
//!   librdkafka; `partition_range`: where a partition begins.
//! * [`ingest`]: a record becomes a frame in a queue or is rejected; [`cameras`]: the cameras of a
//!   partition; [`job`]: a frame in flight.
//! * [`processing`]: the threads that process frames; [`shared`]: shared by them and the main loop.
//! * [`checkpoints`]: places that may be committed, with the camera states of exactly there.
//! * [`delivery`]: results and dead letters to the output; [`retries`]: steps that failed.
//! * [`output`]: the contract of both outputs.
//!   - `file_output`: `camera_states` in a folder, `dead_letter_producer`, `offset_committer`.
//!   - `topic_output`: `transactions` with `result_records`, `held` until then; `state_topic`,
//!     `result_topics`.
//! * `until_end`: `--until end`.
//! * [`numbers`]: counters; [`report`]: the sums at the end.
mod assignment;
mod camera_states;
mod cameras;
mod checkpoints;
mod consumer;
mod consumer_events;
mod dead_letter_producer;
mod delivery;
mod event;
mod file_output;
mod held;
mod ingest;
mod job;
mod main_loop;
mod numbers;
mod offset_committer;
mod output;
mod partition;
mod partition_range;
mod processing;
pub mod report;
mod result_records;
mod result_topics;
mod retries;
mod shared;
mod state_topic;
mod topic_output;
mod transactions;
mod until_end;

pub use numbers::{CameraNumbers, Numbers, OTHERS, PartitionNumbers};

use super::{
    KafkaError,
    client::{self, Context},
    topics,
};
use crate::settings::{WorkerSettings, WorkerSink};
use camera_states::StateDirectory;
use consumer::FrameConsumer;
use consumer_events::GroupMember;
use crossbeam_channel::Sender;
use event::Event;
use file_output::FileOutput;
use main_loop::MainLoop;
use mattebox_core::compose::BackgroundSpec;
use mattebox_engine::{StartError, cameras::CameraRegistry, stop::Stop, trace::Tracer};
use mattebox_store::StoreError;
use output::Output;
use processing::ProcessingThread;
use rdkafka::admin::AdminClient;
use report::Report;
use shared::Shared;
use std::{
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use topic_output::TopicOutput;
use until_end::UntilEnd;

/// Events that may wait for the main loop.
const MAX_EVENTS: usize = 4096;

/// A worker that is ready to begin: the network is loaded, the broker answers, and the topic is
/// there.
pub struct Worker {
    shared: Arc<Shared>,
    processing: Vec<ProcessingThread>,
    main: MainLoop,
    stop: Stop,
    abort: Stop,
}

impl Worker {
    /// Loads the network, waits for the broker and for the topic, and joins the group. `stop` ends
    /// the reading, `abort` everything.
    pub fn new(settings: WorkerSettings, stop: Stop, abort: Stop) -> Result<Self, KafkaError> {
        let threads = settings.threads.get();
        let (to_loop, events) = crossbeam_channel::bounded(MAX_EVENTS);
        let numbers = Arc::new(Numbers::default());
        let tracer = Tracer::open(settings.trace.as_ref(), "worker").map_err(StartError::Trace)?;
        let shared = Arc::new(Shared::new(settings, numbers.clone(), tracer, to_loop));
        let processing = (0..threads)
            .map(|_| ProcessingThread::new(&shared))
            .collect::<Result<Vec<_>, StartError>>()?;
        let settings = &shared.settings;
        if let WorkerSink::Directory(root) = &settings.sink {
            // A folder that cannot be written is told before the broker is waited for.
            open_states(settings, root)?;
        }
        let admin = client::connect(&settings.broker, settings.connect_timeout, &stop)?;
        let partitions = await_topic(&admin, settings, &stop)?;
        let consumer = FrameConsumer::new(settings, &numbers, shared.events.clone())?;
        let output = open_output(&shared, admin, consumer.member(), &stop, &abort)?;
        consumer.subscribe()?;
        let topic = &settings.broker.topic;
        let until = settings
            .until_end
            .then(|| UntilEnd::now(consumer.member(), topic, partitions, &stop))
            .transpose()?;
        let stops = (stop.clone(), abort.clone());
        let main = MainLoop::new(shared.clone(), events, consumer, output, until, stops);
        Ok(Worker {
            shared,
            processing,
            main,
            stop,
            abort,
        })
    }

    /// The counters, to be read while it runs.
    pub fn numbers(&self) -> Arc<Numbers> {
        self.shared.numbers.clone()
    }

    /// The cameras, to be seen and changed while it runs.
    pub fn cameras(&self) -> Arc<CameraRegistry> {
        self.shared.cameras.clone()
    }

    /// A function that puts another background behind the frames of all cameras, from the next on.
    /// One that cannot be opened changes nothing.
    pub fn background_changer(
        &self,
    ) -> impl Fn(&BackgroundSpec) -> Result<(), String> + Send + use<> {
        let shared = self.shared.clone();
        move |background| shared.change_background(background)
    }

    /// Whether backgrounds can be changed while it runs: results in a topic carry a hash of the
    /// settings that they were made with.
    pub fn is_settable(&self) -> bool {
        matches!(self.shared.settings.sink, WorkerSink::Directory(_))
    }

    /// Works until it is stopped, or the records that were there at its start are done.
    pub fn run(self) -> Result<Report, KafkaError> {
        let Worker {
            shared,
            processing,
            mut main,
            stop,
            abort,
        } = self;
        let timing = report::Timing::start();
        let events = shared.events.clone();
        wake_at(&stop, &events);
        wake_at(&abort, &events);
        let threads = start(processing)?;
        let ended = main.run();
        shared.queues.shut();
        main.close();
        if !abort.is_stopped() {
            threads.into_iter().for_each(|thread| drop(thread.join()));
        }
        ended?;
        let report = Report::new(
            &shared.settings,
            &shared.numbers,
            &timing,
            stop.is_stopped(),
        );
        shared.tracer.close();
        Ok(report)
    }
}

/// Wakes the main loop when the worker is asked to stop. A loop with events in its channel looks
/// at the request anyway.
fn wake_at(request: &Stop, events: &Sender<Event>) {
    let events = events.clone();
    request.on_stop(move || drop(events.try_send(Event::Stopping)));
}

/// Starts the threads that process frames.
fn start(processing: Vec<ProcessingThread>) -> Result<Vec<JoinHandle<()>>, StartError> {
    let start = |(n, processing): (usize, ProcessingThread)| {
        thread::Builder::new()
            .name(format!("frames {n}"))
            .spawn(move || processing.run())
            .map_err(StartError::Thread)
    };
    processing.into_iter().enumerate().map(start).collect()
}

fn open_states(settings: &WorkerSettings, root: &Path) -> Result<StateDirectory, StoreError> {
    StateDirectory::open(
        root,
        &settings.group,
        &settings.broker.topic,
        settings.fsync,
    )
}

fn open_output(
    shared: &Arc<Shared>,
    admin: AdminClient<Context>,
    member: &Arc<GroupMember>,
    stop: &Stop,
    abort: &Stop,
) -> Result<Box<dyn Output>, KafkaError> {
    let settings = &shared.settings;
    match &settings.sink {
        WorkerSink::Directory(root) => {
            let states = open_states(settings, root)?;
            let output = FileOutput::open(states, admin, member, shared)?;
            Ok(Box::new(output))
        }
        WorkerSink::Topic(results) => {
            let model = shared.engine.models.get(&settings.frame.model)?;
            let stops = (stop, abort);
            let output = TopicOutput::open(admin, member, shared, results, &model, stops)?;
            Ok(Box::new(output))
        }
    }
}

/// Waits until the topic is there, and returns how many partitions it has. A worker that is to end
/// at the end of the topic does not wait longer than for the broker.
fn await_topic(
    admin: &AdminClient<Context>,
    settings: &WorkerSettings,
    stop: &Stop,
) -> Result<i32, KafkaError> {
    let topic = &settings.broker.topic;
    let begun = Instant::now();
    let mut said = false;
    loop {
        match topics::partitions(admin, topic) {
            Ok(Some(partitions)) => return Ok(partitions),
            Ok(None) => {}
            Err(error) => tracing::debug!("{error}"),
        }
        if settings.until_end && begun.elapsed() >= settings.connect_timeout {
            let problem = "it is not there: a camera makes it, or check --topic".to_owned();
            return Err(KafkaError::Topic {
                topic: topic.clone(),
                problem,
            });
        }
        if !std::mem::replace(&mut said, true) {
            tracing::info!("waiting for topic {topic}: a camera makes it");
        }
        if stop.wait(Duration::from_millis(500)) {
            return Err(KafkaError::Stopped);
        }
    }
}
