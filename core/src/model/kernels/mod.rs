//! The row kernels that the executor is made of.
//!
//! A row of `w` pixels and `c` channels is stored as `[c / 8][w][8]`: every inner loop then works on arrays of a fixed size, so that
//! no bounds check and no stride is left in it. A vector is either 8 floats (one block of channels of one pixel) or, with AVX-512,
//! 16 (two blocks of channels, or two pixels of one block). Each kernel is generic over the SIMD level and has a test beside it that
//! compares every available level with a plain loop.
//!
//! # Layout
//!
//! * [`aligned`]: floats that start on a cache line.
//! * [`vector`]: vectors and activations.
//! * [`row`]: where in a buffer the pixels of a row lie.
//! * [`packed`]: weight matrices in the order in which they are used.
//! * [`pointwise`]: 1x1 convolution.
//! * [`depthwise`]: 3x3 and 5x5 depthwise convolution.
//! * [`stem`]: the first convolution, on the picture.
//! * [`tail`]: the last one, with the logistic.
//! * [`gate`]: what is done with means: sums over rows, small matrices.

mod aligned;
mod depthwise;
mod gate;
mod packed;
mod pointwise;
mod row;
mod stem;
mod tail;
#[cfg(test)]
mod testing;
mod vector;

pub(super) use aligned::Aligned;
pub(super) use depthwise::depthwise;
pub(super) use gate::{add_row_sums, fully_connected};
pub(super) use packed::Packed;
pub(super) use pointwise::{Start, pointwise};
pub(super) use row::{Row, extend_edges};
pub(super) use stem::stem;
pub(super) use tail::tail;
pub(super) use vector::{HARD_SWISH, NONE, RELU};
