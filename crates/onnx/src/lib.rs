//! Networks that users bring: an ONNX file that takes one picture and gives one alpha or mask.
//!
//! ONNX Runtime runs them. The library must be installed, but not for building: it is loaded when
//! the first file is opened.
//!
//! # Layout
//!
//! * `library`: finds and loads ONNX Runtime.
//! * `shapes`: the order and size of a file's input and output.
//! * `range`: the numbers that a network expects its colours in.
//! * `known`: networks that are recognised by their file or by their shapes.
//! * `model`: a checked file; `network`: one thread's run of it.
//! * `error`: errors of files, with a way out.
#![forbid(unsafe_code)]

mod error;
mod known;
mod library;
mod model;
mod network;
mod range;
mod shapes;

pub use error::OnnxError;
pub use known::{KNOWN, KnownNetwork};
pub use model::OnnxModel;
pub use network::OnnxNetwork;
pub use range::{ColourRange, ColourRangeError};
pub use shapes::{ChannelOrder, InputLayout};
