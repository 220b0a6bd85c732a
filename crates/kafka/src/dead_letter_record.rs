//! Dead letters in librdkafka's types. [`mattebox_wire::dead_letter`] defines their bytes.
pub use mattebox_wire::dead_letter::{
    CODE, LEFT_OUT, MESSAGE, OFFSET, PARTITION, TOPIC, is_ours, topic,
};
use mattebox_wire::{DeadLetter, dead_letter};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, OwnedMessage};

/// A record's own headers, without the headers of an earlier dead letter.
pub fn original(headers: Option<&OwnedHeaders>) -> OwnedHeaders {
    let of_record = plain(headers);
    let mut kept = OwnedHeaders::new();
    for header in dead_letter::original(&of_record) {
        kept = kept.insert(Header {
            key: header.name,
            value: header.value,
        });
    }
    kept
}

/// The value and headers of a dead letter. The record's value is left out if it has more than
/// `max_value_bytes`.
pub fn value_and_headers<'a>(
    record: &'a OwnedMessage,
    reason: &DeadLetter<'_>,
    max_value_bytes: usize,
) -> (Option<&'a [u8]>, OwnedHeaders) {
    let value = record.payload();
    let left_out = dead_letter::left_out(value, max_value_bytes);
    let headers = headers(record.headers(), reason, left_out);
    (value.filter(|_| left_out.is_none()), headers)
}

/// A record's own headers, and why it is dead. `left_out`: the size in bytes of a value that is not
/// kept.
fn headers(
    of_record: Option<&OwnedHeaders>,
    reason: &DeadLetter<'_>,
    left_out: Option<usize>,
) -> OwnedHeaders {
    let of_record = plain(of_record);
    let mut all = OwnedHeaders::new();
    for header in dead_letter::headers(&of_record, reason, left_out) {
        all = all.insert(Header {
            key: header.name,
            value: header.value.as_deref(),
        });
    }
    all
}

fn plain(headers: Option<&OwnedHeaders>) -> Vec<mattebox_wire::Header<'_>> {
    headers
        .into_iter()
        .flat_map(Headers::iter)
        .map(|header| mattebox_wire::Header {
            name: header.key,
            value: header.value,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_headers_stay_and_headers_of_an_earlier_dead_letter_go() {
        let before = OwnedHeaders::new()
            .insert(Header {
                key: "ce_id",
                value: Some("a/b/1"),
            })
            .insert(Header {
                key: "empty",
                value: None::<&str>,
            })
            .insert(Header {
                key: OFFSET,
                value: Some("3"),
            });
        let reason = DeadLetter {
            code: "bad-json",
            message: "m",
            topic: "t",
            partition: 1,
            offset: 9,
        };
        let texts = |headers: &OwnedHeaders| -> Vec<(String, Option<String>)> {
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            headers
                .iter()
                .map(|header| (header.key.to_owned(), header.value.map(text)))
                .collect()
        };
        let expected = [
            ("ce_id", Some("a/b/1")),
            ("empty", None),
            (CODE, Some("bad-json")),
            (MESSAGE, Some("m")),
            (TOPIC, Some("t")),
            (PARTITION, Some("1")),
            (OFFSET, Some("9")),
            (LEFT_OUT, Some("7")),
        ]
        .map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
        assert_eq!(texts(&headers(Some(&before), &reason, Some(7))), expected);
        assert_eq!(texts(&original(Some(&before))), expected[..2]);
        assert!(texts(&original(None)).is_empty());
    }
}
