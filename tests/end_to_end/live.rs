//! Watching and changing cameras while the real binary runs. The page itself is tested in a
//! browser: `tests/browser`.

use crate::kit::{RunningPage, Workspace, sample, shield};
use std::{fs, process::Command};

const GREY: [u8; 3] = [0xC0; 3];
const RED: [u8; 3] = [0xFF, 0, 0];

fn run(workspace: &Workspace, more: &[&str]) -> Command {
    let clip = sample();
    let args = [
        "run",
        &clip,
        "--loop",
        "--realtime",
        "--view=127.0.0.1:0",
        "--progress",
        "none",
    ];
    workspace.command(&[&args, more].concat())
}

/// Above the person there is the background.
fn shows(page: &RunningPage<'_>, colour: [u8; 3]) -> bool {
    page.colour("cam01", 320, 5) == Some(colour)
}

#[test]
fn a_change_shows_in_pictures_and_files_and_can_be_reset() {
    let b = Workspace::new();
    let page = RunningPage::start(&b, run(&b, &[]), "log");
    page.until("a picture", |page| shows(page, GREY));
    let (status, settings) =
        page.change("cam01", r##"{"background": "#ff0000", "matte": "hard"}"##);
    assert_eq!(
        (
            status,
            settings["background"].as_str(),
            settings["matte"].as_str()
        ),
        (200, Some("#ff0000"), Some("hard"))
    );
    page.until("the new background", |page| shows(page, RED));
    assert_eq!(
        page.change("cam01", r#"{"background": "start", "matte": "soft"}"#)
            .1["background"],
        "#c0c0c0"
    );
    page.until("the old background", |page| shows(page, GREY));
    assert_eq!(page.stop().0.code, Some(130));
    let colours: Vec<_> = b
        .files("output/cam01")
        .iter()
        .map(|name| {
            let file = b.read(&format!("output/cam01/{name}"));
            mattebox_core::codec::decode(&file, &Default::default())
                .expect("a whole file")
                .get_pixel(320, 5)
                .0
        })
        .collect();
    assert!(
        colours.iter().all(|colour| [GREY, RED].contains(colour)),
        "each frame has one of the two"
    );
    let changes = colours.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert_eq!(
        (changes, colours[0], colours[colours.len() - 1]),
        (2, GREY, GREY)
    );
}

#[test]
fn an_impossible_change_is_refused_and_changes_nothing() {
    let b = Workspace::new();
    let page = RunningPage::start(&b, run(&b, &["--out", "out.mp4"]), "log");
    page.until("a picture", |page| shows(page, GREY));
    for (settings, wanted, words) in [
        (r#"{"background": "transparent"}"#, 409, "transparency"),
        (r#"{"background": "image:/etc/passwd"}"#, 422, "upload"),
        (r#"{"background": "octarine"}"#, 422, "octarine"),
        (
            r#"{"background": "picture"}"#,
            409,
            "no picture was uploaded",
        ),
        (r#"{"matte": "fuzzy"}"#, 422, "fuzzy"),
        (r#"{"people": "0"}"#, 422, "nearest"),
        (r#"{"plate": "on"}"#, 422, "auto or off"),
        (r#"{"mate": "soft"}"#, 422, "mate"),
        (r#"{"matte": null}"#, 422, "leave out"),
        ("[", 400, "JSON"),
    ] {
        let (status, problem) = page.change("cam01", settings);
        assert_eq!(status, wanted, "{settings}: {problem}");
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains(words)),
            "{settings}: {problem}"
        );
    }
    assert_eq!(page.change("cam99", "{}").0, 404);
    assert_eq!(page.camera()["settings"]["background"], "#c0c0c0");
    page.stop();
}

/// Frames written or skipped: without a viewer most frames need no matte.
fn done(page: &RunningPage) -> Option<u64> {
    let frames = &page.camera()["frames"];
    Some(frames["written"].as_u64()? + frames["skipped"].as_u64()?)
}

#[test]
fn nothing_is_written_with_out_none() {
    let b = Workspace::new();
    let page = RunningPage::start(&b, run(&b, &["--out", "none"]), "log");
    page.until("frames", |page| done(page) > Some(10));
    page.stop();
    assert_eq!(b.files("."), ["log"]);
}

/// A value of the page's metrics.
fn number(page: &RunningPage<'_>, metric: &str) -> u64 {
    let (status, body) = page.get("/metrics");
    assert_eq!(status, 200);
    let text = String::from_utf8_lossy(&body).into_owned();
    let line = text.lines().find(|line| line.starts_with(metric));
    let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    value.unwrap_or_else(|| panic!("no {metric} in {text}"))
}

#[test]
fn frames_without_a_viewer_need_no_matte_and_the_first_look_has_a_picture() {
    let b = Workspace::new();
    let page = RunningPage::start(&b, run(&b, &["--out", "none"]), "log");
    let skipped = "mattebox_frames_total{camera=\"cam01\",outcome=\"skipped\"}";
    let written = "mattebox_frames_total{camera=\"cam01\",outcome=\"written\"}";
    page.until("frames", |page| number(page, skipped) > 60);
    let seen = number(&page, written);
    let unseen = number(&page, skipped);
    assert!(
        (1..unseen / 4).contains(&seen),
        "one a second is made of 25: {seen} of {}",
        seen + unseen
    );
    assert_eq!(page.camera()["state"], "live");
    assert!(shows(&page, GREY), "the picture is there at once");
    // a frame that is asked for is made at once, however often that is
    for _ in 0..5 {
        let before = number(&page, written);
        assert!(shows(&page, GREY));
        page.until("a new frame", |page| number(page, written) > before);
    }
    page.stop();
}

#[test]
fn a_run_without_output_and_page_says_so_and_ends() {
    let b = Workspace::new();
    let done = b.run(&["run", &sample(), "--out", "none", "--json"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(
        done.stderr.contains("nothing is written (--out none)"),
        "{}",
        done.stderr
    );
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["cameras"][0]["skipped"], 75, "{report}");
}

#[test]
fn a_hangup_reads_the_settings_file_again_and_a_bad_file_changes_nothing() {
    let b = Workspace::new();
    let file = b.path("m.toml");
    fs::write(&file, "background = \"gray\"").unwrap();
    let page = RunningPage::start(&b, run(&b, &["--out", "none", "--config", "m.toml"]), "log");
    page.until("a picture", |page| shows(page, GREY));
    fs::write(&file, "background = \"#ff0000\"\nthreads = 1").unwrap();
    page.hang_up();
    page.until("the new background", |page| shows(page, RED));
    page.until("what changed", |page| {
        page.said("background: \"gray\" -> \"#ff0000\"")
    });
    page.until("what waits", |page| {
        page.said("threads: (none) -> 1 takes effect at the next start")
    });
    for (text, words) in [
        ("backgruond = \"blue\"", "backgruond"),
        ("background = \"image:nowhere.png\"", "nowhere.png"),
        ("a = [", "m.toml"),
    ] {
        fs::write(&file, text).unwrap();
        page.hang_up();
        page.until("the reason", |page| {
            page.said("the settings stay as they were") && page.said(words)
        });
        assert!(shows(&page, RED), "{text}");
    }
    assert_eq!(page.stop().0.code, Some(130));
}

#[test]
fn without_a_settings_file_a_hangup_is_an_end() {
    let b = Workspace::new();
    let page = RunningPage::start(&b, run(&b, &["--out", "none"]), "log");
    page.until("a picture", |page| shows(page, GREY));
    page.hang_up();
    assert_eq!(page.finish().code, Some(130));
}

#[test]
fn under_nohup_a_hangup_is_ignored() {
    let b = Workspace::new();
    let plain = run(&b, &["--out", "none"]);
    let mut command = Command::new("sh");
    shield(&mut command).args(["-c", "trap '' HUP; exec \"$@\"", "sh"]);
    command
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir(b.path("."));
    let page = RunningPage::start(&b, command, "log");
    page.until("a picture", |page| shows(page, GREY));
    page.hang_up();
    let before = done(&page);
    page.until("more frames", |page| {
        done(page) > before.map(|frames| frames + 20)
    });
    assert!(!page.said("hung up"));
    assert_eq!(page.stop().0.code, Some(130));
}

#[test]
fn an_address_that_others_reach_needs_a_token_and_one_that_is_taken_is_named() {
    let b = Workspace::new();
    let done = b.run(&["run", &sample(), "--view=0.0.0.0:0"]);
    assert_eq!(done.code, Some(2));
    assert!(done.stderr.contains("--token"), "{}", done.stderr);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let done = b.run(&["run", &sample(), &format!("--view={address}")]);
    assert_eq!(done.code, Some(2));
    assert!(done.stderr.contains(&address), "{}", done.stderr);
}
