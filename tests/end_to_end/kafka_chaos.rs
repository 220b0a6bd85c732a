//! Kill -9 of everything in the middle of the work. At the end every published frame has exactly
//! one whole file, with the bytes that an undisturbed worker gives.
//!
//! The test is a small version; `bench/chaos.sh` runs it with 8 cameras, 10,000 frames and
//! kills every few seconds. `CHAOS_LOGS` names a folder where the processes' logs are kept.

use crate::kit::{Broker, Isolation, KafkaPipeline, RunningProgram, StoredRecord, sample, until};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    ops::Range,
    path::Path,
    process::Stdio,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

/// The size of the test.
#[derive(Clone, Copy)]
struct ChaosScale {
    cameras: usize,
    frames: usize,
    fps: usize,
    /// The time between two kills of a worker.
    pause: Duration,
    workers: usize,
}

fn scale() -> ChaosScale {
    let number = |name: &str, default: usize| {
        std::env::var(name)
            .ok()
            .and_then(|v| v.parse().ok())
            .unwrap_or(default)
    };
    ChaosScale {
        cameras: number("CHAOS_CAMERAS", 4),
        frames: number("CHAOS_FRAMES", 150),
        fps: number("CHAOS_FPS", 15),
        pause: Duration::from_millis(number("CHAOS_PAUSE_MS", 1500) as u64),
        workers: number("CHAOS_WORKERS", 2),
    }
}

/// Cameras, workers and the broker that is killed with them.
struct ChaosTest {
    pipeline: KafkaPipeline,
    broker: Broker,
    scale: ChaosScale,
    /// The number of bursts so far; each has another camera.
    bursts: usize,
    /// Frames of the next burst: more after each that was done before a kill.
    burst: usize,
    /// Workers that were started.
    started: AtomicUsize,
    /// Log files so far.
    logs: AtomicUsize,
}

impl ChaosTest {
    fn start(&self, args: &[&str]) -> RunningProgram {
        let mut command = self.pipeline.command(args);
        command.stdout(Stdio::null());
        match std::env::var("CHAOS_LOGS") {
            Ok(folder) => {
                let n = self.logs.fetch_add(1, Relaxed);
                let log = Path::new(&folder).join(format!("{n:03}-{}.log", args[0]));
                command.args(["--log-level", "debug", "--log-format", "json"]);
                command.stderr(File::create(log).expect("a folder for logs"));
            }
            Err(_) => drop(command.stderr(Stdio::null())),
        }
        RunningProgram::start(command)
    }

    /// Cameras that show the sample over and over.
    fn cameras(&self, names: Range<usize>, more: &[&str]) -> RunningProgram {
        let sources: Vec<String> = names
            .map(|n| format!("{}={}", camera(n), sample()))
            .collect();
        let fps = self.scale.fps.to_string();
        let how = [
            "--max-width",
            "320",
            "--partitions",
            "6",
            "--buffer-frames",
            "100000",
            "--fps",
            &fps,
        ];
        let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
        self.start(&[&["camera"], &sources[..], &how, more].concat())
    }

    /// A worker of a group that is named after where its results go. Workers with files stand for
    /// machines that share no disk: each has one of two folders.
    fn worker(&self, out: &str, more: &[&str]) -> RunningProgram {
        let started = self.started.fetch_add(1, Relaxed);
        let disk = match out {
            FILES => format!("{FILES}-disk{}", started % DISKS),
            out => out.to_owned(),
        };
        let args = [
            "worker",
            "--group",
            out.trim_start_matches("topic:"),
            "--out",
            &disk,
            "--commit-interval",
            "200ms",
        ];
        self.start(&[&args, more].concat())
    }

    fn to_the_end(&self, out: &str) {
        let done = self
            .worker(out, &["--until", "end"])
            .finish_within(Duration::from_secs(600), &["worker", out]);
        assert_eq!(done.code, Some(0), "{out}");
    }

    /// How many frames are in the topic.
    fn published(&self) -> u64 {
        let client = self.broker.client();
        if client.partitions("chaos") == 0 {
            return 0;
        }
        let ends = client.watermarks("chaos").into_iter().map(|(_, end)| end);
        ends.sum::<i64>().try_into().expect("offsets from 0")
    }

    /// How many frames a group has processed.
    fn done(&self, out: &str) -> u64 {
        let client = self.broker.client();
        client.done_by(out.trim_start_matches("topic:"), "chaos")
    }

