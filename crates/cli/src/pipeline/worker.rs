//! One thread that works on frames: segment, refine, compose, encode, write.
use super::{
    Shared,
    output::{Finished, Output},
    scheduler::{Task, Waiting},
    stats::{Failure, Stage, count},
};
use crate::{
    live::{Treatment, shots::Offer},
    trace::Span,
};
use mattebox_core::{
    guard::{Guarded, Panicked},
    maker::{Maker, Recipe},
    matte::MatteState,
};
use mattebox_net::SimdError;
use mattebox_store::Outcome;

/// A camera's matte state while a thread has it. To be given back with [`Scheduler::release`](super::scheduler::Scheduler::release).
type Held = Option<Box<MatteState>>;

/// One thread with its tools.
pub(crate) struct Worker<'a> {
    shared: &'a Shared<'a>,
    makers: Guarded<Makers, SimdError>,
}

/// Tools for each treatment that frames had so far; there are eight.
struct Makers {
    recipe: Recipe,
    made: Vec<(Treatment, Maker)>,
}

impl Makers {
    fn new(recipe: Recipe) -> Result<Self, SimdError> {
        let Recipe {
            matte,
            foreground_cleanup,
            skip_still,
            ..
        } = recipe;
        let mut makers = Makers {
            recipe,
            made: vec![],
        };
        makers.of(Treatment {
            matte,
            foreground_cleanup,
            skip_still,
        })?;
        Ok(makers)
    }

    fn of(&mut self, treatment: Treatment) -> Result<&mut Maker, SimdError> {
        let at = match self.made.iter().position(|(of, _)| *of == treatment) {
            Some(at) => at,
            None => {
                let Treatment {
                    matte,
                    foreground_cleanup,
                    skip_still,
                } = treatment;
                let recipe = Recipe {
                    matte,
                    foreground_cleanup,
                    skip_still,
                    ..self.recipe.clone()
                };
                self.made.push((treatment, Maker::new(&recipe)?));
                self.made.len() - 1
            }
        };
        Ok(&mut self.made[at].1)
    }
}

impl<'a> Worker<'a> {
    pub(crate) fn new(shared: &'a Shared<'a>) -> Result<Self, SimdError> {
        let recipe = shared.job.recipe.clone();
        Ok(Worker {
            shared,
            makers: Guarded::new(move || Makers::new(recipe.clone()))?,
        })
    }

    /// Works until no frame is left, or there are no tools to work with.
    pub(crate) fn run(self) {
        let Worker { shared, mut makers } = self;
        while let Some(task) = shared.scheduler.take() {
            let lane = task.lane;
            let sequence = task.sequence;
            let number = task.frame.number;
            let span = task.frame.span.clone();
            let Task {
                frame,
                state: mut held,
                ..
            } = task;
            // Fail closed: a frame whose matte could not be computed is not written, whatever the reason.
            let outcome = makers.run(|makers| frame_of(shared, makers, lane, frame, &mut held));
            if let Some(state) = held {
                // What a panic left behind in the state is not to be trusted.
                shared.scheduler.release(
                    lane,
                    if outcome.is_ok() {
                        state
                    } else {
                        Box::default()
                    },
                );
            }
            if outcome.is_err() {
                count(&shared.lanes[lane].stats.failed);
                span.fail("it could not be processed");
                let camera = &shared.lanes[lane].camera.id;
                tracing::error!(%camera, frame = number.0, "the frame could not be processed; this is a fault of mattebox, please report it");
            }
            let (finished, lost) = match outcome {
                Ok(finished) => (finished, None),
                Err(Panicked::Recovered) => (None, None),
                Err(Panicked::Lost { problem }) => (None, Some(problem)),
            };
            match &shared.lanes[lane].output {
                // The writer reports the frame as done when its turn has come. It is gone only after all workers are.
                Output::Ordered { to, .. } => drop(to.send((sequence, finished))),
                Output::Files(_) | Output::Nothing => shared.scheduler.done(lane),
            }
            if let Some(problem) = lost {
                tracing::error!(
                    "a thread ends, because it cannot make new tools after a fault: {problem}"
                );
                return;
            }
        }
    }
}

