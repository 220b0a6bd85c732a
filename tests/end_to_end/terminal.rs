//! The output on a terminal: errors, help, progress, the last line, manual pages and completions,
//! with the real binary, a real terminal and a real shell.

use crate::kit::{
    ProgramOutput, Signal, Workspace, finish, free_port, handles, repository, sample, shield,
    signal, until,
};
use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

/// It failed with this code, and its only output is one line of ours with these words.
#[track_caller]
fn assert_one_line(done: &ProgramOutput, code: i32, words: &[&str]) {
    assert_eq!(done.code, Some(code), "{}", done.stderr);
    assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
    assert!(done.stderr.starts_with("mattebox: "), "{}", done.stderr);
    for word in words {
        assert!(
            done.stderr.contains(word),
            "{word:?} is missing in: {}",
            done.stderr
        );
    }
}

fn last_line(done: &ProgramOutput) -> &str {
    done.stderr.lines().last().unwrap_or_default()
}

#[test]
fn one_error_is_one_line() {
    let b = Workspace::new();
    fs::create_dir(b.path("empty")).unwrap();
    fs::write(b.path("junk.mp4"), "junk").unwrap();
    fs::write(b.path("secret.mp4"), "junk").unwrap();
    fs::set_permissions(b.path("secret.mp4"), fs::Permissions::from_mode(0o000)).unwrap();
    let refused = format!("rtsp://127.0.0.1:{}/x", free_port());
    for (args, code, words) in [
        (
            &["run", "nosuch.mp4"][..],
            2,
            &["nosuch.mp4: no such file"][..],
        ),
        (&["run", "junk.mp4"], 1, &["junk.mp4: "]),
        (
            &["run", "empty"],
            2,
            &["empty: the folder holds no pictures"],
        ),
        (&["run", "httpx://h/x"], 2, &["httpx://h/x: ", "protocol"]),
        (
            &[
                "run",
                &refused,
                "--connect-timeout",
                "1s",
                "--log-level",
                "error",
            ],
            3,
            &[
                "could not be reached",
                "connection refused: is the camera on",
            ],
        ),
        (
            &["run", &sample(), "--ffmpeg", "/nowhere/ffmpeg"],
            1,
            &["/nowhere/ffmpeg", "install ffmpeg"],
        ),
        (
            &["run", &sample(), "--matte", "fuzzy"],
            2,
            &["--matte fuzzy"],
        ),
        (&["run"], 2, &["no source was given"]),
        (&["run", "doctor"], 2, &["did you mean `mattebox doctor`?"]),
    ] {
        assert_one_line(&b.run(args), code, words);
    }
    // For root every file is readable.
    if fs::File::open(b.path("secret.mp4")).is_err() {
        assert_one_line(&b.run(&["run", "secret.mp4"]), 2, &["permission denied"]);
    }
}

#[test]
fn the_log_level_decides_how_much_is_said_of_an_error() {
    let b = Workspace::new();
    fs::write(b.path("junk.mp4"), "junk").unwrap();
    let done = b.run(&["run", "junk.mp4", "-v"]);
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.contains("DEBUG"), "{}", done.stderr);
    assert!(last_line(&done).starts_with("mattebox: junk.mp4: "));
    let flag = b.run(&["run", "junk.mp4", "-v", "--log-level", "warn"]);
    assert!(!flag.stderr.contains("DEBUG"), "{}", flag.stderr);
    let json = b.run(&["run", "junk.mp4", "--log-format", "json"]);
    let first = json.stderr.lines().next().expect("a line");
    let first: serde_json::Value = serde_json::from_str(first).expect("JSON");
    assert_eq!(first["level"], "ERROR");
}

#[test]
fn a_dead_camera_is_reported_once_and_the_other_one_finishes() {
    let b = Workspace::new();
    let good = format!("good={}", sample());
    let done = b.run(&["run", "bad=nosuch.mp4", &good, "--frames", "3"]);
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    assert_eq!(
        done.stderr.matches("no such file").count(),
        1,
        "{}",
        done.stderr
    );
    let lines: Vec<_> = done.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert_eq!(lines[1], "good: 3 pictures in output/good/");
    assert!(
        lines[2].starts_with("mattebox: 1 of 2 cameras failed: bad"),
        "{lines:#?}"
    );
}

