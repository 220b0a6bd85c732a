//! The log changes shape again and again under a group at work, and its workers and the broker are
//! killed: the topic of frames is created again, loses records and grows; the topic of states is
//! damaged, thinned and deleted. No file is ever replaced, and each record has a file or is
//! reported as lost.
//!
//! `CHAOS_ROUNDS` sets its length and `CHAOS_SEED` its order, as `bench/chaos.sh` does.

use crate::kit::{
    Broker, Client, Isolation, KafkaPipeline, NewRecord, OutputFiles, RunningProgram,
    assert_untouched, seed_life, until, until_or,
};
use std::{fs::File, process::Stdio};

const TOPIC: &str = "disturbed";
const GROUP: &str = "mattebox";
const STATES: &str = "disturbed.mattebox.state";
const CAMERAS: [&str; 4] = ["a", "b", "c", "d"];
/// Frames of each camera in a round.
const FRAMES: u64 = 20;
/// Partitions that the topic has at most.
const MOST: usize = 6;
const HOUR: f64 = 3600.0;

/// A change of the log, or the end of a process that works on it.
#[derive(Debug, Clone, Copy)]
enum Disturbance {
    Recreate,
    Retention,
    Grow,
    DamageStates,
    LoseStates,
    DeleteStates,
    KillWorker,
    KillBroker,
}

const DISTURBANCES: [Disturbance; 8] = [
    Disturbance::Recreate,
    Disturbance::Retention,
    Disturbance::Grow,
    Disturbance::DamageStates,
    Disturbance::LoseStates,
    Disturbance::DeleteStates,
    Disturbance::KillWorker,
    Disturbance::KillBroker,
];

/// A shuffled order of all disturbances, over and over.
struct DisturbanceOrder {
    seed: u64,
    left: Vec<Disturbance>,
}

impl DisturbanceOrder {
    fn random(&mut self, below: usize) -> usize {
        // Knuth's constants for a linear congruential generator; the high bits are the good ones.
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) as usize % below
    }

    fn next(&mut self) -> Disturbance {
        if self.left.is_empty() {
            self.left = DISTURBANCES.to_vec();
        }
        let at = self.random(self.left.len());
        self.left.swap_remove(at)
    }
}

/// A group at work on a log that changes.
struct DisturbedGroup {
    broker: Broker,
    pipeline: KafkaPipeline,
    picture: Vec<u8>,
    workers: Vec<RunningProgram>,
    /// Workers that were started.
    started: usize,
    round: u64,
    /// Records that were published.
    published: u64,
    /// Records that were removed before they were processed.
    removed: u64,
    /// The files after the last round.
    files: OutputFiles,
}

impl DisturbedGroup {
    fn client(&self) -> Client {
        self.broker.client()
    }

    fn start_worker(&mut self) {
        let args = ["worker", "--group", GROUP, "--commit-interval", "100ms"];
        let mut command = self.pipeline.command(&args);
        let log = self
            .pipeline
            .workspace
            .path(&format!("log{}", self.started));
        self.started += 1;
        command
            .stdout(Stdio::null())
            .stderr(File::create(log).expect("a log"));
        self.workers.push(RunningProgram::start(command));
    }

    fn kill_workers(&mut self, how_many: usize) {
        self.workers
            .drain(..how_many)
            .for_each(RunningProgram::kill);
    }

    /// Publishes a new life of every camera, which counts from 0.
    fn publish(&mut self) {
        self.publish_frames(FRAMES);
    }

    fn publish_frames(&mut self, frames: u64) {
        let begun = 1_700_000_000.0 + HOUR * self.round as f64;
        let life = |camera| seed_life(camera, 0..frames, begun, &self.picture);
        let records: Vec<NewRecord> = CAMERAS.into_iter().flat_map(life).collect();
        self.client().produce(TOPIC, &records);
        self.published += records.len() as u64;
        self.round += 1;
    }

    /// Waits until each record has a file and the group has committed it.
    fn drain(&mut self, disturbance: &str) {
        let expected = self.published - self.removed;
        let logs = || self.logs().join("\n---\n");
        let are_there = || self.pipeline.count("output") as u64 >= expected;
        until_or(&format!("the files after {disturbance}"), are_there, logs);
        let is_done = || self.lag() == 0;
        until_or(&format!("the offsets after {disturbance}"), is_done, logs);
        let files = self.pipeline.tree("output");
        assert_eq!(files.len() as u64, expected, "after {disturbance}");
        assert_untouched(&self.files, &files);
        self.files = files;
    }

    /// Records that the group has not committed.
    fn lag(&self) -> i64 {
        let ends = self.client().watermarks(TOPIC);
        let committed = self.client().committed(GROUP, TOPIC);
        let lag = |((low, end), done): ((i64, i64), Option<i64>)| end - done.unwrap_or(low);
        ends.into_iter().zip(committed).map(lag).map(i64::abs).sum()
    }

