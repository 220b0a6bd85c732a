//! What `mattebox worker` can be told.
use super::{KafkaLayer, KeepLayer, Layer, MadeLayer, SayLayer, TopicViewLayer, TraceLayer};
use clap::Args;
use serde::{Deserialize, Serialize};

const WHAT: &str = "Output";
const RUN: &str = "Performance and monitoring";
const LOG: &str = "Reading the topic";

/// Everything that `mattebox worker` can be told.
#[derive(Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub struct WorkerLayer {
    /// Where the result goes: a folder (OUT/ID/frame_000000.png), or topic:NAME
    #[arg(short, long, env = "OUTPUT_DIR", value_name = "OUT", help_heading = WHAT)]
    pub out: Option<String>,

    /// Background, matte and more of single cameras, a table for each: `[door]`, `background = "blur"`. Read again when it changes
    #[arg(long, env = "MATTEBOX_CAMERA_SETTINGS", value_name = "FILE", help_heading = WHAT)]
    pub camera_settings: Option<String>,

    /// How files are called: number (ID/frame_000000.png) or a template, as {camera}/{date}/{hour}/frame_{number}; also {minute}. The
    /// time is that of the record, in UTC
    #[arg(long, env = "MATTEBOX_NAME", value_name = "HOW", help_heading = WHAT)]
    pub name: Option<String>,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub keep: KeepLayer,

    /// The consumer group: workers of one group share the partitions
    #[arg(long, env = "MATTEBOX_GROUP", value_name = "NAME", help_heading = LOG)]
    pub group: Option<String>,

    /// Where a group without an offset begins: earliest, latest, or a time (2026-01-31T12:00:00Z, or unix seconds)
    #[arg(long, env = "MATTEBOX_FROM", value_name = "WHERE", help_heading = LOG)]
    pub from: Option<String>,

    /// Where it stops: end (of what is there at the start) or never
    #[arg(long, env = "MATTEBOX_UNTIL", value_name = "WHERE", help_heading = LOG)]
    pub until: Option<String>,

    /// Skip frames that are older than --max-age rather than fall behind
    #[arg(long, env = "MATTEBOX_LIVE", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = LOG)]
    pub live: Option<bool>,

    /// How old a frame may be with --live, from when it was taken
    #[arg(long, env = "MATTEBOX_MAX_AGE", value_name = "TIME", help_heading = LOG)]
    pub max_age: Option<String>,

    /// The largest picture that is decoded, in millions of pixels
    #[arg(long, env = "MATTEBOX_MAX_MEGAPIXELS", value_name = "N", allow_negative_numbers = true, help_heading = LOG)]
    pub max_megapixels: Option<i64>,

    /// How long to try to reach the broker at the start
    #[arg(long, env = "MATTEBOX_CONNECT_TIMEOUT", value_name = "TIME", help_heading = LOG)]
    pub connect_timeout: Option<String>,

    /// Warn when more than this share of a camera's last records (--dead-window) is dead, 0 to 1
    #[arg(long, env = "MATTEBOX_DEAD_SHARE", value_name = "SHARE", allow_negative_numbers = true, help_heading = LOG)]
    pub dead_share: Option<f64>,

    /// How many of a camera's last records --dead-share looks at
    #[arg(long, env = "MATTEBOX_DEAD_WINDOW", value_name = "N", allow_negative_numbers = true, help_heading = LOG)]
    pub dead_window: Option<i64>,

    /// How often states and offsets are committed, behind the output that they stand for (results in a topic: 500ms; more than 140
    /// cameras: at most 70 states a second, up to 30s)
    #[arg(long, env = "MATTEBOX_COMMIT_INTERVAL", value_name = "TIME", help_heading = RUN)]
    pub commit_interval: Option<String>,

    /// When records were removed before they were processed, or their topic was made again: continue (tell how many are lost and
    /// go on with the oldest that is left) or fail
    #[arg(long, env = "MATTEBOX_ON_GAP", value_name = "WHAT", help_heading = RUN)]
    pub on_gap: Option<String>,

    /// When the state of a camera is missing or unreadable: restart (tell so and begin its matte again) or fail
    #[arg(long, env = "MATTEBOX_ON_MISSING_STATE", value_name = "WHAT", help_heading = RUN)]
    pub on_missing_state: Option<String>,

    /// Bring files to the disk before their offsets are committed, so that they outlive a power failure
    #[arg(long, env = "MATTEBOX_FSYNC", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = RUN)]
    pub fsync: Option<bool>,

    /// A name for this worker that it keeps over restarts, so that the broker knows it again at once
    #[arg(long, env = "MATTEBOX_INSTANCE_ID", value_name = "NAME", help_heading = RUN)]
    pub instance_id: Option<String>,

    /// Serve /metrics, /healthz and /readyz at this address, for example 127.0.0.1:9465
    #[arg(long, env = "MATTEBOX_METRICS", value_name = "ADDR", help_heading = RUN)]
    pub metrics: Option<String>,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub trace: TraceLayer,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub made: MadeLayer,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub kafka: KafkaLayer,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub view: TopicViewLayer,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub say: SayLayer,
}

impl Layer for WorkerLayer {
    const COMMAND: &'static str = "worker";

    fn say(&self) -> &SayLayer {
        &self.say
    }

    fn say_mut(&mut self) -> &mut SayLayer {
        &mut self.say
    }
}
