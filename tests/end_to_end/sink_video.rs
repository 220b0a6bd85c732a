//! Videos through FFmpeg: the tests read them back and compare; and no half-written file has a
//! final name.

use crate::kit::{MemoryDisk, collect, free_port, open, sample, shield, try_open, until};
use image::{Rgb, RgbImage, Rgba, RgbaImage};
use mattebox_core::compose::Composed;
use mattebox_core::frame::Timestamp;
use mattebox_engine::stop::Stop;
use mattebox_media::beside::PictureExtras;
use mattebox_media::sink::{OrderedSink, SinkError, SinkOptions, SinkPicture, open_ordered};
use mattebox_media::source::SourceOptions;
use mattebox_store::OnExisting;
use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// A sink that is given pictures at a steady rate.
struct SteadySink {
    sink: Box<dyn OrderedSink>,
    micros: f64,
    pictures: u32,
}

impl SteadySink {
    fn write(&mut self, picture: &Composed) -> Result<(), SinkError> {
        let time = Timestamp((f64::from(self.pictures) * self.micros).round() as i64);
        self.pictures += 1;
        self.write_at(picture, time)
    }

    fn write_at(&mut self, picture: &Composed, time: Timestamp) -> Result<(), SinkError> {
        self.sink.write(SinkPicture {
            picture,
            time,
            beside: PictureExtras::default(),
        })
    }

    fn finish(self) -> Result<(), SinkError> {
        self.sink.finish(vec![])
    }
}

fn try_sink(spec: &str, options: &SinkOptions) -> Result<SteadySink, SinkError> {
    Ok(SteadySink {
        sink: open_ordered(&spec.parse().unwrap(), options)?,
        micros: 1e6 / options.fps.unwrap_or(25.0),
        pictures: 0,
    })
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Writes pictures to a video and finishes it.
fn write(path: &Path, options: &SinkOptions, pictures: &[Composed]) {
    let mut sink = try_sink(&text(path), options).unwrap();
    for picture in pictures {
        sink.write(picture).unwrap();
    }
    assert!(!path.exists(), "not before it is finished");
    sink.finish().unwrap();
    assert_eq!(
        fs::read_dir(path.parent().unwrap()).unwrap().count(),
        1,
        "no temporary is left"
    );
}

fn sample_pictures() -> Vec<RgbImage> {
    collect(&mut *open(&sample(), &SourceOptions::default()))
        .into_iter()
        .map(|p| p.picture)
        .collect()
}

/// Mean squared error as a peak signal-to-noise ratio in dB, and the mean difference per channel.
fn compare(a: &RgbImage, b: &RgbImage) -> (f64, f64) {
    assert_eq!(a.dimensions(), b.dimensions());
    let count = a.as_raw().len() as f64;
    let mut squares = 0.0;
    let mut sum = 0.0;
    for (a, b) in a.iter().zip(b.iter()) {
        let difference = f64::from(*a) - f64::from(*b);
        squares += difference * difference;
        sum += difference;
    }
    (
        10.0 * (255.0f64.powi(2) / (squares / count)).log10(),
        sum / count,
    )
}

fn read_back(path: &Path) -> Vec<RgbImage> {
    collect(&mut *open(&text(path), &SourceOptions::default()))
        .into_iter()
        .map(|p| p.picture)
        .collect()
}

#[test]
fn opaque_videos_hold_every_picture_with_its_colours() {
    let pictures = sample_pictures();
    let composed: Vec<Composed> = pictures.iter().cloned().map(Composed::Rgb).collect();
    for name in ["a.mp4", "a.m4v", "a.mov", "a.mkv", "a.webm"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        write(
            &path,
            &SinkOptions {
                fps: Some(30000.0 / 1001.0),
                ..Default::default()
            },
            &composed,
        );
        let source = open(&text(&path), &SourceOptions::default());
        assert!((source.info().fps.unwrap() - 29.97).abs() < 0.01, "{name}");
        let back = read_back(&path);
        assert_eq!(back.len(), 75, "{name}");
        for (number, (a, b)) in pictures.iter().zip(&back).enumerate() {
            let (psnr, shift) = compare(a, b);
            assert!(
                psnr > 32.0 && shift.abs() < 2.5,
                "{name}, picture {number}: {psnr:.1} dB, {shift:.2} brighter"
            );
        }
    }
}

#[test]
fn odd_sizes_lose_nothing() {
    for (width, height) in [(33, 17), (1, 1), (1, 401)] {
        let picture = RgbImage::from_fn(width, height, |x, _| Rgb([(x * 7) as u8, 100, 50]));
        for name in ["a.mp4", "a.webm", "a.gif", "a.mov"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            write(
                &path,
                &SinkOptions::default(),
                &[
                    Composed::Rgb(picture.clone()),
                    Composed::Rgb(picture.clone()),
                ],
            );
            let back = &read_back(&path)[1];
            let even = |side: u32| {
                if matches!(name, "a.mp4" | "a.mov") {
                    side.next_multiple_of(2)
                } else {
                    side
                }
            };
            assert_eq!(back.dimensions(), (even(width), even(height)), "{name}");
            let part = image::imageops::crop_imm(back, 0, 0, width, height).to_image();
            let (psnr, _) = compare(&picture, &part);
            assert!(psnr > 18.0, "{name} {width}x{height}: {psnr:.1} dB");
        }
    }
}

/// Decodes to straight RGBA. FFmpeg's own VP9 decoder drops the alpha, libvpx's keeps it.
fn read_alpha(path: &Path, width: u32, height: u32) -> Vec<RgbaImage> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-loglevel", "error"]);
    if path.extension().unwrap() == "webm" {
        command.args(["-c:v", "libvpx-vp9"]);
    }
    let output = command
        .arg("-i")
        .arg(path)
        .args(["-f", "rawvideo", "-pix_fmt", "rgba", "-"])
        .output()
        .unwrap();
    assert!(output.status.success());
    let length = (width * height * 4) as usize;
    assert_eq!(output.stdout.len() % length, 0);
    output
        .stdout
        .chunks(length)
        .map(|frame| RgbaImage::from_raw(width, height, frame.to_vec()).unwrap())
        .collect()
}

