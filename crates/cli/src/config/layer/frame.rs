//! The settings of frames as one place gives them.
use clap::Args;
use serde::{Deserialize, Serialize};

const WHAT: &str = "Output";
const RUN: &str = "Performance and monitoring";

/// The settings of frames, for `run` and `worker`.
#[derive(Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub struct FrameLayer {
    /// gray, a CSS colour, #RRGGBB, blur[:SIGMA], transparent, image:PATH or video:PATH
    #[arg(short, long, env = "MATTEBOX_BACKGROUND", value_name = "WHAT", help_heading = WHAT)]
    pub background: Option<String>,

    /// soft (steady edges), hard (MediaPipe's category mask), fine (finer edges, drawn in key
    /// frames) or fine:always (in every frame, at ten to twenty times the cost;
    /// docs/guide/models.md says what both need)
    #[arg(long, env = "MATTEBOX_MATTE", value_name = "KIND", help_heading = WHAT)]
    pub matte: Option<String>,

    /// The people to show: all, nearest (the largest in the picture) or a number from 1 to 9; the
    /// others become background
    #[arg(long, env = "MATTEBOX_PEOPLE", value_name = "WHO", help_heading = WHAT)]
    pub people: Option<String>,

    /// auto: learn the room behind the people while the camera stands still, which finds lost hands
    /// and arms; or off
    #[arg(long, env = "MATTEBOX_PLATE", value_name = "MODE", help_heading = WHAT)]
    pub plate: Option<String>,

    /// Remove colour spill of the old room from edges, and veils where colours show the room
    #[arg(
        long,
        env = "MATTEBOX_FOREGROUND_CLEANUP",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help_heading = WHAT
    )]
    pub foreground_cleanup: Option<bool>,

    /// Reuse the last matte while nothing moves (hard: while the picture is exactly the same), and
    /// the file of a picture that repeats
    #[arg(
        long,
        env = "MATTEBOX_SKIP_STILL",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help_heading = WHAT
    )]
    pub skip_still: Option<bool>,

    /// Picture files: png, jpg or webp; on standard output png, jpg, mjpeg, raw, y4m or mpegts
    #[arg(long, env = "MATTEBOX_FORMAT", value_name = "FORMAT", help_heading = WHAT)]
    pub format: Option<String>,

    /// Quality of JPEG files, 1 to 100
    #[arg(
        long,
        env = "JPEG_QUALITY",
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = WHAT
    )]
    pub jpeg_quality: Option<i64>,

    /// If a file is already there: overwrite, skip or fail. A run removes the frames of an earlier
    /// run from a folder that a flag or a file names only if overwrite is given
    #[arg(long, env = "MATTEBOX_ON_EXISTING", value_name = "WHAT", help_heading = WHAT)]
    pub on_existing: Option<String>,

    /// Another network instead of the built-in one: a .tflite file of the selfie segmentation
    /// family, or a .onnx file with one picture in and one mask out; "landscape" is the built-in
    /// 144x256 one
    #[arg(long, env = "SEG_MODEL_PATH", value_name = "PATH", help_heading = WHAT)]
    pub model: Option<String>,

    /// Threads that work on frames [default: one per core]
    #[arg(
        short,
        long,
        env = "MATTEBOX_THREADS",
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = RUN
    )]
    pub threads: Option<i64>,

    /// Vector instructions: scalar, sse4.2, avx2, avx512 or neon [default: the best that this
    /// processor has]
    #[arg(long, env = "MATTEBOX_SIMD", value_name = "LEVEL", help_heading = RUN)]
    pub simd: Option<String>,
}
