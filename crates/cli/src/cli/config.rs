//! `mattebox config`.
use super::CommandSettings;
use crate::config::{
    CameraLayer, ConfigError, DeadLettersLayer, PruneLayer, Resolved, RunLayer, RunSettings,
    SettingOrigin, SettingsLayer, ViewLayer, WorkerLayer, camera::CameraCommand, dead_letters,
    keep::PruneCommand, view::ViewCommand, worker::WorkerCommand,
};
use crate::exit::Exit;
use crate::output;
use clap::{ArgMatches, Args, Subcommand, parser::ValueSource};
use comfy_table::{Table, presets};
use serde_json::json;

/// Arguments of `mattebox config`: those of `mattebox run`, or another command with its own.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct ConfigArgs {
    #[command(flatten)]
    settings: CommandSettings<RunLayer>,
    #[command(subcommand)]
    of: Option<ConfiguredCommand>,
    /// Print as JSON
    #[arg(long, global = true)]
    json: bool,
}

/// The command whose settings are printed.
#[derive(Debug, Subcommand)]
enum ConfiguredCommand {
    /// Settings of `mattebox run`, the default
    Run(Box<CommandSettings<RunLayer>>),
    /// Settings of `mattebox camera`
    Camera(Box<CommandSettings<CameraLayer>>),
    /// Settings of `mattebox worker`
    Worker(Box<CommandSettings<WorkerLayer>>),
    /// Settings of `mattebox view`
    View(Box<CommandSettings<ViewLayer>>),
    /// Settings of `mattebox prune`
    Prune(Box<CommandSettings<PruneLayer>>),
    /// Settings of `mattebox dead-letters`
    DeadLetters(Box<CommandSettings<DeadLettersLayer>>),
}

pub(super) fn run(args: &ConfigArgs, matches: &ArgMatches) -> anyhow::Result<Exit> {
    let of_command = matches.subcommand().map_or(matches, |(_, matches)| matches);
    // Only a run needs a source. All other settings are checked as the command checks them.
    let run = |r: &Resolved<RunLayer>| {
        let mut r = r.clone();
        r.layer
            .source
            .get_or_insert_with(|| vec!["lavfi:nullsrc".to_owned()]);
        RunSettings::new(&r).map(drop)
    };
    match &args.of {
        None => print(&args.settings, matches, args.json, run),
        Some(ConfiguredCommand::Run(settings)) => print(settings, of_command, args.json, run),
        Some(ConfiguredCommand::Camera(settings)) => print(settings, of_command, args.json, |r| {
            r.layer
                .source
                .as_ref()
                .map_or(Ok(()), |_| CameraCommand::new(r).map(drop))
        }),
        Some(ConfiguredCommand::Worker(settings)) => print(settings, of_command, args.json, |r| {
            WorkerCommand::new(r).map(drop)
        }),
        Some(ConfiguredCommand::View(settings)) => print(settings, of_command, args.json, |r| {
            r.layer
                .results
                .as_ref()
                .map_or(Ok(()), |_| ViewCommand::new(r).map(drop))
        }),
        Some(ConfiguredCommand::Prune(settings)) => print(settings, of_command, args.json, |r| {
            let keep = &r.layer.keep;
            match (&keep.keep, &keep.keep_bytes) {
                (None, None) => Ok(()),
                _ => PruneCommand::new(r).map(drop),
            }
        }),
        Some(ConfiguredCommand::DeadLetters(settings)) => {
            print(settings, of_command, args.json, |r| {
                dead_letters::settings(r).map(drop)
            })
        }
    }
}

fn print<L: SettingsLayer>(
    settings: &CommandSettings<L>,
    matches: &ArgMatches,
    json: bool,
    check: impl FnOnce(&Resolved<L>) -> Result<(), ConfigError>,
) -> anyhow::Result<Exit> {
    let resolved = settings.resolve(matches)?;
    let named = match &resolved.file {
        Some(file) if file.is_found => SettingOrigin::Default,
        _ => origin_of_file(matches),
    };
    // The first row is the settings file in force.
    let file = resolved
        .file
        .as_ref()
        .map(|file| file.path.display().to_string());
    let rows = resolved.rows()?;
    if json {
        let mut values: serde_json::Map<_, _> = rows
            .into_iter()
            .map(|(name, value, origin)| (name, json!({ "value": value, "origin": origin })))
            .collect();
        values.insert(
            "config".to_owned(),
            json!({ "value": file, "origin": named }),
        );
        output::print(serde_json::to_string_pretty(&values)?)?;
    } else {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_header(["setting", "value", "from"]);
        let is_found = resolved.file.as_ref().is_some_and(|file| file.is_found);
        let from = if is_found {
            "found in the working directory".to_owned()
        } else {
            named.to_string()
        };
        table.add_row([
            "config".to_owned(),
            file.unwrap_or("(none)".to_owned()),
            from,
        ]);
        for (name, value, origin) in rows {
            table.add_row([name, value.to_string(), origin.to_string()]);
        }
        output::print(table)?;
    }
    check(&resolved)?;
    Ok(Exit::Done)
}

/// Whether a flag or a variable names the settings file.
fn origin_of_file(matches: &ArgMatches) -> SettingOrigin {
    match matches.value_source("config") {
        Some(ValueSource::EnvVariable) => SettingOrigin::Environment("MATTEBOX_CONFIG".to_owned()),
        Some(ValueSource::CommandLine) => SettingOrigin::Flag,
        _ => SettingOrigin::Default,
    }
}
