//! A real Kafka broker for a test, started by `scripts/kafka`.
//!
//! # Layout
//! - here: [`Broker`], its start, kill, restart and end
//! - [`client`]: topics, records, offsets, over any of the broker's listeners
//! - [`operator`]: topics deleted and grown, records removed, offsets reset

pub(crate) mod client;
pub(crate) mod operator;

use super::{heavy::HeavyPermit, media::repository, process::runs};
use client::Client;
use operator::BrokerOperator;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader},
    panic::Location,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak, mpsc},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The first start on a machine may have to download the jars.
const START_LIMIT: Duration = Duration::from_secs(400);
const END_LIMIT: Duration = Duration::from_secs(30);
/// Settings of every broker, so that the group misses a killed process soon: they allow short
/// sessions, and the broker looks for expired transactions each second.
const SHORT_WAITS: [&str; 4] = [
    "--set",
    "group.min.session.timeout.ms=1000",
    "--set",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000",
];

/// A broker with its data in a temporary folder. It ends when this is dropped, and with the process
/// of the test.
pub(crate) struct Broker {
    /// Removed at the end. The broker's data is in `broker/`, the messages of the launcher in
    /// `run.log`.
    dir: TempDir,
    arguments: Vec<String>,
    run: Child,
    /// The launcher stops the broker when this is closed.
    stdin: Option<ChildStdin>,
    /// The launcher's line without its first word: the address, then `name=value`.
    ready: Vec<String>,
    /// Given back after the broker's end: fields are dropped last.
    _place: HeavyPermit,
}

/// The broker of the tests of one file, while one of them has it.
type SharedBroker = Arc<Mutex<Weak<Broker>>>;

