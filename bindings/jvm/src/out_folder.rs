//! The output folder of an engine: its owner, and the files in it beside the frames.
use crate::settings::TaskSettings;
use mattebox_store::{
    FolderClaim, NameTemplate, Owner, OwnerError, StateStore, StoreError, folder_names,
    journal::FolderJournal,
};
use std::path::PathBuf;

/// The place of the camera states.
pub(crate) enum StateLocation {
    /// In files of the output folder.
    Files(StateStore),
    /// In objects beside the checkpoint, which Java reads and writes.
    Objects {
        /// The states that a job of an earlier version has left in the output folder.
        former: Option<StateStore>,
    },
}

/// An output folder that belongs to this job.
pub(crate) struct OutFolder {
    /// The folder with those of the cameras.
    pub(crate) root: PathBuf,
    /// The names of their files.
    pub(crate) names: NameTemplate,
    /// The states of the cameras.
    pub(crate) states: StateLocation,
    /// The names of each session of a camera.
    pub(crate) journal: FolderJournal,
    /// Each file is on the disk before it counts as written.
    pub(crate) fsync: bool,
    /// Shared with the other executors of the job.
    _claim: FolderClaim,
}

impl OutFolder {
    /// Claims the folder for the job, and creates it if it is missing.
    pub(crate) fn open(settings: &TaskSettings) -> Result<Self, OwnerError> {
        let root = settings.out.clone();
        let claim = FolderClaim::take(&root, &settings.owner())?;
        claim.names(&settings.names)?;
        Ok(OutFolder {
            _claim: claim,
            names: settings.names.clone(),
            states: match settings.state_dir {
                Some(_) => StateLocation::Objects {
                    former: StateStore::existing(&root),
                },
                None => StateLocation::Files(StateStore::open(&root)?.durable(settings.fsync)),
            },
            // A line is rare, and a lost line could belong to files that exist.
            journal: FolderJournal::new(&root).durable(true),
            fsync: settings.fsync,
            root,
        })
    }

    /// Refuses the folder of another owner, and creates nothing. If the driver cannot open the
    /// folder, the executors check it.
    pub(crate) fn check(settings: &TaskSettings) -> Result<(), OwnerError> {
        if !Owner::path(&settings.out).exists() {
            return Ok(());
        }
        match folder_names::check(&settings.out, &settings.names) {
            Err(OwnerError::Store(StoreError::Io { .. })) => {}
            checked => checked?,
        }
        match FolderClaim::take(&settings.out, &settings.owner()) {
            Err(OwnerError::Store(StoreError::Io { .. })) => Ok(()),
            claimed => claimed.map(drop),
        }
    }
}
