//! The states of cameras in files: `OUT/.state/<camera>/<stream>@<offset>`.
//!
//! A version belongs to an offset of the log: it is the state after all records before that offset.
//! It is stored before the offset is committed, so that a reader that resumes at an offset finds
//! its version. Later versions can exist too, from records whose offset was not committed; those
//! records are processed again, and the later versions are not used.
use crate::{
    camera_state::CameraState,
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
/// The folder for the states of version 1's workers after an upgrade.
const VERSION_1: &str = ".mattebox/state-1";
/// The text of the file in place of their folder.
const VERSION_1_NOTE: &str = "The workers of this folder keep camera states in Kafka now. Workers \
    of the version before cannot \
    write here any more: stop them. See docs/guide/operations.md, Upgrades.\n";
/// The end of the name of a version that cannot be read.
const UNREADABLE: &str = ".unreadable";

/// A partition of a topic, as one consumer group reads it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupPartition {
    /// Its form in file names.
    name: String,
}

impl GroupPartition {
    /// Any text may name a group; bytes that cannot stand in a file's name become `%` and two
    /// hexadecimal digits.
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
        GroupPartition {
            name: format!("{}+{}+{partition}", safe(group), safe(topic)),
        }
    }
}

/// The state of a camera that [`StateStore::recall`] found.
#[derive(Debug, Clone, PartialEq)]
pub enum StoredState {
    /// No version is stored: the camera is new.
    Missing,
    /// The version for the offset.
    Known(Box<CameraState>),
    /// The stored version cannot be read. The matte begins again; the names continue from the
    /// journal.
    Unreadable {
        /// The problem of that version, and the file that keeps it.
        problem: String,
    },
}

/// The folder of camera states. It is private: a state holds a tiny gray copy of the room.
#[derive(Debug, Clone)]
pub struct StateStore {
    folder: PathBuf,
    durable: bool,
}

