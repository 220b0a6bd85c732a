//! The files that a command reads, so that it overwrites none of them.
//!
//! A file has an identity (device and inode) that is the same for every path to it: through links,
//! in another spelling, or in other case on a file system that ignores case. On systems without
//! inodes the identity is the resolved path.
use crate::frame_dir::is_name_of_frame;
use crate::name_template::NameTemplate;
use std::collections::HashMap;
use std::ffi::OsString;
#[cfg(unix)]
use std::fs::Metadata;
use std::fs::{self, DirEntry};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// The longest chain of symbolic links that is followed.
const MAX_LINKS: usize = 40;

/// The identity of a file, the same for every path to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileId(#[cfg(unix)] (u64, u64), #[cfg(not(unix))] PathBuf);

impl FileId {
    /// The file at a path; `None` if it does not exist or cannot be examined.
    pub fn of(path: &Path) -> Option<FileId> {
        #[cfg(unix)]
        {
            fs::metadata(path)
                .ok()
                .map(|there| FileId::of_metadata(&there))
        }
        #[cfg(not(unix))]
        {
            fs::canonicalize(path).ok().map(FileId)
        }
    }

    #[cfg(unix)]
    fn of_metadata(metadata: &Metadata) -> FileId {
        use std::os::unix::fs::MetadataExt;
        FileId((metadata.dev(), metadata.ino()))
    }
}

/// A file that is read.
#[derive(Debug, Clone)]
pub struct InputFile {
    /// Its use in the command, such as "the source of camera door".
    pub what: Arc<str>,
    /// The path by which it is read.
    pub path: PathBuf,
    /// It has other hard links.
    has_links: bool,
}

impl InputFile {
    fn new(what: &Arc<str>, path: &Path) -> Self {
        #[cfg(unix)]
        let has_links = {
            use std::os::unix::fs::MetadataExt;
            path.metadata()
                .is_ok_and(|there| there.is_file() && there.nlink() > 1)
        };
        #[cfg(not(unix))]
        let has_links = false;
        InputFile {
            what: what.clone(),
            path: path.to_owned(),
            has_links,
        }
    }
}

/// All files that a command reads.
#[derive(Debug, Default)]
pub struct Inputs {
    files: HashMap<FileId, InputFile>,
}

impl Inputs {
    /// Adds a file or folder. One that does not exist cannot be replaced and is left out.
    pub fn add(&mut self, what: &Arc<str>, path: &Path) {
        let Some(id) = FileId::of(path) else { return };
        self.files
            .entry(id)
            .or_insert_with(|| InputFile::new(what, path));
    }

    /// Adds an open stream, such as standard input, if it is a file or a named pipe. Messages show
    /// `name` in place of a path.
    #[cfg(unix)]
    pub fn add_open(&mut self, what: &Arc<str>, stream: std::os::fd::BorrowedFd<'_>, name: &str) {
        if let Some(id) = id_of_open(stream) {
            self.files
                .entry(id)
                .or_insert_with(|| InputFile::new(what, Path::new(name)));
        }
    }

    /// The input that would be replaced if `path` were written.
    pub fn at(&self, path: &Path) -> Option<&InputFile> {
        self.files.get(&FileId::of(&without_detour(path))?)
    }

    /// The input that an open stream, such as standard output, would write into.
    #[cfg(unix)]
    pub fn at_open(&self, stream: std::os::fd::BorrowedFd<'_>) -> Option<&InputFile> {
        self.files.get(&id_of_open(stream)?)
    }

