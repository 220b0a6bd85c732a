//! The command line: one file per subcommand.
//!
//! # Layout
//!
//! * [`run`]: the main job on this machine.
//! * [`camera`]: sources to a topic of a broker; [`worker`]: from that topic to files or results.
//! * [`view`]: the live page of a topic of results.
//! * [`prune`]: old files of an output folder.
//! * [`dead_letters`]: records that could not become frames.
//! * [`eval`]: a matte against the truth.
//! * [`bench`]: the cost of each step on this machine.
//! * [`doctor`]: checks this machine.
//! * [`config`]: the settings in force and where each came from.
//! * [`model`]: describes, lists and fetches networks.
//! * `reload`: applies a changed settings file on SIGHUP.
//! * `help`: the texts of `-h` and `--help`; `mistakes`: errors of the command line.
//! * `switches`: flags whose value may be left out.
//! * [`shell`]: completions and manual pages; `complete` answers the shell, `manual` writes the
//!   pages.
mod bench;
mod camera;
mod complete;
mod config;
mod dead_letters;
mod doctor;
mod eval;
mod help;
mod manual;
mod mistakes;
mod model;
mod prune;
#[cfg(test)]
mod reference;
mod reload;
mod run;
mod shell;
mod switches;
mod view;
mod worker;

use crate::{
    config::{
        ConfigError, Resolved, SettingOrigin, SettingsLayer, found::SettingsFile,
        keep::FolderRetention,
    },
    exit::Exit,
    output::{self, CommandSummary},
    retention::{self, Retainer, RetentionCounters},
    telemetry,
};
use clap::{ArgMatches, Args, FromArgMatches, Parser, Subcommand};
use help::HelpLength;
use indicatif::MultiProgress;
use mattebox_engine::{StartError, cameras::CameraRegistry, metrics::Monitor};
use mattebox_server::{LivePage, Server, ViewSettings};
use std::{
    ffi::OsString, fmt::Display, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc,
};

/// Live video background removal
#[derive(Debug, Parser)]
#[command(
    name = "mattebox",
    version,
    max_term_width = 120,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Replace the background of videos, cameras or pictures
    #[command(after_help = run::EXAMPLES)]
    Run(Box<run::RunArgs>),
    /// Publish videos and cameras to a Kafka topic, frame by frame
    #[command(after_help = camera::EXAMPLES)]
    Camera(Box<camera::CameraArgs>),
    /// Replace the background of the frames of a Kafka topic
    #[command(after_help = worker::EXAMPLES)]
    Worker(Box<worker::WorkerArgs>),
    /// Show the results of a topic live on a page
    #[command(after_help = view::EXAMPLES)]
    View(view::ViewArgs),
    /// Remove old files from an output folder
    #[command(after_help = prune::EXAMPLES)]
    Prune(prune::PruneArgs),
    /// List, show or redrive records that could not become frames
    DeadLetters(dead_letters::DeadLettersArgs),
    /// Measure a matte against the true one
    Eval(eval::EvalArgs),
    /// Measure the cost of each step of a frame on this machine
    Bench(bench::BenchArgs),
    /// Check this machine and say how to install what is missing
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(Box<doctor::DoctorArgs>),
    /// Print the settings in force and where each came from
    Config(Box<config::ConfigArgs>),
    /// Describe, list or fetch networks
    Model(model::ModelArgs),
    /// Print a completion script for a shell
    #[command(after_help = shell::COMPLETIONS)]
    Completions(shell::CompletionsArgs),
    /// Print or write the manual pages
    #[command(after_help = shell::MAN)]
    Man(shell::ManArgs),
}

/// The settings of a command, and its settings file.
#[derive(Debug, Clone, Args)]
struct CommandSettings<L: SettingsLayer> {
    #[command(flatten)]
    layer: L,
    /// Settings file (TOML); the keys are the names of the flags [default: mattebox.toml, if there
    /// is one]
    #[arg(short, long, env = "MATTEBOX_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Log at level debug, and print counts and costs at the end
    #[arg(short, long)]
    verbose: bool,
}

impl<L: SettingsLayer> CommandSettings<L> {
    /// Whether there is a settings file.
    fn has_file(&self) -> bool {
        SettingsFile::choose(self.config.as_deref()).is_some()
    }

    /// Merges flags, environment, file and defaults.
    fn resolve(&self, matches: &ArgMatches) -> Result<Resolved<L>, ConfigError> {
        let command = L::augment_args(clap::Command::new(L::COMMAND));
        let mut resolved = Resolved::new(&self.layer, matches, &command, self.config.as_deref())?;
        if self.verbose {
            resolved.be_verbose();
        }
        resolved.check_messages()?;
        Ok(resolved)
    }
}

/// Starts the log as the settings say. Its first line names the settings file.
fn start_log<L: SettingsLayer>(
    resolved: &Resolved<L>,
    screen: &MultiProgress,
) -> Result<(), ConfigError> {
    let messages = resolved.layer.messages();
    let text = |o: &Option<String>, default: &str| o.clone().unwrap_or_else(|| default.to_owned());
    // No level in a file hides the line that names that file.
    let is_asked = matches!(
        resolved.origins.of("log_level"),
        SettingOrigin::Flag | SettingOrigin::Environment(_)
    );
    telemetry::init(
        &text(&messages.log_level, "info"),
        &text(&messages.log_format, "text"),
        !is_asked,
        screen,
    )
    .map_err(|e| ConfigError::Conflict(e.to_string()))?;
    if let Some(file) = &resolved.file {
        tracing::info!(target: telemetry::SETTINGS_TARGET, "settings file: {file}");
    }
    Ok(())
}

