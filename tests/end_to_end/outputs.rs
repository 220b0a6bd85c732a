//! Outputs never replace an input, a file of the user, or anything that is not a regular file.
#![cfg(unix)]
use crate::kit::{
    ProgramOutput, RunningProgram, Signal, Workspace, finish, handles, sample, signal, until,
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    os::unix::fs::{FileTypeExt, PermissionsExt, symlink},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// Every file below a folder with its content; for other entries their kind.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let kind = path.symlink_metadata().expect("it is there").file_type();
        let name = path.display().to_string();
        if kind.is_dir() {
            found.extend(tree(&path));
        }
        let holds = if kind.is_file() {
            fs::read(&path).expect("readable")
        } else {
            format!("{kind:?}").into_bytes()
        };
        found.insert(name, holds);
    }
    found
}

/// A typical folder of a user: two clips, pictures with names like frames, and links to them.
fn home() -> Workspace {
    let b = Workspace::new();
    b.ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=64x48:rate=5:duration=0.6",
        "clip.mp4",
    ]);
    for copy in [
        "other.mp4",
        "bg.mp4",
        "settings.mkv",
        "model.mkv",
        "token.mkv",
    ] {
        fs::copy(b.path("clip.mp4"), b.path(copy)).unwrap();
    }
    fs::write(b.path("settings.mkv"), "matte = \"hard\"\n").unwrap();
    fs::write(b.path("token.mkv"), "0123456789abcdef").unwrap();
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(b.path("token.mkv"), private).unwrap();
    fs::write(
        b.path("list.ffconcat"),
        "ffconcat version 1.0\nfile other.mp4\nfile clip.mp4\n",
    )
    .unwrap();
    fs::create_dir_all(b.path("photos/deep")).unwrap();
    b.ffmpeg(&["-i", "clip.mp4", "photos/frame_%06d.png"]);
    fs::hard_link(b.path("clip.mp4"), b.path("hard.mp4")).unwrap();
    symlink("clip.mp4", b.path("soft.mp4")).unwrap();
    symlink("soft.mp4", b.path("soft2.mkv")).unwrap();
    symlink("clip.mp4", b.path("rows.csv")).unwrap();
    symlink("photos", b.path("album")).unwrap();
    b
}

fn assert_refused(done: &ProgramOutput, words: &[&str], what: &str) {
    assert_eq!(done.code, Some(2), "{what}: {}", done.stderr);
    for word in words {
        assert!(
            done.stderr.contains(word),
            "{what}: {word:?} is missing in {}",
            done.stderr
        );
    }
}

