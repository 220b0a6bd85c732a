//! Video files through FFmpeg: every picture once, upright, with its time; and the messages about
//! files that are no videos.

use crate::kit::{collect, error_of, executable, ffmpeg, open, sample};
use image::RgbImage;
use mattebox_engine::stop::Stop;
use mattebox_media::source::SourceOptions;
use std::fs;
use std::path::Path;
use std::time::Duration;

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn first_picture(spec: &str, options: &SourceOptions) -> RgbImage {
    open(spec, options)
        .next(&Stop::new())
        .unwrap()
        .unwrap()
        .picture
}

#[test]
fn the_sample_gives_each_of_its_75_pictures_once() {
    let mut source = open(&sample(), &SourceOptions::default());
    assert_eq!(
        (source.info().frames, source.info().fps),
        (Some(75), Some(25.0))
    );
    assert!(!source.info().live && !source.info().still);
    let pictures = collect(&mut *source);
    assert_eq!(pictures.len(), 75);
    for (number, picture) in pictures.iter().enumerate() {
        assert_eq!(picture.picture.dimensions(), (640, 360));
        assert_eq!(picture.time.0, number as i64 * 40_000);
    }
    assert!(
        pictures
            .windows(2)
            .all(|pair| pair[0].picture != pair[1].picture)
    );
}

#[test]
fn a_variable_frame_rate_keeps_its_pictures_and_their_times() {
    let folder = tempfile::tempdir().unwrap();
    let clip = ffmpeg(
        "-i {sample} -vf select=lt(mod(n\\,3)\\,2) -vsync vfr -c:v ffv1",
        &folder.path().join("vfr.mkv"),
    );
    let times: Vec<i64> = collect(&mut *open(&text(&clip), &SourceOptions::default()))
        .iter()
        .map(|p| p.time.0)
        .collect();
    let want: Vec<i64> = (0..75).filter(|n| n % 3 < 2).map(|n| n * 40_000).collect();
    assert_eq!(times, want);
}

#[test]
fn a_rate_is_kept_by_dropping_and_by_repeating() {
    for (fps, count) in [(10.0, 30), (50.0, 150)] {
        let options = SourceOptions {
            fps: Some(fps),
            ..Default::default()
        };
        let mut source = open(&sample(), &options);
        assert_eq!(
            (source.info().frames, source.info().fps),
            (Some(count), Some(fps))
        );
        let pictures = collect(&mut *source);
        assert_eq!(pictures.len() as u64, count);
        assert_eq!(pictures[7].time.0, (7e6 / fps) as i64);
    }
}

#[test]
fn a_part_begins_and_ends_where_asked() {
    let whole = collect(&mut *open(&sample(), &SourceOptions::default()));
    let second = Duration::from_secs(1);
    let options = SourceOptions {
        start: Some(second),
        duration: Some(second),
        ..Default::default()
    };
    let mut source = open(&sample(), &options);
    assert_eq!(source.info().frames, Some(25));
    let part = collect(&mut *source);
    assert_eq!(part.len(), 25);
    for (got, want) in part.iter().zip(&whole[25..50]) {
        assert!(got.picture == want.picture && got.time == want.time);
    }
}

#[test]
fn a_repeated_file_goes_on_from_its_beginning_with_time_going_on() {
    let whole = collect(&mut *open(&sample(), &SourceOptions::default()));
    let options = SourceOptions {
        repeat: true,
        duration: Some(Duration::from_secs(7)),
        ..Default::default()
    };
    let mut source = open(&sample(), &options);
    assert_eq!(source.info().frames, Some(175));
    let long = collect(&mut *source);
    assert_eq!(long.len(), 175);
    for (number, picture) in long.iter().enumerate() {
        assert!(
            picture.picture == whole[number % 75].picture,
            "picture {number}"
        );
        assert_eq!(picture.time.0, number as i64 * 40_000);
    }
    let forever = SourceOptions {
        repeat: true,
        ..Default::default()
    };
    assert_eq!(open(&sample(), &forever).info().frames, None);
}

