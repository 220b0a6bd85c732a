//! Removes old files from an output folder.
//!
//! It removes only files that mattebox has named: frames, by the folder's template, and the
//! finished segments of its recordings. A round walks through the folder once and keeps only the
//! oldest files in memory; docs/design/retention.md explains why no other file can go.
use crate::{
    error::StoreError,
    folder_names,
    frame_dir::KeptNames,
    frame_tree::{frame_of, kept_names},
    name_template::{NameTemplate, PathFields},
    owner::Owner,
    pending::remove_stale,
    recordings, removed,
    unfinished::finished_name,
};
use mattebox_core::frame::{CameraId, FrameNumber};
use std::{
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap},
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use thiserror::Error;

/// The most files that one walk finds for removal.
const BATCH: usize = 100_000;
/// A folder of an hour that was empty for this time gets no more frames. A writer would create it
/// again.
const EMPTY_FOR: Duration = Duration::from_secs(3600);

/// The limits on the age and size of an output folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Older files are removed.
    pub keep: Option<Duration>,
    /// The oldest files are removed while the whole folder has more bytes.
    pub keep_bytes: Option<u64>,
}

/// Why no file can be removed.
#[derive(Debug, Error)]
pub enum RetentionError {
    /// Nothing shows that mattebox writes there.
    #[error(
        "{} is no output folder of mattebox: {} is missing. Name the folder that --out of a run, \
         a worker or a Spark job names; \
         nothing is removed from other folders",
        folder.display(), Owner::path(folder).display()
    )]
    NoOutput {
        /// The folder.
        folder: PathBuf,
        /// It is empty or missing: a first writer may still come.
        is_empty: bool,
    },
    /// The system refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The files that were removed of a camera or a recording; in a dry run, those that would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedFiles {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest of them was written.
    pub oldest: SystemTime,
    /// When the newest of them was written.
    pub newest: SystemTime,
}

/// The result of one round.
#[derive(Debug, Default)]
pub struct PruneRound {
    /// By camera or recording.
    pub removed: BTreeMap<String, RemovedFiles>,
    /// Bytes of all files of the folder after the round.
    pub bytes_left: u64,
    /// Files that could not be removed.
    pub failed: u64,
    /// The error of the first of these files.
    pub failure: Option<String>,
    /// Links in place of cameras' folders: the files behind them stay.
    pub links: Vec<PathBuf>,
}

impl PruneRound {
    /// Files of all cameras.
    pub fn files(&self) -> u64 {
        self.removed.values().map(|removed| removed.files).sum()
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        self.removed.values().map(|removed| removed.bytes).sum()
    }

    fn count(&mut self, of: &str, file: &OldFile) {
        let removed = self.removed.entry(of.to_owned()).or_insert(RemovedFiles {
            files: 0,
            bytes: 0,
            oldest: file.key.written,
            newest: file.key.written,
        });
        removed.files += 1;
        removed.bytes += file.bytes;
        removed.oldest = removed.oldest.min(file.key.written);
        removed.newest = removed.newest.max(file.key.written);
    }
}

/// The order of removal: by age, and files of one age by path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct AgeKey {
    written: SystemTime,
    /// Below the output.
    path: Box<Path>,
}

/// A file that may be removed.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct OldFile {
    key: AgeKey,
    bytes: u64,
    number: Option<FrameNumber>,
    /// The index of its owner in the walk.
    of: usize,
    /// Its folder is for a day or an hour.
    is_dated: bool,
}

/// A folder to walk through.
struct WalkedFolder {
    path: PathBuf,
    depth: usize,
    /// `None`: it holds no frames.
    known: Option<PathFields>,
}

/// One walk through the folder.
#[derive(Default)]
struct FolderWalk {
    bytes: u64,
    /// The oldest files that may be removed, the newest of them first.
    oldest: BinaryHeap<OldFile>,
    /// There are more such files.
    is_full: bool,
    owners: Vec<FileOwner>,
}

