//! Runs of a matte's row. Most of a matte is 0 or 255, and there compositing is a copy.
use fearless_simd::{Simd, prelude::*};

/// What the pixels of a [`Span`] have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Alpha is 0.
    Background,
    /// Alpha is 255.
    Foreground,
    /// Alpha is in between.
    Mixed,
}

impl Kind {
    #[inline(always)]
    fn of(alpha: u8) -> Kind {
        match alpha {
            0 => Kind::Background,
            255 => Kind::Foreground,
            _ => Kind::Mixed,
        }
    }
}

/// The pixels `start..end` of a row, all of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Cuts a row of alpha into its longest spans, from left to right.
#[inline(always)]
pub(super) fn spans<S: Simd>(simd: S, alpha: &[u8]) -> Spans<'_, S> {
    Spans {
        simd,
        alpha,
        start: 0,
    }
}

/// See [`spans`].
pub(super) struct Spans<'a, S: Simd> {
    simd: S,
    alpha: &'a [u8],
    start: usize,
}

impl<S: Simd> Iterator for Spans<'_, S> {
    type Item = Span;

    #[inline(always)]
    fn next(&mut self) -> Option<Span> {
        let start = self.start;
        let kind = Kind::of(*self.alpha.get(start)?);
        let mut end = start;
        while let Some(chunk) = self.alpha.get(end..end + S::u8s::LEN) {
            let alpha = S::u8s::from_slice(self.simd, chunk);
            let background = alpha.simd_eq(S::u8s::splat(self.simd, 0)).to_bitmask();
            let foreground = alpha.simd_eq(S::u8s::splat(self.simd, 255)).to_bitmask();
            let alike = match kind {
                Kind::Background => background,
                Kind::Foreground => foreground,
                Kind::Mixed => !(background | foreground),
            };
            let run = (alike.trailing_ones() as usize).min(S::u8s::LEN);
            end += run;
            if run < S::u8s::LEN {
                self.start = end;
                return Some(Span { kind, start, end });
            }
        }
        end += self.alpha[end..]
            .iter()
            .take_while(|a| Kind::of(**a) == kind)
            .count();
        self.start = end;
        Some(Span { kind, start, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fearless_simd::dispatch;
    use mattebox_net::SimdLevel;
    use proptest::{collection, prelude::*};

    proptest! {
        #[test]
        fn spans_cover_the_row_in_order(alpha in collection::vec(prop_oneof![Just(0u8), Just(255), any::<u8>()], 0..100), repeat in 1usize..40) {
            let alpha: Vec<u8> = alpha.into_iter().flat_map(|a| std::iter::repeat_n(a, repeat)).collect();
            for level in SimdLevel::available() {
                let level = level.level().unwrap();
                let found: Vec<Span> = dispatch!(level, s => spans(s, &alpha).collect());
                let mut end = 0;
                let mut before = None;
                for span in found {
                    prop_assert_eq!(span.start, end);
                    prop_assert!(span.end > span.start);
                    prop_assert_ne!(Some(span.kind), before);
                    for &a in &alpha[span.start..span.end] {
                        prop_assert_eq!(span.kind, Kind::of(a));
                    }
                    end = span.end;
                    before = Some(span.kind);
                }
                prop_assert_eq!(end, alpha.len());
            }
        }
    }
}
