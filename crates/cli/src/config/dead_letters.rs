//! The settings of `mattebox dead-letters`.
use super::{ConfigError, Resolved, broker, check::SettingsCheck, layer::DeadLettersLayer};
use mattebox_kafka::settings::DeadLetterSettings;
use std::time::Duration;

/// Checks every value. The first that cannot be used is the error.
pub fn settings(resolved: &Resolved<DeadLettersLayer>) -> Result<DeadLetterSettings, ConfigError> {
    let check = SettingsCheck(&resolved.origins);
    let l = &resolved.layer;
    Ok(DeadLetterSettings {
        broker: broker::settings(&check, &l.kafka)?,
        connect_timeout: check
            .duration("connect_timeout", &l.connect_timeout)?
            .unwrap_or(Duration::from_secs(120)),
    })
}
