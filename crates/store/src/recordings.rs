//! The numbered files of one recording: `rec-0000.mkv`, `rec-0001.mkv` and so on beside `rec.mkv`.
//!
//! `.mattebox/recordings` lists the recordings of a folder and the first number of each, with a
//! zero byte after each item. Without it nothing tells their files from other files.
use crate::{
    error::StoreError,
    owner::create_private_folder,
    pending::{OnExisting, PendingFile, folder_of},
    unfinished::finished_name,
};
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

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

/// The number in the name of a file of the recording `path`.
pub(crate) fn number_of(path: &Path, name: &str) -> Option<u64> {
    let stem = path.file_stem()?.to_string_lossy();
    let extension = path.extension()?.to_string_lossy();
    let digits = name
        .strip_prefix(&*stem)?
        .strip_prefix('-')?
        .strip_suffix(&*extension)?
        .strip_suffix('.')?;
    let is_number = digits.len() >= DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// The highest number that a file of this recording has, finished or not.
pub(crate) fn highest(path: &Path) -> Option<u64> {
    fs::read_dir(folder_of(path))
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| number_of(path, &finished_name(&name).unwrap_or(name)))
        .max()
}

/// A numbered file that exists.
pub fn existing(path: &Path) -> Option<PathBuf> {
    highest(path).map(|number| numbered(path, number))
}

/// The next numbered file, above all existing ones, so that none is replaced. `first` is its number
/// if none exists.
pub fn next(path: &Path, first: u64) -> PathBuf {
    let number = highest(path).map_or(first, |highest| highest.saturating_add(1).max(first));
    numbered(path, number)
}

/// Stores that the numbered files of the recording `path` are mattebox's own, from this one on.
/// Those with lower numbers may be other people's, unless they were stored before.
pub fn note(path: &Path, first: &Path) -> Result<(), StoreError> {
    let folder = folder_of(path);
    let name = path
        .file_name()
        .unwrap_or_default()
        .as_encoded_bytes()
        .to_vec();
    let first = first
        .file_name()
        .and_then(|name| number_of(path, name.to_str()?));
    let mut all = noted_bytes(folder)?;
    let Some(first) = first.filter(|_| !all.contains_key(&name)) else {
        return Ok(());
    };
    all.insert(name, first);
    let file = file(folder);
    create_private_folder(folder_of(&file))?;
    let mut pending = PendingFile::create(&file)?;
    for (name, first) in all {
        pending.write_all(&name)?;
        pending.write_all(format!("\0{first}\0").as_bytes())?;
    }
    pending.commit(OnExisting::Overwrite, true).map(drop)
}

/// The recordings of a folder: the path of each, and the number of its first own file. Names that
/// are no UTF-8 are left out.
pub(crate) fn noted(folder: &Path) -> Result<Vec<(PathBuf, u64)>, StoreError> {
    let all = noted_bytes(folder)?.into_iter();
    let names = all.filter_map(|(name, first)| Some((String::from_utf8(name).ok()?, first)));
    Ok(names
        .filter(|(name, _)| Path::new(name).file_name() == Some(OsStr::new(name)))
        .map(|(name, first)| (folder.join(name), first))
        .collect())
}

fn file(folder: &Path) -> PathBuf {
    folder.join(".mattebox").join("recordings")
}

fn noted_bytes(folder: &Path) -> Result<BTreeMap<Vec<u8>, u64>, StoreError> {
    let file = file(folder);
    let bytes = match fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(StoreError::io("read", &file)(error)),
    };
    let parts: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
    let pairs = parts.chunks_exact(2).filter_map(|pair| {
        let first = std::str::from_utf8(pair[1]).ok()?.parse().ok()?;
        Some((pair[0].to_vec(), first))
    });
    Ok(pairs.collect())
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

    #[test]
    fn recordings_are_noted_beside_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a.mkv", "b c.mkv"].map(|name| folder.path().join(name));
        assert!(noted(folder.path()).unwrap().is_empty());
        fs::write(folder.path().join("a-0006.mkv"), "mine").unwrap();
        for path in paths.iter().chain(&paths) {
            let file = next(path, 0);
            note(path, &file).unwrap();
            fs::write(file, "").unwrap();
        }
        let [a, b] = paths;
        assert_eq!(noted(folder.path()).unwrap(), [(a, 7), (b, 0)]);
    }
}
