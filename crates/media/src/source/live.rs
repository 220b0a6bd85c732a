//! What goes on for ever and comes back: cameras and network streams.
use super::choices::InputFormat;
use super::fallback::{self, Fallback};
use super::feed::{Arrival, ArrivedPicture, Feed, FeedPicture, sound_from};
use super::input::{ProbeLength, Reading, SourceInput};
use super::plan::{Losses, StreamPlan};
use super::{Source, SourceError, SourceInfo, SourceOptions, SourcePicture};
use crate::beside::PictureExtras;
use crate::ffmpeg::Ffmpeg;
use crate::ffmpeg::diagnose::{Diagnosis, DiagnosisKind, diagnose};
use mattebox_core::frame::Timestamp;
use mattebox_engine::status::Condition;
use mattebox_engine::stop::Stop;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tracing::{debug, info, warn};

/// The first wait before a new try; each further one is twice as long, until pictures flow again.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait before a new try.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The longest wait where the time to connect is limited.
const LONGEST_WAIT_TO_CONNECT: Duration = Duration::from_secs(1);
/// The shortest time that a try may take where there will be others: a camera that wakes up needs
/// some seconds.
const SHORTEST_TRY: Duration = Duration::from_secs(15);
/// How long a picture may take of a video whose size FFmpeg did not find at a quick look.
const UNSIZED: Duration = Duration::from_secs(6);
/// The clock of a stream that is further from ours than this is set again.
const APART: Duration = Duration::from_secs(10);
/// A picture that took longer has a time that is wrong.
const LONGEST_WAY: Duration = Duration::from_secs(60);

/// A stream through FFmpeg that is connected again when it ends, breaks or stalls.
#[derive(Debug)]
pub(super) struct LiveSource<P> {
    ffmpeg: Ffmpeg,
    input: SourceInput,
    options: SourceOptions,
    info: SourceInfo,
    /// It told its length when it was opened.
    has_end: bool,
    feed: Option<Feed<P>>,
    /// How a feed looks at the stream first: quickly, until that has failed once.
    probe: ProbeLength,
    /// What the running feed does with its streams.
    plan: StreamPlan,
    /// What had to be left out of the plan, to be told when it helped.
    losses: Losses,
    /// What the running feed's clock is behind ours, in microseconds, where it has its own.
    behind: Option<i64>,
    /// Another way to read it, for the next try.
    fallback: Option<Fallback>,
    /// A format to be guessed in the next try.
    guess: Option<InputFormat>,
    /// The format is guessed, because of this.
    guessed: Option<Diagnosis>,
    /// The running feed did not find how large the video is.
    unsized_video: bool,
    /// Pictures delivered.
    frames: u64,
    /// Pictures that the running feed delivered.
    frames_of_feed: u64,
    /// When the running feed was started.
    begun: Instant,
    /// The wait before the next try.
    wait: Duration,
    /// Why the try before failed.
    problem: Option<String>,
    /// When it was opened: the first picture must come within `connect_timeout`.
    opened: Instant,
    /// When the first picture came.
    first: Option<Instant>,
    /// The time of the picture before: time does not go back, also where the clock does.
    last: Timestamp,
    ended: bool,
}

impl<P: FeedPicture> LiveSource<P> {
    /// Connects; what does not answer yet is tried again until [`SourceOptions::connect_timeout`],
    /// or for ever.
    pub(super) fn open(
        ffmpeg: Ffmpeg,
        input: SourceInput,
        options: &SourceOptions,
        stop: &Stop,
    ) -> Result<Self, SourceError> {
        let mut live = LiveSource {
            info: SourceInfo {
                frames: None,
                fps: options.fps,
                live: true,
                still: false,
                motion_jpeg: None,
            },
            has_end: false,
            options: options.clone(),
            feed: None,
            probe: ProbeLength::Quick,
            plan: StreamPlan::first(options),
            losses: Losses::default(),
            behind: None,
            fallback: None,
            guess: None,
            guessed: None,
            unsized_video: false,
            frames: 0,
            frames_of_feed: 0,
            begun: Instant::now(),
            wait: FIRST_WAIT,
            problem: None,
            opened: Instant::now(),
            first: None,
            last: Timestamp(i64::MIN),
            ended: false,
            ffmpeg,
            input,
        };
        let mut is_planned = P::PASSED_THROUGH;
        loop {
            let reason = match live.start() {
                Err(reason) => reason,
                Ok(feed) => match feed.wait_for_header(live.patience(), stop) {
                    Some(header) if header.opened => {
                        let mut plan = StreamPlan::of(&header, options);
                        // A rate is made by our clock where there is no sound to keep in step with.
                        plan.sound = live.plan.sound && (header.has_sound || options.fps.is_none());
                        // Once: a stream that says something else each time is read as it is.
                        if plan != live.plan && !std::mem::replace(&mut is_planned, true) {
                            live.plan = plan;
                            continue;
                        }
                        live.info.fps = options.fps.or(header.fps());
                        live.info.motion_jpeg = header.upright_motion_jpeg();
                        live.has_end = header.duration.is_some();
                        live.unsized_video = header.is_unsized();
                        live.feed = Some(feed);
                        return Ok(live);
                    }
                    None if stop.is_stopped() => return Err(SourceError::Stopped),
                    found => live.reason(
                        if found.is_some() {
                            Arrival::Ended(vec![])
                        } else {
                            Arrival::Stalled
                        },
                        feed,
                    ),
                },
            };
            if !live.tries_at_once(&reason) {
                live.lost(reason)?;
                if !live.waits(stop)? {
                    return Err(SourceError::Stopped);
                }
            }
        }
    }

