//! The settings file in force and its limits, with the real binary.

use crate::kit::{RunningPage, Workspace, executable, sample};
use std::fs;

/// Says that it ran, and is no FFmpeg.
#[cfg(unix)]
fn evil(b: &Workspace) {
    executable(&b.path("evil.sh"), "#!/bin/sh\ntouch ran\n");
}

#[cfg(unix)]
#[test]
fn a_found_file_runs_no_program_opens_no_port_and_sends_nothing() {
    let b = Workspace::new();
    evil(&b);
    fs::copy(sample(), b.path("clip.mp4")).unwrap();
    for (text, key) in [
        ("ffmpeg = \"./evil.sh\"", "ffmpeg"),
        ("run.ffmpeg = \"./evil.sh\"", "ffmpeg"),
        ("run = { ffmpeg = \"./evil.sh\" }", "ffmpeg"),
        ("\"ffmpeg\" = \"./evil.sh\"", "ffmpeg"),
        ("fps = 5\n[run]\nffmpeg = \"./evil.sh\"", "ffmpeg"),
        ("[worker]\nffmpeg2 = 1", "ffmpeg2"),
        ("view = \"0.0.0.0:0\"", "view"),
        ("token = \"0123456789abcdef\"", "token"),
        ("view = \"[::]:0\"", "view"),
        ("show_raw = true", "show_raw"),
        ("view_host = [\"evil.example\"]", "view_host"),
        ("token_file = \"/etc/passwd\"", "token_file"),
        ("metrics = \"0.0.0.0:0\"", "metrics"),
        ("otlp = \"http://127.0.0.1:4318\"", "otlp"),
        ("kafka = \"evil.example:9092\"", "kafka"),
        (
            "kafka_option = [\"plugin.library.paths=./evil.so\"]",
            "kafka_option",
        ),
        (
            "kafka_password_file = \"/etc/passwd\"",
            "kafka_password_file",
        ),
        ("out = \"rtmp://evil.example/live/key\"", "out"),
        ("out = \"/tmp/elsewhere.mp4\"", "out"),
        ("alpha_out = \"srt://evil.example:1\"", "alpha_out"),
        ("source = [\"door=lavfi:movie=a.mp4\"]", "source"),
        ("source = [\"lavfi:movie=/etc/passwd\"]", "source"),
        ("background = \"video:http://evil.example/a\"", "background"),
        ("model = \"evil.tflite\"", "model"),
        ("[camera]\nkafka = \"evil.example:9092\"", "kafka"),
    ] {
        fs::write(b.path("mattebox.toml"), text).unwrap();
        for args in [
            &["run", "clip.mp4", "--frames", "1"][..],
            &["config"],
            &["camera", "clip.mp4", "--once"],
            &["worker"],
            &["view", "x"],
        ] {
            let done = b.run(args);
            assert_eq!(done.code, Some(2), "{text} {args:?}: {}", done.stderr);
            for word in ["mattebox.toml", key] {
                assert!(
                    done.stderr.contains(word),
                    "{text} {args:?}: {word} is missing in {}",
                    done.stderr
                );
            }
            if key != "ffmpeg2" {
                assert!(
                    done.stderr.contains("--config mattebox.toml"),
                    "{}",
                    done.stderr
                );
            }
        }
        let doctor = b.run(&["doctor"]);
        let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
        assert!(
            doctor.code == Some(1) && said.contains("mattebox.toml") && said.contains(key),
            "{said}"
        );
    }
    assert!(!b.path("ran").exists(), "the program of the file ran");
    // The message has the line.
    fs::write(
        b.path("mattebox.toml"),
        "fps = 5\n\n[run]\n  ffmpeg = \"./evil.sh\"\n",
    )
    .unwrap();
    let done = b.run(&["run", "clip.mp4"]);
    assert!(done.stderr.contains("line 4"), "{}", done.stderr);
    assert!(!b.path("output").exists());
}

#[cfg(unix)]
#[test]
fn a_named_file_may_hold_every_setting() {
    let b = Workspace::new();
    evil(&b);
    fs::write(
        b.path("mattebox.toml"),
        "ffmpeg = \"./evil.sh\"\nshow_raw = true\nkafka = \"broker.example:9092\"\n",
    )
    .unwrap();
    assert_eq!(
        b.run(&["config", "--config", "mattebox.toml"]).code,
        Some(0)
    );
    assert_eq!(
        b.run_with(
            &["config", "worker"],
            &[("MATTEBOX_CONFIG", "mattebox.toml")]
        )
        .code,
        Some(0)
    );
    fs::copy(sample(), b.path("clip.mp4")).unwrap();
    assert_ne!(
        b.run(&["run", "clip.mp4", "--config", "mattebox.toml"])
            .code,
        Some(0)
    );
    assert!(b.path("ran").exists(), "the named file chose the program");
}

