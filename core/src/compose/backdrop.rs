//! One background for frames of any size.
use super::{Background, cover};
use image::RgbImage;
use std::sync::Arc;

/// Supplies the background of one frame after the other, at the frame's size.
#[derive(Debug, Clone)]
pub struct Backdrop {
    kind: Kind,
    /// The picture as it was fitted last: it stays while the frames keep their size.
    fitted: Option<Arc<RgbImage>>,
}

#[derive(Debug, Clone)]
enum Kind {
    /// Fits as it is.
    Plain(Background),
    Picture(Arc<RgbImage>),
}

impl Backdrop {
    /// A background that has no size: anything but [`Background::Picture`].
    pub fn plain(background: Background) -> Self {
        match background {
            Background::Picture(picture) => Self::picture(picture),
            plain => Backdrop { kind: Kind::Plain(plain), fitted: None },
        }
    }

    /// A picture of any size, which covers each frame: see [`cover`].
    pub fn picture(picture: Arc<RgbImage>) -> Self {
        Backdrop { kind: Kind::Picture(picture), fitted: None }
    }

    /// The background of a frame that is `width` by `height`.
    pub fn fit(&mut self, width: u32, height: u32) -> Background {
        let picture = match &self.kind {
            Kind::Plain(background) => return background.clone(),
            Kind::Picture(picture) => picture,
        };
        let fitted = match self.fitted.take() {
            Some(fitted) if fitted.dimensions() == (width, height) => fitted,
            _ if picture.dimensions() == (width, height) => picture.clone(),
            _ => Arc::new(cover(picture, width, height)),
        };
        self.fitted = Some(fitted.clone());
        Background::Picture(fitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_fitted_once_for_each_size() {
        let mut backdrop = Backdrop::picture(Arc::new(RgbImage::new(8, 6)));
        let mut fit = |width, height| match backdrop.fit(width, height) {
            Background::Picture(picture) => picture,
            other => panic!("{other:?}"),
        };
        let (first, second, other) = (fit(4, 4), fit(4, 4), fit(5, 4));
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!((first.dimensions(), other.dimensions()), ((4, 4), (5, 4)));
    }

    #[test]
    fn what_has_no_size_is_itself() {
        let mut backdrop = Backdrop::plain(Background::Transparent);
        assert_eq!(backdrop.fit(3, 2), Background::Transparent);
    }
}
