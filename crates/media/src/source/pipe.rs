//! A pipe whose bytes this process sends to FFmpeg, so that it can inspect them first, and send
//! them again.
use mattebox_engine::stop::Stop;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ChildStdin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of the beginning that are kept: more than FFmpeg reads to find the streams.
const KEPT: usize = 8 << 20;
/// Bytes that are read or written at once.
const CHUNK: usize = 1 << 20;
/// The beginning of a JPEG picture, and that of each part of a multipart stream of them.
const JPEG: &[u8] = &[0xff, 0xd8, 0xff];
const PART: &[u8] = b"--";
/// Bytes that are needed to recognise the format.
const ENOUGH: usize = 3;
/// The wait before another read of a non-blocking pipe.
const RETRY_DELAY: Duration = Duration::from_millis(2);
/// The interval at which a wait checks whether to stop.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Standard input or a named pipe, shared by all clones. A thread reads it as fast as FFmpeg takes
/// it. That thread is never joined, because only the other side can end a read from a pipe.
#[derive(Debug, Clone)]
pub(super) struct Pipe {
    shared: Arc<PipeShared>,
    _closes: Arc<CloseOnDrop>,
}

/// Stops the reading when the last clone is dropped.
#[derive(Debug)]
struct CloseOnDrop(Arc<PipeShared>);

#[derive(Debug)]
struct PipeShared {
    /// `None`: standard input.
    path: Option<PathBuf>,
    state: Mutex<PipeState>,
    changed: Condvar,
    /// The child that gets the data. Locked before `state`.
    child: Mutex<Option<ChildInput>>,
}

#[derive(Debug, Default)]
struct PipeState {
    /// The reading thread was started.
    begun: bool,
    /// The data so far, until it is more than [`KEPT`].
    kept: Vec<u8>,
    /// The bytes before that.
    gone: u64,
    has_child: bool,
    /// The pipe has ended.
    ended: bool,
    /// No more data is wanted.
    closed: bool,
}

#[derive(Debug)]
struct ChildInput {
    to: ChildStdin,
    given: u64,
}

impl PartialEq for Pipe {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.state().closed = true;
        self.0.changed.notify_all();
    }
}

impl Pipe {
    pub(super) fn standard_input() -> Self {
        Pipe::new(None)
    }

    pub(super) fn named(path: &Path) -> Self {
        Pipe::new(Some(path.to_owned()))
    }

    fn new(path: Option<PathBuf>) -> Self {
        let shared = Arc::new(PipeShared {
            path,
            state: Mutex::default(),
            changed: Condvar::new(),
            child: Mutex::default(),
        });
        Pipe {
            _closes: Arc::new(CloseOnDrop(shared.clone())),
            shared,
        }
    }

    /// Whether its first bytes are those of JPEG pictures, bare or in parts. Waits up to `timeout`
    /// for them; zero is for ever.
    pub(super) fn begins_with_pictures(&self, timeout: Duration, stop: &Stop) -> bool {
        self.begin();
        let begun = Instant::now();
        let mut state = self.shared.state();
        while state.kept.len() < ENOUGH && !state.ended && !stop.is_stopped() {
            if !timeout.is_zero() && begun.elapsed() >= timeout {
                break;
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, POLL_INTERVAL)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.kept.starts_with(JPEG) || state.kept.starts_with(PART)
    }

    /// Whether the part that was read begins with a bare JPEG picture.
    pub(super) fn begins_with_jpeg(&self) -> bool {
        self.shared.state().kept.starts_with(JPEG)
    }

    /// Whether all data so far is kept.
    pub(super) fn is_whole(&self) -> bool {
        self.shared.state().gone == 0
    }

    /// Sends all data from the beginning to a child, which replaces the one before. Only while
    /// [`Pipe::is_whole`].
    pub(super) fn supply(&self, to: ChildStdin) {
        widen(&to);
        *lock(&self.shared.child) = Some(ChildInput { to, given: 0 });
        self.shared.state().has_child = true;
        self.shared.changed.notify_all();
        self.begin();
        // On a thread: kept data does not wait for new data, and the caller does not wait for the
        // child.
        let shared = self.shared.clone();
        let _ = thread::Builder::new()
            .name("pipe to ffmpeg".into())
            .spawn(move || shared.deliver());
    }

    fn begin(&self) {
        if std::mem::replace(&mut self.shared.state().begun, true) {
            return;
        }
        let shared = self.shared.clone();
        let started = thread::Builder::new()
            .name("pipe".into())
            .spawn(move || shared.read());
        if started.is_err() {
            self.shared.end();
        }
    }
}

impl PipeShared {
    fn state(&self) -> MutexGuard<'_, PipeState> {
        lock(&self.state)
    }