#[test]
fn the_last_line_has_counts_and_the_output() {
    let b = Workspace::new();
    let frames = ["--frames", "50"];
    for (out, says) in [
        (&[][..], "50 pictures in output/cam01/"),
        (
            &["--camera-id", "door", "--frames", "1"],
            "1 picture in output/door/",
        ),
        (&["--out", "call.mp4"], "call.mp4: 50 frames, 2.0 s"),
        (
            &["--out", "none"],
            "50 frames read, nothing written (--out none)",
        ),
        (
            &["--out", "none", "--alpha-out", "mattes"],
            "50 mattes in mattes/cam01/",
        ),
        (
            &["--name", "{date}/{camera}/{number}", "--out", "dated"],
            "50 pictures in dated/",
        ),
    ] {
        // A flag that is given twice is an error.
        let limit = if out.contains(&"--frames") {
            &[][..]
        } else {
            &frames
        };
        let clip = sample();
        let done = b.run(&[&["run", &clip], out, limit].concat());
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert_eq!(last_line(&done), says, "{}", done.stderr);
        assert!(!done.stderr.contains("CPU ms"), "{}", done.stderr);
    }
    let again = b.run(&["run", &sample(), "--frames", "60", "--on-existing", "skip"]);
    assert_eq!(
        last_line(&again),
        "10 pictures in output/cam01/, 50 skipped, because they are there already"
    );
    let raw = b.run(&[
        "run",
        &sample(),
        "--frames",
        "3",
        "-o",
        "-",
        "--format",
        "raw",
    ]);
    assert_eq!(last_line(&raw), "3 frames to standard output");
}

#[test]
fn tables_are_printed_on_request_and_json_is_alone() {
    let b = Workspace::new();
    for flag in ["--stats", "-v"] {
        let done = b.run(&["run", &sample(), "--frames", "3", flag]);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        for word in ["CPU ms per frame", "segment", "from read to written"] {
            assert!(done.stderr.contains(word), "{flag}: {}", done.stderr);
        }
        assert_eq!(last_line(&done), "3 pictures in output/cam01/");
    }
    let none = b.run(&[
        "run",
        &sample(),
        "--frames",
        "3",
        "--out",
        "none",
        "--stats",
    ]);
    let row = none.stderr.lines().find(|line| line.starts_with(" cam01"));
    let row = row.expect("a row").trim_end();
    assert!(row.ends_with(" -"), "{row}");
    let json = Workspace::new().run(&["run", &sample(), "--frames", "3", "--json"]);
    serde_json::from_slice::<serde_json::Value>(&json.stdout).expect("JSON and nothing else");
    assert_eq!(json.stderr, "");
}

#[test]
fn a_mistyped_word_gets_a_suggestion() {
    let b = Workspace::new();
    fs::write(b.path("clip.mp4"), "").unwrap();
    for (args, says) in [
        (
            &["run", "x", "--fsp", "3"][..],
            "unknown flag --fsp: did you mean --fps?",
        ),
        (
            &["run", "x", "--bakground=blur"],
            "unknown flag --bakground: did you mean --background?",
        ),
        (
            &["rnu"],
            "`rnu` is not a command: did you mean `mattebox run`?",
        ),
        (
            &["dead-letters", "lst"],
            "`lst` is not a command: did you mean `mattebox dead-letters list`?",
        ),
        (
            &["clip.mp4"],
            "`clip.mp4` is not a command: did you mean `mattebox run clip.mp4`?",
        ),
        (
            &["0"],
            "`0` is not a command: did you mean `mattebox run 0`?",
        ),
        (
            &["run", "x", "--group", "g"],
            "unknown flag --group: `mattebox worker` has it, `mattebox run` has not",
        ),
        (
            &["completions", "fihs"],
            "SHELL fihs: use bash, elvish, fish, powershell or zsh; did you mean fish?",
        ),
        (
            &["run", "x", "--fps"],
            "--fps needs a value; see `mattebox run --help`",
        ),
        (
            &["completions"],
            "<SHELL> is missing; see `mattebox completions --help`",
        ),
        (&["run", "x", "--json=1"], "--json takes no value"),
        (
            &["run", "--loop", "yes", "x"],
            "--loop yes: use true or false",
        ),
        (
            &["doctor", "x"],
            "`x` is an unexpected argument; see `mattebox doctor --help`",
        ),
    ] {
        let done = b.run(args);
        assert_one_line(&done, 2, &[]);
        assert_eq!(done.stderr.trim_end(), format!("mattebox: {says}"));
    }
    for (file, says) in [
        (
            "bakground = \"blur\"",
            "line 1: unknown key `bakground`: did you mean `background`?",
        ),
        (
            "max-width = 3",
            "line 1: unknown key `max-width`: did you mean `max_width`?",
        ),
        (
            "[wroker]\nfps = 3",
            "line 1: unknown key `wroker`: did you mean `worker`?",
        ),
        (
            "[camera]\nfsp = 3",
            "line 2: unknown key `fsp`: did you mean `fps`?",
        ),
        (
            "zzz = 3",
            "line 1: unknown key `zzz`: keys are the names of flags",
        ),
    ] {
        fs::write(b.path("m.toml"), file).unwrap();
        assert_one_line(&b.run(&["run", "x", "-c", "m.toml"]), 2, &[says]);
    }
}

