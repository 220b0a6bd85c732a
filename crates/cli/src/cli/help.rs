//! The command line as it is shown: `-h` has a line for each flag that is often needed, `--help`
//! has all flags with their defaults.
//!
//! The texts of `--help` stand beside the settings (`config::layer`), the defaults in
//! `defaults.toml`.
use super::Cli;
use crate::config::{
    CameraLayer, Layer, LettersLayer, PruneLayer, RunLayer, WatchLayer, WorkerLayer, layer::key_of,
    number, resolve::defaults,
};
use clap::{Arg, Command, CommandFactory, builder::StyledStr, builder::ValueHint};
use std::any::TypeId;
use toml::Table;

/// Above the commands of `mattebox --help`.
pub(super) const START: &str = "\
Live video background removal: finds the people in each frame and puts a
background of your choice behind them.

Start here:
  mattebox doctor                            is everything here that it needs?
  mattebox run clip.mp4                      pictures in output/cam01/
  mattebox run 0 -b blur --out none --view   the webcam, live in your browser
  mattebox run photos/ -b transparent        a folder of pictures, cut out
  mattebox worker --kafka broker:9092        frames of a Kafka topic

`mattebox COMMAND -h` lists the flags that are often needed, --help all of them.";

/// What the exit codes mean, and what manual pages say besides.
pub(super) const EXIT_CODES: &[(u8, &str, &str)] = &[
    (0, "done", ""),
    (
        1,
        "failed",
        ": a frame, a file or an output; standard error says which",
    ),
    (2, "wrong usage or settings", ": another try gives the same"),
    (
        3,
        "a camera, server or broker could not be reached in time",
        "",
    ),
    (4, "done, but frames were lost before they arrived", ""),
    (130, "stopped by Ctrl-C or a signal", ""),
];

/// Where more is written.
pub(super) const DOCUMENTATION: &str = concat!(
    "Documentation: ",
    env!("CARGO_PKG_REPOSITORY"),
    "/tree/main/docs"
);

/// Below the commands of `mattebox --help`.
fn end() -> String {
    let codes = EXIT_CODES.iter();
    let codes = codes.map(|(code, meaning, _)| format!("  {code:>3}  {meaning}\n"));
    format!(
        "Exit codes:\n{}\n{DOCUMENTATION}",
        codes.collect::<String>()
    )
}

/// A flag by its id, and its line in `-h`.
type Line = (&'static str, &'static str);

const WITH_STATS: Line = ("verbose", "Say more, and --stats at the end");

const MADE: &[Line] = &[
    ("background", "colour, blur, transparent, image:FILE"),
    ("matte", "soft, hard, fine or fine:always"),
    ("people", "all, nearest, or a number from 1 to 9"),
    ("threads", "Threads that work on frames"),
];

const RUN: &[Line] = &[
    WITH_STATS,
    (
        "source",
        "File, URL, webcam number, folder, or - (NAME=SOURCE for several)",
    ),
    ("out", "Folder, video file, URL, - or none"),
    ("format", "png, jpg or webp"),
    ("fps", "Take so many frames per second"),
    ("max_width", "Shrink wider pictures to this width"),
    ("repeat", "Start the source again when it ends"),
    ("start", "Skip the beginning: 90, 1m30s, 00:01:30"),
    ("duration", "Stop after this much of the source"),
    ("frames", "Stop after so many frames of each source"),
    ("realtime", "Read a file at its own speed"),
    ("view", "Serve a live page [default: 127.0.0.1:9480]"),
];

const CAMERA: &[Line] = &[
    WITH_STATS,
    (
        "source",
        "File, URL, webcam number, folder, or - (NAME=SOURCE for several)",
    ),
    ("camera_id", "Name of the camera"),
    ("fps", "Take so many frames per second"),
    ("max_width", "Shrink wider pictures to this width"),
    ("once", "Stop when the source ends"),
    ("kafka", "The broker"),
    ("topic", "The topic of the frames"),
    ("metrics", "Serve /metrics and /healthz here"),
];

