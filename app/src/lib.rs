//! mattebox as a library: sources, the pipeline, sinks and the command line.
//!
//! # Layout
