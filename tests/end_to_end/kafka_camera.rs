//! The promises of `mattebox camera`, with a real broker. Each test is named after the promise that
//! it holds.

use crate::kit::{
    Broker, Isolation, KafkaPipeline, RunningProgram, Signal, StoredRecord, free_port, sample, sum,
    until,
};
use serde_json::Value;
use std::{collections::BTreeSet, thread, time::Duration};

fn numbers(broker: &Broker, topic: &str) -> Vec<u64> {
    let records = broker.client().records(topic, Isolation::Uncommitted);
    records.iter().map(StoredRecord::sequence).collect()
}

fn has_records(broker: &Broker, topic: &str, at_least: usize) -> bool {
    numbers(broker, topic).len() >= at_least
}

#[test]
fn while_the_broker_is_away_the_newest_frames_wait_and_those_before_are_counted() {
    let mut broker = Broker::start();
    let pipeline = KafkaPipeline::new(&broker, "away");
    let args = [
        "camera",
        &sample(),
        "--fps",
        "25",
        "--max-width",
        "160",
        "--buffer-frames",
        "10",
        "--json",
    ];
    let camera = pipeline.start(&args);
    until("the first frames", || has_records(&broker, "away", 10));
    broker.kill();
    // A hundred frames are due in this time.
    thread::sleep(Duration::from_secs(4));
    broker.restart();
    let before = numbers(&broker, "away").len();
    until("frames after the outage", || {
        has_records(&broker, "away", before + 30)
    });
    let done = camera.stop(&args);
    assert_eq!(done.code, Some(130), "{}", done.stderr);
    assert!(
        done.stderr.contains("does not answer") && done.stderr.contains("over after"),
        "{}",
        done.stderr
    );
    let report: Value = serde_json::from_slice(&done.stdout).expect("the report is JSON");
    let numbers = numbers(&broker, "away");
    assert!(
        numbers.windows(2).all(|pair| pair[1] > pair[0]),
        "each once and in order: {numbers:?}"
    );
    assert_eq!(numbers.len() as u64, sum(&report, "written"));
    // Of the frames that were due while it was away ten wait, and a few are with the client.
    let dropped = |why: &str| {
        report["cameras"][0]["dropped"][why]
            .as_u64()
            .expect("a number")
    };
    assert!(dropped("buffer") >= 50, "{report}");
    let lost: u64 = ["buffer", "stopped"].map(dropped).iter().sum();
    assert_eq!(
        sum(&report, "read"),
        sum(&report, "written") + sum(&report, "failed") + lost,
        "every frame is accounted for: {report}"
    );
}

#[test]
fn a_hangup_names_settings_for_the_next_start_and_without_a_settings_file_ends_cleanly() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "hung-up");
    let file = pipeline.workspace.path("m.toml");
    let log = pipeline.workspace.path("log");
    let said = |words: &str| std::fs::read_to_string(&log).is_ok_and(|text| text.contains(words));
    let start = |args: &[&str]| {
        let mut command = pipeline.command(args);
        command.stderr(std::fs::File::create(&log).expect("a log"));
        RunningProgram::start(command)
    };
    std::fs::write(&file, "fps = 20").expect("a file");
    let args = [
        "camera",
        &sample(),
        "--max-width",
        "160",
        "--config",
        "m.toml",
        "--json",
    ];
    let camera = start(&args);
    until("the first frames", || has_records(&broker, "hung-up", 3));
    for (settings, words) in [
        (
            "fps = 25\njpeg_quality = 0",
            "the settings stay as they were",
        ),
        (
            "fps = 25",
            "fps: 20.0 -> 25.0 takes effect at the next start",
        ),
    ] {
        std::fs::write(&file, settings).expect("a file");
        camera.send(Signal::HUP);
        until(words, || said(words));
    }
    let before = numbers(&broker, "hung-up").len();
    until("more frames", || {
        has_records(&broker, "hung-up", before + 5)
    });
    assert_eq!(camera.stop(&args).code, Some(130));
    let args = ["camera", &sample(), "--max-width", "160", "--json"];
    let before = numbers(&broker, "hung-up").len();
    let camera = start(&args);
    until("its frames", || has_records(&broker, "hung-up", before + 3));
    camera.send(Signal::HUP);
    let done = camera.finish(&args);
    assert!(done.code == Some(130) && said("hung up"));
    let report: Value = serde_json::from_slice(&done.stdout).expect("its sums are printed");
    assert!(sum(&report, "written") >= 3);
}