#[test]
fn a_test_pattern_repeats_too() {
    let options = SourceOptions {
        repeat: true,
        duration: Some(Duration::from_millis(1400)),
        ..Default::default()
    };
    let pictures = collect(&mut *open(
        "lavfi:testsrc=size=32x16:rate=10:duration=0.5",
        &options,
    ));
    assert_eq!(pictures.len(), 14);
    assert!(
        pictures[0].picture == pictures[5].picture && pictures[0].picture != pictures[4].picture
    );
    assert_eq!(pictures[13].time.0, 1_300_000);
    // After two rounds the rest of the duration is too short for a picture.
    let options = SourceOptions {
        duration: Some(Duration::from_micros(1_000_001)),
        ..options
    };
    assert!(
        (10..=11).contains(
            &collect(&mut *open(
                "lavfi:testsrc=size=32x16:rate=10:duration=0.5",
                &options
            ))
            .len()
        )
    );
}

/// FFmpeg's versions before 5.1 know `-fps_mode` under its older name only.
#[cfg(unix)]
#[test]
fn an_ffmpeg_from_before_5_1_reads_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("ffmpeg");
    let script = "#!/bin/sh
        [ \"$*\" = -version ] && { echo 'ffmpeg version 4.4.2 Copyright'; exit; }
        case \" $* \" in
            *' -fps_mode '*) echo \"[error] Unrecognized option 'fps_mode'.\" >&2; exit 1 ;;
        esac
        exec ffmpeg \"$@\"
        ";
    executable(&old, script);
    let options = SourceOptions {
        ffmpeg: old,
        ..Default::default()
    };
    assert_eq!(collect(&mut *open(&sample(), &options)).len(), 75);
}

#[test]
fn wider_pictures_are_scaled_down_and_others_are_not_touched() {
    let size = |spec: &str, max_width| {
        first_picture(
            spec,
            &SourceOptions {
                max_width: Some(max_width),
                ..Default::default()
            },
        )
        .dimensions()
    };
    assert_eq!(size(&sample(), 320), (320, 180));
    assert_eq!(size(&sample(), 333), (333, 187), "odd sizes are fine");
    assert_eq!(size(&sample(), 640), (640, 360));
    assert_eq!(size(&sample(), 1920), (640, 360), "never up");
    assert_eq!(
        size("lavfi:testsrc=size=1000x1", 10),
        (10, 1),
        "never to nothing"
    );
    let untouched = first_picture(
        &sample(),
        &SourceOptions {
            max_width: Some(1920),
            ..Default::default()
        },
    );
    assert!(untouched == first_picture(&sample(), &SourceOptions::default()));
}

#[test]
fn odd_and_tiny_sizes_are_unchanged() {
    for size in ["1x1", "1x4000", "4000x1", "333x187"] {
        let picture = first_picture(
            &format!("lavfi:testsrc=size={size}:rate=1:duration=1"),
            &SourceOptions::default(),
        );
        assert_eq!(format!("{}x{}", picture.width(), picture.height()), size);
    }
}

