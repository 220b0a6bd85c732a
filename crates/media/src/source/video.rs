//! Sources with an end: video files, test patterns, standard input.
use super::fallback::Fallback;
use super::feed::{Arrival, ArrivedPicture, Feed, FeedPicture, sound_from};
use super::input::{ProbeLength, ReadMode, SourceInput};
use super::plan::{Losses, StreamPlan};
use super::{Source, SourceError, SourceInfo, SourceOptions, SourcePicture};
use crate::beside::{PictureExtras, SoundPacket};
use crate::ffmpeg::Ffmpeg;
use crate::ffmpeg::diagnose::{diagnose, last_message};
use crate::ffmpeg::log::InputHeader;
use mattebox_core::frame::Timestamp;
use mattebox_engine::stop::Stop;
use std::time::Duration;
use tracing::{debug, warn};

/// Pictures per second if nothing gives a rate: FFmpeg's own choice.
pub(super) const USUAL_FPS: f64 = 25.0;

/// A video through FFmpeg: all its pictures, in order.
#[derive(Debug)]
pub(super) struct VideoSource<P> {
    ffmpeg: Ffmpeg,
    input: SourceInput,
    options: SourceOptions,
    info: SourceInfo,
    feed: Option<Feed<P>>,
    /// How much the running feed reads first.
    probe: ProbeLength,
    /// The running feed's work on its streams.
    plan: StreamPlan,
    /// The parts that were left out of the plan, to be reported once that helps.
    losses: Losses,
    /// Its pictures change their size: each size has its own feed, and FFmpeg does not rewind.
    in_parts: bool,
    /// Another way to read it, for the next try.
    fallback: Option<Fallback>,
    /// Pictures delivered.
    frames: u64,
    /// Pictures of the running feed.
    frames_of_feed: u64,
    /// The beginning of the running feed, in microseconds of the source's time.
    base: i64,
    /// The same in the file, which may have been read several times.
    place: i64,
    /// The time of the picture before, in the same.
    last: Option<i64>,
    /// The sound after the last picture.
    rest: Vec<SoundPacket>,
}

/// A feed begins this much earlier than its first picture, whose time was rounded.
const EARLIER_MICROS: i64 = 1000;

impl<P: FeedPicture> VideoSource<P> {
    pub(super) fn open(
        ffmpeg: Ffmpeg,
        input: SourceInput,
        options: &SourceOptions,
        stop: &Stop,
    ) -> Result<Self, SourceError> {
        let mut video = VideoSource {
            base: micros(options.start.unwrap_or_default()),
            place: micros(options.start.unwrap_or_default()),
            options: options.clone(),
            info: SourceInfo::default(),
            feed: None,
            fallback: None,
            probe: input.first_probe(options.file_stall(input.is_remote()), stop),
            plan: StreamPlan::first(options),
            losses: Losses::default(),
            in_parts: false,
            frames: 0,
            frames_of_feed: 0,
            last: None,
            rest: vec![],
            ffmpeg,
            input,
        };
        loop {
            let feed = video.start(options.start, options.duration)?;
            match feed.wait_for_header(video.timeout(), stop) {
                Some(header) if header.opened => {
                    let plan = StreamPlan::of(&header, options);
                    let may_begin_again = video.input.can_be_read_from_its_beginning();
                    if !P::PASSED_THROUGH && plan != video.plan && may_begin_again {
                        video.plan = plan;
                        continue;
                    }
                    video.info = describe(header, options);
                    video.info.motion_jpeg = header
                        .upright_motion_jpeg()
                        .filter(|_| video.input.can_be_opened_again());
                    video.feed = Some(feed);
                    return Ok(video);
                }
                Some(_) => match video.end(feed) {
                    Err(_) if video.tries_at_once() => {}
                    end => {
                        return Err(end
                            .err()
                            .unwrap_or_else(|| video.failed("FFmpeg did not open it".to_owned())));
                    }
                },
                None if stop.is_stopped() => return Err(SourceError::Stopped),
                None => return Err(video.stalled()),
            }
        }
    }

