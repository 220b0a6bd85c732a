//! A background for frames of any size.
use super::{Background, BackgroundPicture, cover};
use image::RgbImage;
use std::sync::Arc;

/// Supplies the background of one frame after the other, at the frame's size.
#[derive(Debug, Clone)]
pub struct FittedBackground {
    kind: FittedKind,
    /// The picture at the size of the last frame.
    fitted: Option<Arc<RgbImage>>,
}

#[derive(Debug, Clone)]
enum FittedKind {
    /// Fits any frame.
    Plain(Background),
    Picture(Arc<BackgroundPicture>),
}

impl FittedBackground {
    /// A background that needs no file.
    pub fn plain(background: Background) -> Self {
        FittedBackground {
            kind: FittedKind::Plain(background),
            fitted: None,
        }
    }

    /// A picture of any size, which covers each frame: see [`cover`].
    pub fn picture(picture: Arc<BackgroundPicture>) -> Self {
        FittedBackground {
            kind: FittedKind::Picture(picture),
            fitted: None,
        }
    }

    /// The background of a frame that is `width` by `height`.
    pub fn fit(&mut self, width: u32, height: u32) -> Background {
        let size = (width, height);
        let picture = match &self.kind {
            FittedKind::Plain(Background::Picture(picture)) if picture.dimensions() != size => {
                return Background::Picture(Arc::new(cover(picture, width, height)));
            }
            FittedKind::Plain(background) => return background.clone(),
            FittedKind::Picture(picture) => picture,
        };
        let fitted = match self.fitted.take() {
            Some(fitted) if fitted.dimensions() == size => {
                picture.fitted_again();
                fitted
            }
            other => {
                // Dropped first, so that it counts as unused.
                drop(other);
                picture.fit(width, height)
            }
        };
        self.fitted = Some(fitted.clone());
        Background::Picture(fitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_fits_frames_of_any_size() {
        let mut fitted = FittedBackground::plain(Background::Transparent);
        assert_eq!(fitted.fit(3, 2), Background::Transparent);
    }

    #[test]
    fn a_picture_that_was_decoded_before_covers_each_frame() {
        let mut fitted =
            FittedBackground::plain(Background::Picture(Arc::new(RgbImage::new(8, 6))));
        for size in [(8, 6), (4, 4), (5, 4)] {
            match fitted.fit(size.0, size.1) {
                Background::Picture(picture) => assert_eq!(picture.dimensions(), size),
                other => panic!("{other:?}"),
            }
        }
    }
}
