//! What a test does to a broker from outside: topics, records, offsets. Every wait has a limit, and
//! every failure is a panic with its reason.
use super::Broker;
use crate::kit::wait::{until, until_or};
use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, Headers, OwnedHeaders, Timestamp},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext},
};
use std::{
    cell::RefCell,
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const LIMIT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// One way to reach a broker.
#[derive(Clone)]
pub(crate) struct Client {
    config: ClientConfig,
}

/// A record to produce. Where there is no partition, the key chooses it.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewRecord {
    pub(crate) partition: Option<i32>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    /// Milliseconds since 1970; the time of producing where it is none.
    pub(crate) timestamp_ms: Option<i64>,
}

/// A record as it lies in its topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredRecord {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    /// Milliseconds since 1970.
    pub(crate) timestamp_ms: i64,
}

/// The records that a reader sees.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Isolation {
    /// All of them, also those of transactions that were aborted or are open.
    Uncommitted,
    /// Those of finished transactions, up to the first open one.
    Committed,
}

impl NewRecord {
    pub(crate) fn new(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        NewRecord {
            key: Some(key.into()),
            value: Some(value.into()),
            ..NewRecord::default()
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn to(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }
}

impl StoredRecord {
    /// The value of a header; none where it is missing.
    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_slice())
    }

    /// The number of a frame among those of its camera.
    pub(crate) fn sequence(&self) -> u64 {
        String::from_utf8_lossy(self.header("ce_sequence").expect("ce_sequence"))
            .parse()
            .expect("a number")
    }

    /// The key as text: the camera's name.
    pub(crate) fn camera(&self) -> String {
        String::from_utf8_lossy(self.key.as_deref().expect("a key")).into_owned()
    }
}

impl Client {
    /// A client with settings of librdkafka.
    pub(crate) fn new(bootstrap: &str, settings: &[(&str, &str)]) -> Self {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", bootstrap)
            .set("broker.address.family", "v4")
            .set("reconnect.backoff.max.ms", "500");
        // No limit of the client, so that only the broker refuses large records.
        config.set("message.max.bytes", "100000000");
        for (name, value) in settings {
            config.set(*name, *value);
        }
        Client { config }
    }

    /// Where it connects.
    pub(super) fn bootstrap(&self) -> &str {
        self.config.get("bootstrap.servers").expect("an address")
    }

    /// By the SASL_SSL listener of a broker with `--sasl-ssl`; the mechanism is PLAIN,
    /// SCRAM-SHA-256 or SCRAM-SHA-512.
    pub(crate) fn sasl(broker: &Broker, mechanism: &str, password: &str) -> Self {
        let address = broker.property("sasl_ssl");
        let ca = broker.property("ca");
        let login = [
            ("sasl.mechanism", mechanism),
            ("sasl.username", "mattebox"),
            ("sasl.password", password),
        ];
        Self::new(
            &address,
            &[
                &[("security.protocol", "sasl_ssl"), ("ssl.ca.location", &ca)],
                &login[..],
            ]
            .concat(),
        )
    }

    /// By the listener that wants a client certificate.
    pub(crate) fn mutual_tls(broker: &Broker) -> Self {
        let certificate = broker.property("client_cert");
        let key = broker.property("client_key");
        let mut client = Self::no_certificate(broker);
        client
            .config
            .set("ssl.certificate.location", certificate)
            .set("ssl.key.location", key);
        client
    }

    /// The same without the certificate.
    pub(crate) fn no_certificate(broker: &Broker) -> Self {
        let address = broker.property("mutual_tls");
        let ca = broker.property("ca");
        Self::new(
            &address,
            &[("security.protocol", "ssl"), ("ssl.ca.location", &ca)],
        )
    }

