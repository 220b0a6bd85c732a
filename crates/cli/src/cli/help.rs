//! The help texts: `-h` has a line for each common flag, `--help` has all flags with their
//! defaults.
//!
//! The texts of `--help` are those of the settings (`config::layer`), the defaults those of
//! `defaults.toml`.
use super::Cli;
use crate::config::{
    CameraLayer, DeadLettersLayer, PruneLayer, RunLayer, SettingsLayer, ViewLayer, WorkerLayer,
    layer::key_of, number, resolve::defaults,
};
use crate::exit::Exit;
use clap::{Arg, Command, CommandFactory, builder::StyledStr, builder::ValueHint};
use std::any::TypeId;
use toml::Table;

/// Above the commands of `mattebox --help`.
pub(super) const START: &str = "\
Live video background removal: finds the people in each frame and puts a
background of your choice behind them.

Start here:
  mattebox doctor                            check this machine
  mattebox run clip.mp4                      pictures in output/cam01/
  mattebox run 0 -b blur --out none --view   the webcam, live in your browser
  mattebox run photos/ -b transparent        a folder of pictures, cut out
  mattebox worker --kafka broker:9092        frames of a Kafka topic

`mattebox COMMAND -h` lists the common flags, --help all of them.";

/// The link to the documentation.
pub(super) const DOCUMENTATION: &str = concat!(
    "Documentation: ",
    env!("CARGO_PKG_REPOSITORY"),
    "/tree/main/docs"
);

/// Below the commands of `mattebox --help`.
fn end() -> String {
    let codes = Exit::ALL.into_iter();
    let codes = codes.map(|exit| format!("  {:>3}  {}\n", exit.number(), exit.meaning()));
    format!(
        "Exit codes:\n{}\n{DOCUMENTATION}",
        codes.collect::<String>()
    )
}

/// A flag by its id, and its line in `-h`.
type HelpLine = (&'static str, &'static str);

const WITH_STATS: HelpLine = ("verbose", "Log at level debug, and --stats at the end");

const MADE: &[HelpLine] = &[
    ("background", "colour, blur, transparent, image:FILE"),
    ("matte", "soft, hard, fine or fine:always"),
    ("people", "all, nearest, or a number from 1 to 9"),
    ("threads", "Threads that work on frames"),
];

const RUN: &[HelpLine] = &[
    WITH_STATS,
    (
        "source",
        "File, URL, webcam number, folder, or - (NAME=SOURCE for several)",
    ),
    ("out", "Folder, video file, URL, - or none"),
    ("format", "png, jpg or webp"),
    ("fps", "Frames per second to take from the source"),
    ("max_width", "Shrink wider pictures to this width"),
    ("repeat", "Start the source again when it ends"),
    ("start", "Skip the beginning: 90, 1m30s, 00:01:30"),
    ("duration", "Stop after this much of the source"),
    ("frames", "Stop after N frames of each source"),
    ("realtime", "Read a file at its own speed"),
    ("view", "Serve a live page [default: 127.0.0.1:9480]"),
];

const CAMERA: &[HelpLine] = &[
    WITH_STATS,
    (
        "source",
        "File, URL, webcam number, folder, or - (NAME=SOURCE for several)",
    ),
    ("camera_id", "Name of the camera"),
    ("fps", "Frames per second to take from the source"),
    ("max_width", "Shrink wider pictures to this width"),
    ("once", "Stop when the source ends"),
    ("kafka", "The broker"),
    ("topic", "The topic of the frames"),
    ("metrics", "Serve /metrics and /healthz here"),
];

const WORKER: &[HelpLine] = &[
    WITH_STATS,
    ("out", "Folder, or topic:NAME"),
    ("format", "png, jpg or webp"),
    ("keep", "Remove files after this time: 7d, 12h"),
    ("group", "Workers of one group share the frames"),
    ("from", "New groups begin at earliest, latest or TIME"),
    ("until", "never, or end: stop when all is done"),
    ("live", "Skip frames older than --max-age"),
    ("kafka", "The broker"),
    ("topic", "The topic of the frames"),
    ("view", "Serve a live page [default: 127.0.0.1:9480]"),
    ("metrics", "Serve /metrics and /healthz here"),
];

const VIEW: &[HelpLine] = &[
    (
        "results",
        "The topic that `mattebox worker --out topic:TOPIC` writes",
    ),
    ("view", "Address of the page [default: 127.0.0.1:9480]"),
    ("token", "Password for the page"),
    ("kafka", "The broker"),
];

