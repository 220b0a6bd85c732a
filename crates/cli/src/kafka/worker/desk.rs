//! What became of records, and what is tried again.
use super::{
    Output, Worker,
    hand::age_us,
    job::{Event, Fault, Job, Outcome, Ticket},
    numbers::CameraNumbers,
    partition::{Held, Letter, Partition, Retry},
};
use mattebox_core::frame::CameraId;
use rdkafka::{TopicPartitionList, consumer::Consumer};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

/// The wait before something that failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);

impl Worker {
    /// Hears what the hands have to say, waiting for it up to `patience`.
    pub(super) fn hear(&mut self, patience: Duration) {
        let mut next = if patience.is_zero() {
            self.events.try_recv().ok()
        } else {
            self.events.recv_timeout(patience).ok()
        };
        while let Some(event) = next {
            match event {
                Event::Done {
                    job,
                    outcome,
                    still,
                } => self.done(job, outcome, still),
                Event::Remembered {
                    partition,
                    turn,
                    camera,
                    mark,
                    matte,
                } => {
                    if let Some(p) = self
                        .partitions
                        .get_mut(&partition)
                        .filter(|p| p.turn == turn)
                    {
                        p.remembered(&camera, mark, matte);
                    }
                }
                Event::Letter { ticket, failed } => self.posted(ticket, failed),
            }
            next = self.events.try_recv().ok();
        }
    }

    fn ours(&mut self, ticket: Ticket) -> Option<&mut Partition> {
        self.partitions
            .get_mut(&ticket.partition)
            .filter(|p| p.turn == ticket.turn)
    }

    /// A record is done, and hands something over at the next commit or nothing.
    fn finish(&mut self, ticket: Ticket, held: Option<Held>) {
        let Some(partition) = self.ours(ticket) else {
            return;
        };
        match held {
            Some(held) => partition.hold(ticket.offset, held),
            None => partition.finish(ticket.offset),
        }
        let in_flight = partition.in_flight() as u64;
        self.numbers
            .partition(ticket.partition)
            .in_flight
            .store(in_flight, Relaxed);
    }

    fn done(&mut self, job: Arc<Job>, outcome: Outcome, still: bool) {
        let ticket = job.ticket;
        let counted = self.numbers.camera(Some(&job.camera));
        if still {
            counted.still.fetch_add(1, Relaxed);
        }
        let max_result = if let Output::Results(topic) = &self.output {
            topic.max_result()
        } else {
            usize::MAX
        };
        if self.ours(ticket).is_none() {
            return;
        }
        match outcome {
            Outcome::Written { bytes } => {
                job.span.became("written");
                counted.arrived(bytes, age_us(&job));
            }
            Outcome::Kept => {
                job.span.became("kept");
                counted.kept.fetch_add(1, Relaxed);
            }
            Outcome::Stale => {
                job.span.became("stale");
                counted.stale.fetch_add(1, Relaxed);
            }
            Outcome::Made { bytes, .. } if bytes.len() > max_result => {
                let message = format!(
                    "the result has {} bytes, its topic takes {max_result} (max.message.bytes)",
                    bytes.len()
                );
                return self.dead_job(
                    &job,
                    Fault {
                        code: "result-too-large",
                        message,
                    },
                );
            }
            Outcome::Made { bytes, size } => {
                self.good(&job.camera, &counted);
                return self.finish(ticket, Some(Held::Result { job, bytes, size }));
            }
            Outcome::Dead(fault) => return self.dead_job(&job, fault),
            Outcome::Unwritten { bytes, message } => {
                counted.retries.fetch_add(1, Relaxed);
                return self.unwritten(job, bytes, &message);
            }
        }
        self.good(&job.camera, &counted);
        self.finish(ticket, None);
    }

    fn good(&self, camera: &CameraId, counted: &CameraNumbers) {
        self.judge(Some(camera), counted, false);
    }

    fn judge(&self, camera: Option<&CameraId>, counted: &CameraNumbers, dead: bool) {
        let s = &self.shop.settings;
        if let Some(count) = counted.judge(dead, s.dead_share, s.dead_window) {
            let camera = camera.map_or(super::OTHERS, CameraId::as_str);
            tracing::warn!(
                camera,
                "{count} of its last {} records cannot be frames: see `mattebox dead-letters list --topic {}`",
                s.dead_window,
                s.broker.topic
            );
        }
    }

    fn dead_job(&mut self, job: &Job, fault: Fault) {
        job.span.dead(fault.code, &fault.message);
        let letter = Letter {
            record: Arc::new(job.record.clone()),
            fault,
        };
        self.dead(job.ticket, Some(&job.camera), letter);
    }

