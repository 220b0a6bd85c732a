//! Every kind of picture, whole and damaged.
use super::*;
use crate::compose::Composed;
use ::png::{BitDepth, ColorType};
use ::tiff::{
    encoder::{
        Compression,
        colortype::{CMYK8, Gray8, RGB8, RGB16, RGBA8},
    },
    tags::Tag,
};
use image::{GrayImage, Rgb, RgbaImage};
use std::io::Cursor;
use turbojpeg::{Colorspace, Compressor, Image, PixelFormat, Subsamp};

/// Keeps damaged headers that claim large pictures fast.
const SMALL: Limits = Limits {
    max_pixels: 1 << 16,
    max_side: 4096,
};

const QUARTERS: [[u8; 3]; 4] = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]];

/// Red, green; blue, white; 12x10 each, in samples of `N` channels.
fn quarters<const N: usize>(colors: [[u8; N]; 4]) -> Vec<u8> {
    (0..20 * 24)
        .flat_map(|i| colors[(i / 24 / 10) * 2 + i % 24 / 12])
        .collect()
}

fn jpeg(
    format: PixelFormat,
    samples: &[u8],
    colorspace: Colorspace,
    subsamp: Subsamp,
    progressive: bool,
) -> Vec<u8> {
    let mut compressor = Compressor::new().unwrap();
    compressor.set_quality(95).unwrap();
    compressor.set_subsamp(subsamp).unwrap();
    compressor.set_colorspace(colorspace).unwrap();
    compressor.set_progressive(progressive).unwrap();
    let image = Image {
        pixels: samples,
        width: 24,
        pitch: 24 * format.size(),
        height: 20,
        format,
    };
    compressor.compress_to_vec(image).unwrap()
}

fn png(
    color: ColorType,
    depth: BitDepth,
    samples: &[u8],
    palette: Option<(&[u8], &[u8])>,
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut file, 24, 20);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if let Some((colors, alphas)) = palette {
        encoder.set_palette(colors);
        encoder.set_trns(alphas);
    }
    encoder
        .write_header()
        .unwrap()
        .write_image_data(samples)
        .unwrap();
    file
}

fn webp(samples: &[u8], color: image_webp::ColorType) -> Vec<u8> {
    let mut file = Vec::new();
    image_webp::WebPEncoder::new(&mut file)
        .encode(samples, 24, 20, color)
        .unwrap();
    file
}

fn tiff<C: ::tiff::encoder::colortype::ColorType>(
    samples: &[C::Inner],
    compression: ::tiff::encoder::Compression,
    tags: &[(::tiff::tags::Tag, &[u16])],
    profile: Option<&[u8]>,
) -> Vec<u8>
where
    [C::Inner]: ::tiff::encoder::TiffValue,
{
    let mut file = Cursor::new(Vec::new());
    let encoder = ::tiff::encoder::TiffEncoder::new(&mut file).unwrap();
    let mut encoder = encoder.with_compression(compression);
    let mut image = encoder.new_image::<C>(24, 20).unwrap();
    for (tag, values) in tags {
        image.encoder().write_tag(*tag, *values).unwrap();
    }
    if let Some(profile) = profile {
        let tag = ::tiff::tags::Tag::IccProfile;
        image.encoder().write_tag(tag, profile).unwrap();
    }
    image.write_data(samples).unwrap();
    file.into_inner()
}

fn bmp(samples: &[u8], color: image::ExtendedColorType) -> Vec<u8> {
    let mut file = Vec::new();
    image::codecs::bmp::BmpEncoder::new(&mut file)
        .encode(samples, 24, 20, color)
        .unwrap();
    file
}

/// A picture in a canvas of 24x20 with these colours, as often as there are indices.
fn gif(pictures: &[&[u8]], colors: &[u8], transparent: Option<u8>) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = ::gif::Encoder::new(&mut file, 24, 20, colors).unwrap();
    for indices in pictures {
        let frame = ::gif::Frame {
            width: 24,
            height: 20,
            transparent,
            buffer: (*indices).into(),
            ..Default::default()
        };
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    file
}

/// An animation of the pictures of two files without alpha.
fn animated_webp(first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut chunks = Vec::new();
    let mut chunk = |name: &[u8], body: &[u8]| {
        chunks.extend_from_slice(name);
        chunks.extend_from_slice(&(body.len() as u32).to_le_bytes());
        chunks.extend_from_slice(body);
        chunks.resize(chunks.len().next_multiple_of(2), 0);
    };
    chunk(b"VP8X", &[2, 0, 0, 0, 23, 0, 0, 19, 0, 0]);
    chunk(b"ANIM", &[0; 6]);
    for file in [first, second] {
        let place = [0, 0, 0, 0, 0, 0, 23, 0, 0, 19, 0, 0, 40, 0, 0, 0];
        chunk(b"ANMF", &[&place, &file[12..]].concat());
    }
    let size = (chunks.len() as u32 + 4).to_le_bytes();
    [b"RIFF", &size[..], b"WEBP", &chunks].concat()
}

