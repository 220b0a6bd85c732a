//! Reads a frame in the JSON format.
//!
//! One pass reads any value for any field. Only then each field is checked, so that an error names
//! the field and not its place in the text. Strings without escapes are borrowed.
use super::{
    FrameRecord, MAX_FRAME_NUMBER, Wire, WireError, error::quoted, json_any::JsonValue,
    picture::RecordPicture, time,
};
use mattebox_core::frame::{CameraId, FrameNumber, Timestamp};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::fmt;

pub(super) fn read(value: &[u8]) -> Result<FrameRecord<'_>, WireError> {
    // One check of the whole text is several times faster than one for each string.
    let text = std::str::from_utf8(value).map_err(|error| WireError::BadJson {
        detail: error.to_string(),
    })?;
    let fields: JsonFields<'_> =
        serde_json::from_str(text).map_err(|error| WireError::BadJson {
            detail: error.to_string(),
        })?;
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

fn camera(value: Option<JsonValue<'_>>) -> Result<CameraId, WireError> {
    const FIELD: &str = "camera_id";
    match value.ok_or(WireError::MissingField { field: FIELD })? {
        JsonValue::Text(id) => id.parse().map_err(|reason| WireError::BadCameraId {
            place: FIELD,
            reason,
        }),
        other => Err(other.bad(FIELD, "a string")),
    }
}

fn number(value: Option<JsonValue<'_>>) -> Result<FrameNumber, WireError> {
    const FIELD: &str = "frame_id";
    match value.ok_or(WireError::MissingField { field: FIELD })? {
        JsonValue::Whole(number) if number <= MAX_FRAME_NUMBER => Ok(FrameNumber(number)),
        other => Err(other.bad(FIELD, "a whole number from 0 to 2^53")),
    }
}

fn timestamp(value: Option<JsonValue<'_>>) -> Result<Timestamp, WireError> {
    const FIELD: &str = "ts";
    let value = value.ok_or(WireError::MissingField { field: FIELD })?;
    let seconds = match value {
        JsonValue::Whole(seconds) => Some(seconds as f64),
        JsonValue::Number(seconds) => Some(seconds),
        _ => None,
    };
    seconds
        .and_then(time::from_seconds)
        .ok_or_else(|| value.bad(FIELD, "unix seconds from 0 (1970) to before the year 9999"))
}

fn side(field: &'static str, value: Option<JsonValue<'_>>) -> Result<Option<u32>, WireError> {
    match value {
        None | Some(JsonValue::Null) => Ok(None),
        Some(JsonValue::Whole(pixels @ 1..=0xffff_ffff)) => Ok(Some(pixels as u32)),
        Some(other) => Err(other.bad(field, "a whole number of pixels, at least 1")),
    }
}

fn picture<'a>(
    codec: Option<JsonValue<'a>>,
    data: Option<JsonValue<'a>>,
) -> Result<RecordPicture<'a>, WireError> {
    const CODECS: &str = "\"jpg\", \"jpeg\", \"png\" or \"webp\"";
    match codec.ok_or(WireError::MissingField { field: "codec" })? {
        JsonValue::Text(codec) if matches!(&*codec, "jpg" | "jpeg" | "png" | "webp") => {}
        JsonValue::Text(codec) => {
            let found = quoted(codec.as_bytes());
            return Err(WireError::UnsupportedCodec {
                place: "the JSON field codec",
                found,
                expected: CODECS,
            });
        }
        other => return Err(other.bad("codec", CODECS)),
    }
    match data.ok_or(WireError::MissingField { field: "data_b64" })? {
        JsonValue::Text(text) if !text.is_empty() => Ok(RecordPicture::Base64(text)),
        other => Err(other.bad("data_b64", "a picture in base64")),
    }
}

/// The fields of a frame, each with any value.
#[derive(Default)]
struct JsonFields<'a> {
    camera_id: Option<JsonValue<'a>>,
    frame_id: Option<JsonValue<'a>>,
    ts: Option<JsonValue<'a>>,
    codec: Option<JsonValue<'a>>,
    width: Option<JsonValue<'a>>,
    height: Option<JsonValue<'a>>,
    data_b64: Option<JsonValue<'a>>,
}

