//! `mattebox eval`: measures a matte against the true one.
use crate::{
    config::{ConfigError, inputs::InputsBuilder, outputs::would_replace},
    eval::{self, EvalProgress},
    output,
};
use anyhow::{Context, Result};
use clap::{Args, ValueHint};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mattebox_core::quality::summary::Metric;
use mattebox_media::source::SourceSpec;
use mattebox_store::pending::write_file;
use std::{
    path::{Path, PathBuf},
    str::FromStr,
    time::{Duration, Instant},
};

/// The time between two lines of progress without a terminal.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Measure a matte against the true one: IoU, MAD, MSE, Grad, Conn, dtSSD and, with --static,
/// Static.
///
/// Each may be a video, a folder of pictures (paired in the order of their names) or a single
/// picture. The matte is the alpha channel of a picture or video, or its gray value if it has none.
/// Both must have the same size and the same number of frames.
#[derive(Debug, Args)]
pub(super) struct EvalArgs {
    /// The predicted alpha: what `mattebox run --alpha-out` or `--background transparent` wrote
    #[arg(value_name = "PREDICTED", value_hint = ValueHint::AnyPath)]
    predicted: PathBuf,

    /// The true alpha
    #[arg(value_name = "TRUTH", value_hint = ValueHint::AnyPath)]
    truth: PathBuf,

    /// Also list the N worst frames
    #[arg(long, value_name = "N", default_value_t = 0)]
    worst: usize,

    /// Also measure Static: flicker where the true alpha stands still
    #[arg(long = "static")]
    with_static: bool,

    /// Metric that chooses the worst frames: iou, mad, mse, grad, conn, dtssd or static
    #[arg(
        long,
        value_name = "METRIC",
        default_value = "mad",
        hide_default_value = false
    )]
    by: Metric,

    /// Write the metrics of every frame to this file, .csv or .json
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    per_frame: Option<PerFrameFile>,

    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,

    /// The FFmpeg program that reads videos; ffprobe must be in the same folder
    #[arg(
        long,
        value_name = "PROGRAM",
        env = "MATTEBOX_FFMPEG",
        default_value = "ffmpeg"
    )]
    ffmpeg: PathBuf,
}

/// Runs the command: the result goes to stdout, progress to stderr.
///
/// # Errors
/// If an input cannot be read, the inputs do not fit together, or a result cannot be written.
pub(super) fn run(args: &EvalArgs) -> Result<()> {
    if let Some(PerFrameFile { path, .. }) = &args.per_frame {
        check_output(args, path)?;
    }
    let mut progress = EvalReporter::new();
    let mut report = eval::evaluate(&args.predicted, &args.truth, &args.ffmpeg, &mut |at| {
        progress.show(at)
    })?;
    progress.bar.finish_and_clear();
    report.with_static = args.with_static || args.by == Metric::Static;
    if let Some(PerFrameFile { path, layout }) = &args.per_frame {
        let text = match layout {
            PerFrameFormat::Csv => report.frames_to_csv(),
            PerFrameFormat::Json => pretty(&report.frames_to_json())?,
        };
        write_file(path, text.as_bytes()).context("the metrics of each frame")?;
    }
    let text = if args.json {
        pretty(&report.to_json(args.by, args.worst))?
    } else {
        report.to_table(args.by, args.worst)
    };
    Ok(output::print_bytes(text.as_bytes())?)
}

/// The file with the metrics of every frame.
#[derive(Debug, Clone)]
struct PerFrameFile {
    path: PathBuf,
    layout: PerFrameFormat,
}

#[derive(Debug, Clone)]
enum PerFrameFormat {
    Csv,
    Json,
}

/// The name of the file has neither of the known extensions.
#[derive(Debug, thiserror::Error)]
#[error("the name must end in .csv or .json")]
struct UnknownExtension;

impl FromStr for PerFrameFile {
    type Err = UnknownExtension;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let path = PathBuf::from(name);
        let layout = match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => PerFrameFormat::Csv,
            Some("json") => PerFrameFormat::Json,
            _ => return Err(UnknownExtension),
        };
        Ok(PerFrameFile { path, layout })
    }
}

fn pretty(value: &serde_json::Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Refuses an output that would replace an input.
fn check_output(args: &EvalArgs, path: &Path) -> Result<(), ConfigError> {
    let mut reads = InputsBuilder::default();
    for (what, input) in [
        ("the predicted alpha", &args.predicted),
        ("the true alpha", &args.truth),
    ] {
        reads.source(what, &SourceSpec::Path(input.clone()));
    }
    reads.ffmpeg(&args.ffmpeg);
    reads.done().at(path).map_or(Ok(()), |input| {
        Err(ConfigError::Conflict(format!(
            "--per-frame {}: {}",
            path.display(),
            would_replace(input)
        )))
    })
}

/// A bar on a terminal, a line every few seconds elsewhere.
struct EvalReporter {
    bar: ProgressBar,
    last_line: Instant,
}

impl EvalReporter {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        EvalReporter {
            bar,
            last_line: Instant::now(),
        }
    }

    fn show(&mut self, at: EvalProgress) {
        if self.bar.is_hidden() {
            if self.last_line.elapsed() >= REPORT_EVERY {
                self.last_line = Instant::now();
                let of = at
                    .total
                    .map_or(String::new(), |total| format!(" of {total}"));
                output::tell(format_args!("measured {}{of} frames", at.done));
            }
            return;
        }
        if let Some(total) = at.total.filter(|_| self.bar.length().is_none()) {
            self.bar.set_length(total);
            if let Ok(style) =
                ProgressStyle::with_template("{wide_bar} {pos}/{len} frames, {per_sec}, {eta} left")
            {
                self.bar.set_style(style);
            }
        }
        self.bar.set_position(at.done);
    }
}
