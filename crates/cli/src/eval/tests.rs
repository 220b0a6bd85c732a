//! Sequences of files, measured.
use super::*;
use image::{Luma, Rgb, RgbImage, Rgba, RgbaImage};
use std::{fs, process::Command};
use tempfile::TempDir;

const SIZE: (u32, u32) = (32, 24);

/// Foreground on the right, behind a half-transparent column; it withdraws by one column in each
/// frame.
fn alpha(frame: u32) -> GrayImage {
    GrayImage::from_fn(SIZE.0, SIZE.1, |x, _| {
        Luma([[0, 128, 255][(x + 1).saturating_sub(frame + 7).min(2) as usize]])
    })
}

/// A folder of frames made by `picture`.
fn folder<P: Into<image::DynamicImage>>(frames: u32, picture: impl Fn(u32) -> P) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for frame in 0..frames {
        picture(frame)
            .into()
            .save(folder.path().join(format!("frame_{frame:06}.png")))
            .unwrap();
    }
    folder
}

/// Makes a video of a folder's frames with these encoder arguments.
fn video(folder: &TempDir, name: &str, encoder: &[&str]) -> PathBuf {
    let path = folder.path().join(name);
    let pattern = folder.path().join("frame_%06d.png");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg
        .args(["-loglevel", "error", "-nostdin", "-y", "-i"])
        .arg(pattern)
        .args(encoder)
        .arg(&path);
    let output = ffmpeg.output().expect("ffmpeg is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    path
}

fn run(predicted: &Path, truth: &Path) -> Result<EvalReport, EvalError> {
    evaluate(predicted, truth, Path::new("ffmpeg"), &mut |_| {})
}

fn message(predicted: &Path, truth: &Path) -> String {
    run(predicted, truth).unwrap_err().to_string()
}

fn assert_perfect(report: &EvalReport, frames: usize) {
    let perfect = FrameQuality {
        iou: 1.0,
        mad: 0.0,
        mse: 0.0,
        grad: 0.0,
        conn: 0.0,
        dtssd: Some(0.0),
        flicker: Some(0.0),
    };
    assert_eq!(
        (report.frames.len(), report.mean()),
        (frames, Some(perfect))
    );
    assert_eq!(report.size(), Some(SIZE));
}

#[test]
fn gray_folders_rgba_folders_and_lossless_videos_are_the_same_alpha() {
    let gray = folder(7, alpha);
    let rgba = folder(7, |frame| {
        let alpha = alpha(frame);
        RgbaImage::from_fn(SIZE.0, SIZE.1, |x, y| {
            Rgba([200, 10, 90, alpha.get_pixel(x, y).0[0]])
        })
    });
    let ffv1 = video(&gray, "alpha.mkv", &["-c:v", "ffv1", "-pix_fmt", "gray"]);
    let mov = video(&rgba, "picture.mov", &["-c:v", "qtrle", "-pix_fmt", "argb"]);
    for predicted in [gray.path(), rgba.path(), &ffv1, &mov] {
        assert_perfect(&run(predicted, gray.path()).unwrap(), 7);
        assert_perfect(&run(&ffv1, predicted).unwrap(), 7);
    }
}

#[test]
fn webm_gives_its_alpha_channel() {
    let rgba = folder(5, |frame| {
        let alpha = alpha(frame);
        RgbaImage::from_fn(SIZE.0, SIZE.1, |x, y| {
            Rgba([90, 90, 90, alpha.get_pixel(x, y).0[0]])
        })
    });
    let webm = video(
        &rgba,
        "picture.webm",
        &[
            "-c:v",
            "libvpx-vp9",
            "-pix_fmt",
            "yuva420p",
            "-crf",
            "10",
            "-b:v",
            "0",
        ],
    );
    let mean = run(&webm, rgba.path()).unwrap().mean().unwrap();
    assert!(mean.iou > 0.95 && mean.mad < 10.0, "{mean:?}");
}

#[test]
fn each_frame_is_measured_against_the_one_before_it_across_batches() {
    // The prediction stands still. In the truth one column falls from 255 to 128 and one from 128
    // to 0 in each frame.
    let truth = folder(20, alpha);
    let still = folder(20, |_| alpha(0));
    let report = run(still.path(), truth.path()).unwrap();
    assert_eq!(report.frames.len(), 20);
    assert_eq!(
        (report.frames[0].quality.dtssd, report.frames[0].quality.mad),
        (None, 0.0)
    );
    let change = |step: f64| (step / 255.0).powi(2);
    let expected = 100.0 * ((change(128.0) + change(127.0)) / f64::from(SIZE.0)).sqrt();
    for (at, frame) in report.frames.iter().enumerate().skip(1) {
        assert!(
            (frame.quality.dtssd.unwrap() - expected).abs() < 1e-9,
            "{at}: {:?} {expected}",
            frame.quality
        );
        // In each frame one more column is wrong.
        assert!(
            (frame.quality.mad - 1e3 * at as f64 / f64::from(SIZE.0)).abs() < 1e-9,
            "{at}: {:?}",
            frame.quality
        );
        assert_eq!(
            (frame.frame, frame.name.as_deref()),
            (at as u64, Some(&*format!("frame_{at:06}.png")))
        );
    }
}

#[test]
fn a_single_picture_is_a_sequence_of_one() {
    let gray = folder(1, alpha);
    let picture = gray.path().join("frame_000000.png");
    let report = run(&picture, gray.path()).unwrap();
    assert_eq!(
        (report.frames.len(), report.mean().unwrap().dtssd),
        (1, None)
    );
}

#[test]
fn stills_may_differ_in_size_from_one_to_the_next() {
    let stills = folder(3, |frame| GrayImage::new(4 + frame / 2, 4));
    let report = run(stills.path(), stills.path()).unwrap();
    let dtssd: Vec<_> = report
        .frames
        .iter()
        .map(|frame| frame.quality.dtssd)
        .collect();
    assert_eq!((dtssd, report.size()), (vec![None, Some(0.0), None], None));
}

#[test]
fn progress_counts_up_to_the_end() {
    let gray = folder(9, alpha);
    let mut seen = Vec::new();
    evaluate(gray.path(), gray.path(), Path::new("ffmpeg"), &mut |at| {
        seen.push(at)
    })
    .unwrap();
    assert_eq!(
        seen.last(),
        Some(&EvalProgress {
            done: 9,
            total: Some(9)
        })
    );
    assert!(seen.is_sorted_by_key(|at| at.done));
}

#[test]
fn counts_that_differ_are_both_named() {
    let seven = folder(7, alpha);
    let five = folder(5, alpha);
    let video = video(&seven, "alpha.mkv", &["-c:v", "ffv1", "-pix_fmt", "gray"]);
    for (predicted, truth, counts) in [
        (seven.path(), five.path(), ["has 7 frames", "has 5:"]),
        (&video, five.path(), ["has 7 frames", "has 5:"]),
        (five.path(), &*video, ["has 5 frames", "has 7:"]),
    ] {
        let message = message(predicted, truth);
        assert!(
            counts.iter().all(|count| message.contains(count)),
            "{message}"
        );
        assert!(
            message.contains(&*predicted.to_string_lossy())
                && message.contains(&*truth.to_string_lossy()),
            "{message}"
        );
    }
}

#[test]
fn sizes_that_differ_are_both_named_with_the_frame() {
    let truth = folder(4, |_| GrayImage::new(8, 6));
    let predicted = folder(4, |frame| GrayImage::new(8, if frame == 2 { 7 } else { 6 }));
    let message = message(predicted.path(), truth.path());
    assert!(
        message.starts_with("frame 2 of") && message.contains("8x7") && message.contains("8x6"),
        "{message}"
    );
}

#[test]
fn inputs_that_cannot_be_read_are_named() {
    let good = folder(1, alpha);
    let at = |name: &str| good.path().join(name);
    fs::write(at("notes.mp4"), "this is no video").unwrap();
    fs::write(at("empty.mkv"), "").unwrap();
    let cut = fs::read(at("frame_000000.png")).unwrap();
    fs::write(at("cut.png"), &cut[..cut.len() / 2]).unwrap();
    RgbImage::from_pixel(SIZE.0, SIZE.1, Rgb([200, 30, 90]))
        .save(at("colours.png"))
        .unwrap();
    let empty = tempfile::tempdir().unwrap();
    for (bad, says) in [
        (at("gone"), "there is no file or folder"),
        (at("notes.mp4"), "cannot read the video"),
        (at("empty.mkv"), "cannot read the video"),
        (at("cut.png"), "cannot decode the picture"),
        (
            at("colours.png"),
            "is a colour picture without an alpha channel",
        ),
        (
            empty.path().to_owned(),
            "holds no PNG, JPEG or WebP pictures",
        ),
    ] {
        let picture = at("frame_000000.png");
        for message in [message(&bad, &picture), message(&picture, &bad)] {
            assert!(
                message.contains(says) && message.contains(&*bad.to_string_lossy()),
                "{message}"
            );
        }
    }
}

#[test]
fn a_video_that_is_cut_off_is_an_error_and_not_a_shorter_video() {
    let gray = folder(40, |frame| {
        GrayImage::from_fn(64, 64, |x, y| {
            Luma([((x * 7 + y * 13 + frame * 31) % 251) as u8])
        })
    });
    let whole = video(&gray, "alpha.mkv", &["-c:v", "ffv1", "-pix_fmt", "gray"]);
    let bytes = fs::read(&whole).unwrap();
    let cut = gray.path().join("cut.mkv");
    fs::write(&cut, &bytes[..bytes.len() * 2 / 3]).unwrap();
    let message = message(&cut, &whole);
    assert!(message.contains(&*cut.to_string_lossy()), "{message}");
}

#[test]
fn without_ffmpeg_the_message_says_how_to_get_it() {
    let gray = folder(2, alpha);
    let video = video(&gray, "alpha.mkv", &["-c:v", "ffv1", "-pix_fmt", "gray"]);
    let error = evaluate(
        &video,
        gray.path(),
        Path::new("/nowhere/ffmpeg"),
        &mut |_| {},
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("/nowhere/ff") && error.contains("apt-get install ffmpeg"),
        "{error}"
    );
}
