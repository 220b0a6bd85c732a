//! One thread that works on frames: segment, refine, compose, encode, write.
use super::{
    Shared,
    output::{Finished, Output},
    scheduler::Task,
    stats::{Failure, Stage, count},
};
use crate::{
    live::{Treatment, shots::Offer},
    trace::Span,
};
use mattebox_core::{
    maker::{Maker, Recipe},
    matte::MatteState,
    simd::SimdError,
};
use mattebox_store::Outcome;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One thread with its tools.
pub(crate) struct Worker<'a> {
    shared: &'a Shared<'a>,
    /// Tools for each treatment that frames had so far; there are eight.
    makers: Vec<(Treatment, Maker)>,
    /// The camera's matte state is with this thread and has to be given back.
    holds_state: bool,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(shared: &'a Shared<'a>) -> Result<Self, SimdError> {
        let mut worker = Worker { shared, makers: vec![], holds_state: false };
        let Recipe { matte, foreground_cleanup, skip_still, .. } = shared.job.recipe;
        worker.maker(Treatment { matte, foreground_cleanup, skip_still })?;
        Ok(worker)
    }

    /// The place of the tools for a treatment.
    fn maker(&mut self, treatment: Treatment) -> Result<usize, SimdError> {
        if let Some(at) = self.makers.iter().position(|(of, _)| *of == treatment) {
            return Ok(at);
        }
        let Treatment { matte, foreground_cleanup, skip_still } = treatment;
        let recipe = Recipe { matte, foreground_cleanup, skip_still, ..self.shared.job.recipe.clone() };
        self.makers.push((treatment, Maker::new(&recipe)?));
        Ok(self.makers.len() - 1)
    }

    /// Works until no frame is left.
    pub(crate) fn run(mut self) {
        while let Some(task) = self.shared.scheduler.take() {
            let (lane, sequence, number, span) = (task.lane, task.sequence, task.frame.number, task.frame.span.clone());
            // Fail closed: a frame whose matte could not be computed is not written, whatever the reason.
            let outcome = catch_unwind(AssertUnwindSafe(|| self.frame(task)));
            let stats = &self.shared.lanes[lane].stats;
            let finished = match outcome {
                Ok(finished) => finished,
                Err(_) => {
                    count(&stats.failed);
                    span.fail("it could not be processed");
                    let camera = &self.shared.lanes[lane].camera.id;
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
                Output::Files(_) | Output::Nothing => self.shared.scheduler.done(lane),
            }
        }
    }

    /// Processes one frame, which is returned where a writer is to write it.
    fn frame(&mut self, task: Task) -> Option<Finished> {
        let shared = self.shared;
        let (lane, clock, job) = (&shared.lanes[task.lane], &shared.clock, shared.job);
        let frame = task.frame;
        let span = frame.span.clone();
        let maker = match self.maker(frame.treatment) {
            Ok(at) => at,
            Err(e) => {
                if let Some(state) = task.state {
                    shared.scheduler.release(task.lane, state);
                }
                return self.lost(task.lane, &span, &format!("frame {}: {e}", frame.number), true);
            }
        };
        let maker = &mut self.makers[maker].1;
        let is_still = match task.state {
            Some(mut state) => {
                self.holds_state = true;
                let is_still = clock.trace(&span, Stage::Segment, || maker.segment(&frame.picture, frame.time, &mut state));
                shared.scheduler.release(task.lane, state);
                self.holds_state = false;
                is_still
            }
            // Nothing is remembered: stills, and the hard matte.
            None => {
                let mut nothing = MatteState::default();
                clock.trace(&span, Stage::Segment, || maker.segment(&frame.picture, frame.time, &mut nothing))
            }
        };
        if is_still {
            count(&lane.stats.still);
        }
        clock.trace(&span, Stage::Refine, || maker.refine(&frame.picture));
        if let Some(dir) = &lane.alpha_out {
            let bytes = match clock.trace(&span, Stage::Encode, || maker.encode_alpha()) {
                Ok(bytes) => bytes,
                Err(e) => return self.lost(task.lane, &span, &format!("frame {}: {e}", frame.number), false),
            };
            if let Err(e) = clock.trace(&span, Stage::Write, || dir.write(frame.number, "png", bytes, job.on_existing)) {
                return self.lost(task.lane, &span, &e.to_string(), true);
            }
        }
        let spare = match &lane.output {
            Output::Ordered { spare, .. } => Some(spare.try_recv().unwrap_or_default()),
            Output::Files(_) | Output::Nothing => None,
        };
        clock.trace(&span, Stage::Compose, || maker.compose(&frame.picture, &frame.background, spare));
        let offer =
            Offer { number: frame.number.0, raw: Some(&frame.picture), alpha: Some(maker.alpha()), composed: maker.picture() };
        lane.camera.offer(offer);
        let dir = match &lane.output {
            Output::Ordered { .. } => {
                return Some(Finished { number: frame.number, read: frame.read, picture: maker.take_picture(), span });
            }
            Output::Nothing => {
                count(&lane.stats.written);
                span.became("seen");
                lane.stats.arrived(frame.number, frame.read);
                return None;
            }
            Output::Files(dir) => dir,
        };
        let bytes = match clock.trace(&span, Stage::Encode, || maker.encode()) {
            Ok(bytes) => bytes,
            Err(e) => return self.lost(task.lane, &span, &format!("frame {}: {e}", frame.number), false),
        };
        match clock.trace(&span, Stage::Write, || dir.write(frame.number, job.recipe.format.extension(), bytes, job.on_existing))
        {
            Ok(Outcome::Written) => {
                count(&lane.stats.written);
                span.became("written");
                lane.stats.arrived(frame.number, frame.read);
            }
            Ok(Outcome::Skipped) => {
                count(&lane.stats.skipped);
                span.became("kept");
            }
            Err(e) => return self.lost(task.lane, &span, &e.to_string(), true),
        }
        None
    }

    /// Counts a frame as failed. With `ends_camera` nothing more can be written there, so the camera ends.
    fn lost(&self, lane: usize, span: &Span, message: &str, ends_camera: bool) -> Option<Finished> {
        count(&self.shared.lanes[lane].stats.failed);
        span.fail(message);
        if ends_camera {
            self.shared.fail(lane, Failure { message: message.to_owned(), exit_code: 1, keep_output: false });
        } else {
            let camera = &self.shared.lanes[lane].camera;
            tracing::error!(camera = %camera.id, "{message}");
            camera.note(message);
        }
        None
    }
}
