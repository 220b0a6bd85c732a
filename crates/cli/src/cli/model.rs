//! `mattebox model`.
use crate::output;
use anyhow::Context;
use clap::Args;
use mattebox_engine::address::harmless;
use std::{path::PathBuf, process::ExitCode};

/// Arguments of `mattebox model`.
#[derive(Debug, Args)]
pub(super) struct ModelArgs {
    /// A .tflite file
    path: PathBuf,
}

pub(super) fn run(args: &ModelArgs) -> anyhow::Result<ExitCode> {
    let path = harmless::path(&args.path);
    let bytes =
        std::fs::read(&args.path).with_context(|| format!("cannot read the model {path}"))?;
    let description = mattebox_net::describe(&bytes).with_context(|| format!("model {path}"))?;
    output::print(&description)?;
    // A file that can be read but not run is worth a look, but a script must be able to tell.
    match mattebox_net::Model::from_bytes(&bytes) {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(e) => {
            output::tell(format_args!("mattebox: model {path} cannot be used: {e}"));
            Ok(ExitCode::FAILURE)
        }
    }
}
