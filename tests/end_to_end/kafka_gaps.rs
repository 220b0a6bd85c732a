//! No frame is lost without a message and no file is replaced when topics, partitions, offsets,
//! clocks and numbers change while a group is at work.
//!
//! Lives of a camera are told apart by the sizes of their pictures.

use crate::kit::{
    Broker, Client, Isolation, KafkaPipeline, OutputFiles, ProgramOutput, RunningPage,
    assert_untouched, binary_frame, seed_frame, seed_life, sum, until,
};
use mattebox_engine::stop::Stop;
use mattebox_kafka::{
    client,
    settings::BrokerSettings,
    topic_id::{self, TopicState},
};
use serde_json::Value;
use std::{collections::BTreeSet, ops::Range, thread, time::Duration};

const TO_THE_END: [&str; 4] = ["worker", "--until", "end", "--json"];
const WIDTHS: [u32; 3] = [160, 240, 320];
const HOUR: f64 = 3600.0;
/// Seconds since 1970 of the first frame of most cameras.
const BEGUN: f64 = 1_700_000_000.0;

/// Runs a worker with `--json`, and returns its report and its messages.
#[track_caller]
fn ended(pipeline: &KafkaPipeline, args: &[&str], code: i32) -> (Value, ProgramOutput) {
    let done = pipeline.run(args);
    assert_eq!(done.code, Some(code), "{args:?}: {}", done.stderr);
    (report(&done), done)
}

#[track_caller]
fn report(done: &ProgramOutput) -> Value {
    serde_json::from_slice(&done.stdout).unwrap_or_else(|e| panic!("{e}: {}", done.stderr))
}

/// How many records were removed before they were done, of all partitions.
fn lost(report: &Value) -> u64 {
    let partitions = report["partitions"].as_array().into_iter().flatten();
    partitions.map(|p| p["lost"].as_u64().unwrap_or(0)).sum()
}

/// The warnings and errors of a log that hold all of these, without the time before them.
fn warnings<'a>(log: &'a str, parts: &[&str]) -> Vec<&'a str> {
    let warning = |line: &'a str| {
        let levels = ["WARN", "ERROR"].into_iter();
        let mut found = levels.filter_map(|level| line.split_once(level));
        found.next().map(|(_, said)| said)
    };
    let said = log.lines().filter_map(warning);
    said.filter(|said| parts.iter().all(|part| said.contains(part)))
        .collect()
}

/// Names for these numbers of a camera.
fn names(camera: &str, numbers: Range<u64>) -> Vec<String> {
    numbers
        .map(|n| format!("{camera}/frame_{n:06}.png"))
        .collect()
}

/// The names of files whose picture has this width.
fn names_of(files: &OutputFiles, width: u32) -> Vec<String> {
    let is_so = |bytes: &[u8]| {
        let picture = mattebox_core::codec::decode(bytes, &Default::default()).expect("a picture");
        picture.width() == width
    };
    let found = files.iter().filter(|(_, bytes)| is_so(bytes));
    found.map(|(name, _)| name.clone()).collect()
}

/// The number in a file's name.
fn number(name: &str) -> u64 {
    let digits = name.rsplit_once('_').map(|(_, end)| end);
    let digits = digits.and_then(|end| end.strip_suffix(".png"));
    digits.and_then(|n| n.parse().ok()).expect("a number")
}

/// Why records are dead letters, sorted.
fn codes(client: &Client, topic: &str) -> Vec<String> {
    let dead = client.records(&format!("{topic}.dead"), Isolation::Committed);
    let code = |letter: &crate::kit::StoredRecord| {
        let code = letter.header("mattebox-error-code").expect("a code");
        String::from_utf8_lossy(code).into_owned()
    };
    let mut codes: Vec<_> = dead.iter().map(code).collect();
    codes.sort();
    codes
}

