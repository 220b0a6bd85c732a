//! Pictures in the format of video: luma for each pixel, colour (chroma) for each 2x2 pixels.
//!
//! The conversion to RGB follows the standards exactly, rounded to the nearest:
//!
//! ```text
//! R = Y + 2 (1 - Kr) Cr     B = Y + 2 (1 - Kb) Cb     G = (Y - Kr R - Kb B) / (1 - Kr - Kb)
//! ```
//!
//! where Y is 0 to 1 and Cb, Cr are -1/2 to 1/2. With 8 bits, limited range has Y at 16 to 235 and
//! colour at 16 to 240 around 128; full range has both at 0 to 255. Kr and Kb are those of the
//! [`Matrix`]. All four pixels of a colour sample get the same colour, as in OpenCV and FFmpeg's
//! fast conversion, so that `hard` gets the same pixels as MediaPipe.
//!
//! Sources: ITU-R BT.601-7 section 2.5, BT.709-6 section 3, BT.2020-2 table 4.
use fearless_simd::{Level, Simd, SimdBase, dispatch, u8x16};
use fearless_simd_macros::simd;
use image::RgbImage;
use mattebox_net::{SimdError, SimdLevel};

/// The weights with which luma and chroma become colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Matrix {
    /// ITU-R BT.601: SD video, and JPEG.
    Bt601,
    /// ITU-R BT.709: HD video.
    Bt709,
    /// ITU-R BT.2020 with non-constant luminance: UHD video.
    Bt2020,
}

impl Matrix {
    /// The weights of red and blue in luma.
    fn weights(self) -> (f64, f64) {
        match self {
            Matrix::Bt601 => (0.299, 0.114),
            Matrix::Bt709 => (0.2126, 0.0722),
            Matrix::Bt2020 => (0.2627, 0.0593),
        }
    }
}

/// The range of the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Range {
    /// 16 to 235, colour 16 to 240: the range of video ("tv").
    Limited,
    /// 0 to 255: the range of JPEG ("pc").
    Full,
}

/// The planes of a picture, one after the other and without gaps: luma, then Cb and Cr, each half
/// as wide and half as high, rounded up.
#[derive(Debug, Clone, Copy)]
pub struct Yuv420<'a> {
    width: u32,
    height: u32,
    /// Rows of the luma plane; the last ones may not belong to the picture.
    rows: u32,
    samples: &'a [u8],
}

impl<'a> Yuv420<'a> {
    /// The bytes of a picture of this size.
    pub fn len_of(width: u32, height: u32) -> u64 {
        let chroma = u64::from(width.div_ceil(2)) * u64::from(height.div_ceil(2));
        u64::from(width) * u64::from(height) + 2 * chroma
    }

    /// A picture of these samples. There may be more than it needs; `None` if there are too few.
    pub fn new(width: u32, height: u32, samples: &'a [u8]) -> Option<Self> {
        let needed = usize::try_from(Yuv420::len_of(width, height)).ok()?;
        Some(Yuv420 {
            width,
            height,
            rows: height,
            samples: samples.get(..needed)?,
        })
    }

    /// The upper part, of at most this height.
    pub fn top(self, height: u32) -> Self {
        Yuv420 {
            height: height.min(self.height),
            ..self
        }
    }
}

/// Converts pictures to RGB. Its buffers are used again.
#[derive(Debug)]
pub struct ToRgb {
    level: Level,
    rows: ColourRows,
}

/// The numbers that colour adds to luma, for each pixel of two rows.
#[derive(Debug, Default)]
struct ColourRows {
    red: Vec<i32>,
    green: Vec<i32>,
    blue: Vec<i32>,
}

/// The factors of the formula, times 65,536.
#[derive(Debug, Clone, Copy)]
struct Factors {
    luma: i32,
    /// Added to luma: black, and one half for rounding.
    offset: i32,
    red_cr: i32,
    green_cb: i32,
    green_cr: i32,
    blue_cb: i32,
}

const ONE: f64 = 65_536.0;

