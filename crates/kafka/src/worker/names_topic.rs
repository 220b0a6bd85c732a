//! The journal of names in a topic, `<topic>.names`.
//!
//! It belongs to the topic of the frames, not to a group: two groups give a frame the same name. It
//! has one partition, so its lines have one order, and keeps all of them: the first line wins, but
//! a compacted topic keeps the last. A thread reads it to its end and goes on reading; a writer
//! waits until that thread has read its line.
use crate::{
    KafkaError,
    client::{Context, OnDelivery, retry_request},
    reason,
    settings::WorkerSettings,
    topics::{self, Wanted},
};
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use mattebox_core::frame::CameraId;
use mattebox_engine::{
    StartError,
    stop::Stop,
    troubles::{Cause, Troubles},
};
use mattebox_store::journal::{
    CameraBlocks, Journal, JournalEntry, JournalError, JournalLine, LineError,
};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    admin::AdminClient,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError as ClientError,
    producer::{BaseRecord, ThreadedProducer},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

/// How long the journal may take to be read at the start.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one request to the broker may take.
const BROKER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one poll of the reader, or one wait of a writer, takes before it checks whether to end.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The journal of a topic's names.
pub(super) struct NamesTopic {
    topic: String,
    producer: ThreadedProducer<OnDelivery<NamesWriter>>,
    known: Arc<KnownNames>,
    /// Ends all waits.
    end: Stop,
    troubles: Arc<Troubles>,
}

/// The lines that the reader has read.
#[derive(Default)]
struct KnownNames {
    lines: Mutex<Lines>,
    /// Signals that the reader has read a line.
    changed: Condvar,
    is_closing: AtomicBool,
}

#[derive(Default)]
struct Lines {
    cameras: HashMap<CameraId, Arc<CameraBlocks>>,
    /// The offset after the last line.
    next: i64,
    /// Where the journal ended at the start.
    end: i64,
    /// The reader has reached the end.
    is_read: bool,
    /// Why the journal cannot be used.
    problem: Option<String>,
}

impl KnownNames {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The offset of a line, or why the broker does not have it.
type NamesAnswer = Result<i64, ClientError>;
/// Passes that to the writer of the line.
type NamesWriter = Box<Sender<NamesAnswer>>;

/// The name of the journal of a topic.
pub(crate) fn name(frames: &str) -> String {
    format!("{frames}.names")
}

impl NamesTopic {
    /// Creates the topic if it is missing, and reads it.
    pub(super) fn open(
        admin: &AdminClient<Context>,
        settings: &WorkerSettings,
        troubles: Arc<Troubles>,
        stop: &Stop,
        end: Stop,
    ) -> Result<Self, KafkaError> {
        let topic = name(&settings.broker.topic);
        ensure(admin, &settings.broker.topic, &topic)?;
        let known = Arc::new(KnownNames::default());
        let reader: BaseConsumer<Context> = settings
            .broker
            .client(&[
                // librdkafka requires it for the assignment of partitions; the group is never
                // joined.
                ("group.id", settings.group.as_str()),
                ("enable.auto.commit", "false"),
                ("enable.partition.eof", "true"),
                ("auto.offset.reset", "earliest"),
                ("fetch.wait.max.ms", "500"),
            ])
            .create_with_context(Context::default())
            .map_err(KafkaError::Settings)?;
        let mut place = TopicPartitionList::new();
        place
            .add_partition_offset(&topic, 0, Offset::Beginning)
            .and_then(|()| reader.assign(&place))
            .map_err(KafkaError::client(format!("read topic {topic}")))?;
        // This returns the end at once; a fetch would show it only when it comes back empty.
        let (_, behind) = retry_request(READ_TIMEOUT, stop, "ask where the names end", || {
            reader.fetch_watermarks(&topic, 0, BROKER_TIMEOUT)
        })?;
        known.lock().end = behind;
        thread::Builder::new()
            .name("names".to_owned())
            .spawn({
                let known = known.clone();
                let topic = topic.clone();
                move || read(&reader, &topic, &known)
            })
            .map_err(StartError::Thread)?;
        let producer = settings
            .broker
            .client(&[
                ("enable.idempotence", "true"),
                ("acks", "all"),
                ("linger.ms", "0"),
                ("message.timeout.ms", "30000"),
            ])
            .create_with_context(OnDelivery::new(|writer: NamesWriter, answer| {
                let _ = writer.send(answer);
            }))
            .map_err(KafkaError::Settings)?;
        let names = NamesTopic {
            topic,
            producer,
            known,
            troubles,
            end,
        };
        names.wait_until_read(stop)?;
        Ok(names)
    }

    fn wait_until_read(&self, stop: &Stop) -> Result<(), KafkaError> {
        let begun = Instant::now();
        let mut lines = self.known.lock();
        loop {
            let failed = |problem: String| {
                let topic = self.topic.clone();
                Err(KafkaError::Topic { topic, problem })
            };
            if let Some(problem) = &lines.problem {
                return failed(problem.clone());
            }
            if lines.is_read || lines.next >= lines.end {
                return Ok(());
            }
            if stop.is_stopped() {
                return Err(KafkaError::Stopped);
            }
            if begun.elapsed() > READ_TIMEOUT {
                return failed(format!(
                    "it could not be read within {} s",
                    READ_TIMEOUT.as_secs()
                ));
            }
            lines = self.wait(lines);
        }
    }