/// Sets the rotation of a QuickTime file to a quarter turn: the matrix in its track header
/// (QuickTime File Format, "Track header atoms"), 16.16 and 2.30 fixed point numbers.
fn turn(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let header = bytes.windows(4).position(|word| word == b"tkhd").unwrap() + 4;
    let one = 1 << 16;
    let matrix: [i32; 9] = [0, one, 0, -one, 0, 0, 360 * one, 0, 1 << 30];
    for (place, number) in bytes[header + 40..].chunks_exact_mut(4).zip(matrix) {
        place.copy_from_slice(&number.to_be_bytes());
    }
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_turned_recording_comes_upright() {
    let folder = tempfile::tempdir().unwrap();
    let upright = first_picture(&sample(), &SourceOptions::default());
    let turned = ffmpeg("-i {sample} -c copy", &folder.path().join("turned.mov"));
    turn(&turned);
    let picture = first_picture(&text(&turned), &SourceOptions::default());
    assert_eq!(picture.dimensions(), (360, 640));
    assert!(picture == image::imageops::rotate90(&upright));
    let narrow = first_picture(
        &text(&turned),
        &SourceOptions {
            max_width: Some(180),
            ..Default::default()
        },
    );
    assert_eq!(
        narrow.dimensions(),
        (180, 320),
        "the width is that of the upright picture"
    );
}

#[test]
fn a_cover_picture_is_not_taken_for_the_video() {
    let folder = tempfile::tempdir().unwrap();
    let cover = ffmpeg(
        "-f lavfi -i testsrc=size=64x64 -frames:v 1",
        &folder.path().join("cover.png"),
    );
    let covered = format!(
        "-i {} -i {{sample}} -map 0 -map 1 -c copy -disposition:v:0 attached_pic",
        cover.display()
    );
    let clip = ffmpeg(&covered, &folder.path().join("covered.mp4"));
    let mut source = open(&text(&clip), &SourceOptions::default());
    assert_eq!(source.info().fps, Some(25.0));
    assert_eq!(collect(&mut *source).len(), 75);
}

#[test]
fn names_that_look_like_something_else_are_just_names() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "12:30 a.mp4",
        "-i.mp4",
        "ü 100%.mp4",
        "what's up?.mp4",
        "[a]*.mp4",
    ] {
        let path = folder.path().join(name);
        fs::copy(sample(), &path).unwrap();
        let options = SourceOptions {
            duration: Some(Duration::from_millis(80)),
            ..Default::default()
        };
        assert_eq!(
            collect(&mut *open(&text(&path), &options)).len(),
            2,
            "{name}"
        );
    }
}

#[test]
fn a_video_that_is_cut_off_keeps_the_pictures_before() {
    let folder = tempfile::tempdir().unwrap();
    for (name, arguments) in [
        ("a.ts", "-c copy"),
        ("a.mkv", "-c copy"),
        ("a.mp4", "-c copy -movflags +faststart"),
    ] {
        let whole = ffmpeg(
            &format!("-i {{sample}} {arguments}"),
            &folder.path().join(name),
        );
        let bytes = fs::read(&whole).unwrap();
        let cut = folder.path().join(format!("cut-{name}"));
        fs::write(&cut, &bytes[..bytes.len() / 2 + 7]).unwrap();
        let pictures = collect(&mut *open(&text(&cut), &SourceOptions::default()));
        assert!(
            (20..75).contains(&pictures.len()),
            "{name}: {}",
            pictures.len()
        );
    }
}

#[test]
fn a_file_that_is_no_video_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        text(&path)
    };
    // Its index stands at its end.
    let late_index = fs::read(ffmpeg(
        "-i {sample} -c copy",
        &folder.path().join("whole.mp4"),
    ))
    .unwrap();
    let sound = text(&ffmpeg(
        "-f lavfi -i sine=duration=1",
        &folder.path().join("sound.wav"),
    ));
    let empty = ffmpeg(
        "-i {sample} -frames:v 0 -c:v ffv1",
        &folder.path().join("no-frames.mkv"),
    );
    let cases = [
        (file("a.txt", b"hello\nworld\n"), "not a video"),
        (file("empty.mp4", b""), "the file is empty"),
        (
            file("cut.mp4", &late_index[..late_index.len() / 2]),
            "cut short",
        ),
        (sound, "no video in it"),
        (text(&empty), "no"),
        (text(&folder.path().join("missing.mp4")), "no such file"),
        ("foo://127.0.0.1/x".into(), "does not know the protocol"),
        ("lavfi:nosuchfilter".into(), "filter"),
        ("lavfi:testsrc=size=axb".into(), "mistake"),
    ];
    for (spec, words) in cases {
        let error = error_of(&spec, &SourceOptions::default());
        let message = error.to_string();
        assert!(
            message.contains(words) && message.contains(&spec),
            "{spec}: {message}"
        );
        assert!(error.is_fatal());
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let start = SourceOptions {
        start: Some(Duration::from_secs(100)),
        ..Default::default()
    };
    let error = error_of(&sample(), &start);
    assert!(
        error.is_usage()
            && error
                .to_string()
                .contains("no picture in it after its first 100 s"),
        "{error}"
    );
    for fps in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
        let options = SourceOptions {
            fps: Some(fps),
            ..Default::default()
        };
        assert!(error_of(&sample(), &options).is_usage());
    }
    assert!(
        error_of(
            &sample(),
            &SourceOptions {
                max_width: Some(0),
                ..Default::default()
            }
        )
        .is_usage()
    );
    assert!(
        error_of(
            "-",
            &SourceOptions {
                repeat: true,
                ..Default::default()
            }
        )
        .to_string()
        .contains("only once")
    );
    let missing = SourceOptions {
        ffmpeg: "/no/such/ffmpeg".into(),
        ..Default::default()
    };
    let message = error_of(&sample(), &missing).to_string();
    assert!(
        message.contains("/no/such/ffmpeg") && message.contains("install ffmpeg"),
        "{message}"
    );
}