const PRUNE: &[HelpLine] = &[
    ("out", "The output folder"),
    ("keep", "Remove files older than this: 7d, 12h"),
    ("keep_bytes", "Remove the oldest above this: 50GB"),
    ("dry_run", "Only print what would be removed"),
    ("every", "Repeat after each such time"),
];

const LETTERS: &[HelpLine] = &[
    ("code", "Only those with this reason code"),
    ("camera", "Only those of this camera"),
    ("limit", "At most N"),
    ("place", "Its position, as in `mattebox dead-letters list`"),
    ("value", "Write its value to this file, or - (stdout)"),
    ("from", "Start here, even if sent before"),
    ("dry_run", "Only print what would be sent"),
    ("json", "Print as JSON"),
    ("kafka", "The broker"),
    ("topic", "The topic of the frames"),
];

const CONFIG: &[HelpLine] = &[("json", "Print as JSON")];

const DOCTOR: &[HelpLine] = &[
    ("out", "The output folder"),
    ("ffmpeg", "The ffmpeg program"),
    ("kafka", "Check this broker, too"),
    ("json", "Print as JSON"),
];

/// The flags of every command with settings.
const ALL: &[HelpLine] = &[
    ("config", "Settings file [default: mattebox.toml]"),
    ("verbose", "Log at level debug"),
    ("json", "Print the final summary as JSON"),
    ("stats", "At the end, print counts and costs"),
    ("help", "Print this (--help: all flags)"),
];

/// The room for a line on 80 columns, beside the longest flag.
const SHORT_WIDTH: usize = 52;

/// Below the flags of a command with settings, in `--help`.
const VALUES: &str = "\
TIME is in seconds (90) or has units (1m30s, 250ms, 7d); SIZE has units (50GB, 500MiB).
A flag wins over its variable, a variable over the settings file, the file over the default.
`mattebox config COMMAND` prints the settings in force and where each comes from.";

/// The length of a help text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HelpLength {
    /// `-h`
    Short,
    /// `--help`
    Long,
}

/// The definition of the command line. Its help has the names of variables without their values:
/// some are passwords.
pub(super) fn command(length: HelpLength) -> Command {
    let command = Cli::command().after_help(end()).help_template(format!(
        "{START}\n\nUsage: mattebox COMMAND [ARGUMENTS]\n\n{{all-args}}{{after-help}}"
    ));
    command.mut_subcommands(|sub| shown(sub, length))
}

fn shown(command: Command, length: HelpLength) -> Command {
    let defaults = match command.get_name() {
        "run" => settings::<RunLayer>(Some(&[RUN, MADE])),
        "camera" => settings::<CameraLayer>(Some(&[CAMERA])),
        "worker" => settings::<WorkerLayer>(Some(&[WORKER, MADE])),
        "view" => settings::<ViewLayer>(Some(&[VIEW])),
        "prune" => settings::<PruneLayer>(Some(&[PRUNE])),
        "list" | "show" | "redrive" | "dead-letters" => {
            settings::<DeadLettersLayer>(Some(&[LETTERS]))
        }
        // doctor asks a broker only if a setting names one, and with a short limit.
        "doctor" => (Table::new(), Some(&[DOCTOR][..])),
        "config" => settings::<RunLayer>(Some(&[CONFIG])),
        _ => (Table::new(), None),
    };
    let (defaults, lines) = defaults;
    let command = match (length, defaults.is_empty(), command.get_after_help()) {
        (HelpLength::Long, false, Some(examples)) => {
            let both = format!("{examples}\n\n{VALUES}");
            command.after_help(both)
        }
        (HelpLength::Long, false, None) => command.after_help(VALUES),
        _ => command,
    };
    command
        .mut_args(|arg| {
            let arg = typed(arg.hide_env_values(true));
            let arg = with_default(arg, &defaults);
            match (length, lines) {
                (HelpLength::Short, Some(lines)) => short(arg, lines),
                (HelpLength::Short, None) => arg.hide_env(true),
                (HelpLength::Long, _) => arg,
            }
        })
        .mut_subcommands(|sub| shown(sub, length))
}

/// The defaults of a command, and its lines in `-h`.
fn settings<L: SettingsLayer>(
    lines: Option<&'static [&'static [HelpLine]]>,
) -> (Table, Option<&'static [&'static [HelpLine]]>) {
    (defaults::<L>().unwrap_or_default(), lines)
}

/// Numbers are read with errors in plain words, and files are completed.
fn typed(arg: Arg) -> Arg {
    let value = arg.get_value_parser().type_id();
    let arg = if value == TypeId::of::<f64>() {
        arg.value_parser(number::fraction)
    } else if value == TypeId::of::<i64>() {
        arg.value_parser(number::whole)
    } else {
        arg
    };
    let name = arg.get_value_names().and_then(|names| names.first());
    match name.map(|name| name.as_str()) {
        Some("FILE" | "PATH") => arg.value_hint(ValueHint::FilePath),
        Some("DIR") => arg.value_hint(ValueHint::DirPath),
        Some("SOURCE" | "OUT") => arg.value_hint(ValueHint::AnyPath),
        _ => arg,
    }
}

