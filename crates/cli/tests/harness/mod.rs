//! Runs the real binary: three lines for an end-to-end test.
#![allow(dead_code, reason = "each test file uses its own part of the harness")]
mod inherited;

pub(crate) use inherited::shield;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A folder that is removed at the end, and the binary with that folder as working directory.
pub(crate) struct Bench {
    dir: TempDir,
}

/// What the binary did.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

/// The sample clip: 75 frames, 640x360, 25 per second.
pub(crate) fn sample() -> String {
    repository("samples/person.mp4")
}

/// A path in the repository.
pub(crate) fn repository(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
        .to_string_lossy()
        .into_owned()
}

impl Bench {
    pub(crate) fn new() -> Self {
        Bench {
            dir: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The binary with arguments, in the folder, without what whoever runs the tests has in the environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mattebox"));
        shield(
            command
                .args(args)
                .current_dir(self.dir.path())
                .stdin(Stdio::null()),
        );
        command
    }

    /// Runs the binary to its end; hanging for two minutes fails the test.
    pub(crate) fn run(&self, args: &[&str]) -> Done {
        self.run_with(args, &[])
    }

    /// The same with environment variables.
    pub(crate) fn run_with(&self, args: &[&str], env: &[(&str, &str)]) -> Done {
        let mut command = self.command(args);
        command
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.spawn().expect("the binary starts");
        finish(child, Duration::from_secs(120), args)
    }

    /// Runs with `--json` and returns the sums; fails if the exit code is not 0.
    pub(crate) fn report(&self, args: &[&str]) -> Value {
        let done = self.run(&[args, &["--json"]].concat());
        assert_eq!(done.code, Some(0), "{args:?}: {}", done.stderr);
        serde_json::from_slice(&done.stdout).expect("the report is JSON")
    }

    /// Names of the files in a folder, sorted; temporary ones too.
    pub(crate) fn files(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path(folder)) else {
            return vec![];
        };
        let mut names: Vec<_> = entries
            .map(|e| {
                e.expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Runs ffmpeg, to make an input or to look at an output.
    pub(crate) fn ffmpeg(&self, args: &[&str]) -> Output {
        let output = shield(&mut Command::new("ffmpeg"))
            .args(["-nostdin", "-hide_banner", "-loglevel", "error", "-y"])
            .args(args)
            .current_dir(self.dir.path())
            .output()
            .expect("ffmpeg runs");
        assert!(
            output.status.success(),
            "ffmpeg {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }

    /// Frames and size of a video, counted by decoding it.
    pub(crate) fn probe(&self, name: &str) -> (u64, u64, u64) {
        let output = shield(&mut Command::new("ffprobe"))
            .args([
                "-v",
                "error",
                "-select_streams",
                "v",
                "-count_frames",
                "-of",
                "json",
            ])
            .args(["-show_entries", "stream=nb_read_frames,width,height"])
            .arg(self.path(name))
            .output()
            .expect("ffprobe runs");
        let json: Value = serde_json::from_slice(&output.stdout).expect("ffprobe prints JSON");
        let stream = &json["streams"][0];
        let frames = stream["nb_read_frames"]
            .as_str()
            .and_then(|n| n.parse().ok())
            .unwrap_or(0);
        (
            frames,
            stream["width"].as_u64().unwrap_or(0),
            stream["height"].as_u64().unwrap_or(0),
        )
    }
}

/// Waits for a child, which is killed after `limit`.
pub(crate) fn finish(mut child: Child, limit: Duration, what: &[&str]) -> Done {
    let pid = child.id();
    let start = Instant::now();
    // The pipes are emptied by wait_with_output on another thread, so that a full pipe is not taken for a hang.
    let (send, receive) = std::sync::mpsc::channel();
    child.stdin.take();
    std::thread::spawn(move || send.send(child.wait_with_output()));
    let Ok(output) = receive.recv_timeout(limit) else {
        let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        panic!("{what:?} was still running after {:?}", start.elapsed());
    };
    let output = output.expect("the child's output");
    Done {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A child that does not outlive its test, also where that fails.
pub(crate) struct Running(Option<Child>);

impl Running {
    /// Starts it.
    pub(crate) fn start(mut command: Command) -> Self {
        Running(Some(command.spawn().expect("the binary starts")))
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self, limit: Duration, what: &[&str]) -> Done {
        finish(self.0.take().expect("it is running"), limit, what)
    }

    /// Stops it in the middle of whatever it does, as a machine that hangs. `kill -9` still ends it.
    pub(crate) fn freeze(&self) {
        signal(self.0.as_ref().expect("it is running"), "STOP");
    }

    /// Ends a freeze.
    pub(crate) fn thaw(&self) {
        signal(self.0.as_ref().expect("it is running"), "CONT");
    }

    /// Sends it a signal.
    pub(crate) fn send(&self, name: &str) {
        signal(self.0.as_ref().expect("it is running"), name);
    }

    /// Asks it to stop, and waits for its end.
    pub(crate) fn stop(self, limit: Duration, what: &[&str]) -> Done {
        signal(self.0.as_ref().expect("it is running"), "TERM");
        self.finish(limit, what)
    }
}

/// `kill -9`.
impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Sends a signal to a child.
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status();
    assert!(status.expect("kill runs").success());
}
