//! The counts of frames, the same in every command: docs/design/events.md.
use super::{Family, Metrics, Samples};
use crate::latency::{Latency, Times};
use serde::Serialize;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};
#[cfg(feature = "view")]
use utoipa::ToSchema;

/// Why a frame was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// Newer frames of its camera waited.
    Behind,
    /// The broker was away for longer than `--buffer-frames` frames.
    Buffer,
    /// It was older than `--max-age`.
    Stale,
    /// The process was stopped, or its output had failed.
    Stopped,
}

impl DropReason {
    /// All reasons.
    pub const ALL: [DropReason; 4] = [
        DropReason::Behind,
        DropReason::Buffer,
        DropReason::Stale,
        DropReason::Stopped,
    ];

    /// Its name in JSON and metrics.
    pub fn name(self) -> &'static str {
        match self {
            DropReason::Behind => "behind",
            DropReason::Buffer => "buffer",
            DropReason::Stale => "stale",
            DropReason::Stopped => "stopped",
        }
    }
}

/// Why a frame was skipped, which is no loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// Its file exists and is kept.
    Exists,
    /// Its record came before, such as a delivery that was repeated.
    Repeated,
    /// It is not written, and no viewer looks (`--out none`).
    Unseen,
}

impl SkipReason {
    /// All reasons.
    pub const ALL: [SkipReason; 3] = [SkipReason::Exists, SkipReason::Repeated, SkipReason::Unseen];

    /// Its name in JSON and metrics.
    pub fn name(self) -> &'static str {
        match self {
            SkipReason::Exists => "exists",
            SkipReason::Repeated => "repeated",
            SkipReason::Unseen => "unseen",
        }
    }
}

/// Counters of the frames of one camera. The events of [`crate::events`] write them.
#[derive(Debug)]
pub struct FrameCounters {
    /// The camera's name, for log lines.
    pub camera: Arc<str>,
    pub(crate) read: AtomicU64,
    pub(crate) matted: AtomicU64,
    pub(crate) still: AtomicU64,
    pub(crate) written: AtomicU64,
    pub(crate) skipped: [AtomicU64; SkipReason::ALL.len()],
    pub(crate) dropped: [AtomicU64; DropReason::ALL.len()],
    pub(crate) dead: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) read_bytes: AtomicU64,
    pub(crate) written_bytes: AtomicU64,
    pub(crate) latency: Latency,
}

impl FrameCounters {
    /// Counters of a camera, all 0.
    pub fn new(camera: impl Into<Arc<str>>) -> Self {
        FrameCounters {
            camera: camera.into(),
            read: AtomicU64::default(),
            matted: AtomicU64::default(),
            still: AtomicU64::default(),
            written: AtomicU64::default(),
            skipped: Default::default(),
            dropped: Default::default(),
            dead: AtomicU64::default(),
            failed: AtomicU64::default(),
            read_bytes: AtomicU64::default(),
            written_bytes: AtomicU64::default(),
            latency: Latency::default(),
        }
    }

    /// The counts now.
    pub fn counts(&self) -> FrameCounts {
        FrameCounts {
            read: self.read.load(Relaxed),
            matted: self.matted.load(Relaxed),
            written: self.written.load(Relaxed),
            skipped: self.skipped.iter().map(|count| count.load(Relaxed)).sum(),
            dropped: DroppedFrames {
                behind: self.dropped(DropReason::Behind),
                buffer: self.dropped(DropReason::Buffer),
                stale: self.dropped(DropReason::Stale),
                stopped: self.dropped(DropReason::Stopped),
            },
            dead: self.dead.load(Relaxed),
            failed: self.failed.load(Relaxed),
        }
    }

