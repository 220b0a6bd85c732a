//! Reads a frame in the binary format: CloudEvents 1.0, Kafka binding, binary mode.
use super::{
    FrameRecord, Header, MAX_FRAME_NUMBER, MAX_SESSION, Record, Wire, WireError,
    error::quoted,
    names::{FRAME_TYPE, RESULT_TYPE, SOURCE_PREFIX},
    picture::RecordPicture,
    time,
};
use mattebox_core::frame::{CameraId, FrameNumber};

/// Whether the headers show that the record is meant as a frame.
pub(super) fn has_frame_headers(record: &Record<'_>) -> bool {
    let is_image = |header: Header<'_>| {
        header
            .value
            .is_some_and(|kind| starts_with_ignoring_case(kind, b"image/"))
    };
    last(record, "ce_type").is_some()
        || last(record, "ce_specversion").is_some()
        || last_content_type(record).is_some_and(is_image)
}

/// Whether a record is a result: a frame with its new background, which may be shown.
pub fn is_result(record: &Record<'_>) -> bool {
    last(record, "ce_type").and_then(|header| header.value) == Some(RESULT_TYPE.as_bytes())
}

/// `value` is the record's value.
pub(super) fn read<'a>(record: &Record<'a>, value: &'a [u8]) -> Result<FrameRecord<'a>, WireError> {
    specversion(record)?;
    event_type(record)?;
    content_type(record)?;
    Ok(FrameRecord {
        camera: camera(record)?,
        number: number(record)?,
        time: {
            let text = required(record, "ce_time")?;
            let bad = || {
                bad(
                    "ce_time",
                    text,
                    "RFC 3339 from 1970 to 9998, such as 2023-11-14T22:13:20.123456Z",
                )
            };
            time::from_rfc3339(text).ok_or_else(bad)?
        },
        width: side(record, "ce_width")?,
        height: side(record, "ce_height")?,
        session: session(record)?,
        wire: Wire::Binary,
        picture: RecordPicture::Bytes(value),
    })
}

/// Accepts any minor version of 1: they only add.
fn specversion(record: &Record<'_>) -> Result<(), WireError> {
    let text = required(record, "ce_specversion")?;
    match text.strip_prefix("1.") {
        Some(minor) if whole(minor).is_some() => Ok(()),
        _ => Err(bad("ce_specversion", text, "1.0")),
    }
}

fn event_type(record: &Record<'_>) -> Result<(), WireError> {
    match required(record, "ce_type")? {
        FRAME_TYPE => Ok(()),
        other => Err(WireError::UnsupportedType {
            found: quoted(other.as_bytes()),
        }),
    }
}

fn content_type(record: &Record<'_>) -> Result<(), WireError> {
    let Some(kind) = last_content_type(record).and_then(|header| header.value) else {
        return Ok(());
    };
    // Without parameters, as in `image/jpeg; q=1`.
    let name = kind
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    if [
        &b"image/jpeg"[..],
        b"image/jpg",
        b"image/png",
        b"image/webp",
    ]
    .iter()
    .any(|known| name.eq_ignore_ascii_case(known))
    {
        return Ok(());
    }
    let expected = "image/jpeg, image/png or image/webp";
    Err(WireError::UnsupportedCodec {
        place: "the header content-type",
        found: quoted(kind),
        expected,
    })
}

pub(super) fn camera(record: &Record<'_>) -> Result<CameraId, WireError> {
    const HEADER: &str = "ce_source";
    let text = required(record, HEADER)?;
    let id = text
        .strip_prefix(SOURCE_PREFIX)
        .ok_or_else(|| bad(HEADER, text, "mattebox/camera/ and a camera id"))?;
    id.parse().map_err(|reason| WireError::BadCameraId {
        place: HEADER,
        reason,
    })
}

pub(super) fn number(record: &Record<'_>) -> Result<FrameNumber, WireError> {
    const HEADER: &str = "ce_sequence";
    let text = required(record, HEADER)?;
    match whole(text) {
        Some(number) if number <= MAX_FRAME_NUMBER => Ok(FrameNumber(number)),
        _ => Err(bad(HEADER, text, "a whole number from 0 to 2^53")),
    }
}

