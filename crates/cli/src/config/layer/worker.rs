//! The settings of `mattebox worker` as one place gives them.
use super::{
    FrameLayer, KafkaLayer, KeepLayer, MessagesLayer, SettingsLayer, TopicPageLayer, TraceLayer,
};
use clap::Args;
use serde::{Deserialize, Serialize};

const WHAT: &str = "Output";
const RUN: &str = "Performance and monitoring";
const LOG: &str = "Reading the topic";

/// The settings of `mattebox worker`.
#[derive(Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub struct WorkerLayer {
    /// The output: a folder (OUT/ID/frame_000000.png), or topic:NAME
    #[arg(short, long, env = "OUTPUT_DIR", value_name = "OUT", help_heading = WHAT)]
    pub out: Option<String>,

    /// File with settings of single cameras, a table for each: `[door]`, `background = "blur"`. It
    /// is read again when it changes
    #[arg(long, env = "MATTEBOX_CAMERA_SETTINGS", value_name = "FILE", help_heading = WHAT)]
    pub camera_settings: Option<String>,

    /// Names of files: number (ID/frame_000000.png) or a template such as
    /// {camera}/{date}/{hour}/frame_{number}; also {minute}. The time is that of the record, in UTC
    #[arg(long, env = "MATTEBOX_NAME", value_name = "HOW", help_heading = WHAT)]
    pub name: Option<String>,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub keep: KeepLayer,

    /// The consumer group: workers of one group share the partitions
    #[arg(long, env = "MATTEBOX_GROUP", value_name = "NAME", help_heading = LOG)]
    pub group: Option<String>,

    /// Where a group without an offset begins: earliest, latest, or a time (2026-01-31T12:00:00Z,
    /// or unix seconds)
    #[arg(long, env = "MATTEBOX_FROM", value_name = "WHERE", help_heading = LOG)]
    pub from: Option<String>,

    /// Where to stop: end (of the records that are there at the start) or never
    #[arg(long, env = "MATTEBOX_UNTIL", value_name = "WHERE", help_heading = LOG)]
    pub until: Option<String>,

    /// Skip frames that are older than --max-age rather than fall behind
    #[arg(
        long,
        env = "MATTEBOX_LIVE",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help_heading = LOG
    )]
    pub live: Option<bool>,

    /// With --live, the oldest age of a frame that is not skipped, counted from its capture
    #[arg(long, env = "MATTEBOX_MAX_AGE", value_name = "TIME", help_heading = LOG)]
    pub max_age: Option<String>,

    /// The largest picture that is decoded, in millions of pixels
    #[arg(
        long,
        env = "MATTEBOX_MAX_MEGAPIXELS",
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = LOG
    )]
    pub max_megapixels: Option<i64>,

    /// How long to try at the start to reach the broker
    #[arg(long, env = "MATTEBOX_CONNECT_TIMEOUT", value_name = "TIME", help_heading = LOG)]
    pub connect_timeout: Option<String>,

    /// Warn when more than this share of a camera's last records (--dead-window) is dead, 0 to 1
    #[arg(
        long,
        env = "MATTEBOX_DEAD_SHARE",
        value_name = "SHARE",
        allow_negative_numbers = true,
        help_heading = LOG
    )]
    pub dead_share: Option<f64>,

    /// How many of a camera's last records --dead-share looks at
    #[arg(
        long,
        env = "MATTEBOX_DEAD_WINDOW",
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = LOG
    )]
    pub dead_window: Option<i64>,

    /// How often to commit states and offsets, after the output that they stand for (results in a
    /// topic: 500ms; more than 140 cameras: at most 70 states a second, up to 30s)
    #[arg(long, env = "MATTEBOX_COMMIT_INTERVAL", value_name = "TIME", help_heading = RUN)]
    pub commit_interval: Option<String>,

    /// If records were removed before they were processed, or their topic was created again:
    /// continue (report how many are lost and go on with the oldest that is left) or fail
    #[arg(long, env = "MATTEBOX_ON_GAP", value_name = "WHAT", help_heading = RUN)]
    pub on_gap: Option<String>,

    /// If the state of a camera is missing or unreadable: restart (report it and begin the matte
    /// again) or fail
    #[arg(long, env = "MATTEBOX_ON_MISSING_STATE", value_name = "WHAT", help_heading = RUN)]
    pub on_missing_state: Option<String>,

    /// Flush files to the disk before their offsets are committed, so that they survive a power
    /// failure
    #[arg(
        long,
        env = "MATTEBOX_FSYNC",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help_heading = RUN
    )]
    pub fsync: Option<bool>,

    /// A name that this worker keeps over restarts, so that the broker recognizes it at once
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
    pub frame: FrameLayer,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub kafka: KafkaLayer,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub view: TopicPageLayer,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub messages: MessagesLayer,
}

impl SettingsLayer for WorkerLayer {
    const COMMAND: &'static str = "worker";

    fn messages(&self) -> &MessagesLayer {
        &self.messages
    }

    fn messages_mut(&mut self) -> &mut MessagesLayer {
        &mut self.messages
    }
}
