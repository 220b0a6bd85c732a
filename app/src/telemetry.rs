//! The log: text on a terminal, JSON for machines, both on standard error.
use indicatif::MultiProgress;
use std::io::{self, IsTerminal, Write};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt};

/// Starts the log. `level` is a level or a filter like `mattebox=debug`. Lines are written above the progress bars of `screen`.
pub fn init(level: &str, format: &str, screen: &MultiProgress) -> Result<(), String> {
    let filter =
        EnvFilter::try_new(level).map_err(|e| format!("log_level {level:?}: use error, warn, info, debug or trace ({e})"))?;
    let writer = AboveBars(screen.clone());
    let registry = tracing_subscriber::registry().with(filter);
    let started = match format {
        "text" => {
            let text =
                tracing_subscriber::fmt::layer().with_target(false).with_ansi(io::stderr().is_terminal()).with_writer(writer);
            registry.with(text.without_time()).try_init()
        }
        "json" => registry.with(tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(writer)).try_init(),
        other => return Err(format!("log_format {other:?}: use text or json")),
    };
    started.map_err(|e| e.to_string())
}

/// Writes to standard error while the bars are out of the way.
#[derive(Clone)]
struct AboveBars(MultiProgress);

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write_all(bytes)).map(|()| bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for AboveBars {
    type Writer = AboveBars;
    fn make_writer(&'a self) -> Self::Writer {
        self.clone()
    }
}
