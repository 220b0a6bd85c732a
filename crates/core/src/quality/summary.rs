//! The mean and the worst of many frames.
use super::FrameQuality;
use std::{fmt, str::FromStr};
use thiserror::Error;

/// One of the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Intersection over union.
    Iou,
    /// Mean absolute difference.
    Mad,
    /// Mean squared error.
    Mse,
    /// Gradient error.
    Grad,
    /// Connectivity error.
    Conn,
    /// Error of the change from frame to frame.
    Dtssd,
    /// Flicker where the truth stands still.
    Static,
}

/// A text that is not a [`Metric`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("there is no metric {0:?}; the metrics are iou, mad, mse, grad, conn, dtssd and static")]
pub struct UnknownMetric(String);

impl Metric {
    /// All of them, in the order in which they are printed.
    pub const ALL: [Metric; 7] = [
        Metric::Iou,
        Metric::Mad,
        Metric::Mse,
        Metric::Grad,
        Metric::Conn,
        Metric::Dtssd,
        Metric::Static,
    ];

    /// Its name in files: lower case.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Iou => "iou",
            Metric::Mad => "mad",
            Metric::Mse => "mse",
            Metric::Grad => "grad",
            Metric::Conn => "conn",
            Metric::Dtssd => "dtssd",
            Metric::Static => "static",
        }
    }

    /// Its value for a frame. `None` for dtSSD and Static of a first frame, and for Static where
    /// all of the truth moves.
    pub fn of(self, frame: &FrameQuality) -> Option<f64> {
        match self {
            Metric::Iou => Some(frame.iou),
            Metric::Mad => Some(frame.mad),
            Metric::Mse => Some(frame.mse),
            Metric::Grad => Some(frame.grad),
            Metric::Conn => Some(frame.conn),
            Metric::Dtssd => frame.dtssd,
            Metric::Static => frame.flicker,
        }
    }

    /// The larger, the worse the frame: 1 - IoU instead of IoU.
    fn badness(self, frame: &FrameQuality) -> Option<f64> {
        self.of(frame)
            .map(|value| if self == Metric::Iou { -value } else { value })
    }
}

impl fmt::Display for Metric {
    /// The name as papers write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Metric::Iou => "IoU",
            Metric::Mad => "MAD",
            Metric::Mse => "MSE",
            Metric::Grad => "Grad",
            Metric::Conn => "Conn",
            Metric::Dtssd => "dtSSD",
            Metric::Static => "Static",
        })
    }
}

impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Metric::ALL
            .into_iter()
            .find(|metric| metric.name().eq_ignore_ascii_case(name));
        known.ok_or_else(|| UnknownMetric(name.to_owned()))
    }
}

/// Computes the mean of frames.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Summary {
    frames: u64,
    sums: [f64; Metric::ALL.len()],
    counts: [u64; Metric::ALL.len()],
}

impl Summary {
    /// Adds a frame.
    pub fn add(&mut self, frame: &FrameQuality) {
        self.frames += 1;
        for (at, metric) in Metric::ALL.into_iter().enumerate() {
            if let Some(value) = metric.of(frame) {
                self.sums[at] += value;
                self.counts[at] += 1;
            }
        }
    }

    /// The number of frames.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// The mean of each figure, over the frames that have it. `None` without frames.
    pub fn mean(&self) -> Option<FrameQuality> {
        let means = std::array::from_fn(|at| {
            let count = self.counts[at];
            (count > 0).then(|| self.sums[at] / count as f64)
        });
        let [iou, mad, mse, grad, conn, dtssd, flicker] = means;
        Some(FrameQuality {
            iou: iou?,
            mad: mad?,
            mse: mse?,
            grad: grad?,
            conn: conn?,
            dtssd,
            flicker,
        })
    }
}

/// The indices of the `count` worst frames by `metric`, the worst first; of equal ones the earlier
/// first. Frames without that figure are left out.
pub fn worst(frames: &[FrameQuality], metric: Metric, count: usize) -> Vec<usize> {
    let mut places: Vec<(usize, f64)> = frames
        .iter()
        .enumerate()
        .filter_map(|(at, frame)| Some((at, metric.badness(frame)?)))
        .collect();
    places.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    places.into_iter().take(count).map(|(at, _)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(iou: f64, mad: f64, dtssd: Option<f64>) -> FrameQuality {
        FrameQuality {
            iou,
            mad,
            mse: 2.0 * mad,
            grad: 3.0 * mad,
            conn: 4.0 * mad,
            dtssd,
            flicker: dtssd.map(|value| 0.5 * value),
        }
    }

    #[test]
    fn the_mean_of_a_figure_is_over_the_frames_that_have_it() {
        let mut summary = Summary::default();
        assert_eq!(summary.mean(), None);
        for each in [
            frame(1.0, 2.0, None),
            frame(0.5, 4.0, Some(3.0)),
            frame(0.0, 6.0, Some(5.0)),
        ] {
            summary.add(&each);
        }
        assert_eq!(summary.frames(), 3);
        assert_eq!(summary.mean(), Some(frame(0.5, 4.0, Some(4.0))));
    }

    #[test]
    fn one_frame_has_no_dtssd() {
        let mut summary = Summary::default();
        summary.add(&frame(1.0, 2.0, None));
        assert_eq!(summary.mean(), Some(frame(1.0, 2.0, None)));
    }

    #[test]
    fn the_worst_are_the_lowest_iou_and_the_highest_error() {
        let frames = [
            frame(0.9, 1.0, None),
            frame(0.2, 5.0, Some(1.0)),
            frame(0.9, 7.0, Some(2.0)),
        ];
        assert_eq!(worst(&frames, Metric::Iou, 2), [1, 0]);
        assert_eq!(worst(&frames, Metric::Mad, 2), [2, 1]);
        assert_eq!(worst(&frames, Metric::Dtssd, 9), [2, 1]);
        assert_eq!(worst(&frames, Metric::Mad, 0), [0usize; 0]);
    }

    #[test]
    fn names_are_read_back() {
        for metric in Metric::ALL {
            assert_eq!(metric.to_string().parse(), Ok(metric));
            assert_eq!(metric.name().parse(), Ok(metric));
        }
        assert!(
            "ssim"
                .parse::<Metric>()
                .unwrap_err()
                .to_string()
                .contains("dtssd")
        );
    }
}
