//! Dead letters beside files: sent at once, and a record is done only when the broker has its letter.
use super::{
    hand::Shop,
    job::{Event, Ticket},
    partition::Letter,
};
use crate::{
    config::worker::WorkerSettings,
    kafka::{
        KafkaError,
        client::{Context, log},
        letters, topics,
    },
};
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

/// Passes the broker's answers to the loop.
struct Posting(Arc<Shop>);

impl ClientContext for Posting {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        log(level, fac, message);
    }

    fn error(&self, error: ClientError, reason: &str) {
        tracing::debug!("kafka: {error}: {reason}");
    }
}

impl ProducerContext for Posting {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let failed = result.as_ref().err().map(|(error, _)| error.to_string());
        self.0.lanes.tell(Event::Letter {
            ticket: *ticket,
            failed,
        });
    }
}

/// The producer of dead letters, and those that are on their way.
pub(super) struct Post {
    producer: ThreadedProducer<Posting>,
    frames: String,
    dead: String,
    /// The largest value that the topic takes, once it is known to be there.
    max_bytes: Option<usize>,
    sent: HashMap<(i32, i64), Letter>,
}

impl Post {
    pub(super) fn open(settings: &WorkerSettings, shop: &Arc<Shop>) -> Result<Self, KafkaError> {
        let config = settings.broker.client(&[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("message.timeout.ms", "60000"),
            ("message.max.bytes", "104857600"),
            ("partitioner", "murmur2_random"),
            ("linger.ms", "5"),
        ]);
        let producer = config
            .create_with_context(Posting(shop.clone()))
            .map_err(KafkaError::Settings)?;
        let frames = settings.broker.topic.clone();
        Ok(Post {
            producer,
            dead: letters::topic(&frames),
            frames,
            max_bytes: None,
            sent: HashMap::new(),
        })
    }

    /// Sends a letter; the answer comes as [`Event::Letter`].
    pub(super) fn send(
        &mut self,
        admin: &AdminClient<Context>,
        ticket: Ticket,
        letter: &Letter,
    ) -> Result<(), KafkaError> {
        let max = match self.max_bytes {
            Some(max) => max,
            None => *self
                .max_bytes
                .insert(topics::ensure_dead(admin, &self.frames)?),
        };
        let reason = DeadLetter {
            code: letter.fault.code,
            message: &letter.fault.message,
            topic: &self.frames,
            partition: ticket.partition,
            offset: ticket.offset,
        };
        let value = letter.record.payload();
        let left_out = value.map(<[u8]>::len).filter(|bytes| *bytes > max);
        let mut record: BaseRecord<'_, [u8], [u8], Box<Ticket>> =
            BaseRecord::with_opaque_to(&self.dead, Box::new(ticket));
        record.key = letter.record.key();
        record.payload = value.filter(|_| left_out.is_none());
        record = record.headers(letters::headers(letter.record.headers(), &reason, left_out));
        self.producer
            .send(record)
            .map_err(|(error, _)| KafkaError::client("send a dead letter")(error))?;
        self.sent
            .insert((ticket.partition, ticket.offset), letter.clone());
        Ok(())
    }

    /// The letter that was answered for.
    pub(super) fn answered(&mut self, ticket: Ticket) -> Option<Letter> {
        self.sent.remove(&(ticket.partition, ticket.offset))
    }

    /// A partition is not ours any more.
    pub(super) fn forget(&mut self, partition: i32) {
        self.sent.retain(|(id, _), _| *id != partition);
    }
}
