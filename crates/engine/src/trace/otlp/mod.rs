//! Spans that are sent to a collector.
mod export;
mod messaging;

pub use messaging::Parent;

use super::{TraceError, TraceSettings};
use export::Export;
use mattebox_core::frame::{CameraId, FrameNumber};
use opentelemetry::{
    Context, KeyValue, Value,
    trace::{Span as _, SpanBuilder, Status, TraceContextExt, Tracer as _, TracerProvider as _},
};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider},
};
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

/// Spans that wait to be sent; more are lost. Some seconds of a few hundred frames per second.
const WAITING: usize = 16_384;
/// Spans in one request.
const BATCH: usize = 2_048;
/// How long spans wait for others to be sent with.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the last spans may take at the end.
const LAST: Duration = Duration::from_secs(5);

/// Makes spans and sends them.
#[derive(Debug, Clone, Default)]
pub struct Tracer(Option<Arc<Open>>);

#[derive(Debug)]
struct Open {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// One step of a frame. It ends when the last copy of it is dropped.
#[derive(Debug, Clone, Default)]
pub struct Span(Option<OpenSpan>);

#[derive(Debug, Clone)]
struct OpenSpan {
    open: Arc<Open>,
    context: Context,
}

impl Tracer {
    /// A tracer that sends to the address of the settings, as the service `mattebox-<command>` unless `OTEL_SERVICE_NAME` says otherwise.
    pub fn open(settings: Option<&TraceSettings>, command: &str) -> Result<Self, TraceError> {
        let Some(settings) = settings else {
            return Ok(Tracer::default());
        };
        let batch = BatchConfigBuilder::default()
            .with_max_queue_size(WAITING)
            .with_max_export_batch_size(BATCH);
        let export = Export::new(settings)?;
        let processor = BatchSpanProcessor::builder(export)
            .with_batch_config(batch.with_scheduled_delay(PAUSE).build())
            .build();
        let mut resource = Resource::builder()
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        if std::env::var_os("OTEL_SERVICE_NAME").is_none_or(|name| name.is_empty()) {
            resource = resource.with_service_name(format!("mattebox-{command}"));
        }
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            // Whoever began a trace decides whether it is sent: it is there as a whole or not at all.
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
                settings.sample,
            ))))
            .with_resource(resource.build())
            .build();
        let tracer = provider.tracer("mattebox");
        Ok(Tracer(Some(Arc::new(Open { provider, tracer }))))
    }

    /// Begins a frame's trace.
    pub fn begin(&self, name: &'static str, at: Instant) -> Span {
        let Some(open) = &self.0 else {
            return Span::default();
        };
        Span::start(
            open,
            open.tracer.span_builder(name).with_start_time(since(at)),
            &Context::new(),
        )
    }

    /// Sends what is left.
    pub fn close(&self) {
        if let Some(open) = &self.0
            && let Err(error) = open.provider.shutdown_with_timeout(LAST)
        {
            tracing::debug!("the last traces were not sent: {error}");
        }
    }
}

impl Span {
    fn start(open: &Arc<Open>, what: SpanBuilder, parent: &Context) -> Self {
        let span = what.start_with_context(&open.tracer, parent);
        // A frame's trace is nobody's "current" one: threads work on many frames in turn.
        Span(Some(OpenSpan {
            open: open.clone(),
            context: parent.with_span(span),
        }))
    }

    /// The step if somebody will see it.
    fn seen(&self) -> Option<&OpenSpan> {
        self.0
            .as_ref()
            .filter(|step| step.context.span().is_recording())
    }

    /// Runs a step within this one.
    pub fn time<T>(&self, name: &'static str, work: impl FnOnce() -> T) -> T {
        let Some(OpenSpan { open, context }) = self.seen() else {
            return work();
        };
        let mut span = open
            .tracer
            .span_builder(name)
            .start_with_context(&open.tracer, context);
        let result = work();
        span.end();
        result
    }

    /// Notes something of the step.
    fn set(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(step) = self.seen() {
            step.context.span().set_attribute(KeyValue::new(key, value));
        }
    }

    /// Notes whose frame it is.
    pub fn of_camera(&self, camera: &CameraId) {
        if self.seen().is_some() {
            self.set("mattebox.camera", camera.to_string());
        }
    }

    /// Notes the number of the frame.
    pub fn of_frame(&self, number: FrameNumber) {
        self.set(
            "mattebox.frame",
            i64::try_from(number.0).unwrap_or(i64::MAX),
        );
    }

    /// Sets the outcome of the frame.
    pub fn outcome(&self, outcome: &'static str) {
        self.set("mattebox.outcome", outcome);
    }

    /// Sets why the frame was dropped or skipped.
    pub fn reason(&self, reason: &'static str) {
        self.set("mattebox.reason", reason);
    }

    /// Notes that the record is a dead letter.
    pub fn dead(&self, code: &'static str, why: &str) {
        self.outcome("dead");
        self.set("error.type", code);
        self.fail(why);
    }

    /// Notes that the step failed.
    pub fn fail(&self, why: impl Into<String>) {
        if let Some(step) = self.seen() {
            step.context.span().set_status(Status::error(why.into()));
        }
    }
}

/// The time on the wall at a moment that is past.
fn since(at: Instant) -> SystemTime {
    SystemTime::now()
        .checked_sub(at.elapsed())
        .unwrap_or_else(SystemTime::now)
}
