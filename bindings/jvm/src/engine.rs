//! From a record to a file and a row, for every task of an executor.
use crate::{
    partition::{MAX_CAMERAS, Partition, TaskError},
    row::Row,
    settings::{Settings, SettingsError},
    tools::{Target, Tools},
};
use mattebox_core::{
    frame::{FrameNumber, Place},
    matte::MatteState,
};
use mattebox_store::{MemoryDir, OnExisting, StoreError};
use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use thiserror::Error;

/// Why nothing can be made at all.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A setting cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The output folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where a record comes from, and who asks.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// The task's number, which grows from task to task.
    pub task: i64,
}

/// Topics' partitions; each has a lock of its own.
type Partitions = HashMap<(String, i32), Arc<Mutex<Partition>>>;

/// One for all tasks of an executor that have the same settings.
pub struct Engine {
    settings: Settings,
    memories: MemoryDir,
    /// As many as there are threads at work.
    tools: Mutex<Vec<Tools>>,
    partitions: Mutex<Partitions>,
}

impl Engine {
    /// Reads the settings and what they name, and makes the output folder.
    pub fn open(settings: &str) -> Result<Self, OpenError> {
        let settings = Settings::from_json(settings)?;
        let memories = MemoryDir::open(&settings.out)?.durable(settings.fsync);
        Ok(Engine {
            memories,
            settings,
            tools: Mutex::default(),
            partitions: Mutex::default(),
        })
    }

    /// Makes a record's file. Whatever the record holds, the answer is a row; an error means that this task has to be done again.
    pub fn frame(
        &self,
        origin: Origin<'_>,
        record: &mattebox_wire::Record<'_>,
    ) -> Result<Row, TaskError> {
        let partition = self.partition(origin.topic, origin.partition);
        let mut partition = lock(&partition);
        partition.enter(origin.task, origin.offset)?;
        let frame = match mattebox_wire::read(record) {
            Ok(frame) => frame,
            Err(error) => {
                // The key tells whose record it was, where it is a camera's name.
                let camera = record
                    .key
                    .and_then(|key| std::str::from_utf8(key).ok()?.parse().ok());
                return Ok(Row {
                    camera,
                    ..Row::dead(error.code(), error.to_string())
                });
            }
        };
        let settings = &self.settings;
        let Some(tracked) =
            partition.track(&frame.camera, &settings.out, &self.memories, settings.fsync)?
        else {
            let message = format!("there are {MAX_CAMERAS} other cameras in its partition");
            return Ok(Row {
                camera: Some(frame.camera),
                ..Row::dead("too-many-cameras", message)
            });
        };
        let place = tracked.memory.numbering.place(frame.number, frame.time);
        let is_late = matches!(place, Place::Late(_));
        let on_existing = if is_late {
            OnExisting::Skip
        } else {
            settings.on_existing
        };
        let target = Target {
            files: &tracked.files,
            number: place.number(),
            on_existing,
        };
        // A late frame is made by itself, and so is every frame with the hard matte.
        let mut nothing = MatteState::default();
        let state = if is_late || !settings.remembers() {
            &mut nothing
        } else {
            &mut tracked.memory.matte
        };
        let mut tools = match lock(&self.tools).pop() {
            Some(tools) => tools,
            None => Tools::new(settings)?,
        };
        let made = catch_unwind(AssertUnwindSafe(|| {
            tools.make(settings, &frame, &target, state)
        }));
        let row = match made {
            Ok(row) => {
                lock(&self.tools).push(tools);
                row?
            }
            Err(_) => {
                // Fail closed. What the panic left behind in buffers and state is not to be trusted.
                *state = MatteState::default();
                let message =
                    "it could not be processed; this is a fault of mattebox, please report it";
                Row::dead("internal-error", message.to_owned())
            }
        };
        let headers = match row.picture {
            Some(_) => headers(settings, record, &frame, place.number(), row.size),
            None => Vec::new(),
        };
        Ok(Row {
            frame: Some(place.number()),
            time: Some(frame.time),
            camera: Some(frame.camera),
            headers,
            ..row
        })
    }

    /// A task has ended well: stores what its partition's cameras are remembered by.
    pub fn complete(&self, topic: &str, partition: i32, task: i64) -> Result<(), TaskError> {
        let partition = self.partition(topic, partition);
        lock(&partition).complete(task, &self.memories, self.settings.keep)
    }

    fn partition(&self, topic: &str, number: i32) -> Arc<Mutex<Partition>> {
        let mut partitions = lock(&self.partitions);
        let new = || Arc::new(Mutex::new(Partition::new(&self.settings, topic, number)));
        partitions
            .entry((topic.to_owned(), number))
            .or_insert_with(new)
            .clone()
    }
}

/// The headers of a result: a worker with the same settings gives the same.
fn headers(
    settings: &Settings,
    record: &mattebox_wire::Record<'_>,
    frame: &mattebox_wire::FrameRecord<'_>,
    number: FrameNumber,
    (width, height): (u32, u32),
) -> Vec<(&'static str, String)> {
    let mut headers = mattebox_wire::result_headers(&mattebox_wire::ResultMeta {
        camera: &frame.camera,
        session: frame.session,
        number,
        time: frame.time,
        width,
        height,
        format: settings.recipe.format,
        model_sha256: settings.recipe.model.sha256(),
        settings: &settings.settings_hash,
    });
    headers.extend(
        mattebox_wire::trace_headers(record)
            .into_iter()
            .map(|(name, value)| (name, value.to_owned())),
    );
    headers
}

/// A panic elsewhere does not end the other tasks: what it may have left in a partition is cleared by the next task.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
