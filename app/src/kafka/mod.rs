//! Kafka: what `mattebox camera`, `mattebox worker` and `mattebox dead-letters` do with a broker.
//!
//! # Layout
//!
//! * [`client`]: reaching a broker, and what librdkafka says on the way.
//! * [`topics`]: whether a topic is there, making it, and what it takes.
//! * `record`: a message as a record of the wire formats.
//! * [`letters`]: records that cannot be frames, and where they go.
//! * [`camera`]: from sources to a topic of frames.
//! * [`worker`]: from a topic of frames to files or to a topic of results.
//! * [`error`]: what can go wrong, and whose it is.
pub mod camera;
pub mod client;
pub mod error;
pub mod letters;
pub(crate) mod record;
pub mod topics;
pub mod worker;

pub use error::KafkaError;