    fn wait<'a>(&self, lines: MutexGuard<'a, Lines>) -> MutexGuard<'a, Lines> {
        self.known
            .changed
            .wait_timeout(lines, POLL_INTERVAL)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    /// Sends a line until the broker has it. Returns its offset.
    fn send(&self, camera: &CameraId, line: &[u8]) -> Result<i64, JournalError> {
        let mut has_failed = false;
        loop {
            let (writer, answer) = bounded(1);
            let record = BaseRecord::with_opaque_to(&self.topic, Box::new(writer));
            let record = record.partition(0).key(camera.as_str()).payload(line);
            let error = match self.producer.send(record) {
                Ok(()) => match self.answer(&answer)? {
                    Ok(offset) => {
                        if has_failed {
                            self.troubles.over(Cause::State);
                        }
                        return Ok(offset);
                    }
                    Err(error) => error,
                },
                Err((error, _)) => error,
            };
            has_failed = true;
            let what = format!(
                "a name for camera {camera} cannot be reserved in topic {}: {}; it is tried again",
                self.topic,
                reason::words(&error)
            );
            self.troubles.note(Cause::State, &what);
            if self.end.wait(POLL_INTERVAL) {
                return Err(JournalError::Stopped);
            }
        }
    }

    fn answer(
        &self,
        answer: &crossbeam_channel::Receiver<NamesAnswer>,
    ) -> Result<NamesAnswer, JournalError> {
        loop {
            match answer.recv_timeout(POLL_INTERVAL) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Timeout) if self.end.is_stopped() => {
                    return Err(JournalError::Stopped);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(JournalError::Stopped),
            }
        }
    }
}

impl Drop for NamesTopic {
    fn drop(&mut self) {
        self.known.is_closing.store(true, Relaxed);
    }
}

impl Journal for NamesTopic {
    fn read(&self, camera: &CameraId) -> Result<Arc<CameraBlocks>, JournalError> {
        Ok(self
            .known
            .lock()
            .cameras
            .get(camera)
            .cloned()
            .unwrap_or_default())
    }

    fn append(&self, camera: &CameraId, entries: &[JournalEntry]) -> Result<(), JournalError> {
        let line = JournalLine {
            camera: camera.clone(),
            entries: entries.to_vec(),
        };
        let offset = self.send(camera, &line.to_bytes())?;
        let mut lines = self.known.lock();
        loop {
            if let Some(problem) = &lines.problem {
                return Err(JournalError::Unusable {
                    place: self.topic.clone(),
                    problem: problem.clone(),
                });
            }
            if lines.next > offset {
                return Ok(());
            }
            if self.end.is_stopped() {
                return Err(JournalError::Stopped);
            }
            lines = self.wait(lines);
        }
    }
}

fn ensure(admin: &AdminClient<Context>, frames: &str, topic: &str) -> Result<(), KafkaError> {
    let wanted = Wanted {
        name: topic,
        partitions: 1,
        replication_factor: topics::replication_factor(admin, frames)?,
        config: vec![
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", "-1".to_owned()),
            ("retention.bytes", "-1".to_owned()),
        ],
    };
    topics::ensure(admin, &wanted)?;
    let why = "names that it forgets would be given twice";
    topics::require(admin, &wanted, &["cleanup.policy", "retention.ms"], why)
}

/// Reads lines until the journal is dropped.
fn read(reader: &BaseConsumer<Context>, topic: &str, known: &KnownNames) {
    while !known.is_closing.load(Relaxed) {
        match reader.poll(POLL_INTERVAL) {
            Some(Ok(message)) => {
                let line = JournalLine::from_bytes(message.payload().unwrap_or_default());
                known.lock().apply(topic, message.offset(), line);
                known.changed.notify_all();
            }
            Some(Err(ClientError::PartitionEOF(_))) => {
                known.lock().is_read = true;
                known.changed.notify_all();
            }
            Some(Err(error)) => tracing::debug!(topic, "{error}"),
            None => {}
        }
    }
}

impl Lines {
    fn apply(&mut self, topic: &str, offset: i64, line: Result<JournalLine, LineError>) {
        if offset < self.next {
            self.problem = Some(
                "it was created again while it was in use: restart this worker, which then records \
                 the names in use"
                    .to_owned(),
            );
            return;
        }
        self.next = offset + 1;
        match line {
            Ok(line) => {
                let blocks = self.cameras.entry(line.camera).or_default();
                let blocks = Arc::make_mut(blocks);
                line.entries.iter().for_each(|entry| blocks.apply(entry));
            }
            Err(error @ LineError::Version(_)) => self.problem = Some(error.to_string()),
            Err(LineError::Damaged(problem)) => {
                tracing::warn!(topic, offset, "a record is no line of a journal: {problem}");
            }
        }
    }
}
