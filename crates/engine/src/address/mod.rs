//! Addresses, and what may be shown of them.
//!
//! A camera's address often holds its password, and every maker writes it in another place: before the host, in the query, as a part
//! of the path. So nothing is searched for and masked; only what is known to be harmless is shown, and on any doubt less.
//!
//! # Layout
//!
//! * [`Address`]: an address that every formatter shows in its harmless form.
//! * [`harmless`]: what is shown of a text that may be an address.
//! * [`option`]: options of FFmpeg that hold secrets.
//! * [`scrub`]: takes the secrets of known addresses, and whatever else looks like an address, out of another program's words.
//! * [`Secret`]: a text that no formatter shows.
pub mod harmless;
pub mod option;
pub mod scrub;
mod secret;

pub use secret::Secret;

use serde::{Serialize, Serializer};
use std::fmt;

/// What is shown instead of a secret.
pub const MASK: &str = "***";

/// Which way pictures go: the last part of an address that they are sent to is often its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// They are read from it.
    In,
    /// They are sent to it.
    Out,
}

/// An address that may hold a password. `Display`, `Debug` and `Serialize` show its harmless form: scheme, host, port, and the parts
/// of the path that cannot be a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    text: String,
    way: Way,
}

impl Address {
    /// An address that is read from.
    pub fn source(text: impl Into<String>) -> Self {
        Address {
            text: text.into(),
            way: Way::In,
        }
    }

    /// An address that is sent to.
    pub fn output(text: impl Into<String>) -> Self {
        Address {
            text: text.into(),
            way: Way::Out,
        }
    }

    /// The address with its secrets, for the program or library that connects to it and for nothing else.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// The address as it may be shown.
    fn shown(&self) -> String {
        harmless::shown(&self.text, self.way)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.shown(), f)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_formatter_shows_a_secret() {
        let address = Address::source("rtsp://me:hunter2@cam/1?token=hunter2");
        let all = format!(
            "{address} {address:?} {address:#?} {}",
            serde_json::to_string(&address).unwrap()
        );
        assert!(
            !all.contains("hunter2") && all.contains("rtsp://***@cam/1?***"),
            "{all}"
        );
        assert_eq!(address.reveal(), "rtsp://me:hunter2@cam/1?token=hunter2");
    }
}
