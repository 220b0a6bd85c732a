//! One running FFmpeg and the pictures that it sends.
use super::SourceOptions;
use super::decoded::Decoded;
use super::input::{ReadMode, SourceInput};
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

/// The most decoded pictures that wait. More would only hide a slow reader.
const WAITING_PICTURES: usize = 2;
/// The interval at which a wait checks whether to stop.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The longest wait for the end of a child that has closed its output.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// A kind of picture that FFmpeg sends.
pub(super) trait FeedPicture: Sized + Send + std::fmt::Debug + 'static {
    /// FFmpeg passes the source's pictures on: it does not decode, scale or drop any.
    const PASSED_THROUGH: bool;

    /// The reader of a child's output.
    type Pieces: FeedReader<Self>;

    /// Makes the reader of a child's output.
    fn pieces(
        from: ChildStdout,
        limits: &Limits,
        log: OutputLog,
        plan: &StreamPlan,
    ) -> Self::Pieces;
}

/// Reads the pieces of a stream.
pub(super) trait FeedReader<P>: Send + 'static {
    /// The next piece; `None` at the end of the stream. A stream that ends within a piece gives
    /// `UnexpectedEof`. A picture may use the memory of one from `spare`.
    fn next(&mut self, spare: &Receiver<P>) -> io::Result<Option<FeedPiece<P>>>;
}

/// A piece of FFmpeg's output.
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

/// Reads the JPEG pictures that FFmpeg passes on.
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

/// Packets by the clock of the source. `began` is the time of the feed's 0 on that clock, in
/// microseconds.
pub(super) fn sound_from(began: i64, sound: Vec<TimedSound>) -> Vec<SoundPacket> {
    let packet = |sound: TimedSound| SoundPacket {
        time: Timestamp(began.saturating_add(sound.micros)),
        bytes: sound.bytes,
        is_key: sound.is_key,
    };
    sound.into_iter().map(packet).collect()
}

/// One picture from FFmpeg.
#[derive(Debug)]
pub(super) struct ArrivedPicture<P> {
    pub(super) picture: P,
    /// Its time in microseconds: in the stream, or the unix time of its arrival for a live source
    /// with our clock. `None` for pictures that are passed on.
    pub(super) micros: Option<i64>,
    /// The time when it was read from the pipe.
    pub(super) arrived: SystemTime,
    /// The same on the monotonic clock.
    pub(super) read: Instant,
    pub(super) pixel_aspect: Option<(u32, u32)>,
    pub(super) sound_format: Option<Arc<SoundFormat>>,
    /// The sound before it.
    pub(super) sound: Vec<TimedSound>,
}

/// The result of a wait for a picture.
#[derive(Debug)]
pub(super) enum Arrival<P> {
    Picture(Box<ArrivedPicture<P>>),
    /// The child sent its last picture, and this sound after it.
    Ended(Vec<TimedSound>),
    /// The next picture, at this time, has another size: only another child can send it.
    NewSize {
        micros: i64,
    },
    /// The output cannot be used.
    Unusable(io::Error),
    /// The wait was too long.
    Stalled,
    /// The wait was stopped.
    Stopped,
}

/// The end of a child.
#[derive(Debug)]
pub(super) struct ChildEnd {
    /// `None`: it had to be killed.
    pub(super) status: Option<ExitStatus>,
    pub(super) errors: FfmpegErrors,
}

/// One running FFmpeg. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Feed<P> {
    // Dropped in this order: the child ends, then the channel closes, then the thread that fills it
    // ends.
    process: Process,
    pictures: Receiver<Arrival<P>>,
    spare: Sender<P>,
    log: FfmpegLog,
    _reader: ReaderThread,
}

/// A thread that is joined when dropped, so that it does not outlive its feed.
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
    /// Starts a child that reads an input.
    pub(super) fn start(
        input: &SourceInput,
        ffmpeg: &Ffmpeg,
        options: &SourceOptions,
        reading: ReadMode,
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
            .spawn(move || forward(pieces, &sender, &spare_from))?;
        Ok(Feed {
            process,
            pictures,
            spare,
            log,
            _reader: ReaderThread(Some(reader)),
        })
    }

    /// Takes back a picture to use its memory again.
    pub(super) fn reuse(&self, picture: P) {
        // A full channel holds enough memory already.
        let _ = self.spare.try_send(picture);
    }

    /// Waits until the input is open, or the child has ended; `None` after `timeout` (zero is for
    /// ever), or on a stop.
    pub(super) fn wait_for_header(&self, timeout: Duration, stop: &Stop) -> Option<InputHeader> {
        let begun = Instant::now();
        loop {
            if stop.is_stopped() {
                return None;
            }
            let header = self.log.wait_for_header(POLL_INTERVAL);
            if header.is_some() || (!timeout.is_zero() && begun.elapsed() >= timeout) {
                return header;
            }
        }
    }

    /// Waits up to `timeout` for the next picture; zero is for ever.
    pub(super) fn next(&self, timeout: Duration, stop: &Stop) -> Arrival<P> {
        let begun = Instant::now();
        loop {
            if stop.is_stopped() {
                return Arrival::Stopped;
            }
            match self.pictures.recv_timeout(POLL_INTERVAL) {
                Ok(arrival) => return arrival,
                Err(RecvTimeoutError::Disconnected) => return Arrival::Ended(vec![]),
                Err(RecvTimeoutError::Timeout)
                    if !timeout.is_zero() && begun.elapsed() >= timeout =>
                {
                    return Arrival::Stalled;
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Ends the child, if it still runs, and returns its status and errors.
    pub(super) fn finish(self) -> ChildEnd {
        let Feed {
            mut process,
            pictures,
            spare: _,
            log,
            _reader,
        } = self;
        let status = process.wait(END_TIMEOUT);
        process.kill();
        drop(pictures);
        ChildEnd {
            status,
            errors: log.into_errors(),
        }
    }
}

/// Moves pictures from the pipe to the channel until one of them closes.
fn forward<P: FeedPicture>(mut pieces: P::Pieces, to: &Sender<Arrival<P>>, spare: &Receiver<P>) {
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
            // A killed child may leave part of a picture. Its end tells more than that part.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Arrival::Ended(vec![]),
            Err(error) => Arrival::Unusable(error),
        };
        let is_last = !matches!(arrival, Arrival::Picture(_));
        if to.send(arrival).is_err() || is_last {
            return;
        }
    }
}

/// Makes a pipe hold about one picture instead of 64 KiB, so that both processes switch less often.
fn widen(pipe: &ChildStdout) {
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, 1 << 20);
    #[cfg(not(target_os = "linux"))]
    let _ = pipe;
}
