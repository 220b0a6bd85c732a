//! `mattebox completions` and `mattebox man`.
use super::Cli;
use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::{io, path::PathBuf, process::ExitCode};

/// Arguments of `mattebox completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell, for example: mattebox completions bash > /etc/bash_completion.d/mattebox
    shell: Shell,
}

/// Arguments of `mattebox man`.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write mattebox.1, mattebox-run.1, ... into this folder instead of printing mattebox.1
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    clap_complete::generate(args.shell, &mut Cli::command(), "mattebox", &mut io::stdout());
    Ok(ExitCode::SUCCESS)
}

pub(super) fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    match &args.out {
        Some(dir) => {
            std::fs::create_dir_all(dir)
                .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
                .with_context(|| format!("cannot write manual pages into {}", dir.display()))?;
        }
        None => clap_mangen::Man::new(Cli::command()).render(&mut io::stdout())?,
    }
    Ok(ExitCode::SUCCESS)
}
