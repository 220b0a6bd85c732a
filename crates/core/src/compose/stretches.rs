//! Cuts a matte's row into stretches. Most of a matte is 0 or 255, and there compositing is a copy.
use crate::matte::{AlphaRun, AlphaRunKind};
use fearless_simd::{Simd, prelude::*};

/// The alpha of the pixels of a [`RowStretch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StretchKind {
    /// Alpha is 0.
    Background,
    /// Alpha is 255.
    Foreground,
    /// Alpha is in between.
    Mixed,
}

impl StretchKind {
    #[inline(always)]
    fn of(alpha: u8) -> StretchKind {
        match alpha {
            0 => StretchKind::Background,
            255 => StretchKind::Foreground,
            _ => StretchKind::Mixed,
        }
    }
}

/// The pixels `start..end` of a row, all of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RowStretch {
    pub(super) kind: StretchKind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Cuts a row of alpha into its longest stretches, from left to right. `runs` are known runs of it:
/// alpha is read only where they are open.
#[inline(always)]
pub(super) fn cut<S: Simd>(simd: S, alpha: &[u8], runs: &[AlphaRun], into: &mut Vec<RowStretch>) {
    into.clear();
    let mut start = 0;
    for run in runs {
        let end = run.end;
        match run.kind {
            AlphaRunKind::Room => add(into, StretchKind::Background, start, end),
            AlphaRunKind::Person => add(into, StretchKind::Foreground, start, end),
            AlphaRunKind::Open => {
                // not `extend`, which is not compiled for the vector instructions
                for stretch in stretches(simd, &alpha[start..end]) {
                    add(
                        into,
                        stretch.kind,
                        start + stretch.start,
                        start + stretch.end,
                    );
                }
            }
        }
        start = end;
    }
}

/// Adds a stretch, or makes the one before it longer.
#[inline(always)]
fn add(stretches: &mut Vec<RowStretch>, kind: StretchKind, start: usize, end: usize) {
    match stretches.last_mut() {
        Some(last) if last.kind == kind => last.end = end,
        _ => stretches.push(RowStretch { kind, start, end }),
    }
}

/// Cuts alpha into its longest stretches, from left to right.
#[inline(always)]
pub(super) fn stretches<S: Simd>(simd: S, alpha: &[u8]) -> RowStretches<'_, S> {
    RowStretches {
        simd,
        alpha,
        start: 0,
    }
}

/// See [`stretches`].
pub(super) struct RowStretches<'a, S: Simd> {
    simd: S,
    alpha: &'a [u8],
    start: usize,
}

impl<S: Simd> Iterator for RowStretches<'_, S> {
    type Item = RowStretch;

    #[inline(always)]
    fn next(&mut self) -> Option<RowStretch> {
        let start = self.start;
        let kind = StretchKind::of(*self.alpha.get(start)?);
        let mut end = start;
        while let Some(chunk) = self.alpha.get(end..end + S::u8s::LEN) {
            let alpha = S::u8s::from_slice(self.simd, chunk);
            let background = alpha.simd_eq(S::u8s::splat(self.simd, 0)).to_bitmask();
            let foreground = alpha.simd_eq(S::u8s::splat(self.simd, 255)).to_bitmask();
            let alike = match kind {
                StretchKind::Background => background,
                StretchKind::Foreground => foreground,
                StretchKind::Mixed => !(background | foreground),
            };
            let run = (alike.trailing_ones() as usize).min(S::u8s::LEN);
            end += run;
            if run < S::u8s::LEN {
                self.start = end;
                return Some(RowStretch { kind, start, end });
            }
        }
        end += self.alpha[end..]
            .iter()
            .take_while(|a| StretchKind::of(**a) == kind)
            .count();
        self.start = end;
        Some(RowStretch { kind, start, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matte::Matte;
    use fearless_simd::dispatch;
    use image::GrayImage;
    use mattebox_net::SimdLevel;
    use proptest::{collection, prelude::*};

    proptest! {
        #[test]
        fn stretches_cover_the_row_in_order(
            alpha in collection::vec(prop_oneof![Just(0u8), Just(255), any::<u8>()], 0..100),
            repeat in 1usize..40,
        ) {
            let alpha = alpha.into_iter().flat_map(|a| std::iter::repeat_n(a, repeat));
            let alpha: Vec<u8> = alpha.collect();
            let picture = GrayImage::from_raw(alpha.len() as u32, 1, alpha.clone()).unwrap();
            let matte = Matte::from(picture);
            for level in SimdLevel::available() {
                let level = level.level().unwrap();
                let mut found = Vec::new();
                dispatch!(level, s => cut(s, &alpha, matte.runs(0), &mut found));
                let mut end = 0;
                let mut before = None;
                for stretch in found {
                    prop_assert_eq!(stretch.start, end);
                    prop_assert!(stretch.end > stretch.start);
                    prop_assert_ne!(Some(stretch.kind), before);
                    for &a in &alpha[stretch.start..stretch.end] {
                        prop_assert_eq!(stretch.kind, StretchKind::of(a));
                    }
                    end = stretch.end;
                    before = Some(stretch.kind);
                }
                prop_assert_eq!(end, alpha.len());
            }
        }
    }
}