impl StateStore {
    /// Creates the folder below `root` if it is missing. Only this user can open it.
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
            _ => Ok(StateStore {
                folder,
                durable: false,
            }),
        }
    }

    /// The folder below `root`, if it exists.
    pub fn existing(root: &Path) -> Option<Self> {
        let folder = root.join(FOLDER);
        folder.is_dir().then_some(StateStore {
            folder,
            durable: false,
        })
    }

    /// Moves the states of version 1's workers to `.mattebox/state-1`, and puts a file in place of
    /// their folder: a worker of that version that still runs can then neither read nor store a
    /// state, and so writes no file. Does nothing if there is no such folder.
    pub fn take_over_version_1(root: &Path) -> Result<(), StoreError> {
        let old = root.join(FOLDER);
        if !old.is_dir() {
            return Ok(());
        }
        let new = root.join(VERSION_1);
        create_folder(&root.join(".mattebox"))?;
        match fs::rename(&old, &new) {
            Ok(()) => {}
            // Another worker was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(StoreError::io("move", &old)(error)),
        }
        fs::write(&old, VERSION_1_NOTE).map_err(StoreError::io("write", &old))
    }

    /// The states of version 1's workers, after [`StateStore::take_over_version_1`].
    pub fn of_version_1(root: &Path) -> Option<Self> {
        let folder = root.join(VERSION_1);
        folder.is_dir().then_some(StateStore {
            folder,
            durable: false,
        })
    }

    /// Whether [`StateStore::save`] returns only when the version is on the disk and survives a
    /// power failure. Off at first.
    pub fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Stores the state of a camera after all records before `offset`.
    pub fn save(
        &self,
        stream: &GroupPartition,
        camera: &CameraId,
        offset: i64,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
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

    /// The state of a camera after all records before `offset`: the newest version up to `offset`.
    /// Later versions are removed: their records are processed again. After an error no file may be
    /// written for the camera.
    pub fn recall(
        &self,
        stream: &GroupPartition,
        camera: &CameraId,
        offset: i64,
    ) -> Result<StoredState, StoreError> {
        remove_stale(&self.folder.join(camera.as_str()));
        let mut newest = None;
        for (version, path) in self.versions(stream, camera)? {
            if version > offset {
                remove(&path)?;
            } else if newest.as_ref().is_none_or(|(other, _)| version > *other) {
                newest = Some((version, path));
            }
        }
        let Some((version, path)) = newest else {
            return Ok(StoredState::Missing);
        };
        let problem = match fs::read(&path) {
            Ok(bytes) => match CameraState::from_bytes(&bytes) {
                Ok(state) => return Ok(StoredState::Known(Box::new(state))),
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        let mut kept = path.clone().into_os_string();
        kept.push(UNREADABLE);
        // Another version of the program may be able to read it. It keeps its name until the new
        // version replaces it: if this process is killed in between, the next one finds it
        // unreadable, and not missing.
        let kept = fs::copy(&path, &kept).map_or(path, |_| kept.into());
        self.save(stream, camera, version, &CameraState::default().to_bytes())?;
        Ok(StoredState::Unreadable {
            problem: format!("{}: {problem}", kept.display()),
        })
    }

    /// The states of all cameras after all records before `offset`: the newest version of each up
    /// to `offset`, with that version's offset, and at most `most` cameras, those with the newest
    /// versions. Changes nothing. A file that cannot be read has no bytes here.
    pub fn all(
        &self,
        stream: &GroupPartition,
        offset: i64,
        most: usize,
    ) -> Result<Vec<(CameraId, i64, Vec<u8>)>, StoreError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("read the folder", &self.folder)(error)),
        };
        let mut found = Vec::new();
        for entry in entries.filter_map(Result::ok) {
            let name = entry.file_name();
            let Some(camera) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let versions = self.versions(stream, &camera)?.into_iter();
            let newest = versions
                .filter(|(version, _)| *version <= offset)
                .max_by_key(|(version, _)| *version);
            found.extend(newest.map(|(version, path)| (camera, version, path)));
        }
        found.sort_by(|(a, x, _), (b, y, _)| y.cmp(x).then_with(|| a.as_str().cmp(b.as_str())));
        found.truncate(most);
        let read = |(camera, version, path)| (camera, version, fs::read(path).unwrap_or_default());
        Ok(found.into_iter().map(read).collect())
    }

    /// Removes the versions that are not needed any more once `offset` is committed: all that are
    /// older than the one for it.
    pub fn prune(
        &self,
        stream: &GroupPartition,
        camera: &CameraId,
        offset: i64,
    ) -> Result<(), StoreError> {
        let versions = self.versions(stream, camera)?;
        let needed = versions
            .iter()
            .map(|(version, _)| *version)
            .filter(|version| *version <= offset)
            .max();
        for (_, path) in versions
            .iter()
            .filter(|(version, _)| needed.is_some_and(|needed| *version < needed))
        {
            remove(path)?;
        }
        Ok(())
    }

    fn versions(
        &self,
        stream: &GroupPartition,
        camera: &CameraId,
    ) -> Result<Vec<(i64, PathBuf)>, StoreError> {
        let folder = self.folder.join(camera.as_str());
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("read the folder", &folder)(error)),
        };
        let version = |name: &str| {
            name.strip_prefix(stream.name.as_str())?
                .strip_prefix('@')?
                .parse()
                .ok()
        };
        Ok(entries
            .filter_map(Result::ok)
            .filter_map(|entry| Some((version(entry.file_name().to_str()?)?, entry.path())))
            .collect())
    }
}

