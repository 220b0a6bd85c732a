//! The whole of mattebox, end to end: the real binary, the real FFmpeg and a real Kafka broker.
//! Each test is named after the promise that it holds.
//!
//! # Layout
//! - [`run`]: `mattebox run`
//! - [`commands`]: the smaller commands and the settings
//! - [`settings_file`]: the settings file in force, and its limits
//! - [`terminal`]: errors, help, progress, manual pages, completions
//! - [`streams`]: standard output and error that are closed or full; switches
//! - [`bad_input`]: input that is broken, hostile or missing
//! - [`outputs`]: outputs never replace files of the user
//! - [`secrets`]: no output shows a secret
//! - [`live`]: watching and changing cameras while it runs
//! - [`networks`]: networks that are not built in
//! - [`eval`]: `mattebox eval`
//! - [`source_pictures`], [`source_video`], [`source_live`]: sources, by the library
//! - [`sink_video`]: written videos, by the library; [`sink_encoders`]: the encoders
//! - [`kept`]: metadata of the container is kept
//! - [`recordings`]: videos that survive a crash and a full disk; segments
//! - [`retention`]: names with dates, and the removal of old files
//! - [`kafka_broker`]: the broker that the tests below use
//! - [`kafka_camera`], [`kafka_worker`]: `mattebox camera` and `mattebox worker`
//! - [`kafka_identity`]: every frame has its own name and number
//! - [`kafka_gaps`]: lost records are reported, and no file is replaced
//! - [`kafka_seed`]: the wire format of the seed, with a Python client
//! - [`kafka_live`]: the live page of workers
//! - [`kafka_terminal`]: messages on a terminal about a broker
//! - [`kafka_traces`]: the trace of a frame
//! - [`kafka_dead_letters`]: `mattebox dead-letters`
//! - [`kafka_chaos`]: `kill -9` of everything
//! - [`kit`]: the toolkit
//!
//! The tests of one module: `cargo test --release -p mattebox --test end_to_end kafka_worker`.

mod bad_input;
mod commands;
mod eval;
mod kafka_broker;
mod kafka_camera;
mod kafka_chaos;
mod kafka_dead_letters;
mod kafka_fleet;
mod kafka_gaps;
mod kafka_identity;
mod kafka_live;
mod kafka_log_chaos;
mod kafka_seed;
mod kafka_terminal;
mod kafka_traces;
mod kafka_worker;
mod kept;
mod kit;
mod live;
mod networks;
mod outputs;
mod recordings;
mod retention;
mod run;
mod secrets;
mod settings_file;
mod sink_encoders;
mod sink_video;
mod source_live;
mod source_pictures;
mod source_video;
mod streams;
mod terminal;
