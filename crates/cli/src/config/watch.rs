//! The checked settings of `mattebox view`.
use super::{
    ConfigError, Resolved,
    broker::{BrokerSettings, topic_name},
    check::Check,
    layer::WatchLayer,
    view::ViewSettings,
};
use mattebox_core::codec::Limits;
use std::time::Duration;

/// What `mattebox view` needs to know.
#[derive(Debug, Clone)]
pub struct WatchSettings {
    /// How the broker is reached.
    pub broker: BrokerSettings,
    /// The topic of results.
    pub results: String,
    /// How long to try to reach the broker, and to wait for the topic.
    pub connect_timeout: Duration,
    /// Larger pictures are not shown.
    pub limits: Limits,
    /// The page.
    pub view: ViewSettings,
    /// How long a stop may take.
    pub shutdown_timeout: Duration,
}

impl WatchSettings {
    /// Checks every value. The first that cannot be used is the error.
    pub fn new(resolved: &Resolved<WatchLayer>) -> Result<Self, ConfigError> {
        let check = Check(&resolved.origins);
        let l = &resolved.layer;
        let Some(results) = l.results.clone() else {
            let what = "no topic was given: name the topic of results, as `mattebox worker --out topic:NAME` writes it";
            return Err(ConfigError::Conflict(what.to_owned()));
        };
        topic_name(&results).map_err(|reason| check.error("results", &results, reason))?;
        Ok(WatchSettings {
            broker: BrokerSettings::new(&check, &l.kafka)?,
            results,
            connect_timeout: check
                .span("connect_timeout", &l.connect_timeout)?
                .unwrap_or(Duration::from_secs(120)),
            limits: check.limits(l.max_megapixels)?,
            // The page is all that this command is for.
            view: ViewSettings::asked_for(&check, &l.view)?,
            shutdown_timeout: check.shutdown_timeout(&l.say.shutdown_timeout)?,
        })
    }
}