impl Broker {
    /// A broker with the launcher's defaults: Kafka 4, one PLAINTEXT listener, topics are not made
    /// by themselves.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// A broker with options of `scripts/kafka run`, as `--sasl-ssl`, `--zookeeper` or
    /// `--set message.max.bytes=4194304`.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        Self::launched(HeavyPermit::one(), arguments)
    }

    /// A broker beside which no other runs, for a test that needs the whole machine.
    pub(crate) fn alone() -> Self {
        Self::launched(HeavyPermit::alone(), &[])
    }

    fn launched(place: HeavyPermit, arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let arguments = SHORT_WAITS.iter().chain(arguments);
        let arguments: Vec<_> = arguments.map(|a| (*a).to_owned()).collect();
        let (run, stdin, ready) = launch(dir.path(), &arguments);
        Broker {
            dir,
            arguments,
            run,
            stdin: Some(stdin),
            ready,
            _place: place,
        }
    }

    /// One broker for all tests of the calling file that run at the same time. Tests use topics
    /// with names of their own.
    #[track_caller]
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<BTreeMap<&str, SharedBroker>> = Mutex::new(BTreeMap::new());
        let shared = {
            let mut all = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(Location::caller().file()).or_default())
        };
        // Only tests of the same file wait for its start.
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let broker = Arc::new(Broker::start());
            *shared = Arc::downgrade(&broker);
            broker
        })
    }

    /// Address of the PLAINTEXT listener.
    pub(crate) fn bootstrap(&self) -> String {
        self.ready[0].clone()
    }

    /// A property in the ready line of the launcher: `sasl_ssl`, `mutual_tls`, `ca`, `client_cert`,
    /// `client_key`, `zookeeper`.
    pub(crate) fn property(&self, name: &str) -> String {
        let value = self.ready[1..]
            .iter()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        value
            .unwrap_or_else(|| panic!("the broker has no {name}; it said {:?}", self.ready))
            .to_owned()
    }

    /// Topics, records and offsets, by the PLAINTEXT listener.
    pub(crate) fn client(&self) -> Client {
        Client::new(&self.bootstrap(), &[])
    }

    /// Administration of the broker, by the same listener.
    pub(crate) fn operator(&self) -> BrokerOperator {
        BrokerOperator::new(self.client())
    }

    /// Where the broker's data, settings and logs are.
    pub(crate) fn folder(&self) -> PathBuf {
        self.dir.path().join("broker")
    }

    /// The process of the broker.
    pub(crate) fn process(&self) -> i32 {
        self.try_process()
            .unwrap_or_else(|| panic!("the broker of {} does not run", self.folder().display()))
    }

    fn try_process(&self) -> Option<i32> {
        std::fs::read_to_string(self.folder().join("broker.pid"))
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    /// Kills the broker with SIGKILL, as a power cut would, and waits until the launcher has
    /// noticed. Fails where the broker does not run: such a kill would show nothing.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        let process = self.process();
        let folder = self.folder();
        assert!(
            runs(process, &folder.to_string_lossy()),
            "the broker of {} had ended before the kill",
            folder.display()
        );
        send(process, Signal::KILL);
        self.wait();
    }

    /// Kills the launcher, which ends the broker too.
    pub(crate) fn kill_launcher(&mut self) {
        self.run.kill().expect("the launcher runs");
    }

    /// Freezes the broker: its connections stay open and nothing is answered.
    pub(crate) fn freeze(&self) {
        send(self.process(), Signal::STOP);
    }

    /// Ends a freeze.
    pub(crate) fn thaw(&self) {
        send(self.process(), Signal::CONT);
    }

    /// Stops the broker cleanly, so that it can mark its data as complete.
    pub(crate) fn stop(&mut self) {
        self.stdin.take();
        self.wait();
    }

    /// Starts the broker again, after [`kill`](Self::kill) or [`stop`](Self::stop) or while it
    /// runs, with the same data and address. After a kill it takes about two seconds more: the
    /// controller waits for the end of the old session.
    pub(crate) fn restart(&mut self) {
        self.stop();
        let before = self.bootstrap();
        let (run, stdin, ready) = launch(self.dir.path(), &self.arguments);
        (self.run, self.stdin, self.ready) = (run, Some(stdin), ready);
        assert_eq!(
            self.bootstrap(),
            before,
            "the address is the same as before"
        );
    }

    /// Waits for the end of the launcher, after which no process of it is left.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.run.try_wait().expect("the launcher's status") {
                return status;
            }
            if start.elapsed() > END_LIMIT {
                // The kernel kills the broker then.
                let _ = self.run.kill();
                panic!(
                    "the broker was still running after {END_LIMIT:?}: {}",
                    said(self.dir.path())
                );
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // The data is not needed any more, and a kill is ten times as fast as a stop.
        if let (Ok(None), Some(process)) = (self.run.try_wait(), self.try_process()) {
            send(process, Signal::KILL);
        }
        self.stdin.take();
        if std::thread::panicking() {
            // A second panic would hide the first.
            let _ = self.run.kill();
            let _ = self.run.wait();
        } else {
            self.wait();
        }
    }
}

/// The launcher.
pub(crate) fn launcher() -> Command {
    Command::new(repository("scripts/kafka"))
}

/// Sends a signal, if the process still runs.
fn send(process: i32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(process).expect("a process id"), signal);
}

fn launch(dir: &Path, arguments: &[String]) -> (Child, ChildStdin, Vec<String>) {
    let log = File::create(dir.join("run.log")).expect("run.log");
    let mut command = launcher();
    command.arg("run").arg(dir.join("broker")).args(arguments);
    let mut run = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|e| panic!("{}: {e}", command.get_program().to_string_lossy()));
    let stdin = run.stdin.take().expect("a pipe");
    let stdout = run.stdout.take().expect("a pipe");
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = BufReader::new(stdout).read_line(&mut line);
        let _ = send.send(line);
    });
    let line = receive.recv_timeout(START_LIMIT).unwrap_or_default();
    let Some(ready) = line.strip_prefix("ready ") else {
        let _ = run.kill();
        let _ = run.wait();
        panic!(
            "scripts/kafka run {arguments:?} said {line:?} instead of ready: {}",
            said(dir)
        );
    };
    (
        run,
        stdin,
        ready.split_whitespace().map(str::to_owned).collect(),
    )
}

/// The messages of the launcher on standard error.
fn said(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("run.log")).unwrap_or_default()
}
