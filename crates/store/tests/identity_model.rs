//! A model of what fleets do to names: cameras that start again, records that come twice or late,
//! partitions that are added, records without key, hostile numbers, workers that die or only seem
//! dead. Whatever happens, a name stands for one frame, and every record is a file, a repeat or a
//! dead letter.
use mattebox_core::frame::{CameraId, FrameNumber, Numbering, NumberingStep, RecordIdentity};
use mattebox_store::{
    StoreError,
    journal::{CameraBlocks, Journal, JournalEntry, JournalError, name_record},
};
use proptest::prelude::*;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

/// A journal in memory.
#[derive(Default)]
struct MemoryJournal(Mutex<CameraBlocks>);

impl Journal for MemoryJournal {
    fn read(&self, _: &CameraId) -> Result<Arc<CameraBlocks>, JournalError> {
        Ok(Arc::new(self.0.lock().unwrap().clone()))
    }

    fn append(&self, _: &CameraId, entries: &[JournalEntry]) -> Result<(), JournalError> {
        let mut blocks = self.0.lock().unwrap();
        entries.iter().for_each(|entry| blocks.apply(entry));
        Ok(())
    }
}

#[derive(Debug, Clone)]
struct SentRecord {
    /// Which picture it holds: records with one are deliveries of one frame.
    frame: usize,
    number: u64,
    session: Option<String>,
    /// The picture can be decoded.
    good: bool,
}

/// Something that happens before the log is read.
#[derive(Debug, Clone)]
enum CameraEvent {
    Frames(u8),
    /// The camera starts again, and counts from 0 or from where it was.
    Restart {
        from_zero: bool,
    },
    Gap(u16),
    /// The last record but so many is sent once more.
    Again(u8),
    /// The next two frames change places.
    Swapped,
    Hostile {
        number: u64,
        good: bool,
    },
    /// Partitions are added: the camera moves.
    Move,
}

fn sent() -> impl Strategy<Value = CameraEvent> {
    prop_oneof![
        6 => (1_u8..12).prop_map(CameraEvent::Frames),
        3 => any::<bool>().prop_map(|from_zero| CameraEvent::Restart { from_zero }),
        1 => (1_u16..30_000).prop_map(CameraEvent::Gap),
        2 => (0_u8..40).prop_map(CameraEvent::Again),
        2 => Just(CameraEvent::Swapped),
        1 => (prop_oneof![Just(1 << 53), Just(5_000_000), 0..100_000_u64], any::<bool>())
            .prop_map(|(number, good)| CameraEvent::Hostile { number, good }),
        1 => Just(CameraEvent::Move),
    ]
}

/// How the camera sends.
#[derive(Debug, Clone, Copy)]
struct CameraKind {
    named: bool,
    keyed: bool,
}

/// The partitions of the topic after everything is sent.
fn log(kind: CameraKind, events: &[CameraEvent]) -> Vec<Vec<SentRecord>> {
    let mut partitions: Vec<Vec<SentRecord>> = vec![Vec::new(); 3];
    let mut all: Vec<(usize, SentRecord)> = Vec::new();
    let (mut frame, mut number, mut life, mut home) = (0, 0, 0, 0);
    let mut send = |to: usize, record: SentRecord| {
        partitions[to].push(record.clone());
        all.push((to, record));
        all.clone()
    };
    for event in events {
        let mut next = |number: u64, good| {
            frame += 1;
            // The number of a session that has a name is one frame, however often it is sent.
            let of_life = (life + 1) * (1 << 54) + number as usize;
            SentRecord {
                frame: if kind.named { of_life } else { frame },
                number,
                session: kind.named.then(|| format!("life{life}")),
                good,
            }
        };
        let place = |frame: usize| if kind.keyed { home } else { frame % 3 };
        match event {
            CameraEvent::Frames(count) => {
                for _ in 0..*count {
                    let record = next(number, true);
                    send(place(record.frame), record);
                    number += 1;
                }
            }
            CameraEvent::Restart { from_zero } => {
                life += 1;
                number = if *from_zero { 0 } else { number };
            }
            CameraEvent::Gap(gap) => number += u64::from(*gap),
            CameraEvent::Again(back) => {
                let sent = send(0, next(number, false));
                if let Some((to, record)) = sent.iter().rev().nth(usize::from(*back) + 1) {
                    send(*to, record.clone());
                }
            }
            CameraEvent::Swapped => {
                let (one, two) = (next(number, true), next(number + 1, true));
                send(place(two.frame), two);
                send(place(one.frame), one);
                number += 2;
            }
            CameraEvent::Hostile { number, good } => {
                let record = next(*number, *good);
                send(place(record.frame), record);
            }
            CameraEvent::Move => home = (home + 1) % 3,
        }
    }
    partitions
}

/// A worker's hold of one partition.
#[derive(Debug, Clone, Default)]
struct PartitionReader {
    next: usize,
    numbering: Numbering,
}

/// Something that happens while the log is read.
#[derive(Debug, Clone)]
enum WorkerEvent {
    Read {
        partition: usize,
        records: u8,
    },
    Commit(usize),
    /// The worker is killed: another goes on from what is committed.
    Kill(usize),
    /// A worker that only seemed dead goes on for a while from what was committed.
    Zombie {
        partition: usize,
        records: u8,
    },
}

fn work() -> impl Strategy<Value = WorkerEvent> {
    let partition = 0_usize..3;
    prop_oneof![
        5 => (partition.clone(), 1_u8..20)
            .prop_map(|(partition, records)| WorkerEvent::Read { partition, records }),
        2 => partition.clone().prop_map(WorkerEvent::Commit),
        1 => partition.clone().prop_map(WorkerEvent::Kill),
        1 => (partition, 1_u8..20)
            .prop_map(|(partition, records)| WorkerEvent::Zombie { partition, records }),
    ]
}

