//! How to reach Kafka: the checked settings, and the properties of librdkafka.
use super::{ConfigError, check::SettingsCheck, layer::KafkaLayer};
use mattebox_engine::{address::Secret, files};
use mattebox_kafka::settings::{BrokerSettings, frames_topic_name};
use std::path::Path;

/// Checks every value.
pub(super) fn settings(
    check: &SettingsCheck<'_>,
    l: &KafkaLayer,
) -> Result<BrokerSettings, ConfigError> {
    let bootstrap = check.given("kafka", &l.kafka)?.to_owned();
    for address in bootstrap.split(',') {
        let port = address
            .trim()
            .rsplit_once(':')
            .map(|(host, port)| (!host.is_empty(), port.parse::<u16>()));
        if !matches!(port, Some((true, Ok(_)))) {
            return Err(check.error(
                "kafka",
                &bootstrap,
                "write HOST:PORT, several with commas: localhost:9092",
            ));
        }
    }
    if bootstrap.contains('@') {
        let reason = "leave out the user and the password: give them by --kafka-username and \
             --kafka-password-file";
        return Err(check.error("kafka", &bootstrap, reason));
    }
    let topic = check.given("topic", &l.topic)?.to_owned();
    frames_topic_name(&topic).map_err(|reason| check.error("topic", &topic, reason))?;
    let mut properties = security(check, l)?;
    for option in l
        .kafka_option
        .iter()
        .flatten()
        .filter(|option| !option.trim().is_empty())
    {
        let Some((name, value)) = option
            .split_once('=')
            .filter(|(name, _)| !name.trim().is_empty())
        else {
            // It may be a secret with a typing error, so the message does not repeat it.
            return Err(ConfigError::Conflict(format!(
                "kafka_option ({}): write NAME=VALUE, for example socket.keepalive.enable=true",
                check.0.of("kafka_option")
            )));
        };
        properties.push((name.trim().to_owned(), Secret::new(value)));
    }
    Ok(BrokerSettings::new(bootstrap, topic, properties))
}