/// Name, file, and the colours of its quarters.
type Sample = (&'static str, Vec<u8>, [[u8; 3]; 4]);

fn samples() -> Vec<Sample> {
    let rgb = quarters(QUARTERS);
    let ink = QUARTERS.map(|[r, g, b]| [r, g, b, 255]);
    let light = [76u8, 150, 29, 255];
    let rgba = [
        [255, 0, 0, 255],
        [0, 255, 0, 0],
        [0, 0, 255, 255],
        [0, 0, 0, 0],
    ];
    let over_white = [[255, 0, 0], [255; 3], [0, 0, 255], [255; 3]];
    let gray = light.map(|v| [v; 3]);
    let palette: Vec<u8> = (0..480)
        .map(|i| (i / 24 / 10 * 2 + i % 24 / 12) as u8)
        .collect();
    let wide = |samples: Vec<u8>| {
        samples
            .into_iter()
            .flat_map(|v| [v, v])
            .collect::<Vec<u8>>()
    };
    vec![
        (
            "jpeg 4:4:4",
            jpeg(
                PixelFormat::RGB,
                &rgb,
                Colorspace::YCbCr,
                Subsamp::None,
                false,
            ),
            QUARTERS,
        ),
        (
            "jpeg 4:2:0 progressive",
            jpeg(
                PixelFormat::RGB,
                &rgb,
                Colorspace::YCbCr,
                Subsamp::Sub2x2,
                true,
            ),
            QUARTERS,
        ),
        (
            "jpeg grey",
            jpeg(
                PixelFormat::GRAY,
                &quarters(light.map(|v| [v])),
                Colorspace::Gray,
                Subsamp::Gray,
                false,
            ),
            gray,
        ),
        // libjpeg-turbo writes the samples as they are, with an Adobe segment: so these are
        // inverted, as Adobe's.
        (
            "jpeg cmyk",
            jpeg(
                PixelFormat::CMYK,
                &quarters(ink),
                Colorspace::CMYK,
                Subsamp::None,
                false,
            ),
            QUARTERS,
        ),
        (
            "jpeg ycck",
            jpeg(
                PixelFormat::CMYK,
                &quarters(ink),
                Colorspace::YCCK,
                Subsamp::None,
                false,
            ),
            QUARTERS,
        ),
        (
            "jpeg cmyk of another encoder",
            include_bytes!("fixtures/cmyk.jpg").to_vec(),
            QUARTERS,
        ),
        (
            "png rgb",
            png(ColorType::Rgb, BitDepth::Eight, &rgb, None),
            QUARTERS,
        ),
        (
            "png rgb 16",
            png(ColorType::Rgb, BitDepth::Sixteen, &wide(rgb.clone()), None),
            QUARTERS,
        ),
        (
            "png rgba",
            png(ColorType::Rgba, BitDepth::Eight, &quarters(rgba), None),
            over_white,
        ),
        (
            "png rgba 16",
            png(
                ColorType::Rgba,
                BitDepth::Sixteen,
                &wide(quarters(rgba)),
                None,
            ),
            over_white,
        ),
        (
            "png grey",
            png(
                ColorType::Grayscale,
                BitDepth::Eight,
                &quarters(light.map(|v| [v])),
                None,
            ),
            gray,
        ),
        (
            "png grey with alpha",
            png(
                ColorType::GrayscaleAlpha,
                BitDepth::Eight,
                &quarters([[9, 255], [9, 0], [0, 255], [0, 0]]),
                None,
            ),
            [[9; 3], [255; 3], [0; 3], [255; 3]],
        ),
        (
            "png palette with alpha",
            png(
                ColorType::Indexed,
                BitDepth::Eight,
                &palette,
                Some((QUARTERS.as_flattened(), &[255, 0])),
            ),
            [QUARTERS[0], [255; 3], QUARTERS[2], QUARTERS[3]],
        ),
        (
            "png interlaced palette of another encoder",
            include_bytes!("fixtures/interlaced.png").to_vec(),
            QUARTERS,
        ),
        ("webp", webp(&rgb, image_webp::ColorType::Rgb8), QUARTERS),
        (
            "webp with alpha",
            webp(&quarters(rgba), image_webp::ColorType::Rgba8),
            over_white,
        ),
        (
            "webp lossy of another encoder",
            include_bytes!("fixtures/lossy.webp").to_vec(),
            QUARTERS,
        ),
        (
            "webp lossy with alpha of another encoder",
            include_bytes!("fixtures/lossy_alpha.webp").to_vec(),
            over_white,
        ),
        (
            "webp animation",
            animated_webp(
                &webp(&rgb, image_webp::ColorType::Rgb8),
                &webp(&[0; 24 * 20 * 3], image_webp::ColorType::Rgb8),
            ),
            QUARTERS,
        ),
        (
            "tiff rgb",
            tiff::<RGB8>(&rgb, Compression::Uncompressed, &[], None),
            QUARTERS,
        ),
        (
            "tiff rgb lzw",
            tiff::<RGB8>(&rgb, Compression::Lzw, &[], None),
            QUARTERS,
        ),
        (
            "tiff rgb 16 deflate",
            tiff::<RGB16>(
                &rgb.iter().map(|v| u16::from(*v) * 257).collect::<Vec<_>>(),
                Compression::Deflate(Default::default()),
                &[],
                None,
            ),
            QUARTERS,
        ),
        (
            "tiff with alpha",
            tiff::<RGBA8>(
                &quarters(rgba),
                Compression::Packbits,
                &[(Tag::ExtraSamples, &[2])],
                None,
            ),
            over_white,
        ),
        (
            "tiff grey",
            tiff::<Gray8>(
                &quarters(light.map(|v| [v])),
                Compression::Uncompressed,
                &[],
                None,
            ),
            gray,
        ),
        (
            "tiff cmyk",
            tiff::<CMYK8>(
                &quarters(QUARTERS.map(|[r, g, b]| [255 - r, 255 - g, 255 - b, 0])),
                Compression::Lzw,
                &[],
                None,
            ),
            QUARTERS,
        ),
        ("bmp", bmp(&rgb, image::ExtendedColorType::Rgb8), QUARTERS),
        (
            "bmp with alpha",
            bmp(&quarters(rgba), image::ExtendedColorType::Rgba8),
            over_white,
        ),
        (
            "gif",
            gif(&[&palette], QUARTERS.as_flattened(), None),
            QUARTERS,
        ),
        (
            "gif with a transparent colour",
            gif(&[&palette], QUARTERS.as_flattened(), Some(1)),
            [QUARTERS[0], [255; 3], QUARTERS[2], QUARTERS[3]],
        ),
        (
            "gif animation",
            gif(&[&palette, &[0; 480]], QUARTERS.as_flattened(), None),
            QUARTERS,
        ),
    ]
}

#[test]
fn every_kind_of_picture_is_decoded() {
    let mut decoder = Decoder::default();
    let mut picture = RgbImage::default();
    for (name, file, colors) in samples() {
        decoder
            .decode_into(&file, &SMALL, &mut picture)
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(picture.dimensions(), (24, 20), "{name}");
        for (i, want) in colors.iter().enumerate() {
            let Rgb(got) = *picture.get_pixel(i as u32 % 2 * 12 + 6, i as u32 / 2 * 10 + 5);
            assert!(
                got.iter().zip(want).all(|(g, w)| g.abs_diff(*w) <= 10),
                "{name}, quarter {i}: {got:?}, not {want:?}"
            );
        }
    }
}

#[test]
fn cmyk_without_the_adobe_mark_is_not_inverted() {
    let ink = QUARTERS.map(|[r, g, b]| [255 - r, 255 - g, 255 - b, 0]);
    let mut file = jpeg(
        PixelFormat::CMYK,
        &quarters(ink),
        Colorspace::CMYK,
        Subsamp::None,
        false,
    );
    let at = file.windows(5).position(|w| w == b"Adobe").unwrap();
    file.drain(at - 4..at + 12);
    let Rgb(red) = *decode(&file, &SMALL).unwrap().get_pixel(6, 5);
    assert!(red[0] > 250 && red[1] < 5 && red[2] < 5, "{red:?}");
}

#[test]
fn a_picture_cut_off_anywhere_is_an_error() {
    let mut decoder = Decoder::default();
    for (name, file, _) in samples() {
        let whole = decode(&file, &SMALL).unwrap();
        for len in 0..file.len() {
            let mut picture = RgbImage::new(3, 3);
            match decoder.decode_into(&file[..len], &SMALL, &mut picture) {
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    assert_eq!(
                        picture.dimensions(),
                        (0, 0),
                        "{name} at {len}: a part is shown"
                    );
                }
                // Cut within the pictures that follow the first.
                Ok(()) if name == "gif animation" => assert!(picture == whole && len > 90),
                // Only the end marker of a JPEG is missing, or bits on which no pixel depends.
                Ok(()) => assert!(picture == whole && len + 4 > file.len(), "{name} at {len}"),
            }
        }
        decoder
            .decode_into(&file, &SMALL, &mut RgbImage::default())
            .unwrap_or_else(|e| panic!("{name} after errors: {e}"));
    }
}

