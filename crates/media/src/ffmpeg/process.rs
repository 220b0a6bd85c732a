//! A child process that never outlives its owner.
use std::io;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A child in its own process group: a Ctrl-C in the terminal reaches only this process, which
/// decides when the child ends. Dropped, it is killed and reaped.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts it, with stderr piped.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt;
            command.process_group(0);
        }
        Ok(Process {
            child: command.stderr(Stdio::piped()).spawn()?,
        })
    }

    /// The pipe to its standard input, once.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// The pipe from its standard output, once.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// The pipe from its standard error, once.
    pub fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// The exit status, if it has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits up to `timeout` for the end.
    pub fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + timeout;
        loop {
            let status = self.status();
            if status.is_some() || Instant::now() >= deadline {
                return status;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it and all processes that it started, now, and reaps it.
    pub fn kill(&mut self) {
        if self.status().is_none() {
            // It is not yet reaped, so no other process has its number.
            #[cfg(unix)]
            if let Some(group) = i32::try_from(self.child.id())
                .ok()
                .and_then(rustix::process::Pid::from_raw)
            {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use rustix::process::{Pid, test_kill_process};
    use std::io::{BufRead, BufReader};

    #[test]
    fn a_dropped_process_and_its_own_children_are_gone() {
        let mut command = Command::new("sh");
        command
            .args(["-c", "sleep 1000 & echo $!; wait"])
            .stdout(Stdio::piped());
        let mut process = Process::spawn(&mut command).unwrap();
        let mut line = String::new();
        BufReader::new(process.take_stdout().unwrap())
            .read_line(&mut line)
            .unwrap();
        let grandchild = Pid::from_raw(line.trim().parse().unwrap()).unwrap();
        let child = Pid::from_raw(process.child.id() as i32).unwrap();
        assert!(test_kill_process(child).is_ok() && test_kill_process(grandchild).is_ok());
        drop(process);
        assert!(test_kill_process(child).is_err(), "the child was reaped");
        // Another process adopts and reaps the grandchild a little later; until then it is a
        // zombie.
        let gone = || {
            let stat =
                std::fs::read_to_string(format!("/proc/{}/stat", grandchild.as_raw_nonzero()));
            test_kill_process(grandchild).is_err() || stat.is_ok_and(|s| s.contains(") Z "))
        };
        assert!((0..1000).any(|_| gone() || {
            thread::sleep(Duration::from_millis(5));
            false
        }));
    }
}
