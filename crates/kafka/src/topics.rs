//! Looks topics up, creates them and reads their settings.
use super::{
    KafkaError,
    client::{self, Context},
    dead_letter_record, reason,
    topic_id::{TopicState, topic_id},
};
use rdkafka::{
    admin::{
        AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
        TopicReplication,
    },
    error::{KafkaError as ClientError, RDKafkaErrorCode},
};
use std::time::{Duration, Instant};

/// How long the broker may take to create a topic, or to answer a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Room for the reason, the key and the headers of a dead letter, in bytes.
pub const DEAD_LETTER_OVERHEAD: usize = 64 << 10;

/// How long dead letters are kept in a topic that is created here.
const DEAD_RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

/// A topic that has to exist.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its partitions, if it has to be created.
    pub partitions: i32,
    /// Copies of each.
    pub replication_factor: i32,
    /// Its settings, if it has to be created.
    pub config: Vec<(&'a str, String)>,
}

/// How many partitions a topic has; `None` if it does not exist. Asking does not create it, even on
/// a broker that creates topics by itself.
pub fn partitions(admin: &AdminClient<Context>, topic: &str) -> Result<Option<i32>, KafkaError> {
    let state = topic_id(admin.inner(), topic, REQUEST_TIMEOUT)
        .map_err(KafkaError::client(format!("ask for topic {topic}")))?;
    if state == TopicState::Missing {
        return Ok(None);
    }
    let metadata = client::metadata(admin, Some(topic), REQUEST_TIMEOUT)
        .map_err(KafkaError::client(format!("ask for topic {topic}")))?;
    let found = metadata.topics().iter().find(|t| t.name() == topic);
    if let Some(code) = found.and_then(|t| t.error()) {
        let error = ClientError::MetadataFetch(code.into());
        if reason::is_denied(&error) {
            return Err(KafkaError::client(format!("ask for topic {topic}"))(error));
        }
    }
    Ok(found
        .filter(|t| t.error().is_none())
        .map(|t| t.partitions().len() as i32)
        .filter(|n| *n > 0))
}

/// How many copies a topic's partitions have. An error if it does not exist.
pub fn replication_factor(admin: &AdminClient<Context>, topic: &str) -> Result<i32, KafkaError> {
    let cannot = || KafkaError::client(format!("ask for topic {topic}"));
    let metadata = client::metadata(admin, Some(topic), REQUEST_TIMEOUT).map_err(cannot())?;
    let first = metadata
        .topics()
        .iter()
        .find(|t| t.name() == topic)
        .and_then(|t| t.partitions().first());
    match first.map(|partition| partition.replicas().len()) {
        Some(copies @ 1..) => Ok(copies as i32),
        Some(0) | None => Err(cannot()(ClientError::MetadataFetch(
            RDKafkaErrorCode::UnknownTopicOrPartition,
        ))),
    }
}

/// Creates the topic of a topic's dead letters if it is missing, and returns the largest value that
/// it accepts, in bytes.
pub fn ensure_dead(admin: &AdminClient<Context>, frames: &str) -> Result<usize, KafkaError> {
    let name = dead_letter_record::topic(frames);
    // Every record of the frames' topic must fit, with the reason added.
    let max = max_message_bytes(admin, frames)? + DEAD_LETTER_OVERHEAD;
    let config = vec![
        ("max.message.bytes", max.to_string()),
        // Dead letters hold pictures of rooms.
        ("retention.ms", DEAD_RETENTION.as_millis().to_string()),
    ];
    ensure(
        admin,
        &Wanted {
            name: &name,
            partitions: 1,
            replication_factor: replication_factor(admin, frames)?,
            config,
        },
    )?;
    Ok(max_message_bytes(admin, &name)?.saturating_sub(DEAD_LETTER_OVERHEAD))
}

