//! The highest number of the files that retention has removed, for each camera:
//! `OUT/.mattebox/removed/<camera>`. It counts as in use, so that no other frame gets it.
use crate::{
    error::StoreError,
    pending::{OnExisting, PendingFile, create_folder, remove_stale, sync_folder},
};
use mattebox_core::frame::{CameraId, FrameNumber};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Below the output.
const FOLDER: &str = ".mattebox/removed";
/// The file's name for a folder of one camera, whose paths do not name the camera. No camera can
/// have this name.
const NO_CAMERA: &str = ".only";

fn path(root: &Path, camera: Option<&CameraId>) -> PathBuf {
    root.join(FOLDER)
        .join(camera.map_or(NO_CAMERA, CameraId::as_str))
}

/// The highest removed number of a camera.
pub(crate) fn highest(
    root: &Path,
    camera: Option<&CameraId>,
) -> Result<Option<FrameNumber>, StoreError> {
    let path = path(root, camera);
    let fail = StoreError::io("read", &path);
    match fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse() {
            Ok(number) => Ok(Some(FrameNumber(number))),
            Err(error) => Err(fail(io::Error::new(io::ErrorKind::InvalidData, error))),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(fail(error)),
    }
}

/// Stores durably that numbers up to this one are about to be removed.
pub(crate) fn note(
    root: &Path,
    camera: Option<&CameraId>,
    number: FrameNumber,
) -> Result<(), StoreError> {
    if highest(root, camera)? >= Some(number) {
        return Ok(());
    }
    let path = path(root, camera);
    let folder = path.parent().unwrap_or(root);
    create_folder(folder)?;
    remove_stale(folder);
    let mut pending = PendingFile::create(&path)?;
    pending.write_all(format!("{}\n", number.0).as_bytes())?;
    pending.commit(OnExisting::Overwrite, true)?;
    // The folder may be new.
    let above = folder.parent().unwrap_or(root);
    sync_folder(above).map_err(StoreError::io("sync the folder", above))
}

/// Forgets the number after all frames of a camera were removed on request: its numbers begin
/// again.
pub(crate) fn forget(root: &Path, camera: Option<&CameraId>) -> Result<(), StoreError> {
    let path = path(root, camera);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", &path)(error))
        }
        _ => Ok(()),
    }
}
