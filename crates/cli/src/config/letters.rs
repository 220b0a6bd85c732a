//! The settings of `mattebox dead-letters`.
use super::{ConfigError, Resolved, broker, check::Check, layer::LettersLayer};
use mattebox_kafka::settings::LettersSettings;
use std::time::Duration;

/// Checks every value. The first that cannot be used is the error.
pub fn settings(resolved: &Resolved<LettersLayer>) -> Result<LettersSettings, ConfigError> {
    let check = Check(&resolved.origins);
    let l = &resolved.layer;
    Ok(LettersSettings {
        broker: broker::settings(&check, &l.kafka)?,
        connect_timeout: check
            .span("connect_timeout", &l.connect_timeout)?
            .unwrap_or(Duration::from_secs(120)),
    })
}
