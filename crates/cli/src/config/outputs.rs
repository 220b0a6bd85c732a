//! Refuses an output that would replace a file that the command reads, or another of its outputs.
//!
//! The check comes before any output is created, for every command.
use super::{
    ConfigError, Resolved,
    check::SettingsCheck,
    inputs::InputsBuilder,
    layer::{RunLayer, WorkerLayer},
    output_choice::{MATTES, OutputFormat},
};
use mattebox_core::frame::CameraId;
use mattebox_engine::FrameSettings;
use mattebox_kafka::settings::{WorkerSettings, WorkerSink};
use mattebox_media::{
    sink::{OutputPathKind, SinkSpec},
    source::CameraSource,
};
use mattebox_store::{
    Inputs, NameTemplate, ResolvedPath,
    frame_dir::{EXTENSIONS, file_name},
    inputs::InputFile,
};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The folder of mattes.
pub(super) fn alpha_out(
    check: &SettingsCheck<'_>,
    text: &Option<String>,
) -> Result<Option<PathBuf>, ConfigError> {
    if text.is_none() {
        return Ok(None);
    }
    match check.parse("alpha_out", text)? {
        SinkSpec::Directory(path) => Ok(Some(path)),
        other => Err(check.error("alpha_out", other, "mattes are PNG files: give a folder")),
    }
}

/// The parts of a run's settings that name files.
pub(super) struct RunFiles<'a> {
    pub(super) cameras: &'a [CameraSource],
    pub(super) frame: &'a FrameSettings,
    pub(super) ffmpeg: &'a Path,
    pub(super) sink: &'a SinkSpec,
    pub(super) format: OutputFormat,
    pub(super) alpha_out: Option<&'a PathBuf>,
    /// The names that frames keep, for each camera; empty if they have numbers.
    pub(super) kept_names: &'a [Vec<OsString>],
    /// The names of frames that do not keep theirs.
    pub(super) names: &'a NameTemplate,
    /// The run may remove frames of any format that are in the folder.
    pub(super) removes_frames: bool,
}

impl RunFiles<'_> {
    /// The extensions of the files that the run may replace or remove.
    fn endings<'e>(&self, written: &'e [&'e str]) -> &'e [&'e str] {
        match self.removes_frames {
            true => &EXTENSIONS,
            false => written,
        }
    }
}

/// Refuses a run that would replace one of its inputs.
pub(super) fn check_run(
    check: &SettingsCheck<'_>,
    resolved: &Resolved<RunLayer>,
    s: &RunFiles<'_>,
) -> Result<(), ConfigError> {
    let mut reads = InputsBuilder::of(resolved);
    reads.cameras(s.cameras);
    reads.frame(s.frame);
    reads.view(&resolved.layer.view);
    reads.input_options(&resolved.layer.source_options);
    reads.ffmpeg(s.ffmpeg);
    let mut outputs = OutputCheck {
        check,
        inputs: reads.done(),
        taken: Vec::new(),
    };
    let cameras: Vec<&CameraId> = s.cameras.iter().map(|camera| &camera.camera).collect();
    match (s.sink, s.format) {
        (SinkSpec::Directory(root), OutputFormat::Image(format)) => {
            outputs.folders("out", root, &cameras, s.endings(&[format.extension()]))?;
            outputs.template("out", root, s.names)?;
            outputs.kept_names("out", root, &cameras, s.kept_names, format.extension())?;
        }
        (SinkSpec::Stdout, _) => outputs.stdout("out")?,
        (sink @ SinkSpec::Video(_), _) => {
            for camera in &cameras {
                if let SinkSpec::Video(path) = sink.for_camera(camera) {
                    outputs.video("out", &path, camera)?;
                }
            }
        }
        _ => {}
    }
    match s.alpha_out {
        Some(root) => {
            outputs.folders("alpha_out", root, &cameras, s.endings(&[MATTES]))?;
            outputs.template("alpha_out", root, s.names)?;
            outputs.kept_names("alpha_out", root, &cameras, s.kept_names, MATTES)
        }
        None => Ok(()),
    }
}

/// Refuses a worker that would replace one of its inputs. The cameras are not known yet, so the
/// cameras that have a folder are checked.
pub(super) fn check_worker(
    check: &SettingsCheck<'_>,
    resolved: &Resolved<WorkerLayer>,
    s: &WorkerSettings,
) -> Result<(), ConfigError> {
    let WorkerSink::Directory(root) = &s.sink else {
        return Ok(());
    };
    let mut reads = InputsBuilder::of(resolved);
    reads.frame(&s.frame);
    reads.view(&resolved.layer.view.page);
    reads.kafka(&resolved.layer.kafka);
    reads.file("the settings of cameras", s.camera_settings.as_ref());
    let outputs = OutputCheck {
        check,
        inputs: reads.done(),
        taken: Vec::new(),
    };
    outputs.folder_root("out", root)?;
    outputs.template("out", root, &s.names)?;
    match outputs
        .inputs
        .at_frames_below(root, s.frame.format.extension())
    {
        Some((path, input)) => Err(outputs.replaced("out", &path, input)),
        None => Ok(()),
    }
}

/// The outputs so far, to be compared with the inputs and with each other.
struct OutputCheck<'a> {
    check: &'a SettingsCheck<'a>,
    inputs: Inputs,
    taken: Vec<OutputPath>,
}

/// A file or folder that is written.
struct OutputPath {
    place: ResolvedPath,
    path: PathBuf,
    /// Its description, for messages.
    what: String,
    is_folder: bool,
}

