//! Compositing: the person over another background.
//!
//! For every pixel `C = a F + (1 - a) B`, where `a` is the matte, `B` the new background, and `F`
//! the person's own colour. At the person's edge a pixel is a mixture of person and room, so `F` is
//! estimated there (`foreground`); otherwise a halo of the old room would stay. Where `a` is 255
//! the pixel is not changed at all; where it is 0 the result is the background and holds nothing of
//! the room.
//!
//! # Layout
//!
//! * [`background`]: a background as a person writes it ([`BackgroundSpec`]), and that of a frame
//!   ([`Background`]).
//! * `blend`: the formula, on rows.
//! * [`ComposedRows`]: a frame whose rows are composed on request.
//! * `stretches`: runs of pixels that are all background, all foreground or mixed.
//! * `foreground`: the person's own colour at the edge; `guesses`: the colours nearby.
//! * `blur`: the room out of focus, without the person.
//! * `pyramid`: spreads colours that are known in some cells to all; used by both.
//! * `fitted_background`: a background for frames of any size; `background_picture`: a picture that
//!   all cameras share; [`cover`]: a picture scaled and cropped to the size of a frame.
pub mod background;
mod background_picture;
mod blend;
mod blur;
mod cover;
mod fitted_background;
mod foreground;
mod guesses;
mod pyramid;
mod stretches;

#[cfg(test)]
mod edge_tests;

pub use background::{Background, BackgroundError, BackgroundSpec};
pub use background_picture::BackgroundPicture;
pub use cover::cover;
pub use fitted_background::FittedBackground;

use crate::matte::{AlphaRun, Matte};
use fearless_simd::{Level, Simd, dispatch};
use image::{RgbImage, RgbaImage};
use mattebox_net::{SimdError, SimdLevel};
use std::ops::Range;
use stretches::{RowStretch, StretchKind};

/// A frame with its new background.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Composed {
    /// Opaque.
    Rgb(RgbImage),
    /// With straight (not premultiplied) alpha; only for [`Background::Transparent`].
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

/// Puts backgrounds behind people. Use one per thread: it keeps its buffers, and allocates only
/// when the size of the frames changes. The result depends only on the arguments, not on earlier
/// frames, and is the same at every [`SimdLevel`].
#[derive(Debug)]
pub struct Compositor {
    level: Level,
    foreground: foreground::Foreground,
    blur: blur::Blur,
    /// The stretches of one row.
    stretches: Vec<RowStretch>,
    /// One row of RGB: the person's colours.
    person: Vec<u8>,
    /// One row: the alpha that the colours agree with.
    sure: Vec<u8>,
    /// One row of RGB: the background, if it is made row by row.
    behind: Vec<u8>,
}

impl Compositor {
    /// A compositor that uses the instructions of `simd`.
    pub fn new(simd: SimdLevel) -> Result<Self, SimdError> {
        Ok(Compositor {
            level: simd.level()?,
            foreground: foreground::Foreground::default(),
            blur: blur::Blur::default(),
            stretches: Vec::new(),
            person: Vec::new(),
            sure: Vec::new(),
            behind: Vec::new(),
        })
    }

    /// Puts `background` behind the person in `picture`, whose matte is `matte`.
    ///
    /// With `foreground_cleanup` the old background is first removed from the colours of the mixed
    /// pixels.
    ///
    /// # Panics
    ///
    /// As [`Compositor::begin`].
    pub fn compose(
        &mut self,
        picture: &RgbImage,
        matte: &Matte,
        background: &Background,
        foreground_cleanup: bool,
        out: &mut Composed,
    ) {
        self.begin(picture, matte, background, foreground_cleanup)
            .whole(out);
    }

    /// Reads the whole frame once, so that any of its rows can be composed, in any order. A caller
    /// that takes small bands reads them from the processor's caches, which cannot hold a whole
    /// picture.
    ///
    /// # Panics
    ///
    /// If `matte` or a background picture has another size than `picture`: a frame must not pass
    /// with another frame's matte.
    pub fn begin<'a>(
        &'a mut self,
        picture: &'a RgbImage,
        matte: &'a Matte,
        background: &'a Background,
        foreground_cleanup: bool,
    ) -> ComposedRows<'a> {
        assert_eq!(
            picture.dimensions(),
            matte.dimensions(),
            "the matte must be as large as the picture"
        );
        if let Background::Picture(behind) = background {
            assert_eq!(
                picture.dimensions(),
                behind.dimensions(),
                "the background must be as large as the picture"
            );
        }
        let row = picture.width() as usize * 3;
        self.person.resize(row, 0);
        self.sure.resize(row / 3, 0);
        self.behind.resize(row, 0);
        if !picture.is_empty() {
            let level = self.level;
            dispatch!(level, simd => {
                self.prepare(simd, picture, matte, background, foreground_cleanup)
            });
        }
        ComposedRows {
            compositor: self,
            picture,
            matte,
            background,
            foreground_cleanup,
        }
    }

    #[inline(always)]
    fn prepare<S: Simd>(
        &mut self,
        simd: S,
        picture: &RgbImage,
        matte: &Matte,
        background: &Background,
        foreground_cleanup: bool,
    ) {
        if foreground_cleanup {
            self.foreground.prepare(simd, picture, matte);
        }
        match background {
            Background::Color(color) => self
                .behind
                .chunks_exact_mut(3)
                .for_each(|pixel| pixel.copy_from_slice(color)),
            Background::Blur { sigma } => self.blur.prepare(simd, picture, matte.alpha(), *sigma),
            Background::Transparent | Background::Picture(_) => {}
        }
    }

    /// Cuts a row into `stretches`, and, with `foreground_cleanup`, puts the colours of its mixed
    /// pixels into `person`.
    #[inline(always)]
    fn cut<S: Simd>(
        &mut self,
        simd: S,
        y: usize,
        picture: &[u8],
        (alpha, runs): (&[u8], &[AlphaRun]),
        foreground_cleanup: bool,
    ) {
        stretches::cut(simd, alpha, runs, &mut self.stretches);
        if foreground_cleanup
            && self
                .stretches
                .iter()
                .any(|stretch| stretch.kind == StretchKind::Mixed)
        {
            self.foreground.row(
                simd,
                y,
                &self.stretches,
                picture,
                alpha,
                &mut self.person,
                &mut self.sure,
            );
        }
    }
}