#[test]
fn formats_that_can_be_transparent_are() {
    let width = 64;
    let height = 48;
    // Alpha from 0 to 252 across, a colour that moves.
    let pictures: Vec<RgbaImage> = (0..10u32)
        .map(|n| {
            RgbaImage::from_fn(width, height, |x, _| {
                Rgba([(n * 20) as u8, 90, 160, (x * 4) as u8])
            })
        })
        .collect();
    let composed: Vec<Composed> = pictures.iter().cloned().map(Composed::Rgba).collect();
    for (name, off) in [("a.webm", 10), ("a.mov", 3), ("a.mkv", 0), ("a.gif", 255)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        write(
            &path,
            &SinkOptions {
                alpha: true,
                fps: Some(25.0),
                ..Default::default()
            },
            &composed,
        );
        let back = read_alpha(&path, width, height);
        assert_eq!(back.len(), 10, "{name}");
        for (a, b) in pictures.iter().zip(&back) {
            for (x, y, pixel) in b.enumerate_pixels() {
                let want = a.get_pixel(x, y).0[3];
                let close = if name == "a.gif" {
                    (want >= 128) == (pixel.0[3] == 255)
                } else {
                    pixel.0[3].abs_diff(want) <= off
                };
                assert!(close, "{name} at {x},{y}: alpha {} for {want}", pixel.0[3]);
            }
        }
    }
}

