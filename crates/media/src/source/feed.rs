//! One running FFmpeg and the pictures it sends.
use super::SourceOptions;
use super::input::{Input, Reading};
use crate::ffmpeg::log::{Errors, Header, Log};
use crate::ffmpeg::process::Process;
use crate::ffmpeg::{Ffmpeg, jpeg, ppm};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use image::RgbImage;
use mattebox_core::codec::Limits;
use mattebox_engine::stop::Stop;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::process::{ChildStdout, ExitStatus};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

/// Decoded pictures that may wait. More would only hide that somebody is slow.
const WAITING_PICTURES: usize = 2;
/// How often a wait looks whether it should stop.
const GLANCE: Duration = Duration::from_millis(50);
/// How long a picture waits for its time in the log, which FFmpeg wrote before it.
const TIME_PATIENCE: Duration = Duration::from_secs(1);
/// How long a child that closed its output may take to end.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// What a picture is when it comes out of FFmpeg.
pub(super) trait Sent: Sized + Send + std::fmt::Debug + 'static {
    /// It is as it was in the source: nothing was decoded, scaled or left out.
    const AS_IT_WAS: bool;

    /// The next of a stream; `None` at its end. A stream that ends within a picture gives `UnexpectedEof`.
    fn read(from: &mut impl BufRead, limits: &Limits) -> io::Result<Option<Self>>;
}

impl Sent for RgbImage {
    const AS_IT_WAS: bool = false;

    fn read(from: &mut impl BufRead, limits: &Limits) -> io::Result<Option<Self>> {
        ppm::read(from, limits)
    }
}

impl Sent for jpeg::Jpeg {
    const AS_IT_WAS: bool = true;

    fn read(from: &mut impl BufRead, limits: &Limits) -> io::Result<Option<Self>> {
        jpeg::read(from, limits)
    }
}

/// One picture from FFmpeg.
#[derive(Debug)]
pub(super) struct Arrived<P> {
    pub(super) picture: P,
    /// Seconds in the stream, or, of a live one, unix time when it arrived; if it was decoded and has a time.
    pub(super) seconds: Option<f64>,
    /// When it came out of the pipe.
    pub(super) arrived: SystemTime,
    /// The same by the clock that is never set.
    pub(super) read: Instant,
}

/// What a wait for a picture gave.
#[derive(Debug)]
pub(super) enum Arrival<P> {
    Picture(Arrived<P>),
    /// The child sent its last picture.
    Ended,
    /// What it sent cannot be used.
    Unusable(io::Error),
    /// The wait was too long.
    Stalled,
    /// Somebody asked to stop.
    Stopped,
}

/// How a child ended.
#[derive(Debug)]
pub(super) struct Ending {
    /// `None`: it had to be killed.
    pub(super) status: Option<ExitStatus>,
    pub(super) errors: Errors,
}

/// One running FFmpeg. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Feed<P> {
    // In this order: the child ends, then its pictures have nowhere to go, then the thread that brought them ends.
    process: Process,
    pictures: Receiver<io::Result<Arrived<P>>>,
    log: Log,
    _reader: Reader,
}

/// Joined when dropped, so that no thread outlives its feed.
#[derive(Debug)]
struct Reader(Option<JoinHandle<()>>);

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            let _ = thread.join();
        }
    }
}

impl<P: Sent> Feed<P> {
    /// Starts what reads an input.
    pub(super) fn start(
        input: &Input,
        ffmpeg: &Ffmpeg,
        options: &SourceOptions,
        reading: Reading,
    ) -> io::Result<Self> {
        let mut command = match P::AS_IT_WAS {
            true => input.copy_command(ffmpeg, options, reading),
            false => input.command(ffmpeg, options, reading),
        };
        let timed = !P::AS_IT_WAS;
        let limits = options.limits;
        let mut process = Process::spawn(&mut command)?;
        input.supply(process.take_stdin());
        let (Some(stdout), Some(stderr)) = (process.take_stdout(), process.take_stderr()) else {
            return Err(io::Error::other("the child has no pipes"));
        };
        widen(&stdout);
        let (log, times) = Log::follow(stderr, &command);
        let (sender, pictures) = crossbeam_channel::bounded(WAITING_PICTURES);
        let reader = thread::Builder::new()
            .name("decode".into())
            .spawn(move || bring(stdout, timed.then_some(times), &limits, &sender))?;
        Ok(Feed {
            process,
            pictures,
            log,
            _reader: Reader(Some(reader)),
        })
    }

    /// Waits until the input is open, or the child has ended; `None` if neither came within `patience` (zero is for ever),
    /// or on a stop.
    pub(super) fn wait_for_header(&self, patience: Duration, stop: &Stop) -> Option<Header> {
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
                Ok(Ok(picture)) => return Arrival::Picture(picture),
                Ok(Err(error)) => return Arrival::Unusable(error),
                Err(RecvTimeoutError::Disconnected) => return Arrival::Ended,
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
    pub(super) fn finish(self) -> Ending {
        let Feed {
            mut process,
            pictures,
            log,
            _reader,
        } = self;
        let status = process.wait(END_PATIENCE);
        process.kill();
        drop(pictures);
        Ending {
            status,
            errors: log.into_errors(),
        }
    }
}

/// Brings pictures from the pipe to the channel until one of them closes.
fn bring<P: Sent>(
    stdout: ChildStdout,
    times: Option<Receiver<Option<f64>>>,
    limits: &Limits,
    to: &Sender<io::Result<Arrived<P>>>,
) {
    let mut from = BufReader::new(stdout);
    let mut times = times;
    loop {
        let picture = match P::read(&mut from, limits) {
            Ok(Some(picture)) => picture,
            // A child that was killed may leave part of a picture. How it ended says more than that.
            Ok(None) => return,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return,
            Err(error) => {
                let _ = to.send(Err(error));
                return;
            }
        };
        let arrived = SystemTime::now();
        let read = Instant::now();
        let seconds = match &times {
            None => None,
            Some(log) => match log.recv_timeout(TIME_PATIENCE) {
                Ok(seconds) => seconds,
                // From here on times and pictures could be out of step.
                Err(_) => {
                    times = None;
                    None
                }
            },
        };
        if to
            .send(Ok(Arrived {
                picture,
                seconds,
                arrived,
                read,
            }))
            .is_err()
        {
            return;
        }
    }
}

/// Makes a pipe hold about a picture instead of 64 KiB, so that FFmpeg and we take turns less often.
fn widen(pipe: &ChildStdout) {
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, 1 << 20);
    #[cfg(not(target_os = "linux"))]
    let _ = pipe;
}
