//! The threads that process frames.
use super::{
    events::{CameraRestarted, FrameOutOfOrder},
    job::{EncodedResult, Job, JobOutcome, QueuedRecord, RecordPicture},
    loop_event::LoopEvent,
    shared::WorkerContext,
};
use crate::settings::WorkerSink;
use image::RgbImage;
use mattebox_core::frame::{FrameNumber, NumberingStep, RecordIdentity};
use mattebox_engine::{
    FrameInput, FramePicture, FrameProcessor, FrameSettings, MattedFrame, Rejection,
    cameras::Camera,
    events::{Event, FrameMatted},
    latency::{age_us, captured},
    queues::{EarlyFrame, QueueId, StateLease, ThreadTask, Turn},
    stages::Stage,
    status::Condition,
};
use mattebox_store::journal::{Journal, name_record};
use rdkafka::Message;
use std::{mem, sync::Arc};

/// One thread with its processor.
pub(super) struct ProcessingThread {
    shared: Arc<WorkerContext>,
    processor: FrameProcessor,
    journal: Arc<dyn Journal>,
    /// A picture whose memory the next decoding ahead reuses.
    spare: RgbImage,
}

impl ProcessingThread {
    pub(super) fn new(
        shared: &Arc<WorkerContext>,
        processor: FrameProcessor,
        journal: Arc<dyn Journal>,
    ) -> Self {
        ProcessingThread {
            processor,
            shared: shared.clone(),
            journal,
            spare: RgbImage::default(),
        }
    }

    /// Runs until the queues are shut, or no processor can be created after a fault.
    pub(super) fn run(mut self) {
        let shared = self.shared.clone();
        let _end = ThreadEnd(&shared);
        while let Some(work) = shared.queues.take() {
            match work {
                ThreadTask::Prepare(ahead) => self.decode(ahead),
                ThreadTask::Process(turn) => self.process(turn),
            }
            if let Some(problem) = self.processor.lost() {
                tracing::error!(
                    "a thread ends: it cannot create a new processor after a fault: {problem}"
                );
                return;
            }
        }
    }

    /// Decodes a frame ahead of its turn.
    fn decode(&mut self, mut ahead: EarlyFrame<'_, QueuedRecord>) {
        let record = ahead.frame();
        let mut picture = mem::take(&mut self.spare);
        let encoded = FramePicture::Encoded(record.job.encoded());
        let settings = &self.shared.settings.frame;
        let decoded = self
            .processor
            .decode(settings, encoded, &record.job.span, &mut picture);
        record.picture = match decoded.into_result() {
            Ok(()) => RecordPicture::Decoded(picture),
            Err(rejection) => RecordPicture::Rejected(rejection),
        };
    }

    fn process(&mut self, turn: Turn<'_, QueuedRecord>) {
        let Turn {
            id,
            frame,
            mut state,
            has_next,
            ..
        } = turn;
        let QueuedRecord { job, picture } = frame;
        let outcome = if self.is_stale(&job, has_next) {
            self.shared.queues.keep_turn(id);
            JobOutcome::Stale
        } else {
            match self.decoded(&job, picture) {
                Err(rejection) => JobOutcome::Rejected(rejection),
                Ok(picture) => {
                    let outcome = match self.name(&job, &mut state) {
                        Ok(named) => self.matte(id, &job, &picture, state, named),
                        Err(outcome) => outcome,
                    };
                    self.spare = picture;
                    outcome
                }
            }
        };
        self.shared.queues.done(id);
        self.shared.tell(LoopEvent::Done { job, outcome });
    }

    /// Decodes the picture of a frame. Only frames whose picture can be decoded get a name.
    fn decoded(&mut self, job: &Job, picture: RecordPicture) -> Result<RgbImage, Rejection> {
        match picture {
            RecordPicture::Decoded(picture) => Ok(picture),
            RecordPicture::Rejected(rejection) => Err(rejection),
            RecordPicture::Encoded => {
                let mut picture = mem::take(&mut self.spare);
                let encoded = FramePicture::Encoded(job.encoded());
                let settings = &self.shared.settings.frame;
                self.processor
                    .decode(settings, encoded, &job.span, &mut picture)
                    .into_result()
                    .map(|()| picture)
            }
        }
    }

