//! The assignment: the partitions of this worker, and the records of them that are in flight.
use super::{
    consumer::{FrameConsumer, Polled},
    consumer_events::GroupMember,
    consumer_events::Rebalance,
    counters::WorkerCounters,
    events::RecordRead,
    gap::Gap,
    job::LogPosition,
    partition::Partition,
    partition_range::PartitionRange,
};
use crate::{KafkaError, settings::WorkerSettings};
use mattebox_engine::{events::Event, stop::Stop};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

/// The partitions that the group has assigned to this worker.
pub(super) struct Assignment {
    consumer: FrameConsumer,
    counters: Arc<WorkerCounters>,
    partitions: BTreeMap<i32, Partition>,
    /// Counts assigned partitions: a partition that is assigned again has another epoch.
    epoch: u64,
}

impl Assignment {
    /// An assignment without partitions.
    pub(super) fn new(consumer: FrameConsumer, counters: Arc<WorkerCounters>) -> Self {
        Assignment {
            consumer,
            counters,
            partitions: BTreeMap::new(),
            epoch: 0,
        }
    }

    /// librdkafka's consumer, for requests to the broker.
    pub(super) fn member(&self) -> &Arc<GroupMember> {
        self.consumer.member()
    }

    /// Polls the consumer without waiting.
    pub(super) fn poll(&mut self) -> Result<Polled, KafkaError> {
        self.consumer.poll()
    }

    /// The oldest rebalance that the main loop has not followed.
    pub(super) fn next_rebalance(&self) -> Option<Rebalance> {
        self.consumer.next_rebalance()
    }

    /// Whether the group has given the partitions to others already.
    pub(super) fn is_lost(&self) -> bool {
        self.consumer.is_lost()
    }

    /// Asks where newly assigned partitions begin.
    pub(super) fn ranges(
        &self,
        settings: &WorkerSettings,
        partitions: &[i32],
        stop: &Stop,
        on_gap: impl FnMut(Gap) -> Result<(), KafkaError>,
    ) -> Result<Vec<PartitionRange>, KafkaError> {
        self.consumer.ranges(settings, partitions, stop, on_gap)
    }

    /// Records before `low` were removed: goes on with the oldest that is left. Returns how many
    /// were lost, if any.
    pub(super) fn skip_to(&mut self, id: i32, low: i64) -> Result<Option<Gap>, KafkaError> {
        let Some(partition) = self.partitions.get_mut(&id) else {
            return Ok(None);
        };
        let from = partition.next();
        if low <= from {
            return Ok(None);
        }
        partition.skip_to(low);
        self.counters.partition(id).position.store(low, Relaxed);
        let gap = Gap::Removed {
            partition: id,
            from,
            lost: (low - from).unsigned_abs(),
        };
        Ok(Some(gap))
    }

    /// Reads a partition from the position that it has reached.
    pub(super) fn read_on(&self, id: i32) -> Result<(), KafkaError> {
        match self.partitions.get(&id) {
            Some(partition) => self.consumer.seek(id, partition.next()),
            None => Ok(()),
        }
    }

    /// Adds a partition. Returns the epoch; [`Assignment::start`] begins to read.
    pub(super) fn take(&mut self, range: &PartitionRange) -> u64 {
        self.epoch += 1;
        let (id, start, end) = (range.partition, range.start, range.end);
        self.partitions.insert(
            id,
            Partition::new(range.topic_id.clone(), id, self.epoch, start, end),
        );
        let counters = self.counters.partition(id);
        counters.is_ours.store(true, Relaxed);
        counters.committed.store(start, Relaxed);
        counters.position.store(start, Relaxed);
        counters.end.store(end, Relaxed);
        self.epoch
    }

    /// The ids of the topics of its partitions: more than one if the topic was created again.
    pub(super) fn topic_ids(&self) -> BTreeSet<Arc<str>> {
        let ids = self.partitions.values().map(Partition::topic_id);
        ids.cloned().collect()
    }

    /// Other members of the group that process frames with other settings, by host.
    pub(super) fn members_with_other_settings(&self, group: &str) -> Vec<String> {
        self.consumer.members_with_other_settings(group)
    }

