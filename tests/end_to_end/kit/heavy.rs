//! How much of what is heavy runs at once. A broker takes two processes, some hundred megabytes
//! and seconds of several cores for its start; with one for each test at a time, a machine with
//! many cores would start dozens.
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How many heavy things run at once in this process.
const ROOM: usize = 2;

static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    taken: 0,
    next: 0,
    served: 0,
});
static CHANGED: Condvar = Condvar::new();

struct Queue {
    /// Places in use.
    taken: usize,
    /// The number that the next one to come gets.
    next: u64,
    /// The number whose turn it is. Who wants all places is not passed by those who want one.
    served: u64,
}

/// A place for a heavy thing, until it is dropped. A test takes one at a time: a test that waits
/// for a second may wait for itself.
pub(crate) struct Heavy(usize);

impl Heavy {
    /// Waits for a place.
    pub(crate) fn one() -> Self {
        Self::take(1)
    }

    /// Waits until nothing heavy runs, and keeps all others away.
    pub(crate) fn alone() -> Self {
        Self::take(ROOM)
    }

    fn take(places: usize) -> Self {
        let mut queue = lock();
        let number = queue.next;
        queue.next += 1;
        while queue.served != number || queue.taken + places > ROOM {
            queue = CHANGED.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.served += 1;
        queue.taken += places;
        CHANGED.notify_all();
        Heavy(places)
    }
}

impl Drop for Heavy {
    fn drop(&mut self) {
        lock().taken -= self.0;
        CHANGED.notify_all();
    }
}

fn lock() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}
