//! MediaPipe's category mask: the confidence, up-sampled corner to corner, above one half.
use super::resample::Taps;
use fearless_simd::{Level, Simd, dispatch};
use fearless_simd_macros::simd;
use image::GrayImage;

/// Confidence above which a pixel is a person.
const PERSON_ABOVE: f32 = 0.5;

/// Makes masks; keeps its buffers and tables between pictures.
#[derive(Debug, Default)]
pub(super) struct HardMask {
    /// The confidence spread to the picture's width.
    wide: Vec<f32>,
}

impl HardMask {
    /// Writes 255 where the up-sampled `confidence` (`[height][width]`) is above one half, else 0. `alpha` is not empty.
    pub(super) fn mask(&mut self, level: Level, confidence: &[f32], width: usize, height: usize, alpha: &mut GrayImage) {
        let (w, h) = (alpha.width() as usize, alpha.height() as usize);
        let (xs, ys) = (Taps::corners(w, width), Taps::corners(h, height));
        self.wide.resize(w * height, 0.0);
        for (wide, row) in self.wide.chunks_exact_mut(w).zip(confidence.chunks_exact(width)) {
            xs.row(row, wide);
        }
        for (y, out) in alpha.chunks_exact_mut(w).enumerate() {
            let (first, weights) = ys.get(y);
            let rows = [first, first + weights.len() - 1].map(|y| &self.wide[y * w..(y + 1) * w]);
            let weights = [weights[0], weights.get(1).copied().unwrap_or(0.0)];
            dispatch!(level, s => threshold(s, rows, weights, out));
        }
    }
}

#[simd]
fn threshold<S: Simd>(_simd: S, [top, bottom]: [&[f32]; 2], [a, b]: [f32; 2], out: &mut [u8]) {
    for ((out, top), bottom) in out.iter_mut().zip(top).zip(bottom) {
        *out = if a * top + b * bottom > PERSON_ABOVE { 255 } else { 0 };
    }
}
