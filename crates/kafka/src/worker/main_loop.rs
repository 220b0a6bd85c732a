//! The main loop: waits for events and passes them to the parts of the worker.
use super::{
    Setup,
    assignment::Assignment,
    checkpoints::Checkpoints,
    consumer::{FrameConsumer, Polled},
    consumer_events::Rebalance,
    counters::WorkerCounters,
    delivery::Delivery,
    events::{OffsetsCommitted, Rebalanced},
    gap::Gap,
    ingest::{Ingest, Ingested},
    job::{JobOutcome, LogPosition},
    loop_event::LoopEvent,
    output::{Commit, Output, Reached},
    partition_range::{BROKER_TIMEOUT, is_recreated, watermarks},
    shared::WorkerContext,
    until_end::UntilEnd,
};
use crate::{KafkaError, reason};
use crossbeam_channel::Receiver;
use mattebox_core::frame::partition_key;
use mattebox_engine::{events::Event, stop::Stop, troubles::Cause};
use mattebox_store::journal::{self, Journal};
use rdkafka::{Message, error::KafkaError as ClientError, message::OwnedMessage};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

/// The loop polls the consumer at least this often. librdkafka's callback reports when there is
/// something to poll; this interval only keeps the worker in the group (`max.poll.interval.ms`) if
/// a call is missed.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How long the loop waits for space before it checks whether it has to poll for the group.
const FULL_INTERVAL: Duration = Duration::from_secs(10);
/// After this long without a record of a partition the topic may have been created again.
const QUIET: Duration = Duration::from_millis(200);
/// How often a worker asks whether the topic was created again. librdkafka does not always report
/// it: if the broker was restarted before, it takes the new topic's metadata for outdated.
const TOPIC_INTERVAL: Duration = Duration::from_secs(10);
/// How long the request for the topic's id may take between two records.
const ID_TIMEOUT: Duration = Duration::from_secs(1);
/// A camera without a record for this long loses its own counters.
const MAX_SILENCE: Duration = Duration::from_secs(3600);
/// How often the file of the settings of single cameras is checked for changes.
const SETTINGS_INTERVAL: Duration = Duration::from_secs(1);
/// How often such cameras are searched.
const FORGET_INTERVAL: Duration = Duration::from_secs(5);
/// The loop polls this often although too much is in flight: the group drops a member that does not
/// poll for five minutes.
const MEMBER_INTERVAL: Duration = Duration::from_secs(60);
/// Records that are read before the loop handles events again.
const MAX_BATCH: usize = 64;
/// Maximum bytes of the values of records in flight: a few very large pictures.
const MAX_BYTES: usize = 64 << 20;

/// The state of the main loop.
pub(super) struct MainLoop {
    shared: Arc<WorkerContext>,
    events: Receiver<LoopEvent>,
    assignment: Assignment,
    ingest: Ingest,
    checkpoints: Checkpoints,
    delivery: Delivery,
    /// Set for a worker that ends when the records that existed at its start are done.
    until: Option<UntilEnd>,
    /// Processing threads that have not ended.
    threads: usize,
    /// Maximum number of records in flight.
    max_records: usize,
    /// Records where the names of a deleted topic end.
    journal: Arc<dyn Journal>,
    /// The topic of frames was created again: the one that is read is gone.
    is_recreated: bool,
    /// When the consumer was last polled.
    last_poll: Instant,
    /// When the topic's id was last asked for.
    last_topic_check: Instant,
    /// When cameras without records were last searched.
    last_forget: Instant,
    /// When the settings of single cameras were last checked for changes.
    last_settings: Instant,
    /// The other settings of members of the group are logged.
    has_told_settings: bool,
    stop: Stop,
    abort: Stop,
}

/// How the main loop has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was stopped, or everything is done.
    Done,
    /// The topic of frames was created again: another loop begins with its oldest record.
    TopicRecreated,
}

/// Why reading has paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fetched {
    /// There may be more.
    More,
    /// The consumer has no records. An event reports new ones.
    Nothing,
    /// Too much is in flight. Events report finished frames.
    Full,
}