impl Factors {
    fn new(matrix: Matrix, range: Range) -> Self {
        let (kr, kb) = matrix.weights();
        let kg = 1.0 - kr - kb;
        let (luma, chroma, black) = match range {
            Range::Limited => (255.0 / 219.0, 255.0 / 224.0, 16.0),
            Range::Full => (1.0, 1.0, 0.0),
        };
        let fixed = |factor: f64| (factor * ONE).round() as i32;
        Factors {
            luma: fixed(luma),
            offset: fixed(0.5 - luma * black),
            red_cr: fixed(2.0 * (1.0 - kr) * chroma),
            green_cb: fixed(-2.0 * (1.0 - kb) * kb / kg * chroma),
            green_cr: fixed(-2.0 * (1.0 - kr) * kr / kg * chroma),
            blue_cb: fixed(2.0 * (1.0 - kb) * chroma),
        }
    }
}

/// A converter that uses the best instructions of this machine.
impl Default for ToRgb {
    fn default() -> Self {
        ToRgb {
            level: Level::new(),
            rows: ColourRows::default(),
        }
    }
}

impl ToRgb {
    /// A converter that uses the instructions of `simd`. The result is the same with all of them.
    pub fn new(simd: SimdLevel) -> Result<Self, SimdError> {
        Ok(ToRgb {
            level: simd.level()?,
            rows: ColourRows::default(),
        })
    }

    /// Converts a picture to RGB.
    pub fn convert(&mut self, picture: Yuv420<'_>, matrix: Matrix, range: Range) -> RgbImage {
        let mut rgb = RgbImage::default();
        self.convert_into(picture, matrix, range, &mut rgb);
        rgb
    }

    /// Converts a picture to RGB, into the memory of another picture.
    pub fn convert_into(
        &mut self,
        picture: Yuv420<'_>,
        matrix: Matrix,
        range: Range,
        into: &mut RgbImage,
    ) {
        let (width, height) = (picture.width, picture.height);
        let mut rgb = std::mem::take(into).into_raw();
        rgb.resize(width as usize * height as usize * 3, 0);
        if !rgb.is_empty() {
            let factors = Factors::new(matrix, range);
            let rows = &mut self.rows;
            rows.prepare(width as usize);
            dispatch!(self.level, simd => convert(simd, picture, factors, rows, &mut rgb));
        }
        // It has exactly that size.
        *into = RgbImage::from_raw(width, height, rgb).unwrap_or_default();
    }
}

/// Pixels that are made at once.
const BLOCK: usize = 16;

impl ColourRows {
    /// Room for a row and the rest of its last block.
    fn prepare(&mut self, width: usize) {
        for row in [&mut self.red, &mut self.green, &mut self.blue] {
            row.resize(width.next_multiple_of(BLOCK), 0);
        }
    }
}

#[simd]
fn convert<S: Simd>(
    simd: S,
    from: Yuv420<'_>,
    factors: Factors,
    rows: &mut ColourRows,
    rgb: &mut [u8],
) {
    let (width, height) = (from.width as usize, from.height as usize);
    let half = width.div_ceil(2);
    let rows_of_luma = from.rows as usize;
    let (luma, chroma) = from.samples.split_at(width * rows_of_luma);
    let (cb, cr) = chroma.split_at(half * rows_of_luma.div_ceil(2));
    let pairs = luma[..width * height]
        .chunks(width * 2)
        .zip(rgb.chunks_mut(width * 6));
    let colours = cb.chunks_exact(half).zip(cr.chunks_exact(half));
    for ((luma, rgb), (cb, cr)) in pairs.zip(colours) {
        colour(factors, cb, cr, rows);
        for (luma, rgb) in luma
            .chunks_exact(width)
            .zip(rgb.chunks_exact_mut(width * 3))
        {
            row(simd, factors, luma, rows, rgb);
        }
    }
}

/// The numbers that colour adds to the pixels of two rows.
#[inline(always)]
fn colour(factors: Factors, cb: &[u8], cr: &[u8], rows: &mut ColourRows) {
    let red = rows.red.as_chunks_mut::<2>().0;
    let green = rows.green.as_chunks_mut::<2>().0;
    let blue = rows.blue.as_chunks_mut::<2>().0;
    let pixels = red.iter_mut().zip(green).zip(blue);
    for (((red, green), blue), (cb, cr)) in pixels.zip(cb.iter().zip(cr)) {
        let (cb, cr) = (i32::from(*cb) - 128, i32::from(*cr) - 128);
        *red = [factors.red_cr * cr; 2];
        *green = [factors.green_cb * cb + factors.green_cr * cr; 2];
        *blue = [factors.blue_cb * cb; 2];
    }
}

