//! What can go wrong with a path, and what to do about it.
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why something could not be stored. The text names the path and ends with what to do.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file is there, and [`OnExisting::Fail`](crate::OnExisting::Fail) forbids to replace it.
    #[error("{} exists already: choose another output, or allow to overwrite or to skip what \
        exists", .0.display())]
    Exists(PathBuf),
    /// The system refused.
    #[error("cannot {action} {}: {source}{}", path.display(), advice(source.kind()))]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StoreError {
    /// For `map_err`: gives an I/O error its path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.to_owned();
        move |source| StoreError::Io {
            action,
            path,
            source,
        }
    }

    /// The system's kind of error, if it is one of the system's.
    pub fn io_kind(&self) -> Option<ErrorKind> {
        match self {
            StoreError::Exists(_) => None,
            StoreError::Io { source, .. } => Some(source.kind()),
        }
    }
}

/// What a person can do about a kind of error, to follow the system's own words. Empty where
/// nothing helps.
pub fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            ": free some space or choose another output folder"
        }
        ErrorKind::FileTooLarge => {
            ": raise the limit on file size (ulimit -f) or choose another file system"
        }
        ErrorKind::ReadOnlyFilesystem => {
            ": the file system is read-only, choose another output folder"
        }
        ErrorKind::PermissionDenied => ": choose a folder that you may write to",
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            ": a file is where a folder should be, choose another output folder or move the file \
             away"
        }
        ErrorKind::IsADirectory => ": a folder is where the file should be, move it away",
        ErrorKind::InvalidFilename => ": choose a shorter name",
        _ => "",
    }
}
