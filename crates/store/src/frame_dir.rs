//! The folder of one camera's pictures.
use crate::error::StoreError;
use crate::pending::{OnExisting, Outcome, PendingFile, create_folder, remove_stale, sync_folder};
use mattebox_core::frame::{CameraId, FrameNumber};
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The ends of the names of frames' files, of every format.
pub const EXTENSIONS: [&str; 3] = ["png", "jpg", "webp"];

/// The folder `ROOT/<camera>` with one file per frame: `frame_000000.png`, `frame_000001.png` and so on. Numbers over
/// 999,999 take as many digits as they need.
///
/// Any number of threads and processes may write to it at once; each file appears whole or not at all.
#[derive(Debug, Clone)]
pub struct FrameDir {
    folder: PathBuf,
    durable: bool,
}

impl FrameDir {
    /// Makes the folder if it is missing, and removes what processes that were killed have left half-written in it.
    pub fn open(root: &Path, camera: &CameraId) -> Result<Self, StoreError> {
        let folder = root.join(camera.as_str());
        create_folder(&folder)?;
        remove_stale(&folder);
        Ok(FrameDir {
            folder,
            durable: false,
        })
    }

    /// The highest number of a frame's file in `ROOT/<camera>`, of any format. `None` where there is no such file or no such folder.
    pub fn highest(root: &Path, camera: &CameraId) -> Result<Option<FrameNumber>, StoreError> {
        let folder = root.join(camera.as_str());
        let fail = |error| StoreError::io("read the folder", &folder)(error);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(fail(error)),
        };
        let mut highest = None;
        for entry in entries {
            let name = entry.map_err(fail)?.file_name();
            highest = highest.max(name.to_str().and_then(number_of));
        }
        Ok(highest)
    }

    /// Whether there is a frame's file in `ROOT/<camera>`, of any format.
    pub fn holds_frames(root: &Path, camera: &CameraId) -> Result<bool, StoreError> {
        holds_frames(&root.join(camera.as_str()))
    }

    /// Whether there is a file in `ROOT/<camera>` under one of these names that no run has given to
    /// a frame.
    pub fn holds_others(
        root: &Path,
        camera: &CameraId,
        names: &[OsString],
    ) -> Result<bool, StoreError> {
        let folder = root.join(camera.as_str());
        let kept = KeptNames::of(&folder)?;
        Ok(names
            .iter()
            .any(|name| folder.join(name).symlink_metadata().is_ok() && !kept.has(name)))
    }

    /// Notes names of files that frames get which keep the names of their sources, so that a later
    /// run knows them for frames: those noted before stay, or, with `only`, go. To be called before
    /// the first of them is written.
    pub fn note_names(&self, names: &[OsString], only: bool) -> Result<(), StoreError> {
        let mut kept = match only {
            true => KeptNames::default(),
            false => KeptNames::of(&self.folder)?,
        };
        let names = names.iter().map(|name| name.as_encoded_bytes().to_vec());
        kept.0.extend(names);
        kept.write(&self.folder)
    }

    /// Whether there is a frame's file in the folder of any camera below `root`.
    pub fn any_holds_frames(root: &Path) -> Result<bool, StoreError> {
        let fail = |error| StoreError::io("read the folder", root)(error);
        let entries = match fs::read_dir(root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(fail(error)),
        };
        for entry in entries {
            let path = entry.map_err(fail)?.path();
            if path.is_dir() && holds_frames(&path)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes all frames' files, of every format, and returns how many those were. Other files stay.
    pub fn remove_frames(&self) -> Result<u64, StoreError> {
        let fail = |error| StoreError::io("read the folder", &self.folder)(error);
        let kept = KeptNames::of(&self.folder)?;
        let mut removed = 0;
        for entry in fs::read_dir(&self.folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            if is_frame(&entry, &kept) {
                let path = entry.path();
                fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Whether [`FrameDir::write`] returns only when the file is on the disk and outlives a power failure. Off at first:
    /// it costs a wait for the disk per file.
    pub fn durable(mut self, durable: bool) -> Result<Self, StoreError> {
        self.durable = durable;
        if durable {
            let parent = self.folder.parent().unwrap_or(Path::new("."));
            sync_folder(parent).map_err(StoreError::io("sync the folder", parent))?;
        }
        Ok(self)
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a frame's file is or will be. `extension` is without its dot.
    pub fn path(&self, number: FrameNumber, extension: &str) -> PathBuf {
        self.folder
            .join(format!("frame_{:06}.{extension}", number.0))
    }

    /// Whether a frame's file is there, to spare the work for one that would be skipped.
    pub fn contains(&self, number: FrameNumber, extension: &str) -> bool {
        self.path(number, extension).symlink_metadata().is_ok()
    }

    /// Writes one frame's file, whole or not at all.
    pub fn write(
        &self,
        number: FrameNumber,
        extension: &str,
        bytes: &[u8],
        on_existing: OnExisting,
    ) -> Result<Outcome, StoreError> {
        self.write_at(&self.path(number, extension), bytes, on_existing)
    }

    /// The same for a frame that keeps the name of the file that it came from. `stem` is without
    /// the dot and what follows.
    pub fn write_named(
        &self,
        stem: &OsStr,
        extension: &str,
        bytes: &[u8],
        on_existing: OnExisting,
    ) -> Result<Outcome, StoreError> {
        let path = self.folder.join(file_name(stem, extension));
        self.write_at(&path, bytes, on_existing)
    }

    fn write_at(
        &self,
        path: &Path,
        bytes: &[u8],
        mut on_existing: OnExisting,
    ) -> Result<Outcome, StoreError> {
        if on_existing == OnExisting::Skip {
            match existing(path, bytes)? {
                Existing::Missing => {}
                Existing::Same => return Ok(Outcome::Skipped),
                Existing::Different => return Ok(Outcome::KeptDifferent),
                Existing::Damaged => on_existing = OnExisting::Overwrite,
            }
        }
        let mut pending = PendingFile::create(path)?;
        pending.write_all(bytes)?;
        match pending.commit(on_existing, self.durable)? {
            // Another process has made it in between.
            Outcome::Skipped => Ok(match existing(path, bytes)? {
                Existing::Different => Outcome::KeptDifferent,
                _ => Outcome::Skipped,
            }),
            outcome => Ok(outcome),
        }
    }
}

/// The name of a frame's file that keeps the name of its source. `extension` is without its dot.
pub fn file_name(stem: &OsStr, extension: &str) -> OsString {
    let mut name = stem.to_owned();
    name.push(".");
    name.push(extension);
    name
}

/// The names in a camera's folder that frames have from the files that they came from. They are
/// written down in `ROOT/.mattebox/names-<camera>`, with a zero byte behind each: by themselves
/// they look like anybody's files.
#[derive(Debug, Default)]
struct KeptNames(HashSet<Vec<u8>>);

impl KeptNames {
    /// Where those of a camera's folder are.
    fn path(folder: &Path) -> PathBuf {
        let mut name = OsString::from("names-");
        name.push(folder.file_name().unwrap_or_default());
        let root = folder.parent().unwrap_or(Path::new("."));
        root.join(".mattebox").join(name)
    }

    fn of(folder: &Path) -> Result<KeptNames, StoreError> {
        let path = KeptNames::path(folder);
        match fs::read(&path) {
            Ok(bytes) => {
                let names = bytes.split(|byte| *byte == 0);
                let names = names.filter(|name| !name.is_empty());
                Ok(KeptNames(names.map(<[u8]>::to_vec).collect()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(KeptNames::default()),
            Err(error) => Err(StoreError::io("read", &path)(error)),
        }
    }

    fn has(&self, name: &OsStr) -> bool {
        self.0.contains(name.as_encoded_bytes())
    }

    fn write(&self, folder: &Path) -> Result<(), StoreError> {
        let path = KeptNames::path(folder);
        create_folder(path.parent().unwrap_or(folder))?;
        let mut names: Vec<&[u8]> = self.0.iter().map(Vec::as_slice).collect();
        names.sort();
        let mut pending = PendingFile::create(&path)?;
        for name in names {
            pending.write_all(name)?;
            pending.write_all(&[0])?;
        }
        pending.commit(OnExisting::Overwrite, true).map(drop)
    }
}

fn holds_frames(folder: &Path) -> Result<bool, StoreError> {
    let fail = |error| StoreError::io("read the folder", folder)(error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(fail(error)),
    };
    let kept = KeptNames::of(folder)?;
    for entry in entries {
        if is_frame(&entry.map_err(fail)?, &kept) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether this is a frame's file by its name, and no folder.
fn is_frame(entry: &fs::DirEntry, kept: &KeptNames) -> bool {
    let name = entry.file_name();
    let is_name = |name: &str| EXTENSIONS.iter().any(|end| is_name_of_frame(name, end));
    let is_known = name.to_str().is_some_and(is_name) || kept.has(&name);
    is_known && entry.file_type().is_ok_and(|kind| !kind.is_dir())
}

/// Whether a frame can have this name: see [`FrameDir::path`].
pub(crate) fn is_name_of_frame(name: &str, extension: &str) -> bool {
    let number = name
        .strip_prefix("frame_")
        .and_then(|rest| rest.strip_suffix(extension)?.strip_suffix('.'));
    number
        .is_some_and(|number| number.len() >= 6 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A file under the name that a frame is to get.
enum Existing {
    Missing,
    /// It holds the same bytes.
    Same,
    /// It holds others.
    Different,
    /// It is not whole.
    Damaged,
}

fn existing(path: &Path, bytes: &[u8]) -> Result<Existing, StoreError> {
    match fs::read(path) {
        Ok(there) if there == bytes => Ok(Existing::Same),
        Ok(there) if is_whole(&there) => Ok(Existing::Different),
        Ok(_) => Ok(Existing::Damaged),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Existing::Missing),
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

/// Whether a picture file has its end. A file of another kind only has to hold something.
fn is_whole(bytes: &[u8]) -> bool {
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
    const PNG_END: &[u8] = b"\0\0\0\0IEND\xae\x42\x60\x82";
    const JPEG: &[u8] = b"\xff\xd8";
    const RIFF: &[u8] = b"RIFF";
    if [PNG, JPEG, RIFF]
        .iter()
        .any(|start| start.starts_with(bytes))
    {
        false
    } else if bytes.starts_with(PNG) {
        bytes.ends_with(PNG_END)
    } else if bytes.starts_with(JPEG) {
        bytes.ends_with(b"\xff\xd9")
    } else if let Some(rest) = bytes.strip_prefix(RIFF) {
        // The size of what follows it, in the file's header.
        let size = rest.first_chunk().map(|size| u32::from_le_bytes(*size));
        size.is_some_and(|size| rest.len() >= size as usize + 4)
    } else {
        !bytes.is_empty()
    }
}

/// The number in the name of a frame's file.
fn number_of(name: &str) -> Option<FrameNumber> {
    let (digits, _extension) = name.strip_prefix("frame_")?.split_once('.')?;
    digits.parse().ok().map(FrameNumber)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cam(id: &str) -> CameraId {
        id.parse().unwrap()
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let root = tempfile::tempdir().unwrap();
        let dir = FrameDir::open(root.path(), &cam("cam01")).unwrap();
        assert_eq!(
            dir.path(FrameNumber(7), "png"),
            root.path().join("cam01/frame_000007.png")
        );
        assert_eq!(
            dir.path(FrameNumber(1_234_567), "jpg"),
            root.path().join("cam01/frame_1234567.jpg")
        );
        dir.write(FrameNumber(7), "png", b"seven", OnExisting::Fail)
            .unwrap();
        assert_eq!(
            fs::read(root.path().join("cam01/frame_000007.png")).unwrap(),
            b"seven"
        );
        assert!(dir.contains(FrameNumber(7), "png") && !dir.contains(FrameNumber(8), "png"));
    }

    #[test]
    fn the_highest_number_is_found_among_other_files() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(FrameDir::highest(root.path(), &cam("a")).unwrap(), None);
        let dir = FrameDir::open(root.path(), &cam("a")).unwrap();
        assert_eq!(FrameDir::highest(root.path(), &cam("a")).unwrap(), None);
        for name in [
            "frame_000007.png",
            "frame_1234567.jpg",
            "frame_x.png",
            "frame_9999999",
            "notes.txt",
        ] {
            fs::write(dir.folder().join(name), b"x").unwrap();
        }
        assert_eq!(
            FrameDir::highest(root.path(), &cam("a")).unwrap(),
            Some(FrameNumber(1_234_567))
        );
    }

    #[test]
    fn only_frames_are_removed_of_every_format() {
        let root = tempfile::tempdir().unwrap();
        let holds = || FrameDir::holds_frames(root.path(), &cam("a")).unwrap();
        let any = || FrameDir::any_holds_frames(root.path()).unwrap();
        assert!(!holds() && !any());
        let dir = FrameDir::open(root.path(), &cam("a")).unwrap();
        let others = [
            "frame_000003.png.bak",
            "frame_1.png",
            "frame_x.png",
            "notes.txt",
        ];
        for name in others {
            fs::write(dir.folder().join(name), b"x").unwrap();
        }
        fs::create_dir(dir.folder().join("frame_000009.png")).unwrap();
        fs::write(root.path().join("frame_000000.png"), b"x").unwrap();
        assert!(!holds() && !any());
        for name in ["frame_000000.png", "frame_000001.jpg", "frame_1000000.webp"] {
            fs::write(dir.folder().join(name), b"x").unwrap();
            assert!(holds() && any(), "{name}");
        }
        assert_eq!(dir.remove_frames().unwrap(), 3);
        assert!(!holds() && !any());
        assert_eq!(
            fs::read_dir(dir.folder()).unwrap().count(),
            others.len() + 1
        );
    }

    #[test]
    fn frames_with_names_of_their_own_are_known_for_frames() {
        let root = tempfile::tempdir().unwrap();
        let holds = || FrameDir::holds_frames(root.path(), &cam("a")).unwrap();
        let dir = FrameDir::open(root.path(), &cam("a")).unwrap();
        let name = |stem: &str| file_name(OsStr::new(stem), "png");
        let others =
            |names: &[OsString]| FrameDir::holds_others(root.path(), &cam("a"), names).unwrap();
        let put = |stem: &str| {
            dir.write_named(OsStr::new(stem), "png", b"x", OnExisting::Fail)
                .unwrap()
        };
        dir.note_names(&[name("anna"), name("a.b")], true).unwrap();
        assert!(!holds());
        put("anna");
        assert!(holds() && FrameDir::any_holds_frames(root.path()).unwrap());
        fs::write(dir.folder().join("own.png"), b"x").unwrap();
        assert!(!others(&[name("anna"), name("new")]) && others(&[name("own")]));
        dir.note_names(&[name("ben")], false).unwrap();
        put("ben");
        put("a.b");
        assert!(dir.folder().join("a.b.png").is_file());
        assert_eq!(dir.remove_frames().unwrap(), 3);
        assert!(!holds() && dir.folder().join("own.png").is_file());
        dir.note_names(&[name("ben")], true).unwrap();
        fs::write(dir.folder().join("anna.png"), b"x").unwrap();
        assert!(!holds(), "a name that is noted no more");
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_no_text_is_kept_byte_by_byte() {
        use std::os::unix::ffi::OsStrExt;
        let root = tempfile::tempdir().unwrap();
        let dir = FrameDir::open(root.path(), &cam("a")).unwrap();
        let stem = OsStr::from_bytes(b"m\xfcller");
        dir.note_names(&[file_name(stem, "png")], true).unwrap();
        dir.write_named(stem, "png", b"x", OnExisting::Fail)
            .unwrap();
        let there = fs::read_dir(dir.folder()).unwrap().next().unwrap();
        assert_eq!(there.unwrap().file_name().as_bytes(), b"m\xfcller.png");
        assert_eq!(dir.remove_frames().unwrap(), 1);
    }

    #[test]
    fn existing_files_are_replaced_kept_or_refused_as_asked() {
        let root = tempfile::tempdir().unwrap();
        let dir = FrameDir::open(root.path(), &cam("a"))
            .unwrap()
            .durable(true)
            .unwrap();
        let put = |bytes: &[u8], choice| dir.write(FrameNumber(0), "png", bytes, choice);
        let now = || fs::read(dir.path(FrameNumber(0), "png")).unwrap();
        assert_eq!(put(b"1", OnExisting::Skip).unwrap(), Outcome::Written);
        let different = put(b"2", OnExisting::Skip).unwrap();
        assert_eq!(different, Outcome::KeptDifferent);
        assert_eq!(put(b"1", OnExisting::Skip).unwrap(), Outcome::Skipped);
        assert_eq!(now(), b"1");
        assert_eq!(put(b"3", OnExisting::Overwrite).unwrap(), Outcome::Written);
        assert_eq!(now(), b"3");
        let error = put(b"4", OnExisting::Fail).unwrap_err().to_string();
        assert!(error.contains("frame_000000.png exists already"), "{error}");
        assert_eq!(now(), b"3");
        assert_eq!(
            fs::read_dir(dir.folder()).unwrap().count(),
            1,
            "no temporary is left"
        );
    }

    #[test]
    fn a_file_without_its_end_is_replaced() {
        let root = tempfile::tempdir().unwrap();
        let dir = FrameDir::open(root.path(), &cam("a")).unwrap();
        let path = dir.path(FrameNumber(0), "png");
        let put = |bytes: &[u8]| {
            let written = dir.write(FrameNumber(0), "png", bytes, OnExisting::Skip);
            written.unwrap()
        };
        let whole = b"\x89PNG\r\n\x1a\nIHDR...\0\0\0\0IEND\xae\x42\x60\x82";
        for cut in [0, 1, 12, whole.len() - 1] {
            fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(put(whole), Outcome::Written, "{cut}");
        }
        assert_eq!(put(whole), Outcome::Skipped);
        assert_eq!(put(b"other"), Outcome::KeptDifferent);
        fs::write(&path, b"\xff\xd8 cut").unwrap();
        assert_eq!(put(whole), Outcome::Written);
        fs::write(&path, b"RIFF\x0a\0\0\0WEBP").unwrap();
        assert_eq!(put(whole), Outcome::Written);
    }

    #[test]
    fn of_many_writers_of_one_frame_exactly_one_wins() {
        let root = tempfile::tempdir().unwrap();
        let dir = FrameDir::open(root.path(), &cam("a")).unwrap();
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8u8)
                .map(|i| {
                    let dir = &dir;
                    scope.spawn(move || {
                        dir.write(FrameNumber(0), "png", &[i; 100_000], OnExisting::Fail)
                            .is_ok()
                    })
                })
                .collect();
            writers.into_iter().map(|w| w.join().unwrap()).collect()
        });
        assert_eq!(outcomes.iter().filter(|ok| **ok).count(), 1);
        let bytes = fs::read(dir.path(FrameNumber(0), "png")).unwrap();
        assert!(bytes.len() == 100_000 && bytes.iter().all(|b| *b == bytes[0]));
    }

    #[test]
    fn a_file_in_the_way_is_named_with_what_to_do() {
        let root = tempfile::tempdir().unwrap();
        let blocked = root.path().join("blocked");
        fs::write(&blocked, b"").unwrap();
        for (root, named) in [
            (blocked.clone(), "blocked"),
            (root.path().to_owned(), "blocked"),
        ] {
            let error = FrameDir::open(&root, &cam("blocked"))
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(named) && error.contains("a file is where a folder should be"),
                "{error}"
            );
        }
        let dir = FrameDir::open(root.path(), &cam("a")).unwrap();
        fs::create_dir(dir.path(FrameNumber(0), "png")).unwrap();
        let error = dir
            .write(FrameNumber(0), "png", b"x", OnExisting::Overwrite)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("frame_000000.png")
                && error.contains("a folder is where the file should be"),
            "{error}"
        );
    }
}
