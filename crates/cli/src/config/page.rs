//! The checked settings of the live page.
use super::{
    ConfigError,
    check::SettingsCheck,
    layer::{PageLayer, TopicPageLayer},
};
use mattebox_engine::files;
use mattebox_server::ViewSettings;
use std::{net::SocketAddr, path::Path, time::Duration};

/// The default address of the page.
const ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9480);
/// A shorter token could be guessed.
const SHORTEST_TOKEN: usize = 16;

/// Checks every value. `None`: no page.
pub(super) fn settings(
    check: &SettingsCheck<'_>,
    l: &PageLayer,
) -> Result<Option<ViewSettings>, ConfigError> {
    match l.view.as_deref() {
        None | Some("" | "false") => Ok(None),
        Some(_) => asked_for(check, l).map(Some),
    }
}

/// The time without a frame after which a camera of a topic leaves the page.
pub(super) fn forget(
    check: &SettingsCheck<'_>,
    l: &TopicPageLayer,
) -> Result<Duration, ConfigError> {
    Ok(check
        .positive_duration("forget", &l.forget)?
        .unwrap_or(Duration::MAX))
}

/// The settings of a page that is always served.
pub(super) fn asked_for(
    check: &SettingsCheck<'_>,
    l: &PageLayer,
) -> Result<ViewSettings, ConfigError> {
    let text = l.view.as_deref().unwrap_or("true");
    let address = match text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
        _ if text == "true" => ADDRESS,
        Ok(port) => SocketAddr::from(([127, 0, 0, 1], port)),
        Err(_) => text.parse().map_err(|_| {
            check.error(
                "view",
                text,
                "write ADDRESS:PORT, such as 127.0.0.1:9480, or a port alone",
            )
        })?,
    };
    let token = match (&l.token, &l.token_file) {
        (Some(token), None) => Some(token.clone()),
        (None, Some(file)) => Some(
            files::read_secret(Path::new(file))
                .map_err(|e| check.error("token_file", file, e))?
                .trim()
                .to_owned(),
        ),
        (Some(_), Some(_)) => {
            return Err(ConfigError::Conflict(
                "--token and --token-file say the same thing twice; choose one".to_owned(),
            ));
        }
        (None, None) => None,
    };
    if let Some(token) = &token
        && token.len() < SHORTEST_TOKEN
    {
        let reason = format!(
            "the token is too short: use {SHORTEST_TOKEN} characters or more, such as `openssl \
             rand -hex 16` gives"
        );
        return Err(ConfigError::Conflict(reason));
    }
    if token.is_none() && !address.ip().is_loopback() {
        let reason = "everyone who reaches this address would see the cameras and could change \
                      them: give a --token or --token-file, or use 127.0.0.1 and a tunnel";
        return Err(check.error("view", address, reason));
    }
    let tls = match (&l.tls_cert, &l.tls_key) {
        (Some(cert), Some(key)) => Some((cert.into(), key.into())),
        (None, None) => None,
        _ => {
            return Err(ConfigError::Conflict(
                "--tls-cert and --tls-key belong together: give both".to_owned(),
            ));
        }
    };
    Ok(ViewSettings {
        address,
        token: token.map(mattebox_engine::address::Secret::new),
        tls,
        hosts: l
            .view_host
            .iter()
            .flatten()
            .map(|name| name.trim().to_ascii_lowercase())
            .collect(),
        show_raw: l.show_raw.unwrap_or(false),
        max_viewers: check
            .integer("max_viewers", l.max_viewers, 1, 10_000)?
            .unwrap_or(100) as usize,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::origin::SettingOrigins;

    fn settings(
        view: &str,
        change: impl FnOnce(&mut PageLayer),
    ) -> Result<Option<ViewSettings>, ConfigError> {
        let mut layer = PageLayer {
            view: Some(view.to_owned()),
            ..Default::default()
        };
        change(&mut layer);
        super::settings(&SettingsCheck(&SettingOrigins::default()), &layer)
    }

    #[test]
    fn an_address_can_be_left_out_in_part_or_whole() {
        let address = |text: &str| {
            settings(text, |_| {})
                .unwrap()
                .map(|s| s.address.to_string())
        };
        assert_eq!(address("true").as_deref(), Some("127.0.0.1:9480"));
        assert_eq!(address("8000").as_deref(), Some("127.0.0.1:8000"));
        assert_eq!(address("[::1]:1").as_deref(), Some("[::1]:1"));
        assert_eq!(address("false"), None);
    }

    #[test]
    fn what_would_be_unsafe_is_refused_with_a_way_out() {
        let token = |t: &'static str| move |l: &mut PageLayer| l.token = Some(t.to_owned());
        assert!(
            settings("0.0.0.0:9480", |_| {})
                .unwrap_err()
                .to_string()
                .contains("--token")
        );
        assert!(
            settings("0.0.0.0:9480", token("short"))
                .unwrap_err()
                .to_string()
                .contains("openssl rand")
        );
        assert!(
            settings("0.0.0.0:9480", token("0123456789abcdef"))
                .unwrap()
                .unwrap()
                .token
                .is_some()
        );
        assert!(
            settings("true", |l| l.tls_cert = Some("c.pem".to_owned()))
                .unwrap_err()
                .to_string()
                .contains("both")
        );
        assert!(
            settings("here", |_| {})
                .unwrap_err()
                .to_string()
                .contains("ADDRESS:PORT")
        );
        let shown = format!("{:?}", settings("true", token("0123456789abcdef")).unwrap());
        assert!(!shown.contains("0123456789abcdef"), "{shown}");
    }
}
