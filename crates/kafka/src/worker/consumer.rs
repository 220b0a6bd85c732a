//! A member of the consumer group: its records and rebalances, and the partitions that it reads.
use super::{
    consumer_events::{ConsumerEvents, GroupMember, Rebalance, unassign},
    counters::WorkerCounters,
    gap::Gap,
    job::LogPosition,
    loop_event::LoopEvent,
    offset_committer::add_offset,
    partition_range::{self, PartitionRange},
};
use crate::{KafkaError, reason, settings::WorkerSettings};
use crossbeam_channel::Sender;
use mattebox_engine::{
    stop::Stop,
    troubles::{Cause, Troubles},
};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer, RebalanceProtocol, base_consumer::PartitionQueue},
    error::{KafkaError as ClientError, KafkaResult, RDKafkaErrorCode},
    message::{BorrowedMessage, OwnedMessage},
};
use std::{collections::VecDeque, sync::Arc, time::Duration};

/// How long the request for the members of the group may take.
const GROUP_TIMEOUT: Duration = Duration::from_secs(2);

/// The size of the client's queues of all partitions together, in KiB.
const QUEUED_KIB: i32 = 32 << 10;
/// Records that are read in a row before the consumer's own queue is polled.
const MAX_IN_A_ROW: usize = 32;

fn detach(answer: KafkaResult<BorrowedMessage<'_>>) -> KafkaResult<OwnedMessage> {
    answer.map(|message| message.detach())
}

/// The answer of a poll.
pub(super) enum Polled {
    /// The next record.
    Record {
        record: OwnedMessage,
        /// The client's queue of its partition was empty before: it does not belong to a backlog.
        after_pause: bool,
    },
    /// This partition is read to its end.
    End(i32),
    /// The group has decided a rebalance: [`FrameConsumer::next_rebalance`].
    Rebalance,
    /// The consumer's position in some partition does not exist any more.
    OutOfRange,
    /// The consumer's queue is empty until [`LoopEvent::ConsumerReady`].
    Nothing,
}

/// The client id, by which the members of a group recognize each other's settings.
fn client_id(settings_hash: &str) -> String {
    format!("mattebox-{settings_hash}")
}

/// librdkafka's queue of one partition.
struct PartitionRecords {
    id: i32,
    queue: PartitionQueue<ConsumerEvents>,
    /// It was empty when it was last polled.
    was_empty: bool,
}

/// The consumer of the topic of frames.
pub(super) struct FrameConsumer {
    member: Arc<GroupMember>,
    topic: String,
    /// The client id with the hash of this worker's settings.
    client_id: String,
    bootstrap: String,
    troubles: Arc<Troubles>,
    events: Sender<LoopEvent>,
    /// The queue of each partition that is read. They are polled in turn: one common queue would
    /// return all records of the first partitions before those of the last.
    queues: VecDeque<PartitionRecords>,
    /// Records that were read since the consumer's own queue was polled.
    in_a_row: usize,
}

impl FrameConsumer {
    /// A consumer that has not joined the group yet, of a topic with this number of partitions.
    pub(super) fn new(
        settings: &WorkerSettings,
        settings_hash: &str,
        partitions: i32,
        counters: &Arc<WorkerCounters>,
        events: Sender<LoopEvent>,
    ) -> Result<Self, KafkaError> {
        let topic = settings.broker.topic.clone();
        let share = (QUEUED_KIB / partitions.max(1)).clamp(64, 4096);
        let queued_kib = share.to_string();
        let fetched = (share.min(1024) << 10).to_string();
        let client_id = client_id(settings_hash);
        let mut ours = vec![
            ("client.id", client_id.as_str()),
            ("group.id", settings.group.as_str()),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            // A position that does not exist any more is an error, and never skipped silently.
            ("auto.offset.reset", "error"),
            ("enable.partition.eof", "true"),
            // The group notices a killed worker after this time and gives its partitions to the
            // others.
            ("session.timeout.ms", "10000"),
            ("heartbeat.interval.ms", "2000"),
            // The client's queues are bounded in bytes, not in records. A larger record is read all
            // the same.
            ("queued.max.messages.kbytes", &queued_kib),
            ("fetch.message.max.bytes", &fetched),
            ("fetch.wait.max.ms", "100"),
            ("fetch.error.backoff.ms", "100"),
            ("topic.metadata.refresh.interval.ms", "30000"),
            ("statistics.interval.ms", "1000"),
        ];
        if let Some(name) = &settings.instance_id {
            ours.push(("group.instance.id", name));
        }
        let mut member: GroupMember = settings
            .broker
            .client(&ours)
            .create_with_context(ConsumerEvents::new(topic.clone(), counters.clone()))
            .map_err(KafkaError::Settings)?;
        // librdkafka calls this with its queue locked, so that it must not wait. A full channel
        // wakes the main loop anyway, which then polls until the queue is empty.
        let to_loop = events.clone();
        member.set_nonempty_callback(move || drop(to_loop.try_send(LoopEvent::ConsumerReady)));
        Ok(FrameConsumer {
            member: Arc::new(member),
            topic,
            client_id,
            bootstrap: settings.broker.bootstrap.clone(),
            troubles: counters.troubles.clone(),
            events,
            queues: VecDeque::new(),
            in_a_row: 0,
        })
    }

