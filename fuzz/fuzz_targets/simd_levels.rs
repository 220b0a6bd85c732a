//! Every SIMD level gives what the scalar one gives: kernels on rows of any shape, the compositor and the refiner on pictures of any size.
//!
//! ```text
//! cargo +nightly fuzz run simd_levels -- -max_len=512 -max_total_time=300
//! ```
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| mattebox_core::fuzzing::check(bytes));
