//! Reads dead letters, and sends them again.
use super::{
    KafkaError,
    client::{self, Context},
    dead_letter_record, topics,
};
use crate::settings::DeadLetterSettings;
use mattebox_engine::stop::Stop;
use rdkafka::{
    ClientContext, Message, Offset, TopicPartitionList,
    admin::AdminClient,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError as ClientError, RDKafkaErrorCode},
    message::{DeliveryResult, Headers, OwnedMessage},
    producer::{BaseProducer, BaseRecord, Producer, ProducerContext},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::ControlFlow,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use thiserror::Error;

/// How long a partition may give no record before reading it fails.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the broker may take to confirm a dead letter: librdkafka's limit, and our longer wait
/// for its report.
const DELIVERY: (&str, Duration) = ("30000", Duration::from_secs(40));

/// The position of a dead letter in its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeadLetterPosition {
    /// The partition.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
}

impl fmt::Display for DeadLetterPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

/// A text that is no [`DeadLetterPosition`].
#[derive(Debug, Error)]
#[error("write PARTITION:OFFSET as the list does, for example 0:17")]
pub struct DeadLetterPositionError;

impl FromStr for DeadLetterPosition {
    type Err = DeadLetterPositionError;

    fn from_str(text: &str) -> Result<Self, DeadLetterPositionError> {
        let (partition, offset) = text.split_once(':').ok_or(DeadLetterPositionError)?;
        let place = DeadLetterPosition {
            partition: partition.parse().map_err(|_| DeadLetterPositionError)?,
            offset: offset.parse().map_err(|_| DeadLetterPositionError)?,
        };
        if place.partition < 0 || place.offset < 0 {
            Err(DeadLetterPositionError)
        } else {
            Ok(place)
        }
    }
}

/// A dead letter.
#[derive(Debug)]
pub struct ReadDeadLetter {
    /// The record in the topic of dead letters.
    pub record: OwnedMessage,
}

impl ReadDeadLetter {
    /// A header as text; empty where it is missing.
    pub fn header(&self, name: &str) -> String {
        let headers = self.record.headers().into_iter().flat_map(Headers::iter);
        let value = headers
            .filter(|h| h.key == name)
            .filter_map(|h| h.value)
            .last();
        value
            .map(|v| String::from_utf8_lossy(v).into_owned())
            .unwrap_or_default()
    }

    /// Its key as text; bytes that are not UTF-8 are replaced.
    pub fn key(&self) -> String {
        self.record
            .key()
            .map(|key| String::from_utf8_lossy(key).into_owned())
            .unwrap_or_default()
    }

    /// Its position.
    pub fn place(&self) -> DeadLetterPosition {
        DeadLetterPosition {
            partition: self.record.partition(),
            offset: self.record.offset(),
        }
    }

    /// Why it cannot be sent to a topic again, if it cannot.
    pub fn obstacle(&self, topic: &str) -> Option<String> {
        let from = self.header(dead_letter_record::TOPIC);
        let left_out = self.header(dead_letter_record::LEFT_OUT);
        match () {
            () if from.is_empty() => Some("it does not say which topic it is from".to_owned()),
            () if from != topic => Some(format!("it is from topic {from}")),
            () if !left_out.is_empty() => Some(format!(
                "its value of {left_out} bytes was too large to be kept"
            )),
            () => None,
        }
    }
}

/// Which dead letters are sent again.
#[derive(Default)]
pub struct RetryPlan<'a> {
    /// Only dead letters for which this is true.
    pub wanted: Option<&'a dyn Fn(&ReadDeadLetter) -> bool>,
    /// Begins at this position of its partition, whatever was sent before.
    pub from: Option<DeadLetterPosition>,
    /// The maximum number.
    pub limit: Option<u64>,
    /// Nothing is sent and nothing is recorded.
    pub dry_run: bool,
}

/// The result of sending dead letters again.
#[derive(Debug, Default)]
pub struct RedriveResult {
    /// Dead letters that the broker has confirmed; in a dry run, dead letters that would be sent.
    pub sent: u64,
    /// Dead letters that cannot be sent, and why.
    pub withheld: Vec<(DeadLetterPosition, String)>,
    /// The error that ended it early. The counts above are right all the same.
    pub failure: Option<KafkaError>,
}

/// The dead letters of a topic.
pub struct DeadLetters {
    settings: DeadLetterSettings,
    admin: AdminClient<Context>,
    dead: String,
}

impl DeadLetters {
    /// Connects to the broker.
    pub fn open(settings: DeadLetterSettings) -> Result<Self, KafkaError> {
        let admin = client::connect(&settings.broker, settings.connect_timeout, &Stop::new())?;
        let dead = dead_letter_record::topic(&settings.broker.topic);
        Ok(DeadLetters {
            settings,
            admin,
            dead,
        })
    }

