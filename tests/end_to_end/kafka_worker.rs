//! Camera and worker with a real broker and the real binary. Each test is named after the promise
//! that it holds.

use crate::kit::{
    Broker, Isolation, KafkaPipeline, NewRecord, RunningProgram, StoredRecord, Workspace, finish,
    free_port, http, sample, seed_json, sum, until,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, process::Stdio, time::Duration};

fn id(record: &StoredRecord) -> String {
    String::from_utf8_lossy(record.header("ce_id").expect("ce_id")).into_owned()
}

#[test]
fn camera_and_worker_do_the_main_job_and_a_second_worker_of_the_group_finds_nothing_left() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "main-job");
    let published = pipeline.fill(&["cam01", "cam02"], 40, &["--partitions", "3"]);
    assert_eq!(sum(&published, "written"), 80);
    let report = pipeline.report(&["worker", "--until", "end"]);
    assert_eq!((sum(&report, "read"), sum(&report, "written")), (80, 80));
    assert_eq!(pipeline.tree("output").len(), 80);
    assert!(
        pipeline
            .tree("output")
            .contains_key("cam02/frame_000039.png")
    );
    let again = pipeline.report(&["worker", "--until", "end"]);
    assert_eq!(sum(&again, "read"), 0, "its offsets were committed");
    assert_eq!(broker.client().done_by("mattebox", "main-job"), 80);
}

#[test]
fn workers_of_a_group_share_the_partitions_and_give_the_same_bytes_as_one_alone() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "shared");
    pipeline.fill(&["a", "b", "c", "d", "e", "f"], 30, &["--partitions", "6"]);
    pipeline.report(&[
        "worker", "--until", "end", "--group", "alone", "--out", "alone",
    ]);
    let pair =
        [0, 1].map(|_| pipeline.start(&["worker", "--group", "pair", "--out", "pair", "--json"]));
    until("180 files", || pipeline.count("pair") == 180);
    for worker in pair {
        let done = worker.stop(&["worker"]);
        assert_eq!(done.code, Some(130), "{}", done.stderr);
    }
    assert!(
        pipeline.tree("pair") == pipeline.tree("alone"),
        "the files differ"
    );
}

#[test]
fn a_stopped_worker_continues_with_the_same_bytes() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "stopped");
    pipeline.fill(&["a", "b"], 60, &["--partitions", "1"]);
    pipeline.report(&[
        "worker", "--until", "end", "--group", "once", "--out", "once",
    ]);
    let mut stops = 0;
    loop {
        let worker = pipeline.start(&[
            "worker",
            "--group",
            "twice",
            "--out",
            "twice",
            "--commit-interval",
            "50ms",
            "--threads",
            "1",
        ]);
        let before = pipeline.count("twice");
        until("some files", || {
            pipeline.count("twice") >= (before + 25).min(120)
        });
        worker.stop(&["worker"]);
        stops += 1;
        if pipeline.count("twice") == 120 {
            break;
        }
    }
    assert!(stops > 1, "it was not stopped in the middle");
    assert!(
        pipeline.tree("twice") == pipeline.tree("once"),
        "the files differ"
    );
}

#[test]
fn results_in_a_topic_are_there_exactly_once_through_kill_9() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "exactly");
    let client = broker.client();
    let args = [
        "worker",
        "--group",
        "x",
        "--out",
        "topic:exactly-results",
        "--commit-interval",
        "100ms",
        "--threads",
        "1",
    ];
    let mut published = 0;
    let mut hits = 0;
    for _ in 0..12 {
        if client.done_by("x", "exactly") == published {
            let report = pipeline.fill(&["a", "b", "c"], 80, &["--partitions", "3"]);
            published += sum(&report, "written");
        }
        let written = || {
            client
                .records("exactly-results", Isolation::Uncommitted)
                .len()
        };
        let before = written();
        let worker = pipeline.start(&args);
        until("new results", || written() > before);
        worker.kill();
        // The kill hit work if this start had written results and frames were left.
        hits += usize::from(client.done_by("x", "exactly") < published);
        if hits == 3 {
            break;
        }
    }
    assert_eq!(hits, 3, "too many kills came when all was done");
    let last = pipeline.report(&[&args[..], &["--until", "end"]].concat());
    // The open transaction of a killed worker hides later results until the broker aborts it.
    let published = usize::try_from(published).expect("few frames");
    let results = client.await_records("exactly-results", published, Isolation::Committed);
    let ids: BTreeSet<_> = results.iter().map(id).collect();
    assert_eq!((results.len(), ids.len()), (published, published));
    assert!(
        results
            .iter()
            .all(|r| r.header("ce_type") == Some(b"mattebox.matted.v1"))
    );
    // The bytes are those of an undisturbed run.
    let report = pipeline.report(&["worker", "--until", "end", "--group", "files"]);
    assert_eq!(sum(&report, "written"), published as u64, "{report}");
    for result in &results {
        let camera = result.camera();
        let number = result.sequence();
        let file = pipeline
            .workspace
            .read(&format!("output/{camera}/frame_{number:06}.png"));
        assert!(
            result.value.as_deref() == Some(&file[..]),
            "{camera} {number} differs: {last} {report}"
        );
    }
}

