//! One partition of a topic as this executor knows it: what is remembered of its cameras, from
//! record to record and from task to task.
//!
//! Spark gives a partition's records to tasks: each task has a span of the log, and a span that
//! failed is given once more, to this executor or to another one. A span that is done is not given
//! again once the query's checkpoint says so. So what is remembered is stored at the end of each
//! task, before Spark hears that it is done, under the offset behind its last record: wherever the
//! checkpoint lets the log be taken up again, the version for that place is there. Where the job
//! names a folder beside its checkpoint, it is in objects there ([`state_objects`]), else in files
//! of the output folder.
use crate::{
    camera::PartitionCamera,
    out_folder::{OutFolder, StateLocation},
    settings::TaskSettings,
    state_objects::{self, StateObject, StateObjects},
};
use mattebox_core::frame::{CameraId, partition_key};
use mattebox_store::{GroupPartition, StoreError, StoredState, journal::JournalError};
use std::{
    collections::{HashMap, HashSet, VecDeque, hash_map::Entry},
    sync::Arc,
};
use thiserror::Error;

/// Cameras of a partition, at most: whoever sends pictures under ever new names does not fill the
/// memory.
pub(crate) const MAX_CAMERAS: usize = 1024;
/// Cameras of a partition that are kept at hand from task to task. More than that are kept while
/// they have frames.
const MAX_AT_HAND: usize = 64;

/// Why a task cannot go on. Spark does it again.
#[derive(Debug, Error)]
pub enum TaskError {
    /// A file or what is remembered cannot be written or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal cannot say what a frame is called, so that its file could take another's place.
    #[error("no name can be given to a frame of camera {camera}, and no file is written: {source}")]
    Journal {
        /// Whose frame it is.
        camera: CameraId,
        /// Why.
        source: JournalError,
    },
    /// Two attempts at once.
    #[error(
        "task {old} was overtaken by task {new}: the same records are not worked on twice at once \
         (spark.speculation must be off)"
    )]
    Overtaken {
        /// The task that asks.
        old: i64,
        /// The one that came after it.
        new: i64,
    },
    /// The task begins at an offset for which the camera states were not read yet:
    /// [`crate::engine::TaskEngine::list_states`].
    #[error("the camera states of offset {0} were not read")]
    StatesNeeded(i64),
    /// The tools cannot be made.
    #[error(transparent)]
    Start(#[from] mattebox_engine::StartError),
}

/// What is known of the partition.
pub(crate) struct PartitionState {
    stream: GroupPartition,
    /// What its topic is known by in the names of frames.
    topic: Arc<str>,
    number: i32,
    /// The task that has it.
    task: i64,
    /// The offset behind its last record.
    next: i64,
    /// The task has had records and has not ended well: what is known of cameras is not stored.
    is_open: bool,
    /// Where the last tasks began that ended well.
    starts: VecDeque<i64>,
    start: i64,
    cameras: HashMap<CameraId, PartitionCamera>,
    /// What is remembered beside the checkpoint, if it is there.
    objects: Option<StateObjects>,
    /// Cameras of which it was said that a file of theirs was kept and differs.
    told: HashSet<CameraId>,
}

impl PartitionState {
    /// `query` is the id of the streaming query.
    pub(crate) fn new(
        settings: &TaskSettings,
        topic: &str,
        number: i32,
        query: Option<&str>,
    ) -> Self {
        let identity = settings.topic_identity(topic, query);
        let objects = settings.state_dir.as_ref().map(|root| {
            let folder = state_objects::folder(root, topic, number);
            StateObjects::new(folder, &identity)
        });
        PartitionState {
            stream: GroupPartition::new(&settings.group, topic, number),
            topic: identity.into(),
            number,
            task: i64::MIN,
            next: -1,
            is_open: false,
            starts: VecDeque::new(),
            start: 0,
            cameras: HashMap::new(),
            objects,
            told: HashSet::new(),
        }
    }

    /// What its topic is known by in the names of frames.
    pub(crate) fn topic(&self) -> Arc<str> {
        self.topic.clone()
    }

