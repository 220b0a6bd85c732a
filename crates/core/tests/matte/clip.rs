//! Frames composed from the fixtures: people with exact alpha in front of a room.
use image::imageops::{FilterType, flip_horizontal, resize};
use image::{GrayImage, RgbImage};
use mattebox_core::frame::Timestamp;
use mattebox_core::matte::{Matte, MatteMode, MatteState, Refiner, Segmenter};
use mattebox_net::Model;
use mattebox_net::SimdLevel;
use std::path::Path;
use std::sync::Arc;

pub(crate) const WIDTH: u32 = 640;
pub(crate) const HEIGHT: u32 = 360;

pub(crate) fn fixture(name: &str) -> image::DynamicImage {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/matte/fixtures")
        .join(name);
    image::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The sample's person, to be pasted into a frame: scaled, with the top left corner at `place` (x,
/// y).
#[derive(Clone, Copy)]
pub(crate) struct CastMember {
    pub(crate) scale: f32,
    pub(crate) place: [i32; 2],
    pub(crate) mirrored: bool,
}

pub(crate) struct Cast {
    room: RgbImage,
    people: Vec<(RgbImage, GrayImage)>,
}

impl Cast {
    pub(crate) fn load() -> Cast {
        let person = |i| {
            (
                fixture(&format!("person_{i}.jpg")).to_rgb8(),
                fixture(&format!("person_{i}_alpha.png")).to_luma8(),
            )
        };
        Cast {
            room: fixture("room.jpg").to_rgb8(),
            people: (0..6).map(person).collect(),
        }
    }

    /// The frame at `seconds` with these people, the last in front; and how much of each pixel is
    /// the first person.
    pub(crate) fn frame(&self, seconds: f64, people: &[CastMember]) -> (RgbImage, GrayImage) {
        let mut picture = self.room.clone();
        let mut first = GrayImage::new(WIDTH, HEIGHT);
        // the person's pictures are 0.16 s apart, and play forward and backward
        let step = (seconds / 0.16) as usize % 10;
        let (colours, alpha) = &self.people[step.min(10 - step)];
        for (i, person) in people.iter().enumerate() {
            let size = [WIDTH, HEIGHT].map(|n| (n as f32 * person.scale) as u32);
            let mut colours = resize(colours, size[0], size[1], FilterType::Triangle);
            let mut alpha = resize(alpha, size[0], size[1], FilterType::Triangle);
            if person.mirrored {
                (colours, alpha) = (flip_horizontal(&colours), flip_horizontal(&alpha));
            }
            for (x, y, a) in alpha.enumerate_pixels() {
                let to_x = x as i32 + person.place[0];
                let to_y = y as i32 + person.place[1];
                if !(0..WIDTH as i32).contains(&to_x) || !(0..HEIGHT as i32).contains(&to_y) {
                    continue;
                }
                let to_x = to_x as u32;
                let to_y = to_y as u32;
                let a = u32::from(a[0]);
                let pixel = picture.get_pixel_mut(to_x, to_y);
                for c in 0..3 {
                    pixel[c] = ((u32::from(colours.get_pixel(x, y)[c]) * a
                        + u32::from(pixel[c]) * (255 - a)
                        + 127)
                        / 255) as u8;
                }
                let share = first.get_pixel_mut(to_x, to_y);
                share[0] = if i == 0 {
                    a as u8
                } else {
                    (u32::from(share[0]) * (255 - a) / 255) as u8
                };
            }
        }
        (picture, first)
    }
}

/// A segmenter and a refiner on one thread.
pub(crate) struct Matter {
    pub(crate) segmenter: Segmenter,
    pub(crate) refiner: Refiner,
}

impl Matter {
    pub(crate) fn new(mode: MatteMode, simd: SimdLevel) -> Matter {
        let model = Arc::new(Model::general().unwrap());
        Matter {
            segmenter: Segmenter::new(&model, mode, simd).unwrap(),
            refiner: Refiner::new(simd).unwrap(),
        }
    }

    pub(crate) fn matte(
        &mut self,
        picture: &RgbImage,
        seconds: f64,
        state: &mut MatteState,
    ) -> GrayImage {
        let coarse = self
            .segmenter
            .segment(picture, Timestamp((seconds * 1e6) as i64), state);
        let mut matte = Matte::default();
        self.refiner.refine(picture, &coarse, &mut matte);
        matte.into_alpha()
    }

    pub(crate) fn still(&mut self, picture: &RgbImage) -> GrayImage {
        let coarse = self.segmenter.segment_still(picture);
        let mut matte = Matte::default();
        self.refiner.refine(picture, &coarse, &mut matte);
        matte.into_alpha()
    }
}

/// How much of the person is in the matte, 0..=1.
pub(crate) fn covered(matte: &GrayImage, person: &GrayImage) -> f64 {
    let sum = |v: &mut dyn Iterator<Item = u8>| v.map(u64::from).sum::<u64>() as f64;
    sum(&mut matte.iter().zip(person.iter()).map(|(m, p)| *m.min(p)))
        / sum(&mut person.iter().copied()).max(1.0)
}

/// The mean difference of two mattes, 0..=1.
pub(crate) fn difference(a: &GrayImage, b: &GrayImage) -> f64 {
    let sum: u64 = a
        .iter()
        .zip(b.iter())
        .map(|(a, b)| u64::from(a.abs_diff(*b)))
        .sum();
    sum as f64 / 255.0 / a.len().max(1) as f64
}
