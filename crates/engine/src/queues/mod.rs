//! The frames of each camera that wait, and which of them a free thread works on next.
//!
//! Cameras are served in turn. With the soft matte, a camera's frames are segmented one after the other, because each
//! needs the state that the one before left. That state is the token: a thread takes it along with the frame and gives
//! it back as soon as the frame is segmented. It then refines, composes and encodes while another thread segments the
//! camera's next frame, or decodes it if the state is still away.
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

/// The name of one camera's queue. It is never used again for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueId(u64);

/// What happens to a frame that comes when its queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// It waits for space.
    Wait,
    /// It takes the place of the oldest.
    DropOldest,
}

/// The bounds of one camera's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// Frames that may wait.
    pub waiting: usize,
    /// Frames that may be taken and not done.
    pub in_flight: usize,
    /// What a full queue does.
    pub when_full: WhenFull,
}

/// A frame, as far as its queue needs to know it.
pub trait QueuedFrame: Send {
    /// What is remembered of its camera from frame to frame.
    type State: HasMatte + Clone + Default + Send + 'static;

    /// Whether it needs the state that the frame before it leaves.
    fn needs_state(&self) -> bool;

    /// Whether something can be done for it before its turn, such as decoding.
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

/// What became of a pushed frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Pushed<F> {
    /// It waits.
    Queued,
    /// It waits in the place of this one, the oldest.
    Replaced(F),
    /// The queue takes no more frames.
    Refused(F),
}

/// When [`CameraQueues::take`] ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// When every camera has ended and no frame waits.
    Cameras,
    /// At [`CameraQueues::shut`]: cameras come and go.
    UntilShut,
}

/// What a thread is to do.
pub enum ThreadTask<'q, F: QueuedFrame> {
    /// Process a frame.
    Process(Turn<'q, F>),
    /// Prepare a frame whose turn has not come.
    Prepare(EarlyFrame<'q, F>),
}

/// A frame whose turn has come. [`CameraQueues::done`] says when it is through.
pub struct Turn<'q, F: QueuedFrame> {
    /// The camera's queue.
    pub id: QueueId,
    /// Counts the frames of the camera that were taken, from 0.
    pub sequence: u64,
    /// The frame.
    pub frame: F,
    /// Another frame of the camera waits behind it.
    pub has_next: bool,
    /// The camera's state, for a frame that needs it.
    pub state: StateLease<'q, F>,
}

/// A frame that is prepared ahead of its turn. It goes back to its place when this is dropped.
pub struct EarlyFrame<'q, F: QueuedFrame> {
    queues: &'q CameraQueues<F>,
    id: QueueId,
    frame: Option<F>,
}

impl<F: QueuedFrame> EarlyFrame<'_, F> {
    /// The frame, to be prepared.
    pub fn frame(&mut self) -> &mut F {
        self.frame
            .as_mut()
            .expect("the frame is there until it is dropped")
    }
}

impl<F: QueuedFrame> Drop for EarlyFrame<'_, F> {
    fn drop(&mut self) {
        if let Some(frame) = self.frame.take() {
            self.queues.prepared(self.id, frame);
        }
    }
}

/// Gets the state that a camera has behind a place in its queue.
type Barrier<S> = Box<dyn FnOnce(S) + Send>;

enum Slot<F: QueuedFrame> {
    /// A frame, and who wants the state that it leaves.
    Here(F, Vec<Barrier<F::State>>),
    /// A thread prepares it.
    Away(Vec<Barrier<F::State>>),
}

impl<F: QueuedFrame> Slot<F> {
    fn barriers(&mut self) -> &mut Vec<Barrier<F::State>> {
        match self {
            Slot::Here(_, barriers) | Slot::Away(barriers) => barriers,
        }
    }
}

/// What becomes of a camera that ends, and of its frames that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Processed,
    Dropped,
    /// They are dropped, and the camera is not known any more.
    Forgotten,
}

enum Chain<S> {
    Free(Box<S>),
    /// A thread has the state; these want it when it comes back.
    Taken(Vec<Barrier<S>>),
}

