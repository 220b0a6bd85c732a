//! A full disk and a read-only folder give errors with advice, and leave no file behind.
#![cfg(target_os = "linux")]
use mattebox_core::frame::{CameraId, FrameNumber, Timestamp};
use mattebox_store::{FrameDir, OnExisting};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

/// A small file system in memory, gone when dropped.
struct TmpfsMount(tempfile::TempDir);

impl TmpfsMount {
    /// `None`, with a message, if this user may not mount.
    fn mount(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(folder.path());
        if command.output().is_ok_and(|done| done.status.success()) {
            return Some(TmpfsMount(folder));
        }
        eprintln!("skipped: needs the right to mount a small tmpfs");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for TmpfsMount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

fn camera() -> CameraId {
    "cam".parse().unwrap()
}

#[test]
fn a_full_disk_keeps_existing_files_and_gives_advice() {
    let Some(disk) = TmpfsMount::mount("size=1m") else {
        return;
    };
    let dir = FrameDir::open(disk.path(), &camera()).unwrap();
    let picture = vec![7; 300_000];
    let written = (0..)
        .take_while(|n| {
            dir.write(
                FrameNumber(*n),
                Timestamp(0),
                "png",
                &picture,
                OnExisting::Overwrite,
            )
            .is_ok()
        })
        .count();
    assert_eq!(written, 3);
    for on_existing in [OnExisting::Overwrite, OnExisting::Fail] {
        let number = if on_existing == OnExisting::Fail {
            9
        } else {
            0
        };
        let error = dir
            .write(
                FrameNumber(number),
                Timestamp(0),
                "png",
                &picture,
                on_existing,
            )
            .unwrap_err();
        assert_eq!(error.io_kind(), Some(ErrorKind::StorageFull));
        let message = error.to_string();
        assert!(
            message.contains("cam/frame_00000") && message.contains("free some space"),
            "{message}"
        );
    }
    let names: Vec<_> = fs::read_dir(dir.folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    for number in 0..3 {
        assert!(fs::read(dir.path(FrameNumber(number), Timestamp(0), "png")).unwrap() == picture);
    }
}

#[test]
fn a_read_only_file_system_is_named() {
    let Some(disk) = TmpfsMount::mount("size=1m") else {
        return;
    };
    let dir = FrameDir::open(disk.path(), &camera()).unwrap();
    let remounted = Command::new("mount")
        .args(["-o", "remount,ro"])
        .arg(disk.path())
        .status()
        .unwrap();
    assert!(remounted.success());
    let message = dir
        .write(
            FrameNumber(0),
            Timestamp(0),
            "png",
            b"x",
            OnExisting::Overwrite,
        )
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("frame_000000.png") && message.contains("the file system is read-only"),
        "{message}"
    );
    let other: CameraId = "other".parse().unwrap();
    let message = FrameDir::open(disk.path(), &other).unwrap_err().to_string();
    assert!(
        message.contains("other") && message.contains("the file system is read-only"),
        "{message}"
    );
}
