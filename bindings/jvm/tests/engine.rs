//! Spark's failures: tasks that fail, tasks that run again, executors that change. The files stay
//! the same.
use image::{Rgb, RgbImage};
use mattebox_core::{
    codec::JpegEncoder,
    frame::{FrameNumber, Timestamp},
};
use mattebox_jvm::{
    engine::{RecordOrigin, TaskEngine},
    partition::TaskError,
    row::{ResultRow, RowStatus},
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

fn engine(out: &Path) -> TaskEngine {
    TaskEngine::open(&format!(r#"{{"out": {out:?}, "group": "test"}}"#), None).unwrap()
}

/// The record at an offset: the frames of two cameras, in turn.
fn record(engine: &TaskEngine, task: i64, offset: i64) -> ResultRow {
    let camera = ["left", "right"][offset as usize % 2];
    let number = offset as u64 / 2;
    record_of(engine, task, offset, camera, number, offset)
}

/// A camera's frame, taken `tick` twenty-fifths of a second after the first.
fn record_of(
    engine: &TaskEngine,
    task: i64,
    offset: i64,
    camera: &str,
    number: u64,
    tick: i64,
) -> ResultRow {
    let value = jpeg(number);
    value_of(engine, task, offset, camera, number, tick, &value)
}

/// A record of a camera with this value.
fn value_of(
    engine: &TaskEngine,
    task: i64,
    offset: i64,
    camera: &str,
    number: u64,
    tick: i64,
    value: &[u8],
) -> ResultRow {
    let time = format!(
        "2026-01-01T00:00:{:02}.{:03}000Z",
        tick / 25,
        tick % 25 * 40
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
    let record = mattebox_wire::Record {
        key: Some(camera.as_bytes()),
        value: Some(value),
        headers: &headers,
    };
    engine
        .frame(
            RecordOrigin {
                topic: "t",
                partition: 0,
                offset,
                task,
            },
            &record,
        )
        .unwrap()
}

fn span(engine: &TaskEngine, task: i64, offsets: std::ops::Range<i64>) {
    for offset in offsets {
        // A frame that is processed again has its file already, and gives the same bytes.
        let row = record(engine, task, offset);
        assert!(
            matches!(row.status, RowStatus::Written | RowStatus::Skipped),
            "offset {offset}: {:?}, {:?}",
            row.status,
            row.fault
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

fn files_without_failures() -> BTreeMap<String, Vec<u8>> {
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
    assert!(
        files(out.path()) == files_without_failures(),
        "the files differ"
    );
}

#[test]
fn a_failed_task_runs_again_with_the_same_bytes() {
    let out = tempfile::tempdir().unwrap();
    let engine = engine(out.path());
    span(&engine, 1, 0..15);
    engine.complete("t", 0, 1).unwrap();
    // This task fails, and so does its second attempt, which reads more records.
    span(&engine, 2, 15..20);
    span(&engine, 3, 15..27);
    span(&engine, 4, 15..40);
    engine.complete("t", 0, 4).unwrap();
    assert!(
        files(out.path()) == files_without_failures(),
        "the files differ"
    );
}

#[test]
fn another_executor_continues_where_the_first_was_killed() {
    let out = tempfile::tempdir().unwrap();
    let first = engine(out.path());
    span(&first, 1, 0..11);
    first.complete("t", 0, 1).unwrap();
    span(&first, 2, 11..22);
    drop(first);
    let second = engine(out.path());
    span(&second, 3, 11..30);
    second.complete("t", 0, 3).unwrap();
    // Back on an executor that had the partition before.
    let third = engine(out.path());
    span(&third, 4, 30..35);
    third.complete("t", 0, 4).unwrap();
    span(&second, 5, 35..40);
    second.complete("t", 0, 5).unwrap();
    assert!(
        files(out.path()) == files_without_failures(),
        "the files differ"
    );
}

#[test]
fn a_batch_whose_end_spark_did_not_hear_of_runs_again_with_the_same_bytes() {
    let out = tempfile::tempdir().unwrap();
    let engine = engine(out.path());
    for (task, offsets) in [(1, 0..10), (2, 10..20), (3, 20..30)] {
        span(&engine, task, offsets);
        engine.complete("t", 0, task).unwrap();
    }
    // The driver was killed before the checkpoint had the last batch.
    span(&engine, 4, 20..40);
    engine.complete("t", 0, 4).unwrap();
    assert!(
        files(out.path()) == files_without_failures(),
        "the files differ"
    );
}

#[test]
fn states_that_spark_cannot_need_any_more_are_removed() {
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
        let json = format!(r#"{{"out": {address:?}, "group": "test"}}"#);
        let Err(error) = TaskEngine::open(&json, None) else {
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
        let json = format!(r#"{{"out": {:?}, "group": "test"{more}}}"#, out.path());
        TaskEngine::open(&json, None).unwrap()
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
    let make = |engine: &TaskEngine| {
        engine
            .frame(
                RecordOrigin {
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
    let mut packed = row.to_bytes(true, &[]);
    packed.truncate(packed.len() - 4); // nothing is published
    assert!(packed.ends_with(trace.as_bytes()));
}

#[test]
fn each_camera_has_the_settings_of_the_file_at_the_beginning_of_a_task() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cameras.toml");
    let open = |out: &str, background: &str, file: Option<&Path>| {
        let json = serde_json::json!({
            "out": folder.path().join(out), "group": "test", "picture": true,
            "background": background, "camera_settings": file,
        });
        TaskEngine::open(&json.to_string(), None).unwrap()
    };
    let alone: BTreeMap<_, _> = ["red", "lime", "blue", "gray"]
        .map(|background| (background, open(background, background, None)))
        .into();
    fs::write(
        &file,
        "[left]\nbackground = \"red\"\n[right]\nbackground = \"lime\"",
    )
    .unwrap();
    let own = open("own", "gray", Some(&file));
    for (task, offsets, expected) in [(1, 0..4, ["red", "lime"]), (2, 4..8, ["blue", "gray"])] {
        for offset in offsets {
            let made = record(&own, task, offset);
            for (background, engine) in &alone {
                let same = record(engine, task, offset);
                assert_eq!(
                    (&made.picture, &made.headers) == (&same.picture, &same.headers),
                    *background == expected[offset as usize % 2],
                    "offset {offset}, {background}"
                );
            }
        }
        for engine in alone.values().chain([&own]) {
            engine.complete("t", 0, task).unwrap();
        }
        fs::write(&file, "[left]\nbackground = \"blue\"").unwrap();
    }
}

/// A row with its records to publish, read as `Result.java` reads it.
struct UnpackedRow {
    status: String,
    picture: Option<Vec<u8>>,
    headers: usize,
    publish: Vec<PublishedRecord>,
}

struct PublishedRecord {
    topic: String,
    key: Option<Vec<u8>>,
    value: PublishedValue,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

#[derive(Debug, PartialEq)]
enum PublishedValue {
    Bytes(Option<Vec<u8>>),
    OfRecord,
    PictureColumn,
}

fn unpack(packed: &[u8]) -> UnpackedRow {
    struct PackedInput<'a>(&'a [u8]);
    impl PackedInput<'_> {
        fn take(&mut self, bytes: usize) -> Vec<u8> {
            let (taken, rest) = self.0.split_at(bytes);
            self.0 = rest;
            taken.to_vec()
        }
        fn length(&mut self) -> i32 {
            i32::from_be_bytes(self.take(4).try_into().unwrap())
        }
        fn part(&mut self) -> Option<Vec<u8>> {
            let length = self.length();
            usize::try_from(length).ok().map(|length| self.take(length))
        }
        fn text(&mut self) -> String {
            String::from_utf8(self.part().unwrap()).unwrap()
        }
        fn headers(&mut self) -> Vec<(String, Option<Vec<u8>>)> {
            (0..self.length())
                .map(|_| (self.text(), self.part()))
                .collect()
        }
    }
    let mut input = PackedInput(packed);
    input.take(4 * 8 + 2 * 4 + 1);
    let status = input.text();
    for _ in 0..4 {
        input.part();
    }
    let picture = input.part();
    let headers = input.headers().len();
    let publish = (0..input.length())
        .map(|_| PublishedRecord {
            topic: input.text(),
            key: input.part(),
            value: match input.take(1)[0] {
                0 => PublishedValue::Bytes(input.part()),
                1 => PublishedValue::OfRecord,
                _ => PublishedValue::PictureColumn,
            },
            headers: input.headers(),
        })
        .collect();
    assert!(input.0.is_empty());
    UnpackedRow {
        status,
        picture,
        headers,
        publish,
    }
}

#[test]
fn a_row_carries_the_records_to_publish_and_the_picture_once() {
    let out = tempfile::tempdir().unwrap();
    let open = |more: &str, max_picture: usize| {
        let json = serde_json::json!({
            "out": out.path(), "group": "test", "publish": {
                "results": "t.results", "dead": "t.dead", "max_dead_bytes": 100_000,
                "pictures": {"topic": "matted", "max_bytes": max_picture},
            }
        })
        .to_string();
        let json = format!("{}{more}}}", json.strip_suffix('}').unwrap());
        TaskEngine::open(&json, None).unwrap()
    };
    let value = json_frame();
    let many: Vec<_> = (0..100).map(|number| format!("other-{number}")).collect();
    let headers: Vec<_> = many
        .iter()
        .map(|name| Header { name, value: None })
        .collect();
    let record = mattebox_wire::Record {
        key: Some(b"left"),
        value: Some(&value),
        headers: &headers,
    };
    let origin = RecordOrigin {
        topic: "t",
        partition: 3,
        offset: 9,
        task: 1,
    };
    let pack = |engine: &TaskEngine, record: &mattebox_wire::Record<'_>| {
        let row = engine.frame(origin, record).unwrap();
        unpack(&engine.pack(origin, record, &row))
    };

    let file = || fs::read(out.path().join("left/frame_000007.png")).unwrap();
    let row = pack(&open("", 1 << 20), &record);
    assert_eq!((row.picture, row.headers), (None, 0));
    let [status, picture] = &row.publish[..] else {
        panic!("{}", row.publish.len())
    };
    assert_eq!(status.topic, "t.results");
    assert_eq!(status.key.as_deref(), Some(&b"left"[..]));
    let PublishedValue::Bytes(Some(json)) = &status.value else {
        panic!("{:?}", status.value)
    };
    let json: serde_json::Value = serde_json::from_slice(json).unwrap();
    assert_eq!(
        (&json["frame"], &json["status"], &json["offset"]),
        (&7.into(), &row.status.into(), &9.into())
    );
    assert_eq!(picture.topic, "matted");
    assert_eq!(picture.key.as_deref(), Some(&b"left"[..]));
    assert_eq!(picture.value, PublishedValue::Bytes(Some(file())));
    assert_eq!(picture.headers.len(), 11);

    // With a picture column, the record refers to that column.
    let row = pack(&open(r#", "picture": true"#, 1 << 20), &record);
    assert_eq!((row.picture, row.headers), (Some(file()), 11));
    assert_eq!(row.publish[1].value, PublishedValue::PictureColumn);
    assert_eq!(row.publish[1].headers.len(), 11);

    // A dead letter has every header of its record, and its value is the one that Java holds.
    let row = pack(&open("", 10), &record);
    let dead_letter = &row.publish[1];
    assert_eq!(dead_letter.topic, "t.dead");
    assert_eq!(
        (&dead_letter.value, dead_letter.headers.len()),
        (&PublishedValue::OfRecord, 105)
    );
    let code = Some(b"result-too-large".to_vec());
    assert_eq!(
        dead_letter.headers[100],
        ("mattebox-error-code".to_owned(), code)
    );
    for (value, expected) in [
        (Some(vec![b'x'; 100_000]), (PublishedValue::OfRecord, 105)),
        (
            Some(vec![b'x'; 100_001]),
            (PublishedValue::Bytes(None), 106),
        ),
        (None, (PublishedValue::Bytes(None), 105)),
    ] {
        let record = mattebox_wire::Record {
            value: value.as_deref(),
            ..record
        };
        let row = pack(&open("", 1 << 20), &record);
        assert_eq!((row.status.as_str(), row.publish.len()), ("dead", 1));
        let dead_letter = &row.publish[0];
        assert_eq!(dead_letter.key.as_deref(), Some(&b"left"[..]));
        assert_eq!(
            (&dead_letter.value, dead_letter.headers.len()),
            (&expected.0, expected.1)
        );
    }
}

/// Frame 7 of camera `left` in the JSON format.
fn json_frame() -> Vec<u8> {
    let meta = mattebox_wire::FrameMeta {
        camera: &"left".parse().unwrap(),
        session: "s",
        number: FrameNumber(7),
        time: Timestamp(1_700_000_000_000_000),
        width: 160,
        height: 120,
    };
    let mut value = Vec::new();
    mattebox_wire::json_value(&meta, &jpeg(7), &mut value);
    value
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
            RecordOrigin {
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
                RecordOrigin {
                    topic,
                    partition: 0,
                    offset,
                    task: 1,
                },
                &record,
            )
            .unwrap();
        assert_eq!(row.status, RowStatus::Dead);
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
        assert_eq!(row.status, RowStatus::Written);
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

#[test]
fn states_beside_the_checkpoint_are_requested_before_the_first_record() {
    let out = tempfile::tempdir().unwrap();
    let json = format!(
        r#"{{"out": {:?}, "group": "test", "state_dir": "hdfs://h/c/mattebox-state"}}"#,
        out.path()
    );
    let engine = TaskEngine::open(&json, None).unwrap();
    let folder = engine.state_folder("t", 0);
    assert_eq!(folder.as_deref(), Some("hdfs://h/c/mattebox-state/t/0"));
    let origin = |task, offset| RecordOrigin {
        topic: "t",
        partition: 0,
        offset,
        task,
    };
    let record = mattebox_wire::Record {
        key: None,
        value: Some(b"?"),
        headers: &[],
    };
    let needed = engine.frame(origin(7, 5), &record).unwrap_err();
    assert!(matches!(needed, TaskError::StatesNeeded(5)), "{needed}");
    assert!(engine.list_states(origin(7, 5), &[]).unwrap().is_none());
    for offset in 5..8 {
        let row = engine.frame(origin(7, offset), &record).unwrap();
        assert_eq!(row.status, RowStatus::Dead);
    }
    let object = engine.complete("t", 0, 7).unwrap().unwrap();
    assert!(object.name.starts_with("00000000000000000008-7-") && !object.sync);
    assert!(engine.stored("t", 0, 7).is_empty());
    // The next task continues with the states in memory; one at another offset needs the stored
    // ones.
    engine.frame(origin(8, 8), &record).unwrap();
    let names = [object.name.clone()];
    assert!(engine.frame(origin(9, 8), &record).is_err());
    let next = engine.list_states(origin(9, 8), &names).unwrap();
    assert_eq!(next.as_ref(), Some(&object.name));
    let bytes = Some(&object.bytes[..]);
    let next = engine.read_state(origin(9, 8), &object.name, bytes);
    assert!(next.unwrap().is_none());
    engine.frame(origin(9, 8), &record).unwrap();
    assert!(!out.path().join(".state").exists());
}

#[test]
fn a_dead_letter_changes_no_name() {
    let out = tempfile::tempdir().unwrap();
    let engine = engine(out.path());
    for (offset, (number, value, code)) in (0..).zip([
        (5_000_000, &b"\xff\xd8 half a picture"[..], "not-a-picture"),
        (1 << 53, &jpeg(0)[..400], "picture-"),
        (1 << 53, &jpeg(0), "implausible-number"),
    ]) {
        let row = value_of(&engine, 1, offset, "left", number, 0, value);
        let (found, message) = row.fault.unwrap();
        assert!(found.starts_with(code), "{found}: {message}");
        assert_eq!((row.status, row.frame), (RowStatus::Dead, None));
    }
    assert!(!out.path().join(".mattebox/names/left").exists());
}

#[test]
fn after_dead_letters_the_names_are_those_of_the_camera() {
    let out = tempfile::tempdir().unwrap();
    let engine = engine(out.path());
    record_of(&engine, 1, 0, "left", 0, 0);
    value_of(
        &engine,
        1,
        1,
        "left",
        5_000_000,
        1,
        b"\xff\xd8 half a picture",
    );
    record_of(&engine, 1, 2, "left", 1 << 53, 2);
    let row = record_of(&engine, 1, 3, "left", 1, 3);
    assert_eq!(
        (row.status, row.frame),
        (RowStatus::Written, Some(FrameNumber(1)))
    );
}

#[test]
fn a_file_that_exists_is_kept_unless_it_is_not_whole() {
    let out = tempfile::tempdir().unwrap();
    let first = engine(out.path());
    let path = out.path().join("left/frame_000000.png");
    let made = |engine: &TaskEngine, task| record_of(engine, task, 0, "left", 0, 0).status;
    assert_eq!(made(&first, 1), RowStatus::Written);
    let bytes = fs::read(&path).unwrap();
    assert_eq!(made(&first, 2), RowStatus::Skipped);
    fs::write(&path, "other").unwrap();
    let row = record_of(&first, 3, 0, "left", 0, 0);
    assert_eq!((row.status, row.bytes), (RowStatus::SkippedDifferent, 5));
    assert_eq!(row.status.name(), "skipped");
    assert_eq!(fs::read(&path).unwrap(), b"other");
    fs::write(&path, "").unwrap();
    assert_eq!(made(&first, 4), RowStatus::Written);
    fs::write(&path, "other").unwrap();
    let json = format!(
        r#"{{"out": {:?}, "group": "test", "on_existing": "overwrite"}}"#,
        out.path()
    );
    let replacing = TaskEngine::open(&json, None).unwrap();
    assert_eq!(made(&replacing, 1), RowStatus::Written);
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_record_that_is_delivered_twice_has_one_file() {
    let out = tempfile::tempdir().unwrap();
    let engine = engine(out.path());
    let made = |offset| record_of(&engine, 1, offset, "left", 0, 0);
    let first = made(0);
    let again = made(1);
    assert_eq!(
        (again.status, &again.path),
        (RowStatus::Skipped, &first.path)
    );
    assert_eq!((again.bytes, again.size), (first.bytes, first.size));
    assert_eq!(again.latency_us, None);
    let path = first.path.unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(made(2).status, RowStatus::Written);
    assert_eq!(fs::read(&path).unwrap(), bytes);
}
