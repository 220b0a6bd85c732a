//! The promises of compositing, on generated pictures.
use super::*;
use crate::codec::{Encoder, ImageFormat};
use image::{GrayImage, Luma, Rgb};
use std::sync::Arc;

const GREEN_ROOM: [u8; 3] = [0, 177, 64];

fn compose(
    simd: SimdLevel,
    picture: &RgbImage,
    alpha: &GrayImage,
    background: &Background,
    cleanup: bool,
) -> Composed {
    let mut out = Composed::default();
    let matte = Matte::from(alpha.clone());
    Compositor::new(simd)
        .unwrap()
        .compose(picture, &matte, background, cleanup, &mut out);
    out
}

fn rgb(composed: Composed) -> RgbImage {
    match composed {
        Composed::Rgb(picture) => picture,
        Composed::Rgba(_) => panic!("a transparent picture"),
    }
}

/// A pseudorandom number from two others.
fn noise(x: u32, y: u32) -> u32 {
    let v = x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca6b);
    (v ^ (v >> 15)).wrapping_mul(0x2c1b_3c6d) >> 8
}

/// A disc with a soft edge and thin strands of hair, and its matte.
fn hairy_disc(size: u32) -> (RgbImage, GrayImage) {
    let alpha = GrayImage::from_fn(size, size, |x, y| {
        let dx = x as f32 - size as f32 / 2.0;
        let dy = y as f32 - size as f32 / 2.0;
        let r = dx.hypot(dy) / (size as f32 / 2.0);
        let angle = dy.atan2(dx);
        let disc = (0.62 - r) * 12.0;
        // Forty strands, which get thinner outwards.
        let strand = ((angle * 40.0).cos() - 0.6) * 1.6 * (0.9 - r) * 4.0;
        Luma([(disc.max(strand.min(0.8)).clamp(0.0, 1.0) * 255.0) as u8])
    });
    let person = RgbImage::from_fn(size, size, |x, y| {
        Rgb([(90 + x * 60 / size) as u8, 60, (40 + y * 30 / size) as u8])
    });
    (person, alpha)
}

/// Everything from 0 to 255 in the matte, in flat parts and in noise.
fn busy(width: u32, height: u32) -> (RgbImage, GrayImage) {
    let picture = RgbImage::from_fn(width, height, |x, y| {
        Rgb([noise(x, y) as u8, (x * 3) as u8, noise(y, x) as u8])
    });
    let alpha = GrayImage::from_fn(width, height, |x, y| {
        Luma([match noise(x / 16, y / 8) % 4 {
            0 => 0,
            1 => 255,
            _ => noise(x + 7, y) as u8,
        }])
    });
    (picture, alpha)
}

fn backgrounds(width: u32, height: u32) -> Vec<Background> {
    let behind = RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 77]));
    vec![
        Background::Color([1, 2, 3]),
        Background::Transparent,
        Background::Blur { sigma: 1.0 },
        Background::Blur { sigma: 10.0 },
        Background::Blur { sigma: 100.0 },
        Background::Picture(Arc::new(behind)),
    ]
}

/// Mean of `max(0, G - max(R, B))` over the mixed pixels.
fn green_excess(picture: &RgbImage, alpha: &GrayImage) -> f64 {
    let mixed = picture
        .pixels()
        .zip(alpha.as_raw())
        .filter(|(_, a)| (1..255).contains(*a));
    let (sum, count) = mixed.fold((0.0, 0.0), |(sum, count), (Rgb([r, g, b]), _)| {
        (sum + f64::from(g.saturating_sub(*r.max(b))), count + 1.0)
    });
    sum / count
}

