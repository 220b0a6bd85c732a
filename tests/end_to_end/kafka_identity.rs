//! Every frame has the name of its camera and a number that no other frame gets, for any state of
//! the log and the disk.

use crate::kit::{
    Broker, Isolation, KafkaPipeline, NewRecord, OutputFiles, assert_untouched, repository,
    seed_json, sum, until,
};
use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

/// A frame as the seed's camera sends it. Cameras are told apart by the sizes of their pictures.
fn record(camera: &str, number: u64, seconds: f64, jpeg: &[u8]) -> NewRecord {
    NewRecord::new(camera, seed_json(camera, number, seconds, jpeg)).to(0)
}

/// Publishes frames of cameras in one partition, those with odd numbers after all others, and looks
/// for every file.
fn late_frames_are_in_their_own_folders(topic: &str, widths: &[u32]) {
    const FRAMES: u64 = 24;
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, topic);
    let client = broker.client();
    client.create_topic(topic, 1, &[]);
    let cameras: Vec<_> = widths
        .iter()
        .map(|width| {
            (
                format!("w{width}"),
                *width,
                pipeline.workspace.jpeg(&format!("scale={width}:-2")),
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
    let report = pipeline.report(&["worker", "--until", "end"]);
    let all = FRAMES * cameras.len() as u64;
    assert_eq!((sum(&report, "written"), sum(&report, "skipped")), (all, 0));
    // All odd ones but the last, which is no later than the frame before it.
    assert_eq!(
        sum(&report, "late"),
        (FRAMES / 2 - 1) * cameras.len() as u64
    );
    for (camera, width, _) in &cameras {
        let files = pipeline.workspace.files(&format!("output/{camera}"));
        let wanted: Vec<_> = (0..FRAMES)
            .map(|number| format!("frame_{number:06}.png"))
            .collect();
        assert_eq!(files, wanted);
        for name in files {
            let bytes = pipeline.workspace.read(&format!("output/{camera}/{name}"));
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

/// Frames of a life of camera `a`, which counts from 0 and has pictures of a size.
fn life(n: usize, count: u64, jpeg: &[u8]) -> Vec<NewRecord> {
    let begun = 1000.0 * n as f64;
    (0..count)
        .map(|number| record("a", number, begun + number as f64, jpeg))
        .collect()
}

#[track_caller]
fn assert_nothing_is_replaced(before: &OutputFiles, after: &OutputFiles, count: usize) {
    assert_untouched(before, after);
    assert_eq!(after.len(), count);
}

/// Widths of pictures.
const WIDTHS: [u32; 3] = [160, 240, 320];

#[test]
fn an_unreadable_state_is_reported_and_replaces_no_file() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "unreadable");
    let client = broker.client();
    client.create_topic("unreadable", 1, &[]);
    let pictures = pipeline.pictures(WIDTHS);
    client.produce(
        "unreadable",
        &[life(0, 10, &pictures[0]), life(1, 10, &pictures[1])].concat(),
    );
    pipeline.report(&["worker", "--until", "end"]);
    let before = pipeline.tree("output");
    assert_eq!(before.len(), 20);
    // Four bytes of each state change.
    let topic = "unreadable.mattebox.state";
    let damaged: Vec<NewRecord> = client
        .consume_all(topic, Isolation::Committed)
        .into_iter()
        .filter_map(|state| {
            let mut bytes = state.value?;
            let middle = bytes.len() / 2;
            bytes[middle..middle + 4].iter_mut().for_each(|b| *b = !*b);
            Some(NewRecord::new(state.key?, bytes).to(0))
        })
        .collect();
    assert!(!damaged.is_empty());
    client.produce(topic, &damaged);
    client.produce("unreadable", &life(2, 10, &pictures[2]));
    let done = pipeline.run(&["worker", "--until", "end", "--on-missing-state", "fail"]);
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert!(
        done.stderr.contains("--on-missing-state restart"),
        "{}",
        done.stderr
    );
    assert_nothing_is_replaced(&before, &pipeline.tree("output"), 20);
    let done = pipeline.run(&["worker", "--until", "end", "--json"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let report = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!(
        (sum(&report, "written"), sum(&report, "state_unreadable")),
        (10, 1)
    );
    let told = done
        .stderr
        .lines()
        .find(|line| line.contains("cannot be read"));
    let told = told.expect("a warning");
    assert!(told.contains("WARN") && told.contains("camera=a"), "{told}");
    assert_nothing_is_replaced(&before, &pipeline.tree("output"), 30);
    // The state that it continues with is stored, so the message comes once.
    client.produce("unreadable", &[record("a", 10, 5000.0, &pictures[2])]);
    let report = pipeline.report(&["worker", "--until", "end"]);
    assert_eq!(
        (sum(&report, "written"), sum(&report, "state_unreadable")),
        (1, 0)
    );
}

#[test]
fn a_folder_that_outlives_its_cluster_keeps_its_files() {
    let town_of = |broker: &Broker| KafkaPipeline::new(broker, "outlived");
    let broker = Broker::start();
    let pipeline = town_of(&broker);
    let pictures = pipeline.pictures(WIDTHS);
    broker.client().create_topic("outlived", 1, &[]);
    broker
        .client()
        .produce("outlived", &life(0, 30, &pictures[0]));
    pipeline.report(&["worker", "--until", "end"]);
    let before = pipeline.tree("output");
    let folder = pipeline.workspace.path("output");
    drop(broker);
    // As after `docker compose down -v`: topics, offsets, states and the journal are gone.
    let broker = Broker::start();
    let other = town_of(&broker);
    let kept = other.workspace.path("output");
    fs::rename(&folder, &kept).expect("moved");
    broker.client().create_topic("outlived", 1, &[]);
    broker
        .client()
        .produce("outlived", &life(1, 30, &pictures[1]));
    let done = other.run(&["worker", "--until", "end"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let after = other.tree("output");
    assert_nothing_is_replaced(&before, &after, 60);
    assert!(after.contains_key("a/frame_000030.png") && after.contains_key("a/frame_000059.png"));
}

#[test]
fn a_folder_belongs_to_one_topic_and_group() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "owned");
    broker.client().create_topic("owned", 1, &[]);
    let pictures = pipeline.pictures(WIDTHS);
    broker.client().produce("owned", &life(0, 5, &pictures[0]));
    pipeline.report(&["worker", "--until", "end"]);
    let before = pipeline.tree("output");
    let done = pipeline.run(&["worker", "--until", "end", "--group", "second"]);
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    for word in ["output", "mattebox", "--out"] {
        assert!(done.stderr.contains(word), "{word}: {}", done.stderr);
    }
    assert!(pipeline.tree("output") == before);
    // In another folder a second group gives the same frames the same names.
    pipeline.report(&[
        "worker", "--until", "end", "--group", "second", "--out", "again",
    ]);
    assert!(pipeline.tree("again") == before);
}

#[test]
fn workers_whose_machines_share_no_disk_make_the_files_of_one() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "apart");
    let client = broker.client();
    pipeline.fill(&["a", "b", "c"], 40, &["--partitions", "3"]);
    // Each of these has another folder and processes a part of the log.
    for (n, disk) in ["disk0", "disk1", "disk0", "disk1"].into_iter().enumerate() {
        pipeline.report(&[
            "worker", "--until", "end", "--group", "apart", "--out", disk,
        ]);
        if n < 3 {
            pipeline.fill(&["a", "b", "c"], 20, &[]);
        }
    }
    pipeline.report(&[
        "worker", "--until", "end", "--group", "alone", "--out", "alone",
    ]);
    let mut all = pipeline.tree("disk0");
    for (name, bytes) in pipeline.tree("disk1") {
        assert!(all.insert(name.clone(), bytes).is_none(), "{name} twice");
    }
    assert!(all == pipeline.tree("alone"), "files differ");
    assert_eq!(all.len() as u64, client.done_by("alone", "apart"));
}

#[test]
fn members_with_other_settings_are_reported() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "mixed");
    pipeline.fill(&["a", "b"], 5, &["--partitions", "2"]);
    let first = pipeline.start(&["worker"]);
    until("its files", || pipeline.count("output") == 10);
    let done = pipeline.run(&["worker", "--until", "end", "--background", "#ff0000"]);
    let second = done.stderr;
    drop(first.stop(&["worker"]));
    let told = second.lines().find(|line| line.contains("other settings"));
    let told = told.unwrap_or_else(|| panic!("{second}"));
    assert!(told.contains("WARN") && told.contains("group"), "{told}");
}

#[test]
fn camera_ids_beyond_the_limit_are_stored_and_return_with_every_output() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "rotating");
    let client = broker.client();
    client.create_topic("rotating", 1, &[]);
    let picture = pipeline.workspace.jpeg("scale=64:-2");
    let frames = |number: u64| -> Vec<NewRecord> {
        (0..90)
            .map(|n| record(&format!("id{n}"), number, number as f64, &picture))
            .collect()
    };
    client.produce("rotating", &frames(0));
    let args = [
        "worker",
        "--group",
        "rotating",
        "--out",
        "topic:turned",
        "--matte",
        "hard",
    ];
    let worker = pipeline.start(&args);
    client.await_records("turned", 90, Isolation::Committed);
    std::thread::sleep(Duration::from_secs(6));
    // A worker forgets a camera that was quiet for five seconds once it has too many. Here all are
    // quiet: each new frame makes the worker forget one, and the forgotten ones come back.
    for number in 1..4 {
        client.produce("rotating", &frames(number));
    }
    let results = client.await_records("turned", 360, Isolation::Committed);
    let names: BTreeSet<_> = results.iter().map(|r| (r.camera(), r.sequence())).collect();
    assert_eq!(names.len(), 360);
    drop(worker.stop(&["worker"]));
}

