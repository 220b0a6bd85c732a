//! Checkpoints: places in the log that may be committed, with the camera states at that place.
//!
//! A checkpoint is the place after the last record that was read of a partition. It is reached when
//! every record before it is done and the state of each camera at that place is known. Later
//! records are processed meanwhile: nothing waits for a checkpoint.
use super::{
    cameras::TouchedCamera, counters::WorkerCounters, job::LogPosition, partition::Partition,
};
use mattebox_core::frame::CameraId;
use mattebox_engine::queues::QueueId;
use mattebox_store::CameraState;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Maximum number of states stored in a second: 4 MB before they are compressed.
const STATES_PER_SECOND: f64 = 70.0;
/// The limit with any number of cameras: after a crash this much is processed again.
const LONGEST_INTERVAL: Duration = Duration::from_secs(30);

/// The checkpoints of all partitions of the assignment, at most one for each.
#[derive(Debug)]
pub(super) struct Checkpoints {
    counters: Arc<WorkerCounters>,
    interval: Duration,
    /// With many cameras the interval is longer, so that their states do not fill the network.
    bounds_states: bool,
    /// States that were asked for since the previous checkpoints.
    states: usize,
    /// When the next checkpoints are set.
    next: Instant,
    partitions: BTreeMap<i32, Offsets>,
}

/// How far a partition is committed.
#[derive(Debug)]
struct Offsets {
    epoch: u64,
    /// The offset that the broker has.
    committed: i64,
    /// The offset that was last sent to the broker.
    requested: i64,
    /// The checkpoint that the output does not have yet.
    open: Option<Checkpoint>,
}

/// One checkpoint.
#[derive(Debug)]
pub(super) struct Checkpoint {
    end: i64,
    /// The cameras that had frames since the previous checkpoint.
    cameras: HashSet<CameraId>,
    /// The known states of these cameras. Only the barriers of this checkpoint add to them.
    states: Arc<Mutex<HashMap<CameraId, CameraState>>>,
}

/// Receives the state of one camera at a checkpoint.
pub(super) type StateBarrier = Box<dyn FnOnce(CameraState) + Send>;

impl Checkpoint {
    /// The offset that is committed: the first after the checkpoint.
    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// The cameras that had frames since the previous checkpoint.
    pub(super) fn cameras(&self) -> impl Iterator<Item = &CameraId> {
        self.cameras.iter()
    }

    /// The state of each of them. All are known when the checkpoint is reached.
    pub(super) fn states(&self) -> Vec<(CameraId, CameraState)> {
        let states = lock(&self.states);
        let state = |camera: &CameraId| Some((camera.clone(), states.get(camera)?.clone()));
        self.cameras.iter().filter_map(state).collect()
    }

    fn is_known(&self) -> bool {
        lock(&self.states).len() == self.cameras.len()
    }
}

impl Checkpoints {
    /// Checkpoints at an interval. With `bounds_states` it is longer if many states are stored.
    pub(super) fn new(
        interval: Duration,
        bounds_states: bool,
        counters: Arc<WorkerCounters>,
    ) -> Self {
        Checkpoints {
            counters,
            interval,
            bounds_states,
            states: 0,
            next: Instant::now() + interval,
            partitions: BTreeMap::new(),
        }
    }

    /// Begins with a partition that is committed up to `start`.
    pub(super) fn begin(&mut self, partition: i32, epoch: u64, start: i64) {
        let offsets = Offsets {
            epoch,
            committed: start,
            requested: start,
            open: None,
        };
        self.partitions.insert(partition, offsets);
    }

    /// Forgets a revoked partition.
    pub(super) fn forget(&mut self, partition: i32) {
        self.partitions.remove(&partition);
    }

    /// When the next checkpoints are set.
    pub(super) fn due(&self) -> Instant {
        self.next
    }

    /// The next checkpoints are set an interval from now.
    pub(super) fn schedule(&mut self, now: Instant) {
        let states = std::mem::take(&mut self.states);
        self.next = now + self.interval_for(states);
    }

    fn interval_for(&self, states: usize) -> Duration {
        let pause = Duration::from_secs_f64(states as f64 / STATES_PER_SECOND);
        match self.bounds_states {
            true => self.interval.max(pause.min(LONGEST_INTERVAL)),
            false => self.interval,
        }
    }

    /// Whether a partition has records to commit for which no checkpoint is set.
    pub(super) fn is_wanted(&self, partition: &Partition) -> bool {
        self.partitions
            .get(&partition.id())
            .is_some_and(|p| p.open.is_none() && partition.next() > p.requested)
    }

