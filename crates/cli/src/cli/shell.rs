//! `mattebox completions` and `mattebox man`.
use super::{complete, manual};
use crate::exit::Exit;
use crate::output;
use anyhow::Context;
use clap::Args;
use clap_complete::Shell;
use std::path::PathBuf;

pub(super) const COMPLETIONS: &str = "\
Examples:
  source <(mattebox completions bash)
      for this shell; as a line of ~/.bashrc, for all that follow
  source <(mattebox completions zsh)
      the same for zsh, in ~/.zshrc behind compinit
  mattebox completions fish > ~/.config/fish/completions/mattebox.fish

Names of cameras come from the settings file and the output folder, names of topics from the
broker.";

pub(super) const MAN: &str = "\
Examples:
  mattebox man | man -l -
      the page of mattebox
  mattebox man --out ~/.local/share/man/man1
      every page, where `man mattebox-run` finds it";

/// Arguments of `mattebox completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Arguments of `mattebox man`.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write mattebox.1, mattebox-run.1, ... into this folder instead of printing mattebox.1
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<Exit> {
    complete::print_script(&args.shell.to_string())?;
    Ok(Exit::Done)
}

pub(super) fn man(args: &ManArgs) -> anyhow::Result<Exit> {
    match &args.out {
        Some(dir) => manual::write_all(dir)
            .with_context(|| format!("cannot write manual pages into {}", dir.display()))?,
        None => output::print_bytes(&manual::main_page()?)?,
    }
    Ok(Exit::Done)
}