#[test]
fn a_bad_number_is_refused_in_plain_words() {
    let b = Workspace::new();
    for (flag, value, says) in [
        ("--fps", "abc", "not a number; use one such as 10 or 29.97"),
        ("--fps", "-1", "it must be greater than 0 and at most 1000"),
        ("--fps", "0", "it must be greater than 0 and at most 1000"),
        ("--fps", "NaN", "not a number; use one such as 10 or 29.97"),
        ("--fps", "inf", "the number is too large"),
        ("--fps", "1e400", "the number is too large"),
        ("--max-width", "0", "it must be between 1 and 65535"),
        ("--max-width", "wide", "not a number; use one such as 640"),
        ("--max-width", "640.5", "use a whole number, such as 640"),
        (
            "--frames",
            "99999999999999999999",
            "the number is too large",
        ),
    ] {
        let done = b.run(&["run", "x.mp4", flag, value]);
        assert_one_line(&done, 2, &[]);
        assert_eq!(
            done.stderr.trim_end(),
            format!("mattebox: {flag} {value}: {says}")
        );
    }
    for value in ["nan", "inf", "-1.0"] {
        fs::write(b.path("m.toml"), format!("fps = {value}")).unwrap();
        let done = b.run(&["run", "x.mp4", "-c", "m.toml"]);
        assert_eq!(done.code, Some(2));
        assert!(
            last_line(&done).contains("greater than 0"),
            "{}",
            done.stderr
        );
    }
}

#[test]
fn the_first_screen_says_how_to_begin_and_each_help_is_as_long_as_asked() {
    let b = Workspace::new();
    let text = |args: &[&str]| {
        let done = b.run(args);
        assert_eq!(done.code, Some(0), "{args:?}: {}", done.stderr);
        String::from_utf8(done.stdout).expect("text")
    };
    let first = text(&["--help"]);
    for word in [
        "mattebox doctor",
        "mattebox run clip.mp4",
        "mattebox run 0 -b blur --out none --view",
        "mattebox run photos/ -b transparent",
        "mattebox worker --kafka",
        "130  stopped by Ctrl-C",
        "/docs",
    ] {
        assert!(first.contains(word), "{word:?} is missing in {first}");
    }
    let (short, long) = (text(&["run", "-h"]), text(&["run", "--help"]));
    let words = long.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(short.lines().count() * 3 < long.lines().count(), "{short}");
    assert!(
        !short.contains("--rtsp-transport") && !short.contains("MATTEBOX_"),
        "{short}"
    );
    for word in [
        "--rtsp-transport",
        "MATTEBOX_RTSP_TRANSPORT",
        "[default: superfast]",
        "1m30s, 250ms",
    ] {
        assert!(words.contains(word), "{word:?} is missing in {long}");
    }
}

