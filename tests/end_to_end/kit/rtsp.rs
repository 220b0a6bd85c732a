//! A network camera: an RTSP server that can be killed and started again.
use super::{heavy::HeavyPermit, media::repository, port::free_port, process::RunningProgram};
use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
};

/// The camera of `rtsp_server.py`, killed when dropped.
pub(crate) struct RtspCamera {
    running: RunningProgram,
    port: u16,
    heavy: HeavyPermit,
}

impl RtspCamera {
    /// Starts it, and waits until it is ready.
    pub(crate) fn start() -> Self {
        Self::start_at(free_port(), HeavyPermit::one())
    }

    fn start_at(port: u16, heavy: HeavyPermit) -> Self {
        // The system's own Python: its packages are those that scripts/setup installs.
        let mut command = Command::new("/usr/bin/python3");
        command
            .arg(repository("tests/end_to_end/kit/rtsp_server.py"))
            .arg(port.to_string())
            .stdout(Stdio::piped());
        let mut running = RunningProgram::start(command);
        let stdout = running.stdout();
        let mut line = String::new();
        let _ = BufReader::new(stdout.take(64)).read_line(&mut line);
        let port = line
            .trim()
            .parse()
            .expect("the test camera starts; `scripts/setup test` installs what it needs");
        RtspCamera {
            running,
            port,
            heavy,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// `kill -9`, and a start at the same address.
    pub(crate) fn kill_and_restart(self) -> Self {
        self.running.kill();
        Self::start_at(self.port, self.heavy)
    }
}