    /// Whether a group has processed some frames, and has some left.
    fn is_at_work(&self, out: &str) -> bool {
        // The published frames are counted first: their number only grows.
        let published = self.published();
        let done = self.done(out);
        (1..published).contains(&done)
    }

    /// Publishes frames as fast as possible, and waits until a group has processed some. Returns
    /// whether it has frames left: then a kill hits work.
    fn works_on_a_burst(&mut self, out: &str) -> bool {
        assert!(
            self.burst < 20_000,
            "{} bursts were done before a kill",
            self.bursts
        );
        let before = self.done(out);
        let name = self.scale.cameras + self.bursts;
        self.bursts += 1;
        let how = ["--frames", &self.burst.to_string(), "--realtime", "false"];
        let burst = self.cameras(name..name + 1, &how).finish(&["camera"]);
        assert_eq!(burst.code, Some(0));
        until("work on a burst", || self.done(out) > before);
        let hit = self.is_at_work(out);
        if !hit {
            self.burst *= 2;
        }
        hit
    }

    /// Whether a worker has written a file of a camera, so that the camera has sent frames.
    fn has_file_of(&self, number: usize) -> bool {
        (0..DISKS).any(|disk| {
            let folder = format!("{FILES}-disk{disk}/{}", camera(number));
            !self.pipeline.workspace.files(&folder).is_empty()
        })
    }

    /// Freezes a worker until the group goes on without it.
    fn freeze_and_thaw(&self, worker: &RunningProgram) {
        let group = |size: usize| self.broker.client().members(FILES) == size;
        let all = self.scale.workers;
        until("a group without the workers that were killed", || {
            group(all)
        });
        worker.freeze();
        until("a group without the frozen worker", || group(all - 1));
        let before = self.done(FILES);
        until("the group to go on without a frozen worker", || {
            self.done(FILES) > before || !self.is_at_work(FILES)
        });
        worker.thaw();
    }

    /// Kills the camera that runs for ever, and starts it again with a limit.
    fn kill_and_restart(&self, lone: RunningProgram, frames: &str) -> RunningProgram {
        lone.kill();
        self.cameras(0..1, &["--frames", frames])
    }

    fn kill_and_restart_broker(&mut self) {
        self.broker.kill();
        self.broker.restart();
    }

    /// Files by name; those of killed processes under hidden names are left out, they are never
    /// taken for frames.
    fn tree(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        let mut tree = self.pipeline.tree(out);
        tree.retain(|name, _| !name.contains("/.mattebox-"));
        tree
    }

    /// The files of both disks. A frame that two workers have made has the same bytes twice.
    fn files_of_all_disks(&self) -> BTreeMap<String, Vec<u8>> {
        let mut all = BTreeMap::new();
        for disk in 0..DISKS {
            for (name, bytes) in self.tree(&format!("{FILES}-disk{disk}")) {
                if let Some(other) = all.insert(name.clone(), bytes) {
                    assert!(all[&name] == other, "{name} differs from disk to disk");
                }
            }
        }
        all
    }
}

fn camera(number: usize) -> String {
    format!("cam{number:02}")
}

/// Kills, and how many of them came in the middle of the work.
#[derive(Debug, Default)]
struct KillCount {
    all: usize,
    hits: usize,
}

impl KillCount {
    fn count(&mut self, hit: bool) {
        self.all += 1;
        self.hits += usize::from(hit);
    }
}

/// Folders of workers with files, as machines that share no disk have them.
const DISKS: usize = 2;
/// Where the workers' results go: to folders, and to a topic.
const FILES: &str = "disturbed";
const TOPIC: &str = "topic:chaos-results";

