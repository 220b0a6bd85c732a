//! mattebox as a library: sources, the pipeline, sinks and the command line.
//!
//! # Layout
//!
//! * [`stop`]: one flag that asks everything to stop.
pub mod stop;
