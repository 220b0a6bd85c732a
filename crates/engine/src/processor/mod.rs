//! Processes frames, one processor for each thread: decode, segment, refine, compose, encode.
//!
//! No other code has this sequence. `run`, `worker`, Spark, Python, `bench` and the examples give a
//! [`FrameInput`] and get a [`FrameOutcome`].
//!
//! * `guard`: drops everything that a panic touched.
//! * `tools`: the buffers and encoders of the steps.
//! * `matted`: [`MattedFrame`], the result for the caller.
//! * [`still_files`]: files of still frames, for equal frames after them.
mod guard;
mod matted;
mod still_files;
mod tools;

pub use matted::MattedFrame;
pub use still_files::StillFiles;

use crate::{
    FrameSettings, ModelRegistry, StartError,
    background::{BackgroundSource, BackgroundSourceError, BackgroundSources, VideoOpener},
    settings::BackgroundChoice,
    stages::{Stage, StageClock},
    stop::Stop,
    trace::Span,
};
use guard::{Guarded, Panicked};
use image::RgbImage;
use mattebox_core::{
    codec::{Decoder, EncodeError},
    compose::Background,
    frame::Timestamp,
    matte::MatteState,
};
use mattebox_wire::{EncodedPicture, WireError};
use std::sync::Arc;
use tools::{ToolKey, Tools};

/// Backgrounds that a thread keeps open, for cameras with different settings.
const MAX_BACKGROUNDS: usize = 16;

/// The parts that all processors of a process share.
#[derive(Clone)]
pub struct Engine {
    /// The networks.
    pub models: Arc<ModelRegistry>,
    /// The backgrounds.
    pub backgrounds: Arc<BackgroundSources>,
    /// CPU time by stage.
    pub clock: Arc<StageClock>,
    /// The files of still frames.
    pub still_files: Arc<StillFiles>,
}

impl Engine {
    /// An engine for frames with these settings, or with others of the same limits.
    pub fn new(settings: &FrameSettings) -> Self {
        Self::with_backgrounds(BackgroundSources::of(settings))
    }

    /// An engine with videos as backgrounds.
    pub fn with_videos(settings: &FrameSettings, videos: impl VideoOpener + 'static) -> Self {
        Self::with_backgrounds(BackgroundSources::of(settings).with_videos(videos))
    }

    fn with_backgrounds(backgrounds: BackgroundSources) -> Self {
        Engine {
            models: Arc::default(),
            backgrounds: Arc::new(backgrounds),
            clock: Arc::default(),
            still_files: Arc::default(),
        }
    }
}

/// A frame's picture, as the caller has it.
#[derive(Clone, Copy)]
pub enum FramePicture<'a> {
    /// Pixels.
    Decoded(&'a RgbImage),
    /// A JPEG, PNG or WebP file, perhaps in base64.
    Encoded(EncodedPicture<'a>),
}

/// A frame, with everything that is needed to process it.
pub struct FrameInput<'a, S: StateAccess> {
    /// How it is to be processed.
    pub settings: &'a Arc<FrameSettings>,
    /// Its picture.
    pub picture: FramePicture<'a>,
    /// The time of capture.
    pub time: Timestamp,
    /// The state of its camera.
    pub state: S,
    /// Its background. `None`: that of the settings.
    pub background: Option<Background>,
    /// Its trace.
    pub span: &'a Span,
}

/// The state of a camera while one of its frames has it.
pub trait StateAccess {
    /// The state, to be read and changed.
    fn state(&mut self) -> &mut MatteState;

    /// The frame is segmented: the state may go to the next frame.
    fn segmented(&mut self) {}

    /// Resets the state, because the frame ended in a panic.
    fn forget(&mut self) {
        *self.state() = MatteState::default();
    }
}

impl StateAccess for &mut MatteState {
    fn state(&mut self) -> &mut MatteState {
        self
    }
}

/// For a frame that does not depend on others.
impl StateAccess for MatteState {
    fn state(&mut self) -> &mut MatteState {
        self
    }
}

/// Why a record or a picture cannot be a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// For programs: one of the codes in docs/ref/wire.md.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

impl From<WireError> for Rejection {
    fn from(error: WireError) -> Self {
        Rejection {
            code: error.code(),
            message: error.to_string(),
        }
    }
}

impl Rejection {
    pub(crate) fn not_encodable(error: EncodeError) -> Self {
        Rejection {
            code: "not-encodable",
            message: error.to_string(),
        }
    }

