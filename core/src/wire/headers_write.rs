//! The headers of frames, results and dead letters.
use super::{
    FrameMeta,
    headers_read::{FRAME_TYPE, SOURCE_PREFIX},
    time,
};
use crate::frame::{CameraId, FrameNumber, Timestamp};

/// The `ce_type` of a result.
const RESULT_TYPE: &str = "mattebox.matted.v1";

/// What a worker says of a result: a frame without its background.
#[derive(Debug, Clone, Copy)]
pub struct ResultMeta<'a> {
    /// Who took the frame.
    pub camera: &'a CameraId,
    /// The session of the frame's record, if it had one.
    pub session: Option<&'a str>,
    /// The frame's place in the camera's stream.
    pub number: FrameNumber,
    /// When the frame was taken.
    pub time: Timestamp,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// The media type of the result: `image/png`, `image/jpeg` or `image/webp`.
    pub content_type: &'a str,
    /// SHA-256 of the network's file, in hexadecimal.
    pub model_sha256: &'a str,
    /// A hash of the settings that shape the picture.
    pub settings: &'a str,
}

/// Why a record was set aside, and where it lay.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetter<'a> {
    /// The reason in one word: [`WireError::code`](super::WireError::code) or [`picture_code`](super::picture_code).
    pub code: &'a str,
    /// The reason for people.
    pub message: &'a str,
    /// The topic that it was read from.
    pub topic: &'a str,
    /// Its partition there.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
}

/// The headers of a frame in the binary format; its value is the JPEG file.
pub fn frame_headers(meta: &FrameMeta<'_>) -> Vec<(&'static str, String)> {
    let FrameMeta { camera, session, number, time, width, height } = *meta;
    event(Event { kind: FRAME_TYPE, camera, session: Some(session), number, time, width, height, content_type: "image/jpeg" })
}

/// The headers of a result; its value is the picture. A frame without session has `-` in its place in `ce_id`.
pub fn result_headers(meta: &ResultMeta<'_>) -> Vec<(&'static str, String)> {
    let ResultMeta { camera, session, number, time, width, height, content_type, .. } = *meta;
    let mut headers = event(Event { kind: RESULT_TYPE, camera, session, number, time, width, height, content_type });
    headers.push(("ce_modelsha256", meta.model_sha256.to_owned()));
    headers.push(("ce_settings", meta.settings.to_owned()));
    headers
}

/// The headers that are added to those of a record that was set aside.
pub fn dead_letter_headers(letter: &DeadLetter<'_>) -> Vec<(&'static str, String)> {
    vec![
        ("mattebox-error-code", letter.code.to_owned()),
        ("mattebox-error-message", letter.message.to_owned()),
        ("mattebox-error-topic", letter.topic.to_owned()),
        ("mattebox-error-partition", letter.partition.to_string()),
        ("mattebox-error-offset", letter.offset.to_string()),
    ]
}

/// What frames and results have in common.
struct Event<'a> {
    kind: &'static str,
    camera: &'a CameraId,
    session: Option<&'a str>,
    number: FrameNumber,
    time: Timestamp,
    width: u32,
    height: u32,
    content_type: &'a str,
}

fn event(event: Event<'_>) -> Vec<(&'static str, String)> {
    let Event { kind, camera, session, number, time, width, height, content_type } = event;
    let mut headers = Vec::with_capacity(12);
    headers.extend([
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", format!("{camera}/{}/{number}", session.unwrap_or("-"))),
        ("ce_source", format!("{SOURCE_PREFIX}{camera}")),
        ("ce_type", kind.to_owned()),
        ("ce_time", time::to_rfc3339(time)),
        ("content-type", content_type.to_owned()),
        ("ce_sequence", number.to_string()),
        ("ce_width", width.to_string()),
        ("ce_height", height.to_string()),
    ]);
    headers.extend(session.map(|session| ("ce_session", session.to_owned())));
    headers
}
