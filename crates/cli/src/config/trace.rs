//! The checked settings of traces.
use super::{ConfigError, check::SettingsCheck, layer::TraceLayer};
use mattebox_engine::address::Address;
use mattebox_engine::trace::TraceSettings;
use reqwest::Url;
use std::net::IpAddr;

/// The path for traces in the OTLP protocol.
const PATH: &str = "/v1/traces";

/// Checks every value. `None`: no traces are asked for.
pub(super) fn settings(
    check: &SettingsCheck<'_>,
    l: &TraceLayer,
) -> Result<Option<TraceSettings>, ConfigError> {
    let sample = l.otlp_sample.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&sample) {
        return Err(check.error("otlp_sample", sample, "it must be between 0 and 1"));
    }
    let Some(text) = l.otlp.as_deref().filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let wanted = || {
        check.error(
            "otlp",
            text,
            "write http://HOST:PORT, such as http://127.0.0.1:4318",
        )
    };
    let mut url = Url::parse(text).map_err(|_| wanted())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wanted());
    }
    if !url.username().is_empty() || url.password().is_some() {
        let reason = "leave out the user and the password: OTEL_EXPORTER_OTLP_HEADERS can hold an \
             Authorization";
        return Err(check.error("otlp", text, reason));
    }
    let base = url.path().trim_end_matches('/');
    let path = if base.ends_with(PATH) {
        base.to_owned()
    } else {
        format!("{base}{PATH}")
    };
    url.set_path(&path);
    // A collector on this machine is reached without a proxy, as other telemetry clients do.
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_local = host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback());
    Ok(Some(TraceSettings {
        endpoint: Address::source(url),
        is_local,
        sample,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::origin::SettingOrigins;

    fn settings(otlp: &str, sample: Option<f64>) -> Result<Option<TraceSettings>, ConfigError> {
        let layer = TraceLayer {
            otlp: Some(otlp.to_owned()),
            otlp_sample: sample,
        };
        super::settings(&SettingsCheck(&SettingOrigins::default()), &layer)
    }

    #[test]
    fn an_address_may_leave_out_the_path_of_the_protocol() {
        let endpoint = |text: &str| {
            settings(text, None)
                .unwrap()
                .map(|s| s.endpoint.reveal().to_owned())
        };
        for text in ["http://c:4318", "http://c:4318/", "http://c:4318/v1/traces"] {
            assert_eq!(endpoint(text).as_deref(), Some("http://c:4318/v1/traces"));
        }
        assert_eq!(
            endpoint("https://c/otlp?tenant=1").as_deref(),
            Some("https://c/otlp/v1/traces?tenant=1")
        );
        assert_eq!(endpoint(""), None);
    }

    #[test]
    fn an_address_on_this_machine_is_known_as_one() {
        let is_local = |text: &str| settings(text, None).unwrap().unwrap().is_local;
        assert!(
            [
                "http://localhost:4318",
                "http://127.0.0.1:4318",
                "http://[::1]:4318"
            ]
            .into_iter()
            .all(is_local)
        );
        assert!(
            !["http://localhost.example", "http://10.0.0.1:4318"]
                .into_iter()
                .any(is_local)
        );
    }

    #[test]
    fn what_cannot_be_is_said_without_its_password() {
        for text in ["c:4318", "ftp://c", "http://", "grpc://me:secret1@c"] {
            let error = settings(text, None).unwrap_err().to_string();
            assert!(
                error.contains("http://127.0.0.1:4318") && !error.contains("secret1"),
                "{error}"
            );
        }
        assert!(
            settings("http://c", Some(1.5))
                .unwrap_err()
                .to_string()
                .contains("between 0 and 1")
        );
        let error = settings("http://me:secret1@c", None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("OTEL_EXPORTER_OTLP_HEADERS") && !error.contains("secret1"),
            "{error}"
        );
    }
}