#[test]
fn after_kill_9_a_camera_continues_its_numbers() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "again");
    let camera = [
        "camera",
        &sample(),
        "--fps",
        "50",
        "--max-width",
        "160",
        "--partitions",
        "3",
    ];
    let first = pipeline.start(&camera);
    until("frames", || has_records(&broker, "again", 10));
    // The camera runs until it is killed, so the kill always hits frames in flight.
    first.kill();
    let before = numbers(&broker, "again");
    pipeline.report(&[&camera[..], &["--frames", "10"]].concat());
    let after = numbers(&broker, "again");
    assert_eq!(after.len(), before.len() + 10);
    assert_eq!(
        after,
        (0..after.len() as u64).collect::<Vec<_>>(),
        "no number is missing and none is there twice"
    );
}

#[test]
fn refused_frames_are_reported_counted_and_a_failure() {
    let broker = Broker::shared();
    broker
        .client()
        .create_topic("small", 1, &[("max.message.bytes", "3000")]);
    let pipeline = KafkaPipeline::new(&broker, "small");
    let done = pipeline.run(&[
        "camera",
        &sample(),
        "--fps",
        "25",
        "--max-width",
        "640",
        "--frames",
        "5",
        "--json",
    ]);
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    let report: Value = serde_json::from_slice(&done.stdout).expect("the report is JSON");
    assert_eq!(
        (sum(&report, "written"), sum(&report, "failed")),
        (0, 5),
        "{report}"
    );
    for word in ["cam01", "max.message.bytes", "--jpeg-quality"] {
        assert!(
            done.stderr.contains(word),
            "{word} is not in: {}",
            done.stderr
        );
    }
}

#[test]
fn a_camera_that_cannot_be_opened_harms_no_other() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "beside");
    let good = format!("good={}", sample());
    let done = pipeline.run(&[
        "camera",
        "bad=nothing.mp4",
        &good,
        "--fps",
        "50",
        "--max-width",
        "160",
        "--frames",
        "20",
        "--json",
    ]);
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    assert!(
        done.stderr.contains("bad") && done.stderr.contains("nothing.mp4"),
        "{}",
        done.stderr
    );
    let keys: Vec<_> = broker
        .client()
        .consume_all("beside", Isolation::Uncommitted)
        .into_iter()
        .map(|r| r.key)
        .collect();
    assert_eq!(keys, vec![Some(b"good".to_vec()); 20]);
}

/// Pictures as the packets of an AVI file.
fn avi(pipeline: &KafkaPipeline, name: &str, pictures: &[Vec<u8>]) {
    for (number, picture) in pictures.iter().enumerate() {
        std::fs::write(
            pipeline.workspace.path(&format!("{name}-{number:03}.jpg")),
            picture,
        )
        .expect("a picture");
    }
    pipeline.workspace.ffmpeg(&[
        "-framerate",
        "5",
        "-i",
        &format!("{name}-%03d.jpg"),
        "-c",
        "copy",
        &format!("{name}.avi"),
    ]);
}

