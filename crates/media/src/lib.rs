//! Sources and sinks of pictures: FFmpeg, files, folders, pipes.
//!
//! # Layout
//!
//! * [`beside`]: the sound and the pixel shape that belong to a picture.
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
