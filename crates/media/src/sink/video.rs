//! One running encoder: a video file, a named pipe, or a stream to an address.
use super::encoder::{EncoderChoice, EncoderSetup, EncoderTask, VideoEncoder};
use super::encoder_input::{EncoderInputHead, EncoderPiece, VideoClock, feed};
use super::format::{PictureShape, SoundCoding, VideoCarrier, VideoFormat};
use super::pipe;
use super::rescue::Rescue;
use super::stream::STDOUT;
use super::{OrderedSink, SinkError, SinkOptions, SinkPicture};
use crate::beside::{PictureExtras, SoundPacket};
use crate::ffmpeg::diagnose::{DiagnosisKind, diagnose_output};
use crate::ffmpeg::log::FfmpegLog;
use crate::ffmpeg::process::Process;
use crate::ffmpeg::{Ffmpeg, file_url};
use crossbeam_channel::{Receiver, SendTimeoutError, Sender};
use mattebox_engine::address::Address;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tracing::warn;

/// The most pictures that wait for the encoder, which has its own queue too.
const WAITING_PICTURES: usize = 2;
/// The interval at which a wait checks whether to end.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Pictures per second if nothing gives a rate.
const USUAL_FPS: f64 = 25.0;
/// The longest time for an encoder to write its rest when a recording ends early.
const CUT_SHORT_TIMEOUT: Duration = Duration::from_secs(2);
/// Messages of FFmpeg that mean a spoilt file, also after a successful exit.
pub(super) const SPOILT: &[&str] = &[
    "error writing",
    "no space left",
    "file too large",
    "input/output error",
    "disk quota",
];

/// A video through FFmpeg. The encoder starts with the first picture, which decides the size.
#[derive(Debug)]
pub(super) struct VideoSink {
    /// Its name in messages.
    name: String,
    format: VideoFormat,
    ffmpeg: Ffmpeg,
    options: SinkOptions,
    output: VideoOutput,
    choice: Arc<EncoderChoice>,
    encoder: Option<RunningEncoder>,
    /// The pieces that were sent, as long as another encoder may have to begin again.
    rescue: Option<Rescue>,
    shape: Option<PictureShape>,
    clock: VideoClock,
    /// Pictures taken.
    frames: u64,
}

#[derive(Debug)]
enum VideoOutput {
    /// A file that another part of the sink has created.
    File(PathBuf),
    Pipe(PathBuf),
    /// This process's standard output.
    Stdout,
    Url(Address),
}

/// The running child and the thread that feeds it, so that a wait for the child can be aborted.
#[derive(Debug)]
struct RunningEncoder {
    // Dropped in this order: the child ends, so the thread's write fails, so the thread ends.
    process: Process,
    log: FfmpegLog,
    pieces: Sender<EncoderPiece>,
    /// Buffers to fill again.
    spare: Receiver<Vec<u8>>,
    feeder: JoinHandle<io::Result<()>>,
}

impl VideoSink {
    /// A video that overwrites `path`, under `name` in messages. The files of a recording share a
    /// `choice`.
    pub(super) fn to_file(
        path: &Path,
        name: String,
        format: VideoFormat,
        ffmpeg: Ffmpeg,
        options: &SinkOptions,
        choice: Arc<EncoderChoice>,
    ) -> Self {
        VideoSink {
            choice,
            ..VideoSink::new(
                name,
                format,
                ffmpeg,
                options,
                VideoOutput::File(path.to_owned()),
            )
        }
    }

    /// A video into a named pipe.
    pub(super) fn to_pipe(path: &Path, options: &SinkOptions) -> Result<Self, SinkError> {
        let name = path.display().to_string();
        let format = VideoSink::format_of(path, options)?;
        let ffmpeg = Ffmpeg::find(&options.ffmpeg)?;
        let output = VideoOutput::Pipe(path.to_owned());
        Ok(VideoSink::new(name, format, ffmpeg, options, output))
    }

