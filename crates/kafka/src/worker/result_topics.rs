//! The topic of results, and the configuration of its producer.
use crate::{
    KafkaError,
    client::Context,
    settings::WorkerSettings,
    topics::{self, Wanted},
};
use rdkafka::{ClientConfig, admin::AdminClient};

/// The largest result, in bytes, that a topic accepts that is created here.
const MAX_RESULT_BYTES: usize = 16 << 20;
/// Room for a record's key, headers and frame in the log, in bytes.
const OVERHEAD: usize = 16 << 10;

/// Creates the topic of results if it is missing. Returns the largest result that it accepts, in
/// bytes.
pub(super) fn ensure(
    admin: &AdminClient<Context>,
    settings: &WorkerSettings,
    results: &str,
) -> Result<usize, KafkaError> {
    let frames = &settings.broker.topic;
    let wanted = Wanted {
        name: results,
        partitions: topics::partitions(admin, frames)?.unwrap_or(1),
        replication_factor: topics::replication_factor(admin, frames)?,
        config: vec![(
            "max.message.bytes",
            (MAX_RESULT_BYTES + OVERHEAD).to_string(),
        )],
    };
    topics::ensure(admin, &wanted)?;
    Ok(topics::max_message_bytes(admin, results)?
        .min(MAX_RESULT_BYTES + OVERHEAD)
        .saturating_sub(OVERHEAD))
}

/// The configuration of a producer with transactions.
pub(super) fn producer_config(settings: &WorkerSettings) -> ClientConfig {
    let own = settings
        .instance_id
        .clone()
        .unwrap_or_else(|| format!("{}-{:016x}", std::process::id(), random()));
    let id = format!("mattebox-{}-{own}", settings.group);
    let limit = (MAX_RESULT_BYTES + OVERHEAD).to_string();
    settings.broker.client(&[
        ("transactional.id", id.as_str()),
        // After a kill -9 the group waits for this long before it goes on after the open
        // transaction.
        ("transaction.timeout.ms", "10000"),
        ("message.timeout.ms", "10000"),
        ("linger.ms", "5"),
        ("compression.type", "none"),
        ("partitioner", "murmur2_random"),
        ("message.max.bytes", &limit),
    ])
}

/// A number that no other process has: the hash keys of every process are random.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
