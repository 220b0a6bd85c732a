//! The settings of `mattebox view` as one place gives them.
use super::{KafkaLayer, MessagesLayer, SettingsLayer, TopicPageLayer};
use clap::Args;
use serde::{Deserialize, Serialize};

/// The settings of `mattebox view`.
#[derive(Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub struct ViewLayer {
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
    pub view: TopicPageLayer,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub kafka: KafkaLayer,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub messages: MessagesLayer,
}

impl SettingsLayer for ViewLayer {
    const COMMAND: &'static str = "view";

    fn messages(&self) -> &MessagesLayer {
        &self.messages
    }

    fn messages_mut(&mut self) -> &mut MessagesLayer {
        &mut self.messages
    }
}
