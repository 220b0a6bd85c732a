//! Which encoder a sink uses: looked for once, for all files that a recording becomes.
use super::probe::ProbeError;
use super::{EncoderSetup, EncoderTask, VideoCoding, VideoEncoder, hardware, probe, software};
use crate::ffmpeg::Ffmpeg;
use crate::sink::SinkError;
use mattebox_engine::stop::Stop;
use std::sync::{Mutex, PoisonError};
use tracing::{info, warn};

/// What was asked for, and what was found.
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

    /// The encoder for a task of the sink `name`. An encoder that was named and does not work is an
    /// error; of those of the hardware the first that works is taken, else libx264.
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
        // Held while it is looked for: the next file of a recording waits for the answer.
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
                        "libx264 encodes: no hardware does that here ({reasons})"
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

    /// Whether another one may encode where this one fails: it was not asked for by name.
    pub(in crate::sink) fn is_replaceable(&self, setup: &EncoderSetup) -> bool {
        self.coding.encoder == VideoEncoder::Auto && setup.name != software::X264
    }

    /// What encodes from now on instead of an encoder that failed although it had worked.
    pub(in crate::sink) fn instead(
        &self,
        failed: &EncoderSetup,
        task: &EncoderTask,
        name: &str,
        problem: &SinkError,
    ) -> EncoderSetup {
        warn!(
            sink = name,
            "{} failed, libx264 encodes instead: {problem}", failed.name
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
                "how {wanted} is told a quality is not known here: leave --crf out"
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
                 or mend what FFmpeg says ({said})"
            )),
        })
    }

    /// The first encoder of the hardware that works, or why each of them does not.
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
            reasons.push("this FFmpeg was built with none".to_owned());
        }
        Err(ProbeError::Unusable(reasons.join("; ")))
    }
}

/// The first of these that works, or what FFmpeg said of the first.
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

    /// Hardware that a machine of the tests does have is left out.
    #[test]
    fn every_encoder_of_the_hardware_says_why_it_does_not_work() {
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
    fn only_hardware_that_nobody_named_is_replaced() {
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
