//! The reasons why a record is no frame.
use mattebox_core::{
    codec::DecodeError,
    frame::{CameraId, CameraIdError},
};
use thiserror::Error;

/// Why a record is not a frame. Messages are short for every record.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireError {
    /// A tombstone.
    #[error("the record has no value")]
    NullValue,
    /// An empty value.
    #[error("the record's value is empty, expected a picture")]
    EmptyValue,
    /// Neither headers of a frame nor a JSON object.
    #[error(
        "the record is neither a picture with ce_ headers nor a JSON object: its value begins \
         with {start}"
    )]
    NotAFrame {
        /// The first bytes.
        start: String,
    },
    /// The value is not one JSON object in UTF-8, or has a field twice.
    #[error("the value is not valid JSON: {detail}")]
    BadJson {
        /// The value that was found, and its place.
        detail: String,
    },
    /// A field is missing that every frame needs.
    #[error("the JSON object has no {field}")]
    MissingField {
        /// Its name.
        field: &'static str,
    },
    /// A field holds another kind of value.
    #[error("the JSON field {field} is {found}, expected {expected}")]
    BadField {
        /// Its name.
        field: &'static str,
        /// Its value, shortened.
        found: String,
        /// The values that are allowed.
        expected: &'static str,
    },
    /// A camera id cannot be the name of a folder.
    #[error("bad {place}: {reason}")]
    BadCameraId {
        /// The field or header that holds it.
        place: &'static str,
        /// The problem with it.
        reason: CameraIdError,
    },
    /// The picture of a JSON record cannot be decoded.
    #[error("the JSON field data_b64 is not base64 (A-Z, a-z, 0-9, + and /): {detail}")]
    BadBase64 {
        /// The value that was found, and its place.
        detail: String,
    },
    /// The record names a format of pictures that is not read.
    #[error("{place} is {found}, expected {expected}")]
    UnsupportedCodec {
        /// The field or header with the format.
        place: &'static str,
        /// Its value, shortened.
        found: String,
        /// The values that are allowed.
        expected: &'static str,
    },
    /// A header is missing that every frame needs.
    #[error("the record has no header {header}")]
    MissingHeader {
        /// Its name.
        header: &'static str,
    },
    /// A header holds another kind of value.
    #[error("the header {header} is {found}, expected {expected}")]
    BadHeader {
        /// Its name.
        header: &'static str,
        /// Its value, shortened.
        found: String,
        /// The values that are allowed.
        expected: &'static str,
    },
    /// It is an event of another type, for example a result.
    #[error("the header ce_type is {found}, expected mattebox.frame.v1")]
    UnsupportedType {
        /// Its value, shortened.
        found: String,
    },
    /// The key names one camera and the record another.
    #[error("the record's key is {key}, but its camera is {camera}")]
    KeyMismatch {
        /// The key, shortened.
        key: String,
        /// The camera that the record names.
        camera: CameraId,
    },
}

impl WireError {
    /// Every code that [`WireError::code`] can give.
    pub const CODES: &[&str] = &[
        "null-value",
        "empty-value",
        "not-a-frame",
        "bad-json",
        "missing-field",
        "bad-field",
        "bad-camera-id",
        "bad-base64",
        "unsupported-codec",
        "missing-header",
        "bad-header",
        "unsupported-type",
        "key-mismatch",
    ];

    /// The reason as a code that never changes, for metrics, dead letters and programs.
    pub fn code(&self) -> &'static str {
        match self {
            WireError::NullValue => "null-value",
            WireError::EmptyValue => "empty-value",
            WireError::NotAFrame { .. } => "not-a-frame",
            WireError::BadJson { .. } => "bad-json",
            WireError::MissingField { .. } => "missing-field",
            WireError::BadField { .. } => "bad-field",
            WireError::BadCameraId { .. } => "bad-camera-id",
            WireError::BadBase64 { .. } => "bad-base64",
            WireError::UnsupportedCodec { .. } => "unsupported-codec",
            WireError::MissingHeader { .. } => "missing-header",
            WireError::BadHeader { .. } => "bad-header",
            WireError::UnsupportedType { .. } => "unsupported-type",
            WireError::KeyMismatch { .. } => "key-mismatch",
        }
    }

    pub(super) fn not_a_frame(value: &[u8]) -> Self {
        WireError::NotAFrame {
            start: quoted(value),
        }
    }

    pub(super) fn key_mismatch(key: &[u8], camera: CameraId) -> Self {
        WireError::KeyMismatch {
            key: quoted(key),
            camera,
        }
    }
}

/// Every code that [`picture_code`] can give.
pub const PICTURE_CODES: &[&str] = &[
    "empty-picture",
    "not-a-picture",
    "picture-too-large",
    "picture-cut-off",
    "picture-damaged",
    "picture-unsupported",
];

/// The code of a record whose picture cannot be decoded, like [`WireError::code`].
pub fn picture_code(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::Empty => "empty-picture",
        DecodeError::UnknownFormat { .. } => "not-a-picture",
        DecodeError::TooLarge { .. } => "picture-too-large",
        DecodeError::CutOff { .. } => "picture-cut-off",
        DecodeError::Corrupt { .. } => "picture-damaged",
        DecodeError::Unsupported { .. } | DecodeError::Convert(_) => "picture-unsupported",
    }
}

/// The most bytes of a record's value that a message repeats.
const MOST_QUOTED: usize = 40;

/// Bytes as a quoted text, with escapes, shortened.
pub(super) fn quoted(bytes: &[u8]) -> String {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST_QUOTED)]);
    if bytes.len() > MOST_QUOTED {
        format!("{start:?}... ({} bytes)", bytes.len())
    } else {
        format!("{start:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_shortened() {
        assert_eq!(quoted(b"a\n\"b\""), r#""a\n\"b\"""#);
        assert_eq!(quoted(&[b'x'; 40]), format!("\"{}\"", "x".repeat(40)));
        assert_eq!(
            quoted(&[b'x'; 5_000_000]),
            format!("\"{}\"... (5000000 bytes)", "x".repeat(40))
        );
        assert_eq!(
            quoted("é".repeat(30).as_bytes()),
            format!("\"{}\"... (60 bytes)", "é".repeat(20))
        );
        assert_eq!(quoted(b"\xff\xd8\0"), "\"\u{fffd}\u{fffd}\\0\"");
    }
}
