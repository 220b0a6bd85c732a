//! The checked settings of `mattebox run`, as types that hold valid values only.
use super::{
    ConfigError, Resolved,
    check::SettingsCheck,
    keep::{self, FolderRetention},
    layer::{FrameLayer, RunLayer},
    names,
    origin::SettingOrigin,
    output_choice::{EarlierFrames, FrameNames, OutputFormat, ProgressStyle},
    outputs, page, trace,
};
use mattebox_core::codec::ImageFormat;
use mattebox_engine::{FrameSettings, trace::TraceSettings};
use mattebox_media::{
    sink::{OutputPathKind, SinkSpec, StdoutFormat, VideoCoding},
    source::{CameraSource, SourceOptions},
};
use mattebox_server::ViewSettings;
use mattebox_store::OnExisting;
use std::{
    ffi::OsString, fmt::Display, net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration,
};

/// The checked settings of `mattebox run`.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// The cameras, each with its own name.
    pub cameras: Vec<CameraSource>,
    /// The options of sources.
    pub source: SourceOptions,
    /// The output.
    pub sink: SinkSpec,
    /// No setting names an output, so it is the default folder.
    pub is_default_sink: bool,
    /// The settings of frames at the start. Their format is that of files.
    pub frame: FrameSettings,
    /// The format of pictures.
    pub format: OutputFormat,
    /// The length of a video file before a new one begins.
    pub segment: Option<Duration>,
    /// The H.264 encoder and its options.
    pub coding: VideoCoding,
    /// How to treat a file that is there already.
    pub on_existing: OnExisting,
    /// How to treat frames that are in the folders already.
    pub earlier_frames: EarlierFrames,
    /// The names of the files of frames.
    pub names: FrameNames,
    /// The names that frames keep, without endings, for each camera; empty if they have numbers.
    pub kept_names: Vec<Vec<OsString>>,
    /// The old files to remove during the run.
    pub keeping: Option<FolderRetention>,
    /// The folder of mattes, if there is one.
    pub alpha_out: Option<PathBuf>,
    /// Frames per camera after which it ends.
    pub frames: Option<u64>,
    /// Threads that work on frames.
    pub threads: NonZeroUsize,
    /// Whether old frames are dropped for new ones. `None`: if the source is live.
    pub live: Option<bool>,
    /// The longest time for the last frames after the first signal.
    pub shutdown_timeout: Duration,
    /// Whether the log is JSON.
    pub logs_json: bool,
    /// The style of progress.
    pub progress: ProgressStyle,
    /// The live page, if there is one.
    pub view: Option<ViewSettings>,
    /// The address that serves metrics.
    pub metrics: Option<SocketAddr>,
    /// The collector of traces, if there is one.
    pub trace: Option<TraceSettings>,
}

impl RunSettings {
    /// Whether no frame is written.
    pub fn writes_nothing(&self) -> bool {
        matches!(self.sink, SinkSpec::Nothing) && self.alpha_out.is_none()
    }

