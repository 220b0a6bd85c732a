//! From a topic of frames to files or to a topic of results: `mattebox worker`.
//!
//! ```text
//! broker ─► assignment ─► ingest ─► queues (one per camera) ─► threads (one per core) ─► files, or
//!               ▲                                                   │      held for a transaction
//!               └──────────────── events ◄──────────────────────────┘
//!           all before a checkpoint is done ─► its states are stored, its offset is committed
//! ```
//!
//! One thread, the main loop, talks to the broker and tracks the records in flight. Other threads
//! process frames. The main loop waits on one channel of events.
//!
//! # Layout
//!
//! * `main_loop`: waits for events and passes them on; `loop_event`: the events.
//! * [`assignment`]: the partitions of this worker; [`partition`]: the records in flight of one.
//! * [`consumer`]: the member of the group; `consumer_events`: rebalances and statistics of
//!   librdkafka; `partition_range`: where a partition begins.
//! * [`ingest`]: a record becomes a frame in a queue or is rejected; [`cameras`]: the cameras of a
//!   partition; `camera_clock`: how old a frame is; [`job`]: a frame in flight.
//! * [`processing`]: the threads that process frames; [`shared`]: shared by them and the main loop.
//! * [`checkpoints`]: places that may be committed, with the camera states at that place.
//! * [`delivery`]: passes results and dead letters to the output; [`retries`]: steps that failed.
//! * [`output`]: the contract of both outputs.
//!   - `file_output`: `dead_letter_producer`, `offset_committer`.
//!   - `topic_output`: `transactions` with `result_records`, `held` until then; `result_topics`.
//! * [`states`]: the states of cameras, in `state_topic`; [`names_topic`]: the journal of names;
//!   [`names_in_flight`]: the names of frames that have no file yet.
//! * [`gap`]: records that are gone; [`deliveries`]: the offsets of sent records.
//! * `until_end`: `--until end`.
//! * [`events`]: things that are counted, in [`counters`]; [`metrics`]: how Prometheus reads them;
//!   [`report`]: the summary at the end.
mod assignment;
mod camera_clock;
mod cameras;
mod checkpoints;
mod consumer;
mod consumer_events;
mod counters;
mod dead_letter_producer;
mod deliveries;
mod delivery;
mod events;
mod file_output;
mod gap;
mod held;
mod ingest;
mod job;
mod loop_event;
mod main_loop;
pub mod metrics;
mod names_in_flight;
mod names_topic;
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
mod states;
mod topic_output;
mod transactions;
mod until_end;

pub use counters::{CameraCounters, OTHERS, PartitionCounters, WorkerCounters};
pub use state_topic::{WorkerTopicsError, check_names};

use super::{
    KafkaError,
    client::{self, Context, retry_request, until_answered},
    topics,
};
use crate::settings::{WorkerSettings, WorkerSink};
use consumer::FrameConsumer;
use consumer_events::GroupMember;
use crossbeam_channel::{Receiver, Sender};
use file_output::FileOutput;
use loop_event::LoopEvent;
use main_loop::{Ended, MainLoop};
use mattebox_core::compose::BackgroundSpec;
use mattebox_engine::{
    FrameProcessor, StartError, background::BackgroundChangeError, cameras::CameraRegistry,
    metrics::Monitor, stop::Stop, trace::Tracer,
};
use mattebox_store::{
    FolderClaim, Owner, PendingFile, StateStore, journal::Journal, pending::create_folder,
};
use names_topic::NamesTopic;
use output::Output;
use partition_range::BROKER_TIMEOUT;
use processing::ProcessingThread;
use rdkafka::admin::AdminClient;
use report::WorkerReport;
use shared::WorkerContext;
use state_topic::StateTopic;
use states::States;
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use topic_output::TopicOutput;
use until_end::UntilEnd;

/// Maximum number of events that wait for the main loop.
const MAX_EVENTS: usize = 4096;