    /// Whether it turned out to be no live stream, but something with an end.
    pub(super) fn has_end(&self) -> bool {
        self.has_end
    }

    fn start(&mut self) -> Result<Feed<P>, Diagnosis> {
        self.frames_of_feed = 0;
        self.behind = None;
        self.begun = Instant::now();
        if let Some(problem) = self.input.missing_device() {
            return Err(Diagnosis {
                may_come: true,
                ..Diagnosis::new(DiagnosisKind::Usage, problem)
            });
        }
        let reading = Reading {
            live: true,
            our_clock: self.our_clock(),
            probe: self.probe,
            start: None,
            duration: None,
            rewinds: false,
            plan: self.plan,
        };
        Feed::start(&self.input, &self.ffmpeg, &self.options, reading).map_err(|error| {
            Diagnosis::new(
                DiagnosisKind::Failed,
                format!("cannot start FFmpeg: {error}"),
            )
        })
    }

    /// FFmpeg notes by our clock when it reads something. Sound that came so would be torn: where
    /// there is to be sound, the clock of the stream counts for it and for the pictures.
    fn our_clock(&self) -> bool {
        let by_ours = self.input.is_live() || self.frames > 0 || self.options.fps.is_some();
        by_ours && !self.plan.sound
    }

    /// It is to be there within a certain time.
    fn has_deadline(&self) -> bool {
        self.frames == 0 && !self.options.keep_trying
    }

    fn left_to_connect(&self) -> Duration {
        self.options
            .connect_timeout
            .saturating_sub(self.opened.elapsed())
    }

    /// How long the running feed may take from now on to give a picture. Never zero, which would be
    /// for ever, where that is not asked for.
    fn patience(&self) -> Duration {
        let of_this_try = |time: Duration| {
            time.saturating_sub(self.begun.elapsed())
                .max(Duration::from_millis(1))
        };
        let patience = match self.frames_of_feed {
            0 if self.has_deadline() => self.left_to_connect().max(Duration::from_millis(1)),
            0 => of_this_try(self.options.connect_timeout.max(SHORTEST_TRY)),
            _ => return self.options.live_stall(),
        };
        match self.probe == ProbeLength::Quick && self.unsized_video {
            true => patience.min(of_this_try(UNSIZED)),
            false => patience,
        }
    }

    /// Waits before the next try, longer each time. False on a stop; an error if the time to
    /// connect is over.
    fn waits(&mut self, stop: &Stop) -> Result<bool, SourceError> {
        let mut wait = self.wait;
        self.wait = (wait * 2).min(LONGEST_WAIT);
        if self.has_deadline() {
            wait = wait
                .min(LONGEST_WAIT_TO_CONNECT)
                .min(self.left_to_connect());
        }
        if stop.wait(wait) {
            return Ok(false);
        }
        match self.has_deadline() && self.left_to_connect().is_zero() {
            true => Err(self.unreachable(self.problem.clone().unwrap_or_default())),
            false => Ok(true),
        }
    }

    fn unreachable(&self, problem: String) -> SourceError {
        let seconds = self.options.connect_timeout.as_secs_f64();
        SourceError::Unreachable {
            name: self.input.name.clone(),
            seconds,
            problem,
        }
    }

    /// Whether there is another try at once: in another way, or, after a quick look that found no
    /// picture, one that takes its time.
    fn tries_at_once(&mut self, reason: &Diagnosis) -> bool {
        if let Some(fallback) = self.fallback.take() {
            fallback.take(&self.input.name, &mut self.options);
            return true;
        }
        let again =
            self.probe == ProbeLength::Quick && self.frames_of_feed == 0 && reason.of_content;
        if again {
            debug!(source = self.input.name, problem = %reason.text, "FFmpeg takes its time to \
                find what is in it");
            self.probe = ProbeLength::Long;
            return true;
        }
        if let Some(format) = self.guess.take() {
            debug!(source = self.input.name, problem = %reason.text, "it may be Motion JPEG");
            self.options.input_format = Some(format);
            self.guessed = Some(reason.clone());
            return true;
        }
        false
    }

