//! The folders that a run writes into: no other process writes there during the run, and its frames
//! are not mixed with those of an earlier run.
use crate::config::{
    RunSettings,
    output_choice::{EarlierFrames, MATTES},
};
use mattebox_core::frame::{CameraId, FrameNumber};
use mattebox_engine::StartError;
use mattebox_media::sink::SinkSpec;
use mattebox_store::{
    FolderClaim, FrameDir, FrameTree, NameTemplate, Owner, OwnerError, StoreError, folder_names,
    frame_dir::file_name,
};
use std::{ffi::OsString, path::Path};

/// A folder of pictures or mattes, with one folder for each camera.
struct Folder<'a> {
    root: &'a Path,
    /// The flag that sets it.
    setting: &'static str,
    /// It is the default folder.
    is_default: bool,
    /// The extension of its files.
    extension: &'static str,
}

/// Every folder of a run.
pub(super) struct Folders {
    /// Held until the run ends.
    claims: Vec<FolderClaim>,
    /// Frames of the run's cameras below `--out` are removed.
    pictures_are_removed: bool,
    /// Frames of the run's cameras below `--alpha-out` are removed.
    mattes_are_removed: bool,
}

impl Folders {
    /// Claims the folders. Nothing is removed yet.
    pub(super) fn claim(settings: &RunSettings) -> Result<Folders, StartError> {
        let mut folders = Folders {
            claims: vec![],
            pictures_are_removed: false,
            mattes_are_removed: false,
        };
        if let SinkSpec::Directory(root) = &settings.sink {
            let folder = Folder {
                root,
                setting: "--out",
                is_default: settings.is_default_sink,
                extension: settings.frame.format.extension(),
            };
            folders.pictures_are_removed = folders.add(&folder, settings)?;
        }
        if let Some(root) = &settings.alpha_out {
            let folder = Folder {
                root,
                setting: "--alpha-out",
                is_default: false,
                extension: MATTES,
            };
            folders.mattes_are_removed = folders.add(&folder, settings)?;
        }
        Ok(folders)
    }

    /// Claims a folder. Returns whether its existing frames are removed.
    fn add(&mut self, folder: &Folder<'_>, settings: &RunSettings) -> Result<bool, OwnerError> {
        let names = settings.names.template();
        folder_names::check(folder.root, &names)?;
        // A folder without an owner gets none if its frames are an error.
        if !Owner::path(folder.root).exists() {
            folder.removes(None, settings)?;
        }
        // A folder that cannot be read may hold other frames.
        let is_empty = folder.is_default && !folder.tree(&names).any_holds_frames().unwrap_or(true);
        let owner = |made_by_default: bool| Owner::Run {
            default_folder: folder.is_default && (is_empty || made_by_default),
        };
        let claim = FolderClaim::take(folder.root, &owner(false))?;
        let previous = claim.previous();
        let removes = folder.removes(previous, settings)?;
        if let Some(previous) = previous {
            let now = owner(is_default_run(previous));
            if now != *previous {
                claim.renew(&now)?;
            }
        }
        claim.names(&names)?;
        self.claims.push(claim);
        Ok(removes)
    }

    /// The work in a camera's folders before its first frame is written. `names`: the names that
    /// its frames keep.
    pub(super) fn camera(
        &self,
        pictures: Option<&FrameDir>,
        mattes: Option<&FrameDir>,
        extension: &str,
        names: Option<&Vec<OsString>>,
    ) -> EarlierFiles {
        let folder = |dir: &FrameDir, is_removed, extension: &str| {
            let file = |name: &OsString| file_name(name, extension);
            EarlierFolder {
                dir: dir.clone(),
                is_removed,
                names: names.map(|names| names.iter().map(file).collect()),
            }
        };
        let pictures = pictures.map(|dir| folder(dir, self.pictures_are_removed, extension));
        let mattes = mattes.map(|dir| folder(dir, self.mattes_are_removed, MATTES));
        EarlierFiles(pictures.into_iter().chain(mattes).collect())
    }
}

