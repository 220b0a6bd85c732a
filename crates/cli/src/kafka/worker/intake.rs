//! A record becomes a frame on its way, or a dead letter.
use super::{
    Output, Worker,
    job::{Fault, Job, Ticket},
    numbers::CameraNumbers,
    partition::{Letter, Tracked},
};
use crate::{
    kafka::{
        KafkaError,
        record::{parent, value_bytes, with_record},
    },
    trace::Span,
};
use mattebox_core::frame::{CameraId, FrameNumber, Place, Timestamp};
use mattebox_store::Memory;
use rdkafka::{Message, message::OwnedMessage};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Cameras of a partition that are kept at hand. More than that are put away when they have been quiet.
const MAX_AT_HAND: usize = 64;
/// Cameras of a partition, at most: whoever sends pictures under ever new names does not fill the memory.
const MAX_CAMERAS: usize = 1024;
/// How long a camera has to be quiet to be put away.
const QUIET: Duration = Duration::from_secs(5);

impl Worker {
    /// Takes a record up.
    pub(super) fn take(&mut self, message: OwnedMessage) -> Result<(), KafkaError> {
        let id = message.partition();
        let offset = message.offset();
        let bytes = value_bytes(&message);
        let Some(partition) = self.partitions.get_mut(&id) else {
            return Ok(());
        };
        // After a change of partitions the client may still have records of before.
        if offset < partition.next {
            return Ok(());
        }
        let ticket = partition.begin(offset, bytes);
        let numbers = self.numbers.partition(id);
        numbers.records.fetch_add(1, Relaxed);
        numbers.bytes.fetch_add(bytes as u64, Relaxed);
        numbers.position.store(partition.next, Relaxed);
        numbers
            .in_flight
            .store(partition.in_flight() as u64, Relaxed);
        let frame = with_record(&message, |record| {
            mattebox_wire::read(record)
                .map(|f| (f.camera, f.number, f.time))
                .map_err(|e| Fault {
                    code: e.code(),
                    message: e.to_string(),
                })
        });
        let span = self.trace(&message);
        match frame {
            Ok((camera, number, time)) => self.accept(ticket, message, camera, number, time, span),
            Err(fault) => {
                span.dead(fault.code, &fault.message);
                // The key tells whose record it was, where it is a camera's name.
                let camera = message
                    .key()
                    .and_then(|key| std::str::from_utf8(key).ok()?.parse().ok());
                self.dead(
                    ticket,
                    camera.as_ref(),
                    Letter {
                        record: Arc::new(message),
                        fault,
                    },
                );
                Ok(())
            }
        }
    }

    /// Its trace goes on from where it came from.
    fn trace(&self, message: &OwnedMessage) -> Span {
        let settings = &self.shop.settings;
        let span = self
            .shop
            .tracer
            .process(&settings.broker.topic, &settings.group, || parent(message));
        span.place(message.partition(), message.offset());
        span
    }

    fn accept(
        &mut self,
        ticket: Ticket,
        record: OwnedMessage,
        camera: CameraId,
        number: FrameNumber,
        time: Timestamp,
        span: Span,
    ) -> Result<(), KafkaError> {
        span.of_camera(&camera);
        let counted = self.numbers.camera(Some(&camera));
        counted.frames_in.fetch_add(1, Relaxed);
        counted
            .bytes_in
            .fetch_add(value_bytes(&record) as u64, Relaxed);
        if !self.track(ticket, &camera, &counted)? {
            let message = format!("there are {MAX_CAMERAS} other cameras in its partition");
            span.dead("too-many-cameras", &message);
            let letter = Letter {
                record: Arc::new(record),
                fault: Fault {
                    code: "too-many-cameras",
                    message,
                },
            };
            self.dead(ticket, Some(&camera), letter);
            return Ok(());
        }
        let Some(partition) = self.partitions.get_mut(&ticket.partition) else {
            return Ok(());
        };
        let Some((lane, place)) = partition.place(&camera, number, time) else {
            return Ok(());
        };
        let late = matches!(place, Place::Late(_));
        match place {
            Place::Next(_) => {}
            Place::Restarted(first) => {
                counted.restarts.fetch_add(1, Relaxed);
                tracing::info!(%camera, frame = number.0, "the camera counts anew: its frames go on as number {first}");
            }
            Place::Late(_) => drop(counted.late.fetch_add(1, Relaxed)),
        }
        let lane = if late { partition.alone } else { lane };
        span.of_frame(place.number());
        let job = Job {
            ticket,
            camera,
            number: place.number(),
            time,
            late,
            record,
            span,
        };
        self.shop.lanes.submit(lane, Arc::new(job));
        Ok(())
    }

    /// Makes sure that a camera is known, with what is remembered of it. False if there are too many.
    fn track(
        &mut self,
        ticket: Ticket,
        camera: &CameraId,
        counted: &CameraNumbers,
    ) -> Result<bool, KafkaError> {
        let known = |worker: &Worker| {
            worker
                .partitions
                .get(&ticket.partition)
                .map_or(0, |p| p.cameras.len())
        };
        if self
            .partitions
            .get(&ticket.partition)
            .is_some_and(|p| p.cameras.contains_key(camera))
        {
            return Ok(true);
        }
        if known(self) >= MAX_AT_HAND {
            self.put_away(ticket.partition);
        }
        if known(self) >= MAX_CAMERAS {
            return Ok(false);
        }
        let Memory { numbering, matte } = match &mut self.output {
            Output::Files { directory, .. } => {
                directory.recall(ticket.partition, camera, ticket.offset, counted)?
            }
            Output::Results(topic) => topic.recall(ticket.partition, camera),
        };
        let Some(partition) = self.partitions.get_mut(&ticket.partition) else {
            return Ok(false);
        };
        let lane = self
            .shop
            .lanes
            .open(camera, partition.id, partition.turn, Some(matte));
        let tracked = Tracked {
            lane,
            numbering,
            touched: false,
            used: Instant::now(),
        };
        partition.cameras.insert(camera.clone(), tracked);
        Ok(true)
    }

    /// Forgets cameras that have been quiet and whose memory is stored.
    fn put_away(&mut self, partition: i32) {
        let Output::Files { .. } = self.output else {
            return;
        };
        let Some(partition) = self.partitions.get_mut(&partition) else {
            return;
        };
        if partition.mark.is_some() || partition.committed < partition.requested {
            return;
        }
        let lanes = &self.shop.lanes;
        partition.cameras.retain(|_, tracked| {
            let stays = tracked.touched || tracked.used.elapsed() < QUIET;
            if !stays {
                lanes.close(tracked.lane);
            }
            stays
        });
    }
}