impl MainLoop {
    /// A loop without partitions, for this number of processing threads.
    pub(super) fn new(
        setup: &Setup,
        consumer: FrameConsumer,
        output: Box<dyn Output>,
        until: Option<UntilEnd>,
        threads: usize,
    ) -> Self {
        let shared = setup.shared.clone();
        let settings = &shared.settings;
        let counters = shared.counters.clone();
        MainLoop {
            events: setup.events.clone(),
            assignment: Assignment::new(consumer, counters.clone()),
            ingest: Ingest::new(shared.clone()),
            checkpoints: Checkpoints::new(
                settings.commit_interval,
                settings.bounds_states,
                counters,
            ),
            delivery: Delivery::new(shared.clone(), output),
            until,
            threads,
            // If old frames are skipped, each camera's queue has its own bound.
            max_records: match settings.max_age {
                None => 64 + 8 * settings.threads.get(),
                Some(_) => usize::MAX,
            },
            journal: setup.journal.clone(),
            is_recreated: false,
            last_poll: Instant::now(),
            last_topic_check: Instant::now(),
            last_forget: Instant::now(),
            last_settings: Instant::now(),
            has_told_settings: false,
            stop: setup.stop.clone(),
            abort: setup.abort.clone(),
            shared,
        }
    }

    /// Retries failed steps that are due.
    fn retry(&mut self) -> Result<(), KafkaError> {
        for job in self.delivery.retry(&mut self.assignment)? {
            if let Some(dropped) = self.ingest.queue_again(job) {
                self.delivery
                    .frame(&mut self.assignment, dropped, JobOutcome::Stale)?;
            }
        }
        Ok(())
    }

    /// Runs until it is stopped, or the records that existed at its start are done.
    pub(super) fn run(&mut self) -> Result<Ended, KafkaError> {
        while !self.stop.is_stopped() && !self.is_recreated {
            let fetched = self.fetch()?;
            self.follow_rebalances()?;
            self.handle_waiting()?;
            self.retry()?;
            self.check_threads()?;
            self.commit(false)?;
            self.forget_quiet();
            self.follow_settings();
            if self.last_topic_check.elapsed() >= TOPIC_INTERVAL {
                self.check_topic(ID_TIMEOUT);
            }
            if self.is_over()? {
                break;
            }
            match fetched {
                Fetched::More => {}
                Fetched::Nothing => self.wait(Some(Instant::now() + POLL_INTERVAL))?,
                Fetched::Full if self.is_full() || !self.has_room() => {
                    self.wait(Some(Instant::now() + FULL_INTERVAL))?;
                    self.stay_member()?;
                }
                Fetched::Full => {}
            }
        }
        if self.is_recreated && !self.stop.is_stopped() {
            self.leave_topic()?;
            return Ok(Ended::TopicRecreated);
        }
        // Frames in flight are finished and committed before other workers get the partitions.
        let all: Vec<i32> = self.assignment.partitions().map(|p| p.id()).collect();
        self.drain(&all)?;
        self.give_back(&all);
        Ok(Ended::Done)
    }

    /// Threads that have not ended.
    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    /// The topic was created again. The deleted topic's frames in flight are finished, nothing is
    /// committed, and the names of the new topic's frames go on above theirs.
    fn leave_topic(&mut self) -> Result<(), KafkaError> {
        let settings = &self.shared.settings;
        let topic = &settings.broker.topic;
        Gap::RecreatedMeanwhile.follow(topic, settings.on_gap, self.counters())?;
        let deadline = Instant::now().checked_add(self.shared.settings.shutdown_timeout);
        while self.assignment.partitions().any(|p| p.in_flight() > 0) {
            self.retry()?;
            self.check_threads()?;
            if deadline.is_some_and(|at| Instant::now() >= at) || self.abort.is_stopped() {
                break;
            }
            self.wait(deadline)?;
        }
        let all: Vec<i32> = self.assignment.partitions().map(|p| p.id()).collect();
        for partition in &all {
            self.close_names(*partition);
        }
        self.give_back(&all);
        Ok(())
    }

