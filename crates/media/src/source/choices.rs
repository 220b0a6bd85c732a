//! Choices for reading a source.
use std::{fmt, str::FromStr};
use thiserror::Error;

/// The text is not one of the choices. The message lists them.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct UnknownChoice(&'static str);

/// The transport of RTP from an RTSP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RtspTransport {
    /// TCP first; UDP if the server refuses that.
    #[default]
    Auto,
    /// Within the RTSP connection: no picture is lost, and it passes firewalls.
    Tcp,
    /// As datagrams: less delay on a bad network, at the price of lost pictures.
    Udp,
}

impl RtspTransport {
    /// FFmpeg's name of the transport for the next try.
    pub(super) fn ffmpeg_name(self) -> &'static str {
        match self {
            RtspTransport::Auto | RtspTransport::Tcp => "tcp",
            RtspTransport::Udp => "udp",
        }
    }
}

impl FromStr for RtspTransport {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(RtspTransport::Auto),
            "tcp" => Ok(RtspTransport::Tcp),
            "udp" => Ok(RtspTransport::Udp),
            _ => Err(UnknownChoice("use auto, tcp or udp")),
        }
    }
}

/// The hardware that decodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HardwareDecoder {
    /// The processor.
    #[default]
    None,
    /// The hardware that FFmpeg finds; the processor if it finds none.
    Auto,
    /// One of `ffmpeg -hwaccels`; the processor if that does not work.
    Named(String),
}

impl HardwareDecoder {
    /// FFmpeg's name, if it is hardware.
    pub(super) fn ffmpeg_name(&self) -> Option<&str> {
        match self {
            HardwareDecoder::None => None,
            HardwareDecoder::Auto => Some("auto"),
            HardwareDecoder::Named(name) => Some(name),
        }
    }
}

impl FromStr for HardwareDecoder {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(HardwareDecoder::None),
            "auto" => Ok(HardwareDecoder::Auto),
            name if is_name(name) => Ok(HardwareDecoder::Named(name.to_owned())),
            _ => Err(UnknownChoice(
                "use none, auto, or a name that `ffmpeg -hwaccels` lists, such as vaapi or cuda",
            )),
        }
    }
}

/// The size of pictures to request from a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameSize {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

impl FromStr for FrameSize {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let side = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let side = is_number.then(|| text.parse().ok()).flatten();
            side.filter(|side| (1..=32_768).contains(side))
        };
        let sides = text
            .split_once(['x', 'X'])
            .and_then(|(width, height)| Some((side(width)?, side(height)?)));
        match sides {
            Some((width, height)) => Ok(FrameSize { width, height }),
            None => Err(UnknownChoice("write WIDTHxHEIGHT, such as 1280x720")),
        }
    }
}

impl fmt::Display for FrameSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// The format of a source: for a camera of this machine its format of pictures, for any other
/// source one of FFmpeg's demuxers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFormat(String);

impl InputFormat {
    /// Motion JPEG: pictures one after the other, with anything between them.
    pub(super) fn motion_jpeg() -> Self {
        InputFormat("mjpeg".to_owned())
    }

    /// FFmpeg's name.
    pub(super) fn ffmpeg_name(&self) -> &str {
        &self.0
    }
}

impl FromStr for InputFormat {
    type Err = UnknownChoice;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match is_name(text) {
            true => Ok(InputFormat(text.to_owned())),
            false => Err(UnknownChoice(
                "use a name that `ffmpeg -demuxers` lists, such as mjpeg; for a camera, \
                 one of its formats",
            )),
        }
    }
}

/// Whether a text can be a name in FFmpeg, and cannot be an option or an address.
fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b',' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_two_numbers() {
        let size = |text: &str| text.parse::<FrameSize>().ok().map(|size| size.to_string());
        assert_eq!(size("1280x720").as_deref(), Some("1280x720"));
        assert_eq!(size("640X480").as_deref(), Some("640x480"));
        for text in [
            "", "x", "640", "0x480", "640x", "640x-1", "640x+1", "99999x1", "hd720",
        ] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn names_cannot_be_options_or_files() {
        for text in ["mjpeg", "v4l2", "mov,mp4", "image2pipe", "rgb565le"] {
            assert!(text.parse::<InputFormat>().is_ok(), "{text}");
        }
        for text in ["", "-i", "a b", "/etc/passwd", "http://h", "a=b"] {
            assert!(text.parse::<InputFormat>().is_err(), "{text}");
            assert!(text.parse::<HardwareDecoder>().is_err(), "{text}");
        }
    }
}
