//! What the threads of a process of cameras share.
use super::{CaptureCounters, encoded::Encoded};
use mattebox_core::frame::CameraId;
use mattebox_engine::{
    queues::{CameraQueues, QueueId},
    trace::Tracer,
    troubles::Troubles,
};
use std::sync::{Arc, atomic::AtomicBool};

/// One camera, as all threads know it.
#[derive(Debug)]
pub(super) struct PublisherCamera {
    pub(super) camera: CameraId,
    pub(super) counters: Arc<CaptureCounters>,
    /// The queue of its frames.
    pub(super) queue: QueueId,
    /// A name for this start of this camera.
    pub(super) session: String,
}

/// What all threads share.
#[derive(Debug)]
pub(super) struct PublisherContext {
    pub(super) cameras: Vec<PublisherCamera>,
    /// The frames that wait to be published. Of a live camera the oldest goes when its queue is
    /// full.
    pub(super) queues: CameraQueues<Encoded>,
    pub(super) bootstrap: String,
    pub(super) topic: String,
    /// The broker does not know the topic any more.
    pub(super) is_topic_gone: AtomicBool,
    pub(super) troubles: Arc<Troubles>,
    pub(super) tracer: Tracer,
}