#[test]
fn the_green_of_the_old_room_is_removed() {
    let (person, alpha) = hairy_disc(240);
    let filmed = rgb(compose(
        SimdLevel::best(),
        &person,
        &alpha,
        &Background::Color(GREEN_ROOM),
        false,
    ));
    let gray = Background::Color(BackgroundSpec::GRAY);
    let before = green_excess(
        &rgb(compose(SimdLevel::best(), &filmed, &alpha, &gray, false)),
        &alpha,
    );
    let cleaned = rgb(compose(SimdLevel::best(), &filmed, &alpha, &gray, true));
    let after = green_excess(&cleaned, &alpha);
    assert!(before > 10.0, "{before}");
    assert!(after < before / 20.0, "{before} before, {after} after");

    let wanted = rgb(compose(SimdLevel::best(), &person, &alpha, &gray, false));
    let worst = cleaned
        .iter()
        .zip(wanted.iter())
        .map(|(c, w)| c.abs_diff(*w))
        .max();
    assert!(
        worst <= Some(32),
        "{worst:?} levels from the person's own colours"
    );
}

#[test]
fn a_false_veil_over_the_room_is_not_painted_in_the_persons_colour() {
    let wall = [225, 222, 214];
    let (person, alpha) = hairy_disc(240);
    let filmed = rgb(compose(
        SimdLevel::best(),
        &person,
        &alpha,
        &Background::Color(wall),
        false,
    ));
    // a corner of plain wall of which the matte is half sure that it is a person
    let mut veiled = alpha.clone();
    for (x, y, a) in veiled.enumerate_pixels_mut() {
        if x > 150 && y < 90 && a[0] == 0 {
            a[0] = 120;
        }
    }
    for new in [[255, 255, 255], BackgroundSpec::GRAY, [20, 30, 60]] {
        let background = Background::Color(new);
        let wanted = rgb(compose(
            SimdLevel::best(),
            &person,
            &alpha,
            &background,
            false,
        ));
        let [without, with] = [false, true].map(|cleanup| {
            let found = rgb(compose(
                SimdLevel::best(),
                &filmed,
                &veiled,
                &background,
                cleanup,
            ));
            let differences = found.iter().zip(wanted.iter());
            let sum: u64 = differences.map(|(f, w)| u64::from(f.abs_diff(*w))).sum();
            sum as f64 / found.len() as f64
        });
        assert!(
            with < 0.75 * without,
            "on {new:?}: {with} levels with the clean-up, {without} without"
        );
    }
}

#[test]
fn a_matte_that_is_too_large_does_not_bring_the_room_back() {
    let (person, alpha) = hairy_disc(240);
    let filmed = rgb(compose(
        SimdLevel::best(),
        &person,
        &alpha,
        &Background::Color(GREEN_ROOM),
        false,
    ));
    let mut generous = alpha.clone();
    generous.iter_mut().for_each(|a| {
        *a = if *a == 0 {
            0
        } else {
            (*a / 2 + 110).min(if *a == 255 { 255 } else { 230 })
        }
    });
    let gray = Background::Color(BackgroundSpec::GRAY);
    let before = green_excess(
        &rgb(compose(SimdLevel::best(), &filmed, &generous, &gray, false)),
        &generous,
    );
    let after = green_excess(
        &rgb(compose(SimdLevel::best(), &filmed, &generous, &gray, true)),
        &generous,
    );
    assert!(after < before / 8.0, "{before} before, {after} after");
}

