//! The compositing formula on rows, in integers.
use fearless_simd::Simd;
use fearless_simd_macros::simd;

/// `round((a f + (255 - a) b) / 255)`, exact for all 2^24 arguments: with `t = a f + (255 - a) b +
/// 128` it is `(t + (t >> 8)) >> 8` (Blinn, "Three Wrongs Make a Right", IEEE CG&A 15(6), 1995),
/// and all of it fits 16 bits.
#[inline(always)]
fn mix(f: u8, a: u8, b: u8) -> u8 {
    let f = u16::from(f);
    let a = u16::from(a);
    let b = u16::from(b);
    let t = a * f + (255 - a) * b + 128;
    ((t + (t >> 8)) >> 8) as u8
}

/// `out = a person + (1 - a) behind`, RGB.
#[simd]
pub(super) fn over<S: Simd>(simd: S, person: &[u8], alpha: &[u8], behind: &[u8], out: &mut [u8]) {
    let pixels = person
        .as_chunks::<3>()
        .0
        .iter()
        .zip(behind.as_chunks::<3>().0)
        .zip(alpha);
    for (out, ((f, b), &a)) in out.as_chunks_mut::<3>().0.iter_mut().zip(pixels) {
        *out = [mix(f[0], a, b[0]), mix(f[1], a, b[1]), mix(f[2], a, b[2])];
    }
}

/// RGB and alpha to RGBA.
#[simd]
pub(super) fn with_alpha<S: Simd>(simd: S, rgb: &[u8], alpha: &[u8], out: &mut [u8]) {
    for (out, (c, &a)) in out
        .as_chunks_mut::<4>()
        .0
        .iter_mut()
        .zip(rgb.as_chunks::<3>().0.iter().zip(alpha))
    {
        *out = if a == 0 {
            [0; 4]
        } else {
            [c[0], c[1], c[2], a]
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_is_exactly_rounded() {
        for f in 0..=255u8 {
            for a in 0..=255u8 {
                for b in (0..=255u8).step_by(5) {
                    let exact = (u32::from(a) * u32::from(f) + (255 - u32::from(a)) * u32::from(b))
                        as f64
                        / 255.0;
                    assert_eq!(mix(f, a, b), exact.round() as u8, "{f} {a} {b}");
                }
            }
        }
    }
}
