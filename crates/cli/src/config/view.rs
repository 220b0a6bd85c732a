//! The settings of `mattebox view`.
use super::{ConfigError, Resolved, broker, check::SettingsCheck, layer::ViewLayer, page};
use mattebox_kafka::settings::{WatchSettings, topic_name};
use mattebox_server::ViewSettings;
use std::time::Duration;

/// The checked settings of `mattebox view`.
#[derive(Debug, Clone)]
pub struct ViewCommand {
    /// The topic of results.
    pub watch: WatchSettings,
    /// The page.
    pub view: ViewSettings,
    /// The longest time that a stop may take.
    pub shutdown_timeout: Duration,
}

impl ViewCommand {
    /// Checks every value. The first that cannot be used is the error.
    pub fn new(resolved: &Resolved<ViewLayer>) -> Result<Self, ConfigError> {
        let check = SettingsCheck(&resolved.origins);
        let l = &resolved.layer;
        let Some(results) = l.results.clone() else {
            let what = "no topic was given: name the topic of results, as `mattebox worker --out \
                 topic:NAME` writes it";
            return Err(ConfigError::Conflict(what.to_owned()));
        };
        topic_name(&results).map_err(|reason| check.error("results", &results, reason))?;
        Ok(ViewCommand {
            watch: WatchSettings {
                broker: broker::settings(&check, &l.kafka)?,
                results,
                connect_timeout: check
                    .duration("connect_timeout", &l.connect_timeout)?
                    .unwrap_or(Duration::from_secs(120)),
                limits: check.limits(l.max_megapixels)?,
                forget: page::forget(&check, &l.view)?,
            },
            // This command always serves the page.
            view: page::asked_for(&check, &l.view.page)?,
            shutdown_timeout: check.shutdown_timeout(&l.messages.shutdown_timeout)?,
        })
    }
}