/// A worker whose network is loaded and whose folder can be written. It has not asked the broker
/// yet.
pub struct Worker {
    shared: Arc<WorkerContext>,
    processors: Vec<FrameProcessor>,
    events: Receiver<LoopEvent>,
    stop: Stop,
    abort: Stop,
}

/// A worker that is ready to begin: the broker answers, the topic exists, and it has joined the
/// group.
pub struct JoinedWorker {
    shared: Arc<WorkerContext>,
    processing: Vec<ProcessingThread>,
    main: MainLoop,
    setup: Setup,
    /// Only workers of this group write into the folder.
    _claim: Option<FolderClaim>,
}

/// The parts of a main loop. They stay when the topic of frames is created again.
struct Setup {
    shared: Arc<WorkerContext>,
    journal: Arc<dyn Journal>,
    events: Receiver<LoopEvent>,
    stop: Stop,
    abort: Stop,
    /// Ends all waits for the journal.
    end: Stop,
}

impl Worker {
    /// Loads the network and checks that the folder can be written. `stop` ends the reading,
    /// `abort` everything.
    pub fn new(settings: WorkerSettings, stop: Stop, abort: Stop) -> Result<Self, KafkaError> {
        let threads = settings.threads.get();
        let (to_loop, events) = crossbeam_channel::bounded(MAX_EVENTS);
        let counters = Arc::new(WorkerCounters::default());
        let tracer = Tracer::open(settings.trace.as_ref(), "worker").map_err(StartError::Trace)?;
        let shared = Arc::new(WorkerContext::new(settings, counters, tracer, to_loop)?);
        let processors = (0..threads)
            .map(|_| FrameProcessor::new(&shared.engine, &Arc::new(shared.settings.frame.clone())))
            .collect::<Result<Vec<_>, StartError>>()?;
        if let WorkerSink::Directory(root) = &shared.settings.sink {
            // A folder that cannot be written is reported before the wait for the broker.
            create_folder(root)?;
            PendingFile::create(&root.join("writable"))?;
        }
        Ok(Worker {
            shared,
            processors,
            events,
            stop,
            abort,
        })
    }

    /// Waits for the broker and for the topic, and joins the group.
    pub fn join(self) -> Result<JoinedWorker, KafkaError> {
        let Worker {
            shared,
            processors,
            events,
            stop,
            abort,
        } = self;
        let settings = &shared.settings;
        let waits = &shared.counters.waits;
        let admin =
            client::connect_with_waits(&settings.broker, settings.connect_timeout, &stop, waits)?;
        let claim = claim(&admin, settings, &stop)?;
        let partitions = await_topic(&admin, &shared, &stop)?;
        let end = Stop::new();
        abort.on_stop({
            let end = end.clone();
            move || end.stop()
        });
        let journal = until_answered(settings.connect_timeout, &stop, || {
            NamesTopic::open(
                &admin,
                settings,
                shared.counters.troubles.clone(),
                &stop,
                end.clone(),
            )
        })?;
        let journal: Arc<dyn Journal> = Arc::new(journal);
        let setup = Setup {
            shared: shared.clone(),
            journal: journal.clone(),
            events,
            stop,
            abort,
            end,
        };
        let main = setup.main_loop(admin, partitions, processors.len())?;
        let thread = |processor| ProcessingThread::new(&shared, processor, journal.clone());
        Ok(JoinedWorker {
            processing: processors.into_iter().map(thread).collect(),
            shared,
            main,
            setup,
            _claim: claim,
        })
    }

    /// The counters, to be read while it runs.
    pub fn counters(&self) -> Arc<WorkerCounters> {
        self.shared.counters.clone()
    }

    /// Its metrics, and why it is not ready.
    pub fn monitor(&self) -> Monitor {
        metrics::monitor(&self.shared.counters)
    }

    /// The cameras as the page sees and changes them.
    pub fn cameras(&self) -> Arc<CameraRegistry> {
        self.shared.cameras.clone()
    }

    /// A function that changes the background of all cameras from the next frame on. A background
    /// that cannot be opened changes nothing.
    pub fn background_changer(
        &self,
    ) -> impl Fn(&BackgroundSpec) -> Result<(), BackgroundChangeError> + Send + use<> {
        let shared = self.shared.clone();
        move |background| shared.change_background(background)
    }

