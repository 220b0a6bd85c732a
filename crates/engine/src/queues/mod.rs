//! The waiting frames of each camera, and their order for free threads.
//!
//! Cameras are served in turn. With the soft matte, a camera's frames are segmented one after the
//! other, because each needs the state that the one before left. A thread takes this state with the
//! frame and gives it back as soon as the frame is segmented. Then it refines, composes and
//! encodes, while another thread segments the camera's next frame, or decodes it if the state is
//! still in use.
//!
//! Every operation takes the same time with ten cameras and with ten thousand.
mod lease;
#[cfg(test)]
mod tests;

pub use lease::StateLease;

use mattebox_core::matte::MatteState;
use mattebox_store::CameraState;
use std::{
    collections::{HashMap, VecDeque},
    fmt, mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The id of one camera's queue. It is never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(u64);

/// How a full queue treats a new frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// It waits for space.
    Wait,
    /// It replaces the oldest frame.
    DropOldest,
}

/// The bounds of one camera's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// Frames that may wait.
    pub waiting: usize,
    /// Frames that may be in flight: taken and not done.
    pub in_flight: usize,
    /// How a full queue treats a new frame.
    pub when_full: WhenFull,
}

/// A frame, as its queue sees it.
pub trait QueuedFrame: Send {
    /// The state of its camera, from frame to frame.
    type State: HasMatte + Clone + Default + Send + 'static;

    /// Whether it needs the state that the frame before it leaves.
    fn needs_state(&self) -> bool;

    /// Whether it can be prepared before its turn, such as decoded.
    fn can_prepare(&self) -> bool {
        false
    }
}

/// A camera's state that holds the state of its matte.
pub trait HasMatte {
    /// The state of the matte.
    fn matte(&mut self) -> &mut MatteState;
}

impl HasMatte for MatteState {
    fn matte(&mut self) -> &mut MatteState {
        self
    }
}

impl HasMatte for CameraState {
    fn matte(&mut self) -> &mut MatteState {
        &mut self.matte
    }
}

/// The result of a push.
#[derive(Debug, PartialEq, Eq)]
pub enum Pushed<F> {
    /// The frame waits.
    Queued,
    /// The frame waits, and replaced this one, the oldest.
    Replaced(F),
    /// The queue takes no more frames.
    Refused(F),
}

/// When [`CameraQueues::take`] ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// When every camera has ended and no frame waits.
    Cameras,
    /// At [`CameraQueues::shut`], because cameras come and go.
    UntilShut,
}

/// The next task of a thread.
pub enum ThreadTask<'q, F: QueuedFrame> {
    /// Process a frame.
    Process(Turn<'q, F>),
    /// Prepare a frame whose turn has not come.
    Prepare(EarlyFrame<'q, F>),
}

/// A frame whose turn has come. The thread calls [`CameraQueues::done`] at its end.
pub struct Turn<'q, F: QueuedFrame> {
    /// The camera's queue.
    pub id: QueueId,
    /// The number of frames of the camera that were taken before it.
    pub sequence: u64,
    /// The frame.
    pub frame: F,
    /// Another frame of the camera waits behind it.
    pub has_next: bool,
    /// The camera's state, if the frame needs it.
    pub state: StateLease<'q, F>,
}

/// A frame that is prepared before its turn. It returns to its place when this is dropped.
pub struct EarlyFrame<'q, F: QueuedFrame> {
    queues: &'q CameraQueues<F>,
    id: QueueId,
    frame: Option<F>,
}

impl<F: QueuedFrame> EarlyFrame<'_, F> {
    /// The frame, to be prepared.
    pub fn frame(&mut self) -> &mut F {
        self.frame.as_mut().expect("a frame until the drop")
    }
}

impl<F: QueuedFrame> Drop for EarlyFrame<'_, F> {
    fn drop(&mut self) {
        if let Some(frame) = self.frame.take() {
            self.queues.prepared(self.id, frame);
        }
    }
}

/// Gets the state of a camera after a place in its queue.
type Barrier<S> = Box<dyn FnOnce(S) + Send>;

