//! The settings of `mattebox camera` as one place gives them.
use super::{KafkaLayer, MessagesLayer, SettingsLayer, SourceLayer, TraceLayer};
use clap::Args;
use serde::{Deserialize, Serialize};

const WHAT: &str = "Output";
const RUN: &str = "Performance and monitoring";

/// The settings of `mattebox camera`.
#[derive(Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub struct CameraLayer {
    /// What to read: a file or URL that FFmpeg can read, a device (number or /dev/videoN), a folder
    /// or glob of pictures, lavfi:GRAPH, or - for standard input. Several sources at once:
    /// NAME=SOURCE NAME=SOURCE ...
    #[arg(value_name = "SOURCE", env = "VIDEO_SRC")]
    pub source: Option<Vec<String>>,

    /// Name of the camera (one source): the key of its messages and the folder of its files
    #[arg(long, env = "CAMERA_ID", value_name = "ID", help_heading = WHAT)]
    pub camera_id: Option<String>,

    /// Quality of the published JPEG pictures, 1 to 100
    #[arg(
        long,
        env = "JPEG_QUALITY",
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = WHAT
    )]
    pub jpeg_quality: Option<i64>,

    /// How a frame is written: binary (the JPEG itself, the rest in headers) or json (the seed's, a
    /// third larger)
    #[arg(long, env = "MATTEBOX_WIRE", value_name = "FORMAT", help_heading = WHAT)]
    pub wire: Option<String>,

    /// Publish the bytes of a Motion JPEG source unchanged if size and rate fit
    #[arg(
        long,
        env = "MATTEBOX_PASSTHROUGH",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help_heading = WHAT
    )]
    pub passthrough: Option<bool>,

    /// Partitions of the topic, if it has to be made
    #[arg(
        long,
        env = "MATTEBOX_PARTITIONS",
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = WHAT
    )]
    pub partitions: Option<i64>,

    /// Copies of each partition, if the topic has to be made
    #[arg(
        long,
        env = "MATTEBOX_REPLICATION_FACTOR",
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = WHAT
    )]
    pub replication_factor: Option<i64>,

    /// Stop when the source ends: the same as --loop false
    #[arg(
        long,
        env = "MATTEBOX_ONCE",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help_heading = RUN
    )]
    pub once: Option<bool>,

    /// Frames of each camera that wait while the broker is away; then the oldest are dropped
    #[arg(
        long,
        env = "MATTEBOX_BUFFER_FRAMES",
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = RUN
    )]
    pub buffer_frames: Option<i64>,

    /// Serve /metrics, /healthz and /readyz at this address, for example 127.0.0.1:9464
    #[arg(long, env = "MATTEBOX_METRICS", value_name = "ADDR", help_heading = RUN)]
    pub metrics: Option<String>,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub trace: TraceLayer,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub kafka: KafkaLayer,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub source_options: SourceLayer,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub messages: MessagesLayer,
}

impl SettingsLayer for CameraLayer {
    const COMMAND: &'static str = "camera";

    fn messages(&self) -> &MessagesLayer {
        &self.messages
    }

    fn messages_mut(&mut self) -> &mut MessagesLayer {
        &mut self.messages
    }
}