    /// Whether backgrounds can be changed while it runs: results in a topic carry a hash of the
    /// settings that they were made with.
    pub fn is_settable(&self) -> bool {
        matches!(self.shared.settings.sink, WorkerSink::Directory(_))
    }
}

impl JoinedWorker {
    /// Runs until it is stopped, or the records that existed at its start are done.
    pub fn run(self) -> Result<WorkerReport, KafkaError> {
        let JoinedWorker {
            shared,
            processing,
            mut main,
            setup,
            _claim,
        } = self;
        let timing = report::Timing::start();
        let events = shared.events.clone();
        wake_at(&setup.stop, &events);
        wake_at(&setup.abort, &events);
        let threads = start(processing)?;
        let ended = loop {
            match main.run() {
                Ok(Ended::Done) => break Ok(()),
                Err(error) => break Err(error),
                Ok(Ended::TopicRecreated) => {
                    let left = main.threads();
                    main.close();
                    match setup.main_loop_again(left) {
                        Ok(next) => main = next,
                        Err(error) => break Err(error),
                    }
                }
            }
        };
        shared.queues.shut();
        main.close();
        setup.end.stop();
        if !setup.abort.is_stopped() {
            threads.into_iter().for_each(|thread| drop(thread.join()));
        }
        let interrupted = setup.stop.is_stopped();
        match ended {
            Err(KafkaError::Stopped) if interrupted => {}
            ended => ended?,
        }
        let report = WorkerReport::new(&shared.settings, &shared.counters, &timing, interrupted);
        shared.tracer.close();
        Ok(report)
    }
}

impl Setup {
    /// A main loop whose consumer has joined the group, for a topic with this number of partitions.
    fn main_loop(
        &self,
        admin: AdminClient<Context>,
        partitions: i32,
        threads: usize,
    ) -> Result<MainLoop, KafkaError> {
        let settings = &self.shared.settings;
        let topic = &settings.broker.topic;
        let counters = &self.shared.counters;
        let consumer = FrameConsumer::new(
            settings,
            &self.shared.settings_hash(),
            partitions,
            counters,
            self.shared.events.clone(),
        )?;
        let output = self.open_output(admin, partitions, consumer.member())?;
        consumer.subscribe()?;
        let until = settings
            .until_end
            .then(|| UntilEnd::now(consumer.member(), topic, partitions, &self.stop))
            .transpose()?;
        Ok(MainLoop::new(self, consumer, output, until, threads))
    }

    /// Waits until a deleted topic exists again, and returns a main loop for it.
    fn main_loop_again(&self, threads: usize) -> Result<MainLoop, KafkaError> {
        let settings = &self.shared.settings;
        self.shared.counters.is_ready.store(false, Relaxed);
        let waits = &self.shared.counters.waits;
        let admin = client::connect_with_waits(
            &settings.broker,
            settings.connect_timeout,
            &self.stop,
            waits,
        )?;
        let partitions = await_topic(&admin, &self.shared, &self.stop)?;
        self.main_loop(admin, partitions, threads)
    }

    fn open_output(
        &self,
        admin: AdminClient<Context>,
        partitions: i32,
        member: &Arc<GroupMember>,
    ) -> Result<Box<dyn Output>, KafkaError> {
        let shared = &self.shared;
        let settings = &shared.settings;
        let admin = Arc::new(admin);
        let results = match &settings.sink {
            WorkerSink::Directory(_) => None,
            WorkerSink::Topic(results) => Some(results.as_str()),
        };
        let topic = until_answered(settings.connect_timeout, &self.stop, || {
            StateTopic::open(admin.clone(), partitions, settings, results, &self.stop)
        })?;
        let counters = shared.counters.clone();
        let states = States::new(topic, self.journal.clone(), settings, counters);
        match &settings.sink {
            WorkerSink::Directory(root) => {
                let output = FileOutput::open(root, states, admin, member, shared)?;
                Ok(Box::new(output))
            }
            WorkerSink::Topic(results) => {
                let model = shared.engine.models.get(&settings.frame.model)?;
                let stops = (&self.stop, &self.abort);
                let sha256 = model.sha256();
                let output =
                    TopicOutput::open(admin, member, states, shared, results, sha256, stops)?;
                Ok(Box::new(output))
            }
        }
    }
}