fn side(record: &Record<'_>, header: &'static str) -> Result<Option<u32>, WireError> {
    let Some(text) = optional(record, header)? else {
        return Ok(None);
    };
    match whole(text).map(u32::try_from) {
        Some(Ok(pixels @ 1..)) => Ok(Some(pixels)),
        _ => Err(bad(header, text, "a whole number of pixels, at least 1")),
    }
}

/// The session, which becomes a part of results' `ce_id` between slashes.
fn session<'a>(record: &Record<'a>) -> Result<Option<&'a str>, WireError> {
    const HEADER: &str = "ce_session";
    let Some(text) = optional(record, HEADER)? else {
        return Ok(None);
    };
    let fits = (1..=MAX_SESSION).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_graphic() && c != b'/');
    if fits {
        Ok(Some(text))
    } else {
        Err(bad(
            HEADER,
            text,
            "1 to 128 visible ASCII characters without /",
        ))
    }
}

fn bad(header: &'static str, found: &str, expected: &'static str) -> WireError {
    WireError::BadHeader {
        header,
        found: quoted(found.as_bytes()),
        expected,
    }
}

/// Decimal digits and nothing else.
fn whole(text: &str) -> Option<u64> {
    // The standard library's parser would take a plus sign.
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

fn required<'a>(record: &Record<'a>, header: &'static str) -> Result<&'a str, WireError> {
    optional(record, header)?.ok_or(WireError::MissingHeader { header })
}

fn optional<'a>(record: &Record<'a>, header: &'static str) -> Result<Option<&'a str>, WireError> {
    let Some(value) = last(record, header).and_then(|header| header.value) else {
        return Ok(None);
    };
    let not_utf8 = |_| WireError::BadHeader {
        header,
        found: quoted(value),
        expected: "UTF-8 text",
    };
    std::str::from_utf8(value).map(Some).map_err(not_utf8)
}

/// The last header of a name, where it is text.
pub(super) fn last_text<'a>(record: &Record<'a>, name: &str) -> Option<&'a str> {
    std::str::from_utf8(last(record, name)?.value?).ok()
}

fn last<'a>(record: &Record<'a>, name: &str) -> Option<Header<'a>> {
    record
        .headers
        .iter()
        .rev()
        .find(|header| header.name == name)
        .copied()
}

/// Ignores case: this is no CloudEvents name, and many programs write it as in HTTP.
fn last_content_type<'a>(record: &Record<'a>) -> Option<Header<'a>> {
    record
        .headers
        .iter()
        .rev()
        .find(|header| header.name.eq_ignore_ascii_case("content-type"))
        .copied()
}

