//! Camera states in a compacted topic, `<topic>.<group>.state`, in the partition with the number of
//! the frames' partition.
//!
//! Each version of a state has its own key with the offset that it follows. So a worker that only
//! seemed dead does not replace the versions of its successor. Old versions are deleted when the
//! offset of a newer one is committed.
use super::{names_topic, partition_range::BROKER_TIMEOUT};
use crate::{
    KafkaError,
    client::{Context, retry_request, until_answered},
    dead_letter_record,
    settings::{BrokerSettings, WorkerSettings, topic_name},
    topic_id::{TopicState, topic_id},
    topics::{self, Wanted},
};
use mattebox_core::frame::CameraId;
use mattebox_engine::stop::Stop;
use mattebox_store::CameraState;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    admin::AdminClient,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError as ClientError, RDKafkaErrorCode},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long the states of a partition may take to be read.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one poll waits for the next state.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Maximum bytes of a partition's states that stay in memory after they were read.
const MAX_AT_HAND: usize = 16 << 20;
/// The version at the beginning of a key.
const KEY_VERSION: &str = "2";

/// The topic of camera states.
pub(super) struct StateTopic {
    admin: Arc<AdminClient<Context>>,
    broker: BrokerSettings,
    topic: String,
    /// How many partitions it has.
    size: i32,
    group: String,
    /// The topic of frames.
    frames: String,
    /// Its id, which changes when it is deleted and created again.
    id: TopicState,
    /// The topic where an earlier version of this program kept the states of a topic of results.
    earlier: Option<String>,
    /// States are written in the transactions of the results.
    is_transactional: bool,
    partitions: HashMap<i32, PartitionStates>,
    /// Reads single states.
    reader: Option<BaseConsumer>,
    /// Ends the waits for answers.
    stop: Stop,
}

/// The states of the cameras of one partition.
#[derive(Default)]
struct PartitionStates {
    topic_id: String,
    /// The versions of each camera, by the offset that they follow.
    cameras: HashMap<CameraId, Vec<Version>>,
    /// The versions in memory, the oldest first, and their bytes.
    at_hand: VecDeque<(CameraId, i64)>,
    bytes: usize,
    /// Keys of obsolete versions.
    obsolete: Vec<String>,
}

/// One version of a state.
struct Version {
    /// The offset of the frames' partition that it follows.
    offset: i64,
    /// Its offset in the topic of states.
    at: i64,
    bytes: Option<Vec<u8>>,
}

/// The result of looking up a state.
#[derive(Debug)]
pub(super) enum Recalled {
    /// There is no version for the offset.
    Missing,
    /// The newest version for the offset.
    Known(Box<CameraState>),
    /// It cannot be read.
    Unreadable(String),
}

/// The states of a partition when it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FoundStates {
    /// Cameras with a version for its first offset.
    pub(super) cameras: usize,
    /// Cameras with later versions only.
    pub(super) later_only: usize,
}

/// The name of the topic of states.
pub(crate) fn name(frames: &str, group: &str) -> String {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let group: String = group
        .chars()
        .map(|c| if fine(c) { c } else { '_' })
        .collect();
    format!("{frames}.{group}.state")
}

/// Creates the topic if it is missing, with as many partitions as the topic of frames has. Returns
/// how many it has.
fn ensure(
    admin: &AdminClient<Context>,
    topic: &str,
    frames: &str,
    partitions: i32,
) -> Result<i32, KafkaError> {
    let wanted = Wanted {
        name: topic,
        partitions,
        replication_factor: topics::replication_factor(admin, frames)?,
        // Small segments, so that old versions are soon removed.
        config: vec![
            ("cleanup.policy", "compact".to_owned()),
            // It makes 24 KB of a state of 58 KB.
            ("compression.type", "zstd".to_owned()),
            ("segment.bytes", (32 << 20).to_string()),
            ("segment.ms", "60000".to_owned()),
            ("min.cleanable.dirty.ratio", "0.1".to_owned()),
            ("max.compaction.lag.ms", "60000".to_owned()),
            ("delete.retention.ms", "600000".to_owned()),
            ("max.message.bytes", (4 << 20).to_string()),
        ],
    };
    let there = topics::ensure(admin, &wanted)?;
    if there < partitions {
        topics::grow(admin, topic, partitions)?;
    }
    let why = "states that it forgets would be missed";
    topics::require(admin, &wanted, &["cleanup.policy"], why)?;
    Ok(there.max(partitions))
}

