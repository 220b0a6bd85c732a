//! What the broker answers: each frame that it has, and each that it refuses.
use super::shared::Shared;
use crate::client;
use mattebox_engine::trace::Span;
use rdkafka::{
    ClientContext, Message, Statistics,
    config::RDKafkaLogLevel,
    error::{KafkaError as ClientError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{NoCustomPartitioner, ProducerContext},
};
use std::{
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
    time::Instant,
};

/// A frame that the client has.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) camera: usize,
    pub(super) number: u64,
    pub(super) taken: Instant,
    /// Its bytes are those of the source.
    pub(super) as_it_was: bool,
    /// Its whole way, and the last part of it.
    pub(super) whole: Span,
    pub(super) span: Span,
}

/// Counts what the client reports, on the client's own thread.
pub(super) struct Deliveries {
    pub(super) shared: Arc<Shared>,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        client::log(level, fac, message);
    }

    fn error(&self, error: ClientError, reason: &str) {
        tracing::debug!("kafka: {error}: {reason}");
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.shared.link.is_lost(reason);
        }
    }

    fn stats(&self, _: Statistics) {}
}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        let numbers = &self.shared.cameras[sent.camera].numbers;
        match result {
            Ok(message) => {
                numbers.published.fetch_add(1, Relaxed);
                numbers
                    .bytes
                    .fetch_add(message.payload_len() as u64, Relaxed);
                numbers
                    .passed_through
                    .fetch_add(u64::from(sent.as_it_was), Relaxed);
                numbers.acknowledged(sent.number);
                numbers.latency.add(sent.taken);
                sent.whole.became("published");
                sent.span.place(message.partition(), message.offset());
                self.shared.link.is_there();
            }
            Err((error, _)) => {
                sent.span.fail(error.to_string());
                self.shared.refused(sent.camera, error);
            }
        }
        self.shared
            .queues
            .done(self.shared.cameras[sent.camera].queue);
    }
}

impl Shared {
    /// Counts a frame that is not published, and says why, if that is news.
    pub(super) fn refused(&self, camera: usize, error: &ClientError) {
        let known = &self.cameras[camera];
        let code = error.rdkafka_error_code();
        if matches!(
            code,
            Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)
        ) {
            known.numbers.dropped_stopped.fetch_add(1, Relaxed);
            return;
        }
        known.numbers.failed.fetch_add(1, Relaxed);
        let text = code.map_or_else(|| error.to_string(), |code| code.to_string());
        let mut said = known
            .numbers
            .refusal
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if said.as_ref() != Some(&text) {
            let remedy = match code {
                Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                    ": raise message.max.bytes of the topic, or make frames smaller: --max-width, --jpeg-quality"
                }
                Some(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                    ": this user must be allowed to write to the topic"
                }
                Some(RDKafkaErrorCode::UnknownTopicOrPartition) => {
                    ": the topic is gone; it is made at the start only"
                }
                _ => "",
            };
            tracing::error!(camera = %known.camera, "a frame is not published ({text}){remedy}");
            *said = Some(text);
        }
    }
}
