//! `mattebox run`, end to end, with the real binary, the real FFmpeg and the sample clip.
use crate::kit::{Signal, Workspace, finish, free_port, sample, signal, until};
use std::{net::TcpListener, process::Stdio, thread, time::Duration};

#[test]
fn the_sample_becomes_one_png_per_frame_in_the_seeds_layout() {
    let b = Workspace::new();
    let report = b.report(&["run", &sample()]);
    let expected: Vec<_> = (0..75).map(|n| format!("frame_{n:06}.png")).collect();
    assert_eq!(b.files("output/cam01"), expected);
    let camera = &report["cameras"][0];
    assert_eq!(
        (camera["read"].as_u64(), camera["written"].as_u64()),
        (Some(75), Some(75))
    );
    let latency =
        ["p50", "p95", "p99", "max"].map(|share| camera["latency_ms"][share].as_f64().unwrap());
    assert!(latency[0] > 0.0 && latency.is_sorted(), "{latency:?}");
    let picture = image_of(&b.read("output/cam01/frame_000030.png"));
    assert_eq!(picture.dimensions(), (640, 360));
    assert_eq!(
        picture.get_pixel(320, 5).0,
        [0xC0, 0xC0, 0xC0],
        "above the person there is the background"
    );
    assert_ne!(
        picture.get_pixel(320, 250).0,
        [0xC0, 0xC0, 0xC0],
        "the person is there"
    );
}

/// Threads without work must all end.
#[test]
fn a_short_clip_ends_with_many_more_threads_than_frames() {
    for (matte, threads) in [("soft", "8"), ("soft", "24"), ("hard", "24")] {
        let b = Workspace::new();
        let report = b.report(&[
            "run",
            &sample(),
            "--frames",
            "6",
            "--matte",
            matte,
            "--threads",
            threads,
        ]);
        assert_eq!(report["cameras"][0]["written"], 6, "{matte} {threads}");
    }
}

fn image_of(png: &[u8]) -> image::RgbImage {
    mattebox_core::codec::decode(png, &Default::default()).expect("a whole picture")
}

#[test]
fn the_number_of_threads_does_not_change_a_byte() {
    for matte in ["hard", "soft"] {
        let b = Workspace::new();
        b.report(&[
            "run",
            &sample(),
            "--matte",
            matte,
            "--threads",
            "1",
            "--out",
            "one",
            "--frames",
            "30",
        ]);
        b.report(&[
            "run",
            &sample(),
            "--matte",
            matte,
            "--threads",
            "3",
            "--out",
            "three",
            "--frames",
            "30",
        ]);
        assert_eq!(b.files("one/cam01").len(), 30);
        for name in b.files("one/cam01") {
            assert!(
                b.read(&format!("one/cam01/{name}")) == b.read(&format!("three/cam01/{name}")),
                "{matte} {name} differs"
            );
        }
    }
}

#[test]
fn several_cameras_run_side_by_side_and_get_what_each_would_get_alone() {
    let b = Workspace::new();
    let clip = sample();
    b.report(&["run", &clip, "--out", "alone", "--duration", "1"]);
    let report = b.report(&[
        "run",
        &format!("left={clip}"),
        &format!("right={clip}"),
        "--duration",
        "1",
    ]);
    assert_eq!(report["cameras"].as_array().map(Vec::len), Some(2));
    assert_eq!(b.files("output"), ["left", "right"]);
    for name in b.files("alone/cam01") {
        let alone = b.read(&format!("alone/cam01/{name}"));
        assert!(
            alone == b.read(&format!("output/left/{name}"))
                && alone == b.read(&format!("output/right/{name}")),
            "{name} differs"
        );
    }
}

#[test]
fn one_bad_camera_harms_no_other() {
    let b = Workspace::new();
    let done = b.run(&[
        "run",
        &format!("good={}", sample()),
        "bad=no-such-file.mp4",
        "--frames",
        "10",
    ]);
    assert_eq!(b.files("output/good").len(), 10, "{}", done.stderr);
    assert!(
        done.stderr.contains("bad") && done.stderr.contains("no-such-file.mp4"),
        "{}",
        done.stderr
    );
    assert_ne!(done.code, Some(0));
}

