//! Kill -9 of everything in the middle of the work. At the end every published frame has exactly one whole file, with the bytes that an
//! undisturbed worker gives.
//!
//! The test is a small version; `bench/chaos.sh` runs it with 8 cameras, 10,000 frames and kills every few seconds.
mod broker;
mod harness;

use broker::{Broker, client::Isolation};
use harness::{Bench, Running, sample};
use std::{
    collections::{BTreeMap, BTreeSet},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

/// How large it is.
struct Scale {
    cameras: usize,
    frames: usize,
    fps: usize,
    /// Between two kills of a worker.
    pause: Duration,
    workers: usize,
}

fn scale() -> Scale {
    let number = |name: &str, default: usize| {
        std::env::var(name)
            .ok()
            .and_then(|v| v.parse().ok())
            .unwrap_or(default)
    };
    Scale {
        cameras: number("CHAOS_CAMERAS", 4),
        frames: number("CHAOS_FRAMES", 150),
        fps: number("CHAOS_FPS", 15),
        pause: Duration::from_millis(number("CHAOS_PAUSE_MS", 1500) as u64),
        workers: number("CHAOS_WORKERS", 2),
    }
}

struct Town {
    bench: Bench,
    broker: Broker,
}

impl Town {
    fn start(&self, args: &[&str]) -> Running {
        let mut command = self.bench.command(args);
        command.args([
            "--kafka",
            &self.broker.bootstrap(),
            "--topic",
            "chaos",
            "--progress",
            "none",
        ]);
        command.args([
            "--kafka-option",
            "session.timeout.ms=6000",
            "--kafka-option",
            "heartbeat.interval.ms=500",
        ]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Running::start(command)
    }

    fn cameras(&self, names: std::ops::Range<usize>, frames: usize, fps: usize) -> Running {
        let sources: Vec<String> = names.map(|n| format!("cam{n:02}={}", sample())).collect();
        let mut args = vec![
            "camera",
            "--max-width",
            "320",
            "--partitions",
            "6",
            "--buffer-frames",
            "100000",
        ];
        args.extend(sources.iter().map(String::as_str));
        let frames = frames.to_string();
        let fps = fps.to_string();
        args.extend(["--frames", &frames, "--fps", &fps]);
        self.start(&args)
    }

    fn worker(&self, group: &str, out: &str, more: &[&str]) -> Running {
        self.start(
            &[
                &[
                    "worker",
                    "--group",
                    group,
                    "--out",
                    out,
                    "--commit-interval",
                    "200ms",
                ],
                more,
            ]
            .concat(),
        )
    }

    fn to_the_end(&self, group: &str, out: &str) {
        let done = self
            .worker(group, out, &["--until", "end"])
            .finish(Duration::from_secs(600), &["worker", out]);
        assert_eq!(done.code, Some(0), "{}", done.stderr);
    }

    /// Files by name; those of killed processes under hidden names are left out, they are never taken for frames.
    fn tree(&self, out: &str) -> BTreeMap<String, Vec<u8>> {
        let mut tree = BTreeMap::new();
        for camera in self
            .bench
            .files(out)
            .iter()
            .filter(|name| !name.starts_with('.'))
        {
            for file in self
                .bench
                .files(&format!("{out}/{camera}"))
                .iter()
                .filter(|name| !name.starts_with(".mattebox-"))
            {
                tree.insert(
                    format!("{camera}/{file}"),
                    self.bench.read(&format!("{out}/{camera}/{file}")),
                );
            }
        }
        tree
    }
}

#[test]
fn through_kill_9_of_workers_broker_and_camera_every_frame_is_there_once_with_the_same_bytes() {
    let s = scale();
    let mut town = Town {
        bench: Bench::new(),
        broker: Broker::start(),
    };
    let begun = Instant::now();
    let several = town.cameras(1..s.cameras, s.frames, s.fps);
    // One camera has a process of its own, which is killed and started again.
    let mut lone = town.cameras(0..1, s.frames, s.fps);
    let mut workers: Vec<Running> = (0..s.workers)
        .map(|_| town.worker("disturbed", "disturbed", &[]))
        .collect();
    let mut results: Vec<Running> = vec![town.worker("results", "topic:chaos-results", &[])];
    let length = Duration::from_secs_f64(s.frames as f64 / s.fps as f64);
    let mut kills = 0;
    let mut broker_kills = 0;
    let mut camera_killed = false;
    while begun.elapsed() < length {
        thread::sleep(s.pause);
        let all: &mut Vec<Running> = if kills % 3 == 2 {
            &mut results
        } else {
            &mut workers
        };
        drop(all.remove(0));
        let again = if kills % 3 == 2 {
            town.worker("results", "topic:chaos-results", &[])
        } else {
            town.worker("disturbed", "disturbed", &[])
        };
        if kills % 3 == 2 {
            results.push(again)
        } else {
            workers.push(again)
        }
        kills += 1;
        let share = begun.elapsed().as_secs_f64() / length.as_secs_f64();
        if !camera_killed && share > 0.4 {
            camera_killed = true;
            drop(lone);
            lone = town.cameras(0..1, s.frames / 2, s.fps);
        }
        if broker_kills < 2 && share > 0.3 * (broker_kills + 1) as f64 {
            broker_kills += 1;
            town.broker.kill();
            thread::sleep(Duration::from_millis(500));
            town.broker.restart();
        }
    }
    for camera in [several, lone] {
        assert_eq!(
            camera.finish(Duration::from_secs(120), &["camera"]).code,
            Some(0)
        );
    }
    drop((workers, results));
    town.to_the_end("disturbed", "disturbed");
    town.to_the_end("results", "topic:chaos-results");
    town.to_the_end("undisturbed", "undisturbed");

    let client = town.broker.client();
    let records = client.consume_all("chaos", Isolation::Committed);
    let name = |record: &broker::client::Stored| {
        let text =
            |name: &str| String::from_utf8_lossy(record.header(name).expect(name)).into_owned();
        let camera = String::from_utf8_lossy(record.key.as_deref().expect("a key")).into_owned();
        format!(
            "{camera}/frame_{:06}.png",
            text("ce_sequence").parse::<u64>().expect("a number")
        )
    };
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
    let disturbed = town.tree("disturbed");
    let undisturbed = town.tree("undisturbed");
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
    // What a killed worker has left open hides what follows until the broker ends it.
    let results = client.await_records(
        "chaos-results",
        published.len(),
        Isolation::Committed,
        Duration::from_secs(60),
    );
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
        "{} frames, {kills} kills of workers, {broker_kills} of the broker, camera killed: {camera_killed}",
        published.len()
    );
}
