//! How good a matte seems where the true one is not known: coverage, edge width, flicker.
//!
//! These are estimates from one frame or two neighbours, cheap enough for every frame: four points
//! of each block are read. `bench/flicker_rank.py` compares flicker with `dtSSD`.
use image::{GrayImage, RgbImage};

/// The most blocks along the longer side of a picture.
const BLOCKS: u32 = 160;
/// A block has not changed if none of its colours changed by more than this. With this value, a
/// noisy camera changes few blocks, and an edge that moves over a background as bright as the
/// person is still noticed.
const STILL: u8 = 6;
/// If a smaller share of the picture than this has not changed, flicker is not measured.
const LEAST_STILL: f64 = 0.1;
/// Alpha between these is an edge.
const EDGE: std::ops::Range<u8> = 26..230;
/// The share of an even ramp from 0 to 255 that is in [`EDGE`].
const EDGE_SHARE: f64 = 0.8;
/// For the edge's width, 1 in this many rows is read.
const EDGE_ROWS: usize = 4;
/// With fewer steps of an edge than this, its width is not measured.
const SHORTEST_EDGE: f64 = 32.0;

/// A small copy of a frame and its matte, to compare with the next.
#[derive(Debug, Clone, PartialEq)]
pub struct Sketch {
    size: (u32, u32),
    /// Mean red, green, blue and alpha of each block.
    blocks: Vec<[u8; 4]>,
    coverage: f64,
    edge_width: Option<f64>,
}

impl Sketch {
    /// The sketch of a frame and its matte, which have the same size.
    pub fn of(picture: &RgbImage, alpha: &GrayImage) -> Self {
        let width = picture.width().min(alpha.width());
        let height = picture.height().min(alpha.height());
        let step = width
            .max(height)
            .div_ceil(BLOCKS)
            .clamp(1, width.min(height).max(1));
        // Four points of each block, at a quarter and three quarters of its side.
        let points = [(step / 4) as usize, (step * 3 / 4) as usize];
        let columns = (width / step) as usize;
        let rows = (height / step) as usize;
        let step = step as usize;
        let colours = picture.as_raw();
        let mattes = alpha.as_raw();
        let colour_stride = picture.width() as usize * 3;
        let matte_stride = alpha.width() as usize;
        let mut blocks = Vec::with_capacity(columns * rows);
        for row in 0..rows {
            for column in 0..columns {
                let mut sums = [2u32; 4];
                for y in points.map(|dy| row * step + dy) {
                    for x in points.map(|dx| column * step + dx) {
                        let rgb = &colours[y * colour_stride + 3 * x..][..3];
                        let values = [rgb[0], rgb[1], rgb[2], mattes[y * matte_stride + x]];
                        sums.iter_mut()
                            .zip(values)
                            .for_each(|(sum, value)| *sum += u32::from(value));
                    }
                }
                blocks.push(sums.map(|sum| (sum / 4) as u8));
            }
        }
        let covered: u64 = blocks.iter().map(|block| u64::from(block[3])).sum();
        let coverage = covered as f64 / (255 * blocks.len().max(1)) as f64;
        Sketch {
            size: (width, height),
            blocks,
            coverage,
            edge_width: edge_width(alpha),
        }
    }

    /// The share of the picture that is person, 0..=1.
    pub fn coverage(&self) -> f64 {
        self.coverage
    }

    /// The width of the edge between background and person in pixels, on average. `None` where
    /// there is hardly an edge.
    pub fn edge_width(&self) -> Option<f64> {
        self.edge_width
    }

    /// How much alpha changed where the picture did not, since the frame before: the root of the
    /// mean square over those blocks, in percent. `None` if the size changed, or nearly everything
    /// moves. It does not notice a matte that lags, and cannot be compared between scenes.
    pub fn flicker(&self, before: &Sketch) -> Option<f64> {
        if self.size != before.size {
            return None;
        }
        let mut sum = 0u64;
        let mut still = 0usize;
        for (now, then) in self.blocks.iter().zip(&before.blocks) {
            if (0..3).all(|c| now[c].abs_diff(then[c]) <= STILL) {
                still += 1;
                sum += u64::from(now[3].abs_diff(then[3])).pow(2);
            }
        }
        let is_enough = still > 0 && still as f64 >= LEAST_STILL * self.blocks.len() as f64;
        is_enough.then(|| 100.0 * (sum as f64 / still as f64).sqrt() / 255.0)
    }
}

