//! What Spark may do to the function: tasks that fail, tasks that are done again, executors that change. The files stay the same.
use image::{Rgb, RgbImage};
use mattebox_core::codec::JpegEncoder;
use mattebox_jvm::{
    engine::{Engine, Origin},
    row::{Row, Status},
};
use mattebox_wire::{self, Header};
use std::{collections::BTreeMap, fs, path::Path};

/// A frame in which a bright disk moves over a dark room: its bytes as JPEG.
fn jpeg(number: u64) -> Vec<u8> {
    let center = (40 + 2 * number as i64, 60);
    let picture = RgbImage::from_fn(160, 120, |x, y| {
        let dx = i64::from(x) - center.0;
        let dy = i64::from(y) - center.1;
        if dx * dx + dy * dy < 900 {
            Rgb([220, 180, 160])
        } else {
            Rgb([30, (x / 2) as u8, (y + number as u32 % 7) as u8])
        }
    });
    let mut bytes = Vec::new();
    JpegEncoder::new(90).encode(&picture, &mut bytes).unwrap();
    bytes
}

fn engine(out: &Path) -> Engine {
    Engine::open(&format!(r#"{{"out": {out:?}, "group": "test"}}"#)).unwrap()
}

/// The record at an offset: the frames of two cameras, in turn.
fn record(engine: &Engine, task: i64, offset: i64) -> Row {
    let camera = ["left", "right"][offset as usize % 2];
    let number = offset as u64 / 2;
    record_of(engine, task, offset, camera, number, offset)
}

/// A camera's frame, taken `moment` twenty-fifths of a second after the first.
fn record_of(
    engine: &Engine,
    task: i64,
    offset: i64,
    camera: &str,
    number: u64,
    moment: i64,
) -> Row {
    let time = format!(
        "2026-01-01T00:00:{:02}.{:03}000Z",
        moment / 25,
        moment % 25 * 40
    );
    let id = format!("{camera}/s/{number}");
    let sequence = number.to_string();
    let source = format!("mattebox/camera/{camera}");
    let texts = [
        ("ce_specversion", "1.0"),
        ("ce_id", id.as_str()),
        ("ce_source", source.as_str()),
        ("ce_type", "mattebox.frame.v1"),
        ("ce_time", time.as_str()),
        ("content-type", "image/jpeg"),
        ("ce_sequence", sequence.as_str()),
    ];
    let headers = texts.map(|(name, value)| Header {
        name,
        value: Some(value.as_bytes()),
    });
    let value = jpeg(number);
    let record = mattebox_wire::Record {
        key: Some(camera.as_bytes()),
        value: Some(&value),
        headers: &headers,
    };
    engine
        .frame(
            Origin {
                topic: "t",
                partition: 0,
                offset,
                task,
            },
            &record,
        )
        .unwrap()
}

fn span(engine: &Engine, task: i64, offsets: std::ops::Range<i64>) {
    for offset in offsets {
        let row = record(engine, task, offset);
        assert_eq!(
            (row.status, row.fault),
            (Status::Written, None),
            "offset {offset}"
        );
    }
}

fn files(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for camera in ["left", "right"] {
        for entry in fs::read_dir(out.join(camera)).unwrap() {
            let path = entry.unwrap().path();
            files.insert(
                format!("{camera}/{}", path.file_name().unwrap().to_string_lossy()),
                fs::read(path).unwrap(),
            );
        }
    }
    files
}

fn undisturbed() -> BTreeMap<String, Vec<u8>> {
    let out = tempfile::tempdir().unwrap();
    let engine = engine(out.path());
    span(&engine, 1, 0..40);
    engine.complete("t", 0, 1).unwrap();
    files(out.path())
}

#[test]
fn tasks_that_follow_each_other_give_the_files_of_one() {
    let out = tempfile::tempdir().unwrap();
    let engine = engine(out.path());
    for (task, offsets) in [(1, 0..13), (2, 13..14), (3, 14..40)] {
        span(&engine, task, offsets);
        engine.complete("t", 0, task).unwrap();
    }
    assert!(files(out.path()) == undisturbed(), "the files differ");
}

#[test]
fn a_task_that_failed_is_done_again_with_the_same_bytes() {
    let out = tempfile::tempdir().unwrap();
    let engine = engine(out.path());
    span(&engine, 1, 0..15);
    engine.complete("t", 0, 1).unwrap();
    // This one does not end well, nor does its second attempt, which comes further.
    span(&engine, 2, 15..20);
    span(&engine, 3, 15..27);
    span(&engine, 4, 15..40);
    engine.complete("t", 0, 4).unwrap();
    assert!(files(out.path()) == undisturbed(), "the files differ");
}

#[test]
fn another_executor_goes_on_where_the_first_was_killed() {
    let out = tempfile::tempdir().unwrap();
    let first = engine(out.path());
    span(&first, 1, 0..11);
    first.complete("t", 0, 1).unwrap();
    span(&first, 2, 11..22);
    drop(first);
    let second = engine(out.path());
    span(&second, 3, 11..30);
    second.complete("t", 0, 3).unwrap();
    // Back on an executor that knows the partition from long ago.
    let third = engine(out.path());
    span(&third, 4, 30..35);
    third.complete("t", 0, 4).unwrap();
    span(&second, 5, 35..40);
    second.complete("t", 0, 5).unwrap();
    assert!(files(out.path()) == undisturbed(), "the files differ");
}

#[test]
fn a_batch_whose_end_spark_did_not_hear_of_is_done_again_with_the_same_bytes() {
    let out = tempfile::tempdir().unwrap();
    let engine = engine(out.path());
    for (task, offsets) in [(1, 0..10), (2, 10..20), (3, 20..30)] {
        span(&engine, task, offsets);
        engine.complete("t", 0, task).unwrap();
    }
    // The driver was killed before the checkpoint had the last batch.
    span(&engine, 4, 20..40);
    engine.complete("t", 0, 4).unwrap();
    assert!(files(out.path()) == undisturbed(), "the files differ");
}

#[test]
fn what_spark_no_longer_can_go_back_to_is_removed() {
    let out = tempfile::tempdir().unwrap();
    let engine = engine(out.path());
    for task in 0..10 {
        span(&engine, task, task * 4..task * 4 + 4);
        engine.complete("t", 0, task).unwrap();
    }
    let versions = fs::read_dir(out.path().join(".state/left"))
        .unwrap()
        .count();
    assert!((2..=3).contains(&versions), "{versions}");
}

#[test]
fn an_address_as_output_is_refused_and_no_folder_is_made() {
    for address in ["s3a://bucket/x", "hdfs:/x", "file:/x"] {
        let Err(error) = Engine::open(&format!(r#"{{"out": {address:?}, "group": "test"}}"#))
        else {
            panic!("{address}")
        };
        assert!(error.to_string().contains("is an address"), "{error}");
        assert!(
            !Path::new(address.split('/').next().unwrap()).exists(),
            "{address}"
        );
    }
}

#[test]
fn a_published_picture_has_the_headers_of_a_workers_result() {
    let out = tempfile::tempdir().unwrap();
    let open = |more: &str| {
        Engine::open(&format!(
            r#"{{"out": {:?}, "group": "test"{more}}}"#,
            out.path()
        ))
        .unwrap()
    };
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let texts = [
        ("ce_specversion", "1.0"),
        ("ce_source", "mattebox/camera/left"),
        ("ce_type", "mattebox.frame.v1"),
        ("ce_time", "2026-01-01T00:00:00.040000Z"),
        ("ce_sequence", "7"),
        ("ce_session", "s1"),
        ("ce_width", "1"),
        ("other", "x"),
        ("traceparent", trace),
    ];
    let headers = texts.map(|(name, value)| Header {
        name,
        value: Some(value.as_bytes()),
    });
    let value = jpeg(7);
    let record = mattebox_wire::Record {
        key: Some(b"left"),
        value: Some(&value),
        headers: &headers,
    };
    let make = |engine: &Engine| {
        engine
            .frame(
                Origin {
                    topic: "t",
                    partition: 0,
                    offset: 0,
                    task: 1,
                },
                &record,
            )
            .unwrap()
    };
    assert!(
        make(&open("")).headers.is_empty(),
        "no picture was asked for"
    );
    let row = make(&open(r#", "picture": true, "format": "webp""#));
    let made: Vec<_> = row
        .headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let expected = [
        ("ce_specversion", "1.0"),
        ("ce_id", "left/s1/7"),
        ("ce_source", "mattebox/camera/left"),
        ("ce_type", "mattebox.matted.v1"),
        ("ce_time", "2026-01-01T00:00:00.040000Z"),
        ("content-type", "image/webp"),
        ("ce_sequence", "7"),
        ("ce_width", "160"),
        ("ce_height", "120"),
        ("ce_session", "s1"),
    ];
    assert_eq!(made[..10], expected);
    assert_eq!((made[10].0, made[10].1.len()), ("ce_modelsha256", 64));
    assert_eq!((made[11].0, made[11].1.len()), ("ce_settings", 8));
    assert_eq!(made[12..], [("traceparent", trace)]);
    let packed = row.to_bytes();
    assert!(packed.ends_with(trace.as_bytes()));
}

#[test]
fn two_attempts_at_once_are_refused() {
    let out = tempfile::tempdir().unwrap();
    let engine = engine(out.path());
    span(&engine, 7, 0..3);
    let record = mattebox_wire::Record {
        key: None,
        value: None,
        headers: &[],
    };
    let error = engine
        .frame(
            Origin {
                topic: "t",
                partition: 0,
                offset: 1,
                task: 6,
            },
            &record,
        )
        .unwrap_err();
    assert!(error.to_string().contains("spark.speculation"), "{error}");
}

#[test]
fn a_record_that_is_no_frame_is_a_row_with_a_reason_and_harms_no_other() {
    let out = tempfile::tempdir().unwrap();
    let engine = engine(out.path());
    let hostile: [(&[u8], &str); 3] = [
        (b"{\"camera_id\": \"../x\"}", "t"),
        (b"", "t"),
        (b"\xff\xd8 half a picture", "t"),
    ];
    for (offset, (value, topic)) in (0..).zip(hostile) {
        let record = mattebox_wire::Record {
            key: Some(b"left"),
            value: Some(value),
            headers: &[],
        };
        let row = engine
            .frame(
                Origin {
                    topic,
                    partition: 0,
                    offset,
                    task: 1,
                },
                &record,
            )
            .unwrap();
        assert_eq!(row.status, Status::Dead);
        assert!(
            row.fault
                .is_some_and(|(code, message)| !code.is_empty() && !message.is_empty())
        );
    }
    span(&engine, 1, 3..6);
    engine.complete("t", 0, 1).unwrap();
    assert_eq!(files(out.path()).len(), 3);
}

#[test]
fn state_that_cannot_be_read_replaces_no_file() {
    let out = tempfile::tempdir().unwrap();
    let first = engine(out.path());
    span(&first, 1, 0..20);
    first.complete("t", 0, 1).unwrap();
    drop(first);
    let before = files(out.path());
    for camera in ["left", "right"] {
        for entry in fs::read_dir(out.path().join(".state").join(camera)).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle..middle + 4].fill(0xA5);
            fs::write(path, bytes).unwrap();
        }
    }
    // The cameras count from 0 once more: these are the first records at later offsets.
    let second = engine(out.path());
    for offset in 20..30 {
        let camera = ["left", "right"][offset as usize % 2];
        let number = (offset as u64 - 20) / 2;
        let row = record_of(&second, 2, offset, camera, number, offset);
        assert_eq!(row.status, Status::Written);
    }
    let after = files(out.path());
    assert_eq!((before.len(), after.len()), (20, 30));
    assert!(
        before
            .iter()
            .all(|(name, bytes)| after.get(name) == Some(bytes)),
        "a file was replaced"
    );
}
