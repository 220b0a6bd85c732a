//! Where the records of a producer lie, by numbers that the sender gives them.
use crate::client::log;
use rdkafka::{
    ClientContext, Message, config::RDKafkaLogLevel, error::KafkaError as ClientError,
    message::DeliveryResult, producer::ProducerContext,
};
use std::sync::{Mutex, PoisonError};

/// The number of records that nobody asks for.
pub(super) const UNNUMBERED: usize = usize::MAX;

/// The offset of a record, or why it is not there.
pub(super) type Delivered = (usize, Result<i64, ClientError>);

/// Collects the broker's answers.
#[derive(Default)]
pub(super) struct Deliveries(Mutex<Vec<Delivered>>);

impl Deliveries {
    /// The answers since the last call.
    pub(super) fn take(&self) -> Vec<Delivered> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        log(level, fac, message);
    }

    fn error(&self, error: ClientError, reason: &str) {
        tracing::debug!("kafka: {error}: {reason}");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        if number == UNNUMBERED {
            return;
        }
        let answer = match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => Err(error.clone()),
        };
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.push((number, answer));
    }
}
