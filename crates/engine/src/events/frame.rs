//! Events of single frames.
use super::Event;
use crate::{
    metrics::{DropReason, FrameCounters, SkipReason},
    trace::Span,
};
use mattebox_core::frame::FrameNumber;
use std::{fmt::Display, sync::atomic::Ordering::Relaxed, time::Duration};

/// The source or the topic gave a frame.
#[derive(Debug)]
pub struct FrameRead<'a> {
    /// Counters of its camera.
    pub frames: &'a FrameCounters,
    /// Bytes of its record; 0 for a picture of a source.
    pub bytes: usize,
}

impl Event for FrameRead<'_> {
    fn emit(self) {
        let before = self.frames.read.fetch_add(1, Relaxed);
        self.frames.read_bytes.fetch_add(self.bytes as u64, Relaxed);
        if before == 0 {
            tracing::debug!(camera = %self.frames.camera, "the first frame is read");
        }
    }
}

/// The matte of a frame is made.
#[derive(Debug)]
pub struct FrameMatted<'a> {
    /// Counters of its camera.
    pub frames: &'a FrameCounters,
    /// It uses the matte of the frame before it (`--skip-still`).
    pub is_still: bool,
}

impl Event for FrameMatted<'_> {
    fn emit(self) {
        self.frames.matted.fetch_add(1, Relaxed);
        self.frames
            .still
            .fetch_add(u64::from(self.is_still), Relaxed);
    }
}

/// A frame is in its file, video, stream or topic, or on the page.
#[derive(Debug)]
pub struct FrameWritten<'a> {
    /// Counters of its camera.
    pub frames: &'a FrameCounters,
    /// The trace of the frame.
    pub span: &'a Span,
    /// Bytes of its file, record or result; 0 if frames share a file or stream.
    pub bytes: usize,
    /// The time since capture or reading; `None`: unknown.
    pub latency: Option<Duration>,
}

impl Event for FrameWritten<'_> {
    fn emit(self) {
        let before = self.frames.written.fetch_add(1, Relaxed);
        self.frames
            .written_bytes
            .fetch_add(self.bytes as u64, Relaxed);
        if let Some(latency) = self.latency {
            self.frames.latency.add(latency);
        }
        self.span.outcome("written");
        if before == 0 {
            tracing::debug!(camera = %self.frames.camera, "the first frame is written");
        }
    }
}

/// A frame is not written, without loss.
#[derive(Debug)]
pub struct FrameSkipped<'a> {
    /// Counters of its camera.
    pub frames: &'a FrameCounters,
    /// The trace of the frame.
    pub span: &'a Span,
    /// Why.
    pub reason: SkipReason,
}

impl Event for FrameSkipped<'_> {
    fn emit(self) {
        self.frames.skipped[self.reason as usize].fetch_add(1, Relaxed);
        self.span.outcome("skipped");
        self.span.reason(self.reason.name());
    }
}

/// A frame is dropped.
#[derive(Debug)]
pub struct FrameDropped<'a> {
    /// Counters of its camera.
    pub frames: &'a FrameCounters,
    /// The trace of the frame.
    pub span: &'a Span,
    /// Why.
    pub reason: DropReason,
}

impl Event for FrameDropped<'_> {
    fn emit(self) {
        self.frames.dropped[self.reason as usize].fetch_add(1, Relaxed);
        self.span.outcome("dropped");
        self.span.reason(self.reason.name());
    }
}

/// A record cannot be a frame and becomes a dead letter.
#[derive(Debug)]
pub struct FrameDead<'a> {
    /// Counters of its camera.
    pub frames: &'a FrameCounters,
    /// The trace of the record.
    pub span: &'a Span,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// The code of the dead letter.
    pub code: &'static str,
    /// The reason in words.
    pub message: &'a str,
}

impl Event for FrameDead<'_> {
    fn emit(self) {
        self.frames.dead.fetch_add(1, Relaxed);
        self.span.dead(self.code, self.message);
        tracing::debug!(
            camera = %self.frames.camera,
            partition = self.partition,
            offset = self.offset,
            code = self.code,
            "dead letter: {}",
            self.message
        );
    }
}

/// A frame cannot be read, matted or written.
#[derive(Debug)]
pub struct FrameFailed<'a, E> {
    /// Counters of its camera.
    pub frames: &'a FrameCounters,
    /// Its number, where the problem does not name it.
    pub frame: Option<FrameNumber>,
    /// The trace of the frame, if it has one yet.
    pub span: Option<&'a Span>,
    /// The error, with the frame's number or file.
    pub problem: E,
    /// The log line is an error on which a person must act. Otherwise another line reports it, such
    /// as the one about the camera's end.
    pub needs_action: bool,
}

impl<E: Display> Event for FrameFailed<'_, E> {
    fn emit(self) {
        self.frames.failed.fetch_add(1, Relaxed);
        if let Some(span) = self.span {
            span.outcome("failed");
            span.fail(self.problem.to_string());
        }
        let camera = &self.frames.camera;
        let frame = self.frame.map(|frame| frame.0);
        match self.needs_action {
            true => tracing::error!(%camera, frame, "{}", self.problem),
            false => tracing::debug!(%camera, frame, "{}", self.problem),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{DroppedFrames, FrameCounts};

    #[test]
    fn every_frame_that_is_read_has_one_outcome() {
        let frames = FrameCounters::new("door");
        let span = Span::default();
        for _ in 0..7 {
            let bytes = 10;
            FrameRead {
                frames: &frames,
                bytes,
            }
            .emit();
        }
        for is_still in [false, true] {
            FrameMatted {
                frames: &frames,
                is_still,
            }
            .emit();
        }
        FrameWritten {
            frames: &frames,
            span: &span,
            bytes: 5,
            latency: Some(Duration::from_millis(3)),
        }
        .emit();
        FrameSkipped {
            frames: &frames,
            span: &span,
            reason: SkipReason::Exists,
        }
        .emit();
        FrameDropped {
            frames: &frames,
            span: &span,
            reason: DropReason::Stale,
        }
        .emit();
        for _ in 0..2 {
            FrameDropped {
                frames: &frames,
                span: &span,
                reason: DropReason::Stopped,
            }
            .emit();
        }
        FrameDead {
            frames: &frames,
            span: &span,
            partition: 0,
            offset: 7,
            code: "bad-json",
            message: "it is no JSON",
        }
        .emit();
        FrameFailed {
            frames: &frames,
            frame: None,
            span: None,
            problem: "it is damaged",
            needs_action: false,
        }
        .emit();
        let counts = frames.counts();
        let wanted = FrameCounts {
            read: 7,
            matted: 2,
            written: 1,
            skipped: 1,
            dropped: DroppedFrames {
                stale: 1,
                stopped: 2,
                ..Default::default()
            },
            dead: 1,
            failed: 1,
        };
        assert_eq!(counts, wanted);
        let ended = counts.done() + counts.dropped.total() + counts.dead + counts.failed;
        assert_eq!(counts.read, ended);
        assert_eq!((frames.still(), frames.times().count()), (1, 1));
        assert_eq!((frames.read_bytes(), frames.written_bytes()), (70, 5));
    }
}
