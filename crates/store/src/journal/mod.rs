//! The numbering journal: which block of names each session of a camera has.
//!
//! It is append-only and the first line wins. A line is durable before the first file that it
//! stands for is written, and a writer that finds an earlier line in its way takes that one. So a
//! worker that only seemed dead and its successor, two partitions that a camera without key is in,
//! and two tasks of Spark never give one name to two frames.
//!
//! # Layout
//!
//! * here: [`Journal`], and how a record gets its name with it.
//! * [`blocks`]: the blocks of a camera, as the lines of the journal make them.
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

/// Writers that may be faster than this one, in a row.
const MAX_TRIES: usize = 64;

/// Why no name can be reserved. No file may be written for the frame.
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
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The program ends.
    #[error("stopped")]
    Stopped,
}

/// A journal of names. Several processes may append to it at the same time.
pub trait Journal: Send + Sync {
    /// The blocks of a camera, with every line that [`Journal::append`] has returned for.
    fn read(&self, camera: &CameraId) -> Result<Arc<CameraBlocks>, JournalError>;

    /// Appends entries, which are durable and in their place when this returns. Entries of other
    /// writers may be before them.
    fn append(&self, camera: &CameraId, entries: &[JournalEntry]) -> Result<(), JournalError>;

    /// Reserves a block that has the name of a number. `highest` is the highest number of the
    /// camera's files; it is asked where the journal does not know the camera.
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
            problem: "other writers were faster each time: are two workers fighting over it?"
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

/// Brings a numbering that was stored up to what the journal says by now. Blocks that the journal
/// has lost are appended again; returns how many those are. `by` is the partition, with the topic's
/// id.
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

/// Ends the blocks of a camera's sessions behind the last name that was used, where no other
/// partition has frames of them. `by` is the partition, with the topic's id.
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
