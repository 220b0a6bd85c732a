//! The checked settings of every command that uses Kafka.
use mattebox_core::codec::Limits;
use mattebox_engine::{FrameSettings, address::Secret, trace::TraceSettings};
use mattebox_media::source::{CameraSource, SourceOptions};
use mattebox_store::{NameTemplate, OnExisting};
use mattebox_wire::{StartAt, Wire};
use rdkafka::{ClientConfig, config::RDKafkaLogLevel};
use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

/// A broker and a topic, and the options of a connection.
#[derive(Debug, Clone)]
pub struct BrokerSettings {
    /// `HOST:PORT`, several with commas.
    pub bootstrap: String,
    /// The topic of the frames.
    pub topic: String,
    /// Security and the user's own options, as properties of librdkafka. The user's own come last
    /// and override the others.
    properties: Vec<(String, Secret)>,
}

impl BrokerSettings {
    /// `properties` are librdkafka's; of two with one name the later one wins.
    pub fn new(bootstrap: String, topic: String, properties: Vec<(String, Secret)>) -> Self {
        BrokerSettings {
            bootstrap,
            topic,
            properties,
        }
    }

    /// A configuration with `ours` under the user's own options.
    pub fn client(&self, ours: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        // The reason why a connection failed is among these lines.
        config.set_log_level(RDKafkaLogLevel::Info);
        config.set("client.id", "mattebox");
        // Reconnects soon after a short absence of the broker.
        config.set("reconnect.backoff.max.ms", "2000");
        for (name, value) in ours {
            config.set(*name, *value);
        }
        for (name, value) in &self.properties {
            config.set(name, value.reveal());
        }
        config
    }

    /// Whether connections are encrypted.
    pub fn has_tls(&self) -> bool {
        self.option("security.protocol")
            .is_some_and(|protocol| protocol.to_ascii_lowercase().ends_with("ssl"))
    }

    /// The user's value of a property of librdkafka, if any.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.properties
            .iter()
            .rev()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.reveal())
    }
}

/// Checks the name of a topic by Kafka's rules.
pub fn topic_name(name: &str) -> Result<(), &'static str> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match name {
        "" | "." | ".." => Err("give a topic a name"),
        _ if name.len() > 249 => Err("the name of a topic has at most 249 characters"),
        _ if !name.chars().all(fine) => {
            Err("only letters, digits, '.', '_' and '-' are allowed in a topic's name")
        }
        _ => Ok(()),
    }
}

/// Why a topic cannot be the topic of frames: the user named another one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FramesTopicError {
    /// Kafka does not allow the name.
    #[error("{0}")]
    Name(&'static str),
    /// A topic that is kept beside a topic of frames.
    #[error("that is where the {content} of topic {frames} are kept: give the topic of the frames")]
    Kept {
        /// Its records.
        content: &'static str,
        /// The topic of frames.
        frames: String,
    },
}

/// Checks the name of a topic of frames. It cannot be a topic that is kept beside one.
pub fn frames_topic_name(name: &str) -> Result<(), FramesTopicError> {
    topic_name(name).map_err(FramesTopicError::Name)?;
    for (suffix, content) in [(".dead", "dead letters"), (".names", "names")] {
        if let Some(frames) = name
            .strip_suffix(suffix)
            .filter(|frames| !frames.is_empty())
        {
            return Err(FramesTopicError::Kept {
                content,
                frames: frames.to_owned(),
            });
        }
    }
    Ok(())
}

/// Everything `mattebox camera` needs to know.
#[derive(Debug, Clone)]
pub struct CameraSettings {
    /// The cameras, each with its own name.
    pub cameras: Vec<CameraSource>,
    /// How sources are read. `repeat` combines `--loop` and `--once`.
    pub source: SourceOptions,
    /// Where frames are published.
    pub broker: BrokerSettings,
    /// How a frame is written.
    pub wire: Wire,
    /// Of the published JPEG pictures, 1 to 100.
    pub jpeg_quality: u8,
    /// Motion JPEG is published without decoding it where possible.
    pub passthrough: bool,
    /// Partitions of a topic that has to be created.
    pub partitions: i32,
    /// Copies of each of its partitions.
    pub replication_factor: i32,
    /// Frames of each camera that wait while the broker is away.
    pub buffer_frames: usize,
    /// Frames per camera after which it ends.
    pub frames: Option<u64>,
    /// Where traces go, if they are on.
    pub trace: Option<TraceSettings>,
    /// How long the frames in flight may take after the first signal.
    pub shutdown_timeout: Duration,
}

/// Where a worker's results go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerSink {
    /// A folder with a subfolder for each camera.
    Directory(PathBuf),
    /// The topic of this name.
    Topic(String),
}

/// How a worker reacts when records were removed before it processed them, or their topic was
/// created again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnGap {
    /// It logs how many are lost and goes on with the oldest that is left.
    #[default]
    Continue,
    /// It ends with an error.
    Fail,
}

/// How a worker reacts when the state of a camera is missing or unreadable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnMissingState {
    /// It logs this and begins the camera's matte again.
    #[default]
    Restart,
    /// It ends with an error.
    Fail,
}

/// Everything `mattebox worker` needs to know.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Where frames come from.
    pub broker: BrokerSettings,
    /// The consumer group.
    pub group: String,
    /// A name that this worker keeps over restarts.
    pub instance_id: Option<String>,
    /// Where it begins in the topic.
    pub from: StartAt,
    /// It ends when the records that existed at its start are done.
    pub until_end: bool,
    /// Older frames are skipped.
    pub max_age: Option<Duration>,
    /// After this time without a frame a camera is not shown any more.
    pub forget: Duration,
    /// How long to try to reach the broker at the start.
    pub connect_timeout: Duration,
    /// A warning is given when more than this share of a camera's last records is dead.
    pub dead_share: f64,
    /// The number of these last records.
    pub dead_window: usize,
    /// How often offsets are committed.
    pub commit_interval: Duration,
    /// With many cameras offsets are committed less often, so that states do not fill the network.
    pub bounds_states: bool,
    /// Files are on the disk before their offsets are committed.
    pub fsync: bool,
    /// Where results go.
    pub sink: WorkerSink,
    /// The pattern of file names.
    pub names: NameTemplate,
    /// How each frame is to be processed.
    pub frame: FrameSettings,
    /// The file with the settings of single cameras.
    pub camera_settings: Option<PathBuf>,
    /// How an existing file is treated.
    pub on_existing: OnExisting,
    /// The reaction to lost records.
    pub on_gap: OnGap,
    /// The reaction to a missing state.
    pub on_missing_state: OnMissingState,
    /// Threads that process frames.
    pub threads: NonZeroUsize,
    /// Where traces go, if they are on.
    pub trace: Option<TraceSettings>,
    /// How long the frames in flight may take after the first signal.
    pub shutdown_timeout: Duration,
}

/// Everything `mattebox dead-letters` needs to know.
#[derive(Debug, Clone)]
pub struct DeadLetterSettings {
    /// The broker, and the topic of the frames.
    pub broker: BrokerSettings,
    /// How long to try to reach the broker.
    pub connect_timeout: Duration,
}

/// Everything `mattebox view` needs to know about the topic of results.
#[derive(Debug, Clone)]
pub struct WatchSettings {
    /// How the broker is reached.
    pub broker: BrokerSettings,
    /// The topic of results.
    pub results: String,
    /// How long to try to reach the broker, and to wait for the topic.
    pub connect_timeout: Duration,
    /// Larger pictures are not shown.
    pub limits: Limits,
    /// After this time without a result a camera is not shown any more.
    pub forget: Duration,
}
