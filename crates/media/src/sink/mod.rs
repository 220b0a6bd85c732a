//! The sinks of finished pictures, other than folders of files: videos, streams, standard output.
//!
//! [`mattebox_store::FrameDir`] writes files to a folder in any order and from any thread. The
//! sinks here take pictures one by one, in order.
//!
//! * `spec`: the text that names a sink.
//! * `error`: the errors of sinks.
//! * `format`: the FFmpeg options for each kind of video and stream.
//! * `encoder`: the encoders of H.264 and their options.
//! * `video`: one running encoder. `encoder_input`: its input. `rescue`: another encoder continues
//!   if the first one does not begin.
//! * `recording`: video files, one after the other (names: `mattebox_store::recordings`); `index`:
//!   moves the index to the beginning of a file.
//! * `pipe`: writes into named pipes and devices.
//! * `stream`: bare pictures on standard output.
mod encoder;
mod encoder_input;
mod error;
mod format;
mod index;
mod pipe;
mod recording;
mod rescue;
mod spec;
mod stream;
mod video;

pub use encoder::{EncoderName, UnknownVideoChoice, VideoCoding, VideoEncoder, VideoPreset};
pub use error::SinkError;
pub use pipe::OutputPathKind;
pub use spec::{SinkSpec, SinkSpecError};
pub use stream::{StdoutFormat, UnknownStdoutFormat};

use crate::beside::{PictureExtras, SoundPacket};
use mattebox_core::compose::Composed;
use mattebox_core::frame::Timestamp;
use mattebox_engine::stop::Stop;
use mattebox_store::OnExisting;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

/// The options of a sink.
#[derive(Debug, Clone)]
pub struct SinkOptions {
    /// The approximate rate of a video in pictures per second; 25 if unknown. The time of each
    /// picture decides when it is shown.
    pub fps: Option<f64>,
    /// The pictures are transparent.
    pub alpha: bool,
    /// The pictures are unrelated: a change of size is an error, and begins no further file.
    pub still: bool,
    /// Begin a new video file after this time. The files are numbered.
    pub segment: Option<Duration>,
    /// The choice for an existing video file. `Skip` is the same as `Fail`: the caller skips before
    /// the work. Numbered files are never replaced, and pipes are always written into.
    pub on_existing: OnExisting,
    /// The file is on the disk, and survives a power failure, when it is finished.
    pub durable: bool,
    /// The coding of videos in H.264. Videos of other codecs refuse a named encoder.
    pub coding: VideoCoding,
    /// The format on standard output.
    pub stdout: StdoutFormat,
    /// Quality of JPEG pictures there, 1 to 100.
    pub jpeg_quality: u8,
    /// Ends every wait at once, if there is no time to finish in order.
    pub abort: Stop,
    /// The longest wait for an encoder or a server that takes no picture. After it the sink fails.
    /// Zero: wait for ever.
    pub stall_timeout: Duration,
    /// The FFmpeg program: a path, or a name to be found in PATH.
    pub ffmpeg: PathBuf,
}

impl Default for SinkOptions {
    fn default() -> Self {
        SinkOptions {
            fps: None,
            alpha: false,
            still: false,
            segment: None,
            on_existing: OnExisting::default(),
            durable: false,
            coding: VideoCoding::default(),
            stdout: StdoutFormat::default(),
            jpeg_quality: 80,
            abort: Stop::new(),
            stall_timeout: Duration::from_secs(60),
            ffmpeg: "ffmpeg".into(),
        }
    }
}

/// A picture with its other data.
#[derive(Debug)]
pub struct SinkPicture<'a> {
    /// Its pixels.
    pub picture: &'a Composed,
    /// When it is shown. The first picture decides when a video begins.
    pub time: Timestamp,
    /// Its other data; its sound is heard before it.
    pub beside: PictureExtras,
}

/// Takes pictures in order. Dropped without [`OrderedSink::finish`] it leaves no file under a final
/// name; a video file with pictures then stays under its unfinished name.
pub trait OrderedSink: Send {
    /// Takes the next picture. Only files can follow a change of size: see [`SinkOptions::still`].
    /// After an error the sink cannot be used any more.
    fn write(&mut self, picture: SinkPicture<'_>) -> Result<(), SinkError>;

    /// Writes the last sound, completes the output, and gives it its final name.
    fn finish(self: Box<Self>, rest: Vec<SoundPacket>) -> Result<(), SinkError>;
}

/// Opens a sink that takes pictures in order. An unsuitable video format or a file that cannot be
/// created gives an error here; a server that refuses a stream gives an error with the first
/// pictures.
///
/// A [`SinkSpec::Directory`] is refused: its files need no order.
pub fn open_ordered(
    spec: &SinkSpec,
    options: &SinkOptions,
) -> Result<Box<dyn OrderedSink>, SinkError> {
    match spec {
        SinkSpec::Stdout if std::io::stdout().is_terminal() => {
            let problem =
                "it is the terminal: pipe it into a program, or into a file with `> FILE`"
                    .to_owned();
            Err(SinkError::Usage {
                name: spec.to_string(),
                problem,
            })
        }
        SinkSpec::Stdout => stream::on_stdout(options),
        SinkSpec::Video(path) if OutputPathKind::of(path) == OutputPathKind::Pipe => {
            Ok(Box::new(video::VideoSink::to_pipe(path, options)?))
        }
        SinkSpec::Video(path) => Ok(Box::new(recording::RecordingSink::open(path, options)?)),
        SinkSpec::Url(url) => Ok(Box::new(video::VideoSink::to_url(url, options)?)),
        SinkSpec::Directory(_) | SinkSpec::Nothing => {
            let problem = "a folder takes pictures in any order, it is no stream".to_owned();
            Err(SinkError::Usage {
                name: spec.to_string(),
                problem,
            })
        }
    }
}