#[test]
fn a_recreated_topic_has_another_id() {
    let broker = Broker::shared();
    let (cluster, operator) = (broker.client(), broker.operator());
    let settings = BrokerSettings::new(broker.bootstrap(), "one-id".to_owned(), Vec::new());
    let limit = Duration::from_secs(30);
    let admin = client::connect(&settings, limit, &Stop::new()).expect("a client");
    let ask =
        || topic_id::topic_ids(admin.inner(), &["one-id", "other-id"], limit).expect("an answer");
    cluster.create_topic("one-id", 1, &[]);
    let first = ask();
    assert!(matches!(first[0], TopicState::Known(_)), "{first:?}");
    assert_eq!(first[1], TopicState::Missing);
    operator.add_partitions("one-id", 3);
    assert_eq!(ask(), first);
    operator.recreate_topic("one-id", 1, &[]);
    let second = ask();
    assert!(matches!(second[0], TopicState::Known(_)), "{second:?}");
    assert_ne!(second[0], first[0]);
    operator.delete_topic("one-id");
    assert_eq!(ask()[0], TopicState::Missing);
}

#[test]
fn a_recreated_topic_is_read_from_its_first_record() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "reborn");
    let (client, operator) = (broker.client(), broker.operator());
    client.create_topic("reborn", 1, &[]);
    let [first, longer, shorter] = pipeline.pictures(WIDTHS);
    client.produce("reborn", &seed_life("a", 0..30, BEGUN, &first));
    let worker = pipeline.start(&["worker", "--json", "--commit-interval", "50ms"]);
    until("the offset of the first topic", || {
        client.done_by("mattebox", "reborn") == 30
    });
    let before = pipeline.tree("output");
    let mut all = 30;
    // More records than the worker had done of the topic before, and then fewer.
    for (frames, picture) in [(40, &longer), (10, &shorter)] {
        operator.recreate_topic("reborn", 1, &[]);
        client.produce("reborn", &seed_life("a", 0..frames, BEGUN + HOUR, picture));
        all += frames;
        until("a file for each record of the new topic", || {
            pipeline.count("output") as u64 >= all
        });
        until("the offset of the new topic", || {
            client.done_by("mattebox", "reborn") == frames
        });
    }
    let done = worker.stop(&["worker"]);
    assert_eq!(done.code, Some(130), "{}", done.stderr);
    let after = pipeline.tree("output");
    assert_untouched(&before, &after);
    assert_eq!(
        WIDTHS.map(|width| names_of(&after, width).len()),
        [30, 40, 10]
    );
    let told = warnings(&done.stderr, &["reborn", "created again"]);
    assert_eq!(told.len(), 2, "{}", done.stderr);
    assert_eq!(report(&done)["topic_recreated"], 2);
}

/// A topic of which 10 records are done and 20 of the next 30 are removed.
fn with_removed_records(broker: &Broker, topic: &str) -> KafkaPipeline {
    let pipeline = KafkaPipeline::new(broker, topic);
    let (client, operator) = (broker.client(), broker.operator());
    client.create_topic(topic, 1, &[]);
    let [picture, ..] = pipeline.pictures(WIDTHS);
    client.produce(topic, &seed_life("a", 0..10, BEGUN, &picture));
    pipeline.report(&["worker", "--until", "end"]);
    client.produce(topic, &seed_life("a", 10..40, BEGUN, &picture));
    operator.delete_records(topic, 0, 30);
    pipeline
}

#[test]
fn records_removed_before_a_worker_starts_are_reported_and_the_exit_code_is_4() {
    let broker = Broker::shared();
    let pipeline = with_removed_records(&broker, "removed");
    let (report, done) = ended(&pipeline, &TO_THE_END, 4);
    assert_eq!((lost(&report), sum(&report, "written")), (20, 10));
    let told = warnings(&done.stderr, &["removed", "partition", "20"]);
    assert_eq!(told.len(), 1, "{}", done.stderr);
    let all = [names("a", 0..10), names("a", 30..40)].concat();
    assert_eq!(pipeline.tree("output").into_keys().collect::<Vec<_>>(), all);
    assert_eq!(broker.client().committed("mattebox", "removed"), [Some(40)]);
    // It is reported once.
    let (report, _) = ended(&pipeline, &TO_THE_END, 0);
    assert_eq!(lost(&report), 0);
    // A new group has not lost the records that were removed before it began.
    let fresh = ["--group", "fresh", "--out", "fresh"];
    let (report, _) = ended(&pipeline, &[&TO_THE_END[..], &fresh].concat(), 0);
    assert_eq!((lost(&report), sum(&report, "written")), (0, 10));
}

