//! The settings of messages and of the end of a command.
use clap::Args;
use serde::{Deserialize, Serialize};

const RUN: &str = "Performance and monitoring";
const SAY: &str = "Messages";

/// The settings of messages and of the end, for every long command.
#[derive(Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub struct MessagesLayer {
    /// After the first Ctrl-C, how long the last frames may take
    #[arg(long, env = "MATTEBOX_SHUTDOWN_TIMEOUT", value_name = "TIME", help_heading = RUN)]
    pub shutdown_timeout: Option<String>,

    /// error, warn, info, debug or trace
    #[arg(long, env = "MATTEBOX_LOG_LEVEL", value_name = "LEVEL", help_heading = SAY)]
    pub log_level: Option<String>,

    /// text or json
    #[arg(long, env = "MATTEBOX_LOG_FORMAT", value_name = "FORMAT", help_heading = SAY)]
    pub log_format: Option<String>,

    /// auto (bar on a terminal, lines elsewhere), bar, lines or none
    #[arg(long, env = "MATTEBOX_PROGRESS", value_name = "HOW", help_heading = SAY)]
    pub progress: Option<String>,
}
