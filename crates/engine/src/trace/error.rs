//! Why traces cannot be sent.
use thiserror::Error;

/// Why traces cannot be sent.
#[derive(Debug, Error)]
pub enum TraceError {
    /// The program lacks the feature `otlp`.
    #[cfg(not(feature = "otlp"))]
    #[error("this program was built without traces (feature otlp)")]
    NotBuilt,
    /// The HTTP client cannot be made.
    #[cfg(feature = "otlp")]
    #[error("{0}")]
    Client(reqwest::Error),
    /// The exporter cannot be made: its message, without the secrets of the address.
    #[cfg(feature = "otlp")]
    #[error("{0}")]
    Exporter(String),
}
