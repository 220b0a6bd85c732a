//! Backgrounds: as a person writes them, and as a frame needs them.
use image::RgbImage;
use std::{fmt, path::PathBuf, str::FromStr, sync::Arc};
use thiserror::Error;

/// The background of one frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Background {
    /// One colour, sRGB.
    Color([u8; 3]),
    /// None: the result has an alpha channel.
    Transparent,
    /// The room, out of focus, without the person.
    Blur {
        /// Standard deviation of the Gaussian, in pixels of a picture that is 640 wide; it grows
        /// with the width.
        sigma: f32,
    },
    /// Another picture, exactly as large as the frame: see [`super::cover`].
    Picture(Arc<RgbImage>),
}

/// A background as a person writes it: see [`BackgroundSpec::HELP`]. A video may be an address with
/// a password, which `Debug` leaves out.
#[derive(Clone, PartialEq)]
pub enum BackgroundSpec {
    /// One colour, sRGB.
    Color([u8; 3]),
    /// Transparent.
    Transparent,
    /// The room, out of focus.
    Blur {
        /// As [`Background::Blur`].
        sigma: f32,
    },
    /// A picture file.
    Image(PathBuf),
    /// A video file, played in a loop.
    Video(PathBuf),
}

/// Why a text is not a [`BackgroundSpec`].
#[derive(Debug, Error, PartialEq)]
pub enum BackgroundError {
    /// It is none of the kinds.
    #[error("unknown background {0:?}: use {help}", help = BackgroundSpec::HELP)]
    Unknown(String),
    /// A colour that is not opaque.
    #[error("background colour {0:?} has alpha: use an opaque colour, or `transparent`")]
    Alpha(String),
    /// `blur:` without a number within the bounds.
    #[error(
        "blur {0:?} is not a number from {min} to {max}: it is sigma, in pixels of a picture 640 \
         wide; {default} if left out",
        min = BackgroundSpec::MIN_SIGMA,
        max = BackgroundSpec::MAX_SIGMA,
        default = BackgroundSpec::DEFAULT_SIGMA
    )]
    Sigma(String),
    /// `image:` or `video:` with nothing after it.
    #[error("background {0:?} names no file: write {0}PATH")]
    NoPath(String),
}

impl BackgroundSpec {
    /// The backgrounds that can be written.
    pub const HELP: &str = "gray, another CSS colour such as navy or #1e90ff, blur, blur:SIGMA, \
                            transparent, image:PATH or video:PATH";
    /// The colour of `gray`: #C0C0C0.
    pub const GRAY: [u8; 3] = [0xc0; 3];
    /// Sigma of `blur` alone.
    pub const DEFAULT_SIGMA: f32 = 10.0;
    /// The least sigma.
    pub const MIN_SIGMA: f32 = 1.0;
    /// The largest sigma.
    pub const MAX_SIGMA: f32 = 100.0;
}

impl Default for BackgroundSpec {
    fn default() -> Self {
        BackgroundSpec::Color(Self::GRAY)
    }
}

impl FromStr for BackgroundSpec {
    type Err = BackgroundError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, rest) = match text.split_once(':') {
            Some((kind, rest)) => (kind, Some(rest)),
            None => (text, None),
        };
        match (kind.to_ascii_lowercase().as_str(), rest) {
            ("gray" | "grey", None) => Ok(BackgroundSpec::default()),
            ("transparent", None) => Ok(BackgroundSpec::Transparent),
            ("blur", None) => Ok(BackgroundSpec::Blur {
                sigma: Self::DEFAULT_SIGMA,
            }),
            ("blur", Some(sigma)) => match sigma.parse() {
                Ok(sigma) if (Self::MIN_SIGMA..=Self::MAX_SIGMA).contains(&sigma) => {
                    Ok(BackgroundSpec::Blur { sigma })
                }
                _ => Err(BackgroundError::Sigma(sigma.to_owned())),
            },
            ("image" | "video", Some("")) => Err(BackgroundError::NoPath(text.to_owned())),
            ("image", Some(path)) => Ok(BackgroundSpec::Image(path.into())),
            ("video", Some(path)) => Ok(BackgroundSpec::Video(path.into())),
            (_, Some(_)) => Err(BackgroundError::Unknown(text.to_owned())),
            (name, None) => color(name)
                .ok_or_else(|| BackgroundError::Unknown(text.to_owned()))?
                .ok_or_else(|| BackgroundError::Alpha(text.to_owned()))
                .map(BackgroundSpec::Color),
        }
    }
}

