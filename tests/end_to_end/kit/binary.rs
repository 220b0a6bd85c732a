//! Runs the real binary: three lines for an end-to-end test.
use super::{
    environment::shield,
    media::{run_ffmpeg, sample},
    process::{ProgramOutput, finish},
};
use serde_json::Value;
use std::{
    path::PathBuf,
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// A folder that is removed at the end, and the binary with that folder as working directory.
pub(crate) struct Workspace {
    dir: TempDir,
}

impl Workspace {
    pub(crate) fn new() -> Self {
        Workspace {
            dir: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The binary with arguments, in the folder, without the environment of the test process.
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

    /// Runs the binary to its end; hanging fails the test.
    pub(crate) fn run(&self, args: &[&str]) -> ProgramOutput {
        self.run_with(args, &[])
    }

    /// The same with environment variables.
    pub(crate) fn run_with(&self, args: &[&str], env: &[(&str, &str)]) -> ProgramOutput {
        let mut command = self.command(args);
        command
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.spawn().expect("the binary starts");
        finish(child, args)
    }

    /// Runs with `--json` and returns the summary; fails if the exit code is not 0.
    pub(crate) fn report(&self, args: &[&str]) -> Value {
        let done = self.run(&[args, &["--json"]].concat());
        assert_eq!(done.code, Some(0), "{args:?}: {}", done.stderr);
        serde_json::from_slice(&done.stdout).expect("the report is JSON")
    }

    /// Names of the files in a folder, sorted; temporary ones too, but not `.mattebox`, which holds
    /// the owner.
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
            .filter(|name| name != ".mattebox")
            .collect();
        names.sort();
        names
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Runs FFmpeg in the folder, to make an input or to look at an output.
    pub(crate) fn ffmpeg(&self, args: &[&str]) {
        run_ffmpeg(self.dir.path(), args);
    }

    /// A frame of the sample as a JPEG, after an FFmpeg filter such as `scale=320:-2`.
    pub(crate) fn jpeg(&self, filter: &str) -> Vec<u8> {
        let how = ["-frames:v", "1", "-vf", filter, "-q:v", "3", "one.jpg"];
        self.ffmpeg(&[&["-i", &sample()], &how[..]].concat());
        self.read("one.jpg")
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