impl Folders {
    /// The number of a camera's first frame: above all existing frames if the run adds to them, and
    /// above all frames that retention has removed, unless earlier runs' frames are replaced.
    pub(super) fn first_number(
        &self,
        settings: &RunSettings,
        camera: &CameraId,
    ) -> Result<FrameNumber, StoreError> {
        let goes_on = |is_removed: bool| match settings.earlier_frames {
            EarlierFrames::Append => true,
            EarlierFrames::Refuse => !is_removed,
            EarlierFrames::Remove | EarlierFrames::Keep => false,
        };
        let pictures = match &settings.sink {
            SinkSpec::Directory(root) => Some((root, self.pictures_are_removed)),
            _ => None,
        };
        let mattes = settings.alpha_out.as_ref();
        let mattes = mattes.map(|root| (root, self.mattes_are_removed));
        let names = settings.names.template();
        let mut highest = None;
        for (root, is_removed) in pictures.into_iter().chain(mattes) {
            if goes_on(is_removed) {
                highest = highest.max(FrameTree::new(root, &names).highest(camera)?);
            }
        }
        let next = highest.map_or(0, |number: FrameNumber| number.0.saturating_add(1));
        Ok(FrameNumber(next))
    }
}

impl Folder<'_> {
    fn tree(&self, names: &NameTemplate) -> FrameTree {
        FrameTree::new(self.root, names)
    }

    /// Whether existing frames of the run's cameras are removed. An error if they have to stay.
    fn removes(
        &self,
        previous: Option<&Owner>,
        settings: &RunSettings,
    ) -> Result<bool, OwnerError> {
        match settings.earlier_frames {
            EarlierFrames::Remove => return Ok(true),
            EarlierFrames::Append | EarlierFrames::Keep => return Ok(false),
            EarlierFrames::Refuse => {}
        }
        let tree = self.tree(&settings.names.template());
        // Frames with kept names look like any other file.
        for (source, names) in settings.cameras.iter().zip(&settings.kept_names) {
            let names: Vec<_> = names
                .iter()
                .map(|name| file_name(name, self.extension))
                .collect();
            if tree.holds_others(&source.camera, &names)? {
                return Err(self.holds_frames(&source.camera));
            }
        }
        if self.is_default && previous.is_some_and(is_default_run) {
            return Ok(true);
        }
        for source in &settings.cameras {
            if tree.holds_frames(&source.camera)? {
                return Err(self.holds_frames(&source.camera));
            }
        }
        Ok(false)
    }

    fn holds_frames(&self, camera: &CameraId) -> OwnerError {
        OwnerError::HoldsFrames {
            folder: self.root.to_owned(),
            camera: camera.clone(),
            setting: self.setting,
        }
    }
}

fn is_default_run(owner: &Owner) -> bool {
    matches!(
        owner,
        Owner::Run {
            default_folder: true
        }
    )
}

/// A camera's folders, with frames of an earlier run that may have to be removed.
pub(crate) struct EarlierFiles(Vec<EarlierFolder>);

struct EarlierFolder {
    dir: FrameDir,
    /// Existing frames have to be removed.
    is_removed: bool,
    /// The names of the new frames, if they keep the names of their sources.
    names: Option<Vec<OsString>>,
}

impl EarlierFiles {
    /// Removes earlier frames, so that none is left after the last frame of a shorter run, and
    /// records the names of the new frames. To be called with the first new frame, so that a source
    /// that cannot be opened costs no frames.
    pub(super) fn remove(&self) -> Result<u64, StoreError> {
        let mut removed = 0;
        for folder in &self.0 {
            if folder.is_removed {
                removed += folder.dir.remove_frames()?;
            }
            if let Some(names) = &folder.names {
                folder.dir.note_names(names, folder.is_removed)?;
            }
        }
        Ok(removed)
    }
}
