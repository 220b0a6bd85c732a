//! The command line: one file per subcommand.
//!
//! # Layout
//!
//! * [`run`]: the main job on this machine.
//! * [`camera`]: sources to a topic of a broker; [`worker`]: from that topic to files or results.
//! * [`view`]: the live page of a topic of results.
//! * [`prune`]: old files of an output folder.
//! * [`dead_letters`]: records that could not be frames.
//! * [`eval`]: a matte against the truth.
//! * [`bench`]: what each step costs on this machine.
//! * [`doctor`]: what is missing on this machine and how to get it.
//! * [`config`]: the settings in force and where each came from.
//! * [`model`]: what a model file is.
//! * `reload`: what SIGHUP does.
//! * `help`: how much of all this `-h` and `--help` show; `mistakes`: what was typed wrong.
//! * `switches`: flags whose value may be left out.
//! * [`shell`]: completions and manual pages; `complete` answers the shell, `manual` writes the pages.
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
    config::{ConfigError, Layer, Origin, Resolved, found::SettingsFile, keep::Keeping},
    output::{self, Sums},
    retention::{self, Retainer, RetentionCounters},
    telemetry,
};
use clap::{ArgMatches, Args, FromArgMatches, Parser, Subcommand};
use help::Length;
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
    /// List, show or send again records that could not be frames
    DeadLetters(dead_letters::DeadLettersArgs),
    /// Measure a matte against the true one
    Eval(eval::EvalArgs),
    /// Measure what each step of a frame costs on this machine
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

/// Settings of a command, and the file that some of them may be in.
#[derive(Debug, Clone, Args)]
struct Settings<L: Layer> {
    #[command(flatten)]
    layer: L,
    /// Settings file (TOML); the keys are the names of the flags [default: mattebox.toml, if it is there]
    #[arg(short, long, env = "MATTEBOX_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Say more: the log at level debug, and counts and costs at the end
    #[arg(short, long)]
    verbose: bool,
}

impl<L: Layer> Settings<L> {
    /// Whether there is a settings file.
    fn has_file(&self) -> bool {
        SettingsFile::choose(self.config.as_deref()).is_some()
    }

    /// Lays flags, environment, file and defaults over one another.
    fn resolve(&self, matches: &ArgMatches) -> Result<Resolved<L>, ConfigError> {
        let command = L::augment_args(clap::Command::new(L::COMMAND));
        let mut resolved = Resolved::new(&self.layer, matches, &command, self.config.as_deref())?;
        if self.verbose {
            resolved.be_verbose();
        }
        resolved.check_say()?;
        Ok(resolved)
    }
}

/// Starts the log as the settings say, and says which file they are from. The error is the user's to mend.
fn start_log<L: Layer>(resolved: &Resolved<L>, screen: &MultiProgress) -> Result<(), ConfigError> {
    let say = resolved.layer.say();
    let text = |o: &Option<String>, default: &str| o.clone().unwrap_or_else(|| default.to_owned());
    // A file that was found does not keep quiet about itself.
    let is_asked = matches!(
        resolved.origins.of("log_level"),
        Origin::Flag | Origin::Environment(_)
    );
    telemetry::init(
        &text(&say.log_level, "info"),
        &text(&say.log_format, "text"),
        !is_asked,
        screen,
    )
    .map_err(ConfigError::Conflict)?;
    if let Some(file) = &resolved.file {
        tracing::info!(target: telemetry::SETTINGS_TARGET, "settings file: {file}");
    }
    Ok(())
}

/// How a long command ends: what it has made, in lines on standard error or as JSON on standard output, or why it could not begin or go on.
fn conclude<R: Sums, E: Display>(
    ended: Result<R, E>,
    form: Form,
    code_of_sums: impl FnOnce(&R) -> u8,
    code_of_error: impl FnOnce(&E) -> u8,
) -> anyhow::Result<ExitCode> {
    match ended {
        Ok(report) => {
            let text = match form {
                Form::Short => report.to_string(),
                Form::Tables => format!("{report:#}"),
                Form::Json => {
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
            Ok(ExitCode::from(code_of_sums(&report)))
        }
        Err(e) => {
            output::fail(&e);
            Ok(ExitCode::from(code_of_error(&e)))
        }
    }
}

/// How the sums of a long command are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// What was made, a line for each camera.
    Short,
    /// And what each camera and each stage counted.
    Tables,
    /// For machines.
    Json,
}

/// How a long command ends.
#[derive(Debug, Clone, Args)]
struct EndArgs {
    /// Print the final summary as JSON on standard output
    #[arg(long)]
    json: bool,
    /// At the end, also print what each camera counted and what each stage cost
    #[arg(long)]
    stats: bool,
}

impl EndArgs {
    fn form<L: Layer>(&self, settings: &Settings<L>) -> Form {
        match (self.json, self.stats || settings.verbose) {
            (true, _) => Form::Json,
            (false, true) => Form::Tables,
            (false, false) => Form::Short,
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

/// The removal of old files beside a command's work, if that is asked for.
struct Retention {
    keeping: Option<Keeping>,
    counters: Arc<RetentionCounters>,
}

impl Retention {
    /// Adds its metrics to those of the command.
    fn new(keeping: Option<Keeping>, monitor: &Monitor) -> Self {
        let counters = Arc::default();
        if keeping.is_some() {
            retention::register(&monitor.metrics, &counters);
        }
        Retention { keeping, counters }
    }

    /// Begins to remove.
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
    let args: Vec<_> = args.into_iter().collect();
    match complete::answer(&args) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(e) => return mistakes::tell(&e, &args),
    }
    let command = help::command(match args.iter().any(|arg| arg == "-h") {
        true => Length::Short,
        false => Length::Long,
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
        (Command::Eval(args), _) => eval::run(&args).map(|()| ExitCode::SUCCESS),
        (Command::Bench(args), _) => bench::run(&args),
        (Command::Doctor(args), Some(matches)) => doctor::run(&args, matches),
        (Command::Model(args), _) => model::run(&args),
        (Command::Completions(args), _) => shell::completions(&args),
        (Command::Man(args), _) => shell::man(&args),
        (_, None) => Ok(ExitCode::from(2)),
    };
    result.unwrap_or_else(|e| {
        output::fail(output::chain(&e));
        ExitCode::from(if e.is::<ConfigError>() { 2 } else { 1 })
    })
}

fn usage(e: &dyn std::fmt::Display) -> ExitCode {
    output::fail(e);
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        help::command(Length::Long).debug_assert();
        help::command(Length::Short).debug_assert();
    }
}
