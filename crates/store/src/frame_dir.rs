//! The folder of one camera's pictures.
use crate::error::StoreError;
use crate::frame_tree::FrameTree;
use crate::name_template::NameTemplate;
use crate::pending::{
    OnExisting, Outcome, PendingFile, create_folder, folder_of, remove_stale, sync_folder,
};
use mattebox_core::frame::{CameraId, FrameNumber, Timestamp};
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The extensions of frames' files, of every format.
pub const EXTENSIONS: [&str; 3] = ["png", "jpg", "webp"];
/// The most tries to create a folder that another process removes at the same moment.
const MAX_FOLDER_TRIES: u32 = 8;

/// The folder `ROOT/<camera>` with one file per frame: `frame_000000.png`, `frame_000001.png` and
/// so on. Numbers over 999,999 have more digits. A [`NameTemplate`] may give other names, with
/// folders for days and hours.
///
/// Any number of threads and processes may write to it at once; each file appears whole or not at
/// all.
#[derive(Debug, Clone)]
pub struct FrameDir {
    root: PathBuf,
    camera: CameraId,
    names: NameTemplate,
    folder: PathBuf,
    durable: bool,
}

impl FrameDir {
    /// The folder for names of the default template: see [`FrameDir::open_named`].
    pub fn open(root: &Path, camera: &CameraId) -> Result<Self, StoreError> {
        FrameDir::open_named(root, camera, &NameTemplate::default())
    }

    /// Creates the folder if it is missing. In the folder of the newest frames, it removes the
    /// temporary files of killed processes.
    pub fn open_named(
        root: &Path,
        camera: &CameraId,
        names: &NameTemplate,
    ) -> Result<Self, StoreError> {
        let fixed = (0..names.depth()).map_while(|depth| names.fixed_folder(depth, Some(camera)));
        let folder = fixed.fold(root.to_owned(), |path, name| path.join(name));
        create_folder(&folder)?;
        let dir = FrameDir {
            root: root.to_owned(),
            camera: camera.clone(),
            names: names.clone(),
            folder,
            durable: false,
        };
        if let Some(newest) = dir.tree().newest_leaf(camera)? {
            remove_stale(&newest);
        }
        Ok(dir)
    }

    fn tree(&self) -> FrameTree {
        FrameTree::new(&self.root, &self.names)
    }

    /// Stores the names of files for frames that keep the names of their sources, so that a later
    /// run knows these files as frames. Names that were stored before stay, or are forgotten with
    /// `only`. To be called before the first of the files is written.
    pub fn note_names(&self, names: &[OsString], only: bool) -> Result<(), StoreError> {
        let mut kept = match only {
            true => KeptNames::default(),
            false => KeptNames::of(&self.folder)?,
        };
        let names = names.iter().map(|name| name.as_encoded_bytes().to_vec());
        kept.0.extend(names);
        kept.write(&self.folder)
    }

    /// Removes all frames' files, in every format, and returns their number. Other files stay.
    pub fn remove_frames(&self) -> Result<u64, StoreError> {
        self.tree().remove_frames(&self.camera)
    }

    /// Whether [`FrameDir::write`] returns only when the file is on the disk and survives a power
    /// failure. Off at first: each file then waits for the disk.
    pub fn durable(mut self, durable: bool) -> Result<Self, StoreError> {
        self.durable = durable;
        if durable {
            self.sync_above(&self.folder)?;
        }
        Ok(self)
    }

    /// The folder itself, without those of days and hours.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of a frame's file. `extension` is without its dot.
    pub fn path(&self, number: FrameNumber, time: Timestamp, extension: &str) -> PathBuf {
        let path = self.names.path(&self.camera, number, time);
        self.root.join(format!("{path}.{extension}"))
    }

    /// Whether a frame's file exists, so that a caller can skip the frame before the work.
    pub fn contains(&self, number: FrameNumber, time: Timestamp, extension: &str) -> bool {
        self.path(number, time, extension)
            .symlink_metadata()
            .is_ok()
    }

    /// Writes one frame's file, whole or not at all.
    pub fn write(
        &self,
        number: FrameNumber,
        time: Timestamp,
        extension: &str,
        bytes: &[u8],
        on_existing: OnExisting,
    ) -> Result<Outcome, StoreError> {
        self.write_at(&self.path(number, time, extension), bytes, on_existing)
    }

