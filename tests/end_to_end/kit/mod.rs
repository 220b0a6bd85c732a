//! The toolkit of the end-to-end tests.
//!
//! # Layout
//! - [`binary`]: [`Workspace`], a folder and the real binary in it
//! - [`process`]: children that end with their test; signals
//! - [`environment`]: the environment that a child inherits
//! - [`wait`]: waiting for a condition
//! - [`heavy`]: how many brokers and camera servers run at once
//! - [`port`]: free ports
//! - [`media`]: the sample clip, FFmpeg, sources of the library
//! - [`disk`]: a disk that fills up soon
//! - [`rtsp`]: a network camera
//! - [`broker`]: a real Kafka broker, and requests to it
//! - [`pipeline`]: the binary beside a broker
//! - [`seed`]: frames as the seed's camera sends them
//! - [`frame`]: frames as our camera sends them
//! - [`http`]: HTTP requests to a port of this machine
//! - [`page`]: a binary that serves a live page, and requests to it
//! - [`collector`]: a collector of traces
//!
//! All tests run in one process, in as many threads as the machine has cores. So no test changes
//! what they share: environment variables, the working directory, signal handlers, the global
//! `tracing` subscriber. Settings go to a child by its [`std::process::Command`], ports come from
//! the kernel or from [`free_port`], and programs that a test writes come from [`executable`].

mod binary;
mod broker;
mod collector;
mod disk;
mod environment;
mod frame;
mod heavy;
pub(crate) mod http;
mod media;
mod page;
mod pipeline;
mod port;
mod process;
mod rtsp;
mod seed;
mod wait;

pub(crate) use binary::Workspace;
pub(crate) use broker::{
    Broker,
    client::{Client, Isolation, NewRecord, StoredRecord},
    launcher,
    operator::AUTHORIZER,
};
pub(crate) use collector::{Collector, ReceivedSpan, hex, one, text};
pub(crate) use disk::MemoryDisk;
pub(crate) use environment::shield;
pub(crate) use frame::binary_frame;
pub(crate) use heavy::HeavyPermit;
pub(crate) use media::{collect, error_of, executable, ffmpeg, open, repository, sample, try_open};
pub(crate) use page::RunningPage;
pub(crate) use pipeline::{KafkaPipeline, OutputFiles, assert_untouched, sum};
pub(crate) use port::free_port;
pub(crate) use process::{
    ProgramOutput, RunningProgram, assert_said, finish, handles, runs, signal,
};
pub(crate) use rtsp::RtspCamera;
pub(crate) use rustix::process::Signal;
pub(crate) use seed::{python, seed_frame, seed_json, seed_life};
pub(crate) use wait::{until, until_or};
