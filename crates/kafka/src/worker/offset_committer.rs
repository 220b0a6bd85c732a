//! Stores camera states and commits their offsets, on another thread than the main loop and one
//! request at a time: the main loop never waits for the broker, and requests do not overtake each
//! other.
//!
//! The steps of a request: store the states in their topic; check that the topic of the frames was
//! not created again; commit the offsets. An error in between leaves states without an offset,
//! which are never used.
//!
//! librdkafka reports the result of an asynchronous commit only to a callback of its old API, which
//! the `rdkafka` crate does not set. So the request is synchronous, on a separate thread.
use super::{
    consumer_events::GroupMember,
    deliveries::{self, ResultDeliveries, UNNUMBERED},
    job::LogPosition,
    loop_event::LoopEvent,
    partition_range::{BROKER_TIMEOUT, OffsetMetadata, is_recreated},
    state_topic::StateTopic,
};
use crate::{KafkaError, client::OnDelivery, settings::BrokerSettings};
use crossbeam_channel::{Sender, bounded};
use mattebox_core::frame::CameraId;
use mattebox_store::CameraState;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer},
    error::{KafkaError as ClientError, KafkaResult, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer},
};
use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How long the states of a commit may take to be stored.
const STORE_TIMEOUT: Duration = Duration::from_secs(30);

/// An offset to commit, with the camera states at that offset.
#[derive(Debug)]
pub(super) struct CommitRequest {
    pub(super) position: LogPosition,
    pub(super) metadata: OffsetMetadata,
    pub(super) states: Vec<(CameraId, CameraState)>,
    /// Keys of obsolete states.
    pub(super) obsolete: Vec<String>,
}

/// The broker's answer.
#[derive(Debug, Default)]
pub(super) struct CommitAnswer {
    /// The committed offsets.
    pub(super) taken: Vec<LogPosition>,
    /// The stored states: partition, camera, offset, and their offset in the topic of states.
    pub(super) stored: Vec<(i32, CameraId, i64, i64)>,
    /// Why the other offsets are not committed.
    pub(super) failed: Option<ClientError>,
    /// The topic of the offsets is gone: it was created again.
    pub(super) is_recreated: bool,
}

/// The thread, as the main loop sees it.
pub(super) struct OffsetCommitter {
    requests: Sender<Vec<CommitRequest>>,
    is_busy: bool,
    progress: Arc<CommitProgress>,
}

/// Whether the thread has a request.
#[derive(Default)]
struct CommitProgress {
    is_working: Mutex<bool>,
    changed: Condvar,
}

impl CommitProgress {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_working
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, is_working: bool) {
        *self.lock() = is_working;
        self.changed.notify_all();
    }
}

impl OffsetCommitter {
    /// Starts the thread. It ends with this value. Its answers are [`LoopEvent::OffsetsAnswered`].
    pub(super) fn start(
        member: &Arc<GroupMember>,
        broker: &BrokerSettings,
        states: &str,
        events: Sender<LoopEvent>,
    ) -> Result<Self, KafkaError> {
        let (requests, to_do) = bounded::<Vec<CommitRequest>>(1);
        let member = Arc::downgrade(member);
        let topic = broker.topic.clone();
        let states = StateProducer::open(broker, states)?;
        let progress = Arc::new(CommitProgress::default());
        let thread_progress = progress.clone();
        let started: io::Result<_> =
            thread::Builder::new()
                .name("offsets".to_owned())
                .spawn(move || {
                    for requests in to_do {
                        // The worker and its consumer have ended.
                        let Some(member) = member.upgrade() else {
                            return;
                        };
                        let answer = states.commit(&member, &topic, requests);
                        drop(member);
                        thread_progress.set(false);
                        if events.send(LoopEvent::OffsetsAnswered(answer)).is_err() {
                            return;
                        }
                    }
                });
        started.map_err(mattebox_engine::StartError::Thread)?;
        Ok(OffsetCommitter {
            requests,
            is_busy: false,
            progress,
        })
    }

    /// Whether a request is unanswered.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Commits offsets. Not to be called during another request.
    pub(super) fn request(&mut self, requests: Vec<CommitRequest>) {
        self.progress.set(true);
        self.is_busy = self.requests.try_send(requests).is_ok();
        if !self.is_busy {
            self.progress.set(false);
        }
    }

    /// The request is answered.
    pub(super) fn answered(&mut self) {
        self.is_busy = false;
    }

