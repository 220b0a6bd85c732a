//! Hides secrets in logs, in errors and in the output of `mattebox config`.
pub(crate) use mattebox_engine::address::MASK;
use mattebox_engine::address::{harmless, option};
use toml::Value;

/// Whether the name of a setting, or of a property of librdkafka, is that of a secret. The path of
/// a file with a secret is not secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words = [
        "password",
        "secret",
        "token",
        "pem",
        "sasl.jaas",
        "oauthbearer.config",
    ];
    words.iter().any(|word| name.contains(word))
        && !name.ends_with("_file")
        && !name.ends_with("url")
}

/// A value of a setting as it may be shown.
pub(crate) fn masked(name: &str, value: Value) -> Value {
    match value {
        _ if is_secret(name) => MASK.into(),
        Value::Array(values) => Value::Array(
            values
                .into_iter()
                .map(|value| masked(name, value))
                .collect(),
        ),
        Value::String(text) => Value::String(shown(name, &text)),
        other => other,
    }
}

/// The text of a setting as it may be shown.
pub(crate) fn shown(name: &str, text: &str) -> String {
    match name {
        _ if is_secret(name) => MASK.to_owned(),
        "kafka" => harmless::hosts(text),
        "kafka_option" => match text.split_once('=') {
            Some((property, value)) if is_plain_property(property, value) => text.to_owned(),
            Some((property, _)) => format!("{}={MASK}", harmless::source(property)),
            // It may be a secret with a typing error.
            None => MASK.to_owned(),
        },
        "input_option" => match text.split_once('=') {
            Some((option, value)) if option::is_plain(option, value) => text.to_owned(),
            Some((option, _)) => format!("{}={MASK}", harmless::source(option)),
            None => MASK.to_owned(),
        },
        "out" | "alpha_out" => harmless::output(text),
        // NAME=SOURCE
        "source" => match text.split_once('=') {
            Some((camera, source))
                if camera
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')) =>
            {
                let shown = harmless::source(source);
                // A text with several = may be a list of names and passwords.
                let is_list = source.contains('=') && !source.contains(':');
                if is_list {
                    format!("{camera}={MASK}")
                } else {
                    format!("{camera}={shown}")
                }
            }
            _ => harmless::source(text),
        },
        _ => harmless::source(text),
    }
}

/// Whether the value of a property of librdkafka is known to hold no secret: a number, a switch or
/// one of its words.
fn is_plain_property(property: &str, value: &str) -> bool {
    let is_word = value.len() <= 24
        && value
            .chars()
            .all(|c| c.is_ascii_lowercase() || matches!(c, '-' | '_' | ','));
    let is_number = value.parse::<f64>().is_ok() || matches!(value, "true" | "false");
    let is_user = ["user", "principal", "client.id", "keytab", "cmd"]
        .iter()
        .any(|word| property.contains(word));
    !is_secret(property) && !is_user && (is_number || is_word)
}
