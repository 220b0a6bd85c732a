//! Sources without an end, which are connected again: cameras and network streams.
use super::choices::InputFormat;
use super::fallback::{self, Fallback};
use super::feed::{Arrival, ArrivedPicture, Feed, FeedPicture, sound_from};
use super::input::{ProbeLength, ReadMode, SourceInput};
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

/// The first wait before a new try; each further one is twice as long, until a picture arrives.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait before a new try.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The longest wait if the time to connect is limited.
const LONGEST_WAIT_TO_CONNECT: Duration = Duration::from_secs(1);
/// The shortest time limit for a try if others follow: a camera that wakes up needs some seconds.
const SHORTEST_TRY: Duration = Duration::from_secs(15);
/// The longest wait for a picture of a video whose size FFmpeg did not find with a quick probe.
const UNSIZED_TIMEOUT: Duration = Duration::from_secs(6);
/// A stream's clock that differs more from ours is set again.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(10);
/// A picture with a longer delay has a wrong time.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// A stream through FFmpeg that is connected again when it ends, breaks or stalls.
#[derive(Debug)]
pub(super) struct LiveSource<P> {
    ffmpeg: Ffmpeg,
    input: SourceInput,
    options: SourceOptions,
    info: SourceInfo,
    /// It had a length when it was opened.
    has_end: bool,
    feed: Option<Feed<P>>,
    /// How much a feed reads first: little, until that has failed once.
    probe: ProbeLength,
    /// The running feed's work on its streams.
    plan: StreamPlan,
    /// The parts that were left out of the plan, to be reported once that helps.
    losses: Losses,
    /// How much the running feed's own clock is behind ours, in microseconds.
    behind: Option<i64>,
    /// Another way to read it, for the next try.
    fallback: Option<Fallback>,
    /// The format to guess in the next try.
    guess: Option<InputFormat>,
    /// The error that made the running feed guess the format.
    guessed: Option<Diagnosis>,
    /// The running feed did not find the size of the video.
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
    /// When it was opened: the first picture must arrive within `connect_timeout`.
    opened: Instant,
    /// When the first picture arrived.
    first: Option<Instant>,
    /// The time of the picture before: times never go back, even if the clock does.
    last: Timestamp,
    ended: bool,
}

