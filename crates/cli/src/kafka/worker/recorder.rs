//! Records offsets with the broker beside the loop, one request at a time.
//!
//! librdkafka answers an asynchronous commit only where a callback of its old kind is set, and the `rdkafka` crate sets none. So the request is
//! a synchronous one, on a thread of its own: the loop never waits for the broker, and of two requests the later one is the later.
use super::consumer::{self, Consuming};
use crossbeam_channel::{Receiver, Sender, bounded};
use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::KafkaResult,
};
use std::{io, sync::Arc, thread};

/// Partitions with the offsets that are recorded now.
type Answer = KafkaResult<Vec<(i32, i64)>>;

/// The thread, as the loop sees it.
pub(super) struct Recorder {
    requests: Sender<TopicPartitionList>,
    answers: Receiver<Answer>,
    is_busy: bool,
}

impl Recorder {
    /// Starts the thread. It ends with this value.
    pub(super) fn start(consumer: &Arc<BaseConsumer<Consuming>>) -> io::Result<Self> {
        let (requests, to_do) = bounded::<TopicPartitionList>(1);
        let (done, answers) = bounded(1);
        let consumer = Arc::downgrade(consumer);
        thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || {
                for offsets in to_do {
                    // The worker has ended, and its consumer with it.
                    let Some(consumer) = consumer.upgrade() else {
                        return;
                    };
                    let answer = consumer
                        .commit(&offsets, CommitMode::Sync)
                        .map(|()| consumer::places(&offsets));
                    drop(consumer);
                    if done.send(answer).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Recorder {
            requests,
            answers,
            is_busy: false,
        })
    }

    /// A request is on its way.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Asks for offsets to be recorded. Not while it is busy.
    pub(super) fn record(&mut self, offsets: TopicPartitionList) {
        self.is_busy = self.requests.try_send(offsets).is_ok();
    }

    /// What became of the request, if that is known by now.
    pub(super) fn answer(&mut self) -> Option<Answer> {
        let answer = self.answers.try_recv().ok()?;
        self.is_busy = false;
        Some(answer)
    }
}