    /// The same for a frame that keeps the name of its source file. `stem` is that name without its
    /// extension.
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
                ExistingFile::Missing => {}
                ExistingFile::Same => return Ok(Outcome::Skipped),
                ExistingFile::Different => return Ok(Outcome::KeptDifferent),
                ExistingFile::Damaged => on_existing = OnExisting::Overwrite,
            }
        }
        let mut pending = self.pending(path)?;
        pending.write_all(bytes)?;
        match pending.commit(on_existing, self.durable)? {
            // Another process created it in between.
            Outcome::Skipped => Ok(match existing(path, bytes)? {
                ExistingFile::Different => Outcome::KeptDifferent,
                _ => Outcome::Skipped,
            }),
            outcome => Ok(outcome),
        }
    }

    /// Creates the folder of an hour with its first file, and again if retention removes it at the
    /// same moment.
    fn pending(&self, path: &Path) -> Result<PendingFile, StoreError> {
        let is_missing = |error: &StoreError| error.io_kind() == Some(io::ErrorKind::NotFound);
        let folder = folder_of(path);
        let mut tries = match folder == self.folder {
            true => 0,
            false => MAX_FOLDER_TRIES,
        };
        loop {
            match PendingFile::create(path) {
                Err(error) if tries > 0 && is_missing(&error) => {
                    tries -= 1;
                    create_folder(folder)?;
                    if self.durable {
                        self.sync_above(folder)?;
                    }
                }
                created => return created,
            }
        }
    }

    /// Makes the names of the folders that lead to this one durable.
    fn sync_above(&self, folder: &Path) -> Result<(), StoreError> {
        for above in folder.ancestors().skip(1) {
            let above = match above.as_os_str().is_empty() {
                true => Path::new("."),
                false => above,
            };
            sync_folder(above).map_err(StoreError::io("sync the folder", above))?;
            if above == self.root || !above.starts_with(&self.root) {
                break;
            }
        }
        Ok(())
    }
}

/// The name of a frame's file that keeps the name of its source. `extension` is without its dot.
pub fn file_name(stem: &OsStr, extension: &str) -> OsString {
    let mut name = stem.to_owned();
    name.push(".");
    name.push(extension);
    name
}

/// The names in a camera's folder that frames have from their source files.
/// `ROOT/.mattebox/names-<camera>` lists them, with a zero byte after each. Without it nothing
/// tells these files from other files.
#[derive(Debug, Default)]
pub(crate) struct KeptNames(HashSet<Vec<u8>>);

impl KeptNames {
    /// The file with the names of a camera's folder.
    fn path(folder: &Path) -> PathBuf {
        let mut name = OsString::from("names-");
        name.push(folder.file_name().unwrap_or_default());
        let root = folder.parent().unwrap_or(Path::new("."));
        root.join(".mattebox").join(name)
    }