    /// Records where the names of a partition's cameras end.
    fn close_names(&self, partition: i32) {
        for (camera, queue, topic_id) in self.ingest.queues(partition) {
            let (answer, state) = crossbeam_channel::bounded(1);
            self.shared
                .queues
                .barrier(queue, move |state| drop(answer.send(state)));
            // The camera has no frame in flight, or the deadline has passed.
            let Ok(state) = state.try_recv() else {
                continue;
            };
            let by = partition_key(topic_id, partition);
            let closed = journal::close(&state.numbering, self.journal.as_ref(), camera, &by);
            if let Err(error) = closed {
                tracing::debug!(%camera, "its block of names stays open: {error}");
            }
        }
    }

    /// Polls although too much is in flight, so that the group does not drop this worker.
    fn stay_member(&mut self) -> Result<(), KafkaError> {
        if self.last_poll.elapsed() < MEMBER_INTERVAL {
            return Ok(());
        }
        self.poll().map(drop)
    }

    /// Asks whether the topic was created again.
    fn check_topic(&mut self, timeout: Duration) {
        self.last_topic_check = Instant::now();
        let topic = &self.shared.settings.broker.topic;
        let known = self.assignment.topic_ids();
        if known.is_empty() {
            return;
        }
        match is_recreated(self.assignment.member(), topic, known, timeout) {
            Ok(is_recreated) => self.is_recreated |= is_recreated,
            Err(error) => tracing::debug!("cannot ask for the topic's id: {error}"),
        }
    }

    /// The position of a partition does not exist any more: records were removed, or the topic was
    /// created again.
    fn out_of_range(&mut self) -> Result<(), KafkaError> {
        self.check_topic(BROKER_TIMEOUT);
        if self.is_recreated {
            return Ok(());
        }
        let settings = &self.shared.settings;
        let topic = &settings.broker.topic;
        let ids: Vec<i32> = self.assignment.partitions().map(|p| p.id()).collect();
        for id in ids {
            let (low, end) = watermarks(self.assignment.member(), topic, id, &self.stop)?;
            if self
                .assignment
                .partition(id)
                .is_some_and(|p| p.next() > end)
            {
                // A broker without ids of topics, or one that has lost records.
                self.is_recreated = true;
                return Ok(());
            }
            if let Some(gap) = self.assignment.skip_to(id, low)? {
                gap.follow(topic, settings.on_gap, &self.shared.counters)?;
                self.assignment.read_on(id)?;
            }
        }
        Ok(())
    }

    /// Handles no more events, so that no sender waits for the loop, and accepts revocations at
    /// once from now on.
    pub(super) fn close(&mut self) {
        self.events = crossbeam_channel::never();
        self.assignment.close();
    }

    fn counters(&self) -> &WorkerCounters {
        &self.shared.counters
    }

    fn not_recorded(&self, error: &ClientError) {
        let error = reason::words(error);
        let what = format!(
            "finished records cannot be committed: {error}; this is tried again, and after a \
             restart they are processed again"
        );
        self.counters().troubles.note(Cause::State, &what);
    }

    fn is_full(&self) -> bool {
        let (records, bytes) = self.assignment.load();
        records >= self.max_records || bytes >= MAX_BYTES
    }

    /// Whether every assigned partition has room for another camera.
    fn has_room(&self) -> bool {
        let mut read = self.assignment.partitions().filter(|p| !p.is_paused());
        read.all(|partition| self.ingest.has_room(partition.id()))
    }

    /// Makes room for another camera in every partition: the states of its cameras are stored, and
    /// those without a new frame are forgotten. False: not yet.
    fn make_room(&mut self) -> Result<bool, KafkaError> {
        if self.has_room() {
            return Ok(true);
        }
        let ids: Vec<i32> = self.assignment.partitions().map(|p| p.id()).collect();
        for id in ids {
            if !self.ingest.has_room(id) && self.checkpoints.is_idle(id) {
                self.ingest.forget_stored(id);
            }
        }
        if !self.has_room() {
            self.commit(true)?;
        }
        Ok(self.has_room())
    }

    /// Reads records until the consumer has none or too many are in flight.
    fn fetch(&mut self) -> Result<Fetched, KafkaError> {
        for _ in 0..MAX_BATCH {
            if self.is_full() || !self.make_room()? {
                return Ok(Fetched::Full);
            }
            if let Some(why) = self.poll()? {
                return Ok(why);
            }
        }
        Ok(Fetched::More)
    }

