//! The network is skipped for frames like the one before, and no motion is missed.
use crate::clip::{Cast, CastMember, Matter, covered};
use image::RgbImage;
use mattebox_core::frame::Timestamp;
use mattebox_core::matte::{CoarseMatte, MatteMode, MatteState, Network, Segmenter};
use mattebox_net::{Executor, Model, SimdLevel};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

const STAYS: CastMember = CastMember {
    scale: 0.7,
    place: [-60, 108],
    mirrored: false,
};

fn segmenter(mode: MatteMode) -> Segmenter {
    let model = Arc::new(Model::general().unwrap());
    Segmenter::new(&model, mode, SimdLevel::best())
        .unwrap()
        .skipping_still(true)
}

/// The picture with a camera's noise: every number changes by up to 3.
fn with_noise(picture: &RgbImage, seed: u32) -> RgbImage {
    let mut state = seed;
    let mut noisy = picture.clone();
    for v in noisy.iter_mut() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *v = v.saturating_add_signed((state >> 24) as i8 % 4);
    }
    noisy
}

fn shown(segmenter: &mut Segmenter, pictures: &[RgbImage]) -> Vec<CoarseMatte> {
    let mut state = MatteState::default();
    pictures
        .iter()
        .enumerate()
        .map(|(i, p)| segmenter.segment(p, Timestamp(i as i64 * 40_000), &mut state))
        .collect()
}

#[test]
fn soft_skips_noise_and_hard_skips_only_repeats() {
    let picture = Cast::load().frame(0.0, &[STAYS]).0;
    let noisy: Vec<_> = (0..6).map(|seed| with_noise(&picture, seed)).collect();
    let is_still =
        |coarse: Vec<CoarseMatte>| coarse.iter().map(CoarseMatte::is_still).collect::<Vec<_>>();
    assert_eq!(
        is_still(shown(&mut segmenter(MatteMode::Soft), &noisy)),
        [false, true, true, true, true, true]
    );
    assert_eq!(
        is_still(shown(&mut segmenter(MatteMode::Hard), &noisy)),
        [false; 6]
    );
    assert_eq!(
        is_still(shown(&mut segmenter(MatteMode::Hard), &vec![picture; 3])),
        [false, true, true]
    );
}

#[test]
fn by_default_the_network_runs_on_every_frame() {
    let picture = Cast::load().frame(0.0, &[STAYS]).0;
    for mode in [MatteMode::Soft, MatteMode::Hard] {
        let mut looking = segmenter(mode).skipping_still(false);
        assert!(
            shown(&mut looking, &vec![picture.clone(); 3])
                .iter()
                .all(|coarse| !coarse.is_still())
        );
    }
}

#[test]
fn a_repeated_picture_has_the_same_matte() {
    let picture = Cast::load().frame(0.0, &[STAYS]).0;
    for mode in [MatteMode::Soft, MatteMode::Hard] {
        let mut matter = Matter::new(mode, SimdLevel::best());
        let mut state = MatteState::default();
        matter.segmenter = segmenter(mode);
        let first = matter.matte(&picture, 0.0, &mut state);
        assert!(matter.matte(&picture, 0.04, &mut state) == first, "{mode}");
    }
}

#[test]
fn a_person_who_creeps_is_followed() {
    // One pixel every second frame: the change from one frame to the next counts as noise.
    let cast = Cast::load();
    let mut matter = Matter::new(MatteMode::Soft, SimdLevel::best());
    let mut state = MatteState::default();
    matter.segmenter = segmenter(MatteMode::Soft);
    let mut covered_at_the_end = 0.0;
    for i in 0..60 {
        let creeps = CastMember {
            place: [-60 + i / 2, 108],
            ..STAYS
        };
        let (picture, person) = cast.frame(0.0, &[creeps]);
        let matte = matter.matte(&picture, f64::from(i) * 0.04, &mut state);
        covered_at_the_end = covered(&matte, &person);
    }
    assert!(covered_at_the_end > 0.97, "{covered_at_the_end}");
}

/// A network that counts its runs.
struct CountingNetwork(Executor, Arc<AtomicUsize>);

impl Network for CountingNetwork {
    fn width(&self) -> usize {
        Network::width(&self.0)
    }

    fn height(&self) -> usize {
        Network::height(&self.0)
    }

    fn run(&mut self, picture: &[f32], confidence: &mut [f32]) {
        self.1.fetch_add(1, Ordering::Relaxed);
        Network::run(&mut self.0, picture, confidence);
    }
}

#[test]
fn a_still_camera_that_becomes_fine_has_one_key_frame() {
    let simd = SimdLevel::best();
    let model = Arc::new(Model::landscape().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let edges = CountingNetwork(Executor::new(&model, simd).unwrap(), asked.clone());
    let mut fine = segmenter(MatteMode::Fine)
        .drawing_edges(Box::new(edges), simd)
        .unwrap();
    let (picture, _) = Cast::load().frame(0.0, &[STAYS]);
    let mut state = MatteState::default();
    let mut soft = segmenter(MatteMode::Soft);
    let mut time = 0;
    let mut show = |segmenter: &mut Segmenter| {
        time += 40_000;
        segmenter.segment(&picture, Timestamp(time), &mut state)
    };
    show(&mut soft);
    let is_still: Vec<bool> = (0..40).map(|_| show(&mut fine).is_still()).collect();
    assert_eq!(is_still.iter().filter(|&&still| !still).count(), 1);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}
