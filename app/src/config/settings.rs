//! Checked settings: what was asked for, as types that cannot be wrong.
use super::{ConfigError, Resolved, span};
use crate::{
    sink::{SinkSpec, StdoutFormat},
    source::{SourceOptions, SourceSpec},
};
use mattebox_core::{
    codec::{ImageFormat, Limits},
    compose::BackgroundSpec,
    frame::CameraId,
    matte::MatteMode,
    simd::SimdLevel,
};
use mattebox_store::OnExisting;
use std::{collections::HashSet, fmt::Display, num::NonZeroUsize, path::PathBuf, str::FromStr, time::Duration};

/// One camera: its name and where its pictures come from.
#[derive(Debug, Clone)]
pub struct CameraSource {
    /// Its name.
    pub camera: CameraId,
    /// Where its pictures come from.
    pub spec: SourceSpec,
}

/// Which network finds the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelChoice {
    /// The built-in 256x256 network.
    General,
    /// The built-in 144x256 network.
    Landscape,
    /// A .tflite file.
    File(PathBuf),
}

/// What a picture is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Picture files.
    Image(ImageFormat),
    /// What standard output carries.
    Stdout(StdoutFormat),
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressStyle {
    /// A bar on a terminal, lines elsewhere.
    Auto,
    /// A bar.
    Bar,
    /// A line every few seconds.
    Lines,
    /// Nothing.
    None,
}

/// Everything `mattebox run` needs to know.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// The cameras, each with its own name.
    pub cameras: Vec<CameraSource>,
    /// How sources are read.
    pub source: SourceOptions,
    /// Where pictures go.
    pub sink: SinkSpec,
    /// What stands behind the person.
    pub background: BackgroundSpec,
    /// Which matte.
    pub matte: MatteMode,
    /// Whether the old room's light is taken out of the edge.
    pub foreground_cleanup: bool,
    /// Whether the network is spared frames like the one before.
    pub skip_still: bool,
    /// The format of pictures.
    pub format: Format,
    /// Of JPEG files, 1 to 100.
    pub jpeg_quality: u8,
    /// What happens to a file that is there.
    pub on_existing: OnExisting,
    /// Where mattes are written, if anywhere.
    pub alpha_out: Option<PathBuf>,
    /// Which network.
    pub model: ModelChoice,
    /// Frames per camera after which it ends.
    pub frames: Option<u64>,
    /// Threads that work on frames.
    pub threads: NonZeroUsize,
    /// Newest frame wins; `None`: as the source is.
    pub live: Option<bool>,
    /// How long frames on their way may take after the first signal.
    pub shutdown_timeout: Duration,
    /// Vector instructions.
    pub simd: SimdLevel,
    /// How progress is shown.
    pub progress: ProgressStyle,
}

/// Reads one setting at a time and puts its name and origin into the error.
struct Check<'a>(&'a Resolved);

impl Check<'_> {
    fn error(&self, name: &'static str, value: impl Display, reason: impl Display) -> ConfigError {
        ConfigError::Value { name, value: value.to_string(), origin: self.0.origin(name), reason: reason.to_string() }
    }
    fn given<'t>(&self, name: &'static str, text: &'t Option<String>) -> Result<&'t str, ConfigError> {
        text.as_deref().ok_or_else(|| ConfigError::Conflict(format!("{name} has no value")))
    }
    fn parse<T: FromStr<Err: Display>>(&self, name: &'static str, text: &Option<String>) -> Result<T, ConfigError> {
        let text = self.given(name, text)?;
        text.parse().map_err(|e| self.error(name, text, e))
    }
    fn span(&self, name: &'static str, text: &Option<String>) -> Result<Option<Duration>, ConfigError> {
        text.as_deref().map(|t| span::parse(t).map_err(|e| self.error(name, t, e))).transpose()
    }
    fn positive_span(&self, name: &'static str, text: &Option<String>) -> Result<Option<Duration>, ConfigError> {
        match self.span(name, text)? {
            Some(t) if t.is_zero() => Err(self.error(name, t.as_secs(), "it must be longer than nothing")),
            t => Ok(t),
        }
    }
    fn integer(&self, name: &'static str, value: Option<i64>, from: i64, to: i64) -> Result<Option<i64>, ConfigError> {
        match value {
            Some(v) if !(from..=to).contains(&v) => Err(self.error(name, v, format!("it must be between {from} and {to}"))),
            v => Ok(v),
        }
    }
}

