//! A record becomes a frame in the queue of its camera, or is rejected.
use super::{
    cameras::{MAX_CAMERAS, PartitionCameras, TouchedCamera},
    counters::CameraCounters,
    job::{Job, LogPosition, QueuedRecord, RecordPicture, RejectedRecord},
    shared::WorkerContext,
};
use crate::KafkaError;
use crate::record::{parent, value_bytes, with_record};
use mattebox_core::frame::CameraId;
use mattebox_engine::{
    Rejection,
    events::{Event, FrameRead},
    latency::age_us,
    queues::{Pushed, QueueId},
    status::Condition,
    trace::Span,
};
use mattebox_store::CameraState;
use mattebox_wire::FrameHead;
use rdkafka::{Message, message::OwnedMessage};
use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

/// A clock that is off by less is not logged.
const CLOCK_TOLERANCE: Duration = Duration::from_millis(250);

/// Reads records, and has the cameras of all partitions of the assignment.
pub(super) struct Ingest {
    shared: Arc<WorkerContext>,
    partitions: HashMap<i32, PartitionCameras>,
}

/// The result of reading a record.
#[derive(Debug)]
pub(super) enum Ingested {
    /// It waits in the queue of its camera.
    Queued,
    /// It waits in place of this frame, which is too old.
    Replaced(Arc<Job>),
    /// It cannot be a frame. The camera is known where its name can be read.
    Rejected(Option<CameraId>, Span, RejectedRecord),
}

impl Ingest {
    pub(super) fn new(shared: Arc<WorkerContext>) -> Self {
        Ingest {
            shared,
            partitions: HashMap::new(),
        }
    }

    /// Begins with an assigned partition.
    pub(super) fn begin(&mut self, partition: i32, topic_id: Arc<str>) {
        self.partitions
            .insert(partition, PartitionCameras::new(topic_id));
    }

    /// The queues of the cameras of a partition, and the id of its topic.
    pub(super) fn queues(
        &self,
        partition: i32,
    ) -> impl Iterator<Item = (&CameraId, QueueId, &Arc<str>)> {
        let cameras = self.partitions.get(&partition).into_iter();
        cameras.flat_map(|cameras| {
            let queues = cameras.queues();
            queues.map(|(camera, queue)| (camera, queue, cameras.topic_id()))
        })
    }

    /// Whether a partition has room for another camera.
    pub(super) fn has_room(&self, partition: i32) -> bool {
        let cameras = self.partitions.get(&partition);
        cameras.is_none_or(|cameras| !cameras.is_full())
    }

    /// Forgets the cameras of a partition without a frame since their state was stored.
    pub(super) fn forget_stored(&mut self, partition: i32) {
        if let Some(cameras) = self.partitions.get_mut(&partition) {
            cameras.forget_stored(&self.shared.queues);
        }
    }

    /// Queues a frame again that could not be named. Returns the frame that has no place in the
    /// queue after that: with `--max-age` the oldest.
    pub(super) fn queue_again(&mut self, job: Arc<Job>) -> Option<Arc<Job>> {
        let known = self.partitions.get_mut(&job.position.partition);
        let queue = known.and_then(|cameras| cameras.touch(&job.head.camera))?;
        let picture = RecordPicture::Encoded;
        let queued = QueuedRecord { job, picture };
        match self.shared.queues.push(queue, queued) {
            Pushed::Queued => None,
            Pushed::Replaced(dropped) | Pushed::Refused(dropped) => Some(dropped.job),
        }
    }

    /// The states of these cameras are not stored: the next checkpoint stores them again.
    pub(super) fn touch(&mut self, partition: i32, cameras: &[CameraId]) {
        if let Some(known) = self.partitions.get_mut(&partition) {
            for camera in cameras {
                known.touch(camera);
            }
        }
    }

    /// The next checkpoint stores the states of all cameras, even without a new frame.
    pub(super) fn touch_all(&mut self) {
        self.partitions
            .values_mut()
            .for_each(PartitionCameras::touch_all);
    }

    /// Forgets the cameras of a revoked partition.
    pub(super) fn forget(&mut self, partition: i32) {
        let Some(cameras) = self.partitions.remove(&partition) else {
            return;
        };
        for camera in cameras.close(&self.shared.queues) {
            // Its frames go to another worker now.
            if let Some(shown) = self.shared.cameras.camera(camera.as_str()) {
                shown.status.set(Condition::Ended);
            }
        }
    }

