//! mattebox as a library: sources, the pipeline, sinks and the command line.
//!
//! # Layout
//!
//! * [`cli`]: the subcommands.
//! * [`eval`]: how good a matte is, measured against the true one.
//! * [`stop`]: one flag that asks everything to stop.
pub mod cli;
pub mod eval;
pub mod stop;