impl OutputCheck<'_> {
    /// A folder of each camera below `root`.
    fn folders(
        &mut self,
        setting: &'static str,
        root: &Path,
        cameras: &[&CameraId],
        extensions: &[&str],
    ) -> Result<(), ConfigError> {
        self.folder_root(setting, root)?;
        for camera in cameras {
            let folder = root.join(camera.as_str());
            let mut found = extensions
                .iter()
                .filter_map(|extension| self.inputs.at_frames(&folder, extension));
            if let Some((path, input)) = found.next() {
                return Err(self.replaced(setting, &path, input));
            }
            self.take(
                setting,
                &folder,
                format!("the folder of camera {camera} below {setting}"),
                true,
            )?;
        }
        Ok(())
    }

    /// Refuses a template whose names are those of inputs. For the default template, the folders
    /// are checked.
    fn template(
        &self,
        setting: &'static str,
        root: &Path,
        names: &NameTemplate,
    ) -> Result<(), ConfigError> {
        let found = self.inputs.at_template(root, names);
        match found.filter(|_| !names.is_default()) {
            Some((path, input)) => Err(self.replaced(setting, &path, input)),
            None => Ok(()),
        }
    }

    /// Refuses kept names that are those of inputs.
    fn kept_names(
        &self,
        setting: &'static str,
        root: &Path,
        cameras: &[&CameraId],
        kept: &[Vec<OsString>],
        extension: &str,
    ) -> Result<(), ConfigError> {
        for (camera, names) in cameras.iter().zip(kept) {
            let folder = root.join(camera.as_str());
            for name in names {
                let path = folder.join(file_name(name, extension));
                if let Some(input) = self.inputs.at(&path) {
                    return Err(self.replaced(setting, &path, input));
                }
            }
        }
        Ok(())
    }

    fn folder_root(&self, setting: &'static str, root: &Path) -> Result<(), ConfigError> {
        if let Some(input) = self.inputs.at(root).filter(|_| !root.is_dir()) {
            return Err(self.replaced(setting, root, input));
        }
        let reason = match OutputPathKind::of(root) {
            OutputPathKind::Pipe => {
                "this is a pipe or a device, and pictures need a folder: give a folder, or - for \
                 standard output"
            }
            OutputPathKind::Other(_) => "this is no folder: give another one",
            OutputPathKind::File | OutputPathKind::Folder => return Ok(()),
        };
        Err(self.check.error(setting, root.display(), reason))
    }

    fn video(
        &mut self,
        setting: &'static str,
        path: &Path,
        camera: &CameraId,
    ) -> Result<(), ConfigError> {
        if let Some(input) = self.inputs.at(path) {
            return Err(self.replaced(setting, path, input));
        }
        match OutputPathKind::of(path) {
            OutputPathKind::Folder => {
                let reason = "this is a folder: end its name with / to write pictures into it, or \
                     choose another name for the video";
                return Err(self.check.error(setting, path.display(), reason));
            }
            OutputPathKind::Other(what) => {
                let reason =
                    format!("this is {what}, which cannot hold a video: choose another name");
                return Err(self.check.error(setting, path.display(), reason));
            }
            OutputPathKind::File | OutputPathKind::Pipe => {}
        }
        self.take(
            setting,
            path,
            format!("the video of camera {camera}"),
            false,
        )
    }

    #[cfg(unix)]
    fn stdout(&self, setting: &'static str) -> Result<(), ConfigError> {
        use std::os::fd::AsFd;
        match self.inputs.at_open(std::io::stdout().as_fd()) {
            Some(input) => Err(self.replaced(setting, Path::new("standard output"), input)),
            None => Ok(()),
        }
    }

    #[cfg(not(unix))]
    fn stdout(&self, _: &'static str) -> Result<(), ConfigError> {
        Ok(())
    }

    /// Adds an output, if no other output has its place.
    fn take(
        &mut self,
        setting: &'static str,
        path: &Path,
        what: String,
        is_folder: bool,
    ) -> Result<(), ConfigError> {
        let Some(place) = ResolvedPath::of(path) else {
            return Ok(());
        };
        let taken = OutputPath {
            place,
            path: path.to_owned(),
            what,
            is_folder,
        };
        if let Some(other) = self
            .taken
            .iter()
            .find(|other| other.is_in_the_way_of(&taken))
        {
            let OutputPath { what, .. } = taken;
            let (other, at) = (&other.what, other.path.display());
            let reason =
                format!("{what} would replace files of {other}, {at}: give each its own path");
            return Err(self.check.error(setting, path.display(), reason));
        }
        self.taken.push(taken);
        Ok(())
    }

    fn replaced(&self, setting: &'static str, path: &Path, input: &InputFile) -> ConfigError {
        self.check
            .error(setting, path.display(), would_replace(input))
    }
}

impl OutputPath {
    /// Whether both have the same path, or one is a file where the other needs a folder. A folder
    /// within a folder is allowed.
    fn is_in_the_way_of(&self, other: &OutputPath) -> bool {
        self.place == other.place
            || (!self.is_folder && self.place.holds(&other.place))
            || (!other.is_folder && other.place.holds(&self.place))
    }
}

/// Why an output is refused.
pub(crate) fn would_replace(input: &InputFile) -> String {
    format!(
        "this would replace {}, which is read: {}. Choose another output",
        input.path.display(),
        input.what
    )
}
