//! A thread that processes frames and writes files.
use super::{
    RunContext,
    output::{CameraOutput, FinishedFrame, WriterMessage},
    queued::QueuedPicture,
    stats::RunFailure,
};
use crate::config::output_choice::MATTES;
use image::RgbImage;
use mattebox_core::compose::Composed;
use mattebox_engine::{
    Engine, FrameInput, FrameOutcome, FramePicture, FrameProcessor, FrameSettings, MattedFrame,
    StartError,
    events::{Event, FrameFailed, FrameMatted, FrameSkipped, FrameWritten},
    metrics::SkipReason,
    queues::{ThreadTask, Turn},
    stages::Stage,
};
use mattebox_store::{FrameDir, OnExisting, Outcome, StoreError};
use std::{
    ffi::OsStr,
    fmt::Display,
    sync::Arc,
    time::{Instant, SystemTime},
};

/// One thread with its processor.
pub(super) struct FrameWorker<'a> {
    shared: &'a RunContext<'a>,
    processor: FrameProcessor,
}

/// A frame without its picture, for its events.
struct RunFrame<'a> {
    shared: &'a RunContext<'a>,
    index: usize,
    number: mattebox_core::frame::FrameNumber,
    time: mattebox_core::frame::Timestamp,
    /// The name that its files keep.
    name: Option<Arc<OsStr>>,
    read: Instant,
    span: mattebox_engine::trace::Span,
}

impl<'a> FrameWorker<'a> {
    pub(super) fn new(
        shared: &'a RunContext<'a>,
        engine: &Engine,
        settings: &Arc<FrameSettings>,
    ) -> Result<Self, StartError> {
        Ok(FrameWorker {
            shared,
            processor: FrameProcessor::new(engine, settings)?,
        })
    }

    /// Runs until no frame is left, or no processor can be created after a fault.
    pub(super) fn run(mut self) {
        let shared = self.shared;
        while let Some(work) = shared.queues.take() {
            // Pictures are already decoded: there is nothing to prepare.
            let ThreadTask::Process(turn) = work else {
                continue;
            };
            self.process(turn);
            if let Some(problem) = self.processor.lost() {
                tracing::error!(
                    "a thread ends: it cannot create a new processor after a fault: {problem}"
                );
                return;
            }
        }
    }

    fn process(&mut self, turn: Turn<'_, QueuedPicture>) {
        let shared = self.shared;
        let id = turn.id;
        let sequence = turn.sequence;
        let index = shared.index_of(id);
        let QueuedPicture {
            number,
            name,
            time,
            read,
            picture,
            background,
            settings,
            span,
            ..
        } = turn.frame;
        let processed = RunFrame {
            shared,
            index,
            number,
            time,
            name,
            read,
            span: span.clone(),
        };
        if processed.is_unseen() {
            processed.pass(picture);
            shared.queues.done(id);
            return;
        }
        let frame = FrameInput {
            settings: &settings,
            picture: FramePicture::Decoded(&picture),
            time,
            state: turn.state,
            background: Some(background),
            span: &span,
        };
        let outcome = self
            .processor
            .process(frame, |matted| processed.finish(matted));
        // If the channel is full, the source has enough pictures.
        let _ = shared.cameras[index].spare_pictures.0.try_send(picture);
        let finished = match outcome {
            FrameOutcome::Matted(finished) => finished,
            FrameOutcome::Rejected(rejection) => {
                processed.lost(&format!("frame {number}: {}", rejection.message), false);
                None
            }
            FrameOutcome::Panicked => {
                processed.panicked();
                None
            }
        };
        match &shared.cameras[index].output {
            // The writer reports the frame as done when it is written. It ends only after all
            // workers.
            CameraOutput::Ordered { to, .. } => {
                drop(to.send(WriterMessage::Frame(sequence, finished)))
            }
            CameraOutput::Files(_) | CameraOutput::Nothing => shared.queues.done(id),
        }
    }
}

