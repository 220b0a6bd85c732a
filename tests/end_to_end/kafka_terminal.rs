//! The messages on a terminal about a broker, with a real one.

use crate::{
    kit::{Broker, Workspace, sample},
    terminal::completed,
};

#[test]
fn topics_are_completed_doctor_finds_the_broker_and_the_last_lines_say_where_frames_are() {
    let broker = Broker::shared();
    let b = Workspace::new();
    let at = broker.bootstrap();
    let kafka = ["--kafka", &at, "--topic", "terminal-frames"];
    let doctor = |topic: &str| {
        let done = b.run(&["doctor", "--kafka", &at, "--topic", topic]);
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        assert_eq!(done.code, Some(0), "{text}");
        text
    };
    assert!(doctor("terminal-frames").contains("note     kafka"));
    let once = ["--realtime", "false", "--once", "--frames", "12"];
    let sources = ["camera", &format!("door={}", sample())];
    let done = b.run(&[&sources[..], &kafka, &once].concat());
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(
        done.stderr.lines().last(),
        Some("12 frames to topic terminal-frames"),
        "{}",
        done.stderr
    );
    let text = doctor("terminal-frames");
    assert!(
        text.contains("ok       kafka") && text.contains("topic terminal-frames is there"),
        "{text}"
    );
    let line = format!("mattebox worker --kafka={at} --topic terminal-f");
    assert_eq!(completed(&b, &line), ["terminal-frames"]);
    let done = b.run(
        &[
            &["worker", "--until", "end", "--group", "terminal"],
            &kafka[..],
        ]
        .concat(),
    );
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(
        done.stderr.lines().last(),
        Some("door: 12 pictures in output/door/"),
        "{}",
        done.stderr
    );
    assert!(
        !done.stderr.contains("partition  records"),
        "{}",
        done.stderr
    );
    let again = [
        "worker", "--until", "end", "--group", "again", "--out", "again", "--stats",
    ];
    let done = b.run(&[&again[..], &kafka].concat());
    assert!(
        done.stderr.contains("MB read") && done.stderr.contains("CPU per frame"),
        "{}",
        done.stderr
    );
    assert_eq!(
        done.stderr.lines().last(),
        Some("door: 12 pictures in again/door/"),
        "{}",
        done.stderr
    );
    let bad = b.run(&[&["camera", "nosuch.mp4"], &kafka[..]].concat());
    assert_eq!(
        bad.stderr.matches("no such file").count(),
        1,
        "{}",
        bad.stderr
    );
}
