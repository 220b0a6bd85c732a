//! One thread per camera that reads its source and queues the frames.
use super::{RunContext, output::CameraOutput, queued::QueuedPicture, stats::RunFailure};
use crate::config::{names::stem, output_choice::FrameNames};
use mattebox_core::frame::FrameNumber;
use mattebox_engine::{
    CameraFailure, FrameSettings,
    background::{BackgroundSource, BackgroundSources},
    events::{Event, FrameDropped, FrameFailed, FrameRead},
    metrics::{DropReason, FrameCounters},
    queues::{Pushed, QueueSettings, WhenFull},
    stages::Stage,
    status::Condition,
    trace::Span,
};
use mattebox_media::{
    beside::{PictureExtras, SoundPacket},
    source::{self, Source, SourceError, SourceOptions, SourceSpec},
};
use std::sync::{Arc, atomic::Ordering::Relaxed};

/// The reader of one camera.
pub(crate) struct SourceReader {
    /// Index of its camera.
    pub(crate) index: usize,
    pub(crate) spec: SourceSpec,
    pub(crate) options: SourceOptions,
    /// Opens backgrounds that are set during the run.
    pub(crate) backgrounds: Arc<BackgroundSources>,
    pub(crate) background: BackgroundSource,
    /// The settings for which the background was opened.
    pub(crate) settings: Arc<FrameSettings>,
    /// How the camera's frames are queued, as far as it does not depend on the source.
    pub(crate) queue: QueueSettings,
    /// Whether the oldest waiting frame is dropped for a new one; `None`: if the source is live.
    pub(crate) live: Option<bool>,
}

impl SourceReader {
    /// Opens the source and reads until it ends, the run is stopped, or the camera's output has
    /// failed. Each source is opened here, on its own thread: a slow one does not delay the others.
    pub(crate) fn run(self, shared: &RunContext<'_>) {
        let index = self.index;
        // A panic in a source must end its camera, not leave the workers waiting for it.
        let _ended = EndOnDrop { shared, index };
        match source::open(&self.spec, &self.options, &shared.stop) {
            Ok(source) => {
                tracing::debug!(camera = %shared.cameras[index].shown.id, "the source is open");
                let info = *source.info();
                let camera = &shared.cameras[index];
                let expected = info
                    .frames
                    .map_or(0, |n| n.min(shared.job.frames.unwrap_or(u64::MAX)));
                camera.stats.expected.store(expected, Relaxed);
                let _ = camera.info.set(info);
                let queue = QueueSettings {
                    when_full: match self.live.unwrap_or(info.live) {
                        true => WhenFull::DropOldest,
                        false => WhenFull::Wait,
                    },
                    ..self.queue
                };
                shared.queues.configure(camera.queue, queue);
                let background = CameraBackground {
                    source: self.background,
                    settings: self.settings,
                    backgrounds: self.backgrounds,
                };
                read(shared, index, source, background);
                let status = &shared.cameras[index].shown.status;
                // A source that is away when the run is stopped has not ended.
                if status.get().condition.away().is_none() {
                    status.set(Condition::Ended);
                }
            }
            Err(_) if shared.stop.is_stopped() => {}
            Err(e) => shared.fail_source(index, failure(&e)),
        }
    }
}

fn failure(e: &SourceError) -> RunFailure {
    // The frames before the error are good: they are written, and the error is reported at the end.
    RunFailure {
        camera: CameraFailure {
            message: e.to_string(),
            domain: e.domain(),
        },
        keep_output: true,
    }
}

/// The background that the camera's settings ask for.
struct CameraBackground {
    source: BackgroundSource,
    /// The settings for which it was opened.
    settings: Arc<FrameSettings>,
    backgrounds: Arc<BackgroundSources>,
}

impl CameraBackground {
    /// Follows a change of settings. A background that cannot be opened changes nothing.
    fn follow(&mut self, shared: &RunContext<'_>, index: usize) {
        let camera = &shared.cameras[index].shown;
        let settings = camera.settings();
        if Arc::ptr_eq(&settings, &self.settings) {
            return;
        }
        // A video continues if only the matte changes.
        if settings.background == self.settings.background {
            self.settings = settings;
            return;
        }
        match self.backgrounds.open(&settings.background, &shared.stop) {
            Ok(source) => (self.source, self.settings) = (source, settings),
            Err(problem) => {
                tracing::error!(camera = %camera.id, "the background does not change: {problem}");
                camera.note(&problem.to_string());
                let kept = Arc::new(FrameSettings {
                    background: self.settings.background.clone(),
                    ..FrameSettings::clone(&settings)
                });
                camera.take_back(&settings, kept.clone());
                self.settings = kept;
            }
        }
    }
}