/// A row of pixels, from luma and colour.
#[inline(always)]
fn row<S: Simd>(simd: S, factors: Factors, luma: &[u8], rows: &ColourRows, rgb: &mut [u8]) {
    let (blocks, rest) = rgb.as_chunks_mut::<{ 3 * BLOCK }>();
    let (lumas, last) = luma.as_chunks::<BLOCK>();
    let red = rows.red.as_chunks::<BLOCK>().0;
    let green = rows.green.as_chunks::<BLOCK>().0;
    let blue = rows.blue.as_chunks::<BLOCK>().0;
    let colours = red.iter().zip(green).zip(blue);
    for ((block, luma), ((red, green), blue)) in blocks.iter_mut().zip(lumas).zip(colours) {
        pixels(simd, factors, luma, [red, green, blue], block);
    }
    if !last.is_empty() {
        let at = lumas.len();
        let mut luma = [0; BLOCK];
        luma[..last.len()].copy_from_slice(last);
        let mut block = [0; 3 * BLOCK];
        let colours = [&red[at], &green[at], &blue[at]];
        pixels(simd, factors, &luma, colours, &mut block);
        rest.copy_from_slice(&block[..rest.len()]);
    }
}

/// A block of pixels.
#[inline(always)]
fn pixels<S: Simd>(
    simd: S,
    factors: Factors,
    luma: &[u8; BLOCK],
    colours: [&[i32; BLOCK]; 3],
    out: &mut [u8; 3 * BLOCK],
) {
    let mut base = [0; BLOCK];
    for (base, luma) in base.iter_mut().zip(luma) {
        *base = i32::from(*luma) * factors.luma + factors.offset;
    }
    let planes = colours.map(|colour| {
        let mut plane = [0; BLOCK];
        for ((out, base), colour) in plane.iter_mut().zip(&base).zip(colour) {
            *out = ((base + colour) >> 16).clamp(0, 255) as u8;
        }
        u8x16::from_slice(simd, &plane)
    });
    for (out, takes) in out.as_chunks_mut::<BLOCK>().0.iter_mut().zip(&WEAVE) {
        let part = |i: usize| planes[i].swizzle_dyn_precise(u8x16::from_slice(simd, &takes[i]));
        (part(0) | part(1) | part(2)).store_slice(out);
    }
}

/// The sources of 48 interleaved bytes in each plane; an index beyond the plane gives 0.
const WEAVE: [[[u8; BLOCK]; 3]; 3] = {
    let mut weave = [[[u8::MAX; BLOCK]; 3]; 3];
    let mut at = 0;
    while at < 3 * BLOCK {
        weave[at / BLOCK][at % 3][at % BLOCK] = (at / 3) as u8;
        at += 1;
    }
    weave
};

#[cfg(test)]
mod tests {
    use super::*;

    /// The formula of the module's documentation, in numbers that are not rounded.
    fn exact(y: u8, cb: u8, cr: u8, matrix: Matrix, range: Range) -> [f64; 3] {
        let (kr, kb) = matrix.weights();
        let (y, cb, cr) = (f64::from(y), f64::from(cb) - 128.0, f64::from(cr) - 128.0);
        let (y, cb, cr) = match range {
            Range::Limited => ((y - 16.0) / 219.0, cb / 224.0, cr / 224.0),
            Range::Full => (y / 255.0, cb / 255.0, cr / 255.0),
        };
        let r = y + 2.0 * (1.0 - kr) * cr;
        let b = y + 2.0 * (1.0 - kb) * cb;
        let g = (y - kr * r - kb * b) / (1.0 - kr - kb);
        [r, g, b].map(|v| (v * 255.0).clamp(0.0, 255.0))
    }

    const MATRICES: [Matrix; 3] = [Matrix::Bt601, Matrix::Bt709, Matrix::Bt2020];

