//! Named pipes and devices, which are written into and never replaced.
use mattebox_engine::stop::Stop;
use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::time::Duration;

/// The interval at which a wait checks for a reader.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The kind of a path for output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputPathKind {
    /// A file, or a path that does not exist.
    File,
    /// A folder.
    Folder,
    /// A named pipe, or a device that takes bytes such as a terminal.
    Pipe,
    /// A socket, a disk, or another kind that cannot be written into.
    Other(&'static str),
}

impl OutputPathKind {
    /// Examines a path, through links.
    pub fn of(path: &Path) -> OutputPathKind {
        path.metadata().map_or(OutputPathKind::File, |there| {
            OutputPathKind::of_metadata(&there)
        })
    }

    #[cfg(unix)]
    fn of_metadata(there: &Metadata) -> OutputPathKind {
        use std::os::unix::fs::FileTypeExt;
        let kind = there.file_type();
        match () {
            () if kind.is_dir() => OutputPathKind::Folder,
            () if kind.is_fifo() || kind.is_char_device() => OutputPathKind::Pipe,
            () if kind.is_socket() => OutputPathKind::Other("a socket"),
            () if kind.is_block_device() => OutputPathKind::Other("a disk"),
            () => OutputPathKind::File,
        }
    }

    #[cfg(not(unix))]
    fn of_metadata(there: &Metadata) -> OutputPathKind {
        if there.is_dir() {
            OutputPathKind::Folder
        } else {
            OutputPathKind::File
        }
    }
}

/// Opens a pipe for writing, as soon as it has a reader; `None` if the wait was aborted. Never
/// creates the pipe: if it is gone, that is an error.
#[cfg(unix)]
pub(super) fn open(path: &Path, abort: &Stop) -> io::Result<Option<File>> {
    use rustix::{
        fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl, open},
        io::Errno,
    };
    let mut reported = false;
    loop {
        // Without NONBLOCK the wait could not be aborted.
        match open(
            path,
            OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY,
            Mode::empty(),
        ) {
            Ok(pipe) => {
                fcntl_setfl(&pipe, fcntl_getfl(&pipe)? - OFlags::NONBLOCK)?;
                let pipe = File::from(pipe);
                return match OutputPathKind::of_metadata(&pipe.metadata()?) {
                    OutputPathKind::Pipe => Ok(Some(pipe)),
                    _ => Err(io::Error::other("it is no pipe any more")),
                };
            }
            Err(Errno::NXIO) => {
                if !reported {
                    tracing::info!(pipe = %path.display(), "waiting for a reader of the pipe");
                    reported = true;
                }
                if abort.wait(POLL_INTERVAL) {
                    return Ok(None);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(not(unix))]
pub(super) fn open(_: &Path, _: &Stop) -> io::Result<Option<File>> {
    Err(io::Error::other(
        "named pipes cannot be written on this system",
    ))
}
