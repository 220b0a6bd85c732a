//! What can go wrong with a source.
use crate::ffmpeg::FfmpegError;
use crate::ffmpeg::diagnose::{Diagnosis, DiagnosisKind};
use mattebox_core::codec::DecodeError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a source gives no picture. Every text names the source and says what to do where something
/// can be done.
#[derive(Debug, Error)]
pub enum SourceError {
    /// FFmpeg is needed and missing.
    #[error(transparent)]
    Ffmpeg(#[from] FfmpegError),
    /// What was asked for cannot work: no such file, not a video, a setting that makes no sense.
    #[error("{name}: {problem}")]
    Usage {
        /// The source.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A live source gave no picture in time.
    #[error("{name} could not be reached within {seconds} s: {problem}")]
    Unreachable {
        /// The source.
        name: String,
        /// How long was tried.
        seconds: f64,
        /// What the last try gave.
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
        /// How long was waited.
        seconds: f64,
        /// Pictures before.
        frames: u64,
    },
    /// It broke; the pictures before are good.
    #[error("{name}{}: {problem}", after(*frames))]
    Failed {
        /// The source.
        name: String,
        /// Pictures before.
        frames: u64,
        /// What happened.
        problem: String,
    },
    /// One picture of several cannot be read; the others follow.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The picture.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// One picture of several cannot be decoded; the others follow.
    #[error("{}: {source}", path.display())]
    Picture {
        /// The picture.
        path: PathBuf,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// It was asked to stop before it was open.
    #[error("stopped")]
    Stopped,
}

/// Nothing for a source that never gave a picture.
fn after(frames: u64) -> String {
    if frames == 0 {
        String::new()
    } else {
        format!(" failed after {frames} frames")
    }
}

impl SourceError {
    /// Whether the source is over. After other errors one picture is missing and the source goes
    /// on.
    pub fn is_fatal(&self) -> bool {
        !matches!(
            self,
            SourceError::Unreadable { .. } | SourceError::Picture { .. }
        )
    }

    /// Whether the user asked for what cannot work.
    pub fn is_usage(&self) -> bool {
        matches!(self, SourceError::Usage { .. })
    }

    /// Whether a service or device outside did not answer in time.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, SourceError::Unreachable { .. })
    }

    /// An error from what FFmpeg said when it ended.
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