#[test]
fn a_state_behind_an_open_transaction_is_waited_for() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "hidden");
    let client = broker.client();
    let args = ["worker", "--until", "end", "--out", "topic:hidden-results"];
    pipeline.fill(&["a"], 20, &["--partitions", "1"]);
    pipeline.report(&args);
    // Another worker of the group was killed within a transaction.
    let left = Duration::from_secs(5);
    client.leave_transaction_open("hidden.mattebox.state", 0, left);
    pipeline.fill(&["a"], 20, &[]);
    let done = pipeline.run(&args);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(
        done.stderr
            .contains("waiting until the broker aborts the transaction"),
        "{}",
        done.stderr
    );
    pipeline.fill(&["a"], 20, &[]);
    pipeline.report(&args);
    let results = client.await_records("hidden-results", 60, Isolation::Committed);
    pipeline.report(&["worker", "--until", "end", "--group", "files"]);
    let files = pipeline.tree("output");
    assert_eq!(files.len(), 60);
    for result in &results {
        let name = format!("a/frame_{:06}.png", result.sequence());
        assert!(result.value.as_ref() == files.get(&name), "{name} differs");
    }
}

/// The message of a worker when only other workers have records left.
const HELD: &[u8] = b"waiting for the partitions of other workers";

#[test]
fn until_end_waits_for_the_partitions_of_a_frozen_worker() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "frozen-part");
    pipeline.fill(&["a", "b", "c", "d", "e", "f"], 300, &["--partitions", "6"]);
    let args = [
        "worker",
        "--until",
        "end",
        "--threads",
        "1",
        "--out",
        "ours",
    ];
    let log = pipeline.workspace.path("log");
    let mut command = pipeline.command(&args);
    command.stderr(std::fs::File::create(&log).unwrap());
    let worker = RunningProgram::start(command);
    let said = |text: &[u8]| {
        pipeline
            .workspace
            .read("log")
            .windows(text.len())
            .any(|w| w == text)
    };
    // The other worker joins second: its assignment is the last one before it hangs.
    until("all partitions at first", || said(b"assigned partitions"));
    // Its session lasts a minute, so the group waits for its partitions even on a slow machine.
    let other = RunningProgram::start(
        pipeline.command_with_session(&["worker", "--threads", "1", "--out", "theirs"], 60_000),
    );
    until("its first files", || pipeline.count("theirs") > 0);
    other.freeze();
    until("the end of all but its part", || said(HELD));
    other.thaw();
    assert_eq!(other.stop(&["worker"]).code, Some(130));
    assert_eq!(
        worker.finish(&args).code,
        Some(0),
        "{}",
        String::from_utf8_lossy(&pipeline.workspace.read("log"))
    );
    assert_eq!(broker.client().done_by("mattebox", "frozen-part"), 1800);
    let ours = pipeline.tree("ours");
    let theirs = pipeline.tree("theirs");
    assert_eq!(
        ours.keys()
            .chain(theirs.keys())
            .filter(|name| !name.contains("/."))
            .collect::<BTreeSet<_>>()
            .len(),
        1800
    );
}

