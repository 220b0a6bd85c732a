//! The text that names a source.
use mattebox_core::frame::CameraId;
use mattebox_engine::address::{Address, harmless};
use std::path::PathBuf;
use std::{fmt, str::FromStr};
use thiserror::Error;

/// One camera: its name and its source.
#[derive(Debug, Clone)]
pub struct CameraSource {
    /// Its name.
    pub camera: CameraId,
    /// Its source.
    pub spec: SourceSpec,
}

/// The name of a source. Whether a path is a file, a folder or a pattern is found out when the
/// source is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceSpec {
    /// A file, a folder of pictures, or a pattern such as `pictures/*.jpg`.
    Path(PathBuf),
    /// An address that FFmpeg reads: `rtsp://…`, `http://…`, `udp://…` and so on.
    Url(Address),
    /// A camera: its number, or its device such as `/dev/video0`.
    Device(String),
    /// A test pattern: `lavfi:` and a source graph of FFmpeg's libavfilter, such as
    /// `lavfi:testsrc2=size=640x360:rate=25`.
    Lavfi(Address),
    /// A video on standard input.
    Stdin,
}

/// The text names no source.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SourceSpecError {
    /// Nothing was given.
    #[error(
        "an empty source: give a video file, a folder of pictures, a camera's number, an address \
         such as rtsp://host/path, \
         lavfi:GRAPH, or - for standard input"
    )]
    Empty,
    /// `lavfi:` without its graph.
    #[error("lavfi: needs a graph, for example lavfi:testsrc2=size=640x360:rate=25")]
    EmptyGraph,
}

/// The graph of a [`SourceSpec::Lavfi`], for FFmpeg.
pub(super) fn graph(address: &Address) -> &str {
    let text = address.reveal();
    text.strip_prefix("lavfi:").unwrap_or(text)
}

impl FromStr for SourceSpec {
    type Err = SourceSpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_camera = |rest: &str| {
            !rest.is_empty() && rest.len() < 4 && rest.bytes().all(|b| b.is_ascii_digit())
        };
        match text {
            "" => Err(SourceSpecError::Empty),
            "-" => Ok(SourceSpec::Stdin),
            _ if is_camera(text) || text.strip_prefix("/dev/video").is_some_and(is_camera) => {
                Ok(SourceSpec::Device(text.to_owned()))
            }
            _ => match text.split_once(':') {
                Some(("lavfi", "")) => Err(SourceSpecError::EmptyGraph),
                Some(("lavfi", _)) => Ok(SourceSpec::Lavfi(Address::source(text))),
                Some(("file", path)) => Ok(SourceSpec::Path(
                    path.strip_prefix("//").unwrap_or(path).into(),
                )),
                // At least two letters: C:\ is a disk.
                Some((scheme, rest)) if rest.starts_with("//") && scheme.len() > 1 => {
                    Ok(SourceSpec::Url(Address::source(text)))
                }
                _ => Ok(SourceSpec::Path(text.into())),
            },
        }
    }
}

/// The text as written, but without the secrets of an address.
impl fmt::Display for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourceSpec::Path(path) => f.write_str(&harmless::path(path)),
            SourceSpec::Url(address) | SourceSpec::Lavfi(address) => address.fmt(f),
            SourceSpec::Device(device) if device.starts_with('/') => f.write_str(device),
            SourceSpec::Device(number) => write!(f, "camera {number}"),
            SourceSpec::Stdin => f.write_str("standard input"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_told_apart() {
        let url = |text: &str| SourceSpec::Url(Address::source(text));
        let path = |text: &str| SourceSpec::Path(text.into());
        let device = |text: &str| SourceSpec::Device(text.into());
        for (text, want) in [
            ("-", SourceSpec::Stdin),
            ("0", device("0")),
            ("/dev/video12", device("/dev/video12")),
            ("/dev/videos/a.mp4", path("/dev/videos/a.mp4")),
            (
                "lavfi:testsrc=rate=5",
                SourceSpec::Lavfi(Address::source("lavfi:testsrc=rate=5")),
            ),
            ("rtsp://cam/1", url("rtsp://cam/1")),
            ("file:///tmp/a b.mp4", path("/tmp/a b.mp4")),
            ("file:a.mp4", path("a.mp4")),
            ("C:\\clips\\a.mp4", path("C:\\clips\\a.mp4")),
            ("12:30.mp4", path("12:30.mp4")),
            ("pictures/*.jpg", path("pictures/*.jpg")),
        ] {
            assert_eq!(text.parse(), Ok(want), "{text}");
        }
        assert!("".parse::<SourceSpec>().is_err() && "lavfi:".parse::<SourceSpec>().is_err());
    }

    #[test]
    fn a_password_is_never_printed() {
        let spec: SourceSpec = "rtsp://admin:hunter2@10.0.0.5:554/stream".parse().unwrap();
        assert_eq!(spec.to_string(), "rtsp://***@10.0.0.5:554/stream");
    }
}
