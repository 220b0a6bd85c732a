//! What goes on for ever and comes back: cameras and network streams.
use super::feed::{Arrival, Feed, Sent};
use super::input::Input;
use super::{Picture, Source, SourceError, SourceInfo, SourceOptions, status::Condition};
use crate::ffmpeg::Ffmpeg;
use crate::ffmpeg::diagnose::{Diagnosis, Kind, diagnose};
use crate::stop::Stop;
use mattebox_core::frame::Timestamp;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tracing::{info, warn};

/// The first wait before a new try; each further one is twice as long, until pictures flow again.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait before a new try.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A stream through FFmpeg that is connected anew when it ends, breaks or stalls.
#[derive(Debug)]
pub(super) struct Live<P> {
    ffmpeg: Ffmpeg,
    input: Input,
    options: SourceOptions,
    info: SourceInfo,
    /// It told its length when it was opened.
    has_end: bool,
    feed: Option<Feed<P>>,
    /// Pictures delivered.
    frames: u64,
    /// Pictures that the running feed delivered.
    frames_of_feed: u64,
    /// The wait before the next try.
    wait: Duration,
    /// Why the try before failed.
    problem: Option<String>,
    /// When it was opened: the first picture must come within `connect_timeout`.
    opened: Instant,
    /// When the first picture came.
    first: Option<Instant>,
    ended: bool,
}

impl<P: Sent> Live<P> {
    /// Connects; what does not answer yet is tried again until [`SourceOptions::connect_timeout`].
    pub(super) fn open(ffmpeg: Ffmpeg, input: Input, options: &SourceOptions, stop: &Stop) -> Result<Self, SourceError> {
        let mut live = Live {
            info: SourceInfo { frames: None, fps: options.fps, live: true, still: false, motion_jpeg: None },
            has_end: false,
            options: options.clone(),
            feed: None,
            frames: 0,
            frames_of_feed: 0,
            wait: FIRST_WAIT,
            problem: None,
            opened: Instant::now(),
            first: None,
            ended: false,
            ffmpeg,
            input,
        };
        loop {
            let feed = live.start()?;
            match feed.wait_for_header(live.left_to_connect(), stop) {
                Some(header) if header.opened => {
                    live.info.fps = options.fps.or(header.fps);
                    live.info.motion_jpeg = header.upright_motion_jpeg();
                    live.has_end = header.duration.is_some();
                    live.feed = Some(feed);
                    return Ok(live);
                }
                Some(_) => live.lost(live.reason(Arrival::Ended, feed))?,
                None if stop.is_stopped() => return Err(SourceError::Stopped),
                None => live.lost(live.reason(Arrival::Stalled, feed))?,
            }
            if stop.wait(live.pause()) {
                return Err(SourceError::Stopped);
            }
        }
    }

    /// Whether it turned out to be no live stream, but something with an end.
    pub(super) fn has_end(&self) -> bool {
        self.has_end
    }

    fn start(&self) -> Result<Feed<P>, SourceError> {
        let command = match P::AS_IT_WAS {
            true => self.input.copy_command(&self.ffmpeg, &self.options, true, None),
            false => self.input.command(&self.ffmpeg, &self.options, true, None),
        };
        Feed::start(command, false, self.options.limits).map_err(|error| SourceError::Failed {
            name: self.input.name.clone(),
            frames: self.frames,
            problem: format!("cannot start FFmpeg: {error}"),
        })
    }

    /// At least a moment, because zero would mean for ever.
    fn left_to_connect(&self) -> Duration {
        self.options.connect_timeout.saturating_sub(self.opened.elapsed()).max(Duration::from_millis(1))
    }

    /// How long to wait before the next try, growing.
    fn pause(&mut self) -> Duration {
        let wait = self.wait;
        self.wait = (wait * 2).min(LONGEST_WAIT);
        wait
    }