impl RunSettings {
    /// Checks every value. The first that cannot be used is the error.
    pub fn new(resolved: &Resolved) -> Result<Self, ConfigError> {
        let (check, l) = (Check(resolved), &resolved.layer);
        let fps = match l.fps {
            Some(v) if !(v.is_finite() && v > 0.0 && v <= 1000.0) => {
                return Err(check.error("fps", v, "it must be greater than 0 and at most 1000"));
            }
            v => v,
        };
        let max_megapixels = check.integer("max_megapixels", l.max_megapixels, 1, 4096)?.unwrap_or(64) as u64;
        let defaults = SourceOptions::default();
        let source = SourceOptions {
            fps,
            max_width: check.integer("max_width", l.max_width, 1, 65_535)?.map(|w| w as u32),
            repeat: l.repeat.unwrap_or(false),
            realtime: l.realtime.unwrap_or(false),
            start: check.span("start", &l.start)?,
            duration: check.positive_span("duration", &l.duration)?,
            stall_timeout: check.positive_span("stall_timeout", &l.stall_timeout)?.unwrap_or(defaults.stall_timeout),
            connect_timeout: check.span("connect_timeout", &l.connect_timeout)?.unwrap_or(defaults.connect_timeout),
            limits: Limits { max_pixels: max_megapixels * 1_000_000, ..defaults.limits },
            ffmpeg: check.given("ffmpeg", &l.ffmpeg)?.into(),
            ..defaults
        };
        let sink: SinkSpec = check.parse("out", &l.out)?;
        let background: BackgroundSpec = check.parse("background", &l.background)?;
        let format = match (&sink, &l.format) {
            (SinkSpec::Stdout, _) => Format::Stdout(check.parse("format", &l.format)?),
            (SinkSpec::Directory(_), Some(text)) if text == "raw" => {
                return Err(check.error("format", "raw", "bare pixels can only go to standard output (--out -)"));
            }
            _ => Format::Image(check.parse("format", &l.format)?),
        };
        if let (SinkSpec::Directory(_), Format::Image(image)) = (&sink, format)
            && background == BackgroundSpec::Transparent
            && !image.has_alpha()
        {
            return Err(check.error("format", image, "it has no transparency; use png or webp with --background transparent"));
        }
        let simd = match &l.simd {
            Some(_) => check.parse("simd", &l.simd)?,
            None => SimdLevel::best(),
        };
        simd.level().map_err(|e| check.error("simd", simd, e))?;
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let threads = check.integer("threads", l.threads, 1, 1024)?.and_then(|n| NonZeroUsize::new(n as usize)).unwrap_or(cores);
        let cameras = cameras(&check)?;
        if cameras.len() > 1 && !sink.takes_many_cameras() {
            let reason = match sink {
                SinkSpec::Stdout => "standard output takes one source, not several",
                _ => "put {camera} into the name so that each source gets its own, for example out/{camera}.mp4",
            };
            return Err(check.error("out", sink, reason));
        }
        Ok(RunSettings {
            cameras,
            source,
            sink,
            background,
            matte: check.parse("matte", &l.matte)?,
            foreground_cleanup: l.foreground_cleanup.unwrap_or(true),
            skip_still: l.skip_still.unwrap_or(false),
            format,
            jpeg_quality: check.integer("jpeg_quality", l.jpeg_quality, 1, 100)?.unwrap_or(80) as u8,
            on_existing: check.parse("on_existing", &l.on_existing)?,
            alpha_out: l.alpha_out.clone().map(PathBuf::from),
            model: match l.model.as_deref() {
                None | Some("" | "general") => ModelChoice::General,
                Some("landscape") => ModelChoice::Landscape,
                Some(path) => ModelChoice::File(path.into()),
            },
            frames: check.integer("frames", l.frames, 1, i64::MAX)?.map(|n| n as u64),
            threads,
            live: l.live,
            shutdown_timeout: check.span("shutdown_timeout", &l.shutdown_timeout)?.unwrap_or(Duration::from_secs(10)),
            simd,
            progress: match check.given("progress", &l.progress)? {
                "auto" => ProgressStyle::Auto,
                "bar" => ProgressStyle::Bar,
                "lines" => ProgressStyle::Lines,
                "none" => ProgressStyle::None,
                other => return Err(check.error("progress", other, "use auto, bar, lines or none")),
            },
        })
    }
}