#[test]
fn hostile_records_become_dead_letters_and_good_ones_frames() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "hostile");
    let client = broker.client();
    client.create_topic("hostile", 3, &[("max.message.bytes", "10000000")]);
    let good = pipeline.workspace.jpeg("scale=320:-2");
    let mut records = Vec::new();
    let mut random = 1u64;
    let mut next = || {
        random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (random >> 33) as usize
    };
    for n in 0..1000u64 {
        let ts = 1_700_000_000.0 + n as f64 / 10.0;
        let text = seed_json("good", n, ts, &good);
        records.push(
            NewRecord {
                key: Some(b"good".to_vec()),
                value: Some(text.clone().into_bytes()),
                ..NewRecord::default()
            }
            .to(0),
        );
        let bad = |value: Vec<u8>| NewRecord {
            key: Some(b"bad".to_vec()),
            value: Some(value),
            ..NewRecord::default()
        };
        let swap = |from: &str, to: &str| {
            bad(text
                .replace("\"good\"", "\"bad\"")
                .replacen(from, to, 1)
                .into_bytes())
        };
        records.push(match n % 20 {
            0 => NewRecord {
                key: Some(b"bad".to_vec()),
                value: None,
                ..NewRecord::default()
            },
            1 => bad(vec![]),
            2 => bad(text.as_bytes()[..next() % (text.len() - 1)].to_vec()),
            3 => swap("\"bad\"", "\"../../evil\""),
            4 => swap("\"frame_id\": ", "\"frame_id\": -1"),
            5 => swap("\"frame_id\": ", "\"frame_id\": \"7\", \"x\": "),
            6 => swap("\"ts\": ", "\"ts\": null, \"y\": "),
            7 => swap("\"jpg\"", "\"h265\""),
            8 => swap("\"data_b64\": \"", "\"data_b64\": \"!!!!"),
            9 => bad(seed_json("bad", n, ts, &good[..good.len() / 2]).into_bytes()),
            10 => bad(seed_json("bad", n, ts, b"no picture").into_bytes()),
            11 => bad((0..next() % 5000).map(|_| next() as u8).collect()),
            12 if n % 200 == 12 => bad(vec![b'{'; 5_000_000]),
            12 => bad(vec![b'['; 100_000]),
            13 => bad(good.clone()).header("ce_type", "mattebox.frame.v1"),
            14 => bad(good.clone())
                .header("ce_specversion", "1.0")
                .header("ce_type", "x")
                .header("ce_source", "mattebox/camera/bad"),
            15 => bad(vec![0xff; 200]).header("content-type", "image/jpeg"),
            16 => swap("{", "["),
            17 => swap("\"camera_id\"", "\"camera\""),
            18 => swap("320", "\"wide\""),
            _ => {
                let mut broken = good.clone();
                // A header that claims 65535 x 65535.
                let at = broken
                    .windows(2)
                    .position(|m| matches!(m, [0xFF, 0xC0 | 0xC2]))
                    .expect("a frame header");
                broken[at + 5..at + 9].fill(0xff);
                bad(seed_json("bad", n, ts, &broken).into_bytes())
            }
        });
    }
    client.produce("hostile", &records);
    let report = pipeline.report(&["worker", "--until", "end"]);
    let names: Vec<String> = (0..1000)
        .map(|n| format!("good/frame_{n:06}.png"))
        .collect();
    assert_eq!(
        pipeline.tree("output").into_keys().collect::<Vec<_>>(),
        names
    );
    assert_eq!(
        pipeline.workspace.files("."),
        [".config", "one.jpg", "output"]
            .into_iter()
            .filter(|n| *n != ".config")
            .collect::<Vec<_>>()
    );
    let dead = client.consume_all("hostile.dead", Isolation::Committed);
    assert_eq!((dead.len() as u64, sum(&report, "dead")), (1000, 1000));
    let codes: BTreeSet<_> = dead
        .iter()
        .map(|d| {
            String::from_utf8_lossy(d.header("mattebox-error-code").expect("a code")).into_owned()
        })
        .collect();
    assert!(codes.len() > 10, "{codes:?}");
    // Each dead letter has the unchanged value of its record.
    let mut sent: Vec<_> = records
        .iter()
        .filter(|r| r.key.as_deref() == Some(b"bad"))
        .map(|r| r.value.clone())
        .collect();
    let mut kept: Vec<_> = dead.iter().map(|d| d.value.clone()).collect();
    sent.sort();
    kept.sort();
    assert!(
        sent == kept,
        "a dead letter's value is not that of its record"
    );
    assert!(
        report["peak_rss_mb"].as_f64() < Some(400.0),
        "{}",
        report["peak_rss_mb"]
    );
}