#[test]
fn the_page_reports_lost_records() {
    let broker = Broker::shared();
    let pipeline = with_removed_records(&broker, "removed-page");
    let page = pipeline.page(&["worker"], "log");
    let told = |page: &RunningPage<'_>| {
        let (_, body) = page.get("/api/cameras");
        let all: Value = serde_json::from_slice(&body).expect("JSON");
        all["errors"][0]["message"].as_str().map(str::to_owned)
    };
    page.until("what was lost", |page| told(page).is_some());
    let message = told(&page).expect("a message");
    assert!(
        message.starts_with("20 records of topic removed-page"),
        "{message}"
    );
    page.stop();
}

#[test]
fn records_removed_while_a_worker_hangs_are_reported() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "hangs");
    let (client, operator) = (broker.client(), broker.operator());
    client.create_topic("hangs", 1, &[]);
    let [picture, ..] = pipeline.pictures(WIDTHS);
    client.produce("hangs", &seed_life("a", 0..10, BEGUN, &picture));
    let worker = pipeline.start(&["worker", "--json", "--commit-interval", "50ms"]);
    until("the first files", || {
        client.done_by("mattebox", "hangs") == 10
    });
    worker.freeze();
    // The broker answers the fetch that the worker has sent, and gets no other.
    thread::sleep(Duration::from_secs(2));
    client.produce("hangs", &seed_life("a", 10..40, BEGUN, &picture));
    operator.delete_records("hangs", 0, 30);
    worker.thaw();
    until("the rest", || client.done_by("mattebox", "hangs") == 40);
    let done = worker.stop(&["worker"]);
    assert_eq!(done.code, Some(130), "{}", done.stderr);
    assert_eq!(lost(&report(&done)), 20, "{}", done.stderr);
    let told = warnings(&done.stderr, &["hangs", "partition", "20"]);
    assert_eq!(told.len(), 1, "{}", done.stderr);
    assert_eq!(pipeline.count("output"), 20);
}

#[test]
fn records_removed_while_a_worker_is_behind_are_reported_and_the_exit_code_is_4() {
    const FRAMES: u64 = 1500;
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "behind");
    let (client, operator) = (broker.client(), broker.operator());
    client.create_topic("behind", 1, &[]);
    let [.., picture] = pipeline.pictures(WIDTHS);
    client.produce("behind", &seed_life("a", 0..FRAMES, BEGUN, &picture));
    // It fetches little ahead, so that retention can pass it.
    let slow = [
        "--threads",
        "1",
        "--kafka-option",
        "queued.max.messages.kbytes=64",
        "--kafka-option",
        "fetch.message.max.bytes=65536",
    ];
    let args = [&TO_THE_END[..], &slow].concat();
    let worker = pipeline.start(&args);
    until("some files", || pipeline.count("output") >= 20);
    operator.delete_records("behind", 0, (FRAMES - 10) as i64);
    let done = worker.finish(&args);
    assert_eq!(done.code, Some(4), "{}", done.stderr);
    let lost = lost(&report(&done));
    assert!(lost > 0, "it was not behind");
    assert_eq!(pipeline.count("output") as u64 + lost, FRAMES);
    assert!(
        !warnings(&done.stderr, &["behind", "partition"]).is_empty(),
        "{}",
        done.stderr
    );
}

