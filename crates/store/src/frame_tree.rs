//! Finds the frames below an output folder by the template of their names.
//!
//! It enters only folders that the template describes, and stops reading as soon as it has an
//! answer: there may be millions of files.
use crate::{
    error::StoreError,
    frame_dir::KeptNames,
    name_template::{NameTemplate, PathFields},
    removed,
};
use mattebox_core::frame::{CameraId, FrameNumber};
use std::{
    ffi::OsString,
    fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The number of a camera's folders that are read: so many with the latest names, and as many that
/// changed last.
const NEWEST: usize = 2;

/// An output folder, whose frames have names by a template.
#[derive(Debug, Clone)]
pub struct FrameTree {
    root: PathBuf,
    names: NameTemplate,
}

/// A folder that can hold frames' files.
#[derive(Debug)]
pub(crate) struct Leaf {
    pub(crate) path: PathBuf,
    known: PathFields,
}

impl FrameTree {
    /// Nothing is read yet.
    pub fn new(root: &Path, names: &NameTemplate) -> Self {
        FrameTree {
            root: root.to_owned(),
            names: names.clone(),
        }
    }

    /// The highest number that a frame's file of a camera has or had, in any format. `None` if
    /// there never was one.
    pub fn highest(&self, camera: &CameraId) -> Result<Option<FrameNumber>, StoreError> {
        let of_camera = self.names.has_camera().then_some(camera);
        let mut highest = removed::highest(&self.root, of_camera)?;
        for leaf in newest(self.leaves(Some(camera))?) {
            self.each_frame(&leaf, |_, frame| {
                highest = highest.max(frame.number);
                ControlFlow::Continue(())
            })?;
        }
        Ok(highest)
    }

    /// Whether a camera has a frame's file, in any format.
    pub fn holds_frames(&self, camera: &CameraId) -> Result<bool, StoreError> {
        self.holds(Some(camera))
    }

    /// Whether any camera has a frame's file.
    pub fn any_holds_frames(&self) -> Result<bool, StoreError> {
        self.holds(None)
    }

    /// Whether a camera's folder has a file with one of these names that is not a frame's.
    pub fn holds_others(&self, camera: &CameraId, names: &[OsString]) -> Result<bool, StoreError> {
        let folder = self.root.join(camera.as_str());
        let kept = KeptNames::of(&folder)?;
        Ok(names
            .iter()
            .any(|name| folder.join(name).symlink_metadata().is_ok() && !kept.has(name)))
    }

    /// Removes all frames' files of a camera, in every format, and returns their number. Other
    /// files stay.
    pub fn remove_frames(&self, camera: &CameraId) -> Result<u64, StoreError> {
        let mut removed = 0;
        for leaf in self.leaves(Some(camera))? {
            let mut failed = None;
            self.each_frame(&leaf, |entry, _| {
                let path = entry.path();
                match fs::remove_file(&path) {
                    Ok(()) => removed += 1,
                    Err(error) => {
                        failed = Some(StoreError::io("remove", &path)(error));
                        return ControlFlow::Break(());
                    }
                }
                ControlFlow::Continue(())
            })?;
            if let Some(error) = failed {
                return Err(error);
            }
            if leaf.known.is_dated() {
                // It stays if it holds other files.
                let _ = fs::remove_dir(&leaf.path);
            }
        }
        removed::forget(&self.root, self.names.has_camera().then_some(camera))?;
        Ok(removed)
    }

    /// The folder in which frames were last written.
    pub(crate) fn newest_leaf(&self, camera: &CameraId) -> Result<Option<PathBuf>, StoreError> {
        let newest = self.leaves(Some(camera))?.into_iter();
        Ok(newest
            .max_by_key(|leaf| leaf.known.time)
            .map(|leaf| leaf.path))
    }

    fn holds(&self, camera: Option<&CameraId>) -> Result<bool, StoreError> {
        for leaf in self.leaves(camera)? {
            let mut holds = false;
            self.each_frame(&leaf, |_, _| {
                holds = true;
                ControlFlow::Break(())
            })?;
            if holds {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The folders that can hold frames of a camera, or of all.
    fn leaves(&self, camera: Option<&CameraId>) -> Result<Vec<Leaf>, StoreError> {
        let known = PathFields {
            camera: camera.cloned(),
            ..PathFields::default()
        };
        let mut leaves = vec![Leaf {
            path: self.root.clone(),
            known,
        }];
        for depth in 0..self.names.depth() {
            let mut next = Vec::new();
            for leaf in leaves {
                // A folder whose name is known is found without reading the others.
                if let Some(name) = self.names.fixed_folder(depth, leaf.known.camera.as_ref()) {
                    next.push(Leaf {
                        path: leaf.path.join(name),
                        known: leaf.known,
                    });
                    continue;
                }
                for entry in read(&leaf.path)? {
                    let entry = entry.map_err(StoreError::io("read the folder", &leaf.path))?;
                    let name = entry.file_name();
                    let known = name
                        .to_str()
                        .and_then(|name| self.names.enter(depth, name, &leaf.known));
                    let path = entry.path();
                    if let Some(known) = known.filter(|_| path.is_dir()) {
                        next.push(Leaf { path, known });
                    }
                }
            }
            leaves = next;
        }
        Ok(leaves)
    }

    /// Calls `found` with each frame's file in a folder, until it breaks.
    fn each_frame(
        &self,
        leaf: &Leaf,
        mut found: impl FnMut(&fs::DirEntry, PathFields) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let kept = kept_names(&self.names, &leaf.path)?;
        for entry in read(&leaf.path)? {
            let entry = entry.map_err(StoreError::io("read the folder", &leaf.path))?;
            let frame = frame_of(&self.names, &kept, &entry, &leaf.known);
            let is_folder =
                |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
            let Some(frame) = frame.filter(|_| !is_folder(&entry)) else {
                continue;
            };
            if found(&entry, frame).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// The names in a folder that frames have from their sources.
pub(crate) fn kept_names(names: &NameTemplate, folder: &Path) -> Result<KeptNames, StoreError> {
    match names.is_default() {
        true => KeptNames::of(folder),
        false => Ok(KeptNames::default()),
    }
}

/// The fields that a frame's file tells by its name. `None`: it is no frame's file.
pub(crate) fn frame_of(
    names: &NameTemplate,
    kept: &KeptNames,
    entry: &fs::DirEntry,
    known: &PathFields,
) -> Option<PathFields> {
    let name = entry.file_name();
    let frame = name.to_str().and_then(|name| names.frame(name, known));
    frame.or_else(|| kept.has(&name).then(|| known.clone()))
}

/// A folder that is missing is empty.
fn read(folder: &Path) -> Result<impl Iterator<Item = io::Result<fs::DirEntry>>, StoreError> {
    use io::ErrorKind::{NotADirectory, NotFound};
    let entries = match fs::read_dir(folder) {
        Ok(entries) => Some(entries),
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => None,
        Err(error) => return Err(StoreError::io("read the folder", folder)(error)),
    };
    Ok(entries.into_iter().flatten())
}

/// The folders with the latest names, and those that changed last: a camera's clock may have been
/// wrong.
fn newest(mut leaves: Vec<Leaf>) -> Vec<Leaf> {
    if leaves.len() <= 2 * NEWEST {
        return leaves;
    }
    leaves.sort_by_key(|leaf| leaf.known.time);
    let mut newest = leaves.split_off(leaves.len() - NEWEST);
    let changed = |leaf: &Leaf| leaf.path.metadata().and_then(|there| there.modified()).ok();
    let mut by_change: Vec<(Option<SystemTime>, Leaf)> = leaves
        .into_iter()
        .map(|leaf| (changed(&leaf), leaf))
        .collect();
    by_change.sort_by_key(|(changed, _)| *changed);
    let last = by_change.split_off(by_change.len().saturating_sub(NEWEST));
    newest.extend(last.into_iter().map(|(_, leaf)| leaf));
    newest
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::time::Duration;

    fn put(root: &Path, path: &str) -> PathBuf {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, b"x").unwrap();
        path
    }

    fn tree(root: &Path, names: &str) -> FrameTree {
        FrameTree::new(root, &names.parse().unwrap())
    }

    #[test]
    fn the_highest_number_is_in_a_newest_folder_also_after_a_clock_was_wrong() {
        let root = tempfile::tempdir().unwrap();
        let tree = tree(root.path(), "{camera}/{date}/{hour}/frame_{number}");
        let camera = "a".parse().unwrap();
        assert_eq!(tree.highest(&camera).unwrap(), None);
        let long_ago = SystemTime::now() - Duration::from_secs(86_400);
        for hour in 0..20 {
            let path = put(
                root.path(),
                &format!("a/2026-01-01/{hour:02}/frame_{hour:06}.png"),
            );
            let folder = File::open(path.parent().unwrap()).unwrap();
            folder.set_modified(long_ago).unwrap();
        }
        assert_eq!(tree.highest(&camera).unwrap(), Some(FrameNumber(19)));
        // The camera's clock jumps back by a day.
        put(root.path(), "a/2025-12-31/07/frame_000123.png");
        assert_eq!(tree.highest(&camera).unwrap(), Some(FrameNumber(123)));
        removed::note(root.path(), Some(&camera), FrameNumber(200)).unwrap();
        assert_eq!(tree.highest(&camera).unwrap(), Some(FrameNumber(200)));
    }

    #[test]
    fn only_frames_of_the_camera_are_removed_and_empty_days_go() {
        let root = tempfile::tempdir().unwrap();
        let tree = tree(root.path(), "{camera}/{date}/frame_{number}");
        put(root.path(), "a/2026-01-01/frame_000000.png");
        let mine = put(root.path(), "a/2026-01-02/notes.txt");
        put(root.path(), "a/2026-01-02/frame_000001.jpg");
        let other = put(root.path(), "b/2026-01-01/frame_000000.png");
        let old = put(root.path(), "a/frame_000000.png");
        assert!(tree.holds_frames(&"a".parse().unwrap()).unwrap());
        assert_eq!(tree.remove_frames(&"a".parse().unwrap()).unwrap(), 2);
        assert!(!tree.holds_frames(&"a".parse().unwrap()).unwrap());
        assert!(tree.any_holds_frames().unwrap());
        assert!(!root.path().join("a/2026-01-01").exists());
        assert!([mine, other, old].iter().all(|path| path.exists()));
    }
}
