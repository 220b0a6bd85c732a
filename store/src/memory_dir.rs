//! What is remembered of cameras, in files: `OUT/.state/<camera>/<stream>@<offset>`.
//!
//! A version belongs to an offset of the log: it holds what was known when everything before that offset was done. It is stored before the
//! offset is recorded as done, so that wherever the log is taken up again, the version for that place is there. Later versions may be there
//! too, from work whose offset was not recorded any more; they are for frames that will be done again, and are not used for earlier ones.
use crate::{
    error::StoreError,
    pending::{OnExisting, PendingFile, create_folder, remove_stale, sync_folder},
};
use mattebox_core::frame::CameraId;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The folder's name below the output.
const FOLDER: &str = ".state";

/// A partition of a topic, as one consumer group reads it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stream {
    /// As it stands in file names.
    name: String,
}

impl Stream {
    /// Any text may name a group; what cannot stand in a file's name is written as `%` and two hexadecimal digits.
    pub fn new(group: &str, topic: &str, partition: i32) -> Self {
        let safe = |text: &str| {
            text.bytes().fold(String::new(), |mut name, byte| {
                if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
                    name.push(byte as char);
                } else {
                    name += &format!("%{byte:02x}");
                }
                name
            })
        };
        Stream { name: format!("{}+{}+{partition}", safe(group), safe(topic)) }
    }
}

/// The folder of what is remembered. It is private: a memory holds a tiny gray copy of the room.
#[derive(Debug, Clone)]
pub struct MemoryDir {
    folder: PathBuf,
    durable: bool,
}

impl MemoryDir {
    /// Makes the folder below `root` if it is missing, for its owner alone.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let folder = root.join(FOLDER);
        create_folder(root)?;
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(StoreError::io("create the folder", &folder)(error))
            }
            _ => Ok(MemoryDir { folder, durable: false }),
        }
    }

    /// Whether [`MemoryDir::save`] returns only when the version is on the disk and outlives a power failure. Off at first.
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Stores what is known of a camera when everything before `offset` is done.
    pub fn save(&self, stream: &Stream, camera: &CameraId, offset: i64, bytes: &[u8]) -> Result<(), StoreError> {
        let folder = self.folder.join(camera.as_str());
        create_folder(&folder)?;
        let mut pending = PendingFile::create(&folder.join(format!("{}@{offset}", stream.name)))?;
        pending.write_all(bytes)?;
        pending.commit(OnExisting::Overwrite, self.durable)?;
        if self.durable {
            // The camera's folder may be new.
            sync_folder(&self.folder).map_err(StoreError::io("sync the folder", &self.folder))?;
        }
        Ok(())
    }

    /// The newest version for `offset` or before it, with its own offset. Later ones are removed: what they stand for is done again.
    pub fn load(&self, stream: &Stream, camera: &CameraId, offset: i64) -> Result<Option<(i64, Vec<u8>)>, StoreError> {
        let folder = self.folder.join(camera.as_str());
        remove_stale(&folder);
        let mut newest = None;
        for (version, path) in self.versions(stream, camera)? {
            if version > offset {
                remove(&path)?;
            } else if newest.as_ref().is_none_or(|(other, _)| version > *other) {
                newest = Some((version, path));
            }
        }
        let Some((version, path)) = newest else { return Ok(None) };
        let bytes = fs::read(&path).map_err(StoreError::io("read", &path))?;
        Ok(Some((version, bytes)))
    }

    /// Removes what no longer can be needed once `offset` is recorded as done: all versions older than the one for it.
    pub fn prune(&self, stream: &Stream, camera: &CameraId, offset: i64) -> Result<(), StoreError> {
        let versions = self.versions(stream, camera)?;
        let needed = versions.iter().map(|(version, _)| *version).filter(|version| *version <= offset).max();
        for (_, path) in versions.iter().filter(|(version, _)| needed.is_some_and(|needed| *version < needed)) {
            remove(path)?;
        }
        Ok(())
    }

    fn versions(&self, stream: &Stream, camera: &CameraId) -> Result<Vec<(i64, PathBuf)>, StoreError> {
        let folder = self.folder.join(camera.as_str());
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("read the folder", &folder)(error)),
        };
        let version = |name: &str| name.strip_prefix(stream.name.as_str())?.strip_prefix('@')?.parse().ok();
        Ok(entries
            .filter_map(Result::ok)
            .filter_map(|entry| Some((version(entry.file_name().to_str()?)?, entry.path())))
            .collect())
    }
}

/// Another process may have removed it first.
fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_for_a_place_is_found_until_a_later_place_is_recorded() {
        let root = tempfile::tempdir().unwrap();
        let dir = MemoryDir::open(root.path()).unwrap();
        let (stream, camera) = (Stream::new("g", "t", 0), "cam".parse().unwrap());
        assert_eq!(dir.load(&stream, &camera, 5).unwrap(), None);
        for offset in [3, 10, 20] {
            dir.save(&stream, &camera, offset, &[offset as u8]).unwrap();
        }
        dir.save(&Stream::new("g", "t", 1), &camera, 11, b"another partition").unwrap();
        dir.prune(&stream, &camera, 12).unwrap();
        assert_eq!(dir.load(&stream, &camera, 9).unwrap(), None, "3 was pruned, 10 is later");
        dir.save(&stream, &camera, 10, b"x").unwrap();
        dir.save(&stream, &camera, 20, b"y").unwrap();
        assert_eq!(dir.load(&stream, &camera, 15).unwrap(), Some((10, b"x".to_vec())));
        assert_eq!(dir.load(&stream, &camera, 25).unwrap(), Some((10, b"x".to_vec())), "20 stood for frames that are done again");
        assert!(dir.load(&Stream::new("g", "t", 1), &camera, 11).unwrap().is_some());
    }

    #[cfg(unix)]
    #[test]
    fn the_folder_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        MemoryDir::open(root.path()).unwrap();
        MemoryDir::open(root.path()).unwrap();
        let mode = fs::metadata(root.path().join(".state")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn any_text_can_name_a_group() {
        assert_eq!(Stream::new("a/../b c", "t", 7).name, "a%2f..%2fb%20c+t+7");
    }
}
