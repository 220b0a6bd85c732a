//! One thread that makes frames: decode, segment, refine, compose, encode, write.
use super::{
    job::{Event, Fault, Job, Outcome, Picture},
    lanes::{LaneId, Lanes, Work},
    numbers::Numbers,
};
use crate::{
    config::worker::{WorkerSettings, WorkerSink},
    kafka::record::with_record,
    live::{
        Behind, Camera, Look, Studio, Treatment,
        camera::{Holds, Introduction},
        shots::Offer,
    },
    pipeline::{
        StartError,
        background::{Backdrop, Backgrounds},
        stats::{Stage, StageClock},
    },
    source::{SourceOptions, status::Condition},
    stop::Stop,
    trace::Tracer,
};
use image::RgbImage;
use mattebox_core::{
    codec::Decoder,
    compose::BackgroundSpec,
    frame::CameraId,
    guard::{Guarded, Panicked},
    maker::{Maker, Recipe},
    matte::MatteState,
};
use mattebox_store::{FrameDirs, OnExisting, Outcome as Stored, StoreError};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

/// What all hands share.
pub(super) struct Shop {
    pub(super) settings: WorkerSettings,
    pub(super) recipe: Recipe,
    pub(super) lanes: Lanes,
    /// The folders of all cameras; `None` where results go to a topic.
    files: Option<FrameDirs>,
    pub(super) clock: Arc<StageClock>,
    pub(super) tracer: Tracer,
    /// Pictures whose memory can be used again.
    spares: Mutex<Vec<RgbImage>>,
    /// What every thread opens its backgrounds by.
    backgrounds: Backgrounds,
    /// What every camera begins with: the settings, or what their file says by now.
    start: Mutex<Arc<Look>>,
    /// Where cameras are seen.
    pub(super) studio: Arc<Studio>,
    pub(super) numbers: Arc<Numbers>,
}

impl Shop {
    pub(super) fn new(
        settings: WorkerSettings,
        recipe: Recipe,
        lanes: Lanes,
        numbers: Arc<Numbers>,
        tracer: Tracer,
    ) -> Self {
        let WorkerSettings {
            background,
            matte,
            foreground_cleanup,
            skip_still,
            ..
        } = &settings;
        let treatment = Treatment {
            matte: *matte,
            foreground_cleanup: *foreground_cleanup,
            skip_still: *skip_still,
        };
        let start = Look {
            behind: Behind::Spec(background.clone()),
            treatment,
        };
        let files = match &settings.sink {
            WorkerSink::Directory(root) => Some(FrameDirs::new(root)),
            WorkerSink::Topic(_) => None,
        };
        let options = SourceOptions {
            limits: settings.limits,
            ..SourceOptions::default()
        };
        Shop {
            files,
            backgrounds: Backgrounds::new(background, options),
            start: Mutex::new(Arc::new(start)),
            clock: numbers.clock.clone(),
            spares: Mutex::default(),
            studio: Arc::default(),
            settings,
            recipe,
            lanes,
            numbers,
            tracer,
        }
    }

    fn spare(&self) -> RgbImage {
        self.spares
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
            .unwrap_or_default()
    }

    /// Keeps as many as can be in use at once.
    fn give_back(&self, picture: RgbImage) {
        let mut spares = self.spares.lock().unwrap_or_else(PoisonError::into_inner);
        if spares.len() < 2 * self.settings.threads.get() {
            spares.push(picture);
        }
    }