enum Slot<F: QueuedFrame> {
    /// A frame, and the barriers behind it.
    Here(F, Vec<Barrier<F::State>>),
    /// A frame that a thread prepares, and the barriers behind it.
    Away(Vec<Barrier<F::State>>),
}

impl<F: QueuedFrame> Slot<F> {
    fn barriers(&mut self) -> &mut Vec<Barrier<F::State>> {
        match self {
            Slot::Here(_, barriers) | Slot::Away(barriers) => barriers,
        }
    }
}

/// How a camera ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Its waiting frames are processed.
    Processed,
    /// Its waiting frames are dropped.
    Dropped,
    /// Its waiting frames are dropped, and its queue is removed.
    Forgotten,
}

/// The state that goes from each frame of a camera to the next.
enum Chain<S> {
    Free(Box<S>),
    /// A thread has the state; these barriers get it when it is given back.
    Taken(Vec<Barrier<S>>),
}

struct CameraQueue<F: QueuedFrame> {
    settings: QueueSettings,
    waiting: VecDeque<Slot<F>>,
    chain: Chain<F::State>,
    in_flight: usize,
    sequence: u64,
    /// The number of its last turn whose frame was processed, and of the one before.
    served: u64,
    served_before: u64,
    /// No more frames are pushed.
    ended: bool,
    /// It is in [`QueuesState::ready`].
    listed: bool,
    /// It is in [`QueuesState::ahead`].
    listed_ahead: bool,
    /// Called once when it has ended and its last frame is done.
    on_drained: Option<Box<dyn FnOnce() + Send>>,
    /// Wakes readers that wait for space. Each camera has one, so that only its own reader wakes.
    space: Arc<Condvar>,
    /// Readers that wait for space.
    pushing: usize,
}

impl<F: QueuedFrame> QueuesState<F> {
    /// The next camera: in the order in which frames came, or, after [`CameraQueues::keep_turn`],
    /// the camera with a frame that was not served for the longest time.
    fn next_ready(&mut self) -> Option<QueueId> {
        self.turns += 1;
        if !self.ranks {
            return self.ready.pop_front();
        }
        let served = |id: &QueueId| self.queues.get(id).map_or(0, |queue| queue.served);
        let ready = self.ready.iter().enumerate();
        let (at, _) = ready.min_by_key(|(_, id)| served(id))?;
        self.ready.remove(at)
    }
}

impl<F: QueuedFrame> CameraQueue<F> {
    fn wake_pushing(&self) {
        if self.pushing > 0 {
            self.space.notify_all();
        }
    }

    fn has_room(&self) -> bool {
        self.in_flight < self.settings.in_flight
    }

    fn is_ready(&self) -> bool {
        match self.waiting.front() {
            Some(Slot::Here(frame, _)) => {
                let is_free = matches!(self.chain, Chain::Free(_));
                self.has_room() && (is_free || !frame.needs_state())
            }
            Some(Slot::Away(_)) | None => false,
        }
    }

    fn can_prepare(&self) -> bool {
        match self.waiting.front() {
            Some(Slot::Here(frame, _)) => {
                let is_taken = matches!(self.chain, Chain::Taken(_));
                is_taken && frame.needs_state() && frame.can_prepare()
            }
            Some(Slot::Away(_)) | None => false,
        }
    }

    fn is_through(&self) -> bool {
        self.ended && self.waiting.is_empty()
    }

    fn is_drained(&self) -> bool {
        self.is_through() && self.in_flight == 0
    }
}

struct QueuesState<F: QueuedFrame> {
    queues: HashMap<QueueId, CameraQueue<F>>,
    next_id: u64,
    /// Queues whose first frame can be processed now, in turn.
    ready: VecDeque<QueueId>,
    /// Queues whose first frame can be prepared.
    ahead: VecDeque<QueueId>,
    /// The number of turns so far, of all cameras.
    turns: u64,
    /// The next camera is the one that was not served for the longest time.
    ranks: bool,
    /// Queues that have not ended, or still hold frames.
    running: usize,
    shut: bool,
    /// Threads that wait for work. Without any there is no notification, which would cost a system
    /// call.
    idle: usize,
    /// Threads that wait for progress.
    watching: usize,
}

