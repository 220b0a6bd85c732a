//! What can go wrong with a sink.
use crate::ffmpeg::FfmpegError;
use mattebox_core::codec::EncodeError;
use mattebox_store::StoreError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a sink takes no picture. Every text names the sink and says what to do where something can
/// be done.
#[derive(Debug, Error)]
pub enum SinkError {
    /// FFmpeg is needed and missing.
    #[error(transparent)]
    Ffmpeg(#[from] FfmpegError),
    /// The file cannot be made or given its name.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was asked for cannot work.
    #[error("{name}: {problem}")]
    Usage {
        /// The sink.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A server takes no stream.
    #[error("{name} does not take the stream: {problem}")]
    Unreachable {
        /// The sink.
        name: String,
        /// What happened.
        problem: String,
    },
    /// The encoder broke.
    #[error("{name} failed after {frames} frames: {problem}")]
    Failed {
        /// The sink.
        name: String,
        /// Pictures that were handed to the encoder.
        frames: u64,
        /// What happened.
        problem: String,
    },
    /// No picture was taken for too long.
    #[error("{name} stalled: it took no frame for {seconds} s (after {frames} frames)")]
    Stalled {
        /// The sink.
        name: String,
        /// How long was waited.
        seconds: f64,
        /// Pictures before.
        frames: u64,
    },
    /// A picture differs from those before in size or kind.
    #[error(
        "{name}: picture {frames} is {new}, those before are {old}: a video has one size; \
         write pictures to a folder, or give the source a fixed size"
    )]
    SizeChanged {
        /// The sink.
        name: String,
        /// Pictures before.
        frames: u64,
        /// Size and kind before.
        old: String,
        /// Size and kind now.
        new: String,
    },
    /// A recording broke off, and what was written of it is kept.
    #[error("{error}; what was recorded before is in {}", path.display())]
    Kept {
        /// Why it broke off.
        error: Box<SinkError>,
        /// Where the recording is.
        path: PathBuf,
    },
    /// A picture cannot be encoded.
    #[error("standard output: {0}")]
    Encode(#[from] EncodeError),
    /// Nobody reads standard output any more: the end, no failure.
    #[error("standard output was closed by its reader")]
    Closed,
    /// Standard output cannot be written.
    #[error("cannot write to standard output: {0}")]
    Stdout(io::Error),
    /// The work was given up.
    #[error("stopped")]
    Stopped,
}

impl SinkError {
    /// Whether the user asked for what cannot work.
    pub fn is_usage(&self) -> bool {
        match self {
            SinkError::Kept { error, .. } => error.is_usage(),
            SinkError::Usage { .. } | SinkError::Store(StoreError::Exists(_)) => true,
            _ => false,
        }
    }

    /// Whether a service outside does not answer.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, SinkError::Unreachable { .. })
    }

    /// Whether the reader has seen enough, as with `mattebox … | head`: a reason to end, but no
    /// failure.
    pub fn is_closed(&self) -> bool {
        matches!(self, SinkError::Closed)
    }
}
