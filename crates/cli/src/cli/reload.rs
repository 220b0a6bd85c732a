//! SIGHUP: the settings file is read again, and what can change while it runs does.
use super::Settings;
use crate::{
    config::{ConfigError, Layer, Resolved},
    signals,
};
use clap::ArgMatches;
use mattebox_server::{Credentials, ViewSettings};
use std::{io, io::IsTerminal};

/// Follows the settings file from now on. `live` are the settings that `apply` can change; a file that cannot be used changes nothing.
/// The files that settings name, such as a token's, are read again with it.
/// On a terminal the signal says that it was closed, and without a settings file or a file with a
/// secret there is nothing to read: then it stops, as it does elsewhere.
pub(super) fn follow<L: Layer + Send + 'static>(
    settings: Settings<L>,
    matches: ArgMatches,
    mut resolved: Resolved<L>,
    live: &'static [&'static str],
    apply: impl Fn(&Resolved<L>) -> Result<(), String> + Send + 'static,
) -> io::Result<()> {
    let has_file = settings.has_file() || names_secrets(&resolved)?;
    // Started with the signal ignored, as by nohup, it outlives the terminal. The file can be read again all the same.
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
        for Change { name, before, now } in &changes {
            // A page that had a token, or a certificate, has the new one by now.
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

fn names_secrets<L: Layer>(resolved: &Resolved<L>) -> io::Result<bool> {
    let rows = resolved.rows().map_err(io::Error::other)?;
    Ok(rows
        .iter()
        .any(|(name, ..)| SECRET_FILES.contains(&name.as_str())))
}

/// Reads the token and the certificate of a live page. What this gives puts them in force.
pub(super) fn prepare_credentials(
    credentials: Option<&Credentials>,
    view: Option<&ViewSettings>,
) -> Result<impl FnOnce() + use<>, String> {
    let prepared = match (credentials, view) {
        (Some(credentials), Some(view)) => Some(credentials.prepare(view)),
        _ => None,
    };
    let prepared = prepared.transpose().map_err(|e| e.to_string())?;
    Ok(move || prepared.into_iter().for_each(|put_in_force| put_in_force()))
}

/// A setting that differs.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    name: String,
    before: String,
    now: String,
}

/// What differs, as it may be shown.
fn changes<L: Layer>(old: &Resolved<L>, new: &Resolved<L>) -> Result<Vec<Change>, ConfigError> {
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
    let change = |name: String| Change {
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
        let change = |name: &str, before: &str, now: &str| Change {
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
