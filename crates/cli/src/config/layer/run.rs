//! The settings of `mattebox run` as one place gives them.
use super::{
    FrameLayer, KeepLayer, MessagesLayer, PageLayer, SettingsLayer, SourceLayer, TraceLayer,
};
use clap::Args;
use serde::{Deserialize, Serialize};

const WHAT: &str = "Output";
const RUN: &str = "Performance and monitoring";

/// The settings of `mattebox run`.
#[derive(Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub struct RunLayer {
    /// What to read: a file or URL that FFmpeg can read, a device (number or /dev/videoN), a folder
    /// or glob of pictures, lavfi:GRAPH, or - for standard input. Several sources at once:
    /// NAME=SOURCE NAME=SOURCE ...
    #[arg(value_name = "SOURCE", env = "VIDEO_SRC")]
    pub source: Option<Vec<String>>,

    /// Name of the camera (one source): the folder of its files
    #[arg(long, env = "CAMERA_ID", value_name = "ID", help_heading = WHAT)]
    pub camera_id: Option<String>,

    /// The output: a folder (OUT/ID/frame_000000.png; write NAME/ if the name ends like that of a
    /// file), a video file or named pipe (.mp4 .mov .mkv .webm .ts .gif), an FFmpeg URL (rtsp://
    /// rtmp:// srt:// udp://), - for standard output, or none (with --view). {camera} stands for
    /// the camera's name. A file that is read is never replaced
    #[arg(short, long, env = "OUTPUT_DIR", value_name = "OUT", help_heading = WHAT)]
    pub out: Option<String>,

    /// Begin a new video file after this time: 10m, 1h. The files are numbered, rec-0000.mkv and so
    /// on; no file is replaced
    #[arg(long, env = "MATTEBOX_SEGMENT", value_name = "TIME", help_heading = WHAT)]
    pub segment: Option<String>,

    /// Write the mattes too, as grey PNG files below this folder
    #[arg(long, env = "MATTEBOX_ALPHA_OUT", value_name = "DIR", help_heading = WHAT)]
    pub alpha_out: Option<String>,

    /// H.264 encoder of videos: software (libx264), auto (the first hardware encoder that works,
    /// else libx264), or one of `ffmpeg -encoders`, such as h264_nvenc or libx265
    #[arg(long, env = "MATTEBOX_VIDEO_ENCODER", value_name = "NAME", help_heading = WHAT)]
    pub video_encoder: Option<String>,

    /// The preset of libx264: ultrafast, superfast, veryfast and so on to veryslow. Slower ones
    /// make smaller files
    #[arg(long, env = "MATTEBOX_VIDEO_PRESET", value_name = "PRESET", help_heading = WHAT)]
    pub video_preset: Option<String>,

    /// Quality of videos, 0 (best, largest) to 51 [default: superfast 23, of streams 24; other
    /// presets about the same quality]
    #[arg(
        long,
        env = "MATTEBOX_CRF",
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = WHAT
    )]
    pub crf: Option<i64>,

    /// Leave the sound of the source out of a video or stream
    #[arg(
        long,
        env = "MATTEBOX_NO_AUDIO",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help_heading = WHAT
    )]
    pub no_audio: Option<bool>,

    /// Names of picture files: number (ID/frame_000000.png), keep (as in the source folder:
    /// anna.jpg becomes anna.png), or a template such as {camera}/{date}/{hour}/frame_{number};
    /// also {minute}. Times are UTC
    #[arg(long, env = "MATTEBOX_NAME", value_name = "HOW", help_heading = WHAT)]
    pub name: Option<String>,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub keep: KeepLayer,

    /// Keep the frames of an earlier run in the folder, and number the new ones above them
    #[arg(
        long,
        env = "MATTEBOX_APPEND",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help_heading = WHAT
    )]
    pub append: Option<bool>,

    /// Drop the oldest waiting frame rather than fall behind [default: for devices and network
    /// streams]
    #[arg(
        long,
        env = "MATTEBOX_LIVE",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help_heading = RUN
    )]
    pub live: Option<bool>,

    /// Serve /metrics, /healthz and /readyz at this address, for example 127.0.0.1:9463 (the live
    /// page has them too)
    #[arg(long, env = "MATTEBOX_METRICS", value_name = "ADDR", help_heading = RUN)]
    pub metrics: Option<String>,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub trace: TraceLayer,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub frame: FrameLayer,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub source_options: SourceLayer,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub view: PageLayer,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub messages: MessagesLayer,
}

impl SettingsLayer for RunLayer {
    const COMMAND: &'static str = "run";

    fn messages(&self) -> &MessagesLayer {
        &self.messages
    }

    fn messages_mut(&mut self) -> &mut MessagesLayer {
        &mut self.messages
    }
}
