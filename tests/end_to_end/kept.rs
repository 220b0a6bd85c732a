//! The output keeps the metadata of the container: the time of each picture, sound, colours, the
//! shape of pixels and the choice of the video.

use crate::kit::{Workspace, collect, ffmpeg, open, sample};
use image::RgbImage;
use mattebox_media::source::SourceOptions;
use std::path::Path;
use std::process::Command;

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// The output of ffprobe for a file: one line for each entry.
fn probe(path: &Path, args: &[&str]) -> Vec<String> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0"])
        .args(args)
        .arg(path)
        .output()
        .expect("ffprobe runs");
    assert!(output.status.success(), "{path:?}: {output:?}");
    let lines = String::from_utf8(output.stdout).expect("text");
    lines
        .lines()
        .map(|line| line.trim_end_matches(',').to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

/// The times of a stream's packets in seconds, in the order in which they are shown.
fn times(path: &Path, stream: &str) -> Vec<f64> {
    let args = [
        "-select_streams",
        stream,
        "-show_entries",
        "packet=pts_time",
    ];
    let mut times: Vec<f64> = probe(path, &args)
        .iter()
        .map(|line| line.parse().expect("a time"))
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

fn largest_difference(left: &[f64], right: &[f64]) -> f64 {
    assert_eq!(left.len(), right.len());
    let differences = left.iter().zip(right).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f64::max)
}

fn done(binary: &Workspace, args: &[&str]) -> String {
    let done = binary.run(args);
    assert_eq!(done.code, Some(0), "{args:?}: {}", done.stderr);
    done.stderr
}

/// Two seconds whose rate changes from 50 to 10 pictures per second, as that of a phone does in the
/// dark.
const PHONE: &str = "-f lavfi -i testsrc2=s=192x108:r=50:d=2 \
    -vf select=lt(n\\,50)+not(mod(n\\,5)) -vsync vfr -pix_fmt yuv420p";

#[test]
fn a_video_shows_each_picture_at_its_own_time() {
    let binary = Workspace::new();
    for (input, output) in [
        ("phone.mp4", "out.mp4"),
        ("phone.mp4", "out.mkv"),
        ("phone.mkv", "out.mov"),
        ("phone.ts", "out.ts"),
        ("phone.mkv", "out.webm"),
    ] {
        let from = ffmpeg(PHONE, &binary.path(input));
        done(&binary, &["run", &text(&from), "--out", output]);
        let (mut want, mut got) = (times(&from, "v"), times(&binary.path(output), "v"));
        assert_eq!(want.len(), 60);
        // The times of a transport stream can begin anywhere.
        for times in [&mut want, &mut got] {
            let first = times[0];
            times.iter_mut().for_each(|time| *time -= first);
        }
        let apart = largest_difference(&got, &want);
        assert!(apart <= 0.0011, "{input} to {output}: {apart} s");
        std::fs::remove_file(binary.path(output)).unwrap();
    }
}

#[test]
fn a_requested_rate_is_made_by_time() {
    let binary = Workspace::new();
    let from = ffmpeg(PHONE, &binary.path("phone.mp4"));
    done(
        &binary,
        &["run", &text(&from), "--fps", "20", "--out", "out.mp4"],
    );
    let got = times(&binary.path("out.mp4"), "v");
    let want: Vec<f64> = (0..got.len()).map(|n| n as f64 / 20.0).collect();
    assert!((38..=40).contains(&got.len()), "{} pictures", got.len());
    assert!(largest_difference(&got, &want) < 0.0001);
}

#[test]
fn pictures_of_one_time_are_no_damage() {
    let binary = Workspace::new();
    ffmpeg(
        "-i {sample} -frames:v 20 -vf setpts=floor(N/2)*2 -vsync passthrough -enc_time_base 1:25 \
         -c:v ffv1",
        &binary.path("pairs.mkv"),
    );
    let said = done(&binary, &["run", "pairs.mkv", "--out", "pairs"]);
    assert_eq!(binary.files("pairs/cam01").len(), 20);
    assert!(
        !said.contains("WARN") && !said.contains("damaged"),
        "{said}"
    );
}

#[test]
fn sound_is_kept_in_every_output_that_can_hold_it() {
    let binary = Workspace::new();
    let sound = "-f lavfi -i sine=f=440:d=3 -shortest -c:v copy";
    for (input, codec) in [
        ("a.mp4", "aac"),
        ("b.mkv", "libopus"),
        ("c.mkv", "pcm_s16le"),
        ("d.ts", "mp2"),
    ] {
        ffmpeg(
            &format!("-i {{sample}} {sound} -c:a {codec}"),
            &binary.path(input),
        );
    }
    for (input, output, codec) in [
        ("a.mp4", "o.mp4", "aac"),
        ("a.mp4", "o.mkv", "aac"),
        ("a.mp4", "o.ts", "aac"),
        ("a.mp4", "o.webm", "opus"),
        ("b.mkv", "o.webm", "opus"),
        ("b.mkv", "p.mkv", "opus"),
        ("c.mkv", "p.mp4", "aac"),
        ("c.mkv", "o.mov", "pcm_s16le"),
        ("d.ts", "q.ts", "mp2"),
        ("d.ts", "q.mp4", "aac"),
    ] {
        let said = done(&binary, &["run", input, "--out", output]);
        assert!(!said.contains("WARN"), "{input} to {output}: {said}");
        let path = binary.path(output);
        let got = probe(
            &path,
            &["-select_streams", "a", "-show_entries", "stream=codec_name"],
        );
        assert_eq!(
            got.first().map(String::as_str),
            Some(codec),
            "{input} to {output}"
        );
        let (heard, seen) = (times(&path, "a"), times(&path, "v"));
        let length = |times: &[f64]| times[times.len() - 1] - times[0];
        assert!(
            (length(&heard) - length(&seen)).abs() < 0.15,
            "{input} to {output}"
        );
        assert!(
            (heard[0] - seen[0]).abs() < 0.05,
            "{input} to {output}: {} {}",
            heard[0],
            seen[0]
        );
    }
    done(
        &binary,
        &["run", "a.mp4", "--no-audio", "--out", "silent.mp4"],
    );
    let streams = probe(
        &binary.path("silent.mp4"),
        &["-show_entries", "stream=codec_type"],
    );
    assert_eq!(streams, ["video"]);
}

#[test]
fn sound_may_begin_after_the_pictures_and_end_before_them() {
    let binary = Workspace::new();
    let video = "-f lavfi -i testsrc2=s=160x90:r=25:d=5";
    for (name, late) in [("early", ""), ("late", "-itsoffset 3")] {
        let input = format!("{name}.mp4");
        let make = format!("{video} {late} -f lavfi -i sine=d=1 -pix_fmt yuv420p -c:a aac");
        let from = ffmpeg(&make, &binary.path(&input));
        for output in ["out.mp4", "out.mkv"] {
            done(&binary, &["run", &input, "--out", output]);
            let to = binary.path(output);
            for stream in ["a", "v"] {
                let (was, is) = (times(&from, stream), times(&to, stream));
                let ends = |times: &[f64]| [times[0].max(0.0), times[times.len() - 1]];
                let apart = largest_difference(&ends(&was), &ends(&is));
                assert!(apart < 0.05, "{name} {output} {stream}: {apart}");
            }
            std::fs::remove_file(to).unwrap();
        }
    }
}

/// The pictures of the clip become white for two of them each second, and then it beeps.
const CLAPPER: &str = "-f lavfi -i color=black:s=160x90:r=25:d=6 -f lavfi -i sine=f=1000:d=6 \
    -vf drawbox=c=white:t=fill:enable=lt(mod(t\\,1)\\,0.08) \
    -af volume=0:enable=gt(mod(t\\,1)\\,0.08)";

/// The seconds at which it begins to beep.
fn beeps(path: &Path) -> Vec<f64> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args([
            "-map",
            "0:a",
            "-ac",
            "1",
            "-ar",
            "8000",
            "-af",
            "aresample=async=1:first_pts=0",
        ])
        .args(["-f", "s16le", "-"])
        .output()
        .expect("ffmpeg runs");
    let samples = output.stdout.as_chunks::<2>().0.iter();
    let loud = |pair: &[u8; 2]| i16::from_le_bytes(*pair).unsigned_abs() > 500;
    let loud: Vec<usize> = samples
        .enumerate()
        .filter(|(_, s)| loud(s))
        .map(|(at, _)| at)
        .collect();
    let mut begins = Vec::new();
    let mut before = None;
    for at in loud {
        if before.is_none_or(|before| at - before > 2000) {
            begins.push(at as f64 / 8000.0);
        }
        before = Some(at);
    }
    begins
}

