//! `mattebox worker`.
use super::{Settings, conclude, reload, serve, serve_view, start_log};
use crate::{
    config::{Resolved, WorkerLayer, settings::ProgressStyle, worker::WorkerSettings},
    kafka::{
        KafkaError,
        worker::{Numbers, Worker, report::Report},
    },
    pipeline::StartError,
    progress::{self, Counted, Counts},
    signals,
    stop::Stop,
};
use clap::{ArgMatches, Args};
use indicatif::MultiProgress;
use std::{process::ExitCode, sync::atomic::Ordering::Relaxed, thread};

pub(super) const EXAMPLES: &str = "\
Examples:
  mattebox worker                                        topic camera_frames at localhost:9092, PNG files in output/<camera>/
  mattebox worker --kafka broker:9092 --background blur  another broker, the room out of focus
  mattebox worker --until end                            what is there, then stop
  mattebox worker --out topic:matted                     results into a topic, each exactly once
  mattebox worker --group second --from 2026-01-31T12:00:00Z --out again
                                                         the same frames once more, from a moment on

Start as many as you like: workers of one group share the partitions of the topic.";

/// What SIGHUP changes.
const LIVE: &[&str] = &["background"];

/// Arguments of `mattebox worker`.
#[derive(Debug, Args)]
pub(super) struct WorkerArgs {
    #[command(flatten)]
    settings: Settings<WorkerLayer>,
    /// Print the final summary as JSON on standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &WorkerArgs, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let resolved = args.settings.resolve(matches)?;
    let screen = MultiProgress::new();
    start_log(&resolved, &screen)?;
    let settings = WorkerSettings::new(&resolved)?;
    let stop = Stop::new();
    let abort = Stop::new();
    let style = settings.progress;
    let metrics = settings.metrics;
    let view = settings.view.clone();
    signals::listen(stop.clone(), abort.clone(), settings.shutdown_timeout)?;
    let report = Worker::new(settings, stop, abort).and_then(|worker| {
        let numbers = worker.numbers();
        let ended = Stop::new();
        let _numbers = metrics
            .map(|address| serve(address, numbers.clone()))
            .transpose()?;
        let settable = worker.is_settable();
        let _view = view
            .map(|view| serve_view(view, worker.studio(), "worker", settable, numbers.clone()))
            .transpose()?;
        let change = worker.background_changer();
        let apply = move |new: &Resolved<WorkerLayer>| match WorkerSettings::new(new) {
            Ok(_) if !settable => Ok(()),
            Ok(settings) => change(&settings.background),
            Err(e) => Err(e.to_string()),
        };
        let live: &[&str] = if settable { LIVE } else { &[] };
        reload::follow(
            args.settings.clone(),
            matches.clone(),
            resolved,
            live,
            apply,
        )
        .map_err(StartError::Thread)?;
        thread::scope(|scope| {
            scope.spawn(|| show(style, &numbers, &screen, &ended));
            let report = worker.run();
            ended.stop();
            report
        })
    });
    conclude(report, args.json, Report::exit_code, KafkaError::exit_code)
}

/// All cameras are shown as one: they come and go.
fn show(
    style: ProgressStyle,
    numbers: &std::sync::Arc<Numbers>,
    screen: &MultiProgress,
    stop: &Stop,
) {
    if let Ok(name) = "frames".parse() {
        let watch = crate::pipeline::Watch {
            cameras: vec![(name, numbers.clone())],
        };
        progress::show(style, &watch, screen, stop);
    }
}

impl Counted for Numbers {
    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        let lag = self.partitions().iter().map(|(_, p)| p.lag()).sum::<u64>();
        for (_, camera) in self.cameras() {
            counts.done += camera.frames_out.load(Relaxed) + camera.kept.load(Relaxed);
            counts.dropped += camera.stale.load(Relaxed);
            counts.failed += camera.dead.load(Relaxed);
        }
        counts.expected = counts.done + counts.dropped + counts.failed + lag;
        counts
    }
}
