//! A member of the consumer group: its records and rebalances, and the partitions that it reads.
use super::{
    consumer_events::{ConsumerEvents, GroupMember, Rebalance, unassign},
    event::Event,
    gap::Gap,
    job::LogPosition,
    numbers::Numbers,
    offset_committer::add_offset,
    partition_range::{self, PartitionRange},
};
use crate::{KafkaError, client, settings::WorkerSettings};
use crossbeam_channel::Sender;
use mattebox_engine::stop::Stop;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer, RebalanceProtocol},
    error::{KafkaError as ClientError, KafkaResult, RDKafkaErrorCode},
    message::OwnedMessage,
};
use std::{sync::Arc, time::Duration};

/// How long the question for the members of the group may take.
const GROUP_TIMEOUT: Duration = Duration::from_secs(2);

/// The answer of a poll.
pub(super) enum Polled {
    /// The next record.
    Record(OwnedMessage),
    /// This partition is read to its end.
    End(i32),
    /// The group has decided: [`FrameConsumer::next_rebalance`].
    Rebalance,
    /// The consumer's place in some partition is not there any more.
    OutOfRange,
    /// The consumer's queue is empty. [`Event::ConsumerReady`] tells when it is not any more.
    Nothing,
}

/// The name by which the members of a group know each other's settings.
pub(super) fn client_id(settings: &WorkerSettings) -> String {
    let hash = settings.frame.hash().unwrap_or_default();
    format!("mattebox-{}", hash.get(..12).unwrap_or(&hash))
}

/// The consumer of the topic of frames.
pub(super) struct FrameConsumer {
    member: Arc<GroupMember>,
    topic: String,
    bootstrap: String,
    /// The broker does not answer at the moment.
    is_cut_off: bool,
}

impl FrameConsumer {
    /// A consumer that has not joined the group yet.
    pub(super) fn new(
        settings: &WorkerSettings,
        numbers: &Arc<Numbers>,
        events: Sender<Event>,
    ) -> Result<Self, KafkaError> {
        let topic = settings.broker.topic.clone();
        let client_id = client_id(settings);
        let mut ours = vec![
            ("client.id", client_id.as_str()),
            ("group.id", settings.group.as_str()),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            // A place that is not there any more is told, and never skipped without a word.
            ("auto.offset.reset", "error"),
            ("enable.partition.eof", "true"),
            // The group misses a killed worker after this time and gives its partitions to the
            // others.
            ("session.timeout.ms", "10000"),
            ("heartbeat.interval.ms", "2000"),
            // The client's queue is bounded in bytes, not in records.
            ("queued.max.messages.kbytes", "16384"),
            ("fetch.message.max.bytes", "4194304"),
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
            .create_with_context(ConsumerEvents::new(topic.clone(), numbers.clone()))
            .map_err(KafkaError::Settings)?;
        // librdkafka calls this with its queue locked, so that it must not wait. A full channel
        // wakes the main loop anyway, which then polls until the queue is empty.
        member.set_nonempty_callback(move || drop(events.try_send(Event::ConsumerReady)));
        Ok(FrameConsumer {
            member: Arc::new(member),
            topic,
            bootstrap: settings.broker.bootstrap.clone(),
            is_cut_off: false,
        })
    }

    /// Joins the group. From now on it has to be polled.
    pub(super) fn subscribe(&self) -> Result<(), KafkaError> {
        self.member
            .subscribe(&[&self.topic])
            .map_err(KafkaError::client("subscribe"))
    }

    /// librdkafka's consumer, for questions to the broker.
    pub(super) fn member(&self) -> &Arc<GroupMember> {
        &self.member
    }

    /// Takes what the consumer's queue holds next, without waiting.
    pub(super) fn poll(&mut self) -> Result<Polled, KafkaError> {
        loop {
            let events = self.member.context();
            events.take_called();
            match self.member.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    let message = message.detach();
                    if std::mem::take(&mut self.is_cut_off) {
                        tracing::info!("the broker is back");
                    }
                    return Ok(Polled::Record(message));
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
                // It has served statistics, and there may be records behind them.
                None if events.take_called() => {}
                None => return Ok(Polled::Nothing),
            }
        }
    }

    /// Tells what is wrong. An error: no waiting mends it.
    fn explain(&mut self, error: ClientError) -> Result<(), KafkaError> {
        match error {
            ClientError::MessageConsumptionFatal(_) => {
                return Err(KafkaError::client("go on reading")(error));
            }
            error if client::is_refusal(&error) => {
                return Err(KafkaError::Refused {
                    bootstrap: self.bootstrap.clone(),
                    problem: error.to_string(),
                });
            }
            ClientError::MessageConsumption(
                RDKafkaErrorCode::AllBrokersDown | RDKafkaErrorCode::BrokerTransportFailure,
            ) => {
                if !std::mem::replace(&mut self.is_cut_off, true) {
                    tracing::warn!("the broker does not answer: waiting for it");
                }
            }
            error => tracing::warn!("kafka: {error}"),
        }
        Ok(())
    }

    /// The oldest rebalance that was not followed.
    pub(super) fn next_rebalance(&self) -> Option<Rebalance> {
        self.member.context().next_rebalance()
    }

    /// Other members of the group whose frames are made with other settings, by host.
    pub(super) fn members_with_other_settings(&self, settings: &WorkerSettings) -> Vec<String> {
        let ours = client_id(settings);
        let groups = self
            .member
            .client()
            .fetch_group_list(Some(&settings.group), GROUP_TIMEOUT);
        let Ok(groups) = groups else {
            return Vec::new();
        };
        let members = groups.groups().iter().flat_map(|group| group.members());
        let is_other = |id: &str| id.starts_with("mattebox-") && id != ours;
        members
            .filter(|member| is_other(member.client_id()))
            .map(|member| format!("{} ({})", member.client_host(), member.client_id()))
            .collect()
    }

    /// Whether the group has given the partitions to others already.
    pub(super) fn is_lost(&self) -> bool {
        self.member.assignment_lost()
    }

    /// Asks where partitions begin.
    pub(super) fn ranges(
        &self,
        settings: &WorkerSettings,
        partitions: &[i32],
        stop: &Stop,
        told: impl FnMut(Gap) -> Result<(), KafkaError>,
    ) -> Result<Vec<PartitionRange>, KafkaError> {
        partition_range::ranges(&self.member, settings, partitions, stop, told)
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
    pub(super) fn assign(&self, ranges: &[PartitionRange]) -> Result<(), KafkaError> {
        let list = self.starts(ranges.iter());
        let assigned = match self.member.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.member.incremental_assign(&list),
            _ => self.member.assign(&list),
        };
        assigned.map_err(KafkaError::client("take up partitions"))?;
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
            // The offset of a record is never negative, so that librdkafka takes it.
            let start = Offset::Offset(range.start);
            let _ = list.add_partition_offset(&self.topic, range.partition, start);
        }
        list
    }

    /// Stops reading partitions, for others to read them.
    pub(super) fn unassign(&self, partitions: &[i32]) {
        let mut list = TopicPartitionList::new();
        partitions.iter().for_each(|partition| {
            list.add_partition(&self.topic, *partition);
        });
        if let Err(error) = unassign(&self.member, &list) {
            tracing::debug!("{error}");
        }
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

    /// From now on the consumer gives partitions back at once.
    pub(super) fn close(&self) {
        self.member.context().close();
    }
}
