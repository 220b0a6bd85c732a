//! Counters of a worker: per camera and per partition. [`super::events`] writes them.
use super::camera_clock::CameraClock;
use crate::Waits;
use mattebox_core::frame::CameraId;
use mattebox_engine::watch::{Progress, ProgressSource};
use mattebox_engine::{
    cameras::faults::Faults,
    metrics::FrameCounters,
    stages::StageClock,
    troubles::{Streak, Troubles},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Maximum number of cameras with counters. All others share one set.
const MAX_CAMERAS: usize = 1000;
/// The name of the shared set: for records without a camera id, and for too many cameras.
pub const OTHERS: &str = "(others)";

/// All counters of a worker. They can be read while it runs.
#[derive(Debug, Default)]
pub struct WorkerCounters {
    cameras: Mutex<BTreeMap<String, Arc<CameraCounters>>>,
    partitions: Mutex<BTreeMap<i32, Arc<PartitionCounters>>>,
    /// CPU time by stage.
    pub clock: Arc<StageClock>,
    /// The broker answers, and the group has assigned partitions or has none left to assign.
    pub is_ready: AtomicBool,
    /// Why it has not begun yet.
    pub waits: Waits,
    /// Assignments and revocations of partitions.
    pub(super) rebalances: AtomicU64,
    /// Commits that the broker has.
    pub(super) commits: AtomicU64,
    /// Times that the topic of frames was deleted and created again.
    pub(super) topic_recreated: AtomicU64,
    /// Losses, for viewers.
    pub faults: Arc<Faults>,
    /// Present troubles that stop its work.
    pub troubles: Arc<Troubles>,
}

/// Counters of one camera.
#[derive(Debug)]
pub struct CameraCounters {
    /// Counts of its frames.
    pub frames: Arc<FrameCounters>,
    /// Skipped frames whose file holds other bytes.
    pub(super) different: AtomicU64,
    /// Frames that came after later ones. They are written.
    pub(super) late: AtomicU64,
    /// Failed tries to write a file that were repeated.
    pub(super) retries: AtomicU64,
    /// Times that its frame numbers began again.
    pub(super) restarts: AtomicU64,
    /// Times that its stored state could not be read, so that its matte began again.
    pub(super) state_unreadable: AtomicU64,
    /// Times that no state was stored for the place from which it went on.
    pub(super) state_missing: AtomicU64,
    /// Time of its last record, in seconds since 1970.
    seen: AtomicU64,
    recent: Mutex<Recent>,
    /// Frames lost in a row.
    pub(super) streak: Streak,
    /// The offset of its clock.
    pub(super) clock: CameraClock,
    /// Codes of dead letters that were logged.
    logged: Mutex<BTreeSet<&'static str>>,
}

/// Which of the last records were dead.
#[derive(Debug, Default)]
struct Recent {
    records: VecDeque<bool>,
    dead: usize,
    warned: bool,
}

/// Counters of one partition.
#[derive(Debug, Default)]
pub struct PartitionCounters {
    /// It is assigned to this worker.
    pub is_ours: AtomicBool,
    /// Records that were read.
    pub(super) records: AtomicU64,
    /// Dead letters among them.
    pub(super) dead: AtomicU64,
    /// Bytes of those records.
    pub(super) bytes: AtomicU64,
    /// Records that the topic removed before they were read.
    pub(super) lost: AtomicU64,
    /// Cameras whose state was missing when the partition was assigned.
    pub(super) states_missing: AtomicU64,
    /// Records in flight.
    pub(super) in_flight: AtomicU64,
    /// The committed offset.
    pub(super) committed: AtomicI64,
    /// The offset after the last record that was read.
    pub(super) position: AtomicI64,
    /// The offset after the last record that the broker has.
    pub(super) end: AtomicI64,
}

impl PartitionCounters {
    /// Records that the broker has and that are not committed.
    pub fn lag(&self) -> u64 {
        u64::try_from(
            self.end.load(Relaxed).max(self.position.load(Relaxed)) - self.committed.load(Relaxed),
        )
        .unwrap_or(0)
    }
}

impl WorkerCounters {
    /// The counters of a camera; without a name those of [`OTHERS`].
    pub fn camera(&self, camera: Option<&CameraId>) -> Arc<CameraCounters> {
        let mut cameras = lock(&self.cameras);
        let name = camera.map_or(OTHERS, CameraId::as_str);
        match cameras.get(name) {
            Some(there) => there.clone(),
            None if cameras.len() >= MAX_CAMERAS => entry(&mut cameras, OTHERS),
            None => entry(&mut cameras, name),
        }
    }

    /// Moves the counters of cameras without a recent record to [`OTHERS`]. Returns their names.
    pub(super) fn forget_quiet(&self, quiet: Duration) -> Vec<String> {
        let now = now();
        let mut cameras = lock(&self.cameras);
        let is_quiet = |name: &str, numbers: &CameraCounters| {
            let since = now.saturating_sub(numbers.seen.load(Relaxed));
            name != OTHERS && since > quiet.as_secs()
        };
        let mut gone = Vec::new();
        cameras.retain(|name, numbers| {
            let stays = !is_quiet(name, numbers);
            if !stays {
                gone.push((name.clone(), numbers.clone()));
            }
            stays
        });
        if !gone.is_empty() {
            let others = entry(&mut cameras, OTHERS);
            gone.iter().for_each(|(_, numbers)| others.add(numbers));
        }
        gone.into_iter().map(|(name, _)| name).collect()
    }

    /// Whether a camera has its own counters.
    pub(super) fn knows(&self, camera: &CameraId) -> bool {
        lock(&self.cameras).contains_key(camera.as_str())
    }

    /// A partition's numbers.
    pub fn partition(&self, partition: i32) -> Arc<PartitionCounters> {
        lock(&self.partitions).entry(partition).or_default().clone()
    }

    /// All cameras by name.
    pub fn cameras(&self) -> Vec<(String, Arc<CameraCounters>)> {
        lock(&self.cameras)
            .iter()
            .map(|(name, numbers)| (name.clone(), numbers.clone()))
            .collect()
    }

    /// All partitions that were ever assigned to this worker.
    pub fn partitions(&self) -> Vec<(i32, Arc<PartitionCounters>)> {
        lock(&self.partitions)
            .iter()
            .map(|(id, numbers)| (*id, numbers.clone()))
            .collect()
    }
}

fn entry(cameras: &mut BTreeMap<String, Arc<CameraCounters>>, name: &str) -> Arc<CameraCounters> {
    let counters = cameras
        .entry(name.to_owned())
        .or_insert_with(|| Arc::new(CameraCounters::new(name)));
    counters.clone()
}

impl CameraCounters {
    fn new(name: &str) -> Self {
        CameraCounters {
            frames: Arc::new(FrameCounters::new(name)),
            different: AtomicU64::default(),
            late: AtomicU64::default(),
            retries: AtomicU64::default(),
            restarts: AtomicU64::default(),
            state_unreadable: AtomicU64::default(),
            state_missing: AtomicU64::default(),
            seen: AtomicU64::default(),
            recent: Mutex::default(),
            streak: Streak::default(),
            clock: CameraClock::default(),
            logged: Mutex::default(),
        }
    }

    /// By how many seconds the camera's clock is behind ours; known with `--max-age` only.
    pub fn clock_behind_s(&self) -> Option<f64> {
        self.clock.behind_us().map(|us| us as f64 / 1e6)
    }

    /// A record of it has just arrived.
    pub(super) fn seen(&self) {
        self.seen.store(now(), Relaxed);
    }

    /// Adds the counters of another camera, without its latencies.
    fn add(&self, other: &CameraCounters) {
        self.frames.add(&other.frames);
        for (ours, theirs) in self.own().into_iter().zip(other.own()) {
            ours.fetch_add(theirs.load(Relaxed), Relaxed);
        }
    }

    fn own(&self) -> [&AtomicU64; 6] {
        [
            &self.different,
            &self.late,
            &self.retries,
            &self.restarts,
            &self.state_unreadable,
            &self.state_missing,
        ]
    }

    /// Whether this is the camera's first dead letter for a reason.
    pub(super) fn first_of(&self, code: &'static str) -> bool {
        lock(&self.logged).insert(code)
    }

    /// Notes whether a record was dead. `Some`, once, when more than `share` of the last `window`
    /// are.
    pub(super) fn judge(&self, dead: bool, share: f64, window: usize) -> Option<usize> {
        let mut recent = lock(&self.recent);
        recent.records.push_back(dead);
        recent.dead += usize::from(dead);
        if recent.records.len() > window && recent.records.pop_front() == Some(true) {
            recent.dead -= 1;
        }
        let too_many = recent.records.len() >= window && recent.dead as f64 > share * window as f64;
        let first = too_many && !recent.warned;
        // The next warning comes only after the share was below half the limit.
        recent.warned =
            too_many || (recent.warned && recent.dead as f64 > share * window as f64 / 2.0);
        first.then_some(recent.dead)
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ProgressSource for WorkerCounters {
    fn progress(&self) -> Progress {
        let lag = self.partitions().iter().map(|(_, p)| p.lag()).sum::<u64>();
        let mut all = Progress::default();
        for (_, camera) in self.cameras() {
            let one = Progress::of(&camera.frames, 0);
            all.done += one.done;
            all.dropped += one.dropped;
            all.failed += one.failed;
        }
        all.expected = all.done + all.dropped + all.failed + lag;
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mattebox_engine::events::{Event, FrameRead};

    fn read(camera: &CameraCounters, count: usize) {
        for _ in 0..count {
            let frames = &camera.frames;
            FrameRead { frames, bytes: 0 }.emit();
        }
    }

    #[test]
    fn too_many_dead_records_are_reported_once_until_the_share_falls() {
        let counters = CameraCounters::new("cam");
        let judge = |dead| counters.judge(dead, 0.5, 10).is_some();
        assert!((0..9).all(|_| !judge(true)), "too few to judge");
        assert!(judge(true));
        assert!(!judge(true), "it was reported");
        assert!((0..10).all(|_| !judge(false)));
        assert_eq!((0..10).filter(|_| judge(true)).count(), 1);
    }

    #[test]
    fn cameras_without_records_are_counted_as_one() {
        let counters = WorkerCounters::default();
        let [gone, here] = ["gone", "here"].map(|name| name.parse().unwrap());
        read(&counters.camera(Some(&gone)), 7);
        counters.camera(Some(&here)).seen();
        counters.forget_quiet(Duration::from_secs(3600));
        assert!(!counters.knows(&gone) && counters.knows(&here));
        assert_eq!(counters.camera(None).frames.counts().read, 7);
    }

    #[test]
    fn changing_names_are_counted_as_one() {
        let counters = WorkerCounters::default();
        for n in 0..MAX_CAMERAS + 50 {
            let camera = format!("cam{n}").parse().unwrap();
            read(&counters.camera(Some(&camera)), 1);
        }
        assert_eq!(counters.cameras().len(), MAX_CAMERAS + 1);
        assert_eq!(counters.camera(None).frames.counts().read, 50);
    }
}
