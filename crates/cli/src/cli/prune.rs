//! `mattebox prune`.
use super::{Form, Settings, conclude, serve, start_log};
use crate::{
    config::{PruneLayer, keep::PruneCommand},
    output::Sums,
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
use std::{fmt, process::ExitCode, sync::Arc, time::Duration};

pub(super) const EXAMPLES: &str = "\
Examples:
  mattebox prune output --keep 7d --dry-run
      what would go: files, bytes and times of each camera
  mattebox prune output --keep 7d
      remove what is older, once
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
    settings: Settings<PruneLayer>,
    /// Print the final summary as JSON on standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &PruneArgs, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
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
        tracing::info!("retention: it is off, every file stays");
        while !stop.wait(Duration::MAX) {}
        return Ok(ExitCode::SUCCESS);
    }
    let mut rounds = Rounds::new(keeping, dry_run, counters);
    let first = match rounds.round(&stop) {
        // With --every the writer may come later.
        Err(RetentionError::NoOutput {
            is_empty: true,
            folder,
        }) if every.is_some() => {
            tracing::info!("retention: nothing is in {} yet: waiting", folder.display());
            Ok(vec![])
        }
        first => first,
    };
    if first.is_ok()
        && let Some(every) = every
        && !stop.wait(every)
    {
        rounds.go_on(Some(every), &stop);
        return Ok(ExitCode::SUCCESS);
    }
    let report = first.map(|rounds| Report::new(&rounds, dry_run));
    let form = if args.json { Form::Json } else { Form::Short };
    conclude(report, form, Report::exit_code, exit_code)
}

fn exit_code(error: &RetentionError) -> u8 {
    match error {
        RetentionError::NoOutput { .. } => 2,
        RetentionError::Store(_) => 1,
    }
}

/// What a round did, or would do.
#[derive(Debug, Serialize)]
struct Report {
    dry_run: bool,
    files: u64,
    bytes: u64,
    bytes_left: u64,
    failed: u64,
    cameras: Vec<OfCamera>,
}

#[derive(Debug, Serialize)]
struct OfCamera {
    camera: String,
    files: u64,
    bytes: u64,
    oldest: String,
    newest: String,
}

impl Sums for Report {}

impl Report {
    fn new(rounds: &[PruneRound], dry_run: bool) -> Self {
        let removed = rounds.iter().flat_map(|round| &round.removed);
        Report {
            dry_run,
            files: rounds.iter().map(PruneRound::files).sum(),
            bytes: rounds.iter().map(PruneRound::bytes).sum(),
            bytes_left: rounds.iter().map(|round| round.bytes_left).sum(),
            failed: rounds.iter().map(|round| round.failed).sum(),
            cameras: removed
                .map(|(camera, removed)| OfCamera {
                    camera: camera.clone(),
                    files: removed.files,
                    bytes: removed.bytes,
                    oldest: time(removed.oldest),
                    newest: time(removed.newest),
                })
                .collect(),
        }
    }

    fn exit_code(&self) -> u8 {
        u8::from(self.failed > 0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for camera in &self.cameras {
            let OfCamera {
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
