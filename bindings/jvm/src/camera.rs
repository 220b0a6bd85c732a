//! A camera of a partition: its state, and the names of its frames.
use crate::{out_folder::OutFolder, partition::TaskError};
use mattebox_core::frame::{
    CameraId, FrameNumber, NumberingRefusal, NumberingStep, RecordIdentity, Timestamp,
};
use mattebox_store::{
    CameraState, FrameDir, FrameTree, StoredState,
    journal::{self, JournalError},
};

/// A camera of a partition.
pub(crate) struct PartitionCamera {
    id: CameraId,
    pub(crate) state: CameraState,
    pub(crate) files: FrameDir,
    /// It has had a record in the current task.
    pub(crate) touched: bool,
    /// The end of the last task that had a record of it.
    pub(crate) last: i64,
}

/// The decision about a record whose picture can be decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// The frame follows the camera's last one.
    InTurn(FrameNumber),
    /// The frame comes late and is processed without the camera's state.
    Alone(FrameNumber),
    /// The frame came before, and its file exists. The number is there if it is known.
    Before(Option<FrameNumber>),
    /// The record is a dead letter.
    Refused(NumberingRefusal),
}

impl PartitionCamera {
    /// Creates a camera from its stored state for an offset, from a task that ended at `last`. `by`
    /// is the partition, with the topic's identity.
    pub(crate) fn recall(
        id: CameraId,
        folder: &OutFolder,
        stored: StoredState,
        last: i64,
        by: &str,
        offset: i64,
    ) -> Result<Self, TaskError> {
        let mut state = match stored {
            StoredState::Missing => CameraState::default(),
            StoredState::Known(state) => *state,
            StoredState::Unreadable { problem } => {
                // This goes to the executor's log.
                eprintln!(
                    "mattebox: WARN camera {id}, offset {offset}: the camera's stored state \
                     cannot be read: its matte begins again, and the journal names its frames: \
                     {problem}"
                );
                CameraState::default()
            }
        };
        let failed = |source| TaskError::Journal {
            camera: id.clone(),
            source,
        };
        journal::refresh(&mut state.numbering, &folder.journal, &id, by).map_err(failed)?;
        let files =
            FrameDir::open_named(&folder.root, &id, &folder.names)?.durable(folder.fsync)?;
        Ok(PartitionCamera {
            id,
            state,
            files,
            touched: false,
            last,
        })
    }

