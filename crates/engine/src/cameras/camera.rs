//! One camera, as viewers see it.
use super::{
    faults::{Fault, Faults},
    preview::{Offer, Previews, View},
    preview_queue::PreviewQueue,
    quality::{Quality, QualityMeter},
    trend::Trend,
};
use crate::metrics::FrameCounters;
use crate::status::{Condition, Status, TimedCondition};
use crate::{BackgroundChoice, FrameSettings, MattedFrame};
use mattebox_core::{
    compose::{BackgroundPicture, Composed},
    frame::CameraId,
    quality::live::Sketch,
};
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

/// Without a new frame for this long a camera is stalled, even if its source is open.
const STALLED: Duration = Duration::from_secs(2);
/// A slow camera is stalled after this many of its usual intervals.
const STALLED_INTERVALS: f64 = 3.0;

/// The state of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// Waits for its first frame.
    Connecting,
    /// Frames come.
    Live,
    /// No frames come, for no known reason.
    Stalled,
    /// The source was lost and is being connected again.
    Reconnecting,
    /// Failed for good.
    Failed,
    /// Has no more frames.
    Ended,
}

impl Liveness {
    /// All of them.
    pub const ALL: [Liveness; 6] = [
        Liveness::Connecting,
        Liveness::Live,
        Liveness::Stalled,
        Liveness::Reconnecting,
        Liveness::Failed,
        Liveness::Ended,
    ];

    /// Its name in JSON and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Liveness::Connecting => "connecting",
            Liveness::Live => "live",
            Liveness::Stalled => "stalled",
            Liveness::Reconnecting => "reconnecting",
            Liveness::Failed => "failed",
            Liveness::Ended => "ended",
        }
    }
}

/// The state of a camera with its begin and its reason.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The state.
    pub state: Liveness,
    /// The time when it began.
    pub since: SystemTime,
    /// The reason, if known.
    pub why: Option<String>,
}

/// The frame that came last.
#[derive(Debug, Clone, Copy)]
pub struct Latest {
    /// When it was made, by the system's clock.
    pub time: SystemTime,
    /// The same by the monotonic clock.
    at: Instant,
    /// Width and height.
    pub size: (u32, u32),
    /// When frames began to come again after the last pause.
    resumed: Option<SystemTime>,
}

/// Records or pictures that cannot be frames.
#[derive(Debug, Clone)]
struct RejectedInput {
    /// The first one after the last frame.
    since: SystemTime,
    last: Instant,
    why: String,
}

/// The kinds of background that a camera's output can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holds {
    /// Pictures without a background.
    pub transparent: bool,
    /// Pictures with a background. A video that began without one cannot change.
    pub opaque: bool,
}

/// A new camera for the registry.
pub struct Introduction {
    /// Its source as in the settings, with passwords masked.
    pub source: String,
    /// The backgrounds that its output can hold.
    pub holds: Holds,
    /// Only its background can be changed: the state of its matte belongs to its other settings.
    pub only_background: bool,
    /// The settings of its frames.
    pub settings: FrameSettings,
    /// The counters of its frames.
    pub frames: Arc<FrameCounters>,
}

/// One camera.
pub struct Camera {
    /// Its name.
    pub id: CameraId,
    /// Its source as in the settings, with passwords masked.
    pub source: String,
    /// The condition of its source.
    pub status: Status,
    /// The backgrounds that its output can hold.
    pub holds: Holds,
    /// Only its background can be changed.
    pub only_background: bool,
    /// Its newest pictures.
    pub previews: Arc<Previews>,
    frames: Arc<FrameCounters>,
    pub(super) introduced: Instant,
    /// The settings at its start, or those of the settings file since it changed.
    start: Mutex<FrameSettings>,
    settings: Mutex<Arc<FrameSettings>>,
    upload: Mutex<Option<Arc<BackgroundPicture>>>,
    latest: Mutex<Option<Latest>>,
    trend: Mutex<Trend>,
    quality: Mutex<QualityMeter>,
    faults: Faults,
    /// The records or pictures since the last frame that cannot be frames.
    rejected: Mutex<Option<RejectedInput>>,
    previews_queue: PreviewQueue<Camera>,
    /// An offer waits for the encoding thread.
    pub(super) pending: AtomicBool,
}

