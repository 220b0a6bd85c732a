//! Traces of a program without the feature `otlp`: nothing is noted and nothing is sent.
use super::{TraceError, TraceSettings};
use mattebox_core::frame::{CameraId, FrameNumber};
use std::{marker::PhantomData, time::Instant};

/// Makes no spans.
#[derive(Debug, Clone, Default)]
pub struct Tracer(());

/// No step of a frame.
#[derive(Debug, Clone, Default)]
pub struct Span(());

/// Nothing of a record's trace.
#[derive(Debug, Default)]
pub struct Parent<'a>(PhantomData<&'a str>);

impl<'a> Parent<'a> {
    /// Takes nothing.
    pub fn of(_: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        Parent::default()
    }
}

impl Tracer {
    /// An error where traces are asked for.
    pub fn open(settings: Option<&TraceSettings>, _: &str) -> Result<Self, TraceError> {
        match settings {
            None => Ok(Tracer::default()),
            Some(_) => Err(TraceError::NotBuilt),
        }
    }

    /// No trace.
    pub fn begin(&self, _: &'static str, _: Instant) -> Span {
        Span::default()
    }

    /// No trace.
    pub fn process<'a>(&self, _: &str, _: &str, _: impl FnOnce() -> Parent<'a>) -> Span {
        Span::default()
    }

    /// Nothing is left.
    pub fn close(&self) {}
}

impl Span {
    /// Runs a step.
    pub fn time<T>(&self, _: &'static str, work: impl FnOnce() -> T) -> T {
        work()
    }

    /// Notes nothing.
    pub fn of_camera(&self, _: &CameraId) {}

    /// Notes nothing.
    pub fn of_frame(&self, _: FrameNumber) {}

    /// Notes nothing.
    pub fn outcome(&self, _: &'static str) {}

    /// Notes nothing.
    pub fn reason(&self, _: &'static str) {}

    /// Notes nothing.
    pub fn dead(&self, _: &'static str, _: &str) {}

    /// Notes nothing.
    pub fn fail(&self, _: impl Into<String>) {}

    /// No step.
    pub fn send(&self, _: &str) -> Span {
        Span::default()
    }

    /// Notes nothing.
    pub fn place(&self, _: i32, _: i64) {}

    /// No headers.
    pub fn headers(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}
