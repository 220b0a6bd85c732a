//! `Grad`: are the edges as sharp as the true ones, and in the same place?
//!
//! Rhemann, Rother, Wang, Gelautz, Kohli, Rott: "A Perceptually Motivated Online Benchmark for
//! Image Matting", CVPR 2009: the squared difference of the gradient magnitudes of both mattes,
//! each convolved with the first derivatives of a Gaussian of variance sigma^2, summed over the
//! pixels. The paper leaves the kernel's extent, scale and border open. Here, as in the evaluations
//! of BackgroundMattingV2 and Robust Video Matting: sigma 1.4, the taps up to where the Gaussian
//! falls to 0.01, the two-dimensional kernel scaled to an L2 norm of 1, border pixels repeated.
use super::Pair;
use image::GrayImage;

/// Standard deviation of the Gaussian in pixels.
const SIGMA: f64 = 1.4;
/// Taps on each side: where the Gaussian of [`SIGMA`] falls to 0.01, `ceil(sigma sqrt(-2 ln(sqrt(2
/// pi) sigma 0.01)))`.
const RADIUS: usize = 4;
const TAPS: usize = 2 * RADIUS + 1;

/// Gradient error / 1e3: `sum((|grad p| - |grad t|)^2) / 1000` over the frame, alpha in 0..=1. It
/// grows with the length of the edges, so compare only figures of the same picture size.
pub fn grad(pair: Pair<'_>) -> f64 {
    let predicted = magnitude(pair.predicted());
    let truth = magnitude(pair.truth());
    let width = pair.truth().width() as usize;
    let rows = predicted.chunks_exact(width).zip(truth.chunks_exact(width));
    let sum: f64 = rows
        .map(|(p, t)| {
            p.iter()
                .zip(t)
                .map(|(p, t)| f64::from(p - t).powi(2))
                .sum::<f64>()
        })
        .sum();
    sum / 1e3
}

/// The smoothing and the differentiating half of the separable kernel. The L2 norm of an outer
/// product is the product of the norms, so each half is scaled to 1.
fn kernel() -> ([f32; TAPS], [f32; TAPS]) {
    let at = |i: usize| i as f64 - RADIUS as f64;
    let gauss: [f64; TAPS] =
        std::array::from_fn(|i| (-at(i).powi(2) / (2.0 * SIGMA * SIGMA)).exp());
    let slope: [f64; TAPS] = std::array::from_fn(|i| at(i) * gauss[i]);
    (unit(gauss), unit(slope))
}

fn unit(taps: [f64; TAPS]) -> [f32; TAPS] {
    let norm = taps.iter().map(|x| x * x).sum::<f64>().sqrt();
    taps.map(|x| (x / norm) as f32)
}

/// The gradient magnitude of each pixel, alpha in 0..=1.
fn magnitude(alpha: &GrayImage) -> Vec<f32> {
    let (gauss, slope) = kernel();
    let width = alpha.width() as usize;
    let height = alpha.height() as usize;
    let mut smooth = vec![0f32; width * height];
    let mut steep = vec![0f32; width * height];
    let mut padded = vec![0f32; width + 2 * RADIUS];
    for (y, row) in alpha.as_raw().chunks_exact(width).enumerate() {
        for (x, value) in padded.iter_mut().enumerate() {
            *value = f32::from(row[x.saturating_sub(RADIUS).min(width - 1)]) / 255.0;
        }
        convolve_row(&padded, &gauss, &mut smooth[y * width..][..width]);
        convolve_row(&padded, &slope, &mut steep[y * width..][..width]);
    }
    let mut magnitude = vec![0f32; width * height];
    let mut across = vec![0f32; width];
    let mut down = vec![0f32; width];
    for (y, out) in magnitude.chunks_exact_mut(width).enumerate() {
        across.fill(0.0);
        down.fill(0.0);
        for tap in 0..TAPS {
            let from = (y + tap).saturating_sub(RADIUS).min(height - 1) * width;
            add_scaled(&mut across, &steep[from..][..width], gauss[tap]);
            add_scaled(&mut down, &smooth[from..][..width], slope[tap]);
        }
        for ((out, x), y) in out.iter_mut().zip(&across).zip(&down) {
            *out = (x * x + y * y).sqrt();
        }
    }
    magnitude
}