impl fmt::Debug for Camera {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Camera")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Camera {
    pub(super) fn new(
        id: CameraId,
        introduction: Introduction,
        previews_queue: PreviewQueue<Camera>,
    ) -> Self {
        let Introduction {
            source,
            holds,
            only_background,
            settings,
            frames,
        } = introduction;
        Camera {
            id,
            source,
            status: Status::default(),
            holds,
            only_background,
            previews: Arc::default(),
            frames,
            introduced: Instant::now(),
            start: Mutex::new(settings.clone()),
            settings: Mutex::new(Arc::new(settings)),
            upload: Mutex::default(),
            latest: Mutex::default(),
            trend: Mutex::default(),
            quality: Mutex::default(),
            faults: Faults::default(),
            rejected: Mutex::default(),
            previews_queue,
            pending: AtomicBool::new(false),
        }
    }

    /// The settings of its frames. After a change it is another pointer.
    pub fn settings(&self) -> Arc<FrameSettings> {
        lock(&self.settings).clone()
    }

    /// Changes the settings of its frames, from the next frame on.
    pub fn set_settings(&self, settings: FrameSettings) {
        *lock(&self.settings) = Arc::new(settings);
    }

    /// Replaces unusable `settings` by `kept`, unless they were changed again since.
    pub fn take_back(&self, settings: &Arc<FrameSettings>, kept: Arc<FrameSettings>) {
        let mut now = lock(&self.settings);
        if Arc::ptr_eq(&now, settings) {
            *now = kept;
        }
    }

    /// The settings at its start.
    pub fn start(&self) -> FrameSettings {
        lock(&self.start).clone()
    }

    /// Changes the settings and those of its start, because the settings file changed.
    pub fn restart_with(&self, settings: FrameSettings) {
        *lock(&self.start) = settings.clone();
        self.set_settings(settings);
    }

    /// The picture that was uploaded last.
    pub fn upload(&self) -> Option<Arc<BackgroundPicture>> {
        lock(&self.upload).clone()
    }

    /// Puts an uploaded picture behind the people.
    pub fn set_upload(&self, picture: Arc<BackgroundPicture>) {
        *lock(&self.upload) = Some(picture.clone());
        let mut settings = lock(&self.settings);
        *settings = Arc::new(FrameSettings {
            background: BackgroundChoice::Upload(picture),
            ..FrameSettings::clone(&settings)
        });
    }

    /// Whether a frame has to be processed for viewers: while a viewer waits, and else once a
    /// second, so that the page begins with a picture.
    pub fn wants_frame(&self) -> bool {
        self.previews_queue.is_watched() && self.previews.wants()
    }

    /// Shows a frame to the viewers. Its picture is composed only if a viewer waits.
    ///
    /// `captured` is the time of capture by this machine's clock, if known.
    pub fn show(
        self: &Arc<Self>,
        number: u64,
        captured: Option<SystemTime>,
        matted: &mut MattedFrame<'_>,
    ) {
        if !self.previews_queue.is_watched() {
            return;
        }
        self.note_frame(matted.picture().dimensions());
        // A still frame has the quality of the one before, and may need no matte.
        if matted.is_still() {
            lock(&self.quality).repeat(number);
        } else {
            let (raw, alpha) = matted.matte();
            let sketch = Sketch::of(raw, alpha);
            lock(&self.quality).add(number, sketch);
        }
        if self.previews.takes(number) {
            let wants_cut_out = self.previews.is_wanted(View::Overlay);
            let cut_out = wants_cut_out.then(|| matted.cut_out());
            let (raw, alpha, composed) = matted.views();
            self.publish(Offer {
                number,
                captured,
                raw: Some(raw),
                alpha: Some(alpha),
                composed,
                cut_out: cut_out.as_ref(),
            });
        }
    }

    /// Shows a frame that was matted elsewhere.
    pub fn show_composed(
        self: &Arc<Self>,
        number: u64,
        captured: Option<SystemTime>,
        composed: &Composed,
    ) {
        if !self.previews_queue.is_watched() {
            return;
        }
        self.note_frame(composed.dimensions());
        if self.previews.takes(number) {
            self.publish(Offer {
                number,
                captured,
                raw: None,
                alpha: None,
                composed,
                cut_out: None,
            });
        }
    }

    fn publish(self: &Arc<Self>, offer: Offer<'_>) {
        if self.previews.offer(offer) && !self.pending.swap(true, Relaxed) {
            self.previews_queue.submit(self.clone());
        }
    }

    /// Notes that a frame of this size has come, with or without viewers.
    pub fn note_frame(&self, size: (u32, u32)) {
        let time = SystemTime::now();
        let resumed = match self.latest() {
            Some(last) if last.at.elapsed() > self.stalled_after() => Some(time),
            last => last.and_then(|last| last.resumed),
        };
        *lock(&self.rejected) = None;
        *lock(&self.latest) = Some(Latest {
            time,
            at: Instant::now(),
            size,
            resumed,
        });
    }