#[test]
fn sound_stays_in_step_with_the_pictures() {
    let binary = Workspace::new();
    ffmpeg(
        &format!("{CLAPPER} -pix_fmt yuv420p -c:a aac"),
        &binary.path("clap.mp4"),
    );
    ffmpeg(
        &format!("{CLAPPER} -c:v ffv1 -c:a pcm_s16le"),
        &binary.path("clap.mkv"),
    );
    for (input, args) in [
        ("clap.mp4", &[][..]),
        ("clap.mkv", &[][..]),
        ("clap.mkv", &["--start", "1.5"][..]),
        ("clap.mkv", &["--loop", "--duration", "9"][..]),
        ("clap.mkv", &["--fps", "10"][..]),
    ] {
        let was = beeps(&binary.path(input));
        assert_eq!(was.len(), 6, "{input}");
        let command = [&["run", input, "--out", "out.mkv"][..], args].concat();
        done(&binary, &command);
        let is = beeps(&binary.path("out.mkv"));
        let start = if args.contains(&"--start") { 1.5 } else { 0.0 };
        let again = was.iter().map(|second| second + 6.0);
        let want: Vec<f64> = was
            .iter()
            .copied()
            .chain(again)
            .map(|second| second - start)
            .filter(|second| *second >= 0.0)
            .take(is.len())
            .collect();
        assert!(is.len() >= 4, "{command:?}: {is:?}");
        assert!(
            largest_difference(&is, &want) <= 0.02,
            "{command:?}: {is:?}"
        );
        std::fs::remove_file(binary.path("out.mkv")).unwrap();
    }
}