    /// Makes a topic with settings, as `("max.message.bytes", "4194304")`, and waits until it has a
    /// leader.
    pub(crate) fn create_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let admin = self.admin();
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let options = AdminOptions::new()
            .request_timeout(Some(LIMIT))
            .operation_timeout(Some(LIMIT));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let results = runtime
            .block_on(admin.create_topics([&topic], &options))
            .unwrap_or_else(|e| panic!("topic {name}: {e}"));
        for result in results {
            result.unwrap_or_else(|(name, code)| panic!("topic {name}: {code}"));
        }
        let partitions = usize::try_from(partitions).expect("a positive number");
        until(&format!("leaders of the topic {name}"), || {
            self.partitions(name) == partitions
        });
    }

    /// How many partitions a topic has, once all of them have a leader; 0 where there is no such
    /// topic.
    pub(crate) fn partitions(&self, topic: &str) -> usize {
        let reader = self.reader(&[]);
        let mut count = 0;
        until(&format!("leaders of {topic}"), || {
            let metadata = reader
                .fetch_metadata(Some(topic), LIMIT)
                .unwrap_or_else(|e| panic!("metadata of {topic}: {e}"));
            let found = metadata.topics().iter().find(|t| t.name() == topic);
            let partitions = found.map_or(&[][..], |t| t.partitions());
            count = partitions.len();
            partitions
                .iter()
                .all(|p| p.error().is_none() && p.leader() >= 0)
        });
        count
    }

    /// The names of all topics but Kafka's own.
    pub(crate) fn topics(&self) -> BTreeSet<String> {
        let metadata = self
            .reader(&[])
            .fetch_metadata(None, LIMIT)
            .unwrap_or_else(|e| panic!("metadata: {e}"));
        metadata
            .topics()
            .iter()
            .map(|t| t.name().to_owned())
            .filter(|name| !name.starts_with("__"))
            .collect()
    }

    /// Sends a record in a transaction that stays open until the broker aborts it, as a killed
    /// worker leaves one.
    pub(crate) fn leave_transaction_open(&self, topic: &str, partition: i32, timeout: Duration) {
        let producer: BaseProducer = self
            .config
            .clone()
            .set("transactional.id", format!("left-open-{topic}"))
            .set("transaction.timeout.ms", timeout.as_millis().to_string())
            .create()
            .expect("a producer");
        producer.init_transactions(LIMIT).expect("transactions");
        producer.begin_transaction().expect("a transaction");
        let record = BaseRecord::<[u8], [u8]>::to(topic)
            .partition(partition)
            .key(b"left")
            .payload(b"open");
        producer.send(record).map_err(|(e, _)| e).expect("sent");
        producer.flush(LIMIT).expect("acknowledged");
    }

    /// Produces records, waits until the broker has them, and returns partition and offset of each.
    pub(crate) fn produce(&self, topic: &str, records: &[NewRecord]) -> Vec<(i32, i64)> {
        let deliveries = self.try_produce(topic, records);
        deliveries
            .into_iter()
            .map(|d| d.unwrap_or_else(|e| panic!("a record for {topic}: {e}")))
            .collect()
    }

    /// The same, with the answer of the broker to each record.
    pub(crate) fn try_produce(
        &self,
        topic: &str,
        records: &[NewRecord],
    ) -> Vec<Result<(i32, i64), KafkaError>> {
        let mut config = self.config.clone();
        config
            .set("message.timeout.ms", LIMIT.as_millis().to_string())
            .set("linger.ms", "1");
        let deliveries =
            ProduceResults(Arc::new(Mutex::new(records.iter().map(|_| None).collect())));
        let producer: BaseProducer<ProduceResults> = config
            .create_with_context(deliveries.clone())
            .unwrap_or_else(|e| panic!("a producer: {e}"));
        for (number, record) in records.iter().enumerate() {
            let mut headers = OwnedHeaders::new();
            for (key, value) in &record.headers {
                headers = headers.insert(Header {
                    key,
                    value: Some(value),
                });
            }
            let mut next = BaseRecord::<[u8], [u8], _>::with_opaque_to(topic, Box::new(number))
                .headers(headers);
            (next.partition, next.timestamp) = (record.partition, record.timestamp_ms);
            (next.key, next.payload) = (record.key.as_deref(), record.value.as_deref());
            while let Err((error, again)) = producer.send(next) {
                let full = error == KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
                if !full {
                    deliveries.0.lock().expect("no panic in a callback")[number] = Some(Err(error));
                    break;
                }
                producer.poll(POLL_INTERVAL);
                next = again;
            }
            producer.poll(Duration::ZERO);
        }
        producer
            .flush(LIMIT + POLL_INTERVAL)
            .unwrap_or_else(|e| panic!("producing to {topic}: {e}"));
        let done = std::mem::take(&mut *deliveries.0.lock().expect("no panic in a callback"));
        done.into_iter()
            .map(|d| d.expect("every record has been delivered or refused"))
            .collect()
    }

    /// All records of a topic from the first to the end that the topic has now, sorted by partition
    /// and offset.
    pub(crate) fn consume_all(&self, topic: &str, isolation: Isolation) -> Vec<StoredRecord> {
        let partitions = self.partitions(topic);
        assert!(partitions > 0, "there is no topic {topic}");
        let level = match isolation {
            Isolation::Uncommitted => "read_uncommitted",
            Isolation::Committed => "read_committed",
        };
        let reader = self.reader(&[("isolation.level", level), ("enable.partition.eof", "true")]);
        let mut list = TopicPartitionList::new();
        for partition in 0..i32::try_from(partitions).expect("few partitions") {
            list.add_partition_offset(topic, partition, Offset::Beginning)
                .expect("an offset");
        }
        reader
            .assign(&list)
            .unwrap_or_else(|e| panic!("reading {topic}: {e}"));
        // While records keep arriving the client may never see an end, so it reads to the current
        // end.
        let ends: Vec<i64> = self.watermarks(topic).iter().map(|(_, end)| *end).collect();
        let mut records = Vec::new();
        let mut ended = BTreeSet::new();
        let mut last = Instant::now();
        while ended.len() < partitions {
            assert!(
                last.elapsed() < LIMIT,
                "reading {topic}: nothing came for {LIMIT:?} after {} records",
                records.len()
            );
            match reader.poll(POLL_INTERVAL) {
                None => continue,
                Some(Ok(message)) => {
                    let partition = message.partition();
                    if ends
                        .get(partition as usize)
                        .is_some_and(|end| message.offset() + 1 >= *end)
                    {
                        ended.insert(partition);
                    }
                    records.push(stored(&message));
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => _ = ended.insert(partition),
                Some(Err(error)) if passes(&error) => continue,
                Some(Err(error)) => panic!("reading {topic}: {error}"),
            }
            last = Instant::now();
        }
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }

    /// All records of a topic that there are now; none where there is no such topic.
    pub(crate) fn records(&self, topic: &str, isolation: Isolation) -> Vec<StoredRecord> {
        if self.partitions(topic) == 0 {
            return Vec::new();
        }
        self.consume_all(topic, isolation)
    }

    /// Waits until a topic has `count` records, and returns all it has then.
    #[track_caller]
    pub(crate) fn await_records(
        &self,
        topic: &str,
        count: usize,
        isolation: Isolation,
    ) -> Vec<StoredRecord> {
        let records = RefCell::new(Vec::new());
        until_or(
            &format!("{count} records of {topic}"),
            || {
                *records.borrow_mut() = self.records(topic, isolation);
                records.borrow().len() >= count
            },
            || format!("it has {}", records.borrow().len()),
        );
        records.into_inner()
    }

    /// The committed offset of a group for each partition of a topic; none where it has committed
    /// nothing.
    pub(crate) fn committed(&self, group: &str, topic: &str) -> Vec<Option<i64>> {
        let commits = self.commits(group, topic).into_iter();
        commits.map(|c| c.map(|(offset, _)| offset)).collect()
    }

    /// The text that a group has committed with its offset for each partition of a topic; none
    /// where it has committed nothing.
    pub(crate) fn committed_metadata(&self, group: &str, topic: &str) -> Vec<Option<String>> {
        let commits = self.commits(group, topic).into_iter();
        commits.map(|c| c.map(|(_, text)| text)).collect()
    }

    fn commits(&self, group: &str, topic: &str) -> Vec<Option<(i64, String)>> {
        let mut list = TopicPartitionList::new();
        let partitions = i32::try_from(self.partitions(topic)).expect("few partitions");
        list.add_partition_range(topic, 0, partitions - 1);
        // Without a wait for the transaction that a killed worker has left open.
        let how = [("group.id", group), ("isolation.level", "read_uncommitted")];
        let reader = self.reader(&how);
        let found = patiently(&format!("offsets of {group} for {topic}"), || {
            reader.committed_offsets(list.clone(), LIMIT)
        });
        let commit = |partition| {
            let found = found.find_partition(topic, partition);
            let found = found.expect("the partition asked for");
            match found.offset() {
                Offset::Offset(offset) => Some((offset, found.metadata().to_owned())),
                _ => None,
            }
        };
        (0..partitions).map(commit).collect()
    }

    /// The sum of the offsets that a group has committed: for a topic from which nothing was
    /// removed, the number of processed records.
    pub(crate) fn done_by(&self, group: &str, topic: &str) -> u64 {
        if self.partitions(topic) == 0 {
            return 0;
        }
        let committed = self.committed(group, topic);
        let sum: i64 = committed.iter().flatten().sum();
        sum.try_into().expect("offsets from 0")
    }

    /// How many members a group has. A member that is killed or frozen counts until its session
    /// ends.
    pub(crate) fn members(&self, group: &str) -> usize {
        let reader = self.reader(&[]);
        let groups = patiently(&format!("members of {group}"), || {
            reader.fetch_group_list(Some(group), LIMIT)
        });
        let found = groups.groups().iter().find(|g| g.name() == group);
        found.map_or(0, |group| group.members().len())
    }

    /// For each partition of a topic the offset of its first record and the one that the next
    /// record gets.
    pub(crate) fn watermarks(&self, topic: &str) -> Vec<(i64, i64)> {
        let reader = self.reader(&[]);
        let partitions = i32::try_from(self.partitions(topic)).expect("few partitions");
        let of = |p| {
            patiently(&format!("watermarks of {topic} {p}"), || {
                reader.fetch_watermarks(topic, p, LIMIT)
            })
        };
        (0..partitions).map(of).collect()
    }

    /// Why the broker does not let this client in; none where it does.
    pub(crate) fn refused(&self) -> Option<String> {
        let errors = ClientErrors::default();
        let reader: BaseConsumer<ClientErrors> = self
            .config
            .clone()
            .set("group.id", "none")
            .set("log_level", "0")
            .create_with_context(errors.clone())
            .unwrap_or_else(|e| panic!("a consumer: {e}"));
        let start = Instant::now();
        loop {
            let Err(error) = reader.fetch_metadata(None, 5 * POLL_INTERVAL) else {
                return None;
            };
            // librdkafka retries for ever and reports the reasons through a callback.
            let mut reasons: Vec<_> = reader
                .poll(POLL_INTERVAL)
                .and_then(Result::err)
                .map(|e| e.to_string())
                .into_iter()
                .collect();
            reasons.append(&mut errors.0.lock().expect("no panic in a callback"));
            if !reasons.is_empty() || start.elapsed() > LIMIT {
                return Some(format!("{error}: {}", reasons.join("; ")));
            }
        }
    }

    /// Makes and describes topics.
    pub(super) fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config
            .create()
            .unwrap_or_else(|e| panic!("an admin client: {e}"))
    }

    /// A consumer that is in no group's membership and commits nothing by itself.
    pub(super) fn reader(&self, settings: &[(&str, &str)]) -> BaseConsumer {
        let mut config = self.config.clone();
        config
            .set("group.id", "none")
            .set("enable.auto.commit", "false")
            .set("allow.auto.create.topics", "false");
        config.set("fetch.wait.max.ms", "50");
        for (name, value) in settings {
            config.set(*name, *value);
        }
        config
            .create()
            .unwrap_or_else(|e| panic!("a consumer: {e}"))
    }
}

