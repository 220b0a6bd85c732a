//! Camera and worker through a real broker, with the real binary. Each test is named after the
//! promise that it holds.

use crate::kit::{
    Bench, Broker, Isolation, Record, Running, Stored, Town, finish, free_port, http, sample,
    seed_json, sum, until,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, process::Stdio, thread, time::Duration};

fn id(record: &Stored) -> String {
    String::from_utf8_lossy(record.header("ce_id").expect("ce_id")).into_owned()
}

#[test]
fn camera_and_worker_do_the_main_job_and_a_second_worker_of_the_group_finds_nothing_left() {
    let broker = Broker::shared();
    let town = Town::new(&broker, "main-job");
    let published = town.fill(&["cam01", "cam02"], 40, &["--partitions", "3"]);
    assert_eq!(sum(&published, "published"), 80);
    let report = town.report(&["worker", "--until", "end"]);
    assert_eq!(
        (sum(&report, "frames_in"), sum(&report, "frames_out")),
        (80, 80)
    );
    assert_eq!(town.tree("output").len(), 80);
    assert!(town.tree("output").contains_key("cam02/frame_000039.png"));
    let again = town.report(&["worker", "--until", "end"]);
    assert_eq!(sum(&again, "frames_in"), 0, "its offsets were committed");
    assert_eq!(broker.client().done_by("mattebox", "main-job"), 80);
}

#[test]
fn workers_of_a_group_share_the_partitions_and_give_the_same_bytes_as_one_alone() {
    let broker = Broker::shared();
    let town = Town::new(&broker, "shared");
    town.fill(&["a", "b", "c", "d", "e", "f"], 30, &["--partitions", "6"]);
    town.report(&[
        "worker", "--until", "end", "--group", "alone", "--out", "alone",
    ]);
    let pair =
        [0, 1].map(|_| town.start(&["worker", "--group", "pair", "--out", "pair", "--json"]));
    until("180 files", || town.count("pair") == 180);
    for worker in pair {
        let done = worker.stop(&["worker"]);
        assert_eq!(done.code, Some(130), "{}", done.stderr);
    }
    assert!(town.tree("pair") == town.tree("alone"), "the files differ");
}

#[test]
fn a_stopped_worker_goes_on_where_it_was_with_the_same_bytes() {
    let broker = Broker::shared();
    let town = Town::new(&broker, "stopped");
    town.fill(&["a", "b"], 60, &["--partitions", "1"]);
    town.report(&[
        "worker", "--until", "end", "--group", "once", "--out", "once",
    ]);
    let mut stops = 0;
    loop {
        let worker = town.start(&[
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
        let before = town.count("twice");
        until("some files", || {
            town.count("twice") >= (before + 25).min(120)
        });
        worker.stop(&["worker"]);
        stops += 1;
        if town.count("twice") == 120 {
            break;
        }
    }
    assert!(stops > 1, "it was not stopped in the middle");
    assert!(town.tree("twice") == town.tree("once"), "the files differ");
}

#[test]
fn results_in_a_topic_are_there_exactly_once_through_kill_9() {
    let broker = Broker::shared();
    let town = Town::new(&broker, "exactly");
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
            let report = town.fill(&["a", "b", "c"], 80, &["--partitions", "3"]);
            published += sum(&report, "published");
        }
        let written = || {
            client
                .records("exactly-results", Isolation::Uncommitted)
                .len()
        };
        let before = written();
        let worker = town.start(&args);
        until("new results", || written() > before);
        worker.kill();
        // It hit work where results of this start were there, and frames were left.
        hits += usize::from(client.done_by("x", "exactly") < published);
        if hits == 3 {
            break;
        }
    }
    assert_eq!(hits, 3, "too many kills came when all was done");
    town.report(&[&args[..], &["--until", "end"]].concat());
    // What a killed worker has left open hides what follows until the broker ends it.
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
    town.report(&["worker", "--until", "end", "--group", "files"]);
    for result in &results {
        let camera = result.camera();
        let number = result.sequence();
        let file = town
            .bench
            .read(&format!("output/{camera}/frame_{number:06}.png"));
        assert!(
            result.value.as_deref() == Some(&file[..]),
            "{camera} {number} differs"
        );
    }
}

/// What a worker says when only others have something left to do.
const HELD: &[u8] = b"waiting for what the group gave to others";