/// A JPEG with a restart interval for every 8 rows, made of strips of that height.
fn with_restarts() -> Vec<u8> {
    let strip = |row: usize| {
        let samples: Vec<u8> = (0..24 * 8)
            .flat_map(|i| QUARTERS[row / 2 * 2 + i % 24 / 12])
            .collect();
        let mut compressor = Compressor::new().unwrap();
        compressor.set_subsamp(Subsamp::None).unwrap();
        let image = Image {
            pixels: &samples[..],
            width: 24,
            pitch: 72,
            height: 8,
            format: PixelFormat::RGB,
        };
        compressor.compress_to_vec(image).unwrap()
    };
    let first = strip(0);
    let scan = first.windows(2).position(|w| w == [0xff, 0xda]).unwrap();
    let data = scan + 14;
    let mut file = first[..scan].to_vec();
    let frame = file.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    file[frame + 5..frame + 7].copy_from_slice(&[0, 32]);
    // Three blocks a row.
    file.extend_from_slice(&[0xff, 0xdd, 0, 4, 0, 3]);
    file.extend_from_slice(&first[scan..data]);
    for row in 0..4 {
        let strip = strip(row);
        file.extend_from_slice(&strip[data..strip.len() - 2]);
        file.extend_from_slice(&[0xff, if row < 3 { 0xd0 + row as u8 } else { 0xd9 }]);
    }
    file
}

