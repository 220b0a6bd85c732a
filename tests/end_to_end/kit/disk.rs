//! A disk that fills up soon.
use std::{path::Path, process::Command};
use tempfile::TempDir;

/// A small file system in memory, gone when dropped.
pub(crate) struct MemoryDisk(TempDir);

impl MemoryDisk {
    /// `None`, with a message, if this user may not mount.
    pub(crate) fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path());
        if command.output().is_ok_and(|done| done.status.success()) {
            return Some(MemoryDisk(folder));
        }
        eprintln!("skipped: needs the right to mount a small tmpfs");
        None
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for MemoryDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}