#[test]
fn the_settings_file_in_force_is_named() {
    let b = Workspace::new();
    let clip = sample();
    fs::write(
        b.path("mattebox.toml"),
        "jpeg_quality = 70\nlog_level = \"error\"\n",
    )
    .unwrap();
    fs::write(b.path("other.toml"), "jpeg_quality = 60\n").unwrap();
    // It cannot hide the message that names it.
    let done = b.run(&["run", &clip, "--frames", "1"]);
    assert!(
        done.stderr
            .contains("settings file: mattebox.toml (found in the working directory)"),
        "{}",
        done.stderr
    );
    let done = b.run(&["run", &clip, "--frames", "1", "--config", "other.toml"]);
    assert!(
        done.stderr.contains("settings file: other.toml") && !done.stderr.contains("found"),
        "{}",
        done.stderr
    );
    let done = b.run(&["run", &clip, "--frames", "1", "--log-format", "json"]);
    let first = done.stderr.lines().next().unwrap_or_default();
    assert!(
        first.starts_with('{') && first.contains("settings file: mattebox.toml"),
        "{}",
        done.stderr
    );

    let text = |args: &[&str]| String::from_utf8_lossy(&b.run(args).stdout).into_owned();
    let line = |text: String| {
        text.lines()
            .find(|line| line.trim_start().starts_with("config"))
            .unwrap_or_default()
            .to_owned()
    };
    let found = line(text(&["config"]));
    assert!(
        found.contains("mattebox.toml") && found.contains("found in the working directory"),
        "{found}"
    );
    assert!(line(text(&["config", "worker", "-c", "other.toml"])).contains("other.toml"));
    assert!(text(&["doctor"]).contains("mattebox.toml (found in the working directory)"));
    let json: serde_json::Value =
        serde_json::from_slice(&b.run(&["config", "--json"]).stdout).unwrap();
    assert_eq!(json["config"]["value"], "mattebox.toml");
    fs::remove_file(b.path("mattebox.toml")).unwrap();
    assert!(line(text(&["config"])).contains("(none)"));
    assert!(text(&["doctor"]).contains("no settings file"));
    assert!(
        !b.run(&["run", &clip, "--frames", "1"])
            .stderr
            .contains("settings file")
    );
}

#[cfg(unix)]
#[test]
fn a_found_file_that_others_can_write_is_refused() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let b = Workspace::new();
    let path = b.path("mattebox.toml");
    fs::write(&path, "fps = 5\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let done = b.run(&["config"]);
    assert!(
        done.code == Some(2) && done.stderr.contains("every user can write"),
        "{}",
        done.stderr
    );
    assert_eq!(
        b.run(&["config", "--config", "mattebox.toml"]).code,
        Some(0)
    );
    // A link counts as its target.
    fs::rename(&path, b.path("real.toml")).unwrap();
    symlink("real.toml", &path).unwrap();
    assert_eq!(b.run(&["config"]).code, Some(2));
    fs::set_permissions(b.path("real.toml"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(b.run(&["config"]).code, Some(0));
    fs::write(b.path("real.toml"), "show_raw = true\n").unwrap();
    assert_eq!(b.run(&["config"]).code, Some(2));
    // A pipe would wait for ever.
    fs::remove_file(&path).unwrap();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    let done = b.run(&["config"]);
    assert!(
        done.code == Some(2) && done.stderr.contains("no file"),
        "{}",
        done.stderr
    );
    fs::remove_file(&path).unwrap();
    if std::os::unix::fs::chown(b.path("real.toml"), Some(12345), None).is_ok() {
        fs::rename(b.path("real.toml"), &path).unwrap();
        let done = b.run(&["config"]);
        assert!(
            done.code == Some(2) && done.stderr.contains("another user"),
            "{}",
            done.stderr
        );
    }
}

#[cfg(unix)]
#[test]
fn a_hangup_obeys_the_limits_of_a_found_file() {
    let b = Workspace::new();
    fs::write(b.path("mattebox.toml"), "background = \"gray\"\n").unwrap();
    let clip = sample();
    let command = b.command(&[
        "run",
        &clip,
        "--loop",
        "--realtime",
        "--out",
        "none",
        "--view=127.0.0.1:0",
        "--progress",
        "none",
    ]);
    let page = RunningPage::start(&b, command, "log");
    fs::write(
        b.path("mattebox.toml"),
        "background = \"#ff0000\"\nffmpeg = \"./evil.sh\"\n",
    )
    .unwrap();
    page.until("its refusal", |page| {
        page.hang_up();
        page.said("the settings stay as they were") && page.said("`ffmpeg` does not count")
    });
    assert_eq!(page.camera()["settings"]["background"], "#c0c0c0");
    fs::write(b.path("mattebox.toml"), "background = \"#ff0000\"\n").unwrap();
    page.until("the new background", |page| {
        page.hang_up();
        page.camera()["settings"]["background"] == "#ff0000"
    });
    assert_eq!(page.stop().0.code, Some(130));
}
