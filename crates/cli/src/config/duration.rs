//! Lengths of time as people write them: `90`, `1.5`, `1m30s`, `250ms`, `00:01:30`.
use std::time::Duration;
use thiserror::Error;

/// A text that is no length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DurationError {
    /// The text has none of the known formats.
    #[error("write seconds (90), units (1m30s, 250ms) or HH:MM:SS")]
    Format,
    /// The time is negative, or longer than arithmetic on points in time allows.
    #[error("it must not be negative and at most a hundred years")]
    Range,
}

/// Reads seconds, a number with units, or `[HH:]MM:SS`.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let text = text.trim();
    let seconds = if text.contains(':') {
        let mut total = 0.0;
        for part in text.split(':') {
            let value: f64 = part.parse().map_err(|_| DurationError::Format)?;
            if value < 0.0 {
                return Err(DurationError::Format);
            }
            total = total * 60.0 + value;
        }
        total
    } else if let Ok(seconds) = text.parse::<f64>() {
        seconds
    } else {
        return humantime::parse_duration(text).map_err(|_| DurationError::Format);
    };
    // A hundred years: beyond it arithmetic on points in time could overflow.
    if !(0.0..3.2e9).contains(&seconds) {
        return Err(DurationError::Range);
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::parse;
    use std::time::Duration;

    #[test]
    fn the_usual_ways_to_write_a_time() {
        for (text, ms) in [
            ("90", 90_000),
            ("1.5", 1500),
            ("1m30s", 90_000),
            ("250ms", 250),
            ("00:01:30", 90_000),
            ("1:30.5", 90_500),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_time_is_refused() {
        for text in ["", "abc", "-1", "nan", "inf", "1:-3", "1e300", ":"] {
            assert!(parse(text).is_err(), "{text:?} was accepted");
        }
    }
}