#[test]
fn with_on_gap_fail_a_worker_stops_and_names_the_command_to_continue() {
    let broker = Broker::shared();
    let pipeline = with_removed_records(&broker, "unpassed");
    let before = pipeline.tree("output");
    let fail = ["--on-gap", "fail"];
    let done = pipeline.run(&[&TO_THE_END[..], &fail].concat());
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    for part in ["unpassed", "mattebox worker", "--on-gap continue"] {
        assert!(done.stderr.contains(part), "{part}: {}", done.stderr);
    }
    assert!(pipeline.tree("output") == before);
    assert_eq!(
        broker.client().committed("mattebox", "unpassed"),
        [Some(10)]
    );
    let on = ["--on-gap", "continue"];
    let (report, _) = ended(&pipeline, &[&TO_THE_END[..], &on].concat(), 4);
    assert_eq!((lost(&report), sum(&report, "written")), (20, 10));
}

const SIX: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

#[test]
fn partitions_are_added_and_cameras_that_count_anew_replace_no_file() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "grown");
    let (client, operator) = (broker.client(), broker.operator());
    client.create_topic("grown", 2, &[]);
    let [first, second, _] = pipeline.pictures(WIDTHS);
    // One life of each camera, and the partition in which it was.
    let live = |begun: f64, picture: &[u8]| {
        SIX.map(|camera| client.produce("grown", &seed_life(camera, 0..10, begun, picture))[0].0)
    };
    let homes = live(BEGUN, &first);
    ended(&pipeline, &TO_THE_END, 0);
    let before = pipeline.tree("output");
    assert_eq!(before.len(), 60);
    operator.add_partitions("grown", 6);
    let new_homes = live(BEGUN + HOUR, &second);
    let moved = (0..SIX.len())
        .filter(|n| homes[*n] != new_homes[*n])
        .count();
    assert!(moved > 0 && moved < SIX.len(), "{homes:?} {new_homes:?}");
    let (report, _) = ended(&pipeline, &TO_THE_END, 0);
    assert_eq!((sum(&report, "written"), lost(&report)), (60, 0));
    let after = pipeline.tree("output");
    assert_eq!(after.len(), 120);
    assert_untouched(&before, &after);
    let new = names_of(&after, WIDTHS[1]);
    for (n, camera) in SIX.iter().enumerate() {
        let of_it: Vec<_> = new
            .iter()
            .filter(|name| name.starts_with(&format!("{camera}/")))
            .map(|name| number(name))
            .collect();
        let start = of_it[0];
        assert_eq!(of_it, (start..start + 10).collect::<Vec<_>>(), "{camera}");
        // A camera that moved begins above all names that the other partition may still give.
        let in_place = homes[n] == new_homes[n];
        assert!(
            if in_place { start == 10 } else { start > 10 },
            "{camera} goes on with {start}"
        );
    }
}

/// The clients of a worker know how many partitions its topic of states had when they last asked.
#[test]
fn partitions_are_added_under_running_workers_and_their_states_are_stored() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "growing");
    let (client, operator) = (broker.client(), broker.operator());
    pipeline.fill(&SIX, 10, &["--partitions", "2"]);
    let sinks = [("files", "files"), ("results", "topic:growing-results")];
    let workers = sinks.map(|(group, out)| {
        pipeline.start(&[
            "worker",
            "--group",
            group,
            "--out",
            out,
            "--commit-interval",
            "50ms",
        ])
    });
    let await_done = |frames: u64| {
        for (group, _) in sinks {
            until(group, || client.done_by(group, "growing") == frames);
        }
    };
    await_done(60);
    operator.add_partitions("growing", 6);
    pipeline.fill(&SIX, 10, &[]);
    await_done(120);
    for worker in workers {
        assert_eq!(worker.stop(&["worker"]).code, Some(130));
    }
    assert_eq!(pipeline.count("files"), 120);
    let results = client.consume_all("growing-results", Isolation::Committed);
    assert_eq!(results.len(), 120);
}

