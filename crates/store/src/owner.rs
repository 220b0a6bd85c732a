//! Who writes into a folder: one owner at a time.
//!
//! `ROOT/.mattebox/owner` names the owner, also while no process writes; the lock on
//! `ROOT/.mattebox/lock` says whether one does. A run locks it for itself. Workers and Spark's
//! tasks share it: many of one group write into one folder. The system drops a lock with its
//! process, so a process that was killed blocks no other. On a file system without locks only the
//! first file counts.
use crate::error::StoreError;
use crate::folder_names;
use crate::name_template::NameTemplate;
use crate::pending::{OnExisting, Outcome, PendingFile, create_folder};
use mattebox_core::frame::CameraId;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::{fmt, io};
use thiserror::Error;

/// What the file says in `version`.
const VERSION: u32 = 1;

/// Who writes into a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Owner {
    /// A run.
    Run {
        /// Every frame in the folder is of runs without `--out`.
        default_folder: bool,
    },
    /// The workers of a consumer group.
    Worker {
        /// The id that the brokers gave their cluster.
        cluster: String,
        /// The topic of the frames.
        topic: String,
        /// The consumer group.
        group: String,
    },
    /// A Spark job.
    Spark {
        /// The topic of the frames.
        topic: String,
        /// The name that the job gives its progress.
        group: String,
    },
}

/// The whole file.
#[derive(Serialize, Deserialize)]
struct OwnerFile {
    version: u32,
    #[serde(flatten)]
    owner: Owner,
}

impl Owner {
    /// Where a folder's owner is written down.
    pub fn path(root: &Path) -> PathBuf {
        root.join(".mattebox").join("owner")
    }

    fn is_run(&self) -> bool {
        matches!(self, Owner::Run { .. })
    }

    /// Whether both read one topic as one group, maybe of two clusters.
    fn is_same_but_for_cluster(&self, other: &Owner) -> bool {
        match (self, other) {
            (
                Owner::Worker { topic, group, .. },
                Owner::Worker {
                    topic: other_topic,
                    group: other_group,
                    ..
                },
            ) => topic == other_topic && group == other_group,
            _ => false,
        }
    }

    /// What the file says; `None` where there is none.
    fn read(path: &Path) -> Result<Option<Owner>, OwnerError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", path)(error).into()),
        };
        let unreadable = |reason: String| OwnerError::Unreadable {
            folder: folder_of(path),
            file: path.to_owned(),
            reason,
        };
        let file: OwnerFile =
            serde_json::from_slice(&bytes).map_err(|e| unreadable(e.to_string()))?;
        if file.version != VERSION {
            let version = file.version;
            return Err(unreadable(format!(
                "it has version {version}, and this program knows version {VERSION}"
            )));
        }
        Ok(Some(file.owner))
    }

    /// Writes the file whole. It outlives a power failure: half a file would keep every process
    /// out.
    fn write(&self, path: &Path, on_existing: OnExisting) -> Result<Outcome, OwnerError> {
        let file = OwnerFile {
            version: VERSION,
            owner: self.clone(),
        };
        let mut bytes = serde_json::to_vec(&file)
            .map_err(|e| StoreError::io("write", path)(io::Error::other(e)))?;
        bytes.push(b'\n');
        let mut pending = PendingFile::create(path)?;
        pending.write_all(&bytes)?;
        Ok(pending.commit(on_existing, true)?)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Run { .. } => f.write_str("a run"),
            Owner::Worker {
                cluster,
                topic,
                group,
            } => write!(
                f,
                "the workers of group {group}, topic {topic}, cluster {cluster}"
            ),
            Owner::Spark { topic, group } => {
                write!(f, "the Spark job of group {group}, topic {topic}")
            }
        }
    }
}

