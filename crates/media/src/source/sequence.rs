//! Numbered sequences of pictures, such as `frame_%06d.tif`: every existing file, in the order of
//! the numbers.
use super::listing::{Listing, ListingError, is_for_ffmpeg, kind_of};
use mattebox_store::pending::folder_of;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The most gaps that a message names.
const MAX_NAMED: usize = 3;

/// A name with one number in it, as C's `printf` writes it: `%d` or `%06d`. A percent sign is
/// written as two.
#[derive(Debug, PartialEq, Eq)]
struct NumberPattern {
    before: String,
    /// The fewest digits; 0 and 1 mean the same.
    digits: usize,
    after: String,
}

impl NumberPattern {
    /// `None`: it has no number, or more than one.
    fn parse(name: &str) -> Option<NumberPattern> {
        let mut parts = vec![String::new()];
        let mut digits = 0;
        let mut rest = name;
        while let Some((text, after)) = rest.split_once('%') {
            parts.last_mut()?.push_str(text);
            if let Some(after) = after.strip_prefix('%') {
                parts.last_mut()?.push('%');
                rest = after;
                continue;
            }
            let conversion = after.trim_start_matches(|c: char| c.is_ascii_digit());
            let width = &after[..after.len() - conversion.len()];
            rest = conversion.strip_prefix('d')?;
            digits = match width {
                "" => 0,
                // Without a zero `printf` pads with blanks, which no user means.
                width => width.parse().ok().filter(|digits| *digits <= 20)?,
            };
            parts.push(String::new());
        }
        parts.last_mut()?.push_str(rest);
        let [before, after] = <[String; 2]>::try_from(parts).ok()?;
        Some(NumberPattern {
            before,
            digits,
            after,
        })
    }

    /// The number of a file with this name.
    fn number(&self, name: &str) -> Option<u64> {
        let digits = name.strip_prefix(&self.before)?.strip_suffix(&self.after)?;
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = is_number.then(|| digits.parse().ok()).flatten()?;
        // A number with other zeros in front is another file.
        let width = self.digits;
        (format!("{number:0width$}") == digits).then_some(number)
    }
}

/// The files that a name with a number stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NumberedFiles {
    /// The name has no number in it.
    NoNumber,
    /// They are no pictures, but FFmpeg may know them.
    NoPictures,
    /// They are pictures.
    Pictures(Listing),
}

/// Looks for the pictures of a numbered sequence.
pub(super) fn find(path: &Path) -> Result<NumberedFiles, ListingError> {
    let name = path.file_name().and_then(|name| name.to_str());
    let Some(pattern) = name.and_then(NumberPattern::parse) else {
        return Ok(NumberedFiles::NoNumber);
    };
    let folder = folder_of(path);
    let folder = match folder.is_dir() {
        true => folder.to_owned(),
        false => PathBuf::from(folder.to_string_lossy().replace("%%", "%")),
    };
    let Ok(entries) = fs::read_dir(&folder) else {
        return Err(ListingError::NoFolder(folder));
    };
    let mut numbered: Vec<(u64, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let number = pattern.number(entry.file_name().to_str()?)?;
            let path = entry.path();
            path.is_file().then_some((number, path))
        })
        .collect();
    if numbered.is_empty() {
        return Err(ListingError::NoNumberedFile(folder));
    }
    numbered.sort();
    let note = gaps(numbered.iter().map(|(number, _)| *number));
    let mut listing = Listing {
        note,
        ..Listing::default()
    };
    for (_, path) in numbered {
        match kind_of(&path) {
            (true, format) => {
                listing
                    .by_ffmpeg
                    .extend(format.map(|format| (path.clone(), format)));
                listing.paths.push(path);
            }
            (false, _) if is_for_ffmpeg(&path) => listing.paths.push(path),
            (false, _) => {}
        }
    }
    Ok(match listing.paths.is_empty() {
        // They may be parts of a video.
        true => NumberedFiles::NoPictures,
        false => NumberedFiles::Pictures(listing),
    })
}

/// Names the missing numbers between the first and the last. `numbers` rise.
fn gaps(numbers: impl Iterator<Item = u64>) -> Option<String> {
    let numbers: Vec<u64> = numbers.collect();
    let missing = numbers.windows(2).filter(|pair| pair[1] - pair[0] > 1);
    let gaps_found: Vec<String> = missing
        .map(|pair| match (pair[0] + 1, pair[1] - 1) {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first} to {last}"),
        })
        .collect();
    if gaps_found.is_empty() {
        return None;
    }
    let named = &gaps_found[..gaps_found.len().min(MAX_NAMED)];
    let more = match gaps_found.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more gaps"),
    };
    Some(format!(
        "the sequence has gaps: {}{more} are missing. The other pictures are read",
        named.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_printf_writes_them() {
        let number =
            |pattern: &str, name: &str| NumberPattern::parse(pattern).unwrap().number(name);
        assert_eq!(number("f_%04d.tif", "f_0012.tif"), Some(12));
        assert_eq!(number("f_%04d.tif", "f_12345.tif"), Some(12345));
        for other in [
            "f_012.tif",
            "f_00012.tif",
            "f_.tif",
            "f_+012.tif",
            "g_0012.tif",
        ] {
            assert_eq!(number("f_%04d.tif", other), None, "{other}");
        }
        assert_eq!(number("%d.png", "7.png"), Some(7));
        assert_eq!(number("%d.png", "07.png"), None);
        assert_eq!(number("50%%_%2d", "50%_08"), Some(8));
        for none in ["a.png", "100%.png", "%s.png", "%%d", "%d_%d.png", "%99d"] {
            assert_eq!(NumberPattern::parse(none), None, "{none}");
        }
    }

    #[test]
    fn a_sequence_begins_anywhere_and_continues_after_gaps() {
        let folder = tempfile::tempdir().unwrap();
        for number in [1000, 1001, 1004, 1006, 10_000, 20_000] {
            let name = format!("f_{number:04}.tif");
            fs::write(folder.path().join(name), b"II*\0").unwrap();
        }
        fs::write(folder.path().join("f_01000.tif"), b"").unwrap();
        fs::create_dir(folder.path().join("f_1002.tif")).unwrap();
        let found = find(&folder.path().join("f_%04d.tif")).unwrap();
        let NumberedFiles::Pictures(listing) = found else {
            panic!("{found:?}")
        };
        assert_eq!(listing.paths.len(), 6);
        assert!(listing.paths[0].ends_with("f_1000.tif"));
        assert!(listing.paths[5].ends_with("f_20000.tif"));
        let note = listing.note.unwrap();
        assert!(
            note.contains("1002 to 1003, 1005, 1007 to 9999 and 1 more gaps are missing"),
            "{note}"
        );
        let error = find(&folder.path().join("g_%04d.tif")).unwrap_err();
        assert!(error.to_string().contains("no file in"), "{error}");
        assert_eq!(
            find(Path::new("clip.mp4")).unwrap(),
            NumberedFiles::NoNumber
        );
    }
}