/// Makes this group the owner of the folder.
fn claim(
    admin: &AdminClient<Context>,
    settings: &WorkerSettings,
    stop: &Stop,
) -> Result<Option<FolderClaim>, KafkaError> {
    let WorkerSink::Directory(root) = &settings.sink else {
        return Ok(None);
    };
    let cluster = retry_request(
        settings.connect_timeout,
        stop,
        "ask for the cluster's id",
        || {
            let id = admin.inner().fetch_cluster_id(BROKER_TIMEOUT);
            // A broker that answers without an id has none.
            id.map_or_else(
                || client::metadata(admin, None, BROKER_TIMEOUT).map(|_| String::new()),
                Ok,
            )
        },
    )?;
    let owner = Owner::Worker {
        cluster,
        topic: settings.broker.topic.clone(),
        group: settings.group.clone(),
    };
    let claim = FolderClaim::take(root, &owner).map_err(StartError::from)?;
    claim.names(&settings.names).map_err(StartError::from)?;
    if let Some(previous) = claim.previous().filter(|previous| **previous != owner) {
        tracing::warn!(
            "{} was written by {previous}, whose log is gone: the names of new frames go on above \
             the files that are there",
            root.display()
        );
    }
    StateStore::take_over_version_1(root)?;
    Ok(Some(claim))
}

/// Wakes the main loop when the worker is asked to stop. A loop with events in its channel checks
/// the request anyway.
fn wake_at(request: &Stop, events: &Sender<LoopEvent>) {
    let events = events.clone();
    request.on_stop(move || drop(events.try_send(LoopEvent::Stopping)));
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

/// Waits until the topic exists, and returns how many partitions it has. A worker with `--until
/// end` waits no longer than for the broker.
fn await_topic(
    admin: &AdminClient<Context>,
    shared: &WorkerContext,
    stop: &Stop,
) -> Result<i32, KafkaError> {
    let settings = &shared.settings;
    let topic = &settings.broker.topic;
    let begun = Instant::now();
    let mut is_logged = false;
    loop {
        let found = topics::partitions(admin, topic).and_then(|found| {
            if found.is_some() {
                refuse_compacted(admin, topic)?;
            }
            Ok(found)
        });
        match found {
            Ok(Some(partitions)) => {
                shared.counters.waits.set("joining the group".to_owned());
                return Ok(partitions);
            }
            Ok(None) => {}
            Err(KafkaError::Client { source, .. }) => {
                tracing::debug!("cannot ask for topic {topic} yet: {source}");
            }
            Err(error) => return Err(error),
        }
        if settings.until_end && begun.elapsed() >= settings.connect_timeout {
            let problem = "it is not there: a camera makes it, or check --topic".to_owned();
            return Err(KafkaError::Topic {
                topic: topic.clone(),
                problem,
            });
        }
        if !std::mem::replace(&mut is_logged, true) {
            let what = format!("waiting for topic {topic}: a camera makes it");
            tracing::info!("{what}");
            shared.counters.waits.set(what);
        }
        if stop.wait(Duration::from_millis(500)) {
            return Err(KafkaError::Stopped);
        }
    }
}

/// Frames that compaction removes would be lost silently.
fn refuse_compacted(admin: &AdminClient<Context>, topic: &str) -> Result<(), KafkaError> {
    let policy = topics::setting(admin, topic, "cleanup.policy")?.unwrap_or_default();
    if policy.split(',').any(|part| part == "compact") {
        let problem =
            "it is compacted, which keeps one frame of each camera: set cleanup.policy=delete";
        return Err(KafkaError::Topic {
            topic: topic.to_owned(),
            problem: problem.to_owned(),
        });
    }
    Ok(())
}
