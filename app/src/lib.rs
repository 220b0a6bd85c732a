//! mattebox as a library: sources, the pipeline, sinks and the command line.
//!
//! # Layout
//!
//! * [`ffmpeg`]: FFmpeg as a child process.
//! * [`source`]: where pictures come from.
//! * [`stop`]: one flag that asks everything to stop.
pub mod ffmpeg;
pub mod source;
pub mod stop;