    /// The cameras of a partition with frames since the last call.
    pub(super) fn take_touched(&mut self, partition: i32) -> Vec<TouchedCamera> {
        self.partitions
            .get_mut(&partition)
            .map(PartitionCameras::take_touched)
            .unwrap_or_default()
    }

    /// Reads a record, which was just published if `is_live`. `recall` returns the state of a new
    /// camera. If `are_stored`, quiet cameras make room for it: no checkpoint with their states is
    /// unfinished.
    pub(super) fn take(
        &mut self,
        position: LogPosition,
        record: OwnedMessage,
        is_live: bool,
        are_stored: bool,
        recall: impl FnOnce(&CameraId, &CameraCounters) -> Result<CameraState, KafkaError>,
    ) -> Result<Ingested, KafkaError> {
        let span = self.trace(&record);
        let record = Arc::new(record);
        let read = with_record(&*record, |r| {
            let value = record.payload().unwrap_or_default();
            mattebox_wire::read(r).map(|frame| frame.detach(value))
        });
        match read {
            Ok(head) => {
                if is_live {
                    self.compare_clocks(&head);
                }
                self.accept(position, record, head, span, are_stored, recall)
            }
            Err(error) => {
                // The key is a camera's name in most records.
                let key = record.key().and_then(|key| std::str::from_utf8(key).ok());
                let camera = key.and_then(|key| key.parse().ok());
                let counters = self.shared.counters.camera(camera.as_ref());
                counters.seen();
                FrameRead {
                    frames: &counters.frames,
                    bytes: value_bytes(&*record),
                }
                .emit();
                Ok(reject(camera, record, error.into(), span))
            }
        }
    }

    /// The span of the record, within the trace that its headers name.
    fn trace(&self, record: &OwnedMessage) -> Span {
        let settings = &self.shared.settings;
        let span = self
            .shared
            .tracer
            .process(&settings.broker.topic, &settings.group, || parent(record));
        span.place(record.partition(), record.offset());
        span
    }

    /// Compares a camera's clock with ours, and logs once if it is off.
    fn compare_clocks(&self, head: &FrameHead) {
        let Some(max_age) = self.shared.settings.max_age else {
            return;
        };
        let clock = &self.shared.counters.camera(Some(&head.camera)).clock;
        clock.heard(age_us(head.time), Instant::now());
        let Some(off) = clock.take_news((max_age / 2).max(CLOCK_TOLERANCE)) else {
            return;
        };
        let seconds = off.unsigned_abs() as f64 / 1e6;
        let camera = &head.camera;
        match off > 0 {
            true => tracing::warn!(
                %camera,
                "its youngest frames are {seconds:.1} s old when they arrive: its clock is behind \
                 this machine's, or they take so long. Their age is judged against the youngest; \
                 set both clocks by NTP"
            ),
            false => tracing::warn!(
                %camera,
                "its clock is {seconds:.1} s ahead of this machine's. The age of its frames is \
                 judged against the youngest; set both clocks by NTP"
            ),
        }
    }

    fn accept(
        &mut self,
        position: LogPosition,
        record: Arc<OwnedMessage>,
        head: FrameHead,
        span: Span,
        are_stored: bool,
        recall: impl FnOnce(&CameraId, &CameraCounters) -> Result<CameraState, KafkaError>,
    ) -> Result<Ingested, KafkaError> {
        span.of_camera(&head.camera);
        let counters = self.shared.counters.camera(Some(&head.camera));
        counters.seen();
        FrameRead {
            frames: &counters.frames,
            bytes: value_bytes(&*record),
        }
        .emit();
        let Some(cameras) = self.partitions.get_mut(&position.partition) else {
            return Ok(Ingested::Queued);
        };
        if !cameras.contains(&head.camera) {
            if are_stored && cameras.is_crowded() {
                cameras.forget_quiet(Instant::now(), &self.shared.queues);
            }
            if cameras.is_full() {
                return Ok(reject(Some(head.camera), record, too_many(), span));
            }
            let state = recall(&head.camera, &counters)?;
            let settings = self.shared.queue_settings();
            cameras.open(head.camera.clone(), state, &self.shared.queues, settings);
        }
        let Some(queue) = cameras.touch(&head.camera) else {
            return Ok(Ingested::Queued);
        };
        let job = Job {
            position,
            head,
            topic_id: cameras.topic_id().clone(),
            record,
            span,
            name: OnceLock::new(),
        };
        let queued = QueuedRecord {
            job: Arc::new(job),
            picture: RecordPicture::Encoded,
        };
        Ok(match self.shared.queues.push(queue, queued) {
            Pushed::Replaced(oldest) => Ingested::Replaced(oldest.job),
            // A queue is removed only with its partition.
            Pushed::Queued | Pushed::Refused(_) => Ingested::Queued,
        })
    }
}

