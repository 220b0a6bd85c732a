//! One running encoder: a video file, a named pipe, or a stream to an address.
use super::encoder_input::{Clock, Description, Piece, TIME_UNITS, feed};
use super::format::{Format, Shape, SoundCoding};
use super::pipe::{self, InPlace};
use super::{OrderedSink, SinkError, SinkOptions, SinkPicture};
use crate::beside::{Beside, SoundPacket};
use crate::ffmpeg::diagnose::{Kind, diagnose};
use crate::ffmpeg::log::Log;
use crate::ffmpeg::process::Process;
use crate::ffmpeg::{Ffmpeg, file_url};
use crossbeam_channel::{Receiver, SendTimeoutError, Sender};
use mattebox_engine::address::Address;
use mattebox_store::pending::remove_stale;
use mattebox_store::{OnExisting, PendingFile, StoreError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tracing::warn;

/// Pictures that may wait for the encoder, which has a queue of its own.
const WAITING_PICTURES: usize = 2;
/// How often a wait looks whether it should end.
const GLANCE: Duration = Duration::from_millis(50);
/// Pictures per second where nobody says.
const USUAL_FPS: f64 = 25.0;
/// Words of FFmpeg that mean a spoilt file although it ends as if all were well.
const SPOILT: &[&str] = &[
    "error writing",
    "no space left",
    "file too large",
    "input/output error",
    "disk quota",
];

/// A video through FFmpeg. The encoder starts with the first picture, which decides the size.
#[derive(Debug)]
pub(super) struct Video {
    /// How messages name it.
    name: String,
    format: Format,
    ffmpeg: Ffmpeg,
    options: SinkOptions,
    output: Output,
    encoder: Option<Encoder>,
    shape: Option<Shape>,
    clock: Clock,
    /// Pictures taken.
    frames: u64,
}

#[derive(Debug)]
enum Output {
    /// A hidden file that gets its name at the end.
    File(PendingFile),
    Pipe(PathBuf),
    Url(Address),
}

/// The running child and the thread that feeds it, so that a wait for it can be given up.
#[derive(Debug)]
struct Encoder {
    // Dropped in this order: the child ends, so the thread's write fails, so the thread ends.
    process: Process,
    log: Log,
    pieces: Sender<Piece>,
    /// Buffers to fill again.
    spare: Receiver<Vec<u8>>,
    feeder: JoinHandle<io::Result<()>>,
}

impl Video {
    pub(super) fn to_file(path: &Path, options: &SinkOptions) -> Result<Self, SinkError> {
        let extension = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        let name = path.display().to_string();
        let Some(format) = Format::of_extension(&extension) else {
            return Err(SinkError::Usage {
                name,
                problem: "this kind of video is not written".to_owned(),
            });
        };
        Video::check(format, &name, options)?;
        if InPlace::of(path) == InPlace::Pipe {
            let ffmpeg = Ffmpeg::find(&options.ffmpeg)?;
            return Ok(Video::new(
                name,
                format,
                ffmpeg,
                options,
                Output::Pipe(path.to_owned()),
            ));
        }
        if options.on_existing != OnExisting::Overwrite && path.symlink_metadata().is_ok() {
            return Err(StoreError::Exists(path.to_owned()).into());
        }
        let ffmpeg = Ffmpeg::find(&options.ffmpeg)?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        mattebox_store::pending::create_folder(folder)?;
        remove_stale(folder);
        Ok(Video::new(
            name,
            format,
            ffmpeg,
            options,
            Output::File(PendingFile::create(path)?),
        ))
    }

    pub(super) fn to_url(url: &Address, options: &SinkOptions) -> Result<Self, SinkError> {
        let name = url.to_string();
        let Some(format) = Format::of_url(url.reveal()) else {
            return Err(SinkError::Usage {
                name,
                problem: "this kind of address is not written to".to_owned(),
            });
        };
        Video::check(format, &name, options)?;
        let ffmpeg = Ffmpeg::find(&options.ffmpeg)?;
        Ok(Video::new(
            name,
            format,
            ffmpeg,
            options,
            Output::Url(url.clone()),
        ))
    }

    fn new(
        name: String,
        format: Format,
        ffmpeg: Ffmpeg,
        options: &SinkOptions,
        output: Output,
    ) -> Self {
        let options = options.clone();
        Video {
            name,
            format,
            ffmpeg,
            options,
            output,
            encoder: None,
            shape: None,
            clock: Clock::default(),
            frames: 0,
        }
    }

    fn check(format: Format, name: &str, options: &SinkOptions) -> Result<(), SinkError> {
        let bad_rate = options.fps.filter(|fps| !(*fps > 0.0 && *fps <= 1000.0));
        let problem = match (format.refusal(options.alpha), bad_rate) {
            (Some(problem), _) => problem,
            (None, Some(fps)) => {
                format!("{fps} pictures per second: give a number over 0 and up to 1000")
            }
            (None, None) => return Ok(()),
        };
        Err(SinkError::Usage {
            name: name.to_owned(),
            problem,
        })
    }

    fn start(&self, shape: Shape, beside: &Beside) -> Result<Encoder, SinkError> {
        let fps = self.options.fps.unwrap_or(USUAL_FPS);
        let is_pipe = matches!(self.output, Output::Pipe(_));
        let sound = beside
            .sound_format
            .as_ref()
            .map(|format| self.format.sound(&format.codec));
        let mut command = self.ffmpeg.command();
        // All is said at the beginning: FFmpeg need not look for more.
        command.args([
            "-y",
            "-f",
            "nut",
            "-probesize",
            "32",
            "-analyzeduration",
            "0",
        ]);
        command.args(["-fpsprobesize", "0", "-i", "pipe:0", "-map", "0:v"]);
        let takes_sound = match sound {
            Some(SoundCoding::Copy) => {
                command.args(["-map", "0:a", "-c:a", "copy"]);
                true
            }
            Some(SoundCoding::Encode(codec)) => {
                command.args(["-map", "0:a", "-c:a", codec]);
                true
            }
            Some(SoundCoding::None) => {
                warn!(
                    sink = self.name,
                    "the sound is left out: this format holds none"
                );
                false
            }
            None => false,
        };
        command.args(self.format.options(shape, fps, is_pipe));
        // In steps of a frame, two pictures that come close together would be one.
        command.args(["-enc_time_base:v", &format!("1:{TIME_UNITS}")]);
        command.args(self.ffmpeg.frame_mode("passthrough"));
        let description = Description::new(shape, beside, fps, takes_sound);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        match &self.output {
            Output::File(file) => command.arg(file_url(file.path())),
            Output::Pipe(path) => {
                let opened = pipe::open(path, &self.options.abort);
                let pipe = opened
                    .map_err(|error| self.failed(format!("the pipe cannot be written: {error}")))?;
                command
                    .arg("pipe:1")
                    .stdout(pipe.ok_or(SinkError::Stopped)?)
            }
            Output::Url(url) => command.arg(url.reveal()),
        };
        let failed = |error: io::Error| self.failed(format!("cannot start FFmpeg: {error}"));
        let mut process = Process::spawn(&mut command).map_err(failed)?;
        let (Some(stdin), Some(stderr)) = (process.take_stdin(), process.take_stderr()) else {
            return Err(failed(io::Error::other("the child has no pipes")));
        };
        let log = Log::follow(stderr, &command);
        let (pieces, to_feed) = crossbeam_channel::bounded(WAITING_PICTURES);
        let (used, spare) = crossbeam_channel::bounded(WAITING_PICTURES + 1);
        let feeder = thread::Builder::new()
            .name("encode".into())
            .spawn(move || feed(stdin, &description, &to_feed, &used))
            .map_err(failed)?;
        Ok(Encoder {
            process,
            log,
            pieces,
            spare,
            feeder,
        })
    }

    /// Hands a piece to the encoder as soon as it takes one.
    fn send(&self, encoder: Encoder, mut piece: Piece) -> Result<Encoder, SinkError> {
        let begun = Instant::now();
        loop {
            match encoder.pieces.send_timeout(piece, GLANCE) {
                Ok(()) => return Ok(encoder),
                Err(SendTimeoutError::Timeout(back)) => {
                    piece = back;
                    self.give_up(begun)?;
                }
                // The encoder takes no more: how it ended says why.
                Err(SendTimeoutError::Disconnected(_)) => {
                    self.end(encoder)?;
                    return Err(self.failed("the encoder ended early".to_owned()));
                }
            }
        }
    }

    fn failed(&self, problem: String) -> SinkError {
        SinkError::Failed {
            name: self.name.clone(),
            frames: self.frames,
            problem,
        }
    }

    fn stalled(&self) -> SinkError {
        let seconds = self.options.stall_timeout.as_secs_f64();
        SinkError::Stalled {
            name: self.name.clone(),
            seconds,
            frames: self.frames,
        }
    }

    /// Whether a wait that began at `begun` should end, and how.
    fn give_up(&self, begun: Instant) -> Result<(), SinkError> {
        if self.options.abort.is_stopped() {
            return Err(SinkError::Stopped);
        }
        match !self.options.stall_timeout.is_zero() && begun.elapsed() >= self.options.stall_timeout
        {
            true => Err(self.stalled()),
            false => Ok(()),
        }
    }

    /// Closes the encoder's input and waits until it has written all.
    fn end(&self, encoder: Encoder) -> Result<(), SinkError> {
        let Encoder {
            mut process,
            log,
            pieces,
            spare,
            feeder,
        } = encoder;
        drop((pieces, spare));
        let begun = Instant::now();
        let status = loop {
            match process.wait(GLANCE) {
                Some(status) => break status,
                // A file is finished when it is finished; only a server or a reader may hang.
                None if !matches!(self.output, Output::File(_)) => self.give_up(begun)?,
                None if self.options.abort.is_stopped() => return Err(SinkError::Stopped),
                None => {}
            }
        };
        let fed = feeder
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the feeding thread broke")));
        let errors = log.into_errors();
        if matches!(self.output, Output::Pipe(_)) && errors.mention(&["broken pipe"]) {
            return Err(self.failed("its reader has closed the pipe".to_owned()));
        }
        let spoilt = errors.mention(SPOILT);
        if status.success() && !spoilt {
            return fed.map_err(|error| {
                self.failed(format!("the encoder took not all pictures: {error}"))
            });
        }
        let found = diagnose(&errors, Some(status));
        Err(match found.kind {
            Kind::Usage => SinkError::Usage {
                name: self.name.clone(),
                problem: found.text,
            },
            Kind::Unreachable if matches!(self.output, Output::Url(_)) => SinkError::Unreachable {
                name: self.name.clone(),
                problem: found.text,
            },
            _ => self.failed(found.text),
        })
    }
}

impl OrderedSink for Video {
    fn write(&mut self, shown: SinkPicture<'_>) -> Result<(), SinkError> {
        let SinkPicture {
            picture,
            time,
            beside,
        } = shown;
        let shape = Shape::of(picture);
        shape.check(&mut self.shape, &self.name, self.frames)?;
        let encoder = match self.encoder.take() {
            Some(encoder) => encoder,
            None if self.frames > 0 => return Err(self.failed("it has failed before".to_owned())),
            None => {
                if let Some(problem) = self.format.refusal(shape.alpha) {
                    return Err(SinkError::Usage {
                        name: self.name.clone(),
                        problem,
                    });
                }
                self.start(shape, &beside)?
            }
        };
        let micros = self.clock.picture(time);
        let mut bytes = encoder.spare.try_recv().unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(picture.as_raw());
        let piece = Piece {
            samples: Some(bytes),
            micros,
            sound: self.clock.sound(beside.sound),
        };
        self.encoder = Some(self.send(encoder, piece)?);
        self.frames += 1;
        Ok(())
    }

    fn finish(mut self: Box<Self>, rest: Vec<SoundPacket>) -> Result<(), SinkError> {
        match self.encoder.take() {
            Some(encoder) => {
                let piece = Piece {
                    samples: None,
                    micros: 0,
                    sound: self.clock.sound(rest),
                };
                let encoder = match piece.sound.is_empty() {
                    true => encoder,
                    false => self.send(encoder, piece)?,
                };
                self.end(encoder)?;
            }
            None if self.frames > 0 => return Err(self.failed("it has failed before".to_owned())),
            None => {
                warn!(sink = self.name, "no picture came: nothing is written");
                return Ok(());
            }
        }
        match self.output {
            Output::File(file) => {
                let on_existing = match self.options.on_existing {
                    OnExisting::Overwrite => OnExisting::Overwrite,
                    OnExisting::Skip | OnExisting::Fail => OnExisting::Fail,
                };
                file.commit(on_existing, self.options.durable)?;
            }
            Output::Pipe(_) | Output::Url(_) => {}
        }
        Ok(())
    }
}
