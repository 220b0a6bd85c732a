//! Measures how good a matte is: predicted against true alpha.
//!
//! Six figures of the matting literature and a new one. They are normalised as in the evaluations
//! published with BackgroundMattingV2 and Robust Video Matting, so that figures can be compared.
//! Alpha has 8 bits, 0..=255 stands for 0..=1. All sums except those of `Grad` are sums of
//! integers, so they are exact and the same on every machine.
//!
//! # Layout
//!
//! * [`pixel`]: `IoU`, `MAD` and `MSE`, pixel by pixel.
//! * [`gradient`]: `Grad`, how sharp the edges are.
//! * [`connectivity`]: `Conn`, parts that are detached from the person.
//! * [`temporal`]: `dtSSD` and `Static`, flicker.
//! * [`live`]: estimates without the true alpha.
//! * [`summary`]: the mean and the worst of many frames.
//!
//! The docs of each function give formula and source; `docs/ref/eval.md` has them for users.
pub mod connectivity;
pub mod gradient;
pub mod live;
pub mod pixel;
pub mod summary;
pub mod temporal;

use image::GrayImage;
pub use summary::Summary;
use thiserror::Error;

/// Why two mattes cannot be compared.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum QualityError {
    /// Predicted and true alpha differ in size.
    #[error(
        "the predicted alpha is {}x{} pixels and the true alpha {}x{}: both must have the same \
         size",
        predicted.0, predicted.1, truth.0, truth.1
    )]
    SizesDiffer {
        /// Width and height of the predicted alpha.
        predicted: (u32, u32),
        /// Width and height of the true alpha.
        truth: (u32, u32),
    },
    /// The pictures of a sequence differ in size.
    #[error(
        "this frame is {}x{} pixels and the one before it {}x{}: the frames of a sequence must \
         have the same size",
        now.0, now.1, before.0, before.1
    )]
    SizeChanged {
        /// Width and height of this frame.
        now: (u32, u32),
        /// Width and height of the frame before it.
        before: (u32, u32),
    },
    /// A picture without pixels has no mean.
    #[error("the alpha has no pixels")]
    Empty,
}

/// A predicted alpha and the true one of the same frame, of the same size, not zero.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    predicted: &'a GrayImage,
    truth: &'a GrayImage,
}

impl<'a> Pair<'a> {
    /// Pairs the predicted alpha of a frame with the true one.
    ///
    /// # Errors
    /// [`QualityError::SizesDiffer`] and [`QualityError::Empty`].
    pub fn new(predicted: &'a GrayImage, truth: &'a GrayImage) -> Result<Self, QualityError> {
        if predicted.dimensions() != truth.dimensions() {
            return Err(QualityError::SizesDiffer {
                predicted: predicted.dimensions(),
                truth: truth.dimensions(),
            });
        }
        if predicted.is_empty() {
            return Err(QualityError::Empty);
        }
        Ok(Pair { predicted, truth })
    }

    /// The predicted alpha.
    pub fn predicted(&self) -> &'a GrayImage {
        self.predicted
    }

    /// The true alpha.
    pub fn truth(&self) -> &'a GrayImage {
        self.truth
    }

    /// Width and height in pixels.
    pub fn dimensions(&self) -> (u32, u32) {
        self.truth.dimensions()
    }

    /// The number of pixels, never 0.
    fn pixels(&self) -> f64 {
        self.truth.len() as f64
    }

    /// Predicted and true value of each pixel, row by row.
    fn values(&self) -> impl Iterator<Item = (u8, u8)> + 'a {
        self.predicted
            .iter()
            .zip(self.truth.iter())
            .map(|(&p, &t)| (p, t))
    }
}

/// The figures of one frame, in the units that papers print. All but `iou` are errors: 0 is
/// perfect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrameQuality {
    /// Intersection over union of the masks alpha > 0.5; 1 is perfect. See [`pixel::iou`].
    pub iou: f64,
    /// Mean absolute difference x 1e3. See [`pixel::mad`].
    pub mad: f64,
    /// Mean squared error x 1e3. See [`pixel::mse`].
    pub mse: f64,
    /// Gradient error / 1e3, a sum over the frame. See [`gradient::grad`].
    pub grad: f64,
    /// Connectivity error / 1e3, a sum over the frame. See [`connectivity::conn`].
    pub conn: f64,
    /// Error of the change since the frame before x 1e2; none for a first frame. See
    /// [`temporal::dtssd`].
    pub dtssd: Option<f64>,
    /// Flicker where the truth stands still x 1e2; none for a first frame, and where all of the
    /// truth moves. See [`temporal::flicker`].
    pub flicker: Option<f64>,
}

