//! Compares every SIMD level with the scalar one, on shapes and numbers made from bytes. Not part
//! of the interface: for the target `simd_levels` in `fuzz/`, and for a small share of it in the
//! tests.
use crate::{
    compose::{Background, Composed, Compositor},
    frame::Timestamp,
    matte::{Matte, MatteMode, Refiner, Segmenter},
};
use image::{GrayImage, RgbImage};
use mattebox_net::{Model, SimdLevel};
use std::sync::{Arc, LazyLock};

static MODEL: LazyLock<Arc<Model>> =
    LazyLock::new(|| Arc::new(Model::landscape().expect("the built-in network is sound")));

/// Compares the compositor or the matte, as the first byte says.
///
/// # Panics
/// If two levels disagree.
pub fn check(bytes: &[u8]) {
    match bytes.split_first() {
        Some((0..=191, rest)) => compositor(rest),
        Some((_, rest)) => matte(rest),
        None => {}
    }
}

fn others() -> impl Iterator<Item = SimdLevel> {
    SimdLevel::available()
        .into_iter()
        .filter(|level| *level != SimdLevel::Scalar)
}

/// The compositor gives the same bytes at every level, also with buffers that were used before.
pub fn compositor(bytes: &[u8]) {
    let mut bytes = FuzzInput(bytes.iter().cycle());
    let Some((width, height)) = bytes.size() else {
        return;
    };
    let background = match bytes.next() % 4 {
        0 => Background::Color([bytes.next(), bytes.next(), bytes.next()]),
        1 => Background::Transparent,
        2 => Background::Blur {
            sigma: f32::from(bytes.next()) / 4.0,
        },
        _ => Background::Picture(Arc::new(bytes.picture(width, height))),
    };
    let cleanup = bytes.next() % 2 == 0;
    let picture = bytes.picture(width, height);
    let matte = Matte::from(bytes.alpha(width, height));
    let compose = |level| {
        let mut compositor = Compositor::new(level).expect("the level is available");
        let mut made = [(); 2].map(|()| Composed::Rgb(RgbImage::default()));
        made.iter_mut()
            .for_each(|out| compositor.compose(&picture, &matte, &background, cleanup, out));
        let [first, again] = made;
        assert!(
            first == again,
            "{level}, {width}x{height}, {background:?}: used buffers give another result"
        );
        first
    };
    let expected = compose(SimdLevel::Scalar);
    for level in others() {
        let found = compose(level);
        let differs = found
            .as_raw()
            .iter()
            .zip(expected.as_raw())
            .position(|(a, b)| a != b);
        assert!(
            found == expected,
            "{level}, {width}x{height}, clean-up {cleanup}, {background:?}: differs at {differs:?}"
        );
    }
}

/// The refiner's levels differ by at most one grey value for the same coarse matte. Only one level,
/// which the bytes choose, segments the two frames: there, rounding may decide between two looks at
/// the picture.
pub fn matte(bytes: &[u8]) {
    let mut bytes = FuzzInput(bytes.iter().cycle());
    let Some((width, height)) = bytes.size() else {
        return;
    };
    let mode = if bytes.next() % 4 == 0 {
        MatteMode::Hard
    } else {
        MatteMode::Soft
    };
    let levels = SimdLevel::available();
    let level = levels[usize::from(bytes.next()) % levels.len()];
    let mut segmenter = Segmenter::new(&MODEL, mode, level).expect("the level is available");
    let mut refiners: Vec<_> = levels
        .iter()
        .map(|level| Refiner::new(*level).expect("the level is available"))
        .collect();
    let mut state = Default::default();
    for time in [0, 40_000] {
        let picture = bytes.picture(width, height);
        let coarse = segmenter.segment(&picture, Timestamp(time), &mut state);
        let mut mattes = vec![Matte::default(); levels.len()];
        refiners
            .iter_mut()
            .zip(&mut mattes)
            .for_each(|(refiner, matte)| refiner.refine(&picture, &coarse, matte));
        let alphas: Vec<GrayImage> = mattes.into_iter().map(Matte::into_alpha).collect();
        for (level, found) in levels.iter().zip(&alphas) {
            let worst = found
                .iter()
                .zip(alphas[0].iter())
                .map(|(a, b)| a.abs_diff(*b))
                .max()
                .unwrap_or_default();
            assert!(
                worst <= 1,
                "{level}, {mode}, {width}x{height}: {worst} grey values apart"
            );
        }
    }
}

/// Numbers, pictures and mattes, made from bytes that are repeated.
struct FuzzInput<'a>(std::iter::Cycle<std::slice::Iter<'a, u8>>);

impl FuzzInput<'_> {
    fn next(&mut self) -> u8 {
        self.0.next().copied().unwrap_or_default()
    }

    /// 1 to 200 each. `None`: there are no bytes.
    fn size(&mut self) -> Option<(u32, u32)> {
        let mut side = || self.0.next().map(|byte| 1 + u32::from(*byte) % 200);
        Some((side()?, side()?))
    }

    /// Runs of one colour, or noise.
    fn picture(&mut self, width: u32, height: u32) -> RgbImage {
        let longest = u32::from(self.next()) % 64 + 1;
        let mut picture = RgbImage::new(width, height);
        let mut colour = [0; 3];
        let mut left = 0;
        for pixel in picture.pixels_mut() {
            if left == 0 {
                colour = [self.next(), self.next(), self.next()];
                left = u32::from(colour[0] ^ colour[2]) % longest + 1;
            }
            left -= 1;
            pixel.0 = colour;
        }
        picture
    }

    /// Runs of background, person and edge.
    fn alpha(&mut self, width: u32, height: u32) -> GrayImage {
        let longest = usize::from(self.next()) + 1;
        let mut alpha = GrayImage::new(width, height);
        let mut rest: &mut [u8] = &mut alpha;
        while !rest.is_empty() {
            let kind = self.next();
            let length = usize::from(self.next()) % longest + 1;
            let value = [0, 255, kind][usize::from(kind) % 3];
            let (run, after) = rest.split_at_mut(length.min(rest.len()));
            run.fill(value);
            rest = after;
        }
        alpha
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn every_level_composes_the_same_bytes(bytes in vec(any::<u8>(), 8..200)) {
            super::compositor(&bytes);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn every_level_refines_alike(bytes in vec(any::<u8>(), 8..200)) {
            super::matte(&bytes);
        }
    }
}
