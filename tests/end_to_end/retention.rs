//! The removal of old files, and of nothing else: `--keep`, `--keep-bytes`, `mattebox prune` and
//! `--name`.

use crate::kit::{
    Broker, KafkaPipeline, ProgramOutput, RunningProgram, Signal, Workspace, free_port, http,
    sample, seed_frame, sum, until,
};
use serde_json::Value;
use std::{
    fs::{self, File},
    path::Path,
    process::Stdio,
    time::{Duration, SystemTime},
};

const DAY: Duration = Duration::from_secs(86_400);
const HOURS: &str = "{camera}/{date}/{hour}/frame_{number}";

/// Every file below a folder, except the internal files of mattebox.
fn files(b: &Workspace, folder: &str) -> Vec<String> {
    fn add(folder: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            let below = path
                .strip_prefix(root)
                .expect("below")
                .display()
                .to_string();
            match path.is_dir() {
                true if below != ".mattebox" => add(&path, root, found),
                true => {}
                false => found.push(below),
            }
        }
    }
    let root = b.path(folder);
    let mut found = Vec::new();
    add(&root, &root, &mut found);
    found.sort();
    found
}

/// Makes every file below a folder this old.
fn age(b: &Workspace, folder: &str, age: Duration) {
    for file in files(b, folder) {
        let path = b.path(&format!("{folder}/{file}"));
        let file = File::options().append(true).open(path).expect("a file");
        file.set_modified(SystemTime::now() - age)
            .expect("its time");
    }
}

fn frames(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|n| format!("cam01/frame_{n:06}.png")).collect()
}

#[track_caller]
fn refused(done: &ProgramOutput, words: &[&str]) {
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    for word in words {
        assert!(done.stderr.contains(word), "{word}: {}", done.stderr);
    }
}

#[test]
fn a_run_removes_old_files_and_uses_no_number_twice() {
    let b = Workspace::new();
    let sample = sample();
    let run = ["run", &sample, "--out", "out", "--frames", "5"];
    b.report(&run);
    fs::write(b.path("out/cam01/mine.png"), "mine").unwrap();
    age(&b, "out", DAY * 10);
    b.report(&[&run[..], &["--append", "--keep", "7d"]].concat());
    let mine = vec!["cam01/mine.png".to_owned()];
    assert_eq!(files(&b, "out"), [frames(5..10), mine.clone()].concat());
    // Also where all files are gone.
    age(&b, "out", DAY * 10);
    b.report(&["prune", "out", "--keep", "7d"]);
    assert_eq!(files(&b, "out"), mine);
    b.report(&[&run[..], &["--append"]].concat());
    assert_eq!(files(&b, "out"), [frames(10..15), mine.clone()].concat());
    // And if the next run has no --append.
    age(&b, "out", DAY * 10);
    b.report(&["prune", "out", "--keep", "7d"]);
    b.report(&run);
    assert_eq!(files(&b, "out"), [frames(15..20), mine.clone()].concat());
    // Where earlier frames are overwritten, numbers begin again.
    b.report(&[&run[..], &["--on-existing", "overwrite"]].concat());
    assert_eq!(files(&b, "out"), [frames(0..5), mine].concat());
}

#[test]
fn a_run_keeps_its_folder_below_the_size_and_the_newest_files_stay() {
    let b = Workspace::new();
    let sample = sample();
    let run = ["run", &sample, "--out", "out", "--frames", "10"];
    b.report(&run);
    age(&b, "out", DAY);
    let size = |name: &str| b.path(&format!("out/{name}")).metadata().unwrap().len();
    let newest: u64 = frames(7..10).iter().map(|name| size(name)).sum();
    // The internal files of the folder count too, and are far smaller than a frame.
    let keep = (newest + 2000 + size("cam01/frame_000000.png")).to_string();
    let report = b.report(&["prune", "out", "--keep-bytes", &keep, "--dry-run"]);
    assert_eq!(
        report["files"].as_u64().map(|files| files <= 7),
        Some(true),
        "{report}"
    );
    // One thread writes the files in the order of their numbers; several threads do not.
    let more = ["--append", "--threads", "1", "--keep-bytes", &keep];
    b.report(&[&run[..], &more].concat());
    let left = files(&b, "out");
    let last = frames(10..20);
    assert!(left.len() < 10 && last.ends_with(&left), "{left:?}");
}

