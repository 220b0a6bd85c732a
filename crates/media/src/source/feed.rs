//! One running FFmpeg and the pictures it sends.
use super::SourceOptions;
use super::decoded::Decoded;
use super::input::{Reading, SourceInput};
use super::plan::StreamPlan;
use crate::beside::{SoundFormat, SoundPacket};
use crate::ffmpeg::log::{FfmpegErrors, FfmpegLog, InputHeader, OutputLog};
use crate::ffmpeg::process::Process;
use crate::ffmpeg::{Ffmpeg, jpeg};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use image::RgbImage;
use mattebox_core::codec::Limits;
use mattebox_core::frame::Timestamp;
use mattebox_engine::stop::Stop;
use std::io::{self, BufReader, ErrorKind};
use std::process::{ChildStdout, ExitStatus};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

/// Decoded pictures that may wait. More would only hide that somebody is slow.
const WAITING_PICTURES: usize = 2;
/// How often a wait looks whether it should stop.
const GLANCE: Duration = Duration::from_millis(50);
/// How long a child that closed its output may take to end.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// What a picture is when it comes out of FFmpeg.
pub(super) trait FeedPicture: Sized + Send + std::fmt::Debug + 'static {
    /// It is as it was in the source: nothing was decoded, scaled or left out.
    const PASSED_THROUGH: bool;

    /// What reads the pieces of a child's output.
    type Pieces: FeedReader<Self>;

    /// Reads the output of a child.
    fn pieces(
        from: ChildStdout,
        limits: &Limits,
        log: OutputLog,
        plan: &StreamPlan,
    ) -> Self::Pieces;
}

/// Reads pieces of a stream.
pub(super) trait FeedReader<P>: Send + 'static {
    /// The next of a stream; `None` at its end. A stream that ends within a piece gives
    /// `UnexpectedEof`. A picture may take the memory of one from `spare`.
    fn next(&mut self, spare: &Receiver<P>) -> io::Result<Option<FeedPiece<P>>>;
}

/// What comes out of FFmpeg.
#[derive(Debug)]
pub(super) enum FeedPiece<P> {
    Picture {
        picture: P,
        /// Its time by the clock of the stream, if it has one.
        micros: Option<i64>,
        /// As in [`crate::beside::PictureExtras`].
        pixel_aspect: Option<(u32, u32)>,
        sound_format: Option<Arc<SoundFormat>>,
    },
    /// A piece of sound; its time is by the clock of the stream.
    Sound {
        micros: i64,
        bytes: Vec<u8>,
        is_key: bool,
    },
    /// From this time on pictures have another size.
    NewSize { micros: i64 },
}

impl FeedPicture for RgbImage {
    const PASSED_THROUGH: bool = false;

    type Pieces = Decoded<BufReader<ChildStdout>>;

    fn pieces(
        from: ChildStdout,
        limits: &Limits,
        log: OutputLog,
        plan: &StreamPlan,
    ) -> Self::Pieces {
        Decoded::new(BufReader::new(from), *limits, log, plan.marks_portrait)
    }
}

impl FeedPicture for jpeg::Jpeg {
    const PASSED_THROUGH: bool = true;

    type Pieces = JpegReader;

    fn pieces(from: ChildStdout, limits: &Limits, _: OutputLog, _: &StreamPlan) -> Self::Pieces {
        JpegReader {
            from: BufReader::new(from),
            limits: *limits,
        }
    }
}

/// The JPEG pictures that FFmpeg passes on.
#[derive(Debug)]
pub(super) struct JpegReader {
    from: BufReader<ChildStdout>,
    limits: Limits,
}

impl FeedReader<jpeg::Jpeg> for JpegReader {
    fn next(&mut self, _: &Receiver<jpeg::Jpeg>) -> io::Result<Option<FeedPiece<jpeg::Jpeg>>> {
        let picture = jpeg::read(&mut self.from, &self.limits)?;
        Ok(picture.map(|picture| FeedPiece::Picture {
            picture,
            micros: None,
            pixel_aspect: None,
            sound_format: None,
        }))
    }
}

/// A piece of sound whose time is by the clock of the stream.
#[derive(Debug)]
pub(super) struct TimedSound {
    pub(super) micros: i64,
    pub(super) bytes: Vec<u8>,
    pub(super) is_key: bool,
}

/// The sound of a feed whose clock was at 0 at this time, in microseconds of the source's.
pub(super) fn sound_from(began: i64, heard: Vec<TimedSound>) -> Vec<SoundPacket> {
    let packet = |heard: TimedSound| SoundPacket {
        time: Timestamp(began.saturating_add(heard.micros)),
        bytes: heard.bytes,
        is_key: heard.is_key,
    };
    heard.into_iter().map(packet).collect()
}

/// One picture from FFmpeg.
#[derive(Debug)]
pub(super) struct ArrivedPicture<P> {
    pub(super) picture: P,
    /// Microseconds in the stream, or, of a live one read by our clock, unix time when it arrived;
    /// if it was decoded.
    pub(super) micros: Option<i64>,
    /// When it came out of the pipe.
    pub(super) arrived: SystemTime,
    /// The same by the clock that is never set.
    pub(super) read: Instant,
    pub(super) pixel_aspect: Option<(u32, u32)>,
    pub(super) sound_format: Option<Arc<SoundFormat>>,
    /// The sound that came before it.
    pub(super) sound: Vec<TimedSound>,
}

/// What a wait for a picture gave.
#[derive(Debug)]
pub(super) enum Arrival<P> {
    Picture(Box<ArrivedPicture<P>>),
    /// The child sent its last picture. What came of sound after it.
    Ended(Vec<TimedSound>),
    /// The next picture, which is at this time, has another size: only another child can send it.
    NewSize {
        micros: i64,
    },
    /// What it sent cannot be used.
    Unusable(io::Error),
    /// The wait was too long.
    Stalled,
    /// Somebody asked to stop.
    Stopped,
}

