//! One thread per camera that reads its source and queues the frames.
use super::{
    Shared,
    background::{Backdrop, Backgrounds},
    scheduler::{LaneSettings, Pushed, Waiting},
    stats::{Failure, Stage, count},
};
use crate::{
    live::Look,
    source::{self, Source, SourceError, SourceOptions, SourceSpec, status::Condition},
};
use mattebox_core::{frame::FrameNumber, matte::MatteMode};
use std::sync::{Arc, atomic::Ordering::Relaxed};

/// What a reader begins with.
pub(crate) struct Reader {
    /// Index of its camera.
    pub(crate) lane: usize,
    pub(crate) spec: SourceSpec,
    pub(crate) options: SourceOptions,
    /// Opens the backgrounds that it is given while it runs.
    pub(crate) backgrounds: Arc<Backgrounds>,
    pub(crate) backdrop: Backdrop,
    /// What the backdrop was opened for.
    pub(crate) look: Arc<Look>,
    /// How the camera's frames are queued, as far as it does not depend on the source.
    pub(crate) queue: LaneSettings,
    /// Newest frame wins; `None`: if the source is live.
    pub(crate) live: Option<bool>,
}

impl Reader {
    /// Opens the source and reads until it ends, the run is stopped, or the camera's output has failed. Sources are opened here, on
    /// their own threads: one that takes long to answer does not hold up the others.
    pub(crate) fn run(self, shared: &Shared<'_>) {
        let index = self.lane;
        // A panic in a source must end its camera, not leave the workers waiting for it.
        let _ended = EndOnDrop { shared, index };
        match source::open(&self.spec, &self.options, &shared.stop) {
            Ok(source) => {
                tracing::debug!(camera = %shared.lanes[index].camera.id, "the source is open");
                let info = *source.info();
                let lane = &shared.lanes[index];
                let expected = info
                    .frames
                    .map_or(0, |n| n.min(shared.job.frames.unwrap_or(u64::MAX)));
                lane.stats.expected.store(expected, Relaxed);
                let _ = lane.info.set(info);
                let queue = LaneSettings {
                    live: self.live.unwrap_or(info.live),
                    ..self.queue
                };
                shared.scheduler.configure(index, queue);
                let stage = Stagehand {
                    backdrop: self.backdrop,
                    look: self.look,
                    backgrounds: self.backgrounds,
                };
                read(shared, index, source, stage);
                let status = &shared.lanes[index].camera.status;
                // One that is away when the run is stopped has not ended.
                if status.get().condition.away().is_none() {
                    status.set(Condition::Ended);
                }
            }
            Err(_) if shared.stop.is_stopped() => {}
            Err(e) => shared.fail_source(index, failure(&e)),
        }
    }
}

fn failure(e: &SourceError) -> Failure {
    let exit_code = match e {
        _ if e.is_usage() => 2,
        _ if e.is_unreachable() => 3,
        _ => 1,
    };
    // What was read before is good: it is written out, and the error is reported at the end.
    Failure {
        message: e.to_string(),
        exit_code,
        keep_output: true,
    }
}

/// Puts up the background that the camera's look asks for.
struct Stagehand {
    backdrop: Backdrop,
    /// What it was opened for.
    look: Arc<Look>,
    backgrounds: Arc<Backgrounds>,
}

impl Stagehand {
    /// Follows a change. What cannot be opened leaves everything as it was.
    fn follow(&mut self, shared: &Shared<'_>, index: usize) {
        let camera = &shared.lanes[index].camera;
        let look = camera.look();
        if Arc::ptr_eq(&look, &self.look) {
            return;
        }
        // A video goes on where it is if only the matte changes.
        if look.behind.is_same(&self.look.behind) {
            self.look = look;
            return;
        }
        match self.backgrounds.open(&look.behind, &shared.stop) {
            Ok(backdrop) => (self.backdrop, self.look) = (backdrop, look),
            Err(problem) => {
                tracing::error!(camera = %camera.id, "the background stays as it was: {problem}");
                camera.note(&problem);
                let kept = Arc::new(Look {
                    behind: self.look.behind.clone(),
                    treatment: look.treatment,
                });
                camera.take_back(&look, kept.clone());
                self.look = kept;
            }
        }
    }
}

fn read(shared: &Shared<'_>, index: usize, mut source: Box<dyn Source>, mut stage: Stagehand) {
    let lane = &shared.lanes[index];
    let is_still = source.info().still;
    let limit = shared.job.frames.unwrap_or(u64::MAX);
    let mut number = 0;
    while number < limit && !shared.stop.is_stopped() {
        let picture = match shared.clock.time(Stage::Read, || source.next(&shared.stop)) {
            Ok(Some(picture)) => picture,
            Ok(None) => break,
            Err(e) if e.is_fatal() => {
                shared.fail_source(index, failure(&e));
                break;
            }
            Err(e) => {
                tracing::error!(camera = %lane.camera.id, frame = number, "{e}");
                lane.camera.note(&e.to_string());
                count(&lane.stats.read);
                count(&lane.stats.failed);
                number += 1;
                continue;
            }
        };
        count(&lane.stats.read);
        lane.camera.status.set(Condition::Open);
        stage.follow(shared, index);
        if number == 0 {
            tracing::debug!(camera = %lane.camera.id, "the first picture is read");
        }
        let (width, height) = picture.picture.dimensions();
        let background = match shared.clock.time(Stage::Read, || {
            stage.backdrop.next(width, height, &shared.stop)
        }) {
            Ok(background) => background,
            Err(_) if shared.stop.is_stopped() => {
                count(&lane.stats.dropped_stopped);
                break;
            }
            Err(message) => {
                count(&lane.stats.failed);
                shared.fail_source(
                    index,
                    Failure {
                        message,
                        exit_code: 1,
                        keep_output: true,
                    },
                );
                break;
            }
        };
        let time = picture.time;
        let read = picture.read;
        let treatment = stage.look.treatment;
        let chained = treatment.matte == MatteMode::Soft && !is_still;
        let span = shared.tracer.begin("frame", read);
        span.of_camera(&lane.camera.id);
        span.of_frame(FrameNumber(number));
        let picture = picture.picture;
        let frame = Waiting {
            number: FrameNumber(number),
            time,
            read,
            picture,
            background,
            treatment,
            span,
            chained,
        };
        number += 1;
        match shared.scheduler.push(index, frame) {
            Pushed::Queued => {}
            Pushed::Replaced => count(&lane.stats.dropped_behind),
            Pushed::Refused => {
                count(&lane.stats.dropped_stopped);
                break;
            }
        }
    }
    if number == 0 && !shared.stop.is_stopped() && lane.stats.failure().is_none() {
        let message = format!("{}: the source has no frame", lane.source);
        shared.fail_source(
            index,
            Failure {
                message,
                exit_code: 1,
                keep_output: false,
            },
        );
    }
    tracing::debug!(camera = %lane.camera.id, frames = lane.stats.read.load(Relaxed), "the source has ended");
}

struct EndOnDrop<'a> {
    shared: &'a Shared<'a>,
    index: usize,
}
impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.shared.scheduler.end(self.index);
    }
}
