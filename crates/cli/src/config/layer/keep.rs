//! How long files are kept.
use clap::Args;
use serde::{Deserialize, Serialize};

const WHAT: &str = "Output";

/// The settings of `run`, `worker` and `prune` for old files.
#[derive(Clone, Default, PartialEq, Args, Serialize, Deserialize)]
pub struct KeepLayer {
    /// Remove files of the output folder that are older than this: 7d, 12h [default: off, every
    /// file stays]
    #[arg(long, env = "MATTEBOX_KEEP", value_name = "TIME", help_heading = WHAT)]
    pub keep: Option<String>,

    /// Remove the oldest files while the output folder is larger than this: 50GB, 500MiB [default:
    /// off]
    #[arg(long, env = "MATTEBOX_KEEP_BYTES", value_name = "SIZE", help_heading = WHAT)]
    pub keep_bytes: Option<String>,
}
