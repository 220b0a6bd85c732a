//! Finds the last frame number of each camera in the topic: after a restart the camera goes on from
//! it.
//!
//! The partitions are read backwards from their ends, in growing pieces, until every camera is
//! found. Most of the time the first pieces are enough. A large topic cannot be read in reasonable
//! time, and a new camera is not in it: then the search ends, and the camera begins at a number
//! that no frame of the topic can have.
use crate::{
    KafkaError,
    client::{Context, retry_request},
    settings::BrokerSettings,
};
use mattebox_core::frame::{CameraId, FrameNumber};
use mattebox_engine::stop::Stop;
use mattebox_wire::{self, Record};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError as ClientError, RDKafkaErrorCode},
    message::{BorrowedMessage, Headers},
};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Records of the first piece of each partition; each further piece has four times as many.
const FIRST_PIECE: i64 = 32;
/// Records of the largest piece.
const LARGEST_PIECE: i64 = 8192;
/// How long the search may take.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(20);
/// A search that takes longer is logged, and again after each such time.
const LOG_INTERVAL: Duration = Duration::from_secs(2);
/// How long one request to the broker may take, and how long a poll may bring nothing.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How much the clocks of cameras may differ, in milliseconds. A partition that was read this much
/// further back than the frame found in another has only older frames.
const MAX_CLOCK_DIFFERENCE: i64 = 60_000;

impl ConsumerContext for Context {}

/// A partition, and how far back it was read.
#[derive(Debug)]
struct Backwards {
    partition: i32,
    /// The oldest offset that there is.
    low: i64,
    /// Everything from here on was read.
    read: i64,
    /// The oldest time of a record that was read, in unix milliseconds.
    time: i64,
}

/// The last frame of a camera, as far as the search has found it.
#[derive(Debug, Clone, Copy)]
struct LastFrame {
    number: u64,
    /// The record's time in unix milliseconds.
    time: i64,
}

/// The next number of each camera, in their order.
pub(super) fn next_numbers(
    broker: &BrokerSettings,
    partitions: i32,
    cameras: &[CameraId],
    stop: &Stop,
) -> Result<Vec<u64>, KafkaError> {
    let mut search = Search::new(broker, partitions, cameras, stop)?;
    let begun = Instant::now();
    let mut piece = FIRST_PIECE;
    while !search.is_over() {
        if begun.elapsed() > SEARCH_TIMEOUT {
            return Ok(search.unused_numbers(cameras));
        }
        search.read_back(piece, begun, stop)?;
        piece = (piece * 4).min(LARGEST_PIECE);
    }
    Ok(cameras
        .iter()
        .map(|camera| {
            search
                .found
                .get(camera)
                .map_or(0, |found| found.number.saturating_add(1))
        })
        .collect())
}

struct Search<'a> {
    topic: &'a str,
    consumer: BaseConsumer<Context>,
    cameras: &'a [CameraId],
    partitions: Vec<Backwards>,
    found: HashMap<CameraId, LastFrame>,
    records: u64,
    /// The number of frames that the topic ever had.
    total: u64,
}

impl<'a> Search<'a> {
    fn new(
        broker: &'a BrokerSettings,
        partitions: i32,
        cameras: &'a [CameraId],
        stop: &Stop,
    ) -> Result<Self, KafkaError> {
        let topic = broker.topic.as_str();
        let config = broker.client(&[
            // librdkafka requires it for the assignment of partitions; the group is never joined.
            ("group.id", "mattebox-camera"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("enable.partition.eof", "true"),
            ("auto.offset.reset", "earliest"),
            ("isolation.level", "read_uncommitted"),
            ("check.crcs", "false"),
            // Little is read ahead: only one piece is needed.
            ("fetch.wait.max.ms", "10"),
            ("queued.max.messages.kbytes", "4096"),
        ]);
        let consumer: BaseConsumer<Context> = config
            .create_with_context(Context::default())
            .map_err(KafkaError::Settings)?;
        let action = format!("look for the cameras' last frames in topic {topic}");
        let mut all = Vec::new();
        for partition in 0..partitions {
            let (low, high) = retry_request(SEARCH_TIMEOUT, stop, &action, || {
                consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT)
            })?;
            all.push(Backwards {
                partition,
                low,
                read: high,
                time: i64::MAX,
            });
        }
        let total = all.iter().map(|p| p.read.unsigned_abs()).sum();
        Ok(Search {
            topic,
            consumer,
            cameras,
            partitions: all,
            found: HashMap::new(),
            records: 0,
            total,
        })
    }

