//! The settings of `mattebox prune` as one place gives them.
use super::{KeepLayer, MessagesLayer, SettingsLayer};
use clap::Args;
use serde::{Deserialize, Serialize};

const RUN: &str = "Performance and monitoring";

/// The settings of `mattebox prune`.
#[derive(Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub struct PruneLayer {
    /// The output folder of a run, of workers or of a Spark job, or the folder of recordings
    /// (--segment)
    #[arg(value_name = "OUT", env = "OUTPUT_DIR")]
    pub out: Option<String>,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub keep: KeepLayer,

    /// Print how many files of each camera would go, and their times, and remove nothing
    #[arg(
        long,
        env = "MATTEBOX_DRY_RUN",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        help_heading = RUN
    )]
    pub dry_run: Option<bool>,

    /// Repeat after each such time until stopped [default: one round]
    #[arg(long, env = "MATTEBOX_EVERY", value_name = "TIME", help_heading = RUN)]
    pub every: Option<String>,

    /// Serve /metrics, /healthz and /readyz at this address, for example 127.0.0.1:9467 (with
    /// --every)
    #[arg(long, env = "MATTEBOX_METRICS", value_name = "ADDR", help_heading = RUN)]
    pub metrics: Option<String>,

    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub messages: MessagesLayer,
}

impl SettingsLayer for PruneLayer {
    const COMMAND: &'static str = "prune";

    fn messages(&self) -> &MessagesLayer {
        &self.messages
    }

    fn messages_mut(&mut self) -> &mut MessagesLayer {
        &mut self.messages
    }
}