fn at_marker(file: &[u8], marker: u8) -> usize {
    file.windows(2).position(|w| w == [0xff, marker]).unwrap()
}

#[test]
fn bytes_between_the_parts_of_a_jpeg_change_nothing() {
    let file = with_restarts();
    let whole = decode(&file, &SMALL).unwrap();
    let mut decoder = Decoder::default();
    for junk in [
        &[0][..],
        &[0; 3],
        &[7; 500],
        &[0xff, 0, 0xff, 0],
        &[0xff; 9],
    ] {
        for marker in [0xd0, 0xd1, 0xd2, 0xd9, 0xdb, 0xc0, 0xc4, 0xdd, 0xda] {
            let mut with_junk = file.clone();
            let at = at_marker(&file, marker);
            with_junk.splice(at..at, junk.iter().copied());
            let mut picture = RgbImage::default();
            decoder
                .decode_into(&with_junk, &SMALL, &mut picture)
                .unwrap_or_else(|e| panic!("{junk:?} at {marker:x}: {e}"));
            assert!(picture == whole, "{junk:?} at {marker:x}");
            // The end marker may be missing too, but no part of the picture.
            let end = at_marker(&with_junk, 0xd9);
            decoder
                .decode_into(&with_junk[..end], &SMALL, &mut picture)
                .unwrap_or_else(|e| panic!("no end, {marker:x}: {e}"));
            assert!(picture == whole);
            let cut = at_marker(&with_junk, 0xd2);
            let error = decoder
                .decode_into(&with_junk[..cut], &SMALL, &mut picture)
                .unwrap_err();
            assert!(
                matches!(error, DecodeError::CutOff { .. }),
                "{marker:x}: {error}"
            );
        }
    }
    let mut trailing = file.clone();
    trailing.extend_from_slice(&[0, 0, 0xff, 0xd8, 0xff]);
    assert!(decode(&trailing, &SMALL).unwrap() == whole);
}

#[test]
fn a_jpeg_that_libjpeg_only_warns_of_is_decoded() {
    let plain = jpeg(
        PixelFormat::RGB,
        &quarters(QUARTERS),
        Colorspace::YCbCr,
        Subsamp::None,
        false,
    );
    let whole = decode(&plain, &SMALL).unwrap();
    let mut future = plain.clone();
    let jfif = future.windows(5).position(|w| w == b"JFIF\0").unwrap();
    future[jfif + 5] = 9;
    assert!(
        decode(&future, &SMALL).unwrap() == whole,
        "a revision of JFIF from the future"
    );
    let adobe = |transform| {
        [
            &plain[..2],
            &[0xff, 0xee, 0, 14],
            b"Adobe\0\x64\0\0\0\0",
            &[transform],
            &plain[2..],
        ]
        .concat()
    };
    assert!(decode(&adobe(1), &SMALL).unwrap() == whole);
    assert!(
        decode(&adobe(77), &SMALL).unwrap() == whole,
        "an unknown transform"
    );
}

#[test]
fn damage_within_a_jpeg_spoils_only_its_own_rows() {
    let file = with_restarts();
    let mut lost = file.clone();
    // A row is lost in transfer, as over USB.
    lost.drain(at_marker(&file, 0xd1)..at_marker(&file, 0xd2));
    let picture = decode(&lost, &SMALL).unwrap();
    assert_eq!(picture.dimensions(), (24, 32));
    let Rgb(last) = *picture.get_pixel(4, 28);
    assert!(
        last[2] > 200 && last[0] < 60,
        "the last row has not moved: {last:?}"
    );
}