struct FleetModel {
    kind: CameraKind,
    partitions: Vec<Vec<SentRecord>>,
    journal: MemoryJournal,
    /// The picture of each file.
    files: BTreeMap<u64, usize>,
    /// What each record became, by partition and offset.
    became: HashMap<(usize, usize), String>,
}

impl FleetModel {
    /// A log of which nothing is read.
    fn new(kind: CameraKind, events: &[CameraEvent]) -> Self {
        FleetModel {
            kind,
            partitions: log(kind, events),
            journal: MemoryJournal::default(),
            files: BTreeMap::new(),
            became: HashMap::new(),
        }
    }

    fn read(&mut self, hold: &mut PartitionReader, partition: usize, records: usize) {
        for _ in 0..records {
            let offset = hold.next;
            let Some(record) = self.partitions[partition].get(offset).cloned() else {
                return;
            };
            hold.next += 1;
            let became = self.take(hold, partition, offset, &record);
            if std::env::var_os("SHOW").is_some() {
                eprintln!("{partition}/{offset} {record:?}: {became}");
            }
            let before = self.became.insert((partition, offset), became.clone());
            // Without key, what another partition does meanwhile counts, too.
            if let Some(before) = before.filter(|_| self.kind.keyed) {
                assert_eq!(
                    before, became,
                    "{record:?} at {partition}/{offset} read again"
                );
            }
        }
    }

    fn take(
        &mut self,
        hold: &mut PartitionReader,
        partition: usize,
        offset: usize,
        r: &SentRecord,
    ) -> String {
        if !r.good {
            return "undecodable".to_owned();
        }
        let identity = RecordIdentity {
            number: r.number,
            session: r.session.as_deref(),
            fingerprint: r.frame as u64,
            topic: "topic",
            partition: partition as i32,
            offset: offset as i64,
        };
        let highest = self.files.keys().next_back().map(|name| FrameNumber(*name));
        let highest = move || -> Result<_, StoreError> { Ok(highest) };
        let camera = "cam".parse().unwrap();
        let step = name_record(
            &mut hold.numbering,
            &self.journal,
            &camera,
            &identity,
            &highest,
        );
        match step.unwrap() {
            NumberingStep::Next(name) | NumberingStep::Began(name) | NumberingStep::Late(name) => {
                let there = *self.files.entry(name.0).or_insert(r.frame);
                assert_eq!(
                    there, r.frame,
                    "name {name} of {r:?} stands for another frame"
                );
                format!("file {name}")
            }
            NumberingStep::Repeated(_) => {
                let frames = &self.partitions;
                let mut same = frames.iter().flatten().filter(|o| o.frame == r.frame);
                assert!(
                    same.clone().count() > 1 || same.all(|o| o.session.is_some()),
                    "{r:?} is no repeat"
                );
                "repeated".to_owned()
            }
            NumberingStep::Refused(refusal) => refusal.code.to_owned(),
            NumberingStep::Reserve(want) => panic!("{want:?}"),
        }
    }
}

fn kind() -> impl Strategy<Value = CameraKind> {
    (any::<bool>(), prop::bool::weighted(0.8))
        .prop_map(|(named, keyed)| CameraKind { named, keyed })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn a_name_stands_for_one_frame_and_a_replay_gives_the_same_names(
        kind in kind(),
        events in prop::collection::vec(sent(), 1..60),
        work in prop::collection::vec(work(), 1..80),
    ) {
        let mut world = FleetModel::new(kind, &events);
        let mut holds = vec![PartitionReader::default(); 3];
        let mut committed = holds.clone();
        for work in work {
            match work {
                WorkerEvent::Read { partition, records } => {
                    world.read(&mut holds[partition], partition, records.into());
                }
                WorkerEvent::Commit(partition) => committed[partition] = holds[partition].clone(),
                WorkerEvent::Kill(partition) => holds[partition] = committed[partition].clone(),
                WorkerEvent::Zombie { partition, records } => {
                    let mut zombie = committed[partition].clone();
                    world.read(&mut zombie, partition, records.into());
                }
            }
        }
        for (partition, hold) in holds.iter_mut().enumerate() {
            world.read(hold, partition, 1_000_000);
        }
        // Every record has become something, and a group that begins at the oldest records gives
        // the same names.
        let records: usize = world.partitions.iter().map(Vec::len).sum();
        prop_assert_eq!(world.became.len(), records);
        if kind.keyed {
            for partition in 0..3 {
                world.read(&mut PartitionReader::default(), partition, 1_000_000);
            }
        }
    }

    #[test]
    fn without_journal_and_state_no_file_is_replaced(
        kind in kind(),
        events in prop::collection::vec(sent(), 1..40),
        more in prop::collection::vec(sent(), 1..40),
    ) {
        let mut world = FleetModel::new(kind, &events);
        for partition in 0..3 {
            world.read(&mut PartitionReader::default(), partition, 1_000_000);
        }
        // The topic is made again: its records, the states and the journal are gone.
        let fresh = log(kind, &more);
        let moved = fresh.into_iter().map(|records| {
            let renamed = records.into_iter().map(|r| SentRecord {
                frame: r.frame + 1_000_000,
                session: r.session.map(|life| format!("second-{life}")),
                ..r
            });
            renamed.collect()
        });
        world.partitions = moved.collect();
        world.journal = MemoryJournal::default();
        world.became.clear();
        for partition in 0..3 {
            world.read(&mut PartitionReader::default(), partition, 1_000_000);
        }
    }
}