    /// Whether the task has had no record yet.
    pub(crate) fn begins(&self, task: i64) -> bool {
        task > self.task
    }

    /// A task has a record. [`TaskError::StatesNeeded`] changes nothing, and the record may be
    /// given again when the states were read.
    pub(crate) fn enter(&mut self, task: i64, offset: i64) -> Result<(), TaskError> {
        self.refuse_overtaken(task)?;
        let is_new = self.begins(task);
        // Another executor may have had it in between, or the task before came to grief: then only
        // what is stored counts.
        if (is_new && (self.is_open || offset != self.next)) || offset < self.next {
            if let Some(objects) = &mut self.objects {
                if !objects.has(offset) {
                    return Err(TaskError::StatesNeeded(offset));
                }
                objects.begin();
            }
            self.cameras.clear();
        }
        if is_new {
            self.start = offset;
        }
        self.task = task;
        self.next = offset + 1;
        self.is_open = true;
        Ok(())
    }

    fn refuse_overtaken(&self, task: i64) -> Result<(), TaskError> {
        match self.task {
            new if task < new => Err(TaskError::Overtaken { old: task, new }),
            _ => Ok(()),
        }
    }

    /// These objects are there for a task that begins at `offset`. Returns the name of the first to
    /// read.
    pub(crate) fn list_states(
        &mut self,
        task: i64,
        offset: i64,
        names: &[String],
        folder: &OutFolder,
    ) -> Result<Option<String>, TaskError> {
        self.refuse_overtaken(task)?;
        let Some(objects) = &mut self.objects else {
            return Ok(None);
        };
        let former = || match &folder.states {
            StateLocation::Objects {
                former: Some(files),
            } => files.all(&self.stream, offset, MAX_CAMERAS),
            _ => Ok(Vec::new()),
        };
        Ok(objects.list(offset, names, former)?)
    }

    /// The bytes of an object that was asked for, None where it is gone. Returns the name of the
    /// next.
    pub(crate) fn read_state(
        &mut self,
        task: i64,
        name: &str,
        bytes: Option<&[u8]>,
    ) -> Result<Option<String>, TaskError> {
        self.refuse_overtaken(task)?;
        let objects = self.objects.as_mut();
        Ok(objects.and_then(|objects| objects.read(name, bytes)))
    }

    /// What is remembered of a camera before the record at hand. None if there are too many
    /// cameras.
    pub(crate) fn track(
        &mut self,
        camera: &CameraId,
        folder: &OutFolder,
    ) -> Result<Option<&mut PartitionCamera>, TaskError> {
        let there = self.cameras.len();
        let tracked = match self.cameras.entry(camera.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(_) if there >= MAX_CAMERAS => return Ok(None),
            Entry::Vacant(new) => {
                let by = partition_key(&self.topic, self.number);
                let offset = self.next - 1;
                let (stored, last) = match (&folder.states, &mut self.objects) {
                    (StateLocation::Files(files), _) => {
                        (files.recall(&self.stream, camera, offset)?, offset)
                    }
                    (_, Some(objects)) => objects.take(camera),
                    (_, None) => (StoredState::Missing, offset),
                };
                let recalled =
                    PartitionCamera::recall(camera.clone(), folder, stored, last, &by, offset)?;
                new.insert(recalled)
            }
        };
        tracked.touched = true;
        Ok(Some(tracked))
    }

    /// Whether it is the first time that a file of the camera was kept and differs. Beyond as many
    /// cameras as are tracked it is not said any more.
    pub(crate) fn is_first_difference(&mut self, camera: &CameraId) -> bool {
        self.told.len() < MAX_CAMERAS && self.told.insert(camera.clone())
    }

