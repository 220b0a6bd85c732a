//! The log: text on a terminal, JSON for machines, both on standard error. One event is one line,
//! even if names or messages in it hold line ends.
use indicatif::MultiProgress;
use std::{
    borrow::Cow,
    io::{self, IsTerminal, Write},
};
use thiserror::Error;
use tracing_subscriber::{
    EnvFilter,
    filter::{LevelFilter, ParseError},
    fmt::MakeWriter,
    layer::SubscriberExt,
    util::{SubscriberInitExt, TryInitError},
};

/// The target of the line that names the settings file.
pub const SETTINGS_TARGET: &str = "mattebox::settings";

/// Why the log cannot start.
#[derive(Debug, Error)]
pub enum LogError {
    /// The text is no level of the log.
    #[error("use error, warn, info, debug, trace or off{}", in_brackets(.0))]
    Level(Option<ParseError>),
    /// The text is no format of the log.
    #[error("log_format: use text or json")]
    Format,
    /// The process has a log already.
    #[error(transparent)]
    Started(#[from] TryInitError),
}

fn in_brackets(error: &Option<ParseError>) -> String {
    error.as_ref().map_or(String::new(), |e| format!(" ({e})"))
}

/// Checks a level of the log. With commas, targets with levels of their own may follow it:
/// `info,mattebox::kafka=debug`.
pub fn check_level(level: &str) -> Result<(), LogError> {
    let is_level =
        |text: &str| text.trim().parse::<LevelFilter>().is_ok() && !text.trim().is_empty();
    // A target alone would be taken by the filter: a misspelt level, too.
    let is_directive =
        |text: &str| is_level(text.rsplit_once('=').map_or(text, |(_, level)| level));
    if !level.split(',').all(is_directive) {
        return Err(LogError::Level(None));
    }
    EnvFilter::try_new(level)
        .map(drop)
        .map_err(|e| LogError::Level(Some(e)))
}

/// Starts the log. `level` is a level or a filter like `mattebox=debug`. Lines are written above
/// the progress bars of `screen`. With `names_settings`, the line of [`SETTINGS_TARGET`] is written
/// at every level.
pub fn init(
    level: &str,
    format: &str,
    names_settings: bool,
    screen: &MultiProgress,
) -> Result<(), LogError> {
    let mut filter = EnvFilter::try_new(level).map_err(|e| LogError::Level(Some(e)))?;
    if let Some(always) = format!("{SETTINGS_TARGET}=info")
        .parse()
        .ok()
        .filter(|_| names_settings)
    {
        filter = filter.add_directive(always);
    }
    let writer = AboveBars(screen.clone());
    let registry = tracing_subscriber::registry().with(filter);
    let started = match format {
        "text" => {
            let text = tracing_subscriber::fmt::layer()
                .log_internal_errors(false)
                .with_target(false)
                .with_ansi(has_colours())
                .with_writer(writer);
            registry.with(text.without_time()).try_init()
        }
        "json" => registry
            .with(
                tracing_subscriber::fmt::layer()
                    .log_internal_errors(false)
                    .json()
                    .flatten_event(true)
                    .with_writer(writer),
            )
            .try_init(),
        _ => return Err(LogError::Format),
    };
    Ok(started?)
}

/// Whether standard error is a terminal that shows colours, and NO_COLOR does not forbid them
/// (<https://no-color.org>).
fn has_colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    is_screen() && !refused
}

/// Whether standard error is a terminal that can redraw lines. The terminal of an editor or a build
/// log cannot (`TERM=dumb`).
pub fn is_screen() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Writes to standard error above the progress bars.
#[derive(Clone)]
struct AboveBars(MultiProgress);

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Errors are ignored: there is no other place to report them.
        let line = one_line(bytes);
        let _ = self.0.suspend(|| io::stderr().write_all(&line));
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The text of an event as one line: a line end in a name or a message could fake another event.
/// The library escapes other control characters.
fn one_line(event: &[u8]) -> Cow<'_, [u8]> {
    let (text, end) = match event.strip_suffix(b"\n") {
        Some(text) => (text, &b"\n"[..]),
        None => (event, &b""[..]),
    };
    if !text.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return Cow::Borrowed(event);
    }
    let escaped = text.iter().flat_map(|byte| match byte {
        b'\n' => b"\\n".as_slice(),
        b'\r' => b"\\r".as_slice(),
        byte => std::slice::from_ref(byte),
    });
    Cow::Owned(escaped.chain(end).copied().collect())
}

impl<'a> MakeWriter<'a> for AboveBars {
    type Writer = AboveBars;
    fn make_writer(&'a self) -> Self::Writer {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let forged = b"ERROR a.mp4\n INFO all is well\r\nyes\n";
        assert_eq!(
            one_line(forged).as_ref(),
            b"ERROR a.mp4\\n INFO all is well\\r\\nyes\n"
        );
        assert!(matches!(
            one_line(b"INFO fine\n"),
            Cow::Borrowed(b"INFO fine\n")
        ));
        assert_eq!(one_line(b"").as_ref(), b"");
    }
}
