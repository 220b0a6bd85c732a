//! The records that carry frames: from plain bytes to frames and back.
//!
//! A record is a key, a value and headers. [`read`] reads two formats, and tells them apart by the
//! record itself:
//!
//! * JSON: one object with the picture in base64, as the seed's camera and job send it.
//! * Binary, the default: the value is the encoded picture, and the headers hold the rest
//!   (CloudEvents, binary mode).
//!
//! `docs/ref/wire.md` lists every field and header. The bytes are not trusted: the answer to any
//! bytes is a frame or a [`WireError`], which names the value that was found and the one that was
//! expected.
//!
//! # Layout
//!
//! * `json_read`, `json_write`: the JSON format; `json_any`: any value of a field.
//! * `headers_read`, `headers_write`: the binary format, and the headers of results.
//! * [`dead_letter`]: records that cannot be processed, with the reason.
//! * `status`: the outcome of a frame, as JSON.
//! * `publish`: the records to publish for one record; `outgoing`: a record to send, as plain
//!   bytes.
//! * `start`: the place where a reader begins.
//! * `position`: the camera and the number of a record's frame, without the rest.
//! * `fingerprint`: a number that tells records apart.
//! * `picture`: the encoded picture within a record.
//! * `time`: unix seconds and RFC 3339; `trace`: the trace that a record belongs to.
//! * `error`: the reasons why a record is no frame, and their codes.
#![forbid(unsafe_code)]

pub mod dead_letter;
mod error;
mod fingerprint;
mod headers_read;
mod headers_write;
mod json_any;
mod json_read;
mod json_write;
mod names;
mod outgoing;
mod picture;
mod position;
mod publish;
mod start;
mod status;
mod time;
mod trace;

#[cfg(test)]
mod round_trip;

pub use dead_letter::DeadLetter;
pub use error::{PICTURE_CODES, WireError, picture_code};
pub use fingerprint::fingerprint;
pub use headers_read::is_result;
pub use headers_write::{ResultMeta, frame_headers, result_headers};
pub use json_write::json_value;
pub use outgoing::{OutgoingHeader, OutgoingRecord, OutgoingValue};
pub use picture::EncodedPicture;
pub use position::read_position;
pub use publish::{PictureTopic, PublishTopics, ResultPicture};
pub use start::{StartAt, StartAtError};
pub use status::FrameStatus;
pub use trace::trace_headers;

use mattebox_core::frame::{CameraId, FrameNumber, Timestamp};
use picture::{PicturePlace, RecordPicture};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// The highest frame number of a record: 2^53, up to which every JSON reader has exact integers.
pub const MAX_FRAME_NUMBER: u64 = 1 << 53;

/// The longest session of a record in bytes.
pub const MAX_SESSION: usize = 128;

/// The most headers of a record that are read. No frame has more.
pub const MAX_HEADERS: usize = 64;

/// One header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its name. Upper and lower case are different, except in `content-type`.
    pub name: &'a str,
    /// Its value; a header without one counts as absent.
    pub value: Option<&'a [u8]>,
}

/// One record with borrowed parts.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// The key: the camera id, or none.
    pub key: Option<&'a [u8]>,
    /// The value; none is a tombstone, which is never a frame.
    pub value: Option<&'a [u8]>,
    /// The headers in their order. Of several headers with one name the last counts.
    pub headers: &'a [Header<'a>],
}

/// The format in which a record holds its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Wire {
    /// One JSON object with the picture in base64: the seed's format.
    Json,
    /// The picture as the value and the rest in headers.
    #[default]
    Binary,
}

/// A text that names no [`Wire`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("unknown wire format {0:?}: use json or binary")]
pub struct UnknownWire(String);

impl FromStr for Wire {
    type Err = UnknownWire;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Wire::Json),
            "binary" => Ok(Wire::Binary),
            _ => Err(UnknownWire(text.to_owned())),
        }
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Wire::Json => "json",
            Wire::Binary => "binary",
        })
    }
}

/// A frame as read from its record. The picture is still encoded: see [`FrameRecord::picture`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameRecord<'a> {
    /// The camera that took it.
    pub camera: CameraId,
    /// Its place in the camera's stream, at most [`MAX_FRAME_NUMBER`].
    pub number: FrameNumber,
    /// When it was taken, from 1970 to 9998.
    pub time: Timestamp,
    /// The width in pixels, as the record says; the picture may differ.
    pub width: Option<u32>,
    /// The height in pixels, as the record says.
    pub height: Option<u32>,
    /// One run of a camera. JSON has none.
    pub session: Option<&'a str>,
    /// The format of the record.
    pub wire: Wire,
    picture: RecordPicture<'a>,
}