struct CameraQueue<F: QueuedFrame> {
    settings: QueueSettings,
    waiting: VecDeque<Slot<F>>,
    chain: Chain<F::State>,
    in_flight: usize,
    sequence: u64,
    /// The turn of all cameras that was last its own and not in vain, and the one before.
    served: u64,
    served_before: u64,
    /// No more frames are pushed.
    ended: bool,
    /// It stands in the list of those with a frame that can be processed now.
    listed: bool,
    /// It stands in the list of those with a frame that can be prepared.
    listed_ahead: bool,
    /// Told once when it has ended and its last frame is done.
    on_drained: Option<Box<dyn FnOnce() + Send>>,
    /// There may be space for a frame that waits. Each camera has its own, so that a frame that is
    /// taken wakes no other camera's reader.
    space: Arc<Condvar>,
    /// Frames that wait for space.
    pushing: usize,
}

impl<F: QueuedFrame> QueuesState<F> {
    /// Whose turn it is: in the order in which frames came, or, where turns were in vain, of those
    /// with a frame the camera that was not served for longest.
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
    fn tell_pushing(&self) {
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
    /// Queues with a frame that can be processed now, in turn.
    ready: VecDeque<QueueId>,
    /// Queues whose first frame can be prepared.
    ahead: VecDeque<QueueId>,
    /// Turns of all cameras.
    turns: u64,
    /// Turns were in vain: the camera that was not served for longest is next.
    ranks: bool,
    /// Queues that have not ended or still hold frames.
    running: usize,
    shut: bool,
    /// Threads that wait for work. Where there are none they are not notified: that costs a call to
    /// the system even if it wakes none.
    idle: usize,
    /// Threads that wait for progress.
    watching: usize,
}

/// The queues of all cameras, shared by those who bring frames and those who process them.
pub struct CameraQueues<F: QueuedFrame> {
    state: Mutex<QueuesState<F>>,
    lifetime: Lifetime,
    /// There may be work for a thread, or the end.
    work: Condvar,
    /// A frame is taken or done.
    progress: Condvar,
    /// A camera's last frame is done.
    drained: Condvar,
}

impl<F: QueuedFrame> fmt::Debug for CameraQueues<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CameraQueues").finish_non_exhaustive()
    }
}

impl<F: QueuedFrame> CameraQueues<F> {
    /// Without cameras.
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

    /// A panic elsewhere leaves the queues as they were between two operations: they stay usable.
    fn lock(&self) -> MutexGuard<'_, QueuesState<F>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A queue for a camera that goes on from `state`.
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

    /// Calls `told` once when the camera has ended and its last frame is done.
    pub fn on_drained(&self, id: QueueId, told: impl FnOnce() + Send + 'static) {
        let mut all = self.lock();
        if let Some(queue) = all.queues.get_mut(&id) {
            queue.on_drained = Some(Box::new(told));
        }
        let drained = all.drained(id);
        drop(all);
        call(drained);
    }

    /// Sets how a camera is queued, once its source is known and before its first frame.
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

    /// Calls `reply` with the state that the camera has when every frame pushed so far is
    /// segmented: at once if they are.
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

