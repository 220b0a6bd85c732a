//! `mattebox run`.
use super::{
    Cli, CommandRetention, CommandSettings, EndArgs, conclude, reload, serve, serve_view,
    start_log, usage,
};
use crate::exit::Exit;
use crate::{
    config::{Resolved, RunLayer, RunSettings},
    progress,
    run::Pipeline,
    signals,
};
use clap::{ArgMatches, Args, CommandFactory};
use indicatif::MultiProgress;
use mattebox_engine::{StartError, stop::Stop};
use mattebox_media::sink::SinkSpec;
use mattebox_server::LivePage;
use std::{path::Path, sync::Arc, thread};

pub(super) const EXAMPLES: &str = "\
Examples:
  mattebox run clip.mp4
      pictures in output/cam01/
  mattebox run 0 --background blur --out call.mp4
      the first webcam, the room out of focus, into a video
  mattebox run rtsp://10.0.0.5/live --out none --view
      no files: watch it at http://127.0.0.1:9480/
  mattebox run door=rtsp://10.0.0.5/live yard=yard.mp4
      two cameras at once
  mattebox run photos/ --background transparent --name keep
      a folder of pictures, cut out: photos/anna.jpg to output/cam01/anna.png
  mattebox run clip.mp4 -b image:beach.jpg -o - --format y4m | ffplay -
      a picture as background, piped into another program";

/// The settings that SIGHUP changes.
const LIVE: &[&str] = &[
    "background",
    "matte",
    "people",
    "plate",
    "foreground_cleanup",
    "skip_still",
];

/// Arguments of `mattebox run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    settings: CommandSettings<RunLayer>,
    #[command(flatten)]
    end: EndArgs,
}

/// The message for a source that is the name of another command, and no file.
fn misplaced_command(sources: Option<&Vec<String>>) -> Option<String> {
    let command = Cli::command();
    let is_command = |word: &&String| command.find_subcommand(word).is_some();
    let is_file = |word: &&String| Path::new(word.as_str()).exists();
    sources?
        .iter()
        .find(|word| is_command(word) && !is_file(word))
        .map(|word| format!("{word}: no such file; did you mean `mattebox {word}`?"))
}

pub(super) fn run(args: &RunArgs, matches: &ArgMatches) -> anyhow::Result<Exit> {
    let resolved = args.settings.resolve(matches)?;
    if let Some(mistake) = misplaced_command(resolved.layer.source.as_ref()) {
        return Ok(usage(&mistake));
    }
    let screen = MultiProgress::new();
    start_log(&resolved, &screen)?;
    let settings = RunSettings::new(&resolved)?;
    let to_stdout = matches!(settings.sink, SinkSpec::Stdout);
    if to_stdout && args.end.json {
        return Ok(usage(
            &"--json and --out - would both write to standard output; choose one",
        ));
    }
    let stop = Stop::new();
    let abort = Stop::new();
    let style = settings.progress;
    if settings.writes_nothing() && settings.view.is_none() {
        tracing::warn!(
            "nothing is written (--out none) and no page shows it (no --view): frames are read, \
             and \
             that is all"
        );
    }
    signals::listen(stop.clone(), abort.clone(), settings.shutdown_timeout)?;
    let view = settings.view.clone();
    let metrics = settings.metrics;
    let keeping = settings.keeping.clone();
    let report = Pipeline::new(settings, stop.clone(), abort).and_then(|pipeline| {
        let watch = pipeline.watch();
        let sources = pipeline.sources();
        let ended = Stop::new();
        let monitor = Arc::new(pipeline.monitor());
        let retention = CommandRetention::new(keeping, &monitor);
        let retainer = retention.start()?;
        let _numbers = metrics
            .map(|address| serve(address, monitor.clone()))
            .transpose()?;
        let view = view
            .map(|view| serve_view(view, pipeline.cameras(), "run", true, monitor))
            .transpose()?;
        let credentials = view.as_ref().map(LivePage::credentials);
        let change = pipeline.settings_changer();
        let apply = move |new: &Resolved<RunLayer>| {
            let settings = RunSettings::new(new)?;
            let exchange =
                reload::prepare_credentials(credentials.as_ref(), settings.view.as_ref())?;
            change(&settings)?;
            exchange();
            Ok(())
        };
        reload::follow(
            args.settings.clone(),
            matches.clone(),
            resolved,
            LIVE,
            apply,
        )
        .map_err(StartError::Thread)?;
        thread::scope(|scope| {
            let rows = || {
                progress::rows(
                    &watch,
                    |stats| stats.frames.times(),
                    |i, _| sources.get(i).map(|(_, status)| status.clone()),
                )
            };
            let (screen, ended) = (&screen, &ended);
            scope.spawn(move || progress::show(style, rows, screen, ended));
            let report = pipeline.run();
            ended.stop();
            if let Some(retainer) = retainer {
                retainer.finish(report.is_ok() && !stop.is_stopped());
            }
            report
        })
    });
    conclude(report, args.end.form(&args.settings))
}
