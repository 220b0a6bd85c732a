//! The states of cameras for both outputs. They come from their topic, or from the place where an
//! earlier version of this program kept them. Missing states are logged and treated by the
//! settings.
use super::{
    counters::{CameraCounters, WorkerCounters},
    events::{StateMissing, StateUnreadable, StatesMissing},
    partition_range::{OffsetMetadata, PartitionRange},
    state_topic::{FoundStates, Recalled, StateTopic},
};
use crate::{
    KafkaError,
    settings::{OnMissingState, WorkerSettings, WorkerSink},
};
use mattebox_core::frame::{CameraId, partition_key};
use mattebox_engine::events::Event;
use mattebox_store::{
    CameraState, GroupPartition, StateStore, StoredState,
    journal::{self, Journal, JournalError},
};
use std::{collections::HashMap, sync::Arc};

/// The states of the cameras of all partitions of the assignment.
pub(super) struct States {
    topic: StateTopic,
    /// `OUT/.state` of an earlier version of this program.
    folder: Option<StateStore>,
    journal: Arc<dyn Journal>,
    counters: Arc<WorkerCounters>,
    group: String,
    frames: String,
    policy: OnMissingState,
    partitions: HashMap<i32, AssignedStates>,
    /// The topic was created again since the last call.
    is_restored: bool,
}

/// The states of one assigned partition.
struct AssignedStates {
    topic_id: Arc<str>,
    /// The group has processed records before: cameras without a state may have had one.
    is_first: bool,
    start: i64,
}

impl States {
    pub(super) fn new(
        topic: StateTopic,
        journal: Arc<dyn Journal>,
        settings: &WorkerSettings,
        counters: Arc<WorkerCounters>,
    ) -> Self {
        let folder = match &settings.sink {
            WorkerSink::Directory(root) => StateStore::of_version_1(root),
            WorkerSink::Topic(_) => None,
        };
        States {
            topic,
            folder,
            journal,
            counters,
            group: settings.group.clone(),
            frames: settings.broker.topic.clone(),
            policy: settings.on_missing_state,
            partitions: HashMap::new(),
            is_restored: false,
        }
    }

    /// States could not be stored: creates their topic again if it was deleted.
    pub(super) fn restore(&mut self) {
        match self.topic.restore() {
            Ok(false) => {}
            Ok(true) => {
                let problem = format!(
                    "topic {} was deleted while it was in use: the states of all cameras without \
                     recent frames are gone, and their mattes begin again",
                    self.topic.name()
                );
                self.counters.faults.note(&problem);
                tracing::error!("{problem}; it is created again");
                self.is_restored = true;
            }
            Err(error) => tracing::debug!("{error}"),
        }
    }

    /// Whether the topic was created again since the last call: then all states in memory have to
    /// be stored.
    pub(super) fn take_restored(&mut self) -> bool {
        std::mem::take(&mut self.is_restored)
    }

    /// Reads the states of an assigned partition.
    pub(super) fn begin(&mut self, range: &PartitionRange) -> Result<(), KafkaError> {
        let partition = range.partition;
        let is_first = range.metadata.is_none() && !range.is_new;
        let begin =
            |topic: &mut StateTopic| topic.begin(partition, &range.topic_id, range.start, is_first);
        let found = match begin(&mut self.topic) {
            Ok(found) => found,
            Err(error) => {
                self.restore();
                if !self.is_restored {
                    return Err(error);
                }
                begin(&mut self.topic)?
            }
        };
        self.judge(range, found)?;
        self.partitions.insert(
            partition,
            AssignedStates {
                topic_id: range.topic_id.clone(),
                is_first,
                start: range.start,
            },
        );
        Ok(())
    }

    /// Logs and counts missing states, or fails if the settings ask for that.
    fn judge(&self, range: &PartitionRange, found: FoundStates) -> Result<(), KafkaError> {
        let expected = range.metadata.as_ref().map_or(0, |m| m.states);
        let missing = expected.saturating_sub(found.cameras).max(found.later_only);
        if missing == 0 || range.is_new {
            return Ok(());
        }
        let PartitionRange {
            partition, start, ..
        } = range;
        let problem = format!(
            "the state of {missing} cameras at offset {start} of topic {} partition {partition} is \
             missing in topic {}",
            self.frames,
            self.topic.name()
        );
        if self.policy == OnMissingState::Fail {
            return Err(KafkaError::MissingState { problem });
        }
        self.counters.faults.note(&problem);
        StatesMissing {
            counters: &self.counters.partition(*partition),
            topic: &self.frames,
            partition: *partition,
            offset: *start,
            cameras: missing,
            problem: &problem,
        }
        .emit();
        Ok(())
    }

