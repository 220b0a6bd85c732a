//! The alpha of one frame.
use image::GrayImage;

/// The alpha of one frame.
#[derive(Debug)]
pub struct AlphaFrame {
    /// 0 is background, 255 foreground.
    pub alpha: GrayImage,
    /// The file's name, for frames that are files.
    pub name: Option<String>,
}
