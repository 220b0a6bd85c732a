//! Where the values of settings come from.
use serde::Serialize;
use std::{collections::BTreeMap, fmt, path::PathBuf};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case", tag = "from", content = "name")]
pub enum SettingOrigin {
    /// The compiled-in defaults.
    Default,
    /// A settings file.
    File(PathBuf),
    /// An environment variable of this name.
    Environment(String),
    /// The command line.
    Flag,
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingOrigin::Default => f.write_str("default"),
            SettingOrigin::File(path) => write!(f, "from {}", path.display()),
            SettingOrigin::Environment(name) => write!(f, "from the environment variable {name}"),
            SettingOrigin::Flag => f.write_str("from the command line"),
        }
    }
}

/// The origin of each setting's value.
#[derive(Debug, Clone, Default)]
pub struct SettingOrigins(pub(super) BTreeMap<String, SettingOrigin>);

impl SettingOrigins {
    /// The origin of a setting's value.
    pub fn of(&self, name: &str) -> SettingOrigin {
        self.0.get(name).cloned().unwrap_or(SettingOrigin::Default)
    }
}
