//! One thread that works on frames: segment, refine, compose, encode, write.
use super::{
    Shared,
    output::{Finished, Output},
    scheduler::{Task, Waiting},
    stats::{Failure, Stage, count},
};
use image::GrayImage;
use mattebox_core::{
    codec::{Encoder, ImageFormat},
    compose::{Composed, Compositor},
    matte::{Coarse, MatteState, Refiner, Segmenter},
    simd::SimdError,
};
use mattebox_store::Outcome;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The tools of one thread, with their buffers.
pub(crate) struct Worker<'a> {
    shared: &'a Shared<'a>,
    segmenter: Segmenter,
    refiner: Refiner,
    compositor: Compositor,
    encoder: Encoder,
    alpha_encoder: Encoder,
    coarse: Coarse,
    alpha: GrayImage,
    bytes: Vec<u8>,
    /// What the frame became.
    picture: Composed,
    /// The camera's matte state is with this thread and has to be given back.
    holds_state: bool,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(shared: &'a Shared<'a>) -> Result<Self, SimdError> {
        let job = shared.job;
        Ok(Worker {
            shared,
            segmenter: Segmenter::new(&job.model, job.matte, job.simd)?.skipping_still(job.skip_still),
            refiner: Refiner::new(job.simd)?,
            compositor: Compositor::new(job.simd)?,
            encoder: Encoder::new(job.format, job.jpeg_quality),
            alpha_encoder: Encoder::new(ImageFormat::Png, job.jpeg_quality),
            coarse: Coarse::default(),
            alpha: GrayImage::default(),
            bytes: Vec::new(),
            picture: Composed::default(),
            holds_state: false,
        })
    }

    /// Works until no frame is left.
    pub(crate) fn run(mut self) {
        while let Some(task) = self.shared.scheduler.take() {
            let (lane, sequence, number) = (task.lane, task.sequence, task.frame.number);
            // Fail closed: a frame whose matte could not be computed is not written, whatever the reason.
            let outcome = catch_unwind(AssertUnwindSafe(|| self.frame(task)));
            let stats = &self.shared.lanes[lane].stats;
            let finished = match outcome {
                Ok(finished) => finished,
                Err(_) => {
                    count(&stats.failed);
                    let camera = &self.shared.lanes[lane].camera;
                    tracing::error!(%camera, frame = number.0, "the frame could not be processed; this is a fault of mattebox, please report it");
                    // What the panic left behind in buffers and state is not to be trusted.
                    if self.holds_state {
                        self.shared.scheduler.release(lane, Box::default());
                    }
                    match Worker::new(self.shared) {
                        Ok(fresh) => self = fresh,
                        Err(_) => return,
                    }
                    None
                }
            };
            match &self.shared.lanes[lane].output {
                // The writer reports the frame as done when its turn has come. It is gone only after all workers are.
                Output::Ordered { to, .. } => drop(to.send((sequence, finished))),
                Output::Files(_) => self.shared.scheduler.done(lane),
            }
        }
    }

    /// Processes one frame, which is returned where a writer is to write it.
    fn frame(&mut self, task: Task) -> Option<Finished> {
        let shared = self.shared;
        let (lane, clock, job) = (&shared.lanes[task.lane], &shared.clock, shared.job);
        let frame = task.frame;
        match task.state {
            Some(mut state) => {
                self.holds_state = true;
                self.segment(&frame, &mut state);
                shared.scheduler.release(task.lane, state);
                self.holds_state = false;
            }
            // Nothing is remembered: stills, and the hard matte.
            None => self.segment(&frame, &mut MatteState::default()),
        }
        if self.coarse.is_still() {
            count(&lane.stats.still);
        }
        clock.time(Stage::Refine, || self.refiner.refine(&frame.picture, &self.coarse, &mut self.alpha));
        if let Some(dir) = &lane.alpha_out {
            self.bytes.clear();
            let encoded = clock.time(Stage::Encode, || self.alpha_encoder.encode_gray(&self.alpha, &mut self.bytes));
            if let Err(e) = encoded {
                return self.lost(task.lane, &format!("frame {}: {e}", frame.number), false);
            }
            if let Err(e) = clock.time(Stage::Write, || dir.write(frame.number, "png", &self.bytes, job.on_existing)) {
                return self.lost(task.lane, &e.to_string(), true);
            }
        }
        let dir = match &lane.output {
            Output::Ordered { spare, .. } => {
                self.picture = spare.try_recv().unwrap_or_default();
                self.compose(&frame);
                return Some(Finished { number: frame.number, read: frame.read, picture: std::mem::take(&mut self.picture) });
            }
            Output::Files(dir) => dir,
        };
        self.compose(&frame);
        self.bytes.clear();
        if let Err(e) = clock.time(Stage::Encode, || self.encoder.encode(&self.picture, &mut self.bytes)) {
            return self.lost(task.lane, &format!("frame {}: {e}", frame.number), false);
        }
        match clock.time(Stage::Write, || dir.write(frame.number, job.format.extension(), &self.bytes, job.on_existing)) {
            Ok(Outcome::Written) => {
                count(&lane.stats.written);
                lane.stats.arrived(frame.number, frame.read);
            }
            Ok(Outcome::Skipped) => count(&lane.stats.skipped),
            Err(e) => return self.lost(task.lane, &e.to_string(), true),
        }
        None
    }

    /// Finds out where people are, into `coarse`.
    fn segment(&mut self, frame: &Waiting, state: &mut MatteState) {
        let Worker { shared, segmenter, coarse, .. } = self;
        shared.clock.time(Stage::Segment, || segmenter.segment_into(&frame.picture, frame.time, state, coarse));
    }

    /// Puts the background behind them, into `picture`.
    fn compose(&mut self, frame: &Waiting) {
        let Worker { shared, compositor, alpha, picture, .. } = self;
        let cleanup = shared.job.foreground_cleanup;
        shared.clock.time(Stage::Compose, || compositor.compose(&frame.picture, alpha, &frame.background, cleanup, picture));
    }

    /// Counts a frame as failed. With `ends_camera` nothing more can be written there, so the camera ends.
    fn lost(&self, lane: usize, message: &str, ends_camera: bool) -> Option<Finished> {
        count(&self.shared.lanes[lane].stats.failed);
        if ends_camera {
            self.shared.fail(lane, Failure { message: message.to_owned(), exit_code: 1, keep_output: false });
        } else {
            tracing::error!(camera = %self.shared.lanes[lane].camera, "{message}");
        }
        None
    }
}
