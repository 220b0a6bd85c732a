//! The encoders of videos: a named one, one of the hardware, or libx264. Each is that of the real
//! FFmpeg.

use crate::kit::{Workspace, collect, executable, open, sample, shield};
use image::RgbImage;
use mattebox_core::compose::Composed;
use mattebox_core::frame::Timestamp;
use mattebox_media::beside::PictureExtras;
use mattebox_media::sink::{SinkError, SinkOptions, SinkPicture, VideoCoding, open_ordered};
use mattebox_media::source::SourceOptions;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn coding(encoder: &str) -> SinkOptions {
    SinkOptions {
        fps: Some(25.0),
        coding: VideoCoding {
            encoder: encoder.parse().unwrap(),
            ..VideoCoding::default()
        },
        ..SinkOptions::default()
    }
}

fn pictures() -> Vec<Composed> {
    let pictures = collect(&mut *open(&sample(), &SourceOptions::default()));
    let pictures = pictures.into_iter().map(|read| Composed::Rgb(read.picture));
    pictures.collect()
}

/// Writes 25 pictures a second into a video.
fn write(path: &Path, options: &SinkOptions, pictures: &[Composed]) -> Result<(), SinkError> {
    let spec = path.display().to_string().parse().unwrap();
    let mut sink = open_ordered(&spec, options)?;
    for (number, picture) in pictures.iter().enumerate() {
        sink.write(SinkPicture {
            picture,
            time: Timestamp(number as i64 * 40_000),
            beside: PictureExtras::default(),
        })?;
    }
    sink.finish(vec![])
}

/// The codec of a video, its pixel format, and the number of pictures that can be decoded.
fn found(path: &Path) -> (String, String, usize) {
    let entries = "stream=codec_name,pix_fmt,nb_read_frames";
    let output = shield(&mut Command::new("ffprobe"))
        .args(["-v", "error", "-select_streams", "v:0", "-count_frames"])
        .args(["-show_entries", entries, "-of", "csv=p=0"])
        .arg(path)
        .output()
        .expect("ffprobe runs");
    let text = String::from_utf8(output.stdout).unwrap();
    let words: Vec<_> = text.lines().next().unwrap().split(',').collect();
    (
        words[0].to_owned(),
        words[1].to_owned(),
        words[2].parse().unwrap(),
    )
}