    fn start(
        &self,
        start: Option<Duration>,
        duration: Option<Duration>,
    ) -> Result<Feed<P>, SourceError> {
        let reading = ReadMode {
            live: false,
            our_clock: false,
            probe: self.probe,
            start,
            duration,
            rewinds: self.rewinds(),
            plan: self.plan,
        };
        Feed::start(&self.input, &self.ffmpeg, &self.options, reading)
            .map_err(|error| self.failed(format!("cannot start FFmpeg: {error}")))
    }

    /// Whether FFmpeg begins again at the end.
    fn rewinds(&self) -> bool {
        self.options.repeat && self.input.can_rewind() && !self.in_parts
    }

    /// The longest wait for a picture. Zero: for ever.
    fn timeout(&self) -> Duration {
        self.options.file_stall(self.input.is_remote())
    }

    /// Whether to try again at once: in another way, or with a long probe after a quick one that
    /// found no picture.
    fn tries_at_once(&mut self) -> bool {
        if let Some(fallback) = self.fallback.take()
            && self.input.can_be_read_from_its_beginning()
        {
            fallback.apply(&self.input.name, &mut self.options);
            return true;
        }
        let again = self.probe == ProbeLength::Quick
            && self.frames == 0
            && self.input.can_be_read_from_its_beginning();
        if again {
            self.probe = ProbeLength::Long;
        }
        again
    }

    fn failed(&self, problem: String) -> SourceError {
        SourceError::Failed {
            name: self.input.name.clone(),
            frames: self.frames,
            problem,
        }
    }

    fn stalled(&self) -> SourceError {
        let seconds = self.timeout().as_secs_f64();
        SourceError::Stalled {
            name: self.input.name.clone(),
            seconds,
            frames: self.frames,
        }
    }

    /// After a feed without a picture: leaves out one part that this FFmpeg may not be able to do.
    /// False if there is none.
    fn leaves_out(&mut self) -> bool {
        let may_begin_again = self.frames == 0 && self.input.can_be_read_from_its_beginning();
        may_begin_again && !P::PASSED_THROUGH && self.plan.leave_out(&mut self.losses)
    }

    /// The time of a picture in microseconds, always later than the one before.
    fn time(&mut self, micros: Option<i64>) -> i64 {
        let step = (1e6 / self.info.fps.unwrap_or(USUAL_FPS)) as i64;
        let after_last = self
            .last
            .map_or(self.base, |last| last.saturating_add(step));
        let said = micros.map(|micros| self.base.saturating_add(micros.max(0)));
        let time = said
            .filter(|said| self.last.is_none_or(|last| *said > last))
            .unwrap_or(after_last);
        self.last = Some(time);
        time
    }

    /// Handles the end of the child: the end of the source, or an error.
    fn end(&mut self, feed: Feed<P>) -> Result<(), SourceError> {
        let ending = feed.finish();
        if self.frames == 0 {
            self.fallback = Fallback::find(&self.input, &self.options, &ending.errors);
        }
        let good = ending.status.is_some_and(|status| status.success());
        if good && self.frames > 0 {
            if let Some(words) = last_message(&ending.errors) {
                warn!(
                    source = self.input.name,
                    frames = self.frames,
                    "FFmpeg reported an error while it read the video: {words}"
                );
            }
            return Ok(());
        }
        if good && ending.errors.is_empty() {
            let after = match self.options.start {
                Some(start) => format!(" after its first {} s", start.as_secs_f64()),
                None => String::new(),
            };
            return Err(SourceError::Usage {
                name: self.input.name.clone(),
                problem: format!("there is no picture in it{after}"),
            });
        }
        Err(SourceError::from_diagnosis(
            &self.input.name,
            self.frames,
            diagnose(&ending.errors, ending.status),
        ))
    }

    /// Starts again from the beginning, for the rest of the duration. `None` when the duration is
    /// over.
    fn again(&mut self) -> Result<Option<Feed<P>>, SourceError> {
        let step = (1e6 / self.info.fps.unwrap_or(USUAL_FPS)) as i64;
        self.base = self.last.unwrap_or_default().saturating_add(step);
        self.part(self.options.start)
    }

    /// Starts a feed at a time of the file. Its first picture has the time `base`.
    fn part(&mut self, start: Option<Duration>) -> Result<Option<Feed<P>>, SourceError> {
        self.frames_of_feed = 0;
        let passed = Duration::from_micros(self.base.unsigned_abs())
            .saturating_sub(self.options.start.unwrap_or_default());
        let left = self
            .options
            .duration
            .map(|duration| duration.saturating_sub(passed));
        match left {
            Some(left) if left.is_zero() => Ok(None),
            left => self.start(start, left).map(Some),
        }
    }

