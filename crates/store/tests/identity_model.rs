//! A model of a fleet and its names: cameras that restart, records that arrive twice or late, added
//! partitions, records without key, hostile numbers, workers that die or only seem dead. In every
//! case a name belongs to one frame, and every record gives a file, a repeat or a dead letter.
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
    /// The picture that it holds: records with the same picture are deliveries of one frame.
    frame: usize,
    number: u64,
    session: Option<String>,
    /// The picture can be decoded.
    good: bool,
}

/// An event before the log is read.
#[derive(Debug, Clone)]
enum CameraEvent {
    Frames(u8),
    /// The camera restarts, and counts from 0 or continues.
    Restart {
        from_zero: bool,
    },
    Gap(u16),
    /// An earlier record, counted from the end, is sent once more.
    Again(u8),
    /// The next two frames swap places.
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

/// The way in which the camera sends.
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
            // A number of a session with a name is one frame, however often it is sent.
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

/// The state of a worker that reads a partition.
#[derive(Debug, Clone, Default)]
struct PartitionReader {
    next: usize,
    numbering: Numbering,
}

/// An event while the log is read.
#[derive(Debug, Clone)]
enum WorkerEvent {
    Read {
        partition: usize,
        records: u8,
    },
    Commit(usize),
    /// The worker is killed: another one continues from the committed state.
    Kill(usize),
    /// A worker that only seemed dead continues for a while from the committed state.
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
    /// The outcome of each record, by partition and offset.
    outcomes: HashMap<(usize, usize), String>,
}

impl FleetModel {
    /// A log that is not read yet.
    fn new(kind: CameraKind, events: &[CameraEvent]) -> Self {
        FleetModel {
            kind,
            partitions: log(kind, events),
            journal: MemoryJournal::default(),
            files: BTreeMap::new(),
            outcomes: HashMap::new(),
        }
    }

    fn read(&mut self, reader: &mut PartitionReader, partition: usize, records: usize) {
        for _ in 0..records {
            let offset = reader.next;
            let Some(record) = self.partitions[partition].get(offset).cloned() else {
                return;
            };
            reader.next += 1;
            let outcome = self.take(reader, partition, offset, &record);
            if std::env::var_os("SHOW").is_some() {
                eprintln!("{partition}/{offset} {record:?}: {outcome}");
            }
            let before = self.outcomes.insert((partition, offset), outcome.clone());
            // Without key, the other partitions have an influence too.
            if let Some(before) = before.filter(|_| self.kind.keyed) {
                assert_eq!(
                    before, outcome,
                    "{record:?} at {partition}/{offset} read again"
                );
            }
        }
    }

    fn take(
        &mut self,
        reader: &mut PartitionReader,
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
            &mut reader.numbering,
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
        let mut fleet = FleetModel::new(kind, &events);
        let mut readers = vec![PartitionReader::default(); 3];
        let mut committed = readers.clone();
        for work in work {
            match work {
                WorkerEvent::Read { partition, records } => {
                    fleet.read(&mut readers[partition], partition, records.into());
                }
                WorkerEvent::Commit(partition) => committed[partition] = readers[partition].clone(),
                WorkerEvent::Kill(partition) => readers[partition] = committed[partition].clone(),
                WorkerEvent::Zombie { partition, records } => {
                    let mut zombie = committed[partition].clone();
                    fleet.read(&mut zombie, partition, records.into());
                }
            }
        }
        for (partition, reader) in readers.iter_mut().enumerate() {
            fleet.read(reader, partition, 1_000_000);
        }
        // Every record has an outcome, and a group that begins at the oldest records gives the same
        // names.
        let records: usize = fleet.partitions.iter().map(Vec::len).sum();
        prop_assert_eq!(fleet.outcomes.len(), records);
        if kind.keyed {
            for partition in 0..3 {
                fleet.read(&mut PartitionReader::default(), partition, 1_000_000);
            }
        }
    }

    #[test]
    fn without_journal_and_state_no_file_is_replaced(
        kind in kind(),
        events in prop::collection::vec(sent(), 1..40),
        more in prop::collection::vec(sent(), 1..40),
    ) {
        let mut fleet = FleetModel::new(kind, &events);
        for partition in 0..3 {
            fleet.read(&mut PartitionReader::default(), partition, 1_000_000);
        }
        // The topic is created again: its records, the states and the journal are gone.
        let fresh = log(kind, &more);
        let moved = fresh.into_iter().map(|records| {
            let renamed = records.into_iter().map(|r| SentRecord {
                frame: r.frame + 1_000_000,
                session: r.session.map(|life| format!("second-{life}")),
                ..r
            });
            renamed.collect()
        });
        fleet.partitions = moved.collect();
        fleet.journal = MemoryJournal::default();
        fleet.outcomes.clear();
        for partition in 0..3 {
            fleet.read(&mut PartitionReader::default(), partition, 1_000_000);
        }
    }
}