#[test]
fn a_video_says_that_its_colours_are_those_of_hd() {
    for (name, is_transparent) in [
        ("a.mp4", false),
        ("a.mov", false),
        ("a.mov", true),
        ("a.mkv", false),
        ("a.webm", false),
        ("a.webm", true),
        ("a.ts", false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let picture = match is_transparent {
            true => Composed::Rgba(RgbaImage::from_pixel(64, 48, Rgba([200, 30, 90, 128]))),
            false => Composed::Rgb(RgbImage::from_pixel(64, 48, Rgb([200, 30, 90]))),
        };
        let options = SinkOptions {
            alpha: is_transparent,
            ..Default::default()
        };
        write(&path, &options, &vec![picture; 30]);
        let output = shield(&mut Command::new("ffprobe"))
            .args(["-v", "error", "-of", "csv=p=0", "-show_entries"])
            .arg("stream=color_range,color_space,color_transfer,color_primaries")
            .arg(&path)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let said = text.lines().find(|line| !line.is_empty()).unwrap();
        assert_eq!(said, "tv,bt709,bt709,bt709", "{name}, {is_transparent}");
        let back = &read_back(&path)[0];
        let pixel = back.get_pixel(32, 24).0;
        let off = pixel
            .iter()
            .zip([200u8, 30, 90])
            .map(|(a, b)| a.abs_diff(b));
        assert!(
            off.max().unwrap() <= 4,
            "{name}, {is_transparent}: {pixel:?}"
        );
    }
}

#[test]
fn formats_that_cannot_be_transparent_say_which_can() {
    let folder = tempfile::tempdir().unwrap();
    for spec in [
        text(&folder.path().join("a.mp4")),
        "rtsp://127.0.0.1:9/x".to_owned(),
    ] {
        let error = try_sink(
            &spec,
            &SinkOptions {
                alpha: true,
                ..Default::default()
            },
        )
        .err()
        .unwrap();
        let message = error.to_string();
        assert!(
            error.is_usage()
                && message.contains(&spec)
                && message.contains("webm (VP9), mov (ProRes 4444)"),
            "{message}"
        );
        let mut sink = try_sink(&spec, &SinkOptions::default()).unwrap();
        assert!(
            sink.write(&Composed::Rgba(RgbaImage::new(4, 4)))
                .unwrap_err()
                .is_usage(),
            "nor a picture that comes unannounced"
        );
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_video_that_is_not_finished_is_kept_under_another_name() {
    for name in ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.ts", "a.gif"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let mut sink = try_sink(&text(&path), &SinkOptions::default()).unwrap();
        for number in 0..3 {
            sink.write(&noise_of(64, 64, number)).unwrap();
        }
        drop(sink);
        let names = names(folder.path());
        assert_eq!(names, [name.replace('.', ".unfinished.")]);
        assert_eq!(read_back(&folder.path().join(&names[0])).len(), 3, "{name}");
    }
}

#[test]
fn a_video_without_a_picture_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    for segment in [None, Some(Duration::from_secs(1))] {
        let options = SinkOptions {
            segment,
            ..Default::default()
        };
        // That is no failure.
        try_sink(&text(&path), &options).unwrap().finish().unwrap();
        drop(try_sink(&text(&path), &options).unwrap());
        assert_eq!(names(folder.path()), [""; 0]);
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_size_that_changes_begins_a_new_file() {
    for kind in ["mp4", "mkv", "webm"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("a.{kind}"));
        let mut sink = try_sink(&text(&path), &SinkOptions::default()).unwrap();
        for (width, count) in [(64, 3), (80, 2), (64, 1)] {
            for _ in 0..count {
                let picture = RgbImage::new(width, 64);
                sink.write(&Composed::Rgb(picture)).unwrap();
            }
        }
        sink.finish().unwrap();
        let wanted = ["a-0001", "a-0002", "a"].map(|stem| format!("{stem}.{kind}"));
        assert_eq!(names(folder.path()), wanted);
        for (name, width, count) in [("a", 64, 3), ("a-0001", 80, 2), ("a-0002", 64, 1)] {
            let back = read_back(&folder.path().join(format!("{name}.{kind}")));
            assert_eq!(
                (back[0].width(), back.len()),
                (width, count),
                "{name}.{kind}"
            );
        }
    }
}

#[test]
fn photos_of_different_sizes_are_no_video() {
    let folder = tempfile::tempdir().unwrap();
    let options = SinkOptions {
        still: true,
        ..Default::default()
    };
    let mut sink = try_sink(&text(&folder.path().join("a.mp4")), &options).unwrap();
    sink.write(&Composed::Rgb(RgbImage::new(64, 64))).unwrap();
    let message = sink
        .write(&Composed::Rgb(RgbImage::new(64, 62)))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("a.mp4: picture 1 is 64x62, those before are 64x64"),
        "{message}"
    );
}

#[test]
fn an_encoder_that_never_ends_has_all_but_two_seconds_on_the_disk() {
    // The last comes faster than it says.
    for (kind, fps, apart, wanted) in [
        ("mp4", 25.0, 40_000.0, 150),
        ("mkv", 25.0, 40_000.0, 150),
        ("webm", 25.0, 40_000.0, 150),
        ("ts", 25.0, 40_000.0, 150),
        ("mp4", 4.0, 250_000.0, 192),
        ("mkv", 4.0, 20_000.0, 100),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("a.{kind}"));
        let options = SinkOptions {
            fps: Some(fps),
            ..Default::default()
        };
        let mut sink = try_sink(&text(&path), &options).unwrap();
        sink.micros = apart;
        for number in 0..200 {
            sink.write(&noise_of(64, 48, number)).unwrap();
        }
        let unfinished = folder.path().join(format!("a.unfinished.{kind}"));
        until("all but two seconds", || {
            let source = try_open(&text(&unfinished), &SourceOptions::default());
            source.is_ok_and(|mut source| {
                let stop = Stop::new();
                let mut count = 0;
                while let Ok(Some(_)) = source.next(&stop) {
                    count += 1;
                }
                count >= wanted
            })
        });
        sink.finish().unwrap();
        assert_eq!(read_back(&path).len(), 200, "{kind}");
    }
}

