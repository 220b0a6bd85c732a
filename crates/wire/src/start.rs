//! The place in a topic where a reader begins.
use std::str::FromStr;
use thiserror::Error;

/// The place where a reader without a position begins: a group without an offset, or a query
/// without a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// The oldest record in the log.
    Earliest,
    /// The next record that is sent.
    Latest,
    /// The first record at this time or later, in unix milliseconds.
    Time(i64),
}

/// The text names no place to begin.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("use earliest, latest, a time such as 2026-01-31T12:00:00Z, or unix seconds")]
pub struct StartAtError;

impl FromStr for StartAt {
    type Err = StartAtError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "earliest" => return Ok(StartAt::Earliest),
            "latest" => return Ok(StartAt::Latest),
            _ => {}
        }
        let seconds = text
            .parse::<f64>()
            .ok()
            .filter(|seconds| (0.0..1e11).contains(seconds))
            .map(|seconds| (seconds * 1e3) as i64);
        let time = || {
            text.parse::<jiff::Timestamp>()
                .ok()
                .map(jiff::Timestamp::as_millisecond)
        };
        seconds.or_else(time).map(StartAt::Time).ok_or(StartAtError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_place_is_read() {
        let at = |text: &str| text.parse::<StartAt>();
        assert_eq!(at("earliest"), Ok(StartAt::Earliest));
        assert_eq!(at("latest"), Ok(StartAt::Latest));
        let time = Ok(StartAt::Time(1_700_000_000_000));
        assert_eq!(at("1700000000"), time);
        assert_eq!(at("2023-11-14T22:13:20Z"), time);
        for text in ["", "yesterday", "-1", "nan", "1e300", "2023-11-14"] {
            assert_eq!(at(text), Err(StartAtError), "{text}");
        }
    }
}
