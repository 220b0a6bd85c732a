//! Any samples as a PNG file of any kind: the `png` crate reads back the same, and checks the
//! checksums.
#![no_main]
use image::{GrayImage, RgbImage, RgbaImage};
use libfuzzer_sys::fuzz_target;
use mattebox_core::codec::{Encoder, ImageFormat};
use mattebox_core::compose::Composed;
use std::{cell::RefCell, io::Cursor};

thread_local! {
    static ENCODER: RefCell<Encoder> = RefCell::new(Encoder::new(ImageFormat::Png, 100));
}

fuzz_target!(|input: (u16, u8, &[u8])| {
    let (width, kind, bytes) = input;
    let width = u32::from(width) % 4096 + 1;
    let channels = [1, 3, 4][usize::from(kind & 3) % 3];
    // Each byte several times, so that there are runs.
    let samples: Vec<u8> = bytes
        .iter()
        .flat_map(|&byte| std::iter::repeat_n(byte, usize::from(kind >> 2) + 1))
        .collect();
    let height = (samples.len() / (width as usize * channels)) as u32;
    if height == 0 {
        return;
    }
    let samples = samples[..(width * height) as usize * channels].to_vec();
    let mut file = Vec::new();
    ENCODER
        .with_borrow_mut(|encoder| match channels {
            1 => encoder.encode_gray(
                &GrayImage::from_raw(width, height, samples.clone()).expect("whole rows"),
                &mut file,
            ),
            3 => encoder.encode(
                &Composed::Rgb(
                    RgbImage::from_raw(width, height, samples.clone()).expect("whole rows"),
                ),
                &mut file,
            ),
            _ => encoder.encode(
                &Composed::Rgba(
                    RgbaImage::from_raw(width, height, samples.clone()).expect("whole rows"),
                ),
                &mut file,
            ),
        })
        .expect("PNG holds every size");
    assert!(file.len() <= (samples.len() + height as usize) * 101 / 100 + 200);

    let mut options = png::DecodeOptions::default();
    options.set_ignore_adler32(false);
    let mut reader = png::Decoder::new_with_options(Cursor::new(&file), options)
        .read_info()
        .expect("a header");
    let mut back = vec![0; reader.output_buffer_size().expect("a small picture")];
    reader.next_frame(&mut back).expect("whole data");
    reader.finish().expect("an end");
    assert!(back == samples, "{width}x{height}, {channels} channels");
});
