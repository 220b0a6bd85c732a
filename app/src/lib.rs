//! mattebox as a library: sources, the pipeline, sinks and the command line.
//!
//! # Layout
//!
//! * [`cli`]: the subcommands.
//! * [`eval`]: how good a matte is, measured against the true one.
//! * [`ffmpeg`]: FFmpeg as a child process.
//! * [`sink`]: where videos and streams go.
//! * [`source`]: where pictures come from.
//! * [`stop`]: one flag that asks everything to stop.
pub mod cli;
pub mod eval;
pub mod ffmpeg;
pub mod sink;
pub mod source;
pub mod stop;