/// While a worker is frozen, the group goes on without it. The worker has to abort its transaction
/// then, with all records in it, without trying it again and again.
#[test]
fn a_frozen_worker_with_a_topic_undoes_its_transaction_and_goes_on() {
    let broker = Broker::shared();
    let client = broker.client();
    let pipeline = KafkaPipeline::new(&broker, "thawed");
    pipeline.fill(&["cam01"], 1500, &["--partitions", "1"]);
    let args = [
        "worker",
        "--group",
        "thawed",
        "--out",
        "topic:thawed-results",
        "--commit-interval",
        "200ms",
        "--log-level",
        "debug",
    ];
    let mut command = pipeline.command(&args);
    let log = fs::File::create(pipeline.workspace.path("log")).expect("a file");
    command.stdout(Stdio::null()).stderr(log);
    let worker = RunningProgram::start(command);
    let done = || client.done_by("thawed", "thawed");
    until("its first transaction", || done() > 0);
    worker.freeze();
    until("a group without it", || client.members("thawed") == 0);
    assert!(done() < 1500, "it was done before it was frozen");
    worker.thaw();
    until("all frames", || done() == 1500);
    assert_eq!(worker.stop(&args).code, Some(130));
    let log = String::from_utf8_lossy(&pipeline.workspace.read("log")).into_owned();
    assert!(!log.contains("a transaction cannot be aborted"), "{log}");
    let results = client.consume_all("thawed-results", Isolation::Committed);
    let ids: BTreeSet<String> = results.iter().map(id).collect();
    assert_eq!((results.len(), ids.len()), (1500, 1500));
}

#[test]
fn the_seeds_camera_feeds_the_worker_and_a_restart_of_it_writes_over_nothing() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "seed");
    let client = broker.client();
    client.create_topic("seed", 1, &[]);
    let picture = pipeline.workspace.jpeg("scale=320:-2");
    // Two starts of the seed's camera, without a key, each counting from 0; in between one record
    // is delivered twice.
    let frames = [
        (0, 10.0),
        (1, 10.1),
        (2, 10.2),
        (2, 10.2),
        (0, 20.0),
        (1, 20.1),
    ];
    let record = |(n, ts): (u64, f64)| NewRecord {
        value: Some(seed_json("cam01", n, ts, &picture).into_bytes()),
        ..NewRecord::default()
    };
    client.produce("seed", &frames.map(record));
    let report = pipeline.report(&["worker", "--until", "end"]);
    assert_eq!(pipeline.workspace.files("output/cam01").len(), 5);
    assert_eq!((sum(&report, "repeated"), sum(&report, "restarts")), (1, 1));
}

#[test]
fn our_camera_can_feed_the_seeds_job() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "to-seed");
    pipeline.fill(&["cam01"], 5, &["--wire", "json", "--partitions", "1"]);
    let records = broker.client().consume_all("to-seed", Isolation::Committed);
    assert_eq!(records.len(), 5);
    for (n, record) in records.iter().enumerate() {
        let value: Value =
            serde_json::from_slice(record.value.as_deref().expect("a value")).expect("JSON");
        let keys: Vec<_> = value
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect();
        let wanted: BTreeSet<_> = [
            "camera_id",
            "frame_id",
            "ts",
            "codec",
            "width",
            "height",
            "data_b64",
        ]
        .into();
        assert_eq!(
            keys.iter().map(String::as_str).collect::<BTreeSet<_>>(),
            wanted
        );
        assert_eq!(
            (&value["camera_id"], &value["frame_id"], &value["codec"]),
            (&json!("cam01"), &json!(n), &json!("jpg"))
        );
        assert!(
            value["ts"].as_f64() > Some(1.6e9) && value["width"] == 320 && value["height"] == 180
        );
        use base64::Engine;
        let data = base64::engine::general_purpose::STANDARD
            .decode(value["data_b64"].as_str().expect("text"))
            .expect("base64");
        assert_eq!(
            mattebox_core::codec::decode(&data, &Default::default())
                .expect("a picture")
                .dimensions(),
            (320, 180)
        );
    }
}

