//! The threads that process frames.
use super::{
    event::Event,
    job::{EncodedResult, Job, JobOutcome, Picture, QueuedRecord},
    shared::Shared,
};
use crate::settings::WorkerSink;
use image::RgbImage;
use mattebox_engine::{
    Frame, FramePicture, FrameProcessor, MattedFrame, StartError,
    cameras::{Camera, preview::Offer},
    latency::age_us,
    queues::{Ahead, QueueId, Turn, Work},
    stages::Stage,
    status::Condition,
};
use mattebox_store::Outcome as Stored;
use std::{mem, sync::Arc, time::Duration};

/// One thread with its processor.
pub(super) struct ProcessingThread {
    shared: Arc<Shared>,
    processor: FrameProcessor,
    /// A picture whose memory the next decoding ahead uses again.
    spare: RgbImage,
}

impl ProcessingThread {
    pub(super) fn new(shared: &Arc<Shared>) -> Result<Self, StartError> {
        Ok(ProcessingThread {
            processor: FrameProcessor::new(&shared.engine, &shared.start())?,
            shared: shared.clone(),
            spare: RgbImage::default(),
        })
    }

    /// Works until the queues are shut, or the processor is lost after a fault.
    pub(super) fn run(mut self) {
        let shared = self.shared.clone();
        let _end = ThreadEnd(&shared);
        while let Some(work) = shared.queues.take() {
            match work {
                Work::Prepare(ahead) => self.decode(ahead),
                Work::Process(turn) => self.process(turn),
            }
            if let Some(problem) = self.processor.lost() {
                tracing::error!(
                    "a thread ends, because it cannot make new tools after a fault: {problem}"
                );
                return;
            }
        }
    }

    /// Decodes a frame whose turn has not come.
    fn decode(&mut self, mut ahead: Ahead<'_, QueuedRecord>) {
        let record = ahead.frame();
        let mut picture = mem::take(&mut self.spare);
        let encoded = FramePicture::Encoded(record.job.encoded());
        let settings = &self.shared.settings.frame;
        let decoded = self
            .processor
            .decode(settings, encoded, &record.job.span, &mut picture);
        record.picture = match decoded.into_result() {
            Ok(()) => Picture::Decoded(picture),
            Err(rejection) => Picture::Rejected(rejection),
        };
    }

    fn process(&mut self, turn: Turn<'_, QueuedRecord>) {
        let Turn {
            id, frame, state, ..
        } = turn;
        let QueuedRecord { job, picture, .. } = frame;
        let mut still = false;
        let outcome = match picture {
            _ if is_stale(&job, self.shared.settings.max_age) => JobOutcome::Stale,
            Picture::Rejected(rejection) => JobOutcome::Rejected(rejection),
            picture => {
                let shared = &self.shared;
                let shown = shared.shown(&job);
                let settings = match &shown {
                    Some(camera) => camera.settings(),
                    None => shared.start(),
                };
                let frame = Frame {
                    settings: &settings,
                    picture: match &picture {
                        Picture::Decoded(picture) => FramePicture::Decoded(picture),
                        _ => FramePicture::Encoded(job.encoded()),
                    },
                    time: job.head.time,
                    state,
                    background: None,
                    span: &job.span,
                };
                let processed = self.processor.process(frame, |matted| {
                    still = matted.is_still();
                    finish(shared, id, &job, matted, shown)
                });
                if let Picture::Decoded(picture) = picture {
                    self.spare = picture;
                }
                processed.into_result().unwrap_or_else(JobOutcome::Rejected)
            }
        };
        self.shared.queues.done(id);
        self.shared.tell(Event::Done {
            job,
            outcome,
            still,
        });
    }
}

/// Tells the main loop that a thread has ended, even by a panic.
struct ThreadEnd<'a>(&'a Shared);

impl Drop for ThreadEnd<'_> {
    fn drop(&mut self) {
        self.0.tell(Event::ThreadEnded);
    }
}

/// Shows a frame, and writes or keeps its file.
fn finish(
    shared: &Shared,
    id: QueueId,
    job: &Job,
    matted: &mut MattedFrame<'_>,
    shown: Option<Arc<Camera>>,
) -> JobOutcome {
    // A late frame is older than the one that is seen.
    if let Some(camera) = shown.filter(|_| !job.late && shared.queues.is_open(id)) {
        camera.status.set(Condition::Open);
        let (raw, alpha, composed) = matted.views();
        camera.offer(Offer {
            number: job.number.0,
            raw: Some(raw),
            alpha: Some(alpha),
            composed,
        });
    }
    let (width, height) = matted.picture().dimensions();
    let bytes = match matted.encode() {
        Ok(bytes) => bytes,
        Err(rejection) => return JobOutcome::Rejected(rejection),
    };
    if let WorkerSink::Topic(_) = shared.settings.sink {
        return JobOutcome::Made(EncodedResult {
            bytes: bytes.to_vec(),
            size: (width, height),
        });
    }
    let written = shared
        .engine
        .clock
        .trace(&job.span, Stage::Write, || shared.write(job, bytes));
    match written {
        Ok(Stored::Written) => JobOutcome::Written { bytes: bytes.len() },
        Ok(Stored::Skipped) => JobOutcome::Kept,
        Err(e) => JobOutcome::Unwritten {
            bytes: bytes.to_vec(),
            message: e.to_string(),
        },
    }
}

fn is_stale(job: &Job, max_age: Option<Duration>) -> bool {
    max_age.is_some_and(|max| {
        age_us(job.head.time) > i64::try_from(max.as_micros()).unwrap_or(i64::MAX)
    })
}