    /// A video to this process's standard output.
    pub(super) fn to_stdout(format: VideoFormat, options: &SinkOptions) -> Result<Self, SinkError> {
        VideoSink::check(format, STDOUT, options)?;
        let ffmpeg = Ffmpeg::find(&options.ffmpeg)?;
        let name = STDOUT.to_owned();
        // A reader may pause for any time.
        let options = SinkOptions {
            stall_timeout: Duration::ZERO,
            ..options.clone()
        };
        Ok(VideoSink::new(
            name,
            format,
            ffmpeg,
            &options,
            VideoOutput::Stdout,
        ))
    }

    /// The format of a file by its name, if it suits the options.
    pub(super) fn format_of(path: &Path, options: &SinkOptions) -> Result<VideoFormat, SinkError> {
        let name = path.display().to_string();
        let Some(format) = VideoFormat::of_path(path) else {
            return Err(SinkError::Usage {
                name,
                problem: "this kind of video is not written".to_owned(),
            });
        };
        VideoSink::check(format, &name, options)?;
        Ok(format)
    }

    pub(super) fn to_url(url: &Address, options: &SinkOptions) -> Result<Self, SinkError> {
        let name = url.to_string();
        let Some(format) = VideoFormat::of_url(url.reveal()) else {
            return Err(SinkError::Usage {
                name,
                problem: "this kind of address is not written to".to_owned(),
            });
        };
        VideoSink::check(format, &name, options)?;
        let ffmpeg = Ffmpeg::find(&options.ffmpeg)?;
        Ok(VideoSink::new(
            name,
            format,
            ffmpeg,
            options,
            VideoOutput::Url(url.clone()),
        ))
    }

    fn new(
        name: String,
        format: VideoFormat,
        ffmpeg: Ffmpeg,
        options: &SinkOptions,
        output: VideoOutput,
    ) -> Self {
        let options = options.clone();
        VideoSink {
            name,
            format,
            ffmpeg,
            choice: Arc::new(EncoderChoice::new(&options.coding)),
            options,
            output,
            encoder: None,
            rescue: None,
            shape: None,
            clock: VideoClock::default(),
            frames: 0,
        }
    }

    fn check(format: VideoFormat, name: &str, options: &SinkOptions) -> Result<(), SinkError> {
        let bad_rate = options.fps.filter(|fps| !(*fps > 0.0 && *fps <= 1000.0));
        let coding = &options.coding;
        let only = format.only_coding(options.alpha);
        let problem = match (
            format.refusal(options.alpha),
            bad_rate,
            only,
            &coding.encoder,
        ) {
            (Some(problem), ..) => problem,
            (_, Some(fps), ..) => {
                format!("{fps} pictures per second: give a number over 0 and up to 1000")
            }
            (_, _, Some(only), VideoEncoder::Named(_)) => format!(
                "it holds {only}: leave --video-encoder {} out, which is for mp4, mov, mkv, ts and \
                 streams that are not transparent",
                coding.encoder
            ),
            (_, _, Some(only), _) if coding.crf.is_some() && !format.takes_crf(options.alpha) => {
                format!("it holds {only}: leave --crf out")
            }
            _ => return Ok(()),
        };
        Err(SinkError::Usage {
            name: name.to_owned(),
            problem,
        })
    }

    fn start(
        &mut self,
        shape: PictureShape,
        beside: &PictureExtras,
    ) -> Result<RunningEncoder, SinkError> {
        if self.format.only_coding(shape.alpha).is_some() {
            return self.spawn(shape, beside, None);
        }
        let task = EncoderTask {
            shape,
            fps: self.options.fps.unwrap_or(USUAL_FPS),
            is_live: self.format.is_live(),
        };
        let abort = &self.options.abort;
        let setup = self
            .choice
            .encoder(&self.ffmpeg, &task, &self.name, abort)?;
        let encoder = self.spawn(shape, beside, Some(&setup))?;
        // A pipe's reader would take the end of the first encoder for the end of the video.
        if self.choice.is_replaceable(&setup) && !matches!(self.output, VideoOutput::Pipe(_)) {
            let output = encoder.log.output();
            self.rescue = Some(Rescue::new(setup, task, beside.clone(), output));
        }
        Ok(encoder)
    }