    /// Sets a checkpoint after the last record that was read of a partition. `ask` puts a barrier
    /// after the last frame of a camera's queue; `on_known` is called when the last state is known,
    /// perhaps within this call.
    pub(super) fn put(
        &mut self,
        partition: &Partition,
        cameras: Vec<TouchedCamera>,
        mut ask: impl FnMut(QueueId, StateBarrier),
        on_known: impl Fn() + Clone + Send + 'static,
    ) {
        let Some(offsets) = self.partitions.get_mut(&partition.id()) else {
            return;
        };
        let expected = cameras.len();
        self.states += expected;
        let states = Arc::new(Mutex::new(HashMap::new()));
        let names = cameras.iter().map(|touched| touched.camera.clone());
        let names: HashSet<CameraId> = names.collect();
        for TouchedCamera { camera, queue } in cameras {
            let states = states.clone();
            let on_known = on_known.clone();
            let barrier = move |state| {
                let mut known = lock(&states);
                known.insert(camera, state);
                let is_last = known.len() == expected;
                drop(known);
                if is_last {
                    on_known();
                }
            };
            ask(queue, Box::new(barrier));
        }
        offsets.open = Some(Checkpoint {
            end: partition.next(),
            cameras: names,
            states,
        });
    }

    /// The checkpoint of a partition, if it is reached.
    pub(super) fn reached(&self, partition: &Partition) -> Option<&Checkpoint> {
        let open = self.partitions.get(&partition.id())?.open.as_ref();
        open.filter(|open| partition.is_done_before(open.end) && open.is_known())
    }

    /// The output has the checkpoint of a partition: its offset is on the way to the broker.
    pub(super) fn requested(&mut self, partition: i32) {
        if let Some(offsets) = self.partitions.get_mut(&partition)
            && let Some(open) = offsets.open.take()
        {
            offsets.requested = open.end;
        }
    }

    /// The broker has this offset. True if it belongs to this assignment.
    pub(super) fn committed(&mut self, position: LogPosition) -> bool {
        let Some(offsets) = self.partitions.get_mut(&position.partition) else {
            return false;
        };
        if offsets.epoch != position.epoch {
            return false;
        }
        offsets.committed = offsets.committed.max(position.offset);
        self.counters
            .partition(position.partition)
            .committed
            .store(offsets.committed, Relaxed);
        true
    }

    /// The broker has answered every commit. The next checkpoints commit again the offsets that it
    /// has not accepted.
    pub(super) fn answered(&mut self) {
        for offsets in self.partitions.values_mut() {
            offsets.requested = offsets.committed;
        }
    }

    /// The offset of a partition that the broker has.
    pub(super) fn committed_offset(&self, partition: i32) -> Option<i64> {
        self.partitions.get(&partition).map(|p| p.committed)
    }

    /// Whether no checkpoint of a partition is unfinished: the states of its cameras without new
    /// frames are stored.
    pub(super) fn is_idle(&self, partition: i32) -> bool {
        self.partitions
            .get(&partition)
            .is_some_and(|p| p.open.is_none() && p.committed >= p.requested)
    }

