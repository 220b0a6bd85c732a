//! Results in a topic: one transaction has results, dead letters, camera states and their offsets.
use super::{
    consumer_events::GroupMember,
    counters::WorkerCounters,
    held::Held,
    job::{EncodedResult, Job, LogPosition, RejectedRecord},
    offset_committer::{CommitAnswer, add_offset},
    output::{Commit, DeadLetterFailed, DeadLetterTaken, Output, Reached},
    partition_range::{BROKER_TIMEOUT, OffsetMetadata, PartitionRange, is_recreated},
    result_records::ResultRecords,
    result_topics,
    shared::WorkerContext,
    state_topic::StateTopic,
    states::States,
    transactions::{Transaction, TransactionalProducer},
};
use crate::{
    KafkaError,
    client::{Context, until_answered},
    reason, topics,
};
use mattebox_core::frame::CameraId;
use mattebox_engine::troubles::{Cause, Troubles};
use mattebox_engine::{
    Rejection,
    events::{Event, FrameWritten},
    latency::age,
    stop::Stop,
};
use rdkafka::{
    TopicPartitionList,
    admin::AdminClient,
    error::{KafkaError as ClientError, KafkaResult},
    producer::BaseRecord,
};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// Bytes of held results and dead letters above which the next transaction does not wait for the
/// interval.
const MAX_HELD_BYTES: usize = 48 << 20;
/// The wait before a failed transaction is retried.
const TRANSACTION_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Results, dead letters and states of cameras, held until a transaction publishes them.
pub(super) struct TopicOutput {
    admin: Arc<AdminClient<Context>>,
    producer: TransactionalProducer,
    member: Arc<GroupMember>,
    states: States,
    records: ResultRecords,
    counters: Arc<WorkerCounters>,
    /// The topic of the frames.
    frames: String,
    /// The largest result that its topic accepts, in bytes.
    max_result: usize,
    /// The topic of dead letters exists.
    has_dead_topic: bool,
    held: HashMap<i32, Held>,
    /// When a failed transaction is retried.
    retry_at: Option<Instant>,
    troubles: Arc<Troubles>,
}

impl TopicOutput {
    /// Creates missing topics, and aborts the open transaction of an earlier worker of the same
    /// name.
    pub(super) fn open(
        admin: Arc<AdminClient<Context>>,
        member: &Arc<GroupMember>,
        states: States,
        shared: &WorkerContext,
        results: &str,
        model_sha256: &str,
        (stop, abort): (&Stop, &Stop),
    ) -> Result<Self, KafkaError> {
        let settings = &shared.settings;
        let max_result = until_answered(settings.connect_timeout, stop, || {
            result_topics::ensure(&admin, settings, results)
        })?;
        let producer = TransactionalProducer::open(
            result_topics::producer_config(settings),
            member.clone(),
            stop,
            abort.clone(),
        )?;
        Ok(TopicOutput {
            admin,
            producer,
            member: member.clone(),
            states,
            records: ResultRecords::new(settings, results, model_sha256),
            counters: shared.counters.clone(),
            frames: settings.broker.topic.clone(),
            max_result,
            has_dead_topic: false,
            held: HashMap::new(),
            retry_at: None,
            troubles: shared.counters.troubles.clone(),
        })
    }

    /// Creates the topic of dead letters before the first of them.
    fn ensure_dead_topic(&mut self, reached: &[Reached<'_>]) -> Result<(), ClientError> {
        let has_dead_letters = |r: &Reached<'_>| {
            self.held
                .get(&r.partition)
                .is_some_and(|held| held.has_dead_letters())
        };
        if self.has_dead_topic || !reached.iter().any(has_dead_letters) {
            return Ok(());
        }
        match topics::ensure_dead(&self.admin, &self.frames) {
            Ok(max) => {
                self.records.set_max_dead_letter(max);
                self.has_dead_topic = true;
                self.troubles.over(Cause::DeadLetters);
                Ok(())
            }
            Err(error) => {
                let what = format!("dead letters cannot be sent: {error}; this is tried again");
                self.troubles.note(Cause::DeadLetters, &what);
                Err(ClientError::Canceled)
            }
        }
    }