    /// Polls the consumer. Returns why reading pauses, if it does.
    fn poll(&mut self) -> Result<Option<Fetched>, KafkaError> {
        self.last_poll = Instant::now();
        match self.assignment.poll()? {
            Polled::Record {
                record,
                after_pause,
            } => {
                // A topic is not created again without a pause between its records, nor so soon
                // after the last check.
                let was_quiet = self.assignment.was_quiet(record.partition(), QUIET);
                if after_pause && was_quiet && self.last_topic_check.elapsed() >= QUIET {
                    self.check_topic(ID_TIMEOUT);
                }
                if self.is_recreated {
                    return Ok(Some(Fetched::More));
                }
                self.take(record)?;
            }
            Polled::End(partition) => self.assignment.at_end(partition),
            Polled::Rebalance => return Ok(Some(Fetched::More)),
            Polled::OutOfRange => self.out_of_range()?,
            Polled::Nothing => return Ok(Some(Fetched::Nothing)),
        }
        Ok(None)
    }

    /// Puts a record into the queue of its camera.
    fn take(&mut self, record: OwnedMessage) -> Result<(), KafkaError> {
        let bytes = record.payload().map_or(0, <[u8]>::len);
        let begun = self
            .assignment
            .begin(record.partition(), record.offset(), bytes);
        let Some(position) = begun else {
            return Ok(());
        };
        let MainLoop {
            ingest,
            checkpoints,
            delivery,
            assignment,
            ..
        } = self;
        let are_stored = checkpoints.is_idle(position.partition);
        let is_live = assignment.take_live(position.partition);
        let ingested = ingest.take(position, record, is_live, are_stored, |camera, counted| {
            delivery.recall(position, camera, counted)
        })?;
        match ingested {
            Ingested::Queued => {}
            Ingested::Replaced(job) => {
                delivery.frame(assignment, job, JobOutcome::Stale)?;
            }
            Ingested::Rejected(camera, span, rejected) => {
                delivery.reject(assignment, position, camera.as_ref(), &span, rejected);
            }
        }
        Ok(())
    }

    /// Waits for an event, at most until something is due.
    fn wait(&mut self, limit: Option<Instant>) -> Result<(), KafkaError> {
        let due = [limit, self.due()].into_iter().flatten().min();
        let event = match due {
            Some(due) => self.events.recv_deadline(due).ok(),
            None => self.events.recv().ok(),
        };
        if let Some(event) = event {
            self.handle(event)?;
        }
        self.handle_waiting()
    }

    /// When the loop has to act without an event.
    fn due(&self) -> Option<Instant> {
        let checkpoints = &self.checkpoints;
        let mut partitions = self.assignment.partitions();
        let is_wanted = partitions.any(|p| checkpoints.is_wanted(p));
        let mut partitions = self.assignment.partitions();
        let is_reached = partitions.any(|p| checkpoints.reached(p).is_some());
        let until = self.until.as_ref().filter(|_| self.is_ready());
        let due = [
            is_wanted.then(|| checkpoints.due()),
            is_reached.then(|| self.delivery.commit_due()).flatten(),
            self.delivery.retry_due(),
            until.and_then(|until| until.due(&self.assignment, checkpoints)),
        ];
        due.into_iter().flatten().min()
    }

    /// Handles all waiting events.
    fn handle_waiting(&mut self) -> Result<(), KafkaError> {
        while let Ok(event) = self.events.try_recv() {
            self.handle(event)?;
        }
        Ok(())
    }

