//! A settings file: keys that hold for every command that has them, and a section for each command
//! that wins over them.
use super::{ConfigError, SettingsLayer, found::SettingsFile, layer};
use crate::alike::most_alike;
use mattebox_engine::address::harmless;
use thiserror::Error;
use toml::{Table, Value};

/// Reads the keys of a file for one command. The keys for other commands are checked too: a key
/// that no command has is an error, and so is a value of the wrong type.
pub(super) fn parse<L: SettingsLayer>(
    text: &str,
    file: &SettingsFile,
) -> Result<Table, ConfigError> {
    let fail = |message: String| ConfigError::Parse {
        path: file.path.clone(),
        message,
    };
    let trusted = |section: Option<&str>, key: &str, value: &Value| match file.objection(key, value)
    {
        Some(why) => Err(fail(line_of(text, section, key) + &why)),
        None => Ok(()),
    };
    // The parser's own text repeats the line, which may hold a password.
    let mistake = |e: toml::de::Error| {
        let before = e
            .span()
            .and_then(|span| text.get(..span.start))
            .unwrap_or_default();
        fail(format!(
            "line {}: {}",
            before.matches('\n').count() + 1,
            e.message().trim_end().replace('\n', ", ")
        ))
    };
    let all: Table = toml::from_str(text).map_err(mistake)?;
    let commands = layer::commands();
    let mut own = Table::new();
    let mut section = Table::new();
    for (key, value) in all {
        match (commands.iter().find(|(name, _)| *name == key), value) {
            (Some((name, keys)), Value::Table(inner)) => {
                for (key, value) in inner {
                    if !keys.contains(&key) {
                        let line = line_of(text, Some(name), &key);
                        return Err(fail(line + &unknown(&key, keys, name)));
                    }
                    trusted(Some(name), &key, &value)?;
                    if *name == L::COMMAND {
                        check::<L>(&key, &value)
                            .map_err(|e| fail(format!("{}{e}", line_of(text, Some(name), &key))))?;
                        section.insert(key, value);
                    }
                }
            }
            (_, value) => {
                let line = line_of(text, None, &key);
                let mut all = commands.iter().flat_map(|(_, keys)| keys);
                if !all.any(|known| *known == key) {
                    let names = commands.iter().map(|(name, _)| (*name).to_owned());
                    let keys = commands.iter().flat_map(|(_, keys)| keys.clone());
                    let known: Vec<_> = keys.chain(names).collect();
                    return Err(fail(line + &unknown(&key, &known, L::COMMAND)));
                }
                trusted(None, &key, &value)?;
                if L::keys().contains(&key) {
                    check::<L>(&key, &value).map_err(|e| fail(format!("{line}{e}")))?;
                    own.insert(key, value);
                }
            }
        }
    }
    own.extend(section);
    Ok(own)
}

/// The message for an unknown key.
fn unknown(key: &str, known: &[String], command: &str) -> String {
    let flag = key.replace('-', "_");
    let meant = most_alike(&flag, known.iter().map(String::as_str));
    let hint = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!(
            "keys are the names of flags, with _ for -; `mattebox {command} --help` lists them"
        ),
    };
    format!("unknown key `{}`: {hint}", harmless::source(key))
}

/// The type of a value is not that of its setting.
#[derive(Debug, Error)]
#[error("{key}: {expected}")]
struct ValueTypeError {
    key: String,
    /// The type that the setting has, in words.
    expected: String,
}

/// Whether a value has the type of its setting.
fn check<L: SettingsLayer>(key: &str, value: &Value) -> Result<(), ValueTypeError> {
    let alone = Table::from_iter([(key.to_owned(), value.clone())]);
    L::deserialize(alone).map(drop).map_err(|e| ValueTypeError {
        key: key.to_owned(),
        expected: without_value(e.message()),
    })
}

/// `invalid type: string "x", expected i64` without the value, which may be a password in the wrong
/// place.
fn without_value(message: &str) -> String {
    message
        .rsplit_once(", expected ")
        .map_or(message.to_owned(), |(_, expected)| {
            format!("expected {}", type_in_words(expected))
        })
}

/// The name of a Rust type in plain words.
fn type_in_words(expected: &str) -> &str {
    match expected {
        "f32" | "f64" => "a number",
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        "a string" => "text in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        // The parser says this of numbers that are too large for every type.
        "any valid TOML value" => "a smaller number",
        other => other,
    }
}

/// The line of a key, for a message: `line 3: `. Empty if the key does not begin a line.
fn line_of(text: &str, section: Option<&str>, key: &str) -> String {
    let mut within = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if let Some(name) = line.strip_prefix('[') {
            within = name.split(']').next().map(str::trim);
            if section.is_none() && within == Some(key) {
                return format!("line {}: ", number + 1);
            }
        } else if within == section && is_key(line, key)
            || within.is_none()
                && section.is_some_and(|section| is_key(line, &format!("{section}.{key}")))
        {
            return format!("line {}: ", number + 1);
        }
    }
    String::new()
}

/// Whether a line gives a key its value, with the key bare or in quotes.
fn is_key(line: &str, key: &str) -> bool {
    let bare = line.trim_start().trim_start_matches(['"', '\'']);
    bare.strip_prefix(key).is_some_and(|rest| {
        rest.trim_start_matches(['"', '\''])
            .trim_start()
            .starts_with('=')
    })
}