/// Why a folder cannot be had. The text names the folder, who has it, and the ways out.
#[derive(Debug, Error)]
pub enum OwnerError {
    /// It belongs to another owner, who may be writing or not.
    #[error(
        "{} belongs to {found}: give another folder (--out), or stop that writer, and remove {} \
         if it is gone for good",
        folder.display(), Owner::path(folder).display()
    )]
    Taken {
        /// The folder.
        folder: PathBuf,
        /// Who has it.
        found: Owner,
    },
    /// Workers of this group write there now that read the topic of another cluster.
    #[error(
        "{} belongs to {found}, who write there now, and not to {wanted}: give another folder \
         (--out), or stop them first, and remove {} if they are gone for good",
        folder.display(), Owner::path(folder).display()
    )]
    OtherCluster {
        /// The folder.
        folder: PathBuf,
        /// Who has it.
        found: Box<Owner>,
        /// Who was refused.
        wanted: Box<Owner>,
    },
    /// A run writes there at this moment.
    #[error(
        "another run writes into {} now: give another folder (--out), or stop that run (if it is \
         gone for good, remove {})",
        folder.display(), Owner::path(folder).display()
    )]
    RunLives {
        /// The folder.
        folder: PathBuf,
    },
    /// The file that says who has the folder cannot be understood.
    #[error(
        "{} has an owner, but {} cannot be read: {reason}. Give another folder (--out), use the \
         newest mattebox that wrote there, or remove that file if no one else writes into the \
         folder",
        folder.display(), file.display()
    )]
    Unreadable {
        /// The folder.
        folder: PathBuf,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No other owner has the folder, but it holds frames that the user has not given up.
    #[error(
        "{} already holds frames of camera {camera}: remove them with --on-existing overwrite, \
         number the new ones above them with --append, or give another folder ({setting})",
        folder.display()
    )]
    HoldsFrames {
        /// The folder, without that of the camera.
        folder: PathBuf,
        /// The camera.
        camera: CameraId,
        /// The flag that names the folder.
        setting: &'static str,
    },
    /// Its frames have names of another template.
    #[error(
        "the frames in {} are called {found}, and not {wanted}: give --name '{found}' or another \
         folder (--out), or move those frames away first",
        folder.display()
    )]
    OtherNames {
        /// The folder.
        folder: PathBuf,
        /// The template of its frames.
        found: String,
        /// The template that was refused.
        wanted: String,
    },
    /// The system refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The folder of an owner's file.
fn folder_of(file: &Path) -> PathBuf {
    let root = file.parent().and_then(Path::parent);
    root.unwrap_or(Path::new(".")).to_owned()
}

/// The right to write into a folder, as long as this value lives.
#[derive(Debug)]
pub struct FolderClaim {
    root: PathBuf,
    previous: Option<Owner>,
    /// Open for its lock.
    _lock: File,
}

impl FolderClaim {
    /// Takes a folder for an owner. The folder is made if it is missing.
    ///
    /// A folder without an owner gets this one. A run may take the folder of a run that has ended;
    /// the file stays as it is until [`FolderClaim::renew`]. Workers and Spark jobs share a folder
    /// with those of the same topic and group. If only the cluster differs they get it while no
    /// process writes there, and the file then names their cluster. Every other owner is refused.
    pub fn take(root: &Path, owner: &Owner) -> Result<FolderClaim, OwnerError> {
        create_folder(root)?;
        let file = Owner::path(root);
        let folder = file.parent().unwrap_or(root);
        create_private_folder(folder)?;
        let lock_path = folder.join("lock");
        let lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .map_err(StoreError::io("open", &lock_path))?;
        let taking = ClaimAttempt {
            root,
            file: &file,
            lock: &lock,
            owner,
        };
        let previous = match owner {
            Owner::Run { .. } => taking.alone()?,
            Owner::Worker { .. } | Owner::Spark { .. } => taking.shared()?,
        };
        Ok(FolderClaim {
            root: root.to_owned(),
            previous,
            _lock: lock,
        })
    }

    /// Writes down by which template the folder's frames are called. Another one is refused while
    /// frames are there.
    pub fn names(&self, names: &NameTemplate) -> Result<(), OwnerError> {
        folder_names::settle(&self.root, names)
    }

    /// The owner that the folder had before.
    pub fn previous(&self) -> Option<&Owner> {
        self.previous.as_ref()
    }

    /// Whether the folder had no owner before.
    pub fn is_new(&self) -> bool {
        self.previous.is_none()
    }

    /// Writes the owner down again, when it is certain that it goes on with the folder of an
    /// earlier one.
    pub fn renew(&self, owner: &Owner) -> Result<(), OwnerError> {
        owner
            .write(&Owner::path(&self.root), OnExisting::Overwrite)
            .map(drop)
    }
}

/// A folder that only this user may look into, as far as the system has that.
pub(crate) fn create_private_folder(folder: &Path) -> Result<(), StoreError> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    match builder.create(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made.map_err(StoreError::io("create the folder", folder)),
    }
}

