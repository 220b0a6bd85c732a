//! Numbers as people type them, and errors in plain words.
use std::num::IntErrorKind::{NegOverflow, PosOverflow};
use thiserror::Error;

/// Why a text is not the number that a setting needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum NumberError {
    #[error("the number is too large")]
    TooLarge,
    #[error("use a whole number, such as 640")]
    NotWhole,
    #[error("write the number with a point, {example}")]
    DecimalComma { example: &'static str },
    #[error("not a number; use one {example}")]
    NotANumber { example: &'static str },
}

/// A number with a fraction, such as `--fps 29.97`.
pub(crate) fn fraction(text: &str) -> Result<f64, NumberError> {
    match text.trim().parse::<f64>() {
        // For Rust, 1e400 is infinite.
        Ok(number) if number.is_infinite() => Err(NumberError::TooLarge),
        Ok(number) if !number.is_nan() => Ok(number),
        _ => Err(not_a_number(text, "such as 10 or 29.97")),
    }
}

/// A number without a fraction, such as `--max-width 640`.
pub(crate) fn whole(text: &str) -> Result<i64, NumberError> {
    let text = text.trim();
    text.parse::<i64>().map_err(|e| match e.kind() {
        PosOverflow | NegOverflow => NumberError::TooLarge,
        _ if text.parse::<f64>().is_ok_and(f64::is_finite) => NumberError::NotWhole,
        _ => not_a_number(text, "such as 640"),
    })
}

fn not_a_number(text: &str, example: &'static str) -> NumberError {
    match text.contains(',') && text.replace(',', ".").parse::<f64>().is_ok() {
        true => NumberError::DecimalComma { example },
        false => NumberError::NotANumber { example },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_number_is_refused_in_plain_words() {
        for text in ["abc", "", "nan", "NaN", "0x10", "1e", "--"] {
            let says = fraction(text).unwrap_err().to_string();
            assert!(says.starts_with("not a number"), "{text}: {says}");
            assert!(
                whole(text)
                    .unwrap_err()
                    .to_string()
                    .starts_with("not a number"),
                "{text}"
            );
        }
        for text in ["1e400", "inf", "-inf", "infinity"] {
            assert_eq!(fraction(text), Err(NumberError::TooLarge), "{text}");
        }
        let too_large = whole("99999999999999999999");
        assert_eq!(too_large, Err(NumberError::TooLarge));
        assert_eq!(whole("640.5"), Err(NumberError::NotWhole));
        let says = fraction("29,97").unwrap_err().to_string();
        assert!(says.contains("point"), "{says}");
        assert_eq!(fraction(" 29.97 "), Ok(29.97));
        assert_eq!((whole("-1"), whole("640")), (Ok(-1), Ok(640)));
    }
}
