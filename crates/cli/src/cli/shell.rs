//! `mattebox completions` and `mattebox man`.
use super::help::{Length, command};
use crate::output;
use anyhow::Context;
use clap::Args;
use clap_complete::Shell;
use std::{path::PathBuf, process::ExitCode};

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
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(Length::Long), "mattebox", &mut script);
    output::print_bytes(&script)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    match &args.out {
        Some(dir) => {
            std::fs::create_dir_all(dir)
                .and_then(|()| clap_mangen::generate_to(command(Length::Long), dir))
                .with_context(|| format!("cannot write manual pages into {}", dir.display()))?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command(Length::Long)).render(&mut page)?;
            output::print_bytes(&page)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