    /// Notes a record or picture that cannot be a frame. While no frame comes, it is the reason.
    pub fn note_rejected(&self, why: &str) {
        self.note(why);
        let time = SystemTime::now();
        let mut rejected = lock(&self.rejected);
        let since = rejected.as_ref().map_or(time, |rejected| rejected.since);
        *rejected = Some(RejectedInput {
            since,
            last: Instant::now(),
            why: why.to_owned(),
        });
    }

    /// The rejection that came after the last frame, if there is one.
    fn why_rejected(&self, latest: Option<Latest>) -> Option<RejectedInput> {
        let rejected = lock(&self.rejected).clone()?;
        let is_newer = latest.is_none_or(|latest| latest.at < rejected.last);
        is_newer.then_some(rejected)
    }

    /// Notes an error. A repetition of the last one changes nothing.
    pub fn note(&self, message: &str) {
        self.faults.note(message);
    }

    /// The time since its last frame or rejection, or since it was introduced.
    pub fn quiet_for(&self) -> Duration {
        let latest = self.latest().map(|latest| latest.at);
        let rejected = lock(&self.rejected).as_ref().map(|rejected| rejected.last);
        let last = latest.into_iter().chain(rejected).max();
        last.unwrap_or(self.introduced).elapsed()
    }

    /// The last errors, newest first.
    pub fn errors(&self) -> Vec<Fault> {
        self.faults.newest_first()
    }

    /// The last frame.
    pub fn latest(&self) -> Option<Latest> {
        *lock(&self.latest)
    }

    /// An estimate of how good its mattes are.
    pub fn quality(&self) -> Option<Quality> {
        lock(&self.quality).quality()
    }

    /// Its last minutes.
    pub fn trend(&self) -> MutexGuard<'_, Trend> {
        lock(&self.trend)
    }

    /// Its state now.
    pub fn standing(&self) -> Standing {
        let TimedCondition { condition, since } = self.status.get();
        let stands = |state, why| Standing { state, since, why };
        let waits = |why: &str| stands(Liveness::Connecting, Some(why.to_owned()));
        let latest = self.latest();
        let is_live = latest.is_some_and(|latest| latest.at.elapsed() <= self.stalled_after());
        if let Some(rejected) = self.why_rejected(latest).filter(|_| !is_live) {
            return Standing {
                state: Liveness::Stalled,
                since: latest.map_or(rejected.since, |latest| latest.time),
                why: Some(rejected.why),
            };
        }
        match condition {
            Condition::Connecting => waits("its source has not answered yet"),
            Condition::Unreached { why } => stands(Liveness::Connecting, Some(why)),
            Condition::Lost { why } => stands(Liveness::Reconnecting, Some(why)),
            Condition::Failed { why } => stands(Liveness::Failed, Some(why)),
            Condition::Ended => stands(Liveness::Ended, None),
            Condition::Open => match latest {
                None => waits("its source is open, and no frame has come yet"),
                Some(latest) if !is_live => {
                    let why = Some("no frame comes".to_owned());
                    Standing {
                        state: Liveness::Stalled,
                        since: latest.time,
                        why,
                    }
                }
                Some(latest) => Standing {
                    state: Liveness::Live,
                    since: latest.resumed.map_or(since, |at| at.max(since)),
                    why: None,
                },
            },
        }
    }

    /// The time without a frame after which it is stalled.
    fn stalled_after(&self) -> Duration {
        match self.trend().usual_fps() {
            fps if fps > 0.0 => STALLED.max(Duration::from_secs_f64(
                (STALLED_INTERVALS / fps).min(3600.0),
            )),
            _ => STALLED,
        }
    }

    /// Samples the counts of the second that ends at unix time `at`.
    pub(super) fn sample(&self, at: f64) {
        let quality = self.quality();
        let (counts, times) = (self.frames.counts(), self.frames.times());
        self.trend().add(at, counts, times, quality);
        // Keeps the reason, because a person may want to read it after the source is back.
        let condition = self.status.get().condition;
        if let Condition::Unreached { why } | Condition::Lost { why } | Condition::Failed { why } =
            condition
        {
            self.note(&why);
        }
    }
}

impl Latest {
    /// Its age.
    pub fn age(&self) -> Duration {
        self.at.elapsed()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
