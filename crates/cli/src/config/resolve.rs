//! Merges defaults, settings file, environment and flags, and records the origin of each value.
use super::{
    CameraLayer, ConfigError, DeadLettersLayer, PruneLayer, RunLayer, SettingsLayer, ViewLayer,
    WorkerLayer,
    check::SettingsCheck,
    file,
    found::SettingsFile,
    layer::id_of,
    origin::{SettingOrigin, SettingOrigins},
    secret,
};
use crate::telemetry;
use clap::{ArgMatches, parser::ValueSource};
use serde::Serialize;
use std::path::Path;
use toml::Table;

const DEFAULTS: &str = include_str!("defaults.toml");

/// The merged layers.
#[derive(Debug, Clone)]
pub struct Resolved<L> {
    /// The topmost value of every setting.
    pub layer: L,
    /// The origin of each value.
    pub origins: SettingOrigins,
    /// The settings file that was read, if there was one.
    pub file: Option<SettingsFile>,
}

impl<L: SettingsLayer> Resolved<L> {
    /// Merges the flags and variables that clap read (`given` and `matches` of the subcommand) with
    /// `file` and the defaults. Without a `file`, it reads `mattebox.toml` in the working directory
    /// if there is one.
    pub fn new(
        given: &L,
        matches: &ArgMatches,
        command: &clap::Command,
        file: Option<&Path>,
    ) -> Result<Self, ConfigError> {
        let mut origins = SettingOrigins::default();
        let mut values = Table::new();
        let mut put = |table: Table, origin: &dyn Fn(&str) -> SettingOrigin| {
            for (name, value) in table {
                origins.0.insert(name.clone(), origin(&name));
                values.insert(name, value);
            }
        };
        put(defaults::<L>()?, &|_| SettingOrigin::Default);
        let file = SettingsFile::choose(file);
        if let Some(file) = &file {
            put(file::parse::<L>(&file.read()?, file)?, &|_| {
                SettingOrigin::File(file.path.clone())
            });
        }
        put(table(given)?, &|name| {
            let id = id_of(name);
            let variable = command
                .get_arguments()
                .find(|a| a.get_id() == id)
                .and_then(|a| a.get_env());
            match (matches.value_source(id), variable) {
                (Some(ValueSource::EnvVariable), Some(v)) => {
                    SettingOrigin::Environment(v.to_string_lossy().into_owned())
                }
                _ => SettingOrigin::Flag,
            }
        });
        let layer =
            L::deserialize(values).map_err(|e| ConfigError::Conflict(e.message().to_owned()))?;
        Ok(Resolved {
            layer,
            origins,
            file,
        })
    }

    /// Logs at level debug, if no flag asks for another level.
    pub fn be_verbose(&mut self) {
        if self.origins.of("log_level") != SettingOrigin::Flag {
            self.layer.messages_mut().log_level = Some("debug".to_owned());
            self.origins
                .0
                .insert("log_level".to_owned(), SettingOrigin::Flag);
        }
    }

    /// Checks the settings of messages, which are the same for every command.
    pub fn check_messages(&self) -> Result<(), ConfigError> {
        let check = SettingsCheck(&self.origins);
        let messages = self.layer.messages();
        if let Some(level) = &messages.log_level
            && let Err(reason) = telemetry::check_level(level)
        {
            return Err(check.error("log_level", level, reason));
        }
        if let Some(format) = messages
            .log_format
            .as_deref()
            .filter(|format| !matches!(*format, "text" | "json"))
        {
            return Err(check.error("log_format", format, "use text or json"));
        }
        check.progress(&messages.progress).map(drop)
    }

    /// Every setting that has a value, by name, with its origin. Secrets are masked.
    pub fn rows(&self) -> Result<Vec<(String, toml::Value, SettingOrigin)>, ConfigError> {
        Ok(table(&self.layer)?
            .into_iter()
            .map(|(name, value)| {
                let origin = self.origins.of(&name);
                (name.clone(), secret::masked(&name, value), origin)
            })
            .collect())
    }
}

/// The defaults of a command by name.
pub(crate) fn defaults<L: SettingsLayer>() -> Result<Table, ConfigError> {
    let file = SettingsFile {
        path: "defaults.toml".into(),
        is_found: false,
    };
    file::parse::<L>(DEFAULTS, &file)
}

/// Checks a settings file for every command.
pub(crate) fn check(text: &str, file: &SettingsFile) -> Result<(), ConfigError> {
    file::parse::<RunLayer>(text, file)?;
    file::parse::<CameraLayer>(text, file)?;
    file::parse::<WorkerLayer>(text, file)?;
    file::parse::<DeadLettersLayer>(text, file)?;
    file::parse::<PruneLayer>(text, file)?;
    file::parse::<ViewLayer>(text, file).map(drop)
}

