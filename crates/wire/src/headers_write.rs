//! Writes the headers of frames and results.
use super::{
    FrameMeta,
    names::{FRAME_TYPE, RESULT_TYPE, SOURCE_PREFIX},
    time,
};
use mattebox_core::{
    codec::ImageFormat,
    frame::{CameraId, FrameNumber, Timestamp},
};

/// The metadata of a result: a frame without its background.
#[derive(Debug, Clone, Copy)]
pub struct ResultMeta<'a> {
    /// The camera that took the frame.
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
    /// The format of the result's picture.
    pub format: ImageFormat,
    /// SHA-256 of the network's file, in hexadecimal.
    pub model_sha256: &'a str,
    /// A hash of the settings that change the picture: `FrameSettings::hash` of the engine.
    pub settings: &'a str,
}

/// The headers of a frame in the binary format; its value is the JPEG file.
pub fn frame_headers(meta: &FrameMeta<'_>) -> Vec<(&'static str, String)> {
    let FrameMeta {
        camera,
        session,
        number,
        time,
        width,
        height,
    } = *meta;
    event(CloudEvent {
        kind: FRAME_TYPE,
        camera,
        session: Some(session),
        number,
        time,
        width,
        height,
        content_type: "image/jpeg",
    })
}

/// The headers of a result; its value is the picture. `ce_id` has `-` in place of a missing
/// session.
pub fn result_headers(meta: &ResultMeta<'_>) -> Vec<(&'static str, String)> {
    let ResultMeta {
        camera,
        session,
        number,
        time,
        width,
        height,
        format,
        ..
    } = *meta;
    let content_type = format.media_type();
    let mut headers = event(CloudEvent {
        kind: RESULT_TYPE,
        camera,
        session,
        number,
        time,
        width,
        height,
        content_type,
    });
    headers.push(("ce_modelsha256", meta.model_sha256.to_owned()));
    headers.push(("ce_settings", meta.settings.to_owned()));
    headers
}

/// The metadata that frames and results have in common.
struct CloudEvent<'a> {
    kind: &'static str,
    camera: &'a CameraId,
    session: Option<&'a str>,
    number: FrameNumber,
    time: Timestamp,
    width: u32,
    height: u32,
    content_type: &'a str,
}

fn event(event: CloudEvent<'_>) -> Vec<(&'static str, String)> {
    let CloudEvent {
        kind,
        camera,
        session,
        number,
        time,
        width,
        height,
        content_type,
    } = event;
    let mut headers = Vec::with_capacity(12);
    headers.extend([
        ("ce_specversion", "1.0".to_owned()),
        (
            "ce_id",
            format!("{camera}/{}/{number}", session.unwrap_or("-")),
        ),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_the_headers_of_a_cloud_event() {
        let headers = frame_headers(&FrameMeta {
            camera: &"cam01".parse().unwrap(),
            session: "s1",
            number: FrameNumber(41),
            time: Timestamp(1_700_000_000_123_456),
            width: 640,
            height: 480,
        });
        let expected = [
            ("ce_specversion", "1.0"),
            ("ce_id", "cam01/s1/41"),
            ("ce_source", "mattebox/camera/cam01"),
            ("ce_type", "mattebox.frame.v1"),
            ("ce_time", "2023-11-14T22:13:20.123456Z"),
            ("content-type", "image/jpeg"),
            ("ce_sequence", "41"),
            ("ce_width", "640"),
            ("ce_height", "480"),
            ("ce_session", "s1"),
        ];
        assert_eq!(
            headers,
            expected.map(|(name, value)| (name, value.to_owned()))
        );
    }

    #[test]
    fn a_result_names_its_model_and_settings() {
        let mut meta = ResultMeta {
            camera: &"cam01".parse().unwrap(),
            session: None,
            number: FrameNumber(41),
            time: Timestamp(1_700_000_000_000_000),
            width: 640,
            height: 480,
            format: ImageFormat::Png,
            model_sha256: "abc",
            settings: "def",
        };
        let expected = [
            ("ce_specversion", "1.0"),
            ("ce_id", "cam01/-/41"),
            ("ce_source", "mattebox/camera/cam01"),
            ("ce_type", "mattebox.matted.v1"),
            ("ce_time", "2023-11-14T22:13:20.000000Z"),
            ("content-type", "image/png"),
            ("ce_sequence", "41"),
            ("ce_width", "640"),
            ("ce_height", "480"),
            ("ce_modelsha256", "abc"),
            ("ce_settings", "def"),
        ];
        assert_eq!(
            result_headers(&meta),
            expected.map(|(name, value)| (name, value.to_owned()))
        );
        meta.session = Some("s1");
        let headers = result_headers(&meta);
        assert_eq!(
            (headers[1].1.as_str(), headers[9].1.as_str()),
            ("cam01/s1/41", "s1")
        );
    }
}
