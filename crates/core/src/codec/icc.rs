//! Colour profiles (ICC.1): pixels of another colour space become sRGB.
//!
//! A profile is as little trusted as its picture. A damaged one, or one for other pixels, changes
//! nothing: the picture is still decoded.
use moxcms::{
    ColorProfile, DataColorSpace, Layout, ParsingOptions, Transform8BitExecutor, TransformOptions,
};
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

/// The largest profile that is read, in bytes. Profiles of printing presses have up to 3 MB.
pub(super) const MAX_BYTES: usize = 4 << 20;
/// A profile that changes no colour by more than this counts as sRGB: profiles round the same curve
/// differently.
const SRGB_TOLERANCE: u8 = 2;
/// Pixels that are converted at a time.
const BLOCK: usize = 4096;

/// Converts pictures one after another. Pictures of one camera have one profile, which is read
/// once.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    last: Option<Profile>,
}

struct Profile {
    icc: Vec<u8>,
    conversion: IccConversion,
}

/// The conversion of a profile to sRGB.
enum IccConversion {
    /// None: it is not needed, or not known.
    Nothing,
    /// For pixels in RGB.
    Rgb(Arc<Transform8BitExecutor>),
    /// For grey: the result for each of 256 values.
    Gray(Box<[[u8; 3]; 256]>),
    /// For inks, with 255 for full ink.
    Inks(Arc<Transform8BitExecutor>),
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a profile of {} bytes", self.icc.len())
    }
}

impl Profiles {
    /// Converts RGB pixels to sRGB; also grey ones, if the profile is for grey.
    pub(super) fn convert(&mut self, icc: &[u8], rgb: &mut [u8]) {
        match self.conversion(icc) {
            IccConversion::Rgb(transform) => {
                let mut before = [0; BLOCK * 3];
                for block in rgb.chunks_mut(BLOCK * 3) {
                    let before = &mut before[..block.len()];
                    before.copy_from_slice(block);
                    if transform.transform(before, block).is_err() {
                        block.copy_from_slice(before);
                    }
                }
            }
            IccConversion::Gray(becomes) => {
                for pixel in rgb.as_chunks_mut::<3>().0 {
                    let [r, g, b] = *pixel;
                    if r == g && g == b {
                        *pixel = becomes[usize::from(r)];
                    }
                }
            }
            IccConversion::Inks(_) | IccConversion::Nothing => {}
        }
    }

    /// Converts inks (cyan, magenta, yellow, black) to sRGB. With `inverted` 255 is no ink. Returns
    /// false if the profile is not for inks.
    pub(super) fn convert_inks(
        &mut self,
        icc: &[u8],
        inks: &[u8],
        inverted: bool,
        rgb: &mut [u8],
    ) -> bool {
        let IccConversion::Inks(transform) = self.conversion(icc) else {
            return false;
        };
        let flip = if inverted { 255 } else { 0 };
        let mut block = [0; BLOCK * 4];
        let blocks = inks.chunks(BLOCK * 4).zip(rgb.chunks_mut(BLOCK * 3));
        for (inks, rgb) in blocks {
            let block = &mut block[..inks.len()];
            for (to, from) in block.iter_mut().zip(inks) {
                *to = from ^ flip;
            }
            if transform.transform(block, rgb).is_err() {
                return false;
            }
        }
        true
    }

    fn conversion(&mut self, icc: &[u8]) -> &IccConversion {
        let known = self.last.take().filter(|last| last.icc == icc);
        let profile = known.unwrap_or_else(|| Profile {
            icc: icc.to_vec(),
            conversion: open(icc),
        });
        &self.last.insert(profile).conversion
    }
}

/// The conversion of a profile.
fn open(icc: &[u8]) -> IccConversion {
    if icc.len() > MAX_BYTES {
        return IccConversion::Nothing;
    }
    // A profile on which its library panics must not cost the picture.
    let opened = catch_unwind(AssertUnwindSafe(|| try_open(icc)));
    opened.ok().flatten().unwrap_or(IccConversion::Nothing)
}

