//! From a topic of frames to files or to a topic of results: `mattebox worker`.
//!
//! ```text
//! broker ─► consumer ─► partition ─► lanes (one per camera) ─► hands (one per core) ─► files, or held for the next transaction
//!                          ▲                                        │
//!                          └──────────── what became of it ◄────────┘      everything before a mark is done ─► its offset is committed
//! ```
//!
//! One thread, the loop, talks to the broker and knows what is on its way. The hands make frames.
//!
//! # Layout
//!
//! * [`consumer`]: the group's side: which partitions are ours, and where they begin.
//! * [`partition`]: what is on its way in a partition, and up to where everything is done.
//! * [`lanes`]: which frame a free hand works on next; [`hand`]: makes it; [`job`]: what they pass to each other.
//! * `intake`: a record becomes a frame on its way, or a dead letter; `desk`: what became of it, and what is tried again.
//! * `commits`: marks, and offsets behind them; [`recorder`]: tells the broker; [`directory`]: behind files; [`topic`]: in a transaction with results; [`post`]: dead letters
//!   beside files.
//! * `until`: whether what was there at the start is done.
//! * [`numbers`]: what is counted; [`report`]: what is said of it at the end.
mod commits;
mod consumer;
mod desk;
mod directory;
mod hand;
mod intake;
mod job;
mod lanes;
mod numbers;
mod partition;
mod post;
mod recorder;
pub mod report;
mod topic;
mod until;

pub use numbers::{CameraNumbers, Numbers, OTHERS, PartitionNumbers};

use super::{
    KafkaError,
    client::{self, Context},
    topics,
};
use crate::{
    config::worker::{WorkerSettings, WorkerSink},
    live::Studio,
    pipeline::{StartError, load_model},
    stop::Stop,
    trace::Tracer,
};
use consumer::{Change, Consuming};
use crossbeam_channel::Receiver;
use directory::Directory;
use hand::{Hand, Shop};
use job::Event;
use lanes::Lanes;
use mattebox_core::{compose::BackgroundSpec, maker::Recipe, matte::MatteMode};
use partition::Partition;
use post::Post;
use rdkafka::{
    admin::AdminClient,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError as ClientError, RDKafkaErrorCode},
};
use recorder::Recorder;
use report::Report;
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use topic::Topic;
use until::Until;

/// The longest wait for a record before the loop looks around.
const GLANCE: Duration = Duration::from_millis(10);
/// Messages of the hands that may wait for the loop.
const EVENTS: usize = 4096;
/// Encoded frames on their way in bytes, at most: a few very large ones.
const MAX_BYTES: usize = 64 << 20;

/// Where results go, and where offsets are recorded.
enum Output {
    Files {
        directory: Directory,
        post: Box<Post>,
    },
    Results(Box<Topic>),
}

/// A worker that is ready to begin: the network is loaded, the broker answers, and the topic is there.
pub struct Worker {
    shop: Arc<Shop>,
    /// Until it runs.
    hands: Vec<Hand>,
    /// While it runs.
    threads: Vec<JoinHandle<()>>,
    events: Receiver<Event>,
    admin: AdminClient<Context>,
    consumer: Arc<BaseConsumer<Consuming>>,
    recorder: Recorder,
    output: Output,
    numbers: Arc<Numbers>,
    partitions: BTreeMap<i32, Partition>,
    turn: u64,
    next_mark: Instant,
    /// The broker does not answer at the moment.
    is_cut_off: bool,
    /// It is to end when what was there at the start is done.
    until: Option<Until>,
    stop: Stop,
    abort: Stop,
}

