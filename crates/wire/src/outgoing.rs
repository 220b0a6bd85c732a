//! A record to send, as plain bytes, for librdkafka and for Spark.
use std::borrow::Cow;

/// One record to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingRecord<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its key, or none.
    pub key: Option<&'a [u8]>,
    /// Its value, or none.
    pub value: Option<OutgoingValue<'a>>,
    /// Its headers in their order.
    pub headers: Vec<OutgoingHeader<'a>>,
}

/// The value of a record to send. The variant tells where its bytes are already, so that they need
/// not be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutgoingValue<'a> {
    /// The value of the record that was read.
    Original(&'a [u8]),
    /// The encoded picture of a result.
    Picture(&'a [u8]),
    /// Bytes that were made for this record.
    Made(Vec<u8>),
}

impl OutgoingValue<'_> {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            OutgoingValue::Original(bytes) | OutgoingValue::Picture(bytes) => bytes,
            OutgoingValue::Made(bytes) => bytes,
        }
    }
}

/// One header of a record to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingHeader<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value, or none.
    pub value: Option<Cow<'a, [u8]>>,
}