    /// Joins the group. From now on it has to be polled.
    pub(super) fn subscribe(&self) -> Result<(), KafkaError> {
        self.member
            .subscribe(&[&self.topic])
            .map_err(KafkaError::client("subscribe"))
    }

    /// librdkafka's consumer, for requests to the broker.
    pub(super) fn member(&self) -> &Arc<GroupMember> {
        &self.member
    }

    /// Polls the consumer's queues without waiting.
    pub(super) fn poll(&mut self) -> Result<Polled, KafkaError> {
        loop {
            let has_waited = self.in_a_row >= MAX_IN_A_ROW;
            let mut answer = match has_waited {
                true => None,
                false => self.next_of_partitions(),
            };
            self.in_a_row += 1;
            let events = self.member.context();
            if answer.is_none() {
                self.in_a_row = 0;
                events.take_called();
                answer = self.member.poll(Duration::ZERO).map(detach);
            }
            match answer {
                Some(Ok(record)) => {
                    let after_pause = self.take_pause(record.partition());
                    return Ok(Polled::Record {
                        record,
                        after_pause,
                    });
                }
                Some(Err(ClientError::PartitionEOF(partition))) => {
                    return Ok(Polled::End(partition));
                }
                Some(Err(ClientError::MessageConsumption(
                    RDKafkaErrorCode::AutoOffsetReset
                    | RDKafkaErrorCode::OffsetOutOfRange
                    | RDKafkaErrorCode::UnknownTopicOrPartition
                    | RDKafkaErrorCode::UnknownTopic
                    | RDKafkaErrorCode::UnknownPartition,
                ))) => return Ok(Polled::OutOfRange),
                Some(Err(error)) => self.explain(error)?,
                None if events.has_rebalance() => return Ok(Polled::Rebalance),
                // It has served statistics, and there may be records after them.
                None if events.take_called() || has_waited => {}
                None => return Ok(Polled::Nothing),
            }
        }
    }

    /// Polls the partitions' queues in turn.
    fn next_of_partitions(&mut self) -> Option<KafkaResult<OwnedMessage>> {
        for _ in 0..self.queues.len() {
            self.queues.rotate_left(1);
            let partition = self.queues.back_mut()?;
            match partition.queue.poll(Duration::ZERO) {
                Some(answer) => return Some(detach(answer)),
                None => partition.was_empty = true,
            }
        }
        None
    }

    /// Whether a partition's queue was empty since the last call.
    fn take_pause(&mut self, id: i32) -> bool {
        let mut queues = self.queues.iter_mut();
        // A record from the common queue was fetched before its partition had a queue.
        queues
            .find(|partition| partition.id == id)
            .is_none_or(|partition| std::mem::take(&mut partition.was_empty))
    }

    /// Separates a partition's queue from the common one.
    fn split(&mut self, partition: i32) {
        let Some(mut queue) = self.member.split_partition_queue(&self.topic, partition) else {
            return;
        };
        let events = self.events.clone();
        queue.set_nonempty_callback(move || drop(events.try_send(LoopEvent::ConsumerReady)));
        self.queues.retain(|other| other.id != partition);
        self.queues.push_back(PartitionRecords {
            id: partition,
            queue,
            was_empty: true,
        });
    }

    /// Logs an error, or returns it if waiting does not help.
    fn explain(&mut self, error: ClientError) -> Result<(), KafkaError> {
        match error {
            ClientError::MessageConsumptionFatal(_) => {
                return Err(KafkaError::client("go on reading")(error));
            }
            error if reason::is_denied(&error) => {
                return Err(KafkaError::client(format!("read topic {}", self.topic))(
                    error,
                ));
            }
            error if reason::is_refusal(&error) => {
                return Err(KafkaError::Refused {
                    bootstrap: self.bootstrap.clone(),
                    problem: reason::words(&error),
                });
            }
            ClientError::MessageConsumption(
                RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure,
            ) => {
                let words = self.member.context().last_failure().unwrap_or_default();
                let why = reason::why(&words);
                let bootstrap = &self.bootstrap;
                let what = format!("the broker at {bootstrap} does not answer: {why}");
                self.troubles.note(Cause::Broker, &what);
            }
            error => tracing::warn!("kafka: {}", reason::words(&error)),
        }
        Ok(())
    }

