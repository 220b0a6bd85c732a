//! The folders of many cameras below one root.
use crate::{
    error::StoreError,
    frame_dir::FrameDir,
    name_template::NameTemplate,
    pending::{OnExisting, Outcome},
};
use mattebox_core::frame::{CameraId, FrameNumber, Timestamp};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The most folders that stay open, so that cameras that never return do not fill the memory.
const MAX_OPEN: usize = 4096;

/// `ROOT/<camera>/frame_000000.png` for any number of cameras. Every write names the camera, so
/// that no file lands in the folder of another one.
#[derive(Debug)]
pub struct FrameDirs {
    root: PathBuf,
    names: NameTemplate,
    open: Mutex<HashMap<CameraId, Arc<FrameDir>>>,
}

impl FrameDirs {
    /// Creates nothing yet: the first file of a camera creates its folder.
    pub fn new(root: &Path, names: &NameTemplate) -> Self {
        FrameDirs {
            root: root.to_owned(),
            names: names.clone(),
            open: Mutex::default(),
        }
    }

    /// Writes the file of one frame, whole or not at all. After an error the next write opens the
    /// camera's folder again, in case it was removed.
    pub fn write(
        &self,
        camera: &CameraId,
        number: FrameNumber,
        time: Timestamp,
        extension: &str,
        bytes: &[u8],
        on_existing: OnExisting,
    ) -> Result<Outcome, StoreError> {
        let dir = self.dir(camera)?;
        let written = dir.write(number, time, extension, bytes, on_existing);
        if written.is_err() {
            self.lock().remove(camera);
        }
        written
    }

    /// Whether a frame's file exists.
    pub fn contains(
        &self,
        camera: &CameraId,
        number: FrameNumber,
        time: Timestamp,
        extension: &str,
    ) -> bool {
        let dir = self.dir(camera);
        dir.is_ok_and(|dir| dir.contains(number, time, extension))
    }

    fn dir(&self, camera: &CameraId) -> Result<Arc<FrameDir>, StoreError> {
        if let Some(dir) = self.lock().get(camera) {
            return Ok(dir.clone());
        }
        // Outside of the lock, so that on a slow disk other cameras do not wait for this one.
        let dir = Arc::new(FrameDir::open_named(&self.root, camera, &self.names)?);
        let mut open = self.lock();
        if open.len() >= MAX_OPEN {
            open.clear();
        }
        Ok(open.entry(camera.clone()).or_insert(dir).clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CameraId, Arc<FrameDir>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files_of_many_cameras_from_many_threads_are_each_in_their_own_folder() {
        let root = tempfile::tempdir().unwrap();
        let dirs = FrameDirs::new(root.path(), &NameTemplate::default());
        let cameras: Vec<CameraId> = (0..5).map(|n| format!("cam{n}").parse().unwrap()).collect();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let dirs = &dirs;
                let cameras = &cameras;
                scope.spawn(move || {
                    for number in (0..100).filter(|number| number % 4 == thread) {
                        for camera in cameras {
                            let bytes = format!("{camera} {number}");
                            dirs.write(
                                camera,
                                FrameNumber(number),
                                Timestamp(0),
                                "png",
                                bytes.as_bytes(),
                                OnExisting::Skip,
                            )
                            .unwrap();
                        }
                    }
                });
            }
        });
        for camera in &cameras {
            for number in 0..100 {
                let path = root.path().join(format!("{camera}/frame_{number:06}.png"));
                assert_eq!(
                    fs::read_to_string(path).unwrap(),
                    format!("{camera} {number}")
                );
            }
        }
    }

    #[test]
    fn a_folder_that_was_removed_is_made_again() {
        let root = tempfile::tempdir().unwrap();
        let dirs = FrameDirs::new(root.path(), &NameTemplate::default());
        let camera = "a".parse().unwrap();
        let write = || {
            let (number, time) = (FrameNumber(0), Timestamp(0));
            dirs.write(&camera, number, time, "png", b"x", OnExisting::Overwrite)
        };
        write().unwrap();
        fs::remove_dir_all(root.path().join("a")).unwrap();
        write().unwrap_err();
        assert_eq!(write().unwrap(), Outcome::Written);
    }
}
