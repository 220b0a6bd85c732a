//! From a topic of results to the live page: what `mattebox view` does.
//!
//! It reads what comes from now on, outside of any group, and records nothing: any number of these disturb nobody. Of each camera only the newest
//! result is decoded, so it does not fall behind.
use super::{
    KafkaError,
    client::{self, Context},
    record::with_record,
    topics,
};
use crate::Waits;
use crate::settings::WatchSettings;
use image::RgbImage;
use mattebox_core::{
    codec::Decoder,
    compose::{BackgroundSpec, Composed},
    frame::{CameraId, FrameNumber, Timestamp},
};
use mattebox_engine::{
    BackgroundChoice, FrameSettings,
    cameras::{
        CameraRegistry,
        camera::{Counters, Holds, Introduction},
        trend::Counted,
    },
    latency::{self, Latency},
    status::Condition,
    stop::Stop,
};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    admin::AdminClient,
    consumer::{BaseConsumer, Consumer},
    message::{Headers, OwnedMessage},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

/// How long one question for records waits.
const POLL: Duration = Duration::from_millis(100);
/// The wait between two looks for the topic.
const PAUSE: Duration = Duration::from_millis(500);
/// How often cameras are looked for that had no result for long.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Records that are taken before the newest are shown.
const MOST: usize = 512;

/// Cameras that are counted.
const MAX_CAMERAS: usize = 1000;

/// What is counted of one camera's results.
#[derive(Debug, Default)]
pub struct Results {
    /// Results that came.
    pub seen: AtomicU64,
    /// Of those, shown: the others were overtaken by newer ones.
    pub shown: AtomicU64,
    /// Results whose picture cannot be decoded.
    pub failed: AtomicU64,
    /// From when a frame was taken to when its result was here.
    pub latency: Latency,
}

impl Counters for Results {
    fn counted(&self) -> Counted {
        let seen = self.seen.load(Relaxed);
        let shown = self.shown.load(Relaxed);
        let failed = self.failed.load(Relaxed);
        Counted {
            frames_in: seen,
            frames_out: shown,
            dropped: seen.saturating_sub(shown + failed),
            failed,
            times: self.latency.times(),
        }
    }
}

/// All numbers of a watcher.
#[derive(Debug, Default)]
pub struct Numbers {
    cameras: Mutex<BTreeMap<CameraId, Arc<Results>>>,
    /// Records that are no results.
    pub foreign: AtomicU64,
    /// What it waits for before it can begin.
    pub waits: Waits,
    is_ready: AtomicBool,
}

impl Numbers {
    /// Those that are too many are counted for nobody.
    fn camera(&self, id: &CameraId) -> Arc<Results> {
        let mut cameras = self.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        match cameras.get(id) {
            Some(there) => there.clone(),
            None if cameras.len() >= MAX_CAMERAS => Arc::default(),
            None => cameras.entry(id.clone()).or_default().clone(),
        }
    }

    /// All cameras by name.
    pub fn cameras(&self) -> Vec<(String, Arc<Results>)> {
        let cameras = self.cameras.lock().unwrap_or_else(PoisonError::into_inner);
        cameras
            .iter()
            .map(|(id, results)| (id.to_string(), results.clone()))
            .collect()
    }

    /// Whether it reads the topic.
    pub fn is_ready(&self) -> bool {
        self.is_ready.load(Relaxed)
    }
}

/// Reads results and shows them.
pub struct Watcher {
    settings: WatchSettings,
    stop: Stop,
    registry: Arc<CameraRegistry>,
    numbers: Arc<Numbers>,
    decoder: Decoder,
    /// A foreign record was told of.
    has_told: bool,
}

impl Watcher {
    /// A watcher that has not asked the broker yet.
    pub fn new(settings: WatchSettings, stop: Stop) -> Self {
        Watcher {
            settings,
            stop,
            registry: Arc::default(),
            numbers: Arc::default(),
            decoder: Decoder::default(),
            has_told: false,
        }
    }

    /// Waits for the broker and the topic, and begins behind its last record.
    fn open(&self) -> Result<BaseConsumer<Context>, KafkaError> {
        let Watcher { settings, stop, .. } = self;
        let admin = client::connect_telling(
            &settings.broker,
            settings.connect_timeout,
            stop,
            &self.numbers.waits,
        )?;
        let partitions = await_topic(&admin, settings, stop, &self.numbers.waits)?;
        let ours = [
            ("group.id", "mattebox-view"),
            ("enable.auto.commit", "false"),
            ("isolation.level", "read_committed"),
        ];
        let consumer: BaseConsumer<Context> = settings
            .broker
            .client(&ours)
            .create_with_context(Context::default())
            .map_err(KafkaError::Settings)?;
        let mut all = TopicPartitionList::new();
        for partition in 0..partitions {
            all.add_partition_offset(&settings.results, partition, Offset::End)
                .map_err(KafkaError::client(format!(
                    "read topic {}",
                    settings.results
                )))?;
        }
        consumer.assign(&all).map_err(KafkaError::client(format!(
            "read topic {}",
            settings.results
        )))?;
        Ok(consumer)
    }

    /// What is seen.
    pub fn cameras(&self) -> Arc<CameraRegistry> {
        self.registry.clone()
    }

