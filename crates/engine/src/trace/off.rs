//! The types of traces without the feature `otlp`. They do nothing.
use super::{TraceError, TraceSettings};
use mattebox_core::frame::{CameraId, FrameNumber};
use std::{marker::PhantomData, time::Instant};

/// A tracer that makes no spans.
#[derive(Debug, Clone, Default)]
pub struct Tracer(());

/// A span that notes nothing.
#[derive(Debug, Clone, Default)]
pub struct Span(());

/// The context of a record's trace, which is ignored.
#[derive(Debug, Default)]
pub struct Parent<'a>(PhantomData<&'a str>);

impl<'a> Parent<'a> {
    /// Ignores the headers.
    pub fn of(_: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        Parent::default()
    }
}

impl Tracer {
    /// An error if the settings ask for traces.
    pub fn open(settings: Option<&TraceSettings>, _: &str) -> Result<Self, TraceError> {
        match settings {
            None => Ok(Tracer::default()),
            Some(_) => Err(TraceError::NotBuilt),
        }
    }

    /// A span that notes nothing.
    pub fn begin(&self, _: &'static str, _: Instant) -> Span {
        Span::default()
    }

    /// A span that notes nothing.
    pub fn process<'a>(&self, _: &str, _: &str, _: impl FnOnce() -> Parent<'a>) -> Span {
        Span::default()
    }

    /// Does nothing.
    pub fn close(&self) {}
}

impl Span {
    /// Runs a step.
    pub fn time<T>(&self, _: &'static str, work: impl FnOnce() -> T) -> T {
        work()
    }

    /// Does nothing.
    pub fn of_camera(&self, _: &CameraId) {}

    /// Does nothing.
    pub fn of_frame(&self, _: FrameNumber) {}

    /// Does nothing.
    pub fn outcome(&self, _: &'static str) {}

    /// Does nothing.
    pub fn reason(&self, _: &'static str) {}

    /// Does nothing.
    pub fn dead(&self, _: &'static str, _: &str) {}

    /// Does nothing.
    pub fn fail(&self, _: impl Into<String>) {}

    /// A span that notes nothing.
    pub fn send(&self, _: &str) -> Span {
        Span::default()
    }

    /// Does nothing.
    pub fn place(&self, _: i32, _: i64) {}

    /// No headers.
    pub fn headers(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}