/// Runs the binary on a terminal of this width, and returns its output there.
fn on_terminal(b: &Workspace, columns: u16, env: &[(&str, &str)], args: &[&str]) -> String {
    let quoted: Vec<_> = args.iter().map(|arg| format!("'{arg}'")).collect();
    let program = env!("CARGO_BIN_EXE_mattebox");
    let line = format!(
        "stty cols {columns} rows 40; exec '{program}' {}",
        quoted.join(" ")
    );
    let mut command = Command::new("script");
    shield(&mut command)
        .args(["-q", "-e", "-c", &line, "/dev/null"])
        .env("TERM", "xterm-256color")
        .envs(env.iter().copied())
        .current_dir(b.path("."))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let done = finish(command.spawn().expect("script starts"), args);
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// The lines on the terminal one after the other, without control sequences.
fn lines(written: &str, columns: u16) -> Vec<String> {
    let mut plain = String::new();
    let mut rest = written;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain += before;
        let end = after.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(0);
        plain.push('\n');
        rest = after.get(end + 1..).unwrap_or_default();
    }
    plain += rest;
    // A full line continues in the next one.
    let width = usize::from(columns);
    let wrap = |line: &str| {
        let all: Vec<_> = line.chars().collect();
        let rows = all.chunks(width).map(|row| row.iter().collect::<String>());
        rows.collect::<Vec<_>>()
    };
    plain
        .split(['\n', '\r'])
        .flat_map(wrap)
        .map(|line| line.trim_end().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

#[test]
fn bars_keep_their_digits_in_place_and_fit_the_terminal() {
    let b = Workspace::new();
    for columns in [80, 120] {
        let args = [
            "run",
            &sample(),
            "--realtime",
            "--out",
            "x.mp4",
            "--on-existing",
            "overwrite",
        ];
        let written = on_terminal(&b, columns, &[], &args);
        let lines = lines(&written, columns);
        let bars: Vec<_> = lines.iter().filter(|line| line.contains(" fps ")).collect();
        assert!(bars.len() > 5, "{lines:#?}");
        let places = |line: &str| {
            ["/75 frames ", " fps ", " ms "].map(|word| {
                line.chars().count() - line.find(word).map_or(0, |at| line[at..].chars().count())
            })
        };
        for bar in &bars {
            assert!(bar.starts_with("cam01 "), "it needs two lines: {lines:#?}");
        }
        // Before it is known how long it takes, the bar is longer.
        let known: Vec<_> = bars.iter().filter(|bar| bar.contains(" left")).collect();
        assert!(known.len() > 5, "{bars:#?}");
        for bar in &known {
            assert_eq!(places(bar), places(known[0]), "{bars:#?}");
        }
        assert_eq!(
            lines.last().map(String::as_str),
            Some("x.mp4: 75 frames, 3.0 s")
        );
    }
}

#[test]
fn a_dead_camera_is_marked_in_bars_and_in_lines() {
    let b = Workspace::new();
    let dead = format!("yard=rtsp://127.0.0.1:{}/x", free_port());
    let good = format!("door={}", sample());
    let args = ["run", &good, &dead, "--realtime", "--loop", "--out", "none"];
    let line = format!(
        "timeout -s INT 4 '{}' {}",
        env!("CARGO_BIN_EXE_mattebox"),
        args.join(" ")
    );
    let mut command = Command::new("script");
    shield(&mut command)
        .args(["-q", "-c", &format!("stty cols 80; {line}"), "/dev/null"])
        .env("TERM", "xterm")
        .current_dir(b.path("."))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let done = finish(command.spawn().expect("script starts"), &args);
    let written = String::from_utf8_lossy(&done.stdout).into_owned();
    let all = lines(&written, 80);
    let marked = |line: &&String| line.starts_with("yard ") && line.contains("not reached for 0:0");
    let bar = all
        .iter()
        .find(marked)
        .unwrap_or_else(|| panic!("{all:#?}"));
    assert!(
        bar.chars().count() <= 80 && bar.contains(": connection refused"),
        "{bar}"
    );
    // And where there is no terminal.
    let mut command = b.command(&args);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    let found = stderr
        .lines()
        .map_while(Result::ok)
        .find(|line| line.contains(" fps "));
    signal(&child, Signal::INT);
    let _ = child.wait();
    let found = found.expect("a line of progress");
    assert!(found.contains("yard: not reached for 0:0"), "{found}");
}

#[test]
fn a_dumb_terminal_and_no_color_are_respected() {
    let b = Workspace::new();
    let args = [
        "run",
        "lavfi:testsrc2=size=64x64:rate=5:duration=1",
        "-o",
        "nosuch/dir/x.avi",
    ];
    let colourful = on_terminal(&b, 80, &[], &["run", &sample(), "--out", "none"]);
    assert!(
        colourful.contains("\u{1b}[33m"),
        "a warning in yellow: {colourful:?}"
    );
    let plain = on_terminal(
        &b,
        80,
        &[("NO_COLOR", "1")],
        &["run", &sample(), "--out", "none"],
    );
    assert!(
        plain.contains("WARN") && !plain.contains("\u{1b}[33m"),
        "{plain:?}"
    );
    let dumb = on_terminal(
        &b,
        80,
        &[("TERM", "dumb")],
        &["run", &sample(), "--out", "none"],
    );
    assert!(
        dumb.contains("WARN") && !dumb.contains('\u{1b}'),
        "{dumb:?}"
    );
    let mistake = on_terminal(&b, 80, &[("TERM", "dumb")], &args);
    assert!(!mistake.contains('\u{1b}'), "{mistake:?}");
}

#[test]
fn ctrl_c_says_what_it_does_and_what_a_second_one_would() {
    let b = Workspace::new();
    let args = ["run", "lavfi:testsrc2=size=320x180:rate=25", "--realtime"];
    let mut command = b.command(&args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the binary starts");
    until("some pictures", || b.files("output/cam01").len() > 3);
    assert!(handles(&child, Signal::INT));
    signal(&child, Signal::INT);
    let done = finish(child, &args);
    assert_eq!(done.code, Some(130), "{}", done.stderr);
    assert!(
        done.stderr
            .contains("finishing the last frames (Ctrl-C again to stop now)"),
        "{}",
        done.stderr
    );
    let count = b.files("output/cam01").len();
    assert_eq!(
        last_line(&done),
        format!("{count} pictures in output/cam01/")
    );
}

#[test]
fn doctor_checks_ports_space_memory_and_the_broker_and_suggests_commands() {
    let b = Workspace::new();
    let done = b.run(&["doctor"]);
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.code, Some(0), "{text}");
    for word in [
        "memory",
        "disk",
        "page",
        "metrics",
        "free",
        "\nNext:\n",
        "mattebox run clip.mp4",
    ] {
        assert!(text.contains(word), "{word:?} is missing in {text}");
    }
    assert!(!text.contains("kafka"), "nothing asks for it: {text}");
    let silent = free_port().to_string();
    let broker = format!("127.0.0.1:{silent}");
    for (args, env) in [
        (&["doctor", "--kafka", &broker][..], &[][..]),
        (&["doctor"], &[("KAFKA_BOOTSTRAP", broker.as_str())]),
    ] {
        let done = b.run_with(args, env);
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        assert_eq!(done.code, Some(1), "{text}");
        assert!(
            text.contains("MISSING  kafka") && text.contains(&broker),
            "{text}"
        );
        assert!(
            text.contains("again, once the MISSING parts are there"),
            "{text}"
        );
    }
    fs::write(b.path("mattebox.toml"), "fsp = 3").unwrap();
    let done = b.run(&["doctor"]);
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.code, Some(1), "{text}");
    assert!(text.contains("did you mean `fps`?"), "{text}");
}

#[test]
fn doctor_says_that_the_port_of_the_page_is_taken_and_which_is_free() {
    let b = Workspace::new();
    // Another program may have the port already: then the output says so.
    let taken = TcpListener::bind("127.0.0.1:9480");
    let done = b.run(&["doctor"]);
    drop(taken);
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.code, Some(0), "a note is no failure: {text}");
    assert!(text.contains("port 9480 is in use"), "{text}");
    assert!(text.contains("--out none --view 948"), "{text}");
    let json = b.run(&["doctor", "--json"]);
    let all: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert!(
        all.as_array()
            .is_some_and(|all| all.iter().any(|f| f["what"] == "page"))
    );
}