    #[test]
    fn every_colour_follows_the_formula_on_every_level() {
        for simd in SimdLevel::available() {
            let mut to_rgb = ToRgb::new(simd).unwrap();
            for matrix in MATRICES {
                for range in [Range::Limited, Range::Full] {
                    for (cb, cr) in (0..=255)
                        .step_by(5)
                        .flat_map(|cb| (0..=255).step_by(17).map(move |cr| (cb as u8, cr as u8)))
                    {
                        // All lumas in a row, of one colour.
                        let mut samples: Vec<u8> = (0..=255).collect();
                        samples.extend([cb; 128]);
                        samples.extend([cr; 128]);
                        let picture = Yuv420::new(256, 1, &samples).unwrap();
                        let rgb = to_rgb.convert(picture, matrix, range);
                        for (y, pixel) in (0..=255).zip(rgb.pixels()) {
                            let want = exact(y, cb, cr, matrix, range);
                            let near = pixel
                                .0
                                .iter()
                                .zip(want)
                                .all(|(got, want)| (f64::from(*got) - want).abs() < 0.51);
                            assert!(
                                near,
                                "{matrix:?} {range:?} {y} {cb} {cr}: {pixel:?} {want:?}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn known_patches_of_hd_and_sd() {
        let mut to_rgb = ToRgb::new(SimdLevel::best()).unwrap();
        let mut pixel = |y, cb, cr, matrix, range| {
            let picture = Yuv420::new(1, 1, &[y, cb, cr]).map(|p| to_rgb.convert(p, matrix, range));
            picture.unwrap().get_pixel(0, 0).0
        };
        // Red, green and blue of full strength, as BT.709 and BT.601 code them.
        assert_eq!(
            pixel(63, 102, 240, Matrix::Bt709, Range::Limited),
            [255, 1, 0]
        );
        assert_eq!(
            pixel(81, 90, 240, Matrix::Bt601, Range::Limited),
            [254, 0, 0]
        );
        assert_eq!(pixel(76, 85, 255, Matrix::Bt601, Range::Full), [254, 0, 0]);
        for matrix in MATRICES {
            assert_eq!(pixel(16, 128, 128, matrix, Range::Limited), [0; 3]);
            assert_eq!(pixel(235, 128, 128, matrix, Range::Limited), [255; 3]);
            assert_eq!(pixel(77, 128, 128, matrix, Range::Full), [77; 3]);
        }
    }

    #[test]
    fn odd_sizes_keep_their_last_row_and_column() {
        let mut to_rgb = ToRgb::new(SimdLevel::best()).unwrap();
        for (width, height) in [(1, 1), (3, 3), (17, 5), (333, 7), (16, 1), (0, 0), (0, 9)] {
            let length = Yuv420::len_of(width, height) as usize;
            let samples: Vec<u8> = (0..length).map(|i| (i * 7 % 256) as u8).collect();
            assert!(
                Yuv420::new(width, height, &samples[..length.saturating_sub(1)]).is_none()
                    || length == 0
            );
            let picture = Yuv420::new(width, height, &samples).unwrap();
            let rgb = to_rgb.convert(picture, Matrix::Bt601, Range::Full);
            assert_eq!(rgb.dimensions(), (width, height));
            let half = width.div_ceil(2) as usize;
            let chroma = half * height.div_ceil(2) as usize;
            for (x, y, pixel) in rgb.enumerate_pixels() {
                let luma = samples[(y * width + x) as usize];
                let at = (width * height) as usize + (y as usize / 2) * half + x as usize / 2;
                let want = exact(
                    luma,
                    samples[at],
                    samples[at + chroma],
                    Matrix::Bt601,
                    Range::Full,
                );
                let near = pixel
                    .0
                    .iter()
                    .zip(want)
                    .all(|(got, want)| (f64::from(*got) - want).abs() < 0.51);
                assert!(near, "{width}x{height} at {x},{y}");
            }
        }
    }

    #[test]
    fn the_top_of_a_picture_equals_that_of_the_whole() {
        let mut to_rgb = ToRgb::new(SimdLevel::best()).unwrap();
        let samples: Vec<u8> = (0..Yuv420::len_of(18, 12))
            .map(|i| (i * 11 % 251) as u8)
            .collect();
        let picture = Yuv420::new(18, 12, &samples).unwrap();
        let whole = to_rgb.convert(picture, Matrix::Bt709, Range::Limited);
        for height in [0, 1, 9, 10, 12, 99] {
            let top = to_rgb.convert(picture.top(height), Matrix::Bt709, Range::Limited);
            assert_eq!(top.dimensions(), (18, height.min(12)));
            assert_eq!(top.as_raw()[..], whole.as_raw()[..top.as_raw().len()]);
        }
    }
}