#[test]
fn a_picture_over_the_limit_is_refused() {
    let mut options = SourceOptions::default();
    options.limits.max_pixels = 640 * 360 - 1;
    let message = error_of(&sample(), &options).to_string();
    assert!(
        message.contains("640x360 are over the limit of 230399 pixels"),
        "{message}"
    );
}

/// Set for the process that reads its standard input: the file for its result.
const READER: &str = "MATTEBOX_TEST_READER";

/// Not a separate test: the process with the video on its standard input.
#[test]
fn reader_of_standard_input() {
    let Some(report) = std::env::var_os(READER) else {
        return;
    };
    let mut source = open("-", &SourceOptions::default());
    assert!(!source.info().live);
    let pictures = collect(&mut *source);
    fs::write(
        report,
        format!("{} {}", pictures.len(), pictures[74].time.0),
    )
    .unwrap();
}

#[test]
fn a_video_is_read_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let clip = ffmpeg("-i {sample} -c copy", &folder.path().join("a.mkv"));
    let report = folder.path().join("report");
    let done = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "source_video::reader_of_standard_input"])
        .env(READER, &report)
        .stdin(fs::File::open(clip).unwrap())
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stdout)
    );
    assert_eq!(fs::read_to_string(report).unwrap(), "75 2960000");
}

#[cfg(unix)]
mod stalls {
    use super::*;
    use std::sync::mpsc;
    use std::thread;

    fn pipe(folder: &Path) -> String {
        let path = folder.join("pipe.ts");
        assert!(
            std::process::Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        text(&path)
    }

    #[test]
    fn a_stalled_file_is_an_error_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let spec = pipe(folder.path());
        let writer = thread::spawn({
            let spec = spec.clone();
            move || {
                let bytes = fs::read(ffmpeg(
                    "-i {sample} -c copy",
                    &Path::new(&spec).with_file_name("a.ts"),
                ))
                .unwrap();
                let mut to = fs::OpenOptions::new().write(true).open(&spec).unwrap();
                std::io::Write::write_all(&mut to, &bytes[..bytes.len() / 2]).unwrap();
                to
            }
        });
        let options = SourceOptions {
            stall_timeout: Some(Duration::from_secs(3)),
            ..Default::default()
        };
        let error = error_of(&spec, &options);
        let message = error.to_string();
        assert!(
            message.contains(&spec) && message.contains("stalled: no frame for 3 s"),
            "{message}"
        );
        assert!(error.is_fatal());
        drop(writer.join().unwrap());
    }