    /// Lets another encoder begin again if the chosen one did not begin.
    fn begin_again(&mut self, error: SinkError) -> Result<RunningEncoder, SinkError> {
        let begun = self.rescue.take().and_then(|rescue| rescue.begun(&error));
        let Some(begun) = begun else {
            return Err(error);
        };
        let replacement = self
            .choice
            .replacement(&begun.setup, &begun.task, &self.name, &error);
        let mut encoder = self.spawn(begun.task.shape, &begun.beside, Some(&replacement))?;
        for piece in begun.pieces {
            encoder = self.send(encoder, piece)?;
        }
        Ok(encoder)
    }

    /// Keeps a piece for an encoder that may have to begin again.
    fn keep(&mut self, piece: &EncoderPiece) {
        if self
            .rescue
            .as_mut()
            .is_some_and(|rescue| !rescue.keep(piece))
        {
            self.rescue = None;
        }
    }

    fn spawn(
        &self,
        shape: PictureShape,
        beside: &PictureExtras,
        setup: Option<&EncoderSetup>,
    ) -> Result<RunningEncoder, SinkError> {
        let fps = self.options.fps.unwrap_or(USUAL_FPS);
        let carrier = match self.output {
            VideoOutput::File(_) => VideoCarrier::File,
            VideoOutput::Pipe(_) | VideoOutput::Stdout => VideoCarrier::Pipe,
            VideoOutput::Url(_) => VideoCarrier::Address,
        };
        let sound = beside
            .sound_format
            .as_ref()
            .map(|format| self.format.sound(&format.codec));
        let mut command = self.ffmpeg.command();
        command.args(setup.iter().flat_map(|setup| &setup.global));
        // The beginning has all parameters: FFmpeg need not read more to find them.
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
                    "the sound is left out: this format has no sound"
                );
                false
            }
            None => false,
        };
        if takes_sound && carrier != VideoCarrier::File {
            // Viewers do not wait long for late sound.
            command.args(["-max_interleave_delta", "1000000"]);
        }
        let crf = self.options.coding.crf;
        command.args(self.format.options(shape, carrier, setup, crf));
        match self.format {
            // This format has only a rate.
            VideoFormat::Y4m => command
                .args(["-r", &fps.to_string()])
                .args(self.ffmpeg.frame_mode("cfr")),
            _ => command.args(self.ffmpeg.frame_mode("passthrough")),
        };
        let description = EncoderInputHead::new(shape, beside, fps, takes_sound);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        match &self.output {
            VideoOutput::File(file) => command.arg(file_url(file)),
            VideoOutput::Pipe(path) => {
                let opened = pipe::open(path, &self.options.abort);
                let pipe = opened
                    .map_err(|error| self.failed(format!("the pipe cannot be written: {error}")))?;
                command
                    .arg("pipe:1")
                    .stdout(pipe.ok_or(SinkError::Stopped)?)
            }
            VideoOutput::Stdout => command.arg("pipe:1").stdout(Stdio::inherit()),
            VideoOutput::Url(url) => command.arg(url.reveal()),
        };
        let failed = |error: io::Error| self.failed(format!("cannot start FFmpeg: {error}"));
        let mut process = Process::spawn(&mut command).map_err(failed)?;
        let (Some(stdin), Some(stderr)) = (process.take_stdin(), process.take_stderr()) else {
            return Err(failed(io::Error::other("the child has no pipes")));
        };
        let log = FfmpegLog::follow(stderr, &command);
        let (pieces, to_feed) = crossbeam_channel::bounded(WAITING_PICTURES);
        let (used, spare) = crossbeam_channel::bounded(WAITING_PICTURES + 1);
        let feeder = thread::Builder::new()
            .name("encode".into())
            .spawn(move || feed(stdin, &description, &to_feed, &used))
            .map_err(failed)?;
        Ok(RunningEncoder {
            process,
            log,
            pieces,
            spare,
            feeder,
        })
    }

    /// Pictures taken.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// Ends early: the encoder may still write its rest, if that is quick.
    pub(super) fn cut_short(&mut self) {
        if let Some(encoder) = self.encoder.take() {
            let RunningEncoder {
                mut process,
                pieces,
                ..
            } = encoder;
            drop(pieces);
            process.wait(CUT_SHORT_TIMEOUT);
        }
    }

    /// Sends a piece to the encoder as soon as it takes one.
    fn send(
        &self,
        encoder: RunningEncoder,
        mut piece: EncoderPiece,
    ) -> Result<RunningEncoder, SinkError> {
        let begun = Instant::now();
        loop {
            match encoder.pieces.send_timeout(piece, POLL_INTERVAL) {
                Ok(()) => return Ok(encoder),
                Err(SendTimeoutError::Timeout(back)) => {
                    piece = back;
                    self.check_wait(begun)?;
                }
                // The encoder takes no more pieces: its end tells why.
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

    /// An error if a wait that began at `begun` has to end.
    fn check_wait(&self, begun: Instant) -> Result<(), SinkError> {
        if self.options.abort.is_stopped() {
            return Err(SinkError::Stopped);
        }
        match !self.options.stall_timeout.is_zero() && begun.elapsed() >= self.options.stall_timeout
        {
            true => Err(self.stalled()),
            false => Ok(()),
        }
    }

    /// Closes the encoder's input and waits until it has written everything.
    fn end(&self, encoder: RunningEncoder) -> Result<(), SinkError> {
        let RunningEncoder {
            mut process,
            log,
            pieces,
            spare,
            feeder,
        } = encoder;
        drop((pieces, spare));
        let begun = Instant::now();
        let status = loop {
            match process.wait(POLL_INTERVAL) {
                Some(status) => break status,
                // Writing a file has no time limit; only a server or a reader can hang.
                None if !matches!(self.output, VideoOutput::File(_)) => self.check_wait(begun)?,
                None if self.options.abort.is_stopped() => return Err(SinkError::Stopped),
                None => {}
            }
        };
        let fed = feeder
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the feeding thread panicked")));
        let errors = log.into_errors();
        if matches!(self.output, VideoOutput::Pipe(_)) && errors.mention(&["broken pipe"]) {
            return Err(self.failed("its reader has closed the pipe".to_owned()));
        }
        if matches!(self.output, VideoOutput::Stdout) && errors.mention(&["broken pipe"]) {
            return Err(SinkError::Closed);
        }
        let spoilt = errors.mention(SPOILT);
        if status.success() && !spoilt {
            return fed.map_err(|error| {
                self.failed(format!("the encoder did not take all pictures: {error}"))
            });
        }
        let found = diagnose_output(&errors, Some(status));
        Err(match found.kind {
            DiagnosisKind::Usage => SinkError::Usage {
                name: self.name.clone(),
                problem: found.text,
            },
            DiagnosisKind::Unreachable if matches!(self.output, VideoOutput::Url(_)) => {
                SinkError::Unreachable {
                    name: self.name.clone(),
                    problem: found.text,
                }
            }
            _ => self.failed(found.text),
        })
    }
}

impl OrderedSink for VideoSink {
    fn write(&mut self, picture_in: SinkPicture<'_>) -> Result<(), SinkError> {
        let SinkPicture {
            picture,
            time,
            beside,
        } = picture_in;
        let shape = PictureShape::of(picture);
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
        let piece = EncoderPiece {
            samples: Some(bytes),
            micros,
            sound: self.clock.sound(beside.sound),
        };
        self.keep(&piece);
        self.encoder = Some(match self.send(encoder, piece) {
            Ok(encoder) => encoder,
            Err(error) => self.begin_again(error)?,
        });
        self.frames += 1;
        Ok(())
    }

    fn finish(mut self: Box<Self>, rest: Vec<SoundPacket>) -> Result<(), SinkError> {
        match self.encoder.take() {
            Some(encoder) => {
                let piece = EncoderPiece {
                    samples: None,
                    micros: 0,
                    sound: self.clock.sound(rest),
                };
                self.keep(&piece);
                let ended = match piece.sound.is_empty() {
                    true => self.end(encoder),
                    false => self
                        .send(encoder, piece)
                        .and_then(|encoder| self.end(encoder)),
                };
                ended.or_else(|error| {
                    let encoder = self.begin_again(error)?;
                    self.end(encoder)
                })
            }
            None if self.frames > 0 => Err(self.failed("it has failed before".to_owned())),
            None => {
                warn!(sink = self.name, "no frame came: nothing is written");
                Ok(())
            }
        }
    }
}