    /// The oldest rebalance that the main loop has not followed.
    pub(super) fn next_rebalance(&self) -> Option<Rebalance> {
        self.member.context().next_rebalance()
    }

    /// Other members of the group that process frames with other settings, by host.
    pub(super) fn members_with_other_settings(&self, group: &str) -> Vec<String> {
        let ours = &self.client_id;
        let groups = self
            .member
            .client()
            .fetch_group_list(Some(group), GROUP_TIMEOUT);
        let Ok(groups) = groups else {
            return Vec::new();
        };
        let members = groups.groups().iter().flat_map(|group| group.members());
        let is_other = |id: &str| id.starts_with("mattebox-") && id != *ours;
        members
            .filter(|member| is_other(member.client_id()))
            .map(|member| format!("{} ({})", member.client_host(), member.client_id()))
            .collect()
    }

    /// Whether the group has given the partitions to others already.
    pub(super) fn is_lost(&self) -> bool {
        self.member.assignment_lost()
    }

    /// Asks where partitions begin and end.
    pub(super) fn ranges(
        &self,
        settings: &WorkerSettings,
        partitions: &[i32],
        stop: &Stop,
        on_gap: impl FnMut(Gap) -> Result<(), KafkaError>,
    ) -> Result<Vec<PartitionRange>, KafkaError> {
        partition_range::ranges(&self.member, settings, partitions, stop, on_gap)
    }

    /// Reads a partition from an offset on.
    pub(super) fn seek(&self, partition: i32, offset: i64) -> Result<(), KafkaError> {
        let cannot = || KafkaError::client(format!("go on at offset {offset}"));
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, partition, Offset::Offset(offset))
            .map_err(cannot())?;
        unassign(&self.member, &list).map_err(cannot())?;
        match self.member.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.member.incremental_assign(&list),
            _ => self.member.assign(&list),
        }
        .map_err(cannot())
    }

    /// Begins to read partitions.
    pub(super) fn assign(&mut self, ranges: &[PartitionRange]) -> Result<(), KafkaError> {
        ranges.iter().for_each(|range| self.split(range.partition));
        let list = self.starts(ranges.iter());
        let assigned = match self.member.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.member.incremental_assign(&list),
            _ => self.member.assign(&list),
        };
        assigned.map_err(KafkaError::client("read assigned partitions"))?;
        let mut new = TopicPartitionList::new();
        for range in ranges.iter().filter(|range| range.is_new) {
            let position = LogPosition {
                partition: range.partition,
                epoch: 0,
                offset: range.start,
            };
            let _ = add_offset(&mut new, &self.topic, position, &range.first_metadata());
        }
        if new.count() > 0
            && let Err(error) = self.member.commit(&new, CommitMode::Sync)
        {
            tracing::warn!("where the group begins could not be recorded: {error}");
        }
        Ok(())
    }

    fn starts<'a>(&self, ranges: impl Iterator<Item = &'a PartitionRange>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for range in ranges {
            // The offset of a record is never negative, so librdkafka accepts it.
            let start = Offset::Offset(range.start);
            let _ = list.add_partition_offset(&self.topic, range.partition, start);
        }
        list
    }

    /// Stops reading partitions, so that other workers can.
    pub(super) fn unassign(&mut self, partitions: &[i32]) {
        let mut list = TopicPartitionList::new();
        partitions.iter().for_each(|partition| {
            list.add_partition(&self.topic, *partition);
        });
        if let Err(error) = unassign(&self.member, &list) {
            tracing::debug!("{error}");
        }
        self.queues.retain(|queue| !partitions.contains(&queue.id));
    }

    /// Reads no records of a partition until [`FrameConsumer::resume`].
    pub(super) fn pause(&self, partition: i32) {
        self.switch(partition, true, |list| self.member.pause(list));
    }

    /// Reads records of a partition again.
    pub(super) fn resume(&self, partition: i32) {
        self.switch(partition, false, |list| self.member.resume(list));
    }

    fn switch(
        &self,
        partition: i32,
        pause: bool,
        switch: impl FnOnce(&TopicPartitionList) -> KafkaResult<()>,
    ) {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, partition);
        if let Err(error) = switch(&list) {
            tracing::debug!(partition, pause, "{error}");
        }
    }

    /// From now on the consumer accepts a revocation at once.
    pub(super) fn close(&self) {
        self.member.context().close();
    }
}