#[test]
fn every_manual_page_has_the_sections_that_readers_look_for() {
    let b = Workspace::new();
    assert_eq!(b.run(&["man", "--out", "pages"]).code, Some(0));
    let pages = b.files("pages");
    for name in [
        "mattebox.1",
        "mattebox-run.1",
        "mattebox-dead-letters-list.1",
        "mattebox-doctor.1",
    ] {
        assert!(pages.iter().any(|page| page == name), "{pages:?}");
    }
    for name in &pages {
        let page = String::from_utf8(b.read(&format!("pages/{name}"))).unwrap();
        for section in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "ENVIRONMENT",
            "EXIT STATUS",
            "SEE ALSO",
        ] {
            let quoted = format!(".SH \"{section}\"");
            let bare = format!(".SH {section}\n");
            assert!(
                page.contains(&quoted) || page.contains(&bare),
                "{name}: {section}"
            );
        }
        assert!(page.contains("Ctrl\\-C"), "{name}: {page}");
    }
    let run = String::from_utf8(b.read("pages/mattebox-run.1")).unwrap();
    for word in [
        "MATTEBOX_MATTE",
        "VIDEO_SRC",
        "EXAMPLES",
        "mattebox run clip.mp4",
    ] {
        assert!(run.contains(word), "{word} is missing");
    }
    assert_eq!(b.run(&["man"]).stdout, b.read("pages/mattebox.1"));
}