impl<P: FeedPicture> LiveSource<P> {
    /// Connects, with new tries until [`SourceOptions::connect_timeout`], or for ever.
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
                Ok(feed) => match feed.wait_for_header(live.timeout(), stop) {
                    Some(header) if header.opened => {
                        let mut plan = StreamPlan::of(&header, options);
                        // Without sound to keep in step with, our clock makes the rate.
                        plan.sound = live.plan.sound && (header.has_sound || options.fps.is_none());
                        // Only once: a stream that changes each time is read with the first plan.
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

    /// Whether it turned out to have an end, and to be no live stream.
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
        let reading = ReadMode {
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

    /// With our clock FFmpeg stamps data with the time of reading, which would tear sound. With
    /// sound, the clock of the stream counts for sound and pictures.
    fn our_clock(&self) -> bool {
        let by_ours = self.input.is_live() || self.frames > 0 || self.options.fps.is_some();
        by_ours && !self.plan.sound
    }

    /// Whether it has to connect within a certain time.
    fn has_deadline(&self) -> bool {
        self.frames == 0 && !self.options.keep_trying
    }

    fn left_to_connect(&self) -> Duration {
        self.options
            .connect_timeout
            .saturating_sub(self.opened.elapsed())
    }

    /// The longest wait for the running feed's next picture, from now on. It is zero, which means
    /// for ever, only if the options say so.
    fn timeout(&self) -> Duration {
        let of_this_try = |time: Duration| {
            time.saturating_sub(self.begun.elapsed())
                .max(Duration::from_millis(1))
        };
        let timeout = match self.frames_of_feed {
            0 if self.has_deadline() => self.left_to_connect().max(Duration::from_millis(1)),
            0 => of_this_try(self.options.connect_timeout.max(SHORTEST_TRY)),
            _ => return self.options.live_stall(),
        };
        match self.probe == ProbeLength::Quick && self.unsized_video {
            true => timeout.min(of_this_try(UNSIZED_TIMEOUT)),
            false => timeout,
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

    /// Whether to try again at once: in another way, or with a long probe after a quick one that
    /// found no picture.
    fn tries_at_once(&mut self, reason: &Diagnosis) -> bool {
        if let Some(fallback) = self.fallback.take() {
            fallback.apply(&self.input.name, &mut self.options);
            return true;
        }
        let again =
            self.probe == ProbeLength::Quick && self.frames_of_feed == 0 && reason.of_content;
        if again {
            debug!(
                source = self.input.name,
                problem = %reason.text,
                "FFmpeg reads more of it to find its streams"
            );
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

    /// After a feed without a picture: leaves out one part that this FFmpeg may not be able to do,
    /// for another try at once. False if there is none.
    fn leaves_out(&mut self, reason: &Diagnosis) -> bool {
        let is_of_it =
            self.frames == 0 && !P::PASSED_THROUGH && reason.kind != DiagnosisKind::Unreachable;
        is_of_it && self.plan.leave_out(&mut self.losses)
    }

    /// A picture with its time. With sound, which must stay in step, the clock of the stream
    /// counts.
    fn picture(&mut self, arrived: ArrivedPicture<P>) -> SourcePicture<P> {
        let by_stream = arrived.sound_format.is_some();
        let (time, read) = match by_stream {
            true => (self.time_of_stream(&arrived), arrived.read),
            false => {
                let (arrival, read) = arrival_of(&arrived, self.our_clock());
                (unix_time(arrival), read)
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

    /// A picture's time by the clock of the stream. That clock is set to ours with the first
    /// picture, and again when both are apart.
    fn time_of_stream(&mut self, arrived: &ArrivedPicture<P>) -> Timestamp {
        let now = unix_time(arrived.arrived);
        let Some(micros) = arrived.micros else {
            return now;
        };
        let apart = |behind: &i64| {
            let apart = now.0.saturating_sub(micros.saturating_add(*behind));
            apart.unsigned_abs()
                <= u64::try_from(MAX_CLOCK_DIFFERENCE.as_micros()).unwrap_or(u64::MAX)
        };
        let behind = self.behind.filter(apart);
        let behind = behind.unwrap_or(now.0.saturating_sub(micros));
        self.behind = Some(behind);
        Timestamp(micros.saturating_add(behind))
    }

    /// Why a feed gives no more pictures. Forgets a wrong guess.
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
            // If the time is over before this try ends, the try before knows more.
            Arrival::Stalled => {
                let text = self
                    .problem
                    .clone()
                    .unwrap_or_else(|| "no frame comes".to_owned());
                let of_content = self.unsized_video && self.begun.elapsed() >= UNSIZED_TIMEOUT;
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

    /// Handles a lost connection: reports it and asks for another try, ends the source, or gives an
    /// error.
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
        let message = if self.frames == 0 {
            "source not reached, connecting again"
        } else {
            "source lost, connecting again"
        };
        match self.problem.as_deref() == Some(problem) {
            // Reported already.
            true => debug!(source = name, %problem, "{message}"),
            false => warn!(source = name, %problem, "{message}"),
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
                        if !self.continues(reason, stop)? {
                            return Ok(None);
                        }
                        continue;
                    }
                },
            };
            match feed.next(self.timeout(), stop) {
                Arrival::Picture(arrived) => {
                    if self.frames_of_feed == 0 && self.frames > 0 {
                        info!(source = self.input.name, "source is back");
                    }
                    if self.guessed.take().is_some() {
                        info!(
                            source = self.input.name,
                            "there is no boundary before the first picture, so it is read as \
                             Motion JPEG: --input-format mjpeg does so from the start"
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
                // Another connection would send the same pictures: they can only be decoded.
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
                    if !self.continues(reason, stop)? {
                        return Ok(None);
                    }
                }
            }
        }
    }
}

impl<P: FeedPicture> LiveSource<P> {
    /// After a feed without more pictures: waits for the next try. False if there is none.
    fn continues(&mut self, reason: Diagnosis, stop: &Stop) -> Result<bool, SourceError> {
        if self.tries_at_once(&reason) || self.leaves_out(&reason) {
            return Ok(true);
        }
        let continues = self.lost(reason).and_then(|()| {
            if self.ended {
                Ok(false)
            } else {
                self.waits(stop)
            }
        });
        self.ended |= continues.is_err();
        continues
    }
}

/// The arrival of a picture: the time when FFmpeg has read its data, or else the time when FFmpeg
/// has sent it.
fn arrival_of<P>(arrived: &ArrivedPicture<P>, our_clock: bool) -> (SystemTime, Instant) {
    let stamped = arrived.micros.filter(|_| our_clock).and_then(|micros| {
        UNIX_EPOCH.checked_add(Duration::from_micros(u64::try_from(micros).ok()?))
    });
    let delay = stamped
        .and_then(|stamped| arrived.arrived.duration_since(stamped).ok())
        .filter(|delay| *delay <= LONGEST_DELAY);
    match delay.and_then(|delay| Some((arrived.arrived - delay, arrived.read.checked_sub(delay)?)))
    {
        Some(arrival) => arrival,
        None => (arrived.arrived, arrived.read),
    }
}

fn unix_time(at: SystemTime) -> Timestamp {
    let micros = at
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros());
    Timestamp(i64::try_from(micros).unwrap_or(i64::MAX))
}
