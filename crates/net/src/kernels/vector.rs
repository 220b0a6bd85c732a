//! Vectors and the functions of single values that all kernels share.
use fearless_simd::{f32x4, f32x8, f32x16, i32x8, i32x16, prelude::*};

/// Activation of a kernel: none.
pub(crate) const NONE: u8 = 0;
/// Activation of a kernel: `max(v, 0)`.
pub(crate) const RELU: u8 = 1;
/// Activation of a kernel: `hard_swish(6 v) / 6 = v * clamp(v + 1/2, 0, 1)`. The weights around it
/// carry the factors.
pub(crate) const HARD_SWISH: u8 = 2;

/// A vector of floats: a block of channels of one pixel.
pub(super) trait Vector<S: Simd>: Copy {
    /// How many floats it holds.
    const LEN: usize;
    /// The same value everywhere.
    fn all(s: S, v: f32) -> Self;
    /// Consecutive floats, as many as it holds.
    fn load(s: S, from: &[f32]) -> Self;
    /// The inverse of `load`.
    fn store(self, to: &mut [f32]);
    /// Half as many floats, and zeros.
    fn load_half(s: S, from: &[f32]) -> Self;
    /// Stores the first half.
    fn store_half(self, to: &mut [f32]);
    /// `self * b + c`.
    fn times_plus(self, b: Self, c: Self) -> Self;
    /// The sum.
    fn add(self, other: Self) -> Self;
    /// The quotient.
    fn over(self, other: Self) -> Self;
    /// The value within limits, as the nearest whole number and the rest.
    fn clamped_parts(self, s: S, least: f32, most: f32) -> (Self, Self);
    /// The product with two to the power of a whole number.
    fn scaled_by_power(self, power: Self) -> Self;
    /// One of the functions above.
    fn activate<const ACTIVATION: u8>(self, s: S) -> Self;
}

// The maximum with 0 and the clamp to 0..1 compare the floats' bits as integers, which have the
// same order where at least one of the two is not negative. That is cheaper where float comparisons
// compete with the multiply-adds (AMD).
macro_rules! vector {
    ($floats:ident, $half:ident, $integers:ident, $len:literal) => {
        impl<S: Simd> Vector<S> for $floats<S> {
            const LEN: usize = $len;
            #[inline(always)]
            fn all(s: S, v: f32) -> Self {
                Self::splat(s, v)
            }
            #[inline(always)]
            fn load(s: S, from: &[f32]) -> Self {
                Self::from_slice(s, &from[..$len])
            }
            #[inline(always)]
            fn store(self, to: &mut [f32]) {
                self.store_slice(&mut to[..$len]);
            }
            #[inline(always)]
            fn load_half(s: S, from: &[f32]) -> Self {
                $half::from_slice(s, &from[..$len / 2]).combine($half::splat(s, 0.0))
            }
            #[inline(always)]
            fn store_half(self, to: &mut [f32]) {
                self.split().0.store_slice(&mut to[..$len / 2]);
            }
            #[inline(always)]
            fn times_plus(self, b: Self, c: Self) -> Self {
                self.mul_add(b, c)
            }
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self + other
            }
            #[inline(always)]
            fn over(self, other: Self) -> Self {
                self / other
            }
            #[inline(always)]
            fn clamped_parts(self, s: S, least: f32, most: f32) -> (Self, Self) {
                let x = self.min(Self::splat(s, most)).max(Self::splat(s, least));
                let whole = x.round_ties_even();
                (whole, x - whole)
            }
            #[inline(always)]
            fn scaled_by_power(self, power: Self) -> Self {
                (self.bitcast::<$integers<S>>() + (power.to_int::<$integers<S>>() << 23)).bitcast()
            }
            #[inline(always)]
            fn activate<const ACTIVATION: u8>(self, s: S) -> Self {
                let zero = $integers::splat(s, 0);
                match ACTIVATION {
                    RELU => self.bitcast::<$integers<S>>().max(zero).bitcast(),
                    HARD_SWISH => {
                        let one = $integers::splat(s, 1f32.to_bits() as i32);
                        let half = Self::splat(s, 0.5);
                        self * (self + half)
                            .bitcast::<$integers<S>>()
                            .max(zero)
                            .min(one)
                            .bitcast::<Self>()
                    }
                    _ => self,
                }
            }
        }
    };
}

vector!(f32x8, f32x4, i32x8, 8);
vector!(f32x16, f32x8, i32x16, 16);

/// `1 / (1 + 2^x)`: the logistic of `-x / log2(e)`. The argument is clamped so that results are at
/// least 5e-20. So neither they nor their products with weights are denormal numbers, which take a
/// hundred times as long.
#[inline(always)]
pub(super) fn logistic2<S: Simd, V: Vector<S>>(s: S, x: V) -> V {
    let c = |v| V::all(s, v);
    let (whole, rest) = x.clamped_parts(s, -64.0, 64.0);
    // Polynomial of 2^r on [-1/2, 1/2], relative error 1.2e-7.
    let mut p = c(1.540_353e-4);
    for k in [
        1.333_355_8e-3,
        9.618_129e-3,
        5.550_411e-2,
        0.240_226_5,
        std::f32::consts::LN_2,
        1.0,
    ] {
        p = p.times_plus(rest, c(k));
    }
    c(1.0).over(c(1.0).add(p.scaled_by_power(whole)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SimdLevel;
    use fearless_simd::dispatch;
    use fearless_simd_macros::simd;

    #[simd]
    fn apply<S: Simd>(s: S, x: &[f32; 16], y: &mut [[f32; 16]; 3]) {
        f32x16::load(s, x).activate::<RELU>(s).store(&mut y[0]);
        f32x16::load(s, x)
            .activate::<HARD_SWISH>(s)
            .store(&mut y[1]);
        for (x, y) in x.chunks_exact(8).zip(y[2].chunks_exact_mut(8)) {
            logistic2(s, f32x8::load(s, x)).store(y);
        }
    }

    #[test]
    fn functions_agree_with_their_formulas() {
        let x: [f32; 16] = std::array::from_fn(|i| {
            [
                -300.0, -40.0, -9.5, -0.5, -0.2, -0.0, 0.0, 1e-6, 0.3, 0.5, 0.7, 3.0, 11.1, 88.0,
                126.0, 1e9,
            ][i]
        });
        for level in SimdLevel::available() {
            let mut y = [[0f32; 16]; 3];
            dispatch!(level.level().unwrap(), s => apply(s, &x, &mut y));
            for (i, &v) in x.iter().enumerate() {
                let hard_swish = 6.0 * v * (6.0 * v + 3.0).clamp(0.0, 6.0) / 36.0;
                let logistic = 1.0 / (1.0 + f64::from(v).clamp(-64.0, 64.0).exp2());
                assert_eq!(y[0][i], v.max(0.0), "{level}");
                assert!(
                    (y[1][i] - hard_swish).abs() <= 2e-7 * hard_swish.abs(),
                    "{level}: hard swish of {v}"
                );
                assert!(
                    (f64::from(y[2][i]) - logistic).abs() <= 3e-7 * logistic.min(1.0),
                    "{level}: logistic of {v}"
                );
            }
        }
    }
}
