//! Errors of the command line, in one line: the mistake, and a suggestion.
use super::help::{self, HelpLength};
use crate::exit::Exit;
use crate::{alike::most_alike, output};
use clap::{
    Arg, Command,
    error::{ContextKind, ContextValue, ErrorKind},
};
use mattebox_engine::address::scrub::Scrubber;
use std::{ffi::OsString, path::Path};

/// Prints the message of clap. Help and version go to standard output; everything else is wrong
/// usage.
pub(super) fn tell(e: &clap::Error, args: &[OsString]) -> Exit {
    if !e.use_stderr() {
        return match e.print() {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
                output::tell(format_args!(
                    "mattebox: cannot write to standard output: {e}"
                ));
                Exit::Failed
            }
            _ => Exit::Done,
        };
    }
    if e.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = e.print();
        return Exit::Usage;
    }
    // The message repeats arguments and variables, which may hold a password.
    let command = help::command(HelpLength::Long);
    let sentence = Mistake::new(e, args, &command).sentence();
    let variables = command
        .get_subcommands()
        .flat_map(Command::get_arguments)
        .filter_map(Arg::get_env);
    let set = variables.filter_map(|name| std::env::var(name).ok());
    let typed = args
        .iter()
        .map(|arg| arg.to_string_lossy().into_owned())
        .chain(set);
    let values = typed.map(|arg| {
        arg.split_once('=')
            .map_or(arg.clone(), |(_, value)| value.to_owned())
    });
    let words: Vec<_> = args
        .iter()
        .map(|arg| arg.to_string_lossy().into_owned())
        .chain(values)
        .collect();
    output::tell(format_args!(
        "mattebox: {}",
        Scrubber::of(words).scrub(&sentence)
    ));
    Exit::Usage
}

/// An error of clap, with its command.
struct Mistake<'a> {
    error: &'a clap::Error,
    root: &'a Command,
    /// The command that was being read.
    command: &'a Command,
    /// Its words: `mattebox dead-letters list`.
    path: String,
}

impl<'a> Mistake<'a> {
    fn new(error: &'a clap::Error, args: &[OsString], root: &'a Command) -> Self {
        let mut command = root;
        let mut path = root.get_name().to_owned();
        for word in args.iter().skip(1) {
            if let Some(next) = word.to_str().and_then(|word| command.find_subcommand(word)) {
                command = next;
                path = format!("{path} {}", next.get_name());
            }
        }
        Mistake {
            error,
            root,
            command,
            path,
        }
    }

