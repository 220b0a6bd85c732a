//! A message of Kafka as a record of the wire formats.
use crate::trace::Parent;
use rdkafka::message::{Headers, Message};

/// Headers of a record that are looked at. More than that are no frame's.
const MAX_HEADERS: usize = 64;

/// Runs `look` on the message as a record.
pub(crate) fn with_record<M: Message, T>(
    message: &M,
    look: impl FnOnce(&mattebox_wire::Record<'_>) -> T,
) -> T {
    let headers: Vec<mattebox_wire::Header<'_>> = match message.headers() {
        Some(headers) => headers
            .iter()
            .take(MAX_HEADERS)
            .map(|h| mattebox_wire::Header {
                name: h.key,
                value: h.value,
            })
            .collect(),
        None => Vec::new(),
    };
    look(&mattebox_wire::Record {
        key: message.key(),
        value: message.payload(),
        headers: &headers,
    })
}

/// What a message says of its trace.
pub(crate) fn parent<M: Message>(message: &M) -> Parent<'_> {
    let headers = message
        .headers()
        .into_iter()
        .flat_map(|headers| headers.iter())
        .take(MAX_HEADERS);
    Parent::of(headers.filter_map(|header| Some((header.key, header.value?))))
}

/// The bytes of a message's value; none for a null.
pub(crate) fn value_bytes<M: Message>(message: &M) -> usize {
    message.payload().map_or(0, <[u8]>::len)
}
