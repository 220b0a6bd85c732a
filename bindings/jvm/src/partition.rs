//! One partition of a topic in this executor: the states of its cameras, from record to record and
//! from task to task.
//!
//! Spark gives a partition's records to tasks: each task has a range of the log, and Spark runs a
//! failed range again, on this executor or on another one. A range that the query's checkpoint
//! counts as done does not come again. So the states are stored at the end of each task, before
//! Spark hears that it is done, under the offset after its last record: the version for every
//! offset at which the checkpoint can resume exists. The states are objects in a folder beside the
//! checkpoint if the job names one ([`state_objects`]), else files of the output folder.
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

/// The most cameras of a partition, so that a sender of ever new camera names does not fill the
/// memory.
pub(crate) const MAX_CAMERAS: usize = 1024;
/// The most idle cameras of a partition that stay decoded from task to task. Cameras with frames in
/// the task always stay.
const MAX_IDLE_DECODED: usize = 64;

/// Why a task cannot go on. Spark runs it again.
#[derive(Debug, Error)]
pub enum TaskError {
    /// A file or a state cannot be written or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal cannot name a frame, whose file could then replace another one.
    #[error("a frame of camera {camera} cannot get a name, and no file is written: {source}")]
    Journal {
        /// The frame's camera.
        camera: CameraId,
        /// The cause.
        source: JournalError,
    },
    /// Two attempts at the same task run at once.
    #[error(
        "task {new} has replaced task {old}: two tasks must not process the same records at once \
         (spark.speculation must be off)"
    )]
    Overtaken {
        /// The task that asks.
        old: i64,
        /// The later task.
        new: i64,
    },
    /// The task begins at an offset whose camera states were not read yet: see
    /// [`crate::engine::TaskEngine::list_states`].
    #[error("the camera states of offset {0} were not read")]
    StatesNeeded(i64),
    /// The frame processor cannot be created.
    #[error(transparent)]
    Start(#[from] mattebox_engine::StartError),
}

