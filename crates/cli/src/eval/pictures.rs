//! Alphas of picture files.
use super::{EvalError, alpha::AlphaFrame};
use image::{DynamicImage, GrayImage, ImageReader, Limits, Pixel};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Extensions that are read as pictures, not as videos.
const EXTENSIONS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];
/// The channels of a gray picture differ by at most this much after JPEG has stored it in colour.
const GRAY_TOLERANCE: u8 = 16;
/// The widest and highest picture that is decoded, in pixels.
const MAX_SIDE: u32 = 16_384;

/// Whether the name of `path` is that of a picture.
pub fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| {
        EXTENSIONS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(extension))
    })
}

/// The pictures of a folder by name, numbers within names by value: `frame_2.png` comes before
/// `frame_10.png`. Hidden files and files of other kinds are left out.
///
/// # Errors
/// If the folder cannot be listed or holds no picture.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, EvalError> {
    let mut files = Vec::new();
    let mut folders = Vec::new();
    let read = |source| EvalError::Read {
        path: folder.to_owned(),
        source,
    };
    for entry in fs::read_dir(folder).map_err(read)? {
        let path = entry.map_err(read)?.path();
        let hidden = path
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden {
            continue;
        } else if path.is_dir() {
            folders.push(path);
        } else if is_picture(&path) {
            files.push(path);
        }
    }
    if files.is_empty() {
        folders.sort();
        let hint = folders.first().map_or(String::new(), |inner| {
            format!("; did you mean {}?", inner.display())
        });
        return Err(EvalError::NoPictures {
            path: folder.to_owned(),
            hint,
        });
    }
    alphanumeric_sort::sort_path_slice(&mut files);
    Ok(files)
}

/// Reads the matte in a picture: its alpha channel if it has one, else its gray value.
///
/// # Errors
/// If it cannot be opened or decoded, or if it is a colour picture without an alpha channel.
pub fn read(path: &Path) -> Result<AlphaFrame, EvalError> {
    let read = |source| EvalError::Read {
        path: path.to_owned(),
        source,
    };
    // The content decides, not the extension.
    let mut reader = ImageReader::open(path)
        .map_err(read)?
        .with_guessed_format()
        .map_err(read)?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    reader.limits(limits);
    let picture = reader.decode().map_err(|source| EvalError::Decode {
        path: path.to_owned(),
        source,
    })?;
    let alpha = alpha_of(picture).ok_or_else(|| EvalError::NotAlpha(path.to_owned()))?;
    Ok(AlphaFrame {
        alpha,
        name: path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned()),
    })
}

/// The matte in a picture; none if it is a colour picture.
fn alpha_of(picture: DynamicImage) -> Option<GrayImage> {
    let color = picture.color();
    if color.has_alpha() {
        let rgba = picture.into_rgba8();
        return Some(GrayImage::from_fn(rgba.width(), rgba.height(), |x, y| {
            image::Luma([rgba.get_pixel(x, y).0[3]])
        }));
    }
    if color.has_color() {
        let rgb = picture.into_rgb8();
        let gray = |[r, g, b]: [u8; 3]| r.max(g).max(b) - r.min(g).min(b) <= GRAY_TOLERANCE;
        return rgb.pixels().all(|pixel| gray(pixel.0)).then(|| {
            GrayImage::from_fn(rgb.width(), rgb.height(), |x, y| {
                rgb.get_pixel(x, y).to_luma()
            })
        });
    }
    Some(picture.into_luma8())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageBuffer, Luma, Rgb, RgbImage, Rgba, RgbaImage};

    #[test]
    fn folders_are_listed_without_what_is_no_picture() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "b10.PNG",
            "b000002.png",
            "b9.png",
            "a.jpg",
            "notes.txt",
            ".b1.png",
            "b3.png.part",
        ] {
            fs::write(folder.path().join(name), b"").unwrap();
        }
        let names: Vec<_> = list(folder.path())
            .unwrap()
            .iter()
            .map(|path| path.file_name().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["a.jpg", "b000002.png", "b9.png", "b10.PNG"]);
    }

    #[test]
    fn a_folder_of_folders_leads_on() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("cam01")).unwrap();
        let message = list(folder.path()).unwrap_err().to_string();
        assert!(
            message.contains("did you mean") && message.ends_with("cam01?"),
            "{message}"
        );
    }

    #[test]
    fn the_alpha_channel_wins_over_the_colours() {
        let picture = RgbaImage::from_pixel(2, 1, Rgba([10, 200, 30, 77]));
        assert_eq!(
            alpha_of(DynamicImage::from(picture)).unwrap().into_raw(),
            [77, 77]
        );
    }

    #[test]
    fn gray_in_any_wrapping_keeps_its_value() {
        for value in [0, 1, 127, 128, 254, 255] {
            let gray = GrayImage::from_pixel(1, 1, Luma([value]));
            let rgb = RgbImage::from_pixel(1, 1, Rgb([value; 3]));
            let deep: ImageBuffer<Luma<u16>, _> =
                ImageBuffer::from_pixel(1, 1, Luma([u16::from(value) * 257]));
            for picture in [
                DynamicImage::from(gray),
                DynamicImage::from(rgb),
                DynamicImage::from(deep),
            ] {
                assert_eq!(
                    alpha_of(picture.clone()).unwrap().into_raw(),
                    [value],
                    "{:?}",
                    picture.color()
                );
            }
        }
    }

    #[test]
    fn a_colour_picture_is_no_matte() {
        assert_eq!(
            alpha_of(DynamicImage::from(RgbImage::from_pixel(
                2,
                2,
                Rgb([10, 200, 30])
            ))),
            None
        );
    }
}