/// A frame whose rows are composed on request: see [`Compositor::begin`].
#[derive(Debug)]
pub struct ComposedRows<'a> {
    compositor: &'a mut Compositor,
    picture: &'a RgbImage,
    matte: &'a Matte,
    background: &'a Background,
    foreground_cleanup: bool,
}

impl ComposedRows<'_> {
    /// Width and height in pixels.
    pub fn dimensions(&self) -> (u32, u32) {
        self.picture.dimensions()
    }

    /// Whether pixels are RGBA, with straight alpha, and not RGB.
    pub fn has_alpha(&self) -> bool {
        *self.background == Background::Transparent
    }

    /// Composes all rows. `out` becomes [`Composed::Rgba`] where the rows have alpha, else
    /// [`Composed::Rgb`]; its buffer is used again if it fits.
    pub fn whole(&mut self, out: &mut Composed) {
        let (width, height) = self.dimensions();
        let is_rgba = matches!(out, Composed::Rgba(_));
        if out.dimensions() != (width, height) || is_rgba != self.has_alpha() {
            *out = if self.has_alpha() {
                Composed::Rgba(RgbaImage::new(width, height))
            } else {
                Composed::Rgb(RgbImage::new(width, height))
            };
        }
        let samples: &mut [u8] = match out {
            Composed::Rgb(out) => out,
            Composed::Rgba(out) => out,
        };
        self.write(0..height as usize, samples);
    }

    /// Composes some `rows` into `out`, which has a byte for each of their samples.
    pub fn write(&mut self, rows: Range<usize>, out: &mut [u8]) {
        if self.picture.is_empty() {
            return;
        }
        let level = self.compositor.level;
        dispatch!(level, simd => self.compose(simd, rows, out));
    }

    #[inline(always)]
    fn compose<S: Simd>(&mut self, simd: S, rows: Range<usize>, out: &mut [u8]) {
        let width = self.picture.width() as usize;
        let pixel = if self.has_alpha() { 4 } else { 3 };
        for (y, out) in rows.zip(out.chunks_exact_mut(width * pixel)) {
            let picture = &self.picture.as_raw()[y * width * 3..][..width * 3];
            let alpha = &self.matte.alpha().as_raw()[y * width..][..width];
            let runs = self.matte.runs(y);
            let cleanup = self.foreground_cleanup;
            self.compositor
                .cut(simd, y, picture, (alpha, runs), cleanup);
            if self.has_alpha() {
                self.transparent_row(simd, picture, alpha, out);
            } else {
                self.opaque_row(simd, y, picture, alpha, out);
            }
        }
    }

    #[inline(always)]
    fn opaque_row<S: Simd>(
        &mut self,
        simd: S,
        y: usize,
        picture: &[u8],
        alpha: &[u8],
        out: &mut [u8],
    ) {
        let Compositor {
            stretches,
            person,
            sure,
            behind: row_behind,
            blur,
            ..
        } = &mut *self.compositor;
        for stretch in &*stretches {
            let rgb = stretch.start * 3..stretch.end * 3;
            if stretch.kind == StretchKind::Foreground {
                out[rgb.clone()].copy_from_slice(&picture[rgb]);
                continue;
            }
            let behind = match self.background {
                Background::Picture(behind) => &behind.as_raw()[y * picture.len()..][rgb.clone()],
                Background::Blur { .. } => {
                    blur.row(simd, y, rgb.clone(), row_behind);
                    &row_behind[rgb.clone()]
                }
                Background::Color(_) | Background::Transparent => &row_behind[rgb.clone()],
            };
            if stretch.kind == StretchKind::Background {
                out[rgb].copy_from_slice(behind);
                continue;
            }
            let (person, alpha) = if self.foreground_cleanup {
                (&person[rgb.clone()], &**sure)
            } else {
                (&picture[rgb.clone()], alpha)
            };
            let alpha = &alpha[stretch.start..stretch.end];
            blend::over(simd, person, alpha, behind, &mut out[rgb]);
        }
    }

    #[inline(always)]
    fn transparent_row<S: Simd>(&self, simd: S, picture: &[u8], alpha: &[u8], out: &mut [u8]) {
        let Compositor {
            stretches,
            person,
            sure,
            ..
        } = &*self.compositor;
        for stretch in stretches {
            let rgb = stretch.start * 3..stretch.end * 3;
            let out = &mut out[stretch.start * 4..stretch.end * 4];
            let (colours, alpha) = match stretch.kind {
                // The room's colours are removed, not only hidden behind zero alpha.
                StretchKind::Background => {
                    out.fill(0);
                    continue;
                }
                StretchKind::Mixed if self.foreground_cleanup => (&**person, &**sure),
                StretchKind::Mixed | StretchKind::Foreground => (picture, alpha),
            };
            blend::with_alpha(simd, &colours[rgb], &alpha[stretch.start..stretch.end], out);
        }
    }
}
