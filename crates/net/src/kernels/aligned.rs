//! Numbers that start on a cache line.
use std::ops::{Deref, DerefMut};

/// A fixed number of floats, the first at a multiple of 64 bytes: vectors that cross cache lines
/// cost twice the time.
#[derive(Debug, Default)]
pub(crate) struct AlignedFloats {
    numbers: Vec<f32>,
    start: usize,
    len: usize,
}

impl AlignedFloats {
    /// `len` zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let numbers = vec![0.0; len + 15];
        // An offset beyond 15 means that it is unknown; then any start will do.
        let start = numbers.as_ptr().align_offset(64);
        AlignedFloats {
            numbers,
            start: if start < 16 { start } else { 0 },
            len,
        }
    }
}

impl From<&[f32]> for AlignedFloats {
    fn from(numbers: &[f32]) -> Self {
        let mut aligned = Self::zeros(numbers.len());
        aligned.copy_from_slice(numbers);
        aligned
    }
}

impl Deref for AlignedFloats {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.numbers[self.start..self.start + self.len]
    }
}

impl DerefMut for AlignedFloats {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.numbers[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_on_a_cache_line_and_holds_its_numbers() {
        for len in [0, 1, 15, 16, 1000] {
            let numbers: Vec<f32> = (0..len).map(|i| i as f32).collect();
            let aligned = AlignedFloats::from(&numbers[..]);
            assert_eq!(*aligned, numbers[..]);
            assert_eq!(aligned.as_ptr() as usize % 64, 0);
        }
    }
}
