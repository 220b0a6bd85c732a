//! Runs of a matte's row. Most of a matte is 0 or 255, and there compositing is a copy.

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

/// The pixels `start..end` of a row, all of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Cuts a row of alpha into its longest spans, from left to right.
pub(super) fn spans(alpha: &[u8]) -> impl Iterator<Item = Span> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let &first = alpha.get(start)?;
        let rest = &alpha[start..];
        let (kind, len) = match first {
            0 => (Kind::Background, run(rest, 0)),
            255 => (Kind::Foreground, run(rest, 255)),
            _ => (Kind::Mixed, rest.iter().position(|a| matches!(a, 0 | 255)).unwrap_or(rest.len())),
        };
        let span = Span { kind, start, end: start + len };
        start = span.end;
        Some(span)
    })
}

/// How many bytes at the front of `bytes` are `value`, 16 at a time.
fn run(bytes: &[u8], value: u8) -> usize {
    let whole = bytes.as_chunks::<16>().0.iter().take_while(|chunk| **chunk == [value; 16]).count() * 16;
    whole + bytes[whole..].iter().take_while(|v| **v == value).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection, prelude::*};

    proptest! {
        #[test]
        fn spans_cover_the_row_in_order(alpha in collection::vec(prop_oneof![Just(0u8), Just(255), any::<u8>()], 0..100), repeat in 1usize..40) {
            let alpha: Vec<u8> = alpha.into_iter().flat_map(|a| std::iter::repeat_n(a, repeat)).collect();
            let mut end = 0;
            let mut before = None;
            for span in spans(&alpha) {
                prop_assert_eq!(span.start, end);
                prop_assert!(span.end > span.start);
                prop_assert_ne!(Some(span.kind), before);
                for &a in &alpha[span.start..span.end] {
                    prop_assert_eq!(span.kind, match a { 0 => Kind::Background, 255 => Kind::Foreground, _ => Kind::Mixed });
                }
                end = span.end;
                before = Some(span.kind);
            }
            prop_assert_eq!(end, alpha.len());
        }
    }
}
