//! The core of mattebox: turns the bytes of a picture into the bytes of a picture with another
//! background.
//!
//! Everything here is pure and synchronous: no network, no files, no threads, no clock, no global
//! state. The same input gives the same output.
//!
//! # Layout
//!
//! In the order of processing:
//!
//! * [`frame`]: a frame's camera, number and time.
//! * [`codec`]: JPEG, PNG and WebP in and out, TIFF, BMP and GIF in, within limits.
//! * [`matte`]: how much of each pixel is person: the network, smoothing, edges.
//! * [`compose`]: the person over another background.
//!
//! Also:
//!
//! * [`yuv`]: pictures in the formats of video.
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