/// How a child ended.
#[derive(Debug)]
pub(super) struct ChildEnd {
    /// `None`: it had to be killed.
    pub(super) status: Option<ExitStatus>,
    pub(super) errors: FfmpegErrors,
}

/// One running FFmpeg. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Feed<P> {
    // In this order: the child ends, then its pictures have nowhere to go, then the thread that
    // brought them ends.
    process: Process,
    pictures: Receiver<Arrival<P>>,
    spare: Sender<P>,
    log: FfmpegLog,
    _reader: ReaderThread,
}

/// Joined when dropped, so that no thread outlives its feed.
#[derive(Debug)]
struct ReaderThread(Option<JoinHandle<()>>);

impl Drop for ReaderThread {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            let _ = thread.join();
        }
    }
}

impl<P: FeedPicture> Feed<P> {
    /// Starts what reads an input.
    pub(super) fn start(
        input: &SourceInput,
        ffmpeg: &Ffmpeg,
        options: &SourceOptions,
        reading: Reading,
    ) -> io::Result<Self> {
        let mut command = match P::PASSED_THROUGH {
            true => input.copy_command(ffmpeg, options, reading),
            false => input.command(ffmpeg, options, reading),
        };
        let mut process = Process::spawn(&mut command)?;
        input.supply(process.take_stdin());
        let (Some(stdout), Some(stderr)) = (process.take_stdout(), process.take_stderr()) else {
            return Err(io::Error::other("the child has no pipes"));
        };
        widen(&stdout);
        let log = FfmpegLog::follow(stderr, &command);
        let pieces = P::pieces(stdout, &options.limits, log.output(), &reading.plan);
        let (sender, pictures) = crossbeam_channel::bounded(WAITING_PICTURES);
        let (spare, spare_from) = crossbeam_channel::bounded(WAITING_PICTURES);
        let reader = thread::Builder::new()
            .name("decode".into())
            .spawn(move || bring(pieces, &sender, &spare_from))?;
        Ok(Feed {
            process,
            pictures,
            spare,
            log,
            _reader: ReaderThread(Some(reader)),
        })
    }

    /// Takes the memory of a picture that is done with.
    pub(super) fn reuse(&self, picture: P) {
        // A full channel only means that there is enough.
        let _ = self.spare.try_send(picture);
    }

    /// Waits until the input is open, or the child has ended; `None` if neither came within
    /// `patience` (zero is for ever), or on a stop.
    pub(super) fn wait_for_header(&self, patience: Duration, stop: &Stop) -> Option<InputHeader> {
        let begun = Instant::now();
        loop {
            if stop.is_stopped() {
                return None;
            }
            let header = self.log.wait_for_header(GLANCE);
            if header.is_some() || (!patience.is_zero() && begun.elapsed() >= patience) {
                return header;
            }
        }
    }

    /// Waits up to `patience` for the next picture; zero is for ever.
    pub(super) fn next(&self, patience: Duration, stop: &Stop) -> Arrival<P> {
        let begun = Instant::now();
        loop {
            if stop.is_stopped() {
                return Arrival::Stopped;
            }
            match self.pictures.recv_timeout(GLANCE) {
                Ok(arrival) => return arrival,
                Err(RecvTimeoutError::Disconnected) => return Arrival::Ended(vec![]),
                Err(RecvTimeoutError::Timeout)
                    if !patience.is_zero() && begun.elapsed() >= patience =>
                {
                    return Arrival::Stalled;
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Ends it, if it has not ended, and says how that was.
    pub(super) fn finish(self) -> ChildEnd {
        let Feed {
            mut process,
            pictures,
            spare: _,
            log,
            _reader,
        } = self;
        let status = process.wait(END_PATIENCE);
        process.kill();
        drop(pictures);
        ChildEnd {
            status,
            errors: log.into_errors(),
        }
    }
}

/// Brings pictures from the pipe to the channel until one of them closes.
fn bring<P: FeedPicture>(mut pieces: P::Pieces, to: &Sender<Arrival<P>>, spare: &Receiver<P>) {
    let mut sound = Vec::new();
    loop {
        let arrival = match pieces.next(spare) {
            Ok(Some(FeedPiece::Picture {
                picture,
                micros,
                pixel_aspect,
                sound_format,
            })) => Arrival::Picture(Box::new(ArrivedPicture {
                picture,
                micros,
                arrived: SystemTime::now(),
                read: Instant::now(),
                pixel_aspect,
                sound_format,
                sound: std::mem::take(&mut sound),
            })),
            Ok(Some(FeedPiece::Sound {
                micros,
                bytes,
                is_key,
            })) => {
                sound.push(TimedSound {
                    micros,
                    bytes,
                    is_key,
                });
                continue;
            }
            Ok(Some(FeedPiece::NewSize { micros })) => Arrival::NewSize { micros },
            Ok(None) => Arrival::Ended(std::mem::take(&mut sound)),
            // A child that was killed may leave part of a picture. How it ended says more than
            // that.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Arrival::Ended(vec![]),
            Err(error) => Arrival::Unusable(error),
        };
        let is_last = !matches!(arrival, Arrival::Picture(_));
        if to.send(arrival).is_err() || is_last {
            return;
        }
    }
}

/// Makes a pipe hold about a picture instead of 64 KiB, so that FFmpeg and we take turns less
/// often.
fn widen(pipe: &ChildStdout) {
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, 1 << 20);
    #[cfg(not(target_os = "linux"))]
    let _ = pipe;
}
