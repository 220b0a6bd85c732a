//! The metadata of a picture in an ISO media file (ISO/IEC 23008-12), of which FFmpeg passes on
//! only the pixels.
//!
//! Only the file's primary picture is read. Contradictory metadata is ignored.

/// The most boxes, and entries in them, that are read. A real file has a few dozen.
const MAX_ENTRIES: usize = 1024;

/// The metadata of the primary picture.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PrimaryPicture<'a> {
    /// Width and height as stored.
    pub(super) size: Option<(u32, u32)>,
    /// Its colour profile.
    pub(super) profile: Option<&'a [u8]>,
    /// The steps of its orientation, in order.
    pub(super) turns: Vec<OrientationStep>,
}

/// One step from the stored picture to the upright one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OrientationStep {
    /// Quarter turns to the left.
    Left(u8),
    /// Top and bottom are swapped.
    TopBottom,
    /// Left and right are swapped.
    LeftRight,
}

/// Reads the metadata of `file`; empty if there is none.
pub(super) fn read(file: &[u8]) -> PrimaryPicture<'_> {
    try_read(file).unwrap_or_default()
}

fn try_read(file: &[u8]) -> Option<PrimaryPicture<'_>> {
    // A full box: version and flags come first.
    let meta = find(file, b"meta")?.get(4..)?;
    let primary = primary_id(find(meta, b"pitm")?)?;
    let properties = find(meta, b"iprp")?;
    let all: Vec<_> = boxes(find(properties, b"ipco")?).collect();
    let mut picture = PrimaryPicture::default();
    for index in associated(find(properties, b"ipma")?, primary)? {
        let Some((kind, body)) = index.checked_sub(1).and_then(|index| all.get(index)) else {
            continue;
        };
        match *kind {
            b"ispe" => picture.size = number(body, 4, 4).zip(number(body, 8, 4)),
            b"colr" if matches!(body.get(..4), Some(b"prof" | b"rICC")) => {
                picture.profile = body.get(4..);
            }
            b"irot" => picture
                .turns
                .extend(body.first().map(|by| OrientationStep::Left(by & 3))),
            b"imir" => picture
                .turns
                .extend(body.first().map(|axis| match axis & 1 {
                    0 => OrientationStep::TopBottom,
                    _ => OrientationStep::LeftRight,
                })),
            _ => {}
        }
    }
    Some(picture)
}

/// The boxes in `bytes`, one after the other: their types and bodies.
fn boxes(bytes: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    let mut rest = bytes;
    let next = move || {
        let kind = rest.get(4..)?.first_chunk::<4>()?;
        let (header, length) = match number(rest, 0, 4)? {
            // To the end of the file.
            0 => (8, rest.len()),
            1 => {
                let high = number(rest, 8, 4)?;
                let low = number(rest, 12, 4)?;
                (
                    16,
                    usize::try_from(u64::from(high) << 32 | u64::from(low)).ok()?,
                )
            }
            length => (8, length as usize),
        };
        let body = rest.get(header..length)?;
        rest = &rest[length..];
        Some((kind, body))
    };
    std::iter::from_fn(next).take(MAX_ENTRIES)
}

fn find<'a>(bytes: &'a [u8], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(bytes).find_map(|(kind, body)| (kind == wanted).then_some(body))
}

fn primary_id(pitm: &[u8]) -> Option<u32> {
    match pitm.first()? {
        0 => number(pitm, 4, 2),
        _ => number(pitm, 4, 4),
    }
}

/// The indices of a picture's properties among all, from 1.
fn associated(ipma: &[u8], picture: u32) -> Option<Vec<usize>> {
    let id_bytes = if *ipma.first()? == 0 { 2 } else { 4 };
    let place_bytes = if ipma.get(3)? & 1 == 0 { 1 } else { 2 };
    let entries = number(ipma, 4, 4)? as usize;
    let mut at = 8;
    for _ in 0..entries.min(MAX_ENTRIES) {
        let id = number(ipma, at, id_bytes)?;
        let count = usize::from(*ipma.get(at + id_bytes)?);
        let places = at + id_bytes + 1;
        at = places + count * place_bytes;
        if id == picture {
            // The highest bit is set if a reader has to know the property.
            let mask = (1 << (place_bytes * 8 - 1)) - 1;
            let place = |n| number(ipma, places + n * place_bytes, place_bytes);
            return (0..count)
                .map(|n| place(n).map(|place| (place & mask) as usize))
                .collect();
        }
    }
    None
}

/// The big-endian number of `length` bytes (at most 4) at `at`.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + length)?;
    Some(
        bytes
            .iter()
            .fold(0, |number, byte| number << 8 | u32::from(*byte)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes(), kind, body].concat()
    }

    /// A file whose second picture is the primary one, with these properties.
    fn file(properties: &[Vec<u8>]) -> Vec<u8> {
        let count = properties.len() as u8;
        let places: Vec<u8> = (1..=count).map(|place| place | 0x80).collect();
        let ipma = [&[0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 2, count][..], &places].concat();
        let ipco = boxed(b"ipco", &properties.concat());
        let iprp = boxed(b"iprp", &[ipco, boxed(b"ipma", &ipma)].concat());
        let pitm = boxed(b"pitm", &[0, 0, 0, 0, 0, 2]);
        let meta = boxed(b"meta", &[vec![0; 4], pitm, iprp].concat());
        [boxed(b"ftyp", b"avif\0\0\0\0"), meta].concat()
    }

    fn full() -> Vec<u8> {
        file(&[
            boxed(b"ispe", &[0, 0, 0, 0, 0, 0, 2, 0x80, 0, 0, 1, 0x68]),
            boxed(b"colr", b"nclx\0\x01\0\x0d\0\x06\x80"),
            boxed(b"colr", b"profthe profile"),
            boxed(b"irot", &[3]),
            boxed(b"imir", &[1]),
        ])
    }

    #[test]
    fn the_metadata_of_the_primary_picture_is_read() {
        let file = full();
        let want = PrimaryPicture {
            size: Some((640, 360)),
            profile: Some(b"the profile"),
            turns: vec![OrientationStep::Left(3), OrientationStep::LeftRight],
        };
        assert_eq!(read(&file), want);
    }

    #[test]
    fn damaged_files_give_less_and_end() {
        let whole = full();
        for length in 0..whole.len() {
            read(&whole[..length]);
        }
        for at in 0..whole.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = byte;
                read(&damaged);
            }
        }
        assert_eq!(read(b""), PrimaryPicture::default());
    }
}