    /// The topic of dead letters.
    pub fn topic(&self) -> &str {
        &self.dead
    }

    /// The topic that they are from.
    pub fn source(&self) -> &str {
        &self.settings.broker.topic
    }

    /// Passes all dead letters to `look`, in the order of their partitions.
    pub fn read(&self, mut look: impl FnMut(ReadDeadLetter)) -> Result<(), KafkaError> {
        self.read_from(
            &self.consumer()?,
            |_| Some(0),
            |found| {
                look(found);
                Ok(ControlFlow::Continue(()))
            },
        )
    }

    /// The dead letter at a position.
    pub fn letter(&self, place: DeadLetterPosition) -> Result<Option<ReadDeadLetter>, KafkaError> {
        let mut there = None;
        self.read_from(
            &self.consumer()?,
            |id| (id == place.partition).then_some(place.offset),
            |found| {
                there = (found.place() == place).then_some(found);
                Ok(ControlFlow::Break(()))
            },
        )?;
        Ok(there)
    }

    /// Sends dead letters again with their original key, value and headers. Records how far it got,
    /// unless it skipped some on the way, so that the next call sends only newer ones.
    pub fn redrive(&self, plan: &RetryPlan<'_>) -> Result<RedriveResult, KafkaError> {
        let topic = &self.settings.broker.topic;
        let mut done = RedriveResult::default();
        let Some(count) = topics::partitions(&self.admin, &self.dead)? else {
            return Ok(done);
        };
        if topics::partitions(&self.admin, topic)?.is_none() {
            return Err(KafkaError::Topic {
                topic: topic.clone(),
                problem: "it is not there: check --topic".to_owned(),
            });
        }
        let consumer = self.consumer()?;
        let before = self.sent_before(&consumer, count)?;
        let start = |id: i32| match plan.from {
            Some(from) => (from.partition == id).then_some(from.offset),
            None => Some(before.get(&id).copied().unwrap_or(0)),
        };
        let producer = self.producer()?;
        let ledger = producer.context().clone();
        // By partition: the offset after the last dead letter that was handled.
        let mut ends = BTreeMap::new();
        let mut passed = 0;
        let read = self.read_from(&consumer, start, |found| {
            let place = found.place();
            if ledger.lock().failure.is_some() {
                return Ok(ControlFlow::Break(()));
            }
            if plan.wanted.is_none_or(|wanted| wanted(&found)) {
                if plan.limit.is_some_and(|limit| passed >= limit) {
                    return Ok(ControlFlow::Break(()));
                }
                match found.obstacle(topic) {
                    Some(why) => done.withheld.push((place, why)),
                    None => {
                        passed += 1;
                        if !plan.dry_run {
                            self.send(&producer, &found)?;
                        }
                    }
                }
            }
            ends.insert(place.partition, place.offset + 1);
            Ok(ControlFlow::Continue(()))
        });
        // After this time the broker has confirmed or refused every dead letter.
        let flushed = producer
            .flush(DELIVERY.1)
            .map_err(KafkaError::client("send dead letters again"));
        let book = ledger.lock();
        done.sent = if plan.dry_run { passed } else { book.confirmed };
        let refused = book.failure.clone().map_or(Ok(()), |(place, error)| {
            Err(KafkaError::client(format!(
                "send dead letter {place} again"
            ))(error))
        });
        let ends = book.reached(ends);
        drop(book);
        let recorded = match plan.wanted {
            None if !plan.dry_run => self.record(&consumer, &before, plan.from, ends),
            _ => Ok(()),
        };
        done.failure = refused.and(read).and(flushed).and(recorded).err();
        Ok(done)
    }

    fn consumer(&self) -> Result<BaseConsumer<Context>, KafkaError> {
        let group = format!("mattebox-redrive-{}", self.settings.broker.topic);
        let ours = [
            ("group.id", group.as_str()),
            ("enable.auto.commit", "false"),
            ("enable.partition.eof", "true"),
        ];
        self.settings
            .broker
            .client(&ours)
            .create_with_context(Context::default())
            .map_err(KafkaError::Settings)
    }

    fn producer(&self) -> Result<BaseProducer<RedriveDeliveries>, KafkaError> {
        let config = self.settings.broker.client(&[
            ("enable.idempotence", "true"),
            ("acks", "all"),
            ("message.max.bytes", "104857600"),
            ("message.timeout.ms", DELIVERY.0),
            ("partitioner", "murmur2_random"),
        ]);
        config
            .create_with_context(RedriveDeliveries::default())
            .map_err(KafkaError::Settings)
    }

