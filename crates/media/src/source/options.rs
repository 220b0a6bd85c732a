//! How to read a source.
use super::choices::{FrameSize, HardwareDecoder, InputFormat, RtspTransport};
use super::{InputOption, SourceError, SourceSpec};
use mattebox_core::codec::Limits;
use mattebox_engine::status::Status;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// How to read a source.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceOptions {
    /// Pictures per second: pictures are dropped or repeated to match. `None`: every picture of the
    /// source.
    pub fps: Option<f64>,
    /// Wider pictures are scaled down to this width in pixels, with their proportions.
    pub max_width: Option<u32>,
    /// Pictures whose pixels are not square, as on DVDs, are scaled to square pixels. If false,
    /// they stay unchanged, with [`crate::beside::PictureExtras::pixel_aspect`].
    pub square_pixels: bool,
    /// Interlaced pictures are deinterlaced, so that moving edges show no comb.
    pub deinterlace: bool,
    /// Sound is read along with the pictures.
    pub sound: bool,
    /// Threads that decode one source. `None`: FFmpeg's own choice, which is more than the machine
    /// has.
    pub decode_threads: Option<NonZeroUsize>,
    /// Begin again at the end.
    pub repeat: bool,
    /// Read a file at its own rate, and not faster.
    pub realtime: bool,
    /// Skip this much from the beginning.
    pub start: Option<Duration>,
    /// End after this time.
    pub duration: Option<Duration>,
    /// The longest wait for a picture. After it a live source is connected again, and any other
    /// fails. Zero: wait for ever. `None`: 10 seconds for a live source, a minute for a file over
    /// the network, for ever for other files, which are slow only on a slow machine.
    pub stall_timeout: Option<Duration>,
    /// A live source must give its first picture within this time.
    pub connect_timeout: Duration,
    /// Keep trying a live source that gives no picture within that time, and a camera that is not
    /// plugged in. Errors that waiting cannot mend stay errors.
    pub keep_trying: bool,
    /// Connect a live source again after it was lost. If false, its end is the end.
    pub reconnect: bool,
    /// The transport of RTSP.
    pub rtsp_transport: RtspTransport,
    /// The size to request from a camera of this machine. Other sources have their own.
    pub size: Option<FrameSize>,
    /// The format of the source. `None`: FFmpeg finds it.
    pub input_format: Option<InputFormat>,
    /// The hardware that decodes.
    pub hwaccel: HardwareDecoder,
    /// Further options of FFmpeg for the source.
    pub input_options: Vec<InputOption>,
    /// Larger pictures are an error.
    pub limits: Limits,
    /// The FFmpeg program: a path, or a name to be found in PATH.
    pub ffmpeg: PathBuf,
    /// The status that the source sets when it is lost. Each source needs its own.
    pub status: Status,
}

impl Default for SourceOptions {
    fn default() -> Self {
        SourceOptions {
            fps: None,
            max_width: None,
            square_pixels: true,
            deinterlace: true,
            sound: false,
            decode_threads: None,
            repeat: false,
            realtime: false,
            start: None,
            duration: None,
            stall_timeout: None,
            connect_timeout: Duration::from_secs(15),
            keep_trying: false,
            reconnect: true,
            rtsp_transport: RtspTransport::default(),
            size: None,
            input_format: None,
            hwaccel: HardwareDecoder::default(),
            input_options: Vec::new(),
            limits: Limits::default(),
            ffmpeg: "ffmpeg".into(),
            status: Status::default(),
        }
    }
}

/// The default for the longest wait for a picture of a live source.
const LIVE_STALL: Duration = Duration::from_secs(10);
/// The same for a file over the network.
const NETWORK_STALL: Duration = Duration::from_secs(60);

impl SourceOptions {
    /// [`SourceOptions::stall_timeout`] of a live source.
    pub(super) fn live_stall(&self) -> Duration {
        self.stall_timeout.unwrap_or(LIVE_STALL)
    }

    /// [`SourceOptions::stall_timeout`] of a source with an end. Zero: for ever.
    pub(super) fn file_stall(&self, over_network: bool) -> Duration {
        self.stall_timeout.unwrap_or(if over_network {
            NETWORK_STALL
        } else {
            Duration::ZERO
        })
    }

    /// Refuses values that no source can use.
    pub(super) fn check(&self, spec: &SourceSpec) -> Result<(), SourceError> {
        let refuse = |problem: String| {
            Err(SourceError::Usage {
                name: spec.to_string(),
                problem,
            })
        };
        match (self.fps, self.max_width, spec) {
            (Some(fps), _, _) if !(fps > 0.0 && fps <= 1000.0) => refuse(format!(
                "{fps} pictures per second: give a number over 0 and up to 1000"
            )),
            (_, Some(0), _) => refuse("a width of 0 pixels: give at least 1".to_owned()),
            (_, _, SourceSpec::Stdin) if self.repeat => refuse(
                "it can be read only once, so it cannot be repeated: save it to a file first"
                    .to_owned(),
            ),
            _ => Ok(()),
        }
    }
}
