//! `mattebox view`.
use super::{Settings, reload, serve_view, start_log};
use crate::{
    config::{Resolved, WatchLayer, watch::ViewCommand},
    output, signals,
};
use clap::{ArgMatches, Args};
use indicatif::MultiProgress;
use mattebox_engine::{StartError, stop::Stop};
use mattebox_kafka::{KafkaError, watch::Watcher};
use mattebox_server::LivePage;
use std::{process::ExitCode, sync::Arc};

pub(super) const EXAMPLES: &str = "\
Examples:
  mattebox view matted
      what `mattebox worker --out topic:matted` makes, at http://127.0.0.1:9480/
  mattebox view matted --view=:8000 --kafka broker:9092
      another port, another broker

Only results are shown: frames that still have their room are not.";

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
    let watcher = Watcher::new(watch, stop);
    let serve = || -> Result<LivePage, StartError> {
        let page = serve_view(
            view,
            watcher.cameras(),
            "view",
            false,
            Arc::new(watcher.monitor()),
        )?;
        let credentials = page.credentials();
        let apply = move |new: &Resolved<WatchLayer>| {
            let command = ViewCommand::new(new).map_err(|e| e.to_string())?;
            reload::prepare_credentials(Some(&credentials), Some(&command.view))?();
            Ok(())
        };
        reload::follow(args.settings.clone(), matches.clone(), resolved, &[], apply)
            .map_err(StartError::Thread)?;
        Ok(page)
    };
    // The page is there while the broker and the topic are waited for.
    let watched = serve().map_err(KafkaError::from).and_then(|page| {
        let watched = watcher.run();
        drop(page);
        watched
    });
    match watched {
        // It has no other end than to be stopped.
        Ok(()) | Err(KafkaError::Stopped) => Ok(ExitCode::from(130)),
        Err(e) => {
            output::fail(&e);
            Ok(ExitCode::from(e.exit_code()))
        }
    }
}