    /// Reads the partitions that have a `start`, up to their present end.
    fn read_from(
        &self,
        consumer: &BaseConsumer<Context>,
        start: impl Fn(i32) -> Option<i64>,
        mut look: impl FnMut(ReadDeadLetter) -> Result<ControlFlow<()>, KafkaError>,
    ) -> Result<(), KafkaError> {
        let cannot = || KafkaError::client(format!("read {}", self.dead));
        let Some(count) = topics::partitions(&self.admin, &self.dead)? else {
            return Ok(());
        };
        for (partition, start) in (0..count).filter_map(|id| Some((id, start(id)?))) {
            let (low, high) = self.ends(consumer, partition)?;
            let start = low.max(start);
            if start >= high {
                continue;
            }
            let mut place = TopicPartitionList::new();
            place
                .add_partition_offset(&self.dead, partition, Offset::Offset(start))
                .map_err(cannot())?;
            consumer.assign(&place).map_err(cannot())?;
            let mut heard = Instant::now();
            loop {
                match consumer.poll(Duration::from_millis(200)) {
                    Some(Ok(message)) => {
                        heard = Instant::now();
                        let offset = message.offset();
                        let record = message.detach();
                        if offset < high && look(ReadDeadLetter { record })?.is_break() {
                            return Ok(());
                        }
                        if offset + 1 >= high {
                            break;
                        }
                    }
                    Some(Err(ClientError::PartitionEOF(_))) => break,
                    Some(Err(error)) if !passes(&error) => return Err(cannot()(error)),
                    Some(Err(_)) | None if heard.elapsed() > SILENCE_TIMEOUT => {
                        let problem = format!(
                            "partition {partition} gave nothing for {} s",
                            SILENCE_TIMEOUT.as_secs()
                        );
                        return Err(KafkaError::Topic {
                            topic: self.dead.clone(),
                            problem,
                        });
                    }
                    Some(Err(_)) | None => {}
                }
            }
        }
        Ok(())
    }

    /// The oldest offset of a partition, and the offset after its last dead letter.
    fn ends(
        &self,
        consumer: &BaseConsumer<Context>,
        partition: i32,
    ) -> Result<(i64, i64), KafkaError> {
        let action = format!("ask where partition {partition} of {} begins", self.dead);
        client::retry_request(SILENCE_TIMEOUT, &Stop::new(), &action, || {
            consumer.fetch_watermarks(&self.dead, partition, SILENCE_TIMEOUT)
        })
    }

    fn sent_before(
        &self,
        consumer: &BaseConsumer<Context>,
        count: i32,
    ) -> Result<BTreeMap<i32, i64>, KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.dead, 0, count - 1);
        let found =
            consumer
                .committed_offsets(list, SILENCE_TIMEOUT)
                .map_err(KafkaError::client(
                    "ask how far dead letters were sent again",
                ))?;
        let offset =
            |e: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match e.offset() {
                Offset::Offset(offset) => Some((e.partition(), offset)),
                _ => None,
            };
        Ok(found.elements().iter().filter_map(offset).collect())
    }

    /// Records how far it got: never before an earlier place, and never after dead letters that
    /// were not read.
    fn record(
        &self,
        consumer: &BaseConsumer<Context>,
        before: &BTreeMap<i32, i64>,
        from: Option<DeadLetterPosition>,
        ends: BTreeMap<i32, i64>,
    ) -> Result<(), KafkaError> {
        let cannot = || KafkaError::client("record how far dead letters were sent again");
        let mut offsets = TopicPartitionList::new();
        for (partition, end) in ends {
            let known = before.get(&partition).copied().unwrap_or(0);
            let low = self.ends(consumer, partition)?.0;
            let leaves_a_gap = from.is_some_and(|from| from.offset > known.max(low));
            if end > known && !leaves_a_gap {
                offsets
                    .add_partition_offset(&self.dead, partition, Offset::Offset(end))
                    .map_err(cannot())?;
            }
        }
        if offsets.count() == 0 {
            return Ok(());
        }
        consumer
            .commit(&offsets, CommitMode::Sync)
            .map_err(cannot())
    }

    fn send(
        &self,
        producer: &BaseProducer<RedriveDeliveries>,
        found: &ReadDeadLetter,
    ) -> Result<(), KafkaError> {
        let place = found.place();
        let ledger = producer.context();
        let mut record = BaseRecord::<[u8], [u8], _>::with_opaque_to(
            &self.settings.broker.topic,
            Box::new(place),
        );
        (record.key, record.payload) = (found.record.key(), found.record.payload());
        record = record.headers(dead_letter_record::original(found.record.headers()));
        ledger.lock().open.insert(place);
        loop {
            match producer.send(record) {
                Ok(()) => {
                    producer.poll(Duration::ZERO);
                    return Ok(());
                }
                Err((ClientError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    producer.poll(Duration::from_millis(50));
                }
                Err((error, _)) => {
                    return Err(KafkaError::client(format!(
                        "send dead letter {place} again"
                    ))(error));
                }
            }
        }
    }
}

