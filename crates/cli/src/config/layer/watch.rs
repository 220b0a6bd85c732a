//! What `mattebox view` can be told.
use super::{KafkaLayer, Layer, SayLayer, TopicViewLayer};
use clap::Args;
use serde::{Deserialize, Serialize};

/// Everything that `mattebox view` can be told.
#[derive(Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub struct WatchLayer {
    /// The topic of results, as `mattebox worker --out topic:NAME` writes it
    #[arg(value_name = "TOPIC", env = "MATTEBOX_RESULTS")]
    pub results: Option<String>,

    /// How long to try to reach the broker, and to wait for the topic
    #[arg(long, env = "MATTEBOX_CONNECT_TIMEOUT", value_name = "TIME")]
    pub connect_timeout: Option<String>,

    /// The largest picture that is decoded, in millions of pixels
    #[arg(
        long,
        env = "MATTEBOX_MAX_MEGAPIXELS",
        value_name = "N",
        allow_negative_numbers = true
    )]
    pub max_megapixels: Option<i64>,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub view: TopicViewLayer,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub kafka: KafkaLayer,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub say: SayLayer,
}

impl Layer for WatchLayer {
    const COMMAND: &'static str = "view";

    fn say(&self) -> &SayLayer {
        &self.say
    }

    fn say_mut(&mut self) -> &mut SayLayer {
        &mut self.say
    }
}
