//! libx264, and encoders that are used only by name.
use super::{EncoderPixels, EncoderSetup, EncoderTask, VideoCoding};
use std::num::NonZeroUsize;

/// The name of x264 in FFmpeg.
pub(super) const X264: &str = "libx264";
/// The format of the pictures that they take.
pub(super) const PIXELS: &str = "yuv420p";
/// The most frame threads of an H.264 encoder. Each holds back one picture.
const MAX_FRAME_THREADS: usize = 6;
/// At lower rates slice threads are used, which hold back no picture and are slower.
const FRAME_THREADS_FROM_FPS: f64 = 15.0;

/// The clock of some encoders (MPEG-4) is no finer than 1/65535 of a second.
const COARSE_TIME_UNITS: u32 = 60_000;

/// x264 on the processor.
pub(super) fn x264(coding: &VideoCoding, task: &EncoderTask) -> EncoderSetup {
    let preset = coding.preset;
    let usual = preset.usual_crf(task.is_live);
    let delay = match task.is_live {
        true => "-tune zerolatency".to_owned(),
        false => short_delay(task.fps),
    };
    EncoderSetup::new(
        X264,
        EncoderPixels::Memory(PIXELS),
        &format!(
            "-preset {} -crf {} -g {} {delay}",
            preset.as_str(),
            coding.crf.unwrap_or(usual),
            task.key_frame_distance()
        ),
    )
}

/// Any encoder of FFmpeg. It gets only a rate, which every encoder takes.
pub(super) fn other(name: &str, task: &EncoderTask) -> EncoderSetup {
    let options = format!("-b:v {} -g {}", task.bit_rate(), task.key_frame_distance());
    EncoderSetup {
        time_units: COARSE_TIME_UNITS,
        ..EncoderSetup::new(name, EncoderPixels::Memory(PIXELS), &options)
    }
}

/// Limits the pictures inside the H.264 encoder, for any number of cores and any rate: these
/// pictures are lost when the machine stops.
fn short_delay(fps: f64) -> String {
    let ahead = (fps / 2.0).clamp(0.0, 10.0).floor();
    let reordered = if fps < 10.0 { 0 } else { 2 };
    let threads = match fps >= FRAME_THREADS_FROM_FPS {
        true => {
            let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
            format!("threads={}", (cores * 3 / 2).min(MAX_FRAME_THREADS))
        }
        false => "sliced-threads=1".to_owned(),
    };
    format!("-bf {reordered} -x264-params {threads}:sync-lookahead=0:rc-lookahead={ahead}")
}

#[cfg(test)]
mod tests {
    use super::super::super::format::PictureShape;
    use super::*;

    fn options(coding: &VideoCoding, fps: f64, is_live: bool) -> String {
        let task = EncoderTask {
            shape: PictureShape {
                width: 640,
                height: 360,
                alpha: false,
            },
            fps,
            is_live,
        };
        x264(coding, &task).options.join(" ")
    }

    #[test]
    fn files_and_streams_have_different_default_qualities() {
        let coding = VideoCoding::default();
        let file = options(&coding, 4.0, false);
        assert_eq!(
            file,
            "-preset superfast -crf 23 -g 8 -bf 0 \
             -x264-params sliced-threads=1:sync-lookahead=0:rc-lookahead=2"
        );
        let stream = options(&coding, 25.0, true);
        assert_eq!(stream, "-preset superfast -crf 24 -g 50 -tune zerolatency");
        let small = VideoCoding {
            preset: "veryfast".parse().unwrap(),
            ..VideoCoding::default()
        };
        assert!(options(&small, 25.0, false).starts_with("-preset veryfast -crf 18 -g 50 -bf 2"));
        let asked = VideoCoding {
            crf: Some(30),
            ..small
        };
        for is_live in [false, true] {
            let options = options(&asked, 25.0, is_live);
            assert!(
                options.starts_with("-preset veryfast -crf 30 "),
                "{options}"
            );
        }
    }
}