#[test]
fn a_video_keeps_every_frame_in_order() {
    let b = Workspace::new();
    let report = b.report(&["run", &sample(), "--out", "out.mp4", "--threads", "3"]);
    assert_eq!(b.probe("out.mp4"), (75, 640, 360));
    assert!(
        report["latency_ms"]["p50"].as_f64() > Some(0.0),
        "its pictures have a latency too"
    );
    assert_eq!(b.files("."), ["out.mp4"], "nothing else is left");
    // In order: each frame of the video is nearest to the file of the same number.
    b.report(&["run", &sample(), "--out", "png"]);
    b.ffmpeg(&[
        "-i",
        "out.mp4",
        "-vf",
        "select='eq(n,10)+eq(n,40)+eq(n,70)'",
        "-fps_mode",
        "passthrough",
        "back_%d.png",
    ]);
    for (i, n) in [10, 40, 70].into_iter().enumerate() {
        let video = image_of(&b.read(&format!("back_{}.png", i + 1)));
        let distance = |n: u32| {
            let file = image_of(&b.read(&format!("png/cam01/frame_{n:06}.png")));
            file.iter()
                .zip(video.iter())
                .map(|(a, b)| u64::from(a.abs_diff(*b)))
                .sum::<u64>()
        };
        let own = distance(n);
        assert!(
            own < distance(n - 2) && own < distance(n + 2),
            "frame {n} of the video is another frame"
        );
    }
}

#[test]
fn standard_output_carries_raw_frames_and_nothing_else() {
    let b = Workspace::new();
    let done = b.run(&[
        "run",
        &sample(),
        "--out",
        "-",
        "--format",
        "raw",
        "--frames",
        "5",
    ]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(done.stdout.len(), 5 * 640 * 360 * 3);
}

#[test]
fn a_transparent_picture_carries_no_colour_of_the_room() {
    let b = Workspace::new();
    b.report(&[
        "run",
        &sample(),
        "--background",
        "transparent",
        "--frames",
        "3",
    ]);
    let png = image::load_from_memory(&b.read("output/cam01/frame_000002.png"))
        .expect("a PNG")
        .into_rgba8();
    let mut clear = 0;
    let mut solid = 0;
    for pixel in png.pixels() {
        match pixel.0 {
            [r, g, b, 0] => {
                assert_eq!(
                    [r, g, b],
                    [0; 3],
                    "a fully transparent pixel shows the room to a program that ignores alpha"
                );
                clear += 1;
            }
            [.., 255] => solid += 1,
            _ => {}
        }
    }
    assert!(
        clear > 50_000 && solid > 50_000,
        "{clear} clear, {solid} solid"
    );
}

#[test]
fn every_background_is_put_behind_the_person() {
    let b = Workspace::new();
    b.ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        "color=red:s=320x240",
        "-frames:v",
        "1",
        "red.png",
    ]);
    b.ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        "color=blue:s=320x240:r=25:d=0.2",
        "-pix_fmt",
        "yuv420p",
        "blue.mp4",
    ]);
    for (background, is_right) in [
        (
            "#102030",
            (|p| p == [0x10, 0x20, 0x30]) as fn([u8; 3]) -> bool,
        ),
        ("image:red.png", |p| p[0] > 240 && p[1] < 20 && p[2] < 20),
        ("video:blue.mp4", |p| p[2] > 230 && p[0] < 30 && p[1] < 30),
        // The room's wall there is light, blurred or not.
        ("blur", |p| p.iter().all(|&v| v > 100)),
    ] {
        // More frames than the background video has: it starts again.
        b.report(&[
            "run",
            &sample(),
            "--background",
            background,
            "--frames",
            "12",
        ]);
        let pixel = image_of(&b.read("output/cam01/frame_000011.png"))
            .get_pixel(40, 20)
            .0;
        assert!(is_right(pixel), "{background}: {pixel:?}");
    }
}

#[test]
fn a_live_run_drops_the_oldest_frames_and_counts_them() {
    let b = Workspace::new();
    let report = b.report(&[
        "run",
        "lavfi:testsrc2=size=1280x720:rate=30",
        "--frames",
        "60",
        "--live",
        "--threads",
        "1",
    ]);
    let c = &report["cameras"][0];
    let number = |v: &serde_json::Value| v.as_u64().expect("a number");
    let read = number(&c["read"]);
    let written = number(&c["written"]);
    let behind = number(&c["dropped"]["behind"]);
    assert_eq!(read, 60);
    assert_eq!(read, written + behind);
    assert!(
        behind > 0,
        "a generator without pace is faster than one thread"
    );
    assert_eq!(b.files("output/cam01").len() as u64, written);
    assert!(
        b.files("output/cam01")
            .contains(&"frame_000059.png".to_owned()),
        "the newest frame wins"
    );
}

