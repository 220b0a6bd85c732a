//! Errors of ONNX files, with a way out.
use crate::range;
use std::path::PathBuf;
use thiserror::Error;

/// Why an ONNX file cannot be used.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum OnnxError {
    /// ONNX Runtime is not installed, or in another place.
    #[error(
        "an ONNX file needs ONNX Runtime, and {} cannot be loaded: {reason}. Install it (pip \
         install onnxruntime) and set ORT_DYLIB_PATH to its library, for example \
         .../onnxruntime/capi/libonnxruntime.so.1.23.2",
        path.display()
    )]
    NoLibrary {
        /// The file that was tried.
        path: PathBuf,
        /// Why it cannot be loaded.
        reason: String,
    },
    /// A library that is not ONNX Runtime, or an old one.
    #[error("{}: {reason}. Set ORT_DYLIB_PATH to ONNX Runtime 1.23 or newer", path.display())]
    WrongLibrary {
        /// The library.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The file is no ONNX file, or damaged.
    #[error("it is not an ONNX file, or damaged")]
    NotOnnx,
    /// ONNX Runtime cannot run it.
    #[error("ONNX Runtime refuses it: {0}")]
    Refused(String),
    /// It asks for more than a picture.
    #[error(
        "it has {0} inputs; a network of one picture is needed (not one that remembers frames)"
    )]
    Inputs(usize),
    /// Its input is not an RGB picture of numbers.
    #[error(
        "its input {name} is {found}; one RGB picture of float32 is needed: 1x3xHEIGHTxWIDTH or \
         1xHEIGHTxWIDTHx3"
    )]
    Input {
        /// Name of the input.
        name: String,
        /// Its shape and type.
        found: String,
    },
    /// None of its outputs is a mask of the picture's size.
    #[error("its output is {found}; one float32 of 0 to 1 per pixel is needed: {width}x{height}")]
    Output {
        /// Its shape and type.
        found: String,
        /// Width of its picture.
        width: usize,
        /// Height of its picture.
        height: usize,
    },
    /// Its answer is not an alpha.
    #[error(
        "its answers go from {least} to {most}; 0 to 1 is needed: let the file end in a sigmoid"
    )]
    Values {
        /// The smallest value of its answer to a test picture.
        least: String,
        /// The largest.
        most: String,
    },
    /// The range of its colours is not known.
    #[error(
        "the file does not say which numbers it expects as colours: name them behind the path, \
         as in net.onnx:{example} ({list})",
        example = range::ColourRange::ImageNet,
        list = range::names()
    )]
    Range,
}