/// Asks until the broker answers: one that has just started may not be ready.
#[track_caller]
pub(super) fn patiently<T>(what: &str, mut ask: impl FnMut() -> Result<T, KafkaError>) -> T {
    let mut answer = None;
    let why = RefCell::new(String::new());
    until_or(
        what,
        || match ask() {
            Ok(found) => {
                answer = Some(found);
                true
            }
            Err(error) => {
                *why.borrow_mut() = error.to_string();
                false
            }
        },
        || why.borrow().clone(),
    );
    answer.expect("an answer")
}

/// Errors that librdkafka recovers from by itself, as while a broker starts again.
fn passes(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        AllBrokersDown, BrokerTransportFailure, LeaderNotAvailable, NotLeaderForPartition,
    };
    let codes = [
        AllBrokersDown,
        BrokerTransportFailure,
        LeaderNotAvailable,
        NotLeaderForPartition,
    ];
    error
        .rdkafka_error_code()
        .is_some_and(|code| codes.contains(&code))
}

fn stored(message: &impl Message) -> StoredRecord {
    let headers = message.headers().map(|headers| {
        let pair = |h: Header<'_, &[u8]>| (h.key.to_owned(), h.value.unwrap_or_default().to_vec());
        headers.iter().map(pair).collect()
    });
    StoredRecord {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
        timestamp_ms: match message.timestamp() {
            Timestamp::CreateTime(ms) | Timestamp::LogAppendTime(ms) => ms,
            Timestamp::NotAvailable => -1,
        },
    }
}

type ProduceResult = Option<Result<(i32, i64), KafkaError>>;

/// The answers of the broker to each record, by its number.
#[derive(Clone)]
struct ProduceResults(Arc<Mutex<Vec<ProduceResult>>>);

impl ClientContext for ProduceResults {}

impl ProducerContext for ProduceResults {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Box<usize>) {
        let result = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.clone()),
        };
        self.0.lock().expect("no panic in a callback")[*number] = Some(result);
    }
}

/// Errors that librdkafka reports through a callback.
#[derive(Clone, Default)]
struct ClientErrors(Arc<Mutex<Vec<String>>>);

impl ClientContext for ClientErrors {
    fn error(&self, error: KafkaError, reason: &str) {
        self.0
            .lock()
            .expect("no panic in a callback")
            .push(format!("{error}: {reason}"));
    }
}

impl rdkafka::consumer::ConsumerContext for ClientErrors {}
