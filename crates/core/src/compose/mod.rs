//! Compositing: the person over another background.
//!
//! For every pixel `C = a F + (1 - a) B`, where `a` is the matte, `B` the new background, and `F` the person's own colour.
//! At the person's edge the camera saw a mixture of person and room, so there `F` is estimated first
//! (`foreground`); otherwise a halo of the old room stays in the picture. Where `a` is 255 the pixel stays as it was, bit
//! by bit; where it is 0 the result is the background and holds nothing of the room.
//!
//! # Layout
//!
//! * [`background`]: what a person asks for ([`BackgroundSpec`]) and what a frame gets ([`Background`]).
//! * `blend`: the formula, on rows.
//! * `spans`: runs of pixels that are all background, all foreground or mixed.
//! * `foreground`: the person's own colour at the edge; `guesses`: what it is like nearby.
//! * `blur`: the room out of focus, without the person.
//! * `pyramid`: colours known in some cells, spread to all of them; used by both.
//! * `backdrop`: one background for frames of any size; `background_picture`: a picture that all cameras share;
//!   [`cover`]: a picture scaled and cropped to the size of a frame.
pub mod background;
mod background_picture;
mod blend;
mod blur;
mod cover;
mod fitted_background;
mod foreground;
mod guesses;
mod pyramid;
mod spans;

#[cfg(test)]
mod edge_tests;

pub use background::{Background, BackgroundError, BackgroundSpec};
pub use background_picture::BackgroundPicture;
pub use cover::cover;
pub use fitted_background::FittedBackground;

use fearless_simd::{Level, Simd, dispatch};
use image::{GrayImage, RgbImage, RgbaImage};
use mattebox_net::{SimdError, SimdLevel};
use spans::{Kind, Span, spans};

/// A frame with its new background.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Composed {
    /// Opaque.
    Rgb(RgbImage),
    /// With straight (not premultiplied) alpha; of [`Background::Transparent`] only.
    Rgba(RgbaImage),
}

impl Default for Composed {
    /// An empty picture, to compose into.
    fn default() -> Self {
        Composed::Rgb(RgbImage::default())
    }
}

impl Composed {
    /// Width and height in pixels.
    pub fn dimensions(&self) -> (u32, u32) {
        match self {
            Composed::Rgb(picture) => picture.dimensions(),
            Composed::Rgba(picture) => picture.dimensions(),
        }
    }

    /// The samples, row by row.
    pub fn as_raw(&self) -> &[u8] {
        match self {
            Composed::Rgb(picture) => picture.as_raw(),
            Composed::Rgba(picture) => picture.as_raw(),
        }
    }
}

/// Puts backgrounds behind people. One per thread; its buffers are used again, so that it allocates only when the size of
/// the frames changes. The result depends on the arguments alone, not on frames before, and is the same at every
/// [`SimdLevel`].
#[derive(Debug)]
pub struct Compositor {
    level: Level,
    foreground: foreground::Foreground,
    blur: blur::Blur,
    /// The spans of one row.
    spans: Vec<Span>,
    /// One row of RGB: the person's colours.
    person: Vec<u8>,
    /// One row: the alpha that the colours agree with.
    sure: Vec<u8>,
    /// One row of RGB: the background, where it is made row by row.
    behind: Vec<u8>,
}

impl Compositor {
    /// A compositor that uses the instructions of `simd`.
    pub fn new(simd: SimdLevel) -> Result<Self, SimdError> {
        Ok(Compositor {
            level: simd.level()?,
            foreground: foreground::Foreground::default(),
            blur: blur::Blur::default(),
            spans: Vec::new(),
            person: Vec::new(),
            sure: Vec::new(),
            behind: Vec::new(),
        })
    }

    /// Puts `background` behind the person in `picture`, whose matte is `alpha`.
    ///
    /// With `foreground_cleanup` the colours of the mixed pixels are freed of the old background first. `out` becomes
    /// [`Composed::Rgba`] for [`Background::Transparent`], else [`Composed::Rgb`]; its buffer is used again if it fits.
    ///
    /// # Panics
    ///
    /// If `alpha` or a background picture has another size than `picture`: a frame without its own matte must not pass.
    pub fn compose(
        &mut self,
        picture: &RgbImage,
        alpha: &GrayImage,
        background: &Background,
        foreground_cleanup: bool,
        out: &mut Composed,
    ) {
        assert_eq!(
            picture.dimensions(),
            alpha.dimensions(),
            "the matte must be as large as the picture"
        );
        if let Background::Picture(behind) = background {
            assert_eq!(
                picture.dimensions(),
                behind.dimensions(),
                "the background must be as large as the picture"
            );
        }
        fit(out, picture, *background == Background::Transparent);
        if picture.width() == 0 || picture.height() == 0 {
            return;
        }
        let row = picture.width() as usize * 3;
        self.person.resize(row, 0);
        self.sure.resize(row / 3, 0);
        self.behind.resize(row, 0);
        let level = self.level;
        dispatch!(level, simd => self.frame(simd, picture, alpha, background, foreground_cleanup, out));
    }

