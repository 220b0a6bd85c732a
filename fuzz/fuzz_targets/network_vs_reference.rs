//! Every SIMD level gives the same as the plain interpreter, for any picture.
//!
//! ```text
//! cargo +nightly fuzz run network_vs_reference -- -max_len=4096 -max_total_time=60
//! ```
#![no_main]
use libfuzzer_sys::fuzz_target;
use mattebox_net::{Executor, LANDSCAPE, Model, Reference, SimdLevel};
use std::sync::{Arc, LazyLock};

static MODEL: LazyLock<Arc<Model>> =
    LazyLock::new(|| Arc::new(Model::landscape().expect("the built-in network is sound")));
static REFERENCE: LazyLock<Reference> =
    LazyLock::new(|| Reference::from_bytes(LANDSCAPE).expect("the built-in network is sound"));

fuzz_target!(|bytes: &[u8]| {
    if bytes.is_empty() {
        return;
    }
    let pixels = MODEL.input_width() * MODEL.input_height();
    let input: Vec<f32> = bytes
        .iter()
        .cycle()
        .take(pixels * 3)
        .map(|b| f32::from(*b) / 255.0)
        .collect();
    let expected = REFERENCE.run(&input);
    let mut out = vec![0f32; pixels];
    for level in SimdLevel::available() {
        Executor::new(&MODEL, level)
            .expect("the level is available")
            .run(&input, &mut out);
        // Noise gives the network much larger sums than pictures do, and rounding errors grow with
        // them.
        let worst = out
            .iter()
            .zip(&expected)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(worst <= 2e-3, "{level}: {worst}");
    }
});
