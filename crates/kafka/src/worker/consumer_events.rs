//! librdkafka's callbacks of a consumer: rebalances, statistics, errors.
use super::counters::WorkerCounters;
use crate::client::{LastFailure, log};
use mattebox_engine::troubles::Cause;
use rdkafka::{
    ClientContext, Statistics, TopicPartitionList,
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

/// librdkafka's consumer.
pub(super) type GroupMember = BaseConsumer<ConsumerEvents>;

/// A decision of the group.
#[derive(Debug)]
pub(super) enum Rebalance {
    /// These partitions are assigned to this worker.
    Assigned(Vec<i32>),
    /// These partitions are revoked.
    Revoked(Vec<i32>),
}

/// Keeps rebalances for the main loop, which finishes and commits the frames in flight before it
/// accepts a revocation. librdkafka calls this within `poll`, on the thread of the main loop.
pub(super) struct ConsumerEvents {
    counters: Arc<WorkerCounters>,
    failure: LastFailure,
    topic: String,
    rebalances: Mutex<VecDeque<Rebalance>>,
    /// `poll` has called this, so the queue may hold more although `poll` returned nothing.
    was_called: AtomicBool,
    /// The main loop has ended: revocations are accepted at once.
    is_closing: AtomicBool,
}

impl ConsumerEvents {
    pub(super) fn new(topic: String, counters: Arc<WorkerCounters>) -> Self {
        ConsumerEvents {
            counters,
            failure: LastFailure::default(),
            topic,
            rebalances: Mutex::default(),
            was_called: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
        }
    }

    /// The oldest rebalance that the main loop has not followed.
    pub(super) fn next_rebalance(&self) -> Option<Rebalance> {
        self.rebalances
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }

    /// Whether a rebalance waits for the main loop.
    pub(super) fn has_rebalance(&self) -> bool {
        !self
            .rebalances
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// Why the last connection failed, in librdkafka's words.
    pub(super) fn last_failure(&self) -> Option<String> {
        self.failure.words()
    }

    /// Whether librdkafka has called since this function was last called.
    pub(super) fn take_called(&self) -> bool {
        self.was_called.swap(false, Relaxed)
    }

    /// From now on revocations are accepted at once.
    pub(super) fn close(&self) {
        self.is_closing.store(true, Relaxed);
    }

    fn push(&self, rebalance: Rebalance) {
        self.rebalances
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(rebalance);
    }
}

impl ClientContext for ConsumerEvents {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        log(level, fac, message);
        self.failure.note(fac, message);
    }

    fn error(&self, error: ClientError, reason: &str) {
        tracing::debug!("kafka: {error}: {reason}");
    }

    fn stats(&self, statistics: Statistics) {
        self.was_called.store(true, Relaxed);
        let mut brokers = statistics.brokers.values();
        if brokers.any(|broker| broker.nodeid >= 0 && broker.state == "UP") {
            self.counters.troubles.over(Cause::Broker);
        }
        let Some(topic) = statistics.topics.get(&self.topic) else {
            return;
        };
        for (id, partition) in topic
            .partitions
            .iter()
            .filter(|(id, p)| **id >= 0 && p.hi_offset >= 0)
        {
            self.counters
                .partition(*id)
                .end
                .store(partition.hi_offset, Relaxed);
        }
    }
}

impl ConsumerContext for ConsumerEvents {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        err: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        self.was_called.store(true, Relaxed);
        let ids = partitions
            .elements()
            .iter()
            .map(|e| e.partition())
            .collect();
        match err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                self.push(Rebalance::Assigned(ids))
            }
            _ if self.is_closing.load(Relaxed) => {
                let _ = unassign(consumer, partitions);
            }
            _ => self.push(Rebalance::Revoked(ids)),
        }
    }

    fn commit_callback(&self, _: KafkaResult<()>, _: &TopicPartitionList) {
        self.was_called.store(true, Relaxed);
    }

    fn main_queue_min_poll_interval(&self) -> rdkafka::util::Timeout {
        Duration::from_millis(100).into()
    }
}

/// Accepts a revocation.
pub(super) fn unassign<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
        _ => consumer.unassign(),
    }
}
