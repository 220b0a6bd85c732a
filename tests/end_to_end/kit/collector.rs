//! A collector of traces: receives OTLP over HTTP, with the protocol's own messages, and stores the
//! spans.
use axum::{Router, body::Bytes, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    thread,
};
use tokio::{net::TcpListener, runtime, sync::oneshot};

/// A span and its sender.
#[derive(Debug, Clone)]
pub(crate) struct ReceivedSpan {
    pub(crate) service: String,
    pub(crate) span: Span,
}

/// Listens until it is dropped.
pub(crate) struct Collector {
    pub(crate) address: String,
    told: Arc<Mutex<Vec<ReceivedSpan>>>,
    _end: oneshot::Sender<()>,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let told: Arc<Mutex<Vec<ReceivedSpan>>> = Arc::default();
        let (end, ended) = oneshot::channel::<()>();
        let heard = told.clone();
        let take = post(|body: Bytes| async move {
            let Ok(request) = ExportTraceServiceRequest::decode(body) else {
                return StatusCode::BAD_REQUEST;
            };
            heard.lock().expect("no panic").extend(spans(request));
            StatusCode::OK
        });
        thread::spawn(move || {
            let served = axum::serve(listener, Router::new().route("/v1/traces", take));
            runtime.block_on(async {
                tokio::select! { _ = served => {}, _ = ended => {} }
            });
        });
        Collector {
            address,
            told,
            _end: end,
        }
    }

    /// All spans so far.
    pub(crate) fn told(&self) -> Vec<ReceivedSpan> {
        self.told.lock().expect("no panic").clone()
    }

    /// The same by trace.
    pub(crate) fn traces(&self) -> BTreeMap<String, Vec<ReceivedSpan>> {
        let mut traces: BTreeMap<String, Vec<ReceivedSpan>> = BTreeMap::new();
        for told in self.told() {
            traces
                .entry(hex(&told.span.trace_id))
                .or_default()
                .push(told);
        }
        traces
    }
}

fn spans(request: ExportTraceServiceRequest) -> Vec<ReceivedSpan> {
    let mut all = Vec::new();
    for resource in request.resource_spans {
        let attributes = resource.resource.map(|r| r.attributes).unwrap_or_default();
        let service = text(&attributes, "service.name").expect("who sent it");
        let spans = resource
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans);
        all.extend(spans.map(|span| ReceivedSpan {
            service: service.clone(),
            span,
        }));
    }
    all
}

/// An attribute as text.
pub(crate) fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = attributes
        .iter()
        .find(|attribute| attribute.key == key)?
        .value
        .clone()?
        .value?;
    match value {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{key}: {other:?}"),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The only span with a name.
#[track_caller]
pub(crate) fn one<'a>(trace: &'a [ReceivedSpan], name: &str) -> &'a Span {
    let found: Vec<_> = trace.iter().filter(|told| told.span.name == name).collect();
    assert_eq!(
        found.len(),
        1,
        "{name} in {:?}",
        trace.iter().map(|told| &told.span.name).collect::<Vec<_>>()
    );
    &found[0].span
}