#[test]
fn an_existing_video_is_replaced_only_if_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mkv");
    fs::write(&path, b"mine").unwrap();
    let options = SinkOptions {
        on_existing: OnExisting::Fail,
        ..Default::default()
    };
    let error = try_sink(&text(&path), &options).err().unwrap();
    assert!(
        error.is_usage() && error.to_string().contains("exists already"),
        "{error}"
    );
    // It appears during the writing.
    fs::remove_file(&path).unwrap();
    let mut sink = try_sink(&text(&path), &options).unwrap();
    sink.write(&Composed::Rgb(RgbImage::new(64, 64))).unwrap();
    fs::write(&path, b"mine").unwrap();
    assert!(sink.finish().unwrap_err().is_usage());
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    let mut sink = try_sink(&text(&path), &SinkOptions::default()).unwrap();
    sink.write(&Composed::Rgb(RgbImage::new(64, 64))).unwrap();
    sink.finish().unwrap();
    assert_eq!(read_back(&path).len(), 1);
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), b"").unwrap();
    let message = try_sink(
        &text(&folder.path().join("file/a.mp4")),
        &SinkOptions::default(),
    )
    .err()
    .unwrap()
    .to_string();
    assert!(
        message.contains("file") && message.contains("a file is where a folder should be"),
        "{message}"
    );
    let missing = SinkOptions {
        ffmpeg: "/no/such/ffmpeg".into(),
        ..Default::default()
    };
    let message = try_sink(&text(&folder.path().join("a.mp4")), &missing)
        .err()
        .unwrap()
        .to_string();
    assert!(message.contains("install ffmpeg"), "{message}");
}

/// Noise, which no encoder can make small.
fn noise(number: u32) -> Composed {
    noise_of(640, 360, number)
}

fn noise_of(width: u32, height: u32, number: u32) -> Composed {
    let mut state = number.wrapping_mul(2_654_435_761) | 1;
    Composed::Rgb(RgbImage::from_fn(width, height, |_, _| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        Rgb([state as u8, (state >> 8) as u8, (state >> 16) as u8])
    }))
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_that_says_where_the_video_is() {
    let Some(disk) = MemoryDisk::mount("256k") else {
        return;
    };
    for name in ["a.mp4", "a.mkv", "a.webm", "a.gif"] {
        let mut sink = try_sink(&text(&disk.path().join(name)), &SinkOptions::default()).unwrap();
        let error = (0..60)
            .find_map(|n| sink.write(&noise_of(160, 120, n)).err())
            .or_else(|| sink.finish().err());
        let message = error.expect("a disk of 256 KiB is too small").to_string();
        assert!(
            message.contains(name) && message.contains("the disk is full: free some space"),
            "{message}"
        );
        let kept = name.replace('.', ".unfinished.");
        assert!(message.contains(&format!("is in {}", text(&disk.path().join(&kept)))));
        assert_eq!(names(disk.path()), std::slice::from_ref(&kept));
        assert!(!read_back(&disk.path().join(&kept)).is_empty(), "{name}");
        fs::remove_file(disk.path().join(&kept)).unwrap();
    }
}

#[test]
fn a_stream_over_tcp_arrives_whole() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let receiver = thread::spawn(move || {
        let mut bytes = Vec::new();
        listener
            .accept()
            .unwrap()
            .0
            .read_to_end(&mut bytes)
            .unwrap();
        bytes
    });
    let mut sink = try_sink(
        &format!("tcp://127.0.0.1:{port}"),
        &SinkOptions {
            fps: Some(25.0),
            ..Default::default()
        },
    )
    .unwrap();
    for (number, picture) in sample_pictures().into_iter().enumerate() {
        sink.write(&Composed::Rgb(picture)).unwrap();
        // Uneven, as live pictures come.
        thread::sleep(Duration::from_millis(if number % 2 == 0 { 5 } else { 60 }));
    }
    sink.finish().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("got.ts");
    fs::write(&path, receiver.join().unwrap()).unwrap();
    let back = read_back(&path);
    assert_eq!(back.len(), 75);
    assert_eq!(back[0].dimensions(), (640, 360));
}

