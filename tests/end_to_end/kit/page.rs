//! A binary that serves a live page, and requests to it.
use super::{
    binary::Workspace,
    environment::shield,
    process::{ProgramOutput, RunningProgram},
    wait::until_or,
};
use rustix::process::Signal;
use serde_json::Value;
use std::{
    fs::File,
    process::{Command, Stdio},
};

/// A running command with a live page.
pub(crate) struct RunningPage<'a> {
    workspace: &'a Workspace,
    running: RunningProgram,
    log: String,
    address: String,
}

impl<'a> RunningPage<'a> {
    /// Starts a command and waits for the address of its page in its log. Its arguments need
    /// `--view=127.0.0.1:0` or `--metrics=127.0.0.1:0`.
    pub(crate) fn start(workspace: &'a Workspace, mut command: Command, log: &str) -> Self {
        command
            .stdout(Stdio::null())
            .stderr(File::create(workspace.path(log)).expect("a log"));
        let running = RunningProgram::start(command);
        let mut page = RunningPage {
            workspace,
            running,
            log: log.to_owned(),
            address: String::new(),
        };
        page.until("its address", |page| page.said(" at http://127.0.0.1:"));
        let text = page.text();
        let (_, rest) = text
            .split_once(" at http://127.0.0.1:")
            .expect("it is there");
        let port = rest.split(['/', ' ', '\n']).next().expect("the port");
        page.address = format!("http://127.0.0.1:{port}");
        page
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.workspace.read(&self.log)).into_owned()
    }

    /// How many lines of the log have a text.
    pub(crate) fn lines_with(&self, text: &str) -> usize {
        let log = self.text();
        log.lines().filter(|line| line.contains(text)).count()
    }

    /// Why it is not ready; `None` when it is.
    pub(crate) fn troubles(&self) -> Option<String> {
        match self.get("/readyz") {
            (200, _) => None,
            (_, body) => Some(String::from_utf8_lossy(&body).into_owned()),
        }
    }

    /// Whether the log has a text.
    pub(crate) fn said(&self, text: &str) -> bool {
        self.text().contains(text)
    }

    /// Waits for a condition.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        until_or(what, || is_so(self), || self.text());
    }

    fn curl(&self, args: &[&str], path: &str) -> (u16, Vec<u8>) {
        let output = shield(&mut Command::new("curl"))
            .args([
                "-sS",
                "--noproxy",
                "*",
                "-m",
                "30",
                "-o",
                "-",
                "-w",
                "\n%{http_code}",
            ])
            .args(args)
            .arg(format!("{}{path}", self.address))
            .output()
            .expect("curl runs");
        let at = output
            .stdout
            .iter()
            .rposition(|&byte| byte == b'\n')
            .expect("a status");
        let status = String::from_utf8_lossy(&output.stdout[at + 1..])
            .parse()
            .expect("a status");
        (status, output.stdout[..at].to_vec())
    }

    /// The state of all cameras.
    pub(crate) fn get(&self, path: &str) -> (u16, Vec<u8>) {
        self.curl(&[], path)
    }

    /// The only camera, or the first; null if there is none.
    pub(crate) fn camera(&self) -> Value {
        let (_, body) = self.get("/api/cameras");
        let all: Value = serde_json::from_slice(&body).expect("JSON");
        all["cameras"].get(0).cloned().unwrap_or_default()
    }

    /// Changes settings of a camera.
    pub(crate) fn change(&self, camera: &str, settings: &str) -> (u16, Value) {
        let args = [
            "-X",
            "PATCH",
            "-H",
            "Content-Type: application/json",
            "-d",
            settings,
        ];
        let (status, body) = self.curl(&args, &format!("/api/cameras/{camera}/settings"));
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    /// The colour of the newest picture at a place.
    pub(crate) fn colour(&self, camera: &str, x: u32, y: u32) -> Option<[u8; 3]> {
        let (status, body) = self.get(&format!("/api/cameras/{camera}/frame.png"));
        let picture = (status == 200).then(|| {
            mattebox_core::codec::decode(&body, &Default::default()).expect("a picture")
        })?;
        Some(picture.get_pixel(x, y).0)
    }

    /// Asks it to read its settings again.
    pub(crate) fn hang_up(&self) {
        self.running.send(Signal::HUP);
    }

    /// Stops it and returns its output and its log.
    pub(crate) fn stop(self) -> (ProgramOutput, String) {
        let RunningPage {
            workspace,
            running,
            log,
            ..
        } = self;
        let done = running.stop(&["the command with a page"]);
        (
            done,
            String::from_utf8_lossy(&workspace.read(&log)).into_owned(),
        )
    }

    /// Waits for its end.
    pub(crate) fn finish(self) -> ProgramOutput {
        self.running.finish(&["the command with a page"])
    }
}
