//! One camera's thread: its source, the pace, the encoder, its queue.
use super::{
    counters::CaptureCounters,
    encoded::Encoded,
    events::{FrameLate, FrameUnreadable, SourceReopened},
    pace::{Due, Pace},
    rate::Rate,
    shared::PublisherContext,
};
use crate::settings::CameraSettings;
use image::RgbImage;
use mattebox_core::{
    codec::{Decoder, JpegEncoder},
    frame::Timestamp,
};
use mattebox_engine::{
    CameraFailure, ErrorDomain,
    events::{Event, FrameDropped, FrameRead},
    metrics::DropReason,
    queues::Pushed,
    status::Condition,
    stop::Stop,
    trace::Span,
};
use mattebox_media::source::{
    self, CameraSource, Jpeg, JpegOddity, Source, SourceError, SourceInfo, SourceOptions,
    SourceSpec,
};
use mattebox_wire::picture_code;
use std::{
    any::Any,
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The first wait before a source that failed is opened again; each further one is twice as long,
/// until pictures come again.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// A late frame weighs as much as this many frames in time: one late frame of twenty is too many.
const LATE_WEIGHT: u64 = 20;
/// The weight of late frames at which a warning says that a source does not keep up.
const LATE_WARNING: u64 = 10 * LATE_WEIGHT;

/// One camera of the process.
pub(super) struct Capture<'a> {
    shared: &'a PublisherContext,
    index: usize,
    settings: &'a CameraSettings,
    source: &'a CameraSource,
    options: SourceOptions,
    stop: &'a Stop,
    encoder: JpegEncoder,
    decoder: Decoder,
    /// Motion JPEG is published without decoding it where possible.
    passthrough: bool,
    /// Its source is live.
    live: bool,
    /// Problems of its pictures that were logged: each is logged once.
    logged: HashSet<String>,
    /// Frames that went into its queue.
    frames: u64,
    /// Grows with each late frame, and shrinks with each frame in time.
    late: u64,
    last: Timestamp,
}

/// How reading a source ended.
enum End {
    /// The source has no more pictures, or no more are wanted.
    Done,
    /// It failed, after this number of pictures.
    Failed(SourceError, u64),
}

/// A picture as JPEG.
struct CapturedFrame {
    jpeg: Vec<u8>,
    width: u32,
    height: u32,
    /// Its bytes are the source's own.
    is_passed_through: bool,
}

/// Why a picture is not published.
enum Refused {
    /// This picture cannot be read.
    Picture {
        reason: &'static str,
        problem: String,
    },
    /// No picture of this source can be published without decoding it.
    Passthrough(String),
}

impl<'a> Capture<'a> {
    pub(super) fn new(
        shared: &'a PublisherContext,
        index: usize,
        settings: &'a CameraSettings,
        stop: &'a Stop,
    ) -> Self {
        let encoder = JpegEncoder::new(settings.jpeg_quality);
        // The rate is kept by our own clock: FFmpeg is to be ahead of it.
        let status = shared.cameras[index].counters.status.clone();
        let options = SourceOptions {
            realtime: false,
            keep_trying: true,
            status,
            ..settings.source.clone()
        };
        Capture {
            shared,
            index,
            settings,
            source: &settings.cameras[index],
            options,
            stop,
            encoder,
            decoder: Decoder::default(),
            passthrough: settings.passthrough,
            live: false,
            logged: HashSet::new(),
            frames: 0,
            late: 0,
            last: Timestamp(i64::MIN),
        }
    }

