//! The one thread that hands the frames of all cameras to the client, in turn, each with its
//! number.
use super::{
    deliveries::{PublishDeliveries, Sent},
    encoded::Encoded,
    record::Body,
    shared::PublisherContext,
    sizes::Sizes,
};
use crate::{
    KafkaError,
    client::{Context, LastFailure},
    settings::CameraSettings,
    topics::{self, Wanted},
};
use mattebox_core::frame::FrameNumber;
use mattebox_engine::{
    events::{Event, FrameDropped, FrameFailed},
    metrics::DropReason,
    queues::{QueueId, Work},
    troubles::Cause,
};
use rdkafka::{
    admin::AdminClient,
    error::RDKafkaErrorCode,
    producer::{BaseRecord, Producer, ThreadedProducer},
};
use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

/// How long a frame waits for space in the client before it is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(50);
/// How often it is looked whether a topic is there that the broker does not know.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// The client's own buffer. It holds a few frames of each camera at a time; this bound is for very
/// large ones.
const MOST_KIB: &str = "262144";

/// Publishes the frames that wait.
pub(super) struct Publisher<'a> {
    settings: &'a CameraSettings,
    shared: Arc<PublisherContext>,
    sizes: Sizes,
    producer: ThreadedProducer<PublishDeliveries>,
    /// Each camera's next frame number. A number is given when the client takes the frame, so that
    /// frames dropped before leave no gap.
    next: Vec<u64>,
    scratch: Vec<u8>,
    admin: AdminClient<Context>,
    /// When it was last looked whether the topic is there.
    last_look: Option<Instant>,
}

impl<'a> Publisher<'a> {
    pub(super) fn new(
        settings: &'a CameraSettings,
        shared: Arc<PublisherContext>,
        sizes: Sizes,
        next: Vec<u64>,
        admin: AdminClient<Context>,
    ) -> Result<Self, KafkaError> {
        let producer = producer(settings, &shared, &sizes)?;
        Ok(Publisher {
            settings,
            shared,
            sizes,
            producer,
            next,
            scratch: Vec::new(),
            admin,
            last_look: None,
        })
    }

    /// Publishes until every camera has ended and its frames have arrived, or everything is
    /// aborted.
    pub(super) fn run(mut self) -> Result<(), KafkaError> {
        let shared = self.shared.clone();
        let by_queue: HashMap<QueueId, usize> = (0..shared.cameras.len())
            .map(|camera| (shared.cameras[camera].queue, camera))
            .collect();
        while let Some(work) = shared.queues.take() {
            // Frames are encoded when they come: nothing can be prepared.
            let Work::Process(turn) = work else { continue };
            let camera = by_queue.get(&turn.id).copied().unwrap_or_default();
            self.follow_topic();
            self.publish(camera, &turn.frame)?;
        }
        shared.queues.wait_drained();
        Ok(())
    }

    /// Makes the topic again if it was deleted while frames were published to it.
    fn follow_topic(&mut self) {
        let is_gone = self.shared.is_topic_gone.swap(false, Relaxed);
        if !is_gone
            || self
                .last_look
                .is_some_and(|at| at.elapsed() < LOOK_INTERVAL)
        {
            return;
        }
        self.last_look = Some(Instant::now());
        let topic = &self.settings.broker.topic;
        match topics::ensure(&self.admin, &wanted(self.settings)) {
            Ok(partitions) => {
                tracing::warn!(
                    topic,
                    partitions,
                    "the topic was deleted while frames were published to it, and is there again: \
                     frames in between are lost and counted as failed"
                );
            }
            Err(error) => self
                .shared
                .troubles
                .note(Cause::Topic, &format!("{error}; frames are lost")),
        }
    }