#[test]
fn a_video_keeps_the_times_of_its_pictures() {
    let folder = tempfile::tempdir().unwrap();
    // As a live source gives them: unix time, uneven, with a gap.
    let began = 1_800_000_000_000_000;
    let given: Vec<i64> = (0..12)
        .map(|n| n * 10_000 + if n == 11 { 4_000_000 } else { 0 })
        .collect();
    thread::scope(|scope| {
        for name in ["a.mp4", "a.mkv", "a.webm", "a.mov"] {
            let (path, given) = (folder.path().join(name), &given);
            scope.spawn(move || {
                let options = SinkOptions {
                    fps: Some(25.0),
                    ..Default::default()
                };
                let mut sink = try_sink(&text(&path), &options).unwrap();
                for (number, time) in (0..).zip(given) {
                    sink.write_at(&noise_of(64, 48, number), Timestamp(began + time))
                        .unwrap();
                }
                sink.finish().unwrap();
                let source = &mut *open(&text(&path), &SourceOptions::default());
                let times: Vec<i64> = collect(source).iter().map(|p| p.time.0).collect();
                let near = |(got, want): (&i64, &i64)| got.abs_diff(*want) <= 1000;
                assert!(
                    times.len() == 12 && times.iter().zip(given).all(near),
                    "{name}: {times:?}"
                );
            });
        }
    });
}

#[test]
fn a_stream_over_rtsp_arrives() {
    let port = free_port();
    let url = format!("rtsp://127.0.0.1:{port}/live");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("got.mkv");
    let mut receiver = shield(&mut Command::new("ffmpeg"))
        .args([
            "-nostdin",
            "-loglevel",
            "error",
            "-rtsp_flags",
            "listen",
            "-i",
            &url,
            "-c",
            "copy",
        ])
        .arg(&path)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The receiver does not announce that it listens, so the test retries.
    let sent = (0..40).any(|_| {
        thread::sleep(Duration::from_millis(250));
        let mut sink = try_sink(
            &url,
            &SinkOptions {
                fps: Some(25.0),
                ..Default::default()
            },
        )
        .unwrap();
        let all = (0..50).all(|n| {
            thread::sleep(Duration::from_millis(42));
            sink.write(&noise(n % 3)).is_ok()
        });
        all && sink.finish().is_ok()
    });
    let _ = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(50));
        receiver.try_wait().unwrap().is_some()
    });
    let _ = receiver.kill();
    receiver.wait().unwrap();
    assert!(sent);
    assert!(read_back(&path).len() > 25);
}

#[test]
fn a_server_that_is_not_there_is_unreachable() {
    let port = free_port();
    for scheme in ["rtsp", "tcp", "rtmp"] {
        let url = format!("{scheme}://me:secret@127.0.0.1:{port}/live");
        let mut sink = try_sink(&url, &SinkOptions::default()).unwrap();
        let error = (0..2000).find_map(|n| sink.write(&noise(n)).err()).unwrap();
        let message = error.to_string();
        assert!(
            error.is_unreachable() && message.contains("connection refused"),
            "{message}"
        );
        assert!(!message.contains("secret"), "{message}");
    }
}

#[test]
fn a_server_that_reads_nothing_does_not_hang_the_sink() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("tcp://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let options = SinkOptions {
        stall_timeout: Duration::from_secs(2),
        ..Default::default()
    };
    let mut sink = try_sink(&url, &options).unwrap();
    // Connected by the system, but never read.
    let error = (0..5000).find_map(|n| sink.write(&noise(n)).err()).unwrap();
    assert!(
        error
            .to_string()
            .contains("stalled: it took no frame for 2 s"),
        "{error}"
    );
    let options = SinkOptions::default();
    let mut sink = try_sink(&url, &options).unwrap();
    let taken = Arc::new(AtomicU32::new(0));
    let aborter = thread::spawn({
        let (abort, taken) = (options.abort.clone(), taken.clone());
        move || {
            // The sink hangs when the number of frames that it took stands still.
            let mut before = u32::MAX;
            while before == 0 || before != taken.load(Relaxed) {
                before = taken.load(Relaxed);
                thread::sleep(Duration::from_millis(300));
            }
            abort.stop();
        }
    });
    let write = |n| {
        let written = sink.write(&noise(n));
        taken.fetch_add(1, Relaxed);
        written.err()
    };
    let error = (0..5000).find_map(write).unwrap();
    assert!(matches!(error, SinkError::Stopped), "{error}");
    aborter.join().unwrap();
}