#[test]
fn the_rows_before_the_end_of_a_cut_jpeg_can_be_decoded() {
    let file = with_restarts();
    let cut = &file[..at_marker(&file, 0xd2)];
    assert!(matches!(
        decode(cut, &SMALL),
        Err(DecodeError::CutOff { .. })
    ));
    let mut decoder = Decoder::default();
    let mut picture = RgbImage::default();
    let whole = decode(&file, &SMALL).unwrap();
    decoder.decode_part_into(cut, &SMALL, &mut picture).unwrap();
    assert_eq!(picture.dimensions(), whole.dimensions());
    assert!(
        picture.as_raw()[..24 * 3 * 16] == whole.as_raw()[..24 * 3 * 16],
        "the rows that are there"
    );
    assert!(
        decoder
            .decode_part_into(&file[..at_marker(&file, 0xda)], &SMALL, &mut picture)
            .is_err(),
        "no picture data at all"
    );
    for (name, file, _) in samples() {
        for len in 0..file.len() {
            if decoder
                .decode_part_into(&file[..len], &SMALL, &mut picture)
                .is_ok()
            {
                assert_eq!(picture.dimensions(), (24, 20), "{name} at {len}");
            }
        }
    }
}

#[test]
fn errors_say_what_and_where() {
    for (name, file, _) in samples() {
        let error = decode(&file[..file.len() / 2], &SMALL)
            .unwrap_err()
            .to_string();
        let format = PictureFormat::of(&file).unwrap().name();
        assert!(
            error.contains(format) && error.contains("byte"),
            "{name}: {error}"
        );
        assert!(
            error.contains("cut off") || error.contains("damaged"),
            "{name}: {error}"
        );
    }
    assert_eq!(decode(b"", &SMALL), Err(DecodeError::Empty));
    let error = decode(b"%PDF-1", &SMALL).unwrap_err().to_string();
    assert_eq!(
        error,
        "not a JPEG, PNG, WebP, TIFF, BMP or GIF picture: it begins with the bytes \
         25 50 44 46 2d 31"
    );
}

/// PNG has checksums for everything, so damage is always seen. JPEG and WebP have none: damage may
/// give another picture, but a whole one of a size within the limits.
#[test]
fn a_flipped_bit_is_an_error_or_a_whole_picture() {
    let mut decoder = Decoder::default();
    for (name, mut file, _) in samples() {
        let whole = decode(&file, &SMALL).unwrap();
        let is_png = PictureFormat::of(&file) == Some(PictureFormat::Png);
        for at in 0..file.len() * 8 {
            file[at / 8] ^= 1 << (at % 8);
            let mut picture = RgbImage::default();
            if decoder.decode_into(&file, &SMALL, &mut picture).is_ok() {
                let (w, h) = picture.dimensions();
                assert!(
                    w >= 1 && h >= 1 && u64::from(w) * u64::from(h) <= SMALL.max_pixels,
                    "{name}, bit {at}"
                );
                assert!(
                    !is_png || picture == whole,
                    "{name}, bit {at}: another picture"
                );
            }
            file[at / 8] ^= 1 << (at % 8);
        }
    }
}

#[test]
fn headers_that_claim_too_much_are_refused() {
    let too_large = |file: &[u8], name: &str| {
        let error = decode(file, &Limits::default()).unwrap_err();
        assert!(
            matches!(error, DecodeError::TooLarge { .. }),
            "{name}: {error}"
        );
        assert!(
            error.to_string().contains('x') && error.to_string().contains("limits"),
            "{error}"
        );
    };
    for (name, mut file, _) in samples() {
        match PictureFormat::of(&file).unwrap() {
            PictureFormat::Jpeg => {
                let sof = file
                    .windows(2)
                    .position(|w| w[0] == 0xff && matches!(w[1], 0xc0 | 0xc2))
                    .unwrap();
                file[sof + 5..sof + 9].fill(0xff);
            }
            PictureFormat::Png => {
                file[16..20].copy_from_slice(&65_535u32.to_be_bytes());
                file[20..24].copy_from_slice(&65_535u32.to_be_bytes());
                let crc = crc32(&file[12..29]);
                file[29..33].copy_from_slice(&crc.to_be_bytes());
            }
            PictureFormat::WebP => {
                let at = |tag: &[u8]| file.windows(4).position(|w| w == tag);
                if let Some(at) = at(b"VP8L") {
                    file[at + 9..at + 13].copy_from_slice(&0x0fff_ffffu32.to_le_bytes());
                } else {
                    let at = at(b"VP8 ").unwrap();
                    file[at + 14..at + 18].fill(0xff);
                }
            }
            // With several strips, the header then contradicts itself.
            PictureFormat::Tiff if name != "tiff rgb" => continue,
            PictureFormat::Tiff => {
                // The entries of width, height and rows in a strip: tag, type, count, value.
                for tag in [[0, 1], [1, 1], [22, 1]] {
                    let entry = file
                        .windows(8)
                        .position(|w| w[..2] == tag && w[3..8] == [0, 1, 0, 0, 0]);
                    let value = entry.unwrap() + 8;
                    file[value..value + 4].copy_from_slice(&60_000u32.to_le_bytes());
                    file[value - 6] = 4;
                }
            }
            PictureFormat::Bmp => {
                file[18..22].copy_from_slice(&60_000u32.to_le_bytes());
                file[22..26].copy_from_slice(&(-60_000i32).to_le_bytes());
            }
            PictureFormat::Gif => file[6..10].fill(0xff),
            other => panic!("no sample is {}", other.name()),
        }
        too_large(&file, name);
    }
    assert!(
        decode(
            &samples()[0].1,
            &Limits {
                max_pixels: 479,
                max_side: 24
            }
        )
        .is_err()
    );
    assert!(
        decode(
            &samples()[0].1,
            &Limits {
                max_pixels: 480,
                max_side: 24
            }
        )
        .is_ok()
    );
}

