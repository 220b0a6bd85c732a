//! One thread that works on frames: segment, refine, compose, encode, write.
use super::{
    Shared,
    output::{Finished, Output},
    scheduler::Task,
    stats::{Failure, Stage, count},
};
use mattebox_core::{maker::Maker, matte::MatteState, simd::SimdError};
use mattebox_store::Outcome;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One thread with its tools.
pub(crate) struct Worker<'a> {
    shared: &'a Shared<'a>,
    maker: Maker,
    /// The camera's matte state is with this thread and has to be given back.
    holds_state: bool,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(shared: &'a Shared<'a>) -> Result<Self, SimdError> {
        Ok(Worker { shared, maker: Maker::new(&shared.job.recipe)?, holds_state: false })
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
        let is_still = match task.state {
            Some(mut state) => {
                self.holds_state = true;
                let is_still = clock.time(Stage::Segment, || self.maker.segment(&frame.picture, frame.time, &mut state));
                shared.scheduler.release(task.lane, state);
                self.holds_state = false;
                is_still
            }
            // Nothing is remembered: stills, and the hard matte.
            None => {
                let mut nothing = MatteState::default();
                clock.time(Stage::Segment, || self.maker.segment(&frame.picture, frame.time, &mut nothing))
            }
        };
        if is_still {
            count(&lane.stats.still);
        }
        clock.time(Stage::Refine, || self.maker.refine(&frame.picture));
        if let Some(dir) = &lane.alpha_out {
            let bytes = match clock.time(Stage::Encode, || self.maker.encode_alpha()) {
                Ok(bytes) => bytes,
                Err(e) => return self.lost(task.lane, &format!("frame {}: {e}", frame.number), false),
            };
            if let Err(e) = clock.time(Stage::Write, || dir.write(frame.number, "png", bytes, job.on_existing)) {
                return self.lost(task.lane, &e.to_string(), true);
            }
        }
        let spare = match &lane.output {
            Output::Ordered { spare, .. } => Some(spare.try_recv().unwrap_or_default()),
            Output::Files(_) => None,
        };
        clock.time(Stage::Compose, || self.maker.compose(&frame.picture, &frame.background, spare));
        let dir = match &lane.output {
            Output::Ordered { .. } => {
                return Some(Finished { number: frame.number, read: frame.read, picture: self.maker.take_picture() });
            }
            Output::Files(dir) => dir,
        };
        let bytes = match clock.time(Stage::Encode, || self.maker.encode()) {
            Ok(bytes) => bytes,
            Err(e) => return self.lost(task.lane, &format!("frame {}: {e}", frame.number), false),
        };
        match clock.time(Stage::Write, || dir.write(frame.number, job.recipe.format.extension(), bytes, job.on_existing)) {
            Ok(Outcome::Written) => {
                count(&lane.stats.written);
                lane.stats.arrived(frame.number, frame.read);
            }
            Ok(Outcome::Skipped) => count(&lane.stats.skipped),
            Err(e) => return self.lost(task.lane, &e.to_string(), true),
        }
        None
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
