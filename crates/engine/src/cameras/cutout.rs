//! A cut-out person in a picture without transparency: the colours above, the matte below.
//!
//! The colours are multiplied with alpha, so the room is black. Over a background B the person is
//! `colour + (1 - alpha) B`. The matte begins at a multiple of [`BLOCK`] rows, so that no block of
//! a JPEG file has rows of both; the rows between repeat the last colours. A picture of H rows
//! becomes H rounded up to the block, plus H rows high.
use image::{RgbImage, RgbaImage};

/// The height of a block of a JPEG file with halved colours.
const BLOCK: u32 = 16;

/// The colours above the matte.
pub(super) fn stacked(picture: &RgbaImage) -> RgbImage {
    let (width, height) = picture.dimensions();
    let matte_from = height.next_multiple_of(BLOCK);
    let row = width as usize * 3;
    let mut result = RgbImage::new(width, matte_from + height);
    let (colours, mattes) = result.split_at_mut(matte_from as usize * row);
    let rows = colours.chunks_exact_mut(3).zip(mattes.chunks_exact_mut(3));
    for ((colour, matte), pixel) in rows.zip(picture.pixels()) {
        let [r, g, b, alpha] = pixel.0;
        let times_alpha = |c: u8| ((u32::from(c) * u32::from(alpha) + 127) / 255) as u8;
        colour.copy_from_slice(&[r, g, b].map(times_alpha));
        matte.fill(alpha);
    }
    let end = height as usize * row;
    for y in height as usize..matte_from as usize {
        colours.copy_within(end.saturating_sub(row)..end, y * row);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgba;

    #[test]
    fn the_room_is_black_and_the_matte_lies_below() {
        let mut picture = RgbaImage::from_pixel(3, 18, Rgba([9, 200, 77, 0]));
        picture.put_pixel(1, 0, Rgba([9, 200, 77, 255]));
        picture.put_pixel(2, 17, Rgba([9, 200, 77, 128]));
        let both = stacked(&picture);
        assert_eq!(both.dimensions(), (3, 32 + 18));
        assert_eq!(both.get_pixel(0, 0).0, [0; 3]);
        assert_eq!(both.get_pixel(1, 0).0, [9, 200, 77]);
        assert_eq!(both.get_pixel(2, 17).0, [5, 100, 39]);
        assert_eq!(both.get_pixel(2, 31).0, [5, 100, 39], "repeated");
        assert_eq!(both.get_pixel(1, 32).0, [255; 3]);
        assert_eq!(both.get_pixel(2, 32 + 17).0, [128; 3]);
        assert_eq!(both.pixels().filter(|p| p.0 == [0; 3]).count(), 3 * 50 - 18);
    }
}