/// Whether librdkafka recovers from the error by itself, such as while a broker restarts.
fn passes(error: &ClientError) -> bool {
    use RDKafkaErrorCode::{
        AllBrokersDown, BrokerTransportFailure, LeaderNotAvailable, NotLeaderForPartition,
    };
    let codes = [
        AllBrokersDown,
        BrokerTransportFailure,
        LeaderNotAvailable,
        NotLeaderForPartition,
    ];
    error
        .rdkafka_error_code()
        .is_some_and(|code| codes.contains(&code))
}

/// The broker's answer to each dead letter.
#[derive(Debug, Clone, Default)]
struct RedriveDeliveries(Arc<Mutex<UnconfirmedDeadLetters>>);

#[derive(Debug, Default)]
struct UnconfirmedDeadLetters {
    /// Dead letters that the broker has not confirmed.
    open: BTreeSet<DeadLetterPosition>,
    confirmed: u64,
    /// The first error.
    failure: Option<(DeadLetterPosition, ClientError)>,
}

impl RedriveDeliveries {
    fn lock(&self) -> MutexGuard<'_, UnconfirmedDeadLetters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnconfirmedDeadLetters {
    /// How far each partition is done: up to its first unconfirmed dead letter, or to its end.
    fn reached(&self, mut ends: BTreeMap<i32, i64>) -> BTreeMap<i32, i64> {
        for place in &self.open {
            ends.entry(place.partition)
                .and_modify(|end| *end = place.offset.min(*end));
        }
        ends
    }
}

impl ClientContext for RedriveDeliveries {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        client::log(level, fac, message);
    }

    fn error(&self, error: ClientError, reason: &str) {
        tracing::debug!("kafka: {error}: {reason}");
    }
}

impl ProducerContext for RedriveDeliveries {
    type DeliveryOpaque = Box<DeadLetterPosition>;

    fn delivery(&self, result: &DeliveryResult<'_>, place: Box<DeadLetterPosition>) {
        let mut book = self.lock();
        match result {
            Ok(_) => {
                book.open.remove(&place);
                book.confirmed += 1;
            }
            Err((error, _)) => {
                book.failure.get_or_insert_with(|| (*place, error.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::{Timestamp, message::OwnedHeaders};

    fn found(headers: &[(&str, &str)]) -> ReadDeadLetter {
        let mut all = OwnedHeaders::new();
        for (key, value) in headers {
            all = all.insert(rdkafka::message::Header {
                key,
                value: Some(*value),
            });
        }
        ReadDeadLetter {
            record: OwnedMessage::new(
                None,
                None,
                "t.dead".to_owned(),
                Timestamp::NotAvailable,
                1,
                7,
                Some(all),
            ),
        }
    }

    #[test]
    fn a_position_prints_as_it_parses() {
        assert_eq!(
            "3:17".parse::<DeadLetterPosition>().unwrap().to_string(),
            "3:17"
        );
        for text in ["", "3", "3:", ":17", "-1:2", "1:-2", "1:2:3", "a:b"] {
            assert!(text.parse::<DeadLetterPosition>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn only_complete_dead_letters_of_the_topic_are_sent() {
        assert_eq!(
            found(&[(dead_letter_record::TOPIC, "t")]).obstacle("t"),
            None
        );
        assert!(
            found(&[(dead_letter_record::TOPIC, "other")])
                .obstacle("t")
                .unwrap()
                .contains("other")
        );
        assert!(found(&[]).obstacle("t").is_some());
        assert!(
            found(&[
                (dead_letter_record::TOPIC, "t"),
                (dead_letter_record::LEFT_OUT, "99")
            ])
            .obstacle("t")
            .unwrap()
            .contains("99")
        );
    }

    #[test]
    fn the_recorded_offset_is_before_the_first_unconfirmed_dead_letter() {
        let place = |partition, offset| DeadLetterPosition { partition, offset };
        let book = UnconfirmedDeadLetters {
            open: [place(0, 4), place(0, 6), place(2, 1)].into(),
            ..UnconfirmedDeadLetters::default()
        };
        let reached = book.reached([(0, 9), (1, 5)].into());
        assert_eq!(reached, [(0, 4), (1, 5)].into());
    }
}