/// Adds the default that `defaults.toml` gives, if the help does not describe one.
fn with_default(arg: Arg, defaults: &Table) -> Arg {
    let Some(default) = default_of(&arg, defaults) else {
        return arg;
    };
    let add = |text: &StyledStr| format!("{text} [default: {default}]");
    let help = arg.get_help().map(add);
    let long = arg.get_long_help().map(add);
    let arg = match help {
        Some(help) => arg.help(help),
        None => arg,
    };
    match long {
        Some(long) => arg.long_help(long),
        None => arg,
    }
}

fn default_of(arg: &Arg, defaults: &Table) -> Option<String> {
    let describes = |text: &StyledStr| text.to_string().contains("[default");
    let is_described = arg.get_help().is_some_and(describes);
    let default = defaults.get(key_of(arg.get_id().as_str()))?;
    (!is_described).then(|| default.to_string().trim_matches('"').to_owned())
}

/// The argument as `-h` has it: one line, or none.
fn short(arg: Arg, lines: &[&[HelpLine]]) -> Arg {
    let id = arg.get_id().as_str();
    let line = lines
        .iter()
        .copied()
        .chain([ALL])
        .flatten()
        .find(|(of, _)| *of == id);
    let Some((_, line)) = line else {
        return arg.hide_short_help(true);
    };
    let default = arg
        .get_help()
        .map(ToString::to_string)
        .and_then(|help| Some(help.split_once(" [default: ")?.1.to_owned()))
        .filter(|default| default != "false]" && !line.contains("[default"));
    let line = match default.map(|default| format!("{line} [default: {default}")) {
        Some(with_default) if with_default.len() <= SHORT_WIDTH => with_default,
        _ => (*line).to_owned(),
    };
    arg.help(line).hide_env(true).hide_possible_values(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help_of(name: &str, length: HelpLength) -> String {
        let mut command = command(length).term_width(80);
        command.build();
        let sub = command.find_subcommand_mut(name).expect("such a command");
        match length {
            HelpLength::Short => sub.render_help().to_string(),
            HelpLength::Long => sub.render_long_help().to_string(),
        }
    }

    #[test]
    fn the_short_help_has_one_line_for_each_flag_and_fits_80_columns() {
        for (name, lines) in [
            ("run", &[RUN, MADE][..]),
            ("camera", &[CAMERA]),
            ("worker", &[WORKER, MADE]),
            ("view", &[VIEW]),
            ("doctor", &[DOCTOR]),
            ("prune", &[PRUNE]),
        ] {
            let help = help_of(name, HelpLength::Short);
            for (id, line) in lines.iter().copied().flatten() {
                assert!(
                    help.contains(line),
                    "{name} {id}: cut in two, or unknown:\n{help}"
                );
            }
            let flags = help.lines().filter(|l| l.trim_start().starts_with('-'));
            let flags: Vec<_> = flags.collect();
            assert!(flags.len() < 26, "{name}:\n{help}");
            for line in flags {
                assert!(line.chars().count() <= 80, "{name}: {line}");
            }
            let after = help.split("Examples:").next().expect("the flags");
            let carried_over = after.lines().filter(|l| l.starts_with("            "));
            assert_eq!(carried_over.collect::<Vec<_>>(), [""; 0], "{name}");
        }
    }

    #[test]
    fn the_long_help_has_every_default() {
        let of = [
            ("run", defaults::<RunLayer>()),
            ("camera", defaults::<CameraLayer>()),
            ("worker", defaults::<WorkerLayer>()),
            ("view", defaults::<ViewLayer>()),
            ("prune", defaults::<PruneLayer>()),
        ];
        for (name, defaults) in of {
            let help = help_of(name, HelpLength::Long);
            let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
            for (key, value) in defaults.expect("the defaults are settings") {
                let default = format!("[default: {}]", value.to_string().trim_matches('"'));
                let flag = format!("--{}", key.replace('_', "-"));
                let described = words
                    .split(&format!("{flag} "))
                    .chain(words.split(&format!("{flag}[")))
                    .any(|part| part.contains(&default) || part.contains("[default"));
                assert!(described, "{name} {flag}: {default} is missing");
            }
            assert!(words.contains("[env: MATTEBOX_LOG_LEVEL]"), "{name}");
        }
    }
}
