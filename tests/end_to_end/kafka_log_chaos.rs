//! The log changes shape again and again under a group at work, and its workers and the broker are
//! killed: the topic of frames is made again, loses records and grows; the topic of states is
//! damaged, thinned and deleted. No file is ever replaced, and each record has a file or is told as
//! lost.
//!
//! `CHAOS_ROUNDS` and `CHAOS_SEED` make it longer and other; `bench/chaos.sh` does.

use crate::kit::{
    Broker, Client, Files, Isolation, Record, Running, Town, assert_untouched, seed_life, until,
    until_or,
};
use std::{fs::File, ops::Range, process::Stdio, thread, time::Duration};

const TOPIC: &str = "shaken";
const GROUP: &str = "mattebox";
const STATES: &str = "shaken.mattebox.state";
const CAMERAS: [&str; 4] = ["a", "b", "c", "d"];
/// Frames of each camera in a round.
const FRAMES: u64 = 20;
/// Partitions that the topic has at most.
const MOST: usize = 6;
const HOUR: f64 = 3600.0;

/// What is done to the log or to those who work on it.
#[derive(Debug, Clone, Copy)]
enum Blow {
    Recreate,
    Retention,
    Grow,
    DamageStates,
    LoseStates,
    DeleteStates,
    KillWorker,
    KillBroker,
}

const BLOWS: [Blow; 8] = [
    Blow::Recreate,
    Blow::Retention,
    Blow::Grow,
    Blow::DamageStates,
    Blow::LoseStates,
    Blow::DeleteStates,
    Blow::KillWorker,
    Blow::KillBroker,
];

/// A shuffled order of all blows, over and over.
struct Order {
    seed: u64,
    left: Vec<Blow>,
}

impl Order {
    fn random(&mut self, below: usize) -> usize {
        // Knuth's constants for a linear congruential generator; the high bits are the good ones.
        self.seed = self
            .seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) as usize % below
    }

    fn next(&mut self) -> Blow {
        if self.left.is_empty() {
            self.left = BLOWS.to_vec();
        }
        let at = self.random(self.left.len());
        self.left.swap_remove(at)
    }
}

/// A group at work on a log that changes.
struct Shaken {
    broker: Broker,
    town: Town,
    picture: Vec<u8>,
    workers: Vec<Running>,
    /// Workers that were started.
    started: usize,
    round: u64,
    /// Records that were published.
    published: u64,
    /// Records that were removed before they were done.
    removed: u64,
    /// The files after the last round.
    files: Files,
}

impl Shaken {
    fn client(&self) -> Client {
        self.broker.client()
    }

    fn start_worker(&mut self) {
        let args = ["worker", "--group", GROUP, "--commit-interval", "100ms"];
        let mut command = self.town.command(&args, "6000");
        let log = self.town.bench.path(&format!("log{}", self.started));
        self.started += 1;
        command
            .stdout(Stdio::null())
            .stderr(File::create(log).expect("a log"));
        self.workers.push(Running::start(command));
    }

    fn kill_workers(&mut self, how_many: usize) {
        self.workers.drain(..how_many).for_each(Running::kill);
    }

    /// Every camera starts again and counts from 0.
    fn publish(&mut self) {
        let begun = 1_700_000_000.0 + HOUR * self.round as f64;
        let numbers: Range<u64> = 0..FRAMES;
        for camera in CAMERAS {
            let life = seed_life(camera, numbers.clone(), begun, &self.picture);
            self.client().produce(TOPIC, &life);
            self.published += FRAMES;
        }
        self.round += 1;
    }

    /// Waits until each record has a file, and the group has said so.
    fn settle(&mut self, blow: &str) {
        let expected = self.published - self.removed;
        let logs = || self.logs().join("\n---\n");
        let are_there = || self.town.count("output") as u64 >= expected;
        until_or(&format!("the files after {blow}"), are_there, logs);
        let is_done = || self.lag() == 0;
        until_or(&format!("the offsets after {blow}"), is_done, logs);
        let files = self.town.tree("output");
        assert_eq!(files.len() as u64, expected, "after {blow}");
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

    fn strike(&mut self, blow: Blow) {
        let operator = self.broker.operator();
        let client = self.client();
        let partitions = client.partitions(TOPIC);
        match blow {
            Blow::Recreate => operator.recreate_topic(TOPIC, 2, &[]),
            Blow::Grow if partitions < MOST => operator.add_partitions(TOPIC, partitions + 1),
            Blow::Grow => {}
            Blow::Retention => {
                // All that is there is done. What comes next is half gone before anybody works.
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
            Blow::DamageStates => {
                let stored = client.consume_all(STATES, Isolation::Committed);
                let damaged: Vec<Record> = stored
                    .into_iter()
                    .filter_map(|state| {
                        let mut value = state.value?;
                        value.truncate(value.len() / 2);
                        Some(Record::new(state.key?, value).to(state.partition))
                    })
                    .collect();
                client.produce(STATES, &damaged);
                self.replace_worker();
            }
            Blow::LoseStates => {
                let stored = client.consume_all(STATES, Isolation::Committed);
                let half = stored.into_iter().filter(|state| state.value.is_some());
                let deleted: Vec<Record> = half
                    .step_by(2)
                    .filter_map(|state| {
                        let mut record = Record::new(state.key?, []).to(state.partition);
                        record.value = None;
                        Some(record)
                    })
                    .collect();
                client.produce(STATES, &deleted);
                self.replace_worker();
            }
            Blow::DeleteStates => operator.delete_topic(STATES),
            Blow::KillWorker => {
                self.publish();
                let before = self.files.len();
                until("work", || self.town.count("output") > before);
                self.replace_worker();
            }
            Blow::KillBroker => {
                self.publish();
                self.broker.kill();
                thread::sleep(Duration::from_millis(500));
                self.broker.restart();
            }
        }
        self.publish();
    }

    fn replace_worker(&mut self) {
        self.kill_workers(1);
        self.start_worker();
    }

    /// How many records the workers have told as lost.
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

    /// What each worker has said.
    fn logs(&self) -> Vec<String> {
        let log = |n| self.town.bench.read(&format!("log{n}"));
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
fn through_changes_of_the_log_nothing_is_replaced_and_what_is_lost_is_told() {
    let broker = Broker::alone();
    let town = Town::new(&broker, TOPIC);
    broker.client().create_topic(TOPIC, 2, &[]);
    let [picture] = town.pictures([160]);
    let mut shaken = Shaken {
        broker,
        town,
        picture,
        workers: Vec::new(),
        started: 0,
        round: 0,
        published: 0,
        removed: 0,
        files: Files::new(),
    };
    (0..2).for_each(|_| shaken.start_worker());
    shaken.publish();
    shaken.settle("the start");
    let mut order = Order {
        seed: number("CHAOS_SEED", 15),
        left: Vec::new(),
    };
    let mut blows = Vec::new();
    for _ in 0..number("CHAOS_ROUNDS", BLOWS.len() as u64) {
        let blow = order.next();
        blows.push(blow);
        shaken.strike(blow);
        shaken.settle(&format!("{blows:?}"));
    }
    assert_eq!(shaken.told(), shaken.removed, "after {blows:?}");
    eprintln!(
        "{} records, {} removed and told, {} files, {} workers: {blows:?}",
        shaken.published,
        shaken.removed,
        shaken.files.len(),
        shaken.started
    );
}
