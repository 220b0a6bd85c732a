//! The promises of every journal of names, tested for the journal in a folder. The end-to-end tests
//! check the one in a topic.
use mattebox_core::frame::{BLOCK, CameraId, Numbering, NumberingStep, RecordIdentity};
use mattebox_store::{
    StoreError,
    journal::{FolderJournal, Journal, name_record},
};
use std::{collections::BTreeSet, fs, thread};

fn camera() -> CameraId {
    "cam01".parse().unwrap()
}

fn record(session: &str, number: u64) -> RecordIdentity<'_> {
    RecordIdentity {
        number,
        session: Some(session),
        fingerprint: number,
        topic: "t",
        partition: 0,
        offset: 0,
    }
}

fn no_files() -> Result<Option<mattebox_core::frame::FrameNumber>, StoreError> {
    Ok(None)
}

fn name(numbering: &mut Numbering, journal: &dyn Journal, session: &str, number: u64) -> u64 {
    let record = record(session, number);
    match name_record(numbering, journal, &camera(), &record, &no_files).unwrap() {
        NumberingStep::Next(name) | NumberingStep::Began(name) | NumberingStep::Late(name) => {
            name.0
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn writers_of_many_sessions_at_once_never_share_a_name() {
    let root = tempfile::tempdir().unwrap();
    let names: Vec<Vec<u64>> = thread::scope(|scope| {
        let writer = |n: usize| {
            let journal = FolderJournal::new(root.path());
            move || {
                let mut numbering = Numbering::default();
                let session = format!("s{n}");
                let number = |k| name(&mut numbering, &journal, &session, k * (BLOCK / 2));
                (0..12).map(number).collect::<Vec<u64>>()
            }
        };
        let threads: Vec<_> = (0..4).map(|n| scope.spawn(writer(n))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let all: BTreeSet<u64> = names.iter().flatten().copied().collect();
    assert_eq!(all.len(), 48, "{names:?}");
}

#[test]
fn a_writer_that_returns_makes_the_same_names() {
    let root = tempfile::tempdir().unwrap();
    let journal = FolderJournal::new(root.path());
    let run = || {
        let mut numbering = Numbering::default();
        let frames = [("a", 0), ("a", 1), ("b", 0), ("b", 1), ("a", 2), ("c", 0)];
        let step = |(session, number)| {
            let record = record(session, number);
            name_record(&mut numbering, &journal, &camera(), &record, &no_files).unwrap()
        };
        frames.map(step)
    };
    let first = run();
    assert_eq!(run(), first);
}

#[test]
fn a_line_that_cannot_be_read_stops_the_camera() {
    let root = tempfile::tempdir().unwrap();
    let journal = FolderJournal::new(root.path());
    let mut numbering = Numbering::default();
    name(&mut numbering, &journal, "a", 0);
    let line = root.path().join(".mattebox/names/cam01/000000.json");
    let bytes = fs::read(&line).unwrap();
    fs::write(&line, &bytes[..bytes.len() / 2]).unwrap();
    let error = journal.read(&camera()).unwrap_err().to_string();
    assert!(error.contains("000000.json"), "{error}");
}
