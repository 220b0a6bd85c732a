//! `mattebox config`.
use super::Settings;
use crate::config::{
    CameraLayer, ConfigError, Layer, LettersLayer, Origin, PruneLayer, Resolved, RunLayer,
    RunSettings, WatchLayer, WorkerLayer, camera::CameraCommand, keep::PruneCommand, letters,
    watch::ViewCommand, worker::WorkerCommand,
};
use crate::output;
use clap::{ArgMatches, Args, Subcommand, parser::ValueSource};
use comfy_table::{Table, presets};
use serde_json::json;
use std::process::ExitCode;

/// Arguments of `mattebox config`: those of `mattebox run`, or another command with its own.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct ConfigArgs {
    #[command(flatten)]
    settings: Settings<RunLayer>,
    #[command(subcommand)]
    of: Option<Of>,
    /// Print as JSON
    #[arg(long, global = true)]
    json: bool,
}

/// The command whose settings are printed.
#[derive(Debug, Subcommand)]
enum Of {
    /// Those of `mattebox run`, as without a command
    Run(Box<Settings<RunLayer>>),
    /// Those of `mattebox camera`
    Camera(Box<Settings<CameraLayer>>),
    /// Those of `mattebox worker`
    Worker(Box<Settings<WorkerLayer>>),
    /// Those of `mattebox view`
    View(Box<Settings<WatchLayer>>),
    /// Those of `mattebox prune`
    Prune(Box<Settings<PruneLayer>>),
    /// Those of `mattebox dead-letters`
    DeadLetters(Box<Settings<LettersLayer>>),
}

pub(super) fn run(args: &ConfigArgs, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let of_command = matches.subcommand().map_or(matches, |(_, matches)| matches);
    // A source is only needed to run; everything else is checked as the command itself would.
    let run = |r: &Resolved<RunLayer>| {
        let mut r = r.clone();
        r.layer
            .source
            .get_or_insert_with(|| vec!["lavfi:nullsrc".to_owned()]);
        RunSettings::new(&r).map(drop)
    };
    match &args.of {
        None => print(&args.settings, matches, args.json, run),
        Some(Of::Run(settings)) => print(settings, of_command, args.json, run),
        Some(Of::Camera(settings)) => print(settings, of_command, args.json, |r| {
            r.layer
                .source
                .as_ref()
                .map_or(Ok(()), |_| CameraCommand::new(r).map(drop))
        }),
        Some(Of::Worker(settings)) => print(settings, of_command, args.json, |r| {
            WorkerCommand::new(r).map(drop)
        }),
        Some(Of::View(settings)) => print(settings, of_command, args.json, |r| {
            r.layer
                .results
                .as_ref()
                .map_or(Ok(()), |_| ViewCommand::new(r).map(drop))
        }),
        Some(Of::Prune(settings)) => print(settings, of_command, args.json, |r| {
            let keep = &r.layer.keep;
            match (&keep.keep, &keep.keep_bytes) {
                (None, None) => Ok(()),
                _ => PruneCommand::new(r).map(drop),
            }
        }),
        Some(Of::DeadLetters(settings)) => print(settings, of_command, args.json, |r| {
            letters::settings(r).map(drop)
        }),
    }
}

fn print<L: Layer>(
    settings: &Settings<L>,
    matches: &ArgMatches,
    json: bool,
    check: impl FnOnce(&Resolved<L>) -> Result<(), ConfigError>,
) -> anyhow::Result<ExitCode> {
    let resolved = settings.resolve(matches)?;
    let named = match &resolved.file {
        Some(file) if file.is_found => Origin::Default,
        _ => origin_of_file(matches),
    };
    // First of all which file is in force, if any.
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
    Ok(ExitCode::SUCCESS)
}

/// Who named the settings file.
fn origin_of_file(matches: &ArgMatches) -> Origin {
    match matches.value_source("config") {
        Some(ValueSource::EnvVariable) => Origin::Environment("MATTEBOX_CONFIG".to_owned()),
        Some(ValueSource::CommandLine) => Origin::Flag,
        _ => Origin::Default,
    }
}