/// The queues of all cameras, shared by readers and by the threads that process frames.
pub struct CameraQueues<F: QueuedFrame> {
    state: Mutex<QueuesState<F>>,
    lifetime: Lifetime,
    /// Notified when there may be work, or the end.
    work: Condvar,
    /// Notified when a frame is taken or done.
    progress: Condvar,
    /// Notified when a camera's last frame is done.
    drained: Condvar,
}

impl<F: QueuedFrame> fmt::Debug for CameraQueues<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CameraQueues").finish_non_exhaustive()
    }
}

impl<F: QueuedFrame> CameraQueues<F> {
    /// Queues without cameras.
    pub fn new(lifetime: Lifetime) -> Self {
        CameraQueues {
            state: Mutex::new(QueuesState {
                queues: HashMap::new(),
                turns: 0,
                ranks: false,
                next_id: 0,
                ready: VecDeque::new(),
                ahead: VecDeque::new(),
                running: 0,
                shut: false,
                idle: 0,
                watching: 0,
            }),
            lifetime,
            work: Condvar::new(),
            progress: Condvar::new(),
            drained: Condvar::new(),
        }
    }

    /// A poisoned lock is usable: no operation here panics halfway.
    fn lock(&self) -> MutexGuard<'_, QueuesState<F>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a queue for a camera that continues from `state`.
    pub fn open(&self, settings: QueueSettings, state: F::State) -> QueueId {
        let mut all = self.lock();
        let id = QueueId(all.next_id);
        all.next_id += 1;
        all.running += 1;
        let queue = CameraQueue {
            settings,
            waiting: VecDeque::new(),
            chain: Chain::Free(Box::new(state)),
            in_flight: 0,
            sequence: 0,
            served: 0,
            served_before: 0,
            ended: false,
            listed: false,
            listed_ahead: false,
            on_drained: None,
            space: Arc::default(),
            pushing: 0,
        };
        all.queues.insert(id, queue);
        id
    }

    /// Calls `callback` once when the camera has ended and its last frame is done.
    pub fn on_drained(&self, id: QueueId, callback: impl FnOnce() + Send + 'static) {
        let mut all = self.lock();
        if let Some(queue) = all.queues.get_mut(&id) {
            queue.on_drained = Some(Box::new(callback));
        }
        let drained = all.drained(id);
        drop(all);
        call(drained);
    }

    /// Sets the bounds of a camera's queue when its source is known, before its first frame.
    pub fn configure(&self, id: QueueId, settings: QueueSettings) {
        if let Some(queue) = self.lock().queues.get_mut(&id) {
            queue.settings = settings;
        }
    }

    /// Appends a frame.
    pub fn push(&self, id: QueueId, frame: F) -> Pushed<F> {
        let mut all = self.lock();
        loop {
            if all.shut {
                return Pushed::Refused(frame);
            }
            let Some(queue) = all.queues.get_mut(&id).filter(|queue| !queue.ended) else {
                return Pushed::Refused(frame);
            };
            if queue.waiting.len() < queue.settings.waiting {
                queue.waiting.push_back(Slot::Here(frame, Vec::new()));
                self.list(&mut all, id);
                return Pushed::Queued;
            }
            if queue.settings.when_full == WhenFull::DropOldest {
                let Some(oldest) = queue.replace_oldest(frame) else {
                    return Pushed::Queued;
                };
                self.list(&mut all, id);
                return Pushed::Replaced(oldest);
            }
            let space = queue.space.clone();
            queue.pushing += 1;
            all = space.wait(all).unwrap_or_else(PoisonError::into_inner);
            if let Some(queue) = all.queues.get_mut(&id) {
                queue.pushing -= 1;
            }
        }
    }