const WORKER: &[Line] = &[
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

const VIEW: &[Line] = &[
    (
        "results",
        "The topic that `mattebox worker --out topic:TOPIC` writes",
    ),
    ("view", "Where the page is [default: 127.0.0.1:9480]"),
    ("token", "Password for the page"),
    ("kafka", "The broker"),
];

const PRUNE: &[Line] = &[
    ("out", "The folder that pictures were written to"),
    ("keep", "Remove files older than this: 7d, 12h"),
    ("keep_bytes", "Remove the oldest above this: 50GB"),
    ("dry_run", "Only say what would be removed"),
    ("every", "Go on, with a round after each such time"),
];

const LETTERS: &[Line] = &[
    ("code", "Only those with this reason code"),
    ("camera", "Only those of this camera"),
    ("limit", "At most so many"),
    (
        "place",
        "Where it lies, as `mattebox dead-letters list` tells",
    ),
    ("value", "Write its value to this file, or - (stdout)"),
    ("from", "From this one on, even if sent before"),
    ("dry_run", "Only say what would be sent"),
    ("json", "Print as JSON"),
    ("kafka", "The broker"),
    ("topic", "The topic of the frames"),
];

const CONFIG: &[Line] = &[("json", "Print as JSON")];

const DOCTOR: &[Line] = &[
    ("out", "The folder that results will go to"),
    ("ffmpeg", "The ffmpeg program"),
    ("kafka", "Check this broker, too"),
    ("json", "Print as JSON"),
];

/// Of every command that has them.
const ALL: &[Line] = &[
    ("config", "Settings file [default: mattebox.toml]"),
    ("verbose", "Say more: the log at level debug"),
    ("json", "Print the final summary as JSON"),
    ("stats", "At the end, print counts and costs"),
    ("help", "Print this (--help: all flags)"),
];

/// What is left for a line on 80 columns, beside the longest flag.
const SHORT_WIDTH: usize = 52;

/// Below the flags of a command with settings, in `--help`.
const VALUES: &str = "\
TIME is in seconds (90) or has units (1m30s, 250ms, 7d); SIZE has units (50GB, 500MiB).
A flag wins over its variable, that over the settings file, that over the default.
`mattebox config COMMAND` prints what is in force and where it comes from.";

/// How a command is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// `-h`
    Short,
    /// `--help`
    Long,
}

/// The command line's definition. Its help tells the names of variables, and not their values: some
/// are passwords.
pub(super) fn command(length: Length) -> Command {
    let command = Cli::command().after_help(end()).help_template(format!(
        "{START}\n\nUsage: mattebox COMMAND [ARGUMENTS]\n\n{{all-args}}{{after-help}}"
    ));
    command.mut_subcommands(|sub| shown(sub, length))
}

fn shown(command: Command, length: Length) -> Command {
    let defaults = match command.get_name() {
        "run" => settings::<RunLayer>(Some(&[RUN, MADE])),
        "camera" => settings::<CameraLayer>(Some(&[CAMERA])),
        "worker" => settings::<WorkerLayer>(Some(&[WORKER, MADE])),
        "view" => settings::<WatchLayer>(Some(&[VIEW])),
        "prune" => settings::<PruneLayer>(Some(&[PRUNE])),
        "list" | "show" | "redrive" | "dead-letters" => settings::<LettersLayer>(Some(&[LETTERS])),
        // It asks only a broker that is named, and not for two minutes.
        "doctor" => (Table::new(), Some(&[DOCTOR][..])),
        "config" => settings::<RunLayer>(Some(&[CONFIG])),
        _ => (Table::new(), None),
    };
    let (defaults, lines) = defaults;
    let command = match (length, defaults.is_empty(), command.get_after_help()) {
        (Length::Long, false, Some(examples)) => {
            let both = format!("{examples}\n\n{VALUES}");
            command.after_help(both)
        }
        (Length::Long, false, None) => command.after_help(VALUES),
        _ => command,
    };
    command
        .mut_args(|arg| {
            let arg = typed(arg.hide_env_values(true));
            let arg = with_default(arg, &defaults);
            match (length, lines) {
                (Length::Short, Some(lines)) => short(arg, lines),
                (Length::Short, None) => arg.hide_env(true),
                (Length::Long, _) => arg,
            }
        })
        .mut_subcommands(|sub| shown(sub, length))
}

/// The defaults of a command, and the lines that `-h` has of it.
fn settings<L: Layer>(
    lines: Option<&'static [&'static [Line]]>,
) -> (Table, Option<&'static [&'static [Line]]>) {
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
fn short(arg: Arg, lines: &[&[Line]]) -> Arg {
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

    fn help_of(name: &str, length: Length) -> String {
        let mut command = command(length).term_width(80);
        command.build();
        let sub = command.find_subcommand_mut(name).expect("such a command");
        match length {
            Length::Short => sub.render_help().to_string(),
            Length::Long => sub.render_long_help().to_string(),
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
            let help = help_of(name, Length::Short);
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
            ("view", defaults::<WatchLayer>()),
            ("prune", defaults::<PruneLayer>()),
        ];
        for (name, defaults) in of {
            let help = help_of(name, Length::Long);
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