#[test]
fn a_camera_whose_folder_cannot_be_written_waits_and_harms_no_other_partition() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "blocked");
    broker.client().create_topic("blocked", 2, &[]);
    // More records of each camera than can be in flight.
    pipeline.fill(&["a", "d"], 150, &[]);
    let partitions: BTreeSet<_> = broker
        .client()
        .consume_all("blocked", Isolation::Committed)
        .iter()
        .map(|r| r.partition)
        .collect();
    assert_eq!(
        partitions.len(),
        2,
        "the two cameras are in partitions of their own"
    );
    fs::create_dir(pipeline.workspace.path("output")).expect("a folder");
    fs::write(pipeline.workspace.path("output/a"), "a file in the way").expect("a file");
    let worker = pipeline.start(&["worker", "--json"]);
    until("all files of the other camera", || {
        pipeline.workspace.files("output/d").len() >= 150
    });
    fs::remove_file(pipeline.workspace.path("output/a")).expect("removed");
    until("the files that waited", || {
        pipeline.workspace.files("output/a").len() >= 150
    });
    let done = worker.stop(&["worker"]);
    assert!(
        done.stderr.contains("output/a") && done.stderr.contains("tried again"),
        "{}",
        done.stderr
    );
    assert_eq!(pipeline.count("output"), 300);
    assert_eq!(broker.client().done_by("mattebox", "blocked"), 300);
}

#[test]
fn a_live_worker_skips_and_counts_stale_frames() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "stale");
    pipeline.fill(&["a"], 10, &["--partitions", "1"]);
    let report = pipeline.report(&["worker", "--until", "end", "--live", "--max-age", "1ms"]);
    let stale = &report["cameras"][0]["dropped"]["stale"];
    assert_eq!((stale.as_u64(), sum(&report, "written")), (Some(10), 0));
    assert!(pipeline.tree("output").is_empty());
}

#[test]
fn where_a_new_group_begins_can_be_chosen_and_is_kept() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "from");
    pipeline.fill(&["a"], 10, &["--partitions", "1"]);
    let report = pipeline.report(&[
        "worker", "--until", "end", "--from", "latest", "--group", "late",
    ]);
    assert_eq!(sum(&report, "read"), 0);
    pipeline.fill(&["a"], 5, &[]);
    let report = pipeline.report(&[
        "worker", "--until", "end", "--from", "latest", "--group", "late",
    ]);
    assert_eq!(
        sum(&report, "read"),
        5,
        "its beginning was recorded, so that nothing is lost between two starts"
    );
    assert_eq!(pipeline.workspace.files("output/a")[0], "frame_000010.png");
    let report = pipeline.report(&[
        "worker", "--until", "end", "--from", "1000", "--group", "time", "--out", "time",
    ]);
    assert_eq!(sum(&report, "read"), 15);
}

#[test]
fn a_broker_that_cannot_be_reached_is_named_and_the_exit_code_is_3() {
    let b = Workspace::new();
    for command in ["worker", "camera"] {
        let source = sample();
        let mut args = vec![command, "--kafka", "127.0.0.1:1", "--connect-timeout", "1s"];
        if command == "camera" {
            args.push(&source);
        }
        let done = b.run(&args);
        assert_eq!(done.code, Some(3), "{}", done.stderr);
        assert!(
            done.stderr.contains("127.0.0.1:1") && done.stderr.contains("1s"),
            "{}",
            done.stderr
        );
    }
}

#[test]
fn camera_and_worker_speak_sasl_and_tls_and_secrets_stay_secret() {
    let broker = Broker::with(&["--sasl-ssl"]);
    let pipeline = KafkaPipeline::new(&broker, "secure");
    broker.client().create_topic("secure", 1, &[]);
    let address = broker.property("sasl_ssl");
    let ca = broker.property("ca");
    let source = sample();
    let secure = |command: &[&str], mechanism: &str, password: &str| {
        let mut all = pipeline.workspace.command(command);
        all.args([
            "--kafka",
            &address,
            "--topic",
            "secure",
            "--kafka-ca",
            &ca,
            "--kafka-username",
            "mattebox",
            "--connect-timeout",
            "20s",
        ]);
        all.args(["--kafka-sasl", mechanism, "--log-level", "debug"])
            .env("MATTEBOX_KAFKA_PASSWORD", password);
        let child = all
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        finish(child, command)
    };
    let camera = ["camera", &source, "--realtime", "false", "--frames", "5"];
    let worker = ["worker", "--until", "end"];
    for (command, mechanism) in [(&camera[..], "SCRAM-SHA-512"), (&worker[..], "PLAIN")] {
        let done = secure(command, mechanism, "mattebox-secret");
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert!(!done.stderr.contains("mattebox-secret"), "{}", done.stderr);
    }
    assert_eq!(pipeline.workspace.files("output/cam01").len(), 5);
    let refused = secure(&worker, "PLAIN", "wrong-secret");
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(
        refused
            .stderr
            .contains("does not know the user or the password")
            && !refused.stderr.contains("wrong-secret"),
        "{}",
        refused.stderr
    );
    // The same with a certificate in place of a password.
    let address = broker.property("mutual_tls");
    let cert = broker.property("client_cert");
    let key = broker.property("client_key");
    let certificate = [
        "--kafka",
        &address,
        "--kafka-ca",
        &ca,
        "--kafka-cert",
        &cert,
        "--kafka-key",
        &key,
    ];
    let done = pipeline.workspace.run(
        &[
            &worker[..],
            &["--topic", "secure", "--group", "tls", "--out", "tls"],
            &certificate,
        ]
        .concat(),
    );
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(pipeline.workspace.files("tls/cam01").len(), 5);
}