fn starts_with_ignoring_case(bytes: &[u8], start: &[u8]) -> bool {
    bytes
        .get(..start.len())
        .is_some_and(|found| found.eq_ignore_ascii_case(start))
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;
    use mattebox_core::frame::Timestamp;

    type Headers = Vec<(&'static str, Option<Vec<u8>>)>;

    fn headers() -> Headers {
        [
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
        ]
        .map(|(name, value)| (name, Some(value.as_bytes().to_vec())))
        .into()
    }

    /// The headers with one more at the end.
    fn with(name: &'static str, value: &[u8]) -> Headers {
        let mut headers = headers();
        headers.push((name, Some(value.to_vec())));
        headers
    }

    fn without(name: &str) -> Headers {
        headers()
            .into_iter()
            .filter(|header| header.0 != name)
            .collect()
    }

    fn check<T>(
        headers: &Headers,
        look: impl FnOnce(Result<FrameRecord<'_>, WireError>) -> T,
    ) -> T {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| Header {
                name,
                value: value.as_deref(),
            })
            .collect();
        look(read(&Record {
            key: Some(b"cam01"),
            value: Some(b"\xff\xd8\xff"),
            headers: &headers,
        }))
    }

    fn code(headers: &Headers) -> &'static str {
        check(headers, |frame| {
            frame.map_or_else(|error| error.code(), |_| "read")
        })
    }

    #[test]
    fn a_binary_record_is_read() {
        check(&headers(), |frame| {
            let frame = frame.unwrap();
            assert_eq!(
                (frame.camera.as_str(), frame.number),
                ("cam01", FrameNumber(41))
            );
            assert_eq!(frame.time, Timestamp(1_700_000_000_123_456));
            assert_eq!((frame.width, frame.height), (Some(640), Some(480)));
            assert_eq!((frame.session, frame.wire), (Some("s1"), Wire::Binary));
            let mut buffer = Vec::new();
            assert_eq!(frame.picture().bytes(&mut buffer).unwrap(), b"\xff\xd8\xff");
            assert!(buffer.is_empty());
        });
    }

    #[test]
    fn only_the_type_of_a_result_makes_a_result() {
        let is = |kind: Option<&[u8]>| {
            let headers: Vec<_> = kind
                .map(|value| Header {
                    name: "ce_type",
                    value: Some(value),
                })
                .into_iter()
                .collect();
            is_result(&Record {
                key: None,
                value: None,
                headers: &headers,
            })
        };
        assert!(is(Some(b"mattebox.matted.v1")));
        assert!(!is(Some(b"mattebox.frame.v1")) && !is(Some(b"mattebox.matted.v2")) && !is(None));
    }

    #[test]
    fn some_headers_may_be_missing() {
        for name in [
            "ce_specversion",
            "ce_source",
            "ce_type",
            "ce_time",
            "ce_sequence",
        ] {
            check(&without(name), |frame| {
                assert_eq!(
                    frame.unwrap_err(),
                    WireError::MissingHeader { header: name }
                );
            });
        }
        for name in [
            "ce_id",
            "content-type",
            "ce_width",
            "ce_height",
            "ce_session",
        ] {
            assert_eq!(code(&without(name)), "read", "{name}");
        }
    }

    #[test]
    fn every_header_takes_only_its_allowed_values() {
        let cases: &[(&'static str, &str, &[&[u8]])] = &[
            ("ce_specversion", "read", &[b"1.0", b"1.1", b"1.12"]),
            (
                "ce_specversion",
                "bad-header",
                &[b"", b"1", b"1.", b"0.3", b"2.0", b"1.x", b"1.0.1", b"\xff"],
            ),
            (
                "ce_type",
                "unsupported-type",
                &[
                    b"",
                    b"mattebox.matted.v1",
                    b"mattebox.frame.v2",
                    b"Mattebox.frame.v1",
                ],
            ),
            ("ce_type", "bad-header", &[b"\xff"]),
            (
                "ce_source",
                "bad-header",
                &[
                    b"",
                    b"cam01",
                    b"/mattebox/camera/cam01",
                    b"mattebox/camera",
                    b"\xff",
                ],
            ),
            (
                "ce_source",
                "bad-camera-id",
                &[
                    b"mattebox/camera/",
                    b"mattebox/camera/../x",
                    b"mattebox/camera/a/b",
                ],
            ),
            ("ce_source", "key-mismatch", &[b"mattebox/camera/cam02"]),
            ("ce_sequence", "read", &[b"0", b"007", b"9007199254740992"]),
            (
                "ce_sequence",
                "bad-header",
                &[
                    b"",
                    b"-1",
                    b"+1",
                    b" 1",
                    b"1.0",
                    b"9007199254740993",
                    b"99999999999999999999",
                ],
            ),
            ("ce_time", "read", &[b"2023-11-15T00:13:20+02:00"]),
            (
                "ce_time",
                "bad-header",
                &[
                    b"",
                    b"1700000000",
                    b"2023-11-14",
                    b"1969-01-01T00:00:00Z",
                    b"\xff",
                ],
            ),
            ("ce_width", "read", &[b"1", b"4294967295"]),
            (
                "ce_width",
                "bad-header",
                &[b"", b"0", b"-1", b"4294967296", b"\xff"],
            ),
            ("ce_height", "bad-header", &[b"0", b"x"]),
            (
                "ce_session",
                "read",
                &[b"-", b"2023-11-14T22:13:20Z", &[b'x'; 128]],
            ),
            (
                "ce_session",
                "bad-header",
                &[
                    b"",
                    b"a/b",
                    b"a b",
                    b"a\n",
                    "é".as_bytes(),
                    b"\xff",
                    &[b'x'; 129],
                ],
            ),
            (
                "content-type",
                "read",
                &[
                    b"image/jpeg",
                    b"IMAGE/JPEG",
                    b"image/jpg",
                    b"image/png; a=b",
                    b"image/webp ;q=1",
                ],
            ),
            (
                "content-type",
                "unsupported-codec",
                &[
                    b"",
                    b"image/gif",
                    b"image/",
                    b"video/mp4",
                    b"application/json",
                    b"\xff",
                ],
            ),
            ("Content-Type", "unsupported-codec", &[b"image/gif"]),
            ("CE_SEQUENCE", "read", &[b"not looked at"]),
            ("other", "read", &[b"\xff"]),
        ];
        for (name, expected, values) in cases {
            for value in *values {
                assert_eq!(
                    code(&with(name, value)),
                    *expected,
                    "{name}: {}",
                    quoted(value)
                );
            }
        }
    }

    #[test]
    fn of_several_headers_with_one_name_the_last_counts() {
        check(&with("ce_sequence", b"42"), |frame| {
            assert_eq!(frame.unwrap().number, FrameNumber(42))
        });
        let mut headers = headers();
        headers.push(("ce_sequence", None));
        headers.push(("ce_width", None));
        assert_eq!(code(&headers), "missing-header");
        headers.push(("ce_sequence", Some(b"43".to_vec())));
        check(&headers, |frame| {
            let frame = frame.unwrap();
            assert_eq!(
                (frame.number, frame.width, frame.height),
                (FrameNumber(43), None, Some(480))
            );
        });
    }

    #[test]
    fn one_header_is_enough_to_be_binary() {
        for (name, value) in [
            ("ce_type", "x"),
            ("ce_specversion", "x"),
            ("content-type", "image/gif"),
            ("Content-Type", "Image/x"),
        ] {
            let headers = [Header {
                name,
                value: Some(value.as_bytes()),
            }];
            assert!(
                has_frame_headers(&Record {
                    key: None,
                    value: None,
                    headers: &headers
                }),
                "{name}"
            );
        }
        for (name, value) in [
            ("CE_TYPE", "x"),
            ("ce_id", "x"),
            ("content-type", "application/json"),
            ("x", "image/jpeg"),
        ] {
            let headers = [Header {
                name,
                value: Some(value.as_bytes()),
            }];
            assert!(
                !has_frame_headers(&Record {
                    key: None,
                    value: None,
                    headers: &headers
                }),
                "{name}"
            );
        }
    }

    #[test]
    fn an_empty_value_is_no_picture() {
        let headers = [Header {
            name: "ce_type",
            value: Some(FRAME_TYPE.as_bytes()),
        }];
        let code = |value| {
            read(&Record {
                key: None,
                value,
                headers: &headers,
            })
            .unwrap_err()
            .code()
        };
        assert_eq!((code(Some(b"")), code(None)), ("empty-value", "null-value"));
    }

    #[test]
    fn messages_name_the_header_and_the_expected_value() {
        let message =
            |name, value: &[u8]| check(&with(name, value), |frame| frame.unwrap_err().to_string());
        assert_eq!(
            message("ce_sequence", b"-1"),
            "the header ce_sequence is \"-1\", expected a whole number from 0 to 2^53"
        );
        assert_eq!(
            message("content-type", b"video/mp4"),
            "the header content-type is \"video/mp4\", expected image/jpeg, image/png or image/webp"
        );
        assert_eq!(
            message("ce_source", b"mattebox/camera/b"),
            "the record's key is \"cam01\", but its camera is b"
        );
    }
}
