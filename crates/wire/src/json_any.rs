//! Any JSON value, so that a wrong value differs from a missing one.
use super::{WireError, error::quoted};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::{borrow::Cow, fmt};

/// A JSON value. The contents of arrays and objects are not kept.
#[derive(Debug)]
pub(super) enum JsonValue<'a> {
    Null,
    Bool(bool),
    /// A number without fraction and exponent, from 0 to 2^64 - 1.
    Whole(u64),
    /// A number without fraction and exponent below 0, down to -2^63.
    Negative(i64),
    /// Any other number.
    Number(f64),
    Text(Cow<'a, str>),
    Array,
    Object,
}

impl JsonValue<'_> {
    /// The error for a field with this value.
    pub(super) fn bad(&self, field: &'static str, expected: &'static str) -> WireError {
        let found = match self {
            JsonValue::Null => "null".to_owned(),
            JsonValue::Bool(value) => value.to_string(),
            JsonValue::Whole(value) => value.to_string(),
            JsonValue::Negative(value) => value.to_string(),
            JsonValue::Number(value) => format!("{value:?}"),
            JsonValue::Text(text) => format!("the string {}", quoted(text.as_bytes())),
            JsonValue::Array => "an array".to_owned(),
            JsonValue::Object => "an object".to_owned(),
        };
        WireError::BadField {
            field,
            found,
            expected,
        }
    }
}

impl<'de> Deserialize<'de> for JsonValue<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonValueVisitor)
    }
}

struct JsonValueVisitor;

impl<'de> Visitor<'de> for JsonValueVisitor {
    type Value = JsonValue<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(JsonValue::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(JsonValue::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(JsonValue::Whole(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(u64::try_from(value).map_or(JsonValue::Negative(value), JsonValue::Whole))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(JsonValue::Number(value))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(JsonValue::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(JsonValue::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        // The elements are skipped without recursion, at any depth.
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(JsonValue::Array)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(JsonValue::Object)
    }
}
