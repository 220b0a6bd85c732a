//! The settings of `mattebox view`.
use super::{ConfigError, Resolved, broker, check::Check, layer::WatchLayer, view};
use mattebox_kafka::settings::{WatchSettings, topic_name};
use mattebox_server::ViewSettings;
use std::time::Duration;

/// Everything `mattebox view` needs to know.
#[derive(Debug, Clone)]
pub struct ViewCommand {
    /// Where results come from.
    pub watch: WatchSettings,
    /// The page.
    pub view: ViewSettings,
    /// How long a stop may take.
    pub shutdown_timeout: Duration,
}

impl ViewCommand {
    /// Checks every value. The first that cannot be used is the error.
    pub fn new(resolved: &Resolved<WatchLayer>) -> Result<Self, ConfigError> {
        let check = Check(&resolved.origins);
        let l = &resolved.layer;
        let Some(results) = l.results.clone() else {
            let what = "no topic was given: name the topic of results, as `mattebox worker --out topic:NAME` writes it";
            return Err(ConfigError::Conflict(what.to_owned()));
        };
        topic_name(&results).map_err(|reason| check.error("results", &results, reason))?;
        Ok(ViewCommand {
            watch: WatchSettings {
                broker: broker::settings(&check, &l.kafka)?,
                results,
                connect_timeout: check
                    .span("connect_timeout", &l.connect_timeout)?
                    .unwrap_or(Duration::from_secs(120)),
                limits: check.limits(l.max_megapixels)?,
                forget: view::forget(&check, &l.view)?,
            },
            // The page is all that this command is for.
            view: view::asked_for(&check, &l.view.page)?,
            shutdown_timeout: check.shutdown_timeout(&l.say.shutdown_timeout)?,
        })
    }
}
