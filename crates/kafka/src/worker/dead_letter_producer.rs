//! Dead letters beside files: each is sent at once, and its record is done when the broker has it.
use super::{
    event::Event,
    job::{LogPosition, RejectedRecord},
    shared::Shared,
};
use crate::{
    KafkaError,
    client::{Context, log},
    letters, topics,
};
use crossbeam_channel::Sender;
use mattebox_wire::DeadLetter;
use rdkafka::{
    ClientContext, Message,
    admin::AdminClient,
    config::RDKafkaLogLevel,
    error::KafkaError as ClientError,
    message::DeliveryResult,
    producer::{BaseRecord, ProducerContext, ThreadedProducer},
};
use std::{collections::HashMap, sync::Arc};

/// Passes the broker's answers to the main loop.
struct Answers(Sender<Event>);

impl ClientContext for Answers {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        log(level, fac, message);
    }

    fn error(&self, error: ClientError, reason: &str) {
        tracing::debug!("kafka: {error}: {reason}");
    }
}

impl ProducerContext for Answers {
    type DeliveryOpaque = Box<LogPosition>;

    fn delivery(&self, result: &DeliveryResult<'_>, position: Box<LogPosition>) {
        let failed = result.as_ref().err().map(|(error, _)| error.to_string());
        // After the main loop has ended its channel is closed.
        let _ = self.0.send(Event::DeadLetterAnswered {
            position: *position,
            failed,
        });
    }
}

/// The producer of dead letters, and those that are on their way.
pub(super) struct DeadLetterProducer {
    admin: Arc<AdminClient<Context>>,
    producer: ThreadedProducer<Answers>,
    frames: String,
    dead: String,
    /// The largest value that the topic takes, once it is known to be there.
    max_bytes: Option<usize>,
    /// By partition and offset.
    sent: HashMap<(i32, i64), RejectedRecord>,
}

impl DeadLetterProducer {
    pub(super) fn open(
        admin: Arc<AdminClient<Context>>,
        shared: &Shared,
    ) -> Result<Self, KafkaError> {
        let settings = &shared.settings;
        let config = settings.broker.client(&[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("message.timeout.ms", "60000"),
            ("message.max.bytes", "104857600"),
            ("partitioner", "murmur2_random"),
            ("linger.ms", "5"),
        ]);
        let producer = config
            .create_with_context(Answers(shared.events.clone()))
            .map_err(KafkaError::Settings)?;
        let frames = settings.broker.topic.clone();
        Ok(DeadLetterProducer {
            admin,
            producer,
            dead: letters::topic(&frames),
            frames,
            max_bytes: None,
            sent: HashMap::new(),
        })
    }

    /// Sends a dead letter; the answer comes as [`Event::DeadLetterAnswered`].
    pub(super) fn send(
        &mut self,
        position: LogPosition,
        rejected: &RejectedRecord,
    ) -> Result<(), KafkaError> {
        let max = match self.max_bytes {
            Some(max) => max,
            None => *self
                .max_bytes
                .insert(topics::ensure_dead(&self.admin, &self.frames)?),
        };
        let reason = DeadLetter {
            code: rejected.rejection.code,
            message: &rejected.rejection.message,
            topic: &self.frames,
            partition: position.partition,
            offset: position.offset,
        };
        let (value, headers) = letters::value_and_headers(&rejected.record, &reason, max);
        let mut record: BaseRecord<'_, [u8], [u8], Box<LogPosition>> =
            BaseRecord::with_opaque_to(&self.dead, Box::new(position));
        record.key = rejected.record.key();
        record.payload = value;
        record = record.headers(headers);
        self.producer
            .send(record)
            .map_err(|(error, _)| KafkaError::client("send a dead letter")(error))?;
        self.sent
            .insert((position.partition, position.offset), rejected.clone());
        Ok(())
    }

    /// The record of a dead letter that the broker has answered for.
    pub(super) fn answered(&mut self, position: LogPosition) -> Option<RejectedRecord> {
        self.sent.remove(&(position.partition, position.offset))
    }

    /// Forgets a partition that is given back.
    pub(super) fn forget(&mut self, partition: i32) {
        self.sent.retain(|(id, _), _| *id != partition);
    }
}
