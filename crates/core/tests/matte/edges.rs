//! Pictures of unusual sizes.
use crate::clip::{Matter, covered, fixture};
use image::imageops::{FilterType, resize};
use image::{GrayImage, RgbImage};
use mattebox_core::frame::Timestamp;
use mattebox_core::matte::{Matte, MatteMode, MatteState};
use mattebox_net::SimdLevel;

#[test]
fn unusual_sizes_give_a_matte_of_their_size() {
    let person = fixture("person_0.jpg").to_rgb8();
    for mode in [MatteMode::Soft, MatteMode::Hard] {
        let mut matter = Matter::new(mode, SimdLevel::best());
        for (width, height) in [
            (0, 0),
            (0, 7),
            (1, 1),
            (2, 1),
            (1, 2),
            (3, 3),
            (7, 5),
            (1, 4000),
            (4000, 1),
            (2, 3000),
            (31, 999),
            (65_537, 2),
        ] {
            let picture = match (width, height) {
                (0, _) => RgbImage::new(width, height),
                _ => resize(&person, width, height, FilterType::Triangle),
            };
            let mut state = MatteState::default();
            for frame in 0..3 {
                let matte = matter.matte(&picture, f64::from(frame) * 0.5, &mut state);
                assert_eq!(matte.dimensions(), (width, height), "{mode}");
            }
            assert_eq!(
                matter.still(&picture).dimensions(),
                (width, height),
                "{mode}"
            );
            assert!(
                state.to_bytes().len() < 480 * 480 * 3 + 500,
                "{mode} {width}x{height}: the state is too large"
            );
        }
    }
}

#[test]
fn large_and_odd_pictures_show_the_same_person() {
    let person = fixture("person_0.jpg").to_rgb8();
    let alpha = fixture("person_0_alpha.png").to_luma8();
    for mode in [MatteMode::Soft, MatteMode::Hard] {
        let mut matter = Matter::new(mode, SimdLevel::best());
        for (width, height) in [(161, 91), (481, 363), (961, 541), (1280, 720), (3840, 2160)] {
            let picture = resize(&person, width, height, FilterType::Triangle);
            let alpha = resize(&alpha, width, height, FilterType::Triangle);
            let matte = matter.still(&picture);
            let outside = covered(
                &GrayImage::from_fn(width, height, |x, y| {
                    image::Luma([255 - alpha.get_pixel(x, y)[0]])
                }),
                &matte,
            );
            let inside = covered(&matte, &alpha);
            assert!(
                inside > 0.95 && outside < 0.04,
                "{mode} {width}x{height}: {inside:.3} inside, {outside:.3} outside"
            );
        }
    }
}

#[test]
fn a_coarse_matte_of_another_picture_is_all_background() {
    let mut matter = Matter::new(MatteMode::Soft, SimdLevel::best());
    let coarse = matter.segmenter.segment(
        &RgbImage::new(20, 10),
        Timestamp(0),
        &mut MatteState::default(),
    );
    let mut matte = Matte::from(GrayImage::from_pixel(30, 30, image::Luma([9])));
    matter
        .refiner
        .refine(&RgbImage::new(30, 30), &coarse, &mut matte);
    assert!(matte.is_blank());
    assert!(matte.alpha().iter().all(|&a| a == 0));
}
