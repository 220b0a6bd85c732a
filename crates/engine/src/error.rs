//! Errors at the start of a command, and whose fault an error is.
use crate::{
    background::BackgroundSourceError, camera_settings::CameraSettingsError, trace::TraceError,
};
use mattebox_net::SimdError;
use mattebox_store::{OwnerError, StoreError};
use std::net::SocketAddr;
use thiserror::Error;

/// Whose fault an error is. The binary has an exit code for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorDomain {
    /// The user's: arguments, settings, or files that settings name. A retry fails too.
    User,
    /// A camera, server or broker did not answer in time.
    Outside,
    /// A frame, a file or an output failed.
    Work,
    /// No fault: a signal stopped the process.
    Stopped,
}

/// Why a run could not begin.
#[derive(Debug, Error)]
pub enum StartError {
    /// The network cannot be used.
    #[error("model {path}: {reason}")]
    Model {
        /// Its file, or "built in".
        path: String,
        /// The problem.
        reason: String,
    },
    /// The background's file cannot be used.
    #[error(transparent)]
    Background(#[from] BackgroundSourceError),
    /// The settings of single cameras cannot be used.
    #[error(transparent)]
    Cameras(#[from] CameraSettingsError),
    /// The output folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The output folder has another owner, or holds frames of an earlier run.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// The processor lacks the vector instructions.
    #[error(transparent)]
    Simd(#[from] SimdError),
    /// The live page or the metrics cannot be served.
    #[error("cannot serve at {address}: {source}")]
    Http {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        source: std::io::Error,
    },
    /// Traces cannot be sent.
    #[error("traces: {0}: check --otlp")]
    Trace(TraceError),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl StartError {
    /// Whose fault it is: the user's if the settings name something unusable.
    pub fn domain(&self) -> ErrorDomain {
        match self {
            StartError::Model { .. }
            | StartError::Background(_)
            | StartError::Cameras(_)
            | StartError::Simd(_)
            | StartError::Http { .. }
            | StartError::Trace(_) => ErrorDomain::User,
            StartError::Owner(OwnerError::Store(_))
            | StartError::Store(_)
            | StartError::Thread(_) => ErrorDomain::Work,
            StartError::Owner(_) => ErrorDomain::User,
        }
    }
}

/// Why a camera ended before its source did.
#[derive(Debug, Clone)]
pub struct CameraFailure {
    /// A sentence with the camera, the file and advice.
    pub message: String,
    /// Whose fault it is.
    pub domain: ErrorDomain,
}
