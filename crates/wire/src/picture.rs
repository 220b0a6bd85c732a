//! The encoded picture within a record.
use super::WireError;
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use std::{borrow::Cow, fmt};

/// The standard alphabet, with or without padding at the end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[derive(Clone, PartialEq, Eq)]
pub(super) enum Picture<'a> {
    /// As it is.
    Bytes(&'a [u8]),
    /// In base64; owned if the JSON text held escapes.
    Base64(Cow<'a, str>),
}

impl<'a> Picture<'a> {
    pub(super) fn bytes<'b>(&self, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], WireError>
    where
        'a: 'b,
    {
        match self {
            Picture::Bytes(bytes) => Ok(bytes),
            Picture::Base64(text) => {
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

/// Its size only: pictures are long, and none of anyone's business in a log.
impl fmt::Debug for Picture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Picture::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Picture::Base64(text) => write!(f, "{} characters of base64", text.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str) -> Result<Vec<u8>, &'static str> {
        let mut buffer = vec![9; 5];
        let picture = Picture::Base64(Cow::Borrowed(text));
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
        assert_eq!(format!("{:?}", Picture::Bytes(&[1, 2])), "2 bytes");
        assert_eq!(
            format!("{:?}", Picture::Base64("AAAA".into())),
            "4 characters of base64"
        );
    }
}
