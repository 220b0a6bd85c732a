//! Events of a camera that are counted: docs/design/events.md.
use super::counters::{CaptureCounters, lock};
use mattebox_engine::{
    events::{Event, FrameFailed, FrameWritten},
    trace::Span,
};
use std::{
    fmt::Display,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

/// The broker has acknowledged a frame.
pub(super) struct FramePublished<'a> {
    pub(super) counters: &'a CaptureCounters,
    pub(super) span: &'a Span,
    pub(super) number: u64,
    pub(super) bytes: usize,
    /// When it was captured.
    pub(super) captured: Instant,
    /// It was published without being decoded.
    pub(super) is_passed_through: bool,
}

impl Event for FramePublished<'_> {
    fn emit(self) {
        let counters = self.counters;
        let passed_through = u64::from(self.is_passed_through);
        counters.passed_through.fetch_add(passed_through, Relaxed);
        counters.acknowledged(self.number);
        FrameWritten {
            frames: &counters.frames,
            span: self.span,
            bytes: self.bytes,
            latency: Some(self.captured.elapsed()),
        }
        .emit();
    }
}

/// A picture of a source cannot be read, so its frame fails.
pub(super) struct FrameUnreadable<'a> {
    pub(super) counters: &'a CaptureCounters,
    pub(super) span: Option<&'a Span>,
    /// The code that a dead letter has for the same reason.
    pub(super) reason: &'static str,
    pub(super) problem: &'a str,
    /// It is the camera's first for this reason.
    pub(super) is_first: bool,
}

impl Event for FrameUnreadable<'_> {
    fn emit(self) {
        *lock(&self.counters.unreadable)
            .entry(self.reason)
            .or_default() += 1;
        let more = match self.is_first {
            true => "; others like it are only counted",
            false => "",
        };
        FrameFailed {
            frames: &self.counters.frames,
            frame: None,
            span: self.span,
            problem: format!(
                "a picture is left out ({}): {}{more}",
                self.reason, self.problem
            ),
            needs_action: self.is_first,
        }
        .emit();
    }
}

/// A frame came more than an interval after its time. It is published all the same.
pub(super) struct FrameLate<'a> {
    pub(super) counters: &'a CaptureCounters,
    /// Too many are late: the source or this machine does not keep up. This is logged once.
    pub(super) is_logged: bool,
}

impl Event for FrameLate<'_> {
    fn emit(self) {
        self.counters.late.fetch_add(1, Relaxed);
        if self.is_logged {
            tracing::warn!(
                camera = %self.counters.frames.camera,
                "its frames come more slowly than --fps: the source, or this machine, gives no \
                 more; each frame is published when it comes and counted as late"
            );
        }
    }
}

/// A source has failed and is opened again after a wait.
pub(super) struct SourceReopened<'a, E> {
    pub(super) counters: &'a CaptureCounters,
    pub(super) error: &'a E,
    pub(super) wait: Duration,
}

impl<E: Display> Event for SourceReopened<'_, E> {
    fn emit(self) {
        self.counters.reopened.fetch_add(1, Relaxed);
        tracing::warn!(
            camera = %self.counters.frames.camera,
            retry_in_s = self.wait.as_secs_f64(),
            "{}: the source is opened again",
            self.error
        );
    }
}
