//! Numbers as people type them, with an answer in plain words where it is none.

/// A number with a fraction, such as `--fps 29.97`.
pub(crate) fn fraction(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        // As it was typed: for Rust, 1e400 is infinite.
        Ok(number) if number.is_infinite() => Err("the number is too large".to_owned()),
        Ok(number) if number.is_nan() => Err(no_number(text, "such as 10 or 29.97")),
        Ok(number) => Ok(number),
        Err(_) => Err(no_number(text, "such as 10 or 29.97")),
    }
}

/// A number without a fraction, such as `--max-width 640`.
pub(crate) fn whole(text: &str) -> Result<i64, String> {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let text = text.trim();
    match text.parse::<i64>() {
        Ok(number) => Ok(number),
        Err(e) if matches!(e.kind(), PosOverflow | NegOverflow) => {
            Err("the number is too large".to_owned())
        }
        Err(_) if text.parse::<f64>().is_ok_and(f64::is_finite) => {
            Err("use a whole number, such as 640".to_owned())
        }
        Err(_) => Err(no_number(text, "such as 640")),
    }
}

fn no_number(text: &str, example: &str) -> String {
    match text.contains(',') && text.replace(',', ".").parse::<f64>().is_ok() {
        true => format!("write the number with a point, {example}"),
        false => format!("not a number; use one {example}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_told_in_plain_words() {
        for text in ["abc", "", "nan", "NaN", "0x10", "1e", "--"] {
            let says = fraction(text).unwrap_err();
            assert!(says.starts_with("not a number"), "{text}: {says}");
            assert!(
                whole(text).unwrap_err().starts_with("not a number"),
                "{text}"
            );
        }
        for text in ["1e400", "inf", "-inf", "infinity"] {
            assert_eq!(
                fraction(text).unwrap_err(),
                "the number is too large",
                "{text}"
            );
        }
        assert!(
            whole("99999999999999999999")
                .unwrap_err()
                .contains("too large")
        );
        assert!(whole("640.5").unwrap_err().contains("whole number"));
        assert!(fraction("29,97").unwrap_err().contains("point"));
        assert_eq!(fraction(" 29.97 "), Ok(29.97));
        assert_eq!((whole("-1"), whole("640")), (Ok(-1), Ok(640)));
    }
}