/// `None`: it cannot be used.
fn try_open(icc: &[u8]) -> Option<IccConversion> {
    let parsing = ParsingOptions {
        max_profile_size: MAX_BYTES + 1,
        ..ParsingOptions::default()
    };
    let profile = ColorProfile::new_from_slice_with_options(icc, parsing).ok()?;
    let transform = |layout| {
        let srgb = ColorProfile::new_srgb();
        let options = TransformOptions::default();
        let made = profile.create_transform_8bit(layout, &srgb, Layout::Rgb, options);
        made.ok()
    };
    match profile.color_space {
        DataColorSpace::Rgb => {
            let transform = transform(Layout::Rgb)?;
            let colors = sample_colors();
            let mut became = vec![0; colors.len()];
            transform.transform(&colors, &mut became).ok()?;
            Some(if is_same(&colors, &became) {
                IccConversion::Nothing
            } else {
                IccConversion::Rgb(transform)
            })
        }
        DataColorSpace::Gray => {
            let transform = transform(Layout::Gray)?;
            let grays: Vec<u8> = (0..=255).collect();
            let mut became = vec![0; grays.len() * 3];
            transform.transform(&grays, &mut became).ok()?;
            let same: Vec<u8> = grays.iter().flat_map(|gray| [*gray; 3]).collect();
            if is_same(&same, &became) {
                return Some(IccConversion::Nothing);
            }
            let becomes = became.as_chunks::<3>().0.try_into().ok()?;
            Some(IccConversion::Gray(Box::new(becomes)))
        }
        DataColorSpace::Cmyk => {
            let transform = transform(Layout::Rgba)?;
            // A profile that cannot be used fails here, before the picture is converted.
            transform.transform(&[0; 4], &mut [0; 3]).ok()?;
            Some(IccConversion::Inks(transform))
        }
        _ => None,
    }
}

fn is_same(before: &[u8], after: &[u8]) -> bool {
    let mut pairs = before.iter().zip(after);
    pairs.all(|(before, after)| before.abs_diff(*after) <= SRGB_TOLERANCE)
}

