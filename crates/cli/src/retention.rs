//! Old files are removed: beside a command that writes them, in a thread of its own, or by `mattebox prune`.
//!
//! Both make the same rounds; what a round removes is decided in `mattebox_store::retention`.
use crate::config::keep::Keeping;
use indicatif::DecimalBytes;
use mattebox_engine::stop::Stop;
use mattebox_store::{
    Retention,
    retention::{Pruner, RetentionError, Round},
};
use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

/// From the end of a round to the next one, at least.
const PAUSE: Duration = Duration::from_secs(60);
/// And so many times as long as the round took: looking through folders costs little of a machine.
const SHARE: u32 = 20;

/// What was removed so far.
#[derive(Debug, Default)]
pub struct RetentionNumbers {
    /// Files.
    pub files: AtomicU64,
    /// Their bytes.
    pub bytes: AtomicU64,
    /// Files that could not be removed.
    pub failed: AtomicU64,
    /// A round was done.
    pub is_ready: AtomicBool,
}

/// Rounds through the folders of a command.
pub(crate) struct Rounds {
    retention: Retention,
    folders: Vec<PathBuf>,
    is_dry: bool,
    numbers: Arc<RetentionNumbers>,
    /// Warnings that were given.
    told: HashSet<String>,
}

impl Rounds {
    pub(crate) fn new(keeping: Keeping, is_dry: bool, numbers: Arc<RetentionNumbers>) -> Self {
        Rounds {
            retention: keeping.retention,
            folders: keeping.folders,
            is_dry,
            numbers,
            told: HashSet::new(),
        }
    }

    /// One round through each folder.
    pub(crate) fn round(&mut self, stop: &Stop) -> Result<Vec<Round>, RetentionError> {
        let mut rounds = Vec::new();
        for folder in self.folders.clone() {
            let pruner = Pruner::new(&folder, self.retention, self.is_dry);
            let round = pruner.round(SystemTime::now(), &|| stop.is_stopped())?;
            if !self.is_dry {
                self.numbers.files.fetch_add(round.files(), Relaxed);
                self.numbers.bytes.fetch_add(round.bytes(), Relaxed);
                self.numbers.failed.fetch_add(round.failed, Relaxed);
            }
            self.tell(&folder, &round);
            rounds.push(round);
        }
        self.numbers.is_ready.store(true, Relaxed);
        Ok(rounds)
    }

    /// One line for a round, and warnings when they are new.
    fn tell(&mut self, folder: &Path, round: &Round) {
        let place = folder.display();
        let left = DecimalBytes(round.bytes_left);
        if round.files() > 0 {
            let times = round.removed.values();
            let oldest = times.clone().map(|removed| removed.oldest).min();
            let newest = times.map(|removed| removed.newest).max();
            let verb = if self.is_dry {
                "would go"
            } else {
                "are removed"
            };
            tracing::info!(
                "retention: {} old files ({}) of {} cameras {verb} from {place}, written {} to {}; {left} stay",
                round.files(),
                DecimalBytes(round.bytes()),
                round.removed.len(),
                oldest.map(time).unwrap_or_default(),
                newest.map(time).unwrap_or_default(),
            );
        } else {
            tracing::debug!("retention: nothing to remove from {place}; {left} stay");
        }
        if let Some(failure) = &round.failure {
            let failed = round.failed;
            self.warn(
                failed > 0,
                format!("retention: {failed} old files stay: {failure}"),
            );
        }
        for link in &round.links {
            let link = link.display();
            self.warn(
                true,
                format!("retention: {link} is a link: what is behind it stays"),
            );
        }
        let is_large = self
            .retention
            .keep_bytes
            .is_some_and(|keep| round.bytes_left > keep);
        self.warn(
            is_large && round.failed == 0 && !self.is_dry,
            format!(
                "retention: {place} is larger than --keep-bytes without any frame that can go: other files are in it"
            ),
        );
    }

    fn warn(&mut self, is_so: bool, message: String) {
        if !is_so {
            self.told.remove(&message);
        } else if self.told.insert(message.clone()) {
            tracing::warn!("{message}");
        }
    }

    /// Rounds until it is stopped. What hinders one round is told, and the next one comes.
    pub(crate) fn go_on(&mut self, every: Option<Duration>, stop: &Stop) {
        loop {
            let began = Instant::now();
            match self.round(stop) {
                Ok(_) => {}
                // The first writer has not come yet.
                Err(error @ RetentionError::NoOutput { is_empty: true, .. }) => {
                    tracing::debug!("{error}");
                }
                Err(error) => self.warn(true, format!("retention: {error}")),
            }
            let pause = every.unwrap_or_else(|| PAUSE.max(began.elapsed() * SHARE));
            if stop.wait(pause) {
                return;
            }
        }
    }
}

/// A moment as people and programs read it.
pub(crate) fn time(at: SystemTime) -> String {
    let at = jiff::Timestamp::try_from(at).unwrap_or_default();
    format!("{at:.0}")
}

/// Removes old files while a command writes new ones.
pub(crate) struct Retainer {
    thread: JoinHandle<Rounds>,
    stop: Stop,
}

impl Retainer {
    /// Begins with a round at once.
    pub(crate) fn start(keeping: Keeping, numbers: Arc<RetentionNumbers>) -> io::Result<Self> {
        let mut rounds = Rounds::new(keeping, false, numbers);
        let stop = Stop::new();
        let stopped = stop.clone();
        let thread = thread::Builder::new()
            .name("retention".to_owned())
            .spawn(move || {
                rounds.go_on(None, &stopped);
                rounds
            })?;
        Ok(Retainer { thread, stop })
    }

    /// Ends the thread. Where the command has ended by itself, a last round leaves the folder as it was asked for.
    pub(crate) fn finish(self, is_last_round: bool) {
        self.stop.stop();
        let Ok(mut rounds) = self.thread.join() else {
            return;
        };
        if is_last_round && let Err(error) = rounds.round(&Stop::new()) {
            tracing::warn!("retention: {error}");
        }
    }
}
