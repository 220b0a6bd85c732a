//! The owner of a folder: the only writer into it at a time.
//!
//! `ROOT/.mattebox/owner` names the owner, also while no process writes. A process that writes
//! holds a lock on `ROOT/.mattebox/lock`: a run alone, workers and Spark's tasks shared, because
//! many of one group write into one folder. The system drops a lock with its process, so a killed
//! process blocks no other. On a file system without locks only the file `owner` counts.
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

/// The version of the file.
const VERSION: u32 = 1;

/// The owner of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Owner {
    /// A run.
    Run {
        /// All frames in the folder come from runs without `--out`.
        default_folder: bool,
    },
    /// The workers of a consumer group.
    Worker {
        /// The cluster's id.
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
        /// The name under which the job keeps its progress.
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
    /// The file that names a folder's owner.
    pub fn path(root: &Path) -> PathBuf {
        root.join(".mattebox").join("owner")
    }

    fn is_run(&self) -> bool {
        matches!(self, Owner::Run { .. })
    }

    /// Whether both read a topic of the same name as the same group, perhaps on two clusters.
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

    /// Reads the owner's file; `None` if there is none.
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

    /// Writes the file whole and durably: half a file would keep every process out.
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

/// Why a folder cannot be claimed. The text names the folder, its owner, and the ways out.
#[derive(Debug, Error)]
pub enum OwnerError {
    /// It belongs to another owner, who may be writing now or not.
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
    /// Workers of this group that read another cluster's topic write there now.
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
    /// A run writes there now.
    #[error(
        "another run writes into {} now: give another folder (--out), or stop that run (if it is \
         gone for good, remove {})",
        folder.display(), Owner::path(folder).display()
    )]
    RunLives {
        /// The folder.
        folder: PathBuf,
    },
    /// The file that names the owner cannot be read.
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
        /// The problem of the file.
        reason: String,
    },
    /// The folder has no other owner, but holds frames that the user has not asked to replace.
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
        /// The flag that sets the folder.
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
    /// Claims a folder for an owner. Creates the folder if it is missing.
    ///
    /// A folder without an owner gets this one. A run may claim the folder of a run that has ended;
    /// the file changes only with [`FolderClaim::renew`]. Workers and Spark jobs share a folder
    /// with those of the same topic and group. If only the cluster differs, they get the folder
    /// while no process writes there, and the file then names their cluster. Every other owner is
    /// refused.
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
        let attempt = ClaimAttempt {
            root,
            file: &file,
            lock: &lock,
            owner,
        };
        let previous = match owner {
            Owner::Run { .. } => attempt.alone()?,
            Owner::Worker { .. } | Owner::Spark { .. } => attempt.shared()?,
        };
        Ok(FolderClaim {
            root: root.to_owned(),
            previous,
            _lock: lock,
        })
    }

    /// Stores the template for the names of the folder's frames. While the folder holds frames,
    /// another template is refused.
    pub fn names(&self, names: &NameTemplate) -> Result<(), OwnerError> {
        folder_names::store(&self.root, names)
    }

    /// The owner that the folder had before.
    pub fn previous(&self) -> Option<&Owner> {
        self.previous.as_ref()
    }

    /// Whether the folder had no owner before.
    pub fn is_new(&self) -> bool {
        self.previous.is_none()
    }

    /// Writes the owner's file again, once it is certain that this owner continues in the folder of
    /// an earlier one.
    pub fn renew(&self, owner: &Owner) -> Result<(), OwnerError> {
        owner
            .write(&Owner::path(&self.root), OnExisting::Overwrite)
            .map(drop)
    }
}

/// Creates a folder that only this user can open, on systems with such permissions.
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

/// The result of a try to lock.
#[derive(Debug, PartialEq, Eq)]
enum LockResult {
    Yes,
    /// Another process has it.
    Busy,
}

/// A file system without locks keeps no process out; nothing worse happens.
fn locked(tried: Result<(), TryLockError>) -> LockResult {
    match tried {
        Err(TryLockError::WouldBlock) => LockResult::Busy,
        Ok(()) | Err(TryLockError::Error(_)) => LockResult::Yes,
    }
}

/// One attempt to claim a folder.
struct ClaimAttempt<'a> {
    root: &'a Path,
    file: &'a Path,
    lock: &'a File,
    owner: &'a Owner,
}

impl ClaimAttempt<'_> {
    /// Claims it for a run, which writes alone. Returns the owner before.
    fn alone(&self) -> Result<Option<Owner>, OwnerError> {
        // Before the lock, so that a run that is refused does not disturb the workers of the
        // folder.
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

    /// Claims it for workers and Spark jobs, which share it. Returns the owner before.
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
                    // This waits briefly at most: only a worker of another cluster holds such a
                    // lock alone, while it reads the file.
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

    /// Writes the new cluster into the file if no worker of the old one lives. The caller then
    /// reads the file again.
    fn change_cluster(&self, found: &Owner) -> Result<(), OwnerError> {
        let is_unchanged = || Ok::<_, OwnerError>(self.read()?.as_ref() == Some(found));
        if locked(self.lock.try_lock()) == LockResult::Yes {
            if is_unchanged()? {
                self.owner.write(self.file, OnExisting::Overwrite)?;
            }
        } else {
            // Another worker of the new cluster may be writing the file, which is brief.
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

    /// An error if the process that holds the lock has not yet written the owner's file.
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
        // The folder of a run that has ended is open to other runs, but not to workers.
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
    fn the_file_has_a_version_and_names_the_owner() {
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
            "the run has not decided yet whether it keeps the frames"
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
            // It belongs to them also while none of them lives.
            drop((first, second));
            refuses();
            assert_eq!(written(root.path()), Some(owner));
        }
    }

    #[test]
    fn another_cluster_gets_a_folder_when_no_worker_of_the_old_one_lives() {
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
        // Other workers of the new cluster share it, and those of the old one do not.
        FolderClaim::take(root.path(), &new).unwrap();
        refused(root.path(), &old, &["cluster new", "now"]);
    }

    #[test]
    fn a_file_that_cannot_be_read_keeps_all_out() {
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
                "the file is unchanged"
            );
        }
    }

    /// Claims one folder for each owner at the same time, each on a thread.
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
