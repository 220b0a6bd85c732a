//! The core of mattebox: from the bytes of a picture to the bytes of a picture without its
//! background.
//!
//! Everything here is pure and synchronous: no network, no files, no threads, no clock, no global
//! state. A value goes in, a value comes out, and the same input gives the same output.
//!
//! # Layout
//!
//! In the order of a frame's way:
//!
//! * [`frame`]: who a frame belongs to, its number and its time.
//! * [`codec`]: JPEG, PNG and WebP in and out, TIFF, BMP and GIF in, within limits.
//! * [`matte`]: from a picture to how much of each pixel is person: the network, smoothing, edges.
//! * [`compose`]: the person over another background.
//!
//! Beside it:
//!
//! * [`yuv`]: pictures as video carries them.
//! * [`quality`]: how good a matte is: IoU, MAD, MSE, Grad, Conn and dtSSD.
//!
//! The network that finds people is crate `mattebox-net`.
#![forbid(unsafe_code)]

pub mod codec;
pub mod compose;
pub mod frame;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;

pub mod matte;

pub mod quality;

pub mod yuv;