#[test]
fn camera_and_worker_work_with_kafka_3_on_zookeeper() {
    let broker = Broker::with(&["--zookeeper"]);
    let pipeline = KafkaPipeline::new(&broker, "zookeeper");
    pipeline.fill(&["cam01"], 20, &["--partitions", "2"]);
    pipeline.report(&["worker", "--until", "end"]);
    assert_eq!(pipeline.workspace.files("output/cam01").len(), 20);
    pipeline.report(&[
        "worker",
        "--until",
        "end",
        "--group",
        "t",
        "--out",
        "topic:zookeeper-results",
    ]);
    assert_eq!(
        broker
            .client()
            .consume_all("zookeeper-results", Isolation::Committed)
            .len(),
        20
    );
}

#[test]
fn a_worker_serves_metrics() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "numbers");
    pipeline.fill(&["a"], 10, &["--partitions", "1"]);
    let port = free_port();
    let worker = pipeline.start(&[
        "worker",
        "--commit-interval",
        "20ms",
        "--metrics",
        &port.to_string(),
    ]);
    let shows =
        |wanted: &str| http::get(port, "/metrics").is_some_and(|page| page.contains(wanted));
    until("the frames", || {
        shows("mattebox_frames_total{camera=\"a\",outcome=\"written\"} 10")
    });
    until("their offset", || {
        shows("mattebox_worker_partition_committed_offset{partition=\"0\"} 10")
    });
    // Only the state for the committed offset stays; the others are deleted.
    let state = "numbers.mattebox.state";
    let client = broker.client();
    client.produce("numbers", &[]);
    let live = || {
        let mut live = BTreeSet::new();
        for record in client.consume_all(state, Isolation::Committed) {
            match record.value {
                Some(_) => live.insert(record.key),
                None => live.remove(&record.key),
            };
        }
        live.len()
    };
    assert!(
        (1..=2).contains(&live()),
        "the one before goes with the next commit"
    );
    assert!(http::get(port, "/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200")));
    worker.stop(&["worker"]);
}

#[test]
fn motion_jpeg_passes_through_unless_it_is_too_wide() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "mjpeg");
    pipeline.workspace.ffmpeg(&[
        "-i",
        &sample(),
        "-frames:v",
        "10",
        "-vf",
        "scale=320:-2",
        "-c:v",
        "mjpeg",
        "-q:v",
        "3",
        "clip.mkv",
    ]);
    pipeline.workspace.ffmpeg(&[
        "-i",
        "clip.mkv",
        "-c:v",
        "copy",
        "-f",
        "image2",
        "p%02d.jpg",
    ]);
    let how = [
        "--once",
        "--realtime",
        "false",
        "--fps",
        "25",
        "--partitions",
        "1",
    ];
    let report = pipeline.report(&[&["camera", "clip.mkv"], &how[..]].concat());
    assert_eq!(
        (sum(&report, "written"), sum(&report, "passed_through")),
        (10, 10)
    );
    let records = broker.client().consume_all("mjpeg", Isolation::Committed);
    for (n, record) in records.iter().enumerate() {
        assert!(
            record.value == Some(pipeline.workspace.read(&format!("p{:02}.jpg", n + 1))),
            "picture {n} differs"
        );
    }
    let report =
        pipeline.report(&[&["camera", "clip.mkv", "--max-width", "160"], &how[..]].concat());
    assert_eq!(
        (sum(&report, "written"), sum(&report, "passed_through")),
        (10, 0)
    );
}
