//! mattebox as a library: sources, the pipeline, sinks and the command line.
//!
//! # Layout
//!
//! In the order of a frame's way:
//!
//! * [`source`]: where pictures come from; [`ffmpeg`]: FFmpeg as a child process.
//! * [`pipeline`]: threads, bounded queues, order, counting.
//! * [`sink`]: where pictures go.
//! * [`kafka`]: the same way through a broker: cameras, workers, dead letters.
//!
//! Around it:
//!
//! * [`address`]: addresses, and what may be shown of them.
//! * [`cli`]: the command line, one file per subcommand.
//! * [`config`]: flags > environment > settings file > defaults, checked once.
//! * [`output`]: standard output and standard error.
//! * [`progress`], [`telemetry`]: what a person sees while it runs, and the log.
//! * [`live`]: what can be seen and changed while it runs; [`http`]: a page for people and numbers for machines.
//! * [`trace`]: the way of each frame, for whoever collects such things.
//! * [`stop`], [`signals`]: how everything is asked to stop, and by whom.
//! * `table`: how sums are printed.
//! * [`eval`]: how good a matte is, measured against the true one.
//! * [`bench`]: what each step of a frame costs on this machine.
#![deny(clippy::print_stdout, clippy::print_stderr)]
pub mod address;
pub mod bench;
pub mod cli;
pub mod config;
pub mod eval;
pub mod ffmpeg;
pub mod http;
pub mod kafka;
pub mod live;
pub mod output;
pub mod pipeline;
pub mod progress;
pub mod signals;
pub mod sink;
pub mod source;
pub mod stop;
mod table;
pub mod telemetry;
pub mod trace;