fn id_of(admin: &AdminClient<Context>, topic: &str) -> Result<TopicState, KafkaError> {
    topic_id(admin.inner(), topic, BROKER_TIMEOUT).map_err(KafkaError::client(format!(
        "ask for the id of topic {topic}"
    )))
}

/// The topics that a group's workers keep beside a topic, with their content.
fn kept_beside(topic: &str, group: &str) -> [(String, &'static str); 3] {
    [
        (name(topic, group), "camera states"),
        (names_topic::name(topic), "names"),
        (dead_letter_record::topic(topic), "dead letters"),
    ]
}

/// Why the topics of a worker cannot be used together: the user named one of them otherwise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkerTopicsError {
    /// Kafka does not allow the name of a topic that is kept beside the frames.
    #[error(
        "{reason}: {topic}, where the {content} are kept; give the topic or the group a shorter \
         name"
    )]
    Name {
        /// Why not.
        reason: &'static str,
        /// The topic.
        topic: String,
        /// Its records.
        content: &'static str,
    },
    /// Frames and results have the same topic.
    #[error("results cannot go to {0}: the frames come from there")]
    ResultsToFrames(String),
    /// A topic is kept beside the other one.
    #[error("{topic} is the topic of the {content} of topic {of}")]
    Kept {
        /// The topic.
        topic: String,
        /// Its records.
        content: &'static str,
        /// The topic beside which it is kept.
        of: String,
    },
}

/// Refuses a topic with two purposes, and names that are too long for the topics beside them.
pub fn check_names(
    frames: &str,
    group: &str,
    results: Option<&str>,
) -> Result<(), WorkerTopicsError> {
    for (topic, content) in kept_beside(frames, group) {
        topic_name(&topic).map_err(|reason| WorkerTopicsError::Name {
            reason,
            topic,
            content,
        })?;
    }
    let Some(results) = results else {
        return Ok(());
    };
    if results == frames {
        return Err(WorkerTopicsError::ResultsToFrames(frames.to_owned()));
    }
    for (one, other) in [(frames, results), (results, frames)] {
        let mut kept = kept_beside(one, group).into_iter();
        if let Some((topic, content)) = kept.find(|(topic, _)| topic == other) {
            return Err(WorkerTopicsError::Kept {
                topic,
                content,
                of: one.to_owned(),
            });
        }
    }
    Ok(())
}

impl StateTopic {
    /// Creates the topic if it is missing. `partitions` is the number of the topic of frames.
    pub(super) fn open(
        admin: Arc<AdminClient<Context>>,
        partitions: i32,
        settings: &WorkerSettings,
        results: Option<&str>,
        stop: &Stop,
    ) -> Result<Self, KafkaError> {
        let frames = &settings.broker.topic;
        let topic = name(frames, &settings.group);
        Ok(StateTopic {
            size: ensure(&admin, &topic, frames, partitions)?,
            id: id_of(&admin, &topic)?,
            admin,
            broker: settings.broker.clone(),
            topic,
            group: settings.group.clone(),
            frames: frames.clone(),
            earlier: results.map(|results| format!("{results}.state")),
            is_transactional: results.is_some(),
            partitions: HashMap::new(),
            reader: None,
            stop: stop.clone(),
        })
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.topic
    }

    /// The key of a version.
    pub(super) fn key(topic_id: &str, camera: &CameraId, offset: i64) -> String {
        format!("{KEY_VERSION}\n{topic_id}\n{camera}\n{offset}")
    }

    fn consumer(&self, isolation: &str) -> Result<BaseConsumer, KafkaError> {
        self.broker
            .client(&[
                ("group.id", &self.group),
                ("isolation.level", isolation),
                ("enable.auto.commit", "false"),
                ("enable.partition.eof", "true"),
                ("auto.offset.reset", "earliest"),
                ("fetch.wait.max.ms", "50"),
                ("queued.max.messages.kbytes", "16384"),
            ])
            .create()
            .map_err(KafkaError::Settings)
    }