    fn apply(&mut self, disturbance: Disturbance) {
        let operator = self.broker.operator();
        let client = self.client();
        let partitions = client.partitions(TOPIC);
        match disturbance {
            Disturbance::Recreate => operator.recreate_topic(TOPIC, 2, &[]),
            Disturbance::Grow if partitions < MOST => {
                operator.add_partitions(TOPIC, partitions + 1)
            }
            Disturbance::Grow => {}
            Disturbance::Retention => {
                // All records so far are processed. Of the next ones half are removed before a
                // worker starts.
                self.kill_workers(self.workers.len());
                let before = client.watermarks(TOPIC);
                self.publish();
                let after = client.watermarks(TOPIC);
                for (partition, ((_, from), (_, to))) in before.into_iter().zip(after).enumerate() {
                    let gone = (to - from) / 2;
                    if gone > 0 {
                        let partition = i32::try_from(partition).expect("few partitions");
                        operator.delete_records(TOPIC, partition, from + gone);
                        self.removed += gone.unsigned_abs();
                    }
                }
                (0..2).for_each(|_| self.start_worker());
            }
            Disturbance::DamageStates => {
                let stored = client.consume_all(STATES, Isolation::Committed);
                let damaged: Vec<NewRecord> = stored
                    .into_iter()
                    .filter_map(|state| {
                        let mut value = state.value?;
                        value.truncate(value.len() / 2);
                        Some(NewRecord::new(state.key?, value).to(state.partition))
                    })
                    .collect();
                client.produce(STATES, &damaged);
                self.replace_worker();
            }
            Disturbance::LoseStates => {
                let stored = client.consume_all(STATES, Isolation::Committed);
                let half = stored.into_iter().filter(|state| state.value.is_some());
                let deleted: Vec<NewRecord> = half
                    .step_by(2)
                    .filter_map(|state| {
                        let mut record = NewRecord::new(state.key?, []).to(state.partition);
                        record.value = None;
                        Some(record)
                    })
                    .collect();
                client.produce(STATES, &deleted);
                self.replace_worker();
            }
            Disturbance::DeleteStates => operator.delete_topic(STATES),
            Disturbance::KillWorker => {
                self.hit_work(|group| group.kill_workers(1), |group| group.start_worker());
            }
            Disturbance::KillBroker => {
                self.hit_work(|group| group.broker.kill(), |group| group.broker.restart());
            }
        }
        self.publish();
    }

    /// Kills while files of records that were published are missing. A kill that comes after the
    /// last file is tried again.
    fn hit_work(&mut self, kill: impl Fn(&mut Self), start_again: impl Fn(&mut Self)) {
        let hits = (0..5).any(|_| {
            let before = self.pipeline.count("output");
            self.publish_frames(10 * FRAMES);
            until("work", || self.pipeline.count("output") > before);
            kill(self);
            let files = self.pipeline.count("output") as u64;
            start_again(self);
            files < self.published - self.removed
        });
        assert!(hits, "every kill came after the last file");
    }

    fn replace_worker(&mut self) {
        self.kill_workers(1);
        self.start_worker();
    }

    /// How many records the workers have reported as lost.
    fn told(&self) -> u64 {
        let lost = |log: &String| {
            let lines = log.lines().filter(|line| line.contains("were removed"));
            let counts = lines.filter_map(|line| {
                let (before, _) = line.split_once(" records of topic")?;
                before.rsplit(' ').next()?.parse::<u64>().ok()
            });
            counts.sum::<u64>()
        };
        self.logs().iter().map(lost).sum()
    }

    /// The log of each worker.
    fn logs(&self) -> Vec<String> {
        let log = |n| self.pipeline.workspace.read(&format!("log{n}"));
        let all = (0..self.started).map(log);
        all.map(|log| String::from_utf8_lossy(&log).into_owned())
            .collect()
    }
}

fn number(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn through_changes_of_the_log_no_file_is_replaced_and_losses_are_reported() {
    let broker = Broker::alone();
    let pipeline = KafkaPipeline::new(&broker, TOPIC);
    broker.client().create_topic(TOPIC, 2, &[]);
    let [picture] = pipeline.pictures([160]);
    let mut group = DisturbedGroup {
        broker,
        pipeline,
        picture,
        workers: Vec::new(),
        started: 0,
        round: 0,
        published: 0,
        removed: 0,
        files: OutputFiles::new(),
    };
    (0..2).for_each(|_| group.start_worker());
    group.publish();
    group.drain("the start");
    let mut order = DisturbanceOrder {
        seed: number("CHAOS_SEED", 15),
        left: Vec::new(),
    };
    let mut disturbances = Vec::new();
    for _ in 0..number("CHAOS_ROUNDS", DISTURBANCES.len() as u64) {
        let disturbance = order.next();
        disturbances.push(disturbance);
        group.apply(disturbance);
        group.drain(&format!("{disturbances:?}"));
    }
    assert_eq!(group.told(), group.removed, "after {disturbances:?}");
    eprintln!(
        "{} records, {} removed and told, {} files, {} workers: {disturbances:?}",
        group.published,
        group.removed,
        group.files.len(),
        group.started
    );
}
