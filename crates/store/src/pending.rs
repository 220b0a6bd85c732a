//! A file that is being written, under a hidden name until it is whole.
//!
//! Readers never see half a file under its final name: the bytes go to a hidden temporary file
//! beside it, which is then renamed, and a rename within a folder is atomic. Every error removes
//! the temporary file. A killed process cannot do that, so [`remove_stale`] does it later: a living
//! process holds a lock on each of its temporary files, and the system drops the lock with the
//! process, also in another container or on another machine that shares the folder.
use crate::error::StoreError;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::{fmt, str::FromStr};
use tempfile::NamedTempFile;
use thiserror::Error;

/// The beginning of a temporary file's name; the rest is random.
const PREFIX: &str = ".mattebox-";
/// The end of a temporary file's name.
const SUFFIX: &str = ".tmp";

/// The choice for a final name that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnExisting {
    /// Replace the file.
    #[default]
    Overwrite,
    /// Keep the existing file.
    Skip,
    /// Report an error.
    Fail,
}

/// The text is not an [`OnExisting`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("unknown choice {0:?} for existing files: use overwrite, skip or fail")]
pub struct UnknownOnExisting(String);

impl FromStr for OnExisting {
    type Err = UnknownOnExisting;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "overwrite" => Ok(OnExisting::Overwrite),
            "skip" => Ok(OnExisting::Skip),
            "fail" => Ok(OnExisting::Fail),
            _ => Err(UnknownOnExisting(text.to_owned())),
        }
    }
}

impl fmt::Display for OnExisting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OnExisting::Overwrite => "overwrite",
            OnExisting::Skip => "skip",
            OnExisting::Fail => "fail",
        })
    }
}

/// The outcome of writing a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The new file has its final name.
    Written,
    /// An existing file had that name and was kept.
    Skipped,
    /// An existing file with other bytes had that name and was kept.
    KeptDifferent,
}

/// A file under a hidden name beside its final one. Dropped before [`PendingFile::commit`], it is
/// removed.
#[derive(Debug)]
pub struct PendingFile {
    temporary: NamedTempFile,
    target: PathBuf,
}

impl PendingFile {
    /// Creates an empty temporary file in the folder of `target`, which must exist.
    pub fn create(target: &Path) -> Result<Self, StoreError> {
        let fail = |error| StoreError::io("write", target)(error);
        loop {
            let temporary = builder().tempfile_in(folder_of(target)).map_err(fail)?;
            // A file system without locks keeps the temporary files of killed processes; nothing
            // worse happens.
            let _ = temporary.as_file().lock();
            // Between its creation and its lock, another process may have removed it as a killed
            // process's.
            if fs::symlink_metadata(temporary.path()).is_ok() {
                return Ok(PendingFile {
                    temporary,
                    target: target.to_owned(),
                });
            }
        }
    }

    /// The path of the temporary file, for another process that writes to it.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Appends bytes.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.temporary
            .as_file_mut()
            .write_all(bytes)
            .map_err(StoreError::io("write", &self.target))
    }

    /// Gives the file its final name. With `durable` the bytes and the name are on the disk before
    /// this returns, so that they survive a power failure. `Skip` and `Fail` hold even if another
    /// process creates the file at the same moment.
    pub fn commit(self, on_existing: OnExisting, durable: bool) -> Result<Outcome, StoreError> {
        let fail = |error| StoreError::io("write", &self.target)(error);
        if durable {
            self.temporary.as_file().sync_all().map_err(fail)?;
        }
        let renamed = match on_existing {
            OnExisting::Overwrite => self.temporary.persist(&self.target),
            OnExisting::Skip | OnExisting::Fail => self.temporary.persist_noclobber(&self.target),
        };
        match renamed.map_err(|failed| failed.error) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match on_existing {
                OnExisting::Skip => return Ok(Outcome::Skipped),
                OnExisting::Fail => return Err(StoreError::Exists(self.target)),
                OnExisting::Overwrite => return Err(fail(error)),
            },
            Err(error) => return Err(fail(error)),
        }
        if durable {
            sync_folder(folder_of(&self.target)).map_err(fail)?;
        }
        Ok(Outcome::Written)
    }
}