    /// Captures to the end. Even after a panic the camera's queue ends and the other cameras go on.
    pub(super) fn run(mut self) {
        let shared = self.shared;
        let index = self.index;
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.capture())) {
            let message = format!("camera {}: {}", self.source.camera, words(&*panic));
            self.fail(CameraFailure {
                message,
                domain: ErrorDomain::Work,
            });
        }
        shared.queues.end(shared.cameras[index].queue);
    }

    fn capture(&mut self) {
        let mut wait = FIRST_WAIT;
        loop {
            let (error, pictures) = match self.read() {
                End::Done => return,
                End::Failed(..) if self.stop.is_stopped() => return,
                End::Failed(error, pictures) => (error, pictures),
            };
            if pictures > 0 {
                wait = FIRST_WAIT;
            }
            if !self.is_tried_again(&error) {
                return self.fail(CameraFailure {
                    message: error.to_string(),
                    domain: error.domain(),
                });
            }
            SourceReopened {
                counters: self.counters(),
                error: &error,
                wait,
            }
            .emit();
            if self.stop.wait(wait) {
                return;
            }
            wait = (wait * 2).min(MAX_WAIT);
        }
    }

    /// Whether a failed source is opened again: if it is live, or endless and one of several
    /// cameras. A usage error before the first picture is final.
    fn is_tried_again(&self, error: &SourceError) -> bool {
        let endless = self.options.repeat
            || matches!(self.source.spec, SourceSpec::Url(_) | SourceSpec::Device(_));
        let never_worked = self.counters().frames.counts().read == 0;
        (self.live || (self.settings.cameras.len() > 1 && endless))
            && !(error.is_usage() && never_worked)
    }

    /// Opens the source and reads it to its end.
    fn read(&mut self) -> End {
        let source = match source::open(&self.source.spec, &self.options, self.stop) {
            Ok(source) => source,
            Err(error) => return End::Failed(error, 0),
        };
        let info = *source.info();
        self.live = info.live;
        match info
            .motion_jpeg
            .filter(|(width, _)| self.options.max_width.is_none_or(|widest| *width <= widest))
        {
            Some(size) if self.passthrough => {
                drop(source);
                self.pass_on(info, size)
            }
            _ => self.follow(source, info, Rate::Kept, |capture, picture| {
                capture.encode(picture)
            }),
        }
    }

    /// Reads a source whose regular JPEG pictures are published without decoding them. The others
    /// are decoded and encoded.
    fn pass_on(&mut self, info: SourceInfo, size: (u32, u32)) -> End {
        let source = match source::open_jpegs(&self.source.spec, &self.options, self.stop) {
            Ok(source) => source,
            Err(error) => return End::Failed(error, 0),
        };
        let wanted = self.fps(info);
        let rate = match info.live {
            true => Rate::live(wanted),
            false => Rate::even(source.info().fps, wanted),
        };
        let mut is_first = true;
        let end = self.follow(source, info, rate, |capture, jpeg: &Jpeg| {
            // As in interlaced video, where two pictures form one: FFmpeg's own rule.
            let has_size = jpeg.width > 0 && jpeg.height > 0;
            if has_size
                && std::mem::take(&mut is_first)
                && jpeg.width == size.0
                && jpeg.height * 4 < size.1 * 3
            {
                let problem = format!(
                    "there is a JPEG of {}x{} in a video of {}x{}",
                    jpeg.width, jpeg.height, size.0, size.1
                );
                return Err(Refused::Passthrough(problem));
            }
            let is_wide = capture
                .options
                .max_width
                .is_some_and(|widest| jpeg.width > widest);
            match jpeg.oddity {
                None if !is_wide => {
                    let Jpeg {
                        bytes,
                        width,
                        height,
                        ..
                    } = jpeg;
                    Ok(CapturedFrame {
                        jpeg: bytes.clone(),
                        width: *width,
                        height: *height,
                        is_passed_through: true,
                    })
                }
                oddity => capture.encode_again(jpeg, oddity),
            }
        });
        match end {
            End::Failed(error, pictures)
                if !self.stop.is_stopped() && (pictures == 0 || self.is_tried_again(&error)) =>
            {
                tracing::warn!(
                    camera = %self.source.camera,
                    "{error}: its pictures are decoded from here on"
                );
                self.passthrough = false;
                self.read()
            }
            end => end,
        }
    }

    /// A picture as the JPEG that is published.
    fn encode(&mut self, picture: &RgbImage) -> Result<CapturedFrame, Refused> {
        let mut jpeg = Vec::new();
        self.encoder
            .encode(picture, &mut jpeg)
            .map_err(|error| Refused::Picture {
                reason: "not-encoded",
                problem: error.to_string(),
            })?;
        Ok(CapturedFrame {
            jpeg,
            width: picture.width(),
            height: picture.height(),
            is_passed_through: false,
        })
    }

    /// Decodes a picture that cannot be published without that, and encodes it. Of a picture that
    /// is cut off it decodes the part that exists, as FFmpeg does.
    fn encode_again(
        &mut self,
        jpeg: &Jpeg,
        oddity: Option<JpegOddity>,
    ) -> Result<CapturedFrame, Refused> {
        let refuse = |problem: String, reason| Refused::Picture { reason, problem };
        if oddity == Some(JpegOddity::TooLong) {
            return Err(refuse(JpegOddity::TooLong.to_string(), "picture-too-large"));
        }
        let mut picture = RgbImage::default();
        self.decoder
            .decode_part_into(&jpeg.bytes, &self.options.limits, &mut picture)
            .map_err(|error| refuse(error.to_string(), picture_code(&error)))?;
        if let Some(oddity) = oddity
            && self.logged.insert(oddity.to_string())
        {
            tracing::warn!(
                camera = %self.source.camera,
                "an irregular JPEG picture: {oddity}; such pictures are decoded and encoded again"
            );
        }
        match self.options.max_width {
            Some(width) if picture.width() > width => self.encode(&source::narrow(&picture, width)),
            _ => self.encode(&picture),
        }
    }

    /// Counts a picture that cannot be published, and logs each reason once.
    fn refuse(&mut self, reason: &'static str, problem: &str, span: Option<&Span>) {
        self.shared
            .lost(self.index, &format!("not readable ({reason})"));
        FrameUnreadable {
            counters: self.counters(),
            span,
            reason,
            problem,
            is_first: self.logged.insert(reason.to_owned()),
        }
        .emit();
    }

    fn count_read(&self) {
        let frames = &self.counters().frames;
        FrameRead { frames, bytes: 0 }.emit();
    }

    fn fps(&self, info: SourceInfo) -> f64 {
        self.options.fps.or(info.fps).unwrap_or(25.0)
    }

    /// Reads a source to its end.
    fn follow<P>(
        &mut self,
        mut source: Box<dyn Source<P>>,
        info: SourceInfo,
        mut rate: Rate,
        mut take: impl FnMut(&mut Self, &P) -> Result<CapturedFrame, Refused>,
    ) -> End {
        let expected = info
            .frames
            .into_iter()
            .chain(self.settings.frames)
            .min()
            .unwrap_or(0);
        self.counters().expected.store(expected, Relaxed);
        let phase = self.index as f64 / self.settings.cameras.len() as f64;
        let mut pace =
            (!info.live && self.settings.source.realtime).then(|| Pace::new(self.fps(info), phase));
        let mut pictures = 0;
        loop {
            let picture = match source.next(self.stop) {
                Ok(Some(picture)) => {
                    self.options.status.set(Condition::Open);
                    picture
                }
                Ok(None) if pictures == 0 && !self.stop.is_stopped() => {
                    let problem = "there is no picture in it".to_owned();
                    return End::Failed(
                        SourceError::Usage {
                            name: self.source.spec.to_string(),
                            problem,
                        },
                        0,
                    );
                }
                Ok(None) => return End::Done,
                Err(error) if error.is_fatal() => return End::Failed(error, pictures),
                Err(error) => {
                    self.count_read();
                    let reason = match &error {
                        SourceError::Picture { source, .. } => picture_code(source),
                        _ => "not-readable",
                    };
                    self.refuse(reason, &error.to_string(), None);
                    continue;
                }
            };
            for _ in 0..rate.copies(picture.read) {
                if self
                    .settings
                    .frames
                    .is_some_and(|frames| self.frames >= frames)
                {
                    return End::Done;
                }
                if !self.is_due(pace.as_mut()) {
                    self.count_read();
                    FrameDropped {
                        frames: &self.counters().frames,
                        span: &Span::default(),
                        reason: DropReason::Stopped,
                    }
                    .emit();
                    continue;
                }
                // A file's picture is taken when it is due, a live one when it arrived.
                let (time, moment) = if info.live {
                    (picture.time, picture.read)
                } else {
                    (now(), Instant::now())
                };
                let span = self.shared.tracer.begin("capture", moment);
                span.of_camera(&self.source.camera);
                match span.time("encode", || take(self, &picture.picture)) {
                    Ok(taken) => {
                        self.count_read();
                        if !self.give(taken, time, moment, span) {
                            return End::Done;
                        }
                    }
                    Err(Refused::Passthrough(problem)) => {
                        // The picture is read again when the source is opened again.
                        return End::Failed(
                            SourceError::Failed {
                                name: self.source.spec.to_string(),
                                frames: pictures,
                                problem,
                            },
                            pictures,
                        );
                    }
                    Err(Refused::Picture { reason, problem }) => {
                        self.count_read();
                        self.refuse(reason, &problem, Some(&span));
                    }
                }
            }
            pictures += 1;
            if self
                .settings
                .frames
                .is_some_and(|frames| self.frames >= frames)
            {
                return End::Done;
            }
        }
    }

    /// Waits for a picture's tick. False if the process is stopped meanwhile.
    fn is_due(&mut self, pace: Option<&mut Pace>) -> bool {
        let wait = match pace.map(|pace| pace.frame(Instant::now())) {
            None => return true,
            Some(Due::Late(_)) => {
                self.late += LATE_WEIGHT;
                // Single late frames are only counted.
                let is_logged = self.late >= LATE_WARNING && self.logged.insert("late".to_owned());
                FrameLate {
                    counters: self.counters(),
                    is_logged,
                }
                .emit();
                return true;
            }
            Some(Due::In(wait)) => {
                self.late = self.late.saturating_sub(1);
                wait
            }
        };
        wait.is_zero() || !self.stop.wait(wait)
    }

    /// Puts a frame into the queue of its camera. False if no more frames are wanted.
    fn give(&mut self, taken: CapturedFrame, time: Timestamp, moment: Instant, span: Span) -> bool {
        let CapturedFrame {
            jpeg,
            width,
            height,
            is_passed_through,
        } = taken;
        self.last = Timestamp(time.0.max(self.last.0.saturating_add(1)));
        let frame = Encoded {
            jpeg,
            width,
            height,
            time: self.last,
            taken: moment,
            is_passed_through,
            span,
        };
        let frames = &self.counters().frames;
        let queue = self.shared.cameras[self.index].queue;
        match self.shared.queues.push(queue, frame) {
            Pushed::Queued => {}
            Pushed::Replaced(oldest) => FrameDropped {
                frames,
                span: &oldest.span,
                reason: DropReason::Buffer,
            }
            .emit(),
            Pushed::Refused(refused) => {
                FrameDropped {
                    frames,
                    span: &refused.span,
                    reason: DropReason::Stopped,
                }
                .emit();
                return false;
            }
        }
        self.frames += 1;
        true
    }

    fn counters(&self) -> &'a CaptureCounters {
        &self.shared.cameras[self.index].counters
    }

    fn fail(&self, failure: CameraFailure) {
        self.options.status.set(Condition::Failed {
            why: failure.message.clone(),
        });
        let camera = &self.source.camera;
        // The failure of the only camera is logged at the end.
        match self.shared.cameras.len() {
            1 => tracing::debug!(%camera, "{}", failure.message),
            _ => tracing::error!(%camera, "{}", failure.message),
        }
        self.counters().fail(failure);
    }
}

fn now() -> Timestamp {
    let micros = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros());
    Timestamp(i64::try_from(micros).unwrap_or(i64::MAX))
}

/// The message of a panic.
fn words(panic: &(dyn Any + Send)) -> String {
    let message = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    format!(
        "a fault of mattebox ended it, please report it: {}",
        message.unwrap_or_else(|| "no message".to_owned())
    )
}