    /// Starts a feed for the picture at `micros` of the feed before, which has another size.
    fn new_size(&mut self, micros: i64) -> Result<Option<Feed<P>>, SourceError> {
        // After a repeat the source's time and the time in the file differ.
        let begun = self.base.saturating_sub(self.place);
        let base = self
            .base
            .saturating_add(micros - EARLIER_MICROS)
            .max(self.base);
        self.in_parts = true;
        self.base = base;
        self.place = base.saturating_sub(begun);
        debug!(
            source = self.input.name,
            micros = base,
            "the pictures have another size"
        );
        self.part(Some(Duration::from_micros(self.place.unsigned_abs())))
    }

    fn picture(&mut self, arrived: ArrivedPicture<P>) -> SourcePicture<P> {
        self.frames += 1;
        self.frames_of_feed += 1;
        self.losses.tell(&self.input.name);
        let base = self.base;
        SourcePicture {
            picture: arrived.picture,
            time: Timestamp(self.time(arrived.micros)),
            read: arrived.read,
            beside: PictureExtras {
                pixel_aspect: arrived.pixel_aspect,
                sound_format: arrived.sound_format,
                sound: sound_from(base, arrived.sound),
            },
        }
    }
}

impl<P: FeedPicture> Source<P> for VideoSource<P> {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn reuse(&mut self, picture: P) {
        if let Some(feed) = &self.feed {
            feed.reuse(picture);
        }
    }

    fn next(&mut self, stop: &Stop) -> Result<Option<SourcePicture<P>>, SourceError> {
        while let Some(feed) = self.feed.take() {
            match feed.next(self.timeout(), stop) {
                Arrival::Picture(arrived) => {
                    self.feed = Some(feed);
                    return Ok(Some(self.picture(*arrived)));
                }
                Arrival::Stopped => return Ok(None),
                Arrival::NewSize { micros } if self.frames_of_feed > 0 => {
                    self.feed = self.new_size(micros)?;
                }
                Arrival::NewSize { .. } => {
                    return Err(
                        self.failed("FFmpeg sends pictures whose size keeps changing".to_owned())
                    );
                }
                Arrival::Ended(heard) => {
                    match self.end(feed) {
                        Err(_) if self.tries_at_once() || self.leaves_out() => {
                            let SourceOptions {
                                start, duration, ..
                            } = self.options;
                            self.feed = Some(self.start(start, duration)?);
                            continue;
                        }
                        end => end?,
                    }
                    self.rest = sound_from(self.base, heard);
                    // Without this check a range too short for a picture would start again for
                    // ever.
                    let can_begin_again =
                        !self.rewinds() && self.input.can_be_read_from_its_beginning();
                    if self.options.repeat && can_begin_again && self.frames_of_feed > 0 {
                        self.place = micros(self.options.start.unwrap_or_default());
                        self.feed = self.again()?;
                    }
                }
                Arrival::Unusable(error) => return Err(self.failed(error.to_string())),
                Arrival::Stalled => return Err(self.stalled()),
            }
        }
        Ok(None)
    }

    fn rest_of_sound(&mut self) -> Vec<SoundPacket> {
        std::mem::take(&mut self.rest)
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

fn describe(header: InputHeader, options: &SourceOptions) -> SourceInfo {
    let fps = options.fps.or(header.fps());
    let there = header
        .duration
        .map(|seconds| seconds - options.start.unwrap_or_default().as_secs_f64());
    let wanted = options.duration.map(|duration| duration.as_secs_f64());
    let seconds = match (there, wanted) {
        (_, wanted) if options.repeat => wanted,
        (Some(there), Some(wanted)) => Some(there.min(wanted)),
        (there, wanted) => there.or(wanted),
    };
    let frames = seconds
        .zip(fps)
        .map(|(seconds, fps)| (seconds * fps).round().max(0.0) as u64);
    SourceInfo {
        frames,
        fps,
        live: false,
        still: false,
        motion_jpeg: None,
    }
}
