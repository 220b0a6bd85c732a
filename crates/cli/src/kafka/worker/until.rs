//! `--until end`: whether what was there at the start is done, whoever of the group did it.
//!
//! A worker's own partitions do not answer that: a member that was killed while it joined is still given its part for a while, and what it
//! was given is left undone until the group misses it. So a worker stays until the group's offsets are past the end.
use super::{
    consumer::{self, Consuming},
    partition::Partition,
};
use crate::{kafka::KafkaError, stop::Stop};
use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

/// The wait between two questions for the group's offsets.
const PAUSE: Duration = Duration::from_millis(250);
/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the topic ended at the start.
#[derive(Debug)]
pub(super) struct Until {
    topic: String,
    /// The ends of the partitions that had records.
    ends: BTreeMap<i32, i64>,
    next_question: Instant,
    /// It was told that others are waited for.
    has_told: bool,
}

impl Until {
    /// Asks where the topic ends now.
    pub(super) fn now(
        consumer: &BaseConsumer<Consuming>,
        topic: &str,
        partitions: i32,
        stop: &Stop,
    ) -> Result<Self, KafkaError> {
        let mut ends = BTreeMap::new();
        for partition in 0..partitions {
            let (low, end) = consumer::watermarks(consumer, topic, partition, stop)?;
            if end > low {
                ends.insert(partition, end);
            }
        }
        Ok(Until {
            topic: topic.to_owned(),
            ends,
            next_question: Instant::now(),
            has_told: false,
        })
    }

    /// Whether our own part is made, so that it only has to be recorded.
    pub(super) fn is_made(&self, ours: &BTreeMap<i32, Partition>) -> bool {
        ours.values()
            .all(|p| p.in_flight() == 0 && p.next >= self.end(p.id))
    }

    /// Whether everything is recorded as done, by us or by others.
    pub(super) fn is_through(
        &mut self,
        consumer: &BaseConsumer<Consuming>,
        ours: &BTreeMap<i32, Partition>,
    ) -> bool {
        if ours.values().any(|p| p.committed < self.end(p.id))
            || Instant::now() < self.next_question
        {
            return false;
        }
        let mut others = TopicPartitionList::new();
        for id in self.ends.keys().filter(|id| !ours.contains_key(id)) {
            others.add_partition(&self.topic, *id);
        }
        if others.count() == 0 {
            return true;
        }
        let answer = consumer.committed_offsets(others, PATIENCE);
        self.next_question = Instant::now() + PAUSE;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!("cannot ask how far the group is: {error}");
                return false;
            }
        };
        let done: HashMap<i32, i64> = consumer::places(&answer).into_iter().collect();
        let undone = |(id, end): (&i32, &i64)| {
            (!ours.contains_key(id) && done.get(id) < Some(end)).then_some(*id)
        };
        let undone: Vec<i32> = self.ends.iter().filter_map(undone).collect();
        if !undone.is_empty() && !std::mem::replace(&mut self.has_told, true) {
            tracing::info!(partitions = ?undone, "this worker's part is done: waiting for what the group gave to others");
        }
        undone.is_empty()
    }

    fn end(&self, partition: i32) -> i64 {
        self.ends.get(&partition).copied().unwrap_or(0)
    }
}