    fn handle(&mut self, event: LoopEvent) -> Result<(), KafkaError> {
        match event {
            LoopEvent::Done { job, outcome } => {
                self.delivery.frame(&mut self.assignment, job, outcome)?
            }
            LoopEvent::DeadLetterAnswered { position, failed } => {
                self.delivery
                    .dead_letter_answered(&mut self.assignment, position, failed);
            }
            LoopEvent::OffsetsAnswered(answer) => {
                for (partition, cameras) in self.delivery.offsets_answered(&answer) {
                    self.ingest.touch(partition, &cameras);
                }
                self.is_recreated |= answer.is_recreated;
                if let Some(error) = &answer.failed {
                    self.not_recorded(error);
                } else if !answer.taken.is_empty() {
                    self.counters().troubles.over(Cause::State);
                }
                if !answer.taken.is_empty() {
                    self.committed(&answer.taken);
                }
                self.checkpoints.answered();
            }
            LoopEvent::ThreadEnded => self.threads -= 1,
            LoopEvent::StatesKnown | LoopEvent::ConsumerReady | LoopEvent::Stopping => {}
        }
        Ok(())
    }

    /// An error when no processing thread is left: each ends when it cannot make a new processor
    /// after a panic.
    fn check_threads(&self) -> Result<(), KafkaError> {
        if self.threads == 0 {
            Err(KafkaError::NoThreads)
        } else {
            Ok(())
        }
    }

    /// Sets checkpoints when they are due, or at once if `now`, and commits reached ones.
    fn commit(&mut self, now: bool) -> Result<(), KafkaError> {
        if self.delivery.take_restored() {
            self.ingest.touch_all();
        }
        let time = Instant::now();
        if now || time >= self.checkpoints.due() || self.delivery.is_full() {
            self.checkpoints.schedule(time);
            self.put_checkpoints();
        }
        let reached: Vec<Reached<'_>> = self
            .assignment
            .partitions()
            .filter_map(|p| {
                Some(Reached {
                    partition: p.id(),
                    epoch: p.epoch(),
                    checkpoint: self.checkpoints.reached(p)?,
                })
            })
            .collect();
        if reached.is_empty() {
            return Ok(());
        }
        match self.delivery.commit(&reached)? {
            Commit::Later => {}
            Commit::Recreated => self.is_recreated = true,
            Commit::Requested(partitions) => partitions
                .into_iter()
                .for_each(|partition| self.checkpoints.requested(partition)),
            Commit::Done(positions) => {
                for position in &positions {
                    self.checkpoints.requested(position.partition);
                }
                self.committed(&positions);
            }
        }
        Ok(())
    }

    fn put_checkpoints(&mut self) {
        for partition in self.assignment.partitions() {
            if !self.checkpoints.is_wanted(partition) {
                continue;
            }
            let cameras = self.ingest.take_touched(partition.id());
            let queues = &self.shared.queues;
            let events = self.shared.events.clone();
            self.checkpoints.put(
                partition,
                cameras,
                |queue, barrier| queues.barrier(queue, barrier),
                // A full channel wakes the loop anyway. This thread must not wait: it may be the
                // loop's own, or hold the lock of the queues.
                move || drop(events.try_send(LoopEvent::StatesKnown)),
            );
        }
    }

    /// The broker has offsets.
    fn committed(&mut self, positions: &[LogPosition]) {
        OffsetsCommitted {
            counters: self.counters(),
        }
        .emit();
        for position in positions {
            if self.checkpoints.committed(*position) {
                self.delivery.committed(*position);
            }
        }
    }

    /// Acts upon the decisions of the group.
    fn follow_rebalances(&mut self) -> Result<(), KafkaError> {
        while let Some(rebalance) = self.assignment.next_rebalance() {
            Rebalanced {
                counters: self.counters(),
            }
            .emit();
            match rebalance {
                Rebalance::Assigned(ids) => {
                    self.take_partitions(&ids)?;
                    self.counters().is_ready.store(true, Relaxed);
                }
                Rebalance::Revoked(ids) => {
                    if self.assignment.is_lost() {
                        tracing::warn!(
                            partitions = ?ids,
                            "partitions were lost: other workers process uncommitted records again"
                        );
                    } else {
                        self.drain(&ids)?;
                    }
                    self.give_back(&ids);
                }
            }
        }
        Ok(())
    }

