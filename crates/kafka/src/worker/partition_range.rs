//! Where a partition begins and ends.
use super::consumer_events::GroupMember;
use crate::{KafkaError, client::again, settings::WorkerSettings};
use mattebox_engine::stop::Stop;
use mattebox_wire::StartAt;
use rdkafka::{Offset, TopicPartitionList, consumer::Consumer};
use std::time::Duration;

/// How long one question to the broker may take.
const BROKER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the broker may take in all to tell where a partition begins: the open transaction of a
/// worker that died may have to run out first.
const START_TIMEOUT: Duration = Duration::from_secs(90);

/// The records of a partition that are to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct PartitionRange {
    pub(super) partition: i32,
    /// The offset of the first.
    pub(super) start: i64,
    /// The offset behind the last record that is there now.
    pub(super) end: i64,
    /// The group had no offset for it, so that the start has to be committed: a worker that is
    /// killed before its first commit must not begin with later records then.
    pub(super) is_new: bool,
}

/// Asks where partitions begin: at the group's offset, or where the settings say.
pub(super) fn ranges(
    consumer: &GroupMember,
    settings: &WorkerSettings,
    partitions: &[i32],
    stop: &Stop,
) -> Result<Vec<PartitionRange>, KafkaError> {
    let topic = &settings.broker.topic;
    let mut wanted = TopicPartitionList::new();
    partitions.iter().for_each(|id| {
        wanted.add_partition(topic, *id);
    });
    let committed = again(START_TIMEOUT, stop, "ask for the group's offsets", || {
        consumer.committed_offsets(wanted.clone(), BROKER_TIMEOUT)
    })?;
    let mut ranges = Vec::new();
    for element in committed.elements() {
        let partition = element.partition();
        let (low, end) = watermarks(consumer, topic, partition, stop)?;
        let (start, is_new) = match element.offset() {
            Offset::Offset(offset) if offset < low => {
                tracing::error!(
                    topic,
                    partition,
                    lost = low - offset,
                    "records were removed by the topic's retention before they were done: going on with the oldest that is left (see retention.ms)"
                );
                (low, true)
            }
            Offset::Offset(offset) if offset > end => {
                tracing::error!(
                    topic,
                    partition,
                    offset,
                    end,
                    "the group's offset lies behind the end of the topic, which was made anew or cut: beginning with its oldest record"
                );
                (low, true)
            }
            Offset::Offset(offset) => (offset, false),
            _ => (
                beginning(consumer, settings, partition, low, end, stop)?,
                true,
            ),
        };
        ranges.push(PartitionRange {
            partition,
            start,
            end,
            is_new,
        });
    }
    Ok(ranges)
}

/// The oldest offset of a partition, and the offset behind its last record.
pub(super) fn watermarks(
    consumer: &GroupMember,
    topic: &str,
    partition: i32,
    stop: &Stop,
) -> Result<(i64, i64), KafkaError> {
    again(START_TIMEOUT, stop, "ask where partitions begin", || {
        consumer.fetch_watermarks(topic, partition, BROKER_TIMEOUT)
    })
}

fn beginning(
    consumer: &GroupMember,
    settings: &WorkerSettings,
    partition: i32,
    low: i64,
    end: i64,
    stop: &Stop,
) -> Result<i64, KafkaError> {
    match settings.from {
        StartAt::Earliest => Ok(low),
        StartAt::Latest => Ok(end),
        StartAt::Time(ms) => {
            let mut at = TopicPartitionList::new();
            let topic = &settings.broker.topic;
            at.add_partition_offset(topic, partition, Offset::Offset(ms))
                .map_err(KafkaError::client("set a time"))?;
            let found = again(START_TIMEOUT, stop, "look for a time", || {
                consumer.offsets_for_times(at.clone(), BROKER_TIMEOUT)
            })?;
            Ok(match found.elements().first().map(|e| e.offset()) {
                Some(Offset::Offset(offset)) => offset,
                _ => end,
            })
        }
    }
}

/// The partitions of a list with a known offset, and that offset.
pub(super) fn committed_offsets(list: &TopicPartitionList) -> Vec<(i32, i64)> {
    let elements = list.elements();
    let place = elements
        .iter()
        .filter_map(|e| match (e.error(), e.offset()) {
            (Ok(()), Offset::Offset(offset)) => Some((e.partition(), offset)),
            _ => None,
        });
    place.collect()
}
