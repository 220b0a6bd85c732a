//! Recognises the format of a picture by its first bytes.

/// A format of picture files. [`super::ImageFormat`] has the formats that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PictureFormat {
    /// JPEG, decoded by libjpeg-turbo.
    Jpeg,
    /// PNG; of an animation the default picture.
    Png,
    /// WebP; of an animation the first picture.
    WebP,
    /// TIFF; the first picture of several. Raw photos of cameras, which begin alike, are not read.
    Tiff,
    /// Windows bitmaps.
    Bmp,
    /// GIF; the first picture.
    Gif,
    /// AV1 in an ISO media file: known, but not decoded here.
    Avif,
    /// HEVC in an ISO media file: known, but not decoded here.
    Heic,
    /// The data of a camera's sensor, with a preview: known, but not decoded here.
    Raw,
}

/// Brands (ISO/IEC 23008-12, 10.2) of still pictures and sequences in HEVC.
const HEIC: [&[u8; 4]; 8] = [
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs",
];
/// The same for AV1.
const AVIF: [&[u8; 4]; 2] = [b"avif", b"avis"];
/// Brands of pictures that leave the codec open.
const ANY_CODEC: [&[u8; 4]; 4] = [b"mif1", b"mif2", b"msf1", b"miaf"];

/// The possible sizes of a bitmap's second header.
const BITMAP_HEADERS: [u32; 7] = [12, 40, 52, 56, 64, 108, 124];

impl PictureFormat {
    /// How many bytes [`PictureFormat::of`] needs.
    pub const HEAD: usize = 64;

    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            PictureFormat::Jpeg => "JPEG",
            PictureFormat::Png => "PNG",
            PictureFormat::WebP => "WebP",
            PictureFormat::Tiff => "TIFF",
            PictureFormat::Bmp => "BMP",
            PictureFormat::Gif => "GIF",
            PictureFormat::Avif => "AVIF",
            PictureFormat::Heic => "HEIC",
            PictureFormat::Raw => "a raw photo",
        }
    }

    /// Whether it is decoded here. The others need another program.
    pub fn is_decoded(self) -> bool {
        !matches!(
            self,
            PictureFormat::Avif | PictureFormat::Heic | PictureFormat::Raw
        )
    }

    /// The command with which a person converts such a file into one that is read.
    pub fn conversion(self) -> &'static str {
        match self {
            PictureFormat::Heic => {
                "convert it to JPEG, for example with `heif-convert photo.heic photo.jpg`"
            }
            PictureFormat::Raw => {
                "develop it to JPEG or TIFF, for example with `darktable-cli photo.nef photo.jpg`"
            }
            _ => "convert it to PNG, for example with `magick photo.avif photo.png`",
        }
    }

    /// The format whose signature stands at the beginning of `bytes`.
    pub fn of(bytes: &[u8]) -> Option<PictureFormat> {
        if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
            Some(PictureFormat::Jpeg)
        } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(PictureFormat::Png)
        } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            Some(PictureFormat::WebP)
        } else if [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"]
            .iter()
            .any(|start| bytes.starts_with(*start))
        {
            Some(PictureFormat::Tiff)
        } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
            Some(PictureFormat::Gif)
        } else if bytes.starts_with(b"BM") && is_bitmap(bytes) {
            Some(PictureFormat::Bmp)
        } else {
            media_picture(bytes)
        }
    }
}

fn is_bitmap(bytes: &[u8]) -> bool {
    let size = bytes.get(14..18).and_then(|size| size.first_chunk());
    size.is_some_and(|size| BITMAP_HEADERS.contains(&u32::from_le_bytes(*size)))
}

/// The format of a picture in an ISO media file (ISO/IEC 14496-12), by its major brand. A video has
/// another brand, even if it holds a picture too.
fn media_picture(bytes: &[u8]) -> Option<PictureFormat> {
    let size = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
    if bytes.get(4..8) != Some(b"ftyp") {
        return None;
    }
    let is_in = |brands: &[&[u8; 4]], brand: &[u8]| brands.iter().any(|known| **known == *brand);
    let major = bytes.get(8..12)?;
    if is_in(&AVIF, major) {
        return Some(PictureFormat::Avif);
    }
    if is_in(&HEIC, major) {
        return Some(PictureFormat::Heic);
    }
    if !is_in(&ANY_CODEC, major) {
        return None;
    }
    let end = size.clamp(16, PictureFormat::HEAD).min(bytes.len());
    let mut compatible = bytes.get(16..end)?.chunks_exact(4);
    let is_avif = compatible.any(|brand| is_in(&AVIF, brand));
    Some(if is_avif {
        PictureFormat::Avif
    } else {
        PictureFormat::Heic
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_in_a_media_file_is_not_taken_for_a_video() {
        let of = |brands: &[&[u8; 4]]| {
            let mut file = (brands.len() as u32 * 4 + 12).to_be_bytes().to_vec();
            file.extend_from_slice(b"ftyp");
            file.extend_from_slice(brands[0]);
            file.extend_from_slice(&[0; 4]);
            brands[1..]
                .iter()
                .for_each(|brand| file.extend_from_slice(*brand));
            file.extend_from_slice(b"\0\0\0\x08mdatavif");
            PictureFormat::of(&file)
        };
        for brand in [b"heic", b"heix", b"hevc", b"heim"] {
            assert_eq!(of(&[brand]), Some(PictureFormat::Heic));
        }
        assert_eq!(of(&[b"avif"]), Some(PictureFormat::Avif));
        assert_eq!(of(&[b"mif1", b"heic"]), Some(PictureFormat::Heic));
        assert_eq!(of(&[b"mif1", b"miaf", b"avif"]), Some(PictureFormat::Avif));
        assert_eq!(of(&[b"mif1"]), Some(PictureFormat::Heic));
        assert_eq!(of(&[b"isom", b"mif1"]), None);
        assert_eq!(of(&[b"qt  "]), None);
    }

    #[test]
    fn a_text_that_begins_like_a_bitmap_is_none() {
        assert_eq!(PictureFormat::of(b"BM is my name, and that is all"), None);
        assert_eq!(PictureFormat::of(b"BM"), None);
        for short in [&b""[..], b"\0", b"\0\0\0\x1cftyp", b"II", b"RIFF"] {
            assert_eq!(PictureFormat::of(short), None);
        }
    }
}