/// A CSS colour; `Some(None)` if it is not opaque. Refuses hexadecimal digits without `#`, which
/// the parser accepts: they would turn mistyped words into colours.
fn color(text: &str) -> Option<Option<[u8; 3]>> {
    if text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let color = csscolorparser::parse(text).ok()?;
    let [r, g, b, a] = color.to_rgba8();
    Some((a == 255).then_some([r, g, b]))
}

impl fmt::Debug for BackgroundSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackgroundSpec::Color(color) => f.debug_tuple("Color").field(color).finish(),
            BackgroundSpec::Transparent => f.write_str("Transparent"),
            BackgroundSpec::Blur { sigma } => f.debug_struct("Blur").field("sigma", sigma).finish(),
            BackgroundSpec::Image(_) => f.write_str("Image(..)"),
            BackgroundSpec::Video(_) => f.write_str("Video(..)"),
        }
    }
}

impl fmt::Display for BackgroundSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackgroundSpec::Color([r, g, b]) => write!(f, "#{r:02x}{g:02x}{b:02x}"),
            BackgroundSpec::Transparent => f.write_str("transparent"),
            BackgroundSpec::Blur { sigma } => write!(f, "blur:{sigma}"),
            BackgroundSpec::Image(path) => write!(f, "image:{}", path.display()),
            BackgroundSpec::Video(path) => write!(f, "video:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_background_is_read() {
        for (text, want) in [
            ("gray", BackgroundSpec::Color([0xc0; 3])),
            ("Grey", BackgroundSpec::Color([0xc0; 3])),
            ("#808080", BackgroundSpec::Color([0x80; 3])),
            ("#fA0", BackgroundSpec::Color([0xff, 0xaa, 0])),
            ("navy", BackgroundSpec::Color([0, 0, 128])),
            ("rgb(1, 2, 3)", BackgroundSpec::Color([1, 2, 3])),
            ("hsl(120 100% 50%)", BackgroundSpec::Color([0, 255, 0])),
            ("transparent", BackgroundSpec::Transparent),
            ("blur", BackgroundSpec::Blur { sigma: 10.0 }),
            ("blur:2.5", BackgroundSpec::Blur { sigma: 2.5 }),
            (
                "image:C:\\a b.png",
                BackgroundSpec::Image("C:\\a b.png".into()),
            ),
            ("video:beach.mp4", BackgroundSpec::Video("beach.mp4".into())),
        ] {
            assert_eq!(text.parse(), Ok(want.clone()), "{text}");
            assert_eq!(want.to_string().parse(), Ok(want), "{text} printed");
        }
    }

    #[test]
    fn an_error_names_the_possible_backgrounds() {
        for text in [
            "",
            "grayish",
            "beef",
            "fff",
            "#12",
            "image",
            "blur2",
            "picture:a.png",
            "#ggg",
        ] {
            let error = text.parse::<BackgroundSpec>().unwrap_err().to_string();
            assert!(error.contains("image:PATH"), "{text}: {error}");
        }
        for text in [
            "blur:", "blur:0", "blur:-1", "blur:1e9", "blur:nan", "blur:inf", "blur:x",
        ] {
            let error = text.parse::<BackgroundSpec>().unwrap_err().to_string();
            assert!(error.contains("from 1 to 100"), "{text}: {error}");
        }
        for text in ["#12345678", "rgba(1,2,3,0.5)", "#0008"] {
            assert!(
                matches!(
                    text.parse::<BackgroundSpec>(),
                    Err(BackgroundError::Alpha(_))
                ),
                "{text}"
            );
        }
        assert_eq!(
            "image:".parse::<BackgroundSpec>(),
            Err(BackgroundError::NoPath("image:".to_owned()))
        );
    }
}
