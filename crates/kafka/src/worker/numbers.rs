//! What is counted while a worker runs, per camera and per partition.
use super::camera_clock::CameraClock;
use crate::Waits;
use mattebox_core::frame::CameraId;
use mattebox_engine::watch::{Progress, ProgressSource};
use mattebox_engine::{
    cameras::{camera::Counters, faults::Faults, trend::Counted},
    latency::Latency,
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

/// Cameras that are counted each by itself. Those beyond this number are counted
/// as one.
const MAX_CAMERAS: usize = 1000;
/// The name under which those are counted that have none, or are too many.
pub const OTHERS: &str = "(others)";

/// All numbers of a worker. They can be read while it runs.
#[derive(Debug, Default)]
pub struct Numbers {
    cameras: Mutex<BTreeMap<String, Arc<CameraNumbers>>>,
    partitions: Mutex<BTreeMap<i32, Arc<PartitionNumbers>>>,
    /// CPU time by stage.
    pub clock: Arc<StageClock>,
    /// The broker answers, and partitions were given to us or there are none for us.
    pub is_ready: AtomicBool,
    /// What it waits for before it can begin.
    pub waits: Waits,
    /// Times that partitions came or went.
    pub rebalances: AtomicU64,
    /// Commits that were done.
    pub commits: AtomicU64,
    /// Times that the topic of frames was made again.
    pub topic_recreated: AtomicU64,
    /// What was lost, for viewers.
    pub faults: Arc<Faults>,
    /// What cannot be done at the moment.
    pub troubles: Arc<Troubles>,
}

/// One camera's numbers.
#[derive(Debug, Default)]
pub struct CameraNumbers {
    /// Records of this camera.
    pub frames_in: AtomicU64,
    /// Files or results that are in place.
    pub frames_out: AtomicU64,
    /// Frames whose file was there and was kept.
    pub kept: AtomicU64,
    /// Of those, files with other bytes.
    pub kept_different: AtomicU64,
    /// Records that came before, such as a delivery that was repeated.
    pub repeated: AtomicU64,
    /// Frames that were too old (`--live`).
    pub stale: AtomicU64,
    /// Frames that came after later ones.
    pub late: AtomicU64,
    /// Frames that the network did not look at, because they were like the one before
    /// (`--skip-still`).
    pub still: AtomicU64,
    /// Records that went to the dead letters.
    pub dead: AtomicU64,
    /// Tries to write a file that failed, and were made again.
    pub retries: AtomicU64,
    /// Times that its numbers began again.
    pub restarts: AtomicU64,
    /// Times that what was stored of it could not be read, so that its matte began again.
    pub state_unreadable: AtomicU64,
    /// Times that no state was stored for the place where it went on.
    pub state_missing: AtomicU64,
    /// Bytes of its records.
    pub bytes_in: AtomicU64,
    /// Bytes of its files or results.
    pub bytes_out: AtomicU64,
    /// From when a frame was taken to when its file or result was in place.
    pub latency: Latency,
    /// When it had its last record, in seconds since 1970.
    seen: AtomicU64,
    recent: Mutex<Recent>,
    /// Frames in a row that came to nothing.
    pub(super) streak: Streak,
    /// What time the camera has.
    pub(super) clock: CameraClock,
    /// Codes of dead letters that were told.
    told: Mutex<BTreeSet<&'static str>>,
}

/// Which of the last records were dead.
#[derive(Debug, Default)]
struct Recent {
    records: VecDeque<bool>,
    dead: usize,
    warned: bool,
}

/// One partition's numbers.
#[derive(Debug, Default)]
pub struct PartitionNumbers {
    /// It is ours.
    pub is_ours: AtomicBool,
    /// Records that were taken.
    pub records: AtomicU64,
    /// Of those, dead letters.
    pub dead: AtomicU64,
    /// Bytes of those records.
    pub bytes: AtomicU64,
    /// Records that were removed from the topic before they were processed.
    pub lost: AtomicU64,
    /// Cameras whose state was missing when the partition was assigned.
    pub states_missing: AtomicU64,
    /// Records that are worked on.
    pub in_flight: AtomicU64,
    /// The offset that is recorded as done.
    pub committed: AtomicI64,
    /// The offset behind the last record that was taken.
    pub position: AtomicI64,
    /// The offset behind the last record that the broker has.
    pub end: AtomicI64,
}

impl PartitionNumbers {
    /// Records that the broker has and that are not recorded as done.
    pub fn lag(&self) -> u64 {
        u64::try_from(
            self.end.load(Relaxed).max(self.position.load(Relaxed)) - self.committed.load(Relaxed),
        )
        .unwrap_or(0)
    }
}

impl Numbers {
    /// A camera's numbers; without a name those of [`OTHERS`].
    pub fn camera(&self, camera: Option<&CameraId>) -> Arc<CameraNumbers> {
        let mut cameras = lock(&self.cameras);
        let name = camera.map_or(OTHERS, CameraId::as_str);
        match cameras.get(name) {
            Some(there) => there.clone(),
            None if cameras.len() >= MAX_CAMERAS => {
                cameras.entry(OTHERS.to_owned()).or_default().clone()
            }
            None => cameras.entry(name.to_owned()).or_default().clone(),
        }
    }

    /// Counts cameras without a record for so long under [`OTHERS`] from now on. Returns their names.
    pub(super) fn forget_quiet(&self, quiet: Duration) -> Vec<String> {
        let now = now();
        let mut cameras = lock(&self.cameras);
        let is_quiet = |name: &str, numbers: &CameraNumbers| {
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
            let others = cameras.entry(OTHERS.to_owned()).or_default();
            gone.iter().for_each(|(_, numbers)| others.add(numbers));
        }
        gone.into_iter().map(|(name, _)| name).collect()
    }

    /// Whether a camera is counted by itself.
    pub(super) fn knows(&self, camera: &CameraId) -> bool {
        lock(&self.cameras).contains_key(camera.as_str())
    }

    /// A partition's numbers.
    pub fn partition(&self, partition: i32) -> Arc<PartitionNumbers> {
        lock(&self.partitions).entry(partition).or_default().clone()
    }

    /// All cameras by name.
    pub fn cameras(&self) -> Vec<(String, Arc<CameraNumbers>)> {
        lock(&self.cameras)
            .iter()
            .map(|(name, numbers)| (name.clone(), numbers.clone()))
            .collect()
    }

    /// All partitions that were ours at some time.
    pub fn partitions(&self) -> Vec<(i32, Arc<PartitionNumbers>)> {
        lock(&self.partitions)
            .iter()
            .map(|(id, numbers)| (*id, numbers.clone()))
            .collect()
    }
}

impl Counters for CameraNumbers {
    fn counted(&self) -> Counted {
        Counted {
            frames_in: self.frames_in.load(Relaxed),
            frames_out: self.frames_out.load(Relaxed) + self.kept.load(Relaxed),
            dropped: self.stale.load(Relaxed),
            failed: self.dead.load(Relaxed),
            times: self.latency.times(),
        }
    }
}

impl CameraNumbers {
    /// A frame is where it was to go, `age_us` microseconds after it was taken.
    pub(super) fn arrived(&self, bytes: usize, age_us: i64) {
        self.frames_out.fetch_add(1, Relaxed);
        self.bytes_out.fetch_add(bytes as u64, Relaxed);
        self.latency
            .add_time(Duration::from_micros(u64::try_from(age_us).unwrap_or(0)));
    }

    /// By how many seconds the camera's clock is behind ours, as far as that is known: with
    /// `--max-age`.
    pub fn clock_behind_s(&self) -> Option<f64> {
        self.clock.behind_us().map(|us| us as f64 / 1e6)
    }

    /// It has a record now.
    pub(super) fn seen(&self) {
        self.seen.store(now(), Relaxed);
    }

    /// Adds what is counted of another camera. Its latencies stay out.
    fn add(&self, other: &CameraNumbers) {
        for (mine, theirs) in self.counters().into_iter().zip(other.counters()) {
            mine.fetch_add(theirs.load(Relaxed), Relaxed);
        }
    }

    fn counters(&self) -> [&AtomicU64; 15] {
        [
            &self.frames_in,
            &self.frames_out,
            &self.kept,
            &self.kept_different,
            &self.repeated,
            &self.stale,
            &self.late,
            &self.still,
            &self.dead,
            &self.retries,
            &self.restarts,
            &self.state_unreadable,
            &self.state_missing,
            &self.bytes_in,
            &self.bytes_out,
        ]
    }

    /// Whether this is the camera's first dead letter for a reason.
    pub(super) fn first_of(&self, code: &'static str) -> bool {
        lock(&self.told).insert(code)
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
        // It is said again only after things were better: half the share.
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

impl ProgressSource for Numbers {
    fn progress(&self) -> Progress {
        let mut counts = Progress::default();
        let lag = self.partitions().iter().map(|(_, p)| p.lag()).sum::<u64>();
        for (_, camera) in self.cameras() {
            counts.done += camera.frames_out.load(Relaxed)
                + camera.kept.load(Relaxed)
                + camera.repeated.load(Relaxed);
            counts.dropped += camera.stale.load(Relaxed);
            counts.failed += camera.dead.load(Relaxed);
        }
        counts.expected = counts.done + counts.dropped + counts.failed + lag;
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_dead_records_are_told_once_until_it_was_better() {
        let numbers = CameraNumbers::default();
        let judge = |dead| numbers.judge(dead, 0.5, 10).is_some();
        assert!((0..9).all(|_| !judge(true)), "too few to tell");
        assert!(judge(true));
        assert!(!judge(true), "it was told");
        assert!((0..10).all(|_| !judge(false)));
        assert_eq!((0..10).filter(|_| judge(true)).count(), 1);
    }

    #[test]
    fn cameras_that_are_gone_are_counted_as_one() {
        let numbers = Numbers::default();
        let [gone, here] = ["gone", "here"].map(|name| name.parse().unwrap());
        numbers.camera(Some(&gone)).frames_in.store(7, Relaxed);
        numbers.camera(Some(&here)).seen();
        numbers.forget_quiet(Duration::from_secs(3600));
        assert!(!numbers.knows(&gone) && numbers.knows(&here));
        assert_eq!(numbers.camera(None).frames_in.load(Relaxed), 7);
    }

    #[test]
    fn ever_new_names_are_counted_as_one() {
        let numbers = Numbers::default();
        for n in 0..MAX_CAMERAS + 50 {
            numbers
                .camera(Some(&format!("cam{n}").parse().unwrap()))
                .frames_in
                .fetch_add(1, Relaxed);
        }
        assert_eq!(numbers.cameras().len(), MAX_CAMERAS + 1);
        assert_eq!(numbers.camera(None).frames_in.load(Relaxed), 50);
    }
}
