//! From a record to a file and a row, for every task of an executor.
use crate::{
    camera::Naming,
    out_folder::OutFolder,
    partition::{MAX_CAMERAS, PartitionState, TaskError},
    row::{ResultRow, RowStatus},
    settings::{SettingsError, TaskSettings, one_line},
    state_objects::{self, StateObject},
};
use image::RgbImage;
use mattebox_core::{
    frame::{CameraId, FrameNumber, RecordIdentity, Timestamp},
    matte::MatteState,
};
use mattebox_engine::{
    FrameInput, FramePicture, FrameProcessor, FrameSettings, MattedFrame, StartError,
    latency::age_us, trace::Span,
};
use mattebox_store::{FrameDir, OnExisting, Outcome, OwnerError, StoreError};
use mattebox_wire::{
    DeadLetter, FrameRecord, FrameStatus, MAX_HEADERS, OutgoingRecord, Record, ResultPicture,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use thiserror::Error;

/// Why an engine cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// A setting cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The output folder cannot be used, or belongs to another job.
    #[error(transparent)]
    Folder(#[from] OwnerError),
}

/// The place of a record, and the task that reads it.
#[derive(Debug, Clone, Copy)]
pub struct RecordOrigin<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// The number of the attempt at the task, which grows from attempt to attempt.
    pub task: i64,
}

/// The partitions of all topics, each with its lock.
type PartitionTable = HashMap<(String, i32), Arc<Mutex<PartitionState>>>;

/// A processor with its buffer, for one thread at a time.
struct PooledProcessor {
    processor: FrameProcessor,
    /// The decoded picture of the current record.
    picture: RgbImage,
}

impl PooledProcessor {
    fn new(settings: &TaskSettings) -> Result<Self, StartError> {
        Ok(PooledProcessor {
            processor: FrameProcessor::new(&settings.engine, &settings.frame)?,
            picture: RgbImage::default(),
        })
    }
}

/// Shared by all tasks of an executor that have the same settings and query.
pub struct TaskEngine {
    settings: TaskSettings,
    query: Option<String>,
    folder: OutFolder,
    /// The processors that no thread uses now.
    processors: Mutex<Vec<PooledProcessor>>,
    partitions: Mutex<PartitionTable>,
}

impl TaskEngine {
    /// Reads the settings and the files that they name, and claims the output folder for the job.
    /// `query` is the id of the streaming query, which its checkpoint keeps.
    pub fn open(settings: &str, query: Option<&str>) -> Result<Self, OpenError> {
        let settings = TaskSettings::from_json(settings)?;
        Ok(TaskEngine {
            folder: OutFolder::open(&settings)?,
            settings,
            query: query.map(str::to_owned),
            processors: Mutex::default(),
            partitions: Mutex::default(),
        })
    }

    /// Checks settings as [`TaskEngine::open`] does, and creates nothing.
    pub fn check(settings: &str) -> Result<(), OpenError> {
        Ok(OutFolder::check(&TaskSettings::from_json(settings)?)?)
    }

    /// Writes the file of a record. Every record gives a row, whatever it holds; after an error
    /// Spark has to run the task again.
    pub fn frame(
        &self,
        origin: RecordOrigin<'_>,
        record: &Record<'_>,
    ) -> Result<ResultRow, TaskError> {
        // Reads at most `MAX_HEADERS` headers. A dead letter keeps them all.
        let record = &Record {
            headers: &record.headers[..record.headers.len().min(MAX_HEADERS)],
            ..*record
        };
        let partition = self.partition(origin.topic, origin.partition);
        let mut partition = lock(&partition);
        let begins_task = partition.begins(origin.task);
        partition.enter(origin.task, origin.offset)?;
        self.follow_settings(begins_task);
        let frame = match mattebox_wire::read(record) {
            Ok(frame) => frame,
            Err(error) => {
                // The key tells the camera, if it is a camera's name.
                let camera = record
                    .key
                    .and_then(|key| std::str::from_utf8(key).ok()?.parse().ok());
                return Ok(ResultRow {
                    camera,
                    ..ResultRow::dead(error.code(), error.to_string())
                });
            }
        };
        let mut pooled = match lock(&self.processors).pop() {
            Some(pooled) => pooled,
            None => PooledProcessor::new(&self.settings)?,
        };
        let made = self.make(&mut pooled, &mut partition, origin, record, &frame);
        if pooled.processor.lost().is_none() {
            lock(&self.processors).push(pooled);
        }
        Ok(ResultRow {
            time: Some(frame.time),
            camera: Some(frame.camera),
            ..made?
        })
    }

