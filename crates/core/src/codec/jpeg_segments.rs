//! Reads the marker segments at the front of a JPEG file (ITU-T T.81, annex B), because
//! libjpeg-turbo does not report them.
use super::{DecodeError, PictureFormat};
use std::borrow::Cow;

/// The contents of the segments before the picture data.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Segments<'a> {
    /// The first APP1 segment that holds EXIF, with its `Exif\0\0`.
    pub(super) exif: Option<&'a [u8]>,
    /// The parts of the colour profile in the order of the file (ICC.1, annex B.4): number, count
    /// and bytes.
    pub(super) profile_parts: Vec<(u8, u8, &'a [u8])>,
    /// Whether there is an Adobe segment (APP14). Adobe stores CMYK inverted: 255 is no ink.
    pub(super) adobe: bool,
    /// Width and height in pixels, of the frame header. libjpeg-turbo refuses sides over 65,500
    /// without naming them.
    pub(super) size: Option<(u16, u16)>,
    /// The number of components in the frame header; 0 without one.
    pub(super) components: u8,
    /// Whether the first scan holds the whole picture: neither progressive nor a scan for each
    /// component.
    pub(super) single_scan: bool,
    /// Whether libjpeg-turbo would warn of something in these segments. [`tidy`] makes a file that
    /// it accepts without a warning.
    pub(super) untidy: bool,
    /// Where the first scan's header begins, in bytes from the start of the file.
    pub(super) scan: usize,
    /// Bytes of the whole file.
    pub(super) file_len: usize,
}

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const APP0: u8 = 0xe0;
const APP1: u8 = 0xe1;
const APP2: u8 = 0xe2;
const APP14: u8 = 0xee;
/// The beginning of a segment with a part of a colour profile.
const PROFILE: &[u8] = b"ICC_PROFILE\0";

impl<'a> Segments<'a> {
    /// The colour profile, if all its parts are there.
    pub(super) fn profile(&self) -> Option<Cow<'a, [u8]>> {
        if let [(1, 1, whole)] = self.profile_parts[..] {
            return Some(Cow::Borrowed(whole));
        }
        let mut parts = self.profile_parts.clone();
        parts.sort_by_key(|(number, ..)| *number);
        let is_whole = !parts.is_empty()
            && (1..).zip(&parts).all(|(at, (number, count, _))| {
                usize::from(*number) == at && usize::from(*count) == parts.len()
            });
        let bytes = parts.iter().flat_map(|(.., part)| part.iter().copied());
        is_whole.then(|| Cow::Owned(bytes.collect()))
    }
}

/// Walks the segments up to the first scan.
pub(super) fn read(bytes: &[u8]) -> Result<Segments<'_>, DecodeError> {
    let cut = |inside: String| DecodeError::CutOff {
        format: PictureFormat::Jpeg,
        bytes: bytes.len(),
        inside,
    };
    let mut found = Segments {
        file_len: bytes.len(),
        ..Segments::default()
    };
    let mut at = 0;
    loop {
        // Skips garbage before a marker and fill bytes (0xff), as libjpeg does.
        let marker = loop {
            match bytes.get(at..).and_then(|rest| rest.first_chunk::<2>()) {
                None => {
                    return Err(cut(format!(
                        "the headers, before any picture data (byte {at})"
                    )));
                }
                Some(&[0xff, marker]) if marker != 0 && marker != 0xff => break marker,
                Some(&[0xff, 0xff]) => at += 1,
                Some(_) => {
                    found.untidy = true;
                    at += 1;
                }
            }
        };
        match marker {
            // Markers without a length: SOI, TEM and the restarts.
            SOI | 0x01 | 0xd0..=0xd7 => at += 2,
            EOI => {
                let detail = format!("it ends at byte {at} without picture data");
                return Err(DecodeError::Corrupt {
                    format: PictureFormat::Jpeg,
                    detail,
                });
            }
            SOS => {
                found.scan = at;
                found.single_scan &= bytes.get(at + 4) == Some(&found.components);
                return Ok(found);
            }
            _ => {
                let inside = || {
                    cut(format!(
                        "the header segment ff{marker:02x} that begins at byte {at}"
                    ))
                };
                let &len = bytes
                    .get(at + 2..)
                    .and_then(|rest| rest.first_chunk::<2>())
                    .ok_or_else(inside)?;
                let len = usize::from(u16::from_be_bytes(len));
                if len < 2 {
                    let detail = format!(
                        "the header segment ff{marker:02x} at byte {at} has a length of {len}"
                    );
                    return Err(DecodeError::Corrupt {
                        format: PictureFormat::Jpeg,
                        detail,
                    });
                }
                let body = bytes.get(at + 4..at + 2 + len).ok_or_else(inside)?;
                if marker == APP1 && body.starts_with(b"Exif\0\0") && found.exif.is_none() {
                    found.exif = Some(body);
                }
                if marker == APP2
                    && let Some([number, count, part @ ..]) = body.strip_prefix(PROFILE)
                {
                    found.profile_parts.push((*number, *count, part));
                }
                // SOF0 to SOF15 without DHT, JPG and DAC: precision, height, width.
                if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
                    let size = body.get(1..5).and_then(|size| size.first_chunk::<4>());
                    found.size = size.map(|&[h1, h0, w1, w0]| {
                        (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]))
                    });
                    found.components = body.get(5).copied().unwrap_or(0);
                    found.single_scan = !is_progressive(marker);
                }
                found.adobe |= marker == APP14 && body.starts_with(b"Adobe");
                found.untidy |= is_doubtful(marker, body);
                at += 2 + len;
            }
        }
    }
}