/// `NAME=SOURCE`, or a bare source that gets `camera_id` (alone) or cam01, cam02, ... (one of several).
fn cameras(check: &Check<'_>) -> Result<Vec<CameraSource>, ConfigError> {
    let layer = &check.0.layer;
    let sources = layer.source.as_deref().unwrap_or_default();
    if sources.is_empty() {
        let what = "a file, a URL, a device number, a folder of pictures, lavfi:GRAPH or -";
        return Err(ConfigError::Conflict(format!("no source was given: name {what} (or set VIDEO_SRC)")));
    }
    let camera_id = check.given("camera_id", &layer.camera_id)?;
    let mut names = HashSet::new();
    let mut cameras = Vec::with_capacity(sources.len());
    for (i, text) in sources.iter().enumerate() {
        let (name, source) = match split_name(text) {
            Some((name, source)) => (name.to_owned(), source),
            None if sources.len() == 1 => (camera_id.to_owned(), text.as_str()),
            None => (format!("cam{:02}", i + 1), text.as_str()),
        };
        let camera: CameraId = name.parse().map_err(|e| check.error("camera_id", &name, e))?;
        let spec = source.parse().map_err(|e| check.error("source", source, e))?;
        if !names.insert(camera.clone()) {
            return Err(check.error(
                "source",
                text,
                format!("two sources are named {camera}; give each its own name: NAME=SOURCE"),
            ));
        }
        cameras.push(CameraSource { camera, spec });
    }
    Ok(cameras)
}

/// Splits `NAME=SOURCE`. URLs, filter graphs and existing files may hold a `=` of their own and are left whole.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let (name, source) = text.split_once('=')?;
    (!name.contains([':', '?']) && !std::path::Path::new(text).exists()).then_some((name, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RunLayer;
    use clap::{Args, FromArgMatches};

    fn settings(args: &[&str]) -> Result<RunSettings, ConfigError> {
        let command = RunLayer::augment_args(clap::Command::new("run").no_binary_name(true));
        let matches = command.clone().try_get_matches_from(args).unwrap();
        let given = RunLayer::from_arg_matches(&matches).unwrap();
        RunSettings::new(&Resolved::new(&given, &matches, &command, None)?)
    }

    #[test]
    fn a_bare_source_gets_the_default_name() {
        let s = settings(&["clip.mp4"]).unwrap();
        assert_eq!(s.cameras[0].camera.as_str(), "cam01");
        assert_eq!(s.background.to_string(), "#c0c0c0");
    }

    #[test]
    fn several_sources_are_named_or_numbered() {
        let s = settings(&["door=rtsp://h/x?a=b", "lavfi:testsrc=size=64x64", "b.mp4"]).unwrap();
        let names: Vec<_> = s.cameras.iter().map(|c| c.camera.as_str()).collect();
        assert_eq!(names, ["door", "cam02", "cam03"]);
    }

    #[test]
    fn what_cannot_be_is_refused_with_name_value_and_origin() {
        for (args, words) in [
            (&["a.mp4", "--fps", "0"][..], &["fps", "0", "command line"][..]),
            (&["a.mp4", "--fps", "-1"], &["fps", "-1"]),
            (&["a.mp4", "--fps", "nan"], &["fps"]),
            (&["a.mp4", "--camera-id", "../../etc"], &["camera_id", "../../etc"]),
            (&["../../etc=a.mp4"], &["camera_id", "../../etc"]),
            (&["x=a.mp4", "x=b.mp4"], &["two sources are named x"]),
            (&["a.mp4", "--matte", "fuzzy"], &["matte", "fuzzy", "hard"]),
            (&["a.mp4", "--background", "octarine"], &["background", "octarine"]),
            (&["a.mp4", "--jpeg-quality", "101"], &["jpeg_quality", "100"]),
            (&["a.mp4", "--threads", "0"], &["threads"]),
            (&["a.mp4", "--format", "raw"], &["raw", "standard output"]),
            (&["a.mp4", "--format", "jpg", "-b", "transparent"], &["jpg", "png"]),
            (&["a.mp4", "b.mp4", "-o", "x.mp4"], &["{camera}"]),
            (&["a.mp4", "b.mp4", "-o", "-"], &["one source"]),
            (&["a.mp4", "-o", "-", "--format", "jpg"], &["jpg", "raw"]),
            (&[], &["no source"]),
        ] {
            let error = settings(args).expect_err(&format!("{args:?} was accepted")).to_string();
            for word in words {
                assert!(error.contains(word), "{args:?}: {word:?} is missing in {error:?}");
            }
        }
    }
}
