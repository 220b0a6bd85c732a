//! Counts the frames that the broker has acknowledged, and the frames that it refused.
use super::{events::FramePublished, shared::PublisherContext};
use crate::{
    client::{self, LastFailure},
    reason,
};
use mattebox_engine::{
    events::{Event, FrameDropped, FrameFailed},
    metrics::DropReason,
    trace::Span,
    troubles::Cause,
};
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

/// A frame in librdkafka's queue.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) camera: usize,
    pub(super) number: u64,
    pub(super) taken: Instant,
    /// Its bytes are the source's own.
    pub(super) is_passed_through: bool,
    /// The spans of the frame and of its sending.
    pub(super) whole: Span,
    pub(super) span: Span,
}

/// Counts librdkafka's reports, on librdkafka's thread.
pub(super) struct PublishDeliveries {
    pub(super) shared: Arc<PublisherContext>,
    pub(super) failure: LastFailure,
}

impl ClientContext for PublishDeliveries {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        client::log(level, fac, message);
        self.failure.note(fac, message);
    }

    fn error(&self, error: ClientError, reason: &str) {
        tracing::debug!("kafka: {error}: {reason}");
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            let why = reason::why(&self.failure.words().unwrap_or_default());
            let bootstrap = &self.shared.bootstrap;
            let what = format!(
                "the broker at {bootstrap} does not answer: {why}; frames wait, and the newest are \
                 kept"
            );
            self.shared.troubles.note(Cause::Broker, &what);
        }
    }

    fn stats(&self, _: Statistics) {}
}

impl ProducerContext<NoCustomPartitioner> for PublishDeliveries {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        let known = &self.shared.cameras[sent.camera];
        let counters = &known.counters;
        let troubles = &self.shared.troubles;
        match result {
            Ok(message) => {
                FramePublished {
                    counters,
                    span: &sent.whole,
                    number: sent.number,
                    bytes: message.payload_len(),
                    captured: sent.taken,
                    is_passed_through: sent.is_passed_through,
                }
                .emit();
                sent.span.place(message.partition(), message.offset());
                counters
                    .streak
                    .came_through(known.camera.as_str(), troubles);
                troubles.over(Cause::Broker);
                troubles.over(Cause::Topic);
            }
            Err((error, _)) => {
                sent.span.fail(error.to_string());
                self.shared.refused(sent.camera, &sent.whole, error);
            }
        }
        self.shared
            .queues
            .done(self.shared.cameras[sent.camera].queue);
    }
}

impl PublisherContext {
    /// Counts a frame that is not published, and logs a new reason.
    pub(super) fn refused(&self, camera: usize, span: &Span, error: &ClientError) {
        let known = &self.cameras[camera];
        let code = error.rdkafka_error_code();
        if matches!(
            code,
            Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)
        ) {
            return FrameDropped {
                frames: &known.counters.frames,
                span,
                reason: DropReason::Stopped,
            }
            .emit();
        }
        let words = reason::words(error);
        let what = format!("frames are not published to topic {}: {words}", self.topic);
        FrameFailed {
            frames: &known.counters.frames,
            frame: None,
            span: Some(span),
            problem: &what,
            needs_action: false,
        }
        .emit();
        let why = format!("refused ({words})");
        self.lost(camera, &why);
        let is_gone = matches!(
            code,
            Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition)
        );
        if is_gone {
            self.is_topic_gone.store(true, Relaxed);
        }
        if is_gone || reason::is_denied(error) {
            // No camera's frames arrive in the topic.
            return self.troubles.note(Cause::Topic, &what);
        }
        let mut logged = known
            .counters
            .refusal
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if logged.as_ref() != Some(&what) {
            tracing::error!(camera = %known.camera, "{what}");
            *logged = Some(what);
        }
    }

    /// A frame of a camera is lost. `why` completes "each of the last frames is ...".
    pub(super) fn lost(&self, camera: usize, why: &str) {
        let known = &self.cameras[camera];
        let streak = &known.counters.streak;
        streak.lost(known.camera.as_str(), why, &self.troubles);
    }
}
