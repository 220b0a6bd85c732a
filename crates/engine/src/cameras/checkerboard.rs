//! A cut-out person over a checkerboard, as picture editors show transparency.
use image::{GrayImage, RgbImage, RgbaImage};

/// The side of a square in pixels.
const SIDE: u32 = 12;
/// The two greys.
const GREYS: [u8; 2] = [204, 153];

/// A frame with a checkerboard in place of its background.
pub(super) fn behind(picture: &RgbImage, alpha: &GrayImage) -> RgbImage {
    over(
        picture.width(),
        picture.height(),
        picture
            .pixels()
            .map(|p| p.0)
            .zip(alpha.pixels().map(|a| a.0[0])),
    )
}

/// A cut-out over a checkerboard.
pub fn under(picture: &RgbaImage) -> RgbImage {
    over(
        picture.width(),
        picture.height(),
        picture.pixels().map(|p| ([p.0[0], p.0[1], p.0[2]], p.0[3])),
    )
}

fn over(width: u32, height: u32, pixels: impl Iterator<Item = ([u8; 3], u8)>) -> RgbImage {
    let mut result = RgbImage::new(width, height);
    for ((x, y, out), (colour, alpha)) in result.enumerate_pixels_mut().zip(pixels) {
        let grey = GREYS[((x / SIDE + y / SIDE) % 2) as usize];
        let mix = |c: u8| {
            ((u32::from(c) * u32::from(alpha) + u32::from(grey) * (255 - u32::from(alpha)) + 127)
                / 255) as u8
        };
        out.0 = colour.map(mix);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Luma, Rgb, Rgba};

    #[test]
    fn the_background_is_replaced_and_the_person_kept() {
        let picture = RgbImage::from_pixel(30, 2, Rgb([9, 200, 77]));
        let mut alpha = GrayImage::new(30, 2);
        alpha.put_pixel(3, 0, Luma([255]));
        let shown = behind(&picture, &alpha);
        assert_eq!(shown.get_pixel(3, 0).0, [9, 200, 77]);
        assert_eq!(
            (shown.get_pixel(0, 0).0, shown.get_pixel(SIDE, 0).0),
            ([204; 3], [153; 3])
        );
        let clear = RgbaImage::from_pixel(2, 2, Rgba([1, 2, 3, 0]));
        assert_eq!(under(&clear).get_pixel(1, 1).0, [204; 3]);
    }
}
