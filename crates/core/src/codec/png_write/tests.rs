//! Whole files, read back by another decoder.
use super::*;
use proptest::{collection, prelude::*};
use std::io::Cursor;

const KINDS: [PixelKind; 3] = [PixelKind::Gray, PixelKind::Rgb, PixelKind::Rgba];

/// Every checksum is checked.
fn read(file: &[u8]) -> (u32, u32, png::ColorType, Vec<u8>) {
    let mut options = png::DecodeOptions::default();
    options.set_ignore_adler32(false);
    let mut reader = png::Decoder::new_with_options(Cursor::new(file), options)
        .read_info()
        .unwrap();
    let mut samples = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut samples).unwrap();
    reader.finish().unwrap();
    assert_eq!(info.bit_depth, png::BitDepth::Eight);
    (info.width, info.height, info.color_type, samples)
}

fn write(
    writer: &mut PngWriter,
    width: u32,
    height: u32,
    kind: PixelKind,
    samples: &[u8],
    file: &mut Vec<u8>,
) {
    let mut zeros = Vec::new();
    let row = width as usize * kind.channels();
    let mut source = source::StoredRows::new(samples, row, &mut zeros);
    writer.write(width, height, kind, &mut source, file);
}

/// Writes with every level, checks that all files are equal and read back as the same picture, and
/// returns the length.
fn round_trip(width: u32, height: u32, kind: PixelKind, samples: &[u8]) -> usize {
    let mut first = Vec::new();
    for level in SimdLevel::available() {
        let mut file = Vec::new();
        write(
            &mut PngWriter::new(level),
            width,
            height,
            kind,
            samples,
            &mut file,
        );
        if first.is_empty() {
            first = file;
        } else {
            assert!(file == first, "{level} {width}x{height} {kind:?}");
        }
    }
    let color = match kind {
        PixelKind::Gray => png::ColorType::Grayscale,
        PixelKind::Rgb => png::ColorType::Rgb,
        PixelKind::Rgba => png::ColorType::Rgba,
    };
    assert!(
        read(&first) == (width, height, color, samples.to_vec()),
        "{width}x{height} {kind:?}"
    );
    first.len()
}

/// Bytes that look like noise (xorshift).
fn noise(len: usize, mut seed: u32) -> Vec<u8> {
    std::iter::repeat_with(|| {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        (seed >> 24) as u8
    })
    .take(len)
    .collect()
}

#[test]
fn small_and_narrow_pictures_are_written() {
    for kind in KINDS {
        for (width, height) in [
            (1, 1),
            (1, 7),
            (7, 1),
            (1, 3000),
            (3000, 1),
            (21, 2),
            (22, 3),
            (64, 3),
            (65, 2),
            (40_000, 2),
        ] {
            let len = width as usize * height as usize * kind.channels();
            round_trip(width, height, kind, &vec![0; len]);
            round_trip(width, height, kind, &vec![200; len]);
            round_trip(width, height, kind, &noise(len, 1));
        }
    }
}

#[test]
fn runs_of_zeros_of_every_length_are_written() {
    for len in (1..600).chain([32_767, 32_768, 32_769, 65_535, 65_536, 70_000]) {
        // The first row is constant but for its ends; the second equals it but for its end.
        let mut row = vec![7; len];
        row[0] = 90;
        row[len - 1] = 3;
        let mut picture = row.clone();
        row[len - 1] = 99;
        picture.extend(row);
        round_trip(len as u32, 2, PixelKind::Gray, &picture);
    }
}

#[test]
fn noise_grows_by_a_thousandth_at_most() {
    for (width, height) in [(1, 1), (300, 200), (100_000, 3)] {
        for kind in KINDS {
            let samples = noise((width * height) as usize * kind.channels(), 7);
            let len = round_trip(width, height, kind, &samples);
            // 12 bytes a chunk, 13 of a header, 6 of the zlib stream.
            let frame = SIGNATURE.len() + 3 * 12 + 13 + 6;
            assert!(
                len <= frame + 64 + (samples.len() + height as usize) * 1001 / 1000,
                "{width}x{height} {kind:?}: {len}"
            );
        }
    }
}

