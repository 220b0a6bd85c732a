//! The settings file: the one that `--config` names, or the one in the working directory.
use super::{ConfigError, trust};
use mattebox_engine::files;
use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The file that is read if it exists and `--config` names no other.
pub const DEFAULT_FILE: &str = "mattebox.toml";

/// A settings file that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsFile {
    /// Its path.
    pub path: PathBuf,
    /// No flag names it; it was found in the working directory. Such a file may not hold some
    /// settings: see [`super::trust`].
    pub is_found: bool,
}

impl fmt::Display for SettingsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = if self.is_found {
            " (found in the working directory)"
        } else {
            ""
        };
        write!(f, "{}{found}", self.path.display())
    }
}

impl SettingsFile {
    /// The file in force: `named`, or the one in the working directory.
    pub fn choose(named: Option<&Path>) -> Option<Self> {
        match named {
            Some(path) => Some(SettingsFile {
                path: path.to_owned(),
                is_found: false,
            }),
            None => {
                let path = PathBuf::from(DEFAULT_FILE);
                // A broken link is an error, not a missing file.
                path.symlink_metadata().is_ok().then_some(SettingsFile {
                    path,
                    is_found: true,
                })
            }
        }
    }

    /// Its text.
    ///
    /// # Errors If it cannot be read, or if it was found and another user could have written it.
    pub fn read(&self) -> Result<String, ConfigError> {
        let failed = |source: io::Error| ConfigError::Read {
            path: self.path.clone(),
            source,
        };
        if !self.is_found {
            return files::read_text(&self.path, files::MAX_SETTINGS).map_err(failed);
        }
        let link = self.path.symlink_metadata().map_err(failed)?;
        // A pipe would wait for its writer.
        if !self.path.metadata().map_err(failed)?.is_file() {
            return Err(self.refusal("it is no file"));
        }
        let mut file = File::open(&self.path).map_err(failed)?;
        let there = file.metadata().map_err(failed)?;
        for metadata in [&link, &there] {
            if let Some(why) = untrusted(metadata) {
                return Err(self.refusal(why));
            }
        }
        if there.len() > files::MAX_SETTINGS {
            return Err(self.refusal("it is larger than 1 MB"));
        }
        let mut text = String::new();
        file.by_ref()
            .take(files::MAX_SETTINGS)
            .read_to_string(&mut text)
            .map_err(failed)?;
        Ok(text)
    }

    fn refusal(&self, why: &str) -> ConfigError {
        let message = format!(
            "{why}, and no flag names it: start with --config {} if you trust it, or \
             in another folder",
            self.path.display()
        );
        ConfigError::Parse {
            path: self.path.clone(),
            message,
        }
    }

    /// Why this file may not hold a key, and what to do; `None` if it may.
    pub(super) fn objection(&self, key: &str, value: &toml::Value) -> Option<String> {
        let what = trust::objection(key, value).filter(|_| self.is_found)?;
        let file = self.path.display();
        Some(format!(
            "`{key}` does not count in a file that is only found in the working directory, because \
             {what}: start with --config {file} if you trust this file, \
             or set it by a flag or a variable"
        ))
    }
}

/// Why another user may have written a file.
#[cfg(unix)]
fn untrusted(metadata: &std::fs::Metadata) -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt;
    let me = rustix::process::geteuid().as_raw();
    // With sudo, the files of the calling user count as those of root.
    let asked = std::env::var("SUDO_UID")
        .ok()
        .and_then(|uid| uid.parse().ok())
        .filter(|_| me == 0);
    let is_ours = metadata.uid() == me || metadata.uid() == 0 || Some(metadata.uid()) == asked;
    // The mode of a link says nothing.
    let is_open = !metadata.is_symlink() && metadata.mode() & 0o002 != 0;
    match (is_ours, is_open) {
        (false, _) => Some("it belongs to another user"),
        (true, true) => Some("every user can write to it"),
        (true, false) => None,
    }
}

#[cfg(not(unix))]
fn untrusted(_: &std::fs::Metadata) -> Option<&'static str> {
    None
}
