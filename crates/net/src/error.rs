//! Errors of a model file.
use super::OperatorProblem;
use thiserror::Error;

/// Why a file is not a model that can be run.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ModelError {
    /// More bytes than any network of this family has.
    #[error("the model file has {bytes} bytes; at most {max} are read")]
    TooLarge {
        /// Size of the file.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The identifier `TFL3` is missing.
    #[error("this is not a .tflite file: bytes 4 to 7 must be \"TFL3\"")]
    NotTflite,
    /// An offset, a length or a number leads out of the file or contradicts another one.
    #[error("the model file is damaged or cut short: {what} (at byte {at})")]
    Damaged {
        /// The part that was read.
        what: &'static str,
        /// Where in the file.
        at: usize,
    },
    /// The file is sound, but too large, or built in a way that cannot be run.
    #[error("the model cannot be run: {0}")]
    Refused(String),
    /// An operator that the executor does not know at all.
    #[error(
        "operator {index} is {name}, which is not supported (`mattebox model PATH` lists all \
         operators of a file)"
    )]
    Unsupported {
        /// Position in the file, counted from 0.
        index: usize,
        /// Name of the operator.
        name: String,
    },
    /// A known operator with shapes, constants or options that cannot be run.
    #[error("operator {index} ({name}): {problem}")]
    Operator {
        /// Position in the file, counted from 0.
        index: usize,
        /// Name of the operator.
        name: String,
        /// The problem.
        problem: OperatorProblem,
    },
    /// Known operators, connected in another way than in the selfie segmentation networks.
    #[error(
        "this is not a selfie segmentation network: matching stopped at operator {index} ({name}): \
         {problem}"
    )]
    Structure {
        /// Position in the file, counted from 0.
        index: usize,
        /// Name of the operator.
        name: String,
        /// The part that was expected there.
        problem: String,
    },
}
