//! Results in a topic: results, dead letters, what is remembered, and the offsets that they stand for are one transaction.
use super::{
    consumer::Consuming,
    hand::age_us,
    numbers::Numbers,
    partition::{Held, Partition},
};
use crate::{
    config::worker::WorkerSettings,
    kafka::{
        KafkaError,
        client::Context,
        letters,
        record::with_record,
        topics::{self, Wanted},
    },
    stop::Stop,
    trace::Span,
};
use mattebox_core::{codec::ImageFormat, frame::CameraId, maker::Recipe};
use mattebox_store::Memory;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::AdminClient,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError as ClientError, KafkaResult, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer},
};
use std::{
    collections::HashMap,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

/// How long one step of a transaction may take before it is tried again.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest result, in bytes, that a topic made here takes.
const MAX_RESULT_BYTES: usize = 16 << 20;
/// What a record's key, headers and frame in the log may take, in bytes.
const OVERHEAD: usize = 16 << 10;

/// What became of a transaction.
#[derive(Debug)]
pub(super) enum Committed {
    /// It is done.
    Done,
    /// It could not be done now; nothing of it can be seen, and it can be tried again.
    Again(ClientError),
    /// No producer can be made that goes on.
    Lost(ClientError),
}

/// The producer of results, and what was remembered of cameras.
pub(super) struct Topic {
    producer: BaseProducer<Context>,
    config: ClientConfig,
    results: String,
    memory_topic: String,
    dead: String,
    dead_is_there: bool,
    /// The largest records that the topics take.
    max_result: usize,
    max_letter: usize,
    /// Stand in every result: which network and settings made it.
    model: String,
    settings: String,
    format: ImageFormat,
    group: String,
    frames: String,
    /// What was remembered when we got a partition, of cameras that have not been seen since.
    remembered: HashMap<i32, HashMap<CameraId, Memory>>,
}

impl Topic {
    /// Makes the topics where they are missing, and ends what a worker of the same name has left open.
    pub(super) fn open(
        admin: &AdminClient<Context>,
        settings: &WorkerSettings,
        results: &str,
        recipe: &Recipe,
        stop: &Stop,
    ) -> Result<Self, KafkaError> {
        let frames = &settings.broker.topic;
        let partitions = topics::partitions(admin, frames)?.unwrap_or(1);
        let memory_topic = format!("{results}.state");
        let dead = letters::topic(frames);
        let replication_factor = topics::replication_factor(admin, frames)?;
        let make = |name: &str, config| {
            topics::ensure(
                admin,
                &Wanted {
                    name,
                    partitions,
                    replication_factor,
                    config,
                },
            )
        };
        make(
            results,
            vec![(
                "max.message.bytes",
                (MAX_RESULT_BYTES + OVERHEAD).to_string(),
            )],
        )?;
        // Small segments, so that old versions are soon removed.
        make(
            &memory_topic,
            vec![
                ("cleanup.policy", "compact".to_owned()),
                ("segment.bytes", (32 << 20).to_string()),
                ("segment.ms", "60000".to_owned()),
                ("min.cleanable.dirty.ratio", "0.1".to_owned()),
                ("max.compaction.lag.ms", "60000".to_owned()),
                ("max.message.bytes", (4 << 20).to_string()),
            ],
        )?;
        let own = settings
            .instance_id
            .clone()
            .unwrap_or_else(|| format!("{}-{:016x}", std::process::id(), random()));
        let id = format!("mattebox-{}-{own}", settings.group);
        let limit = (MAX_RESULT_BYTES + OVERHEAD).to_string();
        let config = settings.broker.client(&[
            ("transactional.id", id.as_str()),
            // After a kill -9 the group waits for this long before it goes on behind the open transaction.
            ("transaction.timeout.ms", "10000"),
            ("message.timeout.ms", "10000"),
            ("linger.ms", "5"),
            ("compression.type", "none"),
            ("partitioner", "murmur2_random"),
            ("message.max.bytes", &limit),
        ]);
        let producer = producer(&config, settings.connect_timeout.max(PATIENCE), stop)?;
        Ok(Topic {
            producer,
            config,
            max_result: topics::max_message_bytes(admin, results)
                .min(MAX_RESULT_BYTES + OVERHEAD)
                .saturating_sub(OVERHEAD),
            max_letter: 0,
            results: results.to_owned(),
            memory_topic,
            dead,
            dead_is_there: false,
            model: recipe.model.sha256().to_owned(),
            settings: mattebox_wire::settings_hash(recipe, &settings.background),
            format: recipe.format,
            group: settings.group.clone(),
            frames: frames.clone(),
            remembered: HashMap::new(),
        })
    }

    /// The largest result that can be published.
    pub(super) fn max_result(&self) -> usize {
        self.max_result
    }

    /// Reads what is remembered of the cameras of a partition that is ours from now on.
    /// One that cannot be read is told and counted; the version before it, if the topic still has it, is used in its place.
    pub(super) fn load(
        &mut self,
        settings: &WorkerSettings,
        partition: i32,
        numbers: &Numbers,
    ) -> Result<(), KafkaError> {
        let cannot =
            || KafkaError::client(format!("read {} partition {partition}", self.memory_topic));
        let reader: BaseConsumer = settings
            .broker
            .client(&[
                ("group.id", &self.group),
                ("enable.auto.commit", "false"),
                ("enable.partition.eof", "true"),
            ])
            .create()
            .map_err(KafkaError::Settings)?;
        let mut place = TopicPartitionList::new();
        place
            .add_partition_offset(&self.memory_topic, partition, Offset::Beginning)
            .map_err(cannot())?;
        reader.assign(&place).map_err(cannot())?;
        let mut found = HashMap::new();
        let begun = Instant::now();
        loop {
            match reader.poll(Duration::from_millis(200)) {
                Some(Ok(message)) => {
                    let camera = message.key().and_then(|key| self.camera_of(key));
                    if let Some(camera) = camera {
                        match message.payload().map(Memory::from_bytes) {
                            Some(Ok(memory)) => drop(found.insert(camera, memory)),
                            Some(Err(error)) => {
                                numbers
                                    .camera(Some(&camera))
                                    .state_unreadable
                                    .fetch_add(1, Relaxed);
                                tracing::warn!(
                                    %camera,
                                    partition,
                                    offset = message.offset(),
                                    "the camera's stored state in topic {} cannot be read, {error}: its matte goes on from an \
                                     earlier state, or begins again",
                                    self.memory_topic
                                );
                            }
                            None => drop(found.remove(&camera)),
                        }
                    }
                }
                Some(Err(ClientError::PartitionEOF(_))) => break,
                Some(Err(error)) if begun.elapsed() > 6 * PATIENCE => return Err(cannot()(error)),
                None if begun.elapsed() > 6 * PATIENCE => {
                    return Err(cannot()(ClientError::MessageConsumption(
                        RDKafkaErrorCode::OperationTimedOut,
                    )));
                }
                Some(Err(_)) | None => {}
            }
        }
        self.remembered.insert(partition, found);
        Ok(())
    }

    /// The key of what is remembered: whose group, which topic, which camera.
    fn key(&self, camera: &CameraId) -> String {
        format!("{}\n{}\n{camera}", self.group, self.frames)
    }

    fn camera_of(&self, key: &[u8]) -> Option<CameraId> {
        let mut parts = std::str::from_utf8(key).ok()?.rsplitn(3, '\n');
        let camera = parts.next()?.parse().ok()?;
        (parts.next()? == self.frames && parts.next()? == self.group).then_some(camera)
    }

    /// What is remembered of a camera when it is first seen in a partition.
    pub(super) fn recall(&mut self, partition: i32, camera: &CameraId) -> Memory {
        self.remembered
            .get_mut(&partition)
            .and_then(|all| all.remove(camera))
            .unwrap_or_default()
    }

    /// A partition is not ours any more.
    pub(super) fn forget(&mut self, partition: i32) {
        self.remembered.remove(&partition);
    }

    /// Publishes what partitions hold before their marks, and records the marks, all or nothing.
    pub(super) fn commit(
        &mut self,
        admin: &AdminClient<Context>,
        consumer: &BaseConsumer<Consuming>,
        partitions: &[&Partition],
        numbers: &Numbers,
        stop: &Stop,
    ) -> Committed {
        if !self.dead_is_there
            && partitions
                .iter()
                .any(|p| p.held.values().any(|h| matches!(h, Held::Letter(_))))
        {
            match topics::ensure_dead(admin, &self.frames) {
                Ok(max) => (self.dead_is_there, self.max_letter) = (true, max),
                Err(error) => {
                    tracing::error!("dead letters cannot be written: {error}");
                    return Committed::Again(ClientError::Canceled);
                }
            }
        }
        match self.transaction(consumer, partitions) {
            Ok(()) => {}
            Err(error) => return self.gave_up(error, stop),
        }
        for partition in partitions {
            let end = partition.mark.as_ref().map_or(i64::MIN, |mark| mark.end);
            for held in partition.held.range(..end).map(|(_, held)| held) {
                if let Held::Result { job, bytes, .. } = held {
                    job.span.became("published");
                    numbers
                        .camera(Some(&job.camera))
                        .arrived(bytes.len(), age_us(job));
                }
            }
        }
        numbers.commits.fetch_add(1, Relaxed);
        Committed::Done
    }

    fn transaction(
        &self,
        consumer: &BaseConsumer<Consuming>,
        partitions: &[&Partition],
    ) -> KafkaResult<()> {
        self.producer.begin_transaction()?;
        let mut offsets = TopicPartitionList::new();
        // They end when all of it is there.
        let mut sends = Vec::new();
        for partition in partitions {
            let Some(mark) = &partition.mark else {
                continue;
            };
            for (offset, held) in partition.held.range(..mark.end) {
                sends.push(self.publish(partition.id, *offset, held)?);
            }
            for (camera, memory) in mark.memories() {
                let key = self.key(camera);
                let bytes = memory.to_bytes();
                self.send(
                    BaseRecord::to(&self.memory_topic)
                        .partition(partition.id)
                        .key(&key)
                        .payload(&bytes),
                )?;
            }
            offsets.add_partition_offset(&self.frames, partition.id, Offset::Offset(mark.end))?;
        }
        let group = consumer.group_metadata().ok_or(ClientError::ClientConfig(
            rdkafka::types::RDKafkaConfRes::RD_KAFKA_CONF_INVALID,
            "no group".to_owned(),
            "group.id".to_owned(),
            String::new(),
        ))?;
        self.producer
            .send_offsets_to_transaction(&offsets, &group, PATIENCE)?;
        self.producer.commit_transaction(PATIENCE)
    }

    /// Hands a result or a dead letter to the producer; gives the step of its trace.
    fn publish(&self, partition: i32, offset: i64, held: &Held) -> KafkaResult<Span> {
        match held {
            Held::Result { job, bytes, size } => {
                let session = with_record(&job.record, |r| {
                    mattebox_wire::read(r)
                        .ok()
                        .and_then(|f| f.session.map(str::to_owned))
                });
                let meta = mattebox_wire::ResultMeta {
                    camera: &job.camera,
                    session: session.as_deref(),
                    number: job.number,
                    time: job.time,
                    width: size.0,
                    height: size.1,
                    format: self.format,
                    model_sha256: &self.model,
                    settings: &self.settings,
                };
                let mut headers = OwnedHeaders::new();
                for (key, value) in mattebox_wire::result_headers(&meta) {
                    headers = headers.insert(Header {
                        key,
                        value: Some(&value),
                    });
                }
                let span = job.span.send(&self.results);
                // Who does not trace passes on what came.
                let own = span.headers();
                if own.is_empty() {
                    headers = with_record(&job.record, |r| {
                        let passed_on = mattebox_wire::trace_headers(r).into_iter();
                        passed_on.fold(headers, |all, (key, value)| {
                            all.insert(Header {
                                key,
                                value: Some(value),
                            })
                        })
                    });
                }
                for (key, value) in &own {
                    headers = headers.insert(Header {
                        key,
                        value: Some(value),
                    });
                }
                self.send(
                    BaseRecord::to(&self.results)
                        .key(job.camera.as_str())
                        .payload(bytes)
                        .headers(headers),
                )?;
                Ok(span)
            }
            Held::Letter(letter) => {
                let reason = mattebox_wire::DeadLetter {
                    code: letter.fault.code,
                    message: &letter.fault.message,
                    topic: &self.frames,
                    partition,
                    offset,
                };
                let value = letter.record.payload();
                let left_out = value
                    .map(<[u8]>::len)
                    .filter(|bytes| *bytes > self.max_letter);
                let mut record = BaseRecord::<[u8], [u8]>::to(&self.dead);
                record.payload = value.filter(|_| left_out.is_none());
                record.key = letter.record.key();
                self.send(record.headers(letters::headers(
                    letter.record.headers(),
                    &reason,
                    left_out,
                )))?;
                Ok(Span::default())
            }
        }
    }

    fn send<K: rdkafka::message::ToBytes + ?Sized, P: rdkafka::message::ToBytes + ?Sized>(
        &self,
        record: BaseRecord<'_, K, P>,
    ) -> KafkaResult<()> {
        let mut record = record;
        let begun = Instant::now();
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((ClientError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if begun.elapsed() < PATIENCE =>
                {
                    record = back;
                    self.producer.poll(Duration::from_millis(20));
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// Undoes a transaction that failed. A producer that is broken for good is replaced by a new one, which ends what the old one left open.
    fn gave_up(&mut self, error: ClientError, stop: &Stop) -> Committed {
        if let ClientError::Transaction(inner) = &error
            && inner.is_retriable()
            && !inner.txn_requires_abort()
            && self.producer.commit_transaction(PATIENCE).is_ok()
        {
            // A commit whose answer did not come in time went on.
            return Committed::Done;
        }
        let begun = Instant::now();
        while self.producer.client().fatal_error().is_none() && begun.elapsed() < 3 * PATIENCE {
            match self.producer.abort_transaction(PATIENCE) {
                Ok(()) => return Committed::Again(error),
                Err(ClientError::Transaction(inner)) if inner.is_retriable() => {}
                Err(_) => break,
            }
        }
        match producer(&self.config, 3 * PATIENCE, stop) {
            Ok(fresh) => {
                self.producer = fresh;
                Committed::Again(error)
            }
            Err(_) => Committed::Lost(error),
        }
    }
}

/// A producer whose transactions can begin.
fn producer(
    config: &ClientConfig,
    patience: Duration,
    stop: &Stop,
) -> Result<BaseProducer<Context>, KafkaError> {
    let producer: BaseProducer<Context> = config
        .create_with_context(Context::default())
        .map_err(KafkaError::Settings)?;
    let begun = Instant::now();
    while let Err(error) = producer.init_transactions(PATIENCE) {
        if begun.elapsed() > patience || stop.is_stopped() {
            return Err(KafkaError::client("begin transactions")(error));
        }
        tracing::debug!("transactions cannot begin yet: {error}");
    }
    Ok(producer)
}

/// A number that no other process has: the hash keys of every process are drawn anew.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