#[test]
fn through_kill_9_of_workers_broker_and_camera_every_frame_is_there_once_with_the_same_bytes() {
    let broker = Broker::alone();
    let mut chaos = ChaosTest {
        pipeline: KafkaPipeline::new(&broker, "chaos"),
        broker,
        scale: scale(),
        bursts: 0,
        burst: 300,
        started: AtomicUsize::new(0),
        logs: AtomicUsize::new(0),
    };
    let s = chaos.scale;
    let begun = Instant::now();
    let frames = s.frames.to_string();
    let half = (s.frames / 2).to_string();
    let several = chaos.cameras(1..s.cameras, &["--frames", &frames]);
    // One camera has a separate process and no limit. It is killed, and started again with a limit.
    let mut lone = chaos.cameras(0..1, &[]);
    let mut workers: Vec<RunningProgram> =
        (0..s.workers).map(|_| chaos.worker(FILES, &[])).collect();
    let mut results = vec![chaos.worker(TOPIC, &[])];
    let length = Duration::from_secs_f64(s.frames as f64 / s.fps as f64);
    let mut of_files = KillCount::default();
    let mut of_topic = KillCount::default();
    let mut of_broker = KillCount::default();
    let mut of_camera = KillCount::default();
    // While the cameras send, kills come at any time.
    while begun.elapsed() < length {
        thread::sleep(s.pause);
        let (out, all, kills) = if (of_files.all + of_topic.all) % 3 == 2 {
            (TOPIC, &mut results, &mut of_topic)
        } else {
            (FILES, &mut workers, &mut of_files)
        };
        kills.count(chaos.is_at_work(out));
        all.remove(0).kill();
        all.push(chaos.worker(out, &[]));
        let share = begun.elapsed().as_secs_f64() / length.as_secs_f64();
        if of_camera.all == 0 && share > 0.4 && chaos.has_file_of(0) {
            of_camera.count(true);
            lone = chaos.kill_and_restart(lone, &half);
        }
        if of_broker.all < 2 && share > 0.3 * (of_broker.all + 1) as f64 {
            of_broker.count(chaos.is_at_work(FILES));
            chaos.kill_and_restart_broker();
        }
    }
    // On a slow machine all of these kills may miss the work. Processes that were not hit often
    // enough are killed during bursts of frames.
    for (out, all, kills) in [
        (FILES, &mut workers, &mut of_files),
        (TOPIC, &mut results, &mut of_topic),
    ] {
        while kills.hits < 2 {
            kills.count(chaos.works_on_a_burst(out));
            all.remove(0).kill();
            all.push(chaos.worker(out, &[]));
        }
    }
    while of_broker.hits == 0 {
        of_broker.count(chaos.works_on_a_burst(FILES));
        chaos.kill_and_restart_broker();
    }
    if of_camera.all == 0 {
        until("a file of the camera that has no end", || {
            chaos.has_file_of(0)
        });
        of_camera.count(true);
        lone = chaos.kill_and_restart(lone, &half);
    }
    // Partitions are added while the cameras send, and the group expels a worker.
    chaos.works_on_a_burst(FILES);
    chaos.broker.operator().add_partitions("chaos", 8);
    chaos.works_on_a_burst(FILES);
    chaos.freeze_and_thaw(&workers[0]);
    for camera in [several, lone] {
        assert_eq!(camera.finish(&["camera"]).code, Some(0));
    }
    drop((workers, results));
    for out in [FILES, TOPIC, "undisturbed"] {
        chaos.to_the_end(out);
    }

    let client = chaos.broker.client();
    let records = client.consume_all("chaos", Isolation::Committed);
    let name =
        |record: &StoredRecord| format!("{}/frame_{:06}.png", record.camera(), record.sequence());
    let published: BTreeSet<String> = records.iter().map(name).collect();
    assert_eq!(
        published.len(),
        records.len(),
        "a camera published a number twice"
    );
    assert!(
        records.len() >= (s.cameras - 1) * s.frames,
        "frames were dropped"
    );
    let disturbed = chaos.files_of_all_disks();
    let undisturbed = chaos.tree("undisturbed");
    assert_eq!(
        disturbed.keys().cloned().collect::<BTreeSet<_>>(),
        published,
        "files and frames differ"
    );
    let differ: Vec<_> = disturbed
        .iter()
        .filter(|(name, bytes)| undisturbed.get(*name) != Some(bytes))
        .map(|(n, _)| n)
        .collect();
    assert!(
        differ.is_empty() && disturbed.len() == undisturbed.len(),
        "other bytes: {differ:?}"
    );
    // The open transaction of a killed worker hides later results until the broker aborts it.
    let results = client.await_records("chaos-results", published.len(), Isolation::Committed);
    let ids: BTreeSet<String> = results.iter().map(name).collect();
    assert_eq!(
        (results.len(), &ids),
        (published.len(), &published),
        "results are not there exactly once"
    );
    let differ = results
        .iter()
        .filter(|r| undisturbed.get(&name(r)) != r.value.as_ref())
        .count();
    assert_eq!(differ, 0, "results have other bytes");
    eprintln!(
        "{} frames; kills of workers with files {of_files:?}, with a topic {of_topic:?}, of the \
         broker {of_broker:?}, of a camera {of_camera:?}",
        published.len()
    );
}