#[test]
fn more_cameras_at_once_than_a_partition_may_have_are_all_processed() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "burst");
    let client = broker.client();
    client.create_topic("burst", 1, &[]);
    let picture = pipeline.workspace.jpeg("scale=32:-2");
    let frames = |number: u64, ids: u64| -> Vec<NewRecord> {
        let frame = |n| record(&format!("id{n}"), number, number as f64, &picture);
        (0..ids).map(frame).collect()
    };
    client.produce("burst", &[frames(0, 1300), frames(1, 60)].concat());
    let report = pipeline.report(&["worker", "--until", "end", "--matte", "hard"]);
    assert_eq!((sum(&report, "written"), sum(&report, "dead")), (1360, 0));
    assert_eq!(pipeline.count("output"), 1360);
}

#[test]
fn the_seeds_camera_restarted_ten_times_with_its_clock_moved_has_a_file_for_each_frame() {
    let broker = Broker::shared();
    for partitions in [1, 6] {
        let topic = format!("ten-lives-{partitions}");
        let pipeline = KafkaPipeline::new(&broker, &topic);
        let client = broker.client();
        client.create_topic(&topic, partitions, &[]);
        let pictures = pipeline.pictures(WIDTHS);
        let mut before = OutputFiles::new();
        for n in 0..10_u64 {
            // The seed's camera sets no key, so its records go to all partitions in turn.
            let back = if n % 2 == 0 { 0.0 } else { 3600.0 };
            let clock = 1e9 + 7.0 * n as f64 - back;
            let frames: Vec<NewRecord> = (0..12)
                .map(|number| {
                    let time = clock + number as f64 / 10.0;
                    let value = seed_json("a", number, time, &pictures[n as usize % 3]);
                    NewRecord {
                        value: Some(value.into_bytes()),
                        ..NewRecord::default()
                    }
                    .to((number % partitions as u64) as i32)
                })
                .collect();
            client.produce(&topic, &frames);
            let report = pipeline.report(&["worker", "--until", "end"]);
            assert_eq!(sum(&report, "written"), 12, "life {n}: {report}");
            let after = pipeline.tree("output");
            assert_nothing_is_replaced(&before, &after, 12 * (n as usize + 1));
            before = after;
        }
    }
}