    /// What cameras begin with.
    fn start(&self) -> Arc<Look> {
        self.start
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Puts another background behind the frames of all cameras, from the next on. One that cannot be had changes nothing.
    pub(super) fn change_background(&self, background: &BackgroundSpec) -> Result<(), String> {
        if *background == BackgroundSpec::Transparent && !self.settings.format.has_alpha() {
            return Err(format!(
                "background {background}: {} has no transparency",
                self.settings.format
            ));
        }
        self.backgrounds.restart(background)?;
        let look = Look {
            behind: Behind::Spec(background.clone()),
            treatment: self.start().treatment,
        };
        if !look.is_same(&self.start()) {
            *self.start.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(look.clone());
            self.studio
                .cameras()
                .iter()
                .for_each(|camera| camera.restart_with(look.clone()));
        }
        Ok(())
    }

    /// A camera as whoever looks sees it. `None`: nobody does.
    fn shown(&self, job: &Job) -> Option<Arc<Camera>> {
        let introduce = || Introduction {
            source: format!("{} [{}]", self.settings.broker.topic, job.ticket.partition),
            holds: Holds {
                transparent: self.settings.format.has_alpha(),
                opaque: true,
            },
            only_background: true,
            look: Look::clone(&self.start()),
            counters: self.numbers.camera(Some(&job.camera)),
        };
        self.studio
            .is_open()
            .then(|| self.studio.camera_or_new(&job.camera, introduce))
    }

    /// Writes a frame's file to its camera's folder.
    pub(super) fn write(&self, job: &Job, bytes: &[u8]) -> Result<Stored, StoreError> {
        let Some(files) = &self.files else {
            return Ok(Stored::Skipped);
        };
        let on_existing = if job.late {
            OnExisting::Skip
        } else {
            self.settings.on_existing
        };
        files.write(
            &job.camera,
            job.number,
            self.settings.format.extension(),
            bytes,
            on_existing,
        )
    }
}

/// A lane's matte state while a thread has it. To be given back with [`Lanes::release`].
type Held = Option<(LaneId, Box<MatteState>)>;

/// What a thread does with frames.
pub(super) trait FrameTools: Sized {
    /// Decodes a frame's picture.
    fn decode(&mut self, job: &Job) -> Result<RgbImage, Fault>;

    /// Makes a frame. The state is taken out of `held` when it was given back. `still` becomes true if the network was not asked.
    fn make(
        &mut self,
        lane: LaneId,
        job: &Job,
        picture: Picture,
        held: &mut Held,
        still: &mut bool,
    ) -> Outcome;
}

/// One thread with its tools.
pub(super) struct Hand<T: FrameTools = Tools> {
    tools: Guarded<T, StartError>,
}

impl Hand {
    pub(super) fn new(shop: &Arc<Shop>) -> Result<Self, StartError> {
        let shop = shop.clone();
        Ok(Hand {
            tools: Guarded::new(move || Tools::new(&shop))?,
        })
    }
}

impl<T: FrameTools> Hand<T> {
    /// Works until there is no more work, or no tools to work with.
    pub(super) fn run(mut self, lanes: &Lanes) {
        while let Some(work) = lanes.take() {
            let lost = match work {
                Work::Decode { lane, job } => {
                    let (decoded, lost) = self.guarded(|tools| tools.decode(&job));
                    let picture = decoded
                        .unwrap_or_else(|| Err(bug()))
                        .map_or_else(Picture::Bad, Picture::Decoded);
                    lanes.decoded(lane, &job, picture);
                    lost
                }
                Work::Make {
                    lane,
                    job,
                    picture,
                    state,
                } => {
                    let mut held = state.map(|state| (lane, state));
                    let mut still = false;
                    let (made, lost) = self
                        .guarded(|tools| tools.make(lane, &job, picture, &mut held, &mut still));
                    if let Some((lane, state)) = held {
                        // What a panic left behind in the state is not to be trusted.
                        let state = if made.is_some() {
                            state
                        } else {
                            Box::default()
                        };
                        lanes.release(lane, state);
                    }
                    let outcome = made.unwrap_or_else(|| Outcome::Dead(bug()));
                    lanes.tell(Event::Done {
                        job,
                        outcome,
                        still,
                    });
                    lost
                }
            };
            if let Some(problem) = lost {
                tracing::error!(
                    "a thread ends, because it cannot make new tools after a fault: {problem}"
                );
                return;
            }
        }
    }

    /// What the work gave, `None` if it panicked; and why this thread cannot go on, if so.
    fn guarded<R>(&mut self, work: impl FnOnce(&mut T) -> R) -> (Option<R>, Option<String>) {
        match self.tools.run(work) {
            Ok(done) => (Some(done), None),
            Err(Panicked::Recovered) => (None, None),
            Err(Panicked::Lost { problem }) => (None, Some(problem)),
        }
    }
}

/// A thread's own tools.
pub(super) struct Tools {
    shop: Arc<Shop>,
    maker: Maker,
    decoder: Decoder,
    backdrop: Backdrop,
    /// What it was opened for.
    start: Arc<Look>,
    /// Those of cameras whose background was changed.
    changed: HashMap<CameraId, (Arc<Look>, Backdrop)>,
    /// A picture out of a JSON record.
    unpacked: Vec<u8>,
}

impl FrameTools for Tools {
    fn decode(&mut self, job: &Job) -> Result<RgbImage, Fault> {
        let mut picture = self.shop.spare();
        let Tools {
            decoder,
            unpacked,
            shop,
            ..
        } = self;
        let decoded = shop.clock.trace(&job.span, Stage::Read, || {
            with_record(&job.record, |record| {
                let frame = mattebox_wire::read(record).map_err(|e| (e.code(), e.to_string()))?;
                let bytes = frame
                    .picture(unpacked)
                    .map_err(|e| (e.code(), e.to_string()))?;
                decoder
                    .decode_into(bytes, &shop.settings.limits, &mut picture)
                    .map_err(|e| (mattebox_wire::picture_code(&e), e.to_string()))
            })
        });
        decoded
            .map(|()| picture)
            .map_err(|(code, message)| Fault { code, message })
    }

