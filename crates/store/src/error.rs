//! Errors of paths, with advice.
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a file could not be stored. The text names the path and ends with advice.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file exists, and [`OnExisting::Fail`](crate::OnExisting::Fail) forbids to replace it.
    #[error(
        "{} exists already: choose another output, or allow to overwrite or skip existing files",
        .0.display()
    )]
    Exists(PathBuf),
    /// The system refused.
    #[error("cannot {action} {}: {source}{}", path.display(), advice(source.kind()))]
    Io {
        /// The action that failed, as a verb.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

impl StoreError {
    /// For `map_err`: adds the action and the path to an I/O error.
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

/// Advice to a person for a kind of error, to follow the system's own words. Empty where nothing
/// helps.
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
