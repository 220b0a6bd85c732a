//! Commits offsets beside the main loop, one request at a time.
//!
//! librdkafka answers an asynchronous commit only where a callback of its old kind is set, and the
//! `rdkafka` crate sets none. So the request is a synchronous one, on a thread of its own: the main
//! loop never waits for the broker, and requests do not overtake each other.
use super::{consumer_events::GroupMember, event::Event, job::LogPosition};
use crossbeam_channel::{Sender, bounded};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer},
    error::KafkaResult,
};
use std::{io, sync::Arc, thread};

/// The thread, as the main loop sees it.
pub(super) struct OffsetCommitter {
    requests: Sender<Vec<LogPosition>>,
    is_busy: bool,
}

impl OffsetCommitter {
    /// Starts the thread. It ends with this value. Its answers are [`Event::OffsetsAnswered`].
    pub(super) fn start(
        member: &Arc<GroupMember>,
        topic: String,
        events: Sender<Event>,
    ) -> io::Result<Self> {
        let (requests, to_do) = bounded::<Vec<LogPosition>>(1);
        let member = Arc::downgrade(member);
        thread::Builder::new()
            .name("offsets".to_owned())
            .spawn(move || {
                for positions in to_do {
                    // The worker has ended, and its consumer with it.
                    let Some(member) = member.upgrade() else {
                        return;
                    };
                    let answer = commit(&member, &topic, positions);
                    drop(member);
                    if events.send(Event::OffsetsAnswered(answer)).is_err() {
                        return;
                    }
                }
            })?;
        Ok(OffsetCommitter {
            requests,
            is_busy: false,
        })
    }

    /// Whether a request is on its way.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Asks the broker to take offsets. Not while it is busy.
    pub(super) fn request(&mut self, positions: Vec<LogPosition>) {
        self.is_busy = self.requests.try_send(positions).is_ok();
    }

    /// The broker has answered.
    pub(super) fn answered(&mut self) {
        self.is_busy = false;
    }
}

/// Returns the positions that the broker has taken.
fn commit(
    member: &GroupMember,
    topic: &str,
    positions: Vec<LogPosition>,
) -> KafkaResult<Vec<LogPosition>> {
    let mut offsets = TopicPartitionList::new();
    for position in &positions {
        let offset = Offset::Offset(position.offset);
        offsets.add_partition_offset(topic, position.partition, offset)?;
    }
    member.commit(&offsets, CommitMode::Sync)?;
    let mut taken = positions;
    taken.retain(|position| {
        let element = offsets.find_partition(topic, position.partition);
        element.is_some_and(|element| element.error().is_ok())
    });
    Ok(taken)
}