    pub(crate) fn of(folder: &Path) -> Result<KeptNames, StoreError> {
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

    pub(crate) fn has(&self, name: &OsStr) -> bool {
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

/// Whether a frame can have this name: see [`FrameDir::path`].
pub(crate) fn is_name_of_frame(name: &str, extension: &str) -> bool {
    let number = name
        .strip_prefix("frame_")
        .and_then(|rest| rest.strip_suffix(extension)?.strip_suffix('.'));
    number
        .is_some_and(|number| number.len() >= 6 && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The file that has the name of a new frame.
enum ExistingFile {
    Missing,
    /// It holds the same bytes.
    Same,
    /// It holds other bytes.
    Different,
    /// It is not whole.
    Damaged,
}

fn existing(path: &Path, bytes: &[u8]) -> Result<ExistingFile, StoreError> {
    match fs::read(path) {
        Ok(there) if there == bytes => Ok(ExistingFile::Same),
        Ok(there) if is_whole(&there) => Ok(ExistingFile::Different),
        Ok(_) => Ok(ExistingFile::Damaged),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ExistingFile::Missing),
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

/// Whether a picture file is complete. A file of another kind only must not be empty.
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
        // The file's header has the size of the rest.
        let size = rest.first_chunk().map(|size| u32::from_le_bytes(*size));
        size.is_some_and(|size| rest.len() >= size as usize + 4)
    } else {
        !bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_TIME: Timestamp = Timestamp(0);

    fn tree(root: &Path) -> FrameTree {
        FrameTree::new(root, &NameTemplate::default())
    }

    fn cam(id: &str) -> CameraId {
        id.parse().unwrap()
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let root = tempfile::tempdir().unwrap();
        let dir = FrameDir::open(root.path(), &cam("cam01")).unwrap();
        assert_eq!(
            dir.path(FrameNumber(7), NO_TIME, "png"),
            root.path().join("cam01/frame_000007.png")
        );
        assert_eq!(
            dir.path(FrameNumber(1_234_567), NO_TIME, "jpg"),
            root.path().join("cam01/frame_1234567.jpg")
        );
        dir.write(FrameNumber(7), NO_TIME, "png", b"seven", OnExisting::Fail)
            .unwrap();
        assert_eq!(
            fs::read(root.path().join("cam01/frame_000007.png")).unwrap(),
            b"seven"
        );
        assert!(
            dir.contains(FrameNumber(7), NO_TIME, "png")
                && !dir.contains(FrameNumber(8), NO_TIME, "png")
        );
    }

    #[test]
    fn the_folder_of_an_hour_is_made_with_its_first_file_and_again_if_it_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let names = "{camera}/{date}/{hour}/frame_{number}".parse().unwrap();
        let dir = FrameDir::open_named(root.path(), &cam("a"), &names).unwrap();
        let dir = dir.durable(true).unwrap();
        let time = Timestamp(1_700_000_000_000_000);
        let file = root.path().join("a/2023-11-14/22/frame_000007.png");
        assert_eq!(dir.path(FrameNumber(7), time, "png"), file);
        assert!(!file.parent().unwrap().exists());
        for _ in 0..2 {
            let put = || {
                dir.write(FrameNumber(7), time, "png", b"x", OnExisting::Skip)
                    .unwrap()
            };
            assert_eq!((put(), put()), (Outcome::Written, Outcome::Skipped));
            assert!(dir.contains(FrameNumber(7), time, "png") && file.is_file());
            fs::remove_dir_all(root.path().join("a/2023-11-14")).unwrap();
        }
    }

    #[test]
    fn the_highest_number_is_found_among_other_files() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(tree(root.path()).highest(&cam("a")).unwrap(), None);
        let dir = FrameDir::open(root.path(), &cam("a")).unwrap();
        assert_eq!(tree(root.path()).highest(&cam("a")).unwrap(), None);
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
            tree(root.path()).highest(&cam("a")).unwrap(),
            Some(FrameNumber(1_234_567))
        );
    }

    #[test]
    fn only_frames_are_removed_of_every_format() {
        let root = tempfile::tempdir().unwrap();
        let holds = || tree(root.path()).holds_frames(&cam("a")).unwrap();
        let any = || tree(root.path()).any_holds_frames().unwrap();
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
        let holds = || tree(root.path()).holds_frames(&cam("a")).unwrap();
        let dir = FrameDir::open(root.path(), &cam("a")).unwrap();
        let name = |stem: &str| file_name(OsStr::new(stem), "png");
        let others = |names: &[OsString]| tree(root.path()).holds_others(&cam("a"), names).unwrap();
        let put = |stem: &str| {
            dir.write_named(OsStr::new(stem), "png", b"x", OnExisting::Fail)
                .unwrap()
        };
        dir.note_names(&[name("anna"), name("a.b")], true).unwrap();
        assert!(!holds());
        put("anna");
        assert!(holds() && tree(root.path()).any_holds_frames().unwrap());
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
        let put = |bytes: &[u8], choice| dir.write(FrameNumber(0), NO_TIME, "png", bytes, choice);
        let now = || fs::read(dir.path(FrameNumber(0), NO_TIME, "png")).unwrap();
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
        let path = dir.path(FrameNumber(0), NO_TIME, "png");
        let put = |bytes: &[u8]| {
            let written = dir.write(FrameNumber(0), NO_TIME, "png", bytes, OnExisting::Skip);
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
                        dir.write(
                            FrameNumber(0),
                            NO_TIME,
                            "png",
                            &[i; 100_000],
                            OnExisting::Fail,
                        )
                        .is_ok()
                    })
                })
                .collect();
            writers.into_iter().map(|w| w.join().unwrap()).collect()
        });
        assert_eq!(outcomes.iter().filter(|ok| **ok).count(), 1);
        let bytes = fs::read(dir.path(FrameNumber(0), NO_TIME, "png")).unwrap();
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
        fs::create_dir(dir.path(FrameNumber(0), NO_TIME, "png")).unwrap();
        let error = dir
            .write(FrameNumber(0), NO_TIME, "png", b"x", OnExisting::Overwrite)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("frame_000000.png")
                && error.contains("a folder is where the file should be"),
            "{error}"
        );
    }
}