#[test]
fn a_dry_run_counts_the_old_files_of_each_camera_and_removes_nothing() {
    let b = Workspace::new();
    let sample = sample();
    let sources = [format!("a={sample}"), format!("b={sample}")];
    b.report(&[
        "run",
        &sources[0],
        &sources[1],
        "--frames",
        "3",
        "--out",
        "out",
    ]);
    age(&b, "out/a", DAY * 3);
    let before = files(&b, "out");
    let prune = ["prune", "out", "--keep", "48h"];
    let dry = b.run(&[&prune[..], &["--dry-run"]].concat());
    assert_eq!(dry.code, Some(0), "{}", dry.stderr);
    assert!(
        dry.stderr.contains("3 files") && dry.stderr.contains("would go"),
        "{}",
        dry.stderr
    );
    let report = b.report(&[&prune[..], &["--dry-run"]].concat());
    let camera = &report["cameras"][0];
    assert_eq!(
        (&camera["camera"], &camera["files"]),
        (&"a".into(), &3.into()),
        "{report}"
    );
    assert_eq!(report["cameras"][1], Value::Null, "{report}");
    assert!(
        camera["oldest"]
            .as_str()
            .is_some_and(|time| time.ends_with('Z')),
        "{report}"
    );
    assert_eq!(files(&b, "out"), before);
    let done = b.report(&prune);
    assert_eq!(
        (&done["files"], &done["bytes"], &done["bytes_left"]),
        (&report["files"], &report["bytes"], &report["bytes_left"])
    );
    assert_eq!(files(&b, "out"), before[3..]);
    assert!(b.path("out/a").is_dir());
}

#[test]
fn a_folder_that_cannot_be_pruned_is_refused() {
    let b = Workspace::new();
    fs::create_dir_all(b.path("photos/cam01")).unwrap();
    fs::write(b.path("photos/cam01/frame_000000.png"), "mine").unwrap();
    age(&b, "photos", DAY * 99);
    let done = b.run(&["prune", "photos", "--keep", "1d"]);
    refused(&done, &["no output folder", "--out"]);
    refused(&b.run(&["prune", "photos"]), &["--keep 7d"]);
    refused(
        &b.run(&["prune", "photos", "--keep", "soon"]),
        &["keep", "1m30s"],
    );
    refused(
        &b.run(&["prune", "photos", "--keep-bytes", "9 things"]),
        &["--keep-bytes", "50GB"],
    );
    refused(
        &b.run(&["run", "x.mp4", "--out", "x.mp4", "--keep", "1d"]),
        &["--segment"],
    );
    assert_eq!(b.read("photos/cam01/frame_000000.png"), b"mine");
    // A found settings file removes nothing.
    fs::write(b.path("mattebox.toml"), "keep = \"1s\"\n").unwrap();
    refused(&b.run(&["prune", "photos"]), &["keep", "it removes files"]);
}

