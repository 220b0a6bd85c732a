//! Checked settings: what was asked for, as types that cannot be wrong.
use super::{
    ConfigError, Resolved,
    check::Check,
    layer::{MadeLayer, RunLayer},
    names,
    origin::Origin,
    output_choice::{EarlierFrames, Format, FrameNames, ProgressStyle},
    outputs, trace, view,
};
use mattebox_engine::{FrameSettings, trace::TraceSettings};
use mattebox_media::{
    sink::SinkSpec,
    source::{CameraSource, SourceOptions},
};
use mattebox_server::ViewSettings;
use mattebox_store::OnExisting;
use std::{ffi::OsString, net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

/// Everything `mattebox run` needs to know.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// The cameras, each with its own name.
    pub cameras: Vec<CameraSource>,
    /// How sources are read.
    pub source: SourceOptions,
    /// Where pictures go.
    pub sink: SinkSpec,
    /// No setting says where pictures go: they go to the default folder.
    pub is_default_sink: bool,
    /// What is asked of each frame, as long as nobody changes it. Its format is that of files.
    pub frame: FrameSettings,
    /// The format of pictures.
    pub format: Format,
    /// What happens to a file that is there.
    pub on_existing: OnExisting,
    /// What happens to frames that the folders hold.
    pub earlier_frames: EarlierFrames,
    /// How the files of frames are called.
    pub names: FrameNames,
    /// The names that frames keep, without endings, for each camera; empty if they have numbers.
    pub kept_names: Vec<Vec<OsString>>,
    /// Where mattes are written, if anywhere.
    pub alpha_out: Option<PathBuf>,
    /// Frames per camera after which it ends.
    pub frames: Option<u64>,
    /// Threads that work on frames.
    pub threads: NonZeroUsize,
    /// Newest frame wins; `None`: as the source is.
    pub live: Option<bool>,
    /// How long frames on their way may take after the first signal.
    pub shutdown_timeout: Duration,
    /// How progress is shown.
    pub progress: ProgressStyle,
    /// The live page, if there is one.
    pub view: Option<ViewSettings>,
    /// Where numbers are served.
    pub metrics: Option<SocketAddr>,
    /// Where traces go, if anywhere.
    pub trace: Option<TraceSettings>,
}

impl RunSettings {
    /// Checks every value. The first that cannot be used is the error.
    pub fn new(resolved: &Resolved<RunLayer>) -> Result<Self, ConfigError> {
        let check = Check(&resolved.origins);
        let l = &resolved.layer;
        let made = &resolved.layer.made;
        let source = check.source(&l.read)?;
        let sink: SinkSpec = check.parse("out", &l.out)?;
        let format = match (&sink, &made.format) {
            (SinkSpec::Stdout, _) => Format::Stdout(check.parse("format", &made.format)?),
            (SinkSpec::Directory(_) | SinkSpec::Nothing, Some(text)) if text == "raw" => {
                return Err(check.error(
                    "format",
                    "raw",
                    "bare pixels can only go to standard output (--out -)",
                ));
            }
            _ => Format::Image(check.parse("format", &made.format)?),
        };
        // Only files have the format's limits: a video or a stream has its own.
        let files = match (&sink, format) {
            (SinkSpec::Directory(_), _) => made.format.clone(),
            _ => None,
        };
        let made = MadeLayer {
            format: files,
            ..made.clone()
        };
        let frame = check.frame(&made, l.read.max_megapixels)?;
        let cameras = check.cameras(&l.source, &l.camera_id)?;
        if cameras.len() > 1 && !sink.takes_many_cameras() {
            let reason = match sink {
                SinkSpec::Stdout => "standard output takes one source, not several",
                _ => {
                    "put {camera} into the name so that each source gets its own, for example out/{camera}.mp4"
                }
            };
            return Err(check.error("out", sink, reason));
        }
        let alpha_out = outputs::alpha_out(&check, &l.alpha_out)?;
        let on_existing = check.parse("on_existing", &made.on_existing)?;
        let earlier_frames = earlier_frames(&check, l.append, on_existing)?;
        if earlier_frames == EarlierFrames::Append {
            check_append(&check, &sink, alpha_out.is_some())?;
        }
        let names = names::choice(&check, &l.name)?;
        let kept_names = match names {
            FrameNames::Number => vec![],
            FrameNames::Keep => {
                check_names(&check, &sink, alpha_out.is_some())?;
                names::kept(&check, &cameras, &source)?
            }
        };
        let settings = RunSettings {
            names,
            kept_names,
            cameras,
            source,
            is_default_sink: resolved.origins.of("out") == Origin::Default,
            sink,
            frame,
            format,
            on_existing,
            earlier_frames,
            alpha_out,
            frames: check
                .integer("frames", l.read.frames, 1, i64::MAX)?
                .map(|n| n as u64),
            threads: check.threads(&made)?,
            live: l.live,
            shutdown_timeout: check.shutdown_timeout(&l.say.shutdown_timeout)?,
            progress: check.progress(&l.say.progress)?,
            view: view::settings(&check, &l.view)?,
            metrics: check.metrics(&l.metrics)?,
            trace: trace::settings(&check, &l.trace)?,
        };
        let files = outputs::RunFiles {
            cameras: &settings.cameras,
            frame: &settings.frame,
            ffmpeg: &settings.source.ffmpeg,
            sink: &settings.sink,
            format: settings.format,
            alpha_out: settings.alpha_out.as_ref(),
            kept_names: &settings.kept_names,
            removes_frames: matches!(
                settings.earlier_frames,
                EarlierFrames::Refuse | EarlierFrames::Remove
            ),
        };
        outputs::check_run(&check, resolved, &files)?;
        Ok(settings)
    }
}

