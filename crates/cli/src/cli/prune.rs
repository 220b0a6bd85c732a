//! `mattebox prune`.
use super::{CommandSettings, SummaryForm, conclude, serve, start_log};
use crate::exit::Exit;
use crate::{
    config::{PruneLayer, keep::PruneCommand},
    output::CommandSummary,
    retention::{self, RetentionCounters, Rounds, time},
    signals,
};
use clap::{ArgMatches, Args};
use indicatif::{DecimalBytes, MultiProgress};
use mattebox_engine::stop::Stop;
use mattebox_store::{
    Retention,
    retention::{PruneRound, RetentionError},
};
use serde::Serialize;
use std::{fmt, sync::Arc, time::Duration};

pub(super) const EXAMPLES: &str = "\
Examples:
  mattebox prune output --keep 7d --dry-run
      print what would be removed: files, bytes and times of each camera
  mattebox prune output --keep 7d
      remove older files once
  mattebox prune output --keep-bytes 50GB --every 10m
      keep the folder of a Spark job below 50 GB, until stopped
  mattebox prune day --keep 48h
      the files of `mattebox run --out day/rec.mkv --segment 10m`

Only files go that mattebox has named. `mattebox run` and `mattebox worker` do the same themselves
with --keep and --keep-bytes.";

/// Arguments of `mattebox prune`.
#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    #[command(flatten)]
    settings: CommandSettings<PruneLayer>,
    /// Print the final summary as JSON on standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &PruneArgs, matches: &ArgMatches) -> anyhow::Result<Exit> {
    let resolved = args.settings.resolve(matches)?;
    start_log(&resolved, &MultiProgress::new())?;
    let PruneCommand {
        keeping,
        dry_run,
        every,
        metrics,
        shutdown_timeout,
    } = PruneCommand::new(&resolved)?;
    let stop = Stop::new();
    signals::listen(stop.clone(), Stop::new(), shutdown_timeout)?;
    let counters = Arc::new(RetentionCounters::default());
    let _server = metrics
        .map(|address| serve(address, Arc::new(retention::monitor(&counters))))
        .transpose()?;
    if keeping.retention == Retention::default() {
        tracing::info!("retention: off, every file stays");
        while !stop.wait(Duration::MAX) {}
        return Ok(Exit::Done);
    }
    let mut rounds = Rounds::new(keeping, dry_run, counters);
    let first = match rounds.round(&stop) {
        // With --every the first output may come later.
        Err(RetentionError::NoOutput {
            is_empty: true,
            folder,
        }) if every.is_some() => {
            tracing::info!(
                "retention: {} is empty, waiting for files",
                folder.display()
            );
            Ok(vec![])
        }
        first => first,
    };
    if first.is_ok()
        && let Some(every) = every
        && !stop.wait(every)
    {
        rounds.go_on(Some(every), &stop);
        return Ok(Exit::Done);
    }
    let report = first.map(|rounds| PruneReport::new(&rounds, dry_run));
    let form = if args.json {
        SummaryForm::Json
    } else {
        SummaryForm::Short
    };
    conclude(report, form)
}

/// The summary of a round.
#[derive(Debug, Serialize)]
struct PruneReport {
    dry_run: bool,
    files: u64,
    bytes: u64,
    bytes_left: u64,
    failed: u64,
    cameras: Vec<PrunedCamera>,
}

#[derive(Debug, Serialize)]
struct PrunedCamera {
    camera: String,
    files: u64,
    bytes: u64,
    oldest: String,
    newest: String,
}

impl CommandSummary for PruneReport {}

impl PruneReport {
    fn new(rounds: &[PruneRound], dry_run: bool) -> Self {
        let removed = rounds.iter().flat_map(|round| &round.removed);
        PruneReport {
            dry_run,
            files: rounds.iter().map(PruneRound::files).sum(),
            bytes: rounds.iter().map(PruneRound::bytes).sum(),
            bytes_left: rounds.iter().map(|round| round.bytes_left).sum(),
            failed: rounds.iter().map(|round| round.failed).sum(),
            cameras: removed
                .map(|(camera, removed)| PrunedCamera {
                    camera: camera.clone(),
                    files: removed.files,
                    bytes: removed.bytes,
                    oldest: time(removed.oldest),
                    newest: time(removed.newest),
                })
                .collect(),
        }
    }
}

impl From<&PruneReport> for Exit {
    fn from(report: &PruneReport) -> Self {
        match report.failed {
            0 => Exit::Done,
            _ => Exit::Failed,
        }
    }
}

impl fmt::Display for PruneReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for camera in &self.cameras {
            let PrunedCamera {
                camera,
                files,
                bytes,
                oldest,
                newest,
            } = camera;
            let bytes = DecimalBytes(*bytes);
            writeln!(
                f,
                "{camera:<16} {files:>10} files {bytes:>12}   written {oldest} to {newest}"
            )?;
        }
        let verb = if self.dry_run { "would go" } else { "removed" };
        write!(
            f,
            "{} files, {} {verb}; {} stay",
            self.files,
            DecimalBytes(self.bytes),
            DecimalBytes(self.bytes_left)
        )?;
        match self.failed {
            0 => Ok(()),
            failed => write!(f, "; {failed} files could not be removed"),
        }
    }
}