    /// Reads the settings of single cameras again if their file has changed.
    fn follow_settings(&self, begins_task: bool) {
        let TaskSettings {
            cameras, engine, ..
        } = &self.settings;
        if let Err(error) = cameras.follow(begins_task, Instant::now(), &engine.backgrounds) {
            // This goes to the executor's log.
            eprintln!(
                "mattebox: ERROR {}; the settings stay as they were",
                one_line(&error.to_string())
            );
        }
    }

    /// Decodes a frame's picture, names the frame and writes its file. Only a picture that can be
    /// decoded gets a name, so that dead letters do not change the names of other frames.
    fn make(
        &self,
        pooled: &mut PooledProcessor,
        partition: &mut PartitionState,
        origin: RecordOrigin<'_>,
        record: &Record<'_>,
        frame: &FrameRecord<'_>,
    ) -> Result<ResultRow, TaskError> {
        let settings = &self.settings;
        let own = settings.cameras.of(&frame.camera);
        let PooledProcessor { processor, picture } = pooled;
        let span = Span::default();
        let encoded = FramePicture::Encoded(frame.picture());
        let decoded = processor.decode(&own, encoded, &span, picture);
        if let Err(rejection) = decoded.into_result() {
            return Ok(ResultRow::dead(rejection.code, rejection.message));
        }
        let topic = partition.topic();
        let Some(camera) = partition.track(&frame.camera, &self.folder)? else {
            let message = format!("there are {MAX_CAMERAS} other cameras in its partition");
            return Ok(ResultRow::dead("too-many-cameras", message));
        };
        let identity = RecordIdentity {
            number: frame.number.0,
            session: frame.session,
            fingerprint: mattebox_wire::fingerprint(
                frame.number,
                frame.time,
                record.value.unwrap_or_default(),
            ),
            topic: &topic,
            partition: origin.partition,
            offset: origin.offset,
        };
        let extension = settings.frame.format.extension();
        let naming = camera.name(&identity, frame.time, &self.folder, extension)?;
        let (number, is_alone) = match naming {
            Naming::InTurn(number) => (number, false),
            Naming::Alone(number) => (number, true),
            Naming::Before(number) => {
                let path = number.map(|number| camera.files.path(number, frame.time, extension));
                return Ok(ResultRow {
                    frame: number,
                    ..ResultRow::skipped(RowStatus::Skipped, path.as_deref(), picture.dimensions())
                });
            }
            Naming::Refused(refusal) => return Ok(ResultRow::dead(refusal.code, refusal.message)),
        };
        let target = FrameTarget {
            settings,
            files: &camera.files,
            number,
            time: frame.time,
            on_existing: match is_alone {
                true => OnExisting::Skip,
                false => settings.on_existing,
            },
        };
        // A late frame is processed by itself, and so is every frame with the hard matte.
        let mut nothing = MatteState::default();
        let state = if is_alone || !own.has_state() {
            &mut nothing
        } else {
            &mut camera.state.matte
        };
        let processed = processor.process(
            FrameInput {
                settings: &own,
                picture: FramePicture::Decoded(picture),
                time: frame.time,
                state,
                background: None,
                span: &span,
            },
            |matted| target.write(matted),
        );
        let row = match processed.into_result() {
            Ok(row) => row?,
            Err(rejection) => ResultRow::dead(rejection.code, rejection.message),
        };
        if row.status == RowStatus::SkippedDifferent && partition.is_first_difference(&frame.camera)
        {
            // This goes to the executor's log.
            eprintln!(
                "mattebox: WARN camera {}: {} was there with other bytes and is kept \
                 (--on-existing overwrite replaces it); this is not reported for other files of \
                 the camera",
                frame.camera,
                row.path.as_deref().unwrap_or_default()
            );
        }
        let headers = match row.picture {
            Some(_) => headers(settings, &own, record, frame, number, row.size),
            None => Vec::new(),
        };
        Ok(ResultRow {
            frame: Some(number),
            headers,
            ..row
        })
    }