/// The camera or recording for which files are counted.
#[derive(Clone, PartialEq, Eq)]
enum FileOwner {
    Camera(Option<CameraId>),
    Recording(String),
}

impl FileOwner {
    fn name(&self) -> &str {
        match self {
            FileOwner::Camera(camera) => camera.as_ref().map_or("frames", CameraId::as_str),
            FileOwner::Recording(name) => name,
        }
    }
}

/// A recording of the folder.
struct NumberedRecording {
    path: PathBuf,
    /// From its first segment up to its newest, which stays.
    numbers: Range<u64>,
}

/// The retention of one folder.
#[derive(Debug)]
pub struct Pruner<'a> {
    root: &'a Path,
    retention: Retention,
    is_dry: bool,
    batch: usize,
}

impl<'a> Pruner<'a> {
    /// Reads nothing yet. A dry run removes nothing.
    pub fn new(root: &'a Path, retention: Retention, is_dry: bool) -> Self {
        Pruner {
            root,
            retention,
            is_dry,
            batch: BATCH,
        }
    }

    /// Removes the files that are over the limits. Ends early once `stopped` is true.
    pub fn round(
        &self,
        now: SystemTime,
        stopped: &dyn Fn() -> bool,
    ) -> Result<PruneRound, RetentionError> {
        self.check()?;
        let names = folder_names::of(self.root)?;
        let mut round = PruneRound::default();
        let too_old = self.retention.keep.and_then(|keep| now.checked_sub(keep));
        let mut above = None;
        let mut is_first = true;
        loop {
            let walk = self.walk(&names, above.as_ref(), now, &mut round, stopped)?;
            if std::mem::take(&mut is_first) {
                round.bytes_left = walk.bytes;
            }
            let is_full = walk.is_full;
            above = self.remove(walk, too_old, &mut round, stopped)?;
            if !is_full || above.is_none() || stopped() {
                return Ok(round);
            }
        }
    }

    /// Refuses a folder if nothing shows that mattebox writes there.
    fn check(&self) -> Result<(), RetentionError> {
        let is_there = |path: &Path| path.symlink_metadata().is_ok();
        if is_there(&Owner::path(self.root)) || !recordings::noted(self.root)?.is_empty() {
            return Ok(());
        }
        let is_empty = match fs::read_dir(self.root) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        Err(RetentionError::NoOutput {
            folder: self.root.to_owned(),
            is_empty,
        })
    }

