//! Adler-32, the checksum of a zlib stream (RFC 1950, sections 2.2 and 8.2).
//!
//! `a` is 1 plus the sum of all bytes and `b` the sum of all values that `a` has had, both modulo
//! 65,521. `n` zeros leave `a` alone and add `n a` to `b`, however many they are.

/// The largest prime below 2^16.
const MODULUS: u64 = 65_521;
/// Bytes that are summed side by side.
const COLUMNS: usize = 64;
/// After this many rounds the sums of a column still fit 16 bits: `255 * (22 * 23 / 2) < 2^16`.
const ROUNDS: usize = 22;

/// The checksum of the bytes that were added so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Adler32 {
    a: u64,
    b: u64,
}

impl Adler32 {
    pub(super) fn new() -> Self {
        Adler32 { a: 1, b: 0 }
    }

    /// Adds `bytes`. Written so that the compiler uses vectors.
    #[inline(always)]
    pub(super) fn add(&mut self, bytes: &[u8]) {
        for block in bytes.chunks(COLUMNS * ROUNDS) {
            let (whole, rest) = block.as_chunks::<COLUMNS>();
            // Of each column: the sum of its bytes, and the sum of all values that this sum has
            // had.
            let mut sums = [0u16; COLUMNS];
            let mut prefixes = [0u16; COLUMNS];
            for bytes in whole {
                for ((sum, prefix), &byte) in sums.iter_mut().zip(&mut prefixes).zip(bytes) {
                    *sum += u16::from(byte);
                    *prefix += *sum;
                }
            }
            // A byte of column `l` counts `COLUMNS` times in `b` for its round and each later one,
            // but not for the `l` before it.
            let mut sum = 0u32;
            let mut prefix = 0u32;
            let mut before = 0u32;
            for ((column, s), p) in (0u32..).zip(sums).zip(prefixes) {
                sum += u32::from(s);
                prefix += u32::from(p);
                before += column * u32::from(s);
            }
            self.b += self.a * (whole.len() * COLUMNS) as u64 + u64::from(prefix) * COLUMNS as u64
                - u64::from(before);
            self.a += u64::from(sum);
            for &byte in rest {
                self.a += u64::from(byte);
                self.b += self.a;
            }
            self.a %= MODULUS;
            self.b %= MODULUS;
        }
    }

    /// Adds `count` zeros.
    #[inline(always)]
    pub(super) fn add_zeros(&mut self, count: usize) {
        self.b = (self.b + self.a * (count as u64 % MODULUS)) % MODULUS;
    }

    pub(super) fn checksum(self) -> u32 {
        (self.b << 16 | self.a) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection, prelude::*};

    fn plain(bytes: &[u8]) -> u32 {
        let mut a = 1u32;
        let mut b = 0u32;
        for &byte in bytes {
            a = (a + u32::from(byte)) % 65_521;
            b = (b + a) % 65_521;
        }
        b << 16 | a
    }

    #[test]
    fn known_checksums_and_the_largest_sums() {
        let of = |bytes: &[u8]| {
            let mut adler = Adler32::new();
            adler.add(bytes);
            adler.checksum()
        };
        assert_eq!(
            (of(b""), of(b"a"), of(b"Wikipedia")),
            (1, 0x0062_0062, 0x11e6_0398)
        );
        for len in [
            1,
            63,
            64,
            65,
            COLUMNS * ROUNDS - 1,
            COLUMNS * ROUNDS,
            COLUMNS * ROUNDS + 1,
            100_003,
        ] {
            let bytes = vec![255; len];
            assert_eq!(of(&bytes), plain(&bytes), "{len} times 255");
        }
    }

    proptest! {
        #[test]
        fn parts_and_zeros_add_up(
            parts in collection::vec(
                (collection::vec(any::<u8>(), 0..3000), 0usize..200_000),
                0..4,
            ),
        ) {
            let mut adler = Adler32::new();
            let mut all = Vec::new();
            for (bytes, zeros) in parts {
                adler.add(&bytes);
                adler.add_zeros(zeros);
                all.extend(bytes);
                all.resize(all.len() + zeros, 0);
            }
            prop_assert_eq!(adler.checksum(), plain(&all));
        }
    }
}
