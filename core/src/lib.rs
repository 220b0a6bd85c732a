//! The core of mattebox: from the bytes of a picture to the bytes of a picture without its background.
//!
//! Everything here is pure and synchronous: no network, no files, no threads, no clock, no global state.
//! A value goes in, a value comes out, and the same input gives the same output.
//!
//! # Layout
//!
//! * [`frame`]: who a frame belongs to, its number and its time.
//! * [`model`]: the network: `.tflite` file, plan, executor.
//! * [`simd`]: which vector instructions to use, and how to force them.
#![forbid(unsafe_code)]

pub mod frame;
pub mod model;
pub mod simd;
