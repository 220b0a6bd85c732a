//! The camera and the number of a record's frame, without the rest.
use super::{MAX_FRAME_NUMBER, Record, Wire, detect, headers_read, json_any::JsonValue};
use mattebox_core::frame::{CameraId, FrameNumber};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// The camera and the number of the frame in a record, or `None` if either cannot be found.
///
/// It serves to find the last number of a camera in a topic, so it is cheap and checks only these
/// two: the key, the picture and all other headers and fields may be anything. It stops reading a
/// JSON value after both fields. Results have a position too.
pub fn read_position(record: &Record<'_>) -> Option<(CameraId, FrameNumber)> {
    match detect(record)? {
        Wire::Binary => Some((
            headers_read::camera(record).ok()?,
            headers_read::number(record).ok()?,
        )),
        Wire::Json => json(record.value?),
    }
}

fn json(value: &[u8]) -> Option<(CameraId, FrameNumber)> {
    let mut found = PositionFields::default();
    // The error is our own, which stops the reader early, or follows the two fields.
    let _ = found.deserialize(&mut serde_json::Deserializer::from_slice(value));
    Some((found.camera?, found.number?))
}

#[derive(Default)]
struct PositionFields {
    camera: Option<CameraId>,
    number: Option<FrameNumber>,
}

impl<'de> DeserializeSeed<'de> for &mut PositionFields {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut PositionFields {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<JsonValue<'de>>()? {
            match name {
                JsonValue::Text(name) if name == "camera_id" => {
                    if let JsonValue::Text(id) = map.next_value()? {
                        self.camera = id.parse().ok();
                    }
                }
                JsonValue::Text(name) if name == "frame_id" => {
                    if let JsonValue::Whole(number @ 0..=MAX_FRAME_NUMBER) = map.next_value()? {
                        self.number = Some(FrameNumber(number));
                    }
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            if self.camera.is_some() && self.number.is_some() {
                return Err(A::Error::custom("found"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Header;
    use super::*;

    fn of(value: &str) -> Option<(String, u64)> {
        let record = Record {
            key: Some(b"another"),
            value: Some(value.as_bytes()),
            headers: &[],
        };
        read_position(&record).map(|(camera, number)| (camera.to_string(), number.0))
    }

    fn of_headers(headers: &[(&str, &str)]) -> Option<(String, u64)> {
        let headers: Vec<_> = headers
            .iter()
            .map(|&(name, value)| Header {
                name,
                value: Some(value.as_bytes()),
            })
            .collect();
        let record = Record {
            key: None,
            value: None,
            headers: &headers,
        };
        read_position(&record).map(|(camera, number)| (camera.to_string(), number.0))
    }

    #[test]
    fn json_needs_only_the_two_fields() {
        let found = Some(("a".to_owned(), 7));
        assert_eq!(
            of(r#"{"camera_id": "a", "frame_id": 7, "ts": 0, "codec": "jpg", "data_b64": ""}"#),
            found
        );
        assert_eq!(
            of(concat!(
                r#" {"data_b64": "AA\/A", "x": [{}], "frame_id": 7, "y": null, "#,
                r#""camera\u005fid": "a"}"#
            )),
            found
        );
        assert_eq!(
            of(r#"{"camera_id": "a", "frame_id": 7, "data_b64": "cut o"#),
            found
        );
        assert_eq!(
            of(r#"{"frame_id": null, "camera_id": 3, "camera_id": "a", "frame_id": 7}"#),
            found
        );
    }

    #[test]
    fn json_without_them_has_no_position() {
        for value in [
            "",
            "{",
            "{}",
            "[]",
            "hello",
            r#"{"camera_id": "a"}"#,
            r#"{"camera_id": "a", "frame_id": -1}"#,
            r#"{"camera_id": "a", "frame_id": 1.5}"#,
            r#"{"camera_id": "a", "frame_id": 9007199254740993}"#,
            r#"{"camera_id": "../a", "frame_id": 1}"#,
            r#"{"x": ?, "camera_id": "a", "frame_id": 1}"#,
            &"{\"x\":".repeat(1_000_000),
        ] {
            assert_eq!(of(value), None, "{:.40}", value);
        }
    }

    #[test]
    fn binary_needs_only_two_headers_beside_its_mark() {
        let found = Some(("a".to_owned(), 7));
        let source = ("ce_source", "mattebox/camera/a");
        let sequence = ("ce_sequence", "7");
        assert_eq!(
            of_headers(&[("ce_specversion", "1.0"), source, sequence]),
            found
        );
        assert_eq!(
            of_headers(&[
                ("ce_type", "mattebox.matted.v1"),
                source,
                sequence,
                ("ce_time", "never")
            ]),
            found
        );
        assert_eq!(
            of_headers(&[("ce_type", "mattebox.frame.v1"), source]),
            None
        );
        assert_eq!(
            of_headers(&[
                ("ce_type", "mattebox.frame.v1"),
                source,
                ("ce_sequence", "x")
            ]),
            None
        );
        assert_eq!(
            of_headers(&[
                ("ce_type", "mattebox.frame.v1"),
                ("ce_source", "a"),
                sequence
            ]),
            None
        );
        assert_eq!(of_headers(&[source, sequence]), None);
    }

    #[test]
    fn an_empty_record_has_no_position() {
        assert_eq!(
            read_position(&Record {
                key: None,
                value: None,
                headers: &[]
            }),
            None
        );
    }
}