/// What was said about frames that are there. The default of `on_existing` says nothing about the frames of an earlier run.
fn earlier_frames(
    check: &Check<'_>,
    append: Option<bool>,
    on_existing: OnExisting,
) -> Result<EarlierFrames, ConfigError> {
    let is_asked = check.0.of("on_existing") != Origin::Default;
    match (append.unwrap_or(false), on_existing) {
        (true, OnExisting::Overwrite) if is_asked => {
            let reason = "the frames that are there are either kept or removed: choose one of append and on_existing overwrite";
            Err(check.error("append", true, reason))
        }
        (true, _) => Ok(EarlierFrames::Append),
        (false, OnExisting::Overwrite) if is_asked => Ok(EarlierFrames::Remove),
        (false, OnExisting::Overwrite) => Ok(EarlierFrames::Refuse),
        (false, OnExisting::Skip | OnExisting::Fail) => Ok(EarlierFrames::Keep),
    }
}

/// Only the files of a folder have names.
fn check_names(check: &Check<'_>, sink: &SinkSpec, has_mattes: bool) -> Result<(), ConfigError> {
    match sink {
        SinkSpec::Directory(_) => Ok(()),
        _ if has_mattes => Ok(()),
        _ => Err(check.error(
            "name",
            "keep",
            "only files in a folder have names: give one (--out)",
        )),
    }
}

/// Only the files of a folder can be added to.
fn check_append(check: &Check<'_>, sink: &SinkSpec, has_mattes: bool) -> Result<(), ConfigError> {
    let reason = match sink {
        SinkSpec::Directory(_) => return Ok(()),
        SinkSpec::Video(_) => "nothing can be added to a video: give a folder (--out)",
        _ if has_mattes => return Ok(()),
        _ => "only a folder can be added to: give one (--out)",
    };
    Err(check.error("append", true, reason))
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
        assert_eq!(s.frame, FrameSettings::default(), "one set of defaults");
    }

    #[test]
    fn several_sources_are_named_or_numbered() {
        let s = settings(&["door=rtsp://h/x?a=b", "lavfi:testsrc=size=64x64", "b.mp4"]).unwrap();
        let names: Vec<_> = s.cameras.iter().map(|c| c.camera.as_str()).collect();
        assert_eq!(names, ["door", "cam02", "cam03"]);
    }

    #[test]
    fn frames_that_are_there_are_removed_only_on_request() {
        for (args, is_default, earlier) in [
            (&["a.mp4"][..], true, EarlierFrames::Refuse),
            (&["a.mp4", "-o", "output"], false, EarlierFrames::Refuse),
            (
                &["a.mp4", "--on-existing", "overwrite"],
                true,
                EarlierFrames::Remove,
            ),
            (
                &["a.mp4", "--on-existing", "skip"],
                true,
                EarlierFrames::Keep,
            ),
            (&["a.mp4", "--append"], true, EarlierFrames::Append),
            (&["a.mp4", "--append=false"], true, EarlierFrames::Refuse),
        ] {
            let s = settings(args).unwrap();
            assert_eq!(
                (s.is_default_sink, s.earlier_frames),
                (is_default, earlier),
                "{args:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_name_value_and_origin() {
        for (args, words) in [
            (
                &["a.mp4", "--fps", "0"][..],
                &["fps", "0", "command line"][..],
            ),
            (&["a.mp4", "--fps", "-1"], &["fps", "-1"]),
            (&["a.mp4", "--fps", "nan"], &["fps"]),
            (
                &["a.mp4", "--camera-id", "../../etc"],
                &["camera_id", "../../etc"],
            ),
            (&["../../etc=a.mp4"], &["source", "../../etc"]),
            (&["x=a.mp4", "x=b.mp4"], &["two sources are named x"]),
            (&["a.mp4", "--matte", "fuzzy"], &["matte", "fuzzy", "hard"]),
            (
                &["a.mp4", "--background", "octarine"],
                &["background", "octarine"],
            ),
            (
                &["a.mp4", "--jpeg-quality", "101"],
                &["jpeg_quality", "100"],
            ),
            (&["a.mp4", "--threads", "0"], &["threads"]),
            (&["a.mp4", "--format", "raw"], &["raw", "standard output"]),
            (
                &["a.mp4", "--format", "jpg", "-b", "transparent"],
                &["jpg", "png"],
            ),
            (&["a.mp4", "b.mp4", "-o", "x.mp4"], &["{camera}"]),
            (&["a.mp4", "b.mp4", "-o", "-"], &["one source"]),
            (&["a.mp4", "-o", "-", "--format", "jpg"], &["jpg", "raw"]),
            (
                &["a.mp4", "--append", "--on-existing", "overwrite"],
                &["append", "choose one"],
            ),
            (&["a.mp4", "--append", "-o", "x.mp4"], &["append", "video"]),
            (&["a.mp4", "--append", "-o", "-"], &["append", "folder"]),
            (&["a.mp4", "--name", "old"], &["name", "number or keep"]),
            (&["a.mp4", "--name", "keep"], &["name", "a.mp4", "keep"]),
            (
                &["a.mp4", "--name", "keep", "-o", "x.mp4"],
                &["name", "folder"],
            ),
            (&["a.png", "--name", "keep", "--loop"], &["name", "loop"]),
            (&[], &["no source"]),
        ] {
            let error = settings(args)
                .expect_err(&format!("{args:?} was accepted"))
                .to_string();
            for word in words {
                assert!(
                    error.contains(word),
                    "{args:?}: {word:?} is missing in {error:?}"
                );
            }
        }
    }
}
