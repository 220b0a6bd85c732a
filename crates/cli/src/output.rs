//! Standard output and standard error: one place writes to each, and neither can panic.
//!
//! A reader that closes standard output early (`mattebox config | head -1`) is no failure: the rest
//! is not printed. Any other error there, such as a full disk, is an [`OutputError`]. Errors of
//! standard error are ignored, because there is no other place to report them.
use serde::Serialize;
use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
};
use thiserror::Error;

/// Standard output cannot be written.
#[derive(Debug, Error)]
#[error("cannot write to standard output: {0}")]
pub struct OutputError(io::Error);

/// Prints a line on standard output.
pub fn print(text: impl Display) -> Result<(), OutputError> {
    print_bytes(format!("{text}\n").as_bytes())
}

/// Writes bytes to standard output.
pub fn print_bytes(bytes: &[u8]) -> Result<(), OutputError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(OutputError(error)),
        _ => Ok(()),
    }
}

/// Prints a line on standard error.
pub fn tell(text: impl Display) {
    // One write, so that lines of several threads do not mix.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Prints on standard error why the command fails, in one line.
pub fn fail(why: impl Display) {
    tell(format_args!(
        "mattebox: {}",
        without_numbers(&why.to_string())
    ));
}

/// The text of a system error without its number "(os error 2)": the words are enough.
fn without_numbers(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(" (os error ") {
        let end = after.find(')').map_or(after.len(), |end| end + 1);
        plain += before;
        rest = &after[end..];
    }
    plain + rest
}

/// The summary at the end of a long command, as text (the alternate form, `{:#}`, has tables of
/// counts and costs) or as JSON.
pub trait CommandSummary: Display + Serialize {
    /// The failures that the log has not reported.
    fn failures(&self) -> Vec<String> {
        vec![]
    }
}

impl CommandSummary for mattebox_kafka::camera::report::PublishReport {
    fn failures(&self) -> Vec<String> {
        failures_of(self.failures(), self.cameras.len())
    }
}
impl CommandSummary for mattebox_kafka::worker::report::WorkerReport {}

/// The line that names the failed cameras of `all`. It has the reasons only where the log has none:
/// for a single camera, and if the log is off.
pub fn failures_of<'a>(
    failed: impl Iterator<Item = (&'a str, Option<&'a str>)>,
    all: usize,
) -> Vec<String> {
    let failed: Vec<_> = failed.collect();
    match (failed.as_slice(), all) {
        ([], _) => return vec![],
        ([(_, why)], 1) => return why.map(str::to_owned).into_iter().collect(),
        _ => {}
    }
    let each: Vec<_> = failed
        .iter()
        .map(|(camera, why)| match why {
            Some(why) if !tracing::enabled!(tracing::Level::ERROR) => format!("{camera}: {why}"),
            _ => (*camera).to_owned(),
        })
        .collect();
    vec![format!(
        "{} of {all} cameras failed: {}",
        each.len(),
        each.join("; ")
    )]
}

/// An error with its causes, each once: some errors repeat their source in their text.
pub fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[derive(Debug, Error)]
    #[error("cannot read it: {source}")]
    struct Repeating {
        source: io::Error,
    }

    #[test]
    fn the_numbers_of_system_errors_are_left_out() {
        for (text, plain) in [
            (
                "a: No such file or directory (os error 2)",
                "a: No such file or directory",
            ),
            ("a (os error 2): b (os error 13); c", "a: b; c"),
            ("none (of them)", "none (of them)"),
        ] {
            assert_eq!(without_numbers(text), plain);
        }
    }

    #[test]
    fn each_cause_is_told_once() {
        let error = Repeating {
            source: io::Error::other("the disk is on fire"),
        };
        let error = Err::<(), _>(error).context("no settings").unwrap_err();
        assert_eq!(
            chain(&error),
            "no settings: cannot read it: the disk is on fire"
        );
        assert_eq!(chain(&anyhow::anyhow!("alone")), "alone");
    }
}