/// Ends a long command: prints the summary on standard error, or as JSON on standard output, or
/// prints the error.
fn conclude<R: CommandSummary, E: Display>(
    ended: Result<R, E>,
    form: SummaryForm,
) -> anyhow::Result<Exit>
where
    Exit: for<'r> From<&'r R> + for<'e> From<&'e E>,
{
    match ended {
        Ok(report) => {
            let text = match form {
                SummaryForm::Short => report.to_string(),
                SummaryForm::Tables => format!("{report:#}"),
                SummaryForm::Json => {
                    output::print(serde_json::to_string_pretty(&report)?)?;
                    String::new()
                }
            };
            if !text.is_empty() {
                output::tell(text);
            }
            for failure in report.failures() {
                output::fail(failure);
            }
            Ok(Exit::from(&report))
        }
        Err(e) => {
            output::fail(&e);
            Ok(Exit::from(&e))
        }
    }
}

/// The form of the final summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SummaryForm {
    /// A line for each camera.
    Short,
    /// Lines, after tables of counts and costs.
    Tables,
    /// JSON.
    Json,
}

/// The flags for the end of a long command.
#[derive(Debug, Clone, Args)]
struct EndArgs {
    /// Print the final summary as JSON on standard output
    #[arg(long)]
    json: bool,
    /// At the end, also print the counts of each camera and the cost of each stage
    #[arg(long)]
    stats: bool,
}

impl EndArgs {
    fn form<L: SettingsLayer>(&self, settings: &CommandSettings<L>) -> SummaryForm {
        match (self.json, self.stats || settings.verbose) {
            (true, _) => SummaryForm::Json,
            (false, true) => SummaryForm::Tables,
            (false, false) => SummaryForm::Short,
        }
    }
}

/// Serves metrics.
fn serve(address: SocketAddr, monitor: Arc<Monitor>) -> Result<Server, StartError> {
    mattebox_server::serve(address, monitor).map_err(|source| StartError::Http { address, source })
}

/// Serves a live page.
fn serve_view(
    view: ViewSettings,
    cameras: Arc<CameraRegistry>,
    command: &'static str,
    settable: bool,
    monitor: Arc<Monitor>,
) -> Result<LivePage, StartError> {
    let address = view.address;
    mattebox_server::serve_view(view, cameras, command, settable, monitor)
        .map_err(|source| StartError::Http { address, source })
}

/// The removal of old files while a command runs, if the settings ask for it.
struct CommandRetention {
    keeping: Option<FolderRetention>,
    counters: Arc<RetentionCounters>,
}

impl CommandRetention {
    /// Adds its metrics to those of the command.
    fn new(keeping: Option<FolderRetention>, monitor: &Monitor) -> Self {
        let counters = Arc::default();
        if keeping.is_some() {
            retention::register(&monitor.metrics, &counters);
        }
        CommandRetention { keeping, counters }
    }

    /// Starts the removal.
    fn start(self) -> Result<Option<Retainer>, StartError> {
        let start = |keeping| Retainer::start(keeping, self.counters);
        self.keeping
            .map(start)
            .transpose()
            .map_err(StartError::Thread)
    }
}

/// Runs the command line `args` (with the program's name) to its end.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    run_command(args).into()
}

fn run_command(args: impl IntoIterator<Item = OsString>) -> Exit {
    let args: Vec<_> = args.into_iter().collect();
    match complete::answer(&args) {
        Ok(false) => {}
        Ok(true) => return Exit::Done,
        Err(e) => return mistakes::tell(&e, &args),
    }
    let command = help::command(match args.iter().any(|arg| arg == "-h") {
        true => HelpLength::Short,
        false => HelpLength::Long,
    });
    let args = switches::join(args, &command);
    let matches = match command.try_get_matches_from(&args) {
        Ok(matches) => matches,
        Err(e) => return mistakes::tell(&e, &args),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(e) => return mistakes::tell(&e, &args),
    };
    let of_command = matches.subcommand().map(|(_, m)| m);
    let result = match (cli.command, of_command) {
        (Command::Run(args), Some(matches)) => run::run(&args, matches),
        (Command::Camera(args), Some(matches)) => camera::run(&args, matches),
        (Command::Worker(args), Some(matches)) => worker::run(&args, matches),
        (Command::View(args), Some(matches)) => view::run(&args, matches),
        (Command::Prune(args), Some(matches)) => prune::run(&args, matches),
        (Command::DeadLetters(args), Some(matches)) => dead_letters::run(&args, matches),
        (Command::Config(args), Some(matches)) => config::run(&args, matches),
        (Command::Eval(args), _) => eval::run(&args).map(|()| Exit::Done),
        (Command::Bench(args), _) => bench::run(&args),
        (Command::Doctor(args), Some(matches)) => doctor::run(&args, matches),
        (Command::Model(args), _) => model::run(&args),
        (Command::Completions(args), _) => shell::completions(&args),
        (Command::Man(args), _) => shell::man(&args),
        (_, None) => Ok(Exit::Usage),
    };
    result.unwrap_or_else(|e| {
        output::fail(output::chain(&e));
        Exit::of(&e)
    })
}

fn usage(e: &dyn std::fmt::Display) -> Exit {
    output::fail(e);
    Exit::Usage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        help::command(HelpLength::Long).debug_assert();
        help::command(HelpLength::Short).debug_assert();
    }
}
