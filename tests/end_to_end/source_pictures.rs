//! Folders and patterns of pictures: in order, and one bad picture costs only itself.

use crate::kit::{Workspace, collect, error_of, ffmpeg, open, sample};
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
fn a_source_without_pictures_is_an_error() {
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

/// A picture in AVIF: 64x40, its left half red, the right one blue.
const HALVES: &[u8] = include_bytes!("fixtures/halves.avif");

/// The beginning of a photo as a phone saves it, which no FFmpeg reads.
fn heic() -> Vec<u8> {
    let meta = [b"\0\0\0\x30meta\0\0\0\0", &[7; 36][..]].concat();
    [b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", &meta[..]].concat()
}

fn is_near(got: Rgb<u8>, want: [u8; 3]) -> bool {
    let mut pairs = got.0.iter().zip(want);
    pairs.all(|(got, want)| got.abs_diff(want) <= 24)
}

#[test]
fn a_folder_gives_every_picture_that_can_be_read_and_names_the_others_once() {
    let workspace = Workspace::new();
    fs::create_dir(workspace.path("photos")).unwrap();
    for name in ["1.jpg", "2.png", "3.webp", "4.tif", "5.bmp", "6.gif"] {
        let path = format!("photos/{name}");
        workspace.ffmpeg(&[
            "-i",
            &sample(),
            "-frames:v",
            "1",
            "-vf",
            "scale=96:-2",
            &path,
        ]);
    }
    let jpeg = workspace.read("photos/1.jpg");
    let write = |name: &str, bytes: &[u8]| fs::write(workspace.path(name), bytes).unwrap();
    for name in ["photos/7.jfif", "photos/8.JPE", "photos/9", "photos/10.png"] {
        write(name, &jpeg);
    }
    write("photos/11.avif", HALVES);
    for name in ["a.heic", "b.heic", "c.heic", "d.HEIC"] {
        write(&format!("photos/{name}"), &heic());
    }
    for name in ["e.mov", "f.nef", "notes.txt", "Thumbs.db", ".g.heic"] {
        write(&format!("photos/{name}"), b"something");
    }
    let done = workspace.run(&["run", "photos", "-o", "o"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(workspace.files("o/cam01").len(), 11, "{}", done.stderr);
    let warnings: Vec<_> = done
        .stderr
        .lines()
        .filter(|line| line.contains("left out"))
        .collect();
    let [warning] = warnings[..] else {
        panic!("{}", done.stderr);
    };
    for words in [
        "(6)",
        "a.heic, b.heic, c.heic and 1 more (HEIC is not read by this FFmpeg: convert it to JPEG",
        "e.mov (a video",
        "f.nef (a raw photo",
    ] {
        assert!(warning.contains(words), "{warning}");
    }
    for silent in ["notes.txt", "Thumbs.db", ".g.heic"] {
        assert!(!done.stderr.contains(silent), "{}", done.stderr);
    }
}

#[test]
fn a_photo_that_ffmpeg_does_not_read_is_not_called_cut_short() {
    let workspace = Workspace::new();
    let mut renamed = heic();
    renamed[8..12].copy_from_slice(b"mif1");
    for (name, bytes) in [("x.heic", heic()), ("x.mp4", heic()), ("y", renamed)] {
        fs::write(workspace.path(name), bytes).unwrap();
        let done = workspace.run(&["run", name, "-o", "o"]);
        assert_eq!(done.code, Some(2), "{}", done.stderr);
        assert!(
            done.stderr
                .contains("HEIC is not read by this FFmpeg: convert it to JPEG"),
            "{}",
            done.stderr
        );
        assert!(!done.stderr.contains("cut short"), "{}", done.stderr);
    }
    fs::create_dir(workspace.path("only")).unwrap();
    fs::write(workspace.path("only/x.heic"), heic()).unwrap();
    let done = workspace.run(&["run", "only", "-o", "o"]);
    assert_eq!(done.code, Some(2));
    assert!(
        done.stderr.contains("x.heic (HEIC is not read"),
        "{}",
        done.stderr
    );
}

#[test]
fn a_picture_in_avif_is_read_and_upright() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.avif");
    let spec = path.display().to_string();
    let read = |file: &[u8]| {
        fs::write(&path, file).unwrap();
        let mut source = open(&spec, &SourceOptions::default());
        assert!(source.info().still);
        collect(&mut *source).remove(0).picture
    };
    let picture = read(HALVES);
    assert_eq!(picture.dimensions(), (64, 40));
    assert!(is_near(*picture.get_pixel(4, 20), [254, 0, 0]));
    assert!(is_near(*picture.get_pixel(60, 20), [0, 0, 254]));
    // In the place of a property that changes nothing: three quarters to the left.
    let mut turned = HALVES.to_vec();
    let at = turned.windows(4).position(|name| name == b"pixi").unwrap();
    turned[at..at + 5].copy_from_slice(b"irot\x03");
    let picture = read(&turned);
    assert_eq!(picture.dimensions(), (40, 64));
    assert!(is_near(*picture.get_pixel(20, 4), [254, 0, 0]));
    assert!(is_near(*picture.get_pixel(20, 60), [0, 0, 254]));
    turned[at..at + 5].copy_from_slice(b"imir\x01");
    assert!(is_near(*read(&turned).get_pixel(4, 20), [0, 0, 254]));

    let limits = mattebox_core::codec::Limits {
        max_pixels: 1000,
        ..Default::default()
    };
    fs::write(&path, HALVES).unwrap();
    let options = SourceOptions {
        limits,
        ..Default::default()
    };
    let error = error_of(&spec, &options).to_string();
    assert!(
        error.contains("64x40") && error.contains("1000 pixels"),
        "{error}"
    );
    let options = SourceOptions {
        ffmpeg: "/nowhere/ffmpeg".into(),
        ..Default::default()
    };
    let error = error_of(&spec, &options).to_string();
    assert!(error.contains("AVIF is read by FFmpeg only"), "{error}");
    fs::write(&path, &HALVES[..HALVES.len() - 30]).unwrap();
    assert!(error_of(&spec, &SourceOptions::default()).is_usage());
}

#[test]
fn an_animation_alone_gives_all_its_pictures_and_in_a_folder_the_first() {
    let workspace = Workspace::new();
    let how = "-f lavfi -i testsrc2=size=64x48:rate=5 -frames:v 7";
    fs::create_dir(workspace.path("all")).unwrap();
    ffmpeg(&format!("{how} -f apng"), &workspace.path("all/a.png"));
    ffmpeg(how, &workspace.path("all/b.gif"));
    ffmpeg(&format!("{how} -f apng"), &workspace.path("all/c.apng"));
    let spec = |name: &str| workspace.path(name).display().to_string();
    for name in ["all/a.png", "all/b.gif", "all/c.apng"] {
        let mut source = open(&spec(name), &SourceOptions::default());
        assert!(!source.info().still, "{name}");
        assert_eq!(collect(&mut *source).len(), 7, "{name}");
    }
    ffmpeg(
        "-f lavfi -i testsrc2=size=64x48 -frames:v 1",
        &workspace.path("one.gif"),
    );
    assert!(
        open(&spec("one.gif"), &SourceOptions::default())
            .info()
            .still
    );
    let all = collect(&mut *open(&spec("all"), &SourceOptions::default()));
    assert_eq!(all.len(), 3);
    let first = &collect(&mut *open(&spec("all/a.png"), &SourceOptions::default()))[0];
    assert!(all[0].picture == first.picture);
}

#[test]
fn a_numbered_sequence_is_read_from_its_lowest_number_over_gaps() {
    let workspace = Workspace::new();
    fs::create_dir(workspace.path("50%")).unwrap();
    for number in [1000, 1001, 1003, 1007, 1011, 1020] {
        let color = format!("color=0x{:02x}0000:size=16x16", number - 900);
        let path = format!("50%/f_{number:06}.bmp");
        workspace.ffmpeg(&[
            "-f",
            "lavfi",
            "-i",
            &color,
            "-frames:v",
            "1",
            "-update",
            "1",
            &path,
        ]);
    }
    let done = workspace.run(&["run", "50%%/f_%06d.bmp", "-o", "o"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(workspace.files("o/cam01").len(), 6);
    let gaps = done.stderr.lines().filter(|line| line.contains("gaps"));
    let [gaps] = gaps.collect::<Vec<_>>()[..] else {
        panic!("{}", done.stderr);
    };
    assert!(
        gaps.contains("1002, 1004 to 1006, 1008 to 1010 and 1 more"),
        "{gaps}"
    );
    let spec = workspace.path("50%/f_%06d.bmp").display().to_string();
    let pictures = collect(&mut *open(&spec, &SourceOptions::default()));
    let reds: Vec<u8> = pictures
        .iter()
        .map(|p| p.picture.get_pixel(8, 8).0[0])
        .collect();
    let want = [100, 101, 103, 107, 111, 120];
    assert!(
        reds.iter()
            .zip(want)
            .all(|(got, want)| got.abs_diff(want) <= 2),
        "{reds:?}"
    );
    // A kind that only FFmpeg reads.
    for number in [7, 8] {
        let path = format!("g_{number}.tga");
        workspace.ffmpeg(&["-i", &sample(), "-frames:v", "1", "-update", "1", &path]);
    }
    let spec = workspace.path("g_%d.tga").display().to_string();
    assert_eq!(
        collect(&mut *open(&spec, &SourceOptions::default())).len(),
        2
    );
    let done = workspace.run(&["run", "h_%d.tif", "-o", "o2"]);
    assert_eq!(done.code, Some(2));
    assert!(
        done.stderr.contains("h_%d.tif: no file in"),
        "{}",
        done.stderr
    );
}

/// Pictures of these names in a folder of a workspace.
fn photos(workspace: &Workspace, folder: &str, names: &[&str]) {
    fs::create_dir_all(workspace.path(folder)).unwrap();
    for name in names {
        let path = format!("{folder}/{name}");
        workspace.ffmpeg(&[
            "-i",
            &sample(),
            "-frames:v",
            "1",
            "-vf",
            "scale=64:-2",
            &path,
        ]);
    }
}

#[test]
fn frames_keep_the_names_of_their_pictures_if_asked() {
    let workspace = Workspace::new();
    photos(
        &workspace,
        "photos",
        &["anna.jpg", "ben.min.png", "frame_000007.bmp"],
    );
    let args = [
        "run",
        "photos",
        "-o",
        "o",
        "--alpha-out",
        "a",
        "--name",
        "keep",
    ];
    let done = workspace.run(&args);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let names = ["anna.png", "ben.min.png", "frame_000007.png"];
    assert_eq!(workspace.files("o/cam01"), names);
    assert_eq!(workspace.files("a/cam01"), names);
    let anna = workspace.read("o/cam01/anna.png");
    let one = workspace.run(&["run", "photos/anna.jpg", "-o", "one", "--name", "keep"]);
    assert_eq!(one.code, Some(0), "{}", one.stderr);
    assert_eq!(workspace.files("one/cam01"), ["anna.png"]);
    assert!(workspace.read("one/cam01/anna.png") == anna);

    // To the next run they are frames of an earlier one.
    let again = workspace.run(&args);
    assert_ne!(again.code, Some(0));
    assert!(
        again.stderr.contains("already holds frames"),
        "{}",
        again.stderr
    );
    let other = workspace.run(&["run", "photos/anna.jpg", "-o", "o"]);
    assert!(
        other.stderr.contains("already holds frames"),
        "{}",
        other.stderr
    );
    fs::write(workspace.path("o/cam01/mine.png"), "mine").unwrap();
    let how = ["-o", "o", "--name", "keep", "--on-existing", "overwrite"];
    let done = workspace.run(&[&["run", "photos/ben.min.png"], &how[..]].concat());
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(workspace.files("o/cam01"), ["ben.min.png", "mine.png"]);
}

#[test]
fn names_that_cannot_be_kept_are_refused_before_anything_is_written() {
    let workspace = Workspace::new();
    photos(&workspace, "photos", &["anna.jpg", "anna.png", "ben.jpg"]);
    let refused = |args: &[&str], words: &[&str]| {
        let done = workspace.run(&[&["run"], args, &["--name", "keep"]].concat());
        assert_eq!(done.code, Some(2), "{args:?}: {}", done.stderr);
        for word in words {
            assert!(done.stderr.contains(word), "{args:?}: {}", done.stderr);
        }
        assert!(!workspace.path("o").exists(), "{args:?}");
    };
    refused(
        &["photos", "-o", "o"],
        &["photos/anna.jpg", "photos/anna.png", "one name"],
    );
    refused(&[&sample(), "-o", "o"], &["names to keep"]);
    refused(&["lavfi:testsrc2", "-o", "o"], &["names to keep"]);
    refused(&["photos/ben.jpg", "-o", "o.mp4"], &["folder"]);
    refused(&["photos/ben.jpg", "-o", "o", "--loop"], &["loop"]);
    // The result of a picture never replaces the picture.
    photos(&workspace, "in/cam01", &["anna.png"]);
    let before = workspace.read("in/cam01/anna.png");
    refused(
        &["in/cam01/*.png", "-o", "in", "--on-existing", "overwrite"],
        &["would replace"],
    );
    assert!(workspace.read("in/cam01/anna.png") == before);
    // Nor any other file with that name.
    fs::create_dir_all(workspace.path("p/cam01")).unwrap();
    fs::write(workspace.path("p/cam01/ben.png"), "mine").unwrap();
    let done = workspace.run(&["run", "photos/ben.jpg", "-o", "p", "--name", "keep"]);
    assert_ne!(done.code, Some(0));
    assert_eq!(workspace.read("p/cam01/ben.png"), b"mine");
}