#[test]
fn pixels_that_are_not_square_are_kept_in_videos_and_made_square_in_pictures() {
    let binary = Workspace::new();
    for (name, size, aspect, square) in [
        ("pal.mkv", "720x576", "64/45", (1024, 576)),
        ("hdv.mp4", "1440x1080", "4/3", (1920, 1080)),
        ("narrow.mkv", "640x360", "1/2", (640, 720)),
        ("plain.mkv", "640x360", "1/1", (640, 360)),
    ] {
        let make =
            format!("-f lavfi -i testsrc2=s={size}:r=5:d=0.4 -vf setsar={aspect} -pix_fmt yuv420p");
        ffmpeg(&make, &binary.path(name));
        done(&binary, &["run", name, "--out", "pictures"]);
        let (_, width, height) = binary.probe("pictures/cam01/frame_000000.png");
        assert_eq!((width, height), square, "{name}");
        done(&binary, &["run", name, "--out", "video.mp4"]);
        let entries = ["-show_entries", "stream=width,height,sample_aspect_ratio"];
        let got = probe(&binary.path("video.mp4"), &entries);
        let want = format!("{},{}", size.replace('x', ","), aspect.replace('/', ":"));
        assert_eq!(got, [want], "{name}");
        std::fs::remove_dir_all(binary.path("pictures")).unwrap();
        std::fs::remove_file(binary.path("video.mp4")).unwrap();
    }
    // A smaller width is one of square pixels.
    done(
        &binary,
        &["run", "pal.mkv", "--max-width", "512", "--out", "small"],
    );
    let (_, width, height) = binary.probe("small/cam01/frame_000000.png");
    assert_eq!((width, height), (512, 288));
}

/// The colour in the middle of the first picture.
fn middle(path: &Path) -> [u8; 3] {
    let pictures = collect(&mut *open(&text(path), &SourceOptions::default()));
    let picture: &RgbImage = &pictures[0].picture;
    picture
        .get_pixel(picture.width() / 2, picture.height() / 2)
        .0
}

