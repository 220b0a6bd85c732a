//! People's own networks: an ONNX file that takes one picture and gives one alpha or mask.
//!
//! ONNX Runtime runs them. It is a library that is loaded while the program runs, so it must be
//! installed; nothing of it is needed to build, and it is loaded when the first file asks for it.
//!
//! # Layout
//!
//! * `library`: finds and loads ONNX Runtime.
//! * `shapes`: the order and size of a file's input and output.
//! * `range`: the numbers that a network expects its colours in.
//! * `known`: networks that are known by their file or by their shapes.
//! * `model`: a checked file; `network`: one thread's run of it.
//! * `error`: why a file cannot be used, and what to do.
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
