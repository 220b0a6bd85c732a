//! Changes to a cluster while cameras and workers run: topics deleted and grown, records removed,
//! offsets reset. Each call returns once the broker shows its effect.
use super::client::{Client, patiently};
use crate::kit::{media::repository, wait::until};
use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewPartitions, ResourceSpecifier},
    client::DefaultClientContext,
    consumer::{CommitMode, Consumer},
    error::KafkaError,
};
use std::{fs, path::PathBuf, process::Command, time::Duration};
use tokio::runtime::{Builder, Runtime};

/// The arguments of a broker with access rights. The listener without a login may do everything.
pub(crate) const AUTHORIZER: [&str; 7] = [
    "--sasl-ssl",
    "--set",
    "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "--set",
    "super.users=User:ANONYMOUS",
    "--set",
    "allow.everyone.if.no.acl.found=true",
];

const LIMIT: Duration = Duration::from_secs(30);

/// One way to administer a broker.
pub(crate) struct BrokerOperator {
    client: Client,
    admin: AdminClient<DefaultClientContext>,
    options: AdminOptions,
    runtime: Runtime,
}

impl BrokerOperator {
    pub(super) fn new(client: Client) -> Self {
        BrokerOperator {
            admin: client.admin(),
            client,
            options: AdminOptions::new()
                .request_timeout(Some(LIMIT))
                .operation_timeout(Some(LIMIT)),
            runtime: Builder::new_current_thread().build().expect("a runtime"),
        }
    }

    /// Denies the user `mattebox` an operation on a topic (`READ`, `WRITE`, `ALL`), or takes that
    /// back. The broker needs an authorizer: [`AUTHORIZER`].
    #[track_caller]
    pub(crate) fn set_denied(&self, is_denied: bool, topic: &str, operation: &str) {
        let folders = fs::read_dir(repository(".cache"))
            .expect("a folder")
            .flatten();
        let mut folders = folders.map(|folder| folder.path());
        let is_kafka = |folder: &PathBuf| {
            folder.join("jars").is_dir() && {
                let name = folder.file_name().unwrap_or_default().to_string_lossy();
                name.starts_with("kafka-4")
            }
        };
        let jars = folders.find(is_kafka).expect("Kafka's jars").join("jars/*");
        let output = Command::new("java")
            .arg("-cp")
            .arg(jars)
            .arg(repository("tests/end_to_end/kit/broker/Acl.java"))
            .arg(self.client.bootstrap())
            .args([if is_denied { "deny" } else { "allow" }, topic, operation])
            .output()
            .expect("java runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }

    /// Deletes a topic.
    #[track_caller]
    pub(crate) fn delete_topic(&self, name: &str) {
        let deleted = self.admin.delete_topics(&[name], &self.options);
        let results = self.runtime.block_on(deleted);
        for result in results.unwrap_or_else(|e| panic!("deleting {name}: {e}")) {
            result.unwrap_or_else(|(name, code)| panic!("deleting {name}: {code}"));
        }
        until(&format!("the end of the topic {name}"), || {
            !self.client.topics().contains(name)
        });
    }

    /// Deletes a topic and makes another of the same name, empty.
    #[track_caller]
    pub(crate) fn recreate_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        self.delete_topic(name);
        self.client.create_topic(name, partitions, settings);
    }

    /// Gives a topic more partitions: `total` in all.
    #[track_caller]
    pub(crate) fn add_partitions(&self, topic: &str, total: usize) {
        let more = NewPartitions::new(topic, total);
        let grown = self.admin.create_partitions([&more], &self.options);
        let results = self.runtime.block_on(grown);
        for result in results.unwrap_or_else(|e| panic!("partitions of {topic}: {e}")) {
            result.unwrap_or_else(|(name, code)| panic!("partitions of {name}: {code}"));
        }
        until(&format!("{total} partitions of {topic}"), || {
            self.client.partitions(topic) == total
        });
    }

    /// Removes the records of a partition before an offset, as retention does.
    #[track_caller]
    pub(crate) fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let list = list(topic, partition, before);
        let removed = self.admin.delete_records(&list, &self.options);
        let removed = self
            .runtime
            .block_on(removed)
            .unwrap_or_else(|e| panic!("removing records of {topic} {partition}: {e}"));
        for element in removed.elements() {
            element
                .error()
                .unwrap_or_else(|e| panic!("removing records of {topic} {partition}: {e}"));
        }
        let place = usize::try_from(partition).expect("a partition");
        until(&format!("the new beginning of {topic} {partition}"), || {
            self.client.watermarks(topic)[place].0 >= before
        });
    }

    /// Sets what a group has committed, as `kafka-consumer-groups.sh --reset-offsets` does. The
    /// broker refuses that while the group has members, so this waits until the last one is gone.
    #[track_caller]
    pub(crate) fn reset_offset(&self, group: &str, topic: &str, partition: i32, offset: i64) {
        let list = list(topic, partition, offset);
        let member_of_none = self.client.reader(&[("group.id", group)]);
        patiently(&format!("the offset of {group} for {topic}"), || {
            member_of_none.commit(&list, CommitMode::Sync)
        });
        let place = usize::try_from(partition).expect("a partition");
        assert_eq!(self.client.committed(group, topic)[place], Some(offset));
    }

    /// A setting of a topic as the broker has it, as `cleanup.policy`; none where it has no such
    /// setting.
    #[track_caller]
    pub(crate) fn topic_config(&self, topic: &str, name: &str) -> Option<String> {
        let specifier = ResourceSpecifier::Topic(topic);
        let described = self.admin.describe_configs([&specifier], &self.options);
        let fail = |e: KafkaError| -> ! { panic!("settings of {topic}: {e}") };
        let found = self.runtime.block_on(described).unwrap_or_else(|e| fail(e));
        let config = found.into_iter().next().expect("an answer for the topic");
        let config = config.unwrap_or_else(|code| panic!("settings of {topic}: {code}"));
        config.get(name)?.value.clone()
    }
}

fn list(topic: &str, partition: i32, offset: i64) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(offset))
        .expect("an offset");
    list
}