#[test]
fn a_damaged_jpeg_loses_at_most_itself_and_is_published_if_it_decodes() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "damaged");
    let good = pipeline.workspace.jpeg("scale=320:180");
    let other = pipeline.workspace.jpeg("scale=176:144");
    let end = good.len() - 2;
    let junk = [&good[..end], &[0; 3], &good[end..]].concat();
    let cut = &good[..end * 2 / 3];
    let no_end = &good[..end];
    let head = &good[..100];
    let pictures = [&good[..], cut, &good, no_end, &junk, &other, head, &good].map(<[u8]>::to_vec);
    avi(&pipeline, "clip", &pictures);
    let args = [
        "camera",
        "clip.avi",
        "--once",
        "--realtime",
        "false",
        "--fps",
        "5",
        "--json",
    ];
    let done = pipeline.run(&args);
    let report: Value = serde_json::from_slice(&done.stdout).expect("the report is JSON");
    assert_eq!(
        (
            sum(&report, "read"),
            sum(&report, "written"),
            sum(&report, "failed")
        ),
        (8, 7, 1),
        "{}",
        done.stderr
    );
    assert_eq!(sum(&report, "passed_through"), 5, "{report}");
    assert_eq!(
        report["cameras"][0]["unreadable"]["picture-cut-off"], 1,
        "{report}"
    );
    assert_eq!(done.code, Some(1), "a frame is missing: {}", done.stderr);
    for words in ["its end is missing", "picture-cut-off"] {
        assert_eq!(
            done.stderr.matches(words).count(),
            1,
            "{words}: {}",
            done.stderr
        );
    }
    let report = pipeline.report(&["worker", "--out", "out", "--until", "end"]);
    assert_eq!(pipeline.count("out"), 7, "{report}");
    // The same pictures without passing through: FFmpeg reads as many.
    let report = pipeline
        .workspace
        .report(&["run", "clip.avi", "--out", "run"]);
    assert_eq!(sum(&report, "written"), 7, "{report}");
}

#[test]
fn pass_through_shrinks_a_picture_that_is_too_wide() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "wider");
    let small = pipeline.workspace.jpeg("scale=160:90");
    let wide = pipeline.workspace.jpeg("scale=640:360");
    avi(&pipeline, "clip", &[small.clone(), wide, small]);
    let report = pipeline.report(&[
        "camera",
        "clip.avi",
        "--once",
        "--realtime",
        "false",
        "--fps",
        "5",
        "--max-width",
        "320",
    ]);
    assert_eq!(
        (sum(&report, "written"), sum(&report, "passed_through")),
        (3, 2),
        "{report}"
    );
    let records = broker.client().consume_all("wider", Isolation::Uncommitted);
    let size = |record: &StoredRecord| {
        image::load_from_memory(record.value.as_deref().unwrap_or_default())
            .map(|p| (p.width(), p.height()))
    };
    let sizes: Vec<_> = records
        .iter()
        .map(|record| size(record).expect("a picture"))
        .collect();
    assert_eq!(sizes, [(160, 90), (320, 180), (160, 90)]);
}

#[test]
fn a_camera_that_is_off_at_the_start_may_come_later() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "off");
    pipeline
        .workspace
        .ffmpeg(&["-i", &sample(), "-c", "copy", "a.ts"]);
    let bytes = pipeline.workspace.read("a.ts");
    let port = free_port();
    let log = pipeline.workspace.path("log");
    let args = [
        "camera",
        &format!("tcp://127.0.0.1:{port}"),
        "--connect-timeout",
        "20s",
        "--max-width",
        "160",
        "--frames",
        "5",
        "--json",
    ];
    let mut command = pipeline.command(&args);
    command.stderr(std::fs::File::create(&log).expect("a log"));
    let camera = RunningProgram::start(command);
    until("it says that it was not reached", || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("refused"))
    });
    thread::spawn(move || {
        use std::io::Write;
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).expect("the port");
        for mut connection in listener.incoming().flatten() {
            let _ = connection.write_all(&bytes);
        }
    });
    let done = camera.finish(&args);
    let log = std::fs::read_to_string(&log).unwrap_or_default();
    assert_eq!(done.code, Some(0), "{log}");
    assert_eq!(
        log.matches("source not reached").count(),
        1,
        "the same reason is said once: {log}"
    );
}

#[test]
fn a_topic_that_is_missing_is_made_with_the_partitions_asked_for_and_each_camera_stays_in_one() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "made");
    pipeline.fill(&["a", "b", "c", "d"], 5, &["--partitions", "5"]);
    assert_eq!(broker.client().partitions("made"), 5);
    let records = broker.client().consume_all("made", Isolation::Uncommitted);
    let places: BTreeSet<_> = records
        .iter()
        .map(|r| (r.key.clone(), r.partition))
        .collect();
    assert_eq!((records.len(), places.len()), (20, 4), "{places:?}");
}
