//! What `mattebox dead-letters` can be told.
use super::{KafkaLayer, Layer, SayLayer};
use clap::Args;
use serde::{Deserialize, Serialize};

/// Everything that `mattebox dead-letters` can be told, whatever it is to do.
#[derive(Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub struct LettersLayer {
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
    pub say: SayLayer,
}

impl Layer for LettersLayer {
    const COMMAND: &'static str = "dead-letters";

    fn say(&self) -> &SayLayer {
        &self.say
    }

    fn say_mut(&mut self) -> &mut SayLayer {
        &mut self.say
    }
}
