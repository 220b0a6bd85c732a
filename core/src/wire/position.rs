//! Whose frame a record is, and its number, without the rest.
use super::{MAX_FRAME_NUMBER, Record, Wire, detect, headers_read, json_read::Value};
use crate::frame::{CameraId, FrameNumber};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::fmt;

/// The camera and the number of the frame in a record, or `None` if either cannot be found.
///
/// It is for finding the last number of a camera in a topic, so it is cheap and asks for no more than it needs: the key,
/// the picture and all other headers and fields may be anything. Of a JSON value it reads no further than these two
/// fields; results are recognised as frames are.
pub fn read_position(record: &Record<'_>) -> Option<(CameraId, FrameNumber)> {
    match detect(record)? {
        Wire::Binary => Some((headers_read::camera(record).ok()?, headers_read::number(record).ok()?)),
        Wire::Json => json(record.value?),
    }
}

fn json(value: &[u8]) -> Option<(CameraId, FrameNumber)> {
    let mut found = Found::default();
    // The error is either ours, to stop early, or follows what was found.
    let _ = found.deserialize(&mut serde_json::Deserializer::from_slice(value));
    Some((found.camera?, found.number?))
}

#[derive(Default)]
struct Found {
    camera: Option<CameraId>,
    number: Option<FrameNumber>,
}

impl<'de> DeserializeSeed<'de> for &mut Found {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Found {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Value<'de>>()? {
            match name {
                Value::Text(name) if name == "camera_id" => {
                    if let Value::Text(id) = map.next_value()? {
                        self.camera = id.parse().ok();
                    }
                }
                Value::Text(name) if name == "frame_id" => {
                    if let Value::Whole(number @ 0..=MAX_FRAME_NUMBER) = map.next_value()? {
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
