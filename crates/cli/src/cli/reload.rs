//! SIGHUP: reads the settings file again, and applies the settings that can change while the
//! command runs.
use super::CommandSettings;
use crate::{
    config::{ConfigError, Resolved, SettingsLayer},
    signals,
};
use clap::ArgMatches;
use mattebox_engine::background::BackgroundChangeError;
use mattebox_server::{Credentials, ViewSettings};
use std::{io, io::IsTerminal};
use thiserror::Error;

/// Why a changed settings file changes nothing.
#[derive(Debug, Error)]
pub(super) enum ReloadError {
    /// The file holds settings that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The background cannot be changed while the command runs.
    #[error(transparent)]
    Background(#[from] BackgroundChangeError),
    /// The settings can be used, but not by the command that runs.
    #[error("{0}")]
    Refused(String),
}

impl From<String> for ReloadError {
    fn from(reason: String) -> Self {
        ReloadError::Refused(reason)
    }
}

/// Follows the settings file from now on. `live` are the settings that `apply` can change; a file
/// that cannot be used changes nothing. Files that settings name, such as that of a token, are read
/// again too. The signal stops the command, as usual, if its terminal was closed, or if it has
/// neither a settings file nor a file with a secret.
pub(super) fn follow<L: SettingsLayer + Send + 'static>(
    settings: CommandSettings<L>,
    matches: ArgMatches,
    mut resolved: Resolved<L>,
    live: &'static [&'static str],
    apply: impl Fn(&Resolved<L>) -> Result<(), ReloadError> + Send + 'static,
) -> io::Result<()> {
    let has_file = settings.has_file() || names_secrets(&resolved)?;
    // Started with the signal ignored, as by nohup, the command outlives its terminal. It can still
    // read the file again.
    let is_ignored = signals::is_hangup_ignored();
    if is_ignored && !has_file {
        return Ok(());
    }
    signals::on_hangup(move || {
        if !is_ignored && (io::stderr().is_terminal() || !has_file) {
            tracing::info!("hung up");
            return signals::ask_to_stop();
        }
        let read = settings
            .resolve(&matches)
            .and_then(|new| Ok((changes(&resolved, &new)?, new)));
        let (changes, new) = match read {
            Ok(read) => read,
            Err(e) => return tracing::error!("the settings stay as they were: {e}"),
        };
        if let Err(e) = apply(&new) {
            return tracing::error!("the settings stay as they were: {e}");
        }
        if changes.is_empty() {
            tracing::info!("the settings were read again: no setting has changed");
        }
        for SettingChange { name, before, now } in &changes {
            // The page has the new token or certificate by now.
            let is_exchanged =
                SECRET_FILES.contains(&name.as_str()) && before != NONE && now != NONE;
            if is_exchanged || live.contains(&name.as_str()) {
                tracing::info!("{name}: {before} -> {now}");
            } else {
                tracing::warn!("{name}: {before} -> {now} takes effect at the next start");
            }
        }
        resolved = new;
    })
}

/// The value of a setting that has none.
const NONE: &str = "(none)";
/// Files with secrets that are exchanged while a process runs.
const SECRET_FILES: [&str; 3] = ["token_file", "tls_cert", "tls_key"];

fn names_secrets<L: SettingsLayer>(resolved: &Resolved<L>) -> io::Result<bool> {
    let rows = resolved.rows().map_err(io::Error::other)?;
    Ok(rows
        .iter()
        .any(|(name, ..)| SECRET_FILES.contains(&name.as_str())))
}

/// Reads the token and the certificate of a live page. The returned function puts them in force.
pub(super) fn prepare_credentials(
    credentials: Option<&Credentials>,
    view: Option<&ViewSettings>,
) -> Result<impl FnOnce() + use<>, ReloadError> {
    let prepared = match (credentials, view) {
        (Some(credentials), Some(view)) => Some(credentials.prepare(view)),
        _ => None,
    };
    let prepared = prepared.transpose();
    let prepared = prepared.map_err(|e| ReloadError::Refused(e.to_string()))?;
    Ok(move || prepared.into_iter().for_each(|put_in_force| put_in_force()))
}

/// A setting that differs.
#[derive(Debug, PartialEq, Eq)]
struct SettingChange {
    name: String,
    before: String,
    now: String,
}

/// The differences, without secrets.
fn changes<L: SettingsLayer>(
    old: &Resolved<L>,
    new: &Resolved<L>,
) -> Result<Vec<SettingChange>, ConfigError> {
    let old = old.rows()?;
    let new = new.rows()?;
    let value_in = |rows: &[(String, toml::Value, _)], name: &str| {
        rows.iter()
            .find(|(n, ..)| n == name)
            .map_or(NONE.to_owned(), |(_, value, _)| value.to_string())
    };
    let mut names: Vec<_> = old
        .iter()
        .chain(&new)
        .map(|(name, ..)| name.clone())
        .collect();
    names.sort();
    names.dedup();
    let change = |name: String| SettingChange {
        before: value_in(&old, &name),
        now: value_in(&new, &name),
        name,
    };
    Ok(names
        .into_iter()
        .map(change)
        .filter(|change| change.before != change.now)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RunLayer;
    use clap::{Args, FromArgMatches};

    fn resolved(file: &str) -> Resolved<RunLayer> {
        let command = RunLayer::augment_args(clap::Command::new("run").no_binary_name(true));
        let matches = command.clone().try_get_matches_from(["a.mp4"]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.toml");
        std::fs::write(&path, file).unwrap();
        Resolved::new(
            &RunLayer::from_arg_matches(&matches).unwrap(),
            &matches,
            &command,
            Some(&path),
        )
        .unwrap()
    }

    #[test]
    fn what_differs_is_named_with_both_values() {
        let old = resolved("background = \"gray\"");
        let new = resolved("background = \"blur\"\nthreads = 3");
        let found = changes(&old, &new).unwrap();
        let change = |name: &str, before: &str, now: &str| SettingChange {
            name: name.into(),
            before: before.into(),
            now: now.into(),
        };
        assert_eq!(
            found,
            [
                change("background", "\"gray\"", "\"blur\""),
                change("threads", "(none)", "3")
            ]
        );
        assert!(changes(&new, &new).unwrap().is_empty());
    }

    #[test]
    fn secrets_are_not_shown() {
        let found = changes(
            &resolved("token = \"0123456789abcdef\""),
            &resolved("token = \"fedcba9876543210\""),
        )
        .unwrap();
        assert!(
            found.is_empty(),
            "both are masked, so that they look alike: {found:?}"
        );
    }
}