#[test]
fn an_encoder_that_is_named_encodes() {
    let pictures = pictures();
    for (encoder, name, codec, pixels) in [
        ("software", "a.mp4", "h264", "yuv420p"),
        ("libx264", "a.mov", "h264", "yuv420p"),
        ("mpeg4", "a.mp4", "mpeg4", "yuv420p"),
        ("libx265", "a.mkv", "hevc", "yuv420p"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        write(&path, &coding(encoder), &pictures).unwrap();
        let wanted = (codec.to_owned(), pixels.to_owned(), 75);
        assert_eq!(found(&path), wanted, "{encoder}");
    }
}

#[test]
fn an_encoder_that_does_not_work_is_an_error_with_what_ffmpeg_says() {
    let picture = &pictures()[..1];
    let odd_rate = SinkOptions {
        fps: Some(12.3),
        ..coding("mpeg2video")
    };
    for (options, words) in [
        (
            coding("h264_nowhere"),
            &["no video encoder h264_nowhere"][..],
        ),
        (coding("aac"), &["no video encoder aac"]),
        (coding("libx264rgb"), &["libx264rgb takes no pictures in"]),
        (
            odd_rate,
            &["mpeg2video does not work here", "does not support"],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        let error = write(&path, &options, picture).unwrap_err();
        let said = error.to_string();
        assert!(error.is_usage(), "{said}");
        assert!(said.contains("a.mp4: ") && said.contains("--video-encoder"));
        assert!(words.iter().all(|words| said.contains(words)), "{said}");
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 0, "{said}");
    }
}

#[test]
fn a_video_in_another_coding_takes_no_encoder_of_h264() {
    let transparent = SinkOptions {
        alpha: true,
        ..coding("mpeg4")
    };
    let mut quality = coding("software");
    quality.coding.crf = Some(20);
    for (name, options, words) in [
        ("a.webm", &coding("mpeg4"), "it holds VP9"),
        ("a.gif", &coding("mpeg4"), "GIF"),
        ("a.mov", &transparent, "ProRes"),
        ("a.gif", &quality, "leave --crf out"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join(name), options, &[]).unwrap_err();
        assert!(
            error.is_usage() && error.to_string().contains(words),
            "{error}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.webm");
    write(&path, &coding("auto"), &pictures()[..3]).unwrap();
    assert_eq!(found(&path).0, "vp9");
}

/// With any hardware, the video has every picture.
#[test]
fn where_no_hardware_encodes_the_processor_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    let options = SinkOptions {
        segment: Some(Duration::from_secs(2)),
        ..coding("auto")
    };
    write(&path, &options, &pictures()).unwrap();
    for (name, count) in [("a-0000.mp4", 50), ("a-0001.mp4", 25)] {
        let found = found(&folder.path().join(name));
        assert_eq!((found.0.as_str(), found.2), ("h264", count), "{name}");
    }
}

/// As when another program takes the last session of a graphics card. The encoder passes the try,
/// and then FFmpeg is asked for one that this machine does not have.
#[cfg(unix)]
#[test]
fn hardware_that_fails_when_the_video_begins_loses_no_picture() {
    let pictures = pictures();
    // Dozens of small pictures fit into pipes before the encoder is open.
    let small = vec![Composed::Rgb(RgbImage::new(64, 48)); 40];
    for pictures in [&pictures[..1], &pictures[..], &small[..]] {
        let count = pictures.len();
        let folder = tempfile::tempdir().unwrap();
        let ffmpeg = folder.path().join("ffmpeg");
        let script = "#!/bin/sh
            case \"$*\" in
                *-encoders*) printf ' ------\\n V..... h264_nvenc x\\n'; exit ;;
                *h264_nvenc*'-f null -') exit ;;
                *h264_nvenc*) sleep 0.5 ;;
            esac
            exec ffmpeg \"$@\"
            ";
        executable(&ffmpeg, script);
        let options = SinkOptions {
            ffmpeg,
            ..coding("auto")
        };
        let path = folder.path().join("a.mp4");
        write(&path, &options, pictures).unwrap();
        let wanted = ("h264".to_owned(), "yuv420p".to_owned(), count);
        assert_eq!(found(&path), wanted);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}

#[test]
fn a_preset_and_a_quality_change_the_size() {
    let pictures = pictures();
    let size = |preset: &str, crf| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        let mut options = coding("software");
        options.coding.preset = preset.parse().unwrap();
        options.coding.crf = crf;
        write(&path, &options, &pictures).unwrap();
        fs::metadata(&path).unwrap().len()
    };
    let usual = size("superfast", None);
    assert_eq!(size("superfast", Some(23)), usual);
    assert!(size("superfast", Some(35)) < usual / 2);
    assert!(size("veryfast", Some(23)) < usual);
}

#[test]
fn flags_choose_the_encoder_and_its_quality() {
    let b = Workspace::new();
    let sample = sample();
    let run = |out: &str, more: &[&str]| {
        let args = [&["run", &sample, "--out", out], more].concat();
        b.run(&args)
    };
    let done = run("auto.mkv", &["--video-encoder", "auto"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    // The processor, with the reason, or the hardware of this machine.
    assert!(done.stderr.contains(" encodes"), "{}", done.stderr);
    assert_eq!(found(&b.path("auto.mkv")).2, 75);
    let done = run("named.mp4", &["--video-encoder", "libx265"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(found(&b.path("named.mp4")).0, "hevc");
    let done = run("none.mp4", &["--video-encoder", "h264_nowhere"]);
    assert_eq!(done.code, Some(2), "{}", done.stderr);
    let says = "none.mp4: this FFmpeg has no video encoder h264_nowhere";
    assert!(done.stderr.contains(says), "{}", done.stderr);
    for (out, more) in [
        ("usual.mp4", &[][..]),
        ("small.mp4", &["--crf", "40"]),
        ("slow.mp4", &["--crf", "40", "--video-preset", "medium"]),
    ] {
        let done = run(out, more);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
    }
    let size = |name: &str| b.read(name).len();
    assert!(size("small.mp4") < size("usual.mp4") / 2);
    assert!(size("slow.mp4") < size("small.mp4"));
    let left = [
        "auto.mkv",
        "named.mp4",
        "slow.mp4",
        "small.mp4",
        "usual.mp4",
    ];
    assert_eq!(b.files("."), left);
}
