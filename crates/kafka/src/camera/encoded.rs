//! A frame that waits to be published.
use mattebox_core::{frame::Timestamp, matte::MatteState};
use mattebox_engine::{queues::QueuedFrame, trace::Span};
use std::time::Instant;

/// A frame as it will be published, without its number.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) jpeg: Vec<u8>,
    pub(super) width: u32,
    pub(super) height: u32,
    /// When it was taken.
    pub(super) time: Timestamp,
    /// The same by the clock that is never set: its latency begins here.
    pub(super) taken: Instant,
    /// Its bytes are those of the source.
    pub(super) is_passed_through: bool,
    /// Its trace.
    pub(super) span: Span,
}

impl QueuedFrame for Encoded {
    type State = MatteState;

    /// Frames are published as they are: none depends on another.
    fn needs_state(&self) -> bool {
        false
    }
}
