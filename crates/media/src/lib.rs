//! Where pictures come from and where they go: FFmpeg, files, folders, pipes.
//!
//! # Layout
//!
//! * [`beside`]: what belongs to a picture beside its pixels.
//! * [`source`]: cameras, streams, videos, folders of pictures.
//! * [`sink`]: videos, streams, pipes.
//! * [`ffmpeg`]: FFmpeg as a child process.
//! * [`background_video`]: videos as backgrounds.
#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
pub mod background_video;
pub mod beside;
pub mod ffmpeg;
pub mod sink;
pub mod source;