fn table(layer: &impl Serialize) -> Result<Table, ConfigError> {
    Table::try_from(layer).map_err(|e| ConfigError::Conflict(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve<L: SettingsLayer>(
        args: &[&str],
        file: Option<&str>,
    ) -> Result<Resolved<L>, ConfigError> {
        let command = L::augment_args(clap::Command::new(L::COMMAND).no_binary_name(true));
        let matches = command.clone().try_get_matches_from(args).unwrap();
        let given = L::from_arg_matches(&matches).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.toml");
        std::fs::write(&path, file.unwrap_or("")).unwrap();
        Resolved::new(&given, &matches, &command, Some(&path))
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let r = resolve::<RunLayer>(
            &["--matte", "hard"],
            Some("matte = \"soft\"\nout = \"x\"\nloop = true"),
        )
        .unwrap();
        assert_eq!(r.layer.frame.matte.as_deref(), Some("hard"));
        assert_eq!(r.origins.of("matte"), SettingOrigin::Flag);
        assert_eq!(r.layer.out.as_deref(), Some("x"));
        assert!(matches!(r.origins.of("out"), SettingOrigin::File(_)));
        assert_eq!(r.layer.source_options.repeat, Some(true));
        assert_eq!(r.layer.camera_id.as_deref(), Some("cam01"));
        assert_eq!(r.origins.of("camera_id"), SettingOrigin::Default);
    }

    #[test]
    fn a_section_of_the_file_is_for_its_command_and_wins_over_what_is_for_all() {
        let file = Some("fps = 3\ngroup = \"g\"\n[camera]\nfps = 7.5\n[worker]\nfrom = \"latest\"");
        let camera = resolve::<CameraLayer>(&[], file).unwrap().layer;
        assert_eq!(
            (
                camera.source_options.fps,
                camera.source_options.max_width,
                camera.source_options.repeat
            ),
            (Some(7.5), Some(640), Some(true))
        );
        let run = resolve::<RunLayer>(&[], file).unwrap().layer;
        assert_eq!(
            (
                run.source_options.fps,
                run.source_options.max_width,
                run.source_options.repeat
            ),
            (Some(3.0), None, Some(false))
        );
        let worker = resolve::<WorkerLayer>(&[], file).unwrap().layer;
        assert_eq!(
            (worker.group.as_deref(), worker.from.as_deref()),
            (Some("g"), Some("latest"))
        );
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it_and_its_line() {
        for (text, words) in [
            ("out = \"x\"\nmate = \"soft\"", ["mate", "line 2"]),
            ("[worker]\nfps = 3", ["fps", "line 2"]),
            ("[kamera]\nfps = 3", ["kamera", "line 1"]),
            ("\nfps = \"many\"", ["fps", "line 2"]),
            ("fps = 3 4", ["line 1", "m.toml"]),
        ] {
            let e = resolve::<RunLayer>(&[], Some(text))
                .unwrap_err()
                .to_string();
            assert!(
                words.iter().all(|word| e.contains(word)) && e.contains("m.toml"),
                "{e}"
            );
        }
    }

    #[test]
    fn secrets_are_masked() {
        let file = "kafka_password = \"hunter2\"\nkafka_option = [\"ssl.key.password=hunter3\", \
             \"linger.ms=7\"]";
        let rows = resolve::<WorkerLayer>(&[], Some(file))
            .unwrap()
            .rows()
            .unwrap();
        let text = format!("{rows:?}");
        assert!(
            !text.contains("hunter")
                && text.contains("linger.ms=7")
                && text.contains("ssl.key.password=***"),
            "{text}"
        );
        let rows = resolve::<RunLayer>(&["rtsp://me:hunter4@h/x"], None)
            .unwrap()
            .rows()
            .unwrap();
        assert!(!format!("{rows:?}").contains("hunter4"), "{rows:?}");
        let options = [
            "--input-option",
            "headers=X-Key: hunter5",
            "--input-option",
            "fflags=nobuffer",
        ];
        let rows = resolve::<RunLayer>(&options, None).unwrap().rows().unwrap();
        let text = format!("{rows:?}");
        assert!(!text.contains("hunter5"), "{text}");
        assert!(text.contains("headers=***") && text.contains("fflags=nobuffer"));
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let command = RunLayer::keys();
        assert!(command.contains(&"loop".to_owned()));
        let command = clap::Command::new("run").no_binary_name(true);
        let matches = command.clone().try_get_matches_from::<_, &str>([]).unwrap();
        let e = Resolved::new(
            &RunLayer::default(),
            &matches,
            &command,
            Some(Path::new("/nowhere/m.toml")),
        )
        .unwrap_err();
        assert!(matches!(e, ConfigError::Read { .. }));
    }
}