#[test]
fn partitions_are_added_and_a_worker_with_a_topic_of_results_starts_again() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "grown-topic");
    let (client, operator) = (broker.client(), broker.operator());
    let out = ["--out", "topic:grown-results"];
    let to_topic = [&TO_THE_END[..], &out].concat();
    pipeline.fill(&SIX, 10, &["--partitions", "2"]);
    ended(&pipeline, &to_topic, 0);
    operator.add_partitions("grown-topic", 6);
    pipeline.fill(&SIX, 10, &[]);
    let used: BTreeSet<_> = client
        .consume_all("grown-topic", Isolation::Committed)
        .iter()
        .map(|record| record.partition)
        .collect();
    assert!(used.len() > 2, "no camera moved: {used:?}");
    let (report, _) = ended(&pipeline, &to_topic, 0);
    assert_eq!((sum(&report, "written"), sum(&report, "dead")), (60, 0));
    let results = client.consume_all("grown-results", Isolation::Committed);
    let ids: BTreeSet<_> = results.iter().map(|r| r.header("ce_id")).collect();
    assert_eq!((results.len(), ids.len()), (120, 120));
    assert_eq!(client.done_by("mattebox", "grown-topic"), 120);
}

#[test]
fn an_impossible_frame_number_changes_no_name() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "implausible");
    let client = broker.client();
    client.create_topic("implausible", 1, &[]);
    let [picture, ..] = pipeline.pictures(WIDTHS);
    let hostile = |camera: &str| {
        [
            seed_frame(camera, 1 << 53, BEGUN, &picture),
            seed_frame(camera, 5_000_000, BEGUN, b"no picture"),
        ]
    };
    // In the middle of a camera's life, and before it.
    let records = [
        seed_life("a", 0..10, BEGUN, &picture),
        hostile("a").to_vec(),
        seed_life("a", 10..20, BEGUN, &picture),
        hostile("b").to_vec(),
        seed_life("b", 0..10, BEGUN, &picture),
    ];
    client.produce("implausible", &records.concat());
    let (report, _) = ended(&pipeline, &TO_THE_END, 0);
    let wanted = [names("a", 0..20), names("b", 0..10)].concat();
    assert_eq!(
        pipeline.tree("output").into_keys().collect::<Vec<_>>(),
        wanted
    );
    assert_eq!(
        codes(&client, "implausible"),
        [
            "implausible-number",
            "implausible-number",
            "not-a-picture",
            "not-a-picture"
        ]
    );
    assert_eq!((sum(&report, "dead"), sum(&report, "restarts")), (4, 0));
    // The records that are read after the restart of the worker have not moved either.
    client.produce("implausible", &seed_life("a", 20..25, BEGUN, &picture));
    ended(&pipeline, &TO_THE_END, 0);
    let wanted = [names("a", 0..25), names("b", 0..10)].concat();
    assert_eq!(
        pipeline.tree("output").into_keys().collect::<Vec<_>>(),
        wanted
    );
}

#[test]
fn clocks_that_jump_lose_no_frame() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "clocks");
    let client = broker.client();
    client.create_topic("clocks", 1, &[]);
    let [first, second, _] = pipeline.pictures(WIDTHS);
    let records = [
        // The clock goes back an hour within a life, and between two lives.
        seed_life("back", 0..20, BEGUN, &first),
        seed_life("back", 20..40, BEGUN - HOUR, &first),
        seed_life("back", 0..20, BEGUN - 2.0 * HOUR, &second),
        // One frame lies in the future; after a few more the camera counts from 0 again.
        seed_life("ahead", 0..10, BEGUN, &first),
        seed_life("ahead", 10..11, BEGUN + HOUR, &first),
        seed_life("ahead", 11..40, BEGUN, &first),
        seed_life("ahead", 0..20, BEGUN + 60.0, &second),
    ];
    client.produce("clocks", &records.concat());
    let (report, _) = ended(&pipeline, &TO_THE_END, 0);
    assert_eq!((sum(&report, "read"), sum(&report, "written")), (120, 120));
    for kind in ["skipped", "different", "dead"] {
        assert_eq!(sum(&report, kind), 0, "{kind}");
    }
    assert_eq!(sum(&report, "restarts"), 2);
    let files = pipeline.tree("output");
    let of = |numbers: Range<u64>| [names("ahead", numbers.clone()), names("back", numbers)];
    assert_eq!(names_of(&files, WIDTHS[0]), of(0..40).concat());
    assert_eq!(names_of(&files, WIDTHS[1]), of(40..60).concat());
}

