//! `mattebox run`.
use super::{Retention, Settings, conclude, reload, serve, serve_view, start_log, usage};
use crate::{
    config::{Resolved, RunLayer, RunSettings},
    metrics::RunPage,
    progress,
    run::{Pipeline, report::Report},
    signals,
};
use clap::{ArgMatches, Args};
use indicatif::MultiProgress;
use mattebox_engine::{StartError, stop::Stop};
use mattebox_media::sink::SinkSpec;
use mattebox_server::{LivePage, Page};
use std::{process::ExitCode, sync::Arc, thread};

pub(super) const EXAMPLES: &str = "\
Examples:
  mattebox run clip.mp4                                    PNG files in output/cam01/
  mattebox run 0 --background blur --out call.mp4          the first webcam, blurred room, into a video
  mattebox run door=rtsp://10.0.0.5/live yard=yard.mp4     two cameras at once
  mattebox run rtsp://10.0.0.5/live --out none --view      only to look at: http://127.0.0.1:9480/
  mattebox run photos/ --background transparent            a folder of pictures, cut out
  mattebox run photos/ --name keep                         the same names: photos/anna.jpg to output/cam01/anna.png
  mattebox run clip.mp4 -b image:beach.jpg -o - --format raw | ffplay -f rawvideo -pixel_format rgb24 -video_size 640x360 -";

/// What SIGHUP changes.
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
    settings: Settings<RunLayer>,
    /// Print the final summary as JSON on standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &RunArgs, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let resolved = args.settings.resolve(matches)?;
    let screen = MultiProgress::new();
    start_log(&resolved, &screen)?;
    let settings = RunSettings::new(&resolved)?;
    let to_stdout = matches!(settings.sink, SinkSpec::Stdout);
    if to_stdout && args.json {
        return Ok(usage(
            &"--json and --out - would both write to standard output; choose one",
        ));
    }
    let stop = Stop::new();
    let abort = Stop::new();
    let style = settings.progress;
    if settings.writes_nothing() && settings.view.is_none() {
        tracing::warn!(
            "nothing is written (--out none) and no page shows it (no --view): frames are read, and \
             that is all"
        );
    }
    signals::listen(stop.clone(), abort.clone(), settings.shutdown_timeout)?;
    let view = settings.view.clone();
    let metrics = settings.metrics;
    let keeping = settings.keeping.clone();
    let report = Pipeline::new(settings, stop.clone(), abort).and_then(|pipeline| {
        let watch = pipeline.watch();
        let ended = Stop::new();
        let page: Arc<dyn Page> = Arc::new(RunPage {
            watch: pipeline.watch(),
            clock: pipeline.clock(),
            sources: pipeline.sources(),
        });
        let (retention, page) = Retention::new(keeping, page);
        let retainer = retention.start()?;
        let _numbers = metrics
            .map(|address| serve(address, page.clone()))
            .transpose()?;
        let view = view
            .map(|view| serve_view(view, pipeline.cameras(), "run", true, page))
            .transpose()?;
        let credentials = view.as_ref().map(LivePage::credentials);
        let change = pipeline.settings_changer();
        let apply = move |new: &Resolved<RunLayer>| {
            let settings = RunSettings::new(new).map_err(|e| e.to_string())?;
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
            scope.spawn(|| progress::show(style, &watch, &screen, &ended));
            let report = pipeline.run();
            ended.stop();
            if let Some(retainer) = retainer {
                retainer.finish(report.is_ok() && !stop.is_stopped());
            }
            report
        })
    });
    conclude(report, args.json, Report::exit_code, StartError::exit_code)
}
