//! Writes a frame in the JSON format.
use super::{FrameMeta, time};
use base64::{Engine, engine::general_purpose::STANDARD};

/// Writes the value of a JSON record, with the fields, order and spaces of the seed's camera.
/// Clears `into` first.
///
/// `ts` reads back as the same microsecond up to the year 2242.
pub fn json_value(meta: &FrameMeta<'_>, jpeg: &[u8], into: &mut Vec<u8>) {
    // A camera id has no characters that JSON would escape.
    let head = format!(
        concat!(
            r#"{{"camera_id": "{}", "frame_id": {}, "ts": {}, "codec": "jpg", "#,
            r#""width": {}, "height": {}, "data_b64": ""#
        ),
        meta.camera,
        meta.number,
        time::to_seconds(meta.time),
        meta.width,
        meta.height
    );
    let length = jpeg.len().div_ceil(3) * 4;
    into.clear();
    into.reserve(head.len() + length + 2);
    into.extend_from_slice(head.as_bytes());
    into.resize(head.len() + length, 0);
    let written = STANDARD.encode_slice(jpeg, &mut into[head.len()..]);
    debug_assert_eq!(written, Ok(length));
    into.extend_from_slice(b"\"}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use mattebox_core::frame::{FrameNumber, Timestamp};

    #[test]
    fn a_value_has_the_bytes_of_the_seed() {
        let mut value = b"something before".to_vec();
        let meta = FrameMeta {
            camera: &"cam01".parse().unwrap(),
            session: "s",
            number: FrameNumber(7),
            time: Timestamp(1_700_000_000_500_000),
            width: 640,
            height: 360,
        };
        json_value(&meta, &[0xff, 0xd8, 0xff, 0xe0], &mut value);
        let expected = concat!(
            r#"{"camera_id": "cam01", "frame_id": 7, "ts": 1700000000.5, "codec": "jpg", "#,
            r#""width": 640, "height": 360, "data_b64": "/9j/4A=="}"#
        );
        assert_eq!(std::str::from_utf8(&value).unwrap(), expected);
    }
}
