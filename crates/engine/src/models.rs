//! The networks of a process, each loaded once.
use crate::{StartError, address::harmless, files};
use mattebox_net::Model;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// Which network finds the person.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum ModelChoice {
    /// The built-in 256x256 network.
    #[default]
    General,
    /// The built-in 144x256 network.
    Landscape,
    /// A .tflite file.
    File(PathBuf),
}

impl ModelChoice {
    /// The network of this name: `general`, `landscape` or the path of a file. Without a name it is
    /// the general one.
    pub fn named(name: Option<&str>) -> Self {
        match name {
            None | Some("" | "general") => ModelChoice::General,
            Some("landscape") => ModelChoice::Landscape,
            Some(path) => ModelChoice::File(path.into()),
        }
    }

    /// Reads the network.
    fn load(&self) -> Result<Model, StartError> {
        let failed = |path: String, reason: String| StartError::Model { path, reason };
        match self {
            ModelChoice::General => {
                Model::general().map_err(|e| failed("built in".to_owned(), e.to_string()))
            }
            ModelChoice::Landscape => Model::landscape()
                .map_err(|e| failed("built in (landscape)".to_owned(), e.to_string())),
            ModelChoice::File(path) => {
                let name = harmless::path(path);
                let bytes = files::read(path).map_err(|e| failed(name.clone(), e.to_string()))?;
                Model::from_bytes(&bytes).map_err(|e| failed(name, e.to_string()))
            }
        }
    }
}

/// The networks that were loaded, shared by all threads and cameras.
#[derive(Debug, Default)]
pub struct ModelRegistry {
    loaded: Mutex<Vec<(ModelChoice, Arc<Model>)>>,
}

impl ModelRegistry {
    /// The network of a choice. A file is read once: later changes of it are not seen.
    pub fn get(&self, choice: &ModelChoice) -> Result<Arc<Model>, StartError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, model)) = loaded.iter().find(|(known, _)| known == choice) {
            return Ok(model.clone());
        }
        let model = Arc::new(choice.load()?);
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
        assert!(Arc::ptr_eq(&first, &second));
        let folder = ModelChoice::File("/".into());
        assert!(
            models
                .get(&folder)
                .unwrap_err()
                .to_string()
                .contains("model /: ")
        );
    }
}
