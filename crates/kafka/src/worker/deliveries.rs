//! Sends numbered records, and collects the offsets of the records that the broker has.
use crate::client::OnDelivery;
use rdkafka::{
    error::{KafkaError as ClientError, KafkaResult, RDKafkaErrorCode},
    message::ToBytes,
    producer::{BaseProducer, BaseRecord, Producer},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How long the request for a topic's partitions may take.
const METADATA_TIMEOUT: Duration = Duration::from_secs(5);
/// The wait before another try.
const PAUSE: Duration = Duration::from_millis(20);

/// The number of records whose offset is not needed.
pub(super) const UNNUMBERED: usize = usize::MAX;

/// A record's number and its offset, or why the broker does not have it.
pub(super) type Delivered = (usize, Result<i64, ClientError>);

/// Collects the broker's answers.
#[derive(Clone, Default)]
pub(super) struct ResultDeliveries(Arc<Mutex<Vec<Delivered>>>);

impl ResultDeliveries {
    /// The context of a producer whose answers are collected here.
    pub(super) fn context(&self) -> OnDelivery<usize> {
        let answers = self.0.clone();
        OnDelivery::new(move |number, answer| {
            if number != UNNUMBERED {
                let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                answers.push((number, answer));
            }
        })
    }

    /// The answers since the last call.
    pub(super) fn take(&self) -> Vec<Delivered> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Sends a record. Waits if the client's queue is full, and asks the broker for the topic's
/// partitions if the client does not know the record's: it may be a new one.
pub(super) fn send<K: ToBytes + ?Sized, P: ToBytes + ?Sized>(
    producer: &BaseProducer<OnDelivery<usize>>,
    mut record: BaseRecord<'_, K, P, usize>,
    timeout: Duration,
) -> KafkaResult<()> {
    let begun = Instant::now();
    loop {
        let (error, unsent) = match producer.send(record) {
            Ok(()) => return Ok(()),
            Err(failed) => failed,
        };
        record = unsent;
        if begun.elapsed() >= timeout {
            return Err(error);
        }
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => {
                producer.poll(PAUSE);
            }
            Some(RDKafkaErrorCode::UnknownPartition) => {
                let client = producer.client();
                client.fetch_metadata(Some(record.topic), METADATA_TIMEOUT)?;
                thread::sleep(PAUSE);
            }
            _ => return Err(error),
        }
    }
}