    /// Waits until no request is unanswered: an offset must not be committed after its partition is
    /// revoked.
    pub(super) fn wait_until_idle(&self) {
        let deadline = Instant::now() + STORE_TIMEOUT;
        let mut is_working = self.progress.lock();
        while *is_working && Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            is_working = self
                .progress
                .changed
                .wait_timeout(is_working, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// Writes states to their topic.
struct StateProducer {
    topic: String,
    producer: BaseProducer<OnDelivery<usize>>,
    deliveries: ResultDeliveries,
}

/// The configuration of a producer of states.
pub(super) const STATE_PRODUCER: [(&str, &str); 6] = [
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("linger.ms", "5"),
    ("compression.type", "zstd"),
    ("message.timeout.ms", "20000"),
    ("message.max.bytes", "4194304"),
];

impl StateProducer {
    fn open(broker: &BrokerSettings, topic: &str) -> Result<Self, KafkaError> {
        let deliveries = ResultDeliveries::default();
        let producer = broker
            .client(&STATE_PRODUCER)
            .create_with_context(deliveries.context())
            .map_err(KafkaError::Settings)?;
        Ok(StateProducer {
            topic: topic.to_owned(),
            producer,
            deliveries,
        })
    }

    fn commit(
        &self,
        member: &GroupMember,
        topic: &str,
        requests: Vec<CommitRequest>,
    ) -> CommitAnswer {
        let mut answer = CommitAnswer::default();
        if let Err(error) = self.store(&requests, &mut answer) {
            answer.failed = Some(error);
            return answer;
        }
        let known = requests.iter().map(|r| r.metadata.topic_id.as_str());
        match is_recreated(member, topic, known, BROKER_TIMEOUT) {
            Ok(false) => {}
            Ok(true) => {
                answer.is_recreated = true;
                return answer;
            }
            Err(error) => {
                answer.failed = Some(error);
                return answer;
            }
        }
        let positions: Vec<LogPosition> = requests.iter().map(|r| r.position).collect();
        match offsets(topic, &requests).and_then(|offsets| {
            member.commit(&offsets, CommitMode::Sync)?;
            Ok(offsets)
        }) {
            Ok(offsets) => {
                let is_taken = |position: &LogPosition| {
                    let element = offsets.find_partition(topic, position.partition);
                    element.is_some_and(|element| element.error().is_ok())
                };
                answer.taken = positions;
                answer.taken.retain(is_taken);
            }
            Err(error) => answer.failed = Some(error),
        }
        answer
    }

    /// Stores all states, and deletes obsolete ones.
    fn store(&self, requests: &[CommitRequest], answer: &mut CommitAnswer) -> KafkaResult<()> {
        let all: Vec<(&CommitRequest, &CameraId, &CameraState)> = requests
            .iter()
            .flat_map(|r| {
                r.states
                    .iter()
                    .map(move |(camera, state)| (r, camera, state))
            })
            .collect();
        self.deliveries.take();
        for (number, (request, camera, state)) in all.iter().enumerate() {
            let LogPosition {
                partition, offset, ..
            } = request.position;
            let key = StateTopic::key(&request.metadata.topic_id, camera, offset);
            self.send(partition, &key, Some(&state.to_bytes()), number)?;
        }
        for request in requests {
            for key in &request.obsolete {
                self.send(request.position.partition, key, None, UNNUMBERED)?;
            }
        }
        self.producer.flush(STORE_TIMEOUT)?;
        for (number, answered) in self.deliveries.take() {
            let Some((request, camera, _)) = all.get(number) else {
                continue;
            };
            let LogPosition {
                partition, offset, ..
            } = request.position;
            answer
                .stored
                .push((partition, (*camera).clone(), offset, answered?));
        }
        if answer.stored.len() < all.len() {
            return Err(ClientError::MessageProduction(
                RDKafkaErrorCode::MessageTimedOut,
            ));
        }
        Ok(())
    }

    fn send(
        &self,
        partition: i32,
        key: &str,
        value: Option<&[u8]>,
        number: usize,
    ) -> KafkaResult<()> {
        let mut record: BaseRecord<'_, str, [u8], usize> =
            BaseRecord::with_opaque_to(&self.topic, number).partition(partition);
        record.key = Some(key);
        record.payload = value;
        deliveries::send(&self.producer, record, STORE_TIMEOUT)
    }
}

/// The offsets of requests with their metadata.
fn offsets(topic: &str, requests: &[CommitRequest]) -> KafkaResult<TopicPartitionList> {
    let mut offsets = TopicPartitionList::new();
    for CommitRequest {
        position, metadata, ..
    } in requests
    {
        add_offset(&mut offsets, topic, *position, metadata)?;
    }
    Ok(offsets)
}

/// Adds an offset with its metadata.
pub(super) fn add_offset(
    offsets: &mut TopicPartitionList,
    topic: &str,
    position: LogPosition,
    metadata: &OffsetMetadata,
) -> KafkaResult<()> {
    let mut element = offsets.add_partition(topic, position.partition);
    element.set_offset(Offset::Offset(position.offset))?;
    element.set_metadata(metadata.to_string());
    Ok(())
}