    /// The records to publish for `row`, the answer of [`TaskEngine::frame`] to `record`: none
    /// unless the settings name topics.
    pub fn publish<'a>(
        &'a self,
        origin: RecordOrigin<'a>,
        record: &Record<'a>,
        row: &'a ResultRow,
    ) -> Vec<OutgoingRecord<'a>> {
        let Some(topics) = &self.settings.publish else {
            return Vec::new();
        };
        if let Some((code, message)) = &row.fault {
            let dead_letter = DeadLetter {
                code,
                message,
                topic: origin.topic,
                partition: origin.partition,
                offset: origin.offset,
            };
            return vec![topics.dead_letter(record, &dead_letter)];
        }
        let status = FrameStatus {
            camera: row.camera.as_ref().map(CameraId::as_str),
            frame: row.frame.map(|frame| frame.0),
            status: row.status.name(),
            differs: row.status == RowStatus::SkippedDifferent,
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
    pub fn pack(&self, origin: RecordOrigin<'_>, record: &Record<'_>, row: &ResultRow) -> Vec<u8> {
        let publish = self.publish(origin, record, row);
        row.to_bytes(self.settings.picture, &publish)
    }

    /// The folder of a partition's camera states beside the checkpoint. None: they are files of the
    /// output folder.
    pub fn state_folder(&self, topic: &str, partition: i32) -> Option<String> {
        let root = self.settings.state_dir.as_ref()?;
        Some(state_objects::folder(root, topic, partition))
    }

    /// Takes the names of the objects in the partition's folder, after [`TaskError::StatesNeeded`].
    /// Returns the name of the first object to give to [`TaskEngine::read_state`]. Once that
    /// returns none, the caller gives the record again.
    pub fn list_states(
        &self,
        origin: RecordOrigin<'_>,
        names: &[String],
    ) -> Result<Option<String>, TaskError> {
        let partition = self.partition(origin.topic, origin.partition);
        lock(&partition).list_states(origin.task, origin.offset, names, &self.folder)
    }

    /// Takes an object's bytes, None if it is gone. Returns the name of the next object to read.
    pub fn read_state(
        &self,
        origin: RecordOrigin<'_>,
        name: &str,
        bytes: Option<&[u8]>,
    ) -> Result<Option<String>, TaskError> {
        let partition = self.partition(origin.topic, origin.partition);
        lock(&partition).read_state(origin.task, name, bytes)
    }

    /// Stores the states of a partition's cameras after a task that succeeded. If the states lie
    /// beside the checkpoint, the caller creates the returned object there and calls
    /// [`TaskEngine::stored`], before Spark hears that the task is done.
    pub fn complete(
        &self,
        topic: &str,
        partition: i32,
        task: i64,
    ) -> Result<Option<StateObject>, TaskError> {
        let partition = self.partition(topic, partition);
        lock(&partition).complete(task, &self.folder, self.settings.keep)
    }

    /// Tells the engine that the object of [`TaskEngine::complete`] exists. Returns the names of
    /// objects that no task can need any more.
    pub fn stored(&self, topic: &str, partition: i32, task: i64) -> Vec<String> {
        let partition = self.partition(topic, partition);
        lock(&partition).stored(task, self.settings.keep)
    }

    fn partition(&self, topic: &str, number: i32) -> Arc<Mutex<PartitionState>> {
        let mut partitions = lock(&self.partitions);
        let new = || PartitionState::new(&self.settings, topic, number, self.query.as_deref());
        partitions
            .entry((topic.to_owned(), number))
            .or_insert_with(|| Arc::new(Mutex::new(new())))
            .clone()
    }
}

/// A frame's file, and the choice for an existing one.
struct FrameTarget<'a> {
    settings: &'a TaskSettings,
    files: &'a FrameDir,
    number: FrameNumber,
    time: Timestamp,
    on_existing: OnExisting,
}

impl FrameTarget<'_> {
    /// Writes the file. Errors are those of the disk; a frame that cannot be encoded gives a row.
    fn write(&self, matted: &mut MattedFrame<'_>) -> Result<ResultRow, StoreError> {
        let size = matted.picture().dimensions();
        let encoded = match matted.encode() {
            Ok(encoded) => encoded,
            Err(rejection) => return Ok(ResultRow::dead(rejection.code, rejection.message)),
        };
        let extension = self.settings.frame.format.extension();
        let outcome =
            self.files
                .write(self.number, self.time, extension, encoded, self.on_existing)?;
        let path = self.files.path(self.number, self.time, extension);
        let row = match outcome {
            Outcome::Written => {
                ResultRow::in_place(RowStatus::Written, Some(&path), size, encoded.len())
            }
            Outcome::Skipped => ResultRow::skipped(RowStatus::Skipped, Some(&path), size),
            Outcome::KeptDifferent => {
                ResultRow::skipped(RowStatus::SkippedDifferent, Some(&path), size)
            }
        };
        Ok(ResultRow {
            latency_us: Some(age_us(self.time)),
            picture: self.settings.needs_picture().then(|| encoded.to_vec()),
            ..row
        })
    }
}

/// The headers of a result, equal to those of a worker with the same settings.
fn headers(
    settings: &TaskSettings,
    own: &FrameSettings,
    record: &Record<'_>,
    frame: &FrameRecord<'_>,
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
        format: own.format,
        model_sha256: &settings.model_sha256,
        settings: &own.hash().unwrap_or_default(),
    });
    headers.extend(
        mattebox_wire::trace_headers(record)
            .into_iter()
            .map(|(name, value)| (name, value.to_owned())),
    );
    headers
}

/// Also locks after a panic of another task, so that the other tasks go on: the next task clears
/// the states that it may have left.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