    /// The state of a camera before its frame at `offset`.
    pub(super) fn recall(
        &mut self,
        partition: i32,
        camera: &CameraId,
        offset: i64,
        counters: &CameraCounters,
    ) -> Result<CameraState, KafkaError> {
        let mut state = match self.topic.recall(partition, camera, offset)? {
            Recalled::Known(state) => *state,
            Recalled::Missing => self.missing(partition, camera, offset, counters)?,
            Recalled::Unreadable(problem) => {
                self.unreadable(partition, camera, offset, counters, &problem)?;
                CameraState::default()
            }
        };
        let by = partition_key(&self.topic_id(partition), partition);
        let refreshed = journal::refresh(&mut state.numbering, self.journal.as_ref(), camera, &by);
        match refreshed {
            Ok(0) | Err(JournalError::Stopped) => {}
            Ok(lost) => tracing::warn!(
                %camera,
                partition,
                blocks = lost,
                "the journal of names did not have the camera's blocks: they are written again"
            ),
            Err(source) => {
                let camera = camera.to_string();
                return Err(KafkaError::Names { camera, source });
            }
        }
        Ok(state)
    }

    /// A camera without a state is new, or an earlier version of this program has its state.
    fn missing(
        &mut self,
        partition: i32,
        camera: &CameraId,
        offset: i64,
        counters: &CameraCounters,
    ) -> Result<CameraState, KafkaError> {
        let Some(AssignedStates {
            topic_id,
            is_first,
            start,
        }) = self.partitions.get(&partition)
        else {
            return Ok(CameraState::default());
        };
        if let Some(folder) = self.folder.as_ref().filter(|_| *is_first) {
            let stream = GroupPartition::new(&self.group, &self.frames, partition);
            match folder.recall(&stream, camera, *start)? {
                StoredState::Known(state) => return Ok(*state),
                StoredState::Unreadable { problem } => {
                    self.unreadable(partition, camera, offset, counters, &problem)?;
                }
                StoredState::Missing => {}
            }
        }
        let by = partition_key(topic_id, partition);
        let blocks = self.journal.read(camera).unwrap_or_default();
        let was_here = blocks
            .iter()
            .any(|(session, _)| blocks.partitions(session).any(|there| there == by));
        if was_here {
            StateMissing {
                counters,
                partition,
                offset,
            }
            .emit();
        }
        Ok(CameraState::default())
    }

    fn unreadable(
        &self,
        partition: i32,
        camera: &CameraId,
        offset: i64,
        counters: &CameraCounters,
        problem: &str,
    ) -> Result<(), KafkaError> {
        let fails = self.policy == OnMissingState::Fail;
        StateUnreadable {
            counters,
            partition,
            offset,
            problem,
            is_logged: !fails,
        }
        .emit();
        if fails {
            let problem = format!("the stored state of camera {camera} cannot be read: {problem}");
            return Err(KafkaError::MissingState { problem });
        }
        Ok(())
    }

    /// The id of the topic that a partition belongs to; empty for one that is not assigned.
    pub(super) fn topic_id(&self, partition: i32) -> Arc<str> {
        let known = self.partitions.get(&partition);
        known.map_or_else(|| "".into(), |known| known.topic_id.clone())
    }

    /// The metadata of an offset with these states.
    pub(super) fn metadata<'a>(
        &self,
        partition: i32,
        cameras: impl Iterator<Item = &'a CameraId>,
    ) -> OffsetMetadata {
        OffsetMetadata {
            topic_id: self.topic_id(partition).to_string(),
            states: self.topic.cameras_with(partition, cameras),
        }
    }

    /// The topic of states.
    pub(super) fn topic(&mut self) -> &mut StateTopic {
        &mut self.topic
    }

    /// Forgets a revoked partition.
    pub(super) fn forget(&mut self, partition: i32) {
        self.topic.forget(partition);
        self.partitions.remove(&partition);
    }
}