#[test]
fn colours_are_those_that_went_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("patch.mkv");
    let kinds = [
        // Size, matrix, range, pixel format, and the tags in the container.
        ("1920x1080", "bt709", "tv", "yuv420p", ""),
        (
            "1920x1080",
            "bt709",
            "tv",
            "yuv420p",
            "-colorspace bt709 -color_range tv",
        ),
        (
            "1280x720",
            "bt601",
            "tv",
            "yuv420p",
            "-colorspace smpte170m",
        ),
        ("640x360", "bt601", "tv", "yuv420p", ""),
        ("720x576", "bt601", "tv", "yuv422p", ""),
        ("640x360", "bt709", "tv", "yuv420p", "-colorspace bt709"),
        (
            "640x360",
            "bt709",
            "pc",
            "yuv420p",
            "-colorspace bt709 -color_range pc",
        ),
        ("640x360", "bt601", "pc", "yuvj420p", "-colorspace bt470bg"),
        (
            "1920x1080",
            "bt709",
            "tv",
            "yuv420p10le",
            "-colorspace bt709 -color_range tv",
        ),
        (
            "640x360",
            "bt2020",
            "tv",
            "yuv420p10le",
            "-colorspace bt2020nc",
        ),
        ("1920x1080", "bt709", "tv", "yuv444p", ""),
        ("640x360", "bt709", "pc", "bgr0", ""),
        ("63x47", "bt601", "tv", "yuv420p", ""),
    ];
    let patches = [
        [220, 40, 40],
        [40, 180, 60],
        [40, 60, 220],
        [128, 128, 128],
        [250, 240, 10],
        [0, 0, 0],
    ];
    for (size, matrix, range, pixels, tags) in kinds {
        for patch in patches {
            let [r, g, b] = patch;
            let scale = match pixels {
                "bgr0" => String::new(),
                _ => format!(
                    ",scale=out_color_matrix={matrix}:out_range={range}:\
                     flags=accurate_rnd+full_chroma_int"
                ),
            };
            let make = format!(
                "-f lavfi -i \
                 color=0x{r:02x}{g:02x}{b:02x}:s={size}:r=1:d=1,format=gbrp{scale},format={pixels} \
                 -c:v ffv1 {tags}"
            );
            ffmpeg(&make, &path);
            let got = middle(&path);
            let near = got
                .iter()
                .zip(patch)
                .all(|(got, want)| got.abs_diff(want) <= 2);
            assert!(
                near,
                "{size} {matrix} {range} {pixels} {tags:?}: {patch:?} gives {got:?}"
            );
        }
    }
}

#[test]
fn hdr_colours_become_screen_colours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hdr.mkv");
    for (transfer, tag) in [("smpte2084", "smpte2084"), ("arib-std-b67", "arib-std-b67")] {
        for patch in [[200, 60, 50], [60, 160, 70], [120, 120, 120]] {
            let [r, g, b] = patch;
            let make = format!(
                "-f lavfi -i color=0x{r:02x}{g:02x}{b:02x}:s=192x108:r=5:d=0.4,\
                 format=gbrp,\
                 setparams=color_primaries=bt709:color_trc=iec61966-2-1:colorspace=gbr:range=pc,\
                 zscale=transfer=linear:npl=203,format=gbrpf32le,\
                 zscale=primaries=2020:transfer={transfer}:matrix=2020_ncl:range=limited:npl=203,\
                 format=yuv420p10le \
                 -c:v ffv1 -colorspace bt2020nc -color_primaries bt2020 -color_trc {tag} \
                 -color_range tv"
            );
            ffmpeg(&make, &path);
            let got = middle(&path);
            let near = got
                .iter()
                .zip(patch)
                .all(|(got, want)| got.abs_diff(want) <= 6);
            assert!(near, "{transfer}: {patch:?} gives {got:?}");
        }
    }
}

