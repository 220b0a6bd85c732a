//! The settings of sources as one place gives them.
use clap::Args;
use serde::{Deserialize, Serialize};

const READ: &str = "Reading the source";

/// The settings of sources, for `run` and `camera`.
#[derive(Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub struct SourceLayer {
    /// Frames per second to take from the source [default: its own rate; camera: 10]
    #[arg(long, env = "FPS", value_name = "N", allow_negative_numbers = true, help_heading = READ)]
    pub fps: Option<f64>,

    /// Shrink wider pictures to this width [default: never; camera: 640]
    #[arg(
        long,
        env = "MAX_WIDTH",
        value_name = "PIXELS",
        allow_negative_numbers = true,
        help_heading = READ
    )]
    pub max_width: Option<i64>,

    /// Deinterlace: auto (if the video says that it is interlaced), or off
    #[arg(long, env = "MATTEBOX_DEINTERLACE", value_name = "WHEN", help_heading = READ)]
    pub deinterlace: Option<String>,

    /// Start the source again when it ends
    #[arg(
        long = "loop",
        env = "MATTEBOX_LOOP",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help_heading = READ
    )]
    #[serde(rename = "loop")]
    pub repeat: Option<bool>,

    /// Read a file at its own speed instead of as fast as possible
    #[arg(
        long,
        env = "MATTEBOX_REALTIME",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help_heading = READ
    )]
    pub realtime: Option<bool>,

    /// Skip the beginning: 90, 1m30s or 00:01:30
    #[arg(long, env = "MATTEBOX_START", value_name = "TIME", help_heading = READ)]
    pub start: Option<String>,

    /// Stop after this much of the source: 90, 1m30s or 00:01:30
    #[arg(long, env = "MATTEBOX_DURATION", value_name = "TIME", help_heading = READ)]
    pub duration: Option<String>,

    /// Stop after this many frames of each source
    #[arg(
        long,
        env = "MATTEBOX_FRAMES",
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = READ
    )]
    pub frames: Option<i64>,

    /// A source without a frame for this long has stalled: a live source is reconnected, a file is
    /// an error [default: live 10s, a file over the network 60s, other files never]
    #[arg(long, env = "MATTEBOX_STALL_TIMEOUT", value_name = "TIME", help_heading = READ)]
    pub stall_timeout: Option<String>,

    /// How long to try at the start to reach a broker, or the only live source of a run without
    /// --view; there is no limit for other live sources
    #[arg(long, env = "MATTEBOX_CONNECT_TIMEOUT", value_name = "TIME", help_heading = READ)]
    pub connect_timeout: Option<String>,

    /// Ask a camera of this machine for this size, for example 1280x720 (--max-width makes any
    /// source smaller)
    #[arg(long, env = "MATTEBOX_SIZE", value_name = "WxH", help_heading = READ)]
    pub size: Option<String>,

    /// Format of the source: for a camera of this machine that of its pictures, such as mjpeg, for
    /// other sources one of `ffmpeg -demuxers`
    #[arg(long, env = "MATTEBOX_INPUT_FORMAT", value_name = "NAME", help_heading = READ)]
    pub input_format: Option<String>,

    /// How an RTSP server sends: auto (TCP, or UDP where the server refuses it), tcp or udp
    #[arg(long, env = "MATTEBOX_RTSP_TRANSPORT", value_name = "HOW", help_heading = READ)]
    pub rtsp_transport: Option<String>,

    /// Hardware that decodes: none, auto, or one of `ffmpeg -hwaccels`; if it does not work, the
    /// processor decodes
    #[arg(long, env = "MATTEBOX_HWACCEL", value_name = "NAME", help_heading = READ)]
    pub hwaccel: Option<String>,

    /// Any option of FFmpeg for its input; repeat the flag for more: fflags=nobuffer stands for
    /// -fflags nobuffer
    #[arg(long, env = "MATTEBOX_INPUT_OPTION", value_name = "NAME=VALUE", help_heading = READ)]
    pub input_option: Option<Vec<String>>,

    /// The largest picture that is decoded, in millions of pixels
    #[arg(
        long,
        env = "MATTEBOX_MAX_MEGAPIXELS",
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = READ
    )]
    pub max_megapixels: Option<i64>,

    /// The ffmpeg program; ffprobe is expected beside it
    #[arg(long, env = "MATTEBOX_FFMPEG", value_name = "PATH", help_heading = READ)]
    pub ffmpeg: Option<String>,
}
