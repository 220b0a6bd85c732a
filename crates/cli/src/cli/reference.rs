//! `docs/ref/settings.md`, generated from the definition of the command line.
use super::Cli;
use crate::config::{
    CameraLayer, DeadLettersLayer, PruneLayer, RunLayer, SettingsLayer, ViewLayer, WorkerLayer,
    layer::key_of, resolve::defaults, trust,
};
use clap::CommandFactory;
use std::fmt::Write;

const HEAD: &str = "\
# Settings

Flags win over environment variables, environment variables over the settings file, and the
settings file over the defaults. The settings file is `mattebox.toml` in the working directory, or
the file that `--config` names; its keys are in the last column. A key holds for every command that
has it. A key in a section with the name of a command, such as `[camera]`, holds for that command
alone, and wins. An unknown key is an error. `mattebox config [COMMAND]` prints which file is in
force and where each setting comes from; a command that runs names its file in its first line.

Write times as seconds (`90`), with units (`1m30s`, `250ms`) or as `HH:MM:SS`. Switches take `true`
or `false`; the bare flag means `true`.
";

const FOUND: &str = "\
# Settings that a found file may not hold

mattebox reads `mattebox.toml` in the working directory even if no flag names it. Such a file may
have arrived with clips of another person, so these settings are an error in it (exit code 2). They
count in a file that `--config` or `MATTEBOX_CONFIG` names, in environment variables and in flags.
mattebox refuses a found file that belongs to another user or that every user can write to.
";

/// The page.
fn page() -> String {
    let mut page = format!("{HEAD}\n{FOUND}\n");
    let (named, near) = trust::restricted();
    let named: Vec<_> = named.iter().map(|key| format!("`{key}`")).collect();
    writeln!(page, "* always: {}", named.join(", ")).expect("strings grow");
    for (key, what) in near {
        writeln!(page, "* `{key}`, where {what}").expect("strings grow");
    }
    section::<RunLayer>(&mut page);
    section::<CameraLayer>(&mut page);
    section::<WorkerLayer>(&mut page);
    section::<ViewLayer>(&mut page);
    section::<PruneLayer>(&mut page);
    section::<DeadLettersLayer>(&mut page);
    page
}

fn section<L: SettingsLayer>(page: &mut String) {
    let defaults = defaults::<L>().expect("the defaults are settings");
    let command = Cli::command();
    let command = command
        .find_subcommand(L::COMMAND)
        .expect("there is such a command");
    // All uses of a command have the same settings.
    let command = command
        .get_subcommands()
        .find(|use_of| use_of.get_name() == "list")
        .unwrap_or(command);
    write!(page, "\n# `mattebox {}`\n", L::COMMAND).expect("strings grow");
    let mut heading = None;
    for arg in command.get_arguments().filter(|a| a.get_id() != "help") {
        let of_arg = arg.get_help_heading().unwrap_or("General");
        if heading != Some(of_arg) {
            heading = Some(of_arg);
            write!(
                page,
                "\n## {}\n\n| flag | what | default | variable | key |\n|---|---|---|---|---|\n",
                of_arg
            )
            .expect("strings grow");
        }
        let id = arg.get_id().as_str();
        let key = key_of(id);
        let value = arg
            .get_value_names()
            .and_then(|v| v.first())
            .map_or(String::new(), |v| format!(" {v}"));
        let value = if arg.get_action().takes_values() {
            value
        } else {
            String::new()
        };
        let flag = match (arg.get_long(), arg.get_short()) {
            (Some(long), Some(short)) => format!("`-{short}`, `--{long}{value}`"),
            (Some(long), None) => format!("`--{long}{value}`"),
            (None, _) => format!("`{}`", value.trim()),
        };
        let help = arg
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default()
            .replace('\n', " ")
            .replace('|', "\\|");
        let help = help
            .split(" [default:")
            .next()
            .unwrap_or_default()
            .to_owned();
        let default = defaults.get(key).map_or(String::new(), |v| {
            format!("`{}`", v.to_string().trim_matches('"'))
        });
        let default = if default.is_empty() {
            described_default(arg)
        } else {
            default
        };
        let variable = arg
            .get_env()
            .map_or(String::new(), |v| format!("`{}`", v.to_string_lossy()));
        let in_file = !matches!(
            id,
            "config" | "json" | "stats" | "verbose" | "code" | "camera" | "limit"
        );
        let key = if in_file {
            format!("`{key}`")
        } else {
            String::new()
        };
        writeln!(page, "| {flag} | {help} | {default} | {variable} | {key} |")
            .expect("strings grow");
    }
}

/// The default in the brackets of a help text.
fn described_default(arg: &clap::Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    help.split_once("[default: ")
        .and_then(|(_, rest)| rest.split(']').next())
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn the_settings_reference_is_what_the_command_line_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ref/settings.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).expect("the page is written");
    }
    let there = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        there == page,
        "docs/ref/settings.md is out of date: \
         UPDATE_DOCS=1 cargo test --release -p mattebox settings_reference"
    );
}