    #[test]
    fn a_slow_file_has_no_time_limit() {
        let folder = tempfile::tempdir().unwrap();
        let spec = pipe(folder.path());
        let writer = thread::spawn({
            let spec = spec.clone();
            move || {
                let bytes = fs::read(ffmpeg(
                    "-i {sample} -c copy",
                    &Path::new(&spec).with_file_name("a.ts"),
                ))
                .unwrap();
                let mut to = fs::OpenOptions::new().write(true).open(&spec).unwrap();
                let (first, rest) = bytes.split_at(bytes.len() / 2);
                std::io::Write::write_all(&mut to, first).unwrap();
                // Longer than a live source may be silent.
                thread::sleep(Duration::from_secs(11));
                std::io::Write::write_all(&mut to, rest).unwrap();
            }
        });
        assert_eq!(
            collect(&mut *open(&spec, &SourceOptions::default())).len(),
            75
        );
        writer.join().unwrap();
    }

    #[test]
    fn pictures_in_a_pipe_are_shown_before_much_of_them_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let spec = pipe(folder.path());
        let jpegs = fs::read(ffmpeg(
            "-i {sample} -frames:v 10 -vf scale=160:-2 -c:v mjpeg -f mjpeg",
            &folder.path().join("a"),
        ))
        .unwrap();
        let (done, first_is_here) = mpsc::channel::<()>();
        let writer = thread::spawn({
            let spec = spec.clone();
            move || {
                let mut to = fs::OpenOptions::new().write(true).open(&spec).unwrap();
                std::io::Write::write_all(&mut to, &jpegs).unwrap();
                // The pipe stays open, so its end is not known.
                let _ = first_is_here.recv_timeout(Duration::from_secs(60));
            }
        });
        let mut source = open(
            &spec,
            &SourceOptions {
                stall_timeout: Some(Duration::from_secs(30)),
                ..Default::default()
            },
        );
        for _ in 0..5 {
            assert_eq!(
                source
                    .next(&Stop::new())
                    .unwrap()
                    .unwrap()
                    .picture
                    .dimensions(),
                (160, 90)
            );
        }
        drop(done);
        writer.join().unwrap();
    }

    #[test]
    fn one_jpeg_in_a_pipe_is_one_picture() {
        let folder = tempfile::tempdir().unwrap();
        let spec = pipe(folder.path());
        let jpeg = fs::read(ffmpeg(
            "-i {sample} -frames:v 1 -q:v 1",
            &folder.path().join("a.jpg"),
        ))
        .unwrap();
        let writer = thread::spawn({
            let spec = spec.clone();
            move || fs::write(spec, jpeg).unwrap()
        });
        assert_eq!(
            collect(&mut *open(&spec, &SourceOptions::default())).len(),
            1
        );
        writer.join().unwrap();
    }

    #[test]
    fn a_stop_ends_a_wait_that_would_last_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let spec = pipe(folder.path());
        let options = SourceOptions {
            stall_timeout: Some(Duration::ZERO),
            ..Default::default()
        };
        let stop = Stop::new();
        let (said, ended) = mpsc::channel();
        let reader = thread::spawn({
            let stop = stop.clone();
            move || {
                let opened = mattebox_media::source::open(&spec.parse().unwrap(), &options, &stop);
                let ended = match opened {
                    Ok(mut source) => source.next(&stop).unwrap().is_none(),
                    Err(error) => error.to_string() == "stopped",
                };
                said.send(ended).unwrap();
            }
        });
        assert!(
            ended.recv_timeout(Duration::from_millis(300)).is_err(),
            "nothing comes from a pipe without a writer"
        );
        stop.stop();
        assert!(ended.recv_timeout(Duration::from_secs(20)).unwrap());
        reader.join().unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_dropped_source_ends_its_ffmpeg() {
        let graph = "testsrc=size=64x48:rate=17.125";
        let running = || {
            let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
            processes
                .filter_map(|process| fs::read_to_string(process.path().join("cmdline")).ok())
                .any(|line| line.contains(graph))
        };
        let source = open(&format!("lavfi:{graph}"), &SourceOptions::default());
        assert!(running());
        drop(source);
        assert!(!running());
    }
}