#[test]
fn prune_runs_beside_another_writer_and_serves_metrics() {
    let b = Workspace::new();
    let port = free_port();
    fs::create_dir(b.path("out")).unwrap();
    let mut command = b.command(&["prune", "out", "--keep", "7d", "--every", "200ms"]);
    command.args(["--metrics", &port.to_string()]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let prune = RunningProgram::start(command);
    let shows =
        |wanted: &str| http::get(port, "/metrics").is_some_and(|page| page.contains(wanted));
    until("its numbers", || {
        shows("mattebox_retention_removed_files_total 0")
    });
    b.report(&[
        "run",
        &sample(),
        "--out",
        "out",
        "--frames",
        "4",
        "--name",
        HOURS,
    ]);
    let all = files(&b, "out");
    assert_eq!(all[3], "cam01/undated/00/frame_000003.png");
    age(&b, "out", DAY * 8);
    until("the old files are gone", || {
        shows("mattebox_retention_removed_files_total 4") && files(&b, "out").is_empty()
    });
    until("the empty folders are gone", || {
        !b.path("out/cam01/undated").exists()
    });
    assert!(b.path("out/cam01").is_dir());
    prune.send(Signal::INT);
    let done = prune.finish(&["prune"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
}

#[test]
fn finished_segments_go_and_the_newest_stays() {
    let b = Workspace::new();
    fs::create_dir(b.path("day")).unwrap();
    fs::write(b.path("day/rec-0003.mkv"), "mine").unwrap();
    let run = [
        "run",
        &sample(),
        "--out",
        "day/rec.mkv",
        "--segment",
        "800ms",
        "--keep",
        "1ms",
    ];
    b.report(&run);
    // Numbers 4 to 7: the last one stays, and so does the file that was there before.
    assert_eq!(files(&b, "day"), ["rec-0003.mkv", "rec-0007.mkv"]);
    b.report(&run);
    assert_eq!(files(&b, "day"), ["rec-0003.mkv", "rec-0011.mkv"]);
    assert_eq!(b.read("day/rec-0003.mkv"), b"mine");
}

#[test]
fn a_bad_template_is_refused_with_the_list_of_fields() {
    let b = Workspace::new();
    let sample = sample();
    let fields = ["{camera}", "{number}", "{date}", "{hour}", "{minute}"];
    let two = [format!("a={sample}"), format!("b={sample}")];
    for (sources, names) in [
        (&two[..1], "{camera}/frame"),
        (&two[..1], "{camera}/{day}/{number}"),
        (&two[..1], "../{camera}/{number}"),
        (&two[..1], "%06d"),
        (&two, "{number}"),
    ] {
        let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
        let done = b.run(&[&["run"], &sources[..], &["--out", "out", "--name", names]].concat());
        refused(&done, &fields);
    }
    assert!(!b.path("out").exists());
    // One camera needs no folder. A folder keeps its template while frames are in it.
    let run = [
        "run", &sample, "--frames", "2", "--out", "out", "--append", "--name",
    ];
    b.report(&[&run[..], &["{date}_{number}"]].concat());
    assert_eq!(
        files(&b, "out"),
        ["undated_000000.png", "undated_000001.png"]
    );
    refused(
        &b.run(&[&run[..], &["number"]].concat()),
        &["{date}_{number}", "another folder"],
    );
    b.report(&[&run[..], &["{date}_{number}"]].concat());
    assert_eq!(files(&b, "out")[3], "undated_000003.png");
    // An input is not replaced, in any folder.
    fs::create_dir_all(b.path("in/cam01/2026-01-31")).unwrap();
    fs::rename(
        b.path("out/undated_000000.png"),
        b.path("in/cam01/2026-01-31/000000.png"),
    )
    .unwrap();
    let source = "in/cam01/2026-01-31/000000.png";
    let done = b.run(&[
        "run",
        source,
        "--out",
        "in",
        "--name",
        "{camera}/{date}/{number}",
    ]);
    refused(&done, &["would replace"]);
}

#[test]
fn a_worker_names_files_by_the_record_so_that_a_replay_names_them_alike_and_removes_old_ones() {
    let broker = Broker::shared();
    let pipeline = KafkaPipeline::new(&broker, "hours");
    let b = &pipeline.workspace;
    let [jpeg] = pipeline.pictures([320]);
    // 2023-11-14T22:59:59Z, the next hour, a clock that is wrong, and the hour again.
    let times = [1_700_002_799.0, 1_700_002_800.5, 3.0, 1_700_002_801.0];
    let records = times.iter().enumerate();
    let records = records.map(|(n, time)| seed_frame("a", n as u64, *time, &jpeg));
    let client = broker.client();
    client.create_topic("hours", 1, &[]);
    client.produce("hours", &records.collect::<Vec<_>>());
    let worker = |group: &str, more: &[&str]| {
        let how = [
            "worker", "--until", "end", "--group", group, "--out", group, "--name", HOURS,
        ];
        pipeline.report(&[&how[..], more].concat())
    };
    worker("first", &[]);
    let all = [
        "a/2023-11-14/22/frame_000000.png",
        "a/2023-11-14/23/frame_000001.png",
        "a/2023-11-14/23/frame_000003.png",
        "a/undated/00/frame_000002.png",
    ];
    assert_eq!(files(b, "first"), all);
    worker("again", &[]);
    assert_eq!(files(b, "again"), all);
    for file in all {
        let [first, again] = ["first", "again"].map(|out| b.read(&format!("{out}/{file}")));
        assert!(first == again, "{file}");
    }
    // Old files go; the numbers go on.
    age(b, "first", DAY);
    client.produce("hours", &[seed_frame("a", 4, 1_700_002_802.0, &jpeg)]);
    let report = worker("first", &["--keep", "2h"]);
    assert_eq!(sum(&report, "written"), 1);
    assert_eq!(files(b, "first"), ["a/2023-11-14/23/frame_000004.png"]);
    assert!(!b.path("first/a/undated").exists());
    // Workers of the folder agree on the names.
    let other = [
        "worker", "--until", "end", "--group", "first", "--out", "first",
    ];
    refused(&pipeline.run(&other), &[HOURS, "--name"]);
}
