//! Runs a model for one thread.
use super::{
    Model,
    observe::{ExecutorStep, Observer},
    passes::{self, Buffers},
};
use crate::{SimdError, SimdLevel};
use fearless_simd::{Level, dispatch};
use std::{fmt, sync::Arc};

/// The buffers in which one thread runs a model. Make one per thread: a run uses one core, and
/// several executors share one [`Model`].
pub struct Executor {
    model: Arc<Model>,
    level: Level,
    buffers: Buffers,
}

impl Executor {
    /// Reserves all memory that runs will use. Fails if this processor lacks the instructions.
    pub fn new(model: &Arc<Model>, simd: SimdLevel) -> Result<Executor, SimdError> {
        Ok(Executor {
            model: Arc::clone(model),
            level: simd.level()?,
            buffers: Buffers::new(&model.plan),
        })
    }

    /// The model that it runs.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Computes the confidence that each pixel shows a person. `input` is a picture
    /// `[height][width][3]` of red, green and blue in 0..=1; `confidence` is `[height][width]` in
    /// 0..=1. Allocates nothing.
    ///
    /// # Panics
    /// If the slices have other lengths.
    pub fn run(&mut self, input: &[f32], confidence: &mut [f32]) {
        self.observe(input, confidence, None);
    }

    /// Like [`Executor::run`], and calls `after` after each step, so that the caller can measure
    /// the time of each. A run has some thousand steps.
    ///
    /// # Panics
    /// As [`Executor::run`].
    pub fn run_observed(
        &mut self,
        input: &[f32],
        confidence: &mut [f32],
        after: &mut dyn FnMut(ExecutorStep),
    ) {
        self.observe(input, confidence, Some(after));
    }

    fn observe(
        &mut self,
        input: &[f32],
        confidence: &mut [f32],
        after: Option<&mut dyn FnMut(ExecutorStep)>,
    ) {
        let plan = &self.model.plan;
        assert_eq!(
            input.len(),
            plan.height * plan.width * 3,
            "the input must be {}x{}x3",
            plan.height,
            plan.width
        );
        assert_eq!(
            confidence.len(),
            plan.height * plan.width,
            "the confidence must be {}x{}",
            plan.height,
            plan.width
        );
        let buffers = &mut self.buffers;
        let mut observer = Observer::new(after);
        dispatch!(self.level, s => passes::run(s, plan, buffers, input, confidence, &mut observer));
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("model", &self.model.sha256())
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}
