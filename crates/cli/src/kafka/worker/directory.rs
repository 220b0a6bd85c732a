//! Offsets behind files: what is remembered is stored first, then the offset it belongs to.
use super::{numbers::CameraNumbers, partition::Partition};
use mattebox_core::frame::CameraId;
use mattebox_store::{Memory, MemoryDir, Recalled, StoreError, Stream};
use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
    sync::atomic::Ordering::Relaxed,
};

/// Where the memories of cameras are, and what may be forgotten.
pub(super) struct Directory {
    root: PathBuf,
    memories: MemoryDir,
    group: String,
    topic: String,
    fsync: bool,
    /// Cameras that were stored at a mark whose offset is not known to be recorded.
    stored: HashMap<i32, Vec<(i64, Vec<CameraId>)>>,
}

impl Directory {
    /// Makes the folder if it is missing.
    pub(super) fn open(
        root: &Path,
        group: &str,
        topic: &str,
        fsync: bool,
    ) -> Result<Self, StoreError> {
        let memories = MemoryDir::open(root)?;
        let group = group.to_owned();
        let topic = topic.to_owned();
        Ok(Directory {
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

    /// What is remembered of a camera before `offset`. One that cannot be read is told and counted. An error means that nothing may be
    /// written for the camera, since its files could not be looked at.
    pub(super) fn recall(
        &self,
        partition: i32,
        camera: &CameraId,
        offset: i64,
        counted: &CameraNumbers,
    ) -> Result<Memory, StoreError> {
        match self
            .memories
            .recall(&self.stream(partition), camera, offset)?
        {
            Recalled::Nothing => Ok(Memory::default()),
            Recalled::Memory(memory) => Ok(memory),
            Recalled::Unreadable { memory, problem } => {
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

    /// Stores what is remembered at a partition's mark, and makes its files durable if that is wanted.
    pub(super) fn store(&mut self, partition: &Partition) -> Result<(), StoreError> {
        let Some(mark) = &partition.mark else {
            return Ok(());
        };
        let stream = self.stream(partition.id);
        for (camera, memory) in mark.memories() {
            self.memories
                .save(&stream, camera, mark.end, &memory.to_bytes())?;
        }
        if self.fsync {
            sync(&self.root).map_err(|source| StoreError::Io {
                action: "sync",
                path: self.root.clone(),
                source,
            })?;
        }
        self.stored
            .entry(partition.id)
            .or_default()
            .push((mark.end, mark.cameras().cloned().collect()));
        Ok(())
    }

    /// An offset is recorded: versions before it are not needed any more.
    pub(super) fn recorded(&mut self, partition: i32, offset: i64) {
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

    /// A partition is not ours any more.
    pub(super) fn forget(&mut self, partition: i32) {
        self.stored.remove(&partition);
    }
}

/// Brings everything that was written to the folder's file system to the disk: one wait for all files of a commit.
fn sync(root: &Path) -> std::io::Result<()> {
    let folder = File::open(root)?;
    #[cfg(target_os = "linux")]
    return rustix::fs::syncfs(&folder).map_err(std::io::Error::from);
    #[cfg(not(target_os = "linux"))]
    folder.sync_all()
}
