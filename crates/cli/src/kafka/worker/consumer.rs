//! The consumer group's side: a consumer whose changes of partitions wait for the loop, and where each partition begins.
use super::numbers::Numbers;
use crate::{
    config::worker::{From, WorkerSettings},
    kafka::{
        KafkaError,
        client::{again, log},
    },
    stop::Stop,
};
use rdkafka::{
    ClientContext, Offset, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol},
    error::{KafkaError as ClientError, KafkaResult},
    types::RDKafkaRespErr,
};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

/// How long one question to the broker may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the broker may take in all to tell where a partition begins: a transaction of a worker that died may have to run out first.
const LONG_PATIENCE: Duration = Duration::from_secs(90);

/// What the group decided.
#[derive(Debug)]
pub(super) enum Change {
    /// These partitions are ours from now on.
    Assigned(Vec<i32>),
    /// These are to be given up.
    Revoked(Vec<i32>),
}

/// Notes what happens, for the loop to act upon: to give up a partition takes finishing and committing what is on its way.
pub(super) struct Consuming {
    changes: Mutex<VecDeque<Change>>,
    numbers: Arc<Numbers>,
    topic: String,
    /// The loop has ended: partitions are given up at once.
    pub(super) is_closing: AtomicBool,
}

impl Consuming {
    fn push(&self, change: Change) {
        self.changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(change);
    }

    /// The next thing that happened.
    pub(super) fn next_change(&self) -> Option<Change> {
        self.changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }
}

impl ClientContext for Consuming {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        log(level, fac, message);
    }

    fn error(&self, error: ClientError, reason: &str) {
        tracing::debug!("kafka: {error}: {reason}");
    }

    fn stats(&self, statistics: Statistics) {
        let Some(topic) = statistics.topics.get(&self.topic) else {
            return;
        };
        for (id, partition) in topic
            .partitions
            .iter()
            .filter(|(id, p)| **id >= 0 && p.hi_offset >= 0)
        {
            self.numbers
                .partition(*id)
                .end
                .store(partition.hi_offset, Relaxed);
        }
    }
}

impl ConsumerContext for Consuming {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        err: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let ids = partitions
            .elements()
            .iter()
            .map(|e| e.partition())
            .collect();
        match err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                self.push(Change::Assigned(ids))
            }
            _ if self.is_closing.load(Relaxed) => {
                let _ = unassign(consumer, partitions);
            }
            _ => self.push(Change::Revoked(ids)),
        }
    }

    fn main_queue_min_poll_interval(&self) -> rdkafka::util::Timeout {
        Duration::from_millis(100).into()
    }
}

/// A member of the group, subscribed.
pub(super) fn subscribe(
    settings: &WorkerSettings,
    numbers: &Arc<Numbers>,
) -> Result<BaseConsumer<Consuming>, KafkaError> {
    let context = Consuming {
        changes: Mutex::default(),
        numbers: numbers.clone(),
        topic: settings.broker.topic.clone(),
        is_closing: AtomicBool::new(false),
    };
    let mut ours = vec![
        ("group.id", settings.group.as_str()),
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("auto.offset.reset", "earliest"),
        ("enable.partition.eof", "true"),
        // A worker that was killed is missed after this time, and its partitions go to the others.
        ("session.timeout.ms", "10000"),
        ("heartbeat.interval.ms", "2000"),
        // What waits in the client is bounded in bytes, not in records.
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
    let consumer: BaseConsumer<Consuming> = settings
        .broker
        .client(&ours)
        .create_with_context(context)
        .map_err(KafkaError::Settings)?;
    consumer
        .subscribe(&[&settings.broker.topic])
        .map_err(KafkaError::client("subscribe"))?;
    Ok(consumer)
}

/// Where a partition begins and ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) partition: i32,
    pub(super) start: i64,
    /// The offset behind the last record that is there now.
    pub(super) end: i64,
    /// The group had no offset for it, so that the start has to be recorded: a worker that is killed before its first commit must not
    /// begin with what comes next then.
    pub(super) is_new: bool,
}

/// Finds out where partitions begin: where the group was, or where the settings say.
pub(super) fn spans(
    consumer: &BaseConsumer<Consuming>,
    settings: &WorkerSettings,
    partitions: &[i32],
    stop: &Stop,
) -> Result<Vec<Span>, KafkaError> {
    let topic = &settings.broker.topic;
    let mut wanted = TopicPartitionList::new();
    partitions.iter().for_each(|id| {
        wanted.add_partition(topic, *id);
    });
    let committed = again(LONG_PATIENCE, stop, "ask for the group's offsets", || {
        consumer.committed_offsets(wanted.clone(), PATIENCE)
    })?;
    let mut spans = Vec::new();
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
        spans.push(Span {
            partition,
            start,
            end,
            is_new,
        });
    }
    Ok(spans)
}

/// The oldest offset of a partition, and the offset behind its last record.
pub(super) fn watermarks(
    consumer: &BaseConsumer<Consuming>,
    topic: &str,
    partition: i32,
    stop: &Stop,
) -> Result<(i64, i64), KafkaError> {
    again(LONG_PATIENCE, stop, "ask where partitions begin", || {
        consumer.fetch_watermarks(topic, partition, PATIENCE)
    })
}

fn beginning(
    consumer: &BaseConsumer<Consuming>,
    settings: &WorkerSettings,
    partition: i32,
    low: i64,
    end: i64,
    stop: &Stop,
) -> Result<i64, KafkaError> {
    match settings.from {
        From::Earliest => Ok(low),
        From::Latest => Ok(end),
        From::Time(ms) => {
            let mut at = TopicPartitionList::new();
            let topic = &settings.broker.topic;
            at.add_partition_offset(topic, partition, Offset::Offset(ms))
                .map_err(KafkaError::client("set a time"))?;
            let found = again(LONG_PATIENCE, stop, "look for a time", || {
                consumer.offsets_for_times(at.clone(), PATIENCE)
            })?;
            Ok(match found.elements().first().map(|e| e.offset()) {
                Some(Offset::Offset(offset)) => offset,
                _ => end,
            })
        }
    }
}

/// Partitions and offsets of a list, where they are known and there was no error.
pub(super) fn places(list: &TopicPartitionList) -> Vec<(i32, i64)> {
    let elements = list.elements();
    let place = elements
        .iter()
        .filter_map(|e| match (e.error(), e.offset()) {
            (Ok(()), Offset::Offset(offset)) => Some((e.partition(), offset)),
            _ => None,
        });
    place.collect()
}

/// Takes partitions.
pub(super) fn assign<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(list),
        _ => consumer.assign(list),
    }
}

/// Gives partitions up.
pub(super) fn unassign<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
        _ => consumer.unassign(),
    }
}