fn read(
    shared: &RunContext<'_>,
    index: usize,
    mut source: Box<dyn Source>,
    mut background: CameraBackground,
) {
    let camera = &shared.cameras[index];
    let frames = &*camera.stats.frames;
    let is_still = source.info().still;
    let limit = shared.job.frames.unwrap_or(u64::MAX);
    let mut number = 0;
    let mut is_first = true;
    let mut sound = Sound::default();
    let name_of = |number| FrameNumber(camera.first.0.saturating_add(number));
    while number < limit && !shared.stop.is_stopped() {
        for picture in camera.spare_pictures.1.try_iter() {
            source.reuse(picture);
        }
        let picture = match shared.clock.time(Stage::Read, || source.next(&shared.stop)) {
            Ok(Some(picture)) => picture,
            Ok(None) => {
                send_sound(shared, index, source.rest_of_sound());
                break;
            }
            Err(e) if e.is_fatal() => {
                shared.fail_source(index, failure(&e));
                break;
            }
            Err(e) => {
                camera.shown.note(&e.to_string());
                FrameRead { frames, bytes: 0 }.emit();
                FrameFailed {
                    frames,
                    frame: Some(name_of(number)),
                    span: None,
                    problem: e,
                    needs_action: true,
                }
                .emit();
                number += 1;
                continue;
            }
        };
        FrameRead { frames, bytes: 0 }.emit();
        if std::mem::take(&mut is_first) && !remove_earlier(shared, index) {
            drop_unqueued(frames);
            break;
        }
        camera.shown.status.set(Condition::Open);
        background.follow(shared, index);
        let (width, height) = picture.picture.dimensions();
        let behind = match shared.clock.time(Stage::Read, || {
            background.source.next(width, height, &shared.stop)
        }) {
            Ok(behind) => behind,
            Err(_) if shared.stop.is_stopped() => {
                drop_unqueued(frames);
                break;
            }
            Err(error) => {
                FrameFailed {
                    frames,
                    frame: None,
                    span: None,
                    problem: &error,
                    needs_action: false,
                }
                .emit();
                shared.fail_source(index, RunFailure::of_work(error.to_string(), true));
                break;
            }
        };
        sound.pass_on(shared, index, picture.beside);
        let time = picture.time;
        let read = picture.read;
        let settings = background.settings.clone();
        let chained = settings.has_state() && !is_still;
        let span = shared.tracer.begin("frame", read);
        span.of_camera(&camera.shown.id);
        let name = name_of(number);
        span.of_frame(name);
        if let Some(file) = source.file() {
            let file = file.display();
            tracing::debug!(camera = %camera.shown.id, frame = name.0, %file, "a picture is read");
        }
        let kept = match &shared.job.names {
            FrameNames::Template(_) => None,
            FrameNames::Keep => source.file().and_then(stem).map(Arc::from),
        };
        let picture = picture.picture;
        let frame = QueuedPicture {
            number: name,
            name: kept,
            time,
            read,
            picture,
            background: behind,
            settings,
            span,
            chained,
        };
        number += 1;
        match shared.queues.push(camera.queue, frame) {
            Pushed::Queued => {}
            Pushed::Replaced(oldest) => FrameDropped {
                frames,
                span: &oldest.span,
                reason: DropReason::Behind,
            }
            .emit(),
            Pushed::Refused(refused) => {
                FrameDropped {
                    frames,
                    span: &refused.span,
                    reason: DropReason::Stopped,
                }
                .emit();
                break;
            }
        }
    }
    if number == 0 && !shared.stop.is_stopped() && camera.stats.failure().is_none() {
        let message = format!("{}: the source has no frame", camera.source);
        shared.fail_source(index, RunFailure::of_work(message, false));
    }
    let frames = frames.counts().read;
    tracing::debug!(camera = %camera.shown.id, frames, "the source has ended");
}

/// Counts a frame that has no trace yet and is not queued, because the run is stopped.
fn drop_unqueued(frames: &FrameCounters) {
    FrameDropped {
        frames,
        span: &Span::default(),
        reason: DropReason::Stopped,
    }
    .emit();
}

/// Passes a camera's sound to its writer.
#[derive(Default)]
struct Sound {
    /// The sound's coding has changed, and the output keeps the first.
    changed: bool,
}

impl Sound {
    /// Passes the extras of a picture on. The first picture of a camera sets the output's sound
    /// format.
    fn pass_on(&mut self, shared: &RunContext<'_>, index: usize, extras: PictureExtras) {
        let camera = &shared.cameras[index];
        let PictureExtras {
            pixel_aspect,
            sound_format,
            sound,
        } = extras;
        let first = camera.extras.get_or_init(|| PictureExtras {
            pixel_aspect,
            sound_format: sound_format.clone(),
            sound: vec![],
        });
        let is_new = first.sound_format != sound_format && !sound.is_empty();
        if is_new && !std::mem::replace(&mut self.changed, true) {
            let camera = &camera.shown.id;
            tracing::warn!(
                %camera,
                "the coding of the source's sound has changed: its sound is left out from here on"
            );
        }
        if !is_new {
            send_sound(shared, index, sound);
        }
    }
}

/// Sends sound to the writer of a camera, if its output has sound.
fn send_sound(shared: &RunContext<'_>, index: usize, packets: Vec<SoundPacket>) {
    if let CameraOutput::Ordered { sound, .. } = &shared.cameras[index].output {
        for packet in packets {
            // A writer that has ended needs none.
            let _ = sound.send(packet);
        }
    }
}

/// Removes the frames of an earlier run. False if it cannot: the camera ends, because old and new
/// frames would be mixed.
fn remove_earlier(shared: &RunContext<'_>, index: usize) -> bool {
    let camera = &shared.cameras[index];
    match camera.earlier.remove() {
        Ok(0) => true,
        Ok(files) => {
            tracing::info!(
                camera = %camera.shown.id,
                files,
                "the frames of an earlier run are removed"
            );
            true
        }
        Err(e) => {
            shared.fail(index, RunFailure::of_work(e.to_string(), false));
            false
        }
    }
}

struct EndOnDrop<'a> {
    shared: &'a RunContext<'a>,
    index: usize,
}
impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.shared
            .queues
            .end(self.shared.cameras[self.index].queue);
    }
}