    /// Adds up all sizes, and finds the oldest files that may be removed. Those up to `above` are
    /// left out.
    fn walk(
        &self,
        names: &NameTemplate,
        above: Option<&AgeKey>,
        now: SystemTime,
        round: &mut PruneRound,
        stopped: &dyn Fn() -> bool,
    ) -> Result<FolderWalk, RetentionError> {
        let recordings = recordings::noted(self.root)?.into_iter();
        let recordings: Vec<NumberedRecording> = recordings
            .map(|(path, first)| NumberedRecording {
                numbers: first..recordings::highest(&path).unwrap_or(first),
                path,
            })
            .collect();
        let mut walk = FolderWalk::default();
        let mut folders = vec![WalkedFolder {
            path: self.root.to_owned(),
            depth: 0,
            known: Some(PathFields::default()),
        }];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder.path) {
                Ok(entries) => entries,
                // It was removed meanwhile, or belongs to another user: then it holds no frames of
                // ours.
                Err(_) if folder.path != self.root => continue,
                Err(error) => {
                    return Err(StoreError::io("read the folder", &folder.path)(error).into());
                }
            };
            let can_hold_frames = folder.known.is_some() && folder.depth == names.depth();
            let kept = match can_hold_frames {
                true => kept_names(names, &folder.path)?,
                false => KeptNames::default(),
            };
            let mut is_empty = true;
            for entry in entries.filter_map(Result::ok) {
                is_empty = false;
                if stopped() {
                    return Ok(walk);
                }
                let Ok(kind) = entry.file_type() else {
                    continue;
                };
                let name = entry.file_name();
                let known = folder.known.as_ref().filter(|_| !can_hold_frames);
                let inner = name
                    .to_str()
                    .zip(known)
                    .and_then(|(name, known)| names.enter(folder.depth, name, known));
                if kind.is_dir() {
                    folders.push(WalkedFolder {
                        path: entry.path(),
                        depth: folder.depth + 1,
                        known: inner,
                    });
                    continue;
                }
                if kind.is_symlink() && inner.is_some() && entry.path().is_dir() {
                    let path = entry.path();
                    if !round.links.contains(&path) {
                        round.links.push(path);
                    }
                }
                // For a link this is the size of the link itself.
                let Ok(there) = entry.metadata() else {
                    continue;
                };
                walk.bytes += there.len();
                if !kind.is_file() {
                    continue;
                }
                let frame = folder.known.as_ref().filter(|_| can_hold_frames);
                let frame = frame.and_then(|known| frame_of(names, &kept, &entry, known));
                let whose = match &frame {
                    Some(frame) => Some(FileOwner::Camera(frame.camera.clone())),
                    None if folder.depth == 0 => segment_of(&recordings, &name),
                    None => None,
                };
                let (Some(whose), Ok(written)) = (whose, there.modified()) else {
                    continue;
                };
                let Ok(path) = entry.path().strip_prefix(self.root).map(Box::from) else {
                    continue;
                };
                let key = AgeKey { written, path };
                if above.is_some_and(|above| key <= *above) {
                    continue;
                }
                let candidate = OldFile {
                    key,
                    bytes: there.len(),
                    number: frame.as_ref().and_then(|frame| frame.number),
                    of: walk.owner(whose),
                    is_dated: frame.as_ref().is_some_and(PathFields::is_dated),
                };
                walk.oldest.push(candidate);
                if walk.oldest.len() > self.batch {
                    walk.oldest.pop();
                    walk.is_full = true;
                }
            }
            let is_dated = folder.known.as_ref().is_some_and(PathFields::is_dated);
            if is_empty && is_dated && !self.is_dry && is_unused(&folder.path, now) {
                // A writer that needs it now creates it again.
                let _ = fs::remove_dir(&folder.path);
            }
        }
        Ok(walk)
    }

    /// Removes the oldest files of a walk that are over the limits. Returns the last one if all
    /// were.
    fn remove(
        &self,
        walk: FolderWalk,
        too_old: Option<SystemTime>,
        round: &mut PruneRound,
        stopped: &dyn Fn() -> bool,
    ) -> Result<Option<AgeKey>, RetentionError> {
        let FolderWalk { oldest, owners, .. } = walk;
        let files = oldest.into_sorted_vec();
        let mut highest: HashMap<usize, FrameNumber> = HashMap::new();
        for file in &files {
            if let Some(number) = file.number {
                let highest = highest.entry(file.of).or_insert(number);
                *highest = number.max(*highest);
            }
        }
        let mut safe_folder = PathBuf::new();
        let mut emptied = BTreeSet::new();
        let mut last = None;
        let mut all = true;
        for file in files {
            let is_old = too_old.is_some_and(|too_old| file.key.written < too_old);
            let is_much = self
                .retention
                .keep_bytes
                .is_some_and(|keep| round.bytes_left > keep);
            if !(is_old || is_much) || stopped() {
                all = false;
                break;
            }
            let owner = &owners[file.of];
            if !self.is_dry {
                // Before the first file is removed: its number must not be used again.
                if let (FileOwner::Camera(camera), Some(number)) = (owner, highest.remove(&file.of))
                {
                    removed::note(self.root, camera.as_ref(), number)?;
                }
                match self.remove_file(&file, &mut safe_folder) {
                    Ok(true) => {}
                    Ok(false) => continue,
                    Err(error) => {
                        round.failed += 1;
                        round.failure.get_or_insert(error.to_string());
                        last = Some(file.key);
                        continue;
                    }
                }
                if file.is_dated {
                    emptied.extend(file.key.path.parent().map(Path::to_owned));
                }
            }
            round.bytes_left = round.bytes_left.saturating_sub(file.bytes);
            round.count(owner.name(), &file);
            last = Some(file.key);
        }
        let names = folder_names::of(self.root)?;
        for folder in emptied {
            self.remove_empty(&names, &folder);
        }
        Ok(last.filter(|_| all))
    }

    /// False if the file has changed or is gone.
    fn remove_file(&self, file: &OldFile, safe_folder: &mut PathBuf) -> Result<bool, StoreError> {
        let path = self.root.join(&file.key.path);
        let folder = file.key.path.parent().unwrap_or(Path::new(""));
        if folder != safe_folder.as_path() || safe_folder.as_os_str().is_empty() {
            // A link in place of a folder would lead out of the output.
            let mut way = self.root.to_owned();
            for part in folder {
                way.push(part);
                if !way.symlink_metadata().is_ok_and(|there| there.is_dir()) {
                    return Ok(false);
                }
            }
            folder.clone_into(safe_folder);
        }
        let is_same = |there: &fs::Metadata| {
            there.is_file() && there.modified().is_ok_and(|at| at == file.key.written)
        };
        if !path.symlink_metadata().is_ok_and(|there| is_same(&there)) {
            return Ok(false);
        }
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io("remove", &path)(error)),
        }
    }

    /// Removes the folder of an hour, and that of its day, if they are empty.
    fn remove_empty(&self, names: &NameTemplate, folder: &Path) {
        let mut folder = folder;
        loop {
            let path = self.root.join(folder);
            // The temporary file of a killed process would keep the folder for ever.
            if fs::remove_dir(&path).is_err() && remove_stale(&path) > 0 {
                let _ = fs::remove_dir(&path);
            }
            match folder.parent() {
                Some(parent) if !path.exists() && is_dated(names, parent) => folder = parent,
                _ => return,
            }
        }
    }
}

