//! A recording before a crash can be played, and is never removed.

use crate::kit::{
    ProgramOutput, RunningProgram, Signal, Workspace, sample, shield, until, until_or,
};
use rustix::process::{Pid, kill_process};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// Every kind of video file that a recording can be in.
const KINDS: &[&str] = &["mp4", "mov", "mkv", "webm", "ts"];

/// The output of ffprobe for the first video of a file.
fn ffprobe(path: &Path, entries: &str, more: &[&str]) -> Value {
    let output = shield(&mut Command::new("ffprobe"))
        .args(["-v", "error", "-select_streams", "v:0", "-of", "json"])
        .args(["-show_entries", entries])
        .args(more)
        .arg(path)
        .output()
        .expect("ffprobe runs");
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// Frames that can be decoded.
fn frames(path: &Path) -> u64 {
    let found = ffprobe(path, "stream=nb_read_frames", &["-count_frames"]);
    let frames = found["streams"][0]["nb_read_frames"].as_str();
    frames.and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// The duration that a player shows, in seconds.
fn duration(path: &Path) -> Option<f64> {
    let found = ffprobe(path, "format=duration", &[]);
    found["format"]["duration"].as_str()?.parse().ok()
}

/// The FFmpeg that writes a file, while it runs.
fn writer_of(path: &Path) -> Option<Pid> {
    let path = path.to_string_lossy().into_owned();
    let processes = fs::read_dir("/proc").expect("/proc");
    let numbers = processes.filter_map(|e| e.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let mut writers = numbers.filter(|number| {
        let line = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.starts_with("ffmpeg") && line.contains(&path)
    });
    writers.next().and_then(Pid::from_raw)
}

/// A recording without an end, of which two seconds are on the disk.
fn record(b: &Workspace, out: &str) -> RunningProgram {
    let unfinished = unfinished(b, out);
    let out = b.path(out).to_string_lossy().into_owned();
    let sample = sample();
    let mut command = b.command(&["run", &sample, "--loop", "--realtime", "--out", &out]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let running = RunningProgram::start(command);
    until_or(
        "two seconds of a recording",
        || frames(&unfinished) >= 50,
        || format!("{:?}", b.files(".")),
    );
    running
}

/// The path of a recording while it is written.
fn unfinished(b: &Workspace, out: &str) -> std::path::PathBuf {
    let path = b.path(out);
    let extension = path.extension().unwrap().to_str().unwrap().to_owned();
    path.with_extension(format!("unfinished.{extension}"))
}

#[test]
fn a_recording_whose_encoder_is_killed_too_plays_up_to_there() {
    for kind in KINDS {
        let b = Workspace::new();
        let out = format!("rec.{kind}");
        let running = record(&b, &out);
        let path = unfinished(&b, &out);
        // Both at once, so that the encoder does not see the end of its input.
        running.freeze();
        kill_process(writer_of(&path).expect("an encoder"), Signal::KILL).unwrap();
        running.kill();
        let frames = frames(&path);
        assert!(frames >= 50, "{kind}: {frames}");
        assert_eq!(b.files("."), [format!("rec.unfinished.{kind}")]);
    }
}

#[test]
fn a_recording_whose_process_is_killed_is_completed_by_its_encoder() {
    for kind in KINDS {
        let b = Workspace::new();
        let out = format!("rec.{kind}");
        let running = record(&b, &out);
        let path = unfinished(&b, &out);
        running.kill();
        until("the encoder's end", || writer_of(&path).is_none());
        let seconds = duration(&path).expect("a duration");
        let frames = frames(&path);
        assert!(frames >= 50, "{kind}: {frames}");
        assert!(
            (seconds - frames as f64 / 25.0).abs() < 0.1,
            "{kind}: {seconds} s, {frames}"
        );
    }
}

#[test]
fn the_next_run_keeps_and_names_the_recording_of_a_killed_one() {
    let b = Workspace::new();
    let running = record(&b, "rec.mkv");
    running.kill();
    until("the encoder's end", || {
        writer_of(&unfinished(&b, "rec.mkv")).is_none()
    });
    let before = b.read("rec.unfinished.mkv");
    let sample = sample();
    for name in ["rec.mkv", "other.mkv"] {
        let done = b.run(&["run", &sample, "--frames", "2", "--out", name]);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        let warns = done
            .stderr
            .contains("rec.unfinished.mkv is of a recording that ended early");
        assert_eq!(warns, name == "rec.mkv", "{}", done.stderr);
    }
    assert_eq!(b.files("."), ["other.mkv", "rec.mkv", "rec.unfinished.mkv"]);
    assert!(b.read("rec.unfinished.mkv") == before, "it is unchanged");
}

/// Runs with a limit on the size of files, which ends a recording like a full disk.
fn run_with_limit(b: &Workspace, blocks: u32, args: &[&str]) -> ProgramOutput {
    let command = b.command(args);
    let mut shell = Command::new("sh");
    shield(&mut shell)
        .args(["-c", &format!("ulimit -f {blocks}; exec \"$@\""), "sh"])
        .arg(command.get_program())
        .args(args)
        .current_dir(b.path("."))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    RunningProgram::start(shell).finish(args)
}

#[test]
fn a_recording_that_fills_the_disk_is_kept_and_the_message_says_where() {
    for kind in KINDS {
        let b = Workspace::new();
        let (sample, out) = (sample(), format!("rec.{kind}"));
        let args = ["run", &sample, "--loop", "--frames", "3000", "--out", &out];
        let done = run_with_limit(&b, 600, &args);
        assert_eq!(done.code, Some(1), "{kind}: {}", done.stderr);
        let name = format!("rec.unfinished.{kind}");
        let says = format!("the recording so far is in {name}");
        assert!(done.stderr.contains(&says), "{kind}: {}", done.stderr);
        assert_eq!(b.files("."), std::slice::from_ref(&name));
        let frames = frames(&b.path(&name));
        assert!(frames >= 50, "{kind}: {frames}");
    }
}

#[test]
fn a_recording_that_cannot_begin_leaves_nothing() {
    let b = Workspace::new();
    let sample = sample();
    for (args, code) in [
        (&["run", "nowhere.mp4", "--out", "rec.mkv"][..], 2),
        (
            &["run", &sample, "--out", "rec.mp4", "-b", "transparent"],
            2,
        ),
        (&["run", &sample, "--start", "1h", "--out", "rec.mkv"], 2),
        (
            &["run", &sample, "--out", "rec.mkv", "--ffmpeg", "/no/ffmpeg"],
            2,
        ),
        (&["run", &sample, "--out", "rec.mkv", "--segment", "0"], 2),
    ] {
        let done = b.run(args);
        assert_ne!(done.code, Some(0), "{args:?} {code}: {}", done.stderr);
        assert_eq!(b.files("."), [""; 0], "{args:?}: {}", done.stderr);
    }
}

#[test]
fn a_finished_mp4_begins_with_its_index_and_can_be_searched() {
    for kind in ["mp4", "mov", "m4v"] {
        let b = Workspace::new();
        let out = format!("rec.{kind}");
        b.report(&["run", &sample(), "--out", &out]);
        assert_eq!(b.files("."), std::slice::from_ref(&out));
        let bytes = b.read(&out);
        let at = |what: &[u8]| bytes.windows(4).position(|w| w == what);
        assert!(at(b"moov").unwrap() < at(b"mdat").unwrap(), "{kind}");
        assert_eq!(at(b"moof"), None, "{kind}: no fragments are left");
        let path = b.path(&out);
        assert!((duration(&path).unwrap() - 3.0).abs() < 0.01, "{kind}");
        assert_eq!(frames(&path), 75);
        let found = ffprobe(&path, "packet=pts_time", &["-read_intervals", "2.5%+#1"]);
        let time: f64 = found["packets"][0]["pts_time"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        // The key frame at two seconds.
        assert!((time - 2.0).abs() < 0.01, "{kind}: {time}");
    }
}

/// The frames of a file as they are decoded, one line for each.
fn checksums(path: &Path) -> Vec<String> {
    let output = shield(&mut Command::new("ffmpeg"))
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(path)
        .args(["-map", "0:v", "-f", "framemd5", "-"])
        .output()
        .expect("ffmpeg runs");
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit(',').next().unwrap().trim().to_owned())
        .collect()
}

#[test]
fn segments_are_numbered_lose_no_frame_and_play_alone() {
    // Lossless, so that frames can be compared.
    let b = Workspace::new();
    let sample = sample();
    let run = ["run", &sample, "-b", "transparent", "--out"];
    b.report(&[&run[..], &["whole.mkv"]].concat());
    b.report(&[&run[..], &["rec.mkv", "--segment", "800ms"]].concat());
    let names = [
        "rec-0000.mkv",
        "rec-0001.mkv",
        "rec-0002.mkv",
        "rec-0003.mkv",
    ];
    assert_eq!(b.files("."), [&names[..], &["whole.mkv"]].concat());
    let parts: Vec<_> = names.iter().map(|name| checksums(&b.path(name))).collect();
    let counts: Vec<usize> = parts.iter().map(Vec::len).collect();
    assert_eq!(counts, [20, 20, 20, 15]);
    assert!(
        parts.concat() == checksums(&b.path("whole.mkv")),
        "the same frames"
    );
    for kind in KINDS {
        let b = Workspace::new();
        let out = format!("rec.{kind}");
        b.report(&["run", &sample, "--out", &out, "--segment", "1"]);
        let names: Vec<String> = (0..3).map(|n| format!("rec-000{n}.{kind}")).collect();
        assert_eq!(b.files("."), names);
        for name in &names {
            assert_eq!(checksums(&b.path(name)).len(), 25, "{name}");
            let first = ffprobe(
                &b.path(name),
                "frame=key_frame",
                &["-read_intervals", "%+#1"],
            );
            assert_eq!(first["frames"][0]["key_frame"], 1, "{name}");
            let start = ffprobe(&b.path(name), "format=duration", &[]);
            let seconds: f64 = start["format"]["duration"]
                .as_str()
                .unwrap()
                .parse()
                .unwrap();
            assert!((seconds - 1.0).abs() < 0.06, "{name}: {seconds} s");
        }
    }
}

#[test]
fn segments_never_replace_a_file() {
    let b = Workspace::new();
    let sample = sample();
    let run = [
        "run",
        &sample,
        "--frames",
        "30",
        "--out",
        "rec.mkv",
        "--segment",
        "1",
    ];
    for name in ["rec.mkv", "rec-0001.mkv", "rec-0007.unfinished.mkv"] {
        fs::write(b.path(name), "mine").unwrap();
    }
    b.report(&run);
    let all = [
        "rec-0001.mkv",
        "rec-0007.unfinished.mkv",
        "rec-0008.mkv",
        "rec-0009.mkv",
        "rec.mkv",
    ];
    assert_eq!(b.files("."), all);
    for name in ["rec.mkv", "rec-0001.mkv", "rec-0007.unfinished.mkv"] {
        assert_eq!(b.read(name), b"mine", "{name}");
    }
    let done = b.run(&[&run[..], &["--on-existing", "fail"]].concat());
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    assert!(
        done.stderr.contains("rec-0009.mkv exists already"),
        "{}",
        done.stderr
    );
    assert_eq!(b.files("."), all);
}

#[test]
fn each_camera_has_segments_of_its_own() {
    let b = Workspace::new();
    let (door, yard) = (format!("door={}", sample()), format!("yard={}", sample()));
    let out = [
        "--frames",
        "30",
        "--out",
        "rec/{camera}.mkv",
        "--segment",
        "1",
    ];
    b.report(&[&["run", &door, &yard], &out[..]].concat());
    let names = [
        "door-0000.mkv",
        "door-0001.mkv",
        "yard-0000.mkv",
        "yard-0001.mkv",
    ];
    assert_eq!(b.files("rec"), names);
}

#[test]
fn a_second_signal_keeps_what_was_recorded() {
    let b = Workspace::new();
    let out = b.path("rec.mkv").to_string_lossy().into_owned();
    let sample = sample();
    let flags = [
        "--loop",
        "--realtime",
        "--shutdown-timeout",
        "0",
        "--out",
        &out,
    ];
    let mut command = b.command(&[&["run", &sample], &flags[..]].concat());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let running = RunningProgram::start(command);
    let path = unfinished(&b, "rec.mkv");
    until("two seconds of a recording", || frames(&path) >= 50);
    running.send(Signal::TERM);
    running.send(Signal::TERM);
    let done = running.finish(&["run"]);
    let names = b.files(".");
    // It may have finished before the signal.
    if names != ["rec.mkv"] {
        assert_eq!(names, ["rec.unfinished.mkv"]);
        assert!(
            done.stderr.contains("rec.unfinished.mkv is not finished"),
            "{}",
            done.stderr
        );
    }
    assert!(frames(&b.path(&names[0])) >= 50);
}
