//! The options of each hardware encoder. The names and options are those of FFmpeg's documentation
//! (<https://ffmpeg.org/ffmpeg-codecs.html>) and of `ffmpeg -h encoder=NAME`.
//!
//! The authors had no such hardware to test. So the options are few: a quality, no pictures that
//! refer to later ones (some hardware has none), key frames, no delay for streams.
use super::{EncoderPixels, EncoderSetup, EncoderTask, VideoCoding, words};
use std::path::PathBuf;

/// Every hardware encoder of H.264, in the order in which they are tried.
pub(super) const NAMES: &[&str] = &[
    "h264_videotoolbox",
    "h264_nvenc",
    "h264_qsv",
    "h264_vaapi",
    "h264_amf",
    "h264_v4l2m2m",
];

/// The default quality, on the scale of H.264's quantizers.
const USUAL_QUALITY: u8 = 23;
/// The end of that scale.
const WORST_QUALITY: u8 = 51;

/// The ways to use a hardware encoder, to be tried one after the other; none for other encoders.
pub(super) fn ways(name: &str, coding: &VideoCoding, task: &EncoderTask) -> Vec<EncoderSetup> {
    let quality = coding.crf.unwrap_or(USUAL_QUALITY).min(WORST_QUALITY);
    let rate = task.bit_rate();
    let live = task.is_live;
    let way = |pixels: EncoderPixels, options: &str, only_live: &str| {
        let only_live = if live { only_live } else { "" };
        let distance = task.key_frame_distance();
        EncoderSetup::new(
            name,
            pixels,
            &format!("{options} {only_live} -bf 0 -g {distance}"),
        )
    };
    match name {
        // With quality 0 this encoder makes its own choice.
        "h264_nvenc" => {
            let tune = if live { "ll" } else { "hq" };
            vec![way(
                EncoderPixels::Memory("yuv420p"),
                &format!(
                    "-preset p4 -tune {tune} -rc vbr -cq {} -b:v 0",
                    quality.max(1)
                ),
                "-zerolatency 1 -delay 0",
            )]
        }
        // A global quality alone is Intel's constant quality (ICQ), from 1 on.
        "h264_qsv" => vec![way(
            EncoderPixels::Memory("nv12"),
            &format!("-preset veryfast -global_quality {}", quality.max(1)),
            "-async_depth 1",
        )],
        "h264_vaapi" => render_nodes()
            .into_iter()
            .map(|device| EncoderSetup {
                global: words(&format!(
                    "-init_hw_device vaapi=hw{device} -filter_hw_device hw"
                )),
                ..way(
                    EncoderPixels::Uploaded("nv12"),
                    &format!("-rc_mode CQP -qp {}", quality.max(1)),
                    "",
                )
            })
            .collect(),
        "h264_amf" => {
            let usage = if live { "lowlatency" } else { "transcoding" };
            vec![way(
                EncoderPixels::Memory("nv12"),
                &format!(
                    "-usage {usage} -quality balanced -rc cqp -qp_i {quality} -qp_p {quality}"
                ),
                "",
            )]
        }
        // Its scale goes from 1 to 100, the best. Only Apple's own processors support a quality.
        "h264_videotoolbox" => {
            let share = f64::from(WORST_QUALITY - quality) / f64::from(WORST_QUALITY);
            let percent = (share * 100.0).round().max(1.0);
            vec![
                way(
                    EncoderPixels::Memory("nv12"),
                    &format!("-q:v {percent}"),
                    "-realtime 1",
                ),
                way(
                    EncoderPixels::Memory("nv12"),
                    &format!("-b:v {rate}"),
                    "-realtime 1",
                ),
            ]
        }
        // The boards take different formats, and support only rates.
        "h264_v4l2m2m" => ["yuv420p", "nv12"]
            .map(|pixels| way(EncoderPixels::Memory(pixels), &format!("-b:v {rate}"), ""))
            .to_vec(),
        _ => vec![],
    }
}

/// Whether an encoder of this table supports a quality, and not only a rate.
pub(super) fn knows_quality(name: &str) -> bool {
    name != "h264_v4l2m2m"
}

/// The graphics devices of this machine in FFmpeg's form. Without a visible device FFmpeg looks for
/// one itself.
fn render_nodes() -> Vec<String> {
    let found = glob::glob("/dev/dri/renderD*").into_iter().flatten();
    let nodes: Vec<PathBuf> = found.flatten().collect();
    match nodes.is_empty() {
        true => vec![String::new()],
        false => nodes
            .iter()
            .map(|node| format!(":{}", node.display()))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::format::PictureShape;
    use super::*;

    fn task(is_live: bool) -> EncoderTask {
        EncoderTask {
            shape: PictureShape {
                width: 1280,
                height: 720,
                alpha: false,
            },
            fps: 25.0,
            is_live,
        }
    }

    #[test]
    fn every_name_has_a_way_and_others_have_none() {
        for name in NAMES {
            for is_live in [false, true] {
                let ways = ways(name, &VideoCoding::default(), &task(is_live));
                assert!(!ways.is_empty(), "{name}");
                assert!(ways.iter().all(|way| way.name == *name));
            }
        }
        assert!(ways("mpeg4", &VideoCoding::default(), &task(false)).is_empty());
    }

    #[test]
    fn a_quality_becomes_the_option_of_each_encoder() {
        let coding = VideoCoding {
            crf: Some(30),
            ..VideoCoding::default()
        };
        let options = |name: &str, is_live| {
            let ways = ways(name, &coding, &task(is_live));
            ways[0].options.join(" ")
        };
        assert_eq!(
            options("h264_nvenc", false),
            "-preset p4 -tune hq -rc vbr -cq 30 -b:v 0 -bf 0 -g 50"
        );
        assert_eq!(
            options("h264_nvenc", true),
            "-preset p4 -tune ll -rc vbr -cq 30 -b:v 0 -zerolatency 1 -delay 0 -bf 0 -g 50"
        );
        assert!(options("h264_qsv", false).contains("-global_quality 30"));
        assert!(options("h264_vaapi", false).contains("-rc_mode CQP -qp 30"));
        assert!(options("h264_amf", false).contains("-qp_i 30 -qp_p 30"));
        assert!(options("h264_videotoolbox", false).contains("-q:v 41"));
        assert!(options("h264_v4l2m2m", false).contains("-b:v 4608000"));
    }
}