    /// The first input that frames in a camera's folder (see [`crate::FrameDir`]) would replace,
    /// with the path of that frame. It can be the folder itself, if all its pictures are read.
    pub fn at_frames(&self, folder: &Path, extension: &str) -> Option<(PathBuf, &InputFile)> {
        if self.files.is_empty() {
            return None;
        }
        if let Some(input) = self.at(folder) {
            return Some((folder.to_owned(), input));
        }
        let folder = without_detour(folder);
        fs::read_dir(&folder)
            .ok()?
            .filter_map(Result::ok)
            .find_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let frame = name.to_lowercase();
                if !is_name_of_frame(&frame, extension) || !self.may_hold(&entry) {
                    return None;
                }
                // A name in other case is another file, unless the file system ignores case.
                let path = folder.join(frame);
                let input = self.at(&path)?;
                Some((path, input))
            })
    }

    /// The first input at a path that a template can give to a frame, and that path. It can be a
    /// folder of such frames, if all its pictures are read.
    pub fn at_template(&self, root: &Path, names: &NameTemplate) -> Option<(PathBuf, &InputFile)> {
        let root = fs::canonicalize(root).ok()?;
        self.files.values().find_map(|input| {
            let path = fs::canonicalize(&input.path).ok()?;
            let below = path.strip_prefix(&root).ok()?;
            names.describes(below).then(|| (path.clone(), input))
        })
    }

    /// As [`Inputs::at_frames`] for every folder of a camera below `root`. It reads only folders
    /// that may hold an input: there may be millions of frames.
    pub fn at_frames_below(&self, root: &Path, extension: &str) -> Option<(PathBuf, &InputFile)> {
        if self.files.is_empty() {
            return None;
        }
        let anywhere = self.files.values().any(|input| input.has_links);
        let parent = |input: &InputFile| {
            fs::canonicalize(&input.path)
                .ok()?
                .parent()
                .and_then(FileId::of)
        };
        let near: Vec<FileId> = self.files.values().filter_map(parent).collect();
        let folders = fs::read_dir(without_detour(root))
            .ok()?
            .filter_map(Result::ok)
            .map(|entry| entry.path());
        let mut folders = folders.filter(|path| path.is_dir());
        folders.find_map(|folder| {
            let may_hold = anywhere || FileId::of(&folder).is_some_and(|id| near.contains(&id));
            if may_hold {
                self.at_frames(&folder, extension)
            } else {
                None
            }
        })
    }

    /// Whether an entry may be an input. Most entries of a large folder need no closer look.
    #[cfg(unix)]
    fn may_hold(&self, entry: &DirEntry) -> bool {
        use std::os::unix::fs::DirEntryExt;
        let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        // To compare with a few inputs is faster than to examine the file. Of many inputs most are
        // in one folder.
        is_link
            || self.files.len() > 16
            || self
                .files
                .keys()
                .any(|FileId((_, inode))| *inode == entry.ino())
    }

    #[cfg(not(unix))]
    fn may_hold(&self, _: &DirEntry) -> bool {
        true
    }
}

/// `None` for terminals and other devices: several processes share them, and they hold no data.
#[cfg(unix)]
fn id_of_open(stream: std::os::fd::BorrowedFd<'_>) -> Option<FileId> {
    use std::os::unix::fs::FileTypeExt;
    let there = fs::File::from(stream.try_clone_to_owned().ok()?)
        .metadata()
        .ok()?;
    let kind = there.file_type();
    (kind.is_file() || kind.is_fifo()).then(|| FileId::of_metadata(&there))
}

/// The place of a path, which need not exist: the existing part by its identity, the rest by name.
#[derive(Debug, Clone)]
pub struct ResolvedPath {
    exists: FileId,
    rest: Vec<OsString>,
    resolved: PathBuf,
}

impl ResolvedPath {
    /// Follows links and `..`. `None` if not even the root can be examined.
    pub fn of(path: &Path) -> Option<ResolvedPath> {
        let (exists, mut rest) = resolve(&std::path::absolute(path).ok()?, MAX_LINKS);
        if !rest.is_empty() && folds_case(&exists) {
            rest.iter_mut().for_each(|name| name.make_ascii_lowercase());
        }
        let resolved = rest
            .iter()
            .fold(exists.clone(), |path, name| path.join(name));
        Some(ResolvedPath {
            exists: FileId::of(&exists)?,
            rest,
            resolved,
        })
    }

    /// Whether the other path is this one, or below it.
    pub fn holds(&self, other: &ResolvedPath) -> bool {
        self == other || other.resolved.starts_with(&self.resolved)
    }
}

/// The same file or folder, or the same name in the same folder.
impl PartialEq for ResolvedPath {
    fn eq(&self, other: &Self) -> bool {
        self.resolved == other.resolved || (self.exists == other.exists && self.rest == other.rest)
    }
}

/// The path without detours through folders that do not exist: `new/../a.mp4` becomes `a.mp4`,
/// which it names once `new` is created.
pub fn without_detour(path: &Path) -> PathBuf {
    let goes_back = path.components().any(|part| part == Component::ParentDir);
    let has_no_parent = || {
        path.parent()
            .is_some_and(|parent| !parent.as_os_str().is_empty() && !parent.exists())
    };
    match goes_back && !path.exists() && has_no_parent() {
        true => ResolvedPath::of(path).map_or(path.to_owned(), |place| place.resolved),
        false => path.to_owned(),
    }
}

/// The existing part of an absolute path, without links, and the names of the rest.
fn resolve(path: &Path, links: usize) -> (PathBuf, Vec<OsString>) {
    if let Ok(real) = fs::canonicalize(path) {
        return (real, Vec::new());
    }
    let Some(parent) = path.parent() else {
        return (path.to_owned(), Vec::new());
    };
    // A link to a file that does not exist yet.
    if links > 0
        && let Ok(target) = fs::read_link(path)
    {
        return resolve(&parent.join(target), links - 1);
    }
    let (mut exists, mut rest) = resolve(parent, links);
    match path.file_name() {
        Some(name) => rest.push(name.to_owned()),
        // The path ends in `..`.
        None if rest.pop().is_none() => drop(exists.pop()),
        None => {}
    }
    (exists, rest)
}

