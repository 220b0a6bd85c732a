//! Any bytes as a picture of any format: an error or a whole picture within the limits.
#![no_main]
use libfuzzer_sys::fuzz_target;
use mattebox_core::codec::{Limits, decode};

const LIMITS: Limits = Limits {
    max_pixels: 1 << 18,
    max_side: 4096,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(picture) = decode(bytes, &LIMITS) {
        let (width, height) = picture.dimensions();
        assert!(
            width >= 1 && height >= 1 && u64::from(width) * u64::from(height) <= LIMITS.max_pixels
        );
        assert!(width <= LIMITS.max_side && height <= LIMITS.max_side);
    }
});
