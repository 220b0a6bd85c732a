//! Traces: the way of each frame in spans, sent to a collector by OTLP.
//!
//! ```text
//! capture ─┬─ encode
//!          └─ send camera_frames
//!               ┊ traceparent, in the record's headers
//!               ▼
//!             process camera_frames ─┬─ read
//!                                    ├─ segment … encode
//!                                    └─ write, or send of the result
//! ```
//!
//! A span is a step with its begin and its end. Its name and attributes follow OpenTelemetry's
//! conventions for messaging (<https://opentelemetry.io/docs/specs/semconv/messaging/>). Other
//! attributes begin with `mattebox.`.
//!
//! # Layout
//!
//! * [`Tracer`]: makes spans and sends them. [`Span`]: a step of a frame. Both do nothing unless
//!   the settings ask for traces.
//! * `export`: sends spans. A missing collector is logged once, and does not delay frames.
//! * `messaging`: sending and receiving: the context of a trace in the headers of a record.
//! * `off`: the same types without the feature `otlp`. They do nothing.
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