impl FrameRecord<'_> {
    /// The encoded picture, which is not empty.
    pub fn picture(&self) -> EncodedPicture<'_> {
        self.picture.encoded()
    }

    /// The same without borrowed parts. `value` is the record's value.
    pub fn detach(&self, value: &[u8]) -> FrameHead {
        FrameHead {
            camera: self.camera.clone(),
            number: self.number,
            time: self.time,
            session: self.session.map(str::to_owned),
            picture: PicturePlace::of(&self.picture, value),
        }
    }
}

/// A frame as read from its record, without borrowed parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameHead {
    /// The camera that took it.
    pub camera: CameraId,
    /// Its place in the camera's stream, as the camera counts.
    pub number: FrameNumber,
    /// When it was taken.
    pub time: Timestamp,
    /// One run of a camera.
    pub session: Option<String>,
    picture: PicturePlace,
}

impl FrameHead {
    /// The encoded picture; `value` is the value of the record.
    pub fn picture<'a>(&'a self, value: &'a [u8]) -> EncodedPicture<'a> {
        self.picture.encoded(value)
    }
}

/// The metadata that a camera sends with a frame.
#[derive(Debug, Clone, Copy)]
pub struct FrameMeta<'a> {
    /// The camera that took it.
    pub camera: &'a CameraId,
    /// One run of the camera: 1 to [`MAX_SESSION`] visible ASCII characters without `/`. JSON
    /// leaves it out.
    pub session: &'a str,
    /// Its place in the camera's stream, at most [`MAX_FRAME_NUMBER`].
    pub number: FrameNumber,
    /// When it was taken, from 1970 to 9998.
    pub time: Timestamp,
    /// Pixels across, from 1.
    pub width: u32,
    /// Pixels down, from 1.
    pub height: u32,
}

/// Reads a record of either format. Checks everything but the base64 text of a JSON record, which
/// [`FrameRecord::picture`] decodes.
///
/// A record is binary if it has a header `ce_type` or `ce_specversion` or an image's
/// `content-type`; otherwise it is JSON if its value begins with `{`.
///
/// # Errors
/// The reason why the record is no frame.
pub fn read<'a>(record: &Record<'a>) -> Result<FrameRecord<'a>, WireError> {
    let value = record.value.ok_or(WireError::NullValue)?;
    if value.is_empty() {
        return Err(WireError::EmptyValue);
    }
    let frame = match detect(record) {
        Some(Wire::Binary) => headers_read::read(record, value)?,
        Some(Wire::Json) => json_read::read(value)?,
        None => return Err(WireError::not_a_frame(value)),
    };
    match record.key {
        Some(key) if key != frame.camera.as_str().as_bytes() => {
            Err(WireError::key_mismatch(key, frame.camera))
        }
        _ => Ok(frame),
    }
}

/// The format that a record seems to have.
fn detect(record: &Record<'_>) -> Option<Wire> {
    if headers_read::has_frame_headers(record) {
        return Some(Wire::Binary);
    }
    let first = record
        .value?
        .iter()
        .find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    (first == Some(&b'{')).then_some(Wire::Json)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"camera_id":"a","frame_id":1,"ts":2,"codec":"jpg","data_b64":"/9j/"}"#;

    fn code(key: Option<&[u8]>, value: Option<&[u8]>) -> &'static str {
        match read(&Record {
            key,
            value,
            headers: &[],
        }) {
            Ok(_) => "read",
            Err(error) => error.code(),
        }
    }

    #[test]
    fn wires_have_names() {
        for wire in [Wire::Json, Wire::Binary] {
            assert_eq!(wire.to_string().parse(), Ok(wire));
        }
        assert_eq!(Wire::default(), Wire::Binary);
        assert_eq!(
            "xml".parse::<Wire>().unwrap_err().to_string(),
            "unknown wire format \"xml\": use json or binary"
        );
    }

    #[test]
    fn a_record_without_headers_is_json_or_no_frame() {
        assert_eq!(code(None, Some(JSON.as_bytes())), "read");
        assert_eq!(
            code(None, Some(format!(" \r\n\t{JSON}\n").as_bytes())),
            "read"
        );
        assert_eq!(code(None, None), "null-value");
        assert_eq!(code(None, Some(b"")), "empty-value");
        for other in [
            &b" "[..],
            b"[]",
            b"\xff\xd8\xff\xe0",
            b"\xef\xbb\xbf{}",
            b"\0",
            b"hello",
        ] {
            assert_eq!(code(None, Some(other)), "not-a-frame", "{other:?}");
        }
    }

    #[test]
    fn a_key_is_the_camera_id_or_absent() {
        assert_eq!(code(Some(b"a"), Some(JSON.as_bytes())), "read");
        for other in [&b""[..], b"b", b"aa", b"A", b"\xff"] {
            assert_eq!(
                code(Some(other), Some(JSON.as_bytes())),
                "key-mismatch",
                "{other:?}"
            );
        }
    }
}
