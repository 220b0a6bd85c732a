//! Dead letters: records that cannot be processed, with the reason in added headers.
//!
//! A dead letter keeps the key, the value and the headers of its record. The worker and the Spark
//! job send the same bytes.
use super::{Header, OutgoingHeader, OutgoingRecord, OutgoingValue, Record};
use std::borrow::Cow;

/// The header with the reason's code.
pub const CODE: &str = "mattebox-error-code";
/// The header with the reason in words.
pub const MESSAGE: &str = "mattebox-error-message";
/// The header with the topic of the record.
pub const TOPIC: &str = "mattebox-error-topic";
/// The header with the record's partition.
pub const PARTITION: &str = "mattebox-error-partition";
/// The header with the record's offset.
pub const OFFSET: &str = "mattebox-error-offset";
/// The header with the size of a value that was left out because it was too large, in bytes.
pub const LEFT_OUT: &str = "mattebox-error-value-bytes";

/// The beginning of every header that a dead letter adds.
const PREFIX: &str = "mattebox-error-";
/// The longest reason in words, in bytes of UTF-8.
const MAX_MESSAGE: usize = 1000;

/// The reason for a dead letter, and the place of its record.
#[derive(Debug, Clone, Copy)]
pub struct DeadLetter<'a> {
    /// The code of the reason: [`WireError::code`](super::WireError::code) or
    /// [`picture_code`](super::picture_code).
    pub code: &'a str,
    /// The reason in words.
    pub message: &'a str,
    /// The record's topic.
    pub topic: &'a str,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

impl DeadLetter<'_> {
    /// The dead letter for `record`, to send to the topic `to`. A value of more than
    /// `max_value_bytes` is left out.
    pub fn record<'a>(
        &self,
        to: &'a str,
        record: &Record<'a>,
        max_value_bytes: usize,
    ) -> OutgoingRecord<'a> {
        let left_out = left_out(record.value, max_value_bytes);
        OutgoingRecord {
            topic: to,
            key: record.key,
            value: record
                .value
                .filter(|_| left_out.is_none())
                .map(OutgoingValue::Original),
            headers: headers(record.headers, self, left_out),
        }
    }
}

/// The topic of a topic's dead letters.
pub fn topic(frames: &str) -> String {
    format!("{frames}.dead")
}

/// The size of the value in bytes, if it is too large for a dead letter.
pub fn left_out(value: Option<&[u8]>, max_value_bytes: usize) -> Option<usize> {
    value
        .map(<[u8]>::len)
        .filter(|bytes| *bytes > max_value_bytes)
}

/// Whether a dead letter adds this header.
pub fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// A record's own headers, in their order. A dead letter that was sent again loses its former
/// reason.
pub fn original<'a>(headers: &[Header<'a>]) -> impl Iterator<Item = Header<'a>> {
    headers
        .iter()
        .copied()
        .filter(|header| !is_ours(header.name))
}

/// A record's own headers, then those of the reason. `left_out` is the size of a value that is left
/// out, in bytes.
pub fn headers<'a>(
    of_record: &[Header<'a>],
    reason: &DeadLetter<'_>,
    left_out: Option<usize>,
) -> Vec<OutgoingHeader<'a>> {
    let ours = |name, value: String| OutgoingHeader {
        name,
        value: Some(Cow::Owned(value.into_bytes())),
    };
    let mut all = Vec::with_capacity(of_record.len() + 6);
    all.extend(original(of_record).map(|header| OutgoingHeader {
        name: header.name,
        value: header.value.map(Cow::Borrowed),
    }));
    all.extend([
        ours(CODE, reason.code.to_owned()),
        ours(MESSAGE, shortened(reason.message).to_owned()),
        ours(TOPIC, reason.topic.to_owned()),
        ours(PARTITION, reason.partition.to_string()),
        ours(OFFSET, reason.offset.to_string()),
    ]);
    all.extend(left_out.map(|bytes| ours(LEFT_OUT, bytes.to_string())));
    all
}

