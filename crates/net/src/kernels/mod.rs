//! The row kernels that the executor is made of.
//!
//! A row of `w` pixels and `c` channels (a multiple of 8) is stored as `[c / B][w][B]`. So every
//! inner loop works on arrays of a fixed size, without bounds checks and strides. A block of `B`
//! channels of a pixel is a vector: 16 with AVX-512, otherwise 8. Where 16 do not divide `c`, the
//! last block has 8. Each kernel is generic over the SIMD level and has a test beside it that
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
//! * [`gate`]: sums over rows, and small matrices, for the gates.

mod aligned;
#[cfg(any(test, feature = "fuzzing"))]
mod cases;
mod depthwise;
mod gate;
mod packed;
mod pointwise;
mod row;
mod stem;
mod tail;
#[cfg(any(test, feature = "fuzzing"))]
mod testing;
mod vector;

/// Hides a number of turns from the compiler, so that the loop stays a loop: if it is unrolled, the
/// sums of a tile leave the registers.
#[inline(always)]
fn opaque<T>(value: T) -> T {
    std::hint::black_box(value)
}

pub(super) use aligned::AlignedFloats;
#[cfg(any(test, feature = "fuzzing"))]
pub use cases::Case;
pub(super) use depthwise::depthwise;
pub(super) use gate::{add_row_sums, fully_connected};
pub(super) use packed::PackedMatrix;
pub(super) use pointwise::{InitialSums, pointwise};
pub(super) use row::{RowLayout, add_to_row, extend_edges};
pub(super) use stem::stem;
pub(super) use tail::{by_place, tail};
pub(super) use vector::{HARD_SWISH, NONE, RELU};
