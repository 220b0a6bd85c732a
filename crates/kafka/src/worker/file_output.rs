//! Results in files. The processing threads write the files; this file stores camera states, then
//! commits offsets, and sends dead letters.
use super::{
    consumer_events::GroupMember,
    dead_letter_producer::DeadLetterProducer,
    job::{EncodedResult, Job, LogPosition, RejectedRecord},
    offset_committer::{CommitAnswer, CommitRequest, OffsetCommitter},
    output::{Commit, DeadLetterFailed, DeadLetterTaken, Output, Reached},
    partition_range::PartitionRange,
    shared::WorkerContext,
    states::States,
};
use crate::{KafkaError, client::Context};
use mattebox_core::frame::CameraId;
use mattebox_engine::Rejection;
use mattebox_store::StoreError;
use rdkafka::admin::AdminClient;
use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

/// Writes camera states and dead letters to their topics, and commits offsets.
pub(super) struct FileOutput {
    root: PathBuf,
    /// Files are on the disk before their offsets are committed.
    fsync: bool,
    states: States,
    dead_letters: DeadLetterProducer,
    committer: OffsetCommitter,
    /// The cameras of the unanswered commit.
    under_way: HashMap<i32, Vec<CameraId>>,
}

impl FileOutput {
    pub(super) fn open(
        root: &Path,
        mut states: States,
        admin: Arc<AdminClient<Context>>,
        member: &Arc<GroupMember>,
        shared: &Arc<WorkerContext>,
    ) -> Result<Self, KafkaError> {
        let settings = &shared.settings;
        let committer = OffsetCommitter::start(
            member,
            &settings.broker,
            states.topic().name(),
            shared.events.clone(),
        )?;
        Ok(FileOutput {
            root: root.to_owned(),
            fsync: settings.fsync,
            states,
            dead_letters: DeadLetterProducer::open(admin, shared)?,
            committer,
            under_way: HashMap::new(),
        })
    }

    fn request(&mut self, reached: &Reached<'_>) -> CommitRequest {
        let partition = reached.partition;
        let cameras: Vec<CameraId> = reached.checkpoint.cameras().cloned().collect();
        let request = CommitRequest {
            position: reached.position(),
            metadata: self.states.metadata(partition, cameras.iter()),
            states: reached.checkpoint.states(),
            obsolete: self.states.topic().take_obsolete(partition),
        };
        self.under_way.insert(partition, cameras);
        request
    }
}

impl Output for FileOutput {
    fn begin(&mut self, range: &PartitionRange) -> Result<(), KafkaError> {
        self.states.begin(range)
    }

    fn states(&mut self) -> &mut States {
        &mut self.states
    }

    /// The file is in place already.
    fn take_result(&mut self, _: &Arc<Job>, _: EncodedResult) -> Result<(), Rejection> {
        Ok(())
    }

    fn take_dead_letter(
        &mut self,
        position: LogPosition,
        rejected: RejectedRecord,
    ) -> Result<DeadLetterTaken, Box<DeadLetterFailed>> {
        match self.dead_letters.send(position, &rejected) {
            Ok(()) => Ok(DeadLetterTaken::Sent),
            Err(error) => Err(Box::new(DeadLetterFailed { rejected, error })),
        }
    }

    fn dead_letter_answered(
        &mut self,
        position: LogPosition,
        has_arrived: bool,
    ) -> Option<RejectedRecord> {
        self.dead_letters.answered(position, has_arrived)
    }

    fn commit(&mut self, reached: &[Reached<'_>]) -> Result<Commit, KafkaError> {
        if self.committer.is_busy() {
            return Ok(Commit::Later);
        }
        if self.fsync {
            sync(&self.root).map_err(|source| StoreError::Io {
                action: "sync",
                path: self.root.clone(),
                source,
            })?;
        }
        self.under_way.clear();
        let requests = reached.iter().map(|reached| self.request(reached));
        let requests: Vec<CommitRequest> = requests.collect();
        let partitions = reached.iter().map(|reached| reached.partition).collect();
        self.committer.request(requests);
        Ok(Commit::Requested(partitions))
    }

    fn offsets_answered(&mut self, answer: &CommitAnswer) -> Vec<(i32, Vec<CameraId>)> {
        self.committer.answered();
        for (partition, camera, offset, at) in &answer.stored {
            let topic = self.states.topic();
            topic.stored(*partition, camera.clone(), *offset, *at);
        }
        if answer.failed.is_some() {
            self.states.restore();
        }
        let mut under_way = std::mem::take(&mut self.under_way);
        for position in &answer.taken {
            under_way.remove(&position.partition);
        }
        under_way.into_iter().collect()
    }

    fn wait_until_idle(&self) {
        self.committer.wait_until_idle();
    }

    fn is_full(&self) -> bool {
        false
    }

    fn due(&self) -> Option<Instant> {
        None
    }

    fn forget(&mut self, partition: i32) {
        self.states.forget(partition);
        self.dead_letters.forget(partition);
    }
}

/// Writes all cached data of the folder's file system to the disk: one wait for all files of a
/// commit.
fn sync(root: &Path) -> std::io::Result<()> {
    let folder = File::open(root)?;
    #[cfg(target_os = "linux")]
    return rustix::fs::syncfs(&folder).map_err(std::io::Error::from);
    #[cfg(not(target_os = "linux"))]
    folder.sync_all()
}
