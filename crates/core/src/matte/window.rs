//! Sums over square windows of a plane, one row at a time.
use std::ops::Range;

/// The index of the sample at `i` of `n`, mirrored at both ends with the end repeated (`.. 1 0 | 0
/// 1 ..`).
pub(super) fn mirrored(i: isize, n: usize) -> usize {
    let n = n as isize;
    let i = i.rem_euclid(2 * n);
    (if i < n { i } else { 2 * n - 1 - i }) as usize
}

/// The indices up to `reach` on either side of `i`, and `i` itself, as far as `n` has them.
#[inline(always)]
pub(super) fn around(i: usize, reach: usize, n: usize) -> Range<usize> {
    i.saturating_sub(reach)..(i + reach + 1).min(n)
}

/// 2^23: the sum with a small number holds the nearest whole number (ties to even) in the lowest
/// bits. Unlike a cast, this becomes one vector instruction.
const WHOLE: f32 = 8_388_608.0;

/// The nearest whole number, ties to even, of `v` in 0..=65535.
#[inline(always)]
pub(super) fn rounded(v: f32) -> u16 {
    (v + WHOLE).to_bits() as u16
}

/// Scratch for [`WindowSums::sums`].
#[derive(Debug, Default)]
pub(super) struct WindowSums {
    runs: [Vec<f32>; 2],
}

impl WindowSums {
    /// `into[x]` = the sum of `row[x - radius ..= x + radius]`, mirrored at the ends. Runs of 1, 2,
    /// 4, .. samples are added up to the window's length, so that every sum has few roundings and
    /// the loops are vectors.
    #[inline(always)]
    pub(super) fn sums(&mut self, row: &[f32], radius: usize, into: &mut [f32]) {
        let n = row.len();
        let padded = n + 2 * radius;
        let [run, next] = &mut self.runs;
        run.resize(padded, 0.0);
        next.resize(padded, 0.0);
        for i in 0..radius {
            run[i] = row[mirrored(i as isize - radius as isize, n)];
            run[radius + n + i] = row[mirrored((n + i) as isize, n)];
        }
        run[radius..radius + n].copy_from_slice(row);
        let mut left = 2 * radius + 1;
        let mut length = 1;
        let mut at = 0;
        let mut valid = padded;
        into.fill(0.0);
        loop {
            if left & length != 0 {
                into.iter_mut()
                    .zip(&run[at..at + n])
                    .for_each(|(sum, v)| *sum += v);
                at += length;
                left -= length;
            }
            if left == 0 {
                return;
            }
            valid -= length;
            for ((new, a), b) in next[..valid]
                .iter_mut()
                .zip(&run[..valid])
                .zip(&run[length..length + valid])
            {
                *new = a + b;
            }
            std::mem::swap(run, next);
            length *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_the_nearest() {
        for (v, want) in [
            (0.0, 0),
            (0.49, 0),
            (0.51, 1),
            (0.5, 0),
            (1.5, 2),
            (254.7, 255),
            (65534.6, 65535),
        ] {
            assert_eq!(rounded(v), want, "{v}");
        }
    }

    #[test]
    fn window_sums_equal_their_definition() {
        for n in [1, 2, 3, 8, 37, 64] {
            let row: Vec<f32> = (0..n).map(|i| (i * i % 23) as f32).collect();
            for radius in [1, 2, 3, 6, 9, 40] {
                let mut found = vec![0.0; n];
                WindowSums::default().sums(&row, radius, &mut found);
                for (x, found) in found.into_iter().enumerate() {
                    let window = x as isize - radius as isize..=(x + radius) as isize;
                    let want: f32 = window.map(|i| row[mirrored(i, n)]).sum();
                    assert_eq!(found, want, "{n} samples, radius {radius}, at {x}");
                }
            }
        }
    }
}