    /// Waits until no transaction is open in a partition. A killed worker can leave one open, which
    /// hides its states and all later ones until the broker aborts it: an older state would pass
    /// for the newest.
    fn await_transactions(
        &self,
        committed: &BaseConsumer,
        partition: i32,
    ) -> Result<(), KafkaError> {
        if !self.is_transactional {
            return Ok(());
        }
        let uncommitted = self.consumer("read_uncommitted")?;
        let end = |consumer: &BaseConsumer| {
            retry_request(READ_TIMEOUT, &self.stop, "ask where states end", || {
                consumer.fetch_watermarks(&self.topic, partition, BROKER_TIMEOUT)
            })
            .map(|(_, end)| end)
        };
        let begun = Instant::now();
        let mut is_logged = false;
        loop {
            let all = end(&uncommitted)?;
            if end(committed)? >= all {
                return Ok(());
            }
            if begun.elapsed() > READ_TIMEOUT {
                return Err(KafkaError::client(format!(
                    "read {} partition {partition}: a transaction stays open",
                    self.topic
                ))(ClientError::MessageConsumption(
                    RDKafkaErrorCode::OperationTimedOut,
                )));
            }
            if !std::mem::replace(&mut is_logged, true) {
                tracing::info!(
                    topic = self.topic,
                    partition,
                    "waiting until the broker aborts the transaction that a killed worker left open"
                );
            }
            if self.stop.wait(POLL_INTERVAL) {
                return Err(KafkaError::Stopped);
            }
        }
    }

    /// Creates the topic again if it was deleted, and forgets its states. Returns whether it did.
    pub(super) fn restore(&mut self) -> Result<bool, KafkaError> {
        if id_of(&self.admin, &self.topic)? == self.id {
            return Ok(false);
        }
        self.size = ensure(&self.admin, &self.topic, &self.frames, self.size)?;
        let id = id_of(&self.admin, &self.topic)?;
        if std::mem::replace(&mut self.id, id.clone()) == id {
            // A broker that has just become the controller did not know the topic yet.
            return Ok(false);
        }
        self.reader = None;
        for states in self.partitions.values_mut() {
            *states = PartitionStates {
                topic_id: std::mem::take(&mut states.topic_id),
                ..PartitionStates::default()
            };
        }
        Ok(true)
    }