#[test]
fn the_matte_itself_is_written_on_request() {
    let b = Workspace::new();
    b.report(&["run", &sample(), "--alpha-out", "alpha", "--frames", "4"]);
    assert_eq!(b.files("alpha/cam01").len(), 4);
    let alpha = image::load_from_memory(&b.read("alpha/cam01/frame_000003.png")).expect("a PNG");
    assert_eq!(alpha.color(), image::ColorType::L8);
    let alpha = alpha.into_luma8();
    assert_eq!(
        (alpha.get_pixel(5, 5)[0], alpha.get_pixel(320, 250)[0]),
        (0, 255)
    );
}

#[test]
fn existing_files_are_kept_replaced_or_refused_as_asked() {
    let b = Workspace::new();
    let run = |how| {
        b.run(&[
            "run",
            &sample(),
            "--frames",
            "3",
            "--on-existing",
            how,
            "--json",
        ])
    };
    assert_eq!(run("fail").code, Some(0));
    std::fs::write(b.path("output/cam01/frame_000001.png"), "mine").expect("written");
    let skipped = run("skip");
    assert_eq!(skipped.code, Some(0), "{}", skipped.stderr);
    assert_eq!(b.read("output/cam01/frame_000001.png"), b"mine");
    let refused = run("fail");
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("frame_00000") && refused.stderr.contains("overwrite"),
        "{}",
        refused.stderr
    );
    assert_eq!(b.read("output/cam01/frame_000001.png"), b"mine");
    assert_eq!(run("overwrite").code, Some(0));
    assert_ne!(b.read("output/cam01/frame_000001.png"), b"mine");
}

#[test]
fn the_first_signal_finishes_the_frames_in_flight() {
    let b = Workspace::new();
    let mut command = b.command(&[
        "run",
        "lavfi:testsrc2=size=640x360:rate=25",
        "--out",
        "cut.mp4",
    ]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // The video begins under another name. Its first kilobytes appear after FFmpeg has read many
    // frames, so frames are in flight in every step.
    until("some of the video", || {
        let names = b.files(".");
        names
            .iter()
            .any(|name| b.path(name).metadata().is_ok_and(|file| file.len() > 4096))
    });
    assert!(
        !b.path("cut.mp4").exists(),
        "it has its name only when it is whole"
    );
    signal(&child, Signal::INT);
    let done = finish(child, &["run"]);
    assert_eq!(done.code, Some(130), "{}", done.stderr);
    assert!(
        b.probe("cut.mp4").0 > 0,
        "the video up to then is whole: {}",
        done.stderr
    );
}

#[test]
fn the_second_signal_leaves_nothing_under_the_final_name() {
    let b = Workspace::new();
    // Slow on purpose, so that the second signal comes in the middle of the work.
    let args = [
        "run",
        "lavfi:testsrc2=size=3840x2160:rate=25",
        "--out",
        "cut.mp4",
        "--simd",
        "scalar",
        "--threads",
        "1",
    ];
    let child = b
        .command(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    until("the output is begun", || !b.files(".").is_empty());
    // Two kinds: two pending signals of one kind are delivered as one.
    signal(&child, Signal::INT);
    signal(&child, Signal::TERM);
    let done = finish(child, &["run"]);
    assert_eq!(done.code, Some(130), "{}", done.stderr);
    // The recording so far is kept; it may be empty.
    let names = b.files(".");
    assert!(
        names.iter().all(|name| name == "cut.unfinished.mp4"),
        "{names:?}"
    );
}

#[test]
fn a_camera_that_is_off_is_tried_for_ever_beside_others_and_alone_until_the_time_is_up() {
    let b = Workspace::new();
    b.ffmpeg(&["-i", &sample(), "-c", "copy", "a.ts"]);
    let bytes = b.read("a.ts");
    let address = ("127.0.0.1", free_port());
    let source = format!("late=tcp://{}:{}", address.0, address.1);
    let alone = b.run(&["run", &source, "--connect-timeout", "1s"]);
    assert_eq!(alone.code, Some(3), "{}", alone.stderr);
    let args = [
        "run",
        &sample(),
        &source,
        "--live",
        "false",
        "--connect-timeout",
        "1s",
        "--frames",
        "10",
        "--json",
    ];
    let child = b
        .command(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    until("the other is done", || b.files("output/cam01").len() == 10);
    // Longer than it would be tried alone.
    thread::sleep(Duration::from_millis(1200));
    let server = TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        for mut connection in server.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut connection, &bytes);
        }
    });
    let done = finish(child, &args);
    assert_eq!(
        (done.code, b.files("output/late").len()),
        (Some(0), 10),
        "{}",
        done.stderr
    );
    assert_eq!(
        done.stderr.matches("source not reached").count(),
        1,
        "the same reason is said once: {}",
        done.stderr
    );
}

