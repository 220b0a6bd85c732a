//! Camera states in the output folder: a checkpoint's states are stored before its offset is
//! committed.
use super::{checkpoints::Checkpoint, numbers::CameraNumbers};
use mattebox_core::frame::CameraId;
use mattebox_store::{CameraState, StateStore, StoreError, StoredState, Stream};
use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
    sync::atomic::Ordering::Relaxed,
};

/// The states of cameras, and which versions of them may be removed.
pub(super) struct StateDirectory {
    root: PathBuf,
    memories: StateStore,
    group: String,
    topic: String,
    fsync: bool,
    /// Cameras that were stored at a checkpoint whose offset the broker may not have.
    stored: HashMap<i32, Vec<(i64, Vec<CameraId>)>>,
}

impl StateDirectory {
    /// Makes the folder if it is missing.
    pub(super) fn open(
        root: &Path,
        group: &str,
        topic: &str,
        fsync: bool,
    ) -> Result<Self, StoreError> {
        let memories = StateStore::open(root)?;
        let group = group.to_owned();
        let topic = topic.to_owned();
        Ok(StateDirectory {
            root: root.to_owned(),
            memories,
            group,
            topic,
            fsync,
            stored: HashMap::new(),
        })
    }

    fn stream(&self, partition: i32) -> Stream {
        Stream::new(&self.group, &self.topic, partition)
    }

    /// The state of a camera before `offset`. One that cannot be read is told and counted. An error
    /// means that nothing may be written for the camera, since its files could not be looked at.
    pub(super) fn recall(
        &self,
        partition: i32,
        camera: &CameraId,
        offset: i64,
        counted: &CameraNumbers,
    ) -> Result<CameraState, StoreError> {
        match self
            .memories
            .recall(&self.stream(partition), camera, offset)?
        {
            StoredState::Missing => Ok(CameraState::default()),
            StoredState::Known(memory) => Ok(memory),
            StoredState::Unreadable { memory, problem } => {
                counted.state_unreadable.fetch_add(1, Relaxed);
                tracing::warn!(
                    %camera,
                    partition,
                    offset,
                    "the camera's stored state cannot be read: its matte begins again, and its frames get numbers above every \
                     file that it has: {problem}"
                );
                Ok(memory)
            }
        }
    }

    /// Stores the states of a checkpoint, and makes its files durable if the settings ask for it.
    pub(super) fn store(
        &mut self,
        partition: i32,
        checkpoint: &Checkpoint,
    ) -> Result<(), StoreError> {
        let stream = self.stream(partition);
        for (camera, state) in checkpoint.states() {
            self.memories
                .save(&stream, camera, checkpoint.end(), &state.to_bytes())?;
        }
        if self.fsync {
            sync(&self.root).map_err(|source| StoreError::Io {
                action: "sync",
                path: self.root.clone(),
                source,
            })?;
        }
        self.stored
            .entry(partition)
            .or_default()
            .push((checkpoint.end(), checkpoint.cameras().cloned().collect()));
        Ok(())
    }

    /// The broker has an offset: versions before it are not needed any more.
    pub(super) fn committed(&mut self, partition: i32, offset: i64) {
        let stream = self.stream(partition);
        let Some(stored) = self.stored.get_mut(&partition) else {
            return;
        };
        for (_, cameras) in stored.extract_if(.., |(end, _)| *end <= offset) {
            for camera in cameras {
                if let Err(error) = self.memories.prune(&stream, &camera, offset) {
                    tracing::warn!(%camera, partition, "old versions of what is remembered stay: {error}");
                }
            }
        }
    }

    /// Forgets a partition that is given back.
    pub(super) fn forget(&mut self, partition: i32) {
        self.stored.remove(&partition);
    }
}

/// Brings everything that was written to the folder's file system to the disk: one wait for all
/// files of a commit.
fn sync(root: &Path) -> std::io::Result<()> {
    let folder = File::open(root)?;
    #[cfg(target_os = "linux")]
    return rustix::fs::syncfs(&folder).map_err(std::io::Error::from);
    #[cfg(not(target_os = "linux"))]
    folder.sync_all()
}
