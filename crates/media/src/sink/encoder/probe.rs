//! Finds out whether an encoder works here. FFmpeg lists the encoders that it was built with, also
//! without the hardware and its drivers, so this module encodes a few pictures.
use super::{EncoderSetup, EncoderTask};
use crate::ffmpeg::Ffmpeg;
use crate::ffmpeg::diagnose::first_message;
use crate::ffmpeg::log::FfmpegLog;
use crate::ffmpeg::process::Process;
use crate::sink::format;
use mattebox_engine::stop::Stop;
use std::collections::HashSet;
use std::process::Stdio;
use std::time::{Duration, Instant};
use thiserror::Error;

/// The longest wait for the first pictures of an encoder. Hardware that sleeps needs a second.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// The interval at which a wait checks whether to end.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// The number of pictures to encode: enough for hardware that answers a picture or two later.
const PICTURES: &str = "4";

/// Why a probe gives no encoder.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum ProbeError {
    /// The encoder does not work here. The text is FFmpeg's.
    #[error("{0}")]
    Unusable(String),
    /// The program ends.
    #[error("stopped")]
    Stopped,
}

/// The names of the video encoders that this FFmpeg was built with; none if it does not list them.
pub(super) fn listed(ffmpeg: &Ffmpeg) -> HashSet<String> {
    let mut command = ffmpeg.command();
    command.arg("-encoders").stdin(Stdio::null());
    let Ok(answer) = command.output() else {
        return HashSet::new();
    };
    video_encoders(&String::from_utf8_lossy(&answer.stdout))
}

/// Reads lines such as ` V....D libx264 libx264 H.264 …` after a line of dashes.
fn video_encoders(text: &str) -> HashSet<String> {
    let lines = text.lines().skip_while(|line| !line.contains("---"));
    let named = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let kind = words.next()?;
        let name = words.next()?;
        kind.starts_with('V').then(|| name.to_owned())
    });
    named.collect()
}

/// Whether an encoder takes pictures in this format, as far as FFmpeg lists its formats.
pub(super) fn takes(ffmpeg: &Ffmpeg, name: &str, pixels: &str) -> bool {
    let mut command = ffmpeg.command();
    command.args(["-h", &format!("encoder={name}")]);
    let Ok(answer) = command.stdin(Stdio::null()).output() else {
        return true;
    };
    let text = String::from_utf8_lossy(&answer.stdout);
    let mut formats = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Supported pixel formats:"));
    let formats = formats.next();
    formats.is_none_or(|formats| formats.split_whitespace().any(|format| format == pixels))
}

/// Encodes a few gray pictures of the size that is wanted.
pub(super) fn tried(
    ffmpeg: &Ffmpeg,
    encoder: &EncoderSetup,
    task: &EncoderTask,
    abort: &Stop,
) -> Result<(), ProbeError> {
    let mut command = ffmpeg.command();
    let (width, height) = (task.shape.width, task.shape.height);
    let graph = format!("color=c=gray:size={width}x{height}:rate={}", task.fps);
    command.args(&encoder.global);
    command.args(["-f", "lavfi", "-i", &graph, "-frames:v", PICTURES]);
    command.args(format::encoding(task.shape, encoder));
    command.args(ffmpeg.frame_mode("passthrough"));
    command.args(["-f", "null", "-"]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut process =
        Process::spawn(&mut command).map_err(|error| ProbeError::Unusable(error.to_string()))?;
    let Some(stderr) = process.take_stderr() else {
        return Err(ProbeError::Unusable("the child has no pipes".to_owned()));
    };
    let log = FfmpegLog::follow(stderr, &command);
    let begun = Instant::now();
    loop {
        if abort.is_stopped() {
            return Err(ProbeError::Stopped);
        }
        if let Some(status) = process.wait(POLL_INTERVAL) {
            let errors = log.into_errors();
            return match status.success() {
                true => Ok(()),
                false => Err(ProbeError::Unusable(
                    first_message(&errors).unwrap_or_else(|| status.to_string()),
                )),
            };
        }
        if begun.elapsed() >= PROBE_TIMEOUT {
            let problem = format!("no answer for {} s", PROBE_TIMEOUT.as_secs());
            return Err(ProbeError::Unusable(problem));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::encoder::{EncoderPixels, hardware, software};
    use crate::sink::{VideoCoding, format::PictureShape};
    use std::path::Path;

    fn task() -> EncoderTask {
        EncoderTask {
            shape: PictureShape {
                width: 333,
                height: 187,
                alpha: false,
            },
            fps: 30000.0 / 1001.0,
            is_live: false,
        }
    }

    fn try_out(encoder: &EncoderSetup) -> Result<(), ProbeError> {
        let ffmpeg = Ffmpeg::find(Path::new("ffmpeg")).unwrap();
        tried(&ffmpeg, encoder, &task(), &Stop::new())
    }

    #[test]
    fn only_video_encoders_are_listed() {
        let ffmpeg = Ffmpeg::find(Path::new("ffmpeg")).unwrap();
        let listed = listed(&ffmpeg);
        assert!(listed.contains("libx264") && listed.contains("mpeg4"));
        assert!(!listed.contains("aac") && !listed.contains("="));
    }

    #[test]
    fn the_formats_of_an_encoder_are_known() {
        let ffmpeg = Ffmpeg::find(Path::new("ffmpeg")).unwrap();
        assert!(takes(&ffmpeg, "mpeg4", "yuv420p"));
        assert!(!takes(&ffmpeg, "libx264rgb", "yuv420p"));
        assert!(takes(&ffmpeg, "libx264rgb", "rgb24"));
    }

    #[test]
    fn encoders_that_work_are_told_from_those_that_do_not() {
        assert_eq!(try_out(&software::other("mpeg4", &task())), Ok(()));
        let coding = VideoCoding::default();
        assert_eq!(try_out(&software::x264(&coding, &task())), Ok(()));
        let unknown = EncoderSetup::new("no_such", EncoderPixels::Memory("yuv420p"), "");
        let error = try_out(&unknown).unwrap_err().to_string();
        assert!(error.contains("no_such"), "{error}");
        // The test machine has none of these boards.
        let [first, _] = &hardware::ways("h264_v4l2m2m", &coding, &task())[..] else {
            panic!("two ways");
        };
        let error = try_out(first);
        assert!(error.is_err(), "{error:?}");
    }

    #[test]
    fn a_probe_ends_on_an_abort() {
        let ffmpeg = Ffmpeg::find(Path::new("ffmpeg")).unwrap();
        let abort = Stop::new();
        abort.stop();
        let encoder = software::other("mpeg4", &task());
        let tried = tried(&ffmpeg, &encoder, &task(), &abort);
        assert_eq!(tried, Err(ProbeError::Stopped));
    }
}