fn reject(
    camera: Option<CameraId>,
    record: Arc<OwnedMessage>,
    rejection: Rejection,
    span: Span,
) -> Ingested {
    Ingested::Rejected(camera, span, RejectedRecord { record, rejection })
}

fn too_many() -> Rejection {
    Rejection {
        code: "too-many-cameras",
        message: format!("there are {MAX_CAMERAS} other cameras in its partition"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{BrokerSettings, WorkerSettings, WorkerSink};
    use mattebox_engine::{FrameSettings, trace::Tracer};
    use mattebox_store::{NameTemplate, OnExisting};
    use rdkafka::Timestamp;
    use std::num::NonZeroUsize;

    fn ingest() -> Ingest {
        let settings = WorkerSettings {
            broker: BrokerSettings::new("localhost:1".to_owned(), "frames".to_owned(), vec![]),
            group: "group".to_owned(),
            instance_id: None,
            from: mattebox_wire::StartAt::Earliest,
            until_end: false,
            max_age: None,
            forget: Duration::from_secs(3600),
            connect_timeout: Duration::ZERO,
            dead_share: 0.5,
            dead_window: 10,
            commit_interval: Duration::from_secs(1),
            bounds_states: false,
            fsync: false,
            sink: WorkerSink::Topic("results".to_owned()),
            names: NameTemplate::default(),
            frame: FrameSettings::default(),
            camera_settings: None,
            on_existing: OnExisting::Skip,
            on_gap: crate::settings::OnGap::Continue,
            on_missing_state: crate::settings::OnMissingState::Restart,
            threads: NonZeroUsize::MIN,
            trace: None,
            shutdown_timeout: Duration::ZERO,
        };
        let tracer = Tracer::open(None, "worker").unwrap();
        let (events, _) = crossbeam_channel::bounded(1);
        let shared = WorkerContext::new(settings, Arc::default(), tracer, events).unwrap();
        let mut ingest = Ingest::new(Arc::new(shared));
        ingest.begin(0, "id".into());
        ingest
    }

    fn take(ingest: &mut Ingest, offset: i64, key: &str, value: String) -> Ingested {
        let value = Some(value.into_bytes());
        let key = Some(key.as_bytes().to_vec());
        let topic = "frames".to_owned();
        let record = OwnedMessage::new(value, key, topic, Timestamp::NotAvailable, 0, offset, None);
        let position = LogPosition {
            partition: 0,
            epoch: 1,
            offset,
        };
        ingest
            .take(position, record, false, false, |_, _| {
                Ok(CameraState::default())
            })
            .unwrap()
    }

    fn frame(camera: &str) -> String {
        format!(
            r#"{{"camera_id":"{camera}","frame_id":1,"ts":1.5,"codec":"jpg","width":2,"height":2,"data_b64":"AAAA"}}"#
        )
    }

    fn rejection(ingested: Ingested) -> (Option<CameraId>, &'static str) {
        match ingested {
            Ingested::Rejected(camera, _, rejected) => (camera, rejected.rejection.code),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_record_that_is_no_frame_is_rejected_under_the_name_in_its_key() {
        let mut ingest = ingest();
        let ingested = take(&mut ingest, 0, "cam01", "{".to_owned());
        let (camera, code) = rejection(ingested);
        assert_eq!(camera.unwrap().as_str(), "cam01");
        assert_eq!(code, "bad-json");
        assert!(ingest.take_touched(0).is_empty());
    }

    #[test]
    fn new_cameras_are_rejected_at_the_limit_and_known_ones_go_on() {
        let mut ingest = ingest();
        for n in 0..MAX_CAMERAS {
            let camera = format!("cam{n}");
            let ingested = take(&mut ingest, n as i64, &camera, frame(&camera));
            assert!(matches!(ingested, Ingested::Queued), "{ingested:?}");
        }
        let next = MAX_CAMERAS as i64;
        let (camera, code) = rejection(take(&mut ingest, next, "new", frame("new")));
        assert_eq!(camera.unwrap().as_str(), "new");
        assert_eq!(code, "too-many-cameras");
        let known = take(&mut ingest, next + 1, "cam7", frame("cam7"));
        assert!(matches!(known, Ingested::Queued));
        assert_eq!(ingest.take_touched(0).len(), MAX_CAMERAS);
    }
}