/// SOF2, SOF6, SOF10 and SOF14.
fn is_progressive(frame: u8) -> bool {
    frame & 3 == 2
}

/// Whether libjpeg-turbo may warn of this segment: a revision of JFIF that it does not know, or a
/// colour transform of Adobe's that does not fit.
fn is_doubtful(marker: u8, body: &[u8]) -> bool {
    match marker {
        APP0 => body.starts_with(b"JFIF\0") && body.get(5).is_some_and(|major| *major != 1),
        APP14 => body.starts_with(b"Adobe") && body.get(11).is_some_and(|transform| *transform > 2),
        _ => false,
    }
}

/// The file without the parts of its headers that libjpeg-turbo would warn of, and stop at. Bytes
/// between the segments are left out, and doubtful values are replaced by those that it would
/// assume.
pub(super) fn tidy(bytes: &[u8], segments: &Segments<'_>) -> Vec<u8> {
    let mut file = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < segments.scan {
        let Some(&[0xff, marker]) = bytes[at..segments.scan].first_chunk::<2>() else {
            at += 1;
            continue;
        };
        let len = match marker {
            0 | 0xff => {
                at += 1;
                continue;
            }
            SOI | 0x01 | 0xd0..=0xd7 => 2,
            _ => {
                2 + bytes[at + 2..]
                    .first_chunk::<2>()
                    .map_or(0, |&len| usize::from(u16::from_be_bytes(len)))
            }
        };
        let begun = file.len();
        file.extend_from_slice(&bytes[at..at + len]);
        let doubtful = file
            .get(begun + 4..)
            .is_some_and(|body| is_doubtful(marker, body));
        match marker {
            APP0 if doubtful => file[begun + 4 + 5] = 1,
            // YCCK and YCbCr.
            APP14 if doubtful => {
                file[begun + 4 + 11] = if segments.components == 4 { 2 } else { 1 }
            }
            _ => {}
        }
        at += len;
    }
    file.extend_from_slice(&bytes[segments.scan..]);
    file
}

/// The restart marker that must follow the picture data: they are counted from RST0 to RST7, again
/// and again.
pub(super) fn next_restart(data: &[u8]) -> u8 {
    let last = data
        .windows(2)
        .rev()
        .find_map(|pair| matches!(pair, [0xff, 0xd0..=0xd7]).then(|| pair[1]));
    last.map_or(0xd0, |last| 0xd0 | (last + 1) & 7)
}

/// Whether an end marker follows the picture data, which begin with the scan header at `scan`.
pub(super) fn has_end(bytes: &[u8], scan: usize) -> bool {
    let mut at = scan;
    while let Some(&[first, marker]) = bytes.get(at..).and_then(|rest| rest.first_chunk::<2>()) {
        at += match (first, marker) {
            (0xff, EOI) => return true,
            // A byte of the data, a restart, or fill.
            (0xff, 0 | 0x01 | SOI | 0xd0..=0xd7) => 2,
            (0xff, 0xff) => 1,
            (0xff, _) => {
                2 + bytes[at + 2..]
                    .first_chunk::<2>()
                    .map_or(0, |&len| usize::from(u16::from_be_bytes(len)))
            }
            _ => 1,
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_found() {
        let mut file = vec![0xff, SOI, 0xff, 0xff, APP1, 0, 9];
        file.extend_from_slice(b"Exif\0\0x");
        file.extend_from_slice(&[0xff, APP14, 0, 7]);
        file.extend_from_slice(b"Adobe");
        file.extend_from_slice(&[0xff, 0xc4, 0, 7, 8, 9, 9, 9, 9]);
        file.extend_from_slice(&[0xff, 0xc0, 0, 7, 8, 1, 2, 3, 4]);
        file.extend_from_slice(&[0xff, SOS, 0, 2]);
        let found = read(&file).unwrap();
        let want = Segments {
            exif: Some(b"Exif\0\0x"),
            adobe: true,
            size: Some((0x304, 0x102)),
            scan: file.len() - 4,
            file_len: file.len(),
            ..Segments::default()
        };
        assert_eq!(found, want);
        for len in 0..file.len() - 2 {
            let error = read(&file[..len]).unwrap_err().to_string();
            assert!(error.contains("cut off"), "{len} bytes: {error}");
        }
    }

    #[test]
    fn impossible_lengths_are_refused() {
        assert!(matches!(
            read(&[0xff, SOI, 0xff, APP1, 0, 1, 0xff, SOS]),
            Err(DecodeError::Corrupt { .. })
        ));
        assert!(matches!(
            read(&[0xff, SOI, 0xff, APP1, 0xff, 0xff, 0]),
            Err(DecodeError::CutOff { .. })
        ));
        assert!(matches!(
            read(&[0xff, SOI, 0xff, EOI]),
            Err(DecodeError::Corrupt { .. })
        ));
    }
}