    /// Whether everything that was read of a partition is done and committed.
    pub(super) fn is_drained(&self, partition: &Partition) -> bool {
        let is_committed = |p: &Offsets| p.open.is_none() && p.committed >= partition.next();
        partition.in_flight() == 0
            && self
                .partitions
                .get(&partition.id())
                .is_none_or(is_committed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::job::QueuedRecord;
    use super::*;
    use mattebox_engine::queues::{CameraQueues, Lifetime, QueueSettings, WhenFull};
    use std::sync::atomic::AtomicUsize;

    fn checkpoints() -> Checkpoints {
        let mut checkpoints = Checkpoints::new(Duration::from_secs(1), false, Arc::default());
        checkpoints.begin(0, 1, 10);
        checkpoints
    }

    /// A partition with records in flight.
    fn partition(offsets: &[i64]) -> Partition {
        let mut partition = Partition::new("topic".into(), 0, 1, 10, 10);
        for offset in offsets {
            partition.begin(*offset, 5);
        }
        partition
    }

    fn position(epoch: u64, offset: i64) -> LogPosition {
        LogPosition {
            partition: 0,
            epoch,
            offset,
        }
    }

    fn touched(camera: &str) -> TouchedCamera {
        let settings = QueueSettings {
            waiting: 1,
            in_flight: 1,
            when_full: WhenFull::Wait,
        };
        let queues: CameraQueues<QueuedRecord> = CameraQueues::new(Lifetime::UntilShut);
        TouchedCamera {
            camera: camera.parse().unwrap(),
            queue: queues.open(settings, CameraState::default()),
        }
    }

    /// Sets a checkpoint and returns the barriers of its cameras.
    fn put(checkpoints: &mut Checkpoints, of: &Partition, cameras: &[&str]) -> Vec<StateBarrier> {
        let mut barriers = Vec::new();
        let cameras = cameras.iter().map(|camera| touched(camera)).collect();
        checkpoints.put(of, cameras, |_, barrier| barriers.push(barrier), || {});
        barriers
    }

    #[test]
    fn a_checkpoint_is_reached_when_all_before_it_is_done_and_known() {
        let mut checkpoints = checkpoints();
        let mut partition = partition(&[10, 11, 12]);
        assert!(checkpoints.is_wanted(&partition));
        let barriers = put(&mut checkpoints, &partition, &["cam"]);
        assert!(!checkpoints.is_wanted(&partition), "one is unfinished");
        partition.begin(13, 5);
        partition.finish(12);
        partition.finish(10);
        barriers.into_iter().for_each(|b| b(CameraState::default()));
        assert!(checkpoints.reached(&partition).is_none(), "11 is missing");
        partition.finish(11);
        let reached = checkpoints.reached(&partition).expect("13 is behind it");
        assert_eq!((reached.end(), reached.states().len()), (13, 1));
    }

    #[test]
    fn a_checkpoint_waits_for_the_state_of_every_camera() {
        let mut checkpoints = checkpoints();
        let mut partition = partition(&[10]);
        partition.finish(10);
        let on_known = Arc::new(AtomicUsize::new(0));
        let mut barriers: Vec<StateBarrier> = Vec::new();
        let count = on_known.clone();
        checkpoints.put(
            &partition,
            vec![touched("a"), touched("b")],
            |_, barrier| barriers.push(barrier),
            move || {
                count.fetch_add(1, Relaxed);
            },
        );
        barriers.pop().unwrap()(CameraState::default());
        assert!(checkpoints.reached(&partition).is_none());
        assert_eq!(on_known.load(Relaxed), 0);
        barriers.pop().unwrap()(CameraState::default());
        assert!(checkpoints.reached(&partition).is_some());
        assert_eq!(on_known.load(Relaxed), 1);
    }

    #[test]
    fn a_state_of_an_earlier_epoch_is_ignored() {
        let mut checkpoints = checkpoints();
        let mut partition = partition(&[10]);
        partition.finish(10);
        let old = put(&mut checkpoints, &partition, &["cam"]);
        checkpoints.forget(0);
        checkpoints.begin(0, 2, 10);
        put(&mut checkpoints, &partition, &["cam"]);
        old.into_iter().for_each(|b| b(CameraState::default()));
        assert!(checkpoints.reached(&partition).is_none());
    }

    #[test]
    fn an_offset_of_an_earlier_epoch_is_ignored() {
        let mut checkpoints = checkpoints();
        checkpoints.begin(0, 2, 10);
        assert!(!checkpoints.committed(position(1, 99)));
        assert_eq!(checkpoints.committed_offset(0), Some(10));
        assert!(checkpoints.committed(position(2, 12)));
        assert_eq!(checkpoints.committed_offset(0), Some(12));
    }

    #[test]
    fn an_offset_that_the_broker_did_not_accept_is_committed_again() {
        let mut checkpoints = checkpoints();
        let mut partition = partition(&[10]);
        partition.finish(10);
        put(&mut checkpoints, &partition, &[]);
        checkpoints.requested(0);
        assert!(!checkpoints.is_wanted(&partition) && !checkpoints.is_idle(0));
        checkpoints.answered();
        assert!(checkpoints.is_wanted(&partition));
        put(&mut checkpoints, &partition, &[]);
        checkpoints.requested(0);
        assert!(!checkpoints.is_drained(&partition));
        checkpoints.committed(position(1, 11));
        assert!(checkpoints.is_drained(&partition) && checkpoints.is_idle(0));
    }

    #[test]
    fn with_many_cameras_the_interval_grows_to_a_bound() {
        let interval = Duration::from_secs(2);
        let checkpoints = |bounds| Checkpoints::new(interval, bounds, Arc::default());
        let seconds = |states| checkpoints(true).interval_for(states).as_secs();
        assert_eq!([0, 100, 1000, 100_000].map(seconds), [2, 2, 14, 30]);
        assert_eq!(checkpoints(false).interval_for(1000), interval);
    }
}