    /// Reads the states of the cameras of a partition that begins at `start`.
    pub(super) fn begin(
        &mut self,
        partition: i32,
        topic_id: &str,
        start: i64,
        is_first: bool,
    ) -> Result<FoundStates, KafkaError> {
        let mut states = PartitionStates {
            topic_id: topic_id.to_owned(),
            ..PartitionStates::default()
        };
        if self.size <= partition {
            until_answered(READ_TIMEOUT, &self.stop, || {
                topics::grow(&self.admin, &self.topic, partition + 1)
            })?;
            self.size = partition + 1;
        }
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => self.consumer("read_committed")?,
        };
        self.await_transactions(&reader, partition)?;
        read(&reader, &self.topic, partition, |key, at, value| {
            states.add(key, at, value);
        })?;
        if let Some(earlier) = self
            .earlier
            .as_ref()
            .filter(|_| is_first && states.cameras.is_empty())
        {
            let read = read(&reader, earlier, partition, |key, at, value| {
                let camera = camera_of_version_1(key, &self.group, &self.frames);
                if let (Some(camera), Some(value)) = (camera, value) {
                    states.put(camera, start, at, Some(value.to_vec()));
                }
            });
            if let Err(error) = read {
                tracing::debug!("no states of an earlier version: {error}");
            }
        }
        self.reader = Some(reader);
        let found = states.settle(start);
        self.partitions.insert(partition, states);
        Ok(found)
    }

    /// The state of a camera before its frame at `offset`.
    pub(super) fn recall(
        &mut self,
        partition: i32,
        camera: &CameraId,
        offset: i64,
    ) -> Result<Recalled, KafkaError> {
        let states = self.partitions.get_mut(&partition);
        let Some((at, bytes)) = states.and_then(|states| states.take(camera, offset)) else {
            return Ok(Recalled::Missing);
        };
        let bytes = match bytes {
            Some(bytes) => Some(bytes),
            None => self.fetch(partition, at)?,
        };
        Ok(match bytes.as_deref().map(CameraState::from_bytes) {
            Some(Ok(state)) => Recalled::Known(Box::new(state)),
            Some(Err(error)) => Recalled::Unreadable(format!(
                "topic {} partition {partition} offset {at}: {error}",
                self.topic
            )),
            None => Recalled::Missing,
        })
    }

    /// Reads one record of the topic; `None` if it is gone.
    fn fetch(&mut self, partition: i32, at: i64) -> Result<Option<Vec<u8>>, KafkaError> {
        let cannot = || KafkaError::client(format!("read {} partition {partition}", self.topic));
        let reader = match self.reader.take() {
            Some(reader) => reader,
            None => self.consumer("read_committed")?,
        };
        let mut place = TopicPartitionList::new();
        place
            .add_partition_offset(&self.topic, partition, Offset::Offset(at))
            .and_then(|()| reader.assign(&place))
            .map_err(cannot())?;
        let begun = Instant::now();
        let found = loop {
            match reader.poll(POLL_INTERVAL) {
                Some(Ok(message)) if message.partition() != partition => {}
                Some(Ok(message)) if message.offset() == at => {
                    break message.payload().map(<[u8]>::to_vec);
                }
                Some(Ok(message)) if message.offset() > at => break None,
                Some(Err(ClientError::PartitionEOF(ended))) if ended == partition => break None,
                Some(Err(error)) if begun.elapsed() > READ_TIMEOUT => return Err(cannot()(error)),
                None if begun.elapsed() > READ_TIMEOUT => {
                    return Err(cannot()(ClientError::MessageConsumption(
                        RDKafkaErrorCode::OperationTimedOut,
                    )));
                }
                Some(_) | None => {}
            }
        };
        self.reader = Some(reader);
        Ok(found)
    }

    /// A version is stored in the topic.
    pub(super) fn stored(&mut self, partition: i32, camera: CameraId, offset: i64, at: i64) {
        if let Some(states) = self.partitions.get_mut(&partition) {
            states.put(camera, offset, at, None);
        }
    }

    /// An offset is committed: of each camera the newest version up to it is needed, and no older
    /// one.
    pub(super) fn committed(&mut self, partition: i32, offset: i64) {
        if let Some(states) = self.partitions.get_mut(&partition) {
            states.prune(offset);
        }
    }

    /// How many cameras have a state.
    pub(super) fn cameras(&self, partition: i32) -> usize {
        self.partitions
            .get(&partition)
            .map_or(0, |states| states.cameras.len())
    }

    /// How many cameras have a state together with these.
    pub(super) fn cameras_with<'a>(
        &self,
        partition: i32,
        more: impl Iterator<Item = &'a CameraId>,
    ) -> usize {
        let known = self.partitions.get(&partition);
        let is_new =
            |camera: &&CameraId| known.is_none_or(|states| !states.cameras.contains_key(*camera));
        self.cameras(partition) + more.filter(is_new).count()
    }

    /// The keys of versions that have to be deleted.
    pub(super) fn obsolete(&self, partition: i32) -> &[String] {
        self.partitions
            .get(&partition)
            .map_or(&[], |states| &states.obsolete)
    }

    /// Removes and returns the keys of versions that have to be deleted.
    pub(super) fn take_obsolete(&mut self, partition: i32) -> Vec<String> {
        let states = self.partitions.get_mut(&partition);
        states
            .map(|s| std::mem::take(&mut s.obsolete))
            .unwrap_or_default()
    }

    /// Forgets a revoked partition.
    pub(super) fn forget(&mut self, partition: i32) {
        self.partitions.remove(&partition);
    }
}