    fn sentence(&self) -> String {
        let argument = self.text(ContextKind::InvalidArg).unwrap_or_default();
        let value = self.text(ContextKind::InvalidValue).unwrap_or_default();
        match self.error.kind() {
            ErrorKind::UnknownArgument if argument.starts_with('-') => self.unknown_flag(&argument),
            ErrorKind::UnknownArgument => {
                format!(
                    "`{argument}` is an unexpected argument; see {}",
                    self.help()
                )
            }
            ErrorKind::InvalidSubcommand => self.unknown_command(
                &self
                    .text(ContextKind::InvalidSubcommand)
                    .unwrap_or_default(),
            ),
            ErrorKind::InvalidValue if value.is_empty() => {
                format!("{} needs a value; see {}", flag(&argument), self.help())
            }
            ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
                self.wrong_value(&argument, &value)
            }
            ErrorKind::NoEquals => format!(
                "{argument}: write its value after a =, as in {}=VALUE",
                flag(&argument)
            ),
            ErrorKind::TooManyValues => format!("{} takes no value", flag(&argument)),
            ErrorKind::MissingRequiredArgument => {
                format!("{} is missing; see {}", argument, self.help())
            }
            _ => {
                let text = self.error.render().to_string();
                let first = text.lines().next().unwrap_or_default();
                let first = first.strip_prefix("error: ").unwrap_or(first);
                format!("{first}; see {}", self.help())
            }
        }
    }

    fn text(&self, kind: ContextKind) -> Option<String> {
        match self.error.get(kind)? {
            ContextValue::String(text) => Some(text.clone()),
            ContextValue::Strings(texts) => Some(texts.join(", ")),
            _ => None,
        }
    }

    fn help(&self) -> String {
        format!("`{} --help`", self.path)
    }

    fn unknown_flag(&self, typed: &str) -> String {
        let name = typed.trim_start_matches('-');
        let unknown = format!("unknown flag {typed}");
        let has = |command: &Command| command.get_arguments().any(|a| a.get_long() == Some(name));
        let longs = self.command.get_arguments().filter_map(Arg::get_long);
        let elsewhere: Vec<_> = self
            .root
            .get_subcommands()
            .filter(|command| has(command) && command.get_name() != "config")
            .map(|command| format!("`mattebox {}`", command.get_name()))
            .collect();
        let meant = most_alike(name, longs).filter(|_| typed.starts_with("--"));
        match (meant, elsewhere.as_slice()) {
            (_, [first, others @ ..]) => {
                let list = match others.split_last() {
                    None => format!("{first} has it"),
                    Some((last, [])) => format!("{first} and {last} have it"),
                    Some((last, more)) => {
                        format!("{first}, {} and {last} have it", more.join(", "))
                    }
                };
                format!("{unknown}: {list}, `{}` has not", self.path)
            }
            (Some(meant), []) => format!("{unknown}: did you mean --{meant}?"),
            (None, []) => format!("{unknown}; {} lists all", self.help()),
        }
    }

    fn unknown_command(&self, typed: &str) -> String {
        let names = self.command.get_subcommands().map(Command::get_name);
        let is_source = Path::new(typed).exists()
            || typed.contains(['.', '/', ':', '=', '*'])
            || typed.parse::<u32>().is_ok();
        let is_root = std::ptr::eq(self.command, self.root);
        match most_alike(typed, names) {
            _ if is_source && is_root => {
                format!("`{typed}` is not a command: did you mean `mattebox run {typed}`?")
            }
            Some(meant) => format!(
                "`{typed}` is not a command: did you mean `{} {meant}`?",
                self.path
            ),
            None => format!("`{typed}` is not a command; {} lists all", self.help()),
        }
    }

    fn wrong_value(&self, argument: &str, value: &str) -> String {
        let argument = flag(argument);
        let from = match self.variable(argument, value) {
            Some(variable) => format!(" (from the environment variable {variable})"),
            None => String::new(),
        };
        let valid = match self.error.get(ContextKind::ValidValue) {
            Some(ContextValue::Strings(valid)) => valid.as_slice(),
            _ => &[],
        };
        let cause = std::error::Error::source(self.error).map(ToString::to_string);
        let why = match (valid.split_last(), cause) {
            (Some((last, [])), _) => format!("use {last}"),
            (Some((last, others)), _) => {
                let meant = most_alike(value, valid.iter().map(String::as_str));
                let meant = meant.map_or(String::new(), |meant| format!("; did you mean {meant}?"));
                format!("use {} or {last}{meant}", others.join(", "))
            }
            (None, Some(cause)) => in_words(&cause),
            (None, None) => format!("this value is not allowed; see {}", self.help()),
        };
        format!("{argument} {value}{from}: {why}")
    }

    /// The environment variable that a wrong value comes from: clap names only the flag, even if it
    /// was not typed.
    fn variable(&self, flag: &str, value: &str) -> Option<String> {
        let typed = std::env::args().any(|a| a == flag || a.starts_with(&format!("{flag}=")));
        let mut arguments = self.root.get_subcommands().flat_map(Command::get_arguments);
        let variable = arguments
            .find(|a| a.get_long() == flag.strip_prefix("--") && a.get_env().is_some())?
            .get_env()?
            .to_str()?;
        (!typed && std::env::var(variable).is_ok_and(|v| v == value)).then(|| variable.to_owned())
    }
}

/// clap writes ranges as Rust does: `0 is not in 1..=100000`.
fn in_words(cause: &str) -> String {
    let range = cause.split_once(" is not in ").map(|(_, range)| range);
    match range.and_then(|range| range.split_once("..=")) {
        Some((from, to)) => format!("it must be between {from} and {to}"),
        None => match cause {
            "invalid digit found in string" | "cannot parse integer from empty string" => {
                "not a whole number, such as 10".to_owned()
            }
            "number too large to fit in target type" => "the number is too large".to_owned(),
            _ => cause.to_owned(),
        },
    }
}

/// `--fps` of `--fps <N>`, `--view` of `--view[=<ADDR>]`, `SHELL` of `<SHELL>`.
fn flag(argument: &str) -> &str {
    let first = argument.split([' ', '[', '=']).next().unwrap_or(argument);
    match first {
        "" => argument,
        first => first.trim_matches(['<', '>']),
    }
}