/// The completions of bash for a line, with the script of `mattebox completions bash`.
pub(crate) fn completed(b: &Workspace, line: &str) -> Vec<String> {
    const SCRIPT: &str = r#"
source <("$PROGRAM" completions bash)
read -r -a COMP_WORDS <<< "$LINE"
[[ "$LINE" == *" " ]] && COMP_WORDS+=("")
COMP_LINE="$LINE" COMP_POINT=${#LINE} COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )) COMP_TYPE=9
_clap_complete_mattebox mattebox "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;
    let mut command = Command::new("bash");
    shield(&mut command)
        .args(["--norc", "-c", SCRIPT])
        .env("PROGRAM", env!("CARGO_BIN_EXE_mattebox"))
        .env("LINE", line)
        .current_dir(b.path("."))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let done = finish(command.spawn().expect("bash starts"), &[line]);
    assert_eq!(done.stderr, "", "{line}");
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_values_files_and_cameras() {
    let b = Workspace::new();
    fs::write(b.path("clip.mp4"), "").unwrap();
    fs::create_dir_all(b.path("output/yard")).unwrap();
    fs::write(b.path("mattebox.toml"), "source = [\"door=rtsp://h/x\"]").unwrap();
    for (line, offered) in [
        ("mattebox ru", &["run"][..]),
        ("mattebox run --matt", &["--matte"]),
        (
            "mattebox run --matte ",
            &["soft", "hard", "fine", "fine:always"],
        ),
        ("mattebox run --log-level de", &["debug"]),
        ("mattebox run cl", &["clip.mp4"]),
        ("mattebox run --camera-id ", &["door", "yard"]),
        ("mattebox dead-letters list --camera d", &["door"]),
        ("mattebox completions z", &["zsh"]),
    ] {
        assert_eq!(completed(&b, line), offered, "{line}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = b.run(&["completions", shell]);
        assert_eq!(done.code, Some(0), "{shell}: {}", done.stderr);
        let script = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(script.contains("MATTEBOX_COMPLETE"), "{shell}: {script}");
    }
}

#[test]
fn bash_quotes_the_names_of_files_that_it_completes() {
    let b = Workspace::new();
    fs::write(b.path("a b.mp4"), "").unwrap();
    fs::write(b.path("it's.mp4"), "").unwrap();
    // Ctrl-A goes to the beginning of the line, where a word before it shows its arguments.
    let typed = format!(
        "source <('{}' completions bash)\nmattebox run a\t it\t\u{1}printf '<%s>' \nexit\n",
        env!("CARGO_BIN_EXE_mattebox")
    );
    fs::write(b.path("typed"), typed).unwrap();
    let mut command = Command::new("script");
    shield(&mut command)
        .args(["-q", "-e", "-c", "bash --norc -i", "/dev/null"])
        .env("TERM", "xterm-256color")
        .current_dir(b.path("."))
        .stdin(fs::File::open(b.path("typed")).unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let done = finish(command.spawn().expect("script starts"), &["bash"]);
    let shown = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        shown.contains("<mattebox><run><a b.mp4><it's.mp4>"),
        "{shown}"
    );
}

#[test]
fn no_help_text_has_words_that_newcomers_did_not_understand() {
    let b = Workspace::new();
    let settings = fs::read_to_string(repository("docs/ref/settings.md")).unwrap();
    let mut texts = vec![settings];
    for command in [
        "run", "camera", "worker", "view", "prune", "doctor", "config",
    ] {
        texts.push(String::from_utf8(b.run(&[command, "--help"]).stdout).unwrap());
    }
    for text in &texts {
        for words in [
            "on their way",
            "whoever looks",
            "What is made",
            "What it says",
            "How it runs",
            "Our own certificate",
            "but for the camera's noise",
            "the sums at the end",
        ] {
            assert!(!text.contains(words), "{words:?} in:\n{text}");
        }
    }
}