impl RunFrame<'_> {
    /// Whether nothing is written of the frame and it has no viewer.
    fn is_unseen(&self) -> bool {
        let camera = &self.shared.cameras[self.index];
        matches!(camera.output, CameraOutput::Nothing)
            && camera.alpha_out.is_none()
            && !camera.shown.wants_frame()
    }

    /// Counts a frame that no viewer sees: it needs no matte.
    fn pass(&self, picture: RgbImage) {
        let camera = &self.shared.cameras[self.index];
        camera.shown.note_frame(picture.dimensions());
        FrameSkipped {
            frames: &camera.stats.frames,
            span: &self.span,
            reason: SkipReason::Unseen,
        }
        .emit();
        let _ = camera.spare_pictures.0.try_send(picture);
    }

    /// Shows and writes the frame. It is returned where a writer is to write it.
    fn finish(&self, matted: &mut MattedFrame<'_>) -> Option<FinishedFrame> {
        let camera = &self.shared.cameras[self.index];
        FrameMatted {
            frames: &camera.stats.frames,
            is_still: matted.is_still(),
        }
        .emit();
        if let Some(dir) = &camera.alpha_out {
            self.write_alpha(matted, dir)?;
        }
        let captured = SystemTime::now().checked_sub(self.read.elapsed());
        camera.shown.show(self.number.0, captured, matted);
        match &camera.output {
            CameraOutput::Ordered { spare, .. } => {
                let spare = spare.try_recv().unwrap_or_else(|_| Composed::default());
                return Some(FinishedFrame {
                    time: self.time,
                    read: self.read,
                    picture: matted.take_composed(spare),
                    span: self.span.clone(),
                });
            }
            CameraOutput::Nothing => self.written(0),
            CameraOutput::Files(dir) => self.write(matted, dir),
        }
        None
    }

    /// `None`: the frame is lost.
    fn write_alpha(&self, matted: &mut MattedFrame<'_>, dir: &FrameDir) -> Option<()> {
        let bytes = match matted.encode_alpha() {
            Ok(bytes) => bytes,
            Err(e) => {
                self.lost(&format!("frame {}: {}", self.number, e.message), false);
                return None;
            }
        };
        let on_existing = self.shared.job.on_existing;
        let written = self.shared.clock.trace(&self.span, Stage::Write, || {
            self.write_file(dir, MATTES, bytes, on_existing)
        });
        match written {
            Ok(_) => Some(()),
            Err(e) => {
                self.lost(&e.to_string(), true);
                None
            }
        }
    }

    fn write(&self, matted: &mut MattedFrame<'_>, dir: &FrameDir) {
        let job = self.shared.job;
        let stats = &self.shared.cameras[self.index].stats;
        let bytes = match matted.encode() {
            Ok(bytes) => bytes,
            Err(e) => return self.lost(&format!("frame {}: {}", self.number, e.message), false),
        };
        let written = self.shared.clock.trace(&self.span, Stage::Write, || {
            self.write_file(dir, job.extension, bytes, job.on_existing)
        });
        match written {
            Ok(Outcome::Written) => self.written(bytes.len()),
            Ok(Outcome::Skipped | Outcome::KeptDifferent) => FrameSkipped {
                frames: &stats.frames,
                span: &self.span,
                reason: SkipReason::Exists,
            }
            .emit(),
            Err(e) => self.lost(&e.to_string(), true),
        }
    }

    fn written(&self, bytes: usize) {
        FrameWritten {
            frames: &self.shared.cameras[self.index].stats.frames,
            span: &self.span,
            bytes,
            latency: Some(self.read.elapsed()),
        }
        .emit();
    }

    fn write_file(
        &self,
        dir: &FrameDir,
        extension: &str,
        bytes: &[u8],
        on_existing: OnExisting,
    ) -> Result<Outcome, StoreError> {
        match &self.name {
            Some(name) => dir.write_named(name, extension, bytes, on_existing),
            None => dir.write(self.number, self.time, extension, bytes, on_existing),
        }
    }

    /// Fail closed: a frame whose matte could not be computed is not written.
    fn panicked(&self) {
        let number = self.number;
        self.failed(
            format!(
                "frame {number} could not be processed; this is a fault of mattebox, please \
                 report it"
            ),
            true,
        );
    }

    /// Counts a frame as failed. `ends_camera`: the output cannot be written any more, so the
    /// camera ends.
    fn lost(&self, message: &str, ends_camera: bool) {
        let camera = &self.shared.cameras[self.index];
        self.failed(message, !ends_camera);
        if ends_camera {
            self.shared
                .fail(self.index, RunFailure::of_work(message.to_owned(), false));
        } else {
            camera.shown.note(message);
        }
    }

    fn failed(&self, problem: impl Display, needs_action: bool) {
        FrameFailed {
            frames: &self.shared.cameras[self.index].stats.frames,
            frame: Some(self.number),
            span: Some(&self.span),
            problem,
            needs_action,
        }
        .emit();
    }
}
