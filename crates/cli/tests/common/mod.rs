//! What the tests of sources and sinks share.
#![allow(dead_code, reason = "each test file uses a part of it")]
#[path = "../harness/inherited.rs"]
mod inherited;

use inherited::shield;
use mattebox::source::{self, Picture, Source, SourceError, SourceOptions};
use mattebox::stop::Stop;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The sample clip: 75 pictures of 640x360 at 25 per second.
pub(crate) fn sample() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../samples/person.mp4")
        .display()
        .to_string()
}

/// Runs FFmpeg to make a test's input. The arguments are separated by spaces; `{}` is the output's path.
pub(crate) fn ffmpeg(arguments: &str, output: &Path) -> PathBuf {
    let arguments = arguments
        .split_whitespace()
        .map(|word| word.replace("{sample}", &sample()));
    let mut command = Command::new("ffmpeg");
    let made = shield(&mut command)
        .args(["-nostdin", "-y", "-loglevel", "error"])
        .args(arguments)
        .arg(output)
        .status()
        .unwrap();
    assert!(made.success(), "ffmpeg could not make {}", output.display());
    output.to_owned()
}

pub(crate) fn try_open(
    spec: &str,
    options: &SourceOptions,
) -> Result<Box<dyn Source>, SourceError> {
    source::open(&spec.parse().unwrap(), options, &Stop::new())
}

pub(crate) fn open(spec: &str, options: &SourceOptions) -> Box<dyn Source> {
    try_open(spec, options).unwrap()
}

/// All pictures to the end.
pub(crate) fn collect(source: &mut dyn Source) -> Vec<Picture> {
    let stop = Stop::new();
    std::iter::from_fn(|| source.next(&stop).unwrap()).collect()
}

/// The error that opening or reading gives.
pub(crate) fn error_of(spec: &str, options: &SourceOptions) -> SourceError {
    let mut source = match try_open(spec, options) {
        Ok(source) => source,
        Err(error) => return error,
    };
    let stop = Stop::new();
    loop {
        match source.next(&stop) {
            Ok(Some(_)) => {}
            Ok(None) => panic!("{spec} ended without an error"),
            Err(error) => return error,
        }
    }
}

/// A small file system in memory, gone when dropped.
#[cfg(target_os = "linux")]
pub(crate) struct SmallDisk(tempfile::TempDir);

#[cfg(target_os = "linux")]
impl SmallDisk {
    /// `None`, and a line that says so, where this user may not mount.
    pub(crate) fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path());
        if command.output().is_ok_and(|done| done.status.success()) {
            return Some(SmallDisk(folder));
        }
        eprintln!("skipped: needs the right to mount a small tmpfs");
        None
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}