#[test]
fn large_metadata_is_skipped_or_refused() {
    let file = png(ColorType::Rgb, BitDepth::Eight, &quarters(QUARTERS), None);
    let with = |kind: &[u8; 4], body: &[u8]| {
        let mut chunk = kind.to_vec();
        chunk.extend_from_slice(body);
        let mut out = file[..33].to_vec();
        out.extend_from_slice(&(body.len() as u32).to_be_bytes());
        out.extend_from_slice(&chunk);
        out.extend_from_slice(&crc32fast::hash(&chunk).to_be_bytes());
        out.extend_from_slice(&file[33..]);
        out
    };
    let text = [b"k\0".as_slice(), &vec![b'x'; 8 << 20]].concat();
    assert!(decode(&with(b"tEXt", &text), &SMALL).is_ok());
    let bomb = [b"k\0\0".as_slice(), &fdeflate_zeros(64 << 20)].concat();
    assert!(decode(&with(b"zTXt", &bomb), &SMALL).is_ok());
    assert!(decode(&with(b"iCCP", &bomb), &SMALL).is_ok());
    let error = decode(&with(b"eXIf", &text), &SMALL).map(|p| p.dimensions());
    assert!(
        !matches!(error, Ok((w, h)) if (w, h) != (24, 20)),
        "{error:?}"
    );
}

/// A PNG whose pixels unpack to far more than the size in its header.
#[test]
fn pixels_beyond_the_picture_are_not_unpacked() {
    let file = png(ColorType::Rgb, BitDepth::Eight, &quarters(QUARTERS), None);
    let idat = file.windows(4).position(|w| w == b"IDAT").unwrap() - 4;
    let mut chunk = b"IDAT".to_vec();
    chunk.extend_from_slice(&fdeflate_zeros(256 << 20));
    let mut bomb = file[..idat].to_vec();
    bomb.extend_from_slice(&(chunk.len() as u32 - 4).to_be_bytes());
    bomb.extend_from_slice(&chunk);
    bomb.extend_from_slice(&crc32fast::hash(&chunk).to_be_bytes());
    bomb.extend_from_slice(&file[file.len() - 12..]);
    if let Ok(picture) = decode(&bomb, &SMALL) {
        assert_eq!(picture.dimensions(), (24, 20));
    }
}

/// `png` 0.18 panics on such palettes, so they must not reach it.
#[test]
fn palettes_that_are_not_whole_colours_are_refused() {
    let file = include_bytes!("fixtures/interlaced.png");
    let at = file.windows(4).position(|w| w == b"PLTE").unwrap();
    for len in [0, 1, 2, 4, 767, 769, 3000] {
        let chunk = [b"PLTE".as_slice(), &vec![7; len]].concat();
        let length = (len as u32).to_be_bytes();
        let crc = crc32fast::hash(&chunk).to_be_bytes();
        let bad = [
            &file[..at - 4],
            &length,
            &chunk,
            &crc,
            &file[at + 4 + 12 + 4..],
        ]
        .concat();
        let error = decode(&bad, &SMALL)
            .expect_err("a broken palette")
            .to_string();
        assert!(error.contains("damaged"), "{len}: {error}");
    }
}

/// `len` zero bytes as a zlib stream of a thousandth of the length.
fn fdeflate_zeros(len: usize) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut file, len as u32 / 1024 - 1, 1024);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_compression(::png::Compression::Fastest);
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&vec![0; len - 1024])
        .unwrap();
    let at = file.windows(4).position(|w| w == b"IDAT").unwrap();
    file[at + 4..file.len() - 16].to_vec()
}

/// CRC-32 (ISO 3309), as in PNG.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, b| {
        (0..8).fold(crc ^ u32::from(*b), |c, _| {
            if c & 1 == 1 {
                c >> 1 ^ 0xedb8_8320
            } else {
                c >> 1
            }
        })
    })
}

