//! Input that is broken, hostile or missing, with the real binary: the message names the input and
//! says what to do, and the exit code is right. There is never a panic, a hang, half a file under a
//! final name, or a frame with its real background.

use crate::kit::{ProgramOutput, Workspace, assert_said, finish, repository, sample, shield};
use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};
use turbojpeg::{PixelFormat, Subsamp};

/// The default background.
const GRAY: [u8; 3] = [0xC0; 3];

/// The folder holds exactly `count` pictures and nothing else, each whole, and each with the gray
/// background in a corner where the sample shows its wall.
#[track_caller]
fn assert_whole_and_without_background(b: &Workspace, folder: &str, count: usize) {
    let names = b.files(folder);
    assert_eq!(names.len(), count, "{names:?}");
    for name in names {
        assert!(
            name.starts_with("frame_") && name.ends_with(".png"),
            "{name} was left behind"
        );
        let bytes = b.read(&format!("{folder}/{name}"));
        let picture = mattebox_core::codec::decode(&bytes, &Default::default())
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(
            picture.get_pixel(0, 0).0,
            GRAY,
            "{name} shows its real background"
        );
    }
}

/// Frames of the sample as pictures in a folder: `in/NAME_1.EXT` and so on.
fn pictures(b: &Workspace, count: usize, extension: &str) -> Vec<PathBuf> {
    let _ = fs::create_dir(b.path("in"));
    let frames = count.to_string();
    let pattern = format!("in/{extension}_%d.{extension}");
    b.ffmpeg(&["-i", &sample(), "-frames:v", &frames, &pattern]);
    (1..=count)
        .map(|i| b.path(&format!("in/{extension}_{i}.{extension}")))
        .collect()
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn truncated_pictures_are_named_and_counted_and_the_others_are_done() {
    let b = Workspace::new();
    for path in [&pictures(&b, 3, "jpg")[1], &pictures(&b, 3, "png")[1]] {
        change(path, |bytes| bytes.truncate(bytes.len() / 2));
    }
    fs::write(b.path("in/none.jpg"), "").unwrap();
    let done = b.run(&["run", "in", "--json"]);
    assert_said(&done, 1, &["jpg_2.jpg", "png_2.png", "none.jpg"]);
    assert_whole_and_without_background(&b, "output/cam01", 4);
    let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["cameras"][0]["failed"], 3);
}

