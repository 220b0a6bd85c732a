//! The exit codes of the process, and the errors that lead to each.
//!
//! An error says whose fault it is ([`ErrorDomain`], or the type itself); only this file has the
//! numbers.
use crate::{config::ConfigError, output::OutputError, run::report::RunReport};
use mattebox_engine::{ErrorDomain, StartError};
use mattebox_kafka::{KafkaError, camera::report::PublishReport, worker::report::WorkerReport};
use mattebox_store::retention::RetentionError;
use std::process::ExitCode;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The command did everything that it was asked for.
    Done,
    /// A frame, a file or an output failed.
    Failed,
    /// The user's fault: arguments, settings, or files that settings name.
    Usage,
    /// The fault of a camera, server or broker: it did not answer in time.
    Unreachable,
    /// The command is done, but frames were lost before they reached it.
    FramesLost,
    /// A signal stopped the command.
    Stopped,
}

impl Exit {
    /// Every way to end, in the order of the numbers.
    pub const ALL: [Exit; 6] = [
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::Unreachable,
        Exit::FramesLost,
        Exit::Stopped,
    ];

    /// The exit code.
    pub const fn number(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Unreachable => 3,
            Exit::FramesLost => 4,
            // 128 and the number of SIGINT, as shells count.
            Exit::Stopped => 130,
        }
    }

    /// The meaning in a line of `--help`.
    pub const fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "done",
            Exit::Failed => "failed",
            Exit::Usage => "wrong usage or settings",
            Exit::Unreachable => "a camera, server or broker could not be reached in time",
            Exit::FramesLost => "done, but frames were lost before they arrived",
            Exit::Stopped => "stopped by Ctrl-C or a signal",
        }
    }

    /// The words that manual pages add to the meaning.
    pub const fn details(self) -> &'static str {
        match self {
            Exit::Failed => ": a frame, a file or an output; standard error says which",
            Exit::Usage => ": another try gives the same",
            _ => "",
        }
    }

    /// The way to end after an error of any type.
    pub fn of(error: &anyhow::Error) -> Self {
        if error.is::<ConfigError>() {
            return Exit::Usage;
        }
        None.or_else(|| error.downcast_ref::<StartError>().map(Exit::from))
            .or_else(|| error.downcast_ref::<KafkaError>().map(Exit::from))
            .or_else(|| error.downcast_ref::<RetentionError>().map(Exit::from))
            .or_else(|| error.downcast_ref::<OutputError>().map(Exit::from))
            .unwrap_or(Exit::Failed)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.number())
    }
}

impl From<ErrorDomain> for Exit {
    fn from(domain: ErrorDomain) -> Self {
        match domain {
            ErrorDomain::User => Exit::Usage,
            ErrorDomain::Outside => Exit::Unreachable,
            ErrorDomain::Work => Exit::Failed,
            ErrorDomain::Stopped => Exit::Stopped,
        }
    }
}

impl From<&StartError> for Exit {
    fn from(error: &StartError) -> Self {
        error.domain().into()
    }
}

impl From<&KafkaError> for Exit {
    fn from(error: &KafkaError) -> Self {
        error.domain().into()
    }
}

impl From<&RunReport> for Exit {
    fn from(report: &RunReport) -> Self {
        of_cameras(
            report.failed(),
            report.interrupted,
            report.has_failed_frames(),
        )
    }
}

impl From<&PublishReport> for Exit {
    fn from(report: &PublishReport) -> Self {
        of_cameras(
            report.failed(),
            report.interrupted,
            report.has_failed_frames(),
        )
    }
}

/// The first failed camera decides, then a signal, then a failed frame.
fn of_cameras(failed: Option<ErrorDomain>, is_interrupted: bool, has_failed_frames: bool) -> Exit {
    match failed {
        Some(domain) => domain.into(),
        None if is_interrupted => Exit::Stopped,
        None if has_failed_frames => Exit::Failed,
        None => Exit::Done,
    }
}

impl From<&WorkerReport> for Exit {
    fn from(report: &WorkerReport) -> Self {
        match report.interrupted {
            true => Exit::Stopped,
            false if report.lost() > 0 => Exit::FramesLost,
            false => Exit::Done,
        }
    }
}

impl From<&RetentionError> for Exit {
    fn from(error: &RetentionError) -> Self {
        match error {
            RetentionError::NoOutput { .. } => Exit::Usage,
            RetentionError::Store(_) => Exit::Failed,
        }
    }
}

impl From<&OutputError> for Exit {
    fn from(_: &OutputError) -> Self {
        Exit::Failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;
    use mattebox_engine::background::BackgroundSourceError;
    use std::io;

    #[test]
    fn every_exit_has_a_number_of_its_own() {
        let mut numbers = Exit::ALL.map(Exit::number).to_vec();
        numbers.dedup();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 130]);
    }

    #[test]
    fn an_error_keeps_its_exit_code_under_a_context() {
        let wrong = ConfigError::Conflict("both".to_owned());
        let wrong = Err::<(), _>(wrong).context("settings").unwrap_err();
        assert_eq!(Exit::of(&wrong), Exit::Usage);
        let start = StartError::Background(BackgroundSourceError::Unreadable {
            file: "beach.jpg".to_owned(),
            error: io::Error::other("no such file"),
        });
        assert_eq!(Exit::of(&start.into()), Exit::Usage);
        assert_eq!(Exit::of(&KafkaError::Stopped.into()), Exit::Stopped);
        assert_eq!(Exit::of(&anyhow::anyhow!("other")), Exit::Failed);
    }
}
