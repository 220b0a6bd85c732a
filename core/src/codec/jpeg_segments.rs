//! The marker segments at the front of a JPEG file (ITU-T T.81, annex B): what libjpeg-turbo does not tell.
use super::{DecodeError, ImageFormat};

/// What the segments before the picture data say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Segments<'a> {
    /// The first APP1 segment that holds EXIF, with its `Exif\0\0`.
    pub(super) exif: Option<&'a [u8]>,
    /// Whether there is an Adobe segment (APP14). Adobe stores CMYK inverted: 255 is no ink.
    pub(super) adobe: bool,
    /// Width and height in pixels, of the frame header. libjpeg-turbo refuses sides over 65,500 without saying what they are.
    pub(super) size: Option<(u16, u16)>,
    /// Where the first scan's header begins, in bytes from the start of the file.
    pub(super) scan: usize,
}

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const APP1: u8 = 0xe1;
const APP14: u8 = 0xee;

/// Walks the segments up to the first scan.
pub(super) fn read(bytes: &[u8]) -> Result<Segments<'_>, DecodeError> {
    let cut = |inside: String| DecodeError::CutOff { format: ImageFormat::Jpeg, bytes: bytes.len(), inside };
    let mut found = Segments::default();
    let mut at = 0;
    loop {
        // Garbage before a marker and fill bytes (0xff) are passed over, as libjpeg does.
        let marker = loop {
            match bytes.get(at..).and_then(|rest| rest.first_chunk::<2>()) {
                None => return Err(cut(format!("the headers, before any picture data (byte {at})"))),
                Some(&[0xff, marker]) if marker != 0 && marker != 0xff => break marker,
                Some(_) => at += 1,
            }
        };
        match marker {
            // Markers without a length: SOI, TEM and the restarts.
            SOI | 0x01 | 0xd0..=0xd7 => at += 2,
            EOI => {
                let detail = format!("it ends at byte {at} without picture data");
                return Err(DecodeError::Corrupt { format: ImageFormat::Jpeg, detail });
            }
            SOS => {
                found.scan = at;
                return Ok(found);
            }
            _ => {
                let inside = || cut(format!("the header segment ff{marker:02x} that begins at byte {at}"));
                let &len = bytes.get(at + 2..).and_then(|rest| rest.first_chunk::<2>()).ok_or_else(inside)?;
                let len = usize::from(u16::from_be_bytes(len));
                if len < 2 {
                    let detail = format!("the header segment ff{marker:02x} at byte {at} has a length of {len}");
                    return Err(DecodeError::Corrupt { format: ImageFormat::Jpeg, detail });
                }
                let body = bytes.get(at + 4..at + 2 + len).ok_or_else(inside)?;
                if marker == APP1 && body.starts_with(b"Exif\0\0") && found.exif.is_none() {
                    found.exif = Some(body);
                }
                // SOF0 to SOF15 without DHT, JPG and DAC: precision, height, width.
                if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
                    let size = body.get(1..5).and_then(|size| size.first_chunk::<4>());
                    found.size = size.map(|&[h1, h0, w1, w0]| (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0])));
                }
                found.adobe |= marker == APP14 && body.starts_with(b"Adobe");
                at += 2 + len;
            }
        }
    }
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
        let want = Segments { exif: Some(b"Exif\0\0x"), adobe: true, size: Some((0x304, 0x102)), scan: file.len() - 4 };
        assert_eq!(found, want);
        for len in 0..file.len() - 2 {
            let error = read(&file[..len]).unwrap_err().to_string();
            assert!(error.contains("cut off"), "{len} bytes: {error}");
        }
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        assert!(matches!(read(&[0xff, SOI, 0xff, APP1, 0, 1, 0xff, SOS]), Err(DecodeError::Corrupt { .. })));
        assert!(matches!(read(&[0xff, SOI, 0xff, APP1, 0xff, 0xff, 0]), Err(DecodeError::CutOff { .. })));
        assert!(matches!(read(&[0xff, SOI, 0xff, EOI]), Err(DecodeError::Corrupt { .. })));
    }
}