/// The beginning of a message, cut between two characters.
fn shortened(message: &str) -> &str {
    let mut end = message.len().min(MAX_MESSAGE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    const REASON: DeadLetter<'_> = DeadLetter {
        code: "bad-json",
        message: "the value",
        topic: "camera_frames",
        partition: 3,
        offset: 99,
    };

    fn header<'a>(name: &'a str, value: Option<&'a [u8]>) -> Header<'a> {
        Header { name, value }
    }

    fn texts<'a>(headers: &'a [OutgoingHeader<'_>]) -> Vec<(&'a str, Option<&'a str>)> {
        let text = |bytes: &'a [u8]| std::str::from_utf8(bytes).unwrap();
        headers
            .iter()
            .map(|header| (header.name, header.value.as_deref().map(text)))
            .collect()
    }

    #[test]
    fn a_dead_letter_is_the_record_and_the_reason() {
        let before = [
            header("ce_id", Some(b"a/b/1")),
            header("empty", None),
            header(OFFSET, Some(b"3")),
            header(LEFT_OUT, Some(b"4")),
            header("ce_id", Some(b"again")),
        ];
        let record = Record {
            key: Some(b"\xff"),
            value: Some(b"value"),
            headers: &before,
        };
        let dead_letter = REASON.record("camera_frames.dead", &record, 5);
        assert_eq!(dead_letter.topic, "camera_frames.dead");
        assert_eq!(dead_letter.key, Some(&b"\xff"[..]));
        assert_eq!(dead_letter.value, Some(OutgoingValue::Original(b"value")));
        let expected = [
            ("ce_id", Some("a/b/1")),
            ("empty", None),
            ("ce_id", Some("again")),
            ("mattebox-error-code", Some("bad-json")),
            ("mattebox-error-message", Some("the value")),
            ("mattebox-error-topic", Some("camera_frames")),
            ("mattebox-error-partition", Some("3")),
            ("mattebox-error-offset", Some("99")),
        ];
        assert_eq!(texts(&dead_letter.headers), expected);
    }

    #[test]
    fn a_value_that_is_too_large_is_left_out_and_its_size_is_kept() {
        let of = |value| Record {
            key: None,
            value,
            headers: &[],
        };
        let dead_letter = REASON.record("t.dead", &of(Some(&[0; 6])), 5);
        assert_eq!((dead_letter.key, &dead_letter.value), (None, &None));
        assert_eq!(
            texts(&dead_letter.headers)[5..],
            [("mattebox-error-value-bytes", Some("6"))]
        );
        // A tombstone has no value that could be too large.
        let dead_letter = REASON.record("t.dead", &of(None), 0);
        assert_eq!((dead_letter.value, dead_letter.headers.len()), (None, 5));
        let dead_letter = REASON.record("t.dead", &of(Some(b"")), 0);
        assert_eq!(dead_letter.value, Some(OutgoingValue::Original(b"")));
    }

    #[test]
    fn a_long_message_is_cut_at_1000_bytes_between_two_characters() {
        for (message, bytes) in [
            ("x".repeat(1000), 1000),
            ("x".repeat(1001), 1000),
            ("é".repeat(2000), 1000),
            (format!("x{}", "é".repeat(2000)), 999),
            ("\u{1f600}".repeat(400), 1000),
            (format!("xxx{}", "\u{1f600}".repeat(400)), 999),
        ] {
            let reason = DeadLetter {
                message: &message,
                ..REASON
            };
            let headers = headers(&[], &reason, None);
            let kept = texts(&headers)[1].1.unwrap();
            assert_eq!(kept.len(), bytes);
            assert!(message.starts_with(kept));
        }
    }

    #[test]
    fn dead_letters_have_their_own_topic() {
        assert_eq!(topic("camera_frames"), "camera_frames.dead");
    }
}
