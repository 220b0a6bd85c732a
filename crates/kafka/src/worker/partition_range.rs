//! The range of a partition that is to be read, from the group's offset to its end.
use super::{consumer_events::GroupMember, gap::Gap};
use crate::{
    KafkaError,
    client::retry_request,
    settings::WorkerSettings,
    topic_id::{TopicState, topic_id},
};
use mattebox_engine::stop::Stop;
use mattebox_wire::StartAt;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::Consumer,
    error::{KafkaError as ClientError, RDKafkaErrorCode},
};
use std::{fmt, str::FromStr, sync::Arc, time::Duration};

/// How long one request to the broker may take.
pub(super) const BROKER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the broker may take in all to find where a partition begins: the open transaction of a
/// killed worker may have to time out first.
const START_TIMEOUT: Duration = Duration::from_secs(90);

/// The metadata that a worker commits with an offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OffsetMetadata {
    /// The id of the topic that the offset belongs to.
    pub(super) topic_id: String,
    /// How many cameras had a state at that offset.
    pub(super) states: usize,
}

impl fmt::Display for OffsetMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "mattebox/2 topic={} states={}",
            self.topic_id, self.states
        )
    }
}

impl FromStr for OffsetMetadata {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let rest = text.strip_prefix("mattebox/2 topic=").ok_or(())?;
        let (topic_id, states) = rest.split_once(" states=").ok_or(())?;
        Ok(OffsetMetadata {
            topic_id: topic_id.to_owned(),
            states: states.parse().map_err(drop)?,
        })
    }
}

/// The records of a partition that are to be read.
#[derive(Debug, Clone)]
pub(super) struct PartitionRange {
    pub(super) partition: i32,
    /// The id of the topic.
    pub(super) topic_id: Arc<str>,
    /// The offset of the first.
    pub(super) start: i64,
    /// The offset after the present last record.
    pub(super) end: i64,
    /// The group had no valid offset for it, so the start has to be committed: after a kill before
    /// its first commit, a worker must not begin with later records.
    pub(super) is_new: bool,
    /// The metadata of the group's offset. `None`: an operator or an earlier version of this
    /// program has committed it, or there is none.
    pub(super) metadata: Option<OffsetMetadata>,
}

impl PartitionRange {
    /// The metadata of the first committed offset.
    pub(super) fn first_metadata(&self) -> OffsetMetadata {
        OffsetMetadata {
            topic_id: self.topic_id.to_string(),
            states: 0,
        }
    }
}

/// The id of the topic of frames.
fn current_topic_id(
    consumer: &GroupMember,
    topic: &str,
    timeout: Duration,
) -> Result<Arc<str>, ClientError> {
    match topic_id(consumer.client(), topic, timeout)? {
        TopicState::Known(id) => Ok(id.as_str().into()),
        TopicState::Missing => Err(ClientError::MetadataFetch(
            RDKafkaErrorCode::UnknownTopicOrPartition,
        )),
    }
}

/// Whether the topic of frames is gone, or has another id than one of these.
pub(super) fn is_recreated<S: AsRef<str>>(
    consumer: &GroupMember,
    topic: &str,
    known: impl IntoIterator<Item = S>,
    timeout: Duration,
) -> Result<bool, ClientError> {
    match current_topic_id(consumer, topic, timeout) {
        Ok(id) => Ok(known.into_iter().any(|known| known.as_ref() != &*id)),
        Err(ClientError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition)) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Asks where partitions begin: at the group's offset, or at the setting `from`. `on_gap` receives
/// lost records.
pub(super) fn ranges(
    consumer: &GroupMember,
    settings: &WorkerSettings,
    partitions: &[i32],
    stop: &Stop,
    mut on_gap: impl FnMut(Gap) -> Result<(), KafkaError>,
) -> Result<Vec<PartitionRange>, KafkaError> {
    let topic = &settings.broker.topic;
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let topic_id = retry_request(START_TIMEOUT, stop, "ask for the topic's id", || {
        current_topic_id(consumer, topic, BROKER_TIMEOUT)
    })?;
    let mut wanted = TopicPartitionList::new();
    partitions.iter().for_each(|id| {
        wanted.add_partition(topic, *id);
    });
    let committed = retry_request(START_TIMEOUT, stop, "ask for the group's offsets", || {
        consumer.committed_offsets(wanted.clone(), BROKER_TIMEOUT)
    })?;
    let mut ranges = Vec::new();
    for element in committed.elements() {
        let partition = element.partition();
        let (low, end) = watermarks(consumer, topic, partition, stop)?;
        let metadata = element.metadata().parse::<OffsetMetadata>().ok();
        let is_of_other = |m: &OffsetMetadata| *m.topic_id != *topic_id;
        let (gap, start, is_new) = match element.offset() {
            Offset::Offset(offset) if metadata.as_ref().is_some_and(is_of_other) => {
                (Some(Gap::Recreated { partition, offset }), low, true)
            }
            Offset::Offset(offset) if offset < low => {
                let gap = Gap::Removed {
                    partition,
                    from: offset,
                    lost: (low - offset).unsigned_abs(),
                };
                (Some(gap), low, true)
            }
            Offset::Offset(offset) if offset > end => {
                let gap = Gap::Beyond {
                    partition,
                    offset,
                    end,
                };
                (Some(gap), low, true)
            }
            Offset::Offset(offset) => (None, offset, false),
            _ => {
                let start = beginning(consumer, settings, partition, low, end, stop)?;
                (None, start, true)
            }
        };
        if let Some(gap) = gap {
            on_gap(gap)?;
        }
        ranges.push(PartitionRange {
            partition,
            topic_id: topic_id.clone(),
            start,
            end,
            is_new,
            metadata: metadata.filter(|_| !is_new),
        });
    }
    Ok(ranges)
}

/// The oldest offset of a partition, and the offset after its last record.
pub(super) fn watermarks(
    consumer: &GroupMember,
    topic: &str,
    partition: i32,
    stop: &Stop,
) -> Result<(i64, i64), KafkaError> {
    retry_request(START_TIMEOUT, stop, "ask where partitions begin", || {
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
            let found = retry_request(START_TIMEOUT, stop, "look for a time", || {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_reads_back_as_it_prints_and_other_texts_are_none() {
        let metadata = OffsetMetadata {
            topic_id: "a+/b".to_owned(),
            states: 12,
        };
        assert_eq!(metadata.to_string().parse(), Ok(metadata));
        for other in [
            "",
            "by hand",
            "mattebox/2 topic=x",
            "mattebox/3 topic=x states=1",
        ] {
            assert!(other.parse::<OffsetMetadata>().is_err(), "{other}");
        }
    }
}
