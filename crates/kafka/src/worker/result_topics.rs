//! The topics of results and of camera states, and the configuration of the producer for both.
use crate::{
    KafkaError,
    client::Context,
    settings::WorkerSettings,
    topics::{self, Wanted},
};
use rdkafka::{ClientConfig, admin::AdminClient};

/// The largest result, in bytes, that a topic made here takes.
const MAX_RESULT_BYTES: usize = 16 << 20;
/// Room for a record's key, headers and frame in the log, in bytes.
const OVERHEAD: usize = 16 << 10;

/// The topics of a worker that publishes results.
pub(super) struct ResultTopics {
    /// The name of the topic of camera states.
    pub(super) states: String,
    /// The largest result that the topic of results takes, in bytes.
    pub(super) max_result: usize,
}

/// Makes the topics where they are missing.
pub(super) fn ensure(
    admin: &AdminClient<Context>,
    settings: &WorkerSettings,
    results: &str,
) -> Result<ResultTopics, KafkaError> {
    let frames = &settings.broker.topic;
    let partitions = topics::partitions(admin, frames)?.unwrap_or(1);
    let replication_factor = topics::replication_factor(admin, frames)?;
    let states = format!("{results}.state");
    let make = |name: &str, config| {
        let wanted = Wanted {
            name,
            partitions,
            replication_factor,
            config,
        };
        topics::ensure(admin, &wanted)
    };
    make(
        results,
        vec![(
            "max.message.bytes",
            (MAX_RESULT_BYTES + OVERHEAD).to_string(),
        )],
    )?;
    // Small segments, so that old versions are soon removed.
    make(
        &states,
        vec![
            ("cleanup.policy", "compact".to_owned()),
            ("segment.bytes", (32 << 20).to_string()),
            ("segment.ms", "60000".to_owned()),
            ("min.cleanable.dirty.ratio", "0.1".to_owned()),
            ("max.compaction.lag.ms", "60000".to_owned()),
            ("max.message.bytes", (4 << 20).to_string()),
        ],
    )?;
    let max_result = topics::max_message_bytes(admin, results)
        .min(MAX_RESULT_BYTES + OVERHEAD)
        .saturating_sub(OVERHEAD);
    Ok(ResultTopics { states, max_result })
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
        // After a kill -9 the group waits for this long before it goes on behind the open
        // transaction.
        ("transaction.timeout.ms", "10000"),
        ("message.timeout.ms", "10000"),
        ("linger.ms", "5"),
        ("compression.type", "none"),
        ("partitioner", "murmur2_random"),
        ("message.max.bytes", &limit),
    ])
}

/// A number that no other process has: every process draws other keys for its hashes.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