    /// The frame could not be processed because of a fault of mattebox.
    pub fn internal() -> Self {
        Rejection {
            code: "internal-error",
            message: "it could not be processed; this is a fault of mattebox, please report it"
                .to_owned(),
        }
    }
}

/// How a frame ended. A frame without a matte is never shown or written.
#[derive(Debug, PartialEq, Eq)]
pub enum FrameOutcome<R> {
    /// It is processed; with the result of the caller.
    Matted(R),
    /// It cannot be a frame.
    Rejected(Rejection),
    /// A fault of mattebox: the frame is lost, and the camera's state is reset.
    Panicked,
}

impl<R> FrameOutcome<R> {
    /// The result of the caller, or why the input cannot be a frame.
    pub fn into_result(self) -> Result<R, Rejection> {
        match self {
            FrameOutcome::Matted(made) => Ok(made),
            FrameOutcome::Rejected(rejection) => Err(rejection),
            FrameOutcome::Panicked => Err(Rejection::internal()),
        }
    }
}

/// Processes one frame after another, on one thread.
pub struct FrameProcessor {
    work: Guarded<ProcessorParts, StartError>,
    lost: Option<String>,
}

impl FrameProcessor {
    /// A processor that is ready for frames with `settings`. Tools for other settings are made when
    /// such a frame comes.
    pub fn new(engine: &Engine, settings: &Arc<FrameSettings>) -> Result<Self, StartError> {
        let engine = engine.clone();
        let settings = settings.clone();
        Ok(FrameProcessor {
            work: Guarded::new(move || ProcessorParts::new(engine.clone(), &settings))?,
            lost: None,
        })
    }

    /// Processes a frame; `finish` gets it when its matte is known. Panics are caught in both.
    pub fn process<S: StateAccess, R>(
        &mut self,
        mut frame: FrameInput<'_, S>,
        finish: impl FnOnce(&mut MattedFrame<'_>) -> R,
    ) -> FrameOutcome<R> {
        match self.work.run(|work| work.process(&mut frame, finish)) {
            Ok(Ok(made)) => FrameOutcome::Matted(made),
            Ok(Err(rejection)) => FrameOutcome::Rejected(rejection),
            Err(panicked) => {
                frame.state.forget();
                self.note(panicked)
            }
        }
    }

    /// Decodes a picture into `into` before its turn.
    pub fn decode(
        &mut self,
        settings: &FrameSettings,
        picture: FramePicture<'_>,
        span: &Span,
        into: &mut RgbImage,
    ) -> FrameOutcome<()> {
        match self
            .work
            .run(|work| work.decode(settings, picture, span, into))
        {
            Ok(Ok(())) => FrameOutcome::Matted(()),
            Ok(Err(rejection)) => FrameOutcome::Rejected(rejection),
            Err(panicked) => self.note(panicked),
        }
    }

    /// Why this processor cannot recover from a panic. Then its thread must end.
    pub fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    fn note<R>(&mut self, panicked: Panicked) -> FrameOutcome<R> {
        if let Panicked::Lost { problem } = panicked {
            self.lost = Some(problem);
        }
        FrameOutcome::Panicked
    }
}

/// The parts that a panic may leave half-changed.
struct ProcessorParts {
    engine: Engine,
    /// One for each kind of matte and file.
    tools: Vec<(ToolKey, Tools)>,
    /// The settings of the last frame, and the index of their tools.
    last: Option<(Arc<FrameSettings>, usize)>,
    backgrounds: Vec<(BackgroundChoice, BackgroundSource)>,
    decoder: Decoder,
    /// The decoded base64 of a JSON record.
    unpacked: Vec<u8>,
    picture: RgbImage,
    /// Opening a background cannot be stopped here.
    never: Stop,
}

impl ProcessorParts {
    fn new(engine: Engine, settings: &Arc<FrameSettings>) -> Result<Self, StartError> {
        let mut work = ProcessorParts {
            engine,
            tools: Vec::new(),
            last: None,
            backgrounds: Vec::new(),
            decoder: Decoder::default(),
            unpacked: Vec::new(),
            picture: RgbImage::default(),
            never: Stop::new(),
        };
        work.tools_of(settings)?;
        Ok(work)
    }

