//! What keeps a process from its work at the moment, by cause.
//!
//! Each cause has one line in the log when it begins, then ever more seldom with a count, and one
//! when it is over. While there is one, the process is not ready.
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// The waits between two lines about one cause. The last one is repeated.
const WAITS: [Duration; 3] = [
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(600),
];

/// Frames in a row that come to nothing until their camera is in trouble.
const STREAK: u64 = 30;

/// What cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The broker does not answer.
    Broker,
    /// The topic of frames is not there, or may not be used.
    Topic,
    /// Files or results cannot be written.
    Output,
    /// Dead letters cannot be sent.
    DeadLetters,
    /// States of cameras, or offsets, cannot be stored.
    State,
    /// No frame of a camera comes through.
    Camera,
}

impl Cause {
    /// All of them.
    pub const ALL: [Cause; 6] = [
        Cause::Broker,
        Cause::Topic,
        Cause::Output,
        Cause::DeadLetters,
        Cause::State,
        Cause::Camera,
    ];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Cause::Broker => "broker",
            Cause::Topic => "topic",
            Cause::Output => "output",
            Cause::DeadLetters => "dead-letters",
            Cause::State => "state",
            Cause::Camera => "camera",
        }
    }
}

/// One cause, and the camera that it is about, if it is about one.
type Key = (Cause, String);

#[derive(Debug)]
struct Trouble {
    what: String,
    since: Instant,
    times: u64,
    said: usize,
    next: Instant,
}

/// All that keeps the process from its work at the moment.
#[derive(Debug, Default)]
pub struct Troubles(Mutex<BTreeMap<Key, Trouble>>);

impl Troubles {
    /// Something failed. `what` says what, and what to do.
    pub fn note(&self, cause: Cause, what: &str) {
        self.note_at((cause, String::new()), what, Instant::now());
    }

    /// It can be done again.
    pub fn over(&self, cause: Cause) {
        self.end(&(cause, String::new()));
    }

    /// The same for one camera.
    pub fn over_for(&self, camera: &str) {
        self.end(&(Cause::Camera, camera.to_owned()));
    }

    /// A sentence for each of them.
    pub fn current(&self) -> Vec<String> {
        let troubles = self.lock();
        troubles.values().map(|t| t.what.clone()).collect()
    }

    /// How many there are of a cause.
    pub fn count(&self, cause: Cause) -> usize {
        let troubles = self.lock();
        troubles.keys().filter(|(of, _)| *of == cause).count()
    }

    /// Notes a failure, and says whether it was said.
    fn note_at(&self, key: Key, what: &str, now: Instant) -> bool {
        let mut troubles = self.lock();
        let trouble = troubles.entry(key).or_insert_with(|| Trouble {
            what: String::new(),
            since: now,
            times: 0,
            said: 0,
            next: now,
        });
        trouble.times += 1;
        what.clone_into(&mut trouble.what);
        if now < trouble.next {
            return false;
        }
        let wait = WAITS[trouble.said.min(WAITS.len() - 1)];
        trouble.said += 1;
        trouble.next = now + wait;
        let (times, since) = (trouble.times, now - trouble.since);
        drop(troubles);
        if times == 1 {
            tracing::error!("{what}");
        } else {
            let since = for_people(since);
            tracing::error!("{what} (the same {times} times in {since})");
        }
        true
    }

    fn end(&self, key: &Key) {
        let Some(trouble) = self.lock().remove(key) else {
            return;
        };
        let lasted = for_people(trouble.since.elapsed());
        tracing::info!("over after {lasted}: {}", trouble.what);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Trouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whole seconds, at least one.
fn for_people(time: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(time.as_secs().max(1)))
}

/// How many frames of a camera came to nothing in a row.
#[derive(Debug, Default)]
pub struct Streak(AtomicU64);

impl Streak {
    /// A frame came to nothing. `why` completes the sentence "each of the last frames is ...".
    pub fn lost(&self, camera: &str, why: &str, troubles: &Troubles) {
        let lost = self.0.fetch_add(1, Relaxed) + 1;
        if lost < STREAK {
            return;
        }
        let what = format!(
            "no frame of camera {camera} comes through: each of the last {STREAK} is {why}"
        );
        let key = (Cause::Camera, camera.to_owned());
        troubles.note_at(key, &what, Instant::now());
    }

    /// A frame came through.
    pub fn came_through(&self, camera: &str, troubles: &Troubles) {
        if self.0.load(Relaxed) > 0 && self.0.swap(0, Relaxed) >= STREAK {
            troubles.over_for(camera);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cause_has_one_line_and_then_ever_fewer() {
        let troubles = Troubles::default();
        let begun = Instant::now();
        let key = || (Cause::Output, String::new());
        let said: Vec<u64> = (0..=3600_u64)
            .filter(|s| {
                let now = begun + Duration::from_secs(*s);
                (0..40).any(|_| troubles.note_at(key(), "disk full", now))
            })
            .collect();
        assert_eq!(said, [0, 10, 70, 670, 1270, 1870, 2470, 3070]);
        assert_eq!(troubles.current(), ["disk full"]);
        assert_eq!(troubles.count(Cause::Output), 1);
        troubles.over(Cause::Output);
        assert!(troubles.current().is_empty());
        let later = begun + Duration::from_secs(3601);
        assert!(troubles.note_at(key(), "disk full", later), "it is news");
    }

    #[test]
    fn a_camera_is_in_trouble_when_frames_in_a_row_come_to_nothing() {
        let troubles = Troubles::default();
        let [good, bad] = [Streak::default(), Streak::default()];
        for _ in 0..STREAK {
            good.lost("good", "late", &troubles);
            good.came_through("good", &troubles);
            bad.lost("bad", "a dead letter", &troubles);
        }
        assert_eq!(
            troubles.current(),
            ["no frame of camera bad comes through: each of the last 30 is a dead letter"]
        );
        bad.came_through("bad", &troubles);
        assert!(troubles.current().is_empty());
    }
}