    fn transaction(&mut self, reached: &[Reached<'_>]) -> Transaction {
        if let Err(error) = self.ensure_dead_topic(reached) {
            return Transaction::Again(error);
        }
        let TopicOutput {
            producer,
            states,
            records,
            frames,
            held,
            ..
        } = self;
        // The spans end when the transaction is committed.
        let mut spans = Vec::new();
        let mut sent = Vec::new();
        producer.delivered();
        let transaction = producer.run(|producer| {
            let mut offsets = TopicPartitionList::new();
            for reached in reached {
                let Reached {
                    partition,
                    checkpoint,
                    ..
                } = reached;
                for (offset, item) in held
                    .get(partition)
                    .into_iter()
                    .flat_map(|held| held.before(checkpoint.end()))
                {
                    spans.push(records.send(producer, *partition, offset, item)?);
                }
                let metadata = states.metadata(*partition, checkpoint.cameras());
                send_states(producer, states.topic(), reached, &metadata, &mut sent)?;
                add_offset(&mut offsets, frames, reached.position(), &metadata)?;
            }
            Ok(offsets)
        });
        drop(spans);
        if matches!(transaction, Transaction::Done) {
            for (number, lies) in producer.delivered() {
                if let (Some((partition, camera, offset)), Ok(at)) = (sent.get(number), lies) {
                    let topic = states.topic();
                    topic.stored(*partition, camera.clone(), *offset, at);
                }
            }
        }
        transaction
    }

    /// The results before a checkpoint are published.
    fn published(&mut self, reached: &Reached<'_>) {
        let Some(held) = self.held.get_mut(&reached.partition) else {
            return;
        };
        let end = reached.checkpoint.end();
        for (job, bytes) in held.results_before(end) {
            FrameWritten {
                frames: &self.counters.camera(Some(&job.head.camera)).frames,
                span: &job.span,
                bytes,
                latency: age(job.head.time),
            }
            .emit();
        }
        held.drop_before(end);
        let topic = self.states.topic();
        topic.take_obsolete(reached.partition);
    }
}

/// Sends the states of a checkpoint, and deletes obsolete ones.
fn send_states(
    producer: &TransactionalProducer,
    topic: &mut StateTopic,
    reached: &Reached<'_>,
    metadata: &OffsetMetadata,
    sent: &mut Vec<(i32, CameraId, i64)>,
) -> KafkaResult<()> {
    let partition = reached.partition;
    for (camera, state) in reached.checkpoint.states() {
        let number = sent.len();
        let key = StateTopic::key(&metadata.topic_id, &camera, reached.checkpoint.end());
        let bytes = state.to_bytes();
        let record = BaseRecord::to(topic.name()).partition(partition);
        producer.send_numbered(record.key(&key).payload(&bytes), number)?;
        sent.push((partition, camera, reached.checkpoint.end()));
    }
    for key in topic.obsolete(partition) {
        let record: BaseRecord<'_, String, [u8]> = BaseRecord::to(topic.name());
        producer.send(record.partition(partition).key(key))?;
    }
    Ok(())
}

impl Output for TopicOutput {
    fn begin(&mut self, range: &PartitionRange) -> Result<(), KafkaError> {
        self.states.begin(range)?;
        self.held.insert(range.partition, Held::default());
        Ok(())
    }

    fn states(&mut self) -> &mut States {
        &mut self.states
    }

    fn take_result(&mut self, job: &Arc<Job>, result: EncodedResult) -> Result<(), Rejection> {
        let max = self.max_result;
        let bytes = result.bytes.len();
        if bytes > max {
            return Err(Rejection {
                code: "result-too-large",
                message: format!(
                    "the result has {bytes} bytes, its topic accepts {max} (max.message.bytes)"
                ),
            });
        }
        if let Some(held) = self.held.get_mut(&job.position.partition) {
            held.add_result(job.clone(), result);
        }
        Ok(())
    }

    fn take_dead_letter(
        &mut self,
        position: LogPosition,
        rejected: RejectedRecord,
    ) -> Result<DeadLetterTaken, Box<DeadLetterFailed>> {
        if let Some(held) = self.held.get_mut(&position.partition) {
            held.add_dead_letter(position.offset, rejected);
        }
        Ok(DeadLetterTaken::Held)
    }

    fn dead_letter_answered(&mut self, _: LogPosition, _: bool) -> Option<RejectedRecord> {
        None
    }

    fn commit(&mut self, reached: &[Reached<'_>]) -> Result<Commit, KafkaError> {
        if self.retry_at.is_some_and(|at| at > Instant::now()) {
            return Ok(Commit::Later);
        }
        self.retry_at = None;
        let known = reached.iter().map(|r| self.states.topic_id(r.partition));
        match is_recreated(&self.member, &self.frames, known, BROKER_TIMEOUT) {
            Ok(false) => {}
            Ok(true) => return Ok(Commit::Recreated),
            Err(error) => {
                tracing::debug!("cannot ask for the topic's id: {error}");
                self.retry_at = Some(Instant::now() + TRANSACTION_RETRY_DELAY);
                return Ok(Commit::Later);
            }
        }
        match self.transaction(reached) {
            Transaction::Done => {
                self.troubles.over(Cause::Output);
                reached.iter().for_each(|reached| self.published(reached));
                Ok(Commit::Done(
                    reached.iter().map(Reached::position).collect(),
                ))
            }
            Transaction::Again(error) => {
                let error = reason::words(&error);
                let what = format!("a transaction was aborted: {error}; it is tried again");
                self.troubles.note(Cause::Output, &what);
                self.states.restore();
                self.retry_at = Some(Instant::now() + TRANSACTION_RETRY_DELAY);
                Ok(Commit::Later)
            }
            Transaction::Lost(error) => Err(KafkaError::client("publish results")(error)),
        }
    }

    fn offsets_answered(&mut self, _: &CommitAnswer) -> Vec<(i32, Vec<CameraId>)> {
        Vec::new()
    }

    fn wait_until_idle(&self) {}

    fn is_full(&self) -> bool {
        self.held.values().map(Held::bytes).sum::<usize>() > MAX_HELD_BYTES
    }

    fn due(&self) -> Option<Instant> {
        self.retry_at
    }

    fn forget(&mut self, partition: i32) {
        self.states.forget(partition);
        self.held.remove(&partition);
    }
}
