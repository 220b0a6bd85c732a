//! From a topic of results to the live page: `mattebox view`.
//!
//! It reads new results without a consumer group and commits nothing, so any number of views
//! disturb no worker. It decodes only the newest result of each camera, so it does not fall behind.
pub mod counters;

use crate::settings::WatchSettings;
use crate::{
    KafkaError, Waits,
    client::{self, Context},
    record::{value_bytes, with_record},
    topics,
};
use counters::{ForeignRecord, ViewCounters};
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
        camera::{Holds, Introduction},
    },
    events::{Event, FrameDropped, FrameFailed, FrameRead, FrameWritten},
    latency,
    metrics::{DropReason, FrameCounters, Monitor},
    status::Condition,
    stop::Stop,
    trace::Span,
};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    admin::AdminClient,
    consumer::{BaseConsumer, Consumer},
    message::{Headers, OwnedMessage},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant, SystemTime},
};

/// How long one poll for records waits.
const POLL: Duration = Duration::from_millis(100);
/// The wait between two tries to find the topic.
const PAUSE: Duration = Duration::from_millis(500);
/// How often cameras without a recent result are removed.
const FORGET_INTERVAL: Duration = Duration::from_secs(1);
/// Records that are read before the newest are shown.
const MAX_BATCH: usize = 512;

/// Reads results and shows them.
pub struct Watcher {
    settings: WatchSettings,
    stop: Stop,
    registry: Arc<CameraRegistry>,
    counters: Arc<ViewCounters>,
    decoder: Decoder,
}

impl Watcher {
    /// A watcher that has not asked the broker yet.
    pub fn new(settings: WatchSettings, stop: Stop) -> Self {
        Watcher {
            settings,
            stop,
            registry: Arc::default(),
            counters: Arc::default(),
            decoder: Decoder::default(),
        }
    }

    /// Waits for the broker and the topic, and begins after its last record.
    fn open(&self) -> Result<BaseConsumer<Context>, KafkaError> {
        let Watcher { settings, stop, .. } = self;
        let admin = client::connect_with_waits(
            &settings.broker,
            settings.connect_timeout,
            stop,
            &self.counters.waits,
        )?;
        let partitions = await_topic(&admin, settings, stop, &self.counters.waits)?;
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

    /// The cameras on the page.
    pub fn cameras(&self) -> Arc<CameraRegistry> {
        self.registry.clone()
    }

    /// Its metrics, and why it is not ready.
    pub fn monitor(&self) -> Monitor {
        counters::monitor(&self.counters)
    }

    /// Waits for the broker and the topic, and shows new results until it is stopped.
    pub fn run(mut self) -> Result<(), KafkaError> {
        let consumer = self.open()?;
        self.counters.is_ready.store(true, Relaxed);
        let mut last_look = Instant::now();
        while !self.stop.is_stopped() {
            for (id, (number, record)) in self.newest(&consumer) {
                self.show(&id, number, &record);
            }
            if last_look.elapsed() >= FORGET_INTERVAL {
                last_look = Instant::now();
                self.registry.forget_quiet(self.settings.forget);
            }
        }
        Ok(())
    }

    /// The newest result of each camera that has one.
    fn newest(
        &mut self,
        consumer: &BaseConsumer<Context>,
    ) -> BTreeMap<CameraId, (FrameNumber, OwnedMessage)> {
        let mut newest = BTreeMap::new();
        let mut wait = POLL;
        for _ in 0..MAX_BATCH {
            let record = match consumer.poll(wait) {
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
            wait = Duration::ZERO;
            // Fail closed: a record without a result's headers may show a room.
            let position = with_record(&record, |r| {
                mattebox_wire::is_result(r)
                    .then(|| mattebox_wire::read_position(r))
                    .flatten()
            });
            match position {
                Some((id, number)) => {
                    let frames = self.counters.camera(&id);
                    FrameRead {
                        frames: &frames,
                        bytes: value_bytes(&record),
                    }
                    .emit();
                    let overtaken = newest.insert(id, (number, record.detach()));
                    if overtaken.is_some() {
                        FrameDropped {
                            frames: &frames,
                            span: &Span::default(),
                            reason: DropReason::Behind,
                        }
                        .emit();
                    }
                }
                None => ForeignRecord {
                    counters: &self.counters,
                    topic: &self.settings.results,
                    partition: record.partition(),
                    offset: record.offset(),
                }
                .emit(),
            }
        }
        newest
    }

    fn show(&mut self, id: &CameraId, number: FrameNumber, record: &OwnedMessage) {
        let frames = self.counters.camera(id);
        let camera = self.registry.camera_or_new(id, || {
            introduction(&self.settings, record.partition(), frames.clone())
        });
        let mut picture = RgbImage::default();
        match self.decoder.decode_into(
            record.payload().unwrap_or_default(),
            &self.settings.limits,
            &mut picture,
        ) {
            Ok(()) => {}
            Err(problem) => {
                let problem = format!("frame {number}: {problem}");
                camera.note_rejected(&problem);
                return FrameFailed {
                    frames: &frames,
                    frame: None,
                    span: None,
                    problem,
                    needs_action: false,
                }
                .emit();
            }
        }
        let captured = captured(record);
        FrameWritten {
            frames: &frames,
            span: &Span::default(),
            bytes: 0,
            latency: captured.and_then(|at| SystemTime::now().duration_since(at).ok()),
        }
        .emit();
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

/// The entry of a camera on the page. Its settings are unknown: frames are processed elsewhere.
fn introduction(
    settings: &WatchSettings,
    partition: i32,
    frames: Arc<FrameCounters>,
) -> Introduction {
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
        frames,
    }
}

fn await_topic(
    admin: &AdminClient<Context>,
    settings: &WatchSettings,
    stop: &Stop,
    waits: &Waits,
) -> Result<i32, KafkaError> {
    let begun = Instant::now();
    let mut is_logged = false;
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
        if !std::mem::replace(&mut is_logged, true) {
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
