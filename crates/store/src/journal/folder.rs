//! A journal in a folder: `OUT/.mattebox/names/<camera>/000000.json` and so on.
//!
//! A line is a file that is created under the next number and never changed. Of two writers at the
//! same time one gets the number; the other reads that line and tries again. Several machines may
//! share the folder.
use super::{CameraBlocks, Journal, JournalEntry, JournalError, JournalLine};
use crate::{
    StoreError,
    pending::{OnExisting, Outcome, PendingFile, create_folder, remove_stale, sync_folder},
};
use mattebox_core::frame::CameraId;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The folder's name below the output.
const FOLDER: &str = ".mattebox/names";

/// A journal beside the files that it names.
#[derive(Debug, Clone)]
pub struct FolderJournal {
    folder: PathBuf,
    durable: bool,
}

impl FolderJournal {
    /// The journal of the output folder `root`. Creates nothing yet.
    pub fn new(root: &Path) -> Self {
        FolderJournal {
            folder: root.join(FOLDER),
            durable: false,
        }
    }

    /// Whether a line survives a power failure. Off at first.
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    fn line(&self, camera: &CameraId, number: usize) -> PathBuf {
        self.folder
            .join(camera.as_str())
            .join(format!("{number:06}.json"))
    }

    /// The blocks of a camera, and the number of its next line.
    fn lines(&self, camera: &CameraId) -> Result<(CameraBlocks, usize), JournalError> {
        let mut blocks = CameraBlocks::default();
        for number in 0.. {
            let path = self.line(camera, number);
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok((blocks, number));
                }
                Err(error) => return Err(StoreError::io("read", &path)(error).into()),
            };
            let line = JournalLine::from_bytes(&bytes).map_err(|error| JournalError::Unusable {
                place: path.display().to_string(),
                problem: format!(
                    "{error}: no file is written for the camera, so that none is replaced. Move \
                     the \
                     folder of its lines away to number its frames above the files that it has"
                ),
            })?;
            line.entries.iter().for_each(|entry| blocks.apply(entry));
        }
        Ok((blocks, 0))
    }
}

impl Journal for FolderJournal {
    fn read(&self, camera: &CameraId) -> Result<Arc<CameraBlocks>, JournalError> {
        Ok(Arc::new(self.lines(camera)?.0))
    }

    fn append(&self, camera: &CameraId, entries: &[JournalEntry]) -> Result<(), JournalError> {
        let folder = self.folder.join(camera.as_str());
        create_folder(&folder)?;
        remove_stale(&folder);
        let line = JournalLine {
            camera: camera.clone(),
            entries: entries.to_vec(),
        };
        let mut number = self.lines(camera)?.1;
        loop {
            let mut pending = PendingFile::create(&self.line(camera, number))?;
            pending.write_all(&line.to_bytes())?;
            match pending.commit(OnExisting::Skip, self.durable)? {
                Outcome::Written if self.durable => {
                    // The camera's folder may be new.
                    return sync_folder(&self.folder)
                        .map_err(|error| StoreError::io("sync", &self.folder)(error).into());
                }
                Outcome::Written => return Ok(()),
                _ => number += 1,
            }
        }
    }
}