#[test]
fn interlaced_video_has_no_comb() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fields.mp4");
    // A white bar that moves 16 pixels from each field to the next.
    ffmpeg(
        "-f lavfi -i color=black:s=320x240:r=50:d=0.4 -f lavfi -i color=white:s=40x240:r=50:d=0.4 \
         -filter_complex overlay=x=16*n,interlace=scan=tff:lowpass=off \
         -c:v libx264 -qp 0 -pix_fmt yuv420p -flags +ildct+ilme -x264opts tff=1",
        &path,
    );
    let comb = |deinterlace: bool| {
        let options = SourceOptions {
            deinterlace,
            ..Default::default()
        };
        let pictures = collect(&mut *open(&text(&path), &options));
        assert!(pictures.len() >= 9, "{}", pictures.len());
        let picture = &pictures[4].picture;
        let row = |y: u32| (0..320).map(move |x| i32::from(picture.get_pixel(x, y).0[1]));
        let jump = |y: u32| -> i32 { row(y).zip(row(y + 1)).map(|(a, b)| (a - b).abs()).sum() };
        (100..140).map(jump).sum::<i32>()
    };
    let (off, auto) = (comb(false), comb(true));
    assert!(auto * 5 < off, "from {off} to {auto}");
}

#[test]
fn of_several_videos_the_one_that_players_show_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let make = |name: &str, default: &str| {
        let make = format!(
            "-f lavfi -i testsrc2=s=160x90:r=5:d=1 -f lavfi -i testsrc2=s=320x180:r=5:d=1 \
             -map 0 -map 1 -c:v ffv1 {default}"
        );
        ffmpeg(&make, &folder.path().join(name))
    };
    let size = |path: &Path| {
        let pictures = collect(&mut *open(&text(path), &SourceOptions::default()));
        pictures[0].picture.dimensions()
    };
    let second = make("second.mkv", "-disposition:v:0 0 -disposition:v:1 default");
    assert_eq!(size(&second), (320, 180));
    let first = make("first.mkv", "-disposition:v:0 default -disposition:v:1 0");
    assert_eq!(size(&first), (160, 90));
    let none = make("none.mkv", "-disposition:v:0 0 -disposition:v:1 0");
    assert_eq!(size(&none), (160, 90));
}

#[test]
fn pictures_that_change_their_size_keep_it() {
    let folder = tempfile::tempdir().unwrap();
    let part = |name: &str, size: &str| {
        let make = format!(
            "-f lavfi -i testsrc2=s={size}:r=10:d=1 -c:v libx264 -pix_fmt yuv420p -bf 0 -bsf:v \
             h264_mp4toannexb"
        );
        ffmpeg(&make, &folder.path().join(name))
    };
    // A camera that is turned over has as many pixels as before.
    let sizes = [(320, 180), (180, 320), (160, 90), (320, 180)];
    let mut bytes = Vec::new();
    for (number, (width, height)) in sizes.iter().enumerate() {
        let part = part(&format!("{number}.h264"), &format!("{width}x{height}"));
        bytes.extend(std::fs::read(part).unwrap());
    }
    let stream = folder.path().join("all.h264");
    std::fs::write(&stream, bytes).unwrap();
    let all = ffmpeg(
        &format!("-r 10 -i {} -c copy", text(&stream)),
        &folder.path().join("all.ts"),
    );
    let pictures = collect(&mut *open(&text(&all), &SourceOptions::default()));
    let got: Vec<_> = pictures.iter().map(|p| p.picture.dimensions()).collect();
    let want: Vec<_> = sizes.iter().flat_map(|size| [*size; 10]).collect();
    assert_eq!(got, want);
    let apart: Vec<i64> = pictures
        .windows(2)
        .map(|p| p[1].time.0 - p[0].time.0)
        .collect();
    assert!(
        apart.iter().all(|apart| (99_000..101_000).contains(apart)),
        "{apart:?}"
    );
}

#[test]
fn a_written_video_says_its_colours() {
    let binary = Workspace::new();
    for (output, background) in [
        ("a.mp4", "gray"),
        ("a.mkv", "gray"),
        ("a.mov", "transparent"),
        ("a.webm", "gray"),
    ] {
        let sample = sample();
        done(
            &binary,
            &[
                "run", &sample, "--frames", "3", "-b", background, "--out", output,
            ],
        );
        let entries = [
            "-show_entries",
            "stream=color_space,color_transfer,color_primaries",
        ];
        let got = probe(&binary.path(output), &entries);
        assert_eq!(got, ["bt709,bt709,bt709"], "{output}");
    }
}
