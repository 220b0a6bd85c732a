//! What must never be shown: not in logs, not by `mattebox config`, not in an error.
use crate::ffmpeg::diagnose;
use std::fmt;
use toml::Value;

/// What is shown instead.
pub(crate) const MASK: &str = "***";

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Whether a setting, or a property of librdkafka, holds a secret by its name. Files that hold one, and locations, do not.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let words = ["password", "secret", "token", "key.pem", "sasl.jaas", "oauthbearer.config"];
    words.iter().any(|word| name.contains(word)) && !name.ends_with("_file") && !name.ends_with("url")
}

/// A value as it may be shown: passwords in addresses and in `NAME=VALUE` are masked.
pub(crate) fn masked(name: &str, value: Value) -> Value {
    match value {
        Value::Array(values) => Value::Array(values.into_iter().map(|value| masked(name, value)).collect()),
        Value::String(text) if name == "kafka_option" => match text.split_once('=') {
            Some((property, _)) if is_secret(property) => Value::String(format!("{property}={MASK}")),
            _ => Value::String(text),
        },
        Value::String(text) => Value::String(diagnose::mask(&text)),
        other => other,
    }
}