/// Fixtures of a build with states of version 1: the records of its camera, and the state of its
/// worker after them, the same bytes in a folder and in a topic.
fn of_version_1() -> (Vec<NewRecord>, Vec<u8>) {
    let folder = std::path::PathBuf::from(repository("tests/end_to_end/fixtures/version-1"));
    let log = fs::read_to_string(folder.join("log.jsonl")).expect("a log");
    let records = log.lines().map(|line| NewRecord::new("a", line).to(0));
    let state = fs::read(folder.join("state")).expect("a state");
    (records.collect(), state)
}

/// The state in the fixture comes from another machine, whose floating-point sums may differ in the
/// last bit.
#[track_caller]
fn assert_alike(name: &str, ours: &[u8], undisturbed: &[u8]) {
    let decode = |bytes: &[u8]| {
        let picture = mattebox_core::codec::decode(bytes, &Default::default());
        picture.expect("a picture").into_raw()
    };
    let (ours, undisturbed) = (decode(ours), decode(undisturbed));
    assert_eq!(ours.len(), undisturbed.len());
    let pairs = ours.iter().zip(&undisturbed);
    let sum: u64 = pairs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    assert!(sum < ours.len() as u64, "{name}: {sum}");
}

#[test]
fn states_of_the_earlier_version_are_read_from_folder_and_topic() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "upgrade");
    let (client, operator) = (broker.client(), broker.operator());
    let (log, state) = of_version_1();
    let later: Vec<NewRecord> = log
        .iter()
        .map(|record| {
            let value = record.value.as_deref().expect("a value");
            let mut frame: serde_json::Value = serde_json::from_slice(value).expect("JSON");
            frame["frame_id"] = (frame["frame_id"].as_u64().expect("a number") + 12).into();
            frame["ts"] = (frame["ts"].as_f64().expect("a time") + 1.2).into();
            NewRecord::new("a", frame.to_string()).to(0)
        })
        .collect();
    client.create_topic("upgrade", 1, &[]);
    client.produce("upgrade", &[log, later].concat());
    pipeline.report(&[
        "worker",
        "--until",
        "end",
        "--group",
        "fresh",
        "--out",
        "undisturbed",
    ]);
    let undisturbed = pipeline.tree("undisturbed");
    assert_eq!(undisturbed.len(), 24);

    let folder = pipeline.workspace.path("output/.state/a");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("mattebox+upgrade+0@12"), &state).expect("written");
    operator.reset_offset("mattebox", "upgrade", 0, 12);
    pipeline.report(&["worker", "--until", "end"]);
    let ours = pipeline.tree("output");
    assert_eq!(ours.len(), 12);
    for (name, bytes) in &ours {
        assert_alike(name, bytes, &undisturbed[name]);
    }
    // A worker of the version before can neither read nor store a state any more.
    assert!(pipeline.workspace.path("output/.state").is_file());
    assert!(
        pipeline
            .workspace
            .path("output/.mattebox/state-1/a")
            .is_dir()
    );

    client.create_topic("matted", 1, &[]);
    client.create_topic("matted.state", 1, &[("cleanup.policy", "compact")]);
    client.produce(
        "matted.state",
        &[NewRecord::new("topics\nupgrade\na", state).to(0)],
    );
    operator.reset_offset("topics", "upgrade", 0, 12);
    pipeline.report(&[
        "worker",
        "--until",
        "end",
        "--group",
        "topics",
        "--out",
        "topic:matted",
    ]);
    let results = client.await_records("matted", 12, Isolation::Committed);
    for result in results {
        let name = format!("a/frame_{:06}.png", result.sequence());
        assert_alike(
            &name,
            &result.value.expect("a picture"),
            &undisturbed[&name],
        );
    }
}

