//! Every file that the settings of a command read.
use super::{
    Resolved, SettingsLayer,
    layer::{KafkaLayer, PageLayer, SourceLayer},
};
use mattebox_core::compose::BackgroundSpec;
use mattebox_engine::{BackgroundChoice, FrameSettings, ModelChoice};
use mattebox_media::source::{self, CameraSource, SourceFile, SourceSpec};
use mattebox_store::Inputs;
use std::{
    path::{MAIN_SEPARATOR, Path, PathBuf},
    sync::Arc,
};

/// Collects the files that a command reads.
#[derive(Debug, Default)]
pub(crate) struct InputsBuilder(Inputs);

impl InputsBuilder {
    /// The settings file, if there is one.
    pub(crate) fn of<L: SettingsLayer>(resolved: &Resolved<L>) -> Self {
        let mut reads = InputsBuilder::default();
        reads.file(
            "the settings file",
            resolved.file.as_ref().map(|file| &file.path),
        );
        reads
    }

    pub(crate) fn done(self) -> Inputs {
        self.0
    }

    pub(crate) fn file(&mut self, what: &str, path: Option<impl AsRef<Path>>) {
        if let Some(path) = path {
            self.0.add(&what.into(), path.as_ref());
        }
    }

    pub(super) fn cameras(&mut self, cameras: &[CameraSource]) {
        for CameraSource { camera, spec } in cameras {
            self.source(&format!("the source of camera {camera}"), spec);
        }
    }

    pub(crate) fn source(&mut self, what: &str, spec: &SourceSpec) {
        let what: Arc<str> = what.into();
        for file in source::files(spec) {
            match file {
                SourceFile::Path(path) => self.0.add(&what, &path),
                #[cfg(unix)]
                SourceFile::Stdin => {
                    use std::os::fd::AsFd;
                    self.0
                        .add_open(&what, std::io::stdin().as_fd(), "standard input");
                }
                #[cfg(not(unix))]
                SourceFile::Stdin => {}
            }
        }
    }

    /// The files that the settings of frames name.
    pub(super) fn frame(&mut self, frame: &FrameSettings) {
        if let BackgroundChoice::Spec(spec) = &frame.background {
            self.background(spec);
        }
        self.model(&frame.model);
    }

    fn background(&mut self, spec: &BackgroundSpec) {
        match spec {
            BackgroundSpec::Image(path) => self.file("the background", Some(path)),
            BackgroundSpec::Video(path) => {
                if let Ok(spec) = path.to_string_lossy().parse() {
                    self.source("the background", &spec);
                }
            }
            BackgroundSpec::Color(_)
            | BackgroundSpec::Transparent
            | BackgroundSpec::Blur { .. } => {}
        }
    }

    fn model(&mut self, model: &ModelChoice) {
        if let Some(path) = model.file() {
            self.file("the model", Some(path));
        }
    }

    /// FFmpeg and its ffprobe.
    pub(crate) fn ffmpeg(&mut self, program: &Path) {
        for path in [program.to_owned(), program.with_file_name("ffprobe")] {
            self.file("a program that is run", found_program(&path));
        }
    }

    /// Options of FFmpeg may name a key or a certificate.
    pub(super) fn input_options(&mut self, l: &SourceLayer) {
        for option in l.input_option.iter().flatten() {
            if let Some((name, value)) = option.split_once('=') {
                self.file(&format!("the file of input_option {name}"), Some(value));
            }
        }
    }

    pub(super) fn view(&mut self, l: &PageLayer) {
        self.file("the file of the token", l.token_file.as_ref());
        self.file("the page's certificate", l.tls_cert.as_ref());
        self.file("the key of the page's certificate", l.tls_key.as_ref());
    }

    pub(crate) fn kafka(&mut self, l: &KafkaLayer) {
        self.file(
            "the file of Kafka's password",
            l.kafka_password_file.as_ref(),
        );
        self.file("the certificate authority of Kafka", l.kafka_ca.as_ref());
        self.file("the certificate for Kafka", l.kafka_cert.as_ref());
        self.file("the key for Kafka", l.kafka_key.as_ref());
        for option in l.kafka_option.iter().flatten() {
            if let Some((name, value)) = option.split_once('=') {
                self.file(&format!("the file of kafka_option {name}"), Some(value));
            }
        }
    }
}

/// A program by its path, or found in PATH by its name.
fn found_program(program: &Path) -> Option<PathBuf> {
    if program.to_string_lossy().contains(MAIN_SEPARATOR) {
        return Some(program.to_owned());
    }
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}
