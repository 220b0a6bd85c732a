//! A picture scaled and cropped to the size of a frame.
use crate::codec::{Crop, Filter, scale};
use image::RgbImage;

/// Scales `picture`, keeping its shape, until it covers `width` x `height`, and cuts off the rest
/// evenly on both sides. Catmull-Rom filter, wider when shrinking. A picture without pixels gives
/// black.
pub fn cover(picture: &RgbImage, width: u32, height: u32) -> RgbImage {
    if picture.dimensions() == (width, height) {
        return picture.clone();
    }
    scale(picture, width, height, Filter::CatmullRom, Crop::ToShape)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three stripes of a third each, side by side or stacked.
    fn stripes(width: u32, height: u32, across: bool) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let i = if across {
                x * 3 / width
            } else {
                y * 3 / height
            };
            image::Rgb([[255, 0, 0], [0, 255, 0], [0, 0, 255]][i as usize])
        })
    }

    #[test]
    fn the_centre_is_kept() {
        for (from, across) in [
            (stripes(300, 100, true), true),
            (stripes(100, 300, false), false),
        ] {
            let square = cover(&from, 50, 50);
            assert_eq!(square.dimensions(), (50, 50));
            for (x, y) in [(25, 25), (10, 10), (40, 40)] {
                assert_eq!(
                    square.get_pixel(x, y).0,
                    [0, 255, 0],
                    "across: {across}, {x},{y}"
                );
            }
        }
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let picture = stripes(31, 17, true);
        assert_eq!(cover(&picture, 31, 17), picture);
    }

    #[test]
    fn odd_sizes_pass() {
        for (w, h) in [(1, 1), (1, 4000), (4000, 1), (0, 0), (0, 5), (640, 360)] {
            for (to_w, to_h) in [(1, 1), (640, 360), (1, 300), (0, 3)] {
                assert_eq!(
                    cover(&RgbImage::new(w, h), to_w, to_h).dimensions(),
                    (to_w, to_h),
                    "{w}x{h}"
                );
            }
        }
    }
}
