//! The checked settings of `mattebox dead-letters`.
use super::{ConfigError, Resolved, broker::BrokerSettings, check::Check, layer::LettersLayer};
use std::time::Duration;

/// What `mattebox dead-letters` needs to know, whatever it is to do.
#[derive(Debug, Clone)]
pub struct LettersSettings {
    /// The broker, and the topic whose dead letters are meant.
    pub broker: BrokerSettings,
    /// How long to try to reach the broker.
    pub connect_timeout: Duration,
}

impl LettersSettings {
    /// Checks every value. The first that cannot be used is the error.
    pub fn new(resolved: &Resolved<LettersLayer>) -> Result<Self, ConfigError> {
        let check = Check(&resolved.origins);
        let l = &resolved.layer;
        Ok(LettersSettings {
            broker: BrokerSettings::new(&check, &l.kafka)?,
            connect_timeout: check
                .span("connect_timeout", &l.connect_timeout)?
                .unwrap_or(Duration::from_secs(120)),
        })
    }
}