#[test]
fn no_input_is_replaced() {
    let b = home();
    let absolute = b.path("clip.mp4").display().to_string();
    let before = tree(&b.path("."));
    for (line, words) in [
        ("run clip.mp4 --out clip.mp4", "the source of camera cam01"),
        (
            "run clip.mp4 --out ./photos/../clip.mp4",
            "the source of camera cam01",
        ),
        ("run clip.mp4 --out photos/deep/../../clip.mp4", "clip.mp4"),
        ("run clip.mp4 --out album/../photos/../clip.mp4", "clip.mp4"),
        ("run clip.mp4 --out new/../clip.mp4", "clip.mp4"),
        ("run clip.mp4 --out ./new/er/../../soft.mp4", "clip.mp4"),
        ("run photos --out new/.. --camera-id photos", "photos"),
        (
            "run photos --alpha-out new/.. --out none --view=0 --camera-id photos",
            "alpha-out",
        ),
        (
            "worker --background image:photos/frame_000001.png --out new/..",
            "the background",
        ),
        (
            "eval clip.mp4 clip.mp4 --per-frame new/../rows.csv",
            "the predicted alpha",
        ),
        (&format!("run clip.mp4 --out {absolute}"), "clip.mp4"),
        (
            &format!("run file:{absolute} --out file://{absolute}"),
            "clip.mp4",
        ),
        ("run clip.mp4 --out soft.mp4", "clip.mp4"),
        ("run clip.mp4 --out soft2.mkv", "clip.mp4"),
        ("run clip.mp4 --out hard.mp4", "clip.mp4"),
        ("run soft.mp4 --out hard.mp4", "soft.mp4"),
        ("run clip.mp4 --out clip.mp4 --on-existing skip", "clip.mp4"),
        (
            "run a=clip.mp4 clip=other.mp4 --out {camera}.mp4",
            "the source of camera a",
        ),
        (
            "run other.mp4 --background video:bg.mp4 --out bg.mp4",
            "the background",
        ),
        (
            "run other.mp4 --background image:photos/frame_000001.png --out . --camera-id photos",
            "the background",
        ),
        ("run photos --out . --camera-id photos", "photos"),
        ("run photos/ --out . --camera-id album", "photos"),
        ("run album --out . --camera-id photos --format jpg", "album"),
        ("run photos/*.png --out . --camera-id photos", "frame_00000"),
        (
            "run photos/frame_%06d.png --out . --camera-id photos",
            "frame_00000",
        ),
        (
            "run photos/frame_000002.png --out . --camera-id photos",
            "frame_000002.png",
        ),
        // Frames of every format are removed, not only those of the new one.
        (
            "run photos/frame_000002.png --out . --camera-id photos --format jpg --on-existing \
             overwrite",
            "frame_000002.png",
        ),
        (
            "run other.mp4 --background video:photos --out . --camera-id photos",
            "the background",
        ),
        ("run photos --alpha-out . --camera-id photos", "alpha-out"),
        (
            "run a=other.mp4 photos=other.mp4 b=photos/frame_000001.png --out .",
            "the source of camera b",
        ),
        ("run lavfi:movie=clip.mp4 --out clip.mp4", "clip.mp4"),
        ("run list.ffconcat --out other.mp4", "other.mp4"),
        (
            "run other.mp4 --config settings.mkv --out settings.mkv",
            "the settings file",
        ),
        (
            "run other.mp4 --model model.mkv --out model.mkv",
            "the model",
        ),
        (
            "run other.mp4 --view=0 --token-file token.mkv --out token.mkv",
            "the file of the token",
        ),
        ("config clip.mp4 --out soft.mp4", "clip.mp4"),
        (
            "config run --background video:bg.mp4 --out bg.mp4",
            "the background",
        ),
        (
            "worker --background image:photos/frame_000001.png --out .",
            "the background",
        ),
        (
            "worker --kafka-ca photos/frame_000001.png --out .",
            "the certificate authority of Kafka",
        ),
        ("worker --model album/frame_000002.png --out .", "the model"),
        (
            "config worker --background image:photos/frame_000001.png --out .",
            "the background",
        ),
        (
            "eval clip.mp4 clip.mp4 --per-frame rows.csv",
            "the predicted alpha",
        ),
        (
            "dead-letters show 0:0 --config settings.mkv --value settings.mkv",
            "the settings file",
        ),
    ] {
        let args: Vec<&str> = line.split(' ').collect();
        assert_refused(&b.run(&args), &["replace", words, "another output"], line);
    }
    let from_environment = b.run_with(
        &["run"],
        &[("VIDEO_SRC", "clip.mp4"), ("OUTPUT_DIR", "hard.mp4")],
    );
    assert_refused(
        &from_environment,
        &["hard.mp4", "clip.mp4", "OUTPUT_DIR"],
        "variables",
    );
    assert!(tree(&b.path(".")) == before, "something has changed");
}

