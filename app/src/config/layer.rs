//! Settings as one place gives them: the command line, the environment, a file or the defaults.
use clap::Args;
use serde::{Deserialize, Serialize};

const WHAT: &str = "What is made";
const READ: &str = "Reading the source";
const RUN: &str = "How it runs";
const SAY: &str = "What it says";

/// Everything that `mattebox run` can be told. A field is `None` where this layer says nothing; names are those of the flags
/// and of the keys in a settings file.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunLayer {
    /// What to read: a file or URL that FFmpeg can read, a device (number or /dev/videoN), a folder or glob of pictures,
    /// lavfi:GRAPH, or - for standard input. Several sources at once: NAME=SOURCE NAME=SOURCE ...
    #[arg(value_name = "SOURCE", env = "VIDEO_SRC")]
    pub source: Option<Vec<String>>,

    /// Name of the camera (one source): the folder of its files
    #[arg(long, env = "CAMERA_ID", value_name = "ID", help_heading = WHAT)]
    pub camera_id: Option<String>,

    /// Where the result goes: a folder (OUT/ID/frame_000000.png), a video file (.mp4 .webm .mov .mkv .gif), an FFmpeg URL
    /// (rtsp:// rtmp:// srt:// udp://), or - for standard output. {camera} stands for the camera's name
    #[arg(short, long, env = "OUTPUT_DIR", value_name = "OUT", help_heading = WHAT)]
    pub out: Option<String>,

    /// gray, a CSS colour, #RRGGBB, blur[:SIGMA], transparent, image:PATH or video:PATH
    #[arg(short, long, env = "MATTEBOX_BACKGROUND", value_name = "WHAT", help_heading = WHAT)]
    pub background: Option<String>,

    /// soft (best edges) or hard (MediaPipe's category mask)
    #[arg(long, env = "MATTEBOX_MATTE", value_name = "KIND", help_heading = WHAT)]
    pub matte: Option<String>,

    /// Take the old room's light out of the person's edge
    #[arg(long, env = "MATTEBOX_FOREGROUND_CLEANUP", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = WHAT)]
    pub foreground_cleanup: Option<bool>,

    /// Use the last matte again while the picture stands still but for the camera's noise (hard: while it is exactly the same)
    #[arg(long, env = "MATTEBOX_SKIP_STILL", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = WHAT)]
    pub skip_still: Option<bool>,

    /// Picture files: png, jpg or webp; on standard output also raw
    #[arg(long, env = "MATTEBOX_FORMAT", value_name = "FORMAT", help_heading = WHAT)]
    pub format: Option<String>,

    /// Quality of JPEG files, 1 to 100
    #[arg(long, env = "JPEG_QUALITY", value_name = "N", allow_negative_numbers = true, help_heading = WHAT)]
    pub jpeg_quality: Option<i64>,

    /// Write the mattes too, as grey PNG files below this folder
    #[arg(long, env = "MATTEBOX_ALPHA_OUT", value_name = "DIR", help_heading = WHAT)]
    pub alpha_out: Option<String>,

    /// A file that is already there: overwrite, skip or fail
    #[arg(long, env = "MATTEBOX_ON_EXISTING", value_name = "WHAT", help_heading = WHAT)]
    pub on_existing: Option<String>,

    /// A .tflite file of the selfie segmentation family instead of the built-in network; "landscape" is the built-in 144x256 one
    #[arg(long, env = "SEG_MODEL_PATH", value_name = "PATH", help_heading = WHAT)]
    pub model: Option<String>,

    /// Frames per second to take from the source [default: its own rate]
    #[arg(long, env = "FPS", value_name = "N", allow_negative_numbers = true, help_heading = READ)]
    pub fps: Option<f64>,

    /// Shrink wider pictures to this width [default: never]
    #[arg(long, env = "MAX_WIDTH", value_name = "PIXELS", allow_negative_numbers = true, help_heading = READ)]
    pub max_width: Option<i64>,

    /// Start the source again when it ends
    #[arg(long = "loop", env = "MATTEBOX_LOOP", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = READ)]
    #[serde(rename = "loop")]
    pub repeat: Option<bool>,

    /// Read a file at its own speed instead of as fast as possible
    #[arg(long, env = "MATTEBOX_REALTIME", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = READ)]
    pub realtime: Option<bool>,

    /// Skip the beginning: 90, 1m30s or 00:01:30
    #[arg(long, env = "MATTEBOX_START", value_name = "TIME", help_heading = READ)]
    pub start: Option<String>,

    /// Stop after this much of the source: 90, 1m30s or 00:01:30
    #[arg(long, env = "MATTEBOX_DURATION", value_name = "TIME", help_heading = READ)]
    pub duration: Option<String>,

    /// Stop after this many frames of each source
    #[arg(long, env = "MATTEBOX_FRAMES", value_name = "N", allow_negative_numbers = true, help_heading = READ)]
    pub frames: Option<i64>,

    /// A source without a picture for this long has stalled: a live one is reconnected, a file is an error
    #[arg(long, env = "MATTEBOX_STALL_TIMEOUT", value_name = "TIME", help_heading = READ)]
    pub stall_timeout: Option<String>,

    /// How long to try to reach a live source at the start
    #[arg(long, env = "MATTEBOX_CONNECT_TIMEOUT", value_name = "TIME", help_heading = READ)]
    pub connect_timeout: Option<String>,

    /// The largest picture that is decoded, in millions of pixels
    #[arg(long, env = "MATTEBOX_MAX_MEGAPIXELS", value_name = "N", allow_negative_numbers = true, help_heading = READ)]
    pub max_megapixels: Option<i64>,

    /// Threads that work on frames [default: one per core]
    #[arg(short, long, env = "MATTEBOX_THREADS", value_name = "N", allow_negative_numbers = true, help_heading = RUN)]
    pub threads: Option<i64>,

    /// Drop the oldest waiting frame rather than fall behind [default: for devices and network streams]
    #[arg(long, env = "MATTEBOX_LIVE", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", help_heading = RUN)]
    pub live: Option<bool>,

    /// After the first Ctrl-C, how long frames on their way may take
    #[arg(long, env = "MATTEBOX_SHUTDOWN_TIMEOUT", value_name = "TIME", help_heading = RUN)]
    pub shutdown_timeout: Option<String>,

    /// Vector instructions: scalar, sse4.2, avx2, avx512 or neon [default: the best that this processor has]
    #[arg(long, env = "MATTEBOX_SIMD", value_name = "LEVEL", help_heading = RUN)]
    pub simd: Option<String>,

    /// The ffmpeg program; ffprobe is expected beside it
    #[arg(long, env = "MATTEBOX_FFMPEG", value_name = "PATH", help_heading = RUN)]
    pub ffmpeg: Option<String>,

    /// error, warn, info, debug or trace
    #[arg(long, env = "MATTEBOX_LOG_LEVEL", value_name = "LEVEL", help_heading = SAY)]
    pub log_level: Option<String>,

    /// text or json
    #[arg(long, env = "MATTEBOX_LOG_FORMAT", value_name = "FORMAT", help_heading = SAY)]
    pub log_format: Option<String>,

    /// auto (bar on a terminal, lines elsewhere), bar, lines or none
    #[arg(long, env = "MATTEBOX_PROGRESS", value_name = "HOW", help_heading = SAY)]
    pub progress: Option<String>,
}