/// Measures one frame; `before` is the frame before it, where there is one.
///
/// # Errors
/// [`QualityError::SizeChanged`] if `before` has another size.
pub fn measure(now: Pair<'_>, before: Option<Pair<'_>>) -> Result<FrameQuality, QualityError> {
    Ok(FrameQuality {
        iou: pixel::iou(now),
        mad: pixel::mad(now),
        mse: pixel::mse(now),
        grad: gradient::grad(now),
        conn: connectivity::conn(now),
        dtssd: before
            .map(|before| temporal::dtssd(now, before))
            .transpose()?,
        flicker: before
            .map(|before| temporal::flicker(now, before))
            .transpose()?
            .flatten(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A picture from its rows.
    pub(super) fn picture<const W: usize, const H: usize>(rows: [[u8; W]; H]) -> GrayImage {
        GrayImage::from_raw(W as u32, H as u32, rows.concat()).unwrap()
    }

    #[test]
    fn an_error_names_both_sizes() {
        let a = GrayImage::new(4, 3);
        let b = GrayImage::new(3, 4);
        let message = Pair::new(&a, &b).unwrap_err().to_string();
        assert!(
            message.contains("4x3") && message.contains("3x4"),
            "{message}"
        );
        assert_eq!(
            Pair::new(&GrayImage::new(0, 7), &GrayImage::new(0, 7)).unwrap_err(),
            QualityError::Empty
        );
    }

    #[test]
    fn only_the_first_frame_has_no_dtssd_and_no_flicker() {
        let a = GrayImage::new(4, 3);
        let pair = Pair::new(&a, &a).unwrap();
        let first = measure(pair, None).unwrap();
        assert_eq!((first.dtssd, first.flicker), (None, None));
        let second = measure(pair, Some(pair)).unwrap();
        assert_eq!((second.dtssd, second.flicker), (Some(0.0), Some(0.0)));
    }

    /// Two pictures of one size from 1x1 to 12x12.
    fn two() -> impl Strategy<Value = (GrayImage, GrayImage)> {
        (1u32..13, 1u32..13).prop_flat_map(|(w, h)| {
            let bytes = || proptest::collection::vec(any::<u8>(), (w * h) as usize);
            (bytes(), bytes()).prop_map(move |(a, b)| {
                (
                    GrayImage::from_raw(w, h, a).unwrap(),
                    GrayImage::from_raw(w, h, b).unwrap(),
                )
            })
        })
    }

    proptest! {
        #[test]
        fn a_matte_equals_itself((a, _) in two()) {
            let same = Pair::new(&a, &a).unwrap();
            let perfect = FrameQuality {
                iou: 1.0,
                mad: 0.0,
                mse: 0.0,
                grad: 0.0,
                conn: 0.0,
                dtssd: Some(0.0),
                flicker: Some(0.0),
            };
            prop_assert_eq!(measure(same, Some(same)).unwrap(), perfect);
        }

        #[test]
        fn predicted_and_true_may_change_places((a, b) in two()) {
            let there = measure(Pair::new(&a, &b).unwrap(), None).unwrap();
            let back = measure(Pair::new(&b, &a).unwrap(), None).unwrap();
            prop_assert_eq!(there, back);
        }

        #[test]
        fn figures_stay_in_their_range((a, b) in two()) {
            let pair = Pair::new(&a, &b).unwrap();
            let same = Pair::new(&b, &b).unwrap();
            let q = measure(pair, Some(same)).unwrap();
            prop_assert!((0.0..=1.0).contains(&q.iou));
            prop_assert!(0.0 <= q.mse && q.mse <= q.mad && q.mad <= 1e3);
            prop_assert!(q.grad >= 0.0);
            prop_assert!((0.0..=1e-3 * pair.pixels()).contains(&q.conn));
            prop_assert!((0.0..=200.0).contains(&q.dtssd.unwrap()));
            prop_assert!(q.flicker.is_none_or(|flicker| (0.0..=100.0).contains(&flicker)));
        }
    }
}
