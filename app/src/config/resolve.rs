//! Lays defaults, settings file, environment and flags over one another, and remembers which of them each value came from.
use super::{ConfigError, RunLayer};
use clap::{ArgMatches, parser::ValueSource};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};
use toml::Table;

const DEFAULTS: &str = include_str!("defaults.toml");
/// The file that is read when it is there and no other was named.
pub const DEFAULT_FILE: &str = "mattebox.toml";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case", tag = "from", content = "name")]
pub enum Origin {
    /// The compiled-in defaults.
    Default,
    /// A settings file.
    File(PathBuf),
    /// An environment variable of this name.
    Environment(String),
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => write!(f, "from {}", path.display()),
            Origin::Environment(name) => write!(f, "from the environment variable {name}"),
            Origin::Flag => f.write_str("from the command line"),
        }
    }
}

/// The layers laid over one another.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The topmost value of every setting.
    pub layer: RunLayer,
    origins: BTreeMap<String, Origin>,
}

impl Resolved {
    /// Lays the flags and variables that clap read (`given`, `matches`, of the subcommand) over `file` and the defaults.
    /// Without a `file`, `mattebox.toml` in the working directory is read if it is there.
    pub fn new(
        given: &RunLayer,
        matches: &ArgMatches,
        command: &clap::Command,
        file: Option<&Path>,
    ) -> Result<Self, ConfigError> {
        let mut all = Resolved { layer: RunLayer::default(), origins: BTreeMap::new() };
        let mut values = Table::new();
        let mut put = |table: Table, origin: &dyn Fn(&str) -> Origin| {
            for (name, value) in table {
                all.origins.insert(name.clone(), origin(&name));
                values.insert(name, value);
            }
        };
        put(parse(DEFAULTS, Path::new("defaults.toml"))?, &|_| Origin::Default);
        let path = file.map(Path::to_owned).or_else(|| Path::new(DEFAULT_FILE).exists().then(|| DEFAULT_FILE.into()));
        if let Some(path) = path {
            let text = std::fs::read_to_string(&path).map_err(|source| ConfigError::Read { path: path.clone(), source })?;
            put(parse(&text, &path)?, &|_| Origin::File(path.clone()));
        }
        put(table(given)?, &|name| {
            // clap knows fields by their Rust names; a key of the file differs only where the name is a keyword
            let id = if name == "loop" { "repeat" } else { name };
            let variable = command.get_arguments().find(|a| a.get_id() == id).and_then(|a| a.get_env());
            match (matches.value_source(id), variable) {
                (Some(ValueSource::EnvVariable), Some(v)) => Origin::Environment(v.to_string_lossy().into_owned()),
                _ => Origin::Flag,
            }
        });
        all.layer = RunLayer::deserialize(values).map_err(|e| ConfigError::Conflict(e.message().to_owned()))?;
        Ok(all)
    }

    /// Where the value of a setting came from.
    pub fn origin(&self, name: &str) -> Origin {
        self.origins.get(name).cloned().unwrap_or(Origin::Default)
    }

    /// Every setting that has a value, by name, with its origin.
    pub fn rows(&self) -> Result<Vec<(String, toml::Value, Origin)>, ConfigError> {
        Ok(table(&self.layer)?.into_iter().map(|(name, value)| (name.clone(), value, self.origin(&name))).collect())
    }
}

/// The defaults by name.
#[cfg(test)]
pub(crate) fn defaults() -> Table {
    parse(DEFAULTS, Path::new("defaults.toml")).expect("the defaults are settings")
}

fn table(layer: &RunLayer) -> Result<Table, ConfigError> {
    Table::try_from(layer).map_err(|e| ConfigError::Conflict(e.to_string()))
}

/// Reads a settings file strictly: through the layer's own type, so that an unknown key is an error and not silence.
fn parse(text: &str, path: &Path) -> Result<Table, ConfigError> {
    let layer: RunLayer = toml::from_str(text)
        .map_err(|e| ConfigError::Parse { path: path.to_owned(), message: e.to_string().trim_end().to_owned() })?;
    table(&layer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args, FromArgMatches};

    fn resolve(args: &[&str], file: Option<&str>) -> Result<Resolved, ConfigError> {
        let command = RunLayer::augment_args(clap::Command::new("run").no_binary_name(true));
        let matches = command.clone().try_get_matches_from(args).unwrap();
        let given = RunLayer::from_arg_matches(&matches).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.toml");
        std::fs::write(&path, file.unwrap_or("")).unwrap();
        Resolved::new(&given, &matches, &command, Some(&path))
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let r = resolve(&["--matte", "hard"], Some("matte = \"soft\"\nout = \"x\"\nloop = true")).unwrap();
        assert_eq!(r.layer.matte.as_deref(), Some("hard"));
        assert_eq!(r.origin("matte"), Origin::Flag);
        assert_eq!(r.layer.out.as_deref(), Some("x"));
        assert!(matches!(r.origin("out"), Origin::File(_)));
        assert_eq!(r.layer.repeat, Some(true));
        assert_eq!(r.layer.camera_id.as_deref(), Some("cam01"));
        assert_eq!(r.origin("camera_id"), Origin::Default);
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let e = resolve(&[], Some("mate = \"soft\"")).unwrap_err().to_string();
        assert!(e.contains("mate") && e.contains("m.toml"), "{e}");
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let command = RunLayer::augment_args(clap::Command::new("run").no_binary_name(true));
        let matches = command.clone().try_get_matches_from::<_, &str>([]).unwrap();
        let e = Resolved::new(&RunLayer::default(), &matches, &command, Some(Path::new("/nowhere/m.toml"))).unwrap_err();
        assert!(matches!(e, ConfigError::Read { .. }));
    }
}
