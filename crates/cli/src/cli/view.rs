//! `mattebox view`.
use super::{Settings, reload, serve_view, start_log};
use crate::{
    config::{Resolved, WatchLayer, watch::ViewCommand},
    metrics::ViewPage,
    output, signals,
};
use clap::{ArgMatches, Args};
use indicatif::MultiProgress;
use mattebox_engine::{StartError, stop::Stop};
use mattebox_kafka::{KafkaError, watch::Watcher};
use std::{process::ExitCode, sync::Arc};

pub(super) const EXAMPLES: &str = "\
Examples:
  mattebox view matted                               the results of `mattebox worker --out topic:matted`, at http://127.0.0.1:9480/
  mattebox view matted --view=:8000 --kafka broker:9092

Only results are shown: frames that still have their room are not, whatever topic they are in.";

/// Arguments of `mattebox view`.
#[derive(Debug, Args)]
pub(super) struct ViewArgs {
    #[command(flatten)]
    settings: Settings<WatchLayer>,
}

pub(super) fn run(args: &ViewArgs, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let resolved = args.settings.resolve(matches)?;
    start_log(&resolved, &MultiProgress::new())?;
    let ViewCommand {
        watch,
        view,
        shutdown_timeout,
    } = ViewCommand::new(&resolved)?;
    let stop = Stop::new();
    signals::listen(stop.clone(), Stop::new(), shutdown_timeout)?;
    let watched = Watcher::open(watch, stop).and_then(|watcher| {
        let _view = serve_view(
            view,
            watcher.cameras(),
            "view",
            false,
            Arc::new(ViewPage(watcher.numbers())),
        )?;
        // Nothing of it can change while it runs; a hangup is a clean end all the same, or says what waits for the next start.
        let apply =
            |new: &Resolved<WatchLayer>| ViewCommand::new(new).map(drop).map_err(|e| e.to_string());
        reload::follow(args.settings.clone(), matches.clone(), resolved, &[], apply)
            .map_err(StartError::Thread)?;
        watcher.run()
    });
    match watched {
        // It has no other end than to be stopped.
        Ok(()) | Err(KafkaError::Stopped) => Ok(ExitCode::from(130)),
        Err(e) => {
            output::tell(format_args!("mattebox: {e}"));
            Ok(ExitCode::from(e.exit_code()))
        }
    }
}
