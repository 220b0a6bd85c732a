//! Finds and loads ONNX Runtime.
use crate::error::OnnxError;
use ort::LoadDynamicError;
use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// The variable that names the library, the same as for other programs that load it.
const VARIABLE: &str = "ORT_DYLIB_PATH";

/// The file's name.
#[cfg(target_os = "windows")]
const NAME: &str = "onnxruntime.dll";
#[cfg(target_os = "macos")]
const NAME: &str = "libonnxruntime.dylib";
#[cfg(not(any(target_os = "windows", target_os = "macos")))]
const NAME: &str = "libonnxruntime.so";

/// The folders of packages. Debian's file has a version behind the name, which the system's loader
/// does not try.
const FOLDERS: &[&str] = &[
    "/usr/local/lib",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/opt/homebrew/lib",
];

/// Loads ONNX Runtime, once in a process. A failure is final: after one, `ort` 2.0.0-rc.13
/// considers the library loaded, so it must not be asked again.
pub(crate) fn load() -> Result<(), OnnxError> {
    static LOADED: OnceLock<Result<(), OnnxError>> = OnceLock::new();
    LOADED
        .get_or_init(|| load_from(&place(env::var_os(VARIABLE))))
        .clone()
}

/// The library's file, or its bare name for the system's loader.
fn place(named: Option<OsString>) -> PathBuf {
    match named.filter(|path| !path.is_empty()) {
        Some(path) => path.into(),
        None => FOLDERS
            .iter()
            .find_map(|folder| newest(Path::new(folder)))
            .unwrap_or_else(|| NAME.into()),
    }
}

/// The library of a folder: with no version behind its name, or with the longest.
fn newest(folder: &Path) -> Option<PathBuf> {
    let plain = folder.join(NAME);
    if plain.is_file() {
        return Some(plain);
    }
    let versions = folder.read_dir().ok()?.filter_map(|entry| {
        let path = entry.ok()?.path();
        let version = path.file_name()?.to_str()?.strip_prefix(NAME)?;
        let is_version = version.starts_with('.') && path.is_file();
        is_version.then_some(path)
    });
    versions.max()
}

fn load_from(path: &Path) -> Result<(), OnnxError> {
    let missing = |reason: String| OnnxError::NoLibrary {
        path: path.to_owned(),
        reason,
    };
    if path.components().count() > 1 && !path.is_file() {
        return Err(missing("no such file".to_owned()));
    }
    match ort::init_from(path) {
        Ok(environment) => {
            // Another part of the process may have made an environment already, which will do.
            environment
                .with_name("mattebox")
                .with_telemetry(false)
                .commit();
            Ok(())
        }
        Err(LoadDynamicError::Dlopen { error, .. }) => Err(missing(error.to_string())),
        Err(LoadDynamicError::MissingApi { path }) => Err(OnnxError::WrongLibrary {
            path,
            reason: "it is not ONNX Runtime".to_owned(),
        }),
        Err(LoadDynamicError::BadVersion { version_str, path }) => Err(OnnxError::WrongLibrary {
            path,
            reason: format!("it is version {version_str}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_missing_says_what_to_do() {
        let named = place(Some("/nowhere/libonnxruntime.so".into()));
        let error = load_from(&named).unwrap_err().to_string();
        for part in [
            "/nowhere/libonnxruntime.so cannot be loaded: no such file",
            "pip install onnxruntime",
            VARIABLE,
        ] {
            assert!(error.contains(part), "{error}");
        }
    }

    // The only test of this binary that asks `ort`: see `load`.
    #[cfg(target_os = "linux")]
    #[test]
    fn another_library_is_not_taken_for_onnx_runtime() {
        let error = load_from("libc.so.6".as_ref()).unwrap_err();
        assert!(matches!(error, OnnxError::WrongLibrary { .. }), "{error}");
    }
}
