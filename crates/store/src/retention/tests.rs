use super::*;
use crate::{FrameDir, FrameTree, OnExisting, owner::FolderClaim};
use mattebox_core::frame::Timestamp;
use proptest::prelude::*;
use std::{collections::HashSet, fs::File};

const HOUR: Duration = Duration::from_secs(3600);
const HOURS: &str = "{camera}/{date}/{hour}/frame_{number}";
/// 2026-01-31T12:00:00Z.
const NOON: u64 = 1_769_860_800;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOON)
}

/// An output folder.
struct OutputFolder {
    root: tempfile::TempDir,
    names: NameTemplate,
}

impl OutputFolder {
    fn new(names: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let names: NameTemplate = names.parse().unwrap();
        let owner = Owner::Run {
            default_folder: false,
        };
        FolderClaim::take(root.path(), &owner)
            .unwrap()
            .names(&names)
            .unwrap();
        OutputFolder { root, names }
    }

    fn dir(&self, camera: &str) -> FrameDir {
        FrameDir::open_named(self.root.path(), &camera.parse().unwrap(), &self.names).unwrap()
    }

    /// Writes a frame that was taken and written `hours_ago`.
    fn frame(&self, camera: &str, number: u64, hours_ago: u64, bytes: usize) -> PathBuf {
        let seconds = NOON - hours_ago * 3600;
        let (number, time) = (FrameNumber(number), Timestamp(seconds as i64 * 1_000_000));
        let dir = self.dir(camera);
        dir.write(number, time, "png", &vec![0; bytes], OnExisting::Fail)
            .unwrap();
        let path = dir.path(number, time, "png");
        age(&path, hours_ago);
        path
    }

    /// Writes another file, as old as `hours_ago`.
    fn file(&self, path: &str, hours_ago: u64, bytes: usize) -> PathBuf {
        let path = self.root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, vec![0; bytes]).unwrap();
        age(&path, hours_ago);
        path
    }

    fn pruner(&self, retention: Retention) -> Pruner<'_> {
        Pruner::new(self.root.path(), retention, false)
    }

    fn prune(&self, retention: Retention) -> PruneRound {
        self.pruner(retention).round(now(), &|| false).unwrap()
    }

    fn highest(&self, camera: &str) -> Option<u64> {
        let tree = FrameTree::new(self.root.path(), &self.names);
        let highest = tree.highest(&camera.parse().unwrap()).unwrap();
        highest.map(|number| number.0)
    }
}

fn age(path: &Path, hours_ago: u64) {
    let at = now() - HOUR * hours_ago as u32;
    File::options()
        .append(true)
        .open(path)
        .unwrap()
        .set_modified(at)
        .unwrap();
}

fn keep(hours: u32) -> Retention {
    Retention {
        keep: Some(HOUR * hours),
        keep_bytes: None,
    }
}

fn keep_bytes(bytes: u64) -> Retention {
    Retention {
        keep: None,
        keep_bytes: Some(bytes),
    }
}

#[test]
fn older_files_and_empty_days_are_removed() {
    let out = OutputFolder::new(HOURS);
    let old: Vec<_> = (0..3).map(|n| out.frame("a", n, 40 + n, 10)).collect();
    let new = out.frame("a", 9, 3, 10);
    let before = out.pruner(keep(24));
    let dry = Pruner {
        is_dry: true,
        ..before
    }
    .round(now(), &|| false)
    .unwrap();
    assert_eq!((dry.files(), dry.bytes()), (3, 30));
    let times = &dry.removed["a"];
    assert_eq!(
        (times.oldest, times.newest),
        (now() - HOUR * 42, now() - HOUR * 40)
    );
    assert!(
        old.iter().all(|path| path.exists()),
        "a dry run removes nothing"
    );
    assert_eq!(out.highest("a"), Some(9));
    let round = out.prune(keep(24));
    assert_eq!(round.removed, dry.removed);
    assert!(old.iter().all(|path| !path.exists()) && new.exists());
    let days: Vec<_> = fs::read_dir(out.root.path().join("a")).unwrap().collect();
    assert_eq!(days.len(), 1, "{days:?}");
    assert_eq!(out.prune(keep(1)).files(), 1);
    assert!(
        out.root.path().join("a").is_dir(),
        "the camera's folder stays"
    );
    assert!(!new.parent().unwrap().exists());
}