    /// The task has ended well: what is known now is stored, before anybody hears of it. Versions
    /// that Spark no longer can go back to are removed.
    ///
    /// Where states are objects, the one that is returned is to be created, and then
    /// [`PartitionState::stored`] called.
    pub(crate) fn complete(
        &mut self,
        task: i64,
        folder: &OutFolder,
        keep: usize,
    ) -> Result<Option<StateObject>, TaskError> {
        if task != self.task || !self.is_open {
            return Ok(None);
        }
        if let Some(objects) = &mut self.objects {
            for tracked in self.cameras.values_mut().filter(|tracked| tracked.touched) {
                tracked.last = self.next;
            }
            let at_hand = self.cameras.iter();
            let at_hand =
                at_hand.map(|(id, camera)| (id, &camera.state, camera.last, camera.touched));
            let (name, bytes) = objects.object(task, (self.start, self.next), at_hand);
            return Ok(Some(StateObject {
                name,
                bytes,
                sync: folder.fsync,
            }));
        }
        self.ended(keep);
        let oldest = self.starts.front().copied().unwrap_or(self.start);
        if let StateLocation::Files(states) = &folder.states {
            for (camera, tracked) in self.cameras.iter().filter(|(_, tracked)| tracked.touched) {
                states.save(&self.stream, camera, self.next, &tracked.state.to_bytes())?;
                states.prune(&self.stream, camera, oldest)?;
            }
        }
        self.set_aside();
        self.is_open = false;
        Ok(None)
    }

    /// The object of [`PartitionState::complete`] is there. Returns the names of those that no task
    /// can need any more.
    pub(crate) fn stored(&mut self, task: i64, keep: usize) -> Vec<String> {
        if task != self.task || !self.is_open {
            return Vec::new();
        }
        self.ended(keep);
        self.set_aside();
        self.is_open = false;
        // An executor that knows fewer tasks does not know how far Spark can go back.
        let oldest = match self.starts.len() < keep {
            true => None,
            false => self.starts.iter().min().copied(),
        };
        let objects = self.objects.as_mut();
        objects.map_or_else(Vec::new, |objects| objects.stored(oldest))
    }

    fn ended(&mut self, keep: usize) {
        self.starts.push_back(self.start);
        while self.starts.len() > keep {
            self.starts.pop_front();
        }
    }

