//! Sending and receiving. W3C Trace Context (<https://www.w3.org/TR/trace-context/>) in the headers
//! of a record continues a trace in the next process.
use super::{OpenSpan, Span, Tracer};
use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, Injector, TextMapPropagator},
    trace::{SpanKind, Tracer as _},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;

/// The headers of a context. The second is optional.
const NAMES: [&str; 2] = ["traceparent", "tracestate"];

/// The context of a record's trace.
#[derive(Debug, Default)]
pub struct Parent<'a> {
    values: [Option<&'a str>; NAMES.len()],
}

impl<'a> Parent<'a> {
    /// The context in the headers of a record. Headers that are not UTF-8 are ignored.
    pub fn of(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut parent = Parent::default();
        for (name, value) in headers {
            if let Some(at) = NAMES.iter().position(|known| *known == name) {
                parent.values[at] = std::str::from_utf8(value).ok();
            }
        }
        parent
    }

    fn context(&self) -> Context {
        TraceContextPropagator::new().extract_with_context(&Context::new(), self)
    }
}

impl Extractor for Parent<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        NAMES
            .iter()
            .position(|known| *known == name)
            .and_then(|at| self.values[at])
    }
    fn keys(&self) -> Vec<&str> {
        NAMES.to_vec()
    }
}

impl Tracer {
    /// Continues the trace of a record from a topic, or begins one.
    pub fn process<'a>(
        &self,
        topic: &str,
        group: &str,
        parent: impl FnOnce() -> Parent<'a>,
    ) -> Span {
        let Some(open) = &self.0 else {
            return Span::default();
        };
        let mut attributes = attributes(topic, "process", "process");
        attributes.push(KeyValue::new(
            "messaging.consumer.group.name",
            group.to_owned(),
        ));
        let name = format!("process {topic}");
        let builder = open
            .tracer
            .span_builder(name)
            .with_kind(SpanKind::Consumer)
            .with_attributes(attributes);
        Span::start(open, builder, &parent().context())
    }
}

fn attributes(topic: &str, operation: &'static str, kind: &'static str) -> Vec<KeyValue> {
    vec![
        KeyValue::new("messaging.system", "kafka"),
        KeyValue::new("messaging.operation.name", operation),
        KeyValue::new("messaging.operation.type", kind),
        KeyValue::new("messaging.destination.name", topic.to_owned()),
    ]
}

impl Span {
    /// Begins a step within this one: to send a record to a topic.
    pub fn send(&self, topic: &str) -> Span {
        let Some(OpenSpan { open, context }) = &self.0 else {
            return Span::default();
        };
        let name = format!("send {topic}");
        let builder = open.tracer.span_builder(name).with_kind(SpanKind::Producer);
        Span::start(
            open,
            builder.with_attributes(attributes(topic, "send", "send")),
            context,
        )
    }

    /// Sets the partition and offset of the record.
    pub fn place(&self, partition: i32, offset: i64) {
        if self.recorded().is_some() {
            self.set("messaging.destination.partition.id", partition.to_string());
            self.set("messaging.kafka.offset", offset);
        }
    }

    /// The headers that continue the trace in a record; empty without a trace.
    pub fn headers(&self) -> Vec<(String, String)> {
        self.0
            .as_ref()
            .map_or_else(Vec::new, |step| headers(&step.context))
    }
}

fn headers(context: &Context) -> Vec<(String, String)> {
    let mut headers = Headers::default();
    TraceContextPropagator::new().inject_context(context, &mut headers);
    headers.0
}

#[derive(Default)]
struct Headers(Vec<(String, String)>);

impl Injector for Headers {
    fn set(&mut self, name: &str, value: String) {
        if !value.is_empty() {
            self.0.push((name.to_owned(), value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::TraceContextExt;

    #[test]
    fn a_damaged_context_begins_a_new_trace() {
        let known = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let parent = Parent::of([
            ("other", b"x".as_slice()),
            ("traceparent", known.as_bytes()),
        ]);
        assert_eq!(
            parent
                .context()
                .span()
                .span_context()
                .trace_id()
                .to_string(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        for hostile in [
            b"".as_slice(),
            b"00-0-0-0",
            b"\xff\xfe",
            &[b'0'; 5000],
            b"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        ] {
            let parent = Parent::of([("traceparent", hostile)]);
            assert!(
                !parent.context().span().span_context().is_valid(),
                "{hostile:?}"
            );
        }
    }

    #[test]
    fn without_traces_there_are_no_headers() {
        assert!(Span::default().headers().is_empty());
    }
}
