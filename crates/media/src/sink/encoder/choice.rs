//! Chooses the encoder of a sink, once for all files of a recording.
use super::probe::ProbeError;
use super::{EncoderSetup, EncoderTask, VideoCoding, VideoEncoder, hardware, probe, software};
use crate::ffmpeg::Ffmpeg;
use crate::sink::SinkError;
use mattebox_engine::stop::Stop;
use std::sync::{Mutex, PoisonError};
use tracing::{info, warn};

/// The user's choice, and the encoder that was found.
#[derive(Debug)]
pub(in crate::sink) struct EncoderChoice {
    coding: VideoCoding,
    found: Mutex<Option<ChosenEncoder>>,
}

/// The encoder for a task.
#[derive(Debug, Clone)]
struct ChosenEncoder {
    task: EncoderTask,
    encoder: EncoderSetup,
}

impl EncoderChoice {
    pub(in crate::sink) fn new(coding: &VideoCoding) -> Self {
        EncoderChoice {
            coding: coding.clone(),
            found: Mutex::new(None),
        }
    }

    /// The encoder for a task of the sink `name`. A named encoder that does not work is an error.
    /// Otherwise it is the first hardware encoder that works, or else libx264.
    pub(in crate::sink) fn encoder(
        &self,
        ffmpeg: &Ffmpeg,
        task: &EncoderTask,
        name: &str,
        abort: &Stop,
    ) -> Result<EncoderSetup, SinkError> {
        let named = match &self.coding.encoder {
            VideoEncoder::Software => return Ok(software::x264(&self.coding, task)),
            VideoEncoder::Auto => None,
            VideoEncoder::Named(wanted) => Some(wanted),
        };
        // Locked during the search, so that the next file of a recording waits for the result.
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = found.as_ref().filter(|found| found.task == *task) {
            return Ok(found.encoder.clone());
        }
        let encoder = match named {
            Some(wanted) => self.named(ffmpeg, wanted.as_str(), task, name, abort)?,
            None => match self.of_hardware(ffmpeg, task, abort) {
                Ok(encoder) => {
                    info!(sink = name, "{} encodes", encoder.name);
                    encoder
                }
                Err(ProbeError::Stopped) => return Err(SinkError::Stopped),
                Err(ProbeError::Unusable(reasons)) => {
                    info!(
                        sink = name,
                        "libx264 encodes: no hardware encoder works here ({reasons})"
                    );
                    software::x264(&self.coding, task)
                }
            },
        };
        *found = Some(ChosenEncoder {
            task: *task,
            encoder: encoder.clone(),
        });
        Ok(encoder)
    }

    /// Whether another encoder may replace this one if it fails: only if the user has not named it.
    pub(in crate::sink) fn is_replaceable(&self, setup: &EncoderSetup) -> bool {
        self.coding.encoder == VideoEncoder::Auto && setup.name != software::X264
    }

    /// The encoder that replaces one that worked in the probe and failed later.
    pub(in crate::sink) fn replacement(
        &self,
        failed: &EncoderSetup,
        task: &EncoderTask,
        name: &str,
        problem: &SinkError,
    ) -> EncoderSetup {
        warn!(
            sink = name,
            "{} failed, libx264 encodes replacement: {problem}", failed.name
        );
        let encoder = software::x264(&self.coding, task);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        *found = Some(ChosenEncoder {
            task: *task,
            encoder: encoder.clone(),
        });
        encoder
    }

    fn named(
        &self,
        ffmpeg: &Ffmpeg,
        wanted: &str,
        task: &EncoderTask,
        name: &str,
        abort: &Stop,
    ) -> Result<EncoderSetup, SinkError> {
        let refuse = |problem: String| SinkError::Usage {
            name: name.to_owned(),
            problem,
        };
        if !probe::listed(ffmpeg).contains(wanted) {
            return Err(refuse(format!(
                "this FFmpeg has no video encoder {wanted}: `ffmpeg -encoders` lists those that it \
                 has; --video-encoder auto takes one of the hardware if there is one"
            )));
        }
        let mut ways = hardware::ways(wanted, &self.coding, task);
        if wanted == software::X264 {
            ways.push(software::x264(&self.coding, task));
        }
        let is_rated = ways.is_empty() || !hardware::knows_quality(wanted);
        if is_rated && self.coding.crf.is_some() {
            return Err(refuse(format!(
                "the quality option of {wanted} is unknown here: leave --crf out"
            )));
        }
        if ways.is_empty() {
            if !probe::takes(ffmpeg, wanted, software::PIXELS) {
                return Err(refuse(format!(
                    "the encoder {wanted} takes no pictures in {}, the format of videos here: use \
                     --video-encoder auto or software",
                    software::PIXELS
                )));
            }
            ways.push(software::other(wanted, task));
        }
        first_way(ffmpeg, ways, task, abort).map_err(|error| match error {
            ProbeError::Stopped => SinkError::Stopped,
            ProbeError::Unusable(said) => refuse(format!(
                "the encoder {wanted} does not work here: use --video-encoder auto or software, \
                 or fix the problem that FFmpeg reports ({said})"
            )),
        })
    }

