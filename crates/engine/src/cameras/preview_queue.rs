//! Cameras with pictures to encode for viewers.
use crossbeam_channel::Sender;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// Sends cameras (`C`) with pictures to the thread that encodes.
#[derive(Debug)]
pub(super) struct PreviewQueue<C> {
    watched: Arc<AtomicBool>,
    /// A camera is in it at most once, so its length is limited by the number of cameras.
    to: Sender<Arc<C>>,
}

impl<C> Clone for PreviewQueue<C> {
    fn clone(&self) -> Self {
        PreviewQueue {
            watched: self.watched.clone(),
            to: self.to.clone(),
        }
    }
}

impl<C> PreviewQueue<C> {
    pub(super) fn new(to: Sender<Arc<C>>) -> Self {
        PreviewQueue {
            watched: Arc::default(),
            to,
        }
    }

    /// Notes that there may be viewers from now on. True if it was noted before.
    pub(super) fn watch(&self) -> bool {
        self.watched.swap(true, Relaxed)
    }

    pub(super) fn is_watched(&self) -> bool {
        self.watched.load(Relaxed)
    }

    /// Queues a camera. Has no effect after the thread that encodes has ended.
    pub(super) fn submit(&self, camera: Arc<C>) {
        let _ = self.to.send(camera);
    }
}
