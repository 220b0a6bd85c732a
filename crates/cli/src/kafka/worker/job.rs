//! A frame on its way through the engine, and what became of it.
use crate::trace::Span;
use image::RgbImage;
use mattebox_core::{
    frame::{CameraId, FrameNumber, Timestamp},
    matte::MatteState,
};
use rdkafka::message::OwnedMessage;
use std::sync::Arc;

/// A record's place in the log, and which of our turns at its partition it belongs to: what comes back from an earlier turn is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) partition: i32,
    pub(super) turn: u64,
    pub(super) offset: i64,
}

/// One frame to be made.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) ticket: Ticket,
    pub(super) camera: CameraId,
    /// The number of its file.
    pub(super) number: FrameNumber,
    /// When it was taken.
    pub(super) time: Timestamp,
    /// It comes after frames that were taken later: it is made by itself, and does not replace a file.
    pub(super) late: bool,
    /// As it came, for the dead letters and for the headers of the result.
    pub(super) record: OwnedMessage,
    /// Its way, for whoever collects such things.
    pub(super) span: Span,
}

/// Why a record cannot be a frame.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    /// One of the codes of docs/ref/wire.md.
    pub(super) code: &'static str,
    /// In words.
    pub(super) message: String,
}

/// What became of a frame.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Its file is in place.
    Written {
        /// Of the file.
        bytes: usize,
    },
    /// Its file was there and was kept.
    Kept,
    /// It was too old to be made.
    Stale,
    /// It is made, and to be published.
    Made {
        /// The file.
        bytes: Vec<u8>,
        /// Of the picture, in pixels.
        size: (u32, u32),
    },
    /// It cannot be made.
    Dead(Fault),
    /// It is made, but its file cannot be written now.
    Unwritten {
        /// The file.
        bytes: Vec<u8>,
        /// What the system said, with what to do.
        message: String,
    },
}

/// What the threads tell the loop.
#[derive(Debug)]
pub(super) enum Event {
    /// A frame is done.
    Done {
        job: Arc<Job>,
        outcome: Outcome,
        /// The network was not asked.
        still: bool,
    },
    /// What is remembered of a camera at a mark.
    Remembered {
        partition: i32,
        turn: u64,
        camera: CameraId,
        mark: i64,
        matte: MatteState,
    },
    /// A dead letter has arrived, or not.
    Letter {
        ticket: Ticket,
        failed: Option<String>,
    },
}

/// A frame's picture, as far as it is known.
#[derive(Debug)]
pub(super) enum Picture {
    /// Still in the record.
    Encoded,
    /// A thread is decoding it.
    Decoding,
    /// Ready to be looked at.
    Decoded(RgbImage),
    /// It is none.
    Bad(Fault),
}