    #[inline(always)]
    fn frame<S: Simd>(
        &mut self,
        simd: S,
        picture: &RgbImage,
        alpha: &GrayImage,
        background: &Background,
        foreground_cleanup: bool,
        out: &mut Composed,
    ) {
        if foreground_cleanup {
            self.foreground.prepare(simd, picture, alpha);
        }
        match background {
            Background::Color(color) => self
                .behind
                .chunks_exact_mut(3)
                .for_each(|pixel| pixel.copy_from_slice(color)),
            Background::Blur { sigma } => self.blur.prepare(simd, picture, alpha, *sigma),
            Background::Transparent | Background::Picture(_) => {}
        }
        let width = picture.width() as usize;
        let rows = picture
            .as_raw()
            .chunks_exact(width * 3)
            .zip(alpha.as_raw().chunks_exact(width))
            .enumerate();
        match out {
            Composed::Rgb(out) => {
                for ((y, (picture, alpha)), out) in rows.zip(out.chunks_exact_mut(width * 3)) {
                    self.cut(simd, y, picture, alpha, foreground_cleanup);
                    for span in &self.spans {
                        let rgb = span.start * 3..span.end * 3;
                        if span.kind == Kind::Foreground {
                            out[rgb.clone()].copy_from_slice(&picture[rgb]);
                            continue;
                        }
                        let behind = match background {
                            Background::Picture(behind) => {
                                &behind.as_raw()[y * width * 3..][rgb.clone()]
                            }
                            Background::Blur { .. } => {
                                self.blur.row(simd, y, rgb.clone(), &mut self.behind);
                                &self.behind[rgb.clone()]
                            }
                            Background::Color(_) | Background::Transparent => {
                                &self.behind[rgb.clone()]
                            }
                        };
                        if span.kind == Kind::Background {
                            out[rgb].copy_from_slice(behind);
                        } else {
                            let (person, alpha) = if foreground_cleanup {
                                (&self.person[rgb.clone()], &*self.sure)
                            } else {
                                (&picture[rgb.clone()], alpha)
                            };
                            blend::over(
                                simd,
                                person,
                                &alpha[span.start..span.end],
                                behind,
                                &mut out[rgb],
                            );
                        }
                    }
                }
            }
            Composed::Rgba(out) => {
                for ((y, (picture, alpha)), out) in rows.zip(out.chunks_exact_mut(width * 4)) {
                    self.cut(simd, y, picture, alpha, foreground_cleanup);
                    for span in &self.spans {
                        let rgb = span.start * 3..span.end * 3;
                        let out = &mut out[span.start * 4..span.end * 4];
                        match span.kind {
                            // The room's colours are not hidden behind zero alpha: they are gone.
                            Kind::Background => out.fill(0),
                            Kind::Mixed if foreground_cleanup => blend::with_alpha(
                                simd,
                                &self.person[rgb],
                                &self.sure[span.start..span.end],
                                out,
                            ),
                            Kind::Mixed | Kind::Foreground => blend::with_alpha(
                                simd,
                                &picture[rgb],
                                &alpha[span.start..span.end],
                                out,
                            ),
                        }
                    }
                }
            }
        }
    }

    /// Cuts a row into `spans`, and, with `foreground_cleanup`, puts the colours of its mixed pixels into `person`.
    #[inline(always)]
    fn cut<S: Simd>(
        &mut self,
        simd: S,
        y: usize,
        picture: &[u8],
        alpha: &[u8],
        foreground_cleanup: bool,
    ) {
        self.spans.clear();
        // not `extend`, which is not compiled for the vector instructions
        for span in spans(simd, alpha) {
            self.spans.push(span);
        }
        if foreground_cleanup && self.spans.iter().any(|span| span.kind == Kind::Mixed) {
            self.foreground.row(
                simd,
                y,
                &self.spans,
                picture,
                alpha,
                &mut self.person,
                &mut self.sure,
            );
        }
    }
}

/// Makes `out` a picture of the right kind and size, of its own buffer where that has it.
fn fit(out: &mut Composed, picture: &RgbImage, transparent: bool) {
    let (width, height) = picture.dimensions();
    let fits =
        out.dimensions() == (width, height) && matches!(out, Composed::Rgba(_)) == transparent;
    if !fits {
        *out = if transparent {
            Composed::Rgba(RgbaImage::new(width, height))
        } else {
            Composed::Rgb(RgbImage::new(width, height))
        };
    }
}