    /// Frames dropped for a reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize].load(Relaxed)
    }

    /// Frames skipped for a reason.
    pub fn skipped(&self, reason: SkipReason) -> u64 {
        self.skipped[reason as usize].load(Relaxed)
    }

    /// Frames like the one before, whose matte was used again (`--skip-still`).
    pub fn still(&self) -> u64 {
        self.still.load(Relaxed)
    }

    /// Bytes of the encoded frames that were read.
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes.load(Relaxed)
    }

    /// Bytes of the files, records or results that were written.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes.load(Relaxed)
    }

    /// Latencies, from capture or reading to writing.
    pub fn times(&self) -> Times {
        self.latency.times()
    }

    /// Adds the counts of another camera, but not its latencies.
    pub fn add(&self, other: &FrameCounters) {
        for (ours, theirs) in self.all().zip(other.all()) {
            ours.fetch_add(theirs.load(Relaxed), Relaxed);
        }
    }

    fn all(&self) -> impl Iterator<Item = &AtomicU64> {
        let single = [
            &self.read,
            &self.matted,
            &self.still,
            &self.written,
            &self.dead,
            &self.failed,
            &self.read_bytes,
            &self.written_bytes,
        ];
        single.into_iter().chain(&self.skipped).chain(&self.dropped)
    }
}

/// Counts of frames at one moment. Once nothing is in flight, `read` is the sum of `written`,
/// `skipped`, `dropped`, `dead` and `failed`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "view", derive(ToSchema))]
pub struct FrameCounts {
    /// Frames that the source or the topic gave.
    pub read: u64,
    /// Frames whose matte was made, also those that used the last one again.
    pub matted: u64,
    /// Frames in their file, video, stream or topic, or on the page.
    pub written: u64,
    /// Frames whose file existed, whose record came before, or that no viewer saw.
    pub skipped: u64,
    /// Frames dropped, by reason.
    pub dropped: DroppedFrames,
    /// Records that became dead letters.
    pub dead: u64,
    /// Frames that could not be read, matted or written.
    pub failed: u64,
}

/// Dropped frames by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "view", derive(ToSchema))]
pub struct DroppedFrames {
    /// Newer frames waited.
    pub behind: u64,
    /// The broker was away for longer than `--buffer-frames` frames.
    pub buffer: u64,
    /// Older than `--max-age`.
    pub stale: u64,
    /// The process was stopped, or the output had failed.
    pub stopped: u64,
}

impl DroppedFrames {
    /// All reasons together.
    pub fn total(self) -> u64 {
        self.behind + self.buffer + self.stale + self.stopped
    }
}

impl FrameCounts {
    /// Adds the counts of another camera.
    pub fn add(&mut self, other: FrameCounts) {
        let FrameCounts {
            read,
            matted,
            written,
            skipped,
            dropped,
            dead,
            failed,
        } = other;
        self.read += read;
        self.matted += matted;
        self.written += written;
        self.skipped += skipped;
        self.dropped.behind += dropped.behind;
        self.dropped.buffer += dropped.buffer;
        self.dropped.stale += dropped.stale;
        self.dropped.stopped += dropped.stopped;
        self.dead += dead;
        self.failed += failed;
    }

    /// Headers of [`FrameCounts::cells`] in the tables of `--stats`.
    pub const COLUMNS: [&'static str; 7] = [
        "read", "matted", "written", "skipped", "dropped", "dead", "failed",
    ];

    /// The counts as cells of a table.
    pub fn cells(self) -> [String; 7] {
        [
            self.read,
            self.matted,
            self.written,
            self.skipped,
            self.dropped.total(),
            self.dead,
            self.failed,
        ]
        .map(|count| count.to_string())
    }

    /// The frames that were not written, for the last line of a command:
    /// `, 3 dropped, because newer ones waited, 1 failed`.
    pub fn not_written(self) -> String {
        let notes = [
            (self.skipped, "skipped, because they are there already"),
            (self.dropped.behind, "dropped, because newer ones waited"),
            (
                self.dropped.buffer,
                "dropped, because the broker did not take them in time",
            ),
            (
                self.dropped.stale,
                "dropped, because they were older than --max-age",
            ),
            (self.dropped.stopped, "dropped at the end"),
            (self.dead, "dead letters (`mattebox dead-letters list`)"),
            (self.failed, "failed"),
        ];
        let notes = notes.iter().filter(|(count, _)| *count > 0);
        notes
            .map(|(count, note)| format!(", {count} {note}"))
            .collect()
    }

