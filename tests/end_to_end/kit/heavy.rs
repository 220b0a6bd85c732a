//! Limits the heavy programs that run at once. A broker takes two processes, some hundred megabytes
//! and seconds of several cores to start; without a limit, a machine with many cores would start
//! dozens.
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How many heavy programs run at once in this process.
const ROOM: usize = 2;

static QUEUE: Mutex<HeavyQueue> = Mutex::new(HeavyQueue {
    taken: 0,
    next: 0,
    served: 0,
});
static CHANGED: Condvar = Condvar::new();

struct HeavyQueue {
    /// Permits in use.
    taken: usize,
    /// The number of the next one in the queue.
    next: u64,
    /// The number whose turn it is. A request for all permits is not overtaken by requests for one.
    served: u64,
}

/// The permit to run a heavy program, until it is dropped. A test may hold only one: with a second
/// it could wait for itself.
pub(crate) struct HeavyPermit(usize);

impl HeavyPermit {
    /// Waits for a permit.
    pub(crate) fn one() -> Self {
        Self::take(1)
    }

    /// Waits until no heavy program runs, and keeps all others waiting.
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
        HeavyPermit(places)
    }
}

impl Drop for HeavyPermit {
    fn drop(&mut self) {
        lock().taken -= self.0;
        CHANGED.notify_all();
    }
}

fn lock() -> MutexGuard<'static, HeavyQueue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}