#[test]
fn the_oldest_files_of_all_cameras_are_removed_until_the_folder_is_small_enough() {
    let out = OutputFolder::new("{camera}/frame_{number}");
    let frames: Vec<_> = (0..12u64)
        .map(|n| out.frame(["a", "b", "c"][n as usize % 3], n, 100 - n, 1000))
        .collect();
    let other = out.file("a/notes.txt", 900, 5000);
    let all = out.prune(keep_bytes(u64::MAX)).bytes_left;
    let round = out.prune(keep_bytes(all - 4500));
    assert_eq!(round.files(), 5);
    // The whole folder counts; the file with the highest removed number counts in the next round.
    assert_eq!(round.bytes_left, all - 5000);
    let there: Vec<bool> = frames.iter().map(|path| path.exists()).collect();
    assert_eq!(there, (0..12).map(|n| n >= 5).collect::<Vec<_>>());
    assert!(other.exists());
}

#[test]
fn only_files_that_mattebox_has_named_are_removed() {
    let out = OutputFolder::new("{camera}/frame_{number}");
    let frame = out.frame("a", 1, 1000, 10);
    let others: Vec<_> = [
        "frame_000001.png",
        "a/frame_1.png",
        "a/frame_000002.png.bak",
        "a/frame_000002.txt",
        "a/.mattebox-123456789012.tmp",
        "a/deeper/frame_000001.png",
        "a/2026-01-01/00/frame_000001.png",
        ".hidden/frame_000001.png",
        ".state/a/frame_000001.png",
        ".mattebox/names/a/000000.json",
        ".mattebox/frame_000001.png",
        "rec-0001.mkv",
        "rec-0002.mkv",
    ]
    .iter()
    .map(|path| out.file(path, 1000, 10))
    .collect();
    fs::create_dir(out.root.path().join("a/frame_000003.png")).unwrap();
    fs::create_dir_all(out.root.path().join("b/2026-01-01")).unwrap();
    let round = out.prune(Retention {
        keep: Some(HOUR),
        keep_bytes: Some(0),
    });
    assert_eq!(round.files(), 1);
    assert!(!frame.exists());
    assert!(others.iter().all(|path| path.exists()));
    assert!(Owner::path(out.root.path()).exists());
    assert!(out.root.path().join("b/2026-01-01").is_dir());
}

#[cfg(unix)]
#[test]
fn nothing_behind_a_link_is_removed() {
    use std::os::unix::fs::symlink;
    let out = OutputFolder::new(HOURS);
    let elsewhere = OutputFolder::new(HOURS);
    let old = elsewhere.frame("a", 1, 1000, 10);
    let root = out.root.path();
    symlink(elsewhere.root.path().join("a"), root.join("a")).unwrap();
    fs::create_dir_all(root.join("b/2026-01-01")).unwrap();
    symlink(old.parent().unwrap(), root.join("b/2026-01-01/00")).unwrap();
    symlink(&old, root.join("b/2026-01-01/frame_000001.png")).unwrap();
    let round = out.prune(keep(1));
    assert_eq!(round.files(), 0);
    assert!(round.links.contains(&root.join("a")), "{:?}", round.links);
    assert!(old.exists() && root.join("b/2026-01-01/00").is_symlink());
}

#[test]
fn a_recording_keeps_its_newest_segment_and_unfinished_files() {
    let root = tempfile::tempdir().unwrap();
    let out = OutputFolder {
        root,
        names: NameTemplate::default(),
    };
    let path = |name: &str| out.root.path().join(name);
    recordings::note(&path("rec.mkv"), &path("rec-0000.mkv")).unwrap();
    for name in [
        "rec.mkv",
        "rec-0000.mkv",
        "rec-0001.mkv",
        "rec-0002.mkv",
        "rec-0001.unfinished.mkv",
        "other-0001.mkv",
    ] {
        out.file(name, 1000, 10);
    }
    let round = out.prune(keep(1));
    assert_eq!(round.removed["rec.mkv"].files, 2);
    assert!(!path("rec-0000.mkv").exists() && !path("rec-0001.mkv").exists());
    for stays in [
        "rec.mkv",
        "rec-0002.mkv",
        "rec-0001.unfinished.mkv",
        "other-0001.mkv",
    ] {
        assert!(path(stays).exists(), "{stays}");
    }
    assert_eq!(recordings::next(&path("rec.mkv"), 0), path("rec-0003.mkv"));
    out.file("rec-0003.unfinished.mkv", 0, 10);
    assert_eq!(out.prune(keep(1)).files(), 1);
    // Files from before the first recording of that name are not its own.
    let mine = out.file("own-0004.mkv", 1000, 10);
    recordings::note(&path("own.mkv"), &path("own-0005.mkv")).unwrap();
    out.file("own-0005.mkv", 1000, 10);
    out.file("own-0006.mkv", 1000, 10);
    assert_eq!(out.prune(keep(1)).files(), 1);
    assert!(mine.exists() && !path("own-0005.mkv").exists());
    assert_eq!(recordings::next(&path("rec.mkv"), 0), path("rec-0004.mkv"));
}

