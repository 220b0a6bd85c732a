//! The errors of sinks.
use crate::ffmpeg::FfmpegError;
use mattebox_core::codec::EncodeError;
use mattebox_engine::ErrorDomain;
use mattebox_store::StoreError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a sink takes no picture. Every text names the sink and gives advice if there is any.
#[derive(Debug, Error)]
pub enum SinkError {
    /// FFmpeg is needed and missing.
    #[error(transparent)]
    Ffmpeg(#[from] FfmpegError),
    /// The file cannot be created or get its final name.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The request cannot work.
    #[error("{name}: {problem}")]
    Usage {
        /// The sink.
        name: String,
        /// The problem.
        problem: String,
    },
    /// A server does not take the stream.
    #[error("{name} does not take the stream: {problem}")]
    Unreachable {
        /// The sink.
        name: String,
        /// The problem.
        problem: String,
    },
    /// The encoder failed.
    #[error("{name} failed after {frames} frames: {problem}")]
    Failed {
        /// The sink.
        name: String,
        /// Pictures that were sent to the encoder.
        frames: u64,
        /// The problem.
        problem: String,
    },
    /// The sink took no picture for too long.
    #[error("{name} stalled: it took no frame for {seconds} s (after {frames} frames)")]
    Stalled {
        /// The sink.
        name: String,
        /// The time of the wait, in seconds.
        seconds: f64,
        /// Pictures before.
        frames: u64,
    },
    /// A picture differs from those before in size or transparency.
    #[error(
        "{name}: picture {frames} is {new}, those before are {old}: a video has one size; \
         write pictures to a folder, or give the source a fixed size"
    )]
    SizeChanged {
        /// The sink.
        name: String,
        /// Pictures before.
        frames: u64,
        /// The size before.
        old: String,
        /// The size now.
        new: String,
    },
    /// A recording ended early, and its beginning is kept.
    #[error("{error}; the recording so far is in {}", path.display())]
    Kept {
        /// Why it ended early.
        error: Box<SinkError>,
        /// The file with the beginning.
        path: PathBuf,
    },
    /// A picture cannot be encoded.
    #[error("standard output: {0}")]
    Encode(#[from] EncodeError),
    /// The reader has closed standard output: the end, but no failure.
    #[error("standard output was closed by its reader")]
    Closed,
    /// Standard output cannot be written.
    #[error("cannot write to standard output: {0}")]
    Stdout(io::Error),
    /// The sink was aborted.
    #[error("stopped")]
    Stopped,
}

impl SinkError {
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
        match self {
            SinkError::Kept { error, .. } => error.is_usage(),
            SinkError::Usage { .. } | SinkError::Store(StoreError::Exists(_)) => true,
            _ => false,
        }
    }

    /// Whether a server does not answer.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, SinkError::Unreachable { .. })
    }

    /// Whether the reader has closed standard output, as with `mattebox … | head`: a reason to end,
    /// but no failure.
    pub fn is_closed(&self) -> bool {
        matches!(self, SinkError::Closed)
    }
}
