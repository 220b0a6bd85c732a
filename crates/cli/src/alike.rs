//! Finds the known word that a mistyped word is most like.
use strsim::{jaro, normalized_damerau_levenshtein};

/// Words that are at least this alike count as a typing error, as in clap.
const ALIKE: f64 = 0.7;
/// In a short word one change weighs more: `--fsp` for `--fps`, `rnu` for `run`.
const ALIKE_SHORT: f64 = 0.6;

/// The one of `words` that `word` is most like, if it is like enough.
pub(crate) fn most_alike<'w>(
    word: &str,
    words: impl IntoIterator<Item = &'w str>,
) -> Option<&'w str> {
    let word = word.to_lowercase();
    let likeness = |known: &str| {
        let edits = normalized_damerau_levenshtein(&word, known);
        let is_begun = word.len() >= 3 && known.starts_with(&word);
        match (edits >= ALIKE_SHORT, jaro(&word, known) > ALIKE || is_begun) {
            (true, _) => 1.0 + edits,
            (false, true) => jaro(&word, known),
            (false, false) => 0.0,
        }
    };
    words
        .into_iter()
        .map(|known| (likeness(known), known))
        .filter(|(likeness, _)| *likeness > 0.0)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_understood_and_other_words_are_not() {
        let words = [
            "fps",
            "frames",
            "format",
            "background",
            "matte",
            "max-width",
        ];
        for (word, meant) in [
            ("fsp", Some("fps")),
            ("FPS", Some("fps")),
            ("frame", Some("frames")),
            ("bakground", Some("background")),
            ("back", Some("background")),
            ("max-with", Some("max-width")),
            ("mate", Some("matte")),
            ("zzz", None),
            ("", None),
        ] {
            assert_eq!(most_alike(word, words), meant, "{word}");
        }
    }
}
