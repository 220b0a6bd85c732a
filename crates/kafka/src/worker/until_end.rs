//! `--until end`: whether the group has done the records that were there at the start.
//!
//! A worker's own partitions cannot show that: a member that was killed while it joined still gets
//! partitions for a while, and their records wait until the group notices its death. So a worker
//! stays until the group's offsets are past the end.
use super::{
    assignment::Assignment,
    checkpoints::Checkpoints,
    consumer_events::GroupMember,
    partition_range::{committed_offsets, watermarks},
};
use crate::KafkaError;
use mattebox_engine::stop::Stop;
use rdkafka::{TopicPartitionList, consumer::Consumer};
use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

/// The wait between two requests for the group's offsets.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// How long one request may take.
const BROKER_TIMEOUT: Duration = Duration::from_secs(2);

/// Where the topic ended at the start.
#[derive(Debug)]
pub(super) struct UntilEnd {
    topic: String,
    /// The ends of the partitions with records.
    ends: BTreeMap<i32, i64>,
    next_question: Instant,
    /// The wait for other workers is logged.
    is_logged: bool,
}

impl UntilEnd {
    /// Asks where the topic ends now.
    pub(super) fn now(
        member: &GroupMember,
        topic: &str,
        partitions: i32,
        stop: &Stop,
    ) -> Result<Self, KafkaError> {
        let mut ends = BTreeMap::new();
        for partition in 0..partitions {
            let (low, end) = watermarks(member, topic, partition, stop)?;
            if end > low {
                ends.insert(partition, end);
            }
        }
        Ok(UntilEnd {
            topic: topic.to_owned(),
            ends,
            next_question: Instant::now(),
            is_logged: false,
        })
    }

    /// Whether this worker's partitions are done and only have to be committed.
    pub(super) fn is_done(&self, assignment: &Assignment) -> bool {
        assignment
            .partitions()
            .all(|p| p.in_flight() == 0 && p.next() >= self.end(p.id()))
    }

    /// When to ask for the group's offsets; `None` while this worker's partitions are not
    /// committed.
    pub(super) fn due(
        &self,
        assignment: &Assignment,
        checkpoints: &Checkpoints,
    ) -> Option<Instant> {
        let is_committed = assignment.partitions().all(|p| {
            let committed = checkpoints.committed_offset(p.id());
            committed.is_some_and(|committed| committed >= self.end(p.id()))
        });
        is_committed.then_some(self.next_question)
    }

    /// Whether everything is committed, by this worker or by others.
    pub(super) fn is_over(&mut self, assignment: &Assignment, checkpoints: &Checkpoints) -> bool {
        let due = self.due(assignment, checkpoints);
        if due.is_none_or(|due| due > Instant::now()) {
            return false;
        }
        let is_ours = |id: &i32| assignment.partition(*id).is_some();
        let mut others = TopicPartitionList::new();
        for id in self.ends.keys().filter(|id| !is_ours(id)) {
            others.add_partition(&self.topic, *id);
        }
        if others.count() == 0 {
            return true;
        }
        let answer = assignment
            .member()
            .committed_offsets(others, BROKER_TIMEOUT);
        self.next_question = Instant::now() + POLL_INTERVAL;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!("cannot ask how far the group is: {error}");
                return false;
            }
        };
        let done: HashMap<i32, i64> = committed_offsets(&answer).into_iter().collect();
        let undone =
            |(id, end): (&i32, &i64)| (!is_ours(id) && done.get(id) < Some(end)).then_some(*id);
        let undone: Vec<i32> = self.ends.iter().filter_map(undone).collect();
        if !undone.is_empty() && !std::mem::replace(&mut self.is_logged, true) {
            tracing::info!(
                partitions = ?undone,
                "this worker's partitions are done: waiting for the partitions of other workers"
            );
        }
        undone.is_empty()
    }

    fn end(&self, partition: i32) -> i64 {
        self.ends.get(&partition).copied().unwrap_or(0)
    }
}
