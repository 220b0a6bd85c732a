//! Traces: the way of each frame in spans, which whoever asked for them is sent by OTLP.
//!
//! ```text
//! capture ─┬─ encode
//!          └─ send camera_frames ┄┄ traceparent, in the record's headers ┄┄► process camera_frames ─┬─ read
//!                                                                                                  ├─ segment … encode
//!                                                                                                  └─ write, or send of the result
//! ```
//!
//! A span is a step with its beginning and its end. Its name and attributes follow OpenTelemetry's conventions for messaging
//! (<https://opentelemetry.io/docs/specs/semconv/messaging/>); those of our own begin with `mattebox.`.
//!
//! # Layout
//!
//! * [`Tracer`]: whether there are traces at all, and where they go. [`Span`]: a step of a frame. Both do nothing, and cost nothing, unless
//!   traces are asked for.
//! * `export`: sends spans; a collector that is not there is said once, and holds up nobody.
//! * `messaging`: sending and receiving: the context of a trace in the headers of a record.
//!
//! Without the feature `otlp` there are no spans: the same types do nothing.
mod error;
#[cfg(not(feature = "otlp"))]
mod off;
#[cfg(feature = "otlp")]
mod otlp;
mod settings;

pub use error::TraceError;
#[cfg(not(feature = "otlp"))]
pub use off::{Parent, Span, Tracer};
#[cfg(feature = "otlp")]
pub use otlp::{Parent, Span, Tracer};
pub use settings::TraceSettings;