    /// Whether no newer frame of any camera can be among the unread records.
    fn is_over(&self) -> bool {
        let read_back_to = |time: i64| {
            self.partitions
                .iter()
                .all(|p| p.read <= p.low || p.time < time.saturating_sub(MAX_CLOCK_DIFFERENCE))
        };
        let everything = self.partitions.iter().all(|p| p.read <= p.low);
        everything
            || self.cameras.iter().all(|camera| {
                self.found
                    .get(camera)
                    .is_some_and(|found| read_back_to(found.time))
            })
    }

    /// Reads one more piece of each partition.
    fn read_back(&mut self, piece: i64, begun: Instant, stop: &Stop) -> Result<(), KafkaError> {
        let failed = || {
            KafkaError::client(format!(
                "look for the cameras' last frames in topic {}",
                self.topic
            ))
        };
        let mut list = TopicPartitionList::new();
        let mut ends = HashMap::new();
        for p in self.partitions.iter_mut().filter(|p| p.read > p.low) {
            let from = p.low.max(p.read - piece);
            list.add_partition_offset(self.topic, p.partition, Offset::Offset(from))
                .map_err(failed())?;
            ends.insert(p.partition, p.read);
            p.read = from;
        }
        self.consumer.assign(&list).map_err(failed())?;
        let mut heard = Instant::now();
        let mut last_log = Instant::now();
        while !ends.is_empty() {
            if stop.is_stopped() {
                return Err(KafkaError::Stopped);
            }
            if begun.elapsed() > LOG_INTERVAL && last_log.elapsed() > LOG_INTERVAL {
                last_log = Instant::now();
                let topic = self.topic;
                tracing::info!(
                    topic,
                    records = self.records,
                    "looking for the cameras' last frame numbers"
                );
            }
            let record = match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(record)) => record,
                // The end of the partition: all older records are read.
                Some(Err(ClientError::PartitionEOF(partition))) => {
                    ends.remove(&partition);
                    continue;
                }
                // A denied right to the group does not matter.
                Some(Err(error))
                    if error.rdkafka_error_code()
                        != Some(RDKafkaErrorCode::TopicAuthorizationFailed) =>
                {
                    tracing::debug!("{error}");
                    continue;
                }
                Some(Err(error)) => return Err(failed()(error)),
                None if heard.elapsed() > REQUEST_TIMEOUT => {
                    let silent =
                        ClientError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut);
                    return Err(failed()(silent));
                }
                None => continue,
            };
            heard = Instant::now();
            let Some(&end) = ends.get(&record.partition()) else {
                continue;
            };
            if record.offset() + 1 >= end {
                ends.remove(&record.partition());
            }
            if record.offset() < end {
                self.records += 1;
                note(&mut self.found, &mut self.partitions, self.cameras, &record);
            }
        }
        Ok(())
    }

    /// The next number of each camera. A camera that was not found gets a number that no frame of
    /// the topic can have: each record has used one number.
    fn unused_numbers(&self, cameras: &[CameraId]) -> Vec<u64> {
        let topic = self.topic;
        let records = self.records;
        let total = self.total;
        let lost: Vec<_> = cameras
            .iter()
            .filter(|camera| !self.found.contains_key(camera))
            .map(CameraId::as_str)
            .collect();
        if !lost.is_empty() {
            let cameras = lost.join(", ");
            tracing::warn!(
                topic,
                cameras,
                "not among the last {records} records of the topic: numbers begin at {total}, the \
                 number of its records"
            );
        }
        cameras
            .iter()
            .map(|camera| {
                self.found
                    .get(camera)
                    .map_or(total, |found| found.number.saturating_add(1))
            })
            .collect()
    }
}

/// Keeps a record's frame number if it is newer than the camera's last.
fn note(
    found: &mut HashMap<CameraId, LastFrame>,
    partitions: &mut [Backwards],
    cameras: &[CameraId],
    record: &BorrowedMessage<'_>,
) {
    let time = record.timestamp().to_millis().unwrap_or(i64::MAX);
    if let Some(p) = partitions
        .iter_mut()
        .find(|p| p.partition == record.partition())
    {
        p.time = p.time.min(time);
    }
    let headers: Vec<_> = record
        .headers()
        .into_iter()
        .flat_map(|headers| headers.iter())
        .map(|header| mattebox_wire::Header {
            name: header.key,
            value: header.value,
        })
        .collect();
    let position = mattebox_wire::read_position(&Record {
        key: record.key(),
        value: record.payload(),
        headers: &headers,
    });
    if let Some((camera, FrameNumber(number))) =
        position.filter(|(camera, _)| cameras.contains(camera))
    {
        let best = found.entry(camera).or_insert(LastFrame { number, time });
        best.number = best.number.max(number);
        best.time = best.time.max(time);
    }
}
