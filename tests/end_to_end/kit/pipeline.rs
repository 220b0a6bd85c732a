//! The real binary with a real broker, for tests of camera and worker.
use super::{
    binary::Workspace,
    broker::Broker,
    media::sample,
    page::RunningPage,
    process::{ProgramOutput, RunningProgram},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
};

/// Files by name.
pub(crate) type OutputFiles = BTreeMap<String, Vec<u8>>;

/// Fails where a file is gone or has other bytes.
#[track_caller]
pub(crate) fn assert_untouched(before: &OutputFiles, after: &OutputFiles) {
    for (name, bytes) in before {
        assert!(after.get(name) == Some(bytes), "{name} was replaced");
    }
}

/// A folder, a broker's address and a topic.
pub(crate) struct KafkaPipeline {
    pub(crate) workspace: Workspace,
    bootstrap: String,
    topic: String,
}

impl KafkaPipeline {
    /// Pictures of these widths: lives of a camera are told apart by them.
    pub(crate) fn pictures<const N: usize>(&self, widths: [u32; N]) -> [Vec<u8>; N] {
        widths.map(|width| self.workspace.jpeg(&format!("scale={width}:-2")))
    }

    pub(crate) fn new(broker: &Broker, topic: &str) -> Self {
        KafkaPipeline {
            workspace: Workspace::new(),
            bootstrap: broker.bootstrap(),
            topic: topic.to_owned(),
        }
    }

    pub(crate) fn start(&self, args: &[&str]) -> RunningProgram {
        RunningProgram::start(self.command(args))
    }

    /// A command with a session of six seconds: the group misses it soon after a kill or freeze,
    /// but not while the machine is busy.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_with_session(args, 6000)
    }

    /// The same with a session of so many milliseconds.
    pub(crate) fn command_with_session(&self, args: &[&str], session_ms: u32) -> Command {
        let mut command = self.workspace.command(args);
        command.args([
            "--kafka",
            &self.bootstrap,
            "--topic",
            &self.topic,
            "--progress",
            "none",
        ]);
        command.args([
            "--kafka-option",
            &format!("session.timeout.ms={session_ms}"),
            "--kafka-option",
            "heartbeat.interval.ms=500",
            // New partitions show after two seconds instead of thirty.
            "--kafka-option",
            "topic.metadata.refresh.interval.ms=2000",
        ]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A command with a live page on a free port. Its log is the file `log`.
    pub(crate) fn page(&self, args: &[&str], log: &str) -> RunningPage<'_> {
        let command = self.command(&[args, &["--view=127.0.0.1:0"]].concat());
        RunningPage::start(&self.workspace, command, log)
    }

    pub(crate) fn run(&self, args: &[&str]) -> ProgramOutput {
        self.start(args).finish(args)
    }

    #[track_caller]
    pub(crate) fn report(&self, args: &[&str]) -> Value {
        let done = self.run(&[args, &["--json"]].concat());
        assert_eq!(done.code, Some(0), "{args:?}: {}", done.stderr);
        serde_json::from_slice(&done.stdout).unwrap_or_else(|e| panic!("{e}: {}", done.stderr))
    }

    /// Publishes frames of the sample as fast as possible, from each camera, small.
    pub(crate) fn fill(&self, cameras: &[&str], frames: usize, more: &[&str]) -> Value {
        let sources = cameras
            .iter()
            .map(|c| format!("{c}={}", sample()))
            .collect::<Vec<_>>();
        let frames = frames.to_string();
        let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
        let how = [
            "--realtime",
            "false",
            "--frames",
            &frames,
            "--fps",
            "25",
            "--max-width",
            "320",
        ];
        self.report(&[&["camera"], &sources[..], &how, more].concat())
    }

    /// All files in the folders of cameras, by name.
    pub(crate) fn tree(&self, out: &str) -> OutputFiles {
        let mut tree = BTreeMap::new();
        for camera in self
            .workspace
            .files(out)
            .iter()
            .filter(|name| !name.starts_with('.'))
        {
            for file in self.workspace.files(&format!("{out}/{camera}")) {
                let name = format!("{camera}/{file}");
                tree.insert(name.clone(), self.workspace.read(&format!("{out}/{name}")));
            }
        }
        tree
    }

    /// How many files have their final names.
    pub(crate) fn count(&self, out: &str) -> usize {
        let cameras = self.workspace.files(out);
        let files = cameras
            .iter()
            .filter(|name| !name.starts_with('.'))
            .flat_map(|c| self.workspace.files(&format!("{out}/{c}")));
        files.filter(|name| !name.starts_with('.')).count()
    }
}

/// Sums a number of a report over its cameras.
pub(crate) fn sum(report: &Value, name: &str) -> u64 {
    report["cameras"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|c| c[name].as_u64().unwrap_or(0))
        .sum()
}
