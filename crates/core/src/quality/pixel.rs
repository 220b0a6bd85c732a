//! Pixel by pixel: `IoU`, `MAD` and `MSE`.
use super::Pair;

/// The first 8-bit alpha above 0.5.
const FOREGROUND: u8 = 128;

/// Intersection over union of the masks alpha > 0.5, in 0..=1. It is 1 for two frames without a
/// person.
pub fn iou(pair: Pair<'_>) -> f64 {
    let mut both = 0u64;
    let mut either = 0u64;
    for (p, t) in pair.values() {
        let p = p >= FOREGROUND;
        let t = t >= FOREGROUND;
        both += u64::from(p & t);
        either += u64::from(p | t);
    }
    if either == 0 {
        1.0
    } else {
        both as f64 / either as f64
    }
}

/// Mean absolute difference x 1e3: `1000 mean(|p - t|)`, alpha in 0..=1.
pub fn mad(pair: Pair<'_>) -> f64 {
    let sum: u64 = pair.values().map(|(p, t)| u64::from(p.abs_diff(t))).sum();
    1e3 * sum as f64 / (255.0 * pair.pixels())
}

/// Mean squared error x 1e3: `1000 mean((p - t)^2)`, alpha in 0..=1.
pub fn mse(pair: Pair<'_>) -> f64 {
    let sum: u64 = pair
        .values()
        .map(|(p, t)| u64::from(p.abs_diff(t)).pow(2))
        .sum();
    1e3 * sum as f64 / (255.0 * 255.0 * pair.pixels())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::tests::picture;
    use image::GrayImage;

    #[test]
    fn worked_by_hand() {
        // Differences, in 1/255: 51 (0.2) once, 102 (0.4) once, 255 (1) once, six zeros.
        let truth = picture([[255, 255, 0], [255, 128, 0], [0, 0, 0]]);
        let predicted = picture([[255, 204, 0], [255, 128, 102], [0, 0, 255]]);
        let pair = Pair::new(&predicted, &truth).unwrap();
        // Masks: 4 true pixels, all found; one more predicted: 4 of 5. The 102 lies below 0.5.
        assert_eq!(iou(pair), 0.8);
        assert!((mad(pair) - 1e3 * 1.6 / 9.0).abs() < 1e-9);
        assert!((mse(pair) - 1e3 * (0.04 + 0.16 + 1.0) / 9.0).abs() < 1e-9);
    }

    #[test]
    fn the_mask_is_above_one_half() {
        let below = picture([[127]]);
        let above = picture([[128]]);
        assert_eq!(iou(Pair::new(&below, &above).unwrap()), 0.0);
        assert_eq!(iou(Pair::new(&above, &picture([[255]])).unwrap()), 1.0);
    }

    #[test]
    fn an_empty_matte_of_an_empty_frame_is_right() {
        let empty = GrayImage::new(5, 5);
        assert_eq!(iou(Pair::new(&empty, &empty).unwrap()), 1.0);
    }

    #[test]
    fn an_entirely_wrong_matte_is_the_end_of_the_scale() {
        let white = GrayImage::from_pixel(5, 4, image::Luma([255]));
        let black = GrayImage::new(5, 4);
        let pair = Pair::new(&white, &black).unwrap();
        assert_eq!((iou(pair), mad(pair), mse(pair)), (0.0, 1000.0, 1000.0));
    }
}