/// Writes a whole file at once, and replaces an existing one. It writes into anything that is no
/// file, such as a named pipe.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let opened = File::options().write(true).open(path);
        return opened
            .and_then(|mut file| file.write_all(bytes))
            .map_err(StoreError::io("write", path));
    }
    let mut pending = PendingFile::create(path)?;
    pending.write_all(bytes)?;
    pending.commit(OnExisting::Overwrite, false).map(drop)
}

fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX).rand_bytes(12);
    #[cfg(unix)]
    {
        // tempfile's default mode is 0600; the umask decides about results, as about other files.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder
}

/// The folder that holds `path`; `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Makes the names in a folder durable. Only Unix can open a folder for that purpose.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}

/// Creates a folder and those above it, if they are missing.
pub fn create_folder(folder: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(folder).map_err(StoreError::io("create the folder", folder))
}

/// Removes the temporary files in `folder` of processes that have ended, and returns their number.
/// A file that cannot be examined stays.
pub fn remove_stale(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with(PREFIX)
                && name.ends_with(SUFFIX)
                && entry.file_type().is_ok_and(|kind| kind.is_file())
        })
        .filter(|entry| {
            // Holds the lock until the file is removed, so that its creator cannot lock it in
            // between.
            let Ok(file) = File::options().write(true).open(entry.path()) else {
                return false;
            };
            file.try_lock().is_ok() && fs::remove_file(entry.path()).is_ok()
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_has_its_final_name_only_when_committed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.bin");
        let mut pending = PendingFile::create(&target).unwrap();
        pending.write_all(b"half").unwrap();
        assert!(!target.exists());
        pending.commit(OnExisting::Fail, true).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"half");
        assert_eq!(names(folder.path()), ["a.bin"]);
    }

    #[test]
    fn a_dropped_file_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        drop(PendingFile::create(&folder.path().join("a.bin")).unwrap());
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn the_temporary_of_a_living_writer_stays_and_that_of_a_dead_one_goes() {
        let folder = tempfile::tempdir().unwrap();
        let dead = folder.path().join(format!("{PREFIX}dead{SUFFIX}"));
        fs::write(&dead, b"x").unwrap();
        let other = folder.path().join(".mattebox-notes");
        fs::write(&other, b"x").unwrap();
        let living = PendingFile::create(&folder.path().join("a.bin")).unwrap();
        assert_eq!(remove_stale(folder.path()), 1);
        assert!(!dead.exists() && other.exists());
        assert_eq!(
            living.commit(OnExisting::Fail, false).unwrap(),
            Outcome::Written
        );
    }

    #[cfg(unix)]
    #[test]
    fn the_umask_decides_who_can_read_files() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let ours = folder.path().join("ours");
        let plain = folder.path().join("plain");
        PendingFile::create(&ours)
            .unwrap()
            .commit(OnExisting::Fail, false)
            .unwrap();
        fs::write(&plain, b"").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }

    #[cfg(unix)]
    #[test]
    fn a_named_pipe_is_written_into() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.csv");
        let pipe = folder.path().join("pipe.csv");
        fs::write(&file, "a longer text").unwrap();
        write_file(&file, b"text").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"text");
        let made = std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap();
        assert!(made.success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        write_file(&pipe, b"text").unwrap();
        assert_eq!(reader.join().unwrap(), b"text");
        assert_eq!(names(folder.path()).len(), 2);
        assert!(write_file(folder.path(), b"text").is_err());
    }

    #[test]
    fn choices_read_back_as_they_print() {
        for choice in [OnExisting::Overwrite, OnExisting::Skip, OnExisting::Fail] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert!(
            "replace"
                .parse::<OnExisting>()
                .unwrap_err()
                .to_string()
                .contains("overwrite, skip or fail")
        );
    }
}
