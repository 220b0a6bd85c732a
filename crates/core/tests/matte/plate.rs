//! The learned room, with a network for which red pixels are a person.
use image::{GrayImage, Rgb, RgbImage};
use mattebox_core::frame::Timestamp;
use mattebox_core::matte::{Matte, MatteMode, MatteState, Network, Refiner, Segmenter};
use mattebox_net::SimdLevel;

const SIZE: (u32, u32) = (320, 180);

/// A network that is sure of red pixels, and of no others.
struct RedNetwork;

impl Network for RedNetwork {
    fn width(&self) -> usize {
        160
    }

    fn height(&self) -> usize {
        90
    }

    fn run(&mut self, picture: &[f32], confidence: &mut [f32]) {
        for (confidence, rgb) in confidence.iter_mut().zip(picture.chunks_exact(3)) {
            *confidence = f32::from(u8::from(rgb[0] > 0.6 && rgb[1] < 0.4));
        }
    }
}

/// An area: left, top, right, bottom.
type Area = [u32; 4];
const RED: Rgb<u8> = Rgb([220, 30, 40]);
const GREEN: Rgb<u8> = Rgb([30, 150, 60]);
const BODY: Area = [100, 40, 180, 180];
const ARM: Area = [180, 90, 230, 106];
/// A poster that is red like a person, while it is lit.
const POSTER: Area = [250, 20, 310, 80];

/// A room of stripes with things in it.
fn picture(things: &[(Area, Rgb<u8>)]) -> RgbImage {
    RgbImage::from_fn(SIZE.0, SIZE.1, |x, y| {
        let inside = |[x0, y0, x1, y1]: Area| (x0..x1).contains(&x) && (y0..y1).contains(&y);
        let thing = things.iter().rev().find(|(place, _)| inside(*place));
        let stripe = (x / 9 % 4 * 20 + y / 30 % 2 * 12) as u8;
        thing.map_or(
            Rgb([90 + stripe, 95 + stripe, 100 + stripe]),
            |(_, colour)| *colour,
        )
    })
}

struct LearningCamera {
    simd: SimdLevel,
    segmenter: Segmenter,
    refiner: Refiner,
    state: MatteState,
    frame: i64,
}

impl LearningCamera {
    fn new(simd: SimdLevel, learns: bool) -> LearningCamera {
        LearningCamera {
            simd,
            segmenter: Segmenter::with_network(Box::new(RedNetwork), MatteMode::Soft, simd)
                .expect("the level is there")
                .learning_room(learns),
            refiner: Refiner::new(simd).expect("the level is there"),
            state: MatteState::default(),
            frame: 0,
        }
    }

    fn see(&mut self, picture: &RgbImage) -> GrayImage {
        self.frame += 1;
        let time = Timestamp(self.frame * 40_000);
        let coarse = self.segmenter.segment(picture, time, &mut self.state);
        let mut matte = Matte::default();
        self.refiner.refine(picture, &coarse, &mut matte);
        matte.into_alpha()
    }

    /// Takes a frame with a new segmenter and a restored state.
    fn see_restored(&mut self, picture: &RgbImage) -> GrayImage {
        let state = MatteState::from_bytes(&self.state.to_bytes()).expect("it reads back");
        let frame = self.frame;
        *self = LearningCamera::new(self.simd, true);
        (self.state, self.frame) = (state, frame);
        self.see(picture)
    }
}

/// The mean alpha of an area, 0..=1.
fn mean(alpha: &GrayImage, [x0, y0, x1, y1]: Area) -> f64 {
    let cells = (y0..y1).flat_map(|y| (x0..x1).map(move |x| (x, y)));
    let sum: f64 = cells
        .map(|(x, y)| f64::from(alpha.get_pixel(x, y)[0]))
        .sum();
    sum / 255.0 / f64::from((x1 - x0) * (y1 - y0))
}

/// The area of a person who walks in from the left within ten frames, then sways: without motion no
/// person is believed.
fn entering(frame: usize, [x0, y0, x1, y1]: Area) -> Area {
    let left = 32 * 10u32.saturating_sub(frame as u32);
    let by = (frame % 3 * 3) as u32;
    let [x0, x1] = [x0, x1].map(|x| (x + by).saturating_sub(left));
    [x0, y0, x1, y1]
}

/// An empty room for two seconds, a person with an arm, and the room again.
fn scene() -> Vec<RgbImage> {
    let person = |frame: usize| {
        let [body, arm] = [BODY, ARM].map(|place| entering(frame - 50, place));
        picture(&[(body, RED), (arm, GREEN)])
    };
    let things = |frame: usize| match frame {
        50..70 => person(frame),
        _ => picture(&[]),
    };
    (0..80).map(things).collect()
}

#[test]
fn an_arm_before_a_known_room_belongs_to_the_person() {
    let mut alphas = [true, false].map(|learns| {
        let mut camera = LearningCamera::new(SimdLevel::best(), learns);
        let alphas = scene()
            .iter()
            .map(|frame| camera.see(frame))
            .collect::<Vec<_>>();
        let body = mean(&alphas[66], BODY);
        assert!(body > 0.9, "{body}");
        assert!(mean(&alphas[79], [0, 0, SIZE.0, SIZE.1]) < 0.01);
        mean(&alphas[66], ARM)
    });
    alphas.reverse();
    assert!(
        alphas[0] < 0.3 && alphas[1] > 0.85,
        "without and with the room: {alphas:?}"
    );
}

#[test]
fn a_person_who_sits_there_from_the_first_frame_stays_whole() {
    let mut camera = LearningCamera::new(SimdLevel::best(), true);
    let sits = picture(&[(BODY, RED)]);
    for frame in 0..150 {
        let alpha = camera.see(&sits);
        assert!(mean(&alpha, BODY) > 0.95, "frame {frame}");
    }
    let moves = [BODY[0] - 40, BODY[1], BODY[2] - 40, BODY[3]];
    let moved = picture(&[(moves, RED)]);
    let alphas: Vec<_> = (0..5).map(|_| camera.see(&moved)).collect();
    assert!(mean(&alphas[4], moves) > 0.95);
    assert!(mean(&alphas[4], [moves[2] + 8, 40, BODY[2], 180]) < 0.05);
}

#[test]
fn a_person_before_a_poster_of_their_colour_stays_whole() {
    let mut camera = LearningCamera::new(SimdLevel::best(), true);
    let dim = Rgb([140, 60, 60]);
    for _ in 0..50 {
        camera.see(&picture(&[(POSTER, dim)]));
    }
    // a body in the poster's colour, with a head that differs from the room
    let body = [220, 20, 310, 180];
    for frame in 0..30 {
        let body = entering(frame, body);
        let alpha = camera.see(&picture(&[(POSTER, dim), (body, RED)]));
        let seen = mean(&alpha, body);
        assert!(frame < 14 || seen > 0.95, "frame {frame}: {seen}");
    }
}

#[test]
fn the_room_is_the_same_to_the_last_bit_after_a_restore_and_on_every_level() {
    let frames = scene();
    let mut best = LearningCamera::new(SimdLevel::best(), true);
    let straight: Vec<_> = frames.iter().map(|frame| best.see(frame)).collect();
    for simd in SimdLevel::available() {
        let mut camera = LearningCamera::new(simd, true);
        for (i, (frame, wanted)) in frames.iter().zip(&straight).enumerate() {
            assert!(camera.see_restored(frame) == *wanted, "frame {i} on {simd}");
        }
        assert!(camera.state.to_bytes() == best.state.to_bytes(), "{simd}");
    }
}
