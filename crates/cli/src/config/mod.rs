//! Settings: flags win over environment variables, environment variables over the TOML file, and
//! the TOML file over the defaults.
//!
//! # Layout
//!
//! * `defaults.toml`: the default of every setting that has one. It is compiled in, so that
//!   reference and code cannot drift.
//! * [`layer`]: the settings of each command as one of those four places gives them: all optional,
//!   none checked.
//! * [`found`]: the settings file in force; `file`: its keys for one command; `trust`: the settings
//!   that a found file may hold.
//! * [`resolve`]: merges the four; [`origin`]: where each value comes from.
//! * [`settings`]: the checked settings of `run`; [`camera`], [`worker`], [`dead_letters`],
//!   [`view`]: of the commands that talk to Kafka; [`broker`]: how they reach it; [`page`]: the
//!   live page; `check`: reads one value at a time. Code that uses checked settings does not know
//!   their origins.
//! * `names`: names of the files of frames. [`keep`]: how long they stay, and `mattebox prune`.
//! * `inputs`: every file that a command reads; `outputs`: refuses outputs that would replace one
//!   of them.
//! * [`secret`]: hides secrets.
//! * `number`: numbers as people type them.
//! * [`duration`]: lengths of time as people write them.
pub mod broker;
pub mod camera;
mod check;
pub mod dead_letters;
pub mod duration;
mod file;
pub mod found;
pub(crate) mod inputs;
pub mod keep;
pub mod layer;
pub(crate) mod names;
pub(crate) mod number;
pub mod origin;
pub mod output_choice;
pub(crate) mod outputs;
pub mod page;
pub mod resolve;
pub mod secret;
pub mod settings;
pub mod trace;
pub(crate) mod trust;
pub mod view;
pub mod worker;

pub use layer::{
    CameraLayer, DeadLettersLayer, PruneLayer, RunLayer, SettingsLayer, ViewLayer, WorkerLayer,
};
pub use origin::SettingOrigin;
pub use resolve::Resolved;
pub use settings::RunSettings;

use mattebox_engine::address::harmless;
use std::path::PathBuf;
use thiserror::Error;

/// Why settings cannot be used. All of these are the user's fault.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The settings file cannot be read.
    #[error("cannot read the settings file {}: {source}", harmless::path(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML, or it holds an unknown key or a value of the wrong type.
    #[error("settings file {path}: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// The problem and its line.
        message: String,
    },
    /// A value that the setting cannot have.
    #[error("{}: {reason}", said(name, value, origin))]
    Value {
        /// The setting.
        name: &'static str,
        /// The value.
        value: String,
        /// Where the value comes from.
        origin: SettingOrigin,
        /// Why it is refused, and which values are not.
        reason: String,
    },
    /// Settings that contradict each other, or a required setting that is missing.
    #[error("{0}")]
    Conflict(String),
}

/// A setting as the user gave it: `--fps -1`, or `fps "-1" (from mattebox.toml)`.
fn said(name: &str, value: &str, origin: &SettingOrigin) -> String {
    let is_flag = *origin == SettingOrigin::Flag && !POSITIONAL.contains(&name);
    let is_word = !value.is_empty() && !value.contains(char::is_whitespace);
    match (is_flag, is_word) {
        (true, true) => format!("--{} {value}", name.replace('_', "-")),
        (true, false) => format!("--{} {value:?}", name.replace('_', "-")),
        (false, _) if *origin == SettingOrigin::Flag => format!("{name} {value:?}"),
        (false, _) => format!("{name} {value:?} ({origin})"),
    }
}

/// Settings that are given without a flag.
const POSITIONAL: &[&str] = &["source", "results"];