/// Reads a partition to its end.
fn read(
    reader: &BaseConsumer,
    topic: &str,
    partition: i32,
    mut add: impl FnMut(&[u8], i64, Option<&[u8]>),
) -> Result<(), KafkaError> {
    let cannot = || KafkaError::client(format!("read {topic} partition {partition}"));
    let mut place = TopicPartitionList::new();
    place
        .add_partition_offset(topic, partition, Offset::Beginning)
        .and_then(|()| reader.assign(&place))
        .map_err(cannot())?;
    let mut heard = Instant::now();
    loop {
        match reader.poll(POLL_INTERVAL) {
            // A leftover record of the partition that was read before.
            Some(Ok(message)) if message.partition() != partition => {}
            Some(Err(ClientError::PartitionEOF(ended))) if ended != partition => {}
            Some(Ok(message)) => {
                heard = Instant::now();
                add(
                    message.key().unwrap_or_default(),
                    message.offset(),
                    message.payload(),
                );
            }
            Some(Err(ClientError::PartitionEOF(_))) => return Ok(()),
            Some(Err(
                error @ ClientError::MessageConsumption(
                    RDKafkaErrorCode::UnknownTopicOrPartition
                    | RDKafkaErrorCode::UnknownTopic
                    | RDKafkaErrorCode::UnknownPartition,
                ),
            )) if heard.elapsed() > Duration::from_secs(10) => return Err(cannot()(error)),
            Some(Err(error)) if heard.elapsed() > READ_TIMEOUT => return Err(cannot()(error)),
            None if heard.elapsed() > READ_TIMEOUT => {
                return Err(cannot()(ClientError::MessageConsumption(
                    RDKafkaErrorCode::OperationTimedOut,
                )));
            }
            Some(Err(_)) | None => {}
        }
    }
}

impl PartitionStates {
    fn add(&mut self, key: &[u8], at: i64, value: Option<&[u8]>) {
        let Some((topic_id, camera, offset)) = parse_key(key) else {
            return;
        };
        if topic_id != self.topic_id {
            // The topic of frames was created again: no new frame can use its old states.
            let key = String::from_utf8_lossy(key).into_owned();
            match value {
                Some(_) => self.obsolete.push(key),
                None => self.obsolete.retain(|obsolete| *obsolete != key),
            }
            return;
        }
        match value {
            Some(value) => self.put(camera, offset, at, Some(value.to_vec())),
            None => {
                if let Some(versions) = self.cameras.get_mut(&camera) {
                    versions.retain(|version| version.offset != offset);
                }
            }
        }
    }

    fn put(&mut self, camera: CameraId, offset: i64, at: i64, bytes: Option<Vec<u8>>) {
        if let Some(bytes) = &bytes {
            self.bytes += bytes.len();
            self.at_hand.push_back((camera.clone(), at));
        }
        let versions = self.cameras.entry(camera).or_default();
        versions.retain(|version| version.offset != offset);
        versions.push(Version { offset, at, bytes });
        while self.bytes > MAX_AT_HAND {
            let Some((camera, at)) = self.at_hand.pop_front() else {
                return;
            };
            let versions = self.cameras.get_mut(&camera).into_iter().flatten();
            for version in versions.filter(|version| version.at == at) {
                self.bytes -= version.bytes.take().map_or(0, |bytes| bytes.len());
            }
        }
    }

    /// The newest version for an offset: its offset in the topic, and its bytes if they are in
    /// memory.
    fn take(&mut self, camera: &CameraId, offset: i64) -> Option<(i64, Option<Vec<u8>>)> {
        let versions = self.cameras.get_mut(camera)?.iter_mut();
        let newest = versions.filter(|version| version.offset <= offset);
        let version = newest.max_by_key(|version| version.offset)?;
        let bytes = version.bytes.take();
        self.bytes -= bytes.as_ref().map_or(0, Vec::len);
        Some((version.at, bytes))
    }

    /// Keeps the versions that are for frames from `start` on.
    fn settle(&mut self, start: i64) -> FoundStates {
        let mut later_only = 0;
        let topic_id = &self.topic_id;
        let obsolete = &mut self.obsolete;
        self.cameras.retain(|camera, versions| {
            let is_known = !versions.is_empty();
            for later in versions.extract_if(.., |version| version.offset > start) {
                obsolete.push(StateTopic::key(topic_id, camera, later.offset));
            }
            later_only += usize::from(is_known && versions.is_empty());
            !versions.is_empty()
        });
        self.prune(start);
        FoundStates {
            cameras: self.cameras.len(),
            later_only,
        }
    }

