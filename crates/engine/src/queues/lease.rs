//! A camera's state while one of its frames has it.
use super::{CameraQueues, HasMatte, QueueId, QueuedFrame};
use crate::StateAccess;
use mattebox_core::matte::MatteState;

/// A camera's state, lent to one frame. It is given back when the frame is segmented, or at the
/// latest when this is dropped.
pub struct StateLease<'q, F: QueuedFrame> {
    queues: &'q CameraQueues<F>,
    id: QueueId,
    /// `None`: the frame needs no state, or it was given back.
    lent: Option<Box<F::State>>,
    /// For frames that do not depend on others.
    own: F::State,
}

impl<'q, F: QueuedFrame> StateLease<'q, F> {
    pub(super) fn new(
        queues: &'q CameraQueues<F>,
        id: QueueId,
        lent: Option<Box<F::State>>,
    ) -> Self {
        StateLease {
            queues,
            id,
            lent,
            own: F::State::default(),
        }
    }
}

impl<F: QueuedFrame> StateLease<'_, F> {
    /// The camera's state; an empty one after it was given back.
    pub fn get(&mut self) -> &mut F::State {
        match &mut self.lent {
            Some(state) => state,
            None => &mut self.own,
        }
    }

    /// Gives the state back before the frame is segmented.
    pub fn give_back(&mut self) {
        self.segmented();
    }
}

impl<F: QueuedFrame> StateAccess for StateLease<'_, F> {
    fn state(&mut self) -> &mut MatteState {
        self.get().matte()
    }

    fn segmented(&mut self) {
        if let Some(state) = self.lent.take() {
            self.queues.release(self.id, state);
        }
    }
}

impl<F: QueuedFrame> Drop for StateLease<'_, F> {
    fn drop(&mut self) {
        self.segmented();
    }
}