#[test]
fn bit_flips_in_a_picture_never_leave_half_a_file() {
    let b = Workspace::new();
    // A multiplicative generator is enough to hit headers, tables and data; the seed is fixed, so
    // the test is the same each time.
    let mut random = 1u64;
    for path in [pictures(&b, 20, "jpg"), pictures(&b, 20, "png")].concat() {
        change(&path, |bytes| {
            for _ in 0..8 {
                random = random
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                let bit = (random >> 33) as usize % (bytes.len().min(4096) * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        });
    }
    let done = b.run(&["run", "in", "--json"]);
    let report: serde_json::Value =
        serde_json::from_slice(&done.stdout).unwrap_or_else(|e| panic!("{e}: {}", done.stderr));
    let count = |name: &str| report["cameras"][0][name].as_u64().unwrap();
    assert_eq!(
        (count("read"), count("written") + count("failed")),
        (40, 40)
    );
    assert!(count("failed") > 0, "nothing was damaged");
    assert_said(&done, 1, &[".png"]);
    let names = b.files("output/cam01");
    assert_eq!(names.len() as u64, count("written"));
    for name in names {
        mattebox_core::codec::decode(
            &b.read(&format!("output/cam01/{name}")),
            &Default::default(),
        )
        .unwrap();
    }
}

/// The bytes of the size in a JPEG's frame header (SOF0 or SOF2).
fn claim_size(jpeg: &mut [u8], width: u16, height: u16) {
    let at = jpeg
        .windows(2)
        .position(|marker| matches!(marker, [0xFF, 0xC0 | 0xC2]))
        .unwrap();
    jpeg[at + 5..at + 7].copy_from_slice(&height.to_be_bytes());
    jpeg[at + 7..at + 9].copy_from_slice(&width.to_be_bytes());
}

#[test]
fn a_jpeg_that_claims_65535_by_65535_is_refused_before_memory_is_taken() {
    let b = Workspace::new();
    let path = &pictures(&b, 2, "jpg")[0];
    change(path, |bytes| claim_size(bytes, 65_535, 65_535));
    // Its pixels would take 12.9 GB; with an address space of 4 GB the attempt would end the
    // process.
    let command = b.command(&["run", "in"]);
    let mut limited = Command::new("sh");
    shield(&mut limited)
        .args(["-c", "ulimit -v 4000000; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    limited
        .current_dir(b.path("."))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let done = finish(limited.spawn().unwrap(), &["run in, with little memory"]);
    assert_said(&done, 1, &["jpg_1.jpg", "65535x65535", "limits"]);
    assert_whole_and_without_background(&b, "output/cam01", 1);
}

#[test]
fn coloured_ffmpeg_messages_are_understood() {
    let b = Workspace::new();
    fs::write(b.path("junk.mp4"), "junk").unwrap();
    let done = b.run_with(
        &["run", "junk.mp4"],
        &[("AV_LOG_FORCE_COLOR", "1"), ("AV_LOG_FORCE_256COLOR", "1")],
    );
    assert_said(&done, 1, &["junk.mp4", "its index is missing"]);
}

#[test]
fn a_video_that_ends_within_a_frame_gives_the_frames_before() {
    let b = Workspace::new();
    b.ffmpeg(&["-i", &sample(), "-c", "copy", "cut.mkv"]);
    change(&b.path("cut.mkv"), |bytes| {
        bytes.truncate(bytes.len() * 2 / 3)
    });
    let done = b.run(&["run", "cut.mkv"]);
    assert!(
        matches!(done.code, Some(0 | 1)) && !done.stderr.contains("panicked"),
        "{:?} {}",
        done.code,
        done.stderr
    );
    let frames = b.files("output/cam01").len();
    assert!(
        (25..75).contains(&frames),
        "{frames} frames: {}",
        done.stderr
    );
    assert_whole_and_without_background(&b, "output/cam01", frames);
}

#[test]
fn a_video_whose_index_was_cut_off_is_named() {
    let b = Workspace::new();
    fs::copy(sample(), b.path("cut.mp4")).unwrap();
    b.ffmpeg(&[
        "-i",
        &sample(),
        "-c",
        "copy",
        "-movflags",
        "-faststart",
        "cut.mp4",
    ]);
    change(&b.path("cut.mp4"), |bytes| {
        bytes.truncate(bytes.len() * 2 / 3)
    });
    let done = b.run(&["run", "cut.mp4"]);
    assert!(matches!(done.code, Some(1 | 2)), "{:?}", done.code);
    assert_said(&done, done.code.unwrap(), &["cut.mp4"]);
    assert_eq!(b.files("output/cam01").len(), 0);
}

#[test]
fn sources_without_a_frame_are_named() {
    let b = Workspace::new();
    fs::write(b.path("empty.mp4"), "").unwrap();
    fs::write(
        b.path("text.mp4"),
        "this is a text and no video\n".repeat(100),
    )
    .unwrap();
    fs::create_dir(b.path("empty")).unwrap();
    b.ffmpeg(&["-f", "lavfi", "-i", "sine=duration=1", "sound.mkv"]);
    b.ffmpeg(&["-i", &sample(), "-frames:v", "0", "-c", "copy", "none.mkv"]);
    for source in [
        "empty.mp4",
        "text.mp4",
        "empty",
        "sound.mkv",
        "none.mkv",
        "gone.mp4",
        "lavfi:testsrc2=size=64x64:duration=0.001,trim=end_frame=0",
    ] {
        let done = b.run(&["run", source, "--out", "out.mp4"]);
        assert!(
            matches!(done.code, Some(1 | 2)),
            "{source}: {:?} {}",
            done.code,
            done.stderr
        );
        assert_said(&done, done.code.unwrap(), &[source]);
        assert!(!b.path("out.mp4").exists(), "{source}: a video of nothing");
    }
}

#[test]
fn pictures_of_every_size_are_done() {
    let b = Workspace::new();
    fs::create_dir(b.path("in")).unwrap();
    let sizes = [
        (1, 1),
        (1, 4000),
        (4000, 1),
        (2, 2),
        (3, 5),
        (641, 359),
        (17, 255),
    ];
    for (i, (width, height)) in sizes.into_iter().enumerate() {
        let size = format!("scale={width}:{height}");
        b.ffmpeg(&[
            "-i",
            &sample(),
            "-frames:v",
            "1",
            "-vf",
            &size,
            &format!("in/{i}.png"),
        ]);
    }
    for matte in ["hard", "soft"] {
        for background in ["gray", "blur", "transparent"] {
            let out = format!("{matte}-{background}");
            b.report(&[
                "run",
                "in",
                "--matte",
                matte,
                "--background",
                background,
                "--out",
                &out,
            ]);
            for (i, size) in sizes.into_iter().enumerate() {
                let picture =
                    image::load_from_memory(&b.read(&format!("{out}/cam01/frame_{i:06}.png")))
                        .unwrap();
                assert_eq!((picture.width(), picture.height()), size, "{out}");
            }
        }
    }
}

#[test]
fn videos_of_odd_sizes_are_done() {
    let b = Workspace::new();
    for size in ["1:1", "1:400", "161:91"] {
        b.report(&[
            "run",
            &format!("lavfi:testsrc2=size=64x64:rate=25:duration=0.2,scale={size}"),
            "--out",
            size,
        ]);
        assert_eq!(b.files(&format!("{size}/cam01")).len(), 5);
    }
}

#[test]
fn grey_and_cmyk_jpegs_are_done() {
    let b = Workspace::new();
    fs::create_dir(b.path("in")).unwrap();
    b.ffmpeg(&["-i", &sample(), "-frames:v", "1", "frame.png"]);
    let frame = mattebox_core::codec::decode(&b.read("frame.png"), &Default::default()).unwrap();
    let width = frame.width() as usize;
    let height = frame.height() as usize;
    let jpeg = |pixels: Vec<u8>, format: PixelFormat, subsampling| {
        let pitch = width * format.size();
        turbojpeg::compress(
            turbojpeg::Image {
                pixels: &pixels[..],
                width,
                pitch,
                height,
                format,
            },
            95,
            subsampling,
        )
        .unwrap()
    };
    let grey = frame.pixels().map(|p| p[1]).collect();
    fs::write(
        b.path("in/1.jpg"),
        jpeg(grey, PixelFormat::GRAY, Subsamp::Gray),
    )
    .unwrap();
    // Encoders mark such files as made by Adobe programs, which store ink inverted: 255 is no ink.
    let ink = frame
        .pixels()
        .flat_map(|p| [p[0], p[1], p[2], 255])
        .collect();
    fs::write(
        b.path("in/2.jpg"),
        jpeg(ink, PixelFormat::CMYK, Subsamp::None),
    )
    .unwrap();
    b.report(&["run", "in"]);
    assert_whole_and_without_background(&b, "output/cam01", 2);
    // The person is in colour: a decoder that takes ink for light would give the negative.
    let of = |n: u32| {
        mattebox_core::codec::decode(
            &b.read(&format!("output/cam01/frame_00000{n}.png")),
            &Default::default(),
        )
        .unwrap()
    };
    let there = frame.get_pixel(320, 250);
    let here = *of(1).get_pixel(320, 250);
    assert!(
        there.0.iter().zip(here.0).all(|(a, b)| a.abs_diff(b) < 40),
        "{there:?} became {here:?}"
    );
    let grey = of(0).get_pixel(320, 250).0;
    assert!(
        grey[0] == grey[1] && grey[1] == grey[2] && grey != GRAY,
        "{grey:?}"
    );
}

#[test]
fn a_camera_id_cannot_leave_the_output_folder() {
    let b = Workspace::new();
    for id in ["../../etc", "..", "/etc", "a/b", ".hidden", "", "a\nb"] {
        for args in [
            vec!["run".to_owned(), sample(), "--camera-id".into(), id.into()],
            vec!["run".into(), format!("{id}={}", sample())],
        ] {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let done = b.run(&args);
            assert_said(&done, 2, &["camera"]);
        }
        assert_said(
            &b.run_with(&["run", &sample()], &[("CAMERA_ID", id)]),
            2,
            &["camera"],
        );
    }
    assert_eq!(b.files("."), Vec::<String>::new());
}

#[test]
fn an_output_folder_that_cannot_be_made_is_named() {
    let b = Workspace::new();
    fs::write(b.path("file"), "in the way").unwrap();
    for out in ["file", "file/below", "/proc/nowhere"] {
        let done = b.run(&["run", &sample(), "--frames", "3", "--out", out]);
        assert_said(&done, 1, &[out]);
    }
    let done = b.run(&["run", &sample(), "--frames", "3", "--alpha-out", "file"]);
    assert_said(&done, 1, &["file"]);
    let done = b.run(&["run", &sample(), "--frames", "3", "--out", "file/video.mp4"]);
    assert_said(&done, 1, &["file/video.mp4"]);
    assert_eq!(b.read("file"), b"in the way");
}

/// Runs the binary where `disk/` is a tmpfs of `size`; none if this system does not let us make
/// one.
fn run_on_small_disk(b: &Workspace, size: &str, args: &[&str]) -> Option<ProgramOutput> {
    fs::create_dir(b.path("disk")).unwrap();
    let own_namespace = ["--user", "--map-root-user", "--mount"];
    let mount = format!("mount -t tmpfs -o size={size} tmpfs disk");
    let may = Command::new("unshare")
        .args(own_namespace)
        .args(["sh", "-c", &mount])
        .current_dir(b.path("."))
        .status();
    if !may.is_ok_and(|status| status.success()) {
        return None;
    }
    let command = b.command(args);
    let mut unshared = Command::new("unshare");
    // Only this namespace sees the mount, so its files are copied out at the end.
    let script = format!("{mount} && \"$@\"; code=$?; cp -r disk left; exit $code");
    shield(&mut unshared)
        .args(own_namespace)
        .args(["sh", "-c", &script, "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    unshared
        .current_dir(b.path("."))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Some(finish(unshared.spawn().unwrap(), args))
}

#[test]
fn a_full_disk_leaves_whole_pictures_only() {
    let b = Workspace::new();
    let Some(done) = run_on_small_disk(&b, "1m", &["run", &sample(), "--out", "disk"]) else {
        eprintln!("not tested: this system does not allow a tmpfs in a new namespace");
        return;
    };
    assert_said(&done, 1, &["disk/cam01", "No space left"]);
    let written = b.files("left/cam01").len();
    assert!((1..75).contains(&written), "{written}: {}", done.stderr);
    assert_whole_and_without_background(&b, "left/cam01", written);
}

#[test]
fn a_full_disk_leaves_no_half_video_under_its_name() {
    let b = Workspace::new();
    let args = [
        "run",
        "lavfi:testsrc2=size=640x360:rate=25:duration=20",
        "--background",
        "video:noise.mkv",
        "--out",
        "disk/out.mkv",
    ];
    // A background that does not compress.
    b.ffmpeg(&[
        "-f",
        "lavfi",
        "-i",
        "nullsrc=size=640x360:rate=25:duration=1,geq=random(1)*255:128:128",
        "-c:v",
        "ffv1",
        "noise.mkv",
    ]);
    let Some(done) = run_on_small_disk(&b, "256k", &args) else {
        eprintln!("not tested: this system does not allow a tmpfs in a new namespace");
        return;
    };
    assert_said(&done, 1, &["out.mkv", "No space left"]);
    assert_said(&done, 1, &["is in disk/out.unfinished.mkv"]);
    assert_eq!(b.files("left"), ["out.unfinished.mkv"]);
}

#[test]
fn a_full_pipe_target_is_an_error() {
    let b = Workspace::new();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = b.command(&["run", &sample(), "--out", "-", "--frames", "5"]);
    let child = command.stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    assert_said(
        &finish(child, &["run to /dev/full"]),
        1,
        &["standard output", "No space left"],
    );
}

#[test]
fn a_stalled_file_source_ends_and_its_frames_are_kept() {
    let b = Workspace::new();
    // Key frames only, so that FFmpeg can show the first picture without waiting for more.
    b.ffmpeg(&["-i", &sample(), "-c:v", "mjpeg", "clip.mkv"]);
    let bytes = b.read("clip.mkv");
    let mut command = b.command(&["run", "-", "--stall-timeout", "2s"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The pipe stays open and silent after half of the clip.
    stdin.write_all(&bytes[..bytes.len() / 2]).unwrap();
    let done = finish(child, &["run - with a stalled standard input"]);
    drop(stdin);
    assert_said(&done, 1, &["stalled", "standard input"]);
    let frames = b.files("output/cam01").len();
    assert!(frames > 5, "{frames} frames: {}", done.stderr);
    assert_whole_and_without_background(&b, "output/cam01", frames);
}

#[test]
fn a_silent_server_ends_the_run_with_exit_code_3() {
    let b = Workspace::new();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!(
        "rtsp://127.0.0.1:{}/cam",
        server.local_addr().unwrap().port()
    );
    // Accepts every connection and sends nothing.
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        while let Ok((mut connection, _)) = server.accept() {
            let _ = connection.set_read_timeout(Some(Duration::from_millis(100)));
            let _ = connection.read(&mut [0; 64]);
            silent.push(connection);
        }
    });
    let done = b.run(&[
        "run",
        &address,
        "--connect-timeout",
        "3s",
        "--stall-timeout",
        "1s",
    ]);
    assert_said(&done, 3, &[&address, "could not be reached"]);
    assert_eq!(b.files("output/cam01").len(), 0);
}

#[test]
fn a_model_file_that_is_cut_short_is_named() {
    let b = Workspace::new();
    let model = fs::read(repository("crates/net/model/selfie_segmentation.tflite")).unwrap();
    for length in [0, 1, 7, 8, 100, 4096, model.len() / 2, model.len() - 1] {
        fs::write(b.path("cut.tflite"), &model[..length]).unwrap();
        let done = b.run(&["run", &sample(), "--model", "cut.tflite", "--frames", "1"]);
        assert_said(&done, 2, &["cut.tflite"]);
        let done = b.run(&["model", "cut.tflite"]);
        assert_said(&done, done.code.unwrap_or(-1), &["cut.tflite"]);
        assert_ne!(done.code, Some(0), "{length} bytes are a model");
    }
    assert_said(
        &b.run(&["run", &sample(), "--model", "gone.tflite"]),
        2,
        &["gone.tflite"],
    );
    assert!(!b.path("output/cam01/frame_000000.png").exists());
}

#[test]
fn a_model_file_with_one_byte_changed_is_refused_or_runs() {
    let b = Workspace::new();
    let model = fs::read(repository("crates/net/model/selfie_segmentation.tflite")).unwrap();
    let mut refused = 0;
    // Positions in the whole file: the tables are at both ends, the weights in the middle.
    for i in 0..48 {
        let mut changed = model.clone();
        let at = if i % 2 == 0 {
            i * 40
        } else {
            model.len() - 1 - i * 40
        };
        changed[at] ^= 0xFF;
        fs::write(b.path("changed.tflite"), &changed).unwrap();
        let done = b.run(&[
            "run",
            &sample(),
            "--model",
            "changed.tflite",
            "--frames",
            "1",
        ]);
        assert!(
            matches!(done.code, Some(0 | 2)),
            "byte {at}: {:?} {}",
            done.code,
            done.stderr
        );
        if done.code == Some(2) {
            assert_said(&done, 2, &["changed.tflite"]);
            refused += 1;
        }
    }
    assert!(refused > 0, "no change was noticed");
}

#[test]
fn a_background_file_that_is_missing_or_no_picture_is_named_before_anything_is_written() {
    let b = Workspace::new();
    fs::write(b.path("text.png"), "no picture").unwrap();
    for background in [
        "image:gone.png",
        "video:gone.mp4",
        "image:text.png",
        "video:text.png",
        "image:",
        "image:.",
    ] {
        let done = b.run(&[
            "run",
            &sample(),
            "--background",
            background,
            "--frames",
            "3",
        ]);
        let (_, path) = background.split_once(':').unwrap();
        assert_said(&done, 2, &["background", path]);
        assert_eq!(b.files("output/cam01").len(), 0, "{background}");
    }
}

#[test]
fn an_unknown_key_in_the_settings_file_is_named() {
    let b = Workspace::new();
    for (text, words) in [
        ("backgroud = \"blur\"", ["backgroud", "mattebox.toml"]),
        ("background = 7", ["background", "mattebox.toml"]),
        ("background = \"blur", ["line 1", "mattebox.toml"]),
        ("[camera]\nid = \"x\"", ["camera", "mattebox.toml"]),
    ] {
        fs::write(b.path("mattebox.toml"), text).unwrap();
        for command in ["run", "config"] {
            assert_said(&b.run(&[command, &sample()]), 2, &words);
        }
    }
    fs::write(b.path("mattebox.toml"), [0xFF, 0xFE, 0x00]).unwrap();
    assert_said(&b.run(&["run", &sample()]), 2, &["mattebox.toml"]);
    assert_eq!(b.files("."), ["mattebox.toml"]);
}

#[test]
fn an_fps_that_is_no_rate_is_named_with_its_origin() {
    let b = Workspace::new();
    for fps in ["0", "-1", "abc", "nan", "inf", "1e9", ""] {
        assert_said(&b.run(&["run", &sample(), "--fps", fps]), 2, &["fps"]);
        assert_said(
            &b.run_with(&["run", &sample()], &[("FPS", fps)]),
            2,
            &["fps"],
        );
    }
    fs::write(b.path("mattebox.toml"), "fps = 0").unwrap();
    assert_said(&b.run(&["run", &sample()]), 2, &["fps", "mattebox.toml"]);
}