    fn take_partitions(&mut self, ids: &[i32]) -> Result<(), KafkaError> {
        let settings = &self.shared.settings;
        let counters = &self.shared.counters;
        let on_gap = |gap: Gap| gap.follow(&settings.broker.topic, settings.on_gap, counters);
        let ranges = self.assignment.ranges(settings, ids, &self.stop, on_gap)?;
        let known = self.assignment.topic_ids();
        if ranges
            .iter()
            .any(|range| known.iter().any(|id| *id != range.topic_id))
        {
            // The assigned partitions belong to the deleted topic.
            self.is_recreated = true;
            return Ok(());
        }
        self.warn_of_other_settings();
        for range in &ranges {
            self.delivery.begin(range)?;
            self.ingest.begin(range.partition, range.topic_id.clone());
            let epoch = self.assignment.take(range);
            self.checkpoints.begin(range.partition, epoch, range.start);
        }
        self.assignment.start(&ranges)
    }

    /// Reads the settings of single cameras again when their file changes.
    fn follow_settings(&mut self) {
        if self.last_settings.elapsed() >= SETTINGS_INTERVAL {
            self.last_settings = Instant::now();
            self.shared.follow_settings();
        }
    }

    /// Removes the counters and the page's tiles of cameras without a recent record.
    fn forget_quiet(&mut self) {
        if self.last_forget.elapsed() < FORGET_INTERVAL {
            return;
        }
        self.last_forget = Instant::now();
        let counters = &self.shared.counters;
        for camera in counters.forget_quiet(MAX_SILENCE) {
            counters.troubles.over_for(&camera);
        }
        let cameras = &self.shared.cameras;
        cameras.retain(|camera| counters.knows(camera));
        cameras.forget_quiet(self.shared.settings.forget);
    }

    /// Warns if members of the group process frames with other settings.
    fn warn_of_other_settings(&mut self) {
        let settings = &self.shared.settings;
        let others = self.assignment.members_with_other_settings(&settings.group);
        if others.is_empty() || std::mem::replace(&mut self.has_told_settings, true) {
            return;
        }
        tracing::warn!(
            group = settings.group,
            members = others.join(", "),
            "other workers of the group make their frames with other settings than this one: give \
             all the same, or another --group"
        );
    }

    fn give_back(&mut self, ids: &[i32]) {
        self.delivery.wait_until_idle();
        for id in ids {
            self.ingest.forget(*id);
            self.checkpoints.forget(*id);
            self.delivery.forget(*id);
        }
        self.assignment.give_back(ids);
    }

    /// Finishes and commits the records in flight of partitions, as far as the timeout allows.
    fn drain(&mut self, ids: &[i32]) -> Result<(), KafkaError> {
        // A timeout beyond the range of the clock is no limit.
        let deadline = Instant::now().checked_add(self.shared.settings.shutdown_timeout);
        loop {
            self.retry()?;
            self.check_threads()?;
            if self.is_recreated {
                return Ok(());
            }
            let is_open = |p: &&_| !self.checkpoints.is_drained(p);
            let partitions = ids.iter().filter_map(|id| self.assignment.partition(*id));
            let open: Vec<i32> = partitions.filter(is_open).map(|p| p.id()).collect();
            if open.is_empty() {
                return Ok(());
            }
            if deadline.is_some_and(|at| Instant::now() >= at) || self.abort.is_stopped() {
                tracing::warn!(
                    partitions = ?open,
                    "not all records could be finished in time: the next worker of the partitions \\
                     processes the rest again"
                );
                return Ok(());
            }
            self.commit(true)?;
            if self.is_any_open(&open) {
                self.wait(deadline)?;
            }
        }
    }

    fn is_any_open(&self, ids: &[i32]) -> bool {
        ids.iter()
            .filter_map(|id| self.assignment.partition(*id))
            .any(|partition| !self.checkpoints.is_drained(partition))
    }

    fn is_ready(&self) -> bool {
        self.counters().is_ready.load(Relaxed)
    }

    /// Whether the worker has to end: the records that existed at its start are done and committed.
    fn is_over(&mut self) -> Result<bool, KafkaError> {
        // New partitions may belong to a topic that was created again: their offsets show it.
        if !self.is_ready() {
            return Ok(false);
        }
        let Some(until) = &self.until else {
            return Ok(false);
        };
        if until.is_done(&self.assignment) {
            self.commit(true)?;
        }
        let until = self.until.as_mut();
        Ok(until.is_some_and(|until| until.is_over(&self.assignment, &self.checkpoints)))
    }
}
