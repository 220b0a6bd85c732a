//! Folders and patterns of pictures: in order, and one bad picture costs only itself.

use crate::kit::{collect, error_of, ffmpeg, open, sample};
use image::{Rgb, RgbImage};
use mattebox_core::codec::{Encoder, ImageFormat};
use mattebox_core::compose::Composed;
use mattebox_engine::stop::Stop;
use mattebox_media::source::{SourceError, SourceOptions};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Twelve pictures, 1.png to 12.png; the red of number n is 20 n.
fn twelve(folder: &Path) -> String {
    let mut bytes = Vec::new();
    for n in 1..=12u8 {
        let picture = Composed::Rgb(RgbImage::from_pixel(8, 6, Rgb([n * 20, 0, 0])));
        Encoder::new(ImageFormat::Png, 80)
            .encode(&picture, &mut bytes)
            .unwrap();
        fs::write(folder.join(format!("{n}.png")), &bytes).unwrap();
    }
    folder.display().to_string()
}

fn numbers(spec: &str, options: &SourceOptions) -> Vec<u8> {
    collect(&mut *open(spec, options))
        .iter()
        .map(|p| p.picture.get_pixel(0, 0).0[0] / 20)
        .collect()
}

#[test]
fn a_folder_gives_its_pictures_in_natural_order_as_stills() {
    let folder = tempfile::tempdir().unwrap();
    let spec = twelve(folder.path());
    let mut source = open(
        &spec,
        &SourceOptions {
            fps: Some(2.0),
            ..Default::default()
        },
    );
    let info = *source.info();
    assert!(info.still && !info.live);
    assert_eq!((info.frames, info.fps), (Some(12), Some(2.0)));
    let times: Vec<i64> = collect(&mut *source).iter().map(|p| p.time.0).collect();
    assert_eq!(times, (0..12).map(|n| n * 500_000).collect::<Vec<_>>());
    assert_eq!(
        numbers(&spec, &SourceOptions::default()),
        (1..=12).collect::<Vec<_>>()
    );
    assert_eq!(
        numbers(&format!("{spec}/1?.png"), &SourceOptions::default()),
        [10, 11, 12]
    );
    assert_eq!(
        numbers(&format!("{spec}/7.png"), &SourceOptions::default()),
        [7]
    );
}

#[test]
fn a_part_and_repetition_work_as_for_videos() {
    let folder = tempfile::tempdir().unwrap();
    let spec = twelve(folder.path());
    let second = Duration::from_secs(1);
    let options = SourceOptions {
        fps: Some(3.0),
        start: Some(second * 3),
        duration: Some(second * 2),
        ..Default::default()
    };
    assert_eq!(numbers(&spec, &options), [10, 11, 12]);
    assert_eq!(
        numbers(
            &spec,
            &SourceOptions {
                repeat: true,
                ..options.clone()
            }
        ),
        [10, 11, 12, 1, 2, 3]
    );
    let late = SourceOptions {
        start: Some(second * 4),
        ..options
    };
    assert!(error_of(&spec, &late).is_usage());
}

#[test]
fn a_jpeg_with_bytes_between_its_parts_is_a_picture_and_one_that_is_cut_off_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = ffmpeg("-i {sample} -frames:v 1", &folder.path().join("a.jpg"));
    let spec = path.display().to_string();
    let whole = fs::read(&path).unwrap();
    let want = collect(&mut *open(&spec, &SourceOptions::default()))
        .remove(0)
        .picture;
    let end = whole.len() - 2;
    for bytes in [
        [&whole[..end], &[0; 3], &whole[end..]].concat(),
        whole[..end].to_vec(),
    ] {
        fs::write(&path, bytes).unwrap();
        assert!(
            collect(&mut *open(&spec, &SourceOptions::default()))
                .remove(0)
                .picture
                == want
        );
    }
    fs::write(&path, &whole[..end / 2]).unwrap();
    let error = error_of(&spec, &SourceOptions::default());
    assert!(
        !error.is_fatal() && error.to_string().contains("cut off"),
        "{error}"
    );
}

#[test]
fn a_bad_picture_costs_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let spec = twelve(folder.path());
    let whole = fs::read(folder.path().join("3.png")).unwrap();
    fs::write(folder.path().join("3.png"), &whole[..whole.len() / 2]).unwrap();
    fs::write(folder.path().join("5.png"), b"no picture").unwrap();
    fs::write(folder.path().join("6.png"), b"").unwrap();
    let mut source = open(&spec, &SourceOptions::default());
    fs::remove_file(folder.path().join("8.png")).unwrap();
    let stop = Stop::new();
    let mut good = 0;
    let mut bad = Vec::new();
    loop {
        match source.next(&stop) {
            Ok(Some(_)) => good += 1,
            Ok(None) => break,
            Err(error) => {
                assert!(!error.is_fatal(), "{error}");
                bad.push(error.to_string());
            }
        }
    }
    assert_eq!(good, 8);
    for (message, name) in bad.iter().zip(["3.png", "5.png", "6.png", "8.png"]) {
        assert!(message.contains(name), "{message}");
    }
    assert_eq!(bad.len(), 4);
}

#[test]
fn repeating_nothing_but_bad_pictures_ends() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("1.png"), b"no picture").unwrap();
    let options = SourceOptions {
        repeat: true,
        ..Default::default()
    };
    let mut source = open(&folder.path().display().to_string(), &options);
    let stop = Stop::new();
    let error = (0..10)
        .find_map(|_| source.next(&stop).err().filter(SourceError::is_fatal))
        .unwrap();
    assert!(
        error.to_string().contains("none of its pictures"),
        "{error}"
    );
    assert!(source.next(&stop).unwrap().is_none());
}

#[test]
fn wide_pictures_are_scaled_down_like_videos() {
    let folder = tempfile::tempdir().unwrap();
    let path = ffmpeg("-i {sample} -frames:v 1", &folder.path().join("a.png"))
        .display()
        .to_string();
    let options = SourceOptions {
        max_width: Some(160),
        ..Default::default()
    };
    let ours = collect(&mut *open(&path, &options)).remove(0).picture;
    assert_eq!(ours.dimensions(), (160, 90));
    let theirs = collect(&mut *open(&sample(), &options)).remove(0).picture;
    let error = ours
        .iter()
        .zip(theirs.iter())
        .map(|(a, b)| f64::from(a.abs_diff(*b)))
        .sum::<f64>()
        / ours.len() as f64;
    // FFmpeg averages before it converts to RGB, with less exact rounding.
    assert!(error < 3.0, "mean difference {error}");
}

#[test]
fn what_holds_no_pictures_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().display().to_string();
    for (spec, words) in [
        (spec.clone(), "holds no pictures"),
        (format!("{spec}/*.png"), "no file matches"),
    ] {
        let error = error_of(&spec, &SourceOptions::default());
        assert!(
            error.is_usage() && error.to_string().contains(words),
            "{error}"
        );
    }
}