#[test]
fn a_camera_that_never_came_is_named_with_the_reason_at_the_end() {
    let b = Workspace::new();
    let args = [
        "run",
        &sample(),
        "away=/dev/video99",
        "--frames",
        "10",
        "--json",
    ];
    let child = b
        .command(&args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    until("the other is done", || b.files("output/cam01").len() == 10);
    signal(&child, Signal::TERM);
    let done = finish(child, &args);
    assert_eq!(done.code, Some(130), "{}", done.stderr);
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert!(
        report["cameras"][1]["error"]
            .as_str()
            .unwrap()
            .contains("there is no /dev/video99"),
        "{report}"
    );
    let missing = b.run(&["run", &sample(), "away=nothing.mp4", "--frames", "10"]);
    assert_eq!(
        missing.code,
        Some(2),
        "a file that is not there will not come: {}",
        missing.stderr
    );
}

#[test]
fn still_frames_are_counted_and_give_the_same_pictures() {
    let b = Workspace::new();
    let still = [
        "-loop",
        "1",
        "-i",
        "frame.png",
        "-t",
        "2",
        "-r",
        "10",
        "-c:v",
        "ffv1",
        "still.mkv",
    ];
    b.ffmpeg(&["-ss", "1", "-i", &sample(), "-frames:v", "1", "frame.png"]);
    b.ffmpeg(&still);
    for matte in ["soft", "hard"] {
        let report = b.report(&[
            "run",
            "still.mkv",
            "--matte",
            matte,
            "--skip-still",
            "--threads",
            "1",
            "--out",
            matte,
        ]);
        let camera = &report["cameras"][0];
        assert_eq!(
            (camera["written"].as_u64(), camera["still"].as_u64()),
            (Some(20), Some(19)),
            "{matte}"
        );
        let first = b.read(&format!("{matte}/cam01/frame_000000.png"));
        assert!(
            b.files(&format!("{matte}/cam01"))
                .iter()
                .all(|name| b.read(&format!("{matte}/cam01/{name}")) == first)
        );
        let report = b.report(&[
            "run",
            "still.mkv",
            "--matte",
            matte,
            "--frames",
            "5",
            "--out",
            &format!("looking-{matte}"),
        ]);
        assert_eq!(report["cameras"][0]["still"].as_u64(), Some(0), "{matte}");
    }
}

#[test]
fn standard_output_carries_what_the_next_program_reads() {
    let b = Workspace::new();
    let sample = sample();
    for (format, demuxer) in [
        ("png", "image2pipe"),
        ("jpg", "mjpeg"),
        ("mjpeg", "mjpeg"),
        ("y4m", "yuv4mpegpipe"),
        ("mpegts", "mpegts"),
    ] {
        let flags = ["--frames", "30", "--out", "-", "--format", format];
        let done = b.run(&[&["run", &sample], &flags[..]].concat());
        assert_eq!(done.code, Some(0), "{format}: {}", done.stderr);
        std::fs::write(b.path("got"), done.stdout).unwrap();
        // As this format, and as no other.
        let name = format!("{format}.mkv");
        b.ffmpeg(&["-f", demuxer, "-i", "got", "-c:v", "ffv1", &name]);
        assert_eq!(b.probe(&name), (30, 640, 360), "{format}");
    }
    let done = b.run(&["run", &sample, "--out", "-", "--format", "webp"]);
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    let names = "png, jpg, mjpeg, raw, y4m or mpegts";
    assert!(done.stderr.contains(names), "{}", done.stderr);
    for format in ["jpg", "y4m", "mpegts"] {
        let flags = ["-b", "transparent", "--out", "-", "--format", format];
        let done = b.run(&[&["run", &sample], &flags[..]].concat());
        assert_eq!(done.code, Some(2), "{format}: {}", done.stderr);
        assert!(done.stderr.contains("transparent"), "{}", done.stderr);
        assert!(done.stdout.is_empty());
    }
}

#[test]
fn a_reader_may_close_standard_output_early() {
    let b = Workspace::new();
    let sample = sample();
    for format in ["png", "jpg", "raw", "y4m", "mpegts"] {
        let flags = [
            "--loop", "--frames", "2000", "--out", "-", "--format", format,
        ];
        let mut command = b.command(&[&["run", &sample], &flags[..]].concat());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut some = [0; 4096];
        let mut out = child.stdout.take().expect("a pipe");
        std::io::Read::read_exact(&mut out, &mut some).expect("the first bytes");
        drop(out);
        let done = finish(child, &["run"]);
        assert_eq!(done.code, Some(0), "{format}: {}", done.stderr);
    }
}
