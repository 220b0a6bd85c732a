//! Removes old files: on a thread of a command that writes them, or as `mattebox prune`.
//!
//! Both make the same rounds; `mattebox_store::retention` decides which files go.
use crate::config::keep::FolderRetention;
use indicatif::DecimalBytes;
use mattebox_engine::{
    events::Event,
    metrics::{Family, Metrics, Monitor, monitor},
    stop::Stop,
};
use mattebox_store::{
    Retention,
    retention::{PruneRound, Pruner, RetentionError},
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

/// The shortest pause between two rounds.
const PAUSE: Duration = Duration::from_secs(60);
/// The pause is at least this many times as long as the round, which limits the load of reading
/// folders.
const PAUSE_FACTOR: u32 = 20;

/// Counters of removed files. [`FilesRemoved`] writes them.
#[derive(Debug, Default)]
pub struct RetentionCounters {
    files: AtomicU64,
    bytes: AtomicU64,
    failed: AtomicU64,
    /// The first round is done.
    is_ready: AtomicBool,
}

static REMOVED_FILES: Family = Family::counter(
    "mattebox_retention_removed_files_total",
    &[],
    "Old files that were removed.",
);
static REMOVED_BYTES: Family = Family::counter(
    "mattebox_retention_removed_bytes_total",
    &[],
    "Bytes of the removed files.",
);
static FAILED_FILES: Family = Family::counter(
    "mattebox_retention_failed_files_total",
    &[],
    "Tries to remove an old file that failed.",
);

/// The families of retention.
pub static FAMILIES: [&Family; 3] = [&REMOVED_FILES, &REMOVED_BYTES, &FAILED_FILES];

/// Adds the counters to the metrics of a command.
pub(crate) fn register(metrics: &Metrics, counters: &Arc<RetentionCounters>) {
    let counters = counters.clone();
    metrics.add(&FAMILIES, move |samples| {
        for (family, count) in [
            (&REMOVED_FILES, &counters.files),
            (&REMOVED_BYTES, &counters.bytes),
            (&FAILED_FILES, &counters.failed),
        ] {
            samples.add(family, &[], count.load(Relaxed) as f64);
        }
    });
}

/// The metrics of `mattebox prune`, and why it is not ready.
pub(crate) fn monitor(counters: &Arc<RetentionCounters>) -> Monitor {
    let asked = counters.clone();
    let monitor = Monitor::new("prune", move || {
        let has_begun = asked.is_ready.load(Relaxed);
        monitor::unless(has_begun, "the first round is not done yet")
    });
    register(&monitor.metrics, counters);
    monitor
}

/// A round through a folder has removed files, or would with `--dry-run`.
struct FilesRemoved<'a> {
    counters: &'a RetentionCounters,
    folder: &'a Path,
    round: &'a PruneRound,
    is_dry: bool,
}

impl Event for FilesRemoved<'_> {
    fn emit(self) {
        let FilesRemoved {
            counters,
            folder,
            round,
            is_dry,
        } = self;
        if !is_dry {
            counters.files.fetch_add(round.files(), Relaxed);
            counters.bytes.fetch_add(round.bytes(), Relaxed);
            counters.failed.fetch_add(round.failed, Relaxed);
        }
        let folder = folder.display();
        let left = DecimalBytes(round.bytes_left);
        if round.files() == 0 {
            tracing::debug!("retention: nothing to remove from {folder}; {left} stay");
            return;
        }
        let times = round.removed.values();
        let oldest = times.clone().map(|removed| removed.oldest).min();
        let newest = times.map(|removed| removed.newest).max();
        tracing::info!(
            "retention: {} old files ({}) of {} cameras {} from {folder}, written {} to {}; \
             {left} stay",
            round.files(),
            DecimalBytes(round.bytes()),
            round.removed.len(),
            if is_dry { "would go" } else { "are removed" },
            oldest.map(time).unwrap_or_default(),
            newest.map(time).unwrap_or_default(),
        );
    }
}

/// Rounds through the folders of a command.
pub(crate) struct Rounds {
    retention: Retention,
    folders: Vec<PathBuf>,
    is_dry: bool,
    counters: Arc<RetentionCounters>,
    /// Warnings that were logged.
    logged: HashSet<String>,
}

impl Rounds {
    pub(crate) fn new(
        keeping: FolderRetention,
        is_dry: bool,
        counters: Arc<RetentionCounters>,
    ) -> Self {
        Rounds {
            retention: keeping.retention,
            folders: keeping.folders,
            is_dry,
            counters,
            logged: HashSet::new(),
        }
    }

    /// One round through each folder.
    pub(crate) fn round(&mut self, stop: &Stop) -> Result<Vec<PruneRound>, RetentionError> {
        let mut rounds = Vec::new();
        for folder in self.folders.clone() {
            let pruner = Pruner::new(&folder, self.retention, self.is_dry);
            let round = pruner.round(SystemTime::now(), &|| stop.is_stopped())?;
            FilesRemoved {
                counters: &self.counters,
                folder: &folder,
                round: &round,
                is_dry: self.is_dry,
            }
            .emit();
            self.warn_of(&folder, &round);
            rounds.push(round);
        }
        self.counters.is_ready.store(true, Relaxed);
        Ok(rounds)
    }

    /// Logs new warnings about files that stay.
    fn warn_of(&mut self, folder: &Path, round: &PruneRound) {
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
                format!("retention: {link} is a link: its target stays"),
            );
        }
        let is_large = self
            .retention
            .keep_bytes
            .is_some_and(|keep| round.bytes_left > keep);
        self.warn(
            is_large && round.failed == 0 && !self.is_dry,
            format!(
                "retention: {} is larger than --keep-bytes without any frame that can be removed: \
                 other files are in it",
                folder.display()
            ),
        );
    }

    fn warn(&mut self, is_so: bool, message: String) {
        if !is_so {
            self.logged.remove(&message);
        } else if self.logged.insert(message.clone()) {
            tracing::warn!("{message}");
        }
    }

    /// Makes rounds until it is stopped. An error of one round is logged, and the next round
    /// follows.
    pub(crate) fn go_on(&mut self, every: Option<Duration>, stop: &Stop) {
        loop {
            let began = Instant::now();
            match self.round(stop) {
                Ok(_) => {}
                // No file has been written yet.
                Err(error @ RetentionError::NoOutput { is_empty: true, .. }) => {
                    tracing::debug!("{error}");
                }
                Err(error) => self.warn(true, format!("retention: {error}")),
            }
            let pause = every.unwrap_or_else(|| PAUSE.max(began.elapsed() * PAUSE_FACTOR));
            if stop.wait(pause) {
                return;
            }
        }
    }
}

/// A time that people and programs can read.
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
    /// Starts the thread with a round at once.
    pub(crate) fn start(
        keeping: FolderRetention,
        counters: Arc<RetentionCounters>,
    ) -> io::Result<Self> {
        let mut rounds = Rounds::new(keeping, false, counters);
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

    /// Ends the thread. If the command ended by itself, a last round applies the limits to the
    /// final files.
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
