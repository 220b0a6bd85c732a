//! A producer whose records and offsets are published together or not at all.
use super::consumer_events::GroupMember;
use super::deliveries::{self, Delivered, ResultDeliveries, UNNUMBERED};
use crate::{KafkaError, client::OnDelivery};
use mattebox_engine::stop::Stop;
use rdkafka::{
    ClientConfig, TopicPartitionList,
    consumer::Consumer,
    error::{KafkaError as ClientError, KafkaResult},
    message::ToBytes,
    producer::{BaseProducer, BaseRecord, Producer},
};
use std::{
    panic::resume_unwind,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// How long one step of a transaction may take before it is retried.
pub(super) const BROKER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one try to initialize transactions takes.
const INIT_TIMEOUT: Duration = Duration::from_secs(4);
/// How long one poll for answers takes while a transaction is aborted.
const ANSWER_INTERVAL: Duration = Duration::from_millis(20);
/// How long a broker that answers may take to initialize transactions.
const START_TIMEOUT: Duration = Duration::from_secs(14);

/// The result of a transaction.
#[derive(Debug)]
pub(super) enum Transaction {
    /// It is committed.
    Done,
    /// It could not be committed; readers see nothing of it, and it can be retried.
    Again(ClientError),
    /// No producer can go on.
    Lost(ClientError),
}

/// The producer.
pub(super) struct TransactionalProducer {
    producer: BaseProducer<OnDelivery<usize>>,
    deliveries: ResultDeliveries,
    config: ClientConfig,
    member: Arc<GroupMember>,
    /// Ends the wait for a new producer.
    stop: Stop,
}

impl TransactionalProducer {
    /// Creates a producer, which aborts the open transaction of an earlier one of the same name.
    /// `stop` ends this wait for the broker, `abort` later ones.
    pub(super) fn open(
        config: ClientConfig,
        member: Arc<GroupMember>,
        stop: &Stop,
        abort: Stop,
    ) -> Result<Self, KafkaError> {
        let deliveries = ResultDeliveries::default();
        Ok(TransactionalProducer {
            producer: producer(&config, &deliveries, START_TIMEOUT, stop)?,
            deliveries,
            config,
            member,
            stop: abort,
        })
    }

    /// Publishes the records that `publish` sends and commits the offsets that it returns.
    pub(super) fn run(
        &mut self,
        publish: impl FnOnce(&Self) -> KafkaResult<TopicPartitionList>,
    ) -> Transaction {
        match self.publish(publish) {
            Ok(()) => Transaction::Done,
            Err(error) => self.abort(error),
        }
    }

    fn publish(
        &self,
        publish: impl FnOnce(&Self) -> KafkaResult<TopicPartitionList>,
    ) -> KafkaResult<()> {
        self.producer.begin_transaction()?;
        let offsets = publish(self)?;
        let group = self
            .member
            .group_metadata()
            .ok_or(ClientError::ClientConfig(
                rdkafka::types::RDKafkaConfRes::RD_KAFKA_CONF_INVALID,
                "no group".to_owned(),
                "group.id".to_owned(),
                String::new(),
            ))?;
        self.producer
            .send_offsets_to_transaction(&offsets, &group, BROKER_TIMEOUT)?;
        self.producer.commit_transaction(BROKER_TIMEOUT)
    }

    /// Sends a record within a transaction.
    pub(super) fn send<K: ToBytes + ?Sized, P: ToBytes + ?Sized>(
        &self,
        record: BaseRecord<'_, K, P>,
    ) -> KafkaResult<()> {
        self.send_numbered(record, UNNUMBERED)
    }

    /// Sends a record within a transaction. [`TransactionalProducer::delivered`] returns its
    /// offset.
    pub(super) fn send_numbered<K: ToBytes + ?Sized, P: ToBytes + ?Sized>(
        &self,
        plain: BaseRecord<'_, K, P>,
        number: usize,
    ) -> KafkaResult<()> {
        let mut record = BaseRecord::with_opaque_to(plain.topic, number);
        record.partition = plain.partition;
        record.payload = plain.payload;
        record.key = plain.key;
        record.timestamp = plain.timestamp;
        record.headers = plain.headers;
        deliveries::send(&self.producer, record, BROKER_TIMEOUT)
    }

    /// The offsets of the numbered records of the last transaction.
    pub(super) fn delivered(&self) -> Vec<Delivered> {
        let deadline = Instant::now() + INIT_TIMEOUT;
        while self.producer.in_flight_count() > 0 && Instant::now() < deadline {
            self.producer.poll(ANSWER_INTERVAL);
        }
        self.deliveries.take()
    }

    /// Aborts a failed transaction. A producer that is broken for good is replaced by a new one,
    /// which aborts the old one's open transaction.
    fn abort(&mut self, error: ClientError) -> Transaction {
        if let ClientError::Transaction(inner) = &error
            && inner.is_retriable()
            && !inner.txn_requires_abort()
            && self.producer.commit_transaction(BROKER_TIMEOUT).is_ok()
        {
            // A commit whose answer came too late has gone on.
            return Transaction::Done;
        }
        let begun = Instant::now();
        while self.producer.client().fatal_error().is_none() && begun.elapsed() < 3 * BROKER_TIMEOUT
        {
            match self.try_to_abort() {
                Ok(()) => return Transaction::Again(error),
                Err(ClientError::Transaction(inner)) if inner.is_retriable() => {
                    tracing::debug!("a transaction cannot be aborted yet: {inner}");
                }
                Err(problem) => {
                    tracing::debug!("a transaction cannot be aborted: {problem}");
                    break;
                }
            }
        }
        match producer(
            &self.config,
            &self.deliveries,
            3 * BROKER_TIMEOUT,
            &self.stop,
        ) {
            Ok(fresh) => {
                self.producer = fresh;
                Transaction::Again(error)
            }
            // The broker is away for longer than one step.
            Err(KafkaError::NoTransactions(ClientError::Transaction(inner)))
                if inner.is_retriable() =>
            {
                Transaction::Again(error)
            }
            Err(_) => Transaction::Lost(error),
        }
    }

    /// Aborts the open transaction. librdkafka waits until the report of each dropped record is
    /// polled, so this thread polls meanwhile.
    fn try_to_abort(&self) -> KafkaResult<()> {
        thread::scope(|scope| {
            let aborted = scope.spawn(|| self.producer.abort_transaction(BROKER_TIMEOUT));
            while !aborted.is_finished() {
                self.producer.poll(ANSWER_INTERVAL);
            }
            aborted.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }
}

/// A producer whose transactions can begin.
fn producer(
    config: &ClientConfig,
    deliveries: &ResultDeliveries,
    timeout: Duration,
    stop: &Stop,
) -> Result<BaseProducer<OnDelivery<usize>>, KafkaError> {
    let producer: BaseProducer<OnDelivery<usize>> = config
        .create_with_context(deliveries.context())
        .map_err(KafkaError::Settings)?;
    let begun = Instant::now();
    while let Err(error) = producer.init_transactions(INIT_TIMEOUT) {
        if stop.is_stopped() {
            return Err(KafkaError::Stopped);
        }
        if begun.elapsed() + INIT_TIMEOUT > timeout {
            return Err(KafkaError::NoTransactions(error));
        }
        tracing::debug!("transactions cannot begin yet: {error}");
    }
    Ok(producer)
}
