//! Standard output and standard error that are closed or full, and flags whose value may be left
//! out: with the real binary.

use crate::kit::{ProgramOutput, Workspace, finish, repository, sample, shield};
use std::{
    fs::OpenOptions,
    process::{Command, Stdio},
};

/// Every command that prints, with arguments that end soon.
fn printing(clip: &str) -> Vec<Vec<String>> {
    let model = repository("crates/net/model/selfie_segmentation.tflite");
    [
        &["config"][..],
        &["config", "--json"],
        &["config", "worker"],
        &["doctor"],
        &["doctor", "--json"],
        &["completions", "bash"],
        &["man"],
        &["--help"],
        &["run", "--help"],
        &["--version"],
        &["model", &model],
        &["bench", "--size", "32x32", "--frames", "1"],
        &["bench", "--size", "32x32", "--frames", "1", "--json"],
        &["eval", clip, clip, "--json"],
        &["run", clip, "--frames", "1", "--out", "none", "--json"],
    ]
    .iter()
    .map(|args| args.iter().map(|arg| arg.to_string()).collect())
    .collect()
}

fn done(mut command: Command, what: &str) -> ProgramOutput {
    finish(command.spawn().expect("it starts"), &[what])
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output_is_one_line_and_exit_code_1() {
    let b = Workspace::new();
    b.ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=64x64:rate=5",
        "-t",
        "1",
        "clip.mp4",
    ]);
    for args in printing("clip.mp4") {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut command = b.command(&args);
        command
            .stdout(OpenOptions::new().write(true).open("/dev/full").unwrap())
            .stderr(Stdio::piped());
        let done = done(command, "a full standard output");
        assert_eq!(done.code, Some(1), "{args:?}: {}", done.stderr);
        assert!(
            done.stderr.contains("cannot write to standard output"),
            "{args:?}: {}",
            done.stderr
        );
        assert!(
            !done.stderr.contains("panicked"),
            "{args:?}: {}",
            done.stderr
        );
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_closes_early_is_no_failure() {
    let b = Workspace::new();
    b.ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=64x64:rate=5",
        "-t",
        "1",
        "clip.mp4",
    ]);
    for args in printing("clip.mp4") {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = b.command(&args);
        command.stdout(writer).stderr(Stdio::piped());
        let done = done(command, "a closed standard output");
        assert_eq!(done.code, Some(0), "{args:?}: {}", done.stderr);
        assert!(
            !done.stderr.contains("panicked") && !done.stderr.contains("standard output"),
            "{args:?}: {}",
            done.stderr
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_standard_error_that_cannot_be_written_stops_nothing() {
    let b = Workspace::new();
    let clip = sample();
    let full = || Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap());
    for style in ["bar", "lines", "auto"] {
        for format in ["text", "json"] {
            let mut command = b.command(&[
                "run",
                &clip,
                "--frames",
                "3",
                "--progress",
                style,
                "--log-level",
                "debug",
                "--log-format",
                format,
            ]);
            command.stdout(Stdio::null()).stderr(full());
            assert_eq!(done(command, style).code, Some(0), "{style} {format}");
        }
    }
    for (args, code) in [
        (&["run", "nowhere.mp4"][..], 2),
        (&["run", "--no-such-flag"], 2),
        (&["eval", "a", "b"], 1),
        (&["config", "--fps", "x"], 2),
    ] {
        let mut command = b.command(args);
        command.stdout(Stdio::null()).stderr(full());
        assert_eq!(done(command, "a mistake").code, Some(code), "{args:?}");
        // The same with standard error closed.
        let mut closed = Command::new("sh");
        shield(&mut closed)
            .args(["-c", "exec \"$@\" 2>&-", "sh"])
            .arg(b.command(args).get_program())
            .args(args)
            .current_dir(b.path("."));
        closed.stdin(Stdio::null()).stdout(Stdio::null());
        assert_eq!(done(closed, "a mistake").code, Some(code), "{args:?}");
    }
}

#[test]
fn a_switch_takes_its_value_and_leaves_the_source() {
    let b = Workspace::new();
    let config = |args: &[&str]| -> serde_json::Value {
        let done = b.run(&[&["config", "--json"], args].concat());
        assert_eq!(done.code, Some(0), "{args:?}: {}", done.stderr);
        serde_json::from_slice(&done.stdout).unwrap()
    };
    for (args, key, value) in [
        (&["--loop", "clip.mp4"][..], "loop", true),
        (&["--loop", "true", "clip.mp4"], "loop", true),
        (&["--loop", "false", "clip.mp4"], "loop", false),
        (&["--loop=false", "clip.mp4"], "loop", false),
        (&["clip.mp4", "--loop"], "loop", true),
        (&["--realtime", "clip.mp4"], "realtime", true),
        (&["--live", "clip.mp4"], "live", true),
        (&["--skip-still", "clip.mp4"], "skip_still", true),
        (
            &["--foreground-cleanup", "false", "clip.mp4"],
            "foreground_cleanup",
            false,
        ),
        (&["--show-raw", "clip.mp4"], "show_raw", true),
        (&["--show-raw", "false", "clip.mp4"], "show_raw", false),
    ] {
        let json = config(args);
        assert_eq!(
            (&json[key]["value"], &json["source"]["value"]),
            (&value.into(), &serde_json::json!(["clip.mp4"])),
            "{args:?}"
        );
    }
    for (args, view) in [
        (
            &["clip.mp4", "--view", "127.0.0.1:9481"][..],
            "127.0.0.1:9481",
        ),
        (&["--view", "127.0.0.1:9481", "clip.mp4"], "127.0.0.1:9481"),
        (&["--view=:9481", "clip.mp4"], ":9481"),
        (&["--view", ":9481", "clip.mp4"], ":9481"),
        (&["--view", "9481", "clip.mp4"], "9481"),
        (&["--view", "[::1]:9481", "clip.mp4"], "[::1]:9481"),
        (&["--view", "clip.mp4"], "true"),
        (&["--view", "true", "clip.mp4"], "true"),
    ] {
        let json = config(args);
        assert_eq!(
            (&json["view"]["value"], &json["source"]["value"]),
            (&view.into(), &serde_json::json!(["clip.mp4"])),
            "{args:?}"
        );
    }
    let done = b.run_with(
        &["config", "--json"],
        &[
            ("MATTEBOX_LOOP", "true"),
            ("MATTEBOX_VIEW", "127.0.0.1:9481"),
        ],
    );
    let json: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(
        (&json["loop"]["value"], &json["view"]["value"]),
        (&true.into(), &"127.0.0.1:9481".into())
    );
    let done = b.run(&["run", "--loop", "yes", "clip.mp4"]);
    assert!(
        done.code == Some(2) && done.stderr.contains("yes") && done.stderr.contains("--loop"),
        "{}",
        done.stderr
    );
    let report = b.report(&[
        "run",
        "--loop",
        &sample(),
        "--frames",
        "80",
        "--out",
        "none",
    ]);
    assert_eq!(report["cameras"][0]["skipped"], 80, "no viewer sees them");
}

#[test]
fn a_bad_level_format_or_progress_is_refused_from_every_place() {
    let b = Workspace::new();
    for (key, variable, bad, good) in [
        (
            "log_level",
            "MATTEBOX_LOG_LEVEL",
            &[
                "loud",
                "",
                "infoo",
                "mattebox",
                "info,loud",
                "mattebox=loud",
            ][..],
            &["debug", "WARN", "off", "info,mattebox_kafka=debug"][..],
        ),
        (
            "log_format",
            "MATTEBOX_LOG_FORMAT",
            &["xml", "", "JSON5"],
            &["text", "json"],
        ),
        (
            "progress",
            "MATTEBOX_PROGRESS",
            &["bars", ""],
            &["auto", "none"],
        ),
    ] {
        let flag = format!("--{}", key.replace('_', "-"));
        for value in bad {
            for args in [
                &["config"][..],
                &["config", "view"],
                &["run", "x.mp4"],
                &["worker"],
                &["dead-letters", "list"],
            ] {
                let done = b.run(&[args, &[&flag, value]].concat());
                assert!(
                    done.code == Some(2) && done.stderr.contains(&flag),
                    "{args:?} {flag} {value}: {}",
                    done.stderr
                );
            }
            let done = b.run_with(&["config"], &[(variable, value)]);
            assert!(
                done.code == Some(2) && done.stderr.contains(variable),
                "{variable}={value}: {}",
                done.stderr
            );
            std::fs::write(b.path("m.toml"), format!("{key} = {value:?}")).unwrap();
            let done = b.run(&["config", "-c", "m.toml"]);
            assert!(
                done.code == Some(2) && done.stderr.contains("m.toml"),
                "{value}: {}",
                done.stderr
            );
        }
        for value in good {
            let done = b.run(&["config", &flag, value]);
            assert_eq!(done.code, Some(0), "{flag} {value}: {}", done.stderr);
        }
    }
}

#[test]
fn an_error_is_told_once() {
    let b = Workspace::new();
    let done = b.run(&["run", "clip.mp4", "--config", "nope.toml"]);
    assert_eq!(
        (done.code, done.stderr.matches("No such file").count()),
        (Some(2), 1),
        "{}",
        done.stderr
    );
    b.ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=64x64:rate=5",
        "-t",
        "1",
        "a.mp4",
    ]);
    b.ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=32x32:rate=5",
        "-t",
        "1",
        "b.mp4",
    ]);
    let done = b.run(&["eval", "a.mp4", "b.mp4"]);
    let text = done
        .stderr
        .trim()
        .trim_start_matches("mattebox: ")
        .to_owned();
    let half = &text[..text.len() / 2];
    assert!(
        done.code == Some(1)
            && text.matches(half).count() == 1
            && text.matches("64x64").count() == 1,
        "{text}"
    );
    let done = b.run(&["run", "a/b=clip.mp4"]);
    assert!(
        done.code == Some(2)
            && done.stderr.contains("source \"a/b=clip.mp4\"")
            && !done.stderr.contains("default"),
        "{}",
        done.stderr
    );
}