    /// The first hardware encoder that works, or the reasons why none does.
    fn of_hardware(
        &self,
        ffmpeg: &Ffmpeg,
        task: &EncoderTask,
        abort: &Stop,
    ) -> Result<EncoderSetup, ProbeError> {
        let listed = probe::listed(ffmpeg);
        let mut reasons = Vec::new();
        for &wanted in hardware::NAMES
            .iter()
            .filter(|name| listed.contains(**name))
        {
            let ways = hardware::ways(wanted, &self.coding, task);
            match first_way(ffmpeg, ways, task, abort) {
                Err(ProbeError::Unusable(said)) => reasons.push(format!("{wanted}: {said}")),
                decided => return decided,
            }
        }
        if reasons.is_empty() {
            reasons.push("this FFmpeg was built without any".to_owned());
        }
        Err(ProbeError::Unusable(reasons.join("; ")))
    }
}

/// The first way that works, or FFmpeg's message about the first one.
fn first_way(
    ffmpeg: &Ffmpeg,
    ways: Vec<EncoderSetup>,
    task: &EncoderTask,
    abort: &Stop,
) -> Result<EncoderSetup, ProbeError> {
    let mut first = None;
    for way in ways {
        match probe::tried(ffmpeg, &way, task, abort) {
            Ok(()) => return Ok(way),
            Err(ProbeError::Stopped) => return Err(ProbeError::Stopped),
            Err(unusable) => first = first.or(Some(unusable)),
        }
    }
    Err(first.unwrap_or_else(|| ProbeError::Unusable(String::new())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::format::PictureShape;
    use std::path::Path;

    /// Skips hardware that the test machine has.
    #[test]
    fn every_hardware_encoder_tells_why_it_does_not_work() {
        let ffmpeg = Ffmpeg::find(Path::new("ffmpeg")).unwrap();
        let coding = VideoCoding {
            encoder: VideoEncoder::Auto,
            ..VideoCoding::default()
        };
        let task = EncoderTask {
            shape: PictureShape {
                width: 64,
                height: 48,
                alpha: false,
            },
            fps: 25.0,
            is_live: false,
        };
        let choice = EncoderChoice::new(&coding);
        let found = choice.of_hardware(&ffmpeg, &task, &Stop::new());
        let encoder = choice.encoder(&ffmpeg, &task, "a.mp4", &Stop::new());
        let encoder = encoder.unwrap();
        match found {
            Ok(found) => assert_eq!(encoder, found),
            Err(error) => {
                let reasons = error.to_string();
                assert_eq!(encoder, software::x264(&coding, &task));
                for name in hardware::NAMES {
                    let is_listed = probe::listed(&ffmpeg).contains(*name);
                    let is_told = reasons.contains(&format!("{name}: "));
                    assert_eq!(is_told, is_listed, "{name}: {reasons}");
                }
                assert!(!reasons.contains("exit status"), "{reasons}");
            }
        }
    }

    #[test]
    fn only_hardware_that_was_not_named_is_replaced() {
        let shape = PictureShape {
            width: 64,
            height: 48,
            alpha: false,
        };
        let task = EncoderTask {
            shape,
            fps: 25.0,
            is_live: false,
        };
        for (encoder, name, is_replaceable) in [
            (VideoEncoder::Auto, "h264_nvenc", true),
            (VideoEncoder::Auto, "libx264", false),
            ("h264_nvenc".parse().unwrap(), "h264_nvenc", false),
            (VideoEncoder::Software, "libx264", false),
        ] {
            let coding = VideoCoding {
                encoder,
                ..VideoCoding::default()
            };
            let setup = software::other(name, &task);
            let choice = EncoderChoice::new(&coding);
            assert_eq!(choice.is_replaceable(&setup), is_replaceable, "{coding:?}");
        }
    }
}
