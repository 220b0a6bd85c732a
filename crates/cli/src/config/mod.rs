//! Settings: flags win over environment variables, those over the TOML file, that over the defaults.
//!
//! # Layout
//!
//! * `defaults.toml`: the default of every setting that has one, compiled in, so that reference and code cannot drift.
//! * [`layer`]: the settings of each command as one of those four places gives them: every one optional, none checked.
//! * [`found`]: which settings file is in force; `file`: what it says to one command; `trust`: which settings a file may hold that was found and not
//!   named.
//! * [`resolve`]: lays the four over one another; [`origin`]: where each value came from.
//! * [`settings`]: the checked settings of `run`; [`camera`], [`worker`], [`letters`], [`watch`]: of the commands that talk to Kafka;
//!   [`broker`]: how they reach it; [`view`]: the live page; `check`: reads one value at a time. BackgroundChoice them nobody asks where a value came from.
//! * `names`: how the files of frames are called. [`keep`]: how long they stay, and `mattebox prune`.
//! * `inputs`: every file that a command reads; `outputs`: nothing that it writes replaces one of them.
//! * [`secret`]: what must never be shown.
//! * `number`: numbers as people type them.
//! * [`span`]: lengths of time as people write them.
pub mod broker;
pub mod camera;
mod check;
mod file;
pub mod found;
pub(crate) mod inputs;
pub mod keep;
pub mod layer;
pub mod letters;
pub(crate) mod names;
pub(crate) mod number;
pub mod origin;
pub mod output_choice;
pub(crate) mod outputs;
pub mod resolve;
pub mod secret;
pub mod settings;
pub mod span;
pub mod trace;
pub(crate) mod trust;
pub mod view;
pub mod watch;
pub mod worker;

pub use layer::{CameraLayer, Layer, LettersLayer, PruneLayer, RunLayer, WatchLayer, WorkerLayer};
pub use origin::Origin;
pub use resolve::Resolved;
pub use settings::RunSettings;

use mattebox_engine::address::harmless;
use std::path::PathBuf;
use thiserror::Error;

/// Why settings cannot be used. All of these are the user's to mend (exit code 2).
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file that was asked for cannot be read.
    #[error("cannot read the settings file {}: {source}", harmless::path(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML, or holds a key that is no setting, or a value of the wrong type.
    #[error("settings file {path}: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        message: String,
    },
    /// A value that no setting of this name can have.
    #[error("{}: {reason}", said(name, value, origin))]
    Value {
        /// The setting.
        name: &'static str,
        /// What it was set to.
        value: String,
        /// Where that was said.
        origin: Origin,
        /// Why it cannot be, and what could.
        reason: String,
    },
    /// Settings that are fine alone but not together, or something that must be given and is not.
    #[error("{0}")]
    Conflict(String),
}

/// A setting as it was said: `--fps -1`, or `fps "-1" (from mattebox.toml)`.
fn said(name: &str, value: &str, origin: &Origin) -> String {
    let is_flag = *origin == Origin::Flag && !POSITIONAL.contains(&name);
    let is_word = !value.is_empty() && !value.contains(char::is_whitespace);
    match (is_flag, is_word) {
        (true, true) => format!("--{} {value}", name.replace('_', "-")),
        (true, false) => format!("--{} {value:?}", name.replace('_', "-")),
        (false, _) if *origin == Origin::Flag => format!("{name} {value:?}"),
        (false, _) => format!("{name} {value:?} ({origin})"),
    }
}

/// Settings that are given without a flag.
const POSITIONAL: &[&str] = &["source", "results"];