    /// The index of the tools for these settings.
    fn tools_of(&mut self, settings: &Arc<FrameSettings>) -> Result<usize, StartError> {
        if let Some((last, at)) = &self.last
            && Arc::ptr_eq(last, settings)
        {
            return Ok(*at);
        }
        let networks = self.engine.models.networks(settings)?;
        let key = ToolKey::of(settings, &networks);
        let at = match self.tools.iter().position(|(known, _)| *known == key) {
            Some(at) => at,
            None => {
                self.tools.push((key, Tools::new(settings, &networks)?));
                self.tools.len() - 1
            }
        };
        self.last = Some((settings.clone(), at));
        Ok(at)
    }

    fn decode(
        &mut self,
        settings: &FrameSettings,
        picture: FramePicture<'_>,
        span: &Span,
        into: &mut RgbImage,
    ) -> Result<(), Rejection> {
        let ProcessorParts {
            decoder,
            unpacked,
            engine,
            ..
        } = self;
        engine.clock.trace(span, Stage::Read, || {
            let file = match picture {
                FramePicture::Decoded(picture) => {
                    into.clone_from(picture);
                    return Ok(());
                }
                FramePicture::Encoded(encoded) => encoded.bytes(unpacked)?,
            };
            decoder
                .decode_into(file, &settings.limits, into)
                .map_err(|e| Rejection {
                    code: mattebox_wire::picture_code(&e),
                    message: e.to_string(),
                })
        })
    }

    fn process<S: StateAccess, R>(
        &mut self,
        frame: &mut FrameInput<'_, S>,
        finish: impl FnOnce(&mut MattedFrame<'_>) -> R,
    ) -> Result<R, Rejection> {
        let settings = frame.settings;
        let at = self.tools_of(settings).map_err(|e| Rejection {
            code: "internal-error",
            message: e.to_string(),
        })?;
        let mut own = std::mem::take(&mut self.picture);
        let picture = match frame.picture {
            FramePicture::Decoded(picture) => picture,
            encoded => {
                let decoded = self.decode(settings, encoded, frame.span, &mut own);
                if let Err(rejection) = decoded {
                    self.picture = own;
                    return Err(rejection);
                }
                &own
            }
        };
        let step = ProcessorStep {
            clock: &self.engine.clock.clone(),
            span: frame.span,
        };
        let tools = &mut self.tools[at].1;
        let still = step.run(Stage::Segment, || {
            tools.segment(picture, frame.time, frame.state.state())
        });
        frame.state.segmented();
        let (width, height) = picture.dimensions();
        let background = match frame.background.take() {
            Some(background) => Ok(background),
            None => self.background(&settings.background, width, height),
        };
        let (key, tools) = &mut self.tools[at];
        let made = background.map(|background| {
            let is_fixed = !settings.background.is_video();
            let mut matted = MattedFrame::new(tools, step, picture, background, is_fixed);
            if still {
                matted.is_like_before(key, &self.engine.still_files);
            }
            finish(&mut matted)
        });
        self.picture = own;
        made
    }

    /// The background of the next frame with this choice.
    fn background(
        &mut self,
        choice: &BackgroundChoice,
        width: u32,
        height: u32,
    ) -> Result<Background, Rejection> {
        let rejected = |error: BackgroundSourceError| Rejection {
            code: "no-background",
            message: error.to_string(),
        };
        let at = match self.backgrounds.iter().position(|(of, _)| of == choice) {
            Some(at) => at,
            None => {
                let source = self
                    .engine
                    .backgrounds
                    .open(choice, &self.never)
                    .map_err(rejected)?;
                // The oldest is dropped: a camera that still uses it opens it again.
                if self.backgrounds.len() >= MAX_BACKGROUNDS {
                    self.backgrounds.remove(0);
                }
                self.backgrounds.push((choice.clone(), source));
                self.backgrounds.len() - 1
            }
        };
        self.backgrounds[at]
            .1
            .next(width, height, &self.never)
            .map_err(rejected)
    }
}

/// Counts the time of a frame's steps.
#[derive(Clone, Copy)]
struct ProcessorStep<'a> {
    clock: &'a StageClock,
    span: &'a Span,
}

impl ProcessorStep<'_> {
    fn run<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        self.clock.trace(self.span, stage, work)
    }

    fn refine<T>(&self, work: impl FnOnce() -> T) -> T {
        self.run(Stage::Refine, work)
    }

    fn compose<T>(&self, work: impl FnOnce() -> T) -> T {
        self.run(Stage::Compose, work)
    }

    fn encode<T>(&self, work: impl FnOnce() -> T) -> T {
        self.run(Stage::Encode, work)
    }
}

#[cfg(test)]
mod tests;
