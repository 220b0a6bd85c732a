//! Records that cannot be frames: they go to `<topic>.dead` as they were, with why and where they were found.
use mattebox_wire::{DeadLetter, dead_letter_headers};
use rdkafka::message::{Header, Headers, OwnedHeaders};

/// The topic of a topic's dead letters.
pub fn topic(frames: &str) -> String {
    format!("{frames}.dead")
}

/// The header with the reason's code.
pub const CODE: &str = "mattebox-error-code";
/// The header with the reason in words.
pub const MESSAGE: &str = "mattebox-error-message";
/// The header with the topic where it was found.
pub const TOPIC: &str = "mattebox-error-topic";
/// The header with the partition where it was found.
pub const PARTITION: &str = "mattebox-error-partition";
/// The header with the offset where it was found.
pub const OFFSET: &str = "mattebox-error-offset";
/// The header of a letter whose value was too large for the topic of dead letters: how many bytes it had. Its value is left out.
pub const LEFT_OUT: &str = "mattebox-error-value-bytes";

/// The longest message in a header, in bytes.
const MAX_MESSAGE: usize = 1000;

/// Whether a header is one of ours: a record that was sent again does not keep them.
pub fn is_ours(name: &str) -> bool {
    name.starts_with("mattebox-error-")
}

/// A record's own headers, without those of an earlier death.
pub fn original(headers: Option<&OwnedHeaders>) -> OwnedHeaders {
    let mut kept = OwnedHeaders::new();
    for header in headers
        .into_iter()
        .flat_map(Headers::iter)
        .filter(|header| !is_ours(header.key))
    {
        kept = kept.insert(header);
    }
    kept
}

/// A record's own headers, and why it is dead. `left_out` says how many bytes its value had, where it is not kept.
pub fn headers(
    of_record: Option<&OwnedHeaders>,
    reason: &DeadLetter<'_>,
    left_out: Option<usize>,
) -> OwnedHeaders {
    let mut end = reason.message.len().min(MAX_MESSAGE);
    while !reason.message.is_char_boundary(end) {
        end -= 1;
    }
    let mut all = original(of_record);
    for (key, value) in dead_letter_headers(&DeadLetter {
        message: &reason.message[..end],
        ..*reason
    }) {
        all = all.insert(Header {
            key,
            value: Some(&value),
        });
    }
    match left_out {
        Some(bytes) => all.insert(Header {
            key: LEFT_OUT,
            value: Some(&bytes.to_string()),
        }),
        None => all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_stay_and_those_of_an_earlier_death_do_not() {
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
        let long = "é".repeat(2000);
        let reason = DeadLetter {
            code: "bad-json",
            message: &long,
            topic: "t",
            partition: 1,
            offset: 9,
        };
        let after = headers(Some(&before), &reason, Some(7));
        let all: Vec<_> = after
            .iter()
            .map(|h| {
                (
                    h.key,
                    h.value.map(|v| String::from_utf8_lossy(v).into_owned()),
                )
            })
            .collect();
        assert_eq!(all[0], ("ce_id", Some("a/b/1".to_owned())));
        assert_eq!(all[1], ("empty", None));
        assert_eq!(all.iter().filter(|(key, _)| *key == OFFSET).count(), 1);
        assert!(
            all.contains(&(OFFSET, Some("9".to_owned())))
                && all.contains(&(LEFT_OUT, Some("7".to_owned())))
        );
        assert!(
            all.iter()
                .find(|(key, _)| *key == MESSAGE)
                .unwrap()
                .1
                .as_ref()
                .unwrap()
                .len()
                <= MAX_MESSAGE
        );
    }
}