#[test]
fn noise_beside_flat_parts_is_stored_alone() {
    let width = 400;
    let height = 900;
    let mut samples = vec![128; 400 * 900 * 3];
    samples[400 * 300 * 3..400 * 600 * 3].copy_from_slice(&noise(400 * 300 * 3, 5));
    let len = round_trip(width, height, PixelKind::Rgb, &samples);
    assert!(len < 400 * 310 * 3, "{len}");
}

/// The sampled rows are unlike the others.
#[test]
fn a_misleading_sample_costs_no_more_than_storing() {
    let width = 256u32;
    let height = 2048usize;
    let step = width as usize * height / SAMPLE;
    let mut samples = noise(256 * 2048, 3);
    for y in (step / 2..height).step_by(step) {
        let (above, row) = samples.split_at_mut(y * 256);
        row[..256].copy_from_slice(&above[(y - 1) * 256..]);
    }
    let len = round_trip(width, height as u32, PixelKind::Gray, &samples);
    assert!(len < samples.len() + height + 2000, "{len}");
}

#[test]
fn long_data_are_cut_into_chunks() {
    let samples = noise(90 * 50, 9);
    let mut whole = Vec::new();
    let mut writer = PngWriter::new(SimdLevel::best());
    write(&mut writer, 90, 50, PixelKind::Gray, &samples, &mut whole);
    for max in [1, 2, 100, 4000] {
        let mut writer = PngWriter {
            max_chunk: max,
            ..PngWriter::new(SimdLevel::best())
        };
        let mut file = Vec::new();
        write(&mut writer, 90, 50, PixelKind::Gray, &samples, &mut file);
        assert_eq!(read(&file), read(&whole));
        let chunks = file.windows(4).filter(|w| w == b"IDAT").count();
        assert_eq!(file.len(), whole.len() + (chunks - 1) * 12);
        assert!(chunks >= samples.len() / max);
    }
}

#[test]
fn files_do_not_depend_on_earlier_pictures() {
    let mut writer = PngWriter::new(SimdLevel::best());
    let mut file = Vec::new();
    write(
        &mut writer,
        200,
        100,
        PixelKind::Rgba,
        &noise(80_000, 4),
        &mut file,
    );
    file.clear();
    let samples: Vec<u8> = (0..50 * 40).map(|i| (i / 7) as u8).collect();
    write(&mut writer, 50, 40, PixelKind::Gray, &samples, &mut file);
    let mut fresh = Vec::new();
    let mut writer = PngWriter::new(SimdLevel::best());
    write(&mut writer, 50, 40, PixelKind::Gray, &samples, &mut fresh);
    assert_eq!(file, fresh);
}

/// Contents of a part of a picture.
#[derive(Debug, Clone)]
enum Fill {
    Constant(u8),
    Noise(u32, u8),
    Gradient(u8),
    Above,
}

fn fill() -> impl Strategy<Value = (Fill, usize)> {
    let kind = prop_oneof![
        any::<u8>().prop_map(Fill::Constant),
        (1u32.., any::<u8>()).prop_map(|(seed, mask)| Fill::Noise(seed, mask)),
        any::<u8>().prop_map(Fill::Gradient),
        Just(Fill::Above),
        Just(Fill::Above),
    ];
    let len = prop_oneof![1usize..12, 250usize..270, 1usize..2000, Just(32_768usize)];
    (kind, len)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_is_read_back(
        width in prop_oneof![1usize..70, 1usize..900],
        height in prop_oneof![1usize..5, 1usize..90],
        kind in prop_oneof![Just(PixelKind::Gray), Just(PixelKind::Rgb), Just(PixelKind::Rgba)],
        fills in collection::vec(fill(), 1..30),
    ) {
        let row = width * kind.channels();
        let mut samples = Vec::with_capacity(row * height);
        for (fill, len) in fills.iter().cycle() {
            for i in 0..*len {
                let at = samples.len();
                samples.push(match fill {
                    Fill::Constant(v) => *v,
                    Fill::Noise(seed, mask) => {
                        (seed.wrapping_mul((i as u32 + 1) * 747_796_405) >> 24) as u8 & mask
                    }
                    Fill::Gradient(step) => (i as u8).wrapping_mul(*step),
                    Fill::Above => at.checked_sub(row).map_or(0, |above| samples[above]),
                });
            }
            if samples.len() >= row * height {
                break;
            }
        }
        samples.truncate(row * height);
        round_trip(width as u32, height as u32, kind, &samples);
    }
}