    /// Frames written or skipped.
    pub fn done(self) -> u64 {
        self.written + self.skipped
    }
}

/// Frames by outcome.
pub static FRAMES: Family = Family::counter(
    "mattebox_frames_total",
    &["camera", "outcome"],
    "Frames by outcome: read, matted, written, skipped, dropped, dead, failed. Once none is in \
     flight, read = written + skipped + dropped + dead + failed.",
);
/// Dropped frames by reason.
pub static DROPPED: Family = Family::counter(
    "mattebox_frames_dropped_total",
    &["camera", "reason"],
    "Dropped frames by reason: behind (newer ones waited), buffer (the broker was away for longer \
     than --buffer-frames), stale (older than --max-age), stopped.",
);
/// Skipped frames by reason.
pub static SKIPPED: Family = Family::counter(
    "mattebox_frames_skipped_total",
    &["camera", "reason"],
    "Skipped frames by reason: exists (the file is kept), repeated (the record came before), \
     unseen (no viewer looks, --out none).",
);
/// Frames whose matte was used again.
pub static STILL: Family = Family::counter(
    "mattebox_frames_still_total",
    &["camera"],
    "Frames that used the last matte again, because nothing moved.",
);
/// Latency.
pub static LATENCY: Family = Family::histogram(
    "mattebox_frame_latency_seconds",
    &["camera"],
    "From when a frame was captured or read to when it was written.",
);
/// Bytes in.
pub static READ_BYTES: Family = Family::counter(
    "mattebox_read_bytes_total",
    &["camera"],
    "Bytes of the records that were read.",
);
/// Bytes out.
pub static WRITTEN_BYTES: Family = Family::counter(
    "mattebox_written_bytes_total",
    &["camera"],
    "Bytes of the files, records or results that were written.",
);

/// The families of [`register`].
pub static FAMILIES: [&Family; 7] = [
    &FRAMES,
    &DROPPED,
    &SKIPPED,
    &STILL,
    &LATENCY,
    &READ_BYTES,
    &WRITTEN_BYTES,
];

/// Adds the families to the metrics of a command; each scrape asks for its `cameras`.
pub fn register(
    metrics: &Metrics,
    cameras: impl Fn() -> Vec<Arc<FrameCounters>> + Send + Sync + 'static,
) {
    metrics.add(&FAMILIES, move |samples| {
        cameras().iter().for_each(|frames| collect(samples, frames));
    });
}

/// Adds the samples of one camera.
fn collect(samples: &mut Samples, frames: &FrameCounters) {
    let camera = &*frames.camera;
    let counts = frames.counts();
    for (outcome, count) in [
        ("read", counts.read),
        ("matted", counts.matted),
        ("written", counts.written),
        ("skipped", counts.skipped),
        ("dropped", counts.dropped.total()),
        ("dead", counts.dead),
        ("failed", counts.failed),
    ] {
        samples.add(&FRAMES, &[camera, outcome], count as f64);
    }
    for reason in DropReason::ALL {
        let count = frames.dropped(reason) as f64;
        samples.add(&DROPPED, &[camera, reason.name()], count);
    }
    for reason in SkipReason::ALL {
        let count = frames.skipped(reason) as f64;
        samples.add(&SKIPPED, &[camera, reason.name()], count);
    }
    samples.add(&STILL, &[camera], frames.still() as f64);
    samples.add(&READ_BYTES, &[camera], frames.read_bytes() as f64);
    samples.add(&WRITTEN_BYTES, &[camera], frames.written_bytes() as f64);
    samples.add_times(&LATENCY, &[camera], &frames.times());
}
