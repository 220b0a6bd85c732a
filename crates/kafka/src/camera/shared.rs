//! Data that the threads of `mattebox camera` share.
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
    /// The name of this start of the camera.
    pub(super) session: String,
}

/// The data that all threads share.
#[derive(Debug)]
pub(super) struct PublisherContext {
    pub(super) cameras: Vec<PublisherCamera>,
    /// The frames that wait to be published. A live camera's full queue drops its oldest frame.
    pub(super) queues: CameraQueues<Encoded>,
    pub(super) bootstrap: String,
    pub(super) topic: String,
    /// The topic was deleted.
    pub(super) is_topic_gone: AtomicBool,
    pub(super) troubles: Arc<Troubles>,
    pub(super) tracer: Tracer,
}
