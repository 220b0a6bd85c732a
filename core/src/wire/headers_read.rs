//! The binary format to a frame: CloudEvents 1.0, Kafka binding, binary mode.
use super::{FrameRecord, Header, MAX_FRAME_NUMBER, MAX_SESSION, Record, Wire, WireError, error::quoted, picture::Picture, time};
use crate::frame::{CameraId, FrameNumber};

/// What every `ce_source` begins with; the camera id follows.
pub(super) const SOURCE_PREFIX: &str = "mattebox/camera/";
/// The `ce_type` of a frame.
pub(super) const FRAME_TYPE: &str = "mattebox.frame.v1";

/// Whether the headers alone show that the record is meant as a frame.
pub(super) fn has_frame_headers(record: &Record<'_>) -> bool {
    let is_image = |header: Header<'_>| header.value.is_some_and(|kind| starts_with_ignoring_case(kind, b"image/"));
    last(record, "ce_type").is_some()
        || last(record, "ce_specversion").is_some()
        || last_content_type(record).is_some_and(is_image)
}

/// `value` is the record's, which is there.
pub(super) fn read<'a>(record: &Record<'a>, value: &'a [u8]) -> Result<FrameRecord<'a>, WireError> {
    specversion(record)?;
    event_type(record)?;
    content_type(record)?;
    Ok(FrameRecord {
        camera: camera(record)?,
        number: number(record)?,
        time: {
            let text = required(record, "ce_time")?;
            let bad = || bad("ce_time", text, "RFC 3339 from 1970 to 9998, such as 2023-11-14T22:13:20.123456Z");
            time::from_rfc3339(text).ok_or_else(bad)?
        },
        width: side(record, "ce_width")?,
        height: side(record, "ce_height")?,
        session: session(record)?,
        wire: Wire::Binary,
        picture: Picture::Bytes(value),
    })
}

/// Any minor version of 1: they only add.
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
        other => Err(WireError::UnsupportedType { found: quoted(other.as_bytes()) }),
    }
}

fn content_type(record: &Record<'_>) -> Result<(), WireError> {
    let Some(kind) = last_content_type(record).and_then(|header| header.value) else { return Ok(()) };
    // Without parameters, as in `image/jpeg; q=1`.
    let name = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    if [&b"image/jpeg"[..], b"image/jpg", b"image/png", b"image/webp"].iter().any(|known| name.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    let expected = "image/jpeg, image/png or image/webp";
    Err(WireError::UnsupportedCodec { place: "the header content-type", found: quoted(kind), expected })
}

pub(super) fn camera(record: &Record<'_>) -> Result<CameraId, WireError> {
    const HEADER: &str = "ce_source";
    let text = required(record, HEADER)?;
    let id = text.strip_prefix(SOURCE_PREFIX).ok_or_else(|| bad(HEADER, text, "mattebox/camera/ and a camera id"))?;
    id.parse().map_err(|reason| WireError::BadCameraId { place: HEADER, reason })
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
    let Some(text) = optional(record, header)? else { return Ok(None) };
    match whole(text).map(u32::try_from) {
        Some(Ok(pixels @ 1..)) => Ok(Some(pixels)),
        _ => Err(bad(header, text, "a whole number of pixels, at least 1")),
    }
}

/// It becomes a part of results' `ce_id`, between slashes.
fn session<'a>(record: &Record<'a>) -> Result<Option<&'a str>, WireError> {
    const HEADER: &str = "ce_session";
    let Some(text) = optional(record, HEADER)? else { return Ok(None) };
    let fits = (1..=MAX_SESSION).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_graphic() && c != b'/');
    if fits { Ok(Some(text)) } else { Err(bad(HEADER, text, "1 to 128 visible ASCII characters without /")) }
}

fn bad(header: &'static str, found: &str, expected: &'static str) -> WireError {
    WireError::BadHeader { header, found: quoted(found.as_bytes()), expected }
}

/// Decimal digits and nothing else.
fn whole(text: &str) -> Option<u64> {
    // The standard library's parser would take a plus sign.
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn required<'a>(record: &Record<'a>, header: &'static str) -> Result<&'a str, WireError> {
    optional(record, header)?.ok_or(WireError::MissingHeader { header })
}

fn optional<'a>(record: &Record<'a>, header: &'static str) -> Result<Option<&'a str>, WireError> {
    let Some(value) = last(record, header).and_then(|header| header.value) else { return Ok(None) };
    let not_utf8 = |_| WireError::BadHeader { header, found: quoted(value), expected: "UTF-8 text" };
    std::str::from_utf8(value).map(Some).map_err(not_utf8)
}

fn last<'a>(record: &Record<'a>, name: &str) -> Option<Header<'a>> {
    record.headers.iter().rev().find(|header| header.name == name).copied()
}

/// In any case: it is not a CloudEvents name, and HTTP habits are widespread.
fn last_content_type<'a>(record: &Record<'a>) -> Option<Header<'a>> {
    record.headers.iter().rev().find(|header| header.name.eq_ignore_ascii_case("content-type")).copied()
}

fn starts_with_ignoring_case(bytes: &[u8], start: &[u8]) -> bool {
    bytes.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start))
}
