//! `Conn`: are parts of the person detached, or parts of the room attached?
//!
//! Rhemann et al., CVPR 2009 (see [`super::gradient`]). For a pixel, `l` is the highest threshold
//! at which it still belongs to the largest region that both mattes hold. Alpha above `l` is not
//! connected: `phi(a) = 1 - d [d >= theta]`, `d = a - l`. The error is `sum(|phi(p) - phi(t)|^q)`.
//! As in the public evaluations: thresholds in steps of 0.1, theta 0.15, q 1, 4 neighbours.
use super::Pair;

/// Thresholds 1/10, 2/10 .. 10/10.
const STEPS: u32 = 10;
/// theta = 0.15 in units of 1 / (255 * [`STEPS`]), the unit in which both alpha and `l` are whole;
/// 382.5 rounded up, because `d` is whole.
const THETA: u32 = 383;
/// 1 in that unit.
const ONE: u32 = 255 * STEPS;

/// Connectivity error / 1e3: `sum(|phi(p) - phi(t)|) / 1000` over the frame. Of two regions of the
/// same size, the one that begins first, row by row, counts as the larger.
pub fn conn(pair: Pair<'_>) -> f64 {
    let steps = steps_reached(pair);
    let sum: u64 = pair
        .values()
        .zip(&steps)
        .map(|((p, t), &l)| u64::from(phi(p, l).abs_diff(phi(t, l))))
        .sum();
    sum as f64 / f64::from(ONE) / 1e3
}

/// How connected a pixel is, in 1 / [`ONE`]. `step` is never above the pixel's alpha.
fn phi(alpha: u8, step: u8) -> u32 {
    let above = u32::from(alpha) * STEPS - u32::from(step) * 255;
    if above >= THETA { ONE - above } else { ONE }
}

/// For each pixel, the number of thresholds, from the lowest up without a gap, at which it belongs
/// to the largest common region.
fn steps_reached(pair: Pair<'_>) -> Vec<u8> {
    let common: Vec<u8> = pair.values().map(|(p, t)| p.min(t)).collect();
    let mut reached = vec![0u8; common.len()];
    let mut regions = Regions::default();
    for step in 1..=STEPS as u8 {
        let least = (u32::from(step) * 255).div_ceil(STEPS) as u8;
        let Some(largest) = regions.find_largest(&common, pair.truth().width() as usize, least)
        else {
            break;
        };
        for (reached, label) in reached.iter_mut().zip(&regions.labels) {
            if *reached == step - 1
                && *label != NO_LABEL
                && regions.parents[*label as usize] == largest
            {
                *reached = step;
            }
        }
    }
    reached
}

const NO_LABEL: u32 = u32::MAX;

/// Labels connected regions in two passes over the picture, with a union-find forest of provisional
/// labels.
#[derive(Default)]
struct Regions {
    /// Per pixel its provisional label or [`NO_LABEL`].
    labels: Vec<u32>,
    /// Per label its parent; after [`Self::find_largest`] its root. A root is the smallest label of
    /// its region.
    parents: Vec<u32>,
}

impl Regions {
    /// Labels the pixels that are at least `least`. Returns the root of the largest region, if
    /// there is any.
    fn find_largest(&mut self, values: &[u8], width: usize, least: u8) -> Option<u32> {
        self.labels.clear();
        self.parents.clear();
        for (at, &value) in values.iter().enumerate() {
            let label = if value < least {
                NO_LABEL
            } else {
                let left = if at % width > 0 {
                    self.labels[at - 1]
                } else {
                    NO_LABEL
                };
                let up = if at >= width {
                    self.labels[at - width]
                } else {
                    NO_LABEL
                };
                self.join(left, up)
            };
            self.labels.push(label);
        }
        // Parents have smaller labels, so one pass in order leads every label to its root.
        for label in 0..self.parents.len() {
            self.parents[label] = self.parents[self.parents[label] as usize];
        }
        let mut sizes = vec![0u32; self.parents.len()];
        for &label in self.labels.iter().filter(|&&label| label != NO_LABEL) {
            sizes[self.parents[label as usize] as usize] += 1;
        }
        let largest = *sizes.iter().max()?;
        sizes
            .iter()
            .position(|&size| size == largest)
            .map(|root| root as u32)
    }

    /// The label of a pixel whose left and upper neighbours have these labels.
    fn join(&mut self, left: u32, up: u32) -> u32 {
        match (left, up) {
            (NO_LABEL, NO_LABEL) => {
                let label = self.parents.len() as u32;
                self.parents.push(label);
                label
            }
            (NO_LABEL, only) | (only, NO_LABEL) => only,
            (a, b) if a == b => a,
            (a, b) => {
                let a = self.root(a);
                let b = self.root(b);
                self.parents[a.max(b) as usize] = a.min(b);
                a.min(b)
            }
        }
    }

