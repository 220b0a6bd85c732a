//! `mattebox config`.
use super::Settings;
use crate::config::RunSettings;
use clap::{ArgMatches, Args};
use comfy_table::{Table, presets};
use serde_json::json;
use std::process::ExitCode;

/// Arguments of `mattebox config`: those of `mattebox run`.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(flatten)]
    settings: Settings,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ConfigArgs, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let resolved = args.settings.resolve(matches, "config")?;
    let rows = resolved.rows()?;
    if args.json {
        let values: serde_json::Map<_, _> =
            rows.into_iter().map(|(name, value, origin)| (name, json!({ "value": value, "origin": origin }))).collect();
        println!("{}", serde_json::to_string_pretty(&values)?);
    } else {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(["setting", "value", "from"]);
        for (name, value, origin) in rows {
            table.add_row([name, value.to_string(), origin.to_string()]);
        }
        println!("{table}");
    }
    // A source is only needed to run; everything else is checked as `run` would.
    if resolved.layer.source.is_some() {
        RunSettings::new(&resolved)?;
    }
    Ok(ExitCode::SUCCESS)
}