#[test]
fn a_folder_that_is_no_output_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let refused = |folder: &Path| {
        let pruner = Pruner::new(folder, keep(0), false);
        match pruner.round(now(), &|| false).unwrap_err() {
            RetentionError::NoOutput { is_empty, .. } => is_empty,
            other => panic!("{other}"),
        }
    };
    assert!(refused(root.path()) && refused(&root.path().join("missing")));
    fs::create_dir(root.path().join("a")).unwrap();
    let frame = root.path().join("a/frame_000000.png");
    fs::write(&frame, b"x").unwrap();
    assert!(!refused(root.path()));
    assert!(frame.exists());
}

#[test]
fn a_removed_number_is_never_used_again() {
    for names in [HOURS, "{camera}/frame_{number}", "frame_{number}"] {
        let out = OutputFolder::new(names);
        for number in 0..5 {
            out.frame("a", number, 10, 1);
        }
        assert_eq!(out.prune(keep(1)).files(), 5);
        assert_eq!(out.highest("a"), Some(4), "{names}");
        // All frames are removed on request: numbers begin again.
        out.dir("a").remove_frames().unwrap();
        assert_eq!(out.highest("a"), None);
    }
}

#[test]
fn a_stopped_round_removes_no_more() {
    let out = OutputFolder::new(HOURS);
    let frames: Vec<_> = (0..5).map(|n| out.frame("a", n, 10, 1)).collect();
    let round = out.pruner(keep(1)).round(now(), &|| true).unwrap();
    assert_eq!(round.files(), 0);
    assert!(frames.iter().all(|path| path.exists()));
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_removed_is_counted_and_harms_no_other() {
    use std::os::unix::fs::PermissionsExt;
    let out = OutputFolder::new("{camera}/frame_{number}");
    let stuck = out.frame("a", 0, 100, 10);
    let free = out.frame("b", 0, 50, 10);
    let mode = |mode| {
        let folder = stuck.parent().unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0o555);
    // Root may do everything.
    let may_all = File::create(stuck.parent().unwrap().join("x")).is_ok();
    let round = out.prune(keep(1));
    mode(0o755);
    if !may_all {
        assert_eq!((round.files(), round.failed), (1, 1));
        assert!(round.failure.unwrap().contains("frame_000000.png"));
        assert!(stuck.exists());
    }
    assert!(!free.exists());
}

#[derive(Debug, Clone)]
struct AgedFile {
    camera: usize,
    hours_ago: u64,
    bytes: usize,
}

fn file() -> impl Strategy<Value = AgedFile> {
    (0..3usize, 0..60u64, 0..2000usize).prop_map(|(camera, hours_ago, bytes)| AgedFile {
        camera,
        hours_ago,
        bytes,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_oldest_files_are_removed_and_no_more_than_necessary(
        files in prop::collection::vec(file(), 1..40),
        keep in prop::option::of(0..60u32),
        share in prop::option::of(0..120u64),
        batch in 1..50usize,
        names in prop::sample::select(vec![
            HOURS,
            "{camera}/frame_{number}",
            "{date}/{camera}/{number}",
        ]),
    ) {
        let out = OutputFolder::new(names);
        let paths: Vec<PathBuf> = files.iter().enumerate().map(|(n, file)| {
            out.frame(["a", "b", "c"][file.camera], n as u64, file.hours_ago, file.bytes)
        }).collect();
        let all = out.prune(Retention::default()).bytes_left;
        let retention = Retention {
            keep: keep.map(|hours| HOUR * hours),
            keep_bytes: share.map(|share| all * share / 100),
        };
        let pruner = Pruner { batch, ..out.pruner(retention) };
        let dry = Pruner { is_dry: true, batch, ..out.pruner(retention) };
        let dry = dry.round(now(), &|| false).unwrap();
        let round = pruner.round(now(), &|| false).unwrap();
        prop_assert_eq!(&dry.removed, &round.removed);
        let gone: HashSet<usize> = (0..files.len()).filter(|n| !paths[*n].exists()).collect();
        prop_assert_eq!(gone.len() as u64, round.files());
        // The same, in the simplest way.
        let mut order: Vec<usize> = (0..files.len()).collect();
        order.sort_by_key(|n| (std::cmp::Reverse(files[*n].hours_ago), paths[*n].clone()));
        let mut left = all;
        let mut expected = HashSet::new();
        for n in order {
            let is_old = keep.is_some_and(|keep| files[n].hours_ago > keep.into());
            let is_much = retention.keep_bytes.is_some_and(|keep| left > keep);
            if is_old || is_much {
                left -= files[n].bytes as u64;
                expected.insert(n);
            }
        }
        prop_assert_eq!(gone, expected);
        prop_assert_eq!(round.bytes_left, left);
    }
}
