//! One struct for each thing that happens to a frame. `emit` counts it, sets the outcome of the
//! frame's span and writes the log line, so that metrics, traces and log cannot disagree. The other
//! crates have events for their other counters. Design: docs/design/events.md.
mod frame;

pub use frame::{
    FrameDead, FrameDropped, FrameFailed, FrameMatted, FrameRead, FrameSkipped, FrameWritten,
};

/// Something that happens.
pub trait Event {
    /// Counts it, writes its log line, and marks its span.
    fn emit(self);
}