    /// Cameras that had no record in the task are at hand no more, if there are many.
    fn set_aside(&mut self) {
        let is_many = self.cameras.len() > MAX_AT_HAND;
        let objects = &mut self.objects;
        self.cameras.retain(|id, tracked| {
            let stays = std::mem::take(&mut tracked.touched) || !is_many;
            if let (false, Some(objects)) = (stays, objects.as_mut()) {
                objects.put(id.clone(), &tracked.state, tracked.last);
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::Naming;
    use mattebox_core::frame::{RecordIdentity, Timestamp};
    use mattebox_store::CameraState;
    use std::{collections::BTreeMap, path::Path};
    use tempfile::TempDir;

    /// What the states of all cameras were at an offset.
    type CameraStates = BTreeMap<String, CameraState>;

    /// A folder of states, the output folder, and what the executors of a job do with them.
    struct TestJob {
        out: TempDir,
        settings: TaskSettings,
        folder: OutFolder,
        stored: BTreeMap<String, Vec<u8>>,
        reads: Vec<String>,
        names: Vec<Naming>,
    }

    fn settings(out: &Path, more: serde_json::Value) -> TaskSettings {
        let mut json = serde_json::json!({ "out": out, "group": "g" });
        json.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        TaskSettings::from_json(&json.to_string()).unwrap()
    }

    impl TestJob {
        fn new(keep: usize) -> Self {
            Self::below(tempfile::tempdir().unwrap(), keep)
        }

        fn below(out: TempDir, keep: usize) -> Self {
            let settings = settings(
                out.path(),
                serde_json::json!({ "state_dir": "/checkpoint/mattebox-state", "keep": keep }),
            );
            TestJob {
                folder: OutFolder::open(&settings).unwrap(),
                settings,
                out,
                stored: BTreeMap::new(),
                reads: Vec::new(),
                names: Vec::new(),
            }
        }

        fn executor(&self) -> PartitionState {
            PartitionState::new(&self.settings, "t", 0, Some("q"))
        }

        /// As Java does: reads the states when they are needed.
        fn enter(&mut self, executor: &mut PartitionState, task: i64, offset: i64) {
            match executor.enter(task, offset) {
                Err(TaskError::StatesNeeded(needed)) => assert_eq!(needed, offset),
                entered => return entered.unwrap(),
            }
            let names: Vec<String> = self.stored.keys().cloned().collect();
            let mut next = executor
                .list_states(task, offset, &names, &self.folder)
                .unwrap();
            while let Some(name) = next {
                let bytes = self.stored.get(&name).map(Vec::as_slice);
                next = executor.read_state(task, &name, bytes).unwrap();
                self.reads.push(name);
            }
            executor.enter(task, offset).unwrap();
        }

        /// A task that reads one record of each of these cameras, and does not end.
        fn begin(
            &mut self,
            executor: &mut PartitionState,
            task: i64,
            start: i64,
            cameras: &[&str],
        ) {
            for (offset, camera) in (start..).zip(cameras) {
                self.enter(executor, task, offset);
                name(executor, &self.folder, camera, offset, &mut self.names);
            }
        }

        /// The end of a task. Returns the name of its object.
        fn complete(&mut self, executor: &mut PartitionState, task: i64) -> String {
            let keep = self.settings.keep;
            let object = executor.complete(task, &self.folder, keep).unwrap();
            let StateObject { name, bytes, .. } = object.unwrap();
            assert!(self.stored.insert(name.clone(), bytes).is_none());
            for old in executor.stored(task, keep) {
                assert!(self.stored.remove(&old).is_some(), "{old}");
            }
            name
        }

        fn task(
            &mut self,
            executor: &mut PartitionState,
            task: i64,
            start: i64,
            cameras: &[&str],
        ) -> String {
            self.begin(executor, task, start, cameras);
            self.complete(executor, task)
        }

        /// What an executor that knows nothing takes up at an offset, and what was wrong with that.
        fn take_over(&mut self, offset: i64, cameras: &[&str]) -> (CameraStates, Vec<String>) {
            let mut executor = self.executor();
            self.reads.clear();
            let names: Vec<String> = self.stored.keys().cloned().collect();
            let mut next = executor
                .list_states(1, offset, &names, &self.folder)
                .unwrap();
            while let Some(name) = next {
                let bytes = self.stored.get(&name).map(Vec::as_slice);
                next = executor.read_state(1, &name, bytes).unwrap();
                self.reads.push(name);
            }
            let problems = executor.objects.as_ref().unwrap().problems();
            executor.enter(1, offset).unwrap();
            (states(&mut executor, &self.folder, cameras), problems)
        }
    }

    fn name(
        executor: &mut PartitionState,
        folder: &OutFolder,
        camera: &str,
        offset: i64,
        names: &mut Vec<Naming>,
    ) {
        let topic = executor.topic();
        let tracked = executor.track(&camera.parse().unwrap(), folder);
        let record = RecordIdentity {
            number: offset as u64,
            session: None,
            fingerprint: offset as u64,
            topic: &topic,
            partition: 0,
            offset,
        };
        let camera = tracked.unwrap().unwrap();
        names.push(camera.name(&record, Timestamp(0), folder, "png").unwrap());
    }

    fn states(executor: &mut PartitionState, folder: &OutFolder, cameras: &[&str]) -> CameraStates {
        let state = |camera: &&str| {
            let tracked = executor.track(&camera.parse().unwrap(), folder);
            let state = tracked.unwrap().unwrap().state.clone();
            ((*camera).to_owned(), state)
        };
        cameras.iter().map(state).collect()
    }

    #[test]
    fn another_executor_takes_up_all_cameras_where_the_first_ended() {
        let mut job = TestJob::new(2);
        let mut first = job.executor();
        let full = job.task(&mut first, 1, 0, &["a", "b", "c", "a"]);
        let part = job.task(&mut first, 2, 4, &["a", "a"]);
        assert!(full.ends_with(".full") && part.ends_with(".part"));
        assert!(
            part.starts_with("00000000000000000006-2-"),
            "the end and the attempt: {part}"
        );
        let known = states(&mut first, &job.folder, &["a", "b", "c"]);
        let (taken, problems) = job.take_over(6, &["a", "b", "c"]);
        assert!(taken == known && problems.is_empty(), "{problems:?}");
        assert_eq!(job.reads, [part, full]);
        assert!(!job.out.path().join(".state").exists());
    }

    #[test]
    fn what_is_done_again_is_ignored_and_stays() {
        let mut job = TestJob::new(2);
        let mut first = job.executor();
        job.task(&mut first, 1, 0, &["a", "b"]);
        let known = states(&mut first, &job.folder, &["a", "b"]);
        first = job.executor();
        job.task(&mut first, 2, 2, &["a", "b"]);
        let before = job.stored.clone();
        // The driver was killed before its checkpoint had the second task.
        let (taken, problems) = job.take_over(2, &["a", "b"]);
        assert!(taken == known && problems.is_empty(), "{problems:?}");
        assert_eq!(job.stored, before);
        assert_eq!(job.take_over(0, &["a"]).0["a"], CameraState::default());
    }

    #[test]
    fn a_task_whose_object_was_not_stored_is_done_again_with_the_states_before_it() {
        let mut job = TestJob::new(2);
        let mut first = job.executor();
        job.task(&mut first, 1, 0, &["a", "b"]);
        let known = states(&mut first, &job.folder, &["a", "b"]);
        job.begin(&mut first, 2, 2, &["a"]);
        let keep = job.settings.keep;
        assert!(first.complete(2, &job.folder, keep).unwrap().is_some());
        job.enter(&mut first, 3, 2);
        assert!(states(&mut first, &job.folder, &["a", "b"]) == known);
        assert!(first.stored(2, keep).is_empty(), "task 3 has the partition");
    }

    #[test]
    fn damage_is_told_and_costs_mattes_but_no_name() {
        let mut job = TestJob::new(2);
        let mut first = job.executor();
        let full = job.task(&mut first, 1, 0, &["a", "b", "c", "a"]);
        let part = job.task(&mut first, 2, 4, &["a"]);
        let known = states(&mut first, &job.folder, &["a", "b"]);
        let good = job.stored.clone();
        let damage = |bytes: &mut Vec<u8>| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        };
        // The cameras of the newer object are as they were.
        damage(job.stored.get_mut(&full).unwrap());
        let (taken, problems) = job.take_over(5, &["a", "b"]);
        assert_eq!(problems, [format!("{full}: it is damaged")]);
        assert!(taken["a"] == known["a"] && taken["b"] != known["b"]);
        // Whose states the newer one had is not known: none is taken from before it.
        job.stored = good.clone();
        damage(job.stored.get_mut(&part).unwrap());
        let (taken, problems) = job.take_over(5, &["a", "b"]);
        assert_eq!(problems, [format!("{part}: it is damaged")]);
        assert!(taken["a"] != known["a"] && taken["b"] != known["b"]);
        // A missing one is noticed as well.
        job.stored = good.clone();
        job.stored.remove(&full);
        let (taken, problems) = job.take_over(5, &["a", "b"]);
        assert!(problems[0].contains("offset 4 is missing"), "{problems:?}");
        assert!(taken["a"] == known["a"] && taken["b"] != known["b"]);
        // Names go on.
        job.stored.clear();
        job.stored.insert(full.clone(), b"?".to_vec());
        job.names.clear();
        let mut second = job.executor();
        let after = job.task(&mut second, 3, 5, &["a", "b"]);
        assert!(after.ends_with(".full"), "it needs no other: {after}");
        for (naming, old) in job.names.iter().zip([4, 1]) {
            let Naming::InTurn(name) = naming else {
                panic!("{naming:?}")
            };
            assert!(name.0 > old, "{name:?}");
        }
        assert!(job.take_over(7, &["a"]).1.is_empty());
    }

    #[test]
    fn what_an_attempt_left_half_written_harms_nothing_when_another_was_well() {
        let mut job = TestJob::new(2);
        let mut first = job.executor();
        job.task(&mut first, 1, 0, &["a", "b"]);
        let part = job.task(&mut first, 2, 2, &["a"]);
        let known = states(&mut first, &job.folder, &["a", "b"]);
        let half = job.stored[&part][..20].to_vec();
        for left in [
            part.replace("-2-", "-9-"),
            part.replace("-2-", "-1-"),
            part.replace("-2-", "-7-").replace(".part", ".full"),
            // A span that ended elsewhere when it was done again.
            part.replace("00003-2-", "00002-4-"),
        ] {
            job.stored.insert(left, half.clone());
        }
        let (taken, _) = job.take_over(3, &["a", "b"]);
        assert!(taken == known);
    }

    #[test]
    fn full_objects_bound_what_is_read_and_pruning_keeps_what_spark_can_go_back_to() {
        for keep in [2, 5] {
            let mut job = TestJob::new(keep);
            let mut executor = job.executor();
            let cameras: Vec<String> = (0..70).map(|n| format!("cam{n}")).collect();
            let all: Vec<&str> = cameras.iter().map(String::as_str).collect();
            let mut offset = 0;
            let mut ends: VecDeque<(i64, CameraStates)> = VecDeque::new();
            let (mut most_reads, mut parts) = (0, 0);
            for task in 0..130 {
                // More than are kept at hand, once; then few of them at a time.
                let few = match task {
                    0 => all.clone(),
                    _ => vec![all[task as usize * 7 % 70], "cam3"],
                };
                let name = job.task(&mut executor, task, offset, &few);
                parts += usize::from(name.ends_with(".part"));
                offset += few.len() as i64;
                // Another one that is as the first is at this place.
                let (states, problems) = job.take_over(offset, &all);
                assert!(problems.is_empty(), "{problems:?}");
                most_reads = most_reads.max(job.reads.len());
                ends.push_back((offset, states));
                while ends.len() > keep + 1 {
                    ends.pop_front();
                }
                if task % 10 == 9 {
                    for (end, states) in &ends {
                        let (taken, problems) = job.take_over(*end, &all);
                        assert!(taken == *states && problems.is_empty(), "{problems:?}");
                    }
                }
            }
            let live = states(&mut executor, &job.folder, &all);
            assert!(live == ends.back().unwrap().1);
            assert!((2..=50).contains(&most_reads), "{most_reads}");
            assert!(
                parts > 100 && job.stored.len() < 110,
                "{}",
                job.stored.len()
            );
        }
        // Where all cameras have frames, there is nothing to add up.
        let mut job = TestJob::new(2);
        let mut executor = job.executor();
        for task in 0..10 {
            job.task(&mut executor, task, task * 2, &["a", "b"]);
        }
        assert!((2..=3).contains(&job.stored.len()), "{}", job.stored.len());
    }

    #[test]
    fn what_an_earlier_version_left_in_the_output_folder_is_taken_over_once() {
        let out = tempfile::tempdir().unwrap();
        let old = settings(out.path(), serde_json::json!({}));
        let folder = OutFolder::open(&old).unwrap();
        let mut first = PartitionState::new(&old, "t", 0, Some("q"));
        for (offset, camera) in [(0, "a"), (1, "quiet")] {
            first.enter(1, offset).unwrap();
            name(&mut first, &folder, camera, offset, &mut Vec::new());
        }
        assert!(first.complete(1, &folder, 2).unwrap().is_none());
        let known = states(&mut first, &folder, &["a", "quiet"]);
        drop(folder);
        let mut job = TestJob::below(out, 2);
        assert!(job.take_over(2, &["a", "quiet"]).0 == known);
        let mut second = job.executor();
        job.task(&mut second, 2, 2, &["a"]);
        std::fs::remove_dir_all(job.out.path().join(".state")).unwrap();
        let (taken, problems) = job.take_over(3, &["quiet"]);
        assert!(taken["quiet"] == known["quiet"] && problems.is_empty());
    }
}
