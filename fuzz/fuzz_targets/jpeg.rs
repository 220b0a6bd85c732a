//! Any bytes as a JPEG: an error or a whole picture within the limits, and the decoder works
//! afterwards.
#![no_main]
use image::RgbImage;
use libfuzzer_sys::fuzz_target;
use mattebox_core::codec::{Decoder, JpegEncoder, Limits};
use std::{cell::RefCell, sync::LazyLock};

const LIMITS: Limits = Limits {
    max_pixels: 1 << 18,
    max_side: 4096,
};

static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut file = Vec::new();
    JpegEncoder::new(80)
        .encode(&RgbImage::new(9, 7), &mut file)
        .expect("a small picture");
    file
});

thread_local! {
    static DECODER: RefCell<(Decoder, RgbImage)> = RefCell::default();
}

fuzz_target!(|bytes: &[u8]| {
    let mut file = vec![0xff, 0xd8, 0xff];
    file.extend_from_slice(bytes);
    DECODER.with_borrow_mut(|(decoder, picture)| {
        if decoder.decode_into(&file, &LIMITS, picture).is_ok() {
            let (width, height) = picture.dimensions();
            assert!(
                width >= 1
                    && height >= 1
                    && u64::from(width) * u64::from(height) <= LIMITS.max_pixels
            );
            assert!(width <= LIMITS.max_side && height <= LIMITS.max_side);
        } else {
            assert_eq!(picture.dimensions(), (0, 0));
        }
        decoder
            .decode_into(&GOOD, &LIMITS, picture)
            .expect("a good picture after any other");
        assert_eq!(picture.dimensions(), (9, 7));
    });
});