#[test]
fn certain_pixels_are_exactly_the_person_or_the_background() {
    let (picture, alpha) = busy(197, 83);
    for background in backgrounds(197, 83) {
        for cleanup in [false, true] {
            let out = compose(SimdLevel::best(), &picture, &alpha, &background, cleanup);
            for (i, (c, &a)) in picture.pixels().zip(alpha.as_raw()).enumerate() {
                let x = i as u32 % 197;
                let y = i as u32 / 197;
                let context = || format!("{background:?} at {x},{y}");
                match (&out, &background) {
                    (Composed::Rgb(out), _) if a == 255 => {
                        assert_eq!(out.get_pixel(x, y), c, "{}", context())
                    }
                    (Composed::Rgb(out), Background::Color(color)) if a == 0 => {
                        assert_eq!(out.get_pixel(x, y).0, *color)
                    }
                    (Composed::Rgb(out), Background::Picture(behind)) if a == 0 => {
                        assert_eq!(out.get_pixel(x, y), behind.get_pixel(x, y));
                    }
                    (Composed::Rgba(out), _) => {
                        let [r, g, b, out_a] = out.get_pixel(x, y).0;
                        // the clean-up may doubt mixed pixels
                        let doubts = cleanup && (1..255).contains(&a);
                        assert!(out_a == a || doubts && out_a < a, "{}", context());
                        match a {
                            0 => assert_eq!([r, g, b], [0; 3], "the room shows at {x},{y}"),
                            255 => assert_eq!([r, g, b], c.0),
                            _ => {}
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

/// A transparent picture laid over a colour elsewhere equals the picture composed with that colour.
#[test]
fn transparent_and_colour_agree() {
    let (picture, alpha) = busy(120, 90);
    let color = [200, 30, 90];
    let Composed::Rgba(clear) = compose(
        SimdLevel::best(),
        &picture,
        &alpha,
        &Background::Transparent,
        true,
    ) else {
        panic!("not transparent");
    };
    let person = RgbImage::from_fn(120, 90, |x, y| {
        let [r, g, b, _] = clear.get_pixel(x, y).0;
        Rgb([r, g, b])
    });
    let sure = GrayImage::from_fn(120, 90, |x, y| Luma([clear.get_pixel(x, y)[3]]));
    let laid_over = compose(
        SimdLevel::best(),
        &person,
        &sure,
        &Background::Color(color),
        false,
    );
    assert_eq!(
        laid_over,
        compose(
            SimdLevel::best(),
            &picture,
            &alpha,
            &Background::Color(color),
            true
        )
    );
}

#[test]
fn all_levels_give_the_same_bytes() {
    for (width, height) in [(1, 1), (63, 41), (641, 97)] {
        let (picture, alpha) = busy(width, height);
        for background in backgrounds(width, height) {
            let oracle = compose(SimdLevel::Scalar, &picture, &alpha, &background, true);
            for level in SimdLevel::available() {
                let out = compose(level, &picture, &alpha, &background, true);
                assert!(out == oracle, "{level}, {width}x{height}, {background:?}");
            }
        }
    }
}

#[test]
fn frames_before_leave_no_trace() {
    let mut compositor = Compositor::new(SimdLevel::best()).unwrap();
    let mut out = Composed::default();
    for (width, height) in [(90, 70), (33, 80), (90, 70), (160, 9)] {
        let (picture, alpha) = busy(width, height);
        let matte = Matte::from(alpha.clone());
        for background in backgrounds(width, height) {
            compositor.compose(&picture, &matte, &background, true, &mut out);
            assert!(
                out == compose(SimdLevel::best(), &picture, &alpha, &background, true),
                "{background:?}"
            );
        }
    }
}

#[test]
fn any_size_passes() {
    for (width, height) in [
        (0, 0),
        (0, 7),
        (7, 0),
        (1, 1),
        (1, 400),
        (400, 1),
        (2, 2),
        (3, 5),
        (161, 3),
        (3840, 2160),
    ] {
        let (picture, alpha) = busy(width, height);
        for background in backgrounds(width, height) {
            let out = compose(SimdLevel::best(), &picture, &alpha, &background, true);
            assert_eq!(out.dimensions(), (width, height));
        }
    }
}

#[test]
#[should_panic(expected = "as large as the picture")]
fn a_matte_of_another_size_is_refused() {
    compose(
        SimdLevel::best(),
        &RgbImage::new(4, 4),
        &GrayImage::new(4, 3),
        &Background::Transparent,
        true,
    );
}

#[test]
fn the_person_does_not_bleed_into_the_blurred_room() {
    let (_, alpha) = hairy_disc(200);
    // A red person in a grey room that is darker on the left.
    let picture = RgbImage::from_fn(200, 200, |x, y| {
        let room = if x < 100 { 60.0 } else { 180.0 };
        let a = f32::from(alpha.get_pixel(x, y).0[0]) / 255.0;
        let mix = |person: f32| (person * a + room * (1.0 - a)).round() as u8;
        Rgb([mix(255.0), mix(0.0), mix(0.0)])
    });
    for sigma in [3.0, 10.0, 40.0, 100.0] {
        let out = rgb(compose(
            SimdLevel::best(),
            &picture,
            &alpha,
            &Background::Blur { sigma },
            true,
        ));
        for (c, a) in out.pixels().zip(alpha.as_raw()).filter(|(_, a)| **a == 0) {
            let Rgb([r, g, b]) = *c;
            assert!(
                r.abs_diff(g) <= 8 && g == b,
                "sigma {sigma}: {c:?} at alpha {a}"
            );
            assert!(
                (59..=181).contains(&g),
                "sigma {sigma}: {g} is not of the room"
            );
        }
    }
}

/// Against the formula in double precision, at every pixel.
#[test]
fn the_blur_is_a_gaussian_of_the_given_sigma() {
    let width = 320;
    let height = 40;
    let picture = RgbImage::from_fn(width, height, |x, y| {
        Rgb([if x < 150 { 20 } else { 220 }, (y * 6) as u8, (x / 2) as u8])
    });
    let none = GrayImage::new(width, height);
    for sigma in [1.0f32, 4.0, 8.0, 30.0] {
        let out = rgb(compose(
            SimdLevel::best(),
            &picture,
            &none,
            &Background::Blur { sigma },
            true,
        ));
        let pixels = f64::from(sigma) * f64::from(width) / 640.0;
        let at = |x: i64| (-(x * x) as f64 / (2.0 * pixels * pixels)).exp();
        for x in 0..i64::from(width) {
            let mut sum = 0.0;
            let mut weight = 0.0;
            for i in 0..i64::from(width) {
                sum += at(x - i) * f64::from(picture.get_pixel(i as u32, 0).0[0]);
                weight += at(x - i);
            }
            let got = f64::from(out.get_pixel(x as u32, 20).0[0]);
            assert!(
                (got - sum / weight).abs() < 5.0,
                "sigma {sigma}, x {x}: {got}, not {}",
                sum / weight
            );
        }
    }
}

#[test]
fn a_frame_without_any_room_can_be_blurred() {
    let picture = RgbImage::from_pixel(64, 64, Rgb([9, 8, 7]));
    for a in [255, 254] {
        let alpha = GrayImage::from_pixel(64, 64, Luma([a]));
        let out = rgb(compose(
            SimdLevel::best(),
            &picture,
            &alpha,
            &Background::Blur { sigma: 10.0 },
            true,
        ));
        assert!(
            out.pixels()
                .all(|c| c.0.iter().zip([9, 8, 7]).all(|(c, p)| c.abs_diff(p) <= 1)),
            "alpha {a}"
        );
    }
}

#[test]
fn a_frame_that_is_composed_while_it_is_encoded_gives_the_same_file() {
    for (width, height) in [(1, 1), (3, 200), (90, 70), (700, 130), (12_000, 5)] {
        let (picture, alpha) = busy(width, height);
        let matte = Matte::from(alpha.clone());
        for background in backgrounds(width, height) {
            let whole = compose(SimdLevel::best(), &picture, &alpha, &background, true);
            for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Jpeg] {
                let mut encoder = Encoder::new(format, 80);
                let mut wanted = Vec::new();
                let can_be = encoder.encode(&whole, &mut wanted);
                let mut compositor = Compositor::new(SimdLevel::best()).unwrap();
                let mut rows = compositor.begin(&picture, &matte, &background, true);
                let mut found = Vec::new();
                assert_eq!(encoder.encode_rows(&mut rows, &mut found), can_be);
                assert!(
                    found == wanted,
                    "{format:?}, {width}x{height}, {background:?}"
                );
            }
        }
    }
}
