//! `mattebox bench`.
use crate::bench::{self, BenchPlan};
use crate::exit::Exit;
use crate::output;
use clap::Args;
use mattebox_core::{
    compose::{Background, BackgroundSpec},
    matte::MatteMode,
};
use mattebox_engine::ModelChoice;
use mattebox_net::SimdLevel;
use thiserror::Error;

/// Arguments of `mattebox bench`.
#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// Sizes of frames, WIDTHxHEIGHT
    #[arg(
        long,
        value_delimiter = ',',
        value_parser = size,
        default_value = "640x360,1280x720,1920x1080"
    )]
    size: Vec<(u32, u32)>,
    /// Mattes: hard, soft, fine, fine:always
    #[arg(long, value_delimiter = ',', default_value = "hard,soft")]
    matte: Vec<MatteMode>,
    /// Background: a colour, transparent or blur[:SIGMA]
    #[arg(short, long, default_value = "gray")]
    background: BackgroundSpec,
    /// Number of frames to measure for each
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    frames: u32,
    /// A .tflite or .onnx file instead of the built-in network, or "landscape"
    #[arg(long, env = "SEG_MODEL_PATH", value_name = "PATH")]
    model: Option<String>,
    /// Vector instructions: scalar, sse4.2, avx2, avx512 or neon [default: the best that this
    /// processor has]
    #[arg(long, env = "MATTEBOX_SIMD")]
    simd: Option<SimdLevel>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

/// A text that is no size of a frame.
#[derive(Debug, Error)]
#[error("{0:?} is no size: write WIDTHxHEIGHT, for example 1280x720")]
struct SizeError(String);

fn size(text: &str) -> Result<(u32, u32), SizeError> {
    let bad = || SizeError(text.to_owned());
    let (w, h) = text.split_once('x').ok_or_else(bad)?;
    let side = |s: &str| {
        s.parse()
            .ok()
            .filter(|n| (16..=8192).contains(n))
            .ok_or_else(bad)
    };
    Ok((side(w)?, side(h)?))
}

pub(super) fn run(args: &BenchArgs) -> anyhow::Result<Exit> {
    let background = match &args.background {
        BackgroundSpec::Color(c) => Background::Color(*c),
        BackgroundSpec::Transparent => Background::Transparent,
        BackgroundSpec::Blur { sigma } => Background::Blur { sigma: *sigma },
        BackgroundSpec::Image(_) | BackgroundSpec::Video(_) => {
            anyhow::bail!(
                "bench measures a colour, transparent or blur; pictures cost the same as a colour \
                 once they are scaled"
            )
        }
    };
    let plan = BenchPlan {
        sizes: args.size.clone(),
        mattes: args.matte.clone(),
        background,
        frames: args.frames as usize,
        simd: args.simd.unwrap_or_else(SimdLevel::best),
        model: ModelChoice::named(args.model.as_deref()),
    };
    let results = bench::run(&plan)?;
    if args.json {
        output::print(serde_json::to_string_pretty(&results)?)?;
    } else {
        output::print(&results)?;
    }
    Ok(Exit::Done)
}
