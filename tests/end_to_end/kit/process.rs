//! Children of a test: they do not outlive it, even if it fails.
use super::wait::LIMIT;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    os::unix::process::ExitStatusExt,
    process::{Child, ChildStdout, Command},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// The exit code and the output of a program.
pub(crate) struct ProgramOutput {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// Waits for a child's end. A child that is still there after [`LIMIT`] is killed, and the test
/// fails.
#[track_caller]
pub(crate) fn finish(child: Child, what: &[&str]) -> ProgramOutput {
    finish_within(LIMIT, child, what)
}

#[track_caller]
fn finish_within(limit: Duration, mut child: Child, what: &[&str]) -> ProgramOutput {
    let process = Pid::from_child(&child);
    let start = Instant::now();
    // wait_with_output empties the pipes on another thread, so that a full pipe does not look like
    // a hang.
    let (send, receive) = mpsc::channel();
    child.stdin.take();
    thread::spawn(move || send.send(child.wait_with_output()));
    let Ok(output) = receive.recv_timeout(limit) else {
        let _ = kill_process(process, Signal::KILL);
        panic!("{what:?} was still running after {:?}", start.elapsed());
    };
    let output = output.expect("the child's output");
    ProgramOutput {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A child that is killed when this is dropped.
pub(crate) struct RunningProgram(Option<Child>);

impl RunningProgram {
    /// Starts it.
    pub(crate) fn start(mut command: Command) -> Self {
        RunningProgram(Some(command.spawn().expect("the program starts")))
    }

    fn child(&self) -> &Child {
        self.0.as_ref().expect("it is running")
    }

    /// Waits for its end, at most [`LIMIT`].
    #[track_caller]
    pub(crate) fn finish(self, what: &[&str]) -> ProgramOutput {
        self.finish_within(LIMIT, what)
    }

    /// The same with another limit.
    #[track_caller]
    pub(crate) fn finish_within(mut self, limit: Duration, what: &[&str]) -> ProgramOutput {
        finish_within(limit, self.0.take().expect("it is running"), what)
    }

    /// Its standard output, where that is a pipe.
    pub(crate) fn stdout(&mut self) -> ChildStdout {
        let child = self.0.as_mut().expect("it is running");
        child.stdout.take().expect("a pipe")
    }

    /// Sends it a signal.
    #[track_caller]
    pub(crate) fn send(&self, what: Signal) {
        signal(self.child(), what);
    }

    /// Stops it in the middle of its work, like a machine that hangs. [`kill`](Self::kill) still
    /// ends it.
    #[track_caller]
    pub(crate) fn freeze(&self) {
        self.send(Signal::STOP);
    }

    /// Ends a freeze.
    #[track_caller]
    pub(crate) fn thaw(&self) {
        self.send(Signal::CONT);
    }

    /// Asks it to stop, and waits for its end.
    #[track_caller]
    pub(crate) fn stop(self, what: &[&str]) -> ProgramOutput {
        self.send(Signal::TERM);
        self.finish(what)
    }

    /// `kill -9`. Fails if it had ended by itself: such a kill would prove nothing.
    #[track_caller]
    pub(crate) fn kill(mut self) {
        let mut child = self.0.take().expect("it is running");
        let _ = child.kill();
        let status = child.wait().expect("its status");
        assert_eq!(
            status.signal(),
            Some(Signal::KILL.as_raw()),
            "it ended by itself before the kill: {status}"
        );
    }
}

impl Drop for RunningProgram {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Sends a signal to a child.
#[track_caller]
pub(crate) fn signal(child: &Child, what: Signal) {
    kill_process(Pid::from_child(child), what).expect("a child that is there");
}

/// Whether a child has a handler for a signal. Before it has one, a signal ends it at once.
pub(crate) fn handles(child: &Child, what: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
    let status = status.unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("SigCgt:")?.trim(), 16).ok());
    mask.unwrap_or(0) & (1 << (what.as_raw() - 1)) != 0
}

/// Whether a process whose command line holds `part` has this number.
pub(crate) fn runs(process: i32, part: &str) -> bool {
    std::fs::read(format!("/proc/{process}/cmdline"))
        .is_ok_and(|line| String::from_utf8_lossy(&line).contains(part))
}

/// The program ended by itself with this code, and standard error has every word.
#[track_caller]
pub(crate) fn assert_said(done: &ProgramOutput, code: i32, words: &[&str]) {
    assert_eq!(done.code, Some(code), "{}", done.stderr);
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    for word in words {
        assert!(
            done.stderr.contains(word),
            "{word:?} is missing in: {}",
            done.stderr
        );
    }
}