#[test]
fn until_the_end_a_worker_also_does_what_a_colleague_that_hangs_was_given() {
    let broker = Broker::shared();
    let town = Town::new(&broker, "colleague");
    town.fill(&["a", "b", "c", "d", "e", "f"], 300, &["--partitions", "6"]);
    let args = [
        "worker",
        "--until",
        "end",
        "--threads",
        "1",
        "--out",
        "ours",
    ];
    let log = town.bench.path("log");
    let mut command = town.command(&args, "6000");
    command.stderr(std::fs::File::create(&log).unwrap());
    let worker = Running::start(command);
    let said = |text: &[u8]| {
        town.bench
            .read("log")
            .windows(text.len())
            .any(|w| w == text)
    };
    // The colleague comes second: what it is given then is the last that the group agrees on before
    // it hangs.
    until("all partitions at first", || said(b"took up partitions"));
    // The group would not miss it for a minute, so that what it holds back is seen however slow
    // this machine is.
    let colleague =
        Running::start(town.command(&["worker", "--threads", "1", "--out", "theirs"], "60000"));
    until("its first files", || town.count("theirs") > 0);
    colleague.freeze();
    until("the end of all but its part", || said(HELD));
    colleague.thaw();
    assert_eq!(colleague.stop(&["worker"]).code, Some(130));
    assert_eq!(
        worker.finish(&args).code,
        Some(0),
        "{}",
        String::from_utf8_lossy(&town.bench.read("log"))
    );
    assert_eq!(broker.client().done_by("mattebox", "colleague"), 1800);
    let ours = town.tree("ours");
    let theirs = town.tree("theirs");
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
fn hostile_records_are_dead_letters_with_a_code_and_every_good_one_is_made() {
    let broker = Broker::shared();
    let town = Town::new(&broker, "hostile");
    let client = broker.client();
    client.create_topic("hostile", 3, &[("max.message.bytes", "10000000")]);
    let good = town.bench.jpeg("scale=320:-2");
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
            Record {
                key: Some(b"good".to_vec()),
                value: Some(text.clone().into_bytes()),
                ..Record::default()
            }
            .to(0),
        );
        let bad = |value: Vec<u8>| Record {
            key: Some(b"bad".to_vec()),
            value: Some(value),
            ..Record::default()
        };
        let swap = |from: &str, to: &str| {
            bad(text
                .replace("\"good\"", "\"bad\"")
                .replacen(from, to, 1)
                .into_bytes())
        };
        records.push(match n % 20 {
            0 => Record {
                key: Some(b"bad".to_vec()),
                value: None,
                ..Record::default()
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
    let report = town.report(&["worker", "--until", "end"]);
    let names: Vec<String> = (0..1000)
        .map(|n| format!("good/frame_{n:06}.png"))
        .collect();
    assert_eq!(town.tree("output").into_keys().collect::<Vec<_>>(), names);
    assert_eq!(
        town.bench.files("."),
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
    // Each is the record as it was.
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

/// While a worker is frozen, the group goes on without it. The transaction that it was in has to be
/// undone then, with all the records in it, and at once: it is not tried again and again.
#[test]
fn a_frozen_worker_with_a_topic_undoes_its_transaction_and_goes_on() {
    let broker = Broker::shared();
    let client = broker.client();
    let town = Town::new(&broker, "thawed");
    town.fill(&["cam01"], 1500, &["--partitions", "1"]);
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
    let mut command = town.command(&args, "6000");
    let log = fs::File::create(town.bench.path("log")).expect("a file");
    command.stdout(Stdio::null()).stderr(log);
    let worker = Running::start(command);
    let done = || client.done_by("thawed", "thawed");
    until("its first transaction", || done() > 0);
    worker.freeze();
    // The group misses it after six seconds.
    thread::sleep(Duration::from_secs(8));
    assert!(done() < 1500, "it was done before it was frozen");
    worker.thaw();
    until("all frames", || done() == 1500);
    assert_eq!(worker.stop(&args).code, Some(130));
    let log = String::from_utf8_lossy(&town.bench.read("log")).into_owned();
    assert!(!log.contains("a transaction cannot be undone"), "{log}");
    let results = client.consume_all("thawed-results", Isolation::Committed);
    let ids: BTreeSet<String> = results.iter().map(id).collect();
    assert_eq!((results.len(), ids.len()), (1500, 1500));
}

#[test]
fn the_seeds_camera_feeds_the_worker_and_a_restart_of_it_writes_over_nothing() {
    let broker = Broker::shared();
    let town = Town::new(&broker, "seed");
    let client = broker.client();
    client.create_topic("seed", 1, &[]);
    let picture = town.bench.jpeg("scale=320:-2");
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
    let record = |(n, ts): (u64, f64)| Record {
        value: Some(seed_json("cam01", n, ts, &picture).into_bytes()),
        ..Record::default()
    };
    client.produce("seed", &frames.map(record));
    let report = town.report(&["worker", "--until", "end"]);
    assert_eq!(town.bench.files("output/cam01").len(), 5);
    assert_eq!((sum(&report, "repeated"), sum(&report, "restarts")), (1, 1));
}

#[test]
fn our_camera_can_feed_the_seeds_job() {
    let broker = Broker::shared();
    let town = Town::new(&broker, "to-seed");
    town.fill(&["cam01"], 5, &["--wire", "json", "--partitions", "1"]);
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
    let town = Town::new(&broker, "blocked");
    broker.client().create_topic("blocked", 2, &[]);
    // More of each than may be on their way at once.
    town.fill(&["a", "d"], 150, &[]);
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
    fs::create_dir(town.bench.path("output")).expect("a folder");
    fs::write(town.bench.path("output/a"), "a file in the way").expect("a file");
    let worker = town.start(&["worker", "--json"]);
    until("all files of the other camera", || {
        town.bench.files("output/d").len() >= 150
    });
    fs::remove_file(town.bench.path("output/a")).expect("removed");
    until("the files that waited", || {
        town.bench.files("output/a").len() >= 150
    });
    let done = worker.stop(&["worker"]);
    assert!(
        done.stderr.contains("output/a") && done.stderr.contains("tried again"),
        "{}",
        done.stderr
    );
    assert_eq!(town.count("output"), 300);
    assert_eq!(broker.client().done_by("mattebox", "blocked"), 300);
}

#[test]
fn a_live_worker_skips_what_is_stale_and_counts_it() {
    let broker = Broker::shared();
    let town = Town::new(&broker, "stale");
    town.fill(&["a"], 10, &["--partitions", "1"]);
    thread::sleep(Duration::from_millis(600));
    let report = town.report(&["worker", "--until", "end", "--live", "--max-age", "500ms"]);
    assert_eq!((sum(&report, "stale"), sum(&report, "frames_out")), (10, 0));
    assert!(town.tree("output").is_empty());
}

#[test]
fn where_a_new_group_begins_can_be_chosen_and_is_kept() {
    let broker = Broker::shared();
    let town = Town::new(&broker, "from");
    town.fill(&["a"], 10, &["--partitions", "1"]);
    let report = town.report(&[
        "worker", "--until", "end", "--from", "latest", "--group", "late",
    ]);
    assert_eq!(sum(&report, "frames_in"), 0);
    town.fill(&["a"], 5, &[]);
    let report = town.report(&[
        "worker", "--until", "end", "--from", "latest", "--group", "late",
    ]);
    assert_eq!(
        sum(&report, "frames_in"),
        5,
        "its beginning was recorded, so that nothing is lost between two starts"
    );
    assert_eq!(town.bench.files("output/a")[0], "frame_000010.png");
    let report = town.report(&[
        "worker", "--until", "end", "--from", "1000", "--group", "time", "--out", "time",
    ]);
    assert_eq!(sum(&report, "frames_in"), 15);
}

#[test]
fn a_broker_that_cannot_be_reached_is_named_and_the_exit_code_is_3() {
    let b = Bench::new();
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
    let town = Town::new(&broker, "secure");
    broker.client().create_topic("secure", 1, &[]);
    let address = broker.property("sasl_ssl");
    let ca = broker.property("ca");
    let source = sample();
    let secure = |command: &[&str], mechanism: &str, password: &str| {
        let mut all = town.bench.command(command);
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
    assert_eq!(town.bench.files("output/cam01").len(), 5);
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
    let done = town.bench.run(
        &[
            &worker[..],
            &["--topic", "secure", "--group", "tls", "--out", "tls"],
            &certificate,
        ]
        .concat(),
    );
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(town.bench.files("tls/cam01").len(), 5);
}

#[test]
fn camera_and_worker_work_with_kafka_3_on_zookeeper() {
    let broker = Broker::with(&["--zookeeper"]);
    let town = Town::new(&broker, "zookeeper");
    town.fill(&["cam01"], 20, &["--partitions", "2"]);
    town.report(&["worker", "--until", "end"]);
    assert_eq!(town.bench.files("output/cam01").len(), 20);
    town.report(&[
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
fn a_worker_serves_its_numbers() {
    let broker = Broker::shared();
    let town = Town::new(&broker, "numbers");
    town.fill(&["a"], 10, &["--partitions", "1"]);
    let port = free_port();
    let worker = town.start(&[
        "worker",
        "--commit-interval",
        "20ms",
        "--metrics",
        &port.to_string(),
    ]);
    let shows =
        |wanted: &str| http::get(port, "/metrics").is_some_and(|page| page.contains(wanted));
    until("the frames", || {
        shows("mattebox_worker_frames_out_total{camera=\"a\"} 10")
    });
    until("their offset", || {
        shows("mattebox_worker_partition_committed_offset{partition=\"0\"} 10")
    });
    // Of the states, the version for the recorded offset stays: the others are deleted.
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
fn motion_jpeg_goes_through_as_it_is_and_what_is_too_wide_does_not() {
    let broker = Broker::shared();
    let town = Town::new(&broker, "mjpeg");
    town.bench.ffmpeg(&[
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
    town.bench.ffmpeg(&[
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
    let report = town.report(&[&["camera", "clip.mkv"], &how[..]].concat());
    assert_eq!(
        (sum(&report, "published"), sum(&report, "passed_through")),
        (10, 10)
    );
    let records = broker.client().consume_all("mjpeg", Isolation::Committed);
    for (n, record) in records.iter().enumerate() {
        assert!(
            record.value == Some(town.bench.read(&format!("p{:02}.jpg", n + 1))),
            "picture {n} differs"
        );
    }
    let report = town.report(&[&["camera", "clip.mkv", "--max-width", "160"], &how[..]].concat());
    assert_eq!(
        (sum(&report, "published"), sum(&report, "passed_through")),
        (10, 0)
    );
}
