//! The choice of vector instructions.
use fearless_simd::Level;
use std::{fmt, str::FromStr};
use thiserror::Error;

/// A set of vector instructions that kernels can use. All give the same result up to rounding;
/// `Scalar` is the oracle that the others are tested against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SimdLevel {
    /// No explicit vector instructions.
    Scalar,
    /// x86-64-v2.
    Sse42,
    /// x86-64-v3: AVX2 and FMA.
    Avx2,
    /// Ice Lake-class AVX-512.
    Avx512,
    /// 64-bit ARM.
    Neon,
}

/// Why a level cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SimdError {
    /// The text names no level.
    #[error("unknown SIMD level {0:?}: use scalar, sse4.2, avx2, avx512 or neon")]
    Unknown(String),
    /// This processor lacks the instructions.
    #[error(
        "this processor has no {0}; it has {available}",
        available = names(&SimdLevel::available())
    )]
    Unavailable(SimdLevel),
}

fn names(levels: &[SimdLevel]) -> String {
    levels
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

impl SimdLevel {
    /// All levels, slowest first.
    pub const ALL: [SimdLevel; 5] = [
        SimdLevel::Scalar,
        SimdLevel::Sse42,
        SimdLevel::Avx2,
        SimdLevel::Avx512,
        SimdLevel::Neon,
    ];

    /// The levels that this processor has, slowest first.
    pub fn available() -> Vec<SimdLevel> {
        Self::ALL
            .into_iter()
            .filter(|l| l.token().is_some())
            .collect()
    }

    /// The fastest level of this processor.
    pub fn best() -> SimdLevel {
        Self::available().pop().unwrap_or(SimdLevel::Scalar)
    }

    /// The proof that this processor can run the level, for `fearless_simd::dispatch!`.
    pub fn level(self) -> Result<Level, SimdError> {
        self.token().ok_or(SimdError::Unavailable(self))
    }

    fn token(self) -> Option<Level> {
        let detected = Level::new();
        match self {
            SimdLevel::Scalar => Some(Level::fallback()),
            #[cfg(target_arch = "x86_64")]
            SimdLevel::Sse42 => detected.as_sse4_2().map(Level::Sse4_2),
            #[cfg(target_arch = "x86_64")]
            SimdLevel::Avx2 => detected.as_avx2().map(Level::Avx2),
            #[cfg(target_arch = "x86_64")]
            SimdLevel::Avx512 => detected.as_avx512().map(Level::Avx512),
            #[cfg(target_arch = "aarch64")]
            SimdLevel::Neon => detected.as_neon().map(Level::Neon),
            _ => None,
        }
    }
}

impl FromStr for SimdLevel {
    type Err = SimdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|l| l.to_string() == text)
            .ok_or_else(|| SimdError::Unknown(text.to_owned()))
    }
}

impl fmt::Display for SimdLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SimdLevel::Scalar => "scalar",
            SimdLevel::Sse42 => "sse4.2",
            SimdLevel::Avx2 => "avx2",
            SimdLevel::Avx512 => "avx512",
            SimdLevel::Neon => "neon",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_reads_back_what_it_prints() {
        for level in SimdLevel::ALL {
            assert_eq!(level.to_string().parse(), Ok(level));
        }
        assert!(matches!(
            "mmx".parse::<SimdLevel>(),
            Err(SimdError::Unknown(_))
        ));
    }

    #[test]
    fn scalar_is_always_there() {
        assert!(SimdLevel::available().contains(&SimdLevel::Scalar));
        assert!(SimdLevel::best().level().is_ok());
    }
}
