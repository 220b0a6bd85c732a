//! One partition of a topic as this executor knows it: what is remembered of its cameras, from record to record and from task to task.
//!
//! Spark gives a partition's records to tasks: each task has a span of the log, and a span that failed is given once more, to this executor or
//! to another one. A span that is done is not given again once the query's checkpoint says so. So what is remembered is stored at the end of
//! each task, before Spark hears that it is done, under the offset behind its last record: wherever the checkpoint lets the log be taken up
//! again, the version for that place is there.
use crate::settings::TaskSettings;
use mattebox_core::frame::CameraId;
use mattebox_store::{CameraState, FrameDir, StateStore, StoreError, StoredState, Stream};
use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    path::Path,
};
use thiserror::Error;

/// Cameras of a partition, at most: whoever sends pictures under ever new names does not fill the memory.
pub(crate) const MAX_CAMERAS: usize = 1024;
/// Cameras of a partition that are kept at hand from task to task. More than that are kept while they have frames.
const MAX_AT_HAND: usize = 64;

/// Why a task cannot go on. Spark does it again.
#[derive(Debug, Error)]
pub enum TaskError {
    /// A file or what is remembered cannot be written or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Two attempts at once.
    #[error(
        "task {old} was overtaken by task {new}: the same records are not worked on twice at once (spark.speculation must be off)"
    )]
    Overtaken {
        /// The task that asks.
        old: i64,
        /// The one that came after it.
        new: i64,
    },
    /// The tools cannot be made.
    #[error(transparent)]
    Start(#[from] mattebox_engine::StartError),
}

/// A camera of the partition.
pub(crate) struct Tracked {
    pub(crate) memory: CameraState,
    pub(crate) files: FrameDir,
    touched: bool,
}

/// What is known of the partition.
pub(crate) struct Partition {
    stream: Stream,
    /// The task that has it.
    task: i64,
    /// The offset behind its last record.
    next: i64,
    /// The task has had records and has not ended well: what is known of cameras is not stored.
    is_open: bool,
    /// Where the last tasks began that ended well.
    starts: VecDeque<i64>,
    start: i64,
    cameras: HashMap<CameraId, Tracked>,
}

impl Partition {
    pub(crate) fn new(settings: &TaskSettings, topic: &str, number: i32) -> Self {
        Partition {
            stream: Stream::new(&settings.group, topic, number),
            task: i64::MIN,
            next: -1,
            is_open: false,
            starts: VecDeque::new(),
            start: 0,
            cameras: HashMap::new(),
        }
    }

    /// A task has a record.
    pub(crate) fn enter(&mut self, task: i64, offset: i64) -> Result<(), TaskError> {
        if task < self.task {
            return Err(TaskError::Overtaken {
                old: task,
                new: self.task,
            });
        }
        let is_new = task > self.task;
        // Another executor may have had it in between, or the task before came to grief: then only what is stored counts.
        if (is_new && (self.is_open || offset != self.next)) || offset < self.next {
            self.cameras.clear();
        }
        if is_new {
            self.start = offset;
        }
        self.task = task;
        self.next = offset + 1;
        self.is_open = true;
        Ok(())
    }

    /// What is remembered of a camera before the record at hand. None if there are too many cameras.
    pub(crate) fn track(
        &mut self,
        camera: &CameraId,
        out: &Path,
        memories: &StateStore,
        fsync: bool,
    ) -> Result<Option<&mut Tracked>, TaskError> {
        let there = self.cameras.len();
        let tracked = match self.cameras.entry(camera.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(_) if there >= MAX_CAMERAS => return Ok(None),
            Entry::Vacant(new) => {
                let offset = self.next - 1;
                let memory = match memories.recall(&self.stream, camera, offset)? {
                    StoredState::Missing => CameraState::default(),
                    StoredState::Known(memory) => memory,
                    StoredState::Unreadable { memory, problem } => {
                        // It goes to the executor's log.
                        eprintln!(
                            "mattebox: WARN camera {camera}, offset {offset}: the camera's stored state cannot be read: its matte begins \
                             again, and its frames get numbers above every file that it has: {problem}"
                        );
                        memory
                    }
                };
                let files = FrameDir::open(out, camera)?.durable(fsync)?;
                new.insert(Tracked {
                    memory,
                    files,
                    touched: false,
                })
            }
        };
        tracked.touched = true;
        Ok(Some(tracked))
    }

    /// The task has ended well: what is known now is stored, before anybody hears of it. Versions that Spark no longer can go back to are
    /// removed.
    pub(crate) fn complete(
        &mut self,
        task: i64,
        memories: &StateStore,
        keep: usize,
    ) -> Result<(), TaskError> {
        if task != self.task || !self.is_open {
            return Ok(());
        }
        self.starts.push_back(self.start);
        while self.starts.len() > keep {
            self.starts.pop_front();
        }
        let oldest = self.starts.front().copied().unwrap_or(self.start);
        for (camera, tracked) in self
            .cameras
            .iter_mut()
            .filter(|(_, tracked)| tracked.touched)
        {
            memories.save(&self.stream, camera, self.next, &tracked.memory.to_bytes())?;
            memories.prune(&self.stream, camera, oldest)?;
        }
        let is_many = self.cameras.len() > MAX_AT_HAND;
        self.cameras
            .retain(|_, tracked| std::mem::take(&mut tracked.touched) || !is_many);
        self.is_open = false;
        Ok(())
    }
}
