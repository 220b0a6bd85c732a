//! Troubles: the reasons why a process cannot work now, by cause.
//!
//! Each trouble has one line in the log when it begins, further lines with a count at growing
//! intervals, and one line when it is over. A process with a trouble is not ready.
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// The times between two lines about one trouble. The last one is repeated.
const WAITS: [Duration; 3] = [
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(600),
];

/// A camera is in trouble after this many lost frames in a row.
const STREAK: u64 = 30;

/// The cause of a trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The broker does not answer.
    Broker,
    /// The topic of frames does not exist, or access is denied.
    Topic,
    /// Files or results cannot be written.
    Output,
    /// Dead letters cannot be sent.
    DeadLetters,
    /// States of cameras, or offsets, cannot be stored.
    State,
    /// All frames of a camera are lost.
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

/// The cause, and the name of the camera if it concerns only one.
type TroubleKey = (Cause, String);

#[derive(Debug)]
struct Trouble {
    message: String,
    since: Instant,
    times: u64,
    /// Lines in the log.
    lines: usize,
    next_line: Instant,
}

/// The troubles of a process now.
#[derive(Debug, Default)]
pub struct Troubles(Mutex<BTreeMap<TroubleKey, Trouble>>);

impl Troubles {
    /// Notes a failure. `message` is a sentence with advice.
    pub fn note(&self, cause: Cause, message: &str) {
        self.note_at((cause, String::new()), message, Instant::now());
    }

    /// Ends the trouble of a cause.
    pub fn over(&self, cause: Cause) {
        self.end(&(cause, String::new()));
    }

    /// Ends the trouble of one camera.
    pub fn over_for(&self, camera: &str) {
        self.end(&(Cause::Camera, camera.to_owned()));
    }

    /// A sentence for each trouble.
    pub fn current(&self) -> Vec<String> {
        let troubles = self.lock();
        troubles
            .values()
            .map(|trouble| trouble.message.clone())
            .collect()
    }

    /// The number of troubles of a cause.
    pub fn count(&self, cause: Cause) -> usize {
        let troubles = self.lock();
        troubles.keys().filter(|(of, _)| *of == cause).count()
    }

    /// Notes a failure. True if it wrote a line to the log.
    fn note_at(&self, key: TroubleKey, message: &str, now: Instant) -> bool {
        let mut troubles = self.lock();
        let trouble = troubles.entry(key).or_insert_with(|| Trouble {
            message: String::new(),
            since: now,
            times: 0,
            lines: 0,
            next_line: now,
        });
        trouble.times += 1;
        message.clone_into(&mut trouble.message);
        if now < trouble.next_line {
            return false;
        }
        let wait = WAITS[trouble.lines.min(WAITS.len() - 1)];
        trouble.lines += 1;
        trouble.next_line = now + wait;
        let (times, since) = (trouble.times, now - trouble.since);
        drop(troubles);
        if times == 1 {
            tracing::error!("{message}");
        } else {
            let since = for_people(since);
            tracing::error!("{message} ({times} times in {since})");
        }
        true
    }

    fn end(&self, key: &TroubleKey) {
        let Some(trouble) = self.lock().remove(key) else {
            return;
        };
        let lasted = for_people(trouble.since.elapsed());
        tracing::info!("over after {lasted}: {}", trouble.message);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TroubleKey, Trouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whole seconds, at least one.
fn for_people(time: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(time.as_secs().max(1)))
}

/// Counts the lost frames of a camera in a row.
#[derive(Debug, Default)]
pub struct Streak(AtomicU64);

impl Streak {
    /// Counts a lost frame. `why` completes the sentence "each of the last frames is ...".
    pub fn lost(&self, camera: &str, why: &str, troubles: &Troubles) {
        let lost = self.0.fetch_add(1, Relaxed) + 1;
        if lost < STREAK {
            return;
        }
        let message = format!(
            "no frame of camera {camera} comes through: each of the last {STREAK} is {why}"
        );
        let key = (Cause::Camera, camera.to_owned());
        troubles.note_at(key, &message, Instant::now());
    }

    /// A frame was not lost: the streak ends.
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
    fn a_trouble_has_a_line_at_its_start_and_fewer_and_fewer_after_it() {
        let troubles = Troubles::default();
        let begun = Instant::now();
        let key = || (Cause::Output, String::new());
        let lines: Vec<u64> = (0..=3600_u64)
            .filter(|s| {
                let now = begun + Duration::from_secs(*s);
                (0..40).any(|_| troubles.note_at(key(), "disk full", now))
            })
            .collect();
        assert_eq!(lines, [0, 10, 70, 670, 1270, 1870, 2470, 3070]);
        assert_eq!(troubles.current(), ["disk full"]);
        assert_eq!(troubles.count(Cause::Output), 1);
        troubles.over(Cause::Output);
        assert!(troubles.current().is_empty());
        let later = begun + Duration::from_secs(3601);
        assert!(troubles.note_at(key(), "disk full", later), "a new trouble");
    }

    #[test]
    fn a_camera_that_loses_frames_in_a_row_is_in_trouble() {
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