/// The area of the edge over its length. The length is the sum of alpha's steps: across the edge
/// they add up to 1, however wide it is.
fn edge_width(alpha: &GrayImage) -> Option<f64> {
    let width = alpha.width() as usize;
    let mut area = 0u64;
    let mut length = 0.0f32;
    for two in alpha.as_raw().chunks_exact(width.max(1) * EDGE_ROWS) {
        let row = &two[..width];
        let below = &two[width..2 * width];
        for ((now, right), below) in row.iter().zip(row.iter().skip(1)).zip(below) {
            let dx = f32::from(now.abs_diff(*right));
            let dy = f32::from(now.abs_diff(*below));
            if dx > 0.0 || dy > 0.0 {
                length += (dx * dx + dy * dy).sqrt();
            }
            area += u64::from(EDGE.contains(now));
        }
    }
    let length = f64::from(length) / 255.0;
    (length >= SHORTEST_EDGE / EDGE_ROWS as f64).then(|| area as f64 / length / EDGE_SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Luma, Rgb};

    fn grey(level: u8) -> RgbImage {
        RgbImage::from_pixel(320, 180, Rgb([level; 3]))
    }

    /// A person on the right whose edge is a ramp of this many pixels.
    fn ramp(pixels: u32, from: u32) -> GrayImage {
        GrayImage::from_fn(320, 180, |x, _| {
            Luma([(x.saturating_sub(from) * 255 / pixels.max(1)).min(255) as u8])
        })
    }

    #[test]
    fn coverage_is_the_share_of_the_person() {
        let half = GrayImage::from_fn(320, 180, |x, _| Luma([if x < 160 { 255 } else { 0 }]));
        assert!((Sketch::of(&grey(9), &half).coverage() - 0.5).abs() < 0.01);
        assert_eq!(
            Sketch::of(&grey(9), &GrayImage::new(320, 180)).coverage(),
            0.0
        );
    }

    #[test]
    fn the_width_of_a_ramp_is_found() {
        for pixels in [4, 10, 30] {
            let found = Sketch::of(&grey(9), &ramp(pixels, 100))
                .edge_width()
                .expect("an edge");
            assert!(
                (found / f64::from(pixels) - 1.0).abs() < 0.2,
                "{pixels}: {found}"
            );
        }
        assert!(
            Sketch::of(&grey(9), &ramp(1, 100))
                .edge_width()
                .expect("an edge")
                < 0.5
        );
        assert_eq!(
            Sketch::of(&grey(9), &GrayImage::new(320, 180)).edge_width(),
            None
        );
    }

    #[test]
    fn only_changes_without_the_picture_are_flicker() {
        let quiet = Sketch::of(&grey(100), &ramp(4, 100));
        let moved = Sketch::of(&grey(100), &ramp(4, 110));
        assert_eq!(quiet.flicker(&quiet), Some(0.0));
        let flicker = moved.flicker(&quiet).expect("the picture is the same");
        let expected = 100.0 * (10.0f64 / 320.0).sqrt();
        assert!(
            (flicker / expected - 1.0).abs() < 0.15,
            "{flicker} instead of about {expected}"
        );
        assert_eq!(
            Sketch::of(&grey(200), &ramp(4, 110)).flicker(&quiet),
            None,
            "all of the picture changed"
        );
        assert_eq!(
            Sketch::of(&RgbImage::new(64, 64), &GrayImage::new(64, 64)).flicker(&quiet),
            None
        );
    }

    #[test]
    fn the_smallest_pictures_are_measured_too() {
        for (width, height) in [(1, 1), (3, 500), (500, 3), (900, 1), (2, 2)] {
            let sketch = Sketch::of(
                &RgbImage::new(width, height),
                &GrayImage::from_pixel(width, height, Luma([255])),
            );
            assert_eq!(sketch.coverage(), 1.0, "{width}x{height}");
        }
    }
}