    fn prune(&mut self, offset: i64) {
        for (camera, versions) in &mut self.cameras {
            let before = versions.iter().map(|v| v.offset).filter(|v| *v <= offset);
            let Some(needed) = before.max() else {
                continue;
            };
            for old in versions.extract_if(.., |version| version.offset < needed) {
                self.obsolete
                    .push(StateTopic::key(&self.topic_id, camera, old.offset));
            }
        }
    }
}

fn parse_key(key: &[u8]) -> Option<(&str, CameraId, i64)> {
    let mut parts = std::str::from_utf8(key).ok()?.split('\n');
    (parts.next()? == KEY_VERSION).then_some(())?;
    let topic_id = parts.next()?;
    let camera = parts.next()?.parse().ok()?;
    let offset = parts.next()?.parse().ok()?;
    Some((topic_id, camera, offset))
}

/// Version 1 had a key of group, topic and camera.
fn camera_of_version_1(key: &[u8], group: &str, frames: &str) -> Option<CameraId> {
    let mut parts = std::str::from_utf8(key).ok()?.rsplitn(3, '\n');
    let camera = parts.next()?.parse().ok()?;
    (parts.next()? == frames && parts.next()? == group).then_some(camera)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states() -> PartitionStates {
        PartitionStates {
            topic_id: "id".to_owned(),
            ..PartitionStates::default()
        }
    }

    fn camera() -> CameraId {
        "cam01".parse().unwrap()
    }

    fn offsets(states: &PartitionStates) -> Vec<i64> {
        let versions = states.cameras.get(&camera()).into_iter().flatten();
        versions.map(|version| version.offset).collect()
    }

    #[test]
    fn the_newest_version_for_the_offset_stays_and_all_others_are_deleted() {
        let mut states = states();
        for (at, offset) in [10, 20, 30].into_iter().enumerate() {
            let key = StateTopic::key("id", &camera(), offset);
            states.add(key.as_bytes(), at as i64, Some(b"state"));
        }
        let old = StateTopic::key("other", &camera(), 7);
        states.add(old.as_bytes(), 3, Some(b"state"));
        let found = states.settle(25);
        assert_eq!((found.cameras, found.later_only), (1, 0));
        assert_eq!(offsets(&states), [20]);
        let mut obsolete = states.obsolete.clone();
        obsolete.sort();
        let key = |offset| StateTopic::key("id", &camera(), offset);
        assert_eq!(obsolete, [key(10), key(30), old]);
    }

    #[test]
    fn a_camera_with_later_versions_only_is_counted() {
        let mut states = states();
        let key = StateTopic::key("id", &camera(), 30);
        states.add(key.as_bytes(), 0, Some(b"state"));
        let found = states.settle(10);
        assert_eq!((found.cameras, found.later_only), (0, 1));
    }

    #[test]
    fn deleted_versions_are_gone() {
        let mut states = states();
        let key = StateTopic::key("id", &camera(), 10);
        states.add(key.as_bytes(), 0, Some(b"state"));
        states.add(key.as_bytes(), 1, None);
        assert_eq!(states.settle(20).cameras, 0);
        assert!(states.obsolete.is_empty());
    }

    #[test]
    fn only_the_newest_states_stay_in_memory() {
        let mut states = states();
        for n in 0..5 {
            let camera: CameraId = format!("cam{n}").parse().unwrap();
            states.put(camera, 10, n, Some(vec![0; MAX_AT_HAND / 4]));
        }
        assert!(states.bytes <= MAX_AT_HAND);
        let at_hand = states.cameras.values().flatten();
        assert_eq!(at_hand.filter(|v| v.bytes.is_some()).count(), 4);
        assert_eq!(states.cameras.len(), 5);
    }

    #[test]
    fn topics_with_two_purposes_are_refused() {
        let long = "g".repeat(240);
        assert!(check_names("frames", &long, None).is_err());
        let check = |frames, results| check_names(frames, "g", results).is_err();
        assert!(!check("a", None) && !check("a", Some("b")));
        for results in ["a", "a.dead", "a.names", "a.g.state"] {
            assert!(check("a", Some(results)), "{results}");
        }
        for frames in ["r.dead", "r.names", "r.g.state"] {
            assert!(check(frames, Some("r")), "{frames}");
        }
    }
}
