//! The text that names a sink.
use super::format::{SCHEMES, VIDEOS, VideoFormat};
use mattebox_core::frame::CameraId;
use mattebox_engine::address::{Address, harmless};
use mattebox_store::without_detour;
use std::path::{Path, PathBuf};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// The placeholder for the camera's id in the name of a video or an address.
const PLACEHOLDER: &str = "{camera}";
/// Extensions of single pictures.
const PICTURES: &[&str] = &["png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff"];
/// Other extensions that begin with a digit and are no numbers.
const FILES_WITH_A_DIGIT: &[&str] = &["3gp", "3g2", "3gpp", "7z"];
/// The scheme that is written with one colon.
const FILE_SCHEME: &str = "file";

/// The values of `--out`, for messages.
fn kinds() -> String {
    let videos = VIDEOS.join(" .");
    let schemes = SCHEMES.join(", ");
    format!("a folder, a video (.{videos}), an address ({schemes}), - for standard output, or none")
}

/// The name of a sink.
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
    #[error("an empty output: give {kinds}", kinds = kinds())]
    Empty,
    /// One picture file for many pictures.
    #[error(
        "{0}: pictures are written to a folder: give a folder's name, and the kind of picture \
         with --format"
    )]
    Picture(String),
    /// A file of another kind.
    #[error(
        "{0}: this kind of file is not written: give {kinds}; for a folder write {0}/",
        kinds = kinds()
    )]
    UnknownFile(String),
    /// A name that stands for many files.
    #[error(
        "{0}: numbers and dates are not filled in: a video is one file (use {{camera}} for one of \
         each camera); for a file per frame give a folder"
    )]
    Pattern(String),
    /// A placeholder in a folder, which has a folder for each camera anyway.
    #[error("{0}: a folder needs no {{camera}}: it has a folder for each camera")]
    CameraFolder(String),
    /// A folder that has the name of a video.
    #[error("{0} is a folder: for pictures in it write {0}/, for a video choose another name")]
    FolderInPlace(String),
    /// A device of this machine.
    #[error("{0}: devices are not written: give {kinds}", kinds = kinds())]
    Device(String),
    /// A protocol of another kind.
    #[error("{0}: this kind of address is not written to: give {kinds}", kinds = kinds())]
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
        let path = match scheme(text) {
            Some((FILE_SCHEME, rest)) => rest.strip_prefix("//").unwrap_or(rest),
            Some(_) if VideoFormat::of_url(text).is_some() => {
                return Ok(SinkSpec::Url(Address::output(text)));
            }
            Some(_) => return Err(SinkSpecError::UnknownScheme(harmless::output(text))),
            None => text,
        };
        SinkSpec::of_path(path)
    }
}

impl SinkSpec {
    /// A video by its extension; a folder if the name ends in a slash, has no extension, or is an
    /// existing folder. Any other name is an error, and not a folder with a strange name.
    fn of_path(text: &str) -> Result<SinkSpec, SinkSpecError> {
        let (path, owned) = (without_detour(Path::new(text)), || text.to_owned());
        let is_folder = path.is_dir();
        let ends_as_folder = text.ends_with(['/', std::path::MAIN_SEPARATOR]);
        let extension = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        let is_video = VideoFormat::of_extension(&extension).is_some();
        if path.parent() == Some(Path::new("/dev")) && !is_folder && !(is_video && path.exists()) {
            return Err(SinkSpecError::Device(owned()));
        }
        match extension.as_str() {
            _ if !ends_as_folder && is_video && is_folder => {
                Err(SinkSpecError::FolderInPlace(owned()))
            }
            _ if !ends_as_folder && is_video && has_pattern(text) => {
                Err(SinkSpecError::Pattern(owned()))
            }
            _ if !ends_as_folder && is_video => Ok(SinkSpec::Video(path)),
            _ if text.contains(PLACEHOLDER) => Err(SinkSpecError::CameraFolder(owned())),
            _ if ends_as_folder || is_folder => Ok(SinkSpec::Directory(path)),
            picture if PICTURES.contains(&picture) => Err(SinkSpecError::Picture(owned())),
            other if names_a_file(other.trim()) => Err(SinkSpecError::UnknownFile(owned())),
            _ => Ok(SinkSpec::Directory(path)),
        }
    }
}

/// `SCHEME:REST`. A path that begins with `/` or `.` has none, nor has `C:\`.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    is_scheme.then_some((scheme, rest))
}

/// Whether an extension is that of a file: it begins with a letter, unlike that of `2026.11.28`,
/// and is no version, as in `out.v2`, and not `d`.
fn names_a_file(extension: &str) -> bool {
    let is_version = |rest: &str| rest.bytes().all(|b| b.is_ascii_digit());
    let is_word = extension.bytes().all(|b| b.is_ascii_alphanumeric());
    let is_file = extension.starts_with(|c: char| c.is_ascii_alphabetic()) && extension != "d";
    FILES_WITH_A_DIGIT.contains(&extension)
        || (is_file && is_word && !extension.strip_prefix('v').is_some_and(is_version))
}

/// Whether a name has a number or a date in it, as FFmpeg's segments do: `%03d`, `%Y-%m-%d`.
fn has_pattern(text: &str) -> bool {
    text.split('%').skip(1).any(|rest| {
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        rest.starts_with(['d', 'Y', 'm', 'H', 'M', 'S'])
    })
}

