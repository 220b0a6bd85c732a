//! The output folder of an engine: whose it is, and what lies in it beside the frames.
use crate::settings::TaskSettings;
use mattebox_store::{
    FolderClaim, NameTemplate, Owner, OwnerError, StateStore, StoreError, folder_names,
    journal::FolderJournal,
};
use std::path::PathBuf;

/// Where what is remembered of cameras lies.
pub(crate) enum StateLocation {
    /// In files of the output folder.
    Files(StateStore),
    /// In objects beside the checkpoint, which Java reads and writes.
    Objects {
        /// What a job of an earlier version has left in the output folder.
        former: Option<StateStore>,
    },
}

/// An output folder that belongs to this job.
pub(crate) struct OutFolder {
    /// Where the folders of the cameras are.
    pub(crate) root: PathBuf,
    /// How their files are called.
    pub(crate) names: NameTemplate,
    /// What is remembered of cameras.
    pub(crate) states: StateLocation,
    /// Which names each session of a camera has.
    pub(crate) journal: FolderJournal,
    /// Each file is on the disk before it counts as done.
    pub(crate) fsync: bool,
    /// Shared with the other executors of the job.
    _claim: FolderClaim,
}

impl OutFolder {
    /// Takes the folder for the job, and makes it if it is missing.
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
            // A line is rare, and a lost one could stand for files that are there.
            journal: FolderJournal::new(&root).durable(true),
            fsync: settings.fsync,
            root,
        })
    }

    /// Refuses the folder of another owner, and makes nothing. A driver that cannot look into it
    /// leaves it to the executors.
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
            taken => taken.map(drop),
        }
    }
}
