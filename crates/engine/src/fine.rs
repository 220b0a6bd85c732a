//! The network of the fine matte, and the place of its file.
use crate::{StartError, files};
use mattebox_onnx::{KNOWN, KnownNetwork, OnnxModel};
use std::{
    env,
    path::{Path, PathBuf},
};

/// The network that draws fine edges: MODNet, the official photographic portrait network.
pub const NETWORK: &KnownNetwork = &KNOWN[0];

/// How to get the file, for messages.
const GET: &str = "`mattebox model get fine` fetches it";

/// The place of the file: `mattebox/models/modnet.onnx` in the user's data folder, which is
/// `$XDG_DATA_HOME` or `~/.local/share`. None where there is no home folder.
pub fn path() -> Option<PathBuf> {
    let given = env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let data = match given.filter(|path| path.is_absolute()) {
        Some(data) => data,
        None => env::home_dir()?.join(".local/share"),
    };
    Some(data.join("mattebox/models/modnet.onnx"))
}

/// Reads the network from `path` and checks its SHA-256.
pub(crate) fn load(path: Option<&Path>) -> Result<OnnxModel, StartError> {
    let failed = |reason: String| StartError::Model {
        path: path.map_or_else(
            || "of the fine matte".to_owned(),
            |path| path.display().to_string(),
        ),
        reason: format!("--matte fine needs {}: {reason}", NETWORK.name),
    };
    let file = path.ok_or_else(|| failed("there is no home folder; set XDG_DATA_HOME".into()))?;
    let bytes =
        files::read(file, files::MAX_BINARY).map_err(|error| failed(format!("{error}; {GET}")))?;
    let model = OnnxModel::from_bytes(&bytes, None).map_err(|error| failed(error.to_string()))?;
    match model.sha256() == NETWORK.sha256 {
        true => Ok(model),
        false => Err(failed(format!("this is another file; {GET} again"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_missing_network_says_how_to_get_it() {
        for path in [None, Some(Path::new("/nowhere/modnet.onnx"))] {
            let error = load(path).unwrap_err().to_string();
            assert!(error.contains("--matte fine needs MODNet"), "{error}");
        }
        let error = load(Some(Path::new("/nowhere"))).unwrap_err().to_string();
        assert!(error.contains("mattebox model get fine"), "{error}");
    }
}