    /// Why a feed gives no more pictures.
    fn reason(&self, arrival: Arrival<P>, feed: Feed<P>) -> Diagnosis {
        match arrival {
            Arrival::Unusable(error) => Diagnosis { kind: Kind::Failed, text: error.to_string() },
            // If the time was up before this try came to an end, the one before knows more.
            Arrival::Stalled => {
                let text = self.problem.clone().unwrap_or_else(|| "no picture comes".to_owned());
                Diagnosis { kind: Kind::Unreachable, text }
            }
            _ => {
                let ending = feed.finish();
                if ending.status.is_some_and(|status| status.success()) && ending.errors.is_empty() {
                    return Diagnosis { kind: Kind::Unreachable, text: "the other side ended the stream".to_owned() };
                }
                diagnose(&ending.errors, ending.status)
            }
        }
    }

    /// Decides what follows a lost connection: another try (and says so), the end, or an error.
    fn lost(&mut self, reason: Diagnosis) -> Result<(), SourceError> {
        let name = self.input.name.clone();
        if self.frames == 0 {
            if reason.kind == Kind::Usage {
                return Err(SourceError::Usage { name, problem: reason.text });
            }
            // Another try would have no time left.
            if self.opened.elapsed() + self.wait >= self.options.connect_timeout {
                let seconds = self.options.connect_timeout.as_secs_f64();
                return Err(SourceError::Unreachable { name, seconds, problem: reason.text });
            }
        } else if !self.options.reconnect {
            self.ended = true;
            return match reason.kind {
                Kind::Unreachable => Ok(()),
                _ => Err(SourceError::Failed { name, frames: self.frames, problem: reason.text }),
            };
        }
        warn!(source = name, problem = %reason.text, retry_in_s = self.wait.as_secs_f64(), "source lost, connecting again");
        if self.frames > 0 {
            self.options.status.set(Condition::Lost { why: reason.text.clone() });
        }
        self.problem = Some(reason.text);
        Ok(())
    }
}

impl<P: Sent> Source<P> for Live<P> {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self, stop: &Stop) -> Result<Option<Picture<P>>, SourceError> {
        loop {
            if self.ended || self.first.zip(self.options.duration).is_some_and(|(first, wanted)| first.elapsed() >= wanted) {
                self.ended = true;
                self.feed = None;
                return Ok(None);
            }
            let feed = match self.feed.take() {
                Some(feed) => feed,
                None => {
                    if stop.wait(self.pause()) {
                        return Ok(None);
                    }
                    self.frames_of_feed = 0;
                    self.start()?
                }
            };
            let patience = match (self.frames, self.frames_of_feed) {
                (0, _) => self.left_to_connect(),
                (_, 0) => self.options.connect_timeout,
                _ => self.options.stall_timeout,
            };
            match feed.next(patience, stop) {
                Arrival::Picture(arrived) => {
                    if self.frames_of_feed == 0 && self.frames > 0 {
                        info!(source = self.input.name, "source is back");
                    }
                    self.feed = Some(feed);
                    self.wait = FIRST_WAIT;
                    self.problem = None;
                    self.frames += 1;
                    self.frames_of_feed += 1;
                    self.first.get_or_insert_with(Instant::now);
                    return Ok(Some(Picture { picture: arrived.picture, time: unix_time(arrived.arrived), read: arrived.read }));
                }
                Arrival::Stopped => return Ok(None),
                // Another connection would bring the same: whoever wants these pictures has to have them decoded.
                Arrival::Unusable(error) if P::AS_IT_WAS => {
                    self.ended = true;
                    let name = self.input.name.clone();
                    return Err(SourceError::Failed { name, frames: self.frames, problem: error.to_string() });
                }
                arrival => {
                    let reason = self.reason(arrival, feed);
                    if let Err(error) = self.lost(reason) {
                        self.ended = true;
                        return Err(error);
                    }
                }
            }
        }
    }
}

fn unix_time(at: SystemTime) -> Timestamp {
    let micros = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    Timestamp(i64::try_from(micros).unwrap_or(i64::MAX))
}