impl FolderWalk {
    /// The index of a camera or recording among the owners. Mostly it is the last one.
    fn owner(&mut self, whose: FileOwner) -> usize {
        match self.owners.iter().rposition(|owner| *owner == whose) {
            Some(place) => place,
            None => {
                self.owners.push(whose);
                self.owners.len() - 1
            }
        }
    }
}

/// The recording of a finished segment. `None`: the file is no segment, or is the newest one.
fn segment_of(recordings: &[NumberedRecording], name: &std::ffi::OsStr) -> Option<FileOwner> {
    let name = name.to_str().filter(|name| finished_name(name).is_none())?;
    recordings.iter().find_map(|recording| {
        let number = recordings::number_of(&recording.path, name)?;
        let may_go = recording.numbers.contains(&number);
        let whose = recording.path.file_name()?.to_str()?.to_owned();
        may_go.then_some(FileOwner::Recording(whose))
    })
}

/// Whether a folder below the output is for a day or an hour.
fn is_dated(names: &NameTemplate, folder: &Path) -> bool {
    let mut parts = folder.iter().enumerate();
    let known = parts.try_fold(PathFields::default(), |known, (depth, part)| {
        names.enter(depth, part.to_str()?, &known)
    });
    known.is_some_and(|known| known.is_dated())
}

fn is_unused(folder: &Path, now: SystemTime) -> bool {
    let changed = folder.metadata().and_then(|there| there.modified());
    let since = changed
        .ok()
        .and_then(|changed| now.duration_since(changed).ok());
    since.is_some_and(|since| since > EMPTY_FOR)
}

#[cfg(test)]
mod tests;
