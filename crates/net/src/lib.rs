//! The selfie segmentation network: from a `.tflite` file to the confidence that each pixel shows a
//! person.
//!
//! A file is hostile input. On its way to a [`Model`] it goes through four steps, each of which
//! makes the checks for the next one: bytes → tables (`tflite`) → typed operators with shapes and
//! constants (`graph`) → parts of the network (`matching`) → packed weights (`plan`). An
//! [`Executor`] then runs the plan; [`Reference`] runs the graph operator by operator and is its
//! oracle.
//!
//! # Layout
//!
//! * `flatbuffer`: a checked reader of the format underneath.
//! * `tflite`: the tables of a file; `operator_names`: the names of the operators.
//! * `graph`: the checked graph; `builder`: makes it; `operators`: the checks of each kind of
//!   operator; `operator_problem`: their errors.
//! * `describe`: the description of a file, also of one that cannot be run.
//! * `reference`: the oracle, in plain loops.
//! * `matching`: finds the network's parts in the graph; `plan`: folds and packs their weights.
//! * `kernels`: the loops over one row; `passes`: the order in which they run; `executor`: the
//!   public interface to them; `observe`: the steps of a run, for measurements.
//! * `simd`: which vector instructions to use, and how to force them.
#![forbid(unsafe_code)]

mod builder;
mod describe;
mod error;
mod executor;
mod flatbuffer;
mod graph;
#[cfg(test)]
mod hostile;
mod kernels;
mod matching;
mod observe;
mod operator_names;
mod operator_problem;
mod operators;
mod passes;
mod plan;
mod reference;
mod simd;
mod tflite;

pub use describe::{ModelDescription, OperatorCount, TensorDescription, describe};
pub use error::ModelError;
pub use executor::Executor;
pub use graph::MapShape;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub use kernels::Case;
pub use observe::{ExecutorStep, Pass, StepKind};
pub use operator_problem::OperatorProblem;
pub use reference::Reference;
pub use simd::{SimdError, SimdLevel};

use sha2::{Digest, Sha256};
use std::fmt;

/// MediaPipe's general selfie segmentation network, 256x256: the bytes of
/// `selfie_segmentation.tflite`.
pub const GENERAL: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/model/selfie_segmentation.tflite"
));
/// MediaPipe's landscape selfie segmentation network, 144x256: the bytes of
/// `selfie_segmentation_landscape.tflite`.
pub const LANDSCAPE: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/model/selfie_segmentation_landscape.tflite"
));

/// A network that is ready to run: checked, planned, its weights packed. It never changes; share it
/// between threads.
pub struct Model {
    plan: plan::NetworkPlan,
    sha256: String,
}

impl Model {
    /// The built-in network for pictures of any shape, 256x256.
    pub fn general() -> Result<Model, ModelError> {
        Self::from_bytes(GENERAL)
    }

    /// The built-in network for wide pictures, 144 high and 256 wide. It takes about half the time
    /// of the general one.
    pub fn landscape() -> Result<Model, ModelError> {
        Self::from_bytes(LANDSCAPE)
    }

    /// Reads a `.tflite` file of the selfie segmentation family. Nothing in the file is trusted.
    pub fn from_bytes(bytes: &[u8]) -> Result<Model, ModelError> {
        let graph = builder::build_graph(&tflite::TfliteFile::read(bytes)?)?;
        Ok(Model {
            plan: plan::NetworkPlan::derive(&graph)?,
            sha256: sha256(bytes),
        })
    }

    /// Width of the input and of the confidence in pixels.
    pub fn input_width(&self) -> usize {
        self.plan.width
    }

    /// Height of the input and of the confidence in pixels.
    pub fn input_height(&self) -> usize {
        self.plan.height
    }

    /// SHA-256 of the file, lower hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Model {{ {}x{}, sha256 {} }}",
            self.plan.width, self.plan.height, self.sha256
        )
    }
}

/// SHA-256, lower hex.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}