    /// A record cannot be a frame: it goes to the dead letters, and is done when it has arrived there.
    pub(super) fn dead(&mut self, ticket: Ticket, camera: Option<&CameraId>, letter: Letter) {
        let counted = self.numbers.camera(camera);
        counted.dead.fetch_add(1, Relaxed);
        self.numbers
            .partition(ticket.partition)
            .dead
            .fetch_add(1, Relaxed);
        self.judge(camera, &counted, true);
        let camera = camera.map_or("?", CameraId::as_str);
        tracing::debug!(
            camera,
            partition = ticket.partition,
            offset = ticket.offset,
            code = letter.fault.code,
            "dead letter: {}",
            letter.fault.message
        );
        self.send(ticket, letter);
    }

    fn send(&mut self, ticket: Ticket, letter: Letter) {
        match &mut self.output {
            Output::Results(_) => self.finish(ticket, Some(Held::Letter(letter))),
            Output::Files { post, .. } => {
                if let Err(error) = post.send(&self.admin, ticket, &letter) {
                    tracing::error!(
                        partition = ticket.partition,
                        offset = ticket.offset,
                        "a dead letter cannot be sent, trying again: {error}"
                    );
                    self.later(ticket, Retry::Letter(ticket, letter));
                }
            }
        }
    }

    /// The broker has answered for a dead letter.
    fn posted(&mut self, ticket: Ticket, failed: Option<String>) {
        let Output::Files { post, .. } = &mut self.output else {
            return;
        };
        let Some(letter) = post.answered(ticket) else {
            return;
        };
        if self.ours(ticket).is_none() {
            return;
        }
        if let Some(error) = failed {
            tracing::error!(
                partition = ticket.partition,
                offset = ticket.offset,
                "a dead letter did not arrive, trying again: {error}"
            );
            return self.later(ticket, Retry::Letter(ticket, letter));
        }
        self.finish(ticket, None);
    }

    fn unwritten(&mut self, job: Arc<Job>, bytes: Vec<u8>, message: &str) {
        let ticket = job.ticket;
        let is_first = self
            .partitions
            .get(&ticket.partition)
            .is_some_and(|p| p.retries.is_empty());
        if is_first {
            tracing::error!(camera = %job.camera, frame = job.number.0, partition = ticket.partition, offset = ticket.offset, "{message}; trying again");
        }
        self.later(ticket, Retry::File { job, bytes });
    }

    /// Notes what is to be tried again. Its partition waits meanwhile; the others go on.
    fn later(&mut self, ticket: Ticket, retry: Retry) {
        let topic = self.shop.settings.broker.topic.clone();
        let Some(partition) = self.ours(ticket) else {
            return;
        };
        partition.retries.push(retry);
        partition
            .retry_at
            .get_or_insert_with(|| Instant::now() + PAUSE);
        if !std::mem::replace(&mut partition.is_paused, true) {
            self.pause(&topic, ticket.partition, true);
        }
    }

    fn pause(&self, topic: &str, partition: i32, pause: bool) {
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let done = if pause {
            self.consumer.pause(&list)
        } else {
            self.consumer.resume(&list)
        };
        if let Err(error) = done {
            tracing::debug!(partition, pause, "{error}");
        }
    }

    /// Tries again what could not be done.
    pub(super) fn try_again(&mut self) {
        let now = Instant::now();
        let due: Vec<i32> = self
            .partitions
            .values()
            .filter(|p| p.retry_at.is_some_and(|at| at <= now))
            .map(|p| p.id)
            .collect();
        for id in due {
            let Some(partition) = self.partitions.get_mut(&id) else {
                continue;
            };
            partition.retry_at = None;
            let mut retries = std::mem::take(&mut partition.retries).into_iter();
            for retry in retries.by_ref() {
                match retry {
                    Retry::Letter(ticket, letter) => self.send(ticket, letter),
                    Retry::File { job, bytes } => match self.shop.write(&job, &bytes) {
                        Ok(_) => {
                            let outcome = Outcome::Written { bytes: bytes.len() };
                            self.done(job, outcome, false);
                        }
                        Err(error) => {
                            tracing::warn!(camera = %job.camera, frame = job.number.0, "{error}; trying again");
                            let ticket = job.ticket;
                            self.later(ticket, Retry::File { job, bytes });
                            break;
                        }
                    },
                }
            }
            let Some(partition) = self.partitions.get_mut(&id) else {
                continue;
            };
            partition.retries.extend(retries);
            if partition.retries.is_empty() && std::mem::take(&mut partition.is_paused) {
                tracing::info!(partition = id, "what could not be done is done: going on");
                self.pause(&self.shop.settings.broker.topic, id, false);
            }
        }
    }
}