/// Processes one frame, which is returned where a writer is to write it.
fn frame_of(
    shared: &Shared<'_>,
    makers: &mut Makers,
    index: usize,
    frame: Waiting,
    held: &mut Held,
) -> Option<Finished> {
    let lane = &shared.lanes[index];
    let clock = &shared.clock;
    let job = shared.job;
    let span = frame.span.clone();
    let maker = match makers.of(frame.treatment) {
        Ok(maker) => maker,
        Err(e) => {
            return lost(
                shared,
                index,
                &span,
                &format!("frame {}: {e}", frame.number),
                true,
            );
        }
    };
    // Nothing is remembered of stills, and by the hard matte.
    let mut nothing = MatteState::default();
    let state = held.as_deref_mut().unwrap_or(&mut nothing);
    let is_still = clock.trace(&span, Stage::Segment, || {
        maker.segment(&frame.picture, frame.time, state)
    });
    if let Some(state) = held.take() {
        shared.scheduler.release(index, state);
    }
    if is_still {
        count(&lane.stats.still);
    }
    clock.trace(&span, Stage::Refine, || maker.refine(&frame.picture));
    if let Some(dir) = &lane.alpha_out {
        let bytes = match clock.trace(&span, Stage::Encode, || maker.encode_alpha()) {
            Ok(bytes) => bytes,
            Err(e) => {
                return lost(
                    shared,
                    index,
                    &span,
                    &format!("frame {}: {e}", frame.number),
                    false,
                );
            }
        };
        if let Err(e) = clock.trace(&span, Stage::Write, || {
            dir.write(frame.number, "png", bytes, job.on_existing)
        }) {
            return lost(shared, index, &span, &e.to_string(), true);
        }
    }
    let spare = match &lane.output {
        Output::Ordered { spare, .. } => Some(spare.try_recv().unwrap_or_default()),
        Output::Files(_) | Output::Nothing => None,
    };
    clock.trace(&span, Stage::Compose, || {
        maker.compose(&frame.picture, &frame.background, spare)
    });
    let offer = Offer {
        number: frame.number.0,
        raw: Some(&frame.picture),
        alpha: Some(maker.alpha()),
        composed: maker.picture(),
    };
    lane.camera.offer(offer);
    let dir = match &lane.output {
        Output::Ordered { .. } => {
            return Some(Finished {
                number: frame.number,
                read: frame.read,
                picture: maker.take_picture(),
                span,
            });
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
        Err(e) => {
            return lost(
                shared,
                index,
                &span,
                &format!("frame {}: {e}", frame.number),
                false,
            );
        }
    };
    match clock.trace(&span, Stage::Write, || {
        dir.write(
            frame.number,
            job.recipe.format.extension(),
            bytes,
            job.on_existing,
        )
    }) {
        Ok(Outcome::Written) => {
            count(&lane.stats.written);
            span.became("written");
            lane.stats.arrived(frame.number, frame.read);
        }
        Ok(Outcome::Skipped) => {
            count(&lane.stats.skipped);
            span.became("kept");
        }
        Err(e) => return lost(shared, index, &span, &e.to_string(), true),
    }
    None
}

/// Counts a frame as failed. With `ends_camera` nothing more can be written there, so the camera ends.
fn lost(
    shared: &Shared<'_>,
    lane: usize,
    span: &Span,
    message: &str,
    ends_camera: bool,
) -> Option<Finished> {
    count(&shared.lanes[lane].stats.failed);
    span.fail(message);
    if ends_camera {
        shared.fail(
            lane,
            Failure {
                message: message.to_owned(),
                exit_code: 1,
                keep_output: false,
            },
        );
    } else {
        let camera = &shared.lanes[lane].camera;
        tracing::error!(camera = %camera.id, "{message}");
        camera.note(message);
    }
    None
}
