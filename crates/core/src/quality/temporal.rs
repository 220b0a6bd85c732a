//! `dtSSD`: does the matte change when the true one does, and by as much? And `Static`: does it
//! stand still where the true one does?
//!
//! Erofeev, Gitman, Vatolin, Fedorov, Wang: "Perceptually Motivated Benchmark for Video Matting",
//! BMVC 2015. As in the evaluation of Robust Video Matting: the root of the mean over the pixels, x
//! 100, for each pair of neighbouring frames.
use super::{Pair, QualityError};

/// Error of the change between two neighbouring frames x 1e2: `100 sqrt(mean(((p - p') - (t -
/// t'))^2))`, where `p'` and `t'` are of the frame before and alpha is in 0..=1.
///
/// # Errors
/// [`QualityError::SizeChanged`] if the frames differ in size.
pub fn dtssd(now: Pair<'_>, before: Pair<'_>) -> Result<f64, QualityError> {
    same_size(now, before)?;
    let error = |(p, t): (u8, u8)| i32::from(p) - i32::from(t);
    let changes = now
        .values()
        .map(error)
        .zip(before.values().map(error))
        .map(|(now, before)| now - before);
    let sum: u64 = changes
        .map(|change| u64::from(change.unsigned_abs()).pow(2))
        .sum();
    Ok(100.0 * (sum as f64 / now.pixels()).sqrt() / 255.0)
}

/// The true alpha stands still where it changes by no more than this, in 1/255: its rounding.
const STILL: u8 = 1;

/// Flicker where the truth stands still x 1e2: `100 sqrt(mean((p - p')^2))` over the pixels with
/// `|t - t'| <= 1/255`, where `p'` and `t'` are of the frame before. `None` if no pixel stands
/// still. If no pixel of the truth changes, it equals [`dtssd`].
///
/// # Errors
/// [`QualityError::SizeChanged`] if the frames differ in size.
pub fn flicker(now: Pair<'_>, before: Pair<'_>) -> Result<Option<f64>, QualityError> {
    same_size(now, before)?;
    let mut still = 0u64;
    let mut sum = 0u64;
    for ((p, t), (p_before, t_before)) in now.values().zip(before.values()) {
        if t.abs_diff(t_before) <= STILL {
            still += 1;
            sum += u64::from(p.abs_diff(p_before)).pow(2);
        }
    }
    Ok((still > 0).then(|| 100.0 * (sum as f64 / still as f64).sqrt() / 255.0))
}

fn same_size(now: Pair<'_>, before: Pair<'_>) -> Result<(), QualityError> {
    if now.dimensions() == before.dimensions() {
        return Ok(());
    }
    Err(QualityError::SizeChanged {
        now: now.dimensions(),
        before: before.dimensions(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::tests::picture;
    use image::GrayImage;

    #[test]
    fn worked_by_hand() {
        // The truth rises by 1 in one pixel and falls by 0.2 in another; the prediction stays in
        // the first and rises by 0.2 in the second: errors of the change -1 and 0.4, mean square
        // 1.16 / 4.
        let t0 = picture([[0, 153], [7, 9]]);
        let t1 = picture([[255, 102], [7, 9]]);
        let p0 = picture([[51, 51], [0, 0]]);
        let p1 = picture([[51, 102], [0, 0]]);
        let before = Pair::new(&p0, &t0).unwrap();
        let now = Pair::new(&p1, &t1).unwrap();
        assert!((dtssd(now, before).unwrap() - 100.0 * (1.16f64 / 4.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn a_constant_error_does_not_flicker() {
        let t0 = picture([[0, 100]]);
        let t1 = picture([[50, 150]]);
        let p0 = picture([[30, 90]]);
        let p1 = picture([[80, 140]]);
        assert_eq!(
            dtssd(Pair::new(&p1, &t1).unwrap(), Pair::new(&p0, &t0).unwrap()).unwrap(),
            0.0
        );
    }

    #[test]
    fn opposite_jumps_are_the_end_of_the_scale() {
        let white = GrayImage::from_pixel(3, 3, image::Luma([255]));
        let black = GrayImage::new(3, 3);
        let before = Pair::new(&white, &black).unwrap();
        let now = Pair::new(&black, &white).unwrap();
        assert_eq!(dtssd(now, before).unwrap(), 200.0);
    }

    #[test]
    fn flicker_worked_by_hand() {
        // The truth moves in the first pixel, whose prediction does not count, and by the last bit
        // in the second. Three pixels stand still; their predictions change by 0.2, -0.4 and 0:
        // mean square 0.2 / 3.
        let t0 = picture([[0, 100], [255, 0]]);
        let t1 = picture([[2, 101], [255, 0]]);
        let p0 = picture([[0, 51], [255, 9]]);
        let p1 = picture([[255, 102], [153, 9]]);
        let before = Pair::new(&p0, &t0).unwrap();
        let now = Pair::new(&p1, &t1).unwrap();
        let measured = flicker(now, before).unwrap().unwrap();
        assert!((measured - 100.0 * (0.2f64 / 3.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn where_the_whole_truth_stands_still_flicker_is_dtssd() {
        let t = picture([[0, 100, 255], [3, 70, 200]]);
        let p0 = picture([[9, 80, 255], [0, 0, 190]]);
        let p1 = picture([[0, 99, 251], [17, 0, 255]]);
        let before = Pair::new(&p0, &t).unwrap();
        let now = Pair::new(&p1, &t).unwrap();
        assert_eq!(
            flicker(now, before).unwrap(),
            Some(dtssd(now, before).unwrap())
        );
    }

    #[test]
    fn flicker_is_not_measured_where_all_of_the_truth_moves() {
        let t0 = picture([[0, 100]]);
        let t1 = picture([[2, 98]]);
        let before = Pair::new(&t0, &t0).unwrap();
        let now = Pair::new(&t1, &t1).unwrap();
        assert_eq!(flicker(now, before).unwrap(), None);
    }

    #[test]
    fn a_change_of_size_is_refused() {
        let a = GrayImage::new(3, 2);
        let b = GrayImage::new(2, 3);
        let message = dtssd(Pair::new(&a, &a).unwrap(), Pair::new(&b, &b).unwrap())
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("3x2") && message.contains("2x3"),
            "{message}"
        );
    }
}