#[test]
fn of_two_cameras_with_one_id_the_newer_goes_on_and_the_older_is_reported() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "twins");
    let client = broker.client();
    client.create_topic("twins", 1, &[]);
    let [first, second, _] = pipeline.pictures(WIDTHS);
    let older = |n: u64| binary_frame("a", Some("older"), n, BEGUN + n as f64, &first);
    let newer = |n: u64| binary_frame("a", Some("newer"), n, BEGUN + 10.5 + n as f64, &second);
    let mut records: Vec<_> = (0..10).map(older).collect();
    for n in 0..20 {
        records.extend([newer(n), older(10 + n)]);
    }
    client.produce("twins", &records);
    let (report, done) = ended(&pipeline, &TO_THE_END, 0);
    let files = pipeline.tree("output");
    assert_eq!(names_of(&files, WIDTHS[0]), names("a", 0..10));
    assert_eq!(names_of(&files, WIDTHS[1]), names("a", 10..30));
    assert_eq!(codes(&client, "twins"), ["session-superseded"; 20]);
    assert_eq!(files.len() as u64 + sum(&report, "dead"), 50);
    let dead = client.consume_all("twins.dead", Isolation::Committed);
    for letter in &dead {
        let message = letter.header("mattebox-error-message").expect("a message");
        let message = String::from_utf8_lossy(message);
        assert!(
            message.contains("older") && message.contains("newer"),
            "{message}"
        );
    }
    let told = warnings(&done.stderr, &["older", "newer"]);
    assert_eq!(told.len(), 1, "{}", done.stderr);
}

#[test]
fn an_offset_that_is_set_back_changes_no_file_and_the_missing_state_is_told() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "set-back");
    let (client, operator) = (broker.client(), broker.operator());
    pipeline.fill(&["a"], 30, &["--partitions", "1"]);
    ended(&pipeline, &TO_THE_END, 0);
    let before = pipeline.tree("output");
    assert_eq!(before.len(), 30);
    operator.reset_offset("mattebox", "set-back", 0, 10);
    let (report, done) = ended(&pipeline, &TO_THE_END, 0);
    assert!(pipeline.tree("output") == before, "a file has other bytes");
    assert_eq!(sum(&report, "read"), 20);
    assert_eq!(sum(&report, "skipped"), 20);
    assert!(
        !warnings(&done.stderr, &["state"]).is_empty(),
        "{}",
        done.stderr
    );
    assert_eq!(client.done_by("mattebox", "set-back"), 30);
}

#[test]
fn a_topic_with_two_uses_is_refused_at_the_start() {
    let broker = Broker::shared();
    let client = broker.client();
    let ours = || -> BTreeSet<_> {
        let topics = client.topics().into_iter();
        topics.filter(|name| name.starts_with("clash")).collect()
    };
    for topic in ["clash", "clash-out.mattebox.state", "clash-out.names"] {
        client.create_topic(topic, 1, &[]);
    }
    let before = ours();
    for (frames, out) in [
        ("clash", "clash"),
        ("clash", "clash.dead"),
        ("clash", "clash.mattebox.state"),
        ("clash", "clash.names"),
        ("clash-out.mattebox.state", "clash-out"),
        ("clash-out.names", "clash-out"),
    ] {
        let pipeline = KafkaPipeline::new(&broker, frames);
        let done = pipeline.run(&["worker", "--until", "end", "--out", &format!("topic:{out}")]);
        let what = format!("--topic {frames} --out topic:{out}: {}", done.stderr);
        assert_eq!(done.code, Some(2), "{what}");
        assert!(
            done.stderr.contains(frames) && done.stderr.contains(out),
            "{what}"
        );
        assert!(pipeline.workspace.files(".").is_empty(), "{what}");
        assert_eq!(ours(), before, "{what}");
    }
}
