//! The encoded picture within a record.
use super::WireError;
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use std::{borrow::Cow, fmt, ops::Range};

/// The standard alphabet, with or without padding at the end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The encoded picture of a record: JPEG, PNG or WebP. Only decoding shows whether it is a picture.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum EncodedPicture<'a> {
    /// As plain bytes.
    Bytes(&'a [u8]),
    /// In base64.
    Base64(&'a str),
}

impl<'a> EncodedPicture<'a> {
    /// The bytes: borrowed, or decoded from base64 into `buffer`, after clearing it.
    ///
    /// # Errors
    /// [`WireError::BadBase64`].
    pub fn bytes<'b>(&self, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], WireError>
    where
        'a: 'b,
    {
        match self {
            EncodedPicture::Bytes(bytes) => Ok(bytes),
            EncodedPicture::Base64(text) => {
                buffer.clear();
                match BASE64.decode_vec(text.as_bytes(), buffer) {
                    Ok(()) => Ok(buffer),
                    Err(error) => {
                        buffer.clear();
                        Err(WireError::BadBase64 {
                            detail: error.to_string(),
                        })
                    }
                }
            }
        }
    }
}

/// Only its size: pictures are long, and private.
impl fmt::Debug for EncodedPicture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodedPicture::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            EncodedPicture::Base64(text) => write!(f, "{} characters of base64", text.len()),
        }
    }
}

/// The picture within a record that was read.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum RecordPicture<'a> {
    Bytes(&'a [u8]),
    /// Owned if the JSON text has escapes.
    Base64(Cow<'a, str>),
}

impl RecordPicture<'_> {
    pub(super) fn encoded(&self) -> EncodedPicture<'_> {
        match self {
            RecordPicture::Bytes(bytes) => EncodedPicture::Bytes(bytes),
            RecordPicture::Base64(text) => EncodedPicture::Base64(text),
        }
    }
}

impl fmt::Debug for RecordPicture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.encoded().fmt(f)
    }
}

/// The place of the picture in the value of its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PicturePlace {
    /// It is the value.
    Value,
    /// In base64, in these bytes of the value.
    Base64(Range<usize>),
    /// In base64, as a copy, because the value holds it with escapes.
    Text(String),
}

impl PicturePlace {
    pub(super) fn of(picture: &RecordPicture<'_>, value: &[u8]) -> Self {
        match picture {
            RecordPicture::Bytes(_) => PicturePlace::Value,
            RecordPicture::Base64(Cow::Owned(text)) => PicturePlace::Text(text.clone()),
            RecordPicture::Base64(Cow::Borrowed(text)) => {
                let start = text.as_ptr().addr().wrapping_sub(value.as_ptr().addr());
                let range = start..start.saturating_add(text.len());
                match value.get(range.clone()) {
                    Some(same) if same == text.as_bytes() => PicturePlace::Base64(range),
                    _ => PicturePlace::Text((*text).to_owned()),
                }
            }
        }
    }

    pub(super) fn encoded<'a>(&'a self, value: &'a [u8]) -> EncodedPicture<'a> {
        match self {
            PicturePlace::Value => EncodedPicture::Bytes(value),
            PicturePlace::Base64(range) => {
                let text = value
                    .get(range.clone())
                    .and_then(|bytes| std::str::from_utf8(bytes).ok());
                EncodedPicture::Base64(text.unwrap_or_default())
            }
            PicturePlace::Text(text) => EncodedPicture::Base64(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str) -> Result<Vec<u8>, &'static str> {
        let mut buffer = vec![9; 5];
        let picture = EncodedPicture::Base64(text);
        picture
            .bytes(&mut buffer)
            .map(<[u8]>::to_vec)
            .map_err(|error| error.code())
    }

    #[test]
    fn base64_is_read_with_or_without_padding() {
        assert_eq!(decode("/9j/4A=="), Ok(vec![0xff, 0xd8, 0xff, 0xe0]));
        assert_eq!(decode("/9j/4A"), Ok(vec![0xff, 0xd8, 0xff, 0xe0]));
        assert_eq!(decode("+/+/"), Ok(vec![0xfb, 0xff, 0xbf]));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "_9j_",
            "/9j/4",
            "/9j/4B==",
            "=",
            "/9j/\n4A==",
            "/9j/4A===",
            "é",
            "/9=j/",
        ] {
            assert_eq!(decode(text), Err("bad-base64"), "{text:?}");
        }
    }

    #[test]
    fn a_picture_is_not_printed() {
        assert_eq!(format!("{:?}", RecordPicture::Bytes(&[1, 2])), "2 bytes");
        assert_eq!(
            format!("{:?}", RecordPicture::Base64("AAAA".into())),
            "4 characters of base64"
        );
    }
}
