//! The errors of sources.
use crate::ffmpeg::FfmpegError;
use crate::ffmpeg::diagnose::{Diagnosis, DiagnosisKind};
use mattebox_core::codec::DecodeError;
use mattebox_engine::ErrorDomain;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a source gives no picture. Every text names the source and gives advice if there is any.
#[derive(Debug, Error)]
pub enum SourceError {
    /// FFmpeg is needed and missing.
    #[error(transparent)]
    Ffmpeg(#[from] FfmpegError),
    /// The request cannot work: no such file, not a video, a setting without sense.
    #[error("{name}: {problem}")]
    Usage {
        /// The source.
        name: String,
        /// The problem.
        problem: String,
    },
    /// A live source gave no picture in time.
    #[error("{name} could not be reached within {seconds} s: {problem}")]
    Unreachable {
        /// The source.
        name: String,
        /// The time of all tries, in seconds.
        seconds: f64,
        /// The problem of the last try.
        problem: String,
    },
    /// No picture for too long.
    #[error(
        "{name} stalled: no frame for {seconds} s (after {frames} frames); if it is only slow, \
         raise --stall-timeout"
    )]
    Stalled {
        /// The source.
        name: String,
        /// The time of the wait, in seconds.
        seconds: f64,
        /// Pictures before.
        frames: u64,
    },
    /// It failed; the pictures before are good.
    #[error("{name}{}: {problem}", after(*frames))]
    Failed {
        /// The source.
        name: String,
        /// Pictures before.
        frames: u64,
        /// The problem.
        problem: String,
    },
    /// One picture of several cannot be read; the others follow.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The picture.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// One picture of several cannot be decoded; the others follow.
    #[error("{}: {source}", path.display())]
    Picture {
        /// The picture.
        path: PathBuf,
        /// The problem of the picture.
        source: DecodeError,
    },
    /// It was asked to stop before it was open.
    #[error("stopped")]
    Stopped,
}

/// Empty for a source that never gave a picture.
fn after(frames: u64) -> String {
    if frames == 0 {
        String::new()
    } else {
        format!(" failed after {frames} frames")
    }
}

impl SourceError {
    /// Whether the source is over. After other errors one picture is missing and the source
    /// continues.
    pub fn is_fatal(&self) -> bool {
        !matches!(
            self,
            SourceError::Unreadable { .. } | SourceError::Picture { .. }
        )
    }

    /// Whose fault it is.
    pub fn domain(&self) -> ErrorDomain {
        match self {
            _ if self.is_usage() => ErrorDomain::User,
            _ if self.is_unreachable() => ErrorDomain::Outside,
            _ => ErrorDomain::Work,
        }
    }

    /// Whether the user's request cannot work.
    pub fn is_usage(&self) -> bool {
        matches!(self, SourceError::Usage { .. })
    }

    /// Whether a service or device outside did not answer in time.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, SourceError::Unreachable { .. })
    }

    /// An error from the diagnosis of FFmpeg's messages.
    pub(super) fn from_diagnosis(name: &str, frames: u64, found: Diagnosis) -> Self {
        let name = name.to_owned();
        match found.kind {
            DiagnosisKind::Usage if frames == 0 => SourceError::Usage {
                name,
                problem: found.text,
            },
            _ => SourceError::Failed {
                name,
                frames,
                problem: found.text,
            },
        }
    }
}
