//! A recording that is being written, under a visible name until it is whole.
//!
//! Half a picture has no value, so [`PendingFile`](crate::PendingFile) hides and removes it. Half a
//! recording has: it plays up to the crash, and people look for it. So a recording is written to
//! `NAME.unfinished.EXT` beside its final name, gets that name when it is whole, and is never
//! removed otherwise.
use crate::error::StoreError;
use crate::pending::{OnExisting, folder_of, sync_folder};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempPath;

/// Stands before the extension until the file is whole.
const MARK: &str = ".unfinished";
/// The longest file name of common file systems, in bytes.
const LONGEST_NAME: usize = 255;

/// A visible file beside its final name. It stays when it is dropped.
#[derive(Debug)]
pub struct UnfinishedFile {
    /// Locked as long as this process lives.
    file: File,
    path: PathBuf,
    target: PathBuf,
    left: Vec<PathBuf>,
}

impl UnfinishedFile {
    /// Creates an empty file in the folder of `target`, which must exist. Files that another run
    /// has left there stay.
    pub fn create(target: &Path) -> Result<Self, StoreError> {
        let mut left = Vec::new();
        let mut number = 1;
        loop {
            let path = unfinished_name(target, number);
            match File::options().write(true).create_new(true).open(&path) {
                Ok(file) => {
                    // On a file system without locks, a file that is still being written counts as
                    // left; nothing worse happens.
                    let _ = file.try_lock();
                    return Ok(UnfinishedFile {
                        file,
                        path,
                        target: target.to_owned(),
                        left,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if !is_being_written(&path) {
                        left.push(path);
                    }
                    number += 1;
                }
                Err(error) => return Err(StoreError::io("write", target)(error)),
            }
        }
    }

    /// The path to write to.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The final name.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Unfinished files of the same final name, left by earlier runs.
    pub fn left(&self) -> &[PathBuf] {
        &self.left
    }

    /// Gives the file its final name; `Skip` is the same as `Fail`. With `durable` the bytes and
    /// the name are on the disk before this returns. After an error the unfinished file still
    /// exists.
    pub fn commit(&self, on_existing: OnExisting, durable: bool) -> Result<(), StoreError> {
        let fail = |error| StoreError::io("write", &self.target)(error);
        if durable {
            self.file.sync_all().map_err(fail)?;
        }
        match on_existing {
            OnExisting::Overwrite => fs::rename(&self.path, &self.target).map_err(fail)?,
            OnExisting::Skip | OnExisting::Fail => self.rename_to_free_name()?,
        }
        if durable {
            sync_folder(folder_of(&self.target)).map_err(fail)?;
        }
        Ok(())
    }

    fn rename_to_free_name(&self) -> Result<(), StoreError> {
        let fail = |error| StoreError::io("write", &self.target)(error);
        let path = TempPath::try_from_path(&self.path).map_err(fail)?;
        let Err(failed) = path.persist_noclobber(&self.target) else {
            return Ok(());
        };
        let error = failed.error;
        // Dropping the path would remove the file.
        let _ = failed.path.keep();
        Err(match error.kind() {
            io::ErrorKind::AlreadyExists => StoreError::Exists(self.target.clone()),
            _ => fail(error),
        })
    }

    /// Removes the file, which holds no video.
    pub fn discard(self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// `rec.unfinished.mkv` for `rec.mkv`, and `rec.unfinished-2.mkv` if that name is taken. A name
/// that would be too long is cut.
fn unfinished_name(target: &Path, number: u32) -> PathBuf {
    let mut end = match number {
        1 => MARK.to_owned(),
        _ => format!("{MARK}-{number}"),
    };
    if let Some(extension) = target.extension() {
        end = format!("{end}.{}", extension.to_string_lossy());
    }
    let stem = target.file_stem().unwrap_or_default();
    let mut name = match stem.len() + end.len() > LONGEST_NAME {
        false => stem.to_owned(),
        true => shortened(
            &stem.to_string_lossy(),
            LONGEST_NAME.saturating_sub(end.len()),
        ),
    };
    name.push(end);
    target.with_file_name(name)
}

fn shortened(text: &str, most: usize) -> OsString {
    let end = (0..=most.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    text[..end.unwrap_or_default()].into()
}

/// The final name, if a name is that of an unfinished file.
pub fn finished_name(name: &str) -> Option<String> {
    let (stem, extension) = name.rsplit_once('.')?;
    let (stem, number) = stem.rsplit_once(MARK)?;
    let is_number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
    let is_ours = number.is_empty() || number.strip_prefix('-').is_some_and(is_number);
    is_ours.then(|| format!("{stem}.{extension}"))
}

fn is_being_written(path: &Path) -> bool {
    let opened = File::options().write(true).open(path);
    opened.is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_visible_until_it_has_its_final_name() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("rec.mkv");
        let file = UnfinishedFile::create(&target).unwrap();
        let path = folder.path().join("rec.unfinished.mkv");
        assert_eq!(file.path(), path);
        fs::write(&path, "video").unwrap();
        file.commit(OnExisting::Fail, true).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"video");
        assert!(!path.exists());
    }

    #[test]
    fn files_that_a_run_has_left_stay_and_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("rec.mkv");
        let left = folder.path().join("rec.unfinished.mkv");
        fs::write(&left, "hours").unwrap();
        let first = UnfinishedFile::create(&target).unwrap();
        assert_eq!(first.left(), std::slice::from_ref(&left));
        assert_eq!(first.path(), folder.path().join("rec.unfinished-2.mkv"));
        // A file that a living process writes does not count as left.
        let second = UnfinishedFile::create(&target).unwrap();
        assert_eq!(second.left(), std::slice::from_ref(&left));
        first.commit(OnExisting::Overwrite, false).unwrap();
        let (path, left) = (second.path().to_owned(), left);
        second.discard();
        assert!(!path.exists());
        assert_eq!(fs::read(left).unwrap(), b"hours");
    }

    #[test]
    fn no_recording_is_lost_when_its_name_is_taken_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("rec.mkv");
        for choice in [OnExisting::Fail, OnExisting::Skip] {
            let file = UnfinishedFile::create(&target).unwrap();
            fs::write(&target, "another").unwrap();
            let error = file.commit(choice, false).unwrap_err();
            assert!(matches!(error, StoreError::Exists(_)), "{error}");
            assert!(file.path().exists());
            assert_eq!(fs::read(&target).unwrap(), b"another");
            fs::remove_file(&target).unwrap();
            file.discard();
        }
        let file = UnfinishedFile::create(&target).unwrap();
        fs::write(&target, "another").unwrap();
        file.commit(OnExisting::Overwrite, false).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"");
    }

    #[test]
    fn the_longest_names_can_be_unfinished() {
        let folder = tempfile::tempdir().unwrap();
        for stem in ["a".repeat(251), "ü".repeat(125)] {
            let target = folder.path().join(format!("{stem}.mkv"));
            let file = UnfinishedFile::create(&target).unwrap();
            file.commit(OnExisting::Fail, false).unwrap();
            assert!(target.exists());
        }
    }

    #[test]
    fn unfinished_names_lead_to_final_names() {
        for (name, finished) in [
            ("rec.unfinished.mkv", Some("rec.mkv")),
            ("rec-0003.unfinished-12.mp4", Some("rec-0003.mp4")),
            ("rec.mkv", None),
            ("rec.unfinished", None),
            ("rec.unfinished-x.mkv", None),
        ] {
            assert_eq!(finished_name(name).as_deref(), finished, "{name}");
        }
    }
}
