//! Kafka: `mattebox camera`, `mattebox worker`, `mattebox view` and `mattebox dead-letters`.
//!
//! # Layout
//!
//! * [`client`]: connects to a broker, and logs librdkafka's messages.
//! * [`settings`]: the checked settings of all of them.
//! * [`topics`]: looks topics up, creates them and reads their settings.
//! * [`topic_id`]: the id that a broker gives a topic. The only file with `unsafe` code.
//! * `reason`: turns librdkafka's messages into a reason and a remedy.
//! * `record`: a message as a record of the wire formats.
//! * [`dead_letter_record`]: records that cannot be frames, in librdkafka's types.
//! * [`dead_letters`]: reads them, and sends them again.
//! * [`camera`]: from sources to a topic of frames.
//! * [`worker`]: from a topic of frames to files or to a topic of results.
//! * [`watch`]: from a topic of results to the live page.
//! * [`error`]: errors, and whose fault they are.
#![deny(clippy::print_stdout, clippy::print_stderr)]
pub mod camera;
pub mod client;
pub mod dead_letter_record;
pub mod dead_letters;
pub mod error;
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
