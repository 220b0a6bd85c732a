//! The cameras that have pictures to encode for viewers.
use crossbeam_channel::Sender;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// Takes cameras (`C`) with pictures to encode.
#[derive(Debug)]
pub(super) struct PreviewQueue<C> {
    watched: Arc<AtomicBool>,
    /// A camera is in it at most once, so it holds no more than there are cameras.
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

    /// Notes that there may be viewers from now on. True if that was known.
    pub(super) fn watch(&self) -> bool {
        self.watched.swap(true, Relaxed)
    }

    pub(super) fn is_watched(&self) -> bool {
        self.watched.load(Relaxed)
    }

    /// Queues a camera. When the thread that encodes has ended, nothing is encoded any more.
    pub(super) fn submit(&self, camera: Arc<C>) {
        let _ = self.to.send(camera);
    }
}