/// The state of a partition.
pub(crate) struct PartitionState {
    stream: GroupPartition,
    /// The identity of its topic in the names of frames.
    topic: Arc<str>,
    number: i32,
    /// The task that reads it.
    task: i64,
    /// The offset after its last record.
    next: i64,
    /// The task has read records and is not complete: the states of cameras are not stored.
    is_open: bool,
    /// The first offsets of the last tasks that succeeded.
    starts: VecDeque<i64>,
    start: i64,
    cameras: HashMap<CameraId, PartitionCamera>,
    /// The states beside the checkpoint, if the job keeps them there.
    objects: Option<StateObjects>,
    /// Cameras for which a kept file with other bytes was reported.
    reported: HashSet<CameraId>,
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
            reported: HashSet::new(),
        }
    }

    /// The identity of its topic in the names of frames.
    pub(crate) fn topic(&self) -> Arc<str> {
        self.topic.clone()
    }

    /// Whether the task has read no record yet.
    pub(crate) fn begins(&self, task: i64) -> bool {
        task > self.task
    }

    /// A task begins with a record. [`TaskError::StatesNeeded`] changes nothing, and the caller may
    /// give the record again after it has read the states.
    pub(crate) fn enter(&mut self, task: i64, offset: i64) -> Result<(), TaskError> {
        self.refuse_overtaken(task)?;
        let is_new = self.begins(task);
        // Another executor may have read the partition in between, or the task before failed: then
        // only the stored states count.
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

    /// Takes the names of the objects for a task that begins at `offset`. Returns the name of the
    /// first object to read.
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

    /// Takes the bytes of the requested object, None if it is gone. Returns the name of the next
    /// object to read.
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

    /// The camera's state before the current record. None if there are too many cameras.
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

    /// Whether this is the first kept file of the camera with other bytes. Always false once it was
    /// reported for as many cameras as are tracked.
    pub(crate) fn is_first_difference(&mut self, camera: &CameraId) -> bool {
        self.reported.len() < MAX_CAMERAS && self.reported.insert(camera.clone())
    }

    /// Stores the states after a task that succeeded, before Spark hears of it. Removes the
    /// versions to which Spark can no longer go back.
    ///
    /// If states are objects, the caller creates the returned object and then calls
    /// [`PartitionState::stored`].
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
            let decoded = self.cameras.iter();
            let decoded =
                decoded.map(|(id, camera)| (id, &camera.state, camera.last, camera.touched));
            let (name, bytes) = objects.object(task, (self.start, self.next), decoded);
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
        self.encode_idle();
        self.is_open = false;
        Ok(None)
    }

    /// The object of [`PartitionState::complete`] exists. Returns the names of the objects that no
    /// task can need any more.
    pub(crate) fn stored(&mut self, task: i64, keep: usize) -> Vec<String> {
        if task != self.task || !self.is_open {
            return Vec::new();
        }
        self.ended(keep);
        self.encode_idle();
        self.is_open = false;
        // With fewer tasks, this executor cannot tell how far Spark can go back.
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

    /// Encodes the states of cameras without a record in the task, if there are many cameras.
    fn encode_idle(&mut self) {
        let is_many = self.cameras.len() > MAX_IDLE_DECODED;
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

    /// The states of all cameras at an offset.
    type CameraStates = BTreeMap<String, CameraState>;

    /// A job with its folder of states, its output folder and its executors.
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

        /// Reads the states when they are needed, as Java does.
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

        /// Begins a task that reads one record of each of these cameras, and does not end it.
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

        /// Ends a task. Returns the name of its object.
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

        /// The states that a new executor reads at an offset, and the problems of their objects.
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
    fn another_executor_continues_all_cameras_where_the_first_ended() {
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
    fn objects_of_records_that_are_read_again_are_ignored_and_stay() {
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
    fn a_task_whose_object_was_not_stored_runs_again_with_the_states_before_it() {
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
    fn damage_is_reported_and_costs_mattes_but_no_name() {
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
        // The cameras of the newer object keep their states.
        damage(job.stored.get_mut(&full).unwrap());
        let (taken, problems) = job.take_over(5, &["a", "b"]);
        assert_eq!(problems, [format!("{full}: it is damaged")]);
        assert!(taken["a"] == known["a"] && taken["b"] != known["b"]);
        // The cameras of the newer object are unknown, so no older state is used.
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
        // The names continue.
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
    fn a_half_written_object_harms_nothing_when_another_attempt_succeeded() {
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
            // A range that ended at another offset when it was read again.
            part.replace("00003-2-", "00002-4-"),
        ] {
            job.stored.insert(left, half.clone());
        }
        let (taken, _) = job.take_over(3, &["a", "b"]);
        assert!(taken == known);
    }

    #[test]
    fn full_objects_bound_the_reads_and_pruning_keeps_what_spark_can_need() {
        for keep in [2, 5] {
            let mut job = TestJob::new(keep);
            let mut executor = job.executor();
            let cameras: Vec<String> = (0..70).map(|n| format!("cam{n}")).collect();
            let all: Vec<&str> = cameras.iter().map(String::as_str).collect();
            let mut offset = 0;
            let mut ends: VecDeque<(i64, CameraStates)> = VecDeque::new();
            let (mut most_reads, mut parts) = (0, 0);
            for task in 0..130 {
                // More cameras than stay decoded, once; then few of them at a time.
                let few = match task {
                    0 => all.clone(),
                    _ => vec![all[task as usize * 7 % 70], "cam3"],
                };
                let name = job.task(&mut executor, task, offset, &few);
                parts += usize::from(name.ends_with(".part"));
                offset += few.len() as i64;
                // A new executor has the same states at this offset.
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
        // If all cameras have frames, every object is a full one.
        let mut job = TestJob::new(2);
        let mut executor = job.executor();
        for task in 0..10 {
            job.task(&mut executor, task, task * 2, &["a", "b"]);
        }
        assert!((2..=3).contains(&job.stored.len()), "{}", job.stored.len());
    }

    #[test]
    fn states_of_an_earlier_version_are_read_once_from_the_output_folder() {
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
