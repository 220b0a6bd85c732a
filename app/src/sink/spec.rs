//! What a person writes to name a sink.
use super::format::{Format, SCHEMES, VIDEOS};
use crate::address::{Address, harmless};
use mattebox_core::frame::CameraId;
use std::path::{Path, PathBuf};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// Stands for the camera's id in the name of a video or an address.
const PLACEHOLDER: &str = "{camera}";
/// Ends of names that would be a mistake as the name of a folder.
const PICTURES: &[&str] = &["png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff"];
/// Videos that FFmpeg could write, but that are not offered here.
const OTHER_VIDEOS: &[&str] = &["avi", "wmv", "flv", "mpg", "mpeg", "ts", "m2ts", "ogv", "3gp", "vob", "y4m"];

/// A sink by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkSpec {
    /// A folder: a file per picture.
    Directory(PathBuf),
    /// A video file; `{camera}` in it stands for the camera's id.
    Video(PathBuf),
    /// An address that takes a stream; `{camera}` in it stands for the camera's id.
    Url(Address),
    /// Standard output.
    Stdout,
    /// Nowhere.
    Nothing,
}

/// The text names no sink.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SinkSpecError {
    /// Nothing was given.
    #[error(
        "an empty output: give a folder, a video such as out.mp4, an address such as rtsp://host/path, or - for standard output"
    )]
    Empty,
    /// One picture file for many pictures.
    #[error("{0}: pictures are written to a folder: give a folder's name, and the kind of picture with --format")]
    Picture(String),
    /// A video of another kind.
    #[error("{0}: this kind of video is not written: use {list}", list = VIDEOS.join(", "))]
    UnknownVideo(String),
    /// A protocol of another kind.
    #[error("{0}: this kind of address is not written to: use {list}", list = SCHEMES.join(", "))]
    UnknownScheme(String),
}

impl FromStr for SinkSpec {
    type Err = SinkSpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => return Err(SinkSpecError::Empty),
            "-" => return Ok(SinkSpec::Stdout),
            "none" => return Ok(SinkSpec::Nothing),
            _ => {}
        }
        let path = match text.split_once("://") {
            Some(("file", path)) => path,
            Some((scheme, _)) if scheme.len() > 1 => {
                return match Format::of_url(text) {
                    Some(_) => Ok(SinkSpec::Url(Address::output(text))),
                    None => Err(SinkSpecError::UnknownScheme(harmless::output(text))),
                };
            }
            _ => text,
        };
        let extension = match path.ends_with(['/', std::path::MAIN_SEPARATOR]) {
            true => String::new(),
            false => Path::new(path).extension().unwrap_or_default().to_string_lossy().to_lowercase(),
        };
        match extension.as_str() {
            _ if Format::of_extension(&extension).is_some() => Ok(SinkSpec::Video(path.into())),
            picture if PICTURES.contains(&picture) => Err(SinkSpecError::Picture(harmless::output(path))),
            video if OTHER_VIDEOS.contains(&video) => Err(SinkSpecError::UnknownVideo(harmless::output(path))),
            _ => Ok(SinkSpec::Directory(path.into())),
        }
    }
}

impl SinkSpec {
    /// The sink of one camera: with its id in place of `{camera}`. A folder needs none: it has a folder for each camera.
    pub fn for_camera(&self, camera: &CameraId) -> SinkSpec {
        match self {
            SinkSpec::Video(path) => match path.to_str() {
                Some(text) => SinkSpec::Video(text.replace(PLACEHOLDER, camera.as_str()).into()),
                None => self.clone(),
            },
            SinkSpec::Url(url) => SinkSpec::Url(Address::output(url.reveal().replace(PLACEHOLDER, camera.as_str()))),
            SinkSpec::Directory(_) | SinkSpec::Stdout | SinkSpec::Nothing => self.clone(),
        }
    }

    /// Whether several cameras can write to it at once.
    pub fn takes_many_cameras(&self) -> bool {
        match self {
            SinkSpec::Directory(_) | SinkSpec::Nothing => true,
            SinkSpec::Video(path) => path.to_str().is_some_and(|text| text.contains(PLACEHOLDER)),
            SinkSpec::Url(url) => url.reveal().contains(PLACEHOLDER),
            SinkSpec::Stdout => false,
        }
    }
}

/// As it was written, but of an address only what may be shown.
impl fmt::Display for SinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SinkSpec::Directory(path) | SinkSpec::Video(path) => f.write_str(&harmless::output(&path.to_string_lossy())),
            SinkSpec::Url(url) => url.fmt(f),
            SinkSpec::Stdout => f.write_str("standard output"),
            SinkSpec::Nothing => f.write_str("nowhere"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_told_apart() {
        let video = |text: &str| SinkSpec::Video(text.into());
        let folder = |text: &str| SinkSpec::Directory(text.into());
        for (text, want) in [
            ("-", SinkSpec::Stdout),
            ("none", SinkSpec::Nothing),
            ("./none", folder("./none")),
            ("output", folder("output")),
            ("out.d", folder("out.d")),
            ("videos.mp4/", folder("videos.mp4/")),
            ("a/b.MP4", video("a/b.MP4")),
            ("a.webm", video("a.webm")),
            ("a.mov", video("a.mov")),
            ("a.mkv", video("a.mkv")),
            ("file:///tmp/a.gif", video("/tmp/a.gif")),
            ("rtsp://h/live", SinkSpec::Url(Address::output("rtsp://h/live"))),
            ("rtmps://h/app/key", SinkSpec::Url(Address::output("rtmps://h/app/key"))),
        ] {
            assert_eq!(text.parse(), Ok(want), "{text}");
        }
        for (text, words) in [
            ("", "give a folder"),
            ("a.png", "a folder's name"),
            ("a.avi", "use mp4"),
            ("foo://me:secret@h", "foo://***@h: this kind of address"),
        ] {
            let message = text.parse::<SinkSpec>().unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn a_placeholder_becomes_the_camera() {
        let camera: CameraId = "door".parse().unwrap();
        let spec: SinkSpec = "out/{camera}.mp4".parse().unwrap();
        assert!(spec.takes_many_cameras());
        assert_eq!(spec.for_camera(&camera), SinkSpec::Video("out/door.mp4".into()));
        let spec: SinkSpec = "rtsp://h/{camera}".parse().unwrap();
        assert_eq!(spec.for_camera(&camera).to_string(), "rtsp://h/door");
        assert!(!"a.mp4".parse::<SinkSpec>().unwrap().takes_many_cameras());
        assert!("output".parse::<SinkSpec>().unwrap().takes_many_cameras());
    }
}
