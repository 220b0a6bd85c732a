//! Standard output and standard error: one place writes to each, and neither ends the program with a panic.
//!
//! A reader of standard output that has seen enough (`mattebox config | head -1`) is no failure: the rest is left out in silence. Any other
//! trouble there, such as a full disk, is an [`OutputError`]. Where standard error cannot be written, nobody can be told, and work goes on.
use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
};
use thiserror::Error;

/// Standard output cannot be written.
#[derive(Debug, Error)]
#[error("cannot write to standard output: {0}")]
pub struct OutputError(io::Error);

/// Writes a text and a line's end to standard output.
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

/// Writes a text and a line's end to standard error.
pub fn tell(text: impl Display) {
    // In one piece, so that lines of several threads do not mix.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// An error with what led to it, each told once: some errors repeat their source in their own text.
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