/// Colours from the whole of RGB.
fn sample_colors() -> Vec<u8> {
    let steps = || (0..=255u8).step_by(17);
    let colors = steps().flat_map(|r| steps().flat_map(move |g| steps().map(move |b| [r, g, b])));
    colors.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(profile: &ColorProfile, pixel: [u8; 3]) -> [u8; 3] {
        let mut pixels = pixel;
        Profiles::default().convert(&profile.encode().unwrap(), &mut pixels);
        pixels
    }

    #[test]
    fn srgb_changes_nothing() {
        let icc = ColorProfile::new_srgb().encode().unwrap();
        assert!(matches!(open(&icc), IccConversion::Nothing));
        let colors = sample_colors();
        let mut became = colors.clone();
        Profiles::default().convert(&icc, &mut became);
        assert_eq!(became, colors);
    }

    /// (128, 64, 32) by the definitions: Adobe RGB (1998), 4.3.1.2 and IEC 61966-2-1, computed in
    /// double precision.
    #[test]
    fn another_space_becomes_srgb() {
        let adobe = converted(&ColorProfile::new_adobe_rgb(), [128, 64, 32]);
        for (got, want) in adobe.iter().zip([146, 62, 23]) {
            assert!(got.abs_diff(want) <= 2, "{adobe:?}");
        }
        let white = converted(&ColorProfile::new_display_p3(), [255; 3]);
        assert!(white.iter().all(|v| *v >= 254), "{white:?}");
        let p3 = converted(&ColorProfile::new_display_p3(), [200, 100, 50]);
        assert!(p3[0] > 205 && p3[2] < 45, "{p3:?}");
    }

    #[test]
    fn greys_follow_a_grey_profile_and_colours_do_not() {
        let linear = ColorProfile::new_gray_with_gamma(1.0);
        let [r, g, b] = converted(&linear, [55; 3]);
        // The sRGB curve at 55 / 255.
        assert!(r.abs_diff(128) <= 2 && r == g && g == b, "{r} {g} {b}");
        assert_eq!(converted(&linear, [9, 8, 7]), [9, 8, 7]);
    }

    /// A profile for inks that has only a table of two steps for each ink (ICC.1, 10.10): paper,
    /// black, and grey for the rest.
    fn inks() -> Vec<u8> {
        let lightness = |node: u8| match node {
            0 => 255,
            node if node & 1 == 1 => 0,
            _ => 128,
        };
        let ramps = |count: usize| (0..=255u8).collect::<Vec<u8>>().repeat(count);
        let colors = (0..16).flat_map(|node| [lightness(node), 128, 128]);
        let identity = [1, 0, 0, 0, 1, 0, 0, 0, 1].map(|v: u32| (v << 16).to_be_bytes());
        let table = [
            b"mft1\0\0\0\0\x04\x03\x02\0",
            identity.as_flattened(),
            &ramps(4),
            &colors.collect::<Vec<u8>>(),
            &ramps(3),
        ]
        .concat();
        let mut header = [0; 128];
        let size = 128 + 4 + 12 + table.len() as u32;
        for (at, bytes) in [
            (0, &size.to_be_bytes()[..]),
            (8, &[2, 0x40, 0, 0]),
            (12, b"prtrCMYKLab "),
            (36, b"acsp"),
            (68, &[0, 0, 0xf6, 0xd6, 0, 1, 0, 0, 0, 0, 0xd3, 0x2d]),
        ] {
            header[at..at + bytes.len()].copy_from_slice(bytes);
        }
        let length = (table.len() as u32).to_be_bytes();
        let tag = [b"A2B0", &144u32.to_be_bytes()[..], &length].concat();
        [&header[..], &1u32.to_be_bytes(), &tag, &table].concat()
    }

    #[test]
    fn inks_follow_their_profile() {
        let icc = inks();
        let mut profiles = Profiles::default();
        let mut convert = |inks: [u8; 4], inverted| {
            let mut rgb = [7; 3];
            assert!(profiles.convert_inks(&icc, &inks, inverted, &mut rgb));
            rgb
        };
        let paper = convert([0; 4], false);
        assert!(paper.iter().all(|v| *v >= 252), "{paper:?}");
        assert_eq!(convert([255; 4], true), paper);
        let black = convert([0, 0, 0, 255], false);
        assert!(black.iter().all(|v| *v <= 3), "{black:?}");
        let gray = convert([255, 0, 0, 0], false);
        assert!(gray.iter().all(|v| v.abs_diff(119) <= 6), "{gray:?}");
        // Pixels of another kind stay.
        let mut rgb = [1, 2, 3];
        profiles.convert(&icc, &mut rgb);
        assert_eq!(rgb, [1, 2, 3]);
    }

    #[test]
    fn a_damaged_profile_changes_nothing() {
        let whole = ColorProfile::new_adobe_rgb().encode().unwrap();
        let pixels = [128, 64, 32, 9, 9, 9];
        let mut profiles = Profiles::default();
        for length in 0..whole.len() {
            let mut picture = pixels;
            profiles.convert(&whole[..length], &mut picture);
            assert!(!profiles.convert_inks(&whole[..length], &[0; 8], false, &mut picture));
        }
        for at in 0..whole.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = byte;
                profiles.convert(&damaged, &mut pixels.clone());
            }
        }
        let mut picture = pixels;
        for absurd in [vec![0xff; 4096], vec![0; MAX_BYTES + 1], vec![]] {
            profiles.convert(&absurd, &mut picture);
        }
        assert_eq!(picture, pixels);
    }
}