    fn make(
        &mut self,
        lane: LaneId,
        job: &Job,
        picture: Picture,
        held: &mut Held,
        still: &mut bool,
    ) -> Outcome {
        let max_age = self.shop.settings.max_age;
        if max_age
            .is_some_and(|max| age_us(job) > i64::try_from(max.as_micros()).unwrap_or(i64::MAX))
        {
            return Outcome::Stale;
        }
        let decoded = match picture {
            Picture::Decoded(picture) => Ok(picture),
            Picture::Bad(fault) => Err(fault),
            Picture::Encoded | Picture::Decoding => self.decode(job),
        };
        let picture = match decoded {
            Ok(picture) => picture,
            Err(fault) => return Outcome::Dead(fault),
        };
        // Nothing is remembered by the hard matte, and for frames that come late.
        let mut nothing = MatteState::default();
        let Tools { maker, shop, .. } = self;
        let state = held.as_mut().map_or(&mut nothing, |(_, state)| state);
        *still = shop.clock.trace(&job.span, Stage::Segment, || {
            maker.segment(&picture, job.time, state)
        });
        if let Some((lane, state)) = held.take() {
            shop.lanes.release(lane, state);
        }
        let shown = self.shop.shown(job);
        self.follow(shown.as_deref());
        let Tools {
            maker,
            backdrop,
            changed,
            shop,
            ..
        } = self;
        shop.clock
            .trace(&job.span, Stage::Refine, || maker.refine(&picture));
        let size = picture.dimensions();
        let backdrop = changed
            .get_mut(&job.camera)
            .map_or(backdrop, |(_, backdrop)| backdrop);
        let background = match backdrop.next(size.0, size.1, &Stop::new()) {
            Ok(background) => background,
            Err(message) => {
                return Outcome::Dead(Fault {
                    code: "no-background",
                    message,
                });
            }
        };
        shop.clock.trace(&job.span, Stage::Compose, || {
            maker.compose(&picture, &background, None)
        });
        // What comes late is older than what is seen.
        if let Some(camera) = shown.filter(|_| !job.late && shop.lanes.is_open(lane)) {
            camera.status.set(Condition::Open);
            let raw = Some(&picture);
            let alpha = Some(maker.alpha());
            camera.offer(Offer {
                number: job.number.0,
                raw,
                alpha,
                composed: maker.picture(),
            });
        }
        shop.give_back(picture);
        let bytes = match shop
            .clock
            .trace(&job.span, Stage::Encode, || maker.encode())
        {
            Ok(bytes) => bytes,
            Err(e) => {
                return Outcome::Dead(Fault {
                    code: "not-encodable",
                    message: e.to_string(),
                });
            }
        };
        if let WorkerSink::Topic(_) = shop.settings.sink {
            return Outcome::Made {
                bytes: bytes.to_vec(),
                size,
            };
        }
        match shop
            .clock
            .trace(&job.span, Stage::Write, || shop.write(job, bytes))
        {
            Ok(Stored::Written) => Outcome::Written { bytes: bytes.len() },
            Ok(Stored::Skipped) => Outcome::Kept,
            Err(e) => Outcome::Unwritten {
                bytes: bytes.to_vec(),
                message: e.to_string(),
            },
        }
    }
}

impl Tools {
    fn new(shop: &Arc<Shop>) -> Result<Self, StartError> {
        let start = shop.start();
        let backdrop = shop
            .backgrounds
            .open(&start.behind, &Stop::new())
            .map_err(StartError::Background)?;
        Ok(Tools {
            start,
            maker: Maker::new(&shop.recipe)?,
            shop: shop.clone(),
            decoder: Decoder::default(),
            backdrop,
            changed: HashMap::new(),
            unpacked: Vec::new(),
        })
    }

