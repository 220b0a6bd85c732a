//! A frame that waits to be published.
use mattebox_core::{frame::Timestamp, matte::MatteState};
use mattebox_engine::{queues::QueuedFrame, trace::Span};
use std::time::Instant;

/// An encoded frame, without its number.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) jpeg: Vec<u8>,
    pub(super) width: u32,
    pub(super) height: u32,
    /// When it was captured.
    pub(super) time: Timestamp,
    /// The same time by the monotonic clock: its latency begins here.
    pub(super) taken: Instant,
    /// Its bytes are the source's own.
    pub(super) is_passed_through: bool,
    /// Its trace.
    pub(super) span: Span,
}

impl QueuedFrame for Encoded {
    type State = MatteState;

    /// No frame depends on another.
    fn needs_state(&self) -> bool {
        false
    }
}