#[test]
fn with_default_broker_settings_files_work_and_a_topic_of_results_is_refused() {
    let broker = Broker::with(&[
        "--set",
        "auto.create.topics.enable=true",
        "--set",
        "transaction.state.log.replication.factor=3",
        "--set",
        "transaction.state.log.min.isr=2",
    ]);
    let pipeline = KafkaPipeline::new(&broker, "defaults");
    let (client, operator) = (broker.client(), broker.operator());
    pipeline.fill(&["a"], 12, &["--partitions", "1"]);
    // A broker that makes topics by itself gives them its own settings.
    for topic in ["defaults.names", "defaults.mattebox.state"] {
        client.create_topic(topic, 1, &[]);
    }
    let report = pipeline.report(&["worker", "--until", "end"]);
    assert_eq!(sum(&report, "written"), 12);
    let setting = |topic, name| operator.topic_config(topic, name);
    let forever = setting("defaults.names", "retention.ms");
    assert_eq!(forever.as_deref(), Some("-1"));
    let policy = setting("defaults.mattebox.state", "cleanup.policy");
    assert_eq!(policy.as_deref(), Some("compact"));

    let begun = Instant::now();
    let done = pipeline.run(&[
        "worker",
        "--until",
        "end",
        "--group",
        "t",
        "--out",
        "topic:matted",
    ]);
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert!(begun.elapsed() < Duration::from_secs(60));
    for name in ["replication.factor", "min.isr"] {
        let name = format!("transaction.state.log.{name}");
        assert!(done.stderr.contains(&name), "{name}: {}", done.stderr);
    }
}
