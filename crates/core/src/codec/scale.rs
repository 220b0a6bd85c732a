//! Scales pictures.
//!
//! The library that scales is large and generic. It is called only here, so that it is compiled
//! once.
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer, images};
use image::RgbImage;

/// How samples are weighted. All filters widen when a picture shrinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// The average of the pixels that fall into one.
    Box,
    /// Soft.
    Bilinear,
    /// Sharper.
    CatmullRom,
}

/// Which part of a picture is scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crop {
    /// All of it, whatever its shape.
    Nothing,
    /// The largest part around the centre that has the shape of the result.
    ToShape,
}

/// Scales a picture to `width` by `height` pixels. The result is black if either picture has no
/// pixels.
pub fn scale(picture: &RgbImage, width: u32, height: u32, filter: Filter, crop: Crop) -> RgbImage {
    let mut out = RgbImage::new(width, height);
    let (from_width, from_height) = picture.dimensions();
    let from = images::ImageRef::new(from_width, from_height, picture.as_raw(), PixelType::U8x3);
    let to = images::Image::from_slice_u8(width, height, &mut out, PixelType::U8x3);
    if let (Ok(from), Ok(mut to)) = (from, to) {
        let filter = match filter {
            Filter::Box => FilterType::Box,
            Filter::Bilinear => FilterType::Bilinear,
            Filter::CatmullRom => FilterType::CatmullRom,
        };
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
        let options = match crop {
            Crop::Nothing => options,
            Crop::ToShape => options.fit_into_destination(Some((0.5, 0.5))),
        };
        // It fails only for sizes of zero, where there is nothing to draw.
        let _nothing_to_draw = Resizer::new().resize(&from, &mut to, &options);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_size_passes_and_a_plain_picture_stays_plain() {
        for (from, to) in [((0, 0), (3, 3)), ((1, 1), (7, 5)), ((640, 3), (64, 1))] {
            let picture = RgbImage::from_pixel(from.0, from.1, image::Rgb([9, 8, 7]));
            for filter in [Filter::Box, Filter::Bilinear, Filter::CatmullRom] {
                for crop in [Crop::Nothing, Crop::ToShape] {
                    let scaled = scale(&picture, to.0, to.1, filter, crop);
                    assert_eq!(scaled.dimensions(), to);
                    let pixel = if from.0 == 0 { [0; 3] } else { [9, 8, 7] };
                    assert!(scaled.pixels().all(|p| p.0 == pixel), "{from:?} {to:?}");
                }
            }
        }
    }
}
