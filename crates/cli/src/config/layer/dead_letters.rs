//! The settings of `mattebox dead-letters` as one place gives them.
use super::{KafkaLayer, MessagesLayer, SettingsLayer};
use clap::Args;
use serde::{Deserialize, Serialize};

/// The settings of every use of `mattebox dead-letters`.
#[derive(Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub struct DeadLettersLayer {
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub kafka: KafkaLayer,

    /// How long to try to reach the broker
    #[arg(long, env = "MATTEBOX_CONNECT_TIMEOUT", value_name = "TIME")]
    pub connect_timeout: Option<String>,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub messages: MessagesLayer,
}

impl SettingsLayer for DeadLettersLayer {
    const COMMAND: &'static str = "dead-letters";

    fn messages(&self) -> &MessagesLayer {
        &self.messages
    }

    fn messages_mut(&mut self) -> &mut MessagesLayer {
        &mut self.messages
    }
}
