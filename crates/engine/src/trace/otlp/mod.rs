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

/// Spans that wait to be sent; more are lost. Enough for seconds of a few hundred frames per
/// second.
const MAX_WAITING: usize = 16_384;
/// Spans in one request, at most.
const MAX_BATCH: usize = 2_048;
/// The time that spans wait for others of the same request.
const BATCH_DELAY: Duration = Duration::from_secs(1);
/// The time limit for the last spans at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes spans and sends them.
#[derive(Debug, Clone, Default)]
pub struct Tracer(Option<Arc<OpenTracer>>);

#[derive(Debug)]
struct OpenTracer {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// One step of a frame. It ends when the last copy of it is dropped.
#[derive(Debug, Clone, Default)]
pub struct Span(Option<OpenSpan>);

#[derive(Debug, Clone)]
struct OpenSpan {
    open: Arc<OpenTracer>,
    context: Context,
}

impl Tracer {
    /// A tracer that sends to the address of the settings. The service is `OTEL_SERVICE_NAME`, or
    /// `mattebox-<command>`.
    pub fn open(settings: Option<&TraceSettings>, command: &str) -> Result<Self, TraceError> {
        let Some(settings) = settings else {
            return Ok(Tracer::default());
        };
        let batch = BatchConfigBuilder::default()
            .with_max_queue_size(MAX_WAITING)
            .with_max_export_batch_size(MAX_BATCH);
        let export = Export::new(settings)?;
        let processor = BatchSpanProcessor::builder(export)
            .with_batch_config(batch.with_scheduled_delay(BATCH_DELAY).build())
            .build();
        let mut resource = Resource::builder()
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        if std::env::var_os("OTEL_SERVICE_NAME").is_none_or(|name| name.is_empty()) {
            resource = resource.with_service_name(format!("mattebox-{command}"));
        }
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            // The process that began a trace decides whether it is sent, so that it is whole.
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
                settings.sample,
            ))))
            .with_resource(resource.build())
            .build();
        let tracer = provider.tracer("mattebox");
        Ok(Tracer(Some(Arc::new(OpenTracer { provider, tracer }))))
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

    /// Sends the last spans.
    pub fn close(&self) {
        if let Some(open) = &self.0
            && let Err(error) = open.provider.shutdown_with_timeout(CLOSE_TIMEOUT)
        {
            tracing::debug!("the last traces were not sent: {error}");
        }
    }
}

impl Span {
    fn start(open: &Arc<OpenTracer>, builder: SpanBuilder, parent: &Context) -> Self {
        let span = builder.start_with_context(&open.tracer, parent);
        // No span is the "current" one of a thread: threads work on many frames in turn.
        Span(Some(OpenSpan {
            open: open.clone(),
            context: parent.with_span(span),
        }))
    }

    /// The span if it is recorded.
    fn recorded(&self) -> Option<&OpenSpan> {
        self.0
            .as_ref()
            .filter(|step| step.context.span().is_recording())
    }

    /// Runs a step within this one.
    pub fn time<T>(&self, name: &'static str, work: impl FnOnce() -> T) -> T {
        let Some(OpenSpan { open, context }) = self.recorded() else {
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

    /// Sets an attribute.
    fn set(&self, key: &'static str, value: impl Into<Value>) {
        if let Some(step) = self.recorded() {
            step.context.span().set_attribute(KeyValue::new(key, value));
        }
    }

    /// Sets the camera of the frame.
    pub fn of_camera(&self, camera: &CameraId) {
        if self.recorded().is_some() {
            self.set("mattebox.camera", camera.to_string());
        }
    }

    /// Sets the number of the frame.
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

    /// Sets the reason why the frame was dropped or skipped.
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
        if let Some(step) = self.recorded() {
            step.context.span().set_status(Status::error(why.into()));
        }
    }
}

/// The system's time at a past instant.
fn since(at: Instant) -> SystemTime {
    SystemTime::now()
        .checked_sub(at.elapsed())
        .unwrap_or_else(SystemTime::now)
}
