//! The journal of names: the block of names that each session of a camera has.
//!
//! It is append-only and the first line wins. A line is durable before the first file with one of
//! its names is written, and a writer that finds an earlier line follows that line. So these never
//! give one name to two frames: a worker that only seemed dead and its successor, two partitions
//! with frames of one camera without key, and two tasks of Spark.
//!
//! # Layout
//!
//! * here: [`Journal`], and the functions that name records with it.
//! * [`blocks`]: the blocks of a camera, built from the lines of the journal.
//! * `line`: a line as JSON.
//! * [`folder`]: a journal in a folder.
pub mod blocks;
pub mod folder;
pub mod line;

pub use blocks::CameraBlocks;
pub use folder::FolderJournal;
pub use line::{JournalEntry, JournalLine, LineError};

use crate::StoreError;
use blocks::BlockPlan;
use mattebox_core::frame::{
    CameraId, FrameNumber, Numbering, NumberingStep, RecordIdentity, Reserve, Reserved,
};
use std::sync::Arc;
use thiserror::Error;

/// The most tries of a writer that other writers overtake.
const MAX_TRIES: usize = 64;

/// Why no name can be reserved. The frame then must not get a file.
#[derive(Debug, Error)]
pub enum JournalError {
    /// A file of the journal, or the camera's folder, cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal cannot be read.
    #[error("the journal of names {place} cannot be used: {problem}")]
    Unusable {
        /// Its folder or topic.
        place: String,
        /// The problem, with advice.
        problem: String,
    },
    /// The program ends.
    #[error("stopped")]
    Stopped,
}

/// A journal of names. Several processes may append to it at the same time.
pub trait Journal: Send + Sync {
    /// The blocks of a camera, from every line whose [`Journal::append`] has returned.
    fn read(&self, camera: &CameraId) -> Result<Arc<CameraBlocks>, JournalError>;

    /// Appends entries, which are durable when this returns. Entries of other writers may stand
    /// before them.
    fn append(&self, camera: &CameraId, entries: &[JournalEntry]) -> Result<(), JournalError>;

    /// Reserves a block that holds the name of a number. `highest` gives the highest number of the
    /// camera's files; it is called if the journal does not know the camera.
    fn reserve(
        &self,
        camera: &CameraId,
        want: &Reserve,
        highest: &dyn Fn() -> Result<Option<FrameNumber>, StoreError>,
    ) -> Result<Reserved, JournalError> {
        for _ in 0..MAX_TRIES {
            let blocks = self.read(camera)?;
            let above = match blocks.is_empty() && want.is_lost {
                true => highest()?.map_or(0, |highest| highest.0 + 1),
                false => 0,
            };
            match blocks.plan(want, above) {
                BlockPlan::There(reserved) => return Ok(reserved),
                BlockPlan::Append(entries) => self.append(camera, &entries)?,
            }
        }
        Err(JournalError::Unusable {
            place: format!("of camera {camera}"),
            problem: "other writers were faster each time: do two workers write its frames?"
                .to_owned(),
        })
    }
}

/// Names a record.
pub fn name_record(
    numbering: &mut Numbering,
    journal: &dyn Journal,
    camera: &CameraId,
    record: &RecordIdentity<'_>,
    highest: &dyn Fn() -> Result<Option<FrameNumber>, StoreError>,
) -> Result<NumberingStep, JournalError> {
    match numbering.step(record) {
        NumberingStep::Reserve(want) => {
            let reserved = journal.reserve(camera, &want, highest)?;
            Ok(numbering.reserved(record, reserved))
        }
        step => Ok(step),
    }
}

/// Updates a stored numbering from the journal. Appends the blocks that the journal has lost, and
/// returns their number. `by` is the partition, with the topic's id.
pub fn refresh(
    numbering: &mut Numbering,
    journal: &dyn Journal,
    camera: &CameraId,
    by: &str,
) -> Result<usize, JournalError> {
    let blocks = journal.read(camera)?;
    let missing = numbering.refresh(|key| blocks.blocks(key));
    if !missing.is_empty() {
        let entries: Vec<JournalEntry> = missing
            .iter()
            .map(|(session, block)| JournalEntry::begin(session, *block, by))
            .collect();
        journal.append(camera, &entries)?;
    }
    Ok(missing.len())
}

/// Ends the blocks of a camera's sessions after the last name in use, if no other partition has
/// frames of these sessions. `by` is the partition, with the topic's id.
pub fn close(
    numbering: &Numbering,
    journal: &dyn Journal,
    camera: &CameraId,
    by: &str,
) -> Result<(), JournalError> {
    let blocks = journal.read(camera)?;
    let entries = blocks.closed(numbering.sessions(), numbering.used(), by);
    if entries.is_empty() {
        return Ok(());
    }
    journal.append(camera, &entries)
}
