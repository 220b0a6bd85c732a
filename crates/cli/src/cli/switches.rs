//! Flags whose value may be left out: `--loop`, `--loop true`, `--loop=true`, `--view`, `--view
//! 127.0.0.1:9480`.
//!
//! clap alone would either take the source behind `--loop` for its value, or the value behind
//! `--view` for a source. So all such flags take their value behind a `=`, and a following word
//! that can only be the value is joined to the flag before clap sees it.
use clap::Command;
use std::{collections::BTreeSet, ffi::OsString, path::Path};

/// The command line with each such flag and its value in one word.
pub(super) fn join(args: impl IntoIterator<Item = OsString>, command: &Command) -> Vec<OsString> {
    let mut switches = BTreeSet::new();
    let mut others = BTreeSet::new();
    learn(command, &mut switches, &mut others);
    let mut joined = Vec::new();
    let mut args = args.into_iter().peekable();
    while let Some(arg) = args.next() {
        if arg == "--" {
            joined.push(arg);
            joined.extend(args);
            break;
        }
        let value = arg
            .to_str()
            .and_then(|text| text.strip_prefix("--"))
            .and_then(|name| {
                let is_switch = switches.contains(name);
                let next = args.peek()?.to_str()?;
                (is_switch && is_value(name, next)).then(|| next.to_owned())
            });
        match value {
            Some(value) => {
                let mut whole = arg;
                whole.push("=");
                whole.push(value);
                joined.push(whole);
                args.next();
            }
            // The word after any other flag is the value of that flag.
            None if arg.to_str().is_some_and(|text| others.contains(text)) => {
                joined.push(arg);
                joined.extend(args.next());
            }
            None => joined.push(arg),
        }
    }
    joined
}

/// Collects the names of the flags with an optional value, and the flags, as they are typed, with a
/// required one.
fn learn(command: &Command, switches: &mut BTreeSet<String>, others: &mut BTreeSet<String>) {
    for arg in command
        .get_arguments()
        .filter(|arg| arg.get_action().takes_values())
    {
        match (arg.get_long(), arg.is_require_equals_set()) {
            (Some(long), true) => drop(switches.insert(long.to_owned())),
            (long, _) => {
                others.extend(long.map(|long| format!("--{long}")));
                others.extend(arg.get_short().map(|short| format!("-{short}")));
            }
        }
    }
    command
        .get_subcommands()
        .for_each(|command| learn(command, switches, others));
}

/// Whether the word after a flag is its value. The name of a file is not.
fn is_value(flag: &str, word: &str) -> bool {
    let is_switch = matches!(
        word.to_ascii_lowercase().as_str(),
        "true" | "false" | "yes" | "no" | "on" | "off"
    );
    let is_ours = if flag == "view" {
        is_switch || is_address(word)
    } else {
        is_switch
    };
    is_ours && (matches!(word, "true" | "false") || !Path::new(word).exists())
}

/// `ADDRESS:PORT`, `:PORT` or `PORT`. A number of up to three digits is a camera.
fn is_address(word: &str) -> bool {
    let is_port =
        |text: &str| (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let is_host = |text: &str| {
        let inner = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        inner.map_or_else(
            || text.chars().all(is_name),
            |inner| {
                inner
                    .chars()
                    .all(|c| c.is_ascii_hexdigit() || c == ':' || c == '.')
            },
        )
    };
    match word.rsplit_once(':') {
        Some((host, port)) => is_port(port) && is_host(host),
        None => word.len() >= 4 && is_port(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    #[test]
    fn a_value_is_joined_and_the_next_word_is_left() {
        let joined = |line: &str| {
            let args = line.split(' ').map(OsString::from);
            join(args, &Cli::command())
                .iter()
                .map(|arg| arg.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
                .join(" ")
        };
        for (line, want) in [
            (
                "mattebox run --loop clip.mp4",
                "mattebox run --loop clip.mp4",
            ),
            (
                "mattebox run --loop true clip.mp4",
                "mattebox run --loop=true clip.mp4",
            ),
            (
                "mattebox run clip.mp4 --loop",
                "mattebox run clip.mp4 --loop",
            ),
            (
                "mattebox run clip.mp4 --view 127.0.0.1:9481",
                "mattebox run clip.mp4 --view=127.0.0.1:9481",
            ),
            (
                "mattebox run clip.mp4 --view localhost:9481",
                "mattebox run clip.mp4 --view=localhost:9481",
            ),
            (
                "mattebox run clip.mp4 --view [::1]:9481 x",
                "mattebox run clip.mp4 --view=[::1]:9481 x",
            ),
            (
                "mattebox run --view :9481 clip.mp4",
                "mattebox run --view=:9481 clip.mp4",
            ),
            (
                "mattebox run --view 9481 clip.mp4",
                "mattebox run --view=9481 clip.mp4",
            ),
            ("mattebox run --view 0", "mattebox run --view 0"),
            (
                "mattebox run --view rtsp://h:554",
                "mattebox run --view rtsp://h:554",
            ),
            (
                "mattebox run --view clip.mp4",
                "mattebox run --view clip.mp4",
            ),
            (
                "mattebox run --live off clip.mp4",
                "mattebox run --live=off clip.mp4",
            ),
            (
                "mattebox run --camera-id --loop true",
                "mattebox run --camera-id --loop true",
            ),
            (
                "mattebox config camera --once false",
                "mattebox config camera --once=false",
            ),
            ("mattebox run -- --loop true", "mattebox run -- --loop true"),
        ] {
            assert_eq!(joined(line), want);
        }
    }

    #[test]
    fn all_flags_whose_value_may_be_left_out_are_of_one_kind() {
        fn check(command: &Command) {
            for arg in command
                .get_arguments()
                .filter(|arg| arg.get_num_args().is_some_and(|n| n.min_values() == 0))
            {
                if arg.get_action().takes_values() {
                    assert!(
                        arg.is_require_equals_set(),
                        "--{} of {}: set require_equals",
                        arg.get_id(),
                        command.get_name()
                    );
                }
            }
            command.get_subcommands().for_each(check);
        }
        let mut command = Cli::command();
        command.build();
        check(&command);
    }
}