    /// After a feed that gave no picture: whether the next try, at once, leaves out something that
    /// this FFmpeg may not be able to do.
    fn leaves_out(&mut self, reason: &Diagnosis) -> bool {
        let is_of_it =
            self.frames == 0 && !P::PASSED_THROUGH && reason.kind != DiagnosisKind::Unreachable;
        is_of_it && self.plan.leave_out(&mut self.losses)
    }

    /// A picture with its time: by the clock of the stream if there is sound, which must stay in
    /// step.
    fn picture(&mut self, arrived: ArrivedPicture<P>) -> SourcePicture<P> {
        let by_stream = arrived.sound_format.is_some();
        let (time, read) = match by_stream {
            true => (self.time_of_stream(&arrived), arrived.read),
            false => {
                let (came, read) = came(&arrived, self.our_clock());
                (unix_time(came), read)
            }
        };
        self.last = self.last.max(time);
        SourcePicture {
            time: self.last,
            read,
            beside: PictureExtras {
                pixel_aspect: arrived.pixel_aspect,
                sound_format: arrived.sound_format,
                sound: sound_from(self.behind.unwrap_or_default(), arrived.sound),
            },
            picture: arrived.picture,
        }
    }

    /// A picture's time by the clock of the stream, which is set by ours when the first picture
    /// comes, and again when both are apart.
    fn time_of_stream(&mut self, arrived: &ArrivedPicture<P>) -> Timestamp {
        let now = unix_time(arrived.arrived);
        let Some(micros) = arrived.micros else {
            return now;
        };
        let apart = |behind: &i64| {
            let apart = now.0.saturating_sub(micros.saturating_add(*behind));
            apart.unsigned_abs() <= u64::try_from(APART.as_micros()).unwrap_or(u64::MAX)
        };
        let behind = self.behind.filter(apart);
        let behind = behind.unwrap_or(now.0.saturating_sub(micros));
        self.behind = Some(behind);
        Timestamp(micros.saturating_add(behind))
    }

    /// Why a feed gives no more pictures. A guess that was wrong is forgotten.
    fn reason(&mut self, arrival: Arrival<P>, feed: Feed<P>) -> Diagnosis {
        let found = self.reason_of_feed(arrival, feed);
        match self.guessed.take() {
            Some(before) => {
                self.options.input_format = None;
                self.guess = None;
                Diagnosis {
                    text: format!(
                        "{} (if it is Motion JPEG: --input-format mjpeg)",
                        before.text
                    ),
                    ..before
                }
            }
            None => found,
        }
    }

    fn reason_of_feed(&mut self, arrival: Arrival<P>, feed: Feed<P>) -> Diagnosis {
        match arrival {
            Arrival::Unusable(error) => Diagnosis::new(DiagnosisKind::Failed, error.to_string()),
            // If the time was up before this try came to an end, the one before knows more.
            Arrival::Stalled => {
                let text = self
                    .problem
                    .clone()
                    .unwrap_or_else(|| "no frame comes".to_owned());
                let of_content = self.unsized_video && self.begun.elapsed() >= UNSIZED;
                Diagnosis {
                    of_content,
                    ..Diagnosis::new(DiagnosisKind::Unreachable, text)
                }
            }
            _ => {
                let ending = feed.finish();
                if self.frames_of_feed == 0 {
                    self.fallback = Fallback::find(&self.input, &self.options, &ending.errors);
                    self.guess = fallback::guess(&self.input, &self.options, &ending.errors);
                }
                if ending.status.is_some_and(|status| status.success()) && ending.errors.is_empty()
                {
                    return Diagnosis::new(
                        DiagnosisKind::Unreachable,
                        "the other side ended the stream".to_owned(),
                    );
                }
                diagnose(&ending.errors, ending.status)
            }
        }
    }