    /// Names a frame, in the order of its camera's queue. An error: it must not be processed.
    fn name(
        &self,
        job: &Job,
        state: &mut StateLease<'_, QueuedRecord>,
    ) -> Result<Named, JobOutcome> {
        let head = &job.head;
        let identity = RecordIdentity {
            number: head.number.0,
            session: head.session.as_deref(),
            fingerprint: mattebox_wire::fingerprint(
                head.number,
                head.time,
                job.record.payload().unwrap_or_default(),
            ),
            topic: &job.topic_id,
            partition: job.position.partition,
            offset: job.position.offset,
        };
        let numbering = &mut state.get().numbering;
        let was_shared = numbering.is_shared();
        let highest = || self.shared.highest(&head.camera);
        let journal = self.journal.as_ref();
        let step = name_record(numbering, journal, &head.camera, &identity, &highest);
        let is_shared = numbering.is_shared();
        let counters = self.shared.counters.camera(Some(&head.camera));
        let late = match step.map_err(JobOutcome::Unnamed)? {
            NumberingStep::Next(number) => {
                return Ok(Named {
                    number,
                    late: false,
                });
            }
            NumberingStep::Began(number) => {
                CameraRestarted {
                    counters: &counters,
                    frame: head.number,
                    number,
                }
                .emit();
                return Ok(Named {
                    number,
                    late: false,
                });
            }
            NumberingStep::Late(number) => number,
            NumberingStep::Repeated(number) => match number {
                // Its file is missing: the frame could not be processed the first time.
                Some(number)
                    if !self.shared.names.contains(&head.camera, number)
                        && self.shared.is_missing(job, number) =>
                {
                    number
                }
                _ => return Err(JobOutcome::Repeated),
            },
            NumberingStep::Refused(refusal) => {
                if is_shared && !was_shared || counters.first_of(refusal.code) {
                    tracing::warn!(
                        camera = %head.camera,
                        partition = job.position.partition,
                        offset = job.position.offset,
                        code = refusal.code,
                        "a record of the camera becomes a dead letter: {}",
                        refusal.message
                    );
                }
                return Err(JobOutcome::Rejected(Rejection {
                    code: refusal.code,
                    message: refusal.message,
                }));
            }
            NumberingStep::Reserve(_) => return Err(JobOutcome::Rejected(Rejection::internal())),
        };
        FrameOutOfOrder {
            counters: &counters,
        }
        .emit();
        Ok(Named {
            number: late,
            late: true,
        })
    }

    /// Whether a frame is older than `--max-age`, compared with its camera's youngest frame on
    /// arrival. If a newer frame waits, a quarter of that is too old: a worker that cannot keep up
    /// processes the newest frames, and none that is almost too old.
    fn is_stale(&self, job: &Job, has_next: bool) -> bool {
        let Some(max_age) = self.shared.settings.max_age else {
            return false;
        };
        let max_age = if has_next { max_age / 4 } else { max_age };
        let camera = self.shared.counters.camera(Some(&job.head.camera));
        let age = age_us(job.head.time).saturating_sub(camera.clock.behind_us().unwrap_or(0));
        age > i64::try_from(max_age.as_micros()).unwrap_or(i64::MAX)
    }

    fn matte(
        &mut self,
        id: QueueId,
        job: &Job,
        picture: &RgbImage,
        mut state: StateLease<'_, QueuedRecord>,
        named: Named,
    ) -> JobOutcome {
        let shared = &self.shared;
        job.span.of_frame(named.number);
        // A frame that is retried has its name already.
        job.name
            .get_or_init(|| shared.names.take(&job.head.camera, named.number));
        let shown = shared.shown(job);
        let settings = match &shown {
            Some(camera) => camera.settings(),
            None => shared.start(&job.head.camera),
        };
        if named.late || !settings.has_state() {
            // It is processed without the camera's state.
            state.give_back();
        }
        let frame = FrameInput {
            settings: &settings,
            picture: FramePicture::Decoded(picture),
            time: job.head.time,
            state,
            background: None,
            span: &job.span,
        };
        let processed = self.processor.process(frame, |matted| {
            FrameMatted {
                frames: &shared.counters.camera(Some(&job.head.camera)).frames,
                is_still: matted.is_still(),
            }
            .emit();
            finish(shared, id, job, named, matted, (shown, &settings))
        });
        processed.into_result().unwrap_or_else(JobOutcome::Rejected)
    }
}

/// The name of a frame.
#[derive(Debug, Clone, Copy)]
struct Named {
    number: FrameNumber,
    /// It comes after frames with higher numbers: it is processed without the camera's state.
    late: bool,
}

/// Sends the event that a thread has ended, even by a panic.
struct ThreadEnd<'a>(&'a WorkerContext);

impl Drop for ThreadEnd<'_> {
    fn drop(&mut self) {
        self.0.tell(LoopEvent::ThreadEnded);
    }
}

/// Shows a frame, and writes or keeps its file.
fn finish(
    shared: &WorkerContext,
    id: QueueId,
    job: &Job,
    named: Named,
    matted: &mut MattedFrame<'_>,
    (shown, settings): (Option<Arc<Camera>>, &FrameSettings),
) -> JobOutcome {
    // A late frame is older than the frame on the page.
    if let Some(camera) = shown.filter(|_| !named.late && shared.queues.is_open(id)) {
        camera.status.set(Condition::Open);
        camera.show(named.number.0, captured(job.head.time), matted);
    }
    let (width, height) = matted.picture().dimensions();
    let bytes = match matted.encode() {
        Ok(bytes) => bytes,
        Err(rejection) => return JobOutcome::Rejected(rejection),
    };
    if let WorkerSink::Topic(_) = shared.settings.sink {
        return JobOutcome::Made(EncodedResult {
            number: named.number,
            bytes: bytes.to_vec(),
            size: (width, height),
            settings: settings.hash().unwrap_or_default(),
        });
    }
    let written = shared.engine.clock.trace(&job.span, Stage::Write, || {
        shared.write(job, named.number, bytes)
    });
    match written {
        Ok(stored) => JobOutcome::of_file(stored, bytes.len()),
        Err(e) => JobOutcome::Unwritten {
            number: named.number,
            bytes: bytes.to_vec(),
            message: e.to_string(),
        },
    }
}
