//! Kafka: what `mattebox camera`, `mattebox worker` and `mattebox dead-letters` do with a broker.
//!
//! # Layout
//!
//! * [`client`]: reaching a broker, and what librdkafka says on the way.
//! * [`settings`]: the checked settings of all of them.
//! * [`topics`]: whether a topic is there, making it, and what it takes.
//! * [`topic_id`]: the id that a broker gives a topic. The only file with `unsafe` code.
//! * `reason`: what is wrong, read from librdkafka's words, and what to do.
//! * `record`: a message as a record of the wire formats.
//! * [`letters`]: records that cannot be frames, and where they go.
//! * [`dead_letters`]: looking at them, and sending them again.
//! * [`camera`]: from sources to a topic of frames.
//! * [`worker`]: from a topic of frames to files or to a topic of results.
//! * [`watch`]: from a topic of results to the live page.
//! * [`error`]: what can go wrong, and whose it is.
#![deny(clippy::print_stdout, clippy::print_stderr)]
pub mod camera;
pub mod client;
pub mod dead_letters;
pub mod error;
pub mod letters;
mod reason;
pub mod record;
pub mod settings;
pub mod topic_id;
pub mod topics;
mod waits;
pub mod watch;
pub mod worker;

pub use waits::Waits;

pub use error::KafkaError;
