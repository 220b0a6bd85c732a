//! A message of Kafka as a record of the wire formats.
use mattebox_engine::trace::Parent;
use mattebox_wire::MAX_HEADERS;
use rdkafka::message::{Headers, Message};

/// Runs `look` on the message as a record.
pub fn with_record<M: Message, T>(
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

/// The trace context in a message's headers.
pub fn parent<M: Message>(message: &M) -> Parent<'_> {
    let headers = message
        .headers()
        .into_iter()
        .flat_map(|headers| headers.iter())
        .take(MAX_HEADERS);
    Parent::of(headers.filter_map(|header| Some((header.key, header.value?))))
}

/// The bytes of a message's value; none for a null.
pub fn value_bytes<M: Message>(message: &M) -> usize {
    message.payload().map_or(0, <[u8]>::len)
}