fn security(
    check: &SettingsCheck<'_>,
    l: &KafkaLayer,
) -> Result<Vec<(String, Secret)>, ConfigError> {
    let mut properties = Vec::new();
    let mut put = |name: &str, value: &str| properties.push((name.to_owned(), Secret::new(value)));
    let password = match (&l.kafka_password, &l.kafka_password_file) {
        (Some(_), Some(_)) => {
            return Err(ConfigError::Conflict(
                "kafka_password and kafka_password_file: give one of them, not both".to_owned(),
            ));
        }
        (password, None) => password.clone(),
        (None, Some(path)) => {
            let password = files::read_secret(Path::new(path))
                .map_err(|e| check.error("kafka_password_file", path, e))?;
            Some(password)
        }
    };
    let sasl = l.kafka_username.is_some() || l.kafka_sasl.is_some();
    let tls = [&l.kafka_ca, &l.kafka_cert, &l.kafka_key]
        .iter()
        .any(|file| file.is_some());
    let asked = match (sasl, tls) {
        (false, false) => "plaintext",
        (false, true) => "ssl",
        (true, false) => "sasl_plaintext",
        (true, true) => "sasl_ssl",
    };
    let protocol = l
        .kafka_security
        .as_deref()
        .unwrap_or(asked)
        .to_ascii_lowercase();
    if !["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"].contains(&protocol.as_str()) {
        return Err(check.error(
            "kafka_security",
            protocol,
            "use plaintext, ssl, sasl_plaintext or sasl_ssl",
        ));
    }
    if protocol.starts_with("sasl") {
        let mechanism = l
            .kafka_sasl
            .as_deref()
            .unwrap_or("PLAIN")
            .to_ascii_uppercase();
        if !["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"].contains(&mechanism.as_str()) {
            let reason = "use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; others through --kafka-option";
            return Err(check.error("kafka_sasl", mechanism, reason));
        }
        let (Some(user), Some(password)) = (&l.kafka_username, &password) else {
            let missing = if l.kafka_username.is_none() {
                "kafka_username"
            } else {
                "kafka_password (or kafka_password_file)"
            };
            return Err(ConfigError::Conflict(format!(
                "{protocol} with {mechanism} needs {missing}"
            )));
        };
        put("sasl.mechanisms", &mechanism);
        put("sasl.username", user);
        put("sasl.password", password);
    } else if l.kafka_username.is_some() || password.is_some() {
        let what = format!(
            "kafka_security {protocol} takes no user or password: use sasl_{}",
            protocol.replace("plaintext", "ssl")
        );
        return Err(ConfigError::Conflict(what));
    }
    put("security.protocol", &protocol);
    let files = [
        ("kafka_ca", "ssl.ca.location", &l.kafka_ca),
        ("kafka_cert", "ssl.certificate.location", &l.kafka_cert),
        ("kafka_key", "ssl.key.location", &l.kafka_key),
    ];
    for (name, property, file) in files {
        let Some(file) = file else { continue };
        if !protocol.ends_with("ssl") {
            return Err(check.error(
                name,
                file,
                format!("it does not apply with kafka_security {protocol}: use ssl or sasl_ssl"),
            ));
        }
        if !Path::new(file).exists() {
            return Err(check.error(name, file, "no such file"));
        }
        put(property, file);
    }
    if l.kafka_cert.is_some() != l.kafka_key.is_some() {
        return Err(ConfigError::Conflict(
            "kafka_cert and kafka_key belong together: give both".to_owned(),
        ));
    }
    if let Some(password) = &l.kafka_key_password {
        put("ssl.key.password", password);
    }
    Ok(properties)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::origin::SettingOrigins;

    fn broker(change: impl FnOnce(&mut KafkaLayer)) -> Result<BrokerSettings, ConfigError> {
        let mut layer = KafkaLayer {
            kafka: Some("h:1".into()),
            topic: Some("t".into()),
            ..KafkaLayer::default()
        };
        change(&mut layer);
        super::settings(&SettingsCheck(&SettingOrigins::default()), &layer)
    }

    #[test]
    fn security_follows_from_what_is_given() {
        let protocol = |change: fn(&mut KafkaLayer)| {
            broker(change)
                .unwrap()
                .option("security.protocol")
                .unwrap()
                .to_owned()
        };
        assert_eq!(protocol(|_| {}), "plaintext");
        let user = |l: &mut KafkaLayer| {
            (l.kafka_username, l.kafka_password) = (Some("me".into()), Some("hunter2".into()));
        };
        assert_eq!(protocol(user), "sasl_plaintext");
        assert_eq!(protocol(|l| l.kafka_ca = Some("Cargo.toml".into())), "ssl");
        let both = broker(|l| {
            user(l);
            (l.kafka_ca, l.kafka_sasl) = (Some("Cargo.toml".into()), Some("scram-sha-512".into()));
        })
        .unwrap();
        assert_eq!(both.option("security.protocol"), Some("sasl_ssl"));
        assert_eq!(both.option("sasl.mechanisms"), Some("SCRAM-SHA-512"));
        assert!(!format!("{both:?}").contains("hunter2"));
    }

    #[test]
    fn the_users_own_option_wins() {
        let b = broker(|l| {
            l.kafka_option = Some(vec!["linger.ms=7".into(), "security.protocol=ssl".into()])
        })
        .unwrap();
        let client = b.client(&[("linger.ms", "5")]);
        assert_eq!(
            (client.get("linger.ms"), client.get("security.protocol")),
            (Some("7"), Some("ssl"))
        );
    }

    #[test]
    fn what_cannot_work_is_refused_and_told() {
        let refused = |change: fn(&mut KafkaLayer)| broker(change).unwrap_err().to_string();
        assert!(refused(|l| l.kafka = Some("nohost".into())).contains("HOST:PORT"));
        assert!(refused(|l| l.topic = Some("a b".into())).contains("allowed"));
        assert!(refused(|l| l.kafka_username = Some("me".into())).contains("kafka_password"));
        assert!(refused(|l| l.kafka_sasl = Some("MAGIC".into())).contains("SCRAM"));
        assert!(refused(|l| l.kafka_ca = Some("/nowhere.pem".into())).contains("no such file"));
        assert!(refused(|l| l.kafka_cert = Some("Cargo.toml".into())).contains("belong together"));
        let leaked = refused(|l| l.kafka_option = Some(vec!["hunter2".into()]));
        assert!(leaked.contains("NAME=VALUE") && !leaked.contains("hunter2"));
    }
}