/// `out[x] = sum over taps of padded[x + tap] * taps[tap]`. The order of the taps decides the sign,
/// which the magnitude drops.
fn convolve_row(padded: &[f32], taps: &[f32; TAPS], out: &mut [f32]) {
    out.fill(0.0);
    for (tap, &weight) in taps.iter().enumerate() {
        add_scaled(out, &padded[tap..], weight);
    }
}

fn add_scaled(sum: &mut [f32], values: &[f32], weight: f32) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += weight * value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Luma;

    fn grad_of(predicted: &GrayImage, truth: &GrayImage) -> f64 {
        grad(Pair::new(predicted, truth).unwrap())
    }

    #[test]
    fn the_radius_is_where_the_gaussian_falls_to_a_hundredth() {
        let radius =
            (SIGMA * (-2.0 * ((std::f64::consts::TAU).sqrt() * SIGMA * 0.01).ln()).sqrt()).ceil();
        assert_eq!(RADIUS as f64, radius);
    }

    #[test]
    fn one_pixel_costs_two_unit_kernels() {
        // A lone white pixel paints each derivative kernel once; both have norm 1, so the squared
        // magnitudes sum to 2.
        let black = GrayImage::new(9, 9);
        let mut dot = black.clone();
        dot.put_pixel(4, 4, Luma([255]));
        assert!((grad_of(&dot, &black) - 0.002).abs() < 1e-8);
        // Half as high, a quarter of the squares.
        dot.put_pixel(4, 4, Luma([51]));
        assert!((grad_of(&dot, &black) - 0.002 / 25.0).abs() < 1e-9);
    }

    #[test]
    fn a_step_edge_costs_the_running_sums_of_the_kernel() {
        // 20x3, white from column 10 on, against black: nothing changes down a column, so a pixel's
        // magnitude is the sum of the smoothing taps times the sum of the differentiating taps that
        // see white.
        let black = GrayImage::new(20, 3);
        let step = GrayImage::from_fn(20, 3, |x, _| Luma([if x >= 10 { 255 } else { 0 }]));
        // exp(-x^2 / 3.92), x = 0..=4, and x times that.
        let g = [1.0, 0.774_837, 0.360_448, 0.100_669, 0.016_880];
        let d = [0.0, 0.774_837, 0.720_896, 0.302_007, 0.067_520];
        let twice = |taps: [f64; 5], f: fn(f64) -> f64| {
            f(taps[0]) + 2.0 * taps[1..].iter().map(|&x| f(x)).sum::<f64>()
        };
        let smoothing = twice(g, |x| x) / twice(g, |x| x * x).sqrt();
        let norm = twice(d, |x| x * x).sqrt();
        // Columns 6..=13 see the edge: tails of d of 1, 2, 3, 4 taps, then the same again.
        let tails = [0.067_520, 0.369_527, 1.090_423, 1.865_260];
        let row: f64 = 2.0
            * tails
                .map(|tail: f64| (smoothing * tail / norm).powi(2))
                .iter()
                .sum::<f64>();
        assert!(
            (grad_of(&step, &black) - 3.0 * row / 1e3).abs() < 1e-6,
            "{} {}",
            grad_of(&step, &black),
            3.0 * row / 1e3
        );
    }

    #[test]
    fn flat_pictures_have_no_gradient_up_to_the_border() {
        for (w, h) in [(1, 1), (1, 40), (40, 1), (3, 3), (20, 20)] {
            let white = GrayImage::from_pixel(w, h, Luma([255]));
            assert!(grad_of(&white, &GrayImage::new(w, h)) < 1e-12, "{w}x{h}");
        }
    }

    #[test]
    fn an_edge_in_the_wrong_place_costs_twice_a_missing_one() {
        let edge =
            |at: u32| GrayImage::from_fn(60, 20, |x, _| Luma([if x >= at { 255 } else { 0 }]));
        let missing = grad_of(&GrayImage::new(60, 20), &edge(20));
        assert!((grad_of(&edge(40), &edge(20)) - 2.0 * missing).abs() < 1e-6);
    }
}
