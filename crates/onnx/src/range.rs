//! The numbers that a network expects its colours in.
use std::{fmt, str::FromStr};
use thiserror::Error;

/// The numbers that a network was trained with: `(colour - mean) / deviation`, where `colour` is
/// 0..=1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColourRange {
    /// 0 to 1.
    Unit,
    /// -0.5 to 0.5.
    Half,
    /// -1 to 1.
    Signed,
    /// 0 to 255.
    Bytes,
    /// ImageNet's mean subtracted, and divided by its standard deviation.
    ImageNet,
}

impl ColourRange {
    /// All of them.
    pub const ALL: [ColourRange; 5] = [
        ColourRange::Unit,
        ColourRange::Half,
        ColourRange::Signed,
        ColourRange::Bytes,
        ColourRange::ImageNet,
    ];

    /// Mean and deviation of red, green and blue.
    pub(crate) fn mean_and_deviation(self) -> ([f32; 3], [f32; 3]) {
        match self {
            ColourRange::Unit => ([0.0; 3], [1.0; 3]),
            ColourRange::Half => ([0.5; 3], [1.0; 3]),
            ColourRange::Signed => ([0.5; 3], [0.5; 3]),
            ColourRange::Bytes => ([0.0; 3], [1.0 / 255.0; 3]),
            // The figures of torchvision's models.
            ColourRange::ImageNet => ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        }
    }
}

impl fmt::Display for ColourRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ColourRange::Unit => "0..1",
            ColourRange::Half => "-0.5..0.5",
            ColourRange::Signed => "-1..1",
            ColourRange::Bytes => "0..255",
            ColourRange::ImageNet => "imagenet",
        })
    }
}

/// A text that is not a [`ColourRange`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("unknown range of colours {0:?}: use {list}", list = names())]
pub struct ColourRangeError(String);

/// The names of all ranges, with commas and "or".
pub(crate) fn names() -> String {
    let names: Vec<String> = ColourRange::ALL.iter().map(ToString::to_string).collect();
    let (last, others) = names.split_last().expect("there are ranges");
    format!("{} or {last}", others.join(", "))
}

impl FromStr for ColourRange {
    type Err = ColourRangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ColourRange::ALL
            .into_iter()
            .find(|range| range.to_string() == text)
            .ok_or_else(|| ColourRangeError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_read_back_what_they_print() {
        for range in ColourRange::ALL {
            assert_eq!(range.to_string().parse(), Ok(range));
        }
        let error = "0-1".parse::<ColourRange>().unwrap_err().to_string();
        assert!(error.ends_with("-1..1, 0..255 or imagenet"), "{error}");
    }
}