    /// Checks every value. The first that cannot be used is the error.
    pub fn new(resolved: &Resolved<RunLayer>) -> Result<Self, ConfigError> {
        let check = SettingsCheck(&resolved.origins);
        let l = &resolved.layer;
        let made = &resolved.layer.frame;
        let sink: SinkSpec = check.parse("out", &l.out)?;
        let source = SourceOptions {
            square_pixels: !sink.has_pixel_aspect(),
            sound: sink.has_sound() && !l.no_audio.unwrap_or(false),
            ..check.source(&l.source_options)?
        };
        let format = match (&sink, &made.format) {
            (SinkSpec::Stdout, _) => OutputFormat::Stdout(check.parse("format", &made.format)?),
            (SinkSpec::Directory(_) | SinkSpec::Nothing, Some(text))
                if text.parse::<StdoutFormat>().is_ok() && text.parse::<ImageFormat>().is_err() =>
            {
                return Err(check.error(
                    "format",
                    text,
                    "this is for standard output only (--out -): use png, jpg or webp",
                ));
            }
            _ => OutputFormat::Image(check.parse("format", &made.format)?),
        };
        // The limits of a picture format hold for files only.
        let files = match (&sink, format) {
            (SinkSpec::Directory(_), _) => made.format.clone(),
            _ => None,
        };
        let made = FrameLayer {
            format: files,
            ..made.clone()
        };
        let frame = check.frame(&made, l.source_options.max_megapixels)?;
        let cameras = check.cameras(&l.source, &l.camera_id)?;
        check.size(&source, &cameras)?;
        if cameras.len() > 1 && !sink.takes_many_cameras() {
            let reason = match sink {
                SinkSpec::Stdout => "standard output takes one source, not several",
                _ => {
                    "put {camera} into the name so that each source gets its own, for example \
                     out/{camera}.mp4"
                }
            };
            return Err(check.error("out", sink, reason));
        }
        let alpha_out = outputs::alpha_out(&check, &l.alpha_out)?;
        let segment = segment(&check, &l.segment, &sink)?;
        let coding = VideoCoding {
            encoder: check.parse("video_encoder", &l.video_encoder)?,
            preset: check.parse("video_preset", &l.video_preset)?,
            crf: check.integer("crf", l.crf, 0, 51)?.map(|crf| crf as u8),
        };
        let on_existing = check.parse("on_existing", &made.on_existing)?;
        let earlier_frames = earlier_frames(&check, l.append, on_existing)?;
        if earlier_frames == EarlierFrames::Append {
            check_append(&check, &sink, alpha_out.is_some())?;
        }
        let names = names::choice(&check, &l.name, cameras.len())?;
        let kept_names = match &names {
            FrameNames::Template(template) => {
                if !template.is_default() {
                    check_names(&check, &sink, alpha_out.is_some(), template)?;
                }
                vec![]
            }
            FrameNames::Keep => {
                check_names(&check, &sink, alpha_out.is_some(), &"keep")?;
                names::kept(&check, &cameras, &source)?
            }
        };
        let ids: Vec<_> = cameras.iter().map(|camera| &camera.camera).collect();
        let is_segmented = segment.is_some();
        let keeping = keep::of_run(
            &check,
            &l.keep,
            &sink,
            is_segmented,
            alpha_out.as_ref(),
            &ids,
        )?;
        let settings = RunSettings {
            names,
            keeping,
            kept_names,
            cameras,
            source,
            is_default_sink: resolved.origins.of("out") == SettingOrigin::Default,
            sink,
            frame,
            format,
            segment,
            coding,
            on_existing,
            earlier_frames,
            alpha_out,
            frames: check
                .integer("frames", l.source_options.frames, 1, i64::MAX)?
                .map(|n| n as u64),
            threads: check.threads(&made)?,
            live: l.live,
            shutdown_timeout: check.shutdown_timeout(&l.messages.shutdown_timeout)?,
            logs_json: l.messages.log_format.as_deref() == Some("json"),
            progress: check.progress(&l.messages.progress)?,
            view: page::settings(&check, &l.view)?,
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
            names: &settings.names.template(),
            removes_frames: matches!(
                settings.earlier_frames,
                EarlierFrames::Refuse | EarlierFrames::Remove
            ),
        };
        outputs::check_run(&check, resolved, &files)?;
        Ok(settings)
    }
}

/// The decision of the settings about frames of an earlier run. The default of `on_existing` is no
/// decision.
fn earlier_frames(
    check: &SettingsCheck<'_>,
    append: Option<bool>,
    on_existing: OnExisting,
) -> Result<EarlierFrames, ConfigError> {
    let is_asked = check.0.of("on_existing") != SettingOrigin::Default;
    match (append.unwrap_or(false), on_existing) {
        (true, OnExisting::Overwrite) if is_asked => {
            let reason = "the frames that are there are either kept or removed: choose one of \
                 append and on_existing overwrite";
            Err(check.error("append", true, reason))
        }
        (true, _) => Ok(EarlierFrames::Append),
        (false, OnExisting::Overwrite) if is_asked => Ok(EarlierFrames::Remove),
        (false, OnExisting::Overwrite) => Ok(EarlierFrames::Refuse),
        (false, OnExisting::Skip | OnExisting::Fail) => Ok(EarlierFrames::Keep),
    }
}

/// The length of one file of a recording.
fn segment(
    check: &SettingsCheck<'_>,
    text: &Option<String>,
    sink: &SinkSpec,
) -> Result<Option<Duration>, ConfigError> {
    let segment = check.positive_duration("segment", text)?;
    let Some(text) = text else {
        return Ok(None);
    };
    let reason = match sink {
        SinkSpec::Video(path) if OutputPathKind::of(path) == OutputPathKind::Pipe => {
            "a pipe cannot be split into files: give a video file (--out rec.mkv)"
        }
        SinkSpec::Video(_) => return Ok(segment),
        SinkSpec::Directory(_) => {
            "a folder has a file for each picture: give a video file (--out rec.mkv)"
        }
        SinkSpec::Url(_) | SinkSpec::Stdout | SinkSpec::Nothing => {
            "only a video file can be split: give one (--out rec.mkv)"
        }
    };
    Err(check.error("segment", text, reason))
}

/// Only the files of a folder have names.
fn check_names(
    check: &SettingsCheck<'_>,
    sink: &SinkSpec,
    has_mattes: bool,
    names: &dyn Display,
) -> Result<(), ConfigError> {
    match sink {
        SinkSpec::Directory(_) => Ok(()),
        _ if has_mattes => Ok(()),
        _ => Err(check.error(
            "name",
            names,
            "only files in a folder have names: give one (--out)",
        )),
    }
}