/// Another process may have removed it first.
fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mattebox_core::{frame::Numbering, matte::MatteState};

    /// A state that is told from others by its number.
    fn state(number: u64) -> CameraState {
        CameraState {
            numbering: Numbering::resumed(0, number),
            matte: MatteState::default(),
        }
    }

    #[test]
    fn the_version_for_an_offset_is_found_until_a_later_offset_is_committed() {
        let root = tempfile::tempdir().unwrap();
        let dir = StateStore::open(root.path()).unwrap();
        let stream = GroupPartition::new("g", "t", 0);
        let camera = "cam".parse().unwrap();
        let recall = |offset| dir.recall(&stream, &camera, offset).unwrap();
        let save = |offset, number| {
            dir.save(&stream, &camera, offset, &state(number).to_bytes())
                .unwrap()
        };
        assert_eq!(recall(5), StoredState::Missing);
        for offset in [3, 10, 20] {
            save(offset, offset as u64);
        }
        dir.save(
            &GroupPartition::new("g", "t", 1),
            &camera,
            11,
            b"another partition",
        )
        .unwrap();
        dir.prune(&stream, &camera, 12).unwrap();
        assert_eq!(recall(9), StoredState::Missing, "3 was pruned, 10 is later");
        save(10, 1);
        save(20, 2);
        assert_eq!(recall(15), StoredState::Known(Box::new(state(1))));
        assert_eq!(
            recall(25),
            StoredState::Known(Box::new(state(1))),
            "the records of 20 are processed again"
        );
    }

    #[test]
    fn a_version_that_cannot_be_read_is_reported_once_and_kept() {
        let root = tempfile::tempdir().unwrap();
        let dir = StateStore::open(root.path()).unwrap();
        let stream = GroupPartition::new("g", "t", 0);
        let camera = "cam".parse().unwrap();
        let good = state(41).to_bytes();
        let other_version = [&good[..4], &99u16.to_le_bytes(), &good[6..]].concat();
        let damaged: Vec<u8> = good
            .iter()
            .enumerate()
            .map(|(at, byte)| if (20..24).contains(&at) { !byte } else { *byte })
            .collect();
        for bytes in [&b""[..], &good[..good.len() - 1], &damaged, &other_version] {
            dir.save(&stream, &camera, 10, bytes).unwrap();
            let StoredState::Unreadable { problem } = dir.recall(&stream, &camera, 10).unwrap()
            else {
                panic!("it was read")
            };
            assert!(problem.contains("g+t+0@10.unreadable"), "{problem}");
            assert_eq!(
                dir.recall(&stream, &camera, 10).unwrap(),
                StoredState::Known(Box::default()),
                "a second start continues from the same state"
            );
            let kept = root.path().join(".state/cam/g+t+0@10.unreadable");
            assert_eq!(fs::read(kept).unwrap(), bytes);
        }
    }

    #[test]
    fn all_cameras_are_found_with_their_versions_for_an_offset() {
        let root = tempfile::tempdir().unwrap();
        assert!(StateStore::existing(root.path()).is_none());
        StateStore::open(root.path()).unwrap();
        let dir = StateStore::existing(root.path()).unwrap();
        let stream = GroupPartition::new("g", "t", 0);
        for (camera, offset) in [("a", 3), ("a", 10), ("b", 5), ("b", 30), ("c", 30)] {
            let bytes = state(offset as u64).to_bytes();
            dir.save(&stream, &camera.parse().unwrap(), offset, &bytes)
                .unwrap();
        }
        let other = GroupPartition::new("g", "t", 1);
        dir.save(&other, &"d".parse().unwrap(), 1, b"another partition")
            .unwrap();
        let found = |most| {
            let found = dir.all(&stream, 20, most).unwrap().into_iter();
            found
                .map(|(camera, offset, bytes)| {
                    assert_eq!(bytes, state(offset as u64).to_bytes());
                    (camera.to_string(), offset)
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(found(9), [("a".to_owned(), 10), ("b".to_owned(), 5)]);
        assert_eq!(found(1), [("a".to_owned(), 10)]);
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_can_open_the_folder() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        StateStore::open(root.path()).unwrap();
        StateStore::open(root.path()).unwrap();
        let mode = fs::metadata(root.path().join(".state"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn any_text_can_name_a_group() {
        assert_eq!(
            GroupPartition::new("a/../b c", "t", 7).name,
            "a%2f..%2fb%20c+t+7"
        );
    }
}
