//! Looking at dead letters, and sending them again.
use super::{
    KafkaError,
    client::{self, Context},
    letters, topics,
};
use crate::{config::letters::LettersSettings, stop::Stop};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    admin::AdminClient,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::KafkaError as ClientError,
    message::{Headers, OwnedMessage},
    producer::{BaseProducer, BaseRecord, Producer},
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How long the broker may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// A dead letter.
#[derive(Debug)]
pub struct Found {
    /// As it lies there.
    pub record: OwnedMessage,
}

impl Found {
    /// A header as text; empty where it is missing.
    pub fn header(&self, name: &str) -> String {
        let headers = self.record.headers().into_iter().flat_map(Headers::iter);
        let value = headers.filter(|h| h.key == name).filter_map(|h| h.value).last();
        value.map(|v| String::from_utf8_lossy(v).into_owned()).unwrap_or_default()
    }

    /// Its key as text, as far as it is one.
    pub fn key(&self) -> String {
        self.record.key().map(|key| String::from_utf8_lossy(key).into_owned()).unwrap_or_default()
    }

    /// Where it lies: `PARTITION:OFFSET`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.record.partition(), self.record.offset())
    }
}

/// The dead letters of a topic.
pub struct DeadLetters {
    settings: LettersSettings,
    admin: AdminClient<Context>,
    dead: String,
}

impl DeadLetters {
    /// Connects to the broker.
    pub fn open(settings: LettersSettings) -> Result<Self, KafkaError> {
        let admin = client::connect(&settings.broker, settings.connect_timeout, &Stop::new())?;
        let dead = letters::topic(&settings.broker.topic);
        Ok(DeadLetters { settings, admin, dead })
    }

    /// The topic where they lie.
    pub fn topic(&self) -> &str {
        &self.dead
    }

    fn consumer(&self) -> Result<BaseConsumer, KafkaError> {
        let group = format!("mattebox-redrive-{}", self.settings.broker.topic);
        let ours = [("group.id", group.as_str()), ("enable.auto.commit", "false"), ("enable.partition.eof", "true")];
        self.settings.broker.client(&ours).create().map_err(KafkaError::Settings)
    }

    /// Reads all letters that are there, in the order of their partitions, and passes each to `look`. With `only_new` those that were sent again
    /// are left out.
    pub fn read(&self, only_new: bool, mut look: impl FnMut(Found) -> Result<(), KafkaError>) -> Result<(), KafkaError> {
        let cannot = || KafkaError::client(format!("read {}", self.dead));
        let Some(count) = topics::partitions(&self.admin, &self.dead)? else { return Ok(()) };
        let consumer = self.consumer()?;
        let done = if only_new { self.sent_before(&consumer, count)? } else { BTreeMap::new() };
        for partition in 0..count {
            let (low, high) = consumer.fetch_watermarks(&self.dead, partition, PATIENCE).map_err(cannot())?;
            let start = low.max(done.get(&partition).copied().unwrap_or(low));
            if start >= high {
                continue;
            }
            let mut place = TopicPartitionList::new();
            place.add_partition_offset(&self.dead, partition, Offset::Offset(start)).map_err(cannot())?;
            consumer.assign(&place).map_err(cannot())?;
            let mut heard = Instant::now();
            loop {
                match consumer.poll(Duration::from_millis(200)) {
                    Some(Ok(message)) => {
                        heard = Instant::now();
                        let (offset, record) = (message.offset(), message.detach());
                        if offset < high {
                            look(Found { record })?;
                        }
                        if offset + 1 >= high {
                            break;
                        }
                    }
                    Some(Err(ClientError::PartitionEOF(_))) => break,
                    Some(Err(error)) => return Err(cannot()(error)),
                    None if heard.elapsed() > PATIENCE => {
                        let problem = format!("partition {partition} gave nothing for {} s", PATIENCE.as_secs());
                        return Err(KafkaError::Topic { topic: self.dead.clone(), problem });
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }

    fn sent_before(&self, consumer: &BaseConsumer, count: i32) -> Result<BTreeMap<i32, i64>, KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.dead, 0, count - 1);
        let found = consumer.committed_offsets(list, PATIENCE).map_err(KafkaError::client("ask what was sent again"))?;
        let offset = |e: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match e.offset() {
            Offset::Offset(offset) => Some((e.partition(), offset)),
            _ => None,
        };
        Ok(found.elements().iter().filter_map(offset).collect())
    }

    /// Sends letters again, as they were: key, value and headers. Returns how many were sent, and how many cannot be because their value was
    /// left out. Where all are `wanted`, how far it went is recorded, so that the next time only newer ones are sent.
    pub fn redrive(&self, wanted: Option<&dyn Fn(&Found) -> bool>, dry_run: bool) -> Result<(u64, u64), KafkaError> {
        let config = self.settings.broker.client(&[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("message.max.bytes", "104857600"),
            ("partitioner", "murmur2_random"),
        ]);
        let producer: BaseProducer<Context> = config.create_with_context(Context::default()).map_err(KafkaError::Settings)?;
        let (mut sent, mut without_value, mut ends) = (0, 0, BTreeMap::new());
        self.read(true, |found| {
            let place = (found.record.partition(), found.record.offset());
            if wanted.is_none_or(|wanted| wanted(&found)) {
                if found.header(letters::LEFT_OUT).is_empty() {
                    sent += 1;
                    if !dry_run {
                        self.send(&producer, &found)?;
                    }
                } else {
                    without_value += 1;
                }
            }
            ends.insert(place.0, place.1 + 1);
            Ok(())
        })?;
        producer.flush(PATIENCE).map_err(KafkaError::client("send letters again"))?;
        if dry_run || ends.is_empty() || wanted.is_some() {
            return Ok((sent, without_value));
        }
        let consumer = self.consumer()?;
        let mut offsets = TopicPartitionList::new();
        for (partition, end) in ends {
            let added = offsets.add_partition_offset(&self.dead, partition, Offset::Offset(end));
            added.map_err(KafkaError::client("record what was sent again"))?;
        }
        consumer.commit(&offsets, CommitMode::Sync).map_err(KafkaError::client("record what was sent again"))?;
        Ok((sent, without_value))
    }

    fn send(&self, producer: &BaseProducer<Context>, found: &Found) -> Result<(), KafkaError> {
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.settings.broker.topic);
        (record.key, record.payload) = (found.record.key(), found.record.payload());
        record = record.headers(letters::original(found.record.headers()));
        loop {
            match producer.send(record) {
                Ok(()) => {
                    producer.poll(Duration::ZERO);
                    return Ok(());
                }
                Err((ClientError::MessageProduction(rdkafka::types::RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    producer.poll(Duration::from_millis(50));
                }
                Err((error, _)) => return Err(KafkaError::client(format!("send letter {} again", found.place()))(error)),
            }
        }
    }
}