    /// Decides what follows a lost connection: another try (and says so), the end, or an error.
    fn lost(&mut self, reason: Diagnosis) -> Result<(), SourceError> {
        let name = self.input.name.clone();
        if self.frames == 0 {
            if reason.kind == DiagnosisKind::Usage && (self.has_deadline() || !reason.may_come) {
                return Err(SourceError::Usage {
                    name,
                    problem: reason.text,
                });
            }
            if self.has_deadline() && self.left_to_connect().is_zero() {
                return Err(self.unreachable(reason.text));
            }
        } else if !self.options.reconnect {
            self.ended = true;
            return match reason.kind {
                DiagnosisKind::Unreachable => Ok(()),
                _ => Err(SourceError::Failed {
                    name,
                    frames: self.frames,
                    problem: reason.text,
                }),
            };
        }
        let problem = &reason.text;
        let why = reason.text.clone();
        let what = if self.frames == 0 {
            "source not reached, connecting again"
        } else {
            "source lost, connecting again"
        };
        match self.problem.as_deref() == Some(problem) {
            // Said already.
            true => debug!(source = name, %problem, "{what}"),
            false => warn!(source = name, %problem, "{what}"),
        }
        self.options.status.set(if self.frames == 0 {
            Condition::Unreached { why }
        } else {
            Condition::Lost { why }
        });
        self.problem = Some(reason.text);
        Ok(())
    }
}

impl<P: FeedPicture> Source<P> for LiveSource<P> {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn reuse(&mut self, picture: P) {
        if let Some(feed) = &self.feed {
            feed.reuse(picture);
        }
    }

    fn next(&mut self, stop: &Stop) -> Result<Option<SourcePicture<P>>, SourceError> {
        loop {
            if self.ended
                || self
                    .first
                    .zip(self.options.duration)
                    .is_some_and(|(first, wanted)| first.elapsed() >= wanted)
            {
                self.ended = true;
                self.feed = None;
                return Ok(None);
            }
            let feed = match self.feed.take() {
                Some(feed) => feed,
                None => match self.start() {
                    Ok(feed) => feed,
                    Err(reason) => {
                        if !self.goes_on(reason, stop)? {
                            return Ok(None);
                        }
                        continue;
                    }
                },
            };
            match feed.next(self.patience(), stop) {
                Arrival::Picture(arrived) => {
                    if self.frames_of_feed == 0 && self.frames > 0 {
                        info!(source = self.input.name, "source is back");
                    }
                    if self.guessed.take().is_some() {
                        info!(
                            source = self.input.name,
                            "there is no boundary before the first picture, it is read as Motion \
                             JPEG: \
                             --input-format mjpeg does so at once"
                        );
                    }
                    self.feed = Some(feed);
                    self.wait = FIRST_WAIT;
                    self.problem = None;
                    self.frames += 1;
                    self.frames_of_feed += 1;
                    self.first.get_or_insert_with(Instant::now);
                    self.losses.tell(&self.input.name);
                    return Ok(Some(self.picture(*arrived)));
                }
                Arrival::NewSize { .. } if self.frames_of_feed > 0 => {
                    debug!(
                        source = self.input.name,
                        "the pictures have another size: connecting again"
                    );
                }
                Arrival::Stopped => return Ok(None),
                // Another connection would bring the same: whoever wants these pictures has to have
                // them decoded.
                Arrival::Unusable(error) if P::PASSED_THROUGH => {
                    self.ended = true;
                    let name = self.input.name.clone();
                    return Err(SourceError::Failed {
                        name,
                        frames: self.frames,
                        problem: error.to_string(),
                    });
                }
                arrival => {
                    let reason = self.reason(arrival, feed);
                    if !self.goes_on(reason, stop)? {
                        return Ok(None);
                    }
                }
            }
        }
    }
}

impl<P: FeedPicture> LiveSource<P> {
    /// After a feed that gave no more pictures: waits for the next try. False if there is none.
    fn goes_on(&mut self, reason: Diagnosis, stop: &Stop) -> Result<bool, SourceError> {
        if self.tries_at_once(&reason) || self.leaves_out(&reason) {
            return Ok(true);
        }
        let goes_on = self.lost(reason).and_then(|()| {
            if self.ended {
                Ok(false)
            } else {
                self.waits(stop)
            }
        });
        self.ended |= goes_on.is_err();
        goes_on
    }
}

/// When a picture arrived: FFmpeg's reading of its data is what it was told, and its coming out of
/// FFmpeg the best that is known otherwise.
fn came<P>(arrived: &ArrivedPicture<P>, our_clock: bool) -> (SystemTime, Instant) {
    let told = arrived.micros.filter(|_| our_clock).and_then(|micros| {
        UNIX_EPOCH.checked_add(Duration::from_micros(u64::try_from(micros).ok()?))
    });
    let way = told
        .and_then(|told| arrived.arrived.duration_since(told).ok())
        .filter(|way| *way <= LONGEST_WAY);
    match way.and_then(|way| Some((arrived.arrived - way, arrived.read.checked_sub(way)?))) {
        Some(came) => came,
        None => (arrived.arrived, arrived.read),
    }
}

fn unix_time(at: SystemTime) -> Timestamp {
    let micros = at
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros());
    Timestamp(i64::try_from(micros).unwrap_or(i64::MAX))
}