/// What a lock said.
#[derive(Debug, PartialEq, Eq)]
enum LockResult {
    Yes,
    /// Another process has it.
    Busy,
}

/// A file system without locks keeps no process out; that is all it loses.
fn locked(tried: Result<(), TryLockError>) -> LockResult {
    match tried {
        Err(TryLockError::WouldBlock) => LockResult::Busy,
        Ok(()) | Err(TryLockError::Error(_)) => LockResult::Yes,
    }
}

/// One attempt to take a folder.
struct ClaimAttempt<'a> {
    root: &'a Path,
    file: &'a Path,
    lock: &'a File,
    owner: &'a Owner,
}

impl ClaimAttempt<'_> {
    /// For a run, which writes alone. Returns the owner before.
    fn alone(&self) -> Result<Option<Owner>, OwnerError> {
        // Before the lock: the workers of a folder are not disturbed by one that cannot have it.
        self.runs_only(self.read()?)?;
        if locked(self.lock.try_lock()) == LockResult::Busy {
            self.runs_only(self.read()?)?;
            return Err(self.run_lives());
        }
        let found = self.runs_only(self.read()?)?;
        if found.is_some() {
            return Ok(found);
        }
        match self.owner.write(self.file, OnExisting::Skip)? {
            Outcome::Written => Ok(None),
            // Without locks another process may be faster.
            Outcome::Skipped | Outcome::KeptDifferent => self.runs_only(self.read()?),
        }
    }

    fn runs_only(&self, found: Option<Owner>) -> Result<Option<Owner>, OwnerError> {
        match found {
            Some(other) if !other.is_run() => Err(self.taken(other)),
            found => Ok(found),
        }
    }

    /// For workers and Spark jobs, which share. Returns the owner before.
    fn shared(&self) -> Result<Option<Owner>, OwnerError> {
        let mut previous = None;
        let mut is_new = false;
        loop {
            match self.read()? {
                None => {
                    // A run has locked the folder and is about to write its name.
                    if locked(self.lock.try_lock_shared()) == LockResult::Busy {
                        self.has_owner_now()?;
                    } else if self.owner.write(self.file, OnExisting::Skip)? == Outcome::Written {
                        is_new = true;
                    }
                }
                Some(found) if found == *self.owner => {
                    // This waits for a moment at most: only a worker of another cluster locks such
                    // a folder alone, to look.
                    let _ = self.lock.lock_shared();
                    if self.read()?.as_ref() == Some(self.owner) {
                        return Ok(if is_new {
                            None
                        } else {
                            previous.or(Some(found))
                        });
                    }
                    let _ = self.lock.unlock();
                }
                Some(found) if found.is_same_but_for_cluster(self.owner) => {
                    self.change_cluster(&found)?;
                    previous = Some(found);
                }
                Some(found) => return Err(self.taken(found)),
            }
        }
    }

    /// Writes the new cluster down if no worker of the old one lives. The caller then reads the
    /// file again.
    fn change_cluster(&self, found: &Owner) -> Result<(), OwnerError> {
        let is_unchanged = || Ok::<_, OwnerError>(self.read()?.as_ref() == Some(found));
        if locked(self.lock.try_lock()) == LockResult::Yes {
            if is_unchanged()? {
                self.owner.write(self.file, OnExisting::Overwrite)?;
            }
        } else {
            // Another worker of the new cluster may be writing it down: that takes a moment.
            let _ = self.lock.lock_shared();
            if is_unchanged()? {
                return Err(OwnerError::OtherCluster {
                    folder: self.root.to_owned(),
                    found: Box::new(found.clone()),
                    wanted: Box::new(self.owner.clone()),
                });
            }
        }
        let _ = self.lock.unlock();
        Ok(())
    }

    /// Refuses if the process that has locked the folder has not yet written its name.
    fn has_owner_now(&self) -> Result<(), OwnerError> {
        match self.read()? {
            Some(_) => Ok(()),
            None => Err(self.run_lives()),
        }
    }

    fn read(&self) -> Result<Option<Owner>, OwnerError> {
        Owner::read(self.file)
    }

    fn taken(&self, found: Owner) -> OwnerError {
        // A run that has ended gives its folder to other runs, but not to workers.
        let lives = found.is_run() && locked(self.lock.try_lock_shared()) == LockResult::Busy;
        match lives {
            true => self.run_lives(),
            false => OwnerError::Taken {
                folder: self.root.to_owned(),
                found,
            },
        }
    }

    fn run_lives(&self) -> OwnerError {
        OwnerError::RunLives {
            folder: self.root.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::thread;

    const RUN: Owner = Owner::Run {
        default_folder: false,
    };

    fn worker(cluster: &str, topic: &str, group: &str) -> Owner {
        Owner::Worker {
            cluster: cluster.to_owned(),
            topic: topic.to_owned(),
            group: group.to_owned(),
        }
    }

    fn spark(topic: &str, group: &str) -> Owner {
        Owner::Spark {
            topic: topic.to_owned(),
            group: group.to_owned(),
        }
    }

    fn written(root: &Path) -> Option<Owner> {
        Owner::read(&Owner::path(root)).unwrap()
    }

    fn refused(root: &Path, owner: &Owner, words: &[&str]) -> OwnerError {
        let error = FolderClaim::take(root, owner).expect_err("it has an owner");
        let text = error.to_string();
        let folder = root.display().to_string();
        for word in [&[&*folder, "--out", ".mattebox/owner"], words].concat() {
            assert!(text.contains(word), "{word:?} is missing in {text:?}");
        }
        error
    }

    #[test]
    fn a_folder_without_an_owner_gets_one_in_a_private_folder() {
        for owner in [
            Owner::Run {
                default_folder: true,
            },
            worker("c", "t", "g"),
            spark("t", "g"),
        ] {
            let root = tempfile::tempdir().unwrap();
            let folder = root.path().join("new/er");
            let claim = FolderClaim::take(&folder, &owner).unwrap();
            assert!(claim.is_new() && claim.previous().is_none());
            assert_eq!(written(&folder), Some(owner));
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                let mode = fs::metadata(folder.join(".mattebox"))
                    .unwrap()
                    .permissions();
                assert_eq!(mode.mode() & 0o777, 0o700);
            }
        }
    }

    #[test]
    fn the_file_has_a_version_and_says_who() {
        let root = tempfile::tempdir().unwrap();
        FolderClaim::take(root.path(), &worker("c", "t", "g")).unwrap();
        let text = fs::read_to_string(Owner::path(root.path())).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"version":1,"kind":"worker","cluster":"c","topic":"t","group":"g"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_run_that_lives_keeps_all_others_out() {
        let root = tempfile::tempdir().unwrap();
        let claim = FolderClaim::take(root.path(), &RUN).unwrap();
        for owner in [RUN, worker("c", "t", "g"), spark("t", "g")] {
            let error = refused(root.path(), &owner, &["another run", "now"]);
            assert!(matches!(error, OwnerError::RunLives { .. }), "{error:?}");
        }
        // Also from a folder whose file was removed.
        fs::remove_file(Owner::path(root.path())).unwrap();
        refused(root.path(), &worker("c", "t", "g"), &["another run"]);
        refused(root.path(), &RUN, &["another run"]);
        drop(claim);
        assert!(FolderClaim::take(root.path(), &RUN).unwrap().is_new());
    }

    #[test]
    fn the_folder_of_a_run_that_has_ended_is_for_runs() {
        let root = tempfile::tempdir().unwrap();
        let first = Owner::Run {
            default_folder: true,
        };
        drop(FolderClaim::take(root.path(), &first).unwrap());
        refused(root.path(), &worker("c", "t", "g"), &["belongs to a run"]);
        refused(root.path(), &spark("t", "g"), &["belongs to a run"]);
        let claim = FolderClaim::take(root.path(), &RUN).unwrap();
        assert_eq!(
            (claim.is_new(), claim.previous()),
            (false, Some(&first)),
            "what becomes of its frames is not decided yet"
        );
        assert_eq!(written(root.path()), Some(first));
        claim.renew(&RUN).unwrap();
        assert_eq!(written(root.path()), Some(RUN));
    }

    #[test]
    fn workers_of_one_group_share_a_folder_and_others_are_refused() {
        for (owner, others) in [
            (
                worker("c", "t", "g"),
                [
                    worker("c", "u", "g"),
                    worker("c", "t", "h"),
                    spark("t", "g"),
                    RUN,
                ],
            ),
            (
                spark("t", "g"),
                [spark("u", "g"), spark("t", "h"), worker("c", "t", "g"), RUN],
            ),
        ] {
            let root = tempfile::tempdir().unwrap();
            let first = FolderClaim::take(root.path(), &owner).unwrap();
            let second = FolderClaim::take(root.path(), &owner).unwrap();
            assert!(first.is_new());
            assert_eq!(second.previous(), Some(&owner));
            let refuses = || {
                for other in &others {
                    refused(root.path(), other, &["group g", "topic t"]);
                }
            };
            refuses();
            // It is theirs also while none of them lives.
            drop((first, second));
            refuses();
            assert_eq!(written(root.path()), Some(owner));
        }
    }

    #[test]
    fn another_cluster_takes_a_folder_over_when_no_worker_of_the_old_one_lives() {
        let root = tempfile::tempdir().unwrap();
        let old = worker("old", "t", "g");
        let new = worker("new", "t", "g");
        let living = FolderClaim::take(root.path(), &old).unwrap();
        refused(root.path(), &new, &["cluster old", "cluster new", "now"]);
        assert_eq!(written(root.path()), Some(old.clone()));
        drop(living);
        let claim = FolderClaim::take(root.path(), &new).unwrap();
        assert_eq!(claim.previous(), Some(&old));
        assert_eq!(written(root.path()), Some(new.clone()));
        // The others of its group come along, and the old ones do not.
        FolderClaim::take(root.path(), &new).unwrap();
        refused(root.path(), &old, &["cluster new", "now"]);
    }

    #[test]
    fn a_file_that_cannot_be_understood_keeps_all_out() {
        for text in [
            "",
            "{}",
            "{\"version\":1,\"kind\":\"cat\"}",
            "{\"version\":2,\"kind\":\"run\",\"default_folder\":true}",
        ] {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir(root.path().join(".mattebox")).unwrap();
            fs::write(Owner::path(root.path()), text).unwrap();
            for owner in [RUN, worker("c", "t", "g"), spark("t", "g")] {
                let error = refused(root.path(), &owner, &["remove that file"]);
                assert!(matches!(error, OwnerError::Unreadable { .. }), "{error:?}");
            }
            assert_eq!(
                fs::read_to_string(Owner::path(root.path())).unwrap(),
                text,
                "it is left as it is"
            );
        }
    }

    /// Takes one folder from a thread for each owner at the same time.
    fn at_once(root: &Path, owners: &[Owner]) -> Vec<Result<FolderClaim, OwnerError>> {
        let start = Barrier::new(owners.len());
        thread::scope(|scope| {
            let threads: Vec<_> = owners
                .iter()
                .map(|owner| {
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        FolderClaim::take(root, owner)
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        })
    }

    #[test]
    fn of_two_runs_at_once_one_gets_the_folder() {
        for _ in 0..20 {
            let root = tempfile::tempdir().unwrap();
            let claims = at_once(root.path(), &[RUN, RUN]);
            assert_eq!(claims.iter().filter(|claim| claim.is_ok()).count(), 1);
        }
    }

    #[test]
    fn workers_of_one_group_all_get_a_folder_at_once_and_one_of_them_first() {
        for _ in 0..20 {
            let root = tempfile::tempdir().unwrap();
            let owners: Vec<Owner> = (0..4).map(|_| worker("c", "t", "g")).collect();
            let claims = at_once(root.path(), &owners);
            let is_new = |claim: &Result<FolderClaim, OwnerError>| claim.as_ref().unwrap().is_new();
            assert_eq!(claims.iter().filter(|claim| is_new(claim)).count(), 1);
        }
    }

    #[test]
    fn of_two_groups_at_once_one_gets_the_folder() {
        for _ in 0..20 {
            let root = tempfile::tempdir().unwrap();
            let claims = at_once(root.path(), &[worker("c", "t", "g"), worker("c", "t", "h")]);
            assert_eq!(claims.iter().filter(|claim| claim.is_ok()).count(), 1);
        }
    }

    #[test]
    fn a_whole_group_moves_to_another_cluster_at_once() {
        for _ in 0..20 {
            let root = tempfile::tempdir().unwrap();
            drop(FolderClaim::take(root.path(), &worker("old", "t", "g")).unwrap());
            let owners: Vec<Owner> = (0..4).map(|_| worker("new", "t", "g")).collect();
            for claim in at_once(root.path(), &owners) {
                claim.unwrap();
            }
            assert_eq!(written(root.path()), Some(worker("new", "t", "g")));
        }
    }
}
