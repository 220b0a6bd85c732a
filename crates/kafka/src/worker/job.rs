//! A frame in flight, and how its processing ended.
use super::names_in_flight::NameInFlight;
use image::RgbImage;
use mattebox_core::frame::FrameNumber;
use mattebox_engine::{Rejection, queues::QueuedFrame, trace::Span};
use mattebox_store::{CameraState, Outcome as Stored, journal::JournalError};
use mattebox_wire::{EncodedPicture, FrameHead};
use rdkafka::{Message, message::OwnedMessage};
use std::sync::{Arc, OnceLock};

/// A record's place in the log of the topic of frames, and the epoch of the assignment that read
/// it. Answers for records of an earlier epoch are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LogPosition {
    pub(super) partition: i32,
    pub(super) epoch: u64,
    pub(super) offset: i64,
}

/// One frame to be processed.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) position: LogPosition,
    /// The fields of the record.
    pub(super) head: FrameHead,
    /// The id of the topic of frames.
    pub(super) topic_id: Arc<str>,
    /// The record, for a dead letter and for the headers of the result.
    pub(super) record: Arc<OwnedMessage>,
    /// Its trace.
    pub(super) span: Span,
    /// Its name, once it has one.
    pub(super) name: OnceLock<NameInFlight>,
}

impl Job {
    /// The position of its picture in the record.
    pub(super) fn encoded(&self) -> EncodedPicture<'_> {
        self.head.picture(self.record.payload().unwrap_or_default())
    }
}

/// A frame in the queue of its camera.
#[derive(Debug)]
pub(super) struct QueuedRecord {
    pub(super) job: Arc<Job>,
    pub(super) picture: RecordPicture,
}

impl QueuedFrame for QueuedRecord {
    type State = CameraState;

    /// Its name depends on the frames before it.
    fn needs_state(&self) -> bool {
        true
    }

    fn can_prepare(&self) -> bool {
        matches!(self.picture, RecordPicture::Encoded)
    }
}

/// A frame's picture, as far as it is known.
#[derive(Debug)]
pub(super) enum RecordPicture {
    /// Still in the record.
    Encoded,
    /// Decoded ahead of its turn.
    Decoded(RgbImage),
    /// It cannot be decoded.
    Rejected(Rejection),
}

/// How the processing of a frame ended.
#[derive(Debug)]
pub(super) enum JobOutcome {
    /// Its file is in place.
    Written {
        /// Bytes of the file.
        bytes: usize,
    },
    /// Its file existed and was kept.
    Kept {
        /// It holds other bytes.
        is_different: bool,
    },
    /// The record came before.
    Repeated,
    /// It was too old to be processed.
    Stale,
    /// It is processed, and has to be published.
    Made(EncodedResult),
    /// It cannot be a frame.
    Rejected(Rejection),
    /// It is processed, but its file cannot be written now.
    Unwritten {
        /// The number in the file's name.
        number: FrameNumber,
        /// The file.
        bytes: Vec<u8>,
        /// The system's error, and the remedy.
        message: String,
    },
    /// No name can be reserved for it.
    Unnamed(JournalError),
}

impl JobOutcome {
    /// The outcome of writing a file of so many bytes.
    pub(super) fn of_file(stored: Stored, bytes: usize) -> Self {
        match stored {
            Stored::Written => JobOutcome::Written { bytes },
            Stored::Skipped => JobOutcome::Kept {
                is_different: false,
            },
            Stored::KeptDifferent => JobOutcome::Kept { is_different: true },
        }
    }
}

/// The file of a processed frame.
#[derive(Debug)]
pub(super) struct EncodedResult {
    /// The number in its name.
    pub(super) number: FrameNumber,
    pub(super) bytes: Vec<u8>,
    /// Width and height of the picture, in pixels.
    pub(super) size: (u32, u32),
    /// The hash of the settings that it was made with.
    pub(super) settings: String,
}

/// A record that cannot be a frame: it becomes a dead letter.
#[derive(Debug, Clone)]
pub(super) struct RejectedRecord {
    pub(super) record: Arc<OwnedMessage>,
    pub(super) rejection: Rejection,
}