/// Only the files of a folder can be added to.
fn check_append(
    check: &SettingsCheck<'_>,
    sink: &SinkSpec,
    has_mattes: bool,
) -> Result<(), ConfigError> {
    let reason = match sink {
        SinkSpec::Directory(_) => return Ok(()),
        SinkSpec::Video(_) => "frames cannot be appended to a video: give a folder (--out)",
        _ if has_mattes => return Ok(()),
        _ => "frames can be appended only to a folder: give one (--out)",
    };
    Err(check.error("append", true, reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RunLayer;
    use clap::{Args, FromArgMatches};
    use mattebox_media::source::{HardwareDecoder, RtspTransport};

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
    fn how_a_source_is_read_can_be_said() {
        let args = [
            "door=0",
            "yard=rtsp://h/1",
            "--size",
            "1280x720",
            "--input-format",
            "mjpeg",
            "--rtsp-transport",
            "udp",
            "--hwaccel",
            "vaapi",
            "--input-option",
            "fflags=nobuffer",
            "--input-option",
            "headers=A: b, c=d",
        ];
        let source = settings(&args).unwrap().source;
        assert_eq!(source.size.unwrap().to_string(), "1280x720");
        assert_eq!(source.rtsp_transport, RtspTransport::Udp);
        assert_eq!(source.hwaccel, HardwareDecoder::Named("vaapi".into()));
        let names: Vec<_> = source.input_options.iter().map(|o| o.name()).collect();
        assert_eq!(names, ["fflags", "headers"]);
        let source = settings(&["a.mp4"]).unwrap().source;
        assert_eq!(source.rtsp_transport, RtspTransport::Auto);
        assert_eq!(source.hwaccel, HardwareDecoder::None);
    }

    #[test]
    fn how_videos_are_encoded_can_be_said() {
        let coding = settings(&["a.mp4"]).unwrap().coding;
        assert_eq!(coding, VideoCoding::default(), "one set of defaults");
        let args = ["0", "--video-encoder", "h264_nvenc", "--crf", "30"];
        let coding = settings(&args).unwrap().coding;
        assert_eq!(coding.encoder, "h264_nvenc".parse().unwrap());
        assert_eq!(coding.crf, Some(30));
        let args = ["0", "--video-preset", "slow"];
        let coding = settings(&args).unwrap().coding;
        assert_eq!(coding.preset, "slow".parse().unwrap());
    }

    #[test]
    fn what_cannot_be_is_refused_with_name_value_and_origin() {
        for (args, words) in [
            (
                &["a.mp4", "--fps", "0"][..],
                &["--fps 0: it must be greater than 0"][..],
            ),
            (&["a.mp4", "--fps", "-1"], &["fps", "-1"]),
            (&["a.mp4", "--fps", "nan"], &["fps"]),
            (
                &["a.mp4", "--camera-id", "../../etc"],
                &["--camera-id ../../etc"],
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
                &["--jpeg-quality", "100"],
            ),
            (&["a.mp4", "--threads", "0"], &["threads"]),
            (&["a.mp4", "--format", "raw"], &["raw", "standard output"]),
            (
                &["a.mp4", "--format", "jpg", "-b", "transparent"],
                &["jpg", "png"],
            ),
            (&["a.mp4", "b.mp4", "-o", "x.mp4"], &["{camera}"]),
            (&["a.mp4", "b.mp4", "-o", "-"], &["one source"]),
            (
                &["a.mp4", "-o", "-", "--format", "webp"],
                &["webp", "png, jpg, mjpeg, raw, y4m or mpegts"],
            ),
            (&["a.mp4", "--format", "y4m"], &["y4m", "standard output"]),
            (
                &["a.mp4", "--append", "--on-existing", "overwrite"],
                &["append", "choose one"],
            ),
            (&["a.mp4", "--append", "-o", "x.mp4"], &["append", "video"]),
            (&["a.mp4", "--append", "-o", "-"], &["append", "folder"]),
            (
                &["a.mp4", "--size", "640x480"],
                &["size", "640x480", "--max-width"],
            ),
            (&["0", "--size", "big"], &["size", "big", "1280x720"]),
            (
                &["0", "--input-format", "a/b"],
                &["--input-format", "mjpeg"],
            ),
            (
                &["0", "--rtsp-transport", "http"],
                &["--rtsp-transport", "http", "udp"],
            ),
            (&["0", "--hwaccel", "a/b"], &["hwaccel", "vaapi"]),
            (
                &["0", "--input-option", "ss=3"],
                &["--input-option", "--start"],
            ),
            (
                &["0", "--input-option", "fflags"],
                &["--input-option", "NAME=VALUE"],
            ),
            (
                &["0", "--video-encoder", "libx264 -y /etc/passwd"],
                &["--video-encoder", "ffmpeg -encoders"],
            ),
            (
                &["0", "--video-encoder", "copy"],
                &["--video-encoder", "copy"],
            ),
            (
                &["0", "--video-preset", "placebo"],
                &["--video-preset", "superfast"],
            ),
            (&["0", "--crf", "52"], &["crf", "52", "51"]),
            (&["0", "--crf", "-1"], &["crf", "-1"]),
            (
                &["a.mp4", "-o", "x.mp4", "--segment", "0"],
                &["segment", "longer"],
            ),
            (
                &["a.mp4", "-o", "x.mp4", "--segment", "soon"],
                &["segment", "soon"],
            ),
            (&["a.mp4", "--segment", "10m"], &["segment", "a video file"]),
            (
                &["a.mp4", "-o", "udp://h:1", "--segment", "10m"],
                &["segment", "a video file"],
            ),
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
