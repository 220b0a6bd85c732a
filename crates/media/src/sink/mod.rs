//! Where finished pictures go, if not to a folder of files: videos, streams, standard output.
//!
//! A folder takes its files in any order and from any thread, through [`mattebox_store::FrameDir`].
//! The sinks here take pictures one by one, in order.
//!
//! * `spec`: what a person writes to name a sink.
//! * `error`: what can go wrong.
//! * `format`: the FFmpeg options for each kind of video and stream.
//! * `encoder`: who encodes H.264, and how.
//! * `video`: one running encoder. `encoder_input`: what it is sent. `rescue`: how another one goes
//!   on where it does not begin.
//! * `recording`: video files, one after the other (names: `mattebox_store::recordings`); `index`:
//!   where players look first.
//! * `pipe`: named pipes and devices, which are written into.
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

/// How to write.
#[derive(Debug, Clone)]
pub struct SinkOptions {
    /// About how many pictures a second a video has; 25 if unknown. Their own times decide when
    /// each is shown.
    pub fps: Option<f64>,
    /// The pictures are transparent.
    pub alpha: bool,
    /// The pictures have nothing to do with each other: where their size changes that is an error,
    /// and no further file is begun.
    pub still: bool,
    /// Begin a new video file after this much. The files are numbered.
    pub segment: Option<Duration>,
    /// What to do when the video file exists; a pipe is written into. `Skip` is the same as `Fail`:
    /// look before there is work to skip. Numbered files are never replaced.
    pub on_existing: OnExisting,
    /// The file is on the disk, and outlives a power failure, when it is finished.
    pub durable: bool,
    /// How videos in H.264 are encoded. An encoder that is named is refused by other videos.
    pub coding: VideoCoding,
    /// What standard output carries.
    pub stdout: StdoutFormat,
    /// Quality of JPEG pictures there, 1 to 100.
    pub jpeg_quality: u8,
    /// Ends every wait at once, when it is too late to finish in order.
    pub abort: Stop,
    /// An encoder or a server that takes no picture for so long has failed. Zero: wait for ever.
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

/// A picture, and all that belongs to it.
#[derive(Debug)]
pub struct SinkPicture<'a> {
    /// Its pixels.
    pub picture: &'a Composed,
    /// When it is shown. The first decides when a video begins.
    pub time: Timestamp,
    /// What belongs to it; its sound is that which is heard before it.
    pub beside: PictureExtras,
}

/// Takes pictures in order. Dropped without [`OrderedSink::finish`] it leaves nothing under a final
/// name. A video file that has pictures stays under its unfinished name then.
pub trait OrderedSink: Send {
    /// Takes the next picture. Only files may follow a size that changes: see
    /// [`SinkOptions::still`]. After an error the sink is of no more use.
    fn write(&mut self, picture: SinkPicture<'_>) -> Result<(), SinkError>;

    /// Completes what was written, and the sound behind it, and gives it its name.
    fn finish(self: Box<Self>, rest: Vec<SoundPacket>) -> Result<(), SinkError>;
}

/// Opens a sink that takes pictures in order. Whether a video's format can hold them, and its file
/// be made, shows here; whether a server takes a stream shows with the first pictures.
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