#[test]
fn pictures_are_turned_upright() {
    let note = orient::exif(6);
    let rgb = quarters(QUARTERS);
    let plain = jpeg(
        PixelFormat::RGB,
        &rgb,
        Colorspace::YCbCr,
        Subsamp::None,
        false,
    );
    let mut with_exif = vec![0xff, 0xd8, 0xff, 0xe1, 0, (note.len() + 8) as u8];
    with_exif.extend_from_slice(b"Exif\0\0");
    with_exif.extend_from_slice(&note);
    with_exif.extend_from_slice(&plain[2..]);

    let mut png = Vec::new();
    let mut info = ::png::Info::with_size(24, 20);
    info.color_type = ColorType::Rgb;
    info.bit_depth = BitDepth::Eight;
    info.exif_metadata = Some(note.clone().into());
    ::png::Encoder::with_info(&mut png, info)
        .unwrap()
        .write_header()
        .unwrap()
        .write_image_data(&rgb)
        .unwrap();

    let mut webp = Vec::new();
    let mut encoder = image_webp::WebPEncoder::new(&mut webp);
    encoder.set_exif_metadata(note);
    encoder
        .encode(&rgb, 24, 20, image_webp::ColorType::Rgb8)
        .unwrap();

    let tiff = tiff::<RGB8>(
        &rgb,
        Compression::Uncompressed,
        &[(Tag::Orientation, &[6])],
        None,
    );
    for file in [with_exif, png, webp, tiff] {
        let picture = decode(&file, &SMALL).unwrap();
        assert_eq!(picture.dimensions(), (20, 24));
        // Turned by 90 degrees to the right: the blue quarter at the bottom left is now at the top
        // left.
        let Rgb(blue) = *picture.get_pixel(5, 6);
        assert!(blue[2] > 245 && blue[0] < 10, "{blue:?}");
    }
}

/// The same pixels in every format that holds a colour profile.
fn with_profile(rgb: &[u8], icc: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let plain = jpeg(
        PixelFormat::RGB,
        rgb,
        Colorspace::YCbCr,
        Subsamp::None,
        false,
    );
    let part = |number: u8, count: u8, bytes: &[u8]| {
        let length = (bytes.len() as u16 + 16).to_be_bytes();
        [
            &[0xff, 0xe2],
            &length[..],
            b"ICC_PROFILE\0",
            &[number, count],
            bytes,
        ]
        .concat()
    };
    let (front, back) = icc.split_at(icc.len() / 3);
    let one = [&plain[..2], &part(1, 1, icc), &plain[2..]].concat();
    let two = [
        &plain[..2],
        &part(2, 2, back),
        &part(1, 2, front),
        &plain[2..],
    ]
    .concat();

    let mut png = Vec::new();
    let mut info = ::png::Info::with_size(24, 20);
    info.color_type = ColorType::Rgb;
    info.bit_depth = BitDepth::Eight;
    info.icc_profile = Some(icc.to_vec().into());
    ::png::Encoder::with_info(&mut png, info)
        .unwrap()
        .write_header()
        .unwrap()
        .write_image_data(rgb)
        .unwrap();

    let mut webp = Vec::new();
    let mut encoder = image_webp::WebPEncoder::new(&mut webp);
    encoder.set_icc_profile(icc.to_vec());
    encoder
        .encode(rgb, 24, 20, image_webp::ColorType::Rgb8)
        .unwrap();
    let tiff = tiff::<RGB8>(rgb, Compression::Lzw, &[], Some(icc));
    vec![
        ("jpeg", one),
        ("jpeg with its profile in parts", two),
        ("png", png),
        ("webp", webp),
        ("tiff", tiff),
    ]
}

#[test]
fn profiles_in_every_format_are_applied() {
    let rgb = [128, 64, 32].repeat(24 * 20);
    let adobe = moxcms::ColorProfile::new_adobe_rgb().encode().unwrap();
    for (name, file) in with_profile(&rgb, &adobe) {
        let Rgb(got) = *decode(&file, &SMALL).unwrap().get_pixel(9, 9);
        for (got, want) in got.iter().zip([146u8, 62, 23]) {
            assert!(got.abs_diff(want) <= 3, "{name}: {got:?}");
        }
    }
}

#[test]
fn a_profile_that_is_srgb_or_broken_changes_no_byte() {
    let rgb = quarters(QUARTERS);
    let srgb = moxcms::ColorProfile::new_srgb().encode().unwrap();
    let mut adobe = moxcms::ColorProfile::new_adobe_rgb().encode().unwrap();
    let plain = with_profile(&rgb, b"none");
    let mut decoder = Decoder::default();
    let mut picture = RgbImage::default();
    for icc in [srgb, adobe[..200].to_vec(), vec![0xff; 3000]] {
        for ((name, file), (_, plain)) in with_profile(&rgb, &icc).iter().zip(&plain) {
            decoder.decode_into(file, &SMALL, &mut picture).unwrap();
            assert!(picture == decode(plain, &SMALL).unwrap(), "{name}");
        }
    }
    // Every damage of a profile gives a picture of the right size.
    for at in (0..adobe.len()).step_by(3) {
        adobe[at] ^= 0x81;
        for (name, file) in with_profile(&rgb, &adobe) {
            let size = decode(&file, &SMALL).unwrap().dimensions();
            assert_eq!(size, (24, 20), "{name}, byte {at}");
        }
        adobe[at] ^= 0x81;
    }
}

