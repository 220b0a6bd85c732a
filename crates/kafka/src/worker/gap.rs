//! Records that are gone before they were processed: each gap is logged once, counted, and treated
//! by the settings.
use super::{
    counters::WorkerCounters,
    events::{RecordsLost, TopicRecreated},
};
use crate::{KafkaError, settings::OnGap};
use mattebox_engine::events::Event;

/// Records that are lost, or may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gap {
    /// The topic's retention, or an operator, has removed records.
    Removed {
        partition: i32,
        /// The offset of the first of them.
        from: i64,
        /// How many offsets.
        lost: u64,
    },
    /// The topic was deleted and created again.
    Recreated {
        partition: i32,
        /// The group's offset in the deleted topic.
        offset: i64,
    },
    /// The topic was deleted and created again while it was read.
    RecreatedMeanwhile,
    /// The group's offset is beyond the end of the topic.
    Beyond {
        partition: i32,
        offset: i64,
        end: i64,
    },
}

impl Gap {
    fn problem(&self, topic: &str) -> String {
        match self {
            Gap::Removed {
                partition,
                from,
                lost,
            } => format!(
                "{lost} records of topic {topic} partition {partition}, from offset {from} on, \
                 were removed before they were processed (see retention.ms and retention.bytes)"
            ),
            Gap::Recreated { partition, offset } => format!(
                "topic {topic} was created again: offset {offset} of partition {partition} belongs \
                 to the topic before"
            ),
            Gap::RecreatedMeanwhile => {
                format!("topic {topic} was created again while it was read")
            }
            Gap::Beyond {
                partition,
                offset,
                end,
            } => format!(
                "the group's offset {offset} lies behind the end {end} of topic {topic} partition \
                 {partition}, which was created again or cut"
            ),
        }
    }

    /// Logs and counts the gap, or fails if the settings ask for that.
    pub(super) fn follow(
        &self,
        topic: &str,
        policy: OnGap,
        counters: &WorkerCounters,
    ) -> Result<(), KafkaError> {
        let problem = self.problem(topic);
        if policy == OnGap::Fail {
            return Err(KafkaError::Gap { problem });
        }
        counters.faults.note(&problem);
        match self {
            Gap::Removed {
                partition, lost, ..
            } => {
                RecordsLost {
                    counters: &counters.partition(*partition),
                    topic,
                    partition: *partition,
                    count: *lost,
                    problem: &problem,
                }
                .emit();
            }
            Gap::Recreated { .. } | Gap::RecreatedMeanwhile | Gap::Beyond { .. } => {
                TopicRecreated {
                    counters,
                    topic,
                    problem: &problem,
                }
                .emit();
            }
        }
        Ok(())
    }
}
