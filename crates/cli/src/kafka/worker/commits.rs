//! Marks, and the offsets behind them; partitions that come and go.
use super::{Output, Worker, consumer, partition::Partition, topic::Committed};
use crate::{kafka::KafkaError, source::status::Condition};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer},
    error::KafkaError as ClientError,
};
use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

/// What may be held for the next transaction, in bytes, before it is made out of turn.
const MAX_HELD_BYTES: usize = 48 << 20;

impl Worker {
    /// Puts marks where it is time, or everywhere `now`, and records those that are reached.
    pub(super) fn commit_what_is_due(&mut self, now: bool) -> Result<(), KafkaError> {
        match self.recorder.answer() {
            Some(Ok(offsets)) => self.recorded(&offsets),
            Some(Err(error)) => self.not_recorded(&error),
            None => {}
        }
        let held: usize = self.partitions.values().map(|p| p.held_bytes).sum();
        if now || Instant::now() >= self.next_mark || held > MAX_HELD_BYTES {
            self.next_mark = Instant::now() + self.shop.settings.commit_interval;
            for partition in self.partitions.values_mut().filter(|p| p.wants_mark()) {
                let lanes = partition.put_mark();
                let end = partition.next;
                lanes
                    .into_iter()
                    .for_each(|lane| self.shop.lanes.mark(lane, end));
            }
        }
        let reached: Vec<i32> = self
            .partitions
            .values()
            .filter(|p| p.mark_is_reached())
            .map(|p| p.id)
            .collect();
        if reached.is_empty() {
            return Ok(());
        }
        match &self.output {
            Output::Files { .. } => {
                self.commit_files(&reached);
                Ok(())
            }
            Output::Results(_) => self.commit_results(&reached),
        }
    }

    /// What is remembered is stored first, then the offset that it belongs to is recorded.
    fn commit_files(&mut self, reached: &[i32]) {
        let Output::Files { directory, .. } = &mut self.output else {
            return;
        };
        if self.recorder.is_busy() {
            return;
        }
        let mut offsets = TopicPartitionList::new();
        for id in reached {
            let Some(partition) = self.partitions.get_mut(id) else {
                continue;
            };
            if let Err(error) = directory.store(partition) {
                tracing::error!(
                    partition = id,
                    "what is remembered cannot be stored, so no offset is recorded; trying again: {error}"
                );
                continue;
            }
            let Some(mark) = partition.mark.take() else {
                continue;
            };
            partition.requested = mark.end;
            // A place behind the last record, and no negative one: it always is an offset.
            let _ = offsets.add_partition_offset(
                &self.shop.settings.broker.topic,
                *id,
                Offset::Offset(mark.end),
            );
        }
        if offsets.count() > 0 {
            self.recorder.record(offsets);
        }
    }

    /// Results, dead letters, what is remembered and the offsets are one transaction.
    fn commit_results(&mut self, reached: &[i32]) -> Result<(), KafkaError> {
        let Output::Results(topic) = &mut self.output else {
            return Ok(());
        };
        let partitions: Vec<&Partition> = reached
            .iter()
            .filter_map(|id| self.partitions.get(id))
            .collect();
        match topic.commit(
            &self.admin,
            &self.consumer,
            &partitions,
            &self.numbers,
            &self.abort,
        ) {
            Committed::Done => {
                for id in reached {
                    let Some(partition) = self.partitions.get_mut(id) else {
                        continue;
                    };
                    let Some(mark) = partition.mark.take() else {
                        continue;
                    };
                    partition.drop_held(mark.end);
                    partition.requested = mark.end;
                    partition.committed = mark.end;
                    self.numbers
                        .partition(*id)
                        .committed
                        .store(mark.end, Relaxed);
                }
            }
            Committed::Again(error) => {
                tracing::warn!("a transaction was undone, trying again: {error}");
                self.stop.wait(Duration::from_millis(100));
            }
            Committed::Lost(error) => return Err(KafkaError::client("publish results")(error)),
        }
        Ok(())
    }

    /// Offsets are recorded.
    pub(super) fn recorded(&mut self, offsets: &[(i32, i64)]) {
        self.numbers.commits.fetch_add(1, Relaxed);
        for (id, offset) in offsets {
            let Some(partition) = self.partitions.get_mut(id) else {
                continue;
            };
            partition.committed = partition.committed.max(*offset);
            self.numbers
                .partition(*id)
                .committed
                .store(partition.committed, Relaxed);
            if let Output::Files { directory, .. } = &mut self.output {
                directory.recorded(*id, *offset);
            }
        }
    }

