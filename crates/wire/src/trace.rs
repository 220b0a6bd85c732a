//! The trace of a record: W3C Trace Context (<https://www.w3.org/TR/trace-context/>) in headers.
use super::{Record, headers_read::last_text};

/// The longest `tracestate` that is passed on, in bytes: the length that the standard requires
/// (section 3.3.1.5).
const MAX_STATE: usize = 512;

/// The headers that pass on the trace of a frame to its result, unchanged: `traceparent`, and
/// `tracestate` if the frame has one. Empty if the frame's `traceparent` is no trace context.
pub fn trace_headers<'a>(record: &Record<'a>) -> Vec<(&'static str, &'a str)> {
    let Some(parent) = last_text(record, "traceparent").filter(|text| is_parent(text)) else {
        return Vec::new();
    };
    let state = last_text(record, "tracestate").filter(|text| is_state(text));
    [
        Some(("traceparent", parent)),
        state.map(|state| ("tracestate", state)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// `VERSION-TRACE-SPAN-FLAGS` in lower-case hexadecimal digits, 2, 32, 16 and 2 of them. Only
/// versions after 00 may have more parts after it.
fn is_parent(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut part = |digits: usize| {
        let is_hex = |part: &&str| {
            part.len() == digits && part.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
        };
        parts.next().filter(is_hex)
    };
    let (Some(version), Some(trace), Some(span), Some(_)) = (part(2), part(32), part(16), part(2))
    else {
        return false;
    };
    let is_some = |id: &str| id.bytes().any(|c| c != b'0');
    let is_known = if version == "00" {
        parts.next().is_none()
    } else {
        version != "ff"
    };
    is_known && is_some(trace) && is_some(span)
}

fn is_state(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_STATE
        && text.contains('=')
        && text.bytes().all(|c| matches!(c, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::super::Header;
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn passed_on<'a>(headers: &[(&'a str, &'a [u8])]) -> Vec<(&'static str, String)> {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| Header {
                name,
                value: Some(value),
            })
            .collect();
        let passed = trace_headers(&Record {
            key: None,
            value: None,
            headers: &headers,
        });
        passed
            .into_iter()
            .map(|(name, value)| (name, value.to_owned()))
            .collect()
    }

    #[test]
    fn a_trace_is_passed_on_unchanged() {
        let parent = ("traceparent", PARENT.to_owned());
        assert_eq!(
            passed_on(&[("traceparent", PARENT.as_bytes())]),
            std::slice::from_ref(&parent)
        );
        let both = passed_on(&[
            ("tracestate", b"a=1,b=2"),
            ("traceparent", PARENT.as_bytes()),
        ]);
        assert_eq!(both, [parent, ("tracestate", "a=1,b=2".to_owned())]);
        let later = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more";
        assert_eq!(
            passed_on(&[("traceparent", later.as_bytes())]),
            [("traceparent", later.to_owned())]
        );
    }

    #[test]
    fn text_that_is_no_context_is_not_passed_on() {
        for hostile in [
            &b""[..],
            b"00-0-0-0",
            b"\xff\xfe",
            &[b'0'; 5000],
            b"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            b"00-00000000000000000000000000000000-b7ad6b7169203331-01",
            b"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            b"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        ] {
            assert!(
                passed_on(&[("traceparent", hostile), ("tracestate", b"a=1")]).is_empty(),
                "{hostile:?}"
            );
        }
        for hostile in [&b""[..], b"a", b"a=\n", &[b'='; 513]] {
            let passed = passed_on(&[("traceparent", PARENT.as_bytes()), ("tracestate", hostile)]);
            assert_eq!(passed.len(), 1, "{hostile:?}");
        }
        assert!(passed_on(&[("tracestate", b"a=1")]).is_empty());
    }
}