/// TIFF tags that claim much memory: the decoder has its own limits.
#[test]
fn a_tiff_that_claims_much_is_refused_without_much_memory() {
    let whole = tiff::<RGB8>(&quarters(QUARTERS), Compression::Lzw, &[], None);
    let mut decoder = Decoder::default();
    for at in 0..whole.len() {
        for bytes in [[0xff; 4], [0xff, 0xff, 0, 0], [0, 0, 0, 1]] {
            let mut file = whole.clone();
            let end = (at + 4).min(file.len());
            file[at..end].copy_from_slice(&bytes[..end - at]);
            let mut picture = RgbImage::default();
            if decoder.decode_into(&file, &SMALL, &mut picture).is_ok() {
                let (width, height) = picture.dimensions();
                assert!(u64::from(width) * u64::from(height) <= SMALL.max_pixels);
            }
        }
    }
}

#[test]
fn formats_that_are_not_decoded_are_named() {
    for (brand, words) in [
        (b"heic", "HEIC is not read here: convert it to JPEG"),
        (b"mif1", "HEIC"),
        (b"avif", "AVIF"),
    ] {
        let file = [b"\0\0\0\x10ftyp", &brand[..], &[0; 20]].concat();
        let error = decode(&file, &SMALL).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn encoded_pictures_decode_to_the_same() {
    let mut file = Vec::new();
    for (w, h) in [(1, 1), (1, 4000), (4000, 1), (33, 17)] {
        let rgb = RgbImage::from_fn(w, h, |x, y| Rgb([(x * 7) as u8, (y * 3) as u8, 200]));
        for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Jpeg] {
            let mut encoder = Encoder::new(format, 100);
            encoder
                .encode(&Composed::Rgb(rgb.clone()), &mut file)
                .unwrap();
            assert_eq!(PictureFormat::of(&file).unwrap().name(), format.name());
            let back = decode(&file, &Limits::default()).unwrap();
            assert_eq!(back.dimensions(), (w, h));
            assert!(
                format == ImageFormat::Jpeg || back == rgb,
                "{format} {w}x{h}"
            );

            let matte = GrayImage::from_fn(w, h, |x, y| image::Luma([(x + y) as u8]));
            encoder.encode_gray(&matte, &mut file).unwrap();
            let back = decode(&file, &Limits::default()).unwrap();
            let off = back
                .pixels()
                .zip(matte.pixels())
                .map(|(b, m)| b.0[0].abs_diff(m.0[0]))
                .max();
            assert!(
                off <= Some(if format == ImageFormat::Jpeg { 8 } else { 0 }),
                "{format} {w}x{h}: {off:?}"
            );
        }
    }
}

#[test]
fn alpha_is_kept_or_refused() {
    let rgba = RgbaImage::from_fn(40, 30, |x, y| {
        image::Rgba([x as u8, y as u8, 9, (x * y) as u8])
    });
    let mut file = Vec::new();
    Encoder::new(ImageFormat::Png, 0)
        .encode(&Composed::Rgba(rgba.clone()), &mut file)
        .unwrap();
    let mut reader = ::png::Decoder::new(std::io::Cursor::new(&file))
        .read_info()
        .unwrap();
    let mut back = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut back).unwrap();
    assert_eq!(&back, rgba.as_raw());

    Encoder::new(ImageFormat::WebP, 0)
        .encode(&Composed::Rgba(rgba.clone()), &mut file)
        .unwrap();
    image_webp::WebPDecoder::new(std::io::Cursor::new(&file))
        .unwrap()
        .read_image(&mut back)
        .unwrap();
    assert_eq!(&back, rgba.as_raw());

    let refused = Encoder::new(ImageFormat::Jpeg, 80).encode(&Composed::Rgba(rgba), &mut file);
    assert_eq!(refused, Err(EncodeError::NoAlpha));
    assert!(file.is_empty());
}

#[test]
fn sizes_that_a_format_cannot_hold_are_refused() {
    let mut file = Vec::new();
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP] {
        let empty = Encoder::new(format, 80).encode(&Composed::default(), &mut file);
        assert!(matches!(empty, Err(EncodeError::Size { .. })), "{format}");
    }
    let long = Composed::Rgb(RgbImage::new(16_385, 1));
    assert!(matches!(
        Encoder::new(ImageFormat::WebP, 80).encode(&long, &mut file),
        Err(EncodeError::Size { .. })
    ));
}
