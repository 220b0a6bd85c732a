//! The binary `mattebox`: arguments, settings, commands.
//!
//! # Layout
//!
//! * [`cli`]: the command line, one file per subcommand.
//! * [`config`]: flags > environment > settings file > defaults, checked once.
//! * [`run`]: `mattebox run`: from sources through the engine to sinks, in one process.
//! * [`retention`]: old files are removed while new ones are written.
//! * [`output`]: standard output and standard error.
//! * `alike`: what was meant by a word that is none of ours.
//! * [`progress`], [`telemetry`]: what a person sees while it runs, and the log.
//! * [`signals`]: how a process is asked to stop.
//! * [`eval`]: how good a matte is, measured against the true one.
//! * [`fetch`]: gets the network of the fine matte.
//! * [`bench`]: what each step of a frame costs on this machine.
//!
//! Everything else is in the crates below: ARCHITECTURE.md has the map.
#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
mod alike;
pub mod bench;
pub mod cli;
pub mod config;
pub mod eval;
pub mod fetch;
#[cfg(test)]
mod metrics_reference;
pub mod output;
pub mod progress;
pub mod retention;
pub mod run;
pub mod signals;
pub mod telemetry;
