//! What the threads of a process of cameras share.
use super::{CameraNumbers, link::Link, rings::Rings};
use crate::trace::Tracer;
use mattebox_core::frame::CameraId;
use std::sync::Arc;

/// One camera, as all threads know it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) camera: CameraId,
    pub(super) numbers: Arc<CameraNumbers>,
    /// A name for this start of this camera.
    pub(super) session: String,
}

/// What all threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) cameras: Vec<Known>,
    pub(super) rings: Rings,
    pub(super) link: Link,
    pub(super) tracer: Tracer,
}
