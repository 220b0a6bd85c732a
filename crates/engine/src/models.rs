//! The networks of a process, each loaded once.
use crate::{FrameSettings, StartError, address::harmless, files, fine};
use mattebox_core::matte::Network;
use mattebox_net::{Executor, Model, SimdLevel};
use mattebox_onnx::{ColourRange, OnnxModel};
use std::{
    fmt::Display,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// The choice of the network that finds the person.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum ModelChoice {
    /// The built-in 256x256 network.
    #[default]
    General,
    /// The built-in 144x256 network.
    Landscape,
    /// The network that draws the edges of the fine matte.
    Fine,
    /// A .tflite file.
    File(PathBuf),
    /// A .onnx file.
    Onnx {
        /// The file.
        path: PathBuf,
        /// The range of its colours, if the settings name it.
        range: Option<ColourRange>,
    },
}

impl ModelChoice {
    /// The network of this name: `general` (the default), `landscape` or the path of a file. The
    /// range of colours can follow the path of a .onnx file: `net.onnx:imagenet`.
    pub fn named(name: Option<&str>) -> Self {
        match name {
            None | Some("" | "general") => ModelChoice::General,
            Some("landscape") => ModelChoice::Landscape,
            Some(text) => {
                let (path, range) = with_range(text);
                match is_onnx(Path::new(path)) {
                    true => ModelChoice::Onnx {
                        path: path.into(),
                        range,
                    },
                    false => ModelChoice::File(text.into()),
                }
            }
        }
    }

    /// The file; `None` for a built-in network.
    pub fn file(&self) -> Option<&Path> {
        match self {
            ModelChoice::General | ModelChoice::Landscape | ModelChoice::Fine => None,
            ModelChoice::File(path) | ModelChoice::Onnx { path, .. } => Some(path),
        }
    }

    /// Reads the network.
    ///
    /// # Errors
    /// The file cannot be read, or is no network that mattebox can run.
    pub fn load(&self) -> Result<LoadedModel, StartError> {
        let model = match self {
            ModelChoice::General => Model::general().map_err(refused("built in"))?,
            ModelChoice::Landscape => {
                Model::landscape().map_err(refused("built in (landscape)"))?
            }
            ModelChoice::Fine => {
                let model = fine::load(fine::path().as_deref())?;
                return Ok(LoadedModel::Onnx(model.into()));
            }
            ModelChoice::File(path) => {
                Model::from_bytes(&read(path)?).map_err(refused(harmless::path(path)))?
            }
            ModelChoice::Onnx { path, range } => {
                let model = OnnxModel::from_bytes(&read(path)?, *range)
                    .map_err(refused(harmless::path(path)))?;
                return Ok(LoadedModel::Onnx(model.into()));
            }
        };
        Ok(LoadedModel::BuiltFor(model.into()))
    }
}

/// Splits the range of colours from a path.
fn with_range(text: &str) -> (&str, Option<ColourRange>) {
    if let Some((path, range)) = text.rsplit_once(':')
        && is_onnx(Path::new(path))
        && let Ok(range) = range.parse()
    {
        return (path, Some(range));
    }
    (text, None)
}

fn is_onnx(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("onnx"))
}

fn read(path: &Path) -> Result<Vec<u8>, StartError> {
    files::read(path, files::MAX_BINARY).map_err(refused(harmless::path(path)))
}

fn refused<E: Display>(path: impl Into<String>) -> impl FnOnce(E) -> StartError {
    let path = path.into();
    move |error| StartError::Model {
        path,
        reason: error.to_string(),
    }
}

/// A network that is ready to run.
#[derive(Debug, Clone)]
pub enum LoadedModel {
    /// Runs in mattebox's own code.
    BuiltFor(Arc<Model>),
    /// Runs in ONNX Runtime.
    Onnx(Arc<OnnxModel>),
}

impl LoadedModel {
    /// SHA-256 of its file, lower hex.
    pub fn sha256(&self) -> &str {
        match self {
            LoadedModel::BuiltFor(model) => model.sha256(),
            LoadedModel::Onnx(model) => model.sha256(),
        }
    }

    /// The network for one thread.
    ///
    /// # Errors
    /// This processor lacks the instructions of `simd`, or ONNX Runtime has not enough memory.
    pub fn network(&self, simd: SimdLevel) -> Result<Box<dyn Network>, StartError> {
        match self {
            LoadedModel::BuiltFor(model) => Ok(Box::new(Executor::new(model, simd)?)),
            LoadedModel::Onnx(model) => {
                Ok(Box::new(model.network().map_err(refused(model.sha256()))?))
            }
        }
    }

    /// Identifies the network in this process.
    pub(crate) fn address(&self) -> usize {
        match self {
            LoadedModel::BuiltFor(model) => Arc::as_ptr(model).addr(),
            LoadedModel::Onnx(model) => Arc::as_ptr(model).addr(),
        }
    }
}

/// The networks that frames with some settings need.
#[derive(Debug, Clone)]
pub struct Networks {
    /// Finds the person.
    pub finder: LoadedModel,
    /// Draws the edges of a fine matte.
    pub fine: Option<LoadedModel>,
}

/// The networks that were loaded, shared by all threads and cameras.
#[derive(Debug, Default)]
pub struct ModelRegistry {
    loaded: Mutex<Vec<(ModelChoice, LoadedModel)>>,
}

impl ModelRegistry {
    /// The networks that frames with these settings need.
    ///
    /// # Errors
    /// One of them cannot be read, or mattebox cannot run it.
    pub fn networks(&self, settings: &FrameSettings) -> Result<Networks, StartError> {
        let is_fine = settings.matte.is_fine();
        Ok(Networks {
            finder: self.get(&settings.model)?,
            fine: is_fine.then(|| self.get(&ModelChoice::Fine)).transpose()?,
        })
    }

    /// The network of a choice. A file is read once: later changes have no effect.
    pub fn get(&self, choice: &ModelChoice) -> Result<LoadedModel, StartError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, model)) = loaded.iter().find(|(known, _)| known == choice) {
            return Ok(model.clone());
        }
        let model = choice.load()?;
        loaded.push((choice.clone(), model.clone()));
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_loaded_once() {
        let models = ModelRegistry::default();
        let first = models.get(&ModelChoice::Landscape).unwrap();
        let second = models.get(&ModelChoice::Landscape).unwrap();
        assert_eq!(first.address(), second.address());
        let folder = ModelChoice::File("/".into());
        assert!(
            models
                .get(&folder)
                .unwrap_err()
                .to_string()
                .contains("model /: ")
        );
    }

    #[test]
    fn a_name_gives_the_file_and_its_range_of_colours() {
        let onnx = |path: &str, range| ModelChoice::Onnx {
            path: path.into(),
            range,
        };
        for (name, choice) in [
            ("landscape", ModelChoice::Landscape),
            ("a/b.tflite", ModelChoice::File("a/b.tflite".into())),
            ("b.tflite:0..1", ModelChoice::File("b.tflite:0..1".into())),
            ("a/b.onnx", onnx("a/b.onnx", None)),
            ("C:/B.ONNX", onnx("C:/B.ONNX", None)),
            (
                "b.onnx:imagenet",
                onnx("b.onnx", Some(ColourRange::ImageNet)),
            ),
            ("b.onnx:-1..1", onnx("b.onnx", Some(ColourRange::Signed))),
        ] {
            assert_eq!(ModelChoice::named(Some(name)), choice);
        }
    }
}
