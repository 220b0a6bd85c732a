//! `mattebox worker`.
use super::{
    CommandRetention, CommandSettings, EndArgs, conclude, reload, serve, serve_view, start_log,
};
use crate::exit::Exit;
use crate::{
    config::{Resolved, WorkerLayer, output_choice::ProgressStyle, worker::WorkerCommand},
    progress, signals,
};
use clap::{ArgMatches, Args};
use indicatif::MultiProgress;
use mattebox_engine::{
    BackgroundChoice, StartError, latency::Times, stop::Stop, watch::ProgressSource,
};
use mattebox_kafka::worker::{Worker, WorkerCounters};
use mattebox_server::LivePage;
use std::{sync::Arc, thread};

pub(super) const EXAMPLES: &str = "\
Examples:
  mattebox worker
      topic camera_frames at localhost:9092, pictures in output/CAMERA/
  mattebox worker --kafka broker:9092 --background blur
      another broker, the room out of focus
  mattebox worker --until end
      the records that are there, then stop
  mattebox worker --out topic:matted
      results into a topic, each exactly once
  mattebox worker --group second --from 2026-01-31T12:00:00Z --out again
      the same frames again, from this time on

Start any number of workers: those of one group share the frames.";

/// The settings that SIGHUP changes.
const LIVE: &[&str] = &["background"];

/// Arguments of `mattebox worker`.
#[derive(Debug, Args)]
pub(super) struct WorkerArgs {
    #[command(flatten)]
    settings: CommandSettings<WorkerLayer>,
    #[command(flatten)]
    end: EndArgs,
}

pub(super) fn run(args: &WorkerArgs, matches: &ArgMatches) -> anyhow::Result<Exit> {
    let resolved = args.settings.resolve(matches)?;
    let screen = MultiProgress::new();
    start_log(&resolved, &screen)?;
    let WorkerCommand {
        worker: settings,
        metrics,
        view,
        progress: style,
        keeping,
    } = WorkerCommand::new(&resolved)?;
    let stop = Stop::new();
    let abort = Stop::new();
    signals::listen(stop.clone(), abort.clone(), settings.shutdown_timeout)?;
    let report = Worker::new(settings, stop.clone(), abort).and_then(|worker| {
        let counters = worker.counters();
        let monitor = Arc::new(worker.monitor());
        let retention = CommandRetention::new(keeping, &monitor);
        let ended = Stop::new();
        let _numbers = metrics
            .map(|address| serve(address, monitor.clone()))
            .transpose()?;
        let settable = worker.is_settable();
        let view = view
            .map(|view| serve_view(view, worker.cameras(), "worker", settable, monitor))
            .transpose()?;
        let credentials = view.as_ref().map(LivePage::credentials);
        let change = worker.background_changer();
        let apply = move |new: &Resolved<WorkerLayer>| {
            let command = WorkerCommand::new(new)?;
            let exchange =
                reload::prepare_credentials(credentials.as_ref(), command.view.as_ref())?;
            if let BackgroundChoice::Spec(background) = command.worker.frame.background
                && settable
            {
                change(&background)?;
            }
            exchange();
            Ok(())
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
        // The page and the metrics are served while the worker waits for the broker and the topic.
        // The removal of old files starts once the folder is known to belong to this group.
        let worker = worker.join()?;
        let retainer = retention.start()?;
        thread::scope(|scope| {
            scope.spawn(|| show(style, &counters, &screen, &ended));
            let report = worker.run();
            ended.stop();
            if let Some(retainer) = retainer {
                retainer.finish(report.is_ok() && !stop.is_stopped());
            }
            report
        })
    });
    conclude(report, args.end.form(&args.settings))
}

/// Shows all cameras as one, because they come and go.
fn show(style: ProgressStyle, counters: &WorkerCounters, screen: &MultiProgress, stop: &Stop) {
    let rows = || {
        let mut latencies = Times::default();
        for (_, camera) in counters.cameras() {
            latencies.merge(&camera.frames.times());
        }
        vec![progress::ProgressRow {
            name: "all cameras".to_owned(),
            progress: counters.progress(),
            latencies,
            source: None,
        }]
    };
    progress::show(style, rows, screen, stop);
}
