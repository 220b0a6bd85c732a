//! The user's choices about the coding of videos.
use std::{fmt, str::FromStr};
use thiserror::Error;

/// The coding of videos in H.264.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VideoCoding {
    /// The encoder.
    pub encoder: VideoEncoder,
    /// The effort of libx264 to make files small.
    pub preset: VideoPreset,
    /// The quality, 0 (best) to 51. `None`: the default.
    pub crf: Option<u8>,
}

/// The text is not one of the choices. The message lists them.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct UnknownVideoChoice(&'static str);

/// The encoder.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum VideoEncoder {
    /// The processor, with libx264: the same pictures give the same bytes on one machine.
    #[default]
    Software,
    /// The first encoder of the hardware that works; else the processor.
    Auto,
    /// One of `ffmpeg -encoders`; an error if it does not work.
    Named(EncoderName),
}

/// The name of an encoder in FFmpeg. It cannot be an option, a file or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncoderName(String);

impl EncoderName {
    /// FFmpeg's name.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VideoEncoder {
    type Err = UnknownVideoChoice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = (1..=64).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        match text {
            "software" => Ok(VideoEncoder::Software),
            "auto" => Ok(VideoEncoder::Auto),
            // FFmpeg's word for passing on its input, which would be bare samples.
            name if is_name && name != "copy" => {
                Ok(VideoEncoder::Named(EncoderName(name.to_owned())))
            }
            _ => Err(UnknownVideoChoice(
                "use software, auto, or a name that `ffmpeg -encoders` lists, such as h264_nvenc",
            )),
        }
    }
}

impl fmt::Display for VideoEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            VideoEncoder::Software => "software",
            VideoEncoder::Auto => "auto",
            VideoEncoder::Named(name) => name.as_str(),
        })
    }
}

/// The effort of libx264 to make files small: one of its presets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoPreset {
    name: &'static str,
    /// The crf for files. With it all presets have about the same quality.
    file_crf: u8,
    /// The crf for streams.
    live_crf: u8,
}

/// The default preset.
const SUPERFAST: VideoPreset = VideoPreset::new("superfast", 23, 24);

/// One crf has a different quality with each preset: only files from `veryfast` on save bits on
/// blocks that are soon replaced (`mbtree`). docs/guide/sinks.md has the figures.
const PRESETS: &[VideoPreset] = &[
    VideoPreset::new("ultrafast", 20, 20),
    SUPERFAST,
    VideoPreset::new("veryfast", 18, 23),
    VideoPreset::new("faster", 18, 23),
    VideoPreset::new("fast", 18, 23),
    VideoPreset::new("medium", 18, 23),
    VideoPreset::new("slow", 18, 23),
    VideoPreset::new("slower", 18, 23),
    VideoPreset::new("veryslow", 18, 23),
];

impl VideoPreset {
    const fn new(name: &'static str, file_crf: u8, live_crf: u8) -> Self {
        VideoPreset {
            name,
            file_crf,
            live_crf,
        }
    }

    /// x264's name.
    pub(super) fn as_str(self) -> &'static str {
        self.name
    }

    /// The default crf.
    pub(super) fn usual_crf(self, is_live: bool) -> u8 {
        match is_live {
            true => self.live_crf,
            false => self.file_crf,
        }
    }
}

impl Default for VideoPreset {
    fn default() -> Self {
        SUPERFAST
    }
}

impl FromStr for VideoPreset {
    type Err = UnknownVideoChoice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = PRESETS.iter().find(|preset| preset.name == text);
        found.copied().ok_or(UnknownVideoChoice(
            "use a preset of x264: ultrafast, superfast, veryfast, faster, fast, medium, slow, \
             slower or veryslow",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_encoders_cannot_be_options_files_or_addresses() {
        for text in ["software", "auto", "h264_nvenc", "libx264rgb", "mpeg4"] {
            let encoder: VideoEncoder = text.parse().unwrap();
            assert_eq!(encoder.to_string(), text);
        }
        for text in [
            "",
            "copy",
            "-i",
            "-y",
            "a b",
            "h264_nvenc -f",
            "/etc/passwd",
            "a.mp4",
            "http://h",
            "a=b",
            "H264",
            "h264\n",
            "h264-nvenc",
            "a:v",
            &"a".repeat(65),
        ] {
            assert!(text.parse::<VideoEncoder>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn every_preset_is_named_where_one_is_unknown() {
        let message = "placebo".parse::<VideoPreset>().unwrap_err().to_string();
        for preset in PRESETS {
            assert_eq!(preset.name.parse(), Ok(*preset));
            assert!(message.contains(preset.name), "{message}");
        }
        assert!(PRESETS.contains(&VideoPreset::default()));
    }
}
