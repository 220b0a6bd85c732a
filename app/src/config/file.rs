//! A settings file: keys that hold for every command that has them, and a section for each command that wins over them.
use super::{
    ConfigError, Layer,
    layer::{self},
};
use std::path::Path;
use toml::{Table, Value};

/// Reads what a file says to one command. All of the file is checked, what it says to others too: a key that no command has, or
/// a value of the wrong type, is an error and not silence.
pub(super) fn parse<L: Layer>(text: &str, path: &Path) -> Result<Table, ConfigError> {
    let fail = |message: String| ConfigError::Parse { path: path.to_owned(), message };
    let all: Table = toml::from_str(text).map_err(|e| fail(e.to_string().trim_end().to_owned()))?;
    let commands = layer::commands();
    let (mut own, mut section) = (Table::new(), Table::new());
    for (key, value) in all {
        match (commands.iter().find(|(name, _)| *name == key), value) {
            (Some((name, keys)), Value::Table(inner)) => {
                for (key, value) in inner {
                    if !keys.contains(&key) {
                        let line = line_of(text, Some(name), &key);
                        return Err(fail(format!("{line}unknown key `{key}`: `mattebox {name} --help` lists what there is")));
                    }
                    if *name == L::COMMAND {
                        check::<L>(&key, &value).map_err(|e| fail(line_of(text, Some(name), &key) + &e))?;
                        section.insert(key, value);
                    }
                }
            }
            (_, value) => {
                let line = line_of(text, None, &key);
                if !commands.iter().any(|(_, keys)| keys.contains(&key)) {
                    return Err(fail(format!("{line}unknown key `{key}`: keys are the names of flags, with _ for -")));
                }
                if L::keys().contains(&key) {
                    check::<L>(&key, &value).map_err(|e| fail(line + &e))?;
                    own.insert(key, value);
                }
            }
        }
    }
    own.extend(section);
    Ok(own)
}

/// Whether a value has the type of its setting.
fn check<L: Layer>(key: &str, value: &Value) -> Result<(), String> {
    let alone = Table::from_iter([(key.to_owned(), value.clone())]);
    L::deserialize(alone).map(drop).map_err(|e| format!("{key}: {}", e.message()))
}

/// Where a key stands, for a message: `line 3: `. Empty if it is written in some other way than at the start of a line.
fn line_of(text: &str, section: Option<&str>, key: &str) -> String {
    let mut within = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if let Some(name) = line.strip_prefix('[') {
            within = name.split(']').next().map(str::trim);
            if section.is_none() && within == Some(key) {
                return format!("line {}: ", number + 1);
            }
        } else if within == section && line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('=')) {
            return format!("line {}: ", number + 1);
        }
    }
    String::new()
}