impl<'de> Deserialize<'de> for JsonFields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(JsonFieldsVisitor)
    }
}

struct JsonFieldsVisitor;

impl<'de> Visitor<'de> for JsonFieldsVisitor {
    type Value = JsonFields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = JsonFields::default();
        while let Some(name) = map.next_key::<JsonValue<'de>>()? {
            let JsonValue::Text(name) = name else {
                return Err(A::Error::custom("a field's name must be a string"));
            };
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    /// The exact bytes of the seed's camera: `json.dumps` of Python, with a picture of ten bytes.
    const SEED: &str = concat!(
        r#"{"camera_id": "cam01", "frame_id": 41, "ts": 1727000000.1234567, "codec": "jpg", "#,
        r#""width": 640, "height": 480, "data_b64": "/9j/4AAQSkZJRg=="}"#
    );

    /// The seed's value with one field's value replaced.
    fn with(field: &str, value: &str) -> String {
        let start = SEED.find(&format!("\"{field}\": ")).unwrap() + field.len() + 4;
        let length = SEED[start..].find([',', '}']).unwrap();
        format!("{}{value}{}", &SEED[..start], &SEED[start + length..])
    }

    fn code(value: impl AsRef<[u8]>) -> &'static str {
        read(value.as_ref()).map_or_else(|error| error.code(), |_| "read")
    }

    #[test]
    fn a_value_of_the_seed_is_read() {
        let frame = read(SEED.as_bytes()).unwrap();
        assert_eq!(
            (frame.camera.as_str(), frame.number),
            ("cam01", FrameNumber(41))
        );
        assert_eq!(frame.time, Timestamp(1_727_000_000_123_457));
        assert_eq!((frame.width, frame.height), (Some(640), Some(480)));
        assert_eq!((frame.session, frame.wire), (None, Wire::Json));
        let mut buffer = vec![1, 2, 3];
        assert_eq!(
            frame.picture().bytes(&mut buffer).unwrap(),
            b"\xff\xd8\xff\xe0\0\x10JFIF"
        );
    }

    #[test]
    fn the_picture_is_borrowed_unless_it_holds_escapes() {
        let plain = read(SEED.as_bytes()).unwrap();
        assert!(matches!(
            plain.picture,
            RecordPicture::Base64(Cow::Borrowed(_))
        ));
        let escaped = with("data_b64", r#""\/9j\/4AAQSkZJ\u0052g==""#);
        let escaped = read(escaped.as_bytes()).unwrap();
        assert!(matches!(
            escaped.picture,
            RecordPicture::Base64(Cow::Owned(_))
        ));
        assert_eq!(
            escaped.picture().bytes(&mut Vec::new()).unwrap(),
            plain.picture().bytes(&mut Vec::new()).unwrap()
        );
    }

    #[test]
    fn every_field_takes_only_its_allowed_values() {
        let cases: &[(&str, &str, &[&str])] = &[
            ("camera_id", "read", &[r#""a""#, r#""front\u002ddoor""#]),
            (
                "camera_id",
                "bad-camera-id",
                &[
                    r#""""#,
                    r#""../../evil""#,
                    r#""a/b""#,
                    r#""é""#,
                    r#""a\u0000""#,
                ],
            ),
            (
                "camera_id",
                "bad-field",
                &["1", "null", "true", "[]", "{}", r#"["cam01"]"#],
            ),
            ("frame_id", "read", &["0", "9007199254740992"]),
            (
                "frame_id",
                "bad-field",
                &[
                    "-1",
                    "-0",
                    "1.0",
                    "1e3",
                    "\"1\"",
                    "null",
                    "true",
                    "9007199254740993",
                    "18446744073709551616",
                    "[1]",
                ],
            ),
            ("ts", "read", &["0", "0.5", "1e9", "1727000000", "-0.0"]),
            (
                "ts",
                "bad-field",
                &[
                    "-0.001",
                    "-1",
                    "253370764800",
                    "1e300",
                    "\"1\"",
                    "null",
                    "false",
                    "{}",
                ],
            ),
            (
                "ts",
                "bad-json",
                &["NaN", "Infinity", "-Infinity", "1e999", ".5", "01", ""],
            ),
            (
                "codec",
                "read",
                &[r#""jpg""#, r#""jpeg""#, r#""png""#, r#""webp""#],
            ),
            (
                "codec",
                "unsupported-codec",
                &[r#""h264""#, r#""JPG""#, r#""""#],
            ),
            ("codec", "bad-field", &["null", "1", "[]"]),
            ("width", "read", &["1", "4294967295", "null"]),
            (
                "width",
                "bad-field",
                &["0", "-1", "1.5", "\"640\"", "4294967296", "[]"],
            ),
            ("height", "read", &["1", "null"]),
            ("height", "bad-field", &["0", "true"]),
            ("data_b64", "read", &[r#""not looked at""#]),
            ("data_b64", "bad-field", &[r#""""#, "null", "1", "[1, 2]"]),
        ];
        for (field, expected, values) in cases {
            for value in *values {
                assert_eq!(code(with(field, value)), *expected, "{field} = {value}");
            }
        }
    }

    #[test]
    fn only_the_sizes_may_be_missing() {
        for field in ["camera_id", "frame_id", "ts", "codec", "data_b64"] {
            let error = read(SEED.replace(field, "other").as_bytes()).unwrap_err();
            assert_eq!(error, WireError::MissingField { field });
        }
        let frame = SEED.replace("width", "w").replace("height", "h");
        let frame = read(frame.as_bytes()).unwrap();
        assert_eq!((frame.width, frame.height), (None, None));
    }

    #[test]
    fn unknown_fields_are_ignored_and_known_ones_may_not_repeat() {
        let more = |extra: &str| code(SEED.replacen('{', &format!("{{{extra}, "), 1));
        assert_eq!(
            more(r#""data": {"a": [1, {"b": null}]}, "data": 1e999, "é": "é""#),
            "read"
        );
        for field in [
            "camera_id",
            "frame_id",
            "ts",
            "codec",
            "width",
            "height",
            "data_b64",
        ] {
            assert_eq!(more(&format!("\"{field}\": 1")), "bad-json", "{field}");
        }
        assert_eq!(more(r#""camera\u005fid": 1"#), "bad-json");
    }

    #[test]
    fn text_that_is_not_one_object_in_utf8_is_refused() {
        for end in [SEED.len() - 1, SEED.len() - 2, 60, 1] {
            assert_eq!(code(&SEED[..end]), "bad-json", "{end} bytes");
        }
        assert_eq!(code(format!("{SEED}x")), "bad-json");
        assert_eq!(code(format!("{SEED}{SEED}")), "bad-json");
        assert_eq!(code(with("codec", r#""\ud800""#)), "bad-json");
        assert_eq!(code(SEED.replace("cam01", "\u{1}")), "bad-json");
        let mut bytes = SEED.as_bytes().to_vec();
        bytes[16] = 0xff;
        assert_eq!(code(bytes), "bad-json");
        assert_eq!(
            code([b"{\"a\": \"\xff\", ", &SEED.as_bytes()[1..]].concat()),
            "bad-json"
        );
    }

    #[test]
    fn deep_nesting_is_read_without_recursion() {
        let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(code(with("camera_id", &deep)), "bad-field");
        assert_eq!(
            code(SEED.replacen('{', &format!("{{\"x\": {deep}, "), 1)),
            "read"
        );
        assert_eq!(
            code(format!("{{\"x\": {}", "[".repeat(1_000_000))),
            "bad-json"
        );
        assert_eq!(code("{\"x\":".repeat(1_000_000)), "bad-json");
    }

    #[test]
    fn messages_name_the_field_and_the_expected_value() {
        let message = |field, value| read(with(field, value).as_bytes()).unwrap_err().to_string();
        assert_eq!(
            message("frame_id", "-1"),
            "the JSON field frame_id is -1, expected a whole number from 0 to 2^53"
        );
        assert_eq!(
            message("ts", "\"noon\""),
            "the JSON field ts is the string \"noon\", expected unix seconds from 0 (1970) to \
             before the year 9999"
        );
        assert_eq!(
            message("codec", "\"h264\""),
            "the JSON field codec is \"h264\", expected \"jpg\", \"jpeg\", \"png\" or \"webp\""
        );
        assert!(
            message("camera_id", "\"../evil\"")
                .starts_with("bad camera_id: camera id \"../evil\" holds '/'")
        );
    }
}
