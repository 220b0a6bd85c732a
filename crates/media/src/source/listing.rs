//! Which files a folder or a pattern of pictures stands for, in which order.
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Ends of names that pictures have.
const EXTENSIONS: &[&str] = &["jpg", "jpeg", "png", "webp"];

/// The pictures that `path` stands for, in natural order (`2.png` before `10.png`): those in a folder, those that match a
/// pattern, or itself. `None` if it stands for no pictures but is something else, perhaps a video, perhaps nothing.
pub(super) fn find(path: &Path) -> Option<Result<Vec<PathBuf>, String>> {
    let found = match path.metadata() {
        Ok(there) if there.is_dir() => in_folder(path),
        Ok(there) => {
            return (there.is_file() && is_picture(path)).then(|| Ok(vec![path.to_owned()]));
        }
        Err(_) => path
            .to_str()
            .filter(|text| text.contains(['*', '?', '[']))
            .map(matching)?,
    };
    Some(found.map(|mut paths| {
        alphanumeric_sort::sort_path_slice(&mut paths);
        paths
    }))
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    EXTENSIONS
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries =
        fs::read_dir(folder).map_err(|error| format!("the folder cannot be read: {error}"))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry
            .map_err(|error| format!("the folder cannot be read: {error}"))?
            .path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && is_picture(&path) && path.is_file() {
            paths.push(path);
        }
    }
    match paths.is_empty() {
        true => Err(format!(
            "the folder holds no pictures (files that end in {})",
            EXTENSIONS.join(", ")
        )),
        false => Ok(paths),
    }
}

fn matching(pattern: &str) -> Result<Vec<PathBuf>, String> {
    let matches =
        glob::glob(pattern).map_err(|error| format!("the pattern has a mistake: {error}"))?;
    let mut paths = Vec::new();
    for path in matches {
        let path = path.map_err(|error| format!("the pattern cannot be followed: {error}"))?;
        if path.is_file() {
            paths.push(path);
        }
    }
    match paths.is_empty() {
        true => Err("no file matches the pattern".to_owned()),
        false => Ok(paths),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_found_in_natural_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "10.png",
            "2.PNG",
            "1.jpg",
            "notes.txt",
            ".hidden.png",
            "a.webp",
            "clip.mp4",
        ] {
            fs::write(folder.path().join(name), b"x").unwrap();
        }
        fs::create_dir(folder.path().join("3.png")).unwrap();
        let names = |path: &Path| -> Vec<String> {
            let paths = find(path).unwrap().unwrap();
            paths
                .iter()
                .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
                .collect()
        };
        assert_eq!(names(folder.path()), ["1.jpg", "2.PNG", "10.png", "a.webp"]);
        assert_eq!(
            names(&folder.path().join("*[0-9].*")),
            ["1.jpg", "2.PNG", "10.png"]
        );
        assert_eq!(names(&folder.path().join("10.png")), ["10.png"]);
    }

    #[test]
    fn nothing_and_something_else_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            find(folder.path())
                .unwrap()
                .unwrap_err()
                .contains("holds no pictures")
        );
        assert!(
            find(&folder.path().join("*.png"))
                .unwrap()
                .unwrap_err()
                .contains("no file matches")
        );
        assert!(
            find(&folder.path().join("[.png"))
                .unwrap()
                .unwrap_err()
                .contains("mistake")
        );
        assert!(find(&folder.path().join("missing.png")).is_none());
        fs::write(folder.path().join("a.mp4"), b"x").unwrap();
        assert!(find(&folder.path().join("a.mp4")).is_none());
    }
}