/// Creates a topic if it is missing, and returns how many partitions it has.
pub fn ensure(admin: &AdminClient<Context>, wanted: &Wanted<'_>) -> Result<i32, KafkaError> {
    let topic = wanted.name;
    if let Some(there) = partitions(admin, topic)? {
        return Ok(there);
    }
    let mut new = NewTopic::new(
        topic,
        wanted.partitions,
        TopicReplication::Fixed(wanted.replication_factor),
    );
    for (name, value) in &wanted.config {
        new = new.set(name, value);
    }
    let options = AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT));
    let made = client::wait(admin.create_topics([&new], &options))
        .map_err(KafkaError::client(format!("make topic {topic}")))?;
    match made.into_iter().next() {
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) | None => {}
        Some(Ok(_)) => {
            tracing::info!(topic, partitions = wanted.partitions, "topic made");
        }
        Some(Err((_, code))) if is_passing(code) => {
            return Err(KafkaError::client(format!("make topic {topic}"))(
                ClientError::AdminOp(code),
            ));
        }
        Some(Err((_, code))) => {
            let problem = format!(
                "it is not there and cannot be made ({code}): have it made, with {} partitions",
                wanted.partitions
            );
            return Err(KafkaError::Topic {
                topic: topic.to_owned(),
                problem,
            });
        }
    }
    // It is created before every broker knows of it.
    let begun = Instant::now();
    loop {
        match partitions(admin, topic)? {
            Some(there) => return Ok(there),
            None if begun.elapsed() > REQUEST_TIMEOUT => {
                let problem = "it was made but does not appear: try again".to_owned();
                return Err(KafkaError::Topic {
                    topic: topic.to_owned(),
                    problem,
                });
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Sets required settings of an existing topic. The error if they cannot be set contains `why` they
/// are needed.
pub fn require(
    admin: &AdminClient<Context>,
    wanted: &Wanted<'_>,
    names: &[&str],
    why: &str,
) -> Result<(), KafkaError> {
    let topic = wanted.name;
    let differing = || {
        let required = wanted
            .config
            .iter()
            .filter(|(name, _)| names.contains(name));
        for (name, value) in required {
            if setting(admin, topic, name)?.is_some_and(|there| there != *value) {
                return Ok::<_, KafkaError>(Some((name, value)));
            }
        }
        Ok(None)
    };
    if differing()?.is_none() {
        return Ok(());
    }
    // A broker may have created it by itself, with its own defaults.
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic));
    let change = wanted
        .config
        .iter()
        .fold(change, |change, (name, value)| change.set(name, value));
    let options = AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT));
    let changed = client::wait(admin.alter_configs([&change], &options));
    tracing::info!(topic, "settings of the topic changed: {why}");
    match differing()? {
        None => Ok(()),
        Some((name, value)) => {
            let refused = match changed.map(|all| all.into_iter().next()) {
                Ok(Some(Err((_, code)))) => format!(" ({code})"),
                _ => String::new(),
            };
            Err(KafkaError::Topic {
                topic: topic.to_owned(),
                problem: format!("set its {name} to {value}{refused}: {why}"),
            })
        }
    }
}

/// Adds partitions to a topic until it has `partitions`.
pub fn grow(admin: &AdminClient<Context>, topic: &str, partitions: i32) -> Result<(), KafkaError> {
    let total = usize::try_from(partitions).unwrap_or(0);
    let options = AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT));
    let wanted = NewPartitions::new(topic, total);
    let grown = client::wait(admin.create_partitions([&wanted], &options)).map_err(
        KafkaError::client(format!("add partitions to topic {topic}")),
    )?;
    if let Some(Err((_, code))) = grown.into_iter().next()
        // Another worker may have been faster.
        && self::partitions(admin, topic)?.is_none_or(|there| there < partitions)
    {
        let problem = format!("it needs {partitions} partitions and cannot be given them ({code})");
        let topic = topic.to_owned();
        return Err(KafkaError::Topic { topic, problem });
    }
    tracing::info!(topic, partitions, "partitions added");
    let begun = Instant::now();
    while self::partitions(admin, topic)?.is_none_or(|there| there < partitions) {
        if begun.elapsed() > REQUEST_TIMEOUT {
            let problem = "its new partitions do not appear: try again".to_owned();
            let topic = topic.to_owned();
            return Err(KafkaError::Topic { topic, problem });
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A topic's setting at the broker; `None` if it has none or may not be read. An error: the broker
/// did not answer.
pub fn setting(
    admin: &AdminClient<Context>,
    topic: &str,
    name: &str,
) -> Result<Option<String>, KafkaError> {
    let cannot = || KafkaError::client(format!("ask for the settings of topic {topic}"));
    let options = AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT));
    let topics = [&ResourceSpecifier::Topic(topic)];
    let described = match client::wait(admin.describe_configs(topics, &options)) {
        Ok(described) => described,
        Err(error) if reason::is_refusal(&error) => return Ok(None),
        Err(error) => return Err(cannot()(error)),
    };
    match described.into_iter().next() {
        Some(Ok(config)) => {
            let mut entries = config.entries.into_iter();
            let entry = entries.find(|entry| entry.name == name);
            Ok(entry.and_then(|entry| entry.value))
        }
        Some(Err(code)) if is_passing(code) => Err(cannot()(ClientError::AdminOp(code))),
        Some(Err(_)) | None => Ok(None),
    }
}

/// Whether the broker's answer may change a moment later.
fn is_passing(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::RequestTimedOut
            | RDKafkaErrorCode::NotController
            | RDKafkaErrorCode::BrokerNotAvailable
            | RDKafkaErrorCode::LeaderNotAvailable
            | RDKafkaErrorCode::NotLeaderForPartition
            | RDKafkaErrorCode::NetworkException
            | RDKafkaErrorCode::UnknownTopicOrPartition
    )
}

/// The largest batch of records that a topic accepts, in bytes; Kafka's default if the broker does
/// not report it.
pub fn max_message_bytes(admin: &AdminClient<Context>, topic: &str) -> Result<usize, KafkaError> {
    let setting = setting(admin, topic, "max.message.bytes")?;
    Ok(setting
        .and_then(|text| text.parse().ok())
        .unwrap_or(1_048_588))
}