    /// Offsets could not be recorded: they are with the next mark.
    pub(super) fn not_recorded(&mut self, error: &ClientError) {
        tracing::warn!("offsets could not be recorded, trying again: {error}");
        for partition in self.partitions.values_mut() {
            partition.requested = partition.committed;
        }
    }

    /// Finishes and records what is on its way in partitions, as far as that is done in time.
    pub(super) fn settle(&mut self, ids: &[i32], patience: Duration) -> Result<(), KafkaError> {
        let begun = Instant::now();
        loop {
            let open: Vec<i32> = ids
                .iter()
                .filter(|id| self.partitions.get(id).is_some_and(|p| !p.is_settled()))
                .copied()
                .collect();
            if open.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > patience || self.abort.is_stopped() {
                tracing::warn!(partitions = ?open, "not everything could be finished in time: it is done again by whoever gets the partitions");
                return Ok(());
            }
            self.hear(Duration::from_millis(5));
            self.try_again();
            self.check_threads()?;
            self.commit_what_is_due(true)?;
        }
    }

    /// Forgets partitions that are not ours any more.
    pub(super) fn give_up(&mut self, ids: &[i32]) {
        let mut list = TopicPartitionList::new();
        for id in ids {
            list.add_partition(&self.shop.settings.broker.topic, *id);
            if let Some(partition) = self.partitions.remove(id) {
                partition
                    .cameras
                    .values()
                    .for_each(|tracked| self.shop.lanes.close(tracked.lane));
                // Their frames go to another worker now: here they have ended.
                let shown = partition
                    .cameras
                    .keys()
                    .filter_map(|id| self.shop.studio.camera(id.as_str()));
                shown.for_each(|camera| camera.status.set(Condition::Ended));
                self.shop.lanes.close(partition.alone);
            }
            self.numbers.partition(*id).is_ours.store(false, Relaxed);
            self.numbers.partition(*id).in_flight.store(0, Relaxed);
            match &mut self.output {
                Output::Files { directory, post } => {
                    directory.forget(*id);
                    post.forget(*id);
                }
                Output::Results(topic) => topic.forget(*id),
            }
        }
        if let Err(error) = consumer::unassign(&self.consumer, &list) {
            tracing::debug!("{error}");
        }
        if !ids.is_empty() {
            tracing::info!(partitions = ?ids, "gave up partitions");
        }
    }

    /// Begins with partitions that are ours from now on.
    pub(super) fn take_up(&mut self, ids: &[i32]) -> Result<(), KafkaError> {
        let settings = &self.shop.settings;
        let spans = consumer::spans(&self.consumer, settings, ids, &self.stop)?;
        let mut list = TopicPartitionList::new();
        let mut new = TopicPartitionList::new();
        for span in &spans {
            if let Output::Results(topic) = &mut self.output {
                topic.load(settings, span.partition, &self.numbers)?;
            }
            self.turn += 1;
            let nobody = "alone".parse().map_err(|_| KafkaError::Stopped)?;
            let alone = self
                .shop
                .lanes
                .open(&nobody, span.partition, self.turn, None);
            self.partitions.insert(
                span.partition,
                Partition::new(span.partition, self.turn, span.start, span.end, alone),
            );
            let start = Offset::Offset(span.start);
            let _ = list.add_partition_offset(&settings.broker.topic, span.partition, start);
            if span.is_new {
                let _ = new.add_partition_offset(&settings.broker.topic, span.partition, start);
            }
            let numbers = self.numbers.partition(span.partition);
            numbers.is_ours.store(true, Relaxed);
            numbers.committed.store(span.start, Relaxed);
            numbers.position.store(span.start, Relaxed);
            numbers.end.store(span.end, Relaxed);
        }
        consumer::assign(&self.consumer, &list)
            .map_err(KafkaError::client("take up partitions"))?;
        if new.count() > 0
            && let Err(error) = self.consumer.commit(&new, CommitMode::Sync)
        {
            tracing::warn!("where the group begins could not be recorded: {error}");
        }
        if !ids.is_empty() {
            let at: Vec<String> = spans
                .iter()
                .map(|s| format!("{}@{} of {}", s.partition, s.start, s.end))
                .collect();
            tracing::info!("took up partitions {}", at.join(", "));
        }
        Ok(())
    }
}
