//! Sends dead letters when results are files: each at once, and its record is done when the broker
//! has it.
use super::{
    job::{LogPosition, RejectedRecord},
    loop_event::LoopEvent,
    shared::WorkerContext,
};
use crate::{
    KafkaError,
    client::{Context, OnDelivery},
    dead_letter_record, topics,
};
use mattebox_wire::DeadLetter;
use rdkafka::{
    Message,
    admin::AdminClient,
    producer::{BaseRecord, ThreadedProducer},
};
use std::{collections::HashMap, sync::Arc};

/// The producer of dead letters, and the dead letters in flight.
pub(super) struct DeadLetterProducer {
    admin: Arc<AdminClient<Context>>,
    producer: ThreadedProducer<OnDelivery<Box<LogPosition>>>,
    frames: String,
    dead: String,
    /// The largest value that the topic accepts, once the topic is known to exist.
    max_bytes: Option<usize>,
    /// By partition and offset.
    sent: HashMap<(i32, i64), RejectedRecord>,
}

impl DeadLetterProducer {
    pub(super) fn open(
        admin: Arc<AdminClient<Context>>,
        shared: &WorkerContext,
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
            .create_with_context(OnDelivery::new({
                let events = shared.events.clone();
                move |position: Box<LogPosition>, answer| {
                    // After the end of the main loop its channel is closed.
                    let _ = events.send(LoopEvent::DeadLetterAnswered {
                        position: *position,
                        failed: answer.err().map(|error| error.to_string()),
                    });
                }
            }))
            .map_err(KafkaError::Settings)?;
        let frames = settings.broker.topic.clone();
        Ok(DeadLetterProducer {
            admin,
            producer,
            dead: dead_letter_record::topic(&frames),
            frames,
            max_bytes: None,
            sent: HashMap::new(),
        })
    }

    /// Sends a dead letter; the answer comes as [`LoopEvent::DeadLetterAnswered`].
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
        let (value, headers) =
            dead_letter_record::value_and_headers(&rejected.record, &reason, max);
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

    /// The record of a dead letter that the broker has answered. If the broker does not have it,
    /// its topic may be gone, and is created again before the next.
    pub(super) fn answered(
        &mut self,
        position: LogPosition,
        has_arrived: bool,
    ) -> Option<RejectedRecord> {
        if !has_arrived {
            self.max_bytes = None;
        }
        self.sent.remove(&(position.partition, position.offset))
    }

    /// Forgets a revoked partition.
    pub(super) fn forget(&mut self, partition: i32) {
        self.sent.retain(|(id, _), _| *id != partition);
    }
}
