//! `mattebox eval`: measures a matte against the true one.
use crate::{
    config::{ConfigError, inputs::Reads, outputs::would_replace},
    eval::{self, Progress},
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

/// How often progress is told where there is no terminal to draw on.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Measure a matte against the true one: IoU, MAD, MSE, Grad, Conn, dtSSD and, if asked for,
/// Static.
///
/// Both may be a video, a folder of pictures (paired in the order of their names) or a single picture. A picture or video with an
/// alpha channel gives that channel, another its gray value. Both must have the same size and the same number of frames.
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

    /// What the worst frames are chosen by: iou, mad, mse, grad, conn, dtssd or static
    #[arg(
        long,
        value_name = "METRIC",
        default_value = "mad",
        hide_default_value = false
    )]
    by: Metric,

    /// Write every frame's figures to a file, as CSV or JSON by its extension
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    per_frame: Option<PerFrame>,

    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,

    /// The FFmpeg program that reads videos; ffprobe must lie beside it
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
    if let Some(PerFrame { path, .. }) = &args.per_frame {
        check_output(args, path)?;
    }
    let mut progress = Reporter::new();
    let mut report = eval::evaluate(&args.predicted, &args.truth, &args.ffmpeg, &mut |at| {
        progress.show(at)
    })?;
    progress.bar.finish_and_clear();
    report.with_static = args.with_static || args.by == Metric::Static;
    if let Some(PerFrame { path, layout }) = &args.per_frame {
        let text = match layout {
            Layout::Csv => report.frames_to_csv(),
            Layout::Json => pretty(&report.frames_to_json())?,
        };
        write_file(path, text.as_bytes()).context("the figures of each frame")?;
    }
    let text = if args.json {
        pretty(&report.to_json(args.by, args.worst))?
    } else {
        report.to_table(args.by, args.worst)
    };
    Ok(output::print_bytes(text.as_bytes())?)
}

/// The file with every frame's figures.
#[derive(Debug, Clone)]
struct PerFrame {
    path: PathBuf,
    layout: Layout,
}

#[derive(Debug, Clone)]
enum Layout {
    Csv,
    Json,
}

impl FromStr for PerFrame {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let path = PathBuf::from(name);
        let layout = match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Layout::Csv,
            Some("json") => Layout::Json,
            _ => return Err("the name must end in .csv or .json"),
        };
        Ok(PerFrame { path, layout })
    }
}

fn pretty(value: &serde_json::Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Refuses to write over what is measured.
fn check_output(args: &EvalArgs, path: &Path) -> Result<(), ConfigError> {
    let mut reads = Reads::default();
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
struct Reporter {
    bar: ProgressBar,
    last_line: Instant,
}

impl Reporter {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        Reporter {
            bar,
            last_line: Instant::now(),
        }
    }

    fn show(&mut self, at: Progress) {
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
