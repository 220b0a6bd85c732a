//! One partition of a topic as this executor knows it: what is remembered of its cameras, from record to record and from task to task.
//!
//! Spark gives a partition's records to tasks: each task has a span of the log, and a span that failed is given once more, to this executor or
//! to another one. A span that is done is not given again once the query's checkpoint says so. So what is remembered is stored at the end of
//! each task, before Spark hears that it is done, under the offset behind its last record: wherever the checkpoint lets the log be taken up
//! again, the version for that place is there.
use crate::{camera::Camera, out_folder::OutFolder, settings::TaskSettings};
use mattebox_core::frame::CameraId;
use mattebox_store::{StoreError, Stream, journal::JournalError};
use std::{
    collections::{HashMap, HashSet, VecDeque, hash_map::Entry},
    sync::Arc,
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
    /// The journal cannot say what a frame is called, so that its file could take another's place.
    #[error("no name can be given to a frame of camera {camera}, and no file is written: {source}")]
    Journal {
        /// Whose frame it is.
        camera: CameraId,
        /// Why.
        source: JournalError,
    },
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

/// What is known of the partition.
pub(crate) struct Partition {
    stream: Stream,
    /// What its topic is known by in the names of frames.
    topic: Arc<str>,
    number: i32,
    /// The task that has it.
    task: i64,
    /// The offset behind its last record.
    next: i64,
    /// The task has had records and has not ended well: what is known of cameras is not stored.
    is_open: bool,
    /// Where the last tasks began that ended well.
    starts: VecDeque<i64>,
    start: i64,
    cameras: HashMap<CameraId, Camera>,
    /// Cameras of which it was said that a file of theirs was kept and differs.
    told: HashSet<CameraId>,
}

impl Partition {
    /// `query` is the id of the streaming query.
    pub(crate) fn new(
        settings: &TaskSettings,
        topic: &str,
        number: i32,
        query: Option<&str>,
    ) -> Self {
        Partition {
            stream: Stream::new(&settings.group, topic, number),
            topic: settings.topic_identity(topic, query).into(),
            number,
            task: i64::MIN,
            next: -1,
            is_open: false,
            starts: VecDeque::new(),
            start: 0,
            cameras: HashMap::new(),
            told: HashSet::new(),
        }
    }

    /// What its topic is known by in the names of frames.
    pub(crate) fn topic(&self) -> Arc<str> {
        self.topic.clone()
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
        folder: &OutFolder,
    ) -> Result<Option<&mut Camera>, TaskError> {
        let there = self.cameras.len();
        let tracked = match self.cameras.entry(camera.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(_) if there >= MAX_CAMERAS => return Ok(None),
            Entry::Vacant(new) => {
                let by = format!("{}/{}", self.topic, self.number);
                let recalled =
                    Camera::recall(camera.clone(), folder, &self.stream, &by, self.next - 1)?;
                new.insert(recalled)
            }
        };
        tracked.touched = true;
        Ok(Some(tracked))
    }

    /// Whether it is the first time that a file of the camera was kept and differs. Beyond as many cameras as are tracked it is not said any
    /// more.
    pub(crate) fn is_first_difference(&mut self, camera: &CameraId) -> bool {
        self.told.len() < MAX_CAMERAS && self.told.insert(camera.clone())
    }

    /// The task has ended well: what is known now is stored, before anybody hears of it. Versions that Spark no longer can go back to are
    /// removed.
    pub(crate) fn complete(
        &mut self,
        task: i64,
        folder: &OutFolder,
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
        let states = &folder.states;
        for (camera, tracked) in self
            .cameras
            .iter_mut()
            .filter(|(_, tracked)| tracked.touched)
        {
            states.save(&self.stream, camera, self.next, &tracked.state.to_bytes())?;
            states.prune(&self.stream, camera, oldest)?;
        }
        let is_many = self.cameras.len() > MAX_AT_HAND;
        self.cameras
            .retain(|_, tracked| std::mem::take(&mut tracked.touched) || !is_many);
        self.is_open = false;
        Ok(())
    }
}