    /// Puts up the background that all cameras, or this one, were given while it runs.
    fn follow(&mut self, camera: Option<&Camera>) {
        let start = self.shop.start();
        if !Arc::ptr_eq(&start, &self.start) {
            match self.shop.backgrounds.open(&start.behind, &Stop::new()) {
                Ok(backdrop) => self.backdrop = backdrop,
                Err(problem) => tracing::error!("the background stays as it was: {problem}"),
            }
            self.start = start;
        }
        let Some(camera) = camera else { return };
        let look = camera.look();
        let behind = match (self.changed.get(&camera.id), &look.behind) {
            (Some((known, _)), _) if Arc::ptr_eq(known, &look) => return,
            _ if look.is_same(&self.start) => {
                self.changed.remove(&camera.id);
                return;
            }
            (_, behind) => behind,
        };
        match self.shop.backgrounds.open(behind, &Stop::new()) {
            Ok(backdrop) => drop(self.changed.insert(camera.id.clone(), (look, backdrop))),
            Err(problem) => camera.note(&problem),
        }
    }
}

/// How long ago a frame was taken, in microseconds.
pub(super) fn age_us(job: &Job) -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros());
    i64::try_from(now)
        .unwrap_or(i64::MAX)
        .saturating_sub(job.time.0)
}

/// Fail closed: a frame whose matte could not be computed is not shown.
fn bug() -> Fault {
    let message =
        "it could not be processed; this is a fault of mattebox, please report it".to_owned();
    Fault {
        code: "internal-error",
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::lanes::test_job, *};

    /// Tools that panic at the frames with odd numbers.
    struct Odd;

    impl FrameTools for Odd {
        fn decode(&mut self, _: &Job) -> Result<RgbImage, Fault> {
            Ok(RgbImage::new(1, 1))
        }

        fn make(
            &mut self,
            _: LaneId,
            job: &Job,
            _: Picture,
            _: &mut Held,
            _: &mut bool,
        ) -> Outcome {
            assert!(job.number.0.is_multiple_of(2), "a panic on purpose");
            Outcome::Kept
        }
    }

    /// A thread whose tools can be made so often.
    fn hand(times: usize) -> Hand<Odd> {
        let mut left = times;
        let tools = Guarded::new(move || match left.checked_sub(1) {
            Some(fewer) => {
                left = fewer;
                Ok(Odd)
            }
            None => Err(StartError::Background("its file is gone".to_owned())),
        });
        Hand {
            tools: tools.unwrap(),
        }
    }

    /// What became of frames, and how many wait after a thread has ended by itself or with the last frame.
    fn outcomes(hands: impl IntoIterator<Item = Hand<Odd>>, frames: u64) -> Vec<&'static str> {
        let (to, events) = crossbeam_channel::unbounded();
        let lanes = Lanes::new(true, to);
        let lane = lanes.open(&"cam".parse().unwrap(), 0, 1, Some(MatteState::default()));
        (0..frames).for_each(|number| lanes.submit(lane, test_job(number)));
        std::thread::scope(|scope| {
            let threads: Vec<_> = hands
                .into_iter()
                .map(|hand| scope.spawn(|| hand.run(&lanes)))
                .collect();
            let mut outcomes = Vec::new();
            while outcomes.len() < frames as usize {
                match events.recv_timeout(std::time::Duration::from_millis(20)) {
                    Ok(Event::Done {
                        outcome: Outcome::Kept,
                        ..
                    }) => outcomes.push("made"),
                    Ok(Event::Done {
                        outcome: Outcome::Dead(fault),
                        ..
                    }) => outcomes.push(fault.code),
                    Ok(event) => panic!("{event:?}"),
                    Err(_) if threads.iter().all(|thread| thread.is_finished()) => break,
                    Err(_) => {}
                }
            }
            lanes.shut();
            outcomes
        })
    }

    #[test]
    fn after_a_panic_a_thread_goes_on_with_new_tools_and_the_lane_with_a_new_state() {
        assert_eq!(
            outcomes([hand(3)], 4),
            ["made", "internal-error", "made", "internal-error"]
        );
    }

    #[test]
    fn a_thread_that_cannot_make_new_tools_ends_and_does_not_use_the_old_ones() {
        assert_eq!(
            outcomes([hand(1)], 4),
            ["made", "internal-error"],
            "what waits is for other threads, or the next start"
        );
    }

    #[test]
    fn the_frames_of_a_thread_that_ended_are_made_by_the_others() {
        assert_eq!(outcomes([hand(1), hand(9)], 6).len(), 6);
    }
}
