//! A frame between its reader and the threads that process it.
use image::RgbImage;
use mattebox_core::{
    compose::Background,
    frame::{FrameNumber, Timestamp},
    matte::MatteState,
};
use mattebox_engine::{FrameSettings, queues::QueuedFrame, trace::Span};
use std::{ffi::OsStr, sync::Arc, time::Instant};

/// A frame that waits for a thread.
pub(super) struct QueuedPicture {
    pub(super) number: FrameNumber,
    /// The name that its files keep, without the extension.
    pub(super) name: Option<Arc<OsStr>>,
    pub(super) time: Timestamp,
    /// When its source gave it: its latency begins here.
    pub(super) read: Instant,
    pub(super) picture: RgbImage,
    /// The picture of its background. The reader fetches it, so that a video's pictures come in the
    /// order of the frames.
    pub(super) background: Background,
    pub(super) settings: Arc<FrameSettings>,
    pub(super) span: Span,
    /// It needs the state of the frame before it.
    pub(super) chained: bool,
}

impl QueuedFrame for QueuedPicture {
    type State = MatteState;

    fn needs_state(&self) -> bool {
        self.chained
    }
}