/// Whether a folder ignores case in names: whether the folder itself can be found under its name in
/// the other case.
fn folds_case(folder: &Path) -> bool {
    let Some(name) = folder.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    let swapped: String = name
        .chars()
        .map(|c| {
            if c.is_lowercase() {
                c.to_ascii_uppercase()
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect();
    match swapped == name {
        true => folder.parent().is_some_and(folds_case),
        false => FileId::of(&folder.with_file_name(swapped))
            .is_some_and(|id| Some(id) == FileId::of(folder)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(paths: &[PathBuf]) -> Inputs {
        let mut inputs = Inputs::default();
        paths
            .iter()
            .for_each(|path| inputs.add(&"the source".into(), path));
        inputs
    }

    #[cfg(unix)]
    #[test]
    fn every_path_to_a_file_finds_it() {
        use std::os::unix::fs::symlink;
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir(path("d")).unwrap();
        fs::write(path("a.mp4"), b"x").unwrap();
        fs::hard_link(path("a.mp4"), path("hard.mp4")).unwrap();
        symlink("a.mp4", path("soft.mp4")).unwrap();
        symlink(root.path(), path("d/up")).unwrap();
        let read = inputs(&[path("a.mp4")]);
        for name in [
            "a.mp4",
            "hard.mp4",
            "soft.mp4",
            "./a.mp4",
            "d/../a.mp4",
            "d/up/a.mp4",
            "new/../a.mp4",
            "new/er/../../d/up/a.mp4",
        ] {
            assert_eq!(
                read.at(&path(name)).map(|input| &*input.what),
                Some("the source"),
                "{name}"
            );
        }
        assert!(
            read.at(&path("b.mp4")).is_none()
                && read.at(&path("d")).is_none()
                && read.at(&path("new/../b.mp4")).is_none()
        );
        assert_eq!(without_detour(&path("d/../b.mp4")), path("d/../b.mp4"));
    }

    #[test]
    fn frames_in_a_folder_are_found() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("cam01");
        fs::create_dir(&folder).unwrap();
        for name in [
            "frame_000001.png",
            "frame_000002.jpg",
            "FRAME_000003.PNG",
            "frame_1.png",
            "photo.png",
        ] {
            fs::write(folder.join(name), b"x").unwrap();
        }
        let found = |name: &str, extension| {
            let read = inputs(&[folder.join(name)]);
            let below = read.at_frames_below(root.path(), extension).is_some();
            assert_eq!(read.at_frames(&folder, extension).is_some(), below);
            below
        };
        assert!(found("frame_000001.png", "png") && found("frame_000002.jpg", "jpg"));
        assert!(
            !found("frame_000001.png", "jpg")
                && !found("frame_1.png", "png")
                && !found("photo.png", "png")
        );
        assert!(
            inputs(std::slice::from_ref(&folder))
                .at_frames(&folder, "png")
                .is_some(),
            "the folder itself is read"
        );
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(folder.join("photo.png"), folder.join("frame_000004.png"))
                .unwrap();
            fs::hard_link(folder.join("photo.png"), folder.join("frame_1000000.png")).unwrap();
            assert!(found("photo.png", "png"));
            assert!(!found("FRAME_000003.PNG", "png"), "here it is another name");
            fs::create_dir(root.path().join("other")).unwrap();
            fs::hard_link(
                folder.join("frame_1.png"),
                root.path().join("other/frame_000000.png"),
            )
            .unwrap();
            assert!(
                inputs(&[folder.join("frame_1.png")])
                    .at_frames_below(root.path(), "png")
                    .is_some(),
                "under another name"
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn paths_are_compared_before_they_exist() {
        use std::os::unix::fs::symlink;
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        let place = |name: &str| ResolvedPath::of(&path(name)).unwrap();
        fs::create_dir(path("d")).unwrap();
        symlink("d", path("link")).unwrap();
        symlink("d/new.mp4", path("dangling.mp4")).unwrap();
        for name in [
            "d/new.mp4",
            "link/new.mp4",
            "d/missing/../new.mp4",
            "missing/../d/new.mp4",
            "dangling.mp4",
        ] {
            assert_eq!(place(name), place("d/./new.mp4"), "{name}");
        }
        assert_ne!(place("d/new.mp4"), place("d/NEW.mp4"));
        assert_ne!(place("d/new.mp4"), place("new.mp4"));
        assert!(
            place("link").holds(&place("d/new.mp4"))
                && !place("d/new.mp4").holds(&place("d/new.mp4x"))
        );
        let here = std::env::current_dir().unwrap();
        assert_eq!(
            ResolvedPath::of(Path::new("not/there")),
            ResolvedPath::of(&here.join("not/there"))
        );
    }
}
