//! The JSON format to a frame.
//!
//! The object is read in one pass that takes any value for any field, and only then is each field checked, so that a
//! wrong value is reported by its name and not by its place in the text. Strings are borrowed where they hold no escapes.
use super::{FrameRecord, MAX_FRAME_NUMBER, Wire, WireError, error::quoted, picture::Picture, time};
use crate::frame::{CameraId, FrameNumber, Timestamp};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::{borrow::Cow, fmt};

pub(super) fn read(value: &[u8]) -> Result<FrameRecord<'_>, WireError> {
    // Checked once as a whole, which is several times faster than string by string.
    let text = std::str::from_utf8(value).map_err(|error| WireError::BadJson { detail: error.to_string() })?;
    let fields: Fields<'_> = serde_json::from_str(text).map_err(|error| WireError::BadJson { detail: error.to_string() })?;
    Ok(FrameRecord {
        camera: camera(fields.camera_id)?,
        number: number(fields.frame_id)?,
        time: timestamp(fields.ts)?,
        width: side("width", fields.width)?,
        height: side("height", fields.height)?,
        session: None,
        wire: Wire::Json,
        picture: picture(fields.codec, fields.data_b64)?,
    })
}

fn camera(value: Option<Value<'_>>) -> Result<CameraId, WireError> {
    const FIELD: &str = "camera_id";
    match value.ok_or(WireError::MissingField { field: FIELD })? {
        Value::Text(id) => id.parse().map_err(|reason| WireError::BadCameraId { place: FIELD, reason }),
        other => Err(other.bad(FIELD, "a string")),
    }
}

fn number(value: Option<Value<'_>>) -> Result<FrameNumber, WireError> {
    const FIELD: &str = "frame_id";
    match value.ok_or(WireError::MissingField { field: FIELD })? {
        Value::Whole(number) if number <= MAX_FRAME_NUMBER => Ok(FrameNumber(number)),
        other => Err(other.bad(FIELD, "a whole number from 0 to 2^53")),
    }
}

fn timestamp(value: Option<Value<'_>>) -> Result<Timestamp, WireError> {
    const FIELD: &str = "ts";
    let value = value.ok_or(WireError::MissingField { field: FIELD })?;
    let seconds = match value {
        Value::Whole(seconds) => Some(seconds as f64),
        Value::Number(seconds) => Some(seconds),
        _ => None,
    };
    seconds.and_then(time::from_seconds).ok_or_else(|| value.bad(FIELD, "unix seconds from 0 (1970) to before the year 9999"))
}

fn side(field: &'static str, value: Option<Value<'_>>) -> Result<Option<u32>, WireError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Whole(pixels @ 1..=0xffff_ffff)) => Ok(Some(pixels as u32)),
        Some(other) => Err(other.bad(field, "a whole number of pixels, at least 1")),
    }
}

fn picture<'a>(codec: Option<Value<'a>>, data: Option<Value<'a>>) -> Result<Picture<'a>, WireError> {
    const CODECS: &str = "\"jpg\", \"jpeg\", \"png\" or \"webp\"";
    match codec.ok_or(WireError::MissingField { field: "codec" })? {
        Value::Text(codec) if matches!(&*codec, "jpg" | "jpeg" | "png" | "webp") => {}
        Value::Text(codec) => {
            let found = quoted(codec.as_bytes());
            return Err(WireError::UnsupportedCodec { place: "the JSON field codec", found, expected: CODECS });
        }
        other => return Err(other.bad("codec", CODECS)),
    }
    match data.ok_or(WireError::MissingField { field: "data_b64" })? {
        Value::Text(text) if !text.is_empty() => Ok(Picture::Base64(text)),
        other => Err(other.bad("data_b64", "a picture in base64")),
    }
}

/// The fields that a frame may have, with whatever value.
#[derive(Default)]
struct Fields<'a> {
    camera_id: Option<Value<'a>>,
    frame_id: Option<Value<'a>>,
    ts: Option<Value<'a>>,
    codec: Option<Value<'a>>,
    width: Option<Value<'a>>,
    height: Option<Value<'a>>,
    data_b64: Option<Value<'a>>,
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = map.next_key::<Value<'de>>()? {
            let Value::Text(name) = name else { return Err(A::Error::custom("a field's name must be a string")) };
            let field = match &*name {
                "camera_id" => &mut fields.camera_id,
                "frame_id" => &mut fields.frame_id,
                "ts" => &mut fields.ts,
                "codec" => &mut fields.codec,
                "width" => &mut fields.width,
                "height" => &mut fields.height,
                "data_b64" => &mut fields.data_b64,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if field.replace(map.next_value()?).is_some() {
                return Err(A::Error::custom(format_args!("{name} stands twice")));
            }
        }
        Ok(fields)
    }
}

/// A JSON value; of arrays and objects only that it is one.
#[derive(Debug)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    /// A number without fraction and exponent, from 0 to 2^64.
    Whole(u64),
    /// Any other number.
    Number(f64),
    Text(Cow<'a, str>),
    Array,
    Object,
}

impl Value<'_> {
    fn bad(&self, field: &'static str, expected: &'static str) -> WireError {
        let found = match self {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Whole(value) => value.to_string(),
            Value::Number(value) => format!("{value:?}"),
            Value::Text(text) => format!("the string {}", quoted(text.as_bytes())),
            Value::Array => "an array".to_owned(),
            Value::Object => "an object".to_owned(),
        };
        WireError::BadField { field, found, expected }
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Value::Whole(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(u64::try_from(value).map_or(Value::Number(value as f64), Value::Whole))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Value::Number(value))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        // What lies within is skipped without recursion, however deep it is.
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Object)
    }
}
