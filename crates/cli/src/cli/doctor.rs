//! `mattebox doctor`: looks at this machine and says what to do about what is missing.
use crate::{
    config::{found::SettingsFile, resolve::check},
    output,
};
use clap::Args;
use mattebox_core::{
    frame::Timestamp,
    matte::{MatteMode, Segmenter},
};
use mattebox_engine::{ModelChoice, ModelRegistry, address::harmless};
use mattebox_media::ffmpeg::Ffmpeg;
use mattebox_net::SimdLevel;
use serde::Serialize;
use std::{fmt, path::PathBuf, process::ExitCode, thread};

/// Arguments of `mattebox doctor`.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// The ffmpeg program; ffprobe is expected beside it
    #[arg(long, env = "MATTEBOX_FFMPEG", default_value = "ffmpeg")]
    ffmpeg: PathBuf,
    /// The folder that results will go to
    #[arg(short, long, env = "OUTPUT_DIR", default_value = "output")]
    out: PathBuf,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    /// Works, but something that some people want is not there.
    Note,
    Missing,
}

#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_do: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.verdict {
            Verdict::Good => "ok",
            Verdict::Note => "note",
            Verdict::Missing => "MISSING",
        };
        write!(f, "{mark:<8} {:<12} {}", self.what, self.found)?;
        if let Some(to_do) = &self.to_do {
            write!(f, "\n{:22}{to_do}", "")?;
        }
        Ok(())
    }
}

pub(super) fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let findings = [
        processor(),
        network(),
        video_tools(args),
        settings(),
        folder(args),
        devices(),
    ];
    if args.json {
        output::print(serde_json::to_string_pretty(&findings)?)?;
    } else {
        let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
        output::print(lines.join("\n"))?;
    }
    let missing = findings.iter().any(|f| f.verdict == Verdict::Missing);
    Ok(if missing {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn finding(
    what: &'static str,
    verdict: Verdict,
    found: impl Into<String>,
    to_do: Option<String>,
) -> Finding {
    Finding {
        what,
        verdict,
        found: found.into(),
        to_do,
    }
}

fn processor() -> Finding {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let levels = SimdLevel::available();
    let list = levels
        .iter()
        .rev()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    let fast = SimdLevel::best() >= SimdLevel::Avx2;
    let (verdict, to_do) = if fast {
        (Verdict::Good, None)
    } else {
        (
            Verdict::Note,
            Some("without AVX2 or NEON it is right but several times slower".to_owned()),
        )
    };
    finding(
        "processor",
        verdict,
        format!("{cores} cores; vector instructions: {list}"),
        to_do,
    )
}

/// Runs the built-in network once: that shows more than its presence.
fn network() -> Finding {
    let run = || -> Result<String, String> {
        let model = ModelRegistry::default()
            .get(&ModelChoice::General)
            .map_err(|e| e.to_string())?;
        let simd = SimdLevel::best();
        let network = model.network(simd).map_err(|e| e.to_string())?;
        let (width, height) = (network.width(), network.height());
        let mut segmenter =
            Segmenter::with_network(network, MatteMode::Soft, simd).map_err(|e| e.to_string())?;
        segmenter.segment(
            &image::RgbImage::new(64, 64),
            Timestamp(0),
            &mut Default::default(),
        );
        Ok(format!(
            "{width}x{height} built in, sha256 {}…",
            &model.sha256()[..12]
        ))
    };
    match run() {
        Ok(found) => finding("network", Verdict::Good, found, None),
        Err(e) => finding(
            "network",
            Verdict::Missing,
            e,
            Some("build again: make model && make".to_owned()),
        ),
    }
}

fn video_tools(args: &DoctorArgs) -> Finding {
    match Ffmpeg::find(&args.ffmpeg) {
        Ok(found) => finding("ffmpeg", Verdict::Good, found.version(), None),
        Err(e) => finding("ffmpeg", Verdict::Missing, e.to_string(), None),
    }
}

/// Which settings file is in force here.
fn settings() -> Finding {
    let named = std::env::var_os("MATTEBOX_CONFIG").map(PathBuf::from);
    let Some(file) = SettingsFile::choose(named.as_deref()) else {
        return finding("settings", Verdict::Good, "no settings file", None);
    };
    match file.read().and_then(|text| check(&text, &file)) {
        Ok(()) => finding("settings", Verdict::Good, file.to_string(), None),
        Err(e) => finding("settings", Verdict::Missing, e.to_string(), None),
    }
}

fn folder(args: &DoctorArgs) -> Finding {
    // The nearest folder that is there decides: the rest would be made.
    let absolute = std::path::absolute(&args.out).unwrap_or_else(|_| args.out.clone());
    let place = absolute
        .ancestors()
        .find(|p| p.exists())
        .unwrap_or(&absolute);
    match tempfile::Builder::new()
        .prefix(".mattebox-doctor")
        .tempfile_in(place)
    {
        Ok(_) => finding(
            "output",
            Verdict::Good,
            format!(
                "{} can be written",
                harmless::output(&args.out.to_string_lossy())
            ),
            None,
        ),
        Err(e) => {
            let to_do = "choose another folder with --out, or change its owner".to_owned();
            finding(
                "output",
                Verdict::Missing,
                format!("{}: {e}", harmless::output(&place.to_string_lossy())),
                Some(to_do),
            )
        }
    }
}

fn devices() -> Finding {
    let mut found: Vec<_> = std::fs::read_dir("/dev")
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path().display().to_string())
        .filter(|p| {
            p.strip_prefix("/dev/video")
                .is_some_and(|n| n.parse::<u32>().is_ok())
        })
        .collect();
    found.sort();
    if found.is_empty() {
        return finding(
            "cameras",
            Verdict::Note,
            "no camera device here",
            Some("files and network streams work without".to_owned()),
        );
    }
    finding("cameras", Verdict::Good, found.join(", "), None)
}
