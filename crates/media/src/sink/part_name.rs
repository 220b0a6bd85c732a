//! The names of the files of one recording: `rec.mkv`, then `rec-0001.mkv`, `rec-0002.mkv`.
use mattebox_store::pending::folder_of;
use mattebox_store::unfinished::finished_name;
use std::fs;
use std::path::{Path, PathBuf};

/// Digits of a number, so that names sort by time.
const DIGITS: usize = 4;

/// The file with a number that follows `path`.
fn numbered(path: &Path, number: u64) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number:0DIGITS$}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// The highest number that a file of this recording has, finished or not.
fn highest(path: &Path) -> Option<u64> {
    let stem = path.file_stem()?.to_string_lossy();
    let extension = path.extension()?.to_string_lossy();
    let number_of = |name: &str| {
        let digits = name
            .strip_prefix(&*stem)?
            .strip_prefix('-')?
            .strip_suffix(&*extension)?
            .strip_suffix('.')?;
        let is_number = digits.len() >= DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| digits.parse().ok()).flatten()
    };
    fs::read_dir(folder_of(path))
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| number_of(&finished_name(&name).unwrap_or(name)))
        .max()
}

/// A numbered file that is there.
pub(super) fn existing(path: &Path) -> Option<PathBuf> {
    highest(path).map(|number| numbered(path, number))
}

/// The next numbered file, above all that are there: none is replaced. `first` is the number if
/// there is none.
pub(super) fn next(path: &Path, first: u64) -> PathBuf {
    let number = highest(path).map_or(first, |highest| highest.saturating_add(1).max(first));
    numbered(path, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_above_all_files_of_the_recording() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rec.mkv");
        let next = |first| {
            let next = next(&path, first);
            next.file_name().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(
            (next(0).as_str(), next(1).as_str()),
            ("rec-0000.mkv", "rec-0001.mkv")
        );
        assert_eq!(existing(&path), None);
        for (name, wanted) in [
            ("rec.mkv", "rec-0000.mkv"),
            ("rec-12.mkv", "rec-0000.mkv"),
            ("rec-0007.mp4", "rec-0000.mkv"),
            ("another-0007.mkv", "rec-0000.mkv"),
            ("rec-0002.mkv", "rec-0003.mkv"),
            ("rec-0004.unfinished.mkv", "rec-0005.mkv"),
            ("rec-9999.mkv", "rec-10000.mkv"),
            ("rec-10000.unfinished-2.mkv", "rec-10001.mkv"),
        ] {
            fs::write(folder.path().join(name), "").unwrap();
            assert_eq!(next(0), wanted, "after {name}");
        }
        assert_eq!(existing(&path), Some(folder.path().join("rec-10000.mkv")));
    }
}