    /// What is counted.
    pub fn numbers(&self) -> Arc<Numbers> {
        self.numbers.clone()
    }

    /// Waits for the broker and the topic, and shows what comes until it is stopped.
    pub fn run(mut self) -> Result<(), KafkaError> {
        let consumer = self.open()?;
        self.numbers.is_ready.store(true, Relaxed);
        let mut last_look = Instant::now();
        while !self.stop.is_stopped() {
            for (id, (number, record)) in self.newest(&consumer) {
                self.show(&id, number, &record);
            }
            if last_look.elapsed() >= LOOK_INTERVAL {
                last_look = Instant::now();
                self.registry.forget_quiet(self.settings.forget);
            }
        }
        Ok(())
    }

    /// The newest result of each camera of which there is one.
    fn newest(
        &mut self,
        consumer: &BaseConsumer<Context>,
    ) -> BTreeMap<CameraId, (FrameNumber, OwnedMessage)> {
        let mut newest = BTreeMap::new();
        let mut patience = POLL;
        for _ in 0..MOST {
            let record = match consumer.poll(patience) {
                None => break,
                Some(Ok(record)) => record,
                Some(Err(error)) => {
                    // librdkafka goes on trying by itself.
                    let why = format!("the broker: {error}");
                    tracing::warn!("{why}");
                    self.registry
                        .cameras()
                        .iter()
                        .for_each(|camera| camera.status.set(Condition::Lost { why: why.clone() }));
                    break;
                }
            };
            patience = Duration::ZERO;
            // Fail closed: what does not say that it is a result may show a room.
            let position = with_record(&record, |r| {
                mattebox_wire::is_result(r)
                    .then(|| mattebox_wire::read_position(r))
                    .flatten()
            });
            match position {
                Some((id, number)) => {
                    self.numbers.camera(&id).seen.fetch_add(1, Relaxed);
                    newest.insert(id, (number, record.detach()));
                }
                None => self.foreign(record.partition(), record.offset()),
            }
        }
        newest
    }

    fn foreign(&mut self, partition: i32, offset: i64) {
        self.numbers.foreign.fetch_add(1, Relaxed);
        if !std::mem::replace(&mut self.has_told, true) {
            let topic = &self.settings.results;
            tracing::warn!(
                topic,
                partition,
                offset,
                "this record is no result and is not shown: is it the right topic?"
            );
        }
    }

    fn show(&mut self, id: &CameraId, number: FrameNumber, record: &OwnedMessage) {
        let counted = self.numbers.camera(id);
        let camera = self.registry.camera_or_new(id, || {
            introduction(&self.settings, record.partition(), counted.clone())
        });
        let mut picture = RgbImage::default();
        match self.decoder.decode_into(
            record.payload().unwrap_or_default(),
            &self.settings.limits,
            &mut picture,
        ) {
            Ok(()) => {}
            Err(problem) => {
                counted.failed.fetch_add(1, Relaxed);
                camera.note_rejected(&format!("frame {number}: {problem}"));
                return;
            }
        }
        counted.shown.fetch_add(1, Relaxed);
        let captured = captured(record);
        if let Some(age) = captured.and_then(|at| SystemTime::now().duration_since(at).ok()) {
            counted.latency.add_time(age);
        }
        camera.status.set(Condition::Open);
        camera.show_composed(number.0, captured, &Composed::Rgb(picture));
    }
}

/// When the frame was captured, by the clock of its camera.
fn captured(record: &OwnedMessage) -> Option<SystemTime> {
    let taken = record
        .headers()?
        .iter()
        .filter(|header| header.key == "ce_time")
        .filter_map(|header| header.value)
        .last()?;
    let taken: jiff::Timestamp = std::str::from_utf8(taken).ok()?.parse().ok()?;
    latency::captured(Timestamp(taken.as_microsecond()))
}

/// Nothing is made here, so what is said of it is only that.
fn introduction(settings: &WatchSettings, partition: i32, counters: Arc<Results>) -> Introduction {
    Introduction {
        source: format!("{} [{partition}]", settings.results),
        holds: Holds {
            transparent: false,
            opaque: false,
        },
        only_background: true,
        settings: FrameSettings {
            background: BackgroundChoice::Spec(BackgroundSpec::Transparent),
            ..FrameSettings::default()
        },
        counters,
    }
}

fn await_topic(
    admin: &AdminClient<Context>,
    settings: &WatchSettings,
    stop: &Stop,
    waits: &Waits,
) -> Result<i32, KafkaError> {
    let begun = Instant::now();
    let mut said = false;
    loop {
        if let Some(partitions) = topics::partitions(admin, &settings.results)? {
            return Ok(partitions);
        }
        if begun.elapsed() >= settings.connect_timeout {
            let problem = format!(
                "it is not there after {:?}: start `mattebox worker --out topic:{}`",
                settings.connect_timeout, settings.results
            );
            return Err(KafkaError::Topic {
                topic: settings.results.clone(),
                problem,
            });
        }
        if !std::mem::replace(&mut said, true) {
            let what = format!(
                "waiting for topic {}: `mattebox worker --out topic:{}` makes it",
                settings.results, settings.results
            );
            tracing::info!("{what}");
            waits.set(what);
        }
        if stop.wait(PAUSE) {
            return Err(KafkaError::Stopped);
        }
    }
}