    fn root(&mut self, mut label: u32) -> u32 {
        while self.parents[label as usize] != label {
            // Halving the path keeps the trees flat.
            self.parents[label as usize] = self.parents[self.parents[label as usize] as usize];
            label = self.parents[label as usize];
        }
        label
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::tests::picture;
    use image::GrayImage;

    /// The error in whole pixels.
    fn conn_of(predicted: &GrayImage, truth: &GrayImage) -> f64 {
        1e3 * conn(Pair::new(predicted, truth).unwrap())
    }

    #[test]
    fn a_floating_pixel_counts_as_one() {
        // Right: alone in the prediction, l = 0 there; phi(p) = 0, phi(t) = 1. The rest is equal.
        assert_eq!(
            conn_of(&picture([[255, 0, 255]]), &picture([[255, 0, 0]])),
            1.0
        );
    }

    #[test]
    fn a_gap_costs_only_itself() {
        // Middle: missing in the prediction. Right: cut off, l = 0 for both, phi = 0 for both.
        assert_eq!(
            conn_of(&picture([[255, 0, 255]]), &picture([[255, 255, 255]])),
            1.0
        );
    }

    #[test]
    fn corners_do_not_connect() {
        // In the prediction the two right columns touch the left block only at a corner: its 2x2
        // pixels stay the largest.
        let truth = picture([[255, 255, 0, 0], [255, 255, 0, 0], [0, 0, 0, 0]]);
        let predicted = picture([[255, 255, 0, 0], [255, 255, 0, 0], [0, 0, 255, 0]]);
        assert_eq!(conn_of(&predicted, &truth), 1.0);
    }

    #[test]
    fn differences_below_theta_are_free() {
        // 230 / 255 = 0.902: l = 0.9 for both; 0.002 and 0.1 lie below 0.15.
        assert_eq!(conn_of(&picture([[230]]), &picture([[255]])), 0.0);
        // 204 / 255 = 0.8: l = 0.8; the truth has 0.2 above it.
        assert!((conn_of(&picture([[204]]), &picture([[255]])) - 0.2).abs() < 1e-12);
        // 217 / 255 = 0.851: l = 0.8, the truth 0.2 above it, the prediction 0.051.
        assert!((conn_of(&picture([[217]]), &picture([[255]])) - 0.2).abs() < 1e-12);
    }

    #[test]
    fn a_threshold_is_reached_exactly() {
        // 0.2, 0.4, 0.6 and 0.8 are whole in 8 bits and belong to their threshold: the difference
        // above l is 0.2 each.
        for (alpha, above) in [(51u8, 102u8), (102, 153), (153, 204), (204, 255)] {
            assert!(
                (conn_of(&picture([[alpha]]), &picture([[above]])) - 0.2).abs() < 1e-12,
                "{alpha}"
            );
        }
    }

    #[test]
    fn the_highest_threshold_without_a_gap_counts() {
        // At 0.1..=0.4 the left three pixels are the largest region and at 0.5..=1 the right two:
        // right l = 0, left l = 0.4. Left: truth has 1 - 0.4 = 0.6 above l, the prediction 0, three
        // times. Right: both have 1 above l.
        let predicted = picture([[102, 102, 102, 0, 255, 255]]);
        let truth = picture([[255, 255, 255, 0, 255, 255]]);
        assert!((conn_of(&predicted, &truth) - 3.0 * 0.6).abs() < 1e-12);
    }

    #[test]
    fn the_arms_of_a_u_are_one_region() {
        // Provisional labels of both arms meet at the bottom; the 3-pixel block on the right is
        // smaller and floats.
        let u = picture([
            [255, 0, 255, 0, 0],
            [255, 0, 255, 0, 255],
            [255, 255, 255, 0, 255],
        ]);
        let mut without = u.clone();
        without.put_pixel(4, 1, image::Luma([0]));
        // The block is cut to one pixel in `without`: at (4, 1) phi is 0 against 1, at (4, 2) both
        // are 0.
        assert_eq!(conn_of(&u, &without), 1.0);
    }

    #[test]
    fn mattes_with_nothing_in_common_cost_every_pixel() {
        assert_eq!(
            conn_of(&picture([[255, 0], [255, 0]]), &picture([[0, 255], [0, 0]])),
            3.0
        );
    }
}