    /// Begins to read partitions that were added.
    pub(super) fn start(&mut self, ranges: &[PartitionRange]) -> Result<(), KafkaError> {
        self.consumer.assign(ranges)?;
        if !ranges.is_empty() {
            let at: Vec<String> = ranges
                .iter()
                .map(|r| format!("{}@{} of {}", r.partition, r.start, r.end))
                .collect();
            tracing::info!("assigned partitions {}", at.join(", "));
        }
        Ok(())
    }

    /// Gives partitions back to the group.
    pub(super) fn give_back(&mut self, partitions: &[i32]) {
        for id in partitions {
            self.partitions.remove(id);
            let counters = self.counters.partition(*id);
            counters.is_ours.store(false, Relaxed);
            counters.in_flight.store(0, Relaxed);
        }
        self.consumer.unassign(partitions);
        if !partitions.is_empty() {
            tracing::info!(partitions = ?partitions, "revoked partitions");
        }
    }

    /// A record is in flight from now on. `None`: its partition is not assigned. After a rebalance
    /// the client may still return records of earlier partitions.
    pub(super) fn begin(&mut self, id: i32, offset: i64, bytes: usize) -> Option<LogPosition> {
        let partition = self.partitions.get_mut(&id)?;
        if offset < partition.next() {
            return None;
        }
        let position = partition.begin(offset, bytes);
        let counters = self.counters.partition(id);
        RecordRead {
            partition: &counters,
            bytes,
        }
        .emit();
        counters.position.store(partition.next(), Relaxed);
        counters
            .in_flight
            .store(partition.in_flight() as u64, Relaxed);
        Some(position)
    }

    /// Whether a partition that has a record now had none for this long.
    pub(super) fn was_quiet(&mut self, id: i32, quiet: Duration) -> bool {
        let partition = self.partitions.get_mut(&id);
        partition.is_some_and(|partition| partition.heard() >= quiet)
    }

    /// Whether a record belongs to this assignment.
    pub(super) fn owns(&self, position: LogPosition) -> bool {
        self.partitions
            .get(&position.partition)
            .is_some_and(|partition| partition.epoch() == position.epoch)
    }

    /// A record is done.
    pub(super) fn finish(&mut self, position: LogPosition) {
        if !self.owns(position) {
            return;
        }
        if let Some(partition) = self.partitions.get_mut(&position.partition) {
            partition.finish(position.offset);
            self.counters
                .partition(position.partition)
                .in_flight
                .store(partition.in_flight() as u64, Relaxed);
        }
    }

    /// The consumer has read a partition to its end.
    pub(super) fn at_end(&mut self, id: i32) {
        if let Some(partition) = self.partitions.get_mut(&id) {
            partition.at_end();
        }
    }

    /// Reads no records of a partition until [`Assignment::resume`].
    pub(super) fn pause(&mut self, id: i32) {
        if let Some(partition) = self.partitions.get_mut(&id) {
            partition.set_paused(true);
            self.consumer.pause(id);
        }
    }

    /// Reads records of a partition again.
    pub(super) fn resume(&mut self, id: i32) {
        if let Some(partition) = self.partitions.get_mut(&id) {
            partition.set_paused(false);
            self.consumer.resume(id);
        }
    }

    /// Whether the record that has just arrived was just published.
    pub(super) fn take_live(&mut self, id: i32) -> bool {
        let partition = self.partitions.get_mut(&id);
        partition.is_some_and(Partition::take_live)
    }

    /// A partition of this assignment.
    pub(super) fn partition(&self, id: i32) -> Option<&Partition> {
        self.partitions.get(&id)
    }

    /// All partitions.
    pub(super) fn partitions(&self) -> impl Iterator<Item = &Partition> {
        self.partitions.values()
    }

    /// Records in flight in all partitions that are not paused, and their bytes.
    pub(super) fn load(&self) -> (usize, usize) {
        self.partitions()
            .map(Partition::load)
            .fold((0, 0), |sum, load| (sum.0 + load.0, sum.1 + load.1))
    }

    /// The main loop has ended: the consumer gives partitions back at once.
    pub(super) fn close(&self) {
        self.consumer.close();
    }
}
