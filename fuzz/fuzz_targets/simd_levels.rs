//! Every SIMD level gives the same as the scalar one: kernels on rows of any shape, the compositor
//! and the refiner on pictures of any size.
//!
//! ```text
//! cargo +nightly fuzz run simd_levels -- -max_len=512 -max_total_time=300
//! ```
#![no_main]
use libfuzzer_sys::fuzz_target;
use mattebox_net::Case;

fuzz_target!(|bytes: &[u8]| match bytes.split_first() {
    Some((0..=159, rest)) => Case::new(std::array::from_fn(|i| {
        rest.get(i).copied().unwrap_or_default()
    }))
    .check(),
    Some((_, rest)) => mattebox_core::fuzzing::check(rest),
    None => {}
});