    fn publish(&mut self, camera: usize, frame: &Encoded) -> Result<(), KafkaError> {
        let shared = self.shared.clone();
        let known = &shared.cameras[camera];
        let number = self.next[camera];
        let mut scratch = std::mem::take(&mut self.scratch);
        frame.span.of_frame(FrameNumber(number));
        let span = frame.span.send(&self.settings.broker.topic);
        let trace = span.headers();
        let body = Body::new(
            self.settings.wire,
            &known.camera,
            &known.session,
            number,
            frame,
            &trace,
            &mut scratch,
        );
        if !self
            .sizes
            .check(&known.camera, &known.counters, body.size(&known.camera))
        {
            shared.lost(camera, "larger than the topic takes");
            FrameFailed {
                frames: &known.counters.frames,
                span: Some(&span),
                problem: "it is larger than the topic takes",
                is_told: false,
            }
            .emit();
            shared.queues.done(known.queue);
            self.scratch = scratch;
            return Ok(());
        }
        let sent = Sent {
            camera,
            number,
            taken: frame.taken,
            is_passed_through: frame.is_passed_through,
            whole: frame.span.clone(),
            span,
        };
        let sent = Box::new(sent);
        let mut record = BaseRecord::with_opaque_to(&self.settings.broker.topic, sent)
            .key(known.camera.as_str())
            .payload(body.value)
            .timestamp(frame.time.0.div_euclid(1000));
        record.headers = body.headers;
        loop {
            let (error, back) = match self.producer.send(record) {
                Ok(()) => {
                    self.next[camera] = number + 1;
                    break;
                }
                Err(not_taken) => not_taken,
            };
            record = back;
            match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::QueueFull) if !shared.queues.wait_for_space(RETRY_DELAY) => {
                }
                Some(RDKafkaErrorCode::QueueFull) => {
                    FrameDropped {
                        frames: &known.counters.frames,
                        span: &frame.span,
                        reason: DropReason::Stopped,
                    }
                    .emit();
                    shared.queues.done(known.queue);
                    break;
                }
                // The client's order of frames is broken for good, as after the loss of a broker's
                // log: only a new client goes on.
                _ if self.producer.client().fatal_error().is_some() => {
                    tracing::error!("the client has to begin anew: {error}");
                    self.producer = producer(self.settings, &self.shared, &self.sizes)?;
                }
                _ => {
                    shared.refused(camera, &frame.span, &error);
                    shared.queues.done(known.queue);
                    break;
                }
            }
        }
        self.scratch = scratch;
        Ok(())
    }
}

/// The topic of the frames, as it is made.
pub(super) fn wanted(settings: &CameraSettings) -> Wanted<'_> {
    Wanted {
        name: &settings.broker.topic,
        partitions: settings.partitions,
        replication_factor: settings.replication_factor,
        config: Vec::new(),
    }
}

fn producer(
    settings: &CameraSettings,
    shared: &Arc<PublisherContext>,
    sizes: &Sizes,
) -> Result<ThreadedProducer<PublishDeliveries>, KafkaError> {
    let most = sizes.of_client().to_string();
    let batch = sizes.batch().to_string();
    let config = settings.broker.client(&[
        // Each frame once and in order, and only what all copies have counts as published.
        ("enable.idempotence", "true"),
        ("acks", "all"),
        // What the client has is never given up: a gap would break the order. What is too old is
        // dropped before, in the queues.
        ("message.timeout.ms", "0"),
        // A key's partition is the one that Java's clients choose.
        ("partitioner", "murmur2_random"),
        // JPEG is compressed already.
        ("compression.type", "none"),
        // Frames are not held back to wait for others.
        ("linger.ms", "0"),
        ("socket.nagle.disable", "true"),
        ("message.max.bytes", &most),
        ("batch.size", &batch),
        ("queue.buffering.max.kbytes", MOST_KIB),
        // A topic that was deleted is noticed after this time.
        ("topic.metadata.propagation.max.ms", "5000"),
        // Partitions that are added are used after this time.
        ("topic.metadata.refresh.interval.ms", "30000"),
    ]);
    config
        .create_with_context(PublishDeliveries {
            shared: shared.clone(),
            failure: LastFailure::default(),
        })
        .map_err(KafkaError::Settings)
}