    /// Calls `reply` with the camera's state after all frames pushed so far, as soon as they are
    /// segmented.
    pub fn barrier(&self, id: QueueId, reply: impl FnOnce(F::State) + Send + 'static) {
        let mut all = self.lock();
        let Some(queue) = all.queues.get_mut(&id) else {
            return;
        };
        let reply = Box::new(reply);
        if let Some(last) = queue.waiting.back_mut() {
            last.barriers().push(reply);
            return;
        }
        match &mut queue.chain {
            Chain::Taken(barriers) => barriers.push(reply),
            Chain::Free(state) => {
                let state = F::State::clone(state);
                drop(all);
                reply(state);
            }
        }
    }

    /// Waits for the next task, cameras in turn. `None`: there will be no more.
    pub fn take(&self) -> Option<ThreadTask<'_, F>> {
        let mut all = self.lock();
        loop {
            if all.shut {
                return None;
            }
            if let Some(turn) = self.next_turn(&mut all) {
                return Some(ThreadTask::Process(turn));
            }
            if let Some((id, frame)) = all.next_ahead() {
                return Some(ThreadTask::Prepare(EarlyFrame {
                    queues: self,
                    id,
                    frame: Some(frame),
                }));
            }
            if self.lifetime == Lifetime::Cameras && all.running == 0 {
                return None;
            }
            all.idle += 1;
            all = self.work.wait(all).unwrap_or_else(PoisonError::into_inner);
            all.idle -= 1;
        }
    }

    fn next_turn(&self, all: &mut QueuesState<F>) -> Option<Turn<'_, F>> {
        loop {
            let id = all.next_ready()?;
            let turn = all.turns;
            let Some(queue) = all.queues.get_mut(&id) else {
                continue;
            };
            queue.listed = false;
            if !queue.is_ready() {
                continue;
            }
            let Some(Slot::Here(frame, barriers)) = queue.waiting.pop_front() else {
                continue;
            };
            let lease = queue.lend(frame.needs_state(), barriers);
            queue.in_flight += 1;
            let sequence = queue.sequence;
            queue.sequence += 1;
            queue.served_before = std::mem::replace(&mut queue.served, turn);
            let has_next = !queue.waiting.is_empty();
            let is_through = queue.is_through();
            queue.wake_pushing();
            self.list(all, id);
            if is_through {
                self.count_ended(all);
            }
            self.wake_watching(all);
            return Some(Turn {
                id,
                sequence,
                frame,
                has_next,
                state: StateLease::new(self, id, lease),
            });
        }
    }

    /// Returns a prepared frame to its place.
    fn prepared(&self, id: QueueId, frame: F) {
        let mut all = self.lock();
        let Some(queue) = all.queues.get_mut(&id) else {
            return;
        };
        // A newer frame may have replaced it.
        if let Some(slot) = queue.waiting.front_mut()
            && let Slot::Away(barriers) = slot
        {
            *slot = Slot::Here(frame, mem::take(barriers));
            self.list(&mut all, id);
        }
    }

    /// Gives a camera's state back, so that its next frame may be segmented.
    fn release(&self, id: QueueId, state: Box<F::State>) {
        let mut all = self.lock();
        let Some(queue) = all.queues.get_mut(&id) else {
            return;
        };
        let for_barriers = match &queue.chain {
            Chain::Taken(barriers) if !barriers.is_empty() => F::State::clone(&state),
            _ => F::State::default(),
        };
        let before = mem::replace(&mut queue.chain, Chain::Free(state));
        self.list(&mut all, id);
        drop(all);
        if let Chain::Taken(barriers) = before {
            answer(barriers, &for_barriers);
        }
    }

    /// Notes that a frame that was taken is done.
    pub fn done(&self, id: QueueId) {
        let mut all = self.lock();
        self.wake_watching(&all);
        let Some(queue) = all.queues.get_mut(&id) else {
            return;
        };
        queue.in_flight = queue.in_flight.saturating_sub(1);
        if queue.is_drained() {
            self.drained.notify_all();
        }
        self.list(&mut all, id);
        let drained = all.drained(id);
        drop(all);
        call(drained);
    }

    /// Gives a camera its last turn back, because its frame was too old. Else, if frames of many
    /// cameras come at once, the same cameras would always be too late.
    pub fn keep_turn(&self, id: QueueId) {
        let mut all = self.lock();
        all.ranks = true;
        if let Some(queue) = all.queues.get_mut(&id) {
            queue.served = queue.served_before;
        }
    }

    /// Waits until a frame is done or a queue has space, for at most `at_most`. True if the queues
    /// are shut.
    pub fn wait_for_space(&self, at_most: Duration) -> bool {
        let mut all = self.lock();
        if all.shut {
            return true;
        }
        all.watching += 1;
        let waited = self.progress.wait_timeout(all, at_most);
        let mut all = waited.unwrap_or_else(PoisonError::into_inner).0;
        all.watching -= 1;
        all.shut
    }

    /// Ends a camera: it takes no more frames. Those that wait are processed.
    pub fn end(&self, id: QueueId) {
        self.finish(id, Ending::Processed);
    }

    /// Ends all cameras.
    pub fn end_all(&self) {
        let ids: Vec<QueueId> = self.lock().queues.keys().copied().collect();
        ids.into_iter().for_each(|id| self.end(id));
    }

    /// Ends a camera and returns its waiting frames.
    pub fn close(&self, id: QueueId) -> Vec<F> {
        self.finish(id, Ending::Dropped)
    }

    fn finish(&self, id: QueueId, ending: Ending) -> Vec<F> {
        let mut all = self.lock();
        let Some(queue) = all.queues.get_mut(&id) else {
            return Vec::new();
        };
        let was_through = queue.is_through();
        queue.ended = true;
        queue.wake_pushing();
        let dropped = match ending {
            Ending::Processed => Vec::new(),
            Ending::Dropped | Ending::Forgotten => queue.drop_waiting(),
        };
        if queue.is_through() && !was_through {
            self.count_ended(&mut all);
        }
        let drained = all.drained(id);
        if ending == Ending::Forgotten {
            all.queues.remove(&id);
        }
        self.wake_watching(&all);
        self.drained.notify_all();
        drop(all);
        call(drained);
        dropped
    }

    /// Removes a camera's queue and returns its waiting frames. Those in flight go on, but their
    /// state is dropped.
    pub fn remove(&self, id: QueueId) -> Vec<F> {
        self.finish(id, Ending::Forgotten)
    }

    /// Gives out no more work and takes no more frames. Returns the waiting frames by camera.
    pub fn shut(&self) -> Vec<(QueueId, Vec<F>)> {
        let mut all = self.lock();
        all.shut = true;
        self.work.notify_all();
        self.progress.notify_all();
        self.drained.notify_all();
        all.queues
            .iter_mut()
            .map(|(id, queue)| {
                queue.wake_pushing();
                (*id, queue.drop_waiting())
            })
            .collect()
    }

    /// Whether this queue exists.
    pub fn is_open(&self, id: QueueId) -> bool {
        self.lock().queues.contains_key(&id)
    }

    /// Whether the camera has ended and a thread has taken its last frame.
    pub fn is_taken(&self, id: QueueId) -> bool {
        self.lock()
            .queues
            .get(&id)
            .is_none_or(CameraQueue::is_through)
    }

    /// Waits until every camera has ended and its last frame is done, or until
    /// [`CameraQueues::shut`].
    pub fn wait_drained(&self) {
        let mut all = self.lock();
        while !all.shut && all.queues.values().any(|queue| !queue.is_drained()) {
            all = self
                .drained
                .wait(all)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lists a queue if its first frame can be processed or prepared now.
    fn list(&self, all: &mut QueuesState<F>, id: QueueId) {
        let Some(queue) = all.queues.get_mut(&id) else {
            return;
        };
        if !queue.listed && queue.is_ready() {
            queue.listed = true;
            all.ready.push_back(id);
            self.wake_idle(all);
        } else if !queue.listed_ahead && queue.can_prepare() {
            queue.listed_ahead = true;
            all.ahead.push_back(id);
            self.wake_idle(all);
        }
    }

    fn wake_idle(&self, all: &QueuesState<F>) {
        if all.idle > 0 {
            self.work.notify_one();
        }
    }

    fn wake_watching(&self, all: &QueuesState<F>) {
        if all.watching > 0 {
            self.progress.notify_all();
        }
    }

    /// Counts a queue that has ended and holds no frames any more.
    fn count_ended(&self, all: &mut QueuesState<F>) {
        all.running -= 1;
        if all.running == 0 {
            self.work.notify_all();
        }
    }
}

impl<F: QueuedFrame> CameraQueue<F> {
    /// Appends a frame and removes the oldest. `None`: a thread prepares the only one.
    fn replace_oldest(&mut self, frame: F) -> Option<F> {
        // A frame that a thread prepares stays: then the one behind it is the oldest.
        let at = usize::from(matches!(self.waiting.front(), Some(Slot::Away(_))));
        let oldest = self.waiting.remove(at);
        self.waiting.push_back(Slot::Here(frame, Vec::new()));
        match oldest {
            Some(Slot::Here(oldest, barriers)) => {
                self.move_barriers(at, barriers);
                Some(oldest)
            }
            Some(Slot::Away(_)) | None => None,
        }
    }

    /// Moves the barriers of a dropped frame behind the frame before it.
    fn move_barriers(&mut self, at: usize, barriers: Vec<Barrier<F::State>>) {
        let before = at.checked_sub(1).and_then(|at| self.waiting.get_mut(at));
        match (before, &mut self.chain) {
            (Some(before), _) => before.barriers().extend(barriers),
            (None, Chain::Taken(waiting)) => waiting.extend(barriers),
            (None, Chain::Free(state)) => answer(barriers, state),
        }
    }

    /// Takes the state for a frame that needs it. The barriers behind the frame get the state when
    /// it is given back; if the frame does not need it, as soon as it is free.
    fn lend(
        &mut self,
        needs_state: bool,
        barriers: Vec<Barrier<F::State>>,
    ) -> Option<Box<F::State>> {
        if needs_state {
            return match mem::replace(&mut self.chain, Chain::Taken(barriers)) {
                Chain::Free(state) => Some(state),
                Chain::Taken(_) => None,
            };
        }
        match &mut self.chain {
            Chain::Free(state) => answer(barriers, state),
            Chain::Taken(waiting) => waiting.extend(barriers),
        }
        None
    }

    fn drop_waiting(&mut self) -> Vec<F> {
        mem::take(&mut self.waiting)
            .into_iter()
            .filter_map(|slot| match slot {
                Slot::Here(frame, _) => Some(frame),
                Slot::Away(_) => None,
            })
            .collect()
    }
}

impl<F: QueuedFrame> QueuesState<F> {
    /// The first frame of a camera whose state is in use.
    fn next_ahead(&mut self) -> Option<(QueueId, F)> {
        loop {
            let id = self.ahead.pop_front()?;
            let Some(queue) = self.queues.get_mut(&id) else {
                continue;
            };
            queue.listed_ahead = false;
            if !queue.can_prepare() {
                continue;
            }
            let slot = queue.waiting.front_mut()?;
            if let Slot::Here(_, barriers) = slot {
                let barriers = mem::take(barriers);
                if let Slot::Here(frame, _) = mem::replace(slot, Slot::Away(barriers)) {
                    return Some((id, frame));
                }
            }
        }
    }

    /// The callback of a camera that has ended and whose last frame is done.
    fn drained(&mut self, id: QueueId) -> Option<Box<dyn FnOnce() + Send>> {
        let queue = self.queues.get_mut(&id)?;
        if queue.is_drained() {
            queue.on_drained.take()
        } else {
            None
        }
    }
}

fn answer<S: Clone>(barriers: Vec<Barrier<S>>, state: &S) {
    barriers
        .into_iter()
        .for_each(|barrier| barrier(state.clone()));
}

fn call(callback: Option<Box<dyn FnOnce() + Send>>) {
    if let Some(callback) = callback {
        callback();
    }
}
