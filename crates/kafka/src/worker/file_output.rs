//! Results in files. The processing threads write them; this stores camera states, then commits
//! offsets, and sends dead letters.
use super::{
    camera_states::StateDirectory,
    consumer_events::GroupMember,
    dead_letter_producer::DeadLetterProducer,
    job::{EncodedResult, Job, LogPosition, RejectedRecord},
    numbers::CameraNumbers,
    offset_committer::OffsetCommitter,
    output::{Commit, DeadLetterFailed, DeadLetterTaken, Output, Reached},
    retries::RETRY_DELAY,
    shared::Shared,
};
use crate::{KafkaError, client::Context};
use mattebox_core::frame::CameraId;
use mattebox_engine::{Rejection, StartError};
use mattebox_store::{CameraState, StoreError};
use rdkafka::admin::AdminClient;
use std::{collections::HashMap, sync::Arc, time::Instant};

/// Camera states in a folder, dead letters in their topic, offsets with the broker.
pub(super) struct FileOutput {
    states: StateDirectory,
    dead_letters: DeadLetterProducer,
    committer: OffsetCommitter,
    /// Partitions whose states could not be stored, and when that is tried again.
    not_stored: HashMap<i32, Instant>,
}

impl FileOutput {
    pub(super) fn open(
        states: StateDirectory,
        admin: AdminClient<Context>,
        member: &Arc<GroupMember>,
        shared: &Arc<Shared>,
    ) -> Result<Self, KafkaError> {
        let topic = shared.settings.broker.topic.clone();
        let committer = OffsetCommitter::start(member, topic, shared.events.clone());
        Ok(FileOutput {
            states,
            dead_letters: DeadLetterProducer::open(admin, shared)?,
            committer: committer.map_err(StartError::Thread)?,
            not_stored: HashMap::new(),
        })
    }

    /// Whether the states of a checkpoint are stored now.
    fn store(&mut self, reached: &Reached<'_>, now: Instant) -> bool {
        let partition = reached.partition;
        if self
            .not_stored
            .get(&partition)
            .is_some_and(|due| *due > now)
        {
            return false;
        }
        match self.states.store(partition, reached.checkpoint) {
            Ok(()) => {
                self.not_stored.remove(&partition);
                true
            }
            Err(error) => {
                tracing::error!(
                    partition,
                    "what is remembered cannot be stored, so no offset is recorded; trying again: {error}"
                );
                self.not_stored.insert(partition, now + RETRY_DELAY);
                false
            }
        }
    }
}

impl Output for FileOutput {
    fn begin(&mut self, _: i32) -> Result<(), KafkaError> {
        Ok(())
    }

    fn recall(
        &mut self,
        partition: i32,
        camera: &CameraId,
        offset: i64,
        counted: &CameraNumbers,
    ) -> Result<CameraState, StoreError> {
        self.states.recall(partition, camera, offset, counted)
    }

    fn recalls_again(&self) -> bool {
        true
    }

    /// The file is in place already.
    fn take_result(&mut self, _: &Arc<Job>, _: EncodedResult) -> Result<(), Rejection> {
        Ok(())
    }

    fn take_dead_letter(
        &mut self,
        position: LogPosition,
        rejected: RejectedRecord,
    ) -> Result<DeadLetterTaken, Box<DeadLetterFailed>> {
        match self.dead_letters.send(position, &rejected) {
            Ok(()) => Ok(DeadLetterTaken::Sent),
            Err(error) => Err(Box::new(DeadLetterFailed { rejected, error })),
        }
    }

    fn dead_letter_answered(&mut self, position: LogPosition) -> Option<RejectedRecord> {
        self.dead_letters.answered(position)
    }

    fn commit(&mut self, reached: &[Reached<'_>]) -> Result<Commit, KafkaError> {
        if self.committer.is_busy() {
            return Ok(Commit::Later);
        }
        let now = Instant::now();
        let mut positions = Vec::new();
        for reached in reached {
            if self.store(reached, now) {
                positions.push(reached.position());
            }
        }
        if positions.is_empty() {
            return Ok(Commit::Later);
        }
        let partitions = positions.iter().map(|p| p.partition).collect();
        self.committer.request(positions);
        Ok(Commit::Requested(partitions))
    }

    fn offsets_answered(&mut self) {
        self.committer.answered();
    }

    fn committed(&mut self, position: LogPosition) {
        self.states.committed(position.partition, position.offset);
    }

    fn is_full(&self) -> bool {
        false
    }

    fn due(&self) -> Option<Instant> {
        if self.committer.is_busy() {
            return None;
        }
        self.not_stored.values().min().copied()
    }

    fn forget(&mut self, partition: i32) {
        self.states.forget(partition);
        self.dead_letters.forget(partition);
        self.not_stored.remove(&partition);
    }
}
