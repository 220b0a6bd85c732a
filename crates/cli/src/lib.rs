//! The binary `mattebox`: arguments, settings, commands.
//!
//! # Layout
//!
//! * [`cli`]: the command line, one file per subcommand.
//! * [`config`]: flags > environment > settings file > defaults, checked once.
//! * [`run`]: `mattebox run`: from sources through the engine to sinks, in one process.
//! * [`retention`]: removes old files while new ones are written.
//! * [`output`]: standard output and standard error.
//! * `alike`: suggestions for mistyped words.
//! * [`progress`], [`telemetry`]: the progress on a terminal, and the log.
//! * [`exit`]: the exit codes, and the errors that lead to each.
//! * [`signals`]: Ctrl-C, SIGTERM and SIGHUP.
//! * [`eval`]: measures a matte against the true one.
//! * [`fetch`]: downloads the network of the fine matte.
//! * [`bench`]: measures the cost of each step of a frame.
//!
//! ARCHITECTURE.md describes the crates that this one uses.
#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
mod alike;
pub mod bench;
pub mod cli;
pub mod config;
pub mod eval;
pub mod exit;
pub mod fetch;
#[cfg(test)]
mod metrics_reference;
pub mod output;
pub mod progress;
pub mod retention;
pub mod run;
pub mod signals;
pub mod telemetry;
