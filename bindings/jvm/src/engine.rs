//! From a record to a file and a row, for every task of an executor.
use crate::{
    partition::{MAX_CAMERAS, Partition, TaskError},
    row::{Row, Status},
    settings::{SettingsError, TaskSettings},
};
use mattebox_core::{
    frame::{CameraId, FrameNumber, Place, Timestamp},
    matte::MatteState,
};
use mattebox_engine::{
    Frame, FramePicture, FrameProcessor, MattedFrame, latency::age_us, trace::Span,
};
use mattebox_store::{FrameDir, OnExisting, Outcome, StateStore, StoreError};
use mattebox_wire::{DeadLetter, FrameStatus, MAX_HEADERS, OutgoingRecord, Record, ResultPicture};
use std::{
    collections::HashMap,
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

/// Where a record comes from, and which task asks.
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
pub struct TaskEngine {
    settings: TaskSettings,
    memories: StateStore,
    /// As many as there are threads at work.
    processors: Mutex<Vec<FrameProcessor>>,
    partitions: Mutex<Partitions>,
}

impl TaskEngine {
    /// Reads the settings and what they name, and makes the output folder.
    pub fn open(settings: &str) -> Result<Self, OpenError> {
        let settings = TaskSettings::from_json(settings)?;
        let memories = StateStore::open(&settings.out)?.durable(settings.fsync);
        Ok(TaskEngine {
            memories,
            settings,
            processors: Mutex::default(),
            partitions: Mutex::default(),
        })
    }

    /// Makes a record's file. Whatever the record holds, the answer is a row; an error means that this task has to be done again.
    pub fn frame(&self, origin: Origin<'_>, record: &Record<'_>) -> Result<Row, TaskError> {
        // A dead letter keeps all headers, but no more than these are read.
        let record = &Record {
            headers: &record.headers[..record.headers.len().min(MAX_HEADERS)],
            ..*record
        };
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
            settings,
            files: &tracked.files,
            number: place.number(),
            time: frame.time,
            on_existing,
        };
        // A late frame is processed by itself, and so is every frame with the hard matte.
        let mut nothing = MatteState::default();
        let state = if is_late || !settings.frame.has_state() {
            &mut nothing
        } else {
            &mut tracked.memory.matte
        };
        let mut processor = match lock(&self.processors).pop() {
            Some(processor) => processor,
            None => FrameProcessor::new(&settings.engine, &settings.frame)?,
        };
        let processed = processor.process(
            Frame {
                settings: &settings.frame,
                picture: FramePicture::Encoded(frame.picture()),
                time: frame.time,
                state,
                background: None,
                span: &Span::default(),
            },
            |matted| target.write(matted),
        );
        if processor.lost().is_none() {
            lock(&self.processors).push(processor);
        }
        let row = match processed.into_result() {
            Ok(row) => row?,
            Err(rejection) => Row::dead(rejection.code, rejection.message),
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

    /// The records to publish for `row`, which [`TaskEngine::frame`] gave for `record`: none unless
    /// the settings name topics.
    pub fn publish<'a>(
        &'a self,
        origin: Origin<'a>,
        record: &Record<'a>,
        row: &'a Row,
    ) -> Vec<OutgoingRecord<'a>> {
        let Some(topics) = &self.settings.publish else {
            return Vec::new();
        };
        if let Some((code, message)) = &row.fault {
            let letter = DeadLetter {
                code,
                message,
                topic: origin.topic,
                partition: origin.partition,
                offset: origin.offset,
            };
            return vec![topics.dead_letter(record, &letter)];
        }
        let status = FrameStatus {
            camera: row.camera.as_ref().map(CameraId::as_str),
            frame: row.frame.map(|frame| frame.0),
            status: row.status.name(),
            path: row.path.as_deref(),
            bytes: row.bytes,
            width: row.size.0,
            height: row.size.1,
            taken_us: row.time.map(|time| time.0),
            latency_ms: row.latency_us.map(|latency| latency as f64 / 1000.0),
            topic: origin.topic,
            partition: origin.partition,
            offset: origin.offset,
        };
        let picture = row.picture.as_ref().map(|bytes| ResultPicture {
            bytes,
            headers: &row.headers,
        });
        topics.frame(record, &status, picture)
    }

    /// A row and its records to publish, for `Result.java`.
    pub fn pack(&self, origin: Origin<'_>, record: &Record<'_>, row: &Row) -> Vec<u8> {
        let publish = self.publish(origin, record, row);
        row.to_bytes(self.settings.picture, &publish)
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

/// A frame's file, and what it may do to a file that is there.
struct Target<'a> {
    settings: &'a TaskSettings,
    files: &'a FrameDir,
    number: FrameNumber,
    time: Timestamp,
    on_existing: OnExisting,
}

impl Target<'_> {
    /// Writes the file. An error is the disk's: a record that cannot be a frame is a row.
    fn write(&self, matted: &mut MattedFrame<'_>) -> Result<Row, StoreError> {
        let size = matted.picture().dimensions();
        let encoded = match matted.encode() {
            Ok(encoded) => encoded,
            Err(rejection) => return Ok(Row::dead(rejection.code, rejection.message)),
        };
        let extension = self.settings.frame.format.extension();
        let status = match self
            .files
            .write(self.number, extension, encoded, self.on_existing)?
        {
            Outcome::Written => Status::Written,
            Outcome::Skipped => Status::Kept,
        };
        let path = self.files.path(self.number, extension);
        Ok(Row {
            status,
            camera: None,
            frame: None,
            time: None,
            latency_us: Some(age_us(self.time)),
            size,
            bytes: encoded.len(),
            path: Some(path.to_string_lossy().into_owned()),
            fault: None,
            picture: self.settings.needs_picture().then(|| encoded.to_vec()),
            headers: Vec::new(),
        })
    }
}

/// The headers of a result: a worker with the same settings gives the same.
fn headers(
    settings: &TaskSettings,
    record: &Record<'_>,
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
        format: settings.frame.format,
        model_sha256: &settings.model_sha256,
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
