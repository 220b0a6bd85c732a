//! Turns pictures upright, by the orientation in EXIF.
use image::{RgbImage, imageops, metadata::Orientation};

/// The orientation in `exif`, a TIFF structure with or without the `Exif\0\0` that JPEG puts before
/// it. Damaged EXIF counts as upright: it is no reason to refuse a picture.
pub(super) fn read(exif: &[u8]) -> Orientation {
    let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    Orientation::from_exif_chunk(tiff).unwrap_or(Orientation::NoTransforms)
}

/// The orientation of an EXIF value, 1 to 8; upright for any other.
pub(super) fn of_value(value: u8) -> Orientation {
    Orientation::from_exif(value).unwrap_or(Orientation::NoTransforms)
}

/// Turns a picture upright.
pub(super) fn upright(mut picture: RgbImage, orientation: Orientation) -> RgbImage {
    match orientation {
        Orientation::NoTransforms => picture,
        Orientation::FlipHorizontal => {
            imageops::flip_horizontal_in_place(&mut picture);
            picture
        }
        Orientation::FlipVertical => {
            imageops::flip_vertical_in_place(&mut picture);
            picture
        }
        Orientation::Rotate180 => {
            imageops::rotate180_in_place(&mut picture);
            picture
        }
        Orientation::Rotate90 => imageops::rotate90(&picture),
        Orientation::Rotate270 => imageops::rotate270(&picture),
        Orientation::Rotate90FlipH => {
            let mut turned = imageops::rotate90(&picture);
            imageops::flip_horizontal_in_place(&mut turned);
            turned
        }
        Orientation::Rotate270FlipH => {
            let mut turned = imageops::rotate270(&picture);
            imageops::flip_horizontal_in_place(&mut turned);
            turned
        }
    }
}

/// A TIFF structure that holds only the orientation `value` (1 to 8), for tests.
#[cfg(test)]
pub(super) fn exif(value: u8) -> Vec<u8> {
    let mut tiff = b"II*\0\x08\0\0\0\x01\0".to_vec();
    tiff.extend_from_slice(&[0x12, 0x01, 3, 0, 1, 0, 0, 0, value, 0, 0, 0]);
    tiff.extend_from_slice(&[0; 4]);
    tiff
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The positions of the stored top left and top right pixels of a 3x2 picture after turning,
    /// for each value of the EXIF 2.32 tag 0x0112.
    #[test]
    fn all_eight_orientations() {
        let corners = [
            (1, (0, 0), (2, 0)),
            (2, (2, 0), (0, 0)),
            (3, (2, 1), (0, 1)),
            (4, (0, 1), (2, 1)),
            (5, (0, 0), (0, 2)),
            (6, (1, 0), (1, 2)),
            (7, (1, 2), (1, 0)),
            (8, (0, 2), (0, 0)),
        ];
        for (value, left, right) in corners {
            let mut stored = RgbImage::new(3, 2);
            stored.put_pixel(0, 0, image::Rgb([1; 3]));
            stored.put_pixel(2, 0, image::Rgb([2; 3]));
            let seen = upright(stored, read(&exif(value)));
            assert_eq!(
                seen.get_pixel(left.0, left.1).0,
                [1; 3],
                "orientation {value}"
            );
            assert_eq!(
                seen.get_pixel(right.0, right.1).0,
                [2; 3],
                "orientation {value}"
            );
        }
    }

    #[test]
    fn damaged_exif_counts_as_upright() {
        let whole = exif(6);
        for len in 0..whole.len() - 6 {
            assert_eq!(
                read(&whole[..len]),
                Orientation::NoTransforms,
                "{len} bytes"
            );
        }
        assert_eq!(read(&exif(9)), Orientation::NoTransforms);
        let mut loops = exif(6);
        loops[4] = 0xff;
        assert_eq!(read(&loops), Orientation::NoTransforms);
    }
}
