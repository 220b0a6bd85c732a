//! FFmpeg as a child process, so that a decoder or encoder that crashes stops nothing else.
//!
//! * `process`: a child that never outlives its owner.
//! * `log`: the child's messages on stderr: its errors, and the streams of its input. `streams`:
//!   its description of a stream.
//! * `diagnose`: from FFmpeg's messages to ours.
//! * `nut`: pictures and sound to and from the child; `jpeg`, `jpeg_tables`: JPEG pictures that it
//!   passes on unchanged.
pub mod diagnose;
pub mod jpeg;
mod jpeg_tables;
pub mod log;
pub mod nut;
pub mod process;
pub mod streams;

use mattebox_engine::address::harmless;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use thiserror::Error;

/// An FFmpeg program that runs.
#[derive(Debug, Clone)]
pub struct Ffmpeg {
    program: PathBuf,
    version: String,
}

/// Why there is no FFmpeg.
#[derive(Debug, Error)]
pub enum FfmpegError {
    /// There is no such program.
    #[error(
        "FFmpeg is missing: there is no program {:?}. Install it with `{INSTALL}`, or name it \
         with --ffmpeg",
        harmless::path(.0)
    )]
    Missing(PathBuf),
    /// It does not run, or is another program.
    #[error(
        "{:?} does not work as FFmpeg: {problem}. Install FFmpeg with `{INSTALL}`, or name it \
         with --ffmpeg",
        harmless::path(program)
    )]
    Unusable {
        /// The program.
        program: PathBuf,
        /// The problem.
        problem: String,
    },
}

/// The command that installs FFmpeg on this system.
pub const INSTALL: &str = if cfg!(target_os = "macos") {
    "brew install ffmpeg"
} else if cfg!(windows) {
    "winget install ffmpeg"
} else {
    "apt-get install ffmpeg"
};

impl Ffmpeg {
    /// Takes `program` for a recent FFmpeg without asking it.
    pub fn presume(program: &Path) -> Ffmpeg {
        Ffmpeg {
            program: program.to_owned(),
            version: "unknown".to_owned(),
        }
    }

    /// Whether this FFmpeg takes the commands made for `other`.
    pub fn takes_options_of(&self, other: &Ffmpeg) -> bool {
        self.frame_mode("vfr") == other.frame_mode("vfr")
    }

    /// Looks for `program` (a path, or a name to be found in PATH) and asks for its version.
    pub fn find(program: &Path) -> Result<Ffmpeg, FfmpegError> {
        let unusable = |problem: String| FfmpegError::Unusable {
            program: program.to_owned(),
            problem,
        };
        let answer = Command::new(program)
            .arg("-version")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => FfmpegError::Missing(program.to_owned()),
                _ => unusable(error.to_string()),
            })?;
        let text = String::from_utf8_lossy(&answer.stdout);
        match text
            .strip_prefix("ffmpeg version ")
            .and_then(|rest| rest.split_whitespace().next())
        {
            Some(version) => Ok(Ffmpeg {
                program: program.to_owned(),
                version: version.to_owned(),
            }),
            None => Err(unusable(format!(
                "`-version` does not answer with a version ({})",
                answer.status
            ))),
        }
    }

    /// The version as FFmpeg prints it, such as `5.1.9-0+deb12u1` or `n7.1`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Major and minor version. A build from FFmpeg's repository has none and counts as new.
    fn release(&self) -> (u32, u32) {
        let mut numbers = self
            .version
            .trim_start_matches('n')
            .split(|c: char| !c.is_ascii_digit())
            .map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
            _ => (u32::MAX, 0),
        }
    }

    /// A command that never asks questions, and whose log has a level in each line, from `info` up.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args([
            "-nostdin",
            "-hide_banner",
            "-nostats",
            "-loglevel",
            "level+info",
        ]);
        // This program reads the messages, which must not have colours.
        command
            .env_remove("AV_LOG_FORCE_COLOR")
            .env_remove("AV_LOG_FORCE_256COLOR");
        command
    }

    /// The output option for the frame rate mode: `passthrough`, `vfr` or `cfr`.
    pub fn frame_mode(&self, mode: &'static str) -> [&'static str; 2] {
        // -fps_mode exists since 5.1; the newest versions have dropped its older name.
        [
            if self.release() >= (5, 1) {
                "-fps_mode"
            } else {
                "-vsync"
            },
            mode,
        ]
    }
}

/// A file's path for FFmpeg, in a form in which a colon or a dash in its name has no other meaning.
pub fn file_url(path: &Path) -> OsString {
    let mut url = OsString::from("file:");
    url.push(path);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_the_command_that_installs_it() {
        let text = Ffmpeg::find(Path::new("/no/such/ffmpeg"))
            .unwrap_err()
            .to_string();
        assert!(
            text.contains("/no/such/ffmpeg") && text.contains(INSTALL),
            "{text}"
        );
    }

    #[test]
    fn another_program_is_not_taken_for_ffmpeg() {
        let text = Ffmpeg::find(Path::new("cat")).unwrap_err().to_string();
        assert!(text.contains("does not work as FFmpeg"), "{text}");
    }

    #[test]
    fn releases_are_read_from_every_form_of_version() {
        let mode = |version: &str| {
            Ffmpeg {
                program: "ffmpeg".into(),
                version: version.into(),
            }
            .frame_mode("vfr")[0]
        };
        assert_eq!(mode("4.4.2-0ubuntu0.22.04.1"), "-vsync");
        assert_eq!(mode("5.0"), "-vsync");
        assert_eq!(mode("5.1.9-0+deb12u1"), "-fps_mode");
        assert_eq!(mode("n7.1"), "-fps_mode");
        assert_eq!(mode("N-118193-g5f38c82536"), "-fps_mode");
    }
}
