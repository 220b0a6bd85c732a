//! Camera states in a compacted topic, in the partition with the number of the frames' partition.
use super::numbers::Numbers;
use crate::{
    KafkaError,
    settings::{BrokerSettings, WorkerSettings},
};
use mattebox_core::frame::CameraId;
use mattebox_store::CameraState;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError as ClientError, RDKafkaErrorCode},
};
use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

/// How long the states of a partition may take to be read.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one poll waits for the next state.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The topic of camera states.
pub(super) struct StateTopic {
    broker: BrokerSettings,
    numbers: Arc<Numbers>,
    topic: String,
    group: String,
    frames: String,
    /// The states that were read at the start of each partition, of cameras without a frame since.
    recalled: HashMap<i32, HashMap<CameraId, CameraState>>,
}

impl StateTopic {
    pub(super) fn new(topic: String, settings: &WorkerSettings, numbers: Arc<Numbers>) -> Self {
        StateTopic {
            broker: settings.broker.clone(),
            numbers,
            topic,
            group: settings.group.clone(),
            frames: settings.broker.topic.clone(),
            recalled: HashMap::new(),
        }
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.topic
    }

    /// Reads the states of the cameras of a partition that is assigned. One that cannot be read is
    /// told and counted; the version before it, if the topic still has it, takes its place.
    pub(super) fn read(&mut self, partition: i32) -> Result<(), KafkaError> {
        let cannot = || KafkaError::client(format!("read {} partition {partition}", self.topic));
        let reader: BaseConsumer = self
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
            .add_partition_offset(&self.topic, partition, Offset::Beginning)
            .map_err(cannot())?;
        reader.assign(&place).map_err(cannot())?;
        let mut found = HashMap::new();
        let begun = Instant::now();
        loop {
            match reader.poll(POLL_INTERVAL) {
                Some(Ok(message)) => {
                    let camera = message.key().and_then(|key| self.camera_of(key));
                    if let Some(camera) = camera {
                        match message.payload().map(CameraState::from_bytes) {
                            Some(Ok(memory)) => drop(found.insert(camera, memory)),
                            Some(Err(error)) => {
                                self.numbers
                                    .camera(Some(&camera))
                                    .state_unreadable
                                    .fetch_add(1, Relaxed);
                                tracing::warn!(
                                    %camera,
                                    partition,
                                    offset = message.offset(),
                                    "the camera's stored state in topic {} cannot be read, {error}: its matte goes on from an \
                                     earlier state, or begins again",
                                    self.topic
                                );
                            }
                            None => drop(found.remove(&camera)),
                        }
                    }
                }
                Some(Err(ClientError::PartitionEOF(_))) => break,
                Some(Err(error)) if begun.elapsed() > READ_TIMEOUT => return Err(cannot()(error)),
                None if begun.elapsed() > READ_TIMEOUT => {
                    return Err(cannot()(ClientError::MessageConsumption(
                        RDKafkaErrorCode::OperationTimedOut,
                    )));
                }
                Some(Err(_)) | None => {}
            }
        }
        self.recalled.insert(partition, found);
        Ok(())
    }

    /// The state of a camera before its first frame in a partition.
    pub(super) fn recall(&mut self, partition: i32, camera: &CameraId) -> CameraState {
        self.recalled
            .get_mut(&partition)
            .and_then(|all| all.remove(camera))
            .unwrap_or_default()
    }

    /// Forgets a partition that is given back.
    pub(super) fn forget(&mut self, partition: i32) {
        self.recalled.remove(&partition);
    }

    /// The key of a state: group, topic and camera.
    pub(super) fn key(&self, camera: &CameraId) -> String {
        format!("{}\n{}\n{camera}", self.group, self.frames)
    }

    fn camera_of(&self, key: &[u8]) -> Option<CameraId> {
        let mut parts = std::str::from_utf8(key).ok()?.rsplitn(3, '\n');
        let camera = parts.next()?.parse().ok()?;
        (parts.next()? == self.frames && parts.next()? == self.group).then_some(camera)
    }
}
