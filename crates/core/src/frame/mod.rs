//! A frame: one picture of one camera at one time.
//!
//! * `numbering`: the number of a frame's file.
mod numbering;

pub use numbering::{
    BLOCK, Block, MAX_JUMP, MAX_NUMBER, Numbering, NumberingError, NumberingRefusal, NumberingStep,
    RecordIdentity, Reserve, Reserved, SessionKey, partition_key,
};

use image::RgbImage;
use std::{fmt, str::FromStr};
use thiserror::Error;

/// The id of a camera. It becomes a folder name and a Kafka key, so only a safe alphabet is
/// allowed: letters, digits, `.`, `_` and `-`, not beginning with `.` or `-`, at most
/// [`CameraId::MAX_LEN`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CameraId(String);

/// Why a text is not a [`CameraId`].
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CameraIdError {
    /// The text is empty.
    #[error("a camera id must not be empty")]
    Empty,
    /// More than [`CameraId::MAX_LEN`] bytes.
    #[error("a camera id has at most {max} characters, this one has {0}", max = CameraId::MAX_LEN)]
    TooLong(usize),
    /// It would be a hidden file, a parent directory or look like a flag.
    #[error("camera id {0:?} must not begin with '.' or '-'")]
    BadStart(String),
    /// A character outside the alphabet, for example a path separator.
    #[error(
        "camera id {id:?} holds {found:?}: only letters, digits, '.', '_' and '-' are allowed, \
         because it becomes a folder name"
    )]
    BadCharacter {
        /// The whole text.
        id: String,
        /// The first character that is not allowed.
        found: char,
    },
}

impl CameraId {
    /// The longest id in bytes.
    pub const MAX_LEN: usize = 64;

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CameraId {
    type Err = CameraIdError;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        if id.is_empty() {
            return Err(CameraIdError::Empty);
        }
        if let Some(found) = id
            .chars()
            .find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '_' | '-'))
        {
            return Err(CameraIdError::BadCharacter {
                id: id.chars().take(Self::MAX_LEN).collect(),
                found,
            });
        }
        if id.len() > Self::MAX_LEN {
            return Err(CameraIdError::TooLong(id.len()));
        }
        if id.starts_with(['.', '-']) {
            return Err(CameraIdError::BadStart(id.to_owned()));
        }
        Ok(CameraId(id.to_owned()))
    }
}

impl AsRef<str> for CameraId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CameraId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number of a frame within its camera, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FrameNumber(pub u64);

impl fmt::Display for FrameNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A time in unix microseconds; of a file the position in the file, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The time since `earlier`, in microseconds; never negative.
    pub fn micros_since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0).max(0)
    }
}

/// One picture of one camera.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The camera that took it.
    pub camera: CameraId,
    /// Its place in the camera's stream.
    pub number: FrameNumber,
    /// The time when it was taken.
    pub time: Timestamp,
    /// The picture, sRGB.
    pub picture: RgbImage,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn camera_ids_that_are_folder_names_pass() {
        for id in ["cam01", "a", "Front-Door_2.left", "0"] {
            assert_eq!(id.parse::<CameraId>().unwrap().as_str(), id);
        }
    }

    #[test]
    fn camera_ids_that_would_leave_the_folder_are_refused() {
        for id in [
            "",
            "..",
            ".",
            "../../etc",
            "a/b",
            "a\\b",
            ".state",
            "-rf",
            "a b",
            "é",
            "a\0",
            &"x".repeat(65),
        ] {
            assert!(id.parse::<CameraId>().is_err(), "{id:?} was accepted");
        }
    }
}