    /// The next work, cameras in turn; waits for some. `None`: there will be no more.
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
            queue.tell_pushing();
            self.list(all, id);
            if is_through {
                self.one_less(all);
            }
            self.tell_watching(all);
            return Some(Turn {
                id,
                sequence,
                frame,
                has_next,
                state: StateLease::new(self, id, lease),
            });
        }
    }

    /// Puts a frame back that was prepared.
    fn prepared(&self, id: QueueId, frame: F) {
        let mut all = self.lock();
        let Some(queue) = all.queues.get_mut(&id) else {
            return;
        };
        // It may have had to make room for a newer one.
        if let Some(slot) = queue.waiting.front_mut()
            && let Slot::Away(barriers) = slot
        {
            *slot = Slot::Here(frame, mem::take(barriers));
            self.list(&mut all, id);
        }
    }

    /// Gives a camera's state back: its next frame may be segmented.
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

    /// A frame that was taken is through.
    pub fn done(&self, id: QueueId) {
        let mut all = self.lock();
        self.tell_watching(&all);
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

    /// The last turn of a camera was in vain: its frame was too old. It keeps its place before those
    /// that were served, else frames that come together would always be too old for the same cameras.
    pub fn keep_turn(&self, id: QueueId) {
        let mut all = self.lock();
        all.ranks = true;
        if let Some(queue) = all.queues.get_mut(&id) {
            queue.served = queue.served_before;
        }
    }

    /// Waits until a frame is done or a queue has space, for a while at most. True if the queues are
    /// shut.
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

    /// No more frames are pushed for this camera; those that wait are processed.
    pub fn end(&self, id: QueueId) {
        self.finish(id, Ending::Processed);
    }

    /// No more frames are pushed for any camera.
    pub fn end_all(&self) {
        let ids: Vec<QueueId> = self.lock().queues.keys().copied().collect();
        ids.into_iter().for_each(|id| self.end(id));
    }

    /// Ends a camera, and returns the frames that wait: they are not processed.
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
        queue.tell_pushing();
        let dropped = match ending {
            Ending::Processed => Vec::new(),
            Ending::Dropped | Ending::Forgotten => queue.drop_waiting(),
        };
        if queue.is_through() && !was_through {
            self.one_less(&mut all);
        }
        let drained = all.drained(id);
        if ending == Ending::Forgotten {
            all.queues.remove(&id);
        }
        self.tell_watching(&all);
        self.drained.notify_all();
        drop(all);
        call(drained);
        dropped
    }

    /// Forgets a camera. Its waiting frames are returned; those that are processed go on, and
    /// their state is not kept.
    pub fn remove(&self, id: QueueId) -> Vec<F> {
        self.finish(id, Ending::Forgotten)
    }

    /// No more work is given out and no more frames are taken. Returns the frames that wait, by
    /// camera.
    pub fn shut(&self) -> Vec<(QueueId, Vec<F>)> {
        let mut all = self.lock();
        all.shut = true;
        self.work.notify_all();
        self.progress.notify_all();
        self.drained.notify_all();
        all.queues
            .iter_mut()
            .map(|(id, queue)| {
                queue.tell_pushing();
                (*id, queue.drop_waiting())
            })
            .collect()
    }

    /// Whether frames of this camera are still asked for.
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

    /// Lists a queue whose first frame can be processed or prepared now.
    fn list(&self, all: &mut QueuesState<F>, id: QueueId) {
        let Some(queue) = all.queues.get_mut(&id) else {
            return;
        };
        if !queue.listed && queue.is_ready() {
            queue.listed = true;
            all.ready.push_back(id);
            self.tell_idle(all);
        } else if !queue.listed_ahead && queue.can_prepare() {
            queue.listed_ahead = true;
            all.ahead.push_back(id);
            self.tell_idle(all);
        }
    }

    fn tell_idle(&self, all: &QueuesState<F>) {
        if all.idle > 0 {
            self.work.notify_one();
        }
    }

    fn tell_watching(&self, all: &QueuesState<F>) {
        if all.watching > 0 {
            self.progress.notify_all();
        }
    }

    /// A queue has ended and holds no frame any more.
    fn one_less(&self, all: &mut QueuesState<F>) {
        all.running -= 1;
        if all.running == 0 {
            self.work.notify_all();
        }
    }
}

impl<F: QueuedFrame> CameraQueue<F> {
    /// Puts a frame behind the others and takes the oldest away. `None`: it was being prepared.
    fn replace_oldest(&mut self, frame: F) -> Option<F> {
        // What a thread prepares is as good as taken; the one behind it is the oldest then.
        let at = usize::from(matches!(self.waiting.front(), Some(Slot::Away(_))));
        let oldest = self.waiting.remove(at);
        self.waiting.push_back(Slot::Here(frame, Vec::new()));
        match oldest {
            Some(Slot::Here(oldest, barriers)) => {
                self.hand_down(at, barriers);
                Some(oldest)
            }
            Some(Slot::Away(_)) | None => None,
        }
    }

    /// The barriers of a dropped frame stand behind the frame before it.
    fn hand_down(&mut self, at: usize, barriers: Vec<Barrier<F::State>>) {
        let before = at.checked_sub(1).and_then(|at| self.waiting.get_mut(at));
        match (before, &mut self.chain) {
            (Some(before), _) => before.barriers().extend(barriers),
            (None, Chain::Taken(waiting)) => waiting.extend(barriers),
            (None, Chain::Free(state)) => answer(barriers, state),
        }
    }

    /// Takes the state for a frame that needs it. Who wants the state behind the frame is told
    /// when it comes back; behind a frame that needs none, at once.
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
    /// The first frame of a camera whose state is away.
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

    /// Who is to be told that a camera has ended and its last frame is done.
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

fn call(told: Option<Box<dyn FnOnce() + Send>>) {
    if let Some(told) = told {
        told();
    }
}
