//! The one thread that numbers the frames of all cameras and passes them to librdkafka, in turn.
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
    queues::{QueueId, ThreadTask},
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

/// How long a frame waits for space in librdkafka's queue before another try.
const RETRY_DELAY: Duration = Duration::from_millis(50);
/// How often a missing topic is created again.
const TOPIC_CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// The limit of librdkafka's queue. It holds a few frames of each camera, so only very large frames
/// reach it.
const MAX_BUFFER_KIB: &str = "262144";

/// Publishes the frames that wait.
pub(super) struct Publisher<'a> {
    settings: &'a CameraSettings,
    shared: Arc<PublisherContext>,
    sizes: Sizes,
    producer: ThreadedProducer<PublishDeliveries>,
    /// Each camera's next frame number. A frame is numbered when librdkafka accepts it, so that
    /// dropped frames leave no gap.
    next: Vec<u64>,
    scratch: Vec<u8>,
    admin: AdminClient<Context>,
    /// When the missing topic was last created again.
    last_check: Option<Instant>,
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
            last_check: None,
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
            // Frames are already encoded: there is nothing to prepare.
            let ThreadTask::Process(turn) = work else {
                continue;
            };
            let camera = by_queue.get(&turn.id).copied().unwrap_or_default();
            self.follow_topic();
            self.publish(camera, &turn.frame)?;
        }
        shared.queues.wait_drained();
        Ok(())
    }

    /// Creates the topic again if it was deleted while frames were published to it.
    fn follow_topic(&mut self) {
        let is_gone = self.shared.is_topic_gone.swap(false, Relaxed);
        if !is_gone
            || self
                .last_check
                .is_some_and(|at| at.elapsed() < TOPIC_CHECK_INTERVAL)
        {
            return;
        }
        self.last_check = Some(Instant::now());
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
                frame: None,
                span: Some(&frame.span),
                problem: "it is larger than the topic takes",
                needs_action: false,
            }
            .emit();
            span.fail("it is larger than the topic takes");
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
                // librdkafka's order of frames is broken for good, as after the loss of a broker's
                // log: only a new client can go on.
                _ if self.producer.client().fatal_error().is_some() => {
                    tracing::error!("a new client is needed: {error}");
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

/// The topic of the frames and its settings.
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
        // Each frame once and in order; it counts as published when all copies have it.
        ("enable.idempotence", "true"),
        ("acks", "all"),
        // librdkafka never drops a frame: a gap would break the order. Old frames are dropped
        // before, in the queues.
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
        ("queue.buffering.max.kbytes", MAX_BUFFER_KIB),
        // A deleted topic is noticed after this time.
        ("topic.metadata.propagation.max.ms", "5000"),
        // Added partitions are used after this time.
        ("topic.metadata.refresh.interval.ms", "30000"),
    ]);
    config
        .create_with_context(PublishDeliveries {
            shared: shared.clone(),
            failure: LastFailure::default(),
        })
        .map_err(KafkaError::Settings)
}