impl Worker {
    /// Loads the network, waits for the broker and for the topic, and joins the group. `stop` ends the reading, `abort` everything.
    pub fn new(settings: WorkerSettings, stop: Stop, abort: Stop) -> Result<Self, KafkaError> {
        let model = Arc::new(load_model(&settings.model)?);
        let threads = settings.threads.get();
        let (to_loop, events) = crossbeam_channel::bounded(EVENTS);
        let recipe = Recipe {
            model,
            matte: settings.matte,
            simd: settings.simd,
            foreground_cleanup: settings.foreground_cleanup,
            skip_still: settings.skip_still,
            format: settings.format,
            jpeg_quality: settings.jpeg_quality,
        };
        let numbers = Arc::new(Numbers::default());
        let lanes = Lanes::new(settings.matte == MatteMode::Soft, to_loop);
        let tracer = Tracer::open(settings.trace.as_ref(), "worker").map_err(StartError::Trace)?;
        let shop = Arc::new(Shop::new(settings, recipe, lanes, numbers.clone(), tracer));
        let hands = (0..threads)
            .map(|_| Hand::new(&shop))
            .collect::<Result<Vec<_>, StartError>>()?;
        let settings = &shop.settings;
        if let WorkerSink::Directory(root) = &settings.sink {
            // A folder that cannot be written is told before the broker is waited for.
            Directory::open(
                root,
                &settings.group,
                &settings.broker.topic,
                settings.fsync,
            )?;
        }
        let admin = client::connect(&settings.broker, settings.connect_timeout, &stop)?;
        let partitions = await_topic(&admin, settings, &stop)?;
        let output = match &settings.sink {
            WorkerSink::Directory(root) => Output::Files {
                directory: Directory::open(
                    root,
                    &settings.group,
                    &settings.broker.topic,
                    settings.fsync,
                )?,
                post: Box::new(Post::open(settings, &shop)?),
            },
            WorkerSink::Topic(results) => Output::Results(Box::new(Topic::open(
                &admin,
                settings,
                results,
                &shop.recipe,
                &stop,
            )?)),
        };
        let consumer = Arc::new(consumer::subscribe(settings, &numbers)?);
        let recorder = Recorder::start(&consumer).map_err(StartError::Thread)?;
        let topic = &settings.broker.topic;
        let until = settings
            .until_end
            .then(|| Until::now(&consumer, topic, partitions, &stop))
            .transpose()?;
        Ok(Worker {
            hands,
            threads: Vec::new(),
            events,
            admin,
            consumer,
            recorder,
            output,
            numbers,
            partitions: BTreeMap::new(),
            turn: 0,
            next_mark: Instant::now() + settings.commit_interval,
            is_cut_off: false,
            until,
            stop,
            abort,
            shop,
        })
    }

    /// The counters, to be read while it runs.
    pub fn numbers(&self) -> Arc<Numbers> {
        self.numbers.clone()
    }

    /// What can be seen and changed of the cameras while it runs.
    pub fn studio(&self) -> Arc<Studio> {
        self.shop.studio.clone()
    }

    /// Something that puts another background behind the frames of all cameras, from the next on. One that cannot be had changes nothing.
    pub fn background_changer(
        &self,
    ) -> impl Fn(&BackgroundSpec) -> Result<(), String> + Send + use<> {
        let shop = self.shop.clone();
        move |background| shop.change_background(background)
    }

    /// Whether backgrounds can be changed while it runs: results in a topic carry a hash of the settings that they were made with.
    pub fn is_settable(&self) -> bool {
        matches!(self.shop.settings.sink, WorkerSink::Directory(_))
    }

    /// Works until it is stopped, or what was there at the start is done.
    pub fn run(mut self) -> Result<Report, KafkaError> {
        let timing = report::Timing::start();
        for (n, hand) in std::mem::take(&mut self.hands).into_iter().enumerate() {
            let shop = self.shop.clone();
            let thread = thread::Builder::new()
                .name(format!("hand {n}"))
                .spawn(move || hand.run(&shop.lanes));
            self.threads.push(thread.map_err(StartError::Thread)?);
        }
        let ended = self.work();
        self.shop.lanes.shut();
        self.consumer.context().is_closing.store(true, Relaxed);
        if !self.abort.is_stopped() {
            // Hands that have something for the loop must not wait for it.
            while self.threads.iter().any(|thread| !thread.is_finished()) {
                let _ = self.events.recv_timeout(GLANCE);
            }
        }
        ended?;
        let report = Report::new(
            &self.shop.settings,
            &self.numbers,
            &timing,
            self.stop.is_stopped(),
        );
        self.shop.tracer.close();
        Ok(report)
    }

