//! An estimate of how good a camera's mattes are, smoothed over the last seconds.
use mattebox_core::quality::live::Sketch;
use std::time::Instant;

/// The weight of a new value: a mean over about two seconds at ten frames per second.
const WEIGHT: f64 = 0.05;
/// Below this share of the picture there is no person.
const NO_PERSON: f64 = 0.002;
/// Sketches that wait for the next frame: threads finish frames out of order.
const WAITING: usize = 8;

/// The estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// The share of the picture that is person, 0 to 1.
    pub coverage: f64,
    /// How much alpha changes where the picture does not, in percent. `None` before the first two
    /// neighbouring frames.
    pub flicker: Option<f64>,
    /// The width of the matte's edge, from background to person, in pixels. `None` without a
    /// person.
    pub edge_width: Option<f64>,
    /// The time since which there is no person.
    pub no_person_since: Option<Instant>,
}

/// Makes the estimate from sketches of frames.
#[derive(Debug, Default)]
pub struct QualityMeter {
    recent: Vec<(u64, Sketch)>,
    quality: Option<Quality>,
}

impl QualityMeter {
    /// Adds a frame.
    pub(super) fn add(&mut self, number: u64, sketch: Sketch) {
        let neighbours = self
            .recent
            .iter()
            .filter(|(other, _)| other.abs_diff(number) == 1);
        // The order of the two makes no difference.
        let flicker: Vec<f64> = neighbours
            .filter_map(|(_, other)| sketch.flicker(other))
            .collect();
        let coverage = sketch.coverage();
        let edge_width = sketch.edge_width();
        self.recent.push((number, sketch));
        if self.recent.len() > WAITING {
            self.recent.remove(0);
        }
        let quality = self.quality.get_or_insert(Quality {
            coverage,
            flicker: None,
            edge_width,
            no_person_since: None,
        });
        let smooth = |old: f64, new: f64| old + WEIGHT * (new - old);
        quality.coverage = smooth(quality.coverage, coverage);
        for new in flicker {
            quality.flicker = Some(quality.flicker.map_or(new, |old| smooth(old, new)));
        }
        quality.no_person_since = match coverage < NO_PERSON {
            true => Some(quality.no_person_since.unwrap_or_else(Instant::now)),
            false => None,
        };
        quality.edge_width = match (quality.edge_width, edge_width) {
            (Some(old), Some(new)) => Some(smooth(old, new)),
            (_, new) => new,
        };
    }

    /// Adds a frame that is like the one before.
    pub(super) fn repeat(&mut self, number: u64) {
        if let Some((_, sketch)) = self.recent.last().cloned() {
            self.add(number, sketch);
        }
    }

    /// The estimate; `None` before the first frame.
    pub fn quality(&self) -> Option<Quality> {
        self.quality
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma, Rgb, RgbImage};

    fn sketch(edge: u32) -> Sketch {
        let alpha = GrayImage::from_fn(320, 180, |x, _| Luma([if x < edge { 255 } else { 0 }]));
        Sketch::of(&RgbImage::from_pixel(320, 180, Rgb([90; 3])), &alpha)
    }

    #[test]
    fn neighbours_are_compared_in_any_order() {
        let mut in_order = QualityMeter::default();
        let mut out_of_order = QualityMeter::default();
        [0, 1, 2]
            .into_iter()
            .for_each(|n| in_order.add(n, sketch(100 + 10 * (n as u32 % 2))));
        [1, 0, 2]
            .into_iter()
            .for_each(|n| out_of_order.add(n, sketch(100 + 10 * (n as u32 % 2))));
        let a = in_order.quality().unwrap().flicker.unwrap();
        let b = out_of_order.quality().unwrap().flicker.unwrap();
        assert!(a > 1.0 && (a - b).abs() < 1e-9, "{a} {b}");
    }

    #[test]
    fn frames_that_are_no_neighbours_are_not_compared() {
        let mut meter = QualityMeter::default();
        [0, 5, 9]
            .into_iter()
            .for_each(|n| meter.add(n, sketch(100 + n as u32)));
        assert_eq!(meter.quality().unwrap().flicker, None);
    }

    #[test]
    fn with_still_frames_the_estimate_settles() {
        let mut meter = QualityMeter::default();
        meter.add(0, sketch(0));
        meter.add(1, sketch(160));
        (2..200).for_each(|n| meter.repeat(n));
        let quality = meter.quality().unwrap();
        assert!((quality.coverage - 0.5).abs() < 0.01, "{quality:?}");
        assert!(quality.flicker.is_some_and(|flicker| flicker < 1.0));
    }

    #[test]
    fn the_time_without_a_person_ends_when_one_comes() {
        let mut meter = QualityMeter::default();
        meter.add(0, sketch(0));
        let since = meter
            .quality()
            .unwrap()
            .no_person_since
            .expect("there is no person");
        meter.add(1, sketch(0));
        assert_eq!(meter.quality().unwrap().no_person_since, Some(since));
        meter.add(2, sketch(100));
        assert_eq!(meter.quality().unwrap().no_person_since, None);
    }
}