impl SinkSpec {
    /// The sink of one camera, with its id in place of `{camera}`. A folder stays unchanged: it has
    /// a folder for each camera.
    pub fn for_camera(&self, camera: &CameraId) -> SinkSpec {
        match self {
            SinkSpec::Video(path) => match path.to_str() {
                Some(text) => SinkSpec::Video(text.replace(PLACEHOLDER, camera.as_str()).into()),
                None => self.clone(),
            },
            SinkSpec::Url(url) => SinkSpec::Url(Address::output(
                url.reveal().replace(PLACEHOLDER, camera.as_str()),
            )),
            SinkSpec::Directory(_) | SinkSpec::Stdout | SinkSpec::Nothing => self.clone(),
        }
    }

    /// Whether it takes sound.
    pub fn has_sound(&self) -> bool {
        self.video_format().is_some_and(VideoFormat::has_sound)
    }

    /// Whether it can have pixels that are not square.
    pub fn has_pixel_aspect(&self) -> bool {
        self.video_format()
            .is_some_and(|format| format != VideoFormat::Gif)
    }

    fn video_format(&self) -> Option<VideoFormat> {
        match self {
            SinkSpec::Video(path) => VideoFormat::of_path(path),
            SinkSpec::Url(url) => VideoFormat::of_url(url.reveal()),
            SinkSpec::Directory(_) | SinkSpec::Stdout | SinkSpec::Nothing => None,
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

/// The text as written, but without the secrets of an address.
impl fmt::Display for SinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SinkSpec::Directory(path) | SinkSpec::Video(path) => {
                f.write_str(&harmless::output(&path.to_string_lossy()))
            }
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
            ("out.v2", folder("out.v2")),
            ("2026.11.28", folder("2026.11.28")),
            ("shots/192.168.0.5", folder("shots/192.168.0.5")),
            (".hidden", folder(".hidden")),
            ("out.xyz/", folder("out.xyz/")),
            ("./12:30", folder("./12:30")),
            ("12:30", folder("12:30")),
            ("100%done", folder("100%done")),
            ("/dev/shm/out", folder("/dev/shm/out")),
            ("a.ts", video("a.ts")),
            ("50%.mp4", video("50%.mp4")),
            ("file:a.mp4", video("a.mp4")),
            ("videos.mp4/", folder("videos.mp4/")),
            ("a/b.MP4", video("a/b.MP4")),
            ("a.webm", video("a.webm")),
            ("a.mov", video("a.mov")),
            ("a.mkv", video("a.mkv")),
            ("file:///tmp/a.gif", video("/tmp/a.gif")),
            (
                "rtsp://h/live",
                SinkSpec::Url(Address::output("rtsp://h/live")),
            ),
            (
                "rtmps://h/app/key",
                SinkSpec::Url(Address::output("rtmps://h/app/key")),
            ),
        ] {
            assert_eq!(text.parse(), Ok(want), "{text}");
        }
        for (text, words) in [
            ("", "give a folder"),
            ("a.png", "a folder's name"),
            ("a.avi", ".mp4 .mov"),
            ("x.m3u8", ".mp4 .mov"),
            ("out.xyz", "write out.xyz/"),
            ("clip.mp4.bak", ".mp4 .mov"),
            ("a.3gp", ".mp4 .mov"),
            ("a.mp4 ", "not written"),
            ("seg-%03d.mp4", "give a folder"),
            ("%Y-%m-%d.mkv", "dates are not filled in"),
            ("out/{camera}", "needs no {camera}"),
            ("{camera}/", "needs no {camera}"),
            ("/dev/video9", "give a folder"),
            ("/dev/./video9", "devices are not written"),
            ("/dev/null", "or none"),
            ("/dev/new.mp4", "devices are not written"),
            ("pipe:1", "- for standard output"),
            ("s3a://bucket/x", "(rtsp, rtsps"),
            ("topic:frames", "this kind of address"),
            ("foo://me:secret@h", "foo://***@h: this kind of address"),
        ] {
            let message = text.parse::<SinkSpec>().unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn an_existing_folder_is_a_folder_with_any_name() {
        let root = tempfile::tempdir().unwrap();
        for name in ["shots.raw", "a.png", "x.m3u8", "clip.mp4"] {
            std::fs::create_dir(root.path().join(name)).unwrap();
        }
        let parse = |name: &str| {
            root.path()
                .join(name)
                .display()
                .to_string()
                .parse::<SinkSpec>()
        };
        for name in ["shots.raw", "a.png", "x.m3u8", "clip.mp4/"] {
            assert_eq!(
                parse(name),
                Ok(SinkSpec::Directory(root.path().join(name))),
                "{name}"
            );
        }
        assert!(
            parse("clip.mp4")
                .unwrap_err()
                .to_string()
                .contains("clip.mp4 is a folder")
        );
    }

    #[test]
    fn a_placeholder_becomes_the_camera() {
        let camera: CameraId = "door".parse().unwrap();
        let spec: SinkSpec = "out/{camera}.mp4".parse().unwrap();
        assert!(spec.takes_many_cameras());
        assert_eq!(
            spec.for_camera(&camera),
            SinkSpec::Video("out/door.mp4".into())
        );
        let spec: SinkSpec = "rtsp://h/{camera}".parse().unwrap();
        assert_eq!(spec.for_camera(&camera).to_string(), "rtsp://h/door");
        assert!(!"a.mp4".parse::<SinkSpec>().unwrap().takes_many_cameras());
        assert!("output".parse::<SinkSpec>().unwrap().takes_many_cameras());
    }
}