    /// Names a record whose picture can be decoded. `time` is the frame's; `extension` is that of
    /// the frames' files.
    pub(crate) fn name(
        &mut self,
        record: &RecordIdentity<'_>,
        time: Timestamp,
        folder: &OutFolder,
        extension: &str,
    ) -> Result<Naming, TaskError> {
        let PartitionCamera {
            id, state, files, ..
        } = self;
        let id = &*id;
        let numbering = &mut state.numbering;
        let highest = || FrameTree::new(&folder.root, &folder.names).highest(id);
        let step = journal::name_record(numbering, &folder.journal, id, record, &highest);
        let failed = |source| TaskError::Journal {
            camera: id.clone(),
            source,
        };
        Ok(match step.map_err(failed)? {
            NumberingStep::Next(name) | NumberingStep::Began(name) => Naming::InTurn(name),
            NumberingStep::Late(name) => Naming::Alone(name),
            NumberingStep::Repeated(name) => match name {
                Some(name) if !files.contains(name, time, extension) => Naming::Alone(name),
                known => Naming::Before(known),
            },
            NumberingStep::Refused(refusal) => Naming::Refused(refusal),
            NumberingStep::Reserve(_) => {
                return Err(failed(JournalError::Unusable {
                    place: format!("of camera {id}"),
                    problem: format!("it has no name for frame number {}", record.number),
                }));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{partition::PartitionState, settings::TaskSettings};
    use std::fs;
    use std::path::Path;

    /// A partition of topic `t` that one query of one executor reads.
    struct TestPartition {
        folder: OutFolder,
        partition: PartitionState,
        offset: i64,
    }

    impl TestPartition {
        /// `topics` are the job's topics with their ids, `query` is the id in its checkpoint.
        fn open(out: &Path, topics: serde_json::Value, query: Option<&str>) -> Self {
            let json = serde_json::json!({ "out": out, "group": "g", "topics": topics });
            let settings = TaskSettings::from_json(&json.to_string()).unwrap();
            TestPartition {
                folder: OutFolder::open(&settings).unwrap(),
                partition: PartitionState::new(&settings, "t", 0, query),
                offset: 0,
            }
        }

        fn plain(out: &Path) -> Self {
            Self::open(out, serde_json::json!({}), None)
        }

        /// Names the next record of the camera. Its fingerprint is made of the number and `life`.
        fn try_name(
            &mut self,
            number: u64,
            life: u64,
            session: Option<&str>,
        ) -> Result<Naming, TaskError> {
            self.partition.enter(1, self.offset).unwrap();
            let topic = self.partition.topic();
            let tracked = self.partition.track(&"cam".parse().unwrap(), &self.folder);
            let camera = tracked?.unwrap();
            let record = RecordIdentity {
                number,
                session,
                fingerprint: number << 8 | life,
                topic: &topic,
                partition: 0,
                offset: self.offset,
            };
            self.offset += 1;
            camera.name(&record, Timestamp(0), &self.folder, "png")
        }

        /// Names a frame that follows the one before, and writes its file.
        fn frame(&mut self, number: u64, life: u64) -> u64 {
            match self.try_name(number, life, None).unwrap() {
                Naming::InTurn(name) => {
                    self.write(name);
                    name.0
                }
                other => panic!("frame {number}: {other:?}"),
            }
        }

        fn write(&self, name: FrameNumber) {
            let files = FrameDir::open(&self.folder.root, &"cam".parse().unwrap()).unwrap();
            fs::write(files.path(name, Timestamp(0), "png"), b"x").unwrap();
        }
    }

    #[test]
    fn a_camera_that_counts_again_gets_higher_names() {
        let out = tempfile::tempdir().unwrap();
        let mut log = TestPartition::plain(out.path());
        let lives = (0..3).flat_map(|life| (0..20).map(move |number| (number, life)));
        let names: Vec<u64> = lives
            .map(|(number, life)| log.frame(number, life))
            .collect();
        assert_eq!(names, (0..60).collect::<Vec<u64>>());
    }

    #[test]
    fn a_topic_created_again_under_another_checkpoint_never_reuses_a_name() {
        let told = |id: &str| serde_json::json!({ "t": id });
        for (before, after) in [
            ((serde_json::json!({}), "q1"), (serde_json::json!({}), "q2")),
            ((told("a"), "q1"), (told("b"), "q2")),
        ] {
            let out = tempfile::tempdir().unwrap();
            let mut log = TestPartition::open(out.path(), before.0, Some(before.1));
            let old: Vec<u64> = (0..20).map(|number| log.frame(number, 0)).collect();
            drop(log);
            let mut log = TestPartition::open(out.path(), after.0, Some(after.1));
            let new: Vec<u64> = (0..20).map(|number| log.frame(number, 1)).collect();
            assert!(new.iter().min() > old.iter().max(), "{old:?} {new:?}");
        }
    }

    #[test]
    fn the_same_topic_under_another_checkpoint_gives_the_same_names() {
        let out = tempfile::tempdir().unwrap();
        for query in ["q1", "q2"] {
            let mut log =
                TestPartition::open(out.path(), serde_json::json!({ "t": "a" }), Some(query));
            let lives = [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)];
            let names = lives.map(|(number, life)| log.frame(number, life));
            assert_eq!(names, [0, 1, 2, 3, 4, 5]);
        }
    }

    #[test]
    fn a_hostile_number_moves_no_name() {
        let out = tempfile::tempdir().unwrap();
        let mut log = TestPartition::plain(out.path());
        assert_eq!(log.frame(0, 0), 0);
        for number in [1 << 53, (1 << 48) + 1, 5_000_000] {
            let Naming::Refused(refusal) = log.try_name(number, 0, None).unwrap() else {
                panic!("{number} has a name")
            };
            assert_eq!(refusal.code, "implausible-number");
        }
        assert_eq!(log.frame(1, 0), 1);
    }

    #[test]
    fn a_repeated_record_is_processed_again_only_without_its_file() {
        let out = tempfile::tempdir().unwrap();
        let mut log = TestPartition::plain(out.path());
        for number in 0..3 {
            log.frame(number, 0);
        }
        let one = FrameNumber(1);
        assert_eq!(log.try_name(1, 0, None).unwrap(), Naming::Before(Some(one)));
        fs::remove_file(out.path().join("cam/frame_000001.png")).unwrap();
        assert_eq!(log.try_name(1, 0, None).unwrap(), Naming::Alone(one));
        // Its session is unknown now: it gets no name.
        assert_eq!(log.frame(0, 1), 3);
        assert_eq!(log.try_name(1, 0, None).unwrap(), Naming::Before(None));
        assert_eq!(log.frame(1, 1), 4);
    }

    #[test]
    fn with_sessions_a_late_frame_keeps_its_number() {
        let out = tempfile::tempdir().unwrap();
        let mut log = TestPartition::plain(out.path());
        for (number, expected) in [
            (0, Naming::InTurn(FrameNumber(0))),
            (5, Naming::InTurn(FrameNumber(5))),
            (3, Naming::Alone(FrameNumber(3))),
        ] {
            let naming = log.try_name(number, 0, Some("s")).unwrap();
            assert_eq!(naming, expected);
        }
    }

    #[test]
    fn without_its_journal_no_frame_gets_a_name() {
        let out = tempfile::tempdir().unwrap();
        let mut log = TestPartition::plain(out.path());
        log.frame(0, 0);
        let line = out.path().join(".mattebox/names/cam/000000.json");
        fs::write(&line, "?").unwrap();
        let mut other = TestPartition::plain(out.path());
        let error = other.try_name(0, 0, None).unwrap_err().to_string();
        assert!(
            error.contains("camera cam") && error.contains("no file is written"),
            "{error}"
        );
    }

    #[test]
    fn the_folder_of_another_job_is_refused() {
        let out = tempfile::tempdir().unwrap();
        let settings = |group: &str| {
            let json =
                serde_json::json!({ "out": out.path(), "group": group, "topics": { "t": null } });
            TaskSettings::from_json(&json.to_string()).unwrap()
        };
        OutFolder::check(&settings("a")).unwrap();
        assert!(fs::read_dir(out.path()).unwrap().next().is_none());
        let first = OutFolder::open(&settings("a")).unwrap();
        let second = OutFolder::open(&settings("a")).unwrap();
        for _ in 0..2 {
            for refused in [
                OutFolder::check(&settings("b")).err(),
                OutFolder::open(&settings("b")).err(),
            ] {
                let said = refused.unwrap().to_string();
                assert!(said.contains("the Spark job of group a, topic t"), "{said}");
            }
        }
        drop((first, second));
        OutFolder::check(&settings("b")).unwrap_err();
    }
}
