//! Shows addresses without their secrets.
//!
//! A camera's address often holds its password, and every maker puts it in another place: before
//! the host, in the query, or in the path. So mattebox does not search for passwords: it shows only
//! parts that are known to be harmless.
//!
//! # Layout
//!
//! * [`Address`]: an address that every formatter shows in its harmless form.
//! * [`harmless`]: the harmless form of a text that may be an address.
//! * [`option`]: options of FFmpeg with secrets.
//! * [`scrub`]: removes the secrets of known addresses, and of texts that look like addresses, from
//!   the messages of other programs.
//! * [`Secret`]: a text that no formatter shows.
pub mod harmless;
pub mod option;
pub mod scrub;
mod secret;

pub use secret::Secret;

use serde::{Serialize, Serializer};
use std::fmt;

/// The text in place of a secret.
pub const MASK: &str = "***";

/// The direction of pictures. The last part of an address to which they are sent is often its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// They are read from the address.
    In,
    /// They are sent to the address.
    Out,
}

/// An address that may hold a password. `Display`, `Debug` and `Serialize` show its harmless form:
/// scheme, host, port, and the parts of the path that cannot be a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    text: String,
    way: Way,
}

impl Address {
    /// An address from which pictures are read.
    pub fn source(text: impl Into<String>) -> Self {
        Address {
            text: text.into(),
            way: Way::In,
        }
    }

    /// An address to which pictures are sent.
    pub fn output(text: impl Into<String>) -> Self {
        Address {
            text: text.into(),
            way: Way::Out,
        }
    }

    /// The address with its secrets, only for the program or library that connects to it.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// The harmless form.
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
