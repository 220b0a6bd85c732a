//! Names of the files of frames: by a template, or those of the source files (`--name keep`).
use super::{ConfigError, check::SettingsCheck, output_choice::FrameNames};
use mattebox_media::source::{self, CameraSource, SourceOptions};
use mattebox_store::{NameTemplate, name_template::NameTemplateError};
use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    path::Path,
};

/// The names that the settings ask for, with this number of cameras.
pub(super) fn choice(
    check: &SettingsCheck<'_>,
    text: &Option<String>,
    cameras: usize,
) -> Result<FrameNames, ConfigError> {
    match check.given("name", text)? {
        "keep" => Ok(FrameNames::Keep),
        _ => template(check, text, "number or keep", cameras > 1).map(FrameNames::Template),
    }
}

/// The template of names that hold numbers. `words` can be used as well.
pub(super) fn template(
    check: &SettingsCheck<'_>,
    text: &Option<String>,
    words: &str,
    needs_camera: bool,
) -> Result<NameTemplate, ConfigError> {
    let text = check.given("name", text)?;
    if text == "number" {
        return Ok(NameTemplate::default());
    }
    let refuse = |error: &NameTemplateError| {
        let reason = format!("use {words}, or a template: {error}");
        Err(check.error("name", text, reason))
    };
    match text.parse::<NameTemplate>() {
        Ok(names) if needs_camera && !names.has_camera() => refuse(&NameTemplateError::no_camera()),
        Ok(names) => Ok(names),
        Err(error) => refuse(&error),
    }
}

/// The names that each camera's frames keep, without extensions. An error if a source has no names,
/// or if two frames would get the same name.
pub(super) fn kept(
    check: &SettingsCheck<'_>,
    cameras: &[CameraSource],
    options: &SourceOptions,
) -> Result<Vec<Vec<OsString>>, ConfigError> {
    let refuse = |reason: String| check.error("name", "keep", reason);
    if options.repeat {
        return Err(refuse(
            "with loop each picture repeats, but its name is taken: choose one".to_owned(),
        ));
    }
    let of_camera = |camera: &CameraSource| {
        let files = source::picture_files(&camera.spec, options);
        let files = files.map_err(|error| refuse(error.to_string()))?;
        let files = files.ok_or_else(|| {
            refuse(format!(
                "{} is no picture, folder or pattern of pictures: its frames have no names to keep",
                camera.spec
            ))
        })?;
        let mut taken: HashMap<OsString, &Path> = HashMap::new();
        let mut names = Vec::new();
        for file in &files {
            let name = stem(file).ok_or_else(|| {
                refuse(format!("{} has no name that can be kept", file.display()))
            })?;
            if let Some(other) = taken.insert(as_file_systems_see_it(name), file) {
                return Err(refuse(format!(
                    "{} and {} would get one name: rename one, or leave it out",
                    other.display(),
                    file.display()
                )));
            }
            names.push(name.to_owned());
        }
        Ok(names)
    };
    cameras.iter().map(of_camera).collect()
}

/// The name of a file without its extension. `None` if the new file would be hidden or have no
/// name.
pub(crate) fn stem(file: &Path) -> Option<&OsStr> {
    let is_shown = |stem: &&OsStr| !stem.is_empty() && !stem.as_encoded_bytes().starts_with(b".");
    file.file_stem().filter(is_shown)
}

/// Some file systems do not distinguish upper and lower case.
fn as_file_systems_see_it(name: &OsStr) -> OsString {
    if cfg!(any(windows, target_os = "macos")) {
        name.to_ascii_lowercase()
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_but_for_its_ending() {
        for (file, want) in [
            ("photos/anna.jpg", Some("anna")),
            ("anna.min.jpg", Some("anna.min")),
            ("anna", Some("anna")),
            ("a b,c.tif", Some("a b,c")),
            (".anna.jpg", None),
            ("..", None),
        ] {
            assert_eq!(stem(Path::new(file)), want.map(OsStr::new), "{file}");
        }
    }
}
