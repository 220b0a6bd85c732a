//! Every frame has its own camera's name and a number that no other frame gets, whatever the log
//! and the disk look like.

use crate::kit::{Broker, Record, Town, seed_json, sum};
use std::fs;

/// A frame as the seed's camera sends it. Cameras are told apart by the sizes of their pictures.
fn record(camera: &str, number: u64, seconds: f64, jpeg: &[u8]) -> Record {
    Record::new(camera, seed_json(camera, number, seconds, jpeg)).to(0)
}

/// Publishes frames of cameras in one partition, those with odd numbers after all others, and looks
/// for every file.
fn late_frames_are_in_their_own_folders(topic: &str, widths: &[u32]) {
    const FRAMES: u64 = 24;
    let broker = Broker::shared();
    let town = Town::new(&broker, topic);
    let client = broker.client();
    client.create_topic(topic, 1, &[]);
    let cameras: Vec<_> = widths
        .iter()
        .map(|width| {
            (
                format!("w{width}"),
                *width,
                town.bench.jpeg(&format!("scale={width}:-2")),
            )
        })
        .collect();
    let mut records = Vec::new();
    for first in [0, 1] {
        for number in (first..FRAMES).step_by(2) {
            for (camera, _, picture) in &cameras {
                records.push(record(camera, number, 1000.0 + number as f64, picture));
            }
        }
    }
    client.produce(topic, &records);
    let report = town.report(&["worker", "--until", "end"]);
    let all = FRAMES * cameras.len() as u64;
    assert_eq!((sum(&report, "frames_out"), sum(&report, "kept")), (all, 0));
    // All odd ones but the last, which is no later than the frame before it.
    assert_eq!(
        sum(&report, "late"),
        (FRAMES / 2 - 1) * cameras.len() as u64
    );
    for (camera, width, _) in &cameras {
        let files = town.bench.files(&format!("output/{camera}"));
        let wanted: Vec<_> = (0..FRAMES)
            .map(|number| format!("frame_{number:06}.png"))
            .collect();
        assert_eq!(files, wanted);
        for name in files {
            let bytes = town.bench.read(&format!("output/{camera}/{name}"));
            let picture =
                mattebox_core::codec::decode(&bytes, &Default::default()).expect("a picture");
            assert_eq!(
                picture.width(),
                *width,
                "{camera}/{name} is a picture of another camera"
            );
        }
    }
}

#[test]
fn late_frames_of_two_cameras_in_a_partition_are_in_their_own_folders() {
    late_frames_are_in_their_own_folders("late-two", &[160, 240]);
}

#[test]
fn late_frames_of_three_cameras_in_a_partition_are_in_their_own_folders() {
    late_frames_are_in_their_own_folders("late-three", &[320, 160, 240]);
}

#[test]
fn state_that_cannot_be_read_is_told_and_counted_and_replaces_no_file() {
    let broker = Broker::shared();
    let town = Town::new(&broker, "unreadable");
    let client = broker.client();
    client.create_topic("unreadable", 1, &[]);
    let pictures = [160, 240, 320].map(|width| town.bench.jpeg(&format!("scale={width}:-2")));
    // A life of the camera has ten frames and a size; each begins to count from 0.
    let life = |n: usize| -> Vec<Record> {
        (0..10)
            .map(|number| record("a", number, (1000 * n) as f64 + number as f64, &pictures[n]))
            .collect()
    };
    client.produce("unreadable", &[life(0), life(1)].concat());
    town.report(&["worker", "--until", "end"]);
    let before = town.tree("output");
    assert_eq!(before.len(), 20);
    let states = town.bench.files("output/.state/a");
    for state in &states {
        let path = town.bench.path(&format!("output/.state/a/{state}"));
        let mut bytes = fs::read(&path).expect("a state");
        let middle = bytes.len() / 2;
        for byte in &mut bytes[middle..middle + 4] {
            *byte = !*byte;
        }
        fs::write(&path, bytes).expect("written");
    }
    client.produce("unreadable", &life(2));
    let done = town.run(&["worker", "--until", "end", "--json"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let report = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!(
        (sum(&report, "frames_out"), sum(&report, "state_unreadable")),
        (10, 1)
    );
    let told = done
        .stderr
        .lines()
        .find(|line| line.contains("cannot be read"))
        .expect("a warning");
    assert!(
        told.contains("WARN") && told.contains("camera=a") && told.contains(".unreadable"),
        "{told}"
    );
    let after = town.tree("output");
    assert_eq!(after.len(), 30);
    for (name, bytes) in &before {
        assert!(after.get(name) == Some(bytes), "{name} was replaced");
    }
    // What it goes on with is stored: it is told once.
    client.produce("unreadable", &[record("a", 10, 5000.0, &pictures[2])]);
    let report = town.report(&["worker", "--until", "end"]);
    assert_eq!(
        (sum(&report, "frames_out"), sum(&report, "state_unreadable")),
        (1, 0)
    );
}