#[test]
fn a_redirection_does_not_replace_an_input() {
    let b = home();
    let before = tree(&b.path("."));
    let mut command = b.command(&["run", "-", "--out", "soft.mp4"]);
    command
        .stdin(File::open(b.path("clip.mp4")).unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let done = RunningProgram::start(command).finish(&["run - --out soft.mp4 < clip.mp4"]);
    assert_refused(&done, &["standard input", "replace"], "standard input");
    let mut command = b.command(&["run", "soft.mp4", "--out", "-"]);
    command
        .stdout(
            File::options()
                .append(true)
                .open(b.path("clip.mp4"))
                .unwrap(),
        )
        .stderr(Stdio::piped());
    let done = RunningProgram::start(command).finish(&["run soft.mp4 --out - >> clip.mp4"]);
    assert_refused(&done, &["standard output", "soft.mp4"], "standard output");
    assert!(tree(&b.path(".")) == before, "something has changed");
}

#[test]
fn two_outputs_do_not_replace_each_other() {
    let b = home();
    fs::create_dir(b.path("out")).unwrap();
    symlink("out", b.path("mattes")).unwrap();
    symlink("out/new.mp4", b.path("a.mp4")).unwrap();
    symlink("out/new.mp4", b.path("b.mp4")).unwrap();
    let before = tree(&b.path("."));
    for line in [
        "run clip.mp4 --out same --alpha-out same",
        "run clip.mp4 --out same --alpha-out ./photos/../same/",
        "run clip.mp4 --out out --alpha-out mattes",
        "run x=clip.mp4 y=other.mp4 --out new --alpha-out new",
        "run clip.mp4 --out new.mp4 --alpha-out new.mp4/",
        "run a=clip.mp4 b=other.mp4 --out {camera}.mp4",
    ] {
        let args: Vec<&str> = line.split(' ').collect();
        assert_refused(&b.run(&args), &["its own path"], line);
    }
    // The folders of cameras that do not exist yet cannot distinguish two outputs.
    let args = [
        "run",
        "x=clip.mp4",
        "y=other.mp4",
        "--out",
        "photos/../{camera}/../new.mp4",
    ];
    assert_refused(
        &b.run(&args),
        &["new.mp4", "so that each source gets its own"],
        "one file for two cameras",
    );
    assert!(tree(&b.path(".")) == before, "something has changed");
    // Two folders side by side are allowed.
    b.report(&[
        "run",
        "clip.mp4",
        "--frames",
        "1",
        "--out",
        "out",
        "--alpha-out",
        "out/alpha",
    ]);
    assert_eq!(
        (b.files("out/cam01"), b.files("out/alpha/cam01")),
        (
            vec!["frame_000000.png".into()],
            vec!["frame_000000.png".into()]
        )
    );
    b.report(&["run", "photos", "--frames", "1", "--out", "photos"]);
    assert_eq!(b.files("photos/cam01"), ["frame_000000.png"]);
}

#[test]
fn an_unsupported_extension_of_out_lists_the_supported_ones() {
    let b = home();
    fs::create_dir(b.path("folder.mp4")).unwrap();
    mkfifo(&b, "pipe");
    mkfifo(&b, "pipe.xyz");
    let _socket = std::os::unix::net::UnixListener::bind(b.path("socket.mkv")).unwrap();
    let _other = std::os::unix::net::UnixListener::bind(b.path("socket")).unwrap();
    let before = tree(&b.path("."));
    let takes = ".mp4 .mov .mkv .webm .ts .gif";
    for (out, words) in [
        ("/dev/video9", takes),
        ("/dev/null", "or none"),
        ("/dev/stdout", "- for standard output"),
        ("x.m3u8", takes),
        ("x.mpd", takes),
        ("out.xyz", "write out.xyz/"),
        ("clip.mp4.bak", takes),
        ("clip.avi", takes),
        ("pipe.xyz", takes),
        ("pipe:1", takes),
        ("s3a://bucket/out", "rtsp"),
        ("new/../x.m3u8", takes),
        ("topic:frames", takes),
        ("frames/%06d.png", "folder"),
        ("seg-%03d.mp4", "give a folder"),
        ("%Y-%m-%d.mkv", "give a folder"),
        ("out/{camera}", "needs no {camera}"),
        ("folder.mp4", "folder.mp4/"),
        ("pipe", "a pipe"),
        ("socket", "no folder"),
        ("socket.mkv", "socket"),
    ] {
        assert_refused(
            &b.run(&["run", "clip.mp4", "--out", out]),
            &[out, words],
            out,
        );
        assert_refused(
            &b.run(&["config", "--out", out]),
            &[out, words],
            &format!("config {out}"),
        );
        if out != "topic:frames" {
            let words = if matches!(out, "socket.mkv") {
                "a worker writes to a folder"
            } else {
                words
            };
            assert_refused(
                &b.run(&["worker", "--out", out]),
                &[words],
                &format!("worker {out}"),
            );
        }
    }
    for out in ["a.mp4", "-", "x.xyz", "rtsp://h/x", "pipe"] {
        assert_refused(
            &b.run(&["run", "clip.mp4", "--alpha-out", out]),
            &["alpha-out", "folder"],
            out,
        );
    }
    fs::write(b.path("mattebox.toml"), "out = \"x.m3u8\"").unwrap();
    assert_refused(
        &b.run(&["run", "clip.mp4"]),
        &["x.m3u8", "mattebox.toml"],
        "the settings file",
    );
    fs::remove_file(b.path("mattebox.toml")).unwrap();
    assert!(tree(&b.path(".")) == before, "something has changed");
}

#[test]
fn a_folder_may_have_dots_in_its_name() {
    let b = home();
    fs::create_dir(b.path("there.raw")).unwrap();
    for out in [
        "out.v2",
        "2026.11.28",
        "out.d",
        "new.xyz/",
        "there.raw",
        "folder.mp4/",
    ] {
        b.report(&["run", "clip.mp4", "--frames", "1", "--out", out]);
        assert_eq!(
            b.files(&format!("{out}/cam01")),
            ["frame_000000.png"],
            "{out}"
        );
    }
}

fn mkfifo(b: &Workspace, name: &str) {
    assert!(
        Command::new("mkfifo")
            .arg(b.path(name))
            .status()
            .expect("mkfifo runs")
            .success()
    );
}

fn is_pipe(b: &Workspace, name: &str) -> bool {
    b.path(name)
        .symlink_metadata()
        .expect("it is there")
        .file_type()
        .is_fifo()
}

#[test]
fn a_named_pipe_is_written_into() {
    let b = home();
    for name in ["p.mkv", "p.webm", "p.mp4", "p.mov", "p.ts", "p.gif"] {
        mkfifo(&b, name);
        let from = b.path(name);
        let to = b.path(&format!("got-{name}"));
        let reader = thread::spawn(move || {
            let mut bytes = Vec::new();
            File::open(from).unwrap().read_to_end(&mut bytes).unwrap();
            fs::write(to, bytes).unwrap();
        });
        // The setting for existing files does not concern a pipe.
        b.report(&["run", "clip.mp4", "--out", name, "--on-existing", "fail"]);
        reader.join().unwrap();
        assert!(is_pipe(&b, name), "{name}");
        assert_eq!(b.probe(&format!("got-{name}")), (3, 64, 48), "{name}");
    }
}

#[test]
fn a_reader_that_goes_away_is_an_error_that_names_the_pipe() {
    let b = home();
    mkfifo(&b, "p.mkv");
    symlink("p.mkv", b.path("link.mkv")).unwrap();
    let mut command = b.command(&[
        "run",
        "lavfi:testsrc2=size=640x360:rate=25",
        "--out",
        "link.mkv",
    ]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let running = RunningProgram::start(command);
    let mut begin = [0; 4];
    File::open(b.path("p.mkv"))
        .unwrap()
        .read_exact(&mut begin)
        .unwrap();
    assert_eq!(begin, [0x1a, 0x45, 0xdf, 0xa3], "Matroska");
    let done = running.finish(&["run to a pipe"]);
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert!(
        done.stderr.contains("link.mkv") && done.stderr.contains("its reader has closed the pipe"),
        "{}",
        done.stderr
    );
    assert!(is_pipe(&b, "p.mkv"));
    assert!(b.path("link.mkv").symlink_metadata().unwrap().is_symlink());
}

#[test]
fn a_run_waits_for_the_reader_of_a_pipe_until_a_signal() {
    let b = home();
    mkfifo(&b, "p.mkv");
    let args = ["run", &sample(), "--out", "p.mkv", "--progress", "none"];
    let mut command = b.command(&args);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    until("its handling of signals", || handles(&child, Signal::INT));
    // Long enough to have begun with the pipe.
    thread::sleep(Duration::from_millis(500));
    signal(&child, Signal::INT);
    signal(&child, Signal::TERM);
    let done = finish(child, &args);
    assert_eq!(done.code, Some(130), "{}", done.stderr);
    assert!(is_pipe(&b, "p.mkv"));
}

/// The names of frames.
fn frames(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|n| format!("frame_{n:06}.png")).collect()
}

#[test]
fn two_runs_at_once_do_not_share_a_folder() {
    let b = home();
    for (out, alpha) in [("output", "none"), ("named", "mattes")] {
        let mut args = vec![
            "run",
            "lavfi:testsrc2=size=64x48:rate=25",
            "--realtime",
            "--json",
        ];
        if out != "output" {
            args.extend(["--out", out, "--alpha-out", alpha]);
        }
        let mut command = b.command(&args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let first = RunningProgram::start(command);
        let folder = format!("{out}/cam01");
        until("frames of the first", || b.files(&folder).len() > 2);
        for line in [
            &format!("run clip.mp4 --out {out}")[..],
            &format!("run clip.mp4 --out {out} --on-existing overwrite"),
            &format!("run clip.mp4 --out {out} --append"),
            &format!("run other=clip.mp4 --out ./photos/../{out}"),
            &format!("run clip.mp4 --out none --view=0 --alpha-out {out}"),
        ] {
            let args: Vec<&str> = line.split(' ').collect();
            assert_refused(&b.run(&args), &["another run", "now", out, "--out"], line);
        }
        if out == "output" {
            let by_default = b.run(&["run", "clip.mp4"]);
            assert_refused(&by_default, &["another run", "output"], "by default");
        } else {
            let line = ["run", "clip.mp4", "--out", "new", "--alpha-out", alpha];
            assert_refused(&b.run(&line), &["another run", alpha], "its mattes");
        }
        let done = first.stop(&args);
        assert_eq!(done.code, Some(130), "{}", done.stderr);
        let report: serde_json::Value = serde_json::from_slice(&done.stdout).expect("JSON");
        let written = report["cameras"][0]["written"].as_u64().expect("a number");
        assert_eq!(b.files(&folder), frames(0..written), "{report}");
        for name in b.files(&folder) {
            let picture = image::load_from_memory(&b.read(&format!("{folder}/{name}")));
            assert_eq!(picture.expect("it is whole").width(), 64, "{name}");
        }
        assert_eq!(b.files(out), ["cam01"], "no other camera came");
    }
}

#[test]
fn a_run_that_was_killed_leaves_its_folder_to_the_next() {
    let b = home();
    let args = [
        "run",
        "lavfi:testsrc2=size=64x48:rate=25",
        "--realtime",
        "--out",
        "s",
    ];
    let mut command = b.command(&args);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let first = RunningProgram::start(command);
    until("a frame", || !b.files("s/cam01").is_empty());
    first.kill();
    b.report(&[
        "run",
        "clip.mp4",
        "--out",
        "s",
        "--on-existing",
        "overwrite",
    ]);
    assert_eq!(b.files("s/cam01"), frames(0..3));
}

#[test]
fn frames_in_a_folder_that_was_named_are_not_mixed_with_new_ones() {
    let b = home();
    b.report(&["run", "clip.mp4", "--out", "s", "--alpha-out", "a"]);
    // Frames of a version that stored no owner, or of another program.
    fs::create_dir_all(b.path("old/cam01")).unwrap();
    fs::copy(
        b.path("photos/frame_000001.png"),
        b.path("old/cam01/frame_000007.jpg"),
    )
    .unwrap();
    let before = tree(&b.path("."));
    for (line, folder, setting) in [
        (
            "run clip.mp4 --frames 1 --background red --out s",
            "s",
            "--out",
        ),
        ("run clip.mp4 --out s --format webp", "s", "--out"),
        ("run x=clip.mp4 cam01=other.mp4 --out s", "s", "--out"),
        ("run clip.mp4 --out old", "old", "--out"),
        (
            "run clip.mp4 --out none --view=0 --alpha-out a",
            "a",
            "--alpha-out",
        ),
        (
            "run clip.mp4 --out none --view=0 --alpha-out old",
            "old",
            "--alpha-out",
        ),
    ] {
        let args: Vec<&str> = line.split(' ').collect();
        let words = [
            &format!("{folder} already holds frames of camera cam01")[..],
            "--on-existing overwrite",
            "--append",
            &format!("({setting})"),
        ];
        assert_refused(&b.run(&args), &words, line);
    }
    let by_variable = b.run_with(&["run", "clip.mp4"], &[("OUTPUT_DIR", "s")]);
    assert_refused(&by_variable, &["s already holds frames"], "a variable");
    assert!(tree(&b.path(".")) == before, "something has changed");
    // Another camera has another folder.
    b.report(&["run", "x=clip.mp4", "--frames", "1", "--out", "s"]);
    assert_eq!(b.files("s/x"), frames(0..1));
    assert_eq!(b.files("s/cam01"), frames(0..3));
}

#[test]
fn frames_of_a_longer_run_do_not_stay_behind_those_that_replace_them() {
    let b = home();
    b.report(&["run", "clip.mp4", "--out", "s", "--alpha-out", "a"]);
    b.report(&["run", "x=clip.mp4", "--out", "s"]);
    fs::write(b.path("s/cam01/notes.txt"), "mine").unwrap();
    let before = tree(&b.path("s"));
    let args = [
        "run",
        "gone.mp4",
        "--out",
        "s",
        "--on-existing",
        "overwrite",
    ];
    assert_ne!(b.run(&args).code, Some(0));
    assert!(
        tree(&b.path("s")) == before,
        "a source that is not there costs no frames"
    );
    for format in ["jpg", "png"] {
        b.report(&[
            "run",
            "clip.mp4",
            "--frames",
            "1",
            "--format",
            format,
            "--out",
            "s",
            "--alpha-out",
            "a",
            "--on-existing",
            "overwrite",
        ]);
        let frame = format!("frame_000000.{format}");
        assert_eq!(b.files("s/cam01"), [&*frame, "notes.txt"]);
        assert_eq!(b.files("a/cam01"), frames(0..1));
    }
    assert_eq!(b.files("s/x"), frames(0..3), "another camera's frames stay");
}

#[test]
fn without_out_only_frames_of_runs_without_out_are_removed() {
    let b = home();
    b.report(&["run", "clip.mp4"]);
    b.report(&["run", "clip.mp4", "--frames", "1"]);
    assert_eq!(b.files("output/cam01"), frames(0..1));
    // A run with a named folder needs --on-existing, and then removes no frames without it.
    let named = ["run", "clip.mp4", "--out", "output"];
    assert_refused(&b.run(&named), &["already holds frames"], "named");
    b.report(&["run", "clip.mp4", "--frames", "2"]);
    b.report(&[&named[..], &["--on-existing", "overwrite"]].concat());
    let before = tree(&b.path("output"));
    for _ in 0..2 {
        let done = b.run(&["run", "clip.mp4", "--frames", "1"]);
        assert_refused(&done, &["output already holds frames", "cam01"], "unnamed");
    }
    assert!(tree(&b.path("output")) == before, "something has changed");
    // Frames of unknown origin are not removed either, not even after a run in the same folder.
    let b = home();
    fs::create_dir_all(b.path("output/x")).unwrap();
    fs::write(b.path("output/x/frame_000005.png"), "mine").unwrap();
    let of_x = ["run", "x=clip.mp4"];
    assert_refused(&b.run(&of_x), &["camera x"], "unknown");
    b.report(&["run", "clip.mp4"]);
    assert_refused(&b.run(&of_x), &["camera x"], "unknown, beside others");
    assert_eq!(b.read("output/x/frame_000005.png"), b"mine");
}

#[test]
fn append_goes_on_above_what_is_there() {
    let b = home();
    let run = |more: &[&str]| {
        let args = ["run", "clip.mp4", "--out", "s", "--alpha-out", "a"];
        b.report(&[&args, more].concat());
    };
    // In an empty folder the numbers begin at 0.
    run(&["--append", "--frames", "2"]);
    assert_eq!(b.files("s/cam01"), frames(0..2));
    let before = tree(&b.path("s/cam01"));
    run(&["--append", "--background", "red"]);
    assert_eq!(b.files("s/cam01"), frames(0..5));
    assert_eq!(b.files("a/cam01"), frames(0..5));
    let after = tree(&b.path("s/cam01"));
    assert!(before.iter().all(|(name, bytes)| after[name] == *bytes));
    // A picture and its matte keep one number.
    fs::remove_file(b.path("a/cam01/frame_000004.png")).unwrap();
    run(&["--append", "--frames", "1"]);
    assert!(b.files("s/cam01").contains(&"frame_000005.png".to_owned()));
    assert!(b.files("a/cam01").contains(&"frame_000005.png".to_owned()));
}

#[test]
fn the_folder_of_workers_is_not_for_runs() {
    let b = home();
    for (owner, words) in [
        (
            r#"{"version":1,"kind":"worker","cluster":"c","topic":"rooms","group":"night"}"#,
            &["group night", "topic rooms", ".mattebox/owner"][..],
        ),
        (
            r#"{"version":1,"kind":"spark","topic":"rooms","group":"night"}"#,
            &["Spark", "group night", "topic rooms", ".mattebox/owner"],
        ),
        (r#"{"version":99}"#, &["cannot be read", ".mattebox/owner"]),
    ] {
        let folder = b.path("s/.mattebox");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("owner"), owner).unwrap();
        fs::write(folder.join("lock"), "").unwrap();
        let before = tree(&b.path("."));
        for line in [
            "run clip.mp4 --out s",
            "run clip.mp4 --out s --on-existing overwrite",
            "run clip.mp4 --out s --append",
            "run clip.mp4 --out none --view=0 --alpha-out s",
        ] {
            let args: Vec<&str> = line.split(' ').collect();
            assert_refused(&b.run(&args), &[words, &["--out"]].concat(), line);
        }
        assert!(tree(&b.path(".")) == before, "something has changed");
    }
}
