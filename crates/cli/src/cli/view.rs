//! `mattebox view`.
use super::{CommandSettings, reload, serve_view, start_log};
use crate::exit::Exit;
use crate::{
    config::{Resolved, ViewLayer, view::ViewCommand},
    output, signals,
};
use clap::{ArgMatches, Args};
use indicatif::MultiProgress;
use mattebox_engine::{StartError, stop::Stop};
use mattebox_kafka::{KafkaError, watch::Watcher};
use mattebox_server::LivePage;
use std::sync::Arc;

pub(super) const EXAMPLES: &str = "\
Examples:
  mattebox view matted
      what `mattebox worker --out topic:matted` makes, at http://127.0.0.1:9480/
  mattebox view matted --view=:8000 --kafka broker:9092
      another port, another broker

The page shows results only, never frames that still have their room.";

/// Arguments of `mattebox view`.
#[derive(Debug, Args)]
pub(super) struct ViewArgs {
    #[command(flatten)]
    settings: CommandSettings<ViewLayer>,
}

pub(super) fn run(args: &ViewArgs, matches: &ArgMatches) -> anyhow::Result<Exit> {
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
        let apply = move |new: &Resolved<ViewLayer>| {
            let command = ViewCommand::new(new)?;
            reload::prepare_credentials(Some(&credentials), Some(&command.view))?();
            Ok(())
        };
        reload::follow(args.settings.clone(), matches.clone(), resolved, &[], apply)
            .map_err(StartError::Thread)?;
        Ok(page)
    };
    // The page is served while the command waits for the broker and the topic.
    let watched = serve().map_err(KafkaError::from).and_then(|page| {
        let watched = watcher.run();
        drop(page);
        watched
    });
    match watched {
        // Only a signal ends it.
        Ok(()) | Err(KafkaError::Stopped) => Ok(Exit::Stopped),
        Err(e) => {
            output::fail(&e);
            Ok(Exit::from(&e))
        }
    }
}