    /// Reads to the end.
    fn read(&self) {
        if let Ok(mut from) = self.open() {
            let mut chunk = vec![0; CHUNK];
            while self.is_wanted() {
                match from.read(&mut chunk) {
                    Ok(0) => break,
                    Ok(read) => self.take(&chunk[..read]),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    // Another process with the pipe may have made it non-blocking.
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        thread::sleep(RETRY_DELAY)
                    }
                    Err(_) => break,
                }
            }
        }
        self.end();
    }

    fn open(&self) -> io::Result<File> {
        match &self.path {
            Some(path) => File::open(path),
            #[cfg(unix)]
            None => Ok(File::from(
                std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned()?,
            )),
            #[cfg(not(unix))]
            None => Err(ErrorKind::Unsupported.into()),
        }
    }

    /// Waits until more data is wanted. False if none will be.
    fn is_wanted(&self) -> bool {
        let mut state = self.state();
        while !state.closed && !state.has_child && state.kept.len() >= ENOUGH {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        !state.closed
    }

    fn take(&self, chunk: &[u8]) {
        self.state().kept.extend_from_slice(chunk);
        self.changed.notify_all();
        self.deliver();
        let mut state = self.state();
        if state.kept.len() > KEPT && state.has_child {
            state.gone += state.kept.len() as u64;
            state.kept = Vec::new();
        }
    }

    fn end(&self) {
        self.state().ended = true;
        self.changed.notify_all();
        self.deliver();
    }

    /// Sends the child the data that it does not have yet, and closes its input at the end.
    fn deliver(&self) {
        let mut child = lock(&self.child);
        while let Some(ChildInput { to, given }) = &mut *child {
            let next = {
                let state = self.state();
                let rest = given
                    .checked_sub(state.gone)
                    .and_then(|from| state.kept.get(from as usize..));
                if rest.is_some_and(|rest| rest.is_empty() && !state.ended) {
                    return;
                }
                rest.map(|rest| rest[..rest.len().min(CHUNK)].to_vec())
            };
            let chunk = next.unwrap_or_default();
            if chunk.is_empty() || to.write_all(&chunk).is_err() {
                *child = None;
                self.state().has_child = false;
                return;
            }
            *given += chunk.len() as u64;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a pipe hold about one picture instead of 64 KiB.
fn widen(pipe: &ChildStdin) {
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, CHUNK);
    #[cfg(not(target_os = "linux"))]
    let _ = pipe;
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    fn cat() -> (Child, ChildStdin) {
        let mut child = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let to = child.stdin.take().unwrap();
        (child, to)
    }

    #[test]
    fn a_second_child_gets_all_that_the_first_got_and_what_follows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(
            Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        let pipe = Pipe::named(&path);
        let mut from = thread::scope(|scope| {
            let opening = scope.spawn(|| File::options().write(true).open(&path).unwrap());
            assert!(
                !pipe.begins_with_pictures(Duration::from_millis(1), &Stop::new()),
                "nothing has come"
            );
            opening.join().unwrap()
        });
        from.write_all(&[0xff, 0xd8, 0xff, 1, 2]).unwrap();
        assert!(pipe.begins_with_pictures(Duration::ZERO, &Stop::new()) && pipe.begins_with_jpeg());
        let (mut first, to) = cat();
        pipe.supply(to);
        let mut seen = [0; 5];
        first.stdout.take().unwrap().read_exact(&mut seen).unwrap();
        assert_eq!(seen, [0xff, 0xd8, 0xff, 1, 2]);
        first.kill().unwrap();
        first.wait().unwrap();
        let (second, to) = cat();
        assert!(pipe.is_whole());
        pipe.supply(to);
        from.write_all(&[3]).unwrap();
        drop(from);
        assert_eq!(
            second.wait_with_output().unwrap().stdout,
            [0xff, 0xd8, 0xff, 1, 2, 3]
        );
    }

    #[test]
    fn much_passes_through_and_little_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes: Vec<u8> = (0..3 * KEPT + 17)
            .map(|i| ((i * 7919) >> 8) as u8)
            .collect();
        std::fs::write(&path, &bytes).unwrap();
        let pipe = Pipe::named(&path);
        let (child, to) = cat();
        pipe.supply(to);
        assert!(child.wait_with_output().unwrap().stdout == bytes);
        assert!(!pipe.is_whole() && pipe.shared.state().kept.capacity() <= 2 * (KEPT + CHUNK));
    }
}