    fn work(&mut self) -> Result<(), KafkaError> {
        let most = 64 + 8 * self.shop.settings.threads.get();
        while !self.stop.is_stopped() {
            self.follow_changes()?;
            self.hear(Duration::ZERO);
            self.try_again();
            self.check_threads()?;
            self.commit_what_is_due(false)?;
            if self.is_through()? {
                break;
            }
            let (load, bytes) = self.load();
            if load >= most || bytes >= MAX_BYTES {
                self.hear(GLANCE);
                continue;
            }
            self.fetch()?;
        }
        // What is on its way is finished and recorded; then the partitions are for others.
        let all: Vec<_> = self.partitions.keys().copied().collect();
        self.settle(&all, self.shop.settings.shutdown_timeout)?;
        self.give_up(&all);
        Ok(())
    }

    /// An error when no thread is left that makes frames: each ends when it cannot make new tools after a fault.
    fn check_threads(&self) -> Result<(), KafkaError> {
        if self.threads.iter().all(JoinHandle::is_finished) {
            Err(KafkaError::NoThreads)
        } else {
            Ok(())
        }
    }

    /// Records on their way in all partitions that get more, and their bytes.
    fn load(&self) -> (usize, usize) {
        self.partitions
            .values()
            .map(Partition::load)
            .fold((0, 0), |sum, load| (sum.0 + load.0, sum.1 + load.1))
    }

    /// Takes the next record, if there is one soon.
    fn fetch(&mut self) -> Result<(), KafkaError> {
        let message = match self.consumer.poll(GLANCE) {
            None => return Ok(()),
            Some(Ok(message)) => message.detach(),
            Some(Err(error)) => return self.trouble(error),
        };
        if std::mem::take(&mut self.is_cut_off) {
            tracing::info!("the broker is back");
        }
        self.take(message)
    }

    fn trouble(&mut self, error: ClientError) -> Result<(), KafkaError> {
        match error {
            ClientError::PartitionEOF(id) => {
                if let Some(partition) = self.partitions.get_mut(&id) {
                    partition.at_end();
                }
            }
            ClientError::MessageConsumptionFatal(_) => {
                return Err(KafkaError::client("go on reading")(error));
            }
            error if client::is_refusal(&error) => {
                let bootstrap = self.shop.settings.broker.bootstrap.clone();
                return Err(KafkaError::Refused {
                    bootstrap,
                    problem: error.to_string(),
                });
            }
            ClientError::MessageConsumption(
                RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure,
            ) => {
                if !std::mem::replace(&mut self.is_cut_off, true) {
                    tracing::warn!("the broker does not answer: waiting for it");
                }
            }
            error => tracing::warn!("kafka: {error}"),
        }
        Ok(())
    }

    /// Acts upon what the group decided and the broker answered.
    fn follow_changes(&mut self) -> Result<(), KafkaError> {
        while let Some(change) = self.consumer.context().next_change() {
            match change {
                Change::Assigned(ids) => {
                    self.numbers.rebalances.fetch_add(1, Relaxed);
                    self.take_up(&ids)?;
                    self.numbers.is_ready.store(true, Relaxed);
                }
                Change::Revoked(ids) => {
                    self.numbers.rebalances.fetch_add(1, Relaxed);
                    if self.consumer.assignment_lost() {
                        tracing::warn!(partitions = ?ids, "partitions were lost: others do again what was not recorded");
                    } else {
                        self.settle(&ids, self.shop.settings.shutdown_timeout)?;
                    }
                    self.give_up(&ids);
                }
            }
        }
        Ok(())
    }

    /// Whether it is to end, because what was there at the start is done and recorded.
    fn is_through(&mut self) -> Result<bool, KafkaError> {
        // What the group had recorded of a topic that was made anew since is looked into when partitions are taken up.
        if self.until.is_none() || !self.numbers.is_ready.load(Relaxed) {
            return Ok(false);
        }
        if self
            .until
            .as_ref()
            .is_some_and(|until| until.is_made(&self.partitions))
        {
            self.commit_what_is_due(true)?;
        }
        Ok(self
            .until
            .as_mut()
            .is_some_and(|until| until.is_through(&self.consumer, &self.partitions)))
    }
}

/// Waits until the topic is there, and returns how many partitions it has. A worker that is to end at the end of the topic does not wait
/// longer than for the broker.
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
